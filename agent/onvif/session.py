"""Questions to one camera, asked through the ONVIF library over our own HTTP.

The library carries the WSDL files, so nothing is loaded from any network. What it would do by itself (follow
redirects, go where the camera sends it, read without end) it cannot do here: `agent.onvif.post` stands in between.
"""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from agent.onvif import answers
from agent.onvif.post import Post, Unauthorised
from agent.onvif.screen import AnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config.secrets import Login
    from agent.onvif.model import Device, Profile, Stream

_VER10 = "http://www.onvif.org/ver10"
_DEVICE = ("devicemgmt.wsdl", f"{{{_VER10}/device/wsdl}}DeviceBinding")
_MEDIA = ("media.wsdl", f"{{{_VER10}/media/wsdl}}MediaBinding")
_LIBRARIES = ("onvif", "zeep", "wsdiscovery", "aiohttp")


def _library() -> Any:
    """Import the library; on import it would send every program's log lines to the terminal."""
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        from onvif import client
    finally:
        root.removeHandler(silent)
    for name in _LIBRARIES:  # they log what cameras say, as it came
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return client


def wsdl_folder() -> Path:
    """Return where the library keeps the WSDL files."""
    import onvif

    return Path(onvif.__file__).with_name("wsdl")


class Session:
    """One camera's ONVIF services, with one log-in or none."""

    def __init__(self, host: str, service: str, login: Login | None, now_ms: Callable[[], int]) -> None:
        """host, service: the camera's address, and that of its device service on it; now_ms: the box's time."""
        self.host = host
        self._service = service
        self._login = login
        self._now_ms = now_ms
        self._post: Post
        self._open: list[Any] = []
        self._offset: dt.timedelta | None = None
        self._device: Any = None
        self._media: Any = None
        self.foreign = False

    async def __aenter__(self) -> Self:
        username, password = (self._login.username, self._login.password) if self._login else (None, None)
        self._post = Post(self.host, username, password)
        try:
            self._device = await self._bind(*_DEVICE, self._service)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        for service in self._open:
            await service.close()
        await self._post.aclose()

    async def _bind(self, wsdl: str, binding: str, address: str) -> Any:
        """Make one service of the library's, on our HTTP."""
        from zeep.settings import Settings

        service = _library().ONVIFService(
            address,
            self._login.username if self._login else None,
            self._login.password if self._login else None,
            str(wsdl_folder() / wsdl),
            encrypt=True,  # the digest of the password, never the password
            no_cache=True,
            dt_diff=self._offset,
            binding_name=binding,
        )
        service.transport = self._post
        self._open.append(service)
        await service.setup()
        safe = Settings(
            strict=False, xml_huge_tree=False, forbid_dtd=True, forbid_entities=True, forbid_external=True
        )
        for client in (service.zeep_client, service.zeep_client_authless):
            client.settings = safe
        return service

    async def clock_ms(self) -> int | None:
        """Ask for the time, without log-in where that is enough; return the camera's less ours in milliseconds.

        From then on the log-in's digest bears the camera's time, without which a camera whose clock is off refuses it.
        """
        before = self._now_ms()
        try:
            answer = await self._ask(self._device, "authless_GetSystemDateAndTime")
        except Unauthorised:  # against the standard, and seen
            if self._login is None:
                raise
            before = self._now_ms()
            answer = await self._ask(self._device, "GetSystemDateAndTime")
        found = answers.clock_ms(answer, (before + self._now_ms()) // 2)
        if found is not None:
            self._offset = dt.timedelta(milliseconds=found)
            self._device.zeep_client.wsse.dt_diff = self._offset
        return found

    async def device(self) -> Device:
        """Ask what it is."""
        return answers.device(await self._ask(self._device, "GetDeviceInformation"))

    async def profiles(self) -> tuple[Profile, ...]:
        """Ask for its media profiles."""
        return answers.profiles(await self._ask(await self._media_service(), "GetProfiles"))

    async def stream(self, profile: Profile) -> Stream:
        """Ask where a profile's stream is."""
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        asked = {"StreamSetup": setup, "ProfileToken": profile.token}
        return answers.stream(
            profile, await self._ask(await self._media_service(), "GetStreamUri", asked), self.host
        )

    async def silence(self, profile: Profile) -> None:
        """Take the audio encoder out of a profile: it offers no sound from then on."""
        asked = {"ProfileToken": profile.token}
        await self._ask(await self._media_service(), "RemoveAudioEncoderConfiguration", asked)

    async def _media_service(self) -> Any:
        if self._media is None:
            answer = await self._ask(self._device, "GetCapabilities", {"Category": ["Media"]})
            safe = answers.media_service(answer, self.host)
            if safe is None:
                raise AnswerError("malformed", "no media service")
            self.foreign = self.foreign or safe[1]
            self._media = await self._bind(*_MEDIA, safe[0])
        return self._media

    async def _ask(self, service: Any, name: str, asked: dict[str, Any] | None = None) -> Any:
        """Ask one question; return plain dictionaries, lists and values. Raises Unauthorised, or AnswerError."""
        from zeep.exceptions import Fault
        from zeep.helpers import serialize_object

        # Without a log-in the library would send an empty one, which cameras count as a wrong one.
        if self._login is None and not name.startswith("authless_"):
            name = f"authless_{name}"
        try:
            return serialize_object(await getattr(service, name)(asked), dict)
        except AnswerError:
            raise
        except Fault as fault:
            codes = [getattr(code, "localname", "") for code in fault.subcodes or ()]
            if answers.refuses_log_in([fault.message, fault.code, *codes]):
                raise Unauthorised from None
            raise AnswerError("fault", str(fault.message)) from None
        except Exception as error:  # noqa: BLE001 - the library raises whatever a stranger's answer leads it to
            raise AnswerError("malformed", type(error).__name__) from None
