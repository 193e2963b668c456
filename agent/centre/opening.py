"""The core of `pasu open`: sealed segments in, clips that every player plays and seeks out, and a report.

Nothing is encoded anew. The report names every damage and every hole: a clip that looks whole and is not
would be worse than none.
"""

from __future__ import annotations

import contextlib
import json
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from agent.centre.clip import HOLE_MS, Clip, disk_fault, hull, output_exists
from agent.centre.keys import sync_folder
from agent.centre.report import Missing, OpenReport, Output
from agent.centre.segments import VIDEO_DAMAGED, Lost, SegmentFile, read_segment
from agent.model import uncovered
from agent.mp4.errors import Mp4Error
from agent.mp4.join import LONGEST_TICKS, shown_ms, trim
from agent.mp4.reader import Fragment, Init

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.model import Span
    from agent.storage.envelope import Identity

__all__ = ["Lost", "Missing", "OpenReport", "Output", "SegmentFile", "open_segments"]

_LOOK_BACK = 3
"""Segments read before the one in which a span begins: its first GOP may have begun in one of them."""

_PROGRESS_BYTES = 1 << 20
TIME_UNKNOWN = "TIME_UNKNOWN"
INIT_LOST = "INIT_LOST"
CAMERA_DIFFERS = "CAMERA_DIFFERS"


