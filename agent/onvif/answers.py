"""Answers of cameras, as the library has read them, turned into what is known. Nothing in them is believed."""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from agent.onvif.address import named_host, own_service, own_stream
from agent.onvif.model import Device, Match, Profile, Stream
from agent.onvif.text import dig, items, number, tame

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PROFILES = 64  # a recorder with 32 channels has two for each
MAX_SERVICES = 8
MAX_SCOPES = 64
TOKEN_LIMIT = 64  # ONVIF's ReferenceToken; onvif.xsd
_PIXELS = 16384
_SCOPE = "onvif://www.onvif.org/"
_DATE = (("Year", 1, 9999), ("Month", 1, 12), ("Day", 1, 31))
_TIME = (("Hour", 23), ("Minute", 59), ("Second", 60))  # 60 is a leap second
_CODECS = {"H264": "h264", "H265": "h265", "HEVC": "h265", "JPEG": "mjpeg", "MPEG4": "mpeg4"}


def match(host: str, services: Sequence[object], scopes: Sequence[object]) -> Match:
    """Read one answer to a search.

    host      that it came from
    services  addresses that it names; scopes as they came
    """
    own: list[str] = []
    foreign = ""
    for said in services[:MAX_SERVICES]:
        safe = own_service(said, host)
        if safe is None or safe[1]:
            foreign = foreign or named_host(said)
        elif safe[0] not in own:
            own.append(safe[0])
    # An address with a password's way encrypted comes first.
    own.sort(key=lambda address: not address.startswith("https:"))
    return Match(
        host, tuple(own), "" if own else foreign, _scope(scopes, "name/"), _scope(scopes, "hardware/")
    )


def _scope(scopes: Sequence[object], kind: str) -> str:
    for scope in scopes[:MAX_SCOPES]:
        if isinstance(scope, str) and scope.startswith(_SCOPE + kind):
            return tame(unquote(scope[len(_SCOPE + kind) :], errors="replace"))
    return ""


def device(answer: Any) -> Device:
    """Read GetDeviceInformation."""
    names = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber")
    return Device(*(tame(dig(answer, name)) for name in names))


def media_service(answer: Any, host: str) -> tuple[str, bool] | None:
    """Read where the media service is, out of GetCapabilities; as `address.own_service`."""
    return own_service(dig(answer, "Media", "XAddr"), host)


def clock_ms(answer: Any, now_ms: int) -> int | None:
    """Read GetSystemDateAndTime.

    now_ms   the box's time in the middle between question and answer
    Returns  the camera's time less the box's, to the second that it gives; None when it gives none
    """
    date, time = dig(answer, "UTCDateTime", "Date"), dig(answer, "UTCDateTime", "Time")
    said = [number(dig(date, name), low, high) for name, low, high in _DATE]
    said += [number(dig(time, name), 0, high) for name, high in _TIME]
    whole = [part for part in said if part is not None]
    if len(whole) != len(said):
        return None
    # The camera cuts its time to whole seconds: half of one is given back.
    return calendar.timegm(tuple(whole)) * 1000 + 500 - now_ms


def profiles(answer: Any) -> tuple[Profile, ...]:
    """Read GetProfiles: at most 64, each once."""
    found: dict[str, Profile] = {}
    for each in items(answer, MAX_PROFILES):
        token = dig(each, "token")
        if isinstance(token, str) and 0 < len(token) <= TOKEN_LIMIT and token.isprintable():
            found.setdefault(token, _profile(token, each))
    return tuple(found.values())


def _profile(token: str, answer: Any) -> Profile:
    video = dig(answer, "VideoEncoderConfiguration")
    audio = dig(answer, "AudioEncoderConfiguration")
    rate = dig(video, "RateControl")
    encoding = dig(video, "Encoding")
    return Profile(
        token,
        tame(dig(answer, "Name")),
        _CODECS.get(encoding.upper(), "") if isinstance(encoding, str) else "",
        number(dig(video, "Resolution", "Width"), 1, _PIXELS),
        number(dig(video, "Resolution", "Height"), 1, _PIXELS),
        number(dig(rate, "FrameRateLimit"), 1, 1000),
        number(dig(rate, "BitrateLimit"), 1, 1_000_000),
        None if audio is None else tame(dig(audio, "Encoding")) or "?",
        tame(dig(answer, "VideoSourceConfiguration", "SourceToken")),
    )


def stream(profile: Profile, answer: Any, host: str) -> Stream:
    """Read GetStreamUri of a profile; an address on another host is named and not used."""
    said = dig(answer, "Uri")
    url = own_stream(said, host)
    return Stream(
        url.request() if url else "",
        profile.name,
        profile.codec,
        profile.width,
        profile.height,
        profile.fps,
        () if profile.audio is None else (profile.audio,),
        "" if url else named_host(said),
        profile=profile.token,
        source=profile.source,
        kbps=profile.kbps,
    )


def refuses_log_in(words: Sequence[object]) -> bool:
    """Tell whether a SOAP fault means that a log-in is wanted, or another one; words are its text and its codes.

    Source ONVIF core specification, section 5.11.2.2: ter:NotAuthorized, and what WS-Security has for it
    """
    joined = " ".join(tame(word, 200) for word in words).lower().replace(" ", "")
    return any(sign in joined for sign in ("notauthorized", "failedauthentication", "unauthorized"))
