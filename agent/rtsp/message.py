"""RTSP requests and responses: reading with limits, and writing.

Reading is lenient where cameras are sloppy (bare line feeds, folded headers, odd case, no reason phrase,
spaces where none belong) and strict where leniency costs memory or time. Text is UTF-8 with
`surrogateescape`, so that a realm in EUC-KR goes back to the camera byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.rtsp.errors import RtspError
from agent.rtsp.text import bounded_int, shown

MAX_HEAD_BYTES = 16 * 1024  # start line and headers; real ones stay below 2 KiB
MAX_BODY_BYTES = 256 * 1024
MAX_LINES = 256

Headers = tuple[tuple[str, str], ...]

REASONS = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
}  # RFC 2326 section 7.1.1, as far as either side of ours sends them


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses share.

    headers  in order, names as they came; a name may occur more than once
    body     as many bytes as Content-Length said
    version  "1.0", or "2.0" from the few that speak it
    """

    headers: Headers = ()
    body: bytes = b""
    version: str = "1.0"

    def get(self, name: str) -> str | None:
        """Return the first header of that name, whatever its case."""
        wanted = name.lower()
        for key, value in self.headers:
            if key.lower() == wanted:
                return value
        return None

    def all(self, name: str) -> list[str]:
        """Return every header of that name, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def cseq(self) -> int | None:
        """Return the number that joins a response to its request, None when it is missing or no number."""
        return bounded_int(self.get("CSeq") or "", 0, 0x7FFFFFFF)


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request; the method is upper case."""

    method: str = ""
    url: str = ""

    def serialise(self) -> bytes:
        """Write the request. Raises RtspError when a field would break out of its line."""
        return _serialise(f"{self.method} {self.url} RTSP/{self.version}", self)


@dataclass(frozen=True, slots=True)
class Response(Message):
    """A response; the reason phrase may be empty."""

    status: int = 200
    reason: str = ""

    def serialise(self) -> bytes:
        """Write the response. Raises RtspError when a field would break out of its line."""
        return _serialise(f"RTSP/{self.version} {self.status} {self.reason}", self)


def respond(status: int, headers: Headers = (), body: bytes = b"") -> Response:
    """Make a response with the usual reason phrase."""
    return Response(headers, body, status=status, reason=REASONS.get(status, ""))


def _serialise(start: str, message: Message) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in message.headers)]
    if message.body:
        lines.append(f"Content-Length: {len(message.body)}")
    for line in lines:
        if any(ch in line for ch in "\r\n\0"):
            raise RtspError("malformed_message", "a field holds a line break", line=shown(line.split(":")[0]))
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + message.body


def head_end(data: bytes, start: int) -> int | None:
    """Find the end of the header block that begins at start: the index after its blank line.

    Returns  None while more bytes are needed
    Raises   RtspError "limit" when there is no blank line within MAX_HEAD_BYTES
    """
    bound = start + MAX_HEAD_BYTES
    ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := data.find(mark, start, bound)) >= 0]
    if ends:
        return min(ends)
    if len(data) >= bound:
        raise RtspError("limit", "a header block does not end", limit_bytes=MAX_HEAD_BYTES)
    return None


def parse_head(head: bytes) -> Request | Response:
    """Read a header block (start line, headers, blank line) into a message without its body.

    Raises RtspError "malformed_message" when the start line is neither a request's nor a status line, and
    "limit" for too many lines or bytes.
    """
    if len(head) > MAX_HEAD_BYTES:
        raise RtspError("limit", "a header block is too long", limit_bytes=MAX_HEAD_BYTES)
    # CR and NUL go wherever they stand: no value that we send back may hold one.
    text = head.decode("utf-8", "surrogateescape").replace("\r", "").replace("\0", "")
    lines = text.strip("\n").split("\n")
    if len(lines) > MAX_LINES:
        raise RtspError("limit", "a message has too many lines", limit=MAX_LINES)
    headers = _headers(lines[1:])
    first = lines[0].strip(" \t")
    word, _, rest = first.partition(" ")
    if word[:5].upper() == "RTSP/":
        code, _, reason = rest.strip(" \t").partition(" ")
        status = bounded_int(code, 100, 999)
        if status is None:
            raise RtspError("malformed_message", "not a status line", line=shown(first))
        return Response(headers, version=word[5:], status=status, reason=reason.strip(" \t"))
    url, _, version = rest.rpartition(" ")
    url = url.strip(" \t")
    if version[:5].upper() != "RTSP/" or not url or not word.replace("_", "").isalpha():
        raise RtspError("malformed_message", "neither a request nor a response", line=shown(first))
    return Request(headers, version=version[5:], method=word.upper(), url=url)


def _headers(lines: list[str]) -> Headers:
    """Read header lines; a folded line belongs to the one before, a line without a colon to nobody."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            if found:
                found[-1][1].append(line.strip())
            continue
        name, colon, value = line.partition(":")
        name = name.strip()
        if colon and name:
            found.append((name, [value.strip()]))
    return tuple((name, " ".join(parts)) for name, parts in found)


def body_length(head: Message) -> int:
    """Return how many bytes of body follow the head.

    Raises RtspError "malformed_message" for a Content-Length that is no number or contradicts another, and
    "limit" for one beyond MAX_BODY_BYTES.
    """
    said = set(head.all("Content-Length"))
    if not said:
        return 0
    length = bounded_int(said.pop(), 0, 0xFFFFFFFF)
    if length is None or said:
        raise RtspError("malformed_message", "Content-Length is not one number")
    if length > MAX_BODY_BYTES:
        raise RtspError("limit", "a body is too long", body_bytes=length, limit_bytes=MAX_BODY_BYTES)
    return length


def with_body(head: Request | Response, body: bytes) -> Request | Response:
    """Return the message with its body."""
    if isinstance(head, Request):
        return Request(head.headers, body, head.version, head.method, head.url)
    return Response(head.headers, body, head.version, head.status, head.reason)


def parse_message(data: bytes) -> Request | Response:
    """Read one whole message; bytes after it are ignored.

    Raises RtspError for a message that is malformed, beyond a limit, or shorter than it says.
    """
    start = len(data) - len(data.lstrip(b"\r\n"))
    end = head_end(data, start)
    if end is None:
        raise RtspError("malformed_message", "the header block does not end")
    head = parse_head(data[start:end])
    length = body_length(head)
    if len(data) < end + length:
        raise RtspError("malformed_message", "the body is shorter than it says", body_bytes=length)
    return with_body(head, data[end : end + length])
