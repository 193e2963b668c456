"""What to erase, and why: the whole policy of retention, and nothing that acts.

A segment goes for one of two causes. EXPIRED: its oldest frame is as old as is allowed. EVICTED: its disk is short,
and it is the oldest there that nobody holds and no export links. What has no time to be relied on goes for neither.
A third cause, REQUESTED, is a person's order and no plan's.
Pure. Source: Gangneung regulation art. 31(1), Standard Guideline 42(2); docs/adr/0006-retention.md.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.model import UTC_DAY_MS, Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.model import Instant

DAY_S = 86_400
GIB = 1 << 30


class Cause(StrEnum):
    """Why a segment is erased."""

    EXPIRED = "EXPIRED"
    EVICTED = "EVICTED"
    REQUESTED = "REQUESTED"
    """For its subject, by two signatures: orders_delete.py."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live segment, as its row says; what cannot be may stand there, and stops nothing else (B19).

    kept_from_ms  its retention begins here, UTC ms; None while its label is not to be relied on
    outgoing      an export has its link: erasing it gives no room before that goes
    """

    id: int
    kept_from_ms: int | None
    start_ms: int
    end_ms: int
    sealed_bytes: int
    held: bool = False
    outgoing: bool = False

    @property
    def odd(self) -> bool:
        """Tell whether the row's values cannot be true: no hold could be found by such a span."""
        numbers = (self.start_ms, self.end_ms, self.sealed_bytes)
        if any(type(number) is not int for number in numbers):
            return True
        return type(self.kept_from_ms) not in (int, type(None)) or self.end_ms < self.start_ms


@dataclass(frozen=True, slots=True)
class Shelf:
    """One camera's segments on one vault: the oldest of them, oldest first.

    more  there are further ones that no export has, younger than these
    """

    camera: str
    candidates: Sequence[Candidate]
    more: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """What a vault's file system has. None is unknown, which is never plenty and never short.

    scheduled_bytes, scheduled_files  condemned, or erased so lately that the free figures may not show it (B2)
    """

    total_bytes: int | None
    free_bytes: int | None
    total_files: int | None
    free_files: int | None
    scheduled_bytes: int = 0
    scheduled_files: int = 0


@dataclass(frozen=True, slots=True)
class Marks:
    """Below `low` eviction begins; it goes on up to `high`, so that it does not begin anew at each segment."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class VaultView:
    """One vault: its room, its marks in bytes and files, and its cameras' shelves."""

    uuid: str
    room: Room
    bytes: Marks
    files: Marks
    shelves: Sequence[Shelf]


