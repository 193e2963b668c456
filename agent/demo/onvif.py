"""A virtual camera's ONVIF side: it answers searches, says what it is and where its streams are, and can be odd.

Only what `pasu discover` asks for is there. Answers are written by hand, and not by the library that will read them.
"""

from __future__ import annotations

import asyncio
import base64
import calendar
import contextlib
import hashlib
import re
import socket
import struct
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.demo.camera import VirtualCamera

GROUP = ("239.255.255.250", 3702)
MAX_REQUEST = 64 * 1024
FRESH_S = 60  # by its own clock; WS-UsernameToken profile, section 4
QUIRKS = {
    "clock": "its clock is `value` seconds ahead",
    "small": "says that its pictures are 160x120",
    "slow": "says that it makes 5 pictures a second",
    "foreign_stream": "names a stream on another host",
    "foreign_service": "names its media service on another host",
    "redirect": "sends every question on to another host",
    "bomb": "answers with entities that grow",
    "huge": "answers without end",
    "silent": "takes questions and never answers",
    "escapes": "has control characters in its name",
    "keeps_audio": "says that sound is off, and leaves it on",
    "basic": "asks for the password in clear by HTTP",
    "digest": "asks for HTTP Digest besides its own log-in",
    "babbles": "answers a search `value` times",
    "closed_time": "wants a log-in for the time of day too",
}
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:ter="http://www.onvif.org/ver10/error"><s:Body>{}</s:Body></s:Envelope>'
)
_MATCH = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header><a:MessageID>urn:uuid:{serial}</a:MessageID>'
    "<a:RelatesTo>{relates}</a:RelatesTo>"
    "<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
    "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header>"
    "<s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:{serial}</a:Address>"
    "</a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>{scopes}</d:Scopes>"
    "<d:XAddrs>{service}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches>"
    "</s:Body></s:Envelope>"
)
_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + ']><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>&j;</s:Body></s:Envelope>'
)


