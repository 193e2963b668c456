"""What a check can find, and how a day's rows and files are laid beside each other. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.model import Span
from agent.storage.layout import CAMERA_NAME, DAY_NAME, Kind, Stem, classify

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

CONDEMNED = "CONDEMNED"
_SHOWN_PLACES = 16


class Level(StrEnum):
    """How closely is looked; each level looks at what those before it do."""

    PRESENCE = "presence"  # each row has its file, each file its row
    SIZES = "sizes"  # and it is as long as it was
    DIGESTS = "digests"  # and each byte is what was written


class What(StrEnum):
    """What is wrong with a segment."""

    MISSING = "missing"  # a row without its file
    NOT_A_FILE = "not_a_file"  # something else bears its name
    SIZE = "size"  # longer or shorter than it was
    HEADER = "header"  # the age header is not whole: nobody can open it
    DIGEST = "digest"  # not the bytes that were written
    UNREADABLE = "unreadable"  # the disk does not give its bytes
    TAIL = "tail"  # the tail that continues a salvaged segment is missing or damaged
    ORPHAN = "orphan"  # a file without a row
    BAD_ROW = "bad_row"  # a row that names no place of ours; it is left alone
    STRANGE = "strange"  # a name that Pasu does not write; it is left alone
    UNJUDGED = "unjudged"  # a folder that cannot be read: nothing is said of what is in it


class Done(StrEnum):
    """What was done about it."""

    NOTHING = ""
    LOST = "lost"  # the row says so now, and a gap stands in its place
    QUARANTINED = "quarantined"  # and its file lies in quarantine/
    RESTORED = "restored"  # from the link of a hold
    ADOPTED = "adopted"  # it has a row now
    HELD = "held"  # a hold covers it: it stays where it is
    OVERTAKEN = "overtaken"  # erased, or committed, while it was looked at
    FAILED = "failed"  # the disk refused


MENDED = frozenset({Done.LOST, Done.QUARANTINED, Done.RESTORED, Done.ADOPTED, Done.OVERTAKEN})
NOTICES = frozenset({What.STRANGE})
"""Told, but nothing is damaged by it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a check needs of a segment's row; fields as in `catalogue.Segment`."""

    id: int
    camera: str
    path: str
    start_ms: int
    end_ms: int
    sealed_bytes: int
    sha256: str
    state: str
    has_tail: bool

    @property
    def name(self) -> str:
        """The file's name in its directory."""
        return self.path.rpartition("/")[2]

    @property
    def span(self) -> Span:
        """The span it covers; empty for a row whose end lies before its start."""
        return Span(self.start_ms, max(self.start_ms, self.end_ms))


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of a sealed file that is damaged for certain.

    chunk   number from 0 of the 64 KiB chunk; None for the header
    offset, length  in the file, bytes
    how     "unreadable", or "zeros" where no chunk can be zero
    """

    chunk: int | None
    offset: int
    length: int
    how: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    path             relative to the vault; span is None where no row tells it
    expected, found  sizes in bytes, hashes, or what the system said; empty where there is nothing to compare
    places           damage whose place is known; without a key the box cannot tell more
    """

    vault: str
    camera: str
    path: str
    what: What
    span: Span | None = None
    expected: str = ""
    found: str = ""
    places: tuple[Place, ...] = ()
    done: Done = Done.NOTHING

    @property
    def is_open(self) -> bool:
        """Tell whether it is damage that still is."""
        return self.what not in NOTICES and self.done not in MENDED

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values; `from_json` reads them back."""
        return {
            "vault": self.vault,
            "camera": self.camera,
            "path": self.path,
            "what": self.what.value,
            "start_ms": self.span.start_ms if self.span else None,
            "end_ms": self.span.end_ms if self.span else None,
            "expected": self.expected,
            "found": self.found,
            "places": [
                [place.chunk, place.offset, place.length, place.how] for place in self.places[:_SHOWN_PLACES]
            ],
            "done": self.done.value,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finding:
        """Read what `as_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        start_ms, end_ms = values["start_ms"], values["end_ms"]
        return cls(
            str(values["vault"]),
            str(values["camera"]),
            str(values["path"]),
            What(values["what"]),
            None if start_ms is None else Span(int(start_ms), int(end_ms)),
            str(values["expected"]),
            str(values["found"]),
            tuple(Place(*each) for each in values["places"]),
            Done(values["done"]),
        )


@dataclass(slots=True)
class Day:
    """A day's directory: what belongs together, and what does not.

    absent   rows whose name is not there; there: rows whose name is
    tailless those among the latter whose tail is not
    loose    finished segments without a row, and what an open segment leaves: to adopt, or to put in order
    strange  names that Pasu does not write
    """

    absent: list[Row] = field(default_factory=list)
    there: list[Row] = field(default_factory=list)
    tailless: list[Row] = field(default_factory=list)
    loose: list[tuple[Stem, Kind]] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)


def compare(camera: str, day: str, rows: Sequence[Row], names: Collection[str]) -> Day:
    """Lay a day's rows and names beside each other.

    rows     every row in this directory that has not gone; condemned ones may or may not have their file
    names    every name in it. Of what belongs to an open segment its `.part` is named, else what is left of it
    """
    found = Day()
    expected = set()
    for row in rows:
        expected.add(row.name)
        if row.has_tail:
            expected.add(row.name + ".tail")
        if row.state == CONDEMNED:
            continue
        (found.there if row.name in names else found.absent).append(row)
        if row.has_tail and row.name in names and row.name + ".tail" not in names:
            found.tailless.append(row)
    for name in sorted(set(names) - expected):
        what = classify(camera, day, name)
        if what is None:
            found.strange.append(name)
            continue
        stem, kind = what
        tail = kind in (Kind.TAIL, Kind.TAIL_TEMPORARY)
        if kind in (Kind.FINAL, Kind.SALVAGED, Kind.PART) or (
            tail and stem.start + Kind.PART.value not in names
        ):
            found.loose.append((stem, kind))
        elif kind is Kind.SALVAGED_TAIL and stem.start + Kind.SALVAGED.value not in names:
            found.strange.append(name)
    return found


def parts(path: str) -> tuple[str, str, str] | None:
    """Split a segment's path into camera, day and name; None when it is not one that Pasu writes."""
    pieces = path.split("/")
    if len(pieces) != 4 or pieces[0] != "segments":
        return None
    _, camera, day, name = pieces
    if not CAMERA_NAME.match(camera) or not DAY_NAME.match(day):
        return None
    what = classify(camera, day, name)
    return (camera, day, name) if what is not None and what[1] in (Kind.FINAL, Kind.SALVAGED) else None
