"""Carry out retention: survey, plan, condemn, finish. The one place from which erasing is asked for.

    K1 survey and plan (E1) · K2 condemn, some hundred segments a transaction (E2) · K3 erase what is condemned, also
    what an earlier keeper left (E3 to E6)

Whoever calls has made sure that erasing is allowed; each vault's identity is read again just before K3.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.health import Raised
from agent.model import Trust
from agent.storage.keep import disks, erase, retention, survey
from agent.storage.keep.reach import anchor, make_sure
from agent.storage.keep.retention import Cause, Plan, Room, Shelf, VaultView, View
from agent.storage.keep.survey import Unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.config.hours import Hours
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.batch import Report
    from agent.storage.keep.survey import Condemned
    from agent.storage.vault import Vault

DEPTH = 64
"""How many of a camera's segments one plan looks at, where any must go; in a steady state it looks at one."""
CONDEMN_ROWS = 250
"""In one transaction: some 30 ms, which a recorder's commit can wait for."""
FINISH_FILES = 64
"""In a batch, which holds wait for. While there is a backlog it grows up to MOST_FILES, as long as the disk does one
within LOCK_S: what is done once a batch (E3a, E3b, E5, E6) is most of the work."""
MOST_FILES = 512
LOCK_S = 1.0
BACKLOG_FILES = 1000
"""So many condemned segments are worked off before further ones are condemned: a hold may still come."""
LAG_MS = 1_800_000
EVICTED_S = 3600.0
"""For so long after an eviction its condition stands."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What retention goes by.

    retention_ms          per configured camera
    default_retention_ms  for others: the box's
    responsible           who answers for erasing, by name
    hours                 of cameras that are recorded in some alone; of no matter to what is erased
    """

    retention_ms: Mapping[str, int]
    default_retention_ms: int
    responsible: str
    hours: Mapping[str, Sequence[Hours]] = field(default_factory=dict)

    def retention_of(self, camera: str) -> int:
        """Return how long a camera's segments may stay, ms."""
        return self.retention_ms.get(camera, self.default_retention_ms)

    @property
    def longest_ms(self) -> int:
        """Return the longest retention of all."""
        return max([*self.retention_ms.values(), self.default_retention_ms])


@dataclass(slots=True)
class Erased:
    """What was erased in one turn."""

    files: int = 0
    bytes: int = 0
    unshredded: int = 0
    more: bool = False


