"""One camera's HTTP: questions posted to that camera and nobody else, answers bounded in size, time and number."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from lxml import etree

from agent.onvif.address import same_host
from agent.onvif.screen import MAX_BYTES, AnswerError, screen
from agent.rtsp.auth import Authenticator
from agent.rtsp.errors import RtspError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REQUESTS = 80
MAX_ALL_BYTES = (
    2 * 1024 * 1024
)  # of one camera; the library reads some 300 KB a second, and meanwhile nobody else
REQUEST_S = 6.0
_TYPE = "application/soap+xml; charset=utf-8"
_CHUNK = 32 * 1024


class Unauthorised(AnswerError):
    """The camera wants a log-in, or another one; basic: it wants the password in clear and nothing else."""

    def __init__(self, *, basic: bool = False) -> None:
        super().__init__("not-authorised")
        self.basic = basic


@dataclass(slots=True)
class Answer:
    """What the library reads of an HTTP answer. The camera's own headers never reach it."""

    status_code: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": _TYPE})
    encoding: str = "utf-8"


class Post:
    """What zeep calls a transport, for one camera and one log-in."""

    def __init__(self, host: str, username: str | None, password: str | None) -> None:
        """Make it inside a running loop; `aclose` it."""
        self.host = host
        self.requests = 0
        self._bytes = 0
        self._log_in = Authenticator(
            username, password, allow_basic=False, cnonce=lambda: secrets.token_hex(8)
        )
        # A camera's certificate is its own work: nobody vouches for it, and no password is sent to be read by it.
        encrypted = ssl.create_default_context()
        encrypted.check_hostname = False
        encrypted.verify_mode = ssl.CERT_NONE
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=encrypted, limit=2),
            auto_decompress=False,  # what grows when it is unpacked is refused
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=REQUEST_S),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def post_xml(self, address: str, envelope: Any, headers: Mapping[str, str]) -> Answer:
        """Send one question, and once more with an answer to the camera's challenge.

        Raises Unauthorised, or AnswerError
        """
        body: bytes = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
        said = {"Content-Type": headers.get("Content-Type", _TYPE), "Accept-Encoding": "identity"}
        status, challenges, content = await self._once(address, body, said)
        if status == 401 and challenges:
            self._challenged(challenges, answered="Authorization" in said)
            said.pop("Authorization", None)
            status, challenges, content = await self._once(address, body, said)
        if status == 401:
            if challenges:
                self._challenged(challenges, answered=True)
            raise Unauthorised
        if not content:
            raise AnswerError("status", str(status))
        return Answer(status, screen(content))

    def _challenged(self, challenges: list[str], *, answered: bool) -> None:
        try:
            self._log_in.challenged(challenges, answered=answered)
        except RtspError as error:
            offered = str(error.context.get("offered", ""))
            raise Unauthorised(basic="basic" in offered and "digest" not in offered) from None

    async def _once(self, address: str, body: bytes, headers: dict[str, str]) -> tuple[int, list[str], bytes]:
        parts = urlsplit(address)
        if not same_host(parts.hostname or "", self.host):
            raise AnswerError("redirect", parts.hostname or "")  # the last gate before the network
        self.requests += 1
        if self.requests > MAX_REQUESTS:
            raise AnswerError("too-many")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        answer = self._log_in.authorization("POST", target)
        if answer is not None:
            headers["Authorization"] = answer
        try:
            async with self._session.post(
                address, data=body, headers=headers, allow_redirects=False
            ) as response:
                if 300 <= response.status < 400:
                    raise AnswerError("redirect", response.headers.get("Location", ""))
                if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise AnswerError("encoding", response.headers.get("Content-Encoding", ""))
                content = await _bounded(response)
                self._bytes += len(content)
                if self._bytes > MAX_ALL_BYTES:
                    raise AnswerError("too-long")
                return response.status, response.headers.getall("WWW-Authenticate", []), content
        except TimeoutError:
            raise AnswerError("timeout") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise AnswerError("closed", type(error).__name__) from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        content += chunk
        if len(content) > MAX_BYTES:
            raise AnswerError("too-long")
    return bytes(content)
