"""What the row of a stored file must say when its catalogue was lost. Pure.

Two witnesses: a catalogue that was moved aside, believed where it agrees with the file; else the file itself, of which
the name tells the start, the last write the end, and the size the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.model import UTC_DAY_MS, GapCause, Span, Trust
from agent.storage.catalogue import COMMITTED, SALVAGED
from agent.storage.envelope import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from agent.storage.layout import Kind, Stem

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = "unknown"
"""Stands for run and codec of which nothing is known."""
MOVED_MS = 10_000
"""By so much a start in a name may be later than the row's: names that were taken are moved on (Vault.new_stem)."""
LONGEST_MS = 600_000
"""A segment of which nothing but the file is known claims no more: ten of the usual ones."""
USUAL_MS = 60_000
"""What it claims when its last write cannot be: a disk that was copied shows the copying."""
JOIN_MS = 250
"""An end that was estimated and lies so close before the next start is that start."""
ROW_MS = UTC_DAY_MS
"""No row says more of a segment; one that does is damaged."""

_TEXTS = ("run", "codec", "sha256")
_COUNTS = ("width", "height", "time_base_hz", "frames", "plain_bytes")


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored file without a row.

    last_ms  time of its last write; next_ms: start of the file that follows it, None for the newest
    told     that time was put there when the segment's label was corrected (keep/stamps.py)
    header   length of its age header and nonce; regular: it is a file, and no link or whatever else
    """

    vault: str
    stem: Stem
    kind: Kind
    size: int
    last_ms: int
    has_tail: bool
    next_ms: int | None = None
    header: int = 0
    regular: bool = True
    told: bool = False

    @property
    def path(self) -> str:
        """Return its path, relative to the vault."""
        return self.stem.path(self.kind)

    @property
    def state(self) -> str:
        """Return what its row's state is: its name says it."""
        return SALVAGED if self.kind is Kind.SALVAGED else COMMITTED


def from_old(told: dict[str, Any], file: Stored) -> dict[str, Any] | None:
    """Return the row that an old catalogue has of a file, None when the two do not agree.

    told  columns of `agent.storage.old.COLUMNS`; a damaged database may say anything
    """
    numbers = [told["start_ms"], told["end_ms"], told["sealed_bytes"], *(told[name] for name in _COUNTS)]
    if any(type(number) is not int for number in numbers) or any(number < 0 for number in numbers):
        return None
    if not all(isinstance(told[name], str) for name in _TEXTS) or told["trust"] not in set(Trust):
        return None
    if told["camera"] != file.stem.camera or told["sealed_bytes"] != file.size or not file.regular:
        return None
    begun, kept = told["relabelled_from_ms"], told["kept_from_ms"]
    if begun is not None and type(begun) is not int:
        return None
    origin = told["start_ms"] if begun is None else begun
    if not 0 <= file.stem.start_ms - origin <= MOVED_MS:
        return None
    if not 0 < told["end_ms"] - told["start_ms"] <= ROW_MS:
        return None
    if type(kept) is not int or kept < told["start_ms"]:
        kept = None  # rather kept too long than not long enough
    return {
        **told,
        "vault": file.vault,
        "path": file.path,
        "state": file.state,
        "keyframe_start": int(bool(told["keyframe_start"])),
        "has_tail": int(file.has_tail),
        "kept_from_ms": kept,
    }


@dataclass(frozen=True, slots=True)
class Label:
    """What a file says of its own time, of which nothing else is known.

    start_ms, end_ms  its span, and kept_from_ms where its retention begins
    is_moved          that is not what its name says: its label was corrected
    is_plausible      it can be; if not, its time waits to be settled
    """

    start_ms: int
    end_ms: int
    kept_from_ms: int
    is_moved: bool
    is_plausible: bool


def label_of(file: Stored, earliest_ms: int, latest_ms: int | None) -> Label:
    """Return what the name and the last write of a file say together.

    earliest_ms  the vault was made then; latest_ms  now, None while that cannot be relied on
    A start between the two is believed, and the segment kept from there; from later, when the file was written much
    later than its name says: its clock was slow, or the disk was copied. Another one is no reason to erase: it waits
    for whoever settles what was recorded in doubt. What was written by a clock whose error never became known looks
    like anything else.
    """
    name_ms, last_ms = file.stem.start_ms, file.last_ms
    start_ms, end_ms = name_ms, _end_ms(file, name_ms)
    kept_ms = max(name_ms, last_ms - LONGEST_MS)
    moved = file.told and abs(last_ms - name_ms) > LONGEST_MS
    if moved:
        start_ms, end_ms = last_ms - _length_ms(file), last_ms
        # Late rather than early; but a name that lies in the future says nothing.
        kept_ms = last_ms if latest_ms is not None and name_ms > latest_ms else max(name_ms, last_ms)
    plausible = start_ms >= earliest_ms and (latest_ms is None or kept_ms <= latest_ms)
    return Label(start_ms, end_ms, kept_ms, moved, plausible)


