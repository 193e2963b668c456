"""Session descriptions: what a camera offers, read with limits; and writing them for the server side.

Source RFC 4566, RFC 3551 section 6 (static payload types), RFC 2326 appendix C
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.rtsp.errors import RtspError
from agent.rtsp.text import bounded_int, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SDP_BYTES = 64 * 1024
MAX_LINES = 2000
_MAX_MEDIAS = 32
_MAX_PIXELS = 16384  # a side; beyond it a size is a lie
_DIRECTIONS = frozenset(("sendrecv", "sendonly", "recvonly", "inactive"))
_STATIC = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    14: ("MPA", 90000),
    26: ("JPEG", 90000),
    31: ("H261", 90000),
    32: ("MPV", 90000),
    33: ("MP2T", 90000),
    34: ("H263", 90000),
}
_DECIMAL = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,6})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Media:
    """One stream of a session.

    kind           "video", "audio", "application", ... in lower case
    proto          "RTP/AVP", ... in capitals
    payload_types  in the order of preference
    rtpmap         payload type -> (encoding in capitals, clock in Hz); static types are filled in
    fmtp           payload type -> parameters, names in lower case, values as they came
    control        as it came; None when there is none
    dimensions     (width, height) where the camera says so outside the stream
    framerate      pictures per second, where said
    """

    kind: str
    port: int
    proto: str
    payload_types: tuple[int, ...]
    rtpmap: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    fmtp: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    control: str | None = None
    direction: str | None = None
    dimensions: tuple[int, int] | None = None
    framerate: float | None = None

    def encodings(self) -> tuple[str, ...]:
        """Return the names of what is offered, in the order of preference; unknown ones as numbers."""
        return tuple(self.rtpmap[pt][0] if pt in self.rtpmap else str(pt) for pt in self.payload_types)

    def serialise(self) -> str:
        """Write the lines of this stream."""
        lines = [f"m={self.kind} {self.port} {self.proto} {' '.join(map(str, self.payload_types))}"]
        lines += [f"a=rtpmap:{pt} {name}/{clock}" for pt, (name, clock) in self.rtpmap.items()]
        lines += [
            f"a=fmtp:{pt} {';'.join(f'{name}={value}' if value else name for name, value in params.items())}"
            for pt, params in self.fmtp.items()
        ]
        if self.control is not None:
            lines.append(f"a=control:{self.control}")
        if self.direction is not None:
            lines.append(f"a={self.direction}")
        if self.dimensions is not None:
            lines.append(f"a=x-dimensions:{self.dimensions[0]},{self.dimensions[1]}")
        if self.framerate is not None:
            lines.append(f"a=framerate:{self.framerate:.6f}")
        return "".join(f"{line}\r\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description: its streams in order, and the control line that speaks for all of them.

    name, info, tool, user  what its maker calls itself: s=, i=, a=tool and the first word of o=
    """

    medias: tuple[Media, ...]
    control: str | None = None
    name: str = ""
    info: str = ""
    tool: str = ""
    user: str = ""

    def serialise(self) -> bytes:
        """Write the description."""
        head = f"v=0\r\no={self.user or '-'} 0 0 IN IP4 0.0.0.0\r\ns={self.name or '-'}\r\n"
        if self.info:
            head += f"i={self.info}\r\n"
        head += "c=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        if self.tool:
            head += f"a=tool:{self.tool}\r\n"
        if self.control is not None:
            head += f"a=control:{self.control}\r\n"
        return (head + "".join(media.serialise() for media in self.medias)).encode()


@dataclass(slots=True)
class _Draft:
    """A stream whose lines are still being read."""

    kind: str
    port: int
    proto: str
    payload_types: tuple[int, ...]
    rtpmap: dict[int, tuple[str, int]]
    fmtp: dict[int, dict[str, str]] = field(default_factory=dict)
    control: str | None = None
    direction: str | None = None
    dimensions: tuple[int, int] | None = None
    framerate: float | None = None


