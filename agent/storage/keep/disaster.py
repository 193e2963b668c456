"""Disaster mode: all RTSP cameras of a box are shown at once to one centre, by an officer's order. The procedure:

    Y1  one transaction: the fact `disaster.started`, and what there is to know of the mode, in its command's row; a
        mode before it ends by that ("renewed")
    Y2  one transaction: a row for each of its cameras; from here on each goes on by V2 to V4 of streams.py. No fact:
        that of Y1 names them. Its file is lent for LEASE_MS, again and again
    Y3  one transaction, in another boot, once the time is trusted: the fact `disaster.resumed`, and its new end by the
        clock of this boot; its cameras begin anew by Y2
    Y4  the mode is over (expired, stopped, renewed, lockdown, its signer's key revoked): its row says why
    Y5  one transaction, when the last of its cameras has ended: the fact `disaster.stopped` with the bytes of each, and
        its rows are forgotten

Whatever is killed in between is done again in the next turn, by the row of the command.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from agent.command import judge
from agent.grants import Kind
from agent.health import Raised
from agent.model import Fact
from agent.storage.keep import orders_rows, shown_rows, standing
from agent.storage.keep.shown_rows import Shown
from agent.storage.keep.standing import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.moment import Moment
    from agent.storage.keep.orders_rows import Row

COMMAND = "disaster.start"
_STAYS_OFF = ("revoked", "unconfigured")


class Disasters:
    """The disaster modes of a box: one, and those before it that have not come to their end."""

    def __init__(self, box: str, step: Callable[[str], None]) -> None:
        """Look at nothing yet. `step`: told each numbered step."""
        self._box = box
        self._step = step
        self._ended: dict[str, str] = {}

    def look(self, catalogue: Catalogue, moment: Moment) -> list[Raised]:
        """Do Y2 to Y4; return what is to be told. Raises StorageFault."""
        raised = []
        self._ended = {}
        for row in orders_rows.shown(catalogue, COMMAND):
            name, note = row.order.id, dict(row.note or {})
            if not note["ended"]:
                mode = standing.mode_of(note, moment.boot, moment.boot_ms, moment.now)
                why = self._why(row, mode, moment)
                if why:
                    note.update(ended=why, ended_boot_ms=moment.boot_ms)
                    orders_rows.change(catalogue, name, note=note)
                    self._step("Y4")
                elif mode is Mode.SUSPENDED:
                    raised.append(Raised("disaster.suspended"))
                else:
                    if mode is Mode.RESUME:
                        self._resume(catalogue, name, note, moment)
                    self._show(catalogue, name, note, moment)
                    raised.append(Raised("disaster.on", detail=str(len(note["cameras"]))))
            self._ended[name] = note["ended"]
        return raised

    def why(self, row: Shown, moment: Moment) -> str:
        """Return why a camera of a mode is shown no more, "" while it is. Asked after `look`."""
        ended = self._ended.get(row.source, "renewed")
        config = moment.config
        if ended or config is None:  # of one that cannot be read nothing is concluded
            return ended
        return "" if standing.can_be_shown(config, row.camera, row.note["centre"]) else "unconfigured"

    def settle(self, catalogue: Catalogue, moment: Moment) -> None:
        """Do Y5 for modes of which the last camera has ended. Raises StorageFault."""
        for row in orders_rows.shown(catalogue, COMMAND):
            name, note = row.order.id, dict(row.note or {})
            rows = shown_rows.of(catalogue, Kind.DISASTER, name)
            if not note["ended"] or not all(each.note["over"] for each in rows):
                continue
            shown_rows.close_mode(
                catalogue, name, note, Fact("disaster.stopped", moment.now, _stopped(name, note, rows))
            )
            self._step("Y5")

    def _why(self, row: Row, mode: Mode, moment: Moment) -> str:
        if moment.locked_down:
            return "lockdown"
        # Only what is certain: of a ring that cannot be read just now nothing is concluded.
        held = moment.ring
        if (
            held is not None
            and judge.still_allowed(row.order, held, self._box, moment.now) == "COMMAND_REVOKED"
        ):
            return "key_revoked"
        return str(mode) if mode in (Mode.EXPIRED, Mode.RESTARTED) else ""

    def _resume(self, catalogue: Catalogue, name: str, note: dict[str, Any], moment: Moment) -> None:
        """Do Y3."""
        note.update(boot=moment.boot, until_boot_ms=moment.boot_ms + standing.left_ms(note, moment.now))
        body = {"disaster": name, "until_ms": note["until_ms"]}
        orders_rows.change(catalogue, name, [Fact("disaster.resumed", moment.now, body)], note=note)
        self._step("Y3")

    def _show(self, catalogue: Catalogue, name: str, note: dict[str, Any], moment: Moment) -> None:
        """Do Y2 for the cameras that have no row of this boot; one that somebody revoked stays off."""
        config = moment.config
        if config is None:
            return
        last = {row.camera: row.note for row in shown_rows.of(catalogue, Kind.DISASTER, name)}
        new = []
        for camera_id in note["cameras"]:
            before = last.get(camera_id)
            if before is not None and (before["boot"] == moment.boot or before["ended"] in _STAYS_OFF):
                continue
            camera = standing.can_be_shown(config, camera_id, note["centre"])
            if camera is not None:
                row_note = shown_rows.note_of(
                    Kind.DISASTER,
                    camera,
                    moment.boot,
                    moment.boot_ms,
                    note["until_boot_ms"],
                    until_ms=note["until_ms"],
                    centre=note["centre"],
                )
                new.append(Shown(os.urandom(16).hex(), Kind.DISASTER, name, camera_id, row_note))
        if new:
            shown_rows.begin(catalogue, new)
            self._step("Y2")


def _stopped(name: str, note: dict[str, Any], rows: list[Shown]) -> dict[str, Any]:
    cameras: dict[str, dict[str, Any]] = {}
    for camera in note["cameras"]:
        mine = [row.note for row in rows if row.camera == camera]
        cameras[camera] = {
            "flowed": any(each.get("flowed", False) for each in mine),
            "sent_bytes": sum(each.get("sent_bytes", 0) for each in mine),
            "left_out": sum(each.get("left_out", 0) for each in mine),
        }
    return {
        "disaster": name,
        "reason": note["ended"],
        "by": note.get("by", ""),
        "said": note.get("said", ""),
        "cameras": cameras,
        "sent_bytes": sum(each["sent_bytes"] for each in cameras.values()),
    }
