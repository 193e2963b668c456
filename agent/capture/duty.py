"""Whether a camera is on duty: its hours, laid along the labels of its pictures. Pure.

Recording errs towards recording. While the time is not trusted nobody can say whether it is one of the hours, so a
camera is on duty all the time then.

Source  docs/adr/0033-hours-of-recording.md; Gangneung regulation art. 26(2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.capture.vitals import RARE_S
from agent.config.hours import ALWAYS, Stretch, Week, parse
from agent.model import GapCause, Span, Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PARTS = 128
"""A missing span is told apart by so many turns at most: two months of a turn in the morning and one at night."""
NO_KEYFRAME = "no keyframe"
_NOWHERE = Stretch(True, 0, 0)


class Duty:
    """The hours of one camera. Asked by labels, never by a clock: a picture that came late belongs where it was."""

    def __init__(self, hours: Iterable[str]) -> None:
        """Begin without trust. hours: as the configuration writes them, at least one; ValueError for what is none."""
        self._week = Week(parse(each) for each in hours)
        self._found = _NOWHERE
        self.known = False

    def trust(self, trust: Trust) -> None:
        """Learn how far labels can be relied on from now on."""
        known = trust is not Trust.UNTRUSTED
        if known is not self.known:
            self.known = known
            self._found = _NOWHERE

    def at(self, label_ms: int) -> Stretch:
        """Return the stretch in which a label lies, UTC ms, and so the next turn; the same object until it is over."""
        found = self._found
        if not found.from_ms <= label_ms < found.until_ms:
            found = self._found = self._week.stretch(label_ms) if self.known else ALWAYS
        return found

    def split(self, span: Span) -> list[tuple[bool, Span]]:
        """Cut a span at the turns: whether on duty, and the part. Whatever is behind PARTS of them counts as duty."""
        if not self.known:
            return [(True, span)]
        parts = self._week.stretches(span, PARTS)
        return [
            (part.on or number == PARTS - 1, Span(part.from_ms, part.until_ms))
            for number, part in enumerate(parts)
        ]

    def told(
        self, span: Span, cause: GapCause, detail: str, awake_ms: int = 0
    ) -> Iterator[tuple[Span, GapCause, str]]:
        """Cut a missing span at the turns and name its parts: what lies outside of the hours nobody missed.

        On duty, OFF_HOURS is the wait for the first keyframe, which is not to take longer than keyframes are rare by:
        a camera that sends none from the begin of its hours on is a loss behind that.

        awake_ms  UTC of the picture that ended its rest, where no turn did: a clock was set, or is no longer trusted
        """
        for on, part in self.split(span):
            if not on:
                yield part, GapCause.OFF_HOURS, ""
            elif cause is not GapCause.OFF_HOURS:
                yield part, cause, detail
            else:
                yield from self._waited(part, detail, awake_ms)

    def _waited(self, part: Span, detail: str, awake_ms: int) -> Iterator[tuple[Span, GapCause, str]]:
        """Name a part on duty that begins where a rest ended, or behind that."""
        since_ms = max(self.at(part.start_ms).from_ms, awake_ms)
        until_ms = min(max(part.start_ms, since_ms + RARE_S * 1000), part.end_ms)
        if until_ms > part.start_ms:
            yield Span(part.start_ms, until_ms), GapCause.OFF_HOURS, detail
        if until_ms < part.end_ms:
            yield Span(until_ms, part.end_ms), GapCause.STREAM_DAMAGED, NO_KEYFRAME
