"""Rows again for what is stored, after a catalogue was lost. In the background, while recording goes on.

The procedure, by its numbers:

    R1  file by file, a day of a camera in one transaction: rows as keep/reborn.py says them
    R2  a vault that is done is written down; so is one of which not all can be read, and that waits (keep/unread.py)
    R3  gaps of the catalogues that were moved aside
    R4  what neither segment nor gap explains is a gap, `record_lost`
    R5  when time is trusted: rows whose label lies in the future are kept until theirs is settled
    R6  one transaction: fact `catalogue.rebuilt`, and `reconcile` is removed: erasing may begin again

Where it has come to is in the same transaction as what it did: killed anywhere, it goes on there. It erases nothing.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.model import UTC_DAY_MS, Fact, GapCause, Instant, Trust
from agent.storage import ledger, notes, progress
from agent.storage.aside import BEGAN, RECONCILE
from agent.storage.catalogue import LIVE, set_meta
from agent.storage.keep import reborn
from agent.storage.keep.refile import Refiler, days_of
from agent.storage.keep.unread import Pauses, note
from agent.storage.layout import CAMERA_NAME
from agent.storage.old import COLUMNS, OldCatalogue, asides, old_catalogues
from agent.storage.salvage import UNRECONCILED
from agent.storage.schema import COVERING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault

POSITION = "rebuild"
"""Key in `meta`: JSON, where a rebuilding has come to, and what it did."""
REBUILT = "catalogue.rebuilt"
ASIDES_KEPT = 3
"""Catalogues that were moved aside and stay, the newest: enough for whoever looks for the cause. They hold no video."""
GAP_MS = 20
"""Less than a frame is missing to nobody; as in capture."""
RETENTION_MOST_MS = 30 * UTC_DAY_MS
"""Nothing but what is held is older (Standard Guideline art. 41(2): thirty days)."""

_GAPS_A_TIME = 2000
_LABELS_A_TIME = 2000
_STEPS = {"gaps": "R3", "holes": "R4", "labels": "R5"}
_DOUBT = (
    "UPDATE segment SET kept_from_ms = NULL, trust = ? WHERE id IN"  # noqa: S608 - constants
    f" (SELECT id FROM segment WHERE camera = ? AND kept_from_ms > ? AND {LIVE} LIMIT {_LABELS_A_TIME})"
)
_INSERT = (
    f"INSERT INTO segment ({', '.join(COLUMNS)}) VALUES ({', '.join(':' + name for name in COLUMNS)})"  # noqa: S608
    " ON CONFLICT DO NOTHING"
)
_INSERT_GAP = (
    "INSERT INTO gap (camera, start_ms, end_ms, cause, detail, trust, relabelled_from_ms) SELECT ?, ?, ?, ?, ?, ?, ?"
    " WHERE NOT EXISTS (SELECT 1 FROM gap WHERE camera = ? AND start_ms = ? AND end_ms = ? AND cause = ?)"
)


@dataclass(slots=True)
class Progress:
    """How far a rebuilding has come.

    reason       why it is done; phase: "files", "gaps", "holes", "labels", "time" (waits until it is trusted), "done";
                 passed: of these, those that go over cameras and are done
    days, of     directories of a camera's day that are done, and that there are, in this vault
    imported     rows that an old catalogue told; named: rows of which the file alone told
    left         files that a living recorder will give their rows, or that are put in order at its start
    counts       per camera: rows, start of the oldest, end of the newest
    unread       directories of this vault that could not be listed
    stuck        vaults that are there, and wait all the same: see keep/unread.py
    """

    reason: str
    phase: str = "files"
    passed: list[str] = field(default_factory=list)
    vault: str = ""
    camera: str = ""
    day: str = ""
    days: int = 0
    of: int = 0
    files: int = 0
    imported: int = 0
    named: int = 0
    left: int = 0
    quarantined: int = 0
    gaps: int = 0
    counts: dict[str, list[int]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.phase == "done"


def advance(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    budget_s: float,
    *,
    pauses: Pauses | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Progress | None:
    """Go on with the rebuilding for about `budget_s` seconds; holds have had their files returned before.

    vaults   by uuid, those that are there; the files of another get their rows when it is back
    at       now; while it is UNTRUSTED rows are made, and the end is waited for
    pauses   of vaults that cannot be read, for who calls again and again; None tries them
    step     is told the number of each step that is done
    Returns  how far it is; None when there is nothing to do
    Raises   StorageFault when the catalogue cannot be used; it goes on there the next time
    """
    pauses = pauses or Pauses()
    reason = catalogue.meta(RECONCILE)
    waiting = notes.names(catalogue, UNRECONCILED)
    if reason is None:
        ready = pauses.ready(catalogue, vaults, waiting)
        if not ready:
            return None
        # A vault that was away, or could not be read, while the others were done.
        reason = "vault"
        _begin(catalogue, reason, [uuid for uuid in waiting if uuid in vaults and uuid not in ready])
    olds = list(old_catalogues(state))
    try:
        rebuild = _Rebuild(catalogue, vaults, state, at, reason=reason, olds=olds, pauses=pauses, step=step)
        return rebuild.run(waiting, time.monotonic() + budget_s)
    finally:
        for old in olds:
            old.close()


def reached(catalogue: Catalogue) -> Progress | None:
    """Return how far a rebuilding is that another process does; None when there is none. Raises StorageFault."""
    reason = catalogue.meta(RECONCILE)
    return None if reason is None else _read(catalogue.meta(POSITION), reason)


def last(catalogue: Catalogue) -> int:
    """Return which entry of the ledger says that a rebuilding ended, the newest; 0 for none. Raises StorageFault."""
    found: int = catalogue.read("SELECT COALESCE(MAX(seq), 0) FROM ledger WHERE kind = ?", (REBUILT,))[0][0]
    return found


class _Rebuild:
    """One turn."""

    def __init__(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        state: Path,
        at: Instant,
        *,
        reason: str,
        olds: list[OldCatalogue],
        pauses: Pauses,
        step: Callable[[str], None],
    ) -> None:
        self._catalogue = catalogue
        self._vaults = vaults
        self._state = state
        self._at = at
        self._olds = olds
        self._pauses = pauses
        self._step = step
        self._progress = _read(catalogue.meta(POSITION), reason)
        began = notes.began(catalogue, BEGAN)
        self._cameras: list[str] = began.get("cameras", [])
        trusted = began.get("trust", Trust.UNTRUSTED) != Trust.UNTRUSTED
        # What was written later has its row from whoever wrote it; with a clock in doubt nobody knows what is later.
        self._began_ms: int | None = began["at_ms"] if trusted else None
        self._latest_ms = at.utc_ms if at.trust != Trust.UNTRUSTED else None
        self._refiler = Refiler(
            catalogue, state, olds, at, began_ms=self._began_ms, latest_ms=self._latest_ms
        )

    def run(self, waiting: list[str], until: float) -> Progress:
        progress_ = self._progress
        for uuid in [uuid for uuid in waiting if uuid in self._vaults and uuid not in progress_.stuck]:
            is_there = True
            try:
                if not self._vault(self._vaults[uuid], until):
                    return progress_
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                is_there = False
            # What comes after the files is done again for these: each of it may be done twice.
            progress_.vault, progress_.camera, progress_.day, progress_.passed = "", "", "", []
            if is_there and not progress_.unread:
                waiting = self._has_rows(uuid)
            else:
                self._is_stuck(uuid)
            self._step("R2")
        if not self._each_camera("gaps", self._import_gaps, until):
            return progress_
        # While a vault is away, what lies in it would be taken for lost.
        if not waiting and not self._each_camera("holes", self._find_holes, until):
            return progress_
        if self._latest_ms is None:
            progress_.phase = "time"
            return progress_
        if not self._each_camera("labels", self._doubt_labels, until):
            return progress_
        self._finish()
        return progress_

    # R1 ---------------------------------------------------------------------------------------------------

    def _vault(self, vault: Vault, until: float) -> bool:
        """Do a vault's days; false when the time is up. Raises StorageFault when it is not there any more."""
        at = self._progress
        vault.verify()
        days, unread_ = days_of(vault)
        if at.vault != vault.uuid:
            at.vault, at.camera, at.day, at.unread = vault.uuid, "", "", []
        at.unread = sorted({*at.unread, *unread_})
        at.phase, at.of = "files", len(days)
        at.days = sum(day <= (at.camera, at.day) for day in days)
        for number, (camera, day) in enumerate(days):
            if (camera, day) <= (at.camera, at.day):
                continue
            if time.monotonic() >= until:
                return False
            follower = days[number + 1] if number + 1 < len(days) else ("", "")
            self._day(vault, camera, day, follower[1] if follower[0] == camera else None)
            self._step("R1")
        return True

    def _day(self, vault: Vault, camera: str, day: str, next_day: str | None) -> None:
        """Give a day's files their rows, and write down that it is done, in one transaction."""
        at = self._progress
        refiled = self._refiler.day(vault, camera, day, next_day)
        for row in refiled.rows:
            count = at.counts.setdefault(camera, [0, row["start_ms"], row["end_ms"]])
            count[:] = [count[0] + 1, min(count[1], row["start_ms"]), max(count[2], row["end_ms"])]
        at.camera, at.day = camera, day
        at.days += 1
        at.files += len(refiled.rows) + refiled.settled
        at.imported += refiled.imported
        at.named += len(refiled.rows) - refiled.imported
        at.left += refiled.left
        at.unread += [] if refiled.listed else [f"segments/{camera}/{day}"]
        at.quarantined += refiled.quarantined

        def insert(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO camera (id, first_seen_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (camera, self._at.utc_ms),
            )
            db.executemany(_INSERT, refiled.rows)
            set_meta(db, POSITION, self._text())

        self._catalogue.write(insert)

    # R3, R4, R5 ---------------------------------------------------------------------------------------------

    def _each_camera(self, phase: str, work: Callable[[str], None], until: float) -> bool:
        """Do something for every camera, in order, from where it had come to; false when the time is up."""
        at = self._progress
        if phase in at.passed:
            return True
        cameras = {*self._catalogue.cameras(), *self._cameras}
        if phase == "gaps":
            cameras |= {camera for old in self._olds for camera in old.cameras() if CAMERA_NAME.match(camera)}
        if at.phase != phase:
            at.phase, at.camera = phase, ""
        for camera in sorted(cameras):
            if camera <= at.camera:
                continue
            if time.monotonic() >= until:
                return False
            work(camera)
            at.camera = camera
            self._save()
            self._step(_STEPS[phase])
        at.passed.append(phase)
        self._save()
        return True

    def _import_gaps(self, camera: str) -> None:
        latest_ms = max(self._at.utc_ms, self._began_ms or 0)
        for old in self._olds:
            told = (reborn.gap_from_old(gap, latest_ms) for gap in old.gaps(camera))
            self._insert_gaps(camera, [gap for gap in told if gap is not None])

    def _find_holes(self, camera: str) -> None:
        began_ms = self._began_ms
        if began_ms is None:
            return  # nobody knows what was recorded before it began, and what after
        covered = self._catalogue.read(
            f"SELECT start_ms, end_ms FROM segment WHERE camera = :camera AND trust != '{Trust.UNTRUSTED}'"  # noqa: S608 - constants
            f" UNION ALL SELECT start_ms, end_ms FROM gap WHERE camera = :camera AND {COVERING} ORDER BY start_ms",
            {"camera": camera},
        )
        covered += [
            (one.start_ms, one.reached_ms(self._at.utc_ms))
            for one in progress.read_all(self._state).values()
            if one.camera == camera
        ]
        to_ms = began_ms if camera in self._cameras else 0
        trust = Trust.HOLDOVER.value
        lost = [
            (hole.start_ms, hole.end_ms, GapCause.RECORD_LOST.value, "", trust, None)
            for hole in reborn.holes(sorted(covered), began_ms - RETENTION_MOST_MS, to_ms, GAP_MS)
        ]
        self._insert_gaps(camera, lost)

    def _insert_gaps(self, camera: str, gaps: list[tuple[Any, ...]]) -> None:
        """Write gaps that are not there yet, so many at a time that a recorder need not wait."""
        for first in range(0, len(gaps), _GAPS_A_TIME):
            some = gaps[first : first + _GAPS_A_TIME]

            def insert(db: sqlite3.Connection, some: list[tuple[Any, ...]] = some) -> int:
                db.execute(
                    "INSERT INTO camera (id, first_seen_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (camera, self._at.utc_ms),
                )
                return db.executemany(
                    _INSERT_GAP, [(camera, *gap, camera, *gap[:3]) for gap in some]
                ).rowcount

            self._progress.gaps += self._catalogue.write(insert)

    def _doubt_labels(self, camera: str) -> None:
        """Take back what was believed of rows that were made while nobody knew what is in the future; so many at a
        time that a recorder need not wait.
        """
        values = (Trust.UNTRUSTED.value, camera, self._at.utc_ms)
        while self._catalogue.write(lambda db: db.execute(_DOUBT, values).rowcount) == _LABELS_A_TIME:
            pass

    # R6, and where it has come to ---------------------------------------------------------------------------

    def _has_rows(self, uuid: str) -> list[str]:
        """Do R2; return the vaults that wait, of which a recorder may have told another meanwhile."""

        def write(db: sqlite3.Connection) -> list[str]:
            others = [other for other in notes.names(self._catalogue, UNRECONCILED, db) if other != uuid]
            set_meta(db, POSITION, self._text())
            set_meta(db, UNRECONCILED, json.dumps(others))
            note(db, uuid, None)
            return others

        return self._catalogue.write(write)

    def _is_stuck(self, uuid: str) -> None:
        """Do without a vault for now: it waits as one that is away."""
        at = self._progress
        places, at.unread = at.unread, []
        at.stuck.append(uuid)

        def write(db: sqlite3.Connection) -> None:
            set_meta(db, POSITION, self._text())
            note(db, uuid, places)

        self._catalogue.write(write)
        self._pauses.failed(uuid)

    def _finish(self) -> None:
        """Do R6; not while a vault is there that a recorder has told of meanwhile: it is done first."""
        at = self._progress
        body = {
            "reason": at.reason,
            "cameras": {
                camera: {"segments": count[0], "start_ms": count[1], "end_ms": count[2]}
                for camera, count in at.counts.items()
            },
            "imported": at.imported,
            "named": at.named,
            "left": at.left,
            "quarantined": at.quarantined,
            "gaps": at.gaps,
        }

        def write(db: sqlite3.Connection) -> list[str] | None:
            away = notes.names(self._catalogue, UNRECONCILED, db)
            if not (set(away) - set(at.stuck)).isdisjoint(self._vaults):
                return None
            told = body | {"vaults_away": sorted(away)}
            ledger.append(db, ledger.line(Fact(REBUILT, self._at, told)))
            set_meta(db, RECONCILE, None)
            set_meta(db, POSITION, None)
            if not away:
                set_meta(db, UNRECONCILED, None)
                set_meta(db, BEGAN, None)
            return away

        away = self._catalogue.write(write)
        if away is None:
            return
        at.phase = "done"
        self._step("R6")
        if not away:
            _thin_out(self._state)

    def _text(self) -> str:
        return json.dumps(asdict(self._progress), separators=(",", ":"))

    def _save(self) -> None:
        self._catalogue.write(lambda db: set_meta(db, POSITION, self._text()))


def _begin(catalogue: Catalogue, reason: str, stuck: list[str]) -> None:
    """Begin with what has come back, and without those that still cannot be read."""

    def write(db: sqlite3.Connection) -> None:
        set_meta(db, RECONCILE, reason)
        set_meta(db, POSITION, json.dumps(asdict(Progress(reason, stuck=stuck))))

    catalogue.write(write)


def _read(text: str | None, reason: str) -> Progress:
    """Read where a rebuilding had come to; with a damaged text it begins again, which does nothing twice."""
    told = notes.mild(text, {})
    usual = asdict(Progress(reason))
    if told.keys() != usual.keys() or any(type(told[key]) is not type(usual[key]) for key in usual):
        return Progress(reason)
    return Progress(**told)


def _thin_out(state: Path) -> None:
    """Remove all but the newest catalogues that were moved aside: no video is in them, and all they told is told.

    Not to be called while a vault is waited for: what they say of it is not told yet.
    """
    for place in asides(state)[:-ASIDES_KEPT]:
        with contextlib.suppress(OSError):
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
