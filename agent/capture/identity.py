"""Is this the camera that it was? Pure.

A camera has no name that can be relied on, but it says much that another device at its address would say differently:
its server's name, the realm of its log-in (many makers put the serial number there), the words of its session
description, its certificate, its parameter sets. Of each only a hash is kept.

Parameter sets change when somebody sets another resolution, and on some cameras between day and night. What changes
while one session lasts is of the same device, and is learnt; what a new session begins with must be known.

Where it was asked is remembered too. At another host anybody may answer. Another path, port or scheme of the same host
has other pictures, and other words for them; who answers must be the same, and a doubt stays until somebody says that
the camera was exchanged: else who exchanged it could write another path, and nothing would be told of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.capture.picture import Format

FORMATS = "formats"
FORMATS_KEPT = 8
HOST, ADDRESS = "host", "address"
"""Marks of where it was asked: of the host alone, and of the whole address."""
DOUBT = "doubt"
"""In what the device differed last from what is remembered; there while it does."""
OF_THE_STREAM = (ADDRESS, "description")
"""Marks that another path of the same device has others of, as its formats."""


def mark(text: str | bytes) -> str:
    """Return what is kept of something the camera said: 16 hexadecimal digits; empty for nothing."""
    import hashlib  # brings libcrypto with it, and the parent, which compares marks, makes none

    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()[:16] if data else ""


class Likeness:
    """What one session has shown of its camera."""

    def __init__(self, address: str) -> None:
        """Begin with nothing. address: where it is asked, without a log-in."""
        self._place = {HOST: mark(host_of(address)), ADDRESS: mark(address)}
        self._marks: dict[str, str] = {}
        self._formats: list[str] = []
        self._last: Format | None = None

    def session(self, device: Mapping[str, str], certificate: bytes) -> None:
        """Begin a session.

        device       as in `agent.rtsp.events.Described`
        certificate  as it came (DER), empty where the line is not encrypted
        """
        self._marks = {name: mark(text) for name, text in device.items()}
        if certificate:  # a line that is not encrypted says nothing of it
            self._marks["certificate"] = mark(certificate)
        self._formats = []
        self._last = None

    def format(self, form: Format) -> None:
        """Take the format of what is recorded now."""
        if form is self._last:
            return
        self._last = form
        seen = mark(f"{form.codec} {form.width} {form.height} {form.config.hex()}")
        if seen not in self._formats:
            self._formats = [*self._formats, seen][-FORMATS_KEPT:]

    def to_json(self) -> dict[str, Any]:
        """Return it for the heartbeat; empty until a picture was recorded."""
        return {**self._place, **self._marks, FORMATS: self._formats} if self._formats else {}


def host_of(address: str) -> str:
    """Return who is asked at an address; of what has no host, a file or a board, the whole."""
    return urlsplit(address.replace("udp://@", "udp://", 1)).hostname or address


def compare(known: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Return in what a camera differs from what is remembered: names of marks, `formats` for its parameter sets."""
    if _differs(HOST, known, seen):
        return []
    names = [name for name in seen if name not in (*OF_THE_STREAM, FORMATS) and _differs(name, known, seen)]
    if _differs(ADDRESS, known, seen):
        return names or known.get(DOUBT, "").split()
    names += [name for name in OF_THE_STREAM if _differs(name, known, seen)]
    return names + [FORMATS] * (seen[FORMATS][0] not in known[FORMATS])


def _differs(name: str, known: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    """Tell whether both say something, and not the same."""
    return name in known and name in seen and known[name] != seen[name]


def learn(known: Mapping[str, Any] | None, seen: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what to remember from now on, None when there is nothing new. Only for what `compare` finds no other."""
    if known is None or _differs(HOST, known, seen):
        return dict(seen)
    elsewhere = _differs(ADDRESS, known, seen)
    formats = [] if elsewhere else known[FORMATS]
    new = [form for form in seen[FORMATS] if form not in formats]
    learnt = {**known, **seen, FORMATS: [*formats, *new][-FORMATS_KEPT:]}
    learnt.pop(DOUBT, None)
    return None if learnt == known else learnt


def doubt(known: Mapping[str, Any], names: list[str]) -> dict[str, Any] | None:
    """Return what to remember of a camera that differs, None when that is known. names: as `compare` found."""
    words = " ".join(names)
    return None if known.get(DOUBT) == words else {**known, DOUBT: words}
