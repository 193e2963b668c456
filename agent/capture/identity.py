"""Is this the camera that it was? Pure.

A camera has no name that can be relied on, but it says much that another device at its address would say differently:
its server's name, the realm of its log-in (many makers put the serial number there), the words of its session
description, its certificate, its parameter sets. Of each only a hash is kept.

Parameter sets change when somebody sets another resolution, and on some cameras between day and night. What changes
while one session lasts is of the same device, and is learnt; what a new session begins with must be known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.capture.picture import Format

FORMATS = "formats"
FORMATS_KEPT = 8


def mark(text: str | bytes) -> str:
    """Return what is kept of something the camera said: 16 hexadecimal digits; empty for nothing."""
    import hashlib  # brings libcrypto with it, and the parent, which compares marks, makes none

    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()[:16] if data else ""


class Likeness:
    """What one session has shown of its camera."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._marks: dict[str, str] = {}
        self._formats: list[str] = []
        self._last: Format | None = None

    def session(self, device: Mapping[str, str], certificate: bytes) -> None:
        """Begin a session.

        device       as in `agent.rtsp.events.Described`
        certificate  as it came (DER), empty where the line is not encrypted
        """
        self._marks = {name: mark(text) for name, text in device.items()}
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
        return {**self._marks, FORMATS: self._formats} if self._formats else {}


def compare(known: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Return in what a camera differs from what is remembered: names of marks, `formats` for its parameter sets."""
    changed = [name for name, value in seen.items() if name != FORMATS and known.get(name, value) != value]
    return changed + [FORMATS] * (seen[FORMATS][0] not in known[FORMATS])


def learn(known: Mapping[str, Any] | None, seen: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what to remember from now on, None when there is nothing new. Only for what `compare` finds no other."""
    if known is None:
        return dict(seen)
    new = [form for form in seen[FORMATS] if form not in known[FORMATS]]
    marks = {name: value for name, value in seen.items() if name != FORMATS and name not in known}
    if not new and not marks:
        return None
    return {**known, **marks, FORMATS: [*known[FORMATS], *new][-FORMATS_KEPT:]}
