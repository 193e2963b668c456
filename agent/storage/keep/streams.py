"""Live streams, the keeper's side: what is granted, to whom, until when; and the facts of it. The procedure:

    V1  one transaction: the fact `stream.granted`, and what there is to know of the grant, in its command's row
    V2  the grant is a file for the uplink, <state>/exchange/grants/<grant>.json
    V3  one transaction: the fact `stream.started`, when the uplink says that packets go out
    V4  when it is over (expired, revoked, locked down, its signer's key revoked, another boot): the row says why, and
        the file is removed; from here on the uplink sends nothing more, and would not have after its time anyway
    V5  one transaction: the fact `stream.stopped` with its bytes, when the uplink says that it has ended, or says
        nothing for REPORT_MS; the row says that it is over
    V6  the uplink's report is removed

Whatever is killed in between is done again in the next turn: V2 by the row, V4 to V6 by the row and the files. A file
of which no row tells gives nothing to anybody for longer than a turn.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from agent import grants
from agent.command import judge
from agent.grants import Grant, Report, Stage, Unreadable
from agent.model import Fact
from agent.storage import files
from agent.storage.granted import ENDING, GRANTS, REPORTS, listed, read
from agent.storage.keep import orders_rows
from agent.storage.keep.orders_files import is_locked_down

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.command.ring import Ring
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.keep.orders_rows import Row

REPORT_MS = 10_000
"""So long the uplink has to say how many bytes it were; it may not run."""


def grant_of(note: dict[str, Any], name: str) -> Grant:
    """Return what the uplink is told, from what the row knows."""
    return Grant(name, note["camera"], note["boot"], note["until_boot_ms"], note["has_sub"])


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
    """Return what the uplink said of a grant; None when that is nothing, or nothing that can be read.

    Raises  StorageFault
    """
    path = _place(state, REPORTS, name)
    if not files.is_regular(path):
        return None
    with contextlib.suppress(Unreadable):
        found = grants.parse_report(read(disk, path))
        return found if found.grant == name else None
    return None


class Streams:
    """All grants of a box, turn by turn."""

    def __init__(self, box: str, state: Path, disk: Disk, step: Callable[[str], None]) -> None:
        """Look at nothing yet. `step`: told each numbered step."""
        self._box = box
        self._state = state
        self._disk = disk
        self._step = step

    def turn(
        self, catalogue: Catalogue, now: Instant, boot: str, now_boot_ms: int, ring: Ring | None
    ) -> None:
        """Bring every grant on: V2 to V6. Raises StorageFault."""
        rows = orders_rows.shown(catalogue)
        known = set()
        for row in rows:
            known.add(row.order.id)
            self._tend(catalogue, row, now, boot, now_boot_ms, ring)
        root = self._state / "exchange"
        for folder in (GRANTS, REPORTS):
            for path in listed(root / folder):
                if path.stem not in known:
                    self._disk.unlink(path)

    def _tend(  # noqa: PLR0917 - as above
        self,
        catalogue: Catalogue,
        row: Row,
        now: Instant,
        boot: str,
        now_boot_ms: int,
        ring: Ring | None,
    ) -> None:
        name, note = row.order.id, dict(row.note or {})
        report = report_of(self._state, self._disk, name)
        if report is not None and report.flowed and not note["started"]:
            note["started"] = True
            fact = Fact("stream.started", now, {"grant": name, "camera": note["camera"]})
            orders_rows.change(catalogue, name, [fact], note=note)
            self._step("V3")
        if not note["ended"]:
            note["ended"] = self._why(row, note, now, boot, now_boot_ms, ring)
            if not note["ended"]:
                if not files.is_regular(_place(self._state, GRANTS, name)):
                    put(self._state, self._disk, grant_of(note, name))
                    self._step("V2")
                return
            note["ended_boot_ms"] = now_boot_ms
            orders_rows.change(catalogue, name, note=note)
        take_back(self._state, self._disk, name)
        self._step("V4")
        said = report is not None and report.stage is Stage.OVER
        elsewhere = note["boot"] != boot
        if said or elsewhere or now_boot_ms >= note["ended_boot_ms"] + REPORT_MS:
            self._end(catalogue, name, note, report, now)

    def _why(  # noqa: PLR0917 - as above
        self,
        row: Row,
        note: dict[str, Any],
        now: Instant,
        boot: str,
        now_boot_ms: int,
        ring: Ring | None,
    ) -> str:
        """Return why a grant is in force no more, "" while it is."""
        if note["boot"] != boot:
            return "restarted"
        if now_boot_ms >= note["until_boot_ms"]:
            return "expired"
        if is_locked_down(self._state):
            return "lockdown"
        # Only what is certain: of a ring that cannot be read just now nothing is concluded.
        if ring is not None and judge.still_allowed(row.order, ring, self._box, now) == "COMMAND_REVOKED":
            return "key_revoked"
        return ""

    def _end(
        self, catalogue: Catalogue, name: str, note: dict[str, Any], report: Report | None, now: Instant
    ) -> None:
        """Do V5 and V6."""
        said = report or Report(name, Stage.OVER)
        body = {
            "grant": name,
            "camera": note["camera"],
            "reason": note["ended"],
            "flowed": said.flowed,
            "sent_bytes": said.sent_bytes,
            "left_out": said.left_out,
            "reported": report is not None and report.stage is Stage.OVER,
        }
        orders_rows.change(catalogue, name, [Fact("stream.stopped", now, body)], note={**note, "over": True})
        self._step("V5")
        self._disk.unlink(_place(self._state, REPORTS, name))
        self._step("V6")


def revoked(row: Row, now_boot_ms: int) -> dict[str, Any]:
    """Return the note of a grant that is taken back."""
    return {**(row.note or {}), "ended": "revoked", "ended_boot_ms": now_boot_ms}


def _place(state: Path, folder: str, name: str) -> Path:
    return state / "exchange" / folder / (name + ENDING)
