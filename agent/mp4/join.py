"""Joins fragments of successive segments into one line of time, without touching a picture."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from agent.mp4.errors import Mp4Error
from agent.mp4.reader import Fragment, Init

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.mp4.fragment import Sample

# A segment's UTC follows the arrival of its packets, so where two meet it may be off by that much without
# anything being missing. Beyond it the distance is taken as real.
JITTER_MS = 100
# Players read durations into signed 32 bits; at 90 kHz that holds 6.6 hours.
LONGEST_TICKS = (1 << 31) - 1


def shown_ms(part: Fragment, timescale: int) -> list[int]:
    """Return the UTC at which each sample of a fragment is shown; counts from 0 when it has no UTC."""
    base = part.utc_ms or 0
    first = part.samples[0].offset if part.samples else 0
    starts = accumulate((sample.duration for sample in part.samples), initial=0)
    return [
        base + (start + sample.offset - first) * 1000 // timescale
        for start, sample in zip(starts, part.samples, strict=False)
    ]


def trim(part: Fragment, first: int, stop: int, timescale: int) -> Fragment | None:
    """Keep samples first <= i < stop of a fragment, with times that stay true; None when none is left."""
    kept = part.samples[first:stop]
    if not kept:
        return None
    utc_ms = None if part.utc_ms is None else shown_ms(part, timescale)[first]
    base_dts = part.base_dts + _ticks(part.samples[:first])
    return Fragment(part.sequence, base_dts, kept, utc_ms)


class Joiner:
    """Places fragments of successive segments of one track on one unbroken line of decode times, from 0.

    What comes back can be written with `fragment(*part)` or counted in an `Index` of a progressive file.
    Inside a segment the media clock says how far apart pictures are; between segments UTC does, counted from
    one anchor so that errors of milliseconds do not add up. Time that is missing becomes the duration of the
    last picture before it; time that runs backwards becomes no time. After a break nothing can be decoded
    before a keyframe, so samples up to it are left out and counted in `dropped`.

    Every add returns the fragment before it, whose last duration is known only then; `finish` the last one.
    """

    def __init__(self, init: Init) -> None:
        self.init = init
        self.dropped = 0
        self._held: Fragment | None = None
        self._next = 0  # output tick of the next sample if nothing is missing before it
        self._expected: int | None = (
            None  # base_dts with which the source goes on; None: another source begins
        )
        self._anchor: tuple[int, int] | None = None  # a UTC and the tick of the output at which it is shown
        self._waiting = True

    def accepts(self, init: Init, utc_ms: int | None = None) -> bool:
        """Tell whether a segment can be joined; if not, the caller begins another output file.

        False when the track's format differs, or, given the UTC of the segment's first picture, when the time
        missing before it is longer than one picture can last.
        """
        if init[:5] != self.init[:5]:
            return False
        return self._held is None or _fits(self._held, self._next + max(0, self._late(utc_ms, 0)))

    def begin(self, init: Init) -> None:
        """Announce that the next fragment comes from another segment.

        Raises  Mp4Error `other_track` when its format differs
        """
        if not self.accepts(init):
            raise Mp4Error("other_track", "segments of different format cannot be one file", codec=init.codec)
        self._expected = None

    def add(self, part: Fragment) -> Fragment | None:
        """Take the next fragment and return the one before it, on the new line of time.

        Raises  Mp4Error `gap_too_long` when more time is missing than one picture can last; nothing has
                changed then, and the fragment can begin another file
        """
        if not part.samples:
            return None
        late = self._gap(part)
        first = 0
        if self._waiting or late:
            keyframes = (index for index, sample in enumerate(part.samples) if sample.keyframe)
            first = next(keyframes, len(part.samples))
        skipped = _ticks(part.samples[:first])
        kept = trim(part, first, len(part.samples), self.init.timescale)
        held = self._held
        # The output begins with its first keyframe at 0, whatever was left out before it.
        start = self._next + max(0, late) if held else -skipped
        place = start + skipped
        if held and not _fits(held, place):
            raise Mp4Error("gap_too_long", "too much is missing for one file", ticks=place - held.base_dts)
        if (
            part.utc_ms is not None
            and (kept or held)
            and (not self._anchor or (late and self._expected is None))
        ):
            self._anchor = (part.utc_ms, start + part.samples[0].offset)
        self._expected = part.base_dts + _ticks(part.samples)
        self._next = place
        self._waiting = kept is None
        self.dropped += first
        if kept is None:
            return None
        self._next += _ticks(kept.samples)
        self._held = kept._replace(sequence=held.sequence + 1 if held else 1, base_dts=place)
        return _until(held, place) if held else None

    def finish(self) -> Fragment | None:
        """Return the last fragment; the joiner is used up."""
        held, self._held = self._held, None
        return held

    def _gap(self, part: Fragment) -> int:
        """Return how many ticks later than its predecessor's end a fragment is; below 0 it overlaps."""
        if self._held is None:
            return 0
        if self._expected is not None:
            return part.base_dts - self._expected
        return self._late(part.utc_ms, part.samples[0].offset)

    def _late(self, utc_ms: int | None, offset: int) -> int:
        """Return by how many ticks a picture shown at utc_ms misses the next free tick; 0 when unknown."""
        if utc_ms is None or self._anchor is None:
            return 0
        anchor_ms, anchor_tick = self._anchor
        timescale = self.init.timescale
        late = anchor_tick + (utc_ms - anchor_ms) * timescale // 1000 - self._next - offset
        return late if abs(late) > JITTER_MS * timescale // 1000 else 0


def _ticks(samples: Iterable[Sample]) -> int:
    return sum(sample.duration for sample in samples)


def _fits(held: Fragment, tick: int) -> bool:
    """Tell whether the last picture held can last until a tick of the output."""
    return tick - held.base_dts - _ticks(held.samples[:-1]) <= LONGEST_TICKS


def _until(held: Fragment, tick: int) -> Fragment:
    """Stretch the last picture held so that the next one is decoded at a tick of the output."""
    *before, last = held.samples
    return held._replace(samples=[*before, last._replace(duration=tick - held.base_dts - _ticks(before))])