def open_segments(
    sources: Sequence[SegmentFile],
    identities: Sequence[Identity],
    span: Span | None,
    output: Path,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> OpenReport:
    """Decrypt segments and join them to clips, without encoding anything anew.

    sources   in any order; those of one camera are sorted by start_ms if all are known. Where the camera or
              the track's format changes, another output begins: clip.mp4, clip-2.mp4, ...
    span      what is wanted: from the last keyframe at or before its start, to the first picture shown and
              decoded at or after its end; None for all
    output    name of the first clip; none of the names may exist
    progress  told bytes of sealed files read so far, and in all
    Returns   OpenReport; no output when nothing could be used
    Raises    ConfigError OUTPUT_EXISTS, StorageFault OUTPUT_UNWRITABLE; then, as on Ctrl-C, no file is left
    """
    if output.exists():
        raise output_exists(output)
    try:
        with ExitStack() as stack:
            opening = _Opening(stack, identities, span, output, _Progress(sources, progress))
            for camera, group in groupby(_in_order(sources), key=lambda source: source.camera or ""):
                opening.read_camera(camera, list(group))
            return opening.publish()
    except OSError as error:
        raise disk_fault(output.parent, error) from error


def _in_order(sources: Sequence[SegmentFile]) -> list[SegmentFile]:
    unique = {source.path: source for source in sources}.values()
    by_camera = sorted(unique, key=lambda source: source.camera or "")
    ordered: list[SegmentFile] = []
    for _, group in groupby(by_camera, key=lambda source: source.camera or ""):
        one = list(group)
        if all(source.start_ms is not None for source in one):
            one.sort(key=lambda source: source.start_ms or 0)
        ordered += one
    return ordered


class _Progress:
    """Adds up what is read of all files; told to the caller a few times a second at most on any disk."""

    def __init__(self, sources: Sequence[SegmentFile], tell: Callable[[int, int], None]) -> None:
        self._sizes = {source.path: _size(source.path) for source in sources}
        self._total = sum(self._sizes.values())
        self._tell = tell
        self._before = 0
        self._told = 0

    def within(self, read_bytes: int) -> None:
        done = self._before + read_bytes
        if done >= self._told + _PROGRESS_BYTES:
            self._told = done
            self._tell(min(done, self._total), self._total)

    def passed(self, path: Path) -> None:
        self._before += self._sizes[path]
        self._told = self._before
        self._tell(self._before, self._total)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Opening:
    """One run of open_segments: the clips so far, and what is known about damages."""

    def __init__(
        self,
        stack: ExitStack,
        identities: Sequence[Identity],
        span: Span | None,
        output: Path,
        progress: _Progress,
    ) -> None:
        self._stack = stack
        self._identities = identities
        self._span = span
        self._output = output
        self._progress = progress
        self._finished: list[Clip] = []
        self._covered: dict[str, list[Span]] = {}
        self._damages: list[Lost] = []
        self._forget()

    def _forget(self) -> None:
        """Begin with another camera: nothing of the one before says anything about it."""
        self._clip: Clip | None = None
        self._init: Init | None = None
        self._camera = ""
        self._reached: int | None = None  # UTC up to which there are pictures
        self._waiting = len(self._damages)  # the damages from here on wait for pictures to be there again
        self._broken = False

    def read_camera(self, camera: str, sources: list[SegmentFile]) -> None:
        """Read all segments of one camera."""
        self._camera = camera
        for place, source in enumerate(sources):
            if self._wanted(sources, place):
                self._read(source)
            self._progress.passed(source.path)
        self._covered.setdefault(self._camera, [])
        self._close()
        self._forget()

    def _wanted(self, sources: list[SegmentFile], place: int) -> bool:
        """Tell whether a segment can have pictures for the span, by the starts of it and its successors."""
        span = self._span
        start = sources[place].start_ms
        if span is None or start is None:
            return True
        later = [source.start_ms for source in sources[place + 1 : place + 1 + _LOOK_BACK]]
        passed = len(later) == _LOOK_BACK and all(one is not None and one <= span.start_ms for one in later)
        return start < span.end_ms and not passed

    def _read(self, source: SegmentFile) -> None:
        self._new_segment = True
        self._clock: tuple[int, int] | None = None
        has_init = False
        with contextlib.closing(read_segment(source, self._identities, self._progress.within)) as items:
            for item in items:
                if isinstance(item, Lost):
                    self._note(item, source)
                elif isinstance(item, Init):
                    has_init = True
                    self._describe(item, source)
                else:
                    if not has_init:
                        has_init = True
                        self._borrow_init(source)
                    if not self._take(item, source):
                        return

    def _note(self, lost: Lost, source: SegmentFile) -> None:
        """Add a damage to the report, with the time from which on pictures can be lost by it."""
        self._broken = True
        flood = self._damages[self._waiting :][-1:]
        if lost.chunk is None and flood and (flood[0].path, flood[0].code) == (lost.path, lost.code):
            return  # hostile bytes could otherwise fill the report
        known = [at for at in (self._reached, source.start_ms) if at is not None]
        self._damages.append(replace(lost, from_ms=max(known, default=None)))

    def _there_again(self, utc_ms: int) -> None:
        """Tell the damages that wait for it that there are pictures from this time on."""
        for place in range(self._waiting, len(self._damages)):
            self._damages[place] = replace(self._damages[place], to_ms=utc_ms)
        self._waiting = len(self._damages)

    def _describe(self, init: Init, source: SegmentFile) -> None:
        """Take note of a segment's track, and of the camera that it says it is of."""
        self._init = init
        self._new_segment = True
        says = _camera_of(init)
        if says and source.camera and says != source.camera:
            # The file was moved to another camera's folder: what is sealed inside counts, not where it lies.
            self._damages.append(Lost(source.path, CAMERA_DIFFERS, f"the segment is of camera {says}"))
        camera = says or source.camera or ""
        if self._clip and self._clip.camera != camera:
            self._close()
        self._camera = camera

    def _borrow_init(self, source: SegmentFile) -> None:
        """Say that a segment's beginning is lost.

        The segment before is most often of the same run; its track is then this one's too.
        """
        if self._init:
            detail = "the track's description is lost; that of the segment before is used"
        else:
            detail = "the track's description is lost, and no segment before this one tells it"
        self._note(Lost(source.path, INIT_LOST, detail), source)

    def _take(self, part: Fragment, source: SegmentFile) -> bool:
        """Use what the span asks for of a fragment; false once its end is reached."""
        init = self._init
        if init is None or not part.samples:
            return True
        if any(
            sample.duration > LONGEST_TICKS or abs(sample.offset) > LONGEST_TICKS // 2
            for sample in part.samples
        ):
            self._note(
                Lost(source.path, VIDEO_DAMAGED, "a picture with a time that no player can show"), source
            )
            return True
        timed = self._timed(part, init, source)
        if timed is None:
            self._note(
                Lost(source.path, TIME_UNKNOWN, "a fragment does not say when it was recorded"), source
            )
            return True
        cut, reached = self._cut(timed, init)
        if cut and self._broken:
            keyframes = (place for place, sample in enumerate(cut.samples) if sample.keyframe)
            cut = trim(cut, next(keyframes, len(cut.samples)), len(cut.samples), init.timescale)
        if cut:
            self._add(cut, init, source)
        if reached is not None:
            self._there_again(reached)
        return reached is None

    def _timed(self, part: Fragment, init: Init, source: SegmentFile) -> Fragment | None:
        """Return the fragment with its UTC; if it lacks it, by the one before or by the segment's start."""
        tick = part.base_dts + part.samples[0].offset
        utc_ms = part.utc_ms
        if utc_ms is None and self._clock:
            utc_ms = self._clock[0] + (tick - self._clock[1]) * 1000 // init.timescale
        elif utc_ms is None:
            utc_ms = source.start_ms
        if utc_ms is None:
            return None
        self._clock = (utc_ms, tick)
        return part._replace(utc_ms=utc_ms)

    def _cut(self, part: Fragment, init: Init) -> tuple[Fragment | None, int | None]:
        """Leave out what lies outside the span.

        Returns  what is left, if anything; and, once the end is reached, the UTC of the first picture past it
        """
        span = self._span
        if span is None:
            return part, None
        shown = shown_ms(part, init.timescale)
        first = 0
        for place, sample in enumerate(part.samples):
            if sample.keyframe and shown[place] <= span.start_ms:
                first = place
                if self._clip:
                    self._clip.restart()
                    self._new_segment = True
        end_ms = self._clip.end_ms() if self._clip else None
        if self._clip and end_ms is not None and end_ms <= span.start_ms and shown[first] > end_ms + HOLE_MS:
            # What came before the span ended before it too, and does not lead into it.
            self._clip.restart()
            self._new_segment = True
        for place, sample in enumerate(part.samples):
            # Pictures are decoded in another order than shown: the end is where both are past it.
            lead_ms = max(0, sample.offset * 1000 // init.timescale)
            if shown[place] - lead_ms >= span.end_ms:
                return trim(part, first, place, init.timescale), shown[place]
        return trim(part, first, len(part.samples), init.timescale), None

    def _add(self, part: Fragment, init: Init, source: SegmentFile) -> None:
        clip = self._clip
        if clip is None or (self._new_segment and not clip.accepts(init, part.utc_ms)):
            clip = self._next_clip(init)
        elif self._new_segment:
            clip.begin_segment(init)
        self._new_segment = False
        try:
            first = clip.add(part, source.path)
        except Mp4Error:
            # More is missing than a picture can last in one file.
            clip = self._next_clip(init)
            first = clip.add(part, source.path)
        if first is not None:
            self._there_again(first)
            self._reached = clip.end_ms()
            self._broken = False

    def _next_clip(self, init: Init) -> Clip:
        self._close()
        self._clip = Clip(self._output.parent, init, self._camera)
        self._stack.callback(self._clip.discard)
        return self._clip

    def _close(self) -> None:
        """Finish the clip in progress."""
        clip, self._clip = self._clip, None
        if clip is None:
            return
        end_ms = clip.end_ms()
        if self._span and end_ms is not None and end_ms <= self._span.start_ms:
            clip.discard()  # all of it lies before the span
            return
        try:
            if clip.finish():
                self._finished.append(clip)
                self._covered.setdefault(clip.camera, []).extend(clip.covered.spans)
        except Mp4Error as error:
            self._damages.append(Lost(clip.used[0], VIDEO_DAMAGED, f"no file can hold this track: {error}"))

    def publish(self) -> OpenReport:
        """Give all clips their names, or none, and report."""
        outputs: list[Output] = []
        try:
            for number, clip in enumerate(self._finished, start=1):
                target = self._output
                if number > 1:
                    target = target.with_stem(f"{target.stem}-{number}")
                clip.publish(target)
                span = hull(clip.covered.spans)
                codec, width, height = clip.init[:3]
                outputs.append(
                    Output(
                        target,
                        clip.camera,
                        span,
                        clip.frames,
                        codec,
                        width,
                        height,
                        clip.size_bytes,
                        clip.sha256,
                    )
                )
            sync_folder(self._output.parent)
        except BaseException:
            for made in outputs:
                made.path.unlink()
            raise
        used = dict.fromkeys(path for clip in self._finished for path in clip.used)
        missing = [
            Missing(camera, hole)
            for camera, spans in self._covered.items()
            if spans or self._span
            for hole in uncovered(spans, self._span or hull(spans), HOLE_MS)
        ]
        return OpenReport(tuple(outputs), tuple(used), tuple(self._damages), tuple(missing))


def _camera_of(init: Init) -> str:
    """Return the camera that a segment says it is of; "" when it does not say."""
    try:
        about = json.loads(init.about)
    except ValueError:
        return ""
    camera = about.get("camera") if isinstance(about, dict) else None
    return camera if isinstance(camera, str) else ""