@dataclass(slots=True)
class OnvifSpec:
    """What one camera says by ONVIF.

    streams   (address, codec, width, height, fps), the main one first
    audio     encoding of the audio encoder of every profile; "" when there is none
    username  no log-in is asked for when it is empty
    also      another user and password, by UsernameToken
    quirks    names of `QUIRKS`, some with a number
    host, port  where it listens; port 0 takes a free one
    """

    name: str
    streams: Sequence[tuple[str, str, int, int, int]]
    audio: str = "G711"
    username: str = ""
    password: str = field(default="", repr=False)
    quirks: dict[str, float] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    maker: str = "Pasu"
    also: tuple[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        unknown = set(self.quirks) - set(QUIRKS)
        if unknown:
            raise ValueError(f"no such quirk: {', '.join(sorted(unknown))}; there are {', '.join(QUIRKS)}")


class OnvifCamera:
    """One camera's services over HTTP. `asked` counts what it was asked, by name; `log_ins` wrong and right ones.

    poured  bytes that were taken of an answer without end
    """

    def __init__(self, spec: OnvifSpec, on_silence: Callable[[], None] = lambda: None) -> None:
        """on_silence is called when no profile has an audio encoder any more."""
        self.spec = spec
        self._on_silence = on_silence
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.bodies: list[str] = []
        self.log_ins: list[bool] = []
        self.poured = 0
        self.audio = {_token(number): spec.audio for number in range(len(spec.streams))}
        self._server: asyncio.Server | None = None
        self.port = spec.port

    @property
    def service(self) -> str:
        """Where its device service is."""
        return f"http://{self.spec.host}:{self.port}/onvif/device_service"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self.spec.host, self.port, limit=MAX_REQUEST)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    # ------------------------------------------------------------------ HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            found = re.search(r"(?i)\r\ncontent-length: *(\d{1,6})\r\n", head)
            body = (await reader.readexactly(int(found[1]) if found else 0)).decode("utf-8", "replace")
            self.heads.append(head)
            self.bodies.append(body)
            await self._answer(head, body, writer)
        writer.close()

    async def _answer(self, head: str, body: str, writer: asyncio.StreamWriter) -> None:
        quirks = self.spec.quirks
        if "silent" in quirks:
            await asyncio.sleep(3600)
        if "redirect" in quirks:
            writer.write(
                b"HTTP/1.1 307 Moved\r\nLocation: http://192.0.2.9/onvif\r\nContent-Length: 0\r\n\r\n"
            )
            return
        if "huge" in quirks:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n<a>")
            for _ in range(4096):
                writer.write(b"<b>" * 8192)
                await writer.drain()
                self.poured += 3 * 8192
            return
        if "bomb" in quirks:
            self._send(writer, 200, _BOMB)
            return
        if "basic" in quirks:
            self._send(writer, 401, "", ('WWW-Authenticate: Basic realm="camera"',))
            return
        if "digest" in quirks and "authorization: digest" not in head.lower():
            self._send(
                writer, 401, "", ('WWW-Authenticate: Digest realm="camera", nonce="0a4f113b", qop="auth"',)
            )
            return
        status, text = self.answer(body)
        self._send(writer, status, text)

    @staticmethod
    def _send(writer: asyncio.StreamWriter, status: int, text: str, extra: Sequence[str] = ()) -> None:
        data = text.encode()
        lines = [
            f"HTTP/1.1 {status} -",
            "Content-Type: application/soap+xml; charset=utf-8",
            f"Content-Length: {len(data)}",
            "Connection: close",
            *extra,
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    # ------------------------------------------------------------------ SOAP

    def answer(self, body: str) -> tuple[int, str]:
        """Answer one envelope: HTTP status and envelope."""
        found = re.search(r"<(?:[\w-]+:)?Body[^>]*>\s*<(?:[\w-]+:)?(\w+)", body)
        name = found[1] if found else ""
        self.asked.append(name)
        is_free = name == "GetSystemDateAndTime" and "closed_time" not in self.spec.quirks
        if self.spec.username and not is_free and not self._logged_in(body):
            return 400, _ENVELOPE.format(
                "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value>"
                '</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">Sender not Authorized</s:Text></s:Reason>'
                "</s:Fault>"
            )
        answers = {
            "GetSystemDateAndTime": self._time,
            "GetDeviceInformation": self._device,
            "GetCapabilities": self._capabilities,
            "GetProfiles": self._profiles,
        }
        if name in answers:
            return 200, _ENVELOPE.format(answers[name]())
        token = re.search(r"<(?:[\w-]+:)?ProfileToken>([^<]*)<", body)
        if token is not None and token[1] in self.audio and name == "GetStreamUri":
            return 200, _ENVELOPE.format(self._stream(token[1]))
        if token is not None and token[1] in self.audio and name == "RemoveAudioEncoderConfiguration":
            if "keeps_audio" not in self.spec.quirks:
                self.audio[token[1]] = ""
                if not any(self.audio.values()):
                    self._on_silence()
            return 200, _ENVELOPE.format("<trt:RemoveAudioEncoderConfigurationResponse/>")
        return 400, _ENVELOPE.format(
            "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code>"
            '<s:Reason><s:Text xml:lang="en">Action not supported</s:Text></s:Reason></s:Fault>'
        )

    def _logged_in(self, body: str) -> bool:
        """Check a WS-Security UsernameToken: its digest, its freshness by the camera's own clock."""
        found = {
            name: match[1]
            for name in ("Username", "Password", "Nonce", "Created")
            if (match := re.search(rf"<(?:[\w-]+:)?{name}(?: [^>]*)?>([^<]*)<", body))
        }
        if len(found) < 4:
            return False
        user, password = self.spec.username, self.spec.password
        if self.spec.also is not None and found["Username"] == self.spec.also[0] != user:
            user, password = self.spec.also
        text = base64.b64decode(found["Nonce"]) + (found["Created"] + password).encode()
        digest = base64.b64encode(hashlib.sha1(text).digest()).decode()  # noqa: S324 - WS-UsernameToken says SHA-1
        created = calendar.timegm(time.strptime(found["Created"][:19], "%Y-%m-%dT%H:%M:%S"))
        near = abs(created - time.time() - self.spec.quirks.get("clock", 0)) < FRESH_S
        right = found["Username"] == user and found["Password"] == digest and near
        self.log_ins.append(right)
        return right

    def _time(self) -> str:
        now = time.gmtime(time.time() + self.spec.quirks.get("clock", 0))
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
            "<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{now.tm_hour}</tt:Hour><tt:Minute>{now.tm_min}</tt:Minute>"
            f"<tt:Second>{now.tm_sec}</tt:Second></tt:Time>"
            f"<tt:Date><tt:Year>{now.tm_year}</tt:Year><tt:Month>{now.tm_mon}</tt:Month><tt:Day>{now.tm_mday}</tt:Day>"
            "</tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _device(self) -> str:
        return (
            f"<tds:GetDeviceInformationResponse><tds:Manufacturer>{escape(self.spec.maker)}</tds:Manufacturer>"
            f"<tds:Model>{escape(self._name)}</tds:Model><tds:FirmwareVersion>1.0</tds:FirmwareVersion>"
            "<tds:SerialNumber>0001</tds:SerialNumber><tds:HardwareId>v</tds:HardwareId>"
            "</tds:GetDeviceInformationResponse>"
        )

    @property
    def _name(self) -> str:
        # The C1 form of a terminal's escape: XML lets it through, where it does not let the other.
        return f"\u009b31m{self.spec.name}\u202e" if "escapes" in self.spec.quirks else self.spec.name

    def _capabilities(self) -> str:
        host = "192.0.2.9" if "foreign_service" in self.spec.quirks else self.spec.host
        return (
            "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media>"
            f"<tt:XAddr>http://{host}:{self.port}/onvif/media_service</tt:XAddr>"
            "<tt:StreamingCapabilities><tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities>"
            "</tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>"
        )

    def _profiles(self) -> str:
        parts = []
        for number, (_, codec, width, height, fps) in enumerate(self.spec.streams):
            if "small" in self.spec.quirks:
                width, height = 160, 120  # noqa: PLW2901 - what it says in place of what is
            rate = 5 if "slow" in self.spec.quirks else fps
            token = _token(number)
            encoding = {"mjpeg": "JPEG", "mpeg4": "MPEG4"}.get(
                codec, "H264"
            )  # the first media service knows no H.265
            audio = (
                f'<tt:AudioEncoderConfiguration token="audio{number}"><tt:Name>audio</tt:Name>'
                f"<tt:UseCount>1</tt:UseCount><tt:Encoding>{self.audio[token]}</tt:Encoding>"
                "<tt:Bitrate>64</tt:Bitrate><tt:SampleRate>8</tt:SampleRate></tt:AudioEncoderConfiguration>"
                if self.audio[token]
                else ""
            )
            parts.append(
                f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{"main" if number == 0 else "sub"}</tt:Name>'
                f'<tt:VideoEncoderConfiguration token="video{number}"><tt:Name>video</tt:Name>'
                f"<tt:UseCount>1</tt:UseCount><tt:Encoding>{encoding}</tt:Encoding>"
                f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
                f"<tt:Quality>5</tt:Quality><tt:RateControl><tt:FrameRateLimit>{rate}</tt:FrameRateLimit>"
                "<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>"
                f"</tt:VideoEncoderConfiguration>{audio}</trt:Profiles>"
            )
        return f"<trt:GetProfilesResponse>{''.join(parts)}</trt:GetProfilesResponse>"

    def _stream(self, token: str) -> str:
        url = self.spec.streams[int(token[1:])][0]
        if "foreign_stream" in self.spec.quirks:
            url = "rtsp://192.0.2.9/main"
        return (
            f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{escape(url)}</tt:Uri>"
            "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>"
            "<tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>"
        )


class Responder(asyncio.DatagramProtocol):
    """Answers searches for all cameras of this process; `searches` counts them."""

    def __init__(self, cameras: Sequence[OnvifCamera]) -> None:
        self.searches = 0
        self._cameras = list(cameras)
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, interface: str) -> None:
        """Listen for searches on the interface that has this address."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", GROUP[1]))
        member = struct.pack("4s4s", socket.inet_aton(GROUP[0]), socket.inet_aton(interface))
        made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        made.setblocking(False)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=made)

    def stop(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a search."""
        text = data.decode("utf-8", "replace")
        found = re.search(r"<(?:[\w-]+:)?MessageID>\s*([^<\s]+)\s*<", text)
        if found is None or not re.search(r"<(?:[\w-]+:)?Probe[ />]", text) or self._transport is None:
            return
        self.searches += 1
        for number, camera in enumerate(self._cameras):
            answer = _MATCH.format(
                serial=f"00000000-0000-0000-0000-{number:012d}",
                relates=found[1],
                scopes=f"onvif://www.onvif.org/name/{quote(camera.spec.name)} onvif://www.onvif.org/hardware/virtual",
                service=camera.service,
            )
            for _ in range(int(camera.spec.quirks.get("babbles", 1))):
                self._transport.sendto(answer.encode(), addr)


def _token(number: int) -> str:
    return f"p{number}"


_SOUNDS = {"pcmu": "G711", "aac": "AAC", "none": ""}


def speaking(camera: VirtualCamera) -> OnvifCamera:
    """Give a virtual camera its ONVIF side: its own stream and log-in; sound that is turned off is offered no more."""
    spec = camera.spec

    def silence() -> None:
        camera.spec = replace(camera.spec, audio="none")

    said = OnvifSpec(
        spec.name,
        [(camera.url, spec.codec, spec.width, spec.height, round(spec.fps) or 1)],
        audio=_SOUNDS[spec.audio],
        username=spec.username,
        password=spec.password,
        host=spec.host,
    )
    return OnvifCamera(said, silence)