def from_file(file: Stored, earliest_ms: int, latest_ms: int | None) -> dict[str, Any]:
    """Return the row of a file of which nothing else is known; earliest_ms, latest_ms: as `label_of` takes them."""
    label = label_of(file, earliest_ms, latest_ms)
    return {
        "vault": file.vault,
        "camera": file.stem.camera,
        "run": UNKNOWN,
        "path": file.path,
        "start_ms": label.start_ms,
        "end_ms": label.end_ms,
        "trust": (Trust.HOLDOVER if label.is_plausible else Trust.UNTRUSTED).value,
        "codec": UNKNOWN,
        "width": 0,
        "height": 0,
        "time_base_hz": 0,
        "frames": 0,
        "plain_bytes": _plain_bytes(file),
        "sealed_bytes": file.size,
        "sha256": "",
        "keyframe_start": 0,
        "state": file.state,
        "has_tail": int(file.has_tail),
        "kept_from_ms": label.kept_from_ms if label.is_plausible else None,
        "relabelled_from_ms": file.stem.start_ms if label.is_moved else None,
    }


def _end_ms(file: Stored, start_ms: int) -> int:
    last_ms = file.last_ms
    if not start_ms < last_ms <= start_ms + LONGEST_MS:
        last_ms = start_ms + USUAL_MS
    if file.next_ms is not None and file.next_ms - last_ms <= JOIN_MS:
        last_ms = file.next_ms
    return max(last_ms, start_ms + 1)


def _length_ms(file: Stored) -> int:
    """Return how much a segment claims of which only the end is known: rather too much, for holds."""
    until_next_ms = LONGEST_MS if file.next_ms is None else file.next_ms - file.stem.start_ms
    return max(USUAL_MS, until_next_ms) if until_next_ms <= LONGEST_MS else LONGEST_MS


def _plain_bytes(file: Stored) -> int:
    sealed = max(0, file.size - file.header)
    if file.kind is Kind.SALVAGED:
        return sealed // SEALED_CHUNK_BYTES * CHUNK_BYTES
    return max(0, sealed - -(-sealed // SEALED_CHUNK_BYTES) * TAG_BYTES)


def is_cut(file: Stored) -> bool:
    """Tell whether a finished file ends with a whole chunk, and so was cut by a recorder that gave it up.

    One of 65,552 ends so by chance; it is called salvaged, and nothing of it is lost.
    """
    return file.kind is Kind.FINAL and (file.size - file.header) % SEALED_CHUNK_BYTES == 0


def gap_from_old(told: tuple[Any, ...], latest_ms: int) -> tuple[Any, ...] | None:
    """Return a gap that an old catalogue tells of, None when it cannot be.

    told  start, end, cause, detail, trust, relabelled from
    """
    start_ms, end_ms, cause, detail, trust, begun = told
    if type(start_ms) is not int or type(end_ms) is not int or not 0 <= start_ms <= end_ms <= latest_ms:
        return None
    if cause not in set(GapCause) or trust not in set(Trust) or not isinstance(detail, str):
        return None
    return start_ms, end_ms, cause, detail, trust, begun if type(begun) is int else None


def holes(covered: Iterable[tuple[int, int]], from_ms: int, to_ms: int, least_ms: int) -> list[Span]:
    """Return what a camera's segments and gaps leave uncovered behind the first of them.

    covered  their spans, in order of their starts
    from_ms  what lies before is not looked at: there is nothing left but what is held
    to_ms    nothing was lost with the catalogue from here on
    """
    found: list[Span] = []
    reached: int | None = None
    for start_ms, end_ms in covered:
        if reached is not None and reached < to_ms and start_ms - max(reached, from_ms) > least_ms:
            found.append(Span(max(reached, from_ms), start_ms))
        reached = end_ms if reached is None else max(reached, end_ms)
    if reached is not None and to_ms - max(reached, from_ms) > least_ms:
        found.append(Span(max(reached, from_ms), to_ms))
    return found
