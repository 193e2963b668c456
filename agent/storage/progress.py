"""How far open segments have come, for salvage: the box cannot read its own files back to find out.

One file per worker, `<state>/open/<worker>.json`, replaced at each flush. It is a help, not an authority:
without it, or with a damaged one, salvage keeps every byte and only knows less about the span.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agent.model import Codec, Trust

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.files import Disk

DIRECTORY = "open"
GROWING_MS = 15_000
"""An open segment that reached so near to now is still growing: it is written down once per loss window."""
_LIMIT_BYTES = 4 << 20  # 16 open segments take 10 KB; what is larger is not ours


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a segment had come at a moment.

    chunks       whole chunks in the file
    end_ms       UTC up to which whole fragments lie in them, and frames in those
    tail_bytes   size of the tail file; 0 when there is none that reaches further
    tail_end_ms  UTC that the segment reaches with its tail, and the frames
    """

    chunks: int
    end_ms: int
    frames: int
    tail_bytes: int = 0
    tail_end_ms: int = 0
    tail_frames: int = 0


@dataclass(frozen=True, slots=True)
class Final:
    """What a finished file is, written down before it gets its name: then a crash loses nothing of it."""

    end_ms: int
    frames: int
    plain_bytes: int
    sealed_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Open:
    """An open segment.

    vault    identity of its vault
    path     that it will bear when finished, relative to the vault
    durable  the mark that the last good sync covers
    written  the mark of the last flush, whose sync may not have been reached
    """

    vault: str
    path: str
    camera: str
    run: str
    start_ms: int
    trust: str
    codec: str
    width: int
    height: int
    time_base_hz: int
    keyframe_start: bool
    durable: Mark
    written: Mark
    final: Final | None

    def reached_ms(self, now_ms: int) -> int:
        """Return how far it goes: to now while it grows, and as far as was written of one that was left behind."""
        end_ms = max(self.start_ms, self.written.end_ms, self.written.tail_end_ms)
        return max(end_ms, now_ms) if now_ms - end_ms <= GROWING_MS else end_ms


def write(disk: Disk, place: Path, segments: list[Open], *, sync: bool) -> None:
    """Replace a worker's file.

    place   its path; sync as in `Disk.atomic_replace`
    Raises  StorageFault
    """
    text = json.dumps({"version": 1, "segments": segments}, default=_plain, separators=(",", ":"))
    disk.atomic_replace(place, text.encode(), sync=sync)


def _plain(value: Open | Mark | Final) -> dict[str, Any]:
    """Turn one of the values here into a dictionary; `asdict` copies deeply and takes ten times as long."""
    return {name: getattr(value, name) for name in value.__slots__}


def read(place: Path) -> list[Open]:
    """Read a worker's file; entries that are not whole are passed over, as is a file that is not there."""
    try:
        with place.open("rb") as file:
            content = json.loads(file.read(_LIMIT_BYTES))
        entries = content["segments"] if content["version"] == 1 else []
        return [segment for segment in map(_parse, entries) if segment is not None]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def read_all(state: Path) -> dict[tuple[str, str], Open]:
    """Read the files of all workers, by vault and path; of two that tell of one file, the one that came further
    counts.
    """
    known: dict[tuple[str, str], Open] = {}
    for place in sorted((state / DIRECTORY).glob("*.json")):
        for segment in read(place):
            key = segment.vault, segment.path
            other = known.get(key)
            if other is None or _advance(segment) > _advance(other):
                known[key] = segment
    return known


def _advance(segment: Open) -> tuple[bool, int, int]:
    return segment.final is not None, segment.written.chunks, segment.written.end_ms


def _parse(raw: Any) -> Open | None:
    try:
        final = raw["final"]
        segment = Open(
            **{
                **raw,
                "durable": Mark(**raw["durable"]),
                "written": Mark(**raw["written"]),
                "final": None if final is None else Final(**final),
            }
        )
        Trust(segment.trust)
        Codec(segment.codec)
    except (TypeError, ValueError, KeyError):
        return None
    texts: list[object] = [segment.vault, segment.path, segment.camera, segment.run]
    numbers: list[object] = [segment.start_ms, segment.width, segment.height, segment.time_base_hz]
    for mark in (segment.durable, segment.written):
        numbers += asdict(mark).values()
    if segment.final is not None:
        texts.append(segment.final.sha256)
        numbers += [
            segment.final.end_ms,
            segment.final.frames,
            segment.final.plain_bytes,
            segment.final.sealed_bytes,
        ]
    flag: object = segment.keyframe_start
    whole = (
        all(isinstance(text, str) for text in texts)
        and all(type(number) is int and 0 <= number < 1 << 62 for number in numbers)
        and isinstance(flag, bool)
    )
    return segment if whole else None


def reach(known: Open, chunks: int, tail_bytes: int) -> tuple[int, int]:
    """Say how far a cut segment certainly reaches: UTC end and whole frames.

    chunks      whole chunks that are in the file
    tail_bytes  size of its tail file, 0 if there is none
    A tail of another size than `written` says is the one before it, or one that was written after the mark;
    both hold at least what `durable` says (W1 of writer.py).
    """
    written, durable = known.written, known.durable
    if chunks < durable.chunks:
        # Less than what was durable: the disk lost it. What is left is claimed in proportion.
        length = durable.end_ms - known.start_ms
        return known.start_ms + length * chunks // durable.chunks, durable.frames * chunks // durable.chunks
    best = durable
    if chunks >= written.chunks:
        best = written
        if tail_bytes and tail_bytes == written.tail_bytes:
            return written.tail_end_ms, written.tail_frames
    if durable.tail_bytes and tail_bytes and durable.tail_end_ms > best.end_ms:
        return durable.tail_end_ms, durable.tail_frames
    return best.end_ms, best.frames
