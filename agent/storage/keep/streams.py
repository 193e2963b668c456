"""Live streams, the keeper's side: what is granted, to whom, until when; and the facts of it. The procedure:

    V1  one transaction: the fact `stream.granted`, and what there is to know of the grant, in its row: that of its
        command, or one of the table `stream` (selection.py). Those of a disaster mode begin by Y1 and Y2 (disaster.py)
    V2  the grant is a file for the uplink, <state>/exchange/grants/<grant>.json; of what lasts long it says the end of
        a lease, and is written anew before that: a keeper that is no more lets nothing run on
    V3  one transaction: the fact `stream.started`, when the uplink says that packets go out
    V4  when it is over (expired, revoked, locked down, its signer's key revoked, another boot, not configured any more,
        out of its hours): the row says why, and the file is removed; from here on the uplink sends nothing more, and
        would not have after its time anyway
    V5  one transaction: the fact `stream.stopped` with its bytes, when the uplink says that it has ended, or says
        nothing for REPORT_MS; the row says that it is over. Of a disaster mode the bytes wait in the row for Y5
    V6  the uplink's report is removed

Whatever is killed in between is done again in the next turn: V2 by the row, V4 to V6 by the row and the files. A file
of which no row tells gives nothing to anybody for longer than a turn. What is new is shown before what is over is taken
back: a camera that is granted again is not interrupted. What runs for days tells its bytes once a day.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from agent import grants
from agent.command import judge
from agent.errors import StorageFault
from agent.grants import Grant, Kind, Most, Report, Stage, Unreadable
from agent.model import Fact
from agent.storage import files
from agent.storage.granted import ENDING, GRANTS, REPORTS, listed, read
from agent.storage.keep import shown_rows
from agent.storage.keep.disaster import Disasters
from agent.storage.keep.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.health import Raised
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.keep.moment import Moment
    from agent.storage.keep.shown_rows import Shown

REPORT_MS = 10_000
"""So long the uplink has to say how many bytes it were; it may not run."""
COUNT_MS = 86_400_000
"""How often a stream that goes on tells its bytes."""
LEASES_MS = {Kind.DISASTER: 15 * 60_000, Kind.CONFIGURATION: 4 * 60_000}
"""For so long the file of what lasts long is good at a time; written anew when half of it is gone. A keeper that is
started again within that is not noticed."""


def grant_of(row: Shown, now_boot_ms: int) -> Grant:
    """Return what the uplink is told, from what the row knows."""
    note, lease_ms = row.note, LEASES_MS.get(row.kind)
    until_boot_ms = note["until_boot_ms"]
    if lease_ms is not None:
        until_boot_ms = min(until_boot_ms, now_boot_ms + lease_ms)
    return Grant(
        row.id,
        note["camera"],
        note["boot"],
        until_boot_ms,
        note["has_sub"],
        note["centre"],
        note["rank"],
        note["before_s"],
        Most(note["most"]),
    )


def put(state: Path, disk: Disk, grant: Grant) -> None:
    """Do V2. Raises StorageFault."""
    root = state / "exchange"
    for folder in (root, root / GRANTS, root / REPORTS):
        disk.make_directory(folder)
    disk.atomic_replace(_place(state, GRANTS, grant.grant), grants.encode_grant(grant), sync=False)


def take_back(state: Path, disk: Disk, name: str) -> None:
    """Remove a grant's file: V4. Raises StorageFault."""
    if files.is_directory(state / "exchange" / GRANTS):
        disk.unlink(_place(state, GRANTS, name))


def report_of(state: Path, disk: Disk, name: str) -> Report | None:
    """Return what the uplink said of a grant; None when that is nothing, or nothing that can be read: whatever lies
    there, no grant is taken back the later for it.
    """
    path = _place(state, REPORTS, name)
    if not files.is_regular(path):
        return None
    with contextlib.suppress(Unreadable, StorageFault):
        found = grants.parse_report(read(disk, path))
        return found if found.grant == name else None
    return None


