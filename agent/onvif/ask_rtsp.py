"""Ask a camera by RTSP what a stream is: OPTIONS and DESCRIBE with our own client, and no further."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from typing import TYPE_CHECKING

from agent.onvif.model import LogIn, Stream
from agent.rtsp.client import ClientSession
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.events import ClientConfig, Described, Redirected
from agent.rtsp.url import RtspUrl, parse_url

if TYPE_CHECKING:
    from agent.config.secrets import Login

DESCRIBE_S = 8.0
MAX_BYTES = 256 * 1024
_CHUNK = 16 * 1024
_CODECS = {"H264": "h264", "H265": "h265", "MP4V-ES": "mpeg4", "JPEG": "mjpeg"}


async def describe(url: str, login: Login | None, *, allow_basic: bool = False) -> Stream:
    """Ask what an address shows.

    Returns  what was found; `log_in` and `fault` say why nothing was. No SETUP is ever sent: nothing plays, and none
             of a camera's few places is taken
    """
    try:
        async with asyncio.timeout(DESCRIBE_S):
            told = await _describe(parse_url(url), login, allow_basic=allow_basic)
    except RtspError as error:
        return Stream(url, fault=error.code, log_in=_refusal(error))
    except (OSError, TimeoutError) as error:  # asyncio's own timeout is the latter
        return Stream(url, fault="timeout" if isinstance(error, TimeoutError) else "closed")
    return _stream(url, told)


async def _describe(url: RtspUrl, login: Login | None, *, allow_basic: bool) -> Described:
    config = ClientConfig(
        url,
        login.username if login else None,
        login.password if login else None,
        allow_basic=allow_basic,
        setup_timeout_s=DESCRIBE_S,
    )
    session = ClientSession(config, ssrc=secrets.randbits(32), nonce=lambda: secrets.token_hex(8))
    now = asyncio.get_running_loop().time
    while True:  # the session bounds how often it is sent elsewhere, and lets it be no other host
        reader, writer = await asyncio.open_connection(
            session.url.host, session.url.port, ssl=_tls(session.url)
        )
        try:
            session.start(now())
            told = await _converse(session, reader, writer)
        finally:
            writer.close()
        if told is not None:
            return told


async def _converse(
    session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Described | None:
    """Talk on one connection until the camera has described itself; None when it sent us elsewhere."""
    now = asyncio.get_running_loop().time
    heard = 0
    while True:
        writer.write(session.output())
        await writer.drain()
        data = await reader.read(_CHUNK)
        heard += len(data)
        if heard > MAX_BYTES:
            raise RtspError("limit", "the camera says too much", limit_bytes=MAX_BYTES)
        for event in session.receive(data, now()) if data else session.connection_lost(now()):
            if isinstance(event, Described):
                return event
            if isinstance(event, Redirected):
                return None
        if not data:
            raise RtspError("closed", "the camera closed the connection")


def _tls(url: RtspUrl) -> ssl.SSLContext | None:
    if url.scheme != "rtsps":
        return None
    context = (
        ssl.create_default_context()
    )  # whose certificate it is, recording asks; here it is only looked at
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(error: RtspError) -> LogIn:
    offered = str(error.context.get("offered", ""))
    if error.code in ("auth_missing", "auth_unsupported") and "basic" in offered and "digest" not in offered:
        return LogIn.BASIC
    return {
        "auth_missing": LogIn.NEEDED,
        "auth_failed": LogIn.REFUSED,
        "auth_unsupported": LogIn.REFUSED,
    }.get(error.code, LogIn.UNKNOWN)


def _stream(url: str, told: Described) -> Stream:
    parameters = dict(told.video.fmtp.get(told.payload_type, {}))
    if told.video.dimensions is not None:
        parameters["x-dimensions"] = f"{told.video.dimensions[0]},{told.video.dimensions[1]}"
    shape = depacketizer(told.encoding, parameters, told.clock_rate).format
    width, height = (shape.width, shape.height) if shape else told.video.dimensions or (None, None)
    return Stream(
        url,
        codec=_CODECS[told.encoding],
        width=width,
        height=height,
        fps=told.video.framerate,
        audio=told.audio,
        shown=True,
        log_in=LogIn.GOOD if told.device.get("realm") else LogIn.OPEN,
    )
