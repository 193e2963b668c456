"""What is deleted for a subject, as it is ordered: on which grounds, and what of a span no deletion may ask for. Pure.

Source  Gangneung regulation art. 29(1); Personal Information Protection Act art. 36, 37, 64; docs/adr/0032
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.command.errors import CommandRefused
from agent.model import utc_name

if TYPE_CHECKING:
    from agent.model import Span

EDITION = 1
"""Of the table of grounds. The facts of a deletion name it, so that an old code is read as it was meant."""
MOST_SPAN_MS = 6 * 3_600_000
"""360 segments, which one transaction condemns in some 40 ms; who was there for longer is ordered in parts."""
SETTLED_MS = 600_000
"""A segment is cut before it is so long: by then every picture that a camera showed now is in one that is stored."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Why something is deleted for its subject: its title in both languages, and the article of the Act."""

    korean: str
    english: str
    act: str


GROUNDS = {
    "erasure-request": Ground("정보주체의 삭제 요구", "the person in the picture asks for deletion", "36(1)"),
    "suspension-request": Ground(
        "정보주체의 처리정지 요구", "the person in the picture asks that use ends", "37(1)"
    ),
    "consent-withdrawn": Ground("동의의 철회", "a consent is withdrawn", "37(1)"),
    "corrective-order": Ground(
        "보호위원회의 시정조치나 법원의 결정", "order of the protection commission, or of a court", "64(1)"
    ),
}


def check(span: Span, now_ms: int) -> None:
    """Refuse a span that is too long for one order, or not over yet.

    now_ms  trusted, UTC ms
    Raises  CommandRefused DELETION_SPAN; DELETION_FUTURE, whose reason is when it can be ordered
    """
    if span.length_ms > MOST_SPAN_MS:
        raise CommandRefused("DELETION_SPAN", "a longer span is ordered in parts")
    if span.end_ms > now_ms:
        raise again_at("DELETION_FUTURE", span.end_ms + SETTLED_MS)


def again_at(code: str, at_ms: int) -> CommandRefused:
    """Return the refusal of what can be ordered again from a moment on, UTC ms."""
    return CommandRefused(code, "it can be ordered again later", reason=f"from {utc_name(at_ms)}")