class Streams:
    """All live streams of a box, turn by turn."""

    def __init__(self, box: str, state: Path, disk: Disk, step: Callable[[str], None]) -> None:
        """Look at nothing yet. `step`: told each numbered step."""
        self._box = box
        self._state = state
        self._disk = disk
        self._step = step
        self._selection = Selection(step)
        self._disasters = Disasters(box, step)
        self._lent: dict[str, int] = {}  # until when each file says, as this keeper wrote it

    def turn(self, catalogue: Catalogue, moment: Moment) -> list[Raised]:
        """Bring every stream on: V1 to V6 and Y2 to Y5; return what is to be told.

        Raises  StorageFault: the first of what failed; that of one stream keeps no other from its end
        """
        faults: list[StorageFault] = []
        if moment.locked_down:  # before anything is asked of a row: nothing leaves
            self._sweep(GRANTS, set(), faults)
        raised = [*self._disasters.look(catalogue, moment), *self._selection.look(catalogue, moment)]
        rows = shown_rows.open_rows(catalogue)
        for row in rows:
            with _others_go_on(faults):
                self._show(catalogue, row, moment)
        for row in rows:
            if not row.is_in_force:
                with _others_go_on(faults):
                    self._end(catalogue, row, moment)
        self._disasters.settle(catalogue, moment)
        known = {row.id for row in rows}
        self._lent = {name: until for name, until in self._lent.items() if name in known}
        self._sweep(GRANTS, known, faults)
        self._sweep(REPORTS, known, faults)
        if faults:
            raise faults[0]
        return raised

    def _sweep(self, folder: str, known: set[str], faults: list[StorageFault]) -> None:
        """Remove the files of which no row tells."""
        for path in listed(self._state / "exchange" / folder):
            if path.stem not in known:
                with _others_go_on(faults):
                    self._disk.unlink(path)

    def _show(self, catalogue: Catalogue, row: Shown, moment: Moment) -> None:
        """Do V2 and V3, or write down why it is over."""
        note = row.note
        if not note["started"]:
            report = report_of(self._state, self._disk, row.id)
            if report is not None and report.flowed:
                note["started"] = True
                fact = Fact("stream.started", moment.now, {"grant": row.id, "camera": row.camera})
                shown_rows.change(catalogue, row, [fact])
                self._step("V3")
        if not row.is_in_force:
            return
        why = self._why(row, moment)
        if why:
            note.update(ended=why, ended_boot_ms=moment.boot_ms)
            shown_rows.change(catalogue, row)
            return
        if self._is_due(row, moment.boot_ms):
            grant = grant_of(row, moment.boot_ms)
            put(self._state, self._disk, grant)
            self._lent[row.id] = grant.until_boot_ms
            self._step("V2")
        if moment.boot_ms - note["counted_boot_ms"] >= COUNT_MS:
            self._count(catalogue, row, moment)

    def _is_due(self, row: Shown, now_boot_ms: int) -> bool:
        """Tell whether a grant's file is to be written."""
        lent = self._lent.get(row.id)
        if lent is None or not files.is_regular(_place(self._state, GRANTS, row.id)):
            return True
        lease_ms = LEASES_MS.get(row.kind)
        if lease_ms is None or row.note["until_boot_ms"] <= lent:
            return bool(row.note["until_boot_ms"] != lent)
        return lent - now_boot_ms < lease_ms // 2

    def _why(self, row: Shown, moment: Moment) -> str:
        """Return why a grant is in force no more, "" while it is."""
        note = row.note
        if note["boot"] != moment.boot:
            return "restarted"
        if moment.boot_ms >= note["until_boot_ms"]:
            return "expired"
        if moment.locked_down:
            return "lockdown"
        if row.kind is Kind.DISASTER:
            return self._disasters.why(row, moment)
        if row.order is None:
            return self._selection.why(row, moment)
        # Only what is certain: of a ring that cannot be read just now nothing is concluded.
        held = moment.ring
        if (
            held is not None
            and judge.still_allowed(row.order, held, self._box, moment.now) == "COMMAND_REVOKED"
        ):
            return "key_revoked"
        return ""

    def _count(self, catalogue: Catalogue, row: Shown, moment: Moment) -> None:
        """Tell the bytes of what has been going on for a day: what is never taken back never tells them else."""
        row.note["counted_boot_ms"] = moment.boot_ms
        report = report_of(self._state, self._disk, row.id)
        facts = [] if report is None else [Fact("stream.counted", moment.now, _counts(row, report))]
        shown_rows.change(catalogue, row, facts)

    def _end(self, catalogue: Catalogue, row: Shown, moment: Moment) -> None:
        """Do V4 to V6."""
        note = row.note
        take_back(self._state, self._disk, row.id)
        self._step("V4")
        report = report_of(self._state, self._disk, row.id)
        is_over = report is not None and report.stage is Stage.OVER
        waited = moment.boot_ms >= note["ended_boot_ms"] + REPORT_MS or note["boot"] != moment.boot
        if not is_over and not waited:
            return
        said = report or Report(row.id, Stage.OVER)
        body = _counts(row, said) | {"reason": note["ended"], "flowed": said.flowed, "reported": is_over}
        note["over"] = True
        if row.kind is Kind.DISASTER:
            note.update(flowed=said.flowed, sent_bytes=said.sent_bytes, left_out=said.left_out)
            shown_rows.change(catalogue, row)
        else:
            shown_rows.change(catalogue, row, [Fact("stream.stopped", moment.now, body)])
        self._step("V5")
        with contextlib.suppress(
            StorageFault
        ):  # whatever lies there under that name: it is no report any more
            self._disk.unlink(_place(self._state, REPORTS, row.id))
        self._step("V6")


@contextlib.contextmanager
def _others_go_on(faults: list[StorageFault]) -> Iterator[None]:
    """Keep the fault of one file for later; that of the catalogue is everybody's."""
    try:
        yield
    except StorageFault as fault:
        if fault.code.startswith("CATALOGUE"):
            raise
        faults.append(fault)


def _counts(row: Shown, report: Report) -> dict[str, Any]:
    return {
        "grant": row.id,
        "camera": row.camera,
        "sent_bytes": report.sent_bytes,
        "left_out": report.left_out,
    }


def _place(state: Path, folder: str, name: str) -> Path:
    return state / "exchange" / folder / (name + ENDING)