@dataclass(frozen=True, slots=True)
class View:
    """All that a plan is made from.

    retention_ms          per configured camera
    default_retention_ms  for cameras that are not configured any more: the box's
    """

    now: Instant
    retention_ms: Mapping[str, int]
    default_retention_ms: int
    vaults: Sequence[VaultView]

    def retention_of(self, camera: str) -> int:
        """Return how long a camera's segments may stay, ms."""
        return self.retention_ms.get(camera, self.default_retention_ms)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to erase.

    erase    segment and cause; EXPIRED before EVICTED, oldest first within a vault
    short    vaults that stay short though everything that may be evicted is
    more     another plan should follow as soon as this one is carried out
    blocked  why nothing is planned at all, empty otherwise
    """

    erase: tuple[tuple[int, Cause], ...] = ()
    short: tuple[str, ...] = ()
    more: bool = False
    blocked: str = ""


@dataclass(slots=True)
class _Draft:
    erase: list[tuple[int, Cause]] = field(default_factory=list)
    short: list[str] = field(default_factory=list)
    more: bool = False


def plan(view: View) -> Plan:
    """Choose what to erase, and say why.

    view     held segments may be among the candidates: they are refused here too
    Returns  an empty plan with the reason when the time is not to be relied on
    """
    if view.now.trust is Trust.UNTRUSTED:
        return Plan(blocked="time.untrusted")
    draft = _Draft()
    for vault in view.vaults:
        _plan_vault(view, vault, draft)
    # A vault at a time for eviction, but causes in order over all: what must go comes before what has to.
    erase = sorted(draft.erase, key=lambda item: item[1] is Cause.EVICTED)
    return Plan(tuple(erase), tuple(draft.short), draft.more)


def _plan_vault(view: View, vault: VaultView, draft: _Draft) -> None:
    going: set[int] = set()
    freed = 0
    for shelf in vault.shelves:
        limit_ms = view.now.utc_ms - view.retention_of(shelf.camera)
        plannable = [*_plannable(shelf)]
        expired = [each for kept, each in plannable if kept <= limit_ms]
        draft.more |= shelf.more and bool(expired) and len(expired) == len(plannable)
        for each in expired:
            draft.erase.append((each.id, Cause.EXPIRED))
            going.add(each.id)
            freed += max(0, each.sealed_bytes)
    room = vault.room
    need_bytes = _need(room.free_bytes, room.scheduled_bytes + freed, vault.bytes)
    need_files = _need(room.free_files, room.scheduled_files + len(going), vault.files)
    for oldest in _oldest_first(vault.shelves):
        if need_bytes <= 0 and need_files <= 0:
            return
        if oldest is None:
            draft.more = True
            return
        if oldest.id in going or (need_files <= 0 and oldest.sealed_bytes <= 0):
            continue
        draft.erase.append((oldest.id, Cause.EVICTED))
        need_bytes -= max(0, oldest.sealed_bytes)
        need_files -= 1
    if need_bytes > 0 or need_files > 0:
        draft.short.append(vault.uuid)


def _need(free: int | None, scheduled: int, marks: Marks) -> int:
    """Return how much has to be freed; 0 for an unknown figure, by which nobody may erase."""
    if free is None or free + scheduled >= marks.low:
        return 0
    return marks.high - free - scheduled


def _plannable(shelf: Shelf) -> Iterator[tuple[int, Candidate]]:
    for each in shelf.candidates:
        if each.kept_from_ms is not None and not each.held and not each.odd:
            yield each.kept_from_ms, each


def _oldest_first(shelves: Sequence[Shelf]) -> Iterator[Candidate | None]:
    """Yield what gives room, of all shelves, by age; None where a shelf ends that has more, since what is older than
    the rest is not known from there on.
    """
    columns = [[item for item in _plannable(shelf) if not item[1].outgoing] for shelf in shelves]
    heap = [(column[0][0], column[0][1].id, number, 0) for number, column in enumerate(columns) if column]
    heapq.heapify(heap)
    while heap:
        _, _, number, place = heapq.heappop(heap)
        yield columns[number][place][1]
        place += 1
        if place < len(columns[number]):
            kept, each = columns[number][place]
            heapq.heappush(heap, (kept, each.id, number, place))
        elif shelves[number].more:
            yield None


def overdue_ms(view: View) -> int:
    """Return by how much the oldest segment that nobody holds is older than allowed, 0 when none is."""
    late = (
        view.now.utc_ms - kept - view.retention_of(shelf.camera)
        for vault in view.vaults
        for shelf in vault.shelves
        for kept, _ in _plannable(shelf)
    )
    return max(0, *late, 0)


def byte_marks(total_bytes: int | None, bytes_per_day: int) -> Marks:
    """Return the reserve that is kept free: 1 GiB, 2 % of the disk or ten minutes of recording, whichever is more, but
    no more than 5 % of a small disk.

    The high mark is an eighth above, at most 256 MiB: for 16 cameras of 4 Mbit/s that is half a minute.
    """
    low = max(GIB, bytes_per_day * 600 // DAY_S)
    if total_bytes is not None:
        low = min(max(low, total_bytes // 50), max(total_bytes // 20, 1))
    return Marks(low, low + min(low // 8, GIB // 4))


def file_marks(total_files: int | None) -> Marks:
    """Return the inodes that are kept free: 1 %, at least a thousand, no more than 5 % of a small table (B5)."""
    if not total_files:
        return Marks(0, 0)
    low = min(max(1000, total_files // 100), max(total_files // 20, 1))
    return Marks(low, low + low // 8)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one camera stores on a vault: bytes per day, and for how many ms each is kept."""

    bytes_per_day: int
    retention_ms: int


def reach_tenths(demands: Sequence[Demand], capacity_bytes: int) -> int | None:
    """Forecast how long a disk holds its cameras' recordings at the given rate, in tenths of a day.

    capacity_bytes  what recordings may take: free, and stored now, without the reserve and what holds keep
    Returns         None when nothing is being stored; beyond the longest retention as if that were longer
    """
    rate = sum(demand.bytes_per_day for demand in demands)
    if rate <= 0:
        return None
    left, reached_ms = max(capacity_bytes, 0), 0
    for until_ms in sorted({demand.retention_ms for demand in demands}):
        growing = sum(demand.bytes_per_day for demand in demands if demand.retention_ms >= until_ms)
        cost = growing * (until_ms - reached_ms) // UTC_DAY_MS
        if cost > left:
            return reached_ms * 10 // UTC_DAY_MS + left * 10 // growing
        left -= cost
        reached_ms = until_ms
    return reached_ms * 10 // UTC_DAY_MS + left * 10 // rate