class Rollover:
    """Keeps what is between two turns: what the disks have not shown yet, and when something was evicted."""

    def __init__(
        self, rules: Rules, state: Path, monotonic: Callable[[], float], step: Callable[[str], None]
    ) -> None:
        """Know nothing yet."""
        self.overdue_ms: int | None = None
        self.oldest_ms: int | None = None
        self.view: View | None = None
        self.evicted: list[tuple[str, int]] = []  # camera and start of what the last turn evicted
        self.refused: dict[str, str] = {}  # path and reason of what the last turn would not touch
        self._rules = rules
        self._state = state
        self._monotonic = monotonic
        self._step = step
        self._unseen: dict[str, Unseen] = {}
        self._evicted: dict[str, tuple[float, int]] = {}
        self._faults: list[StorageFault] = []
        self._unshredded = 0
        self._left: dict[
            str, dict[int, int]
        ] = {}  # by vault: what the last turn could not erase, as in Report.left
        self._limits: dict[str, int] = {}  # of a batch, by vault
        self._careful: set[str] = set()  # vaults whose last batch could not be synced as a whole

    def survey(
        self, catalogue: Catalogue, vaults: Mapping[str, Vault], now: Instant, rates: Mapping[str, int]
    ) -> View:
        """Look at the oldest segment of each camera, and at the room of each vault.

        rates   bytes per day that each vault takes, as far as known
        Raises  StorageFault when the catalogue cannot be used
        """
        held = survey.held_spans(catalogue)
        cameras = catalogue.cameras()
        found, waiting = [], []
        for uuid, vault in vaults.items():
            condemned = survey.condemned(catalogue, uuid)
            waiting.append(condemned)
            shelves = [survey.oldest(catalogue, uuid, camera, held, limit=1) for camera in cameras]
            found.append(self._vault_view(uuid, vault, condemned, shelves, rates.get(uuid, 0)))
        view = View(now, self._rules.retention_ms, self._rules.default_retention_ms, found)
        self.view = view
        overdue_ms = max(retention.overdue_ms(view), self._condemned_overdue(now, waiting))
        # By a clock that may be years off nobody is late.
        self.overdue_ms = None if now.trust is Trust.UNTRUSTED else overdue_ms
        ages = [
            each.kept_from_ms
            for vault in found
            for shelf in vault.shelves
            for each in shelf.candidates
            if each.kept_from_ms is not None
        ]
        self.oldest_ms = min(
            [*ages, *(age for each in waiting for age in each.oldest.values())], default=None
        )
        return view

    def plan(self, catalogue: Catalogue, view: View) -> Plan:
        """Plan by the survey; where something must go, look deeper first."""
        plan = retention.plan(view)
        if not plan.erase:
            return plan
        chosen = dict(plan.erase)
        deeper = [
            VaultView(
                vault.uuid, vault.room, vault.bytes, vault.files, self._deepen(catalogue, view, vault, chosen)
            )
            for vault in view.vaults
            if vault.room.scheduled_files < BACKLOG_FILES
        ]
        plan = retention.plan(replace(view, vaults=deeper))
        return replace(plan, more=plan.more or len(deeper) < len(view.vaults))

    def condemn(self, catalogue: Catalogue, plan: Plan, at: Instant) -> None:
        """K2. Raises StorageFault."""
        self.evicted = []
        erase_plan = [(number, str(cause)) for number, cause in plan.erase]
        for begin in range(0, len(erase_plan), CONDEMN_ROWS):
            erase.condemn(catalogue, erase_plan[begin : begin + CONDEMN_ROWS], at)
        self._step("K2")
        evicted = {number for number, cause in plan.erase if cause is Cause.EVICTED}
        if evicted:
            self._note_evicted(catalogue, evicted)

    def finish(
        self, catalogue: Catalogue, vaults: Mapping[str, Vault], at: Instant, enough: Callable[[], bool]
    ) -> tuple[Erased, list[Raised]]:
        """K3: erase what is condemned, batch by batch, until `enough` says so or nothing is left.

        Returns  what was done, and vaults that are not there any more
        Raises   StorageFault when the catalogue cannot be used
        """
        done = Erased()
        self._faults = []
        refused: dict[str, str] = {}
        there = disks.still_there(vaults)
        for uuid, vault in there.vaults.items():
            before = _room(vault)
            left: dict[int, int] = {}
            self._left[uuid] = left
            while True:
                report = self._batch(catalogue, vault, at)
                left |= report.left
                done.files += report.erased
                done.bytes += report.erased_bytes
                done.unshredded += report.unshredded
                self._faults += report.faults
                refused |= dict(report.refused)
                if report.erased:
                    self._unseen.setdefault(uuid, Unseen()).erased(
                        before, report.erased_bytes, report.erased, self._monotonic()
                    )
                if not report.more or not report.erased:
                    break
                if enough():
                    done.more = True
                    break
                if disks.still_there({uuid: vault}).raised:
                    break
        self._unshredded += done.unshredded
        self.refused = refused
        self._step("K3")
        return done, there.raised

    def _batch(self, catalogue: Catalogue, vault: Vault, at: Instant) -> Report:
        """Do E3 to E6 for a batch, and choose the size of the next one."""
        uuid = vault.uuid
        limit = self._limits.get(uuid, FINISH_FILES)
        began = self._monotonic()
        report = erase.finish(
            catalogue,
            {uuid: vault},
            self._state,
            at,
            self._rules.responsible,
            limit=limit,
            careful=uuid in self._careful,
            step=self._step,
        )
        took = self._monotonic() - began
        if report.unsynced:
            self._careful.add(uuid)
        elif not report.faults:
            self._careful.discard(uuid)
        if not report.more or report.faults:
            self._limits.pop(uuid, None)
        elif took > LOCK_S:
            self._limits[uuid] = max(FINISH_FILES // 4, limit // 2)
        elif took < LOCK_S / 2:
            self._limits[uuid] = min(MOST_FILES, limit * 2)
        return report

    def raised(self, catalogue: Catalogue, plan: Plan | None) -> list[Raised]:
        """Say what is wrong, by the last survey.

        plan  None when nothing may be erased now
        """
        found = []
        if self.is_late:
            found.append(Raised("retention.lag", detail=f"{(self.overdue_ms or 0) // 60_000} min"))
        for vault in self.view.vaults if self.view else []:
            room = vault.room
            if room.free_bytes is None:
                found.append(Raised("vault.room_unknown", vault.uuid))
            short = (
                vault.uuid in plan.short
                if plan
                else room.free_bytes is not None and room.free_bytes + room.scheduled_bytes < vault.bytes.low
            )
            if short:
                code = "vault.held_full" if _has_holds(catalogue, vault.uuid) else "vault.full"
                found.append(Raised(code, vault.uuid, f"{room.free_bytes} bytes free"))
            when, count = self._evicted.get(vault.uuid, (0.0, 0))
            if count and self._monotonic() - when < EVICTED_S:
                found.append(Raised("vault.evicting", vault.uuid, f"{count} segments"))
        if self._faults:
            found.append(Raised("erase.failing", detail=f"{len(self._faults)}: {self._faults[0].code}"))
        if self.refused:
            path, reason = next(iter(self.refused.items()))
            found.append(Raised("erase.refused", detail=f"{len(self.refused)}: {path}: {reason}"))
        if self._unshredded:
            found.append(Raised("erase.unshredded", detail=str(self._unshredded)))
        return found

    @property
    def is_late(self) -> bool:
        """Tell whether something nobody holds stayed too long, as of the last survey."""
        return self.overdue_ms is not None and self.overdue_ms > LAG_MS

    @property
    def faults(self) -> Sequence[StorageFault]:
        """Return what stood in the way of the last turn's erasing."""
        return self._faults

    def _vault_view(
        self, uuid: str, vault: Vault, condemned: Condemned, shelves: list[Shelf], rate: int
    ) -> VaultView:
        room = _room(vault)
        left = self._left.get(uuid, {})
        unseen_bytes, unseen_files = self._unseen.setdefault(uuid, Unseen()).rest(room, self._monotonic())
        room = replace(
            room,
            scheduled_bytes=max(0, condemned.bytes - sum(left.values())) + unseen_bytes,
            scheduled_files=max(0, condemned.files - len(left)) + unseen_files,
        )
        marks = retention.byte_marks(room.total_bytes, rate), retention.file_marks(room.total_files)
        return VaultView(uuid, room, *marks, shelves)

    def _deepen(
        self, catalogue: Catalogue, view: View, vault: VaultView, chosen: Mapping[int, Cause]
    ) -> list[Shelf]:
        """Look further where the first look chose something: everywhere, when the vault is short."""
        causes = {chosen.get(each.id) for shelf in vault.shelves for each in shelf.candidates}
        held = survey.held_spans(catalogue)
        shelves = []
        for shelf in vault.shelves:
            until_ms = survey.END
            if Cause.EVICTED not in causes:
                if not any(each.id in chosen for each in shelf.candidates):
                    shelves.append(shelf)
                    continue
                until_ms = view.now.utc_ms - view.retention_of(shelf.camera) + 1
            shelves.append(
                survey.oldest(catalogue, vault.uuid, shelf.camera, held, limit=DEPTH, until_ms=until_ms)
            )
        return shelves

    def _condemned_overdue(self, now: Instant, waiting: Sequence[Condemned]) -> int:
        late = [
            now.utc_ms - kept - self._rules.retention_of(camera)
            for condemned in waiting
            for camera, kept in condemned.oldest.items()
        ]
        return max(0, *late, 0)

    def _note_evicted(self, catalogue: Catalogue, evicted: set[int]) -> None:
        marks = ", ".join("?" * len(evicted))
        rows = catalogue.read(
            f"SELECT vault, camera, start_ms FROM segment WHERE id IN ({marks}) AND cause = 'EVICTED'",  # noqa: S608 - marks
            [*evicted],
        )
        mono = self._monotonic()
        for vault, camera, start_ms in rows:
            when, count = self._evicted.get(vault, (mono, 0))
            self._evicted[vault] = (mono, count + 1 if mono - when < EVICTED_S else 1)
            self.evicted.append((camera, start_ms))


def _room(vault: Vault) -> Room:
    """Ask for a vault's room, and make sure that it was asked of the vault: below an empty mount point is another
    disk, which may be full (B15). Unknown where that is not certain.
    """
    try:
        with anchor(vault) as root:
            found = survey.room(root)
            make_sure(vault, root)
    except StorageFault:
        return Room(None, None, None, None)
    return found


def _has_holds(catalogue: Catalogue, vault: str) -> bool:
    rows = catalogue.read(
        "SELECT 1 FROM hold JOIN hold_segment ON hold_segment.hold = hold.id"
        " JOIN segment ON segment.id = hold_segment.segment"
        " WHERE hold.released_ms IS NULL AND segment.vault = ? LIMIT 1",
        (vault,),
    )
    return bool(rows)