def parse_sdp(body: bytes) -> SessionDescription:
    """Read a description.

    Lines end in CRLF, LF or CR; a byte order mark, blanks around lines, NULs at the end and lines of unknown
    type are tolerated. Attributes that cannot be read are left out; a media line that cannot be read is an
    error, since what belongs to which stream is then unknown.
    Raises RtspError "malformed_sdp", or "limit" beyond 64 KiB, 2000 lines or 32 streams.
    """
    if len(body) > MAX_SDP_BYTES:
        raise RtspError("limit", "a session description is too long", limit_bytes=MAX_SDP_BYTES)
    body = body.rstrip(b"\0\r\n \t").removeprefix(b"\xef\xbb\xbf")
    if b"\0" in body:
        raise RtspError("malformed_sdp", "a session description holds NUL bytes")
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise RtspError("limit", "a session description has too many lines", limit=MAX_LINES)
    drafts: list[_Draft] = []
    control: str | None = None
    said = dict.fromkeys(("name", "info", "tool", "user"), "")
    known = False
    for raw in lines:
        line = raw.strip()
        kind, value = line[:2].lower(), line[2:].strip()
        known = known or kind in ("v=", "o=", "s=", "m=")
        if kind == "m=":
            if len(drafts) == _MAX_MEDIAS:
                raise RtspError("limit", "a session description has too many streams", limit=_MAX_MEDIAS)
            drafts.append(_media_line(value))
        elif kind == "s=":
            said["name"] = value
        elif kind == "i=" and not drafts:
            said["info"] = value
        elif kind == "o=":
            user = value.partition(" ")[0]
            said["user"] = "" if user == "-" else user
        elif kind == "a=" and drafts:
            _attribute(drafts[-1], value)
        elif kind == "a=" and value[:8].lower() == "control:":
            control = value[8:].strip()
        elif kind == "a=" and value[:5].lower() == "tool:":
            said["tool"] = value[5:].strip()
    if not known:
        raise RtspError("malformed_sdp", "not a session description", begins=shown(lines[0]))
    return SessionDescription(tuple(_finish(draft) for draft in drafts), control, **said)


def _finish(draft: _Draft) -> Media:
    return Media(
        draft.kind,
        draft.port,
        draft.proto,
        draft.payload_types,
        draft.rtpmap,
        draft.fmtp,
        draft.control,
        draft.direction,
        draft.dimensions,
        draft.framerate,
    )


def _media_line(value: str) -> _Draft:
    words = value.split()
    port = bounded_int(words[1].partition("/")[0], 0, 65535) if len(words) >= 3 else None
    if port is None:
        raise RtspError("malformed_sdp", "a media line cannot be read", line=shown(value))
    types = tuple(pt for word in words[3:] if (pt := bounded_int(word, 0, 127)) is not None)
    static = {pt: _STATIC[pt] for pt in types if pt in _STATIC}
    return _Draft(words[0].lower(), port, words[2].upper(), types, static)


def _attribute(draft: _Draft, value: str) -> None:
    name, _, rest = value.partition(":")
    name, rest = name.strip().lower(), rest.strip()
    if name == "rtpmap":
        _rtpmap(draft, rest)
    elif name == "fmtp":
        _fmtp(draft, rest)
    elif name == "control":
        # The first one holds: where the next media line was lost, its control line must not become ours.
        draft.control = rest if draft.control is None else draft.control
    elif name in _DIRECTIONS:
        draft.direction = name
    elif name == "x-dimensions":
        draft.dimensions = _size(rest, ",") or draft.dimensions
    elif name == "framesize":
        draft.dimensions = _size(rest.partition(" ")[2], "-") or draft.dimensions
    elif name in ("framerate", "x-framerate") and _DECIMAL.fullmatch(rest):
        draft.framerate = float(rest) or None


def _rtpmap(draft: _Draft, rest: str) -> None:
    number, _, mapping = rest.partition(" ")
    pt = bounded_int(number, 0, 127)
    encoding, _, tail = mapping.strip().partition("/")
    encoding = encoding.strip().upper()
    said = tail.partition("/")[0]
    clock = bounded_int(said, 1, 1_000_000_000) if said else 90_000 if draft.kind == "video" else 8_000
    if pt is not None and encoding and clock is not None:
        draft.rtpmap[pt] = (encoding, clock)


def _fmtp(draft: _Draft, rest: str) -> None:
    number, _, text = rest.partition(" ")
    pt = bounded_int(number, 0, 127)
    if pt is None:
        return
    params = draft.fmtp.setdefault(pt, {})
    for item in text.split(";"):
        name, _, value = item.partition("=")
        name = name.strip().lower()
        if name:
            params[name] = value.strip()


def _size(text: str, separator: str) -> tuple[int, int] | None:
    left, _, right = text.partition(separator)
    width, height = bounded_int(left, 1, _MAX_PIXELS), bounded_int(right, 1, _MAX_PIXELS)
    return (width, height) if width is not None and height is not None else None
