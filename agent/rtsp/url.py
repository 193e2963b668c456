"""RTSP addresses: reading, showing without secrets, and finding what a camera's control line points at."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import unquote

from agent.rtsp.errors import RtspError
from agent.rtsp.text import bounded_int

_MAX_URL = 2048
_PORTS = {"rtsp": 554, "rtsps": 322}  # RFC 7826 section 22.12
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_BRACKETED = re.compile(r"([0-9A-Fa-f:.]+)(?:%(?:25)?([A-Za-z0-9._-]{1,32}))?", re.ASCII)  # RFC 6874
# Some cameras take the password in the path or query: /user=admin&password=x&channel=1 (Xiongmai), ?auth=...
_SECRET = re.compile(r"(?i)((?:password|passwd|passw|pass|pwd|psw|token|secret|auth|key)=)[^&;/?#]*")
_CREDENTIALS = re.compile(r"(?i)\A(rtsps?://)[^/?#]*@")


@dataclass(frozen=True, slots=True, repr=False)
class RtspUrl:
    """One camera's address.

    scheme    "rtsp" or "rtsps"
    host      lower case, an IPv6 address without brackets
    target    path and query as they are sent, possibly empty
    username, password   percent-decoded, None when the address names none; never shown
    """

    scheme: str
    host: str
    port: int
    target: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def request(self) -> str:
        """Write the address as it stands in requests: no credentials, the port only when unusual."""
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"

    def redacted(self) -> str:
        """Write the address for people and logs: no user, no password, no secret in the path or query."""
        return _SECRET.sub(r"\1***", self.request())

    def __str__(self) -> str:
        return self.redacted()

    def __repr__(self) -> str:
        return f"RtspUrl({self.redacted()!r})"


def parse_url(text: str) -> RtspUrl:
    """Read an rtsp or rtsps address, with user and password before the host if it has them.

    A password may hold "@" unescaped, as people type it; the last one before the path ends it.
    Raises RtspError "malformed_url"; the message never repeats the text, since it may hold a password.
    Source RFC 2326 section 3.2, RFC 3986
    """
    text = text.strip(" \t\r\n")
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in _PORTS:
        raise RtspError("malformed_url", "an address begins with rtsp:// or rtsps://")
    if len(text) > _MAX_URL:
        raise RtspError("malformed_url", "an address is too long", limit=_MAX_URL)
    if not text.isprintable() or " " in text:
        raise RtspError("malformed_url", "an address holds a space or a control character")
    rest = rest.partition("#")[0]
    cut = min((at for mark in "/?" if (at := rest.find(mark)) >= 0), default=len(rest))
    authority, target = rest[:cut], rest[cut:]
    userinfo, marker, hostport = authority.rpartition("@")
    username = password = None
    if marker:
        name, colon, word = userinfo.partition(":")
        username, password = _decoded(name), _decoded(word) if colon else None
    host, port = _host_and_port(hostport, _PORTS[scheme])
    return RtspUrl(scheme, host, port, target, username, password)


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise RtspError("malformed_url", "user or password is not percent-encoded UTF-8") from None


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    if text.startswith("["):
        inside, mark, after = text[1:].partition("]")
        address = _BRACKETED.fullmatch(inside)
        try:
            host = str(IPv6Address(address[1])) + (f"%{address[2]}" if address[2] else "") if address else ""
        except ValueError:
            host = ""
        if not host or not mark or (after and not after.startswith(":")):
            raise RtspError("malformed_url", "not an IPv6 address in brackets")
        digits = after[1:]
    else:
        host, _, digits = text.partition(":")
        if not _HOST.fullmatch(host):
            raise RtspError("malformed_url", "the host is missing or not a host name")
        host = host.lower()
    port = bounded_int(digits, 1, 65535) if digits else default
    if port is None:
        raise RtspError("malformed_url", "the port is not in 1..65535", host=host)
    return host, port


def content_base(requested: str, base: str | None, location: str | None) -> str:
    """Choose the address that relative control lines are joined to.

    requested  the address that DESCRIBE asked for
    base       Content-Base header; location Content-Location; each used only when it is an rtsp address, or a
               path on the same host. Real ones are sometimes "/", empty, or another protocol's.
    Source     RFC 2326 appendix C.1.1
    """
    for said in (base, location):
        if said and is_absolute(said):
            return without_credentials(said.strip())
        if said and said.startswith("/") and len(said) > 1:
            return _origin(requested) + said.strip()
    return requested


def control_url(base: str, control: str | None) -> str:
    """Find the request address of a control line.

    A relative one is appended after the base, query and all, with one slash between: cameras compare strings,
    and those whose address has a query expect rtsp://host/path?query/trackID=1 (as every common client sends
    it, against RFC 3986).
    control  None, "" and "*" mean the base itself
    Source   RFC 2326 appendix C.1.1
    """
    control = (control or "").strip(" \t")
    if control in ("", "*"):
        return base
    if is_absolute(control):
        return without_credentials(control)
    if control.startswith("/"):
        return _origin(base) + control
    if control.startswith("?") or base.endswith("/"):
        return base + control
    return f"{base}/{control}"


def is_absolute(text: str) -> bool:
    """Tell whether the text is an rtsp or rtsps address by itself."""
    return text.strip(" \t")[:8].lower().startswith(("rtsp://", "rtsps://"))


def without_credentials(text: str) -> str:
    """Take user and password out of an address a camera gave: they must not travel in a request line."""
    return _CREDENTIALS.sub(r"\1", text)


def _origin(base: str) -> str:
    scheme, _, rest = base.partition("://")
    return f"{scheme}://{re.split('[/?]', rest, maxsplit=1)[0]}"
