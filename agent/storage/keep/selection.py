"""Streams that nobody asks for one by one: those that the configuration selects, and those that triggers start.

Each begins with V1 of streams.py, as one by order does: one transaction with its row and its fact. It goes on until
what it stands for is no more: hours, table, camera, minutes. Hours need a time that is trusted.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any

from agent.grants import FOREVER_MS, MONITORING, Kind
from agent.health import Raised
from agent.model import Fact
from agent.storage.keep import shown_rows, standing
from agent.storage.keep.hold import EDITION
from agent.storage.keep.shown_rows import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent.config.values import Camera, Trigger
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.moment import Moment
    from agent.storage.keep.standing import Event, Selected

HOUR_MS = 3_600_000
MOST_AN_HOUR = 12
"""So often a trigger starts streams: a bell that jams, or that somebody plays, fills neither ledger nor line. What it
says beyond that is in the ledger, and health tells of it; a stream of its that runs is made longer all the same."""
MOST_TRIGGERED = 64
MOST_EVENTS = 64
"""Read in a turn."""
_EVENTS = (
    "SELECT seq, at_ms, body FROM ledger WHERE kind = 'event.triggered' AND seq > ? ORDER BY seq LIMIT ?"
)
_LAST = "SELECT seq FROM ledger WHERE kind = 'event.triggered' ORDER BY seq DESC LIMIT 1 OFFSET ?"


class Selection:
    """Begins such streams, and says why one ends."""

    def __init__(self, step: Callable[[str], None]) -> None:
        """Look at nothing yet. `step`: told each numbered step."""
        self._step = step
        self._due: Mapping[str, Selected] = {}
        self._ledger: str | None = None
        self._seq = 0
        self._looked_boot_ms: int | None = None
        self._begun: dict[str, deque[int]] = {}
        self._restless: dict[str, int] = {}

    def look(self, catalogue: Catalogue, moment: Moment) -> list[Raised]:
        """Begin what is due, and lengthen what a trigger says again; return what is wrong. Raises StorageFault."""
        due, unsure = standing.selected(moment.config, moment.now) if moment.config else ({}, [])
        self._due = due
        fresh = self._events(catalogue, moment)
        if moment.locked_down:
            return []
        rows = [
            row
            for row in shown_rows.open_rows(catalogue)
            if row.is_in_force and row.note["boot"] == moment.boot
        ]
        for wanted in due.values():
            self._select(catalogue, moment, wanted, rows)
        for event in fresh:
            self._start(catalogue, moment, event, rows)
        restless = [name for name, until in self._restless.items() if moment.boot_ms < until]
        return [
            *(Raised("stream.unscheduled", camera) for camera in sorted({*unsure})),
            *(Raised("trigger.restless", name) for name in restless),
        ]

    def why(self, row: Shown, moment: Moment) -> str:
        """Return why one of these is in force no more, "" while it is. Asked after `look`."""
        config = moment.config
        centre = row.note["centre"]
        if config is None or standing.can_be_shown(config, row.camera, centre) is None:
            return "unconfigured"
        if row.kind is Kind.TRIGGER:
            trigger = _trigger(moment, row.source)
            return "" if trigger is not None and row.camera in trigger.cameras else "unconfigured"
        wanted = self._due.get(row.source)
        if wanted is not None:
            return "" if wanted.mark == row.note["mark"] else "unconfigured"
        listed = any((each.camera, each.centre or "") == (row.camera, centre) for each in config.streams)
        return "hours" if listed else "unconfigured"

    def _select(self, catalogue: Catalogue, moment: Moment, wanted: Selected, rows: Sequence[Shown]) -> None:
        """Do V1 for a selected camera, unless it is shown already, or was revoked."""
        if any(
            row.source == wanted.source and row.note["mark"] == wanted.mark
            for row in _of(rows, Kind.CONFIGURATION)
        ):
            return
        before = shown_rows.of(catalogue, Kind.CONFIGURATION, wanted.source)
        last = before[-1] if before else None
        if standing.stays_off(wanted, last.note if last else None):
            assert last is not None, "what stays off was revoked"
            if last.note["window_ms"] is None and wanted.window_ms is not None:
                last.note["window_ms"] = wanted.window_ms  # it was revoked when nobody knew the time
                shown_rows.change(catalogue, last)
            return
        kind, camera = Kind.CONFIGURATION, wanted.camera
        note = shown_rows.note_of(
            kind,
            camera,
            moment.boot,
            moment.boot_ms,
            FOREVER_MS,
            centre=wanted.centre,
            most=wanted.most,
            mark=wanted.mark,
            window_ms=wanted.window_ms,
        )
        row = Shown(os.urandom(16).hex(), kind, wanted.source, camera.id, note)
        shown_rows.begin(catalogue, [row], [_granted(row, moment, camera, {})])
        self._step("V1")

    def _events(self, catalogue: Catalogue, moment: Moment) -> list[Event]:
        """Return the events that are new, and happened just now."""
        ledger = catalogue.meta("ledger")
        if ledger != self._ledger:
            self._ledger, self._looked_boot_ms = ledger, None
            last = catalogue.read(_LAST, (MOST_EVENTS,))
            self._seq = last[0][0] if last else 0
        rows = catalogue.read(_EVENTS, (self._seq, MOST_EVENTS))
        looked, self._looked_boot_ms = self._looked_boot_ms, moment.boot_ms
        if rows:
            self._seq = rows[-1][0]
        now_ms = moment.now.utc_ms
        return [
            event
            for event in standing.events(rows)
            if standing.is_fresh(event, now_ms, moment.boot_ms, looked)
        ]

    def _start(self, catalogue: Catalogue, moment: Moment, event: Event, rows: list[Shown]) -> None:
        """Show the cameras of a trigger from now on for its minutes: V1, or what is shown already for longer."""
        trigger = _trigger(moment, event.trigger)
        if trigger is None or moment.config is None:
            return
        until_boot_ms = moment.boot_ms + trigger.minutes * 60_000
        until_ms = moment.now.utc_ms + trigger.minutes * 60_000
        new = []
        for camera_id in trigger.cameras:
            camera = standing.can_be_shown(moment.config, camera_id, "")
            mine = [
                row for row in _of(rows, Kind.TRIGGER) if (row.source, row.camera) == (trigger.id, camera_id)
            ]
            for row in mine:
                if row.note["event"] < event.seq:
                    row.note.update(until_boot_ms=until_boot_ms, until_ms=until_ms, event=event.seq)
                    shown_rows.change(catalogue, row)
            if not mine and camera is not None and not self._is_quiet(catalogue, moment, event, camera_id):
                new.append(self._row(moment, trigger, camera, until_boot_ms, until_ms, event))
        if not new or not self._may_begin(
            trigger.id, moment.boot_ms, len([*_of(rows, Kind.TRIGGER)]) + len(new)
        ):
            return
        more = {"trigger": trigger.id, "event": event.seq, "minutes": trigger.minutes}
        facts = [_granted(row, moment, moment.config.camera(row.camera), more) for row in new]
        shown_rows.begin(catalogue, new, facts)
        rows += new
        self._step("V1")

    def _row(  # noqa: PLR0917 - all of them are what it is
        self,
        moment: Moment,
        trigger: Trigger,
        camera: Camera,
        until_boot_ms: int,
        until_ms: int,
        event: Event,
    ) -> Shown:
        note = shown_rows.note_of(
            Kind.TRIGGER,
            camera,
            moment.boot,
            moment.boot_ms,
            until_boot_ms,
            until_ms=until_ms,
            before_s=trigger.before_s,
            event=event.seq,
        )
        return Shown(os.urandom(16).hex(), Kind.TRIGGER, trigger.id, camera.id, note)

    def _is_quiet(self, catalogue: Catalogue, moment: Moment, event: Event, camera: str) -> bool:
        """Tell whether an event starts nothing: it was heard before, or what the trigger showed was revoked.

        What was revoked stays off for as long as it would have been shown.
        """
        before = shown_rows.of(catalogue, Kind.TRIGGER, event.trigger, camera)
        if not before:
            return False
        note = before[-1].note
        heard: bool = note["event"] >= event.seq
        revoked = note["ended"] == "revoked" and note["boot"] == moment.boot
        return heard or bool(revoked and moment.boot_ms < note["until_boot_ms"])

    def _may_begin(self, trigger: str, now_boot_ms: int, shown: int) -> bool:
        begun = self._begun.setdefault(trigger, deque())
        while begun and now_boot_ms - begun[0] >= HOUR_MS:
            begun.popleft()
        if len(begun) >= MOST_AN_HOUR or shown > MOST_TRIGGERED:
            self._restless[trigger] = now_boot_ms + HOUR_MS
            return False
        begun.append(now_boot_ms)
        return True


def _of(rows: Sequence[Shown], kind: Kind) -> Iterator[Shown]:
    return (row for row in rows if row.kind is kind)


def _trigger(moment: Moment, name: str) -> Trigger | None:
    triggers = moment.config.triggers if moment.config is not None else ()
    return next((trigger for trigger in triggers if trigger.id == name), None)


def _granted(row: Shown, moment: Moment, camera: Camera | None, more: dict[str, Any]) -> Fact:
    """Write the fact of a grant that nobody gave: for the camera's own purpose."""
    body = {
        "grant": row.id,
        "kind": str(row.kind),
        "camera": row.camera,
        "centre": row.note["centre"],
        "operator": "",
        "purpose": str(camera.purpose) if camera is not None else "",
        "ground": MONITORING,
        "grounds": EDITION,
        "minutes": 0,
        "until_ms": row.note["until_ms"],
        "person": "",
    }
    return Fact("stream.granted", moment.now, body | more)
