"""Tell what is wrong: to the log, the graver things to the ledger, and all of it to the health file."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.health import Raised, Severity, Tracker, write_health
from agent.model import Fact
from agent.storage import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

AGAIN_S = 600.0
"""A condition that comes and goes is not told to the ledger more often."""
BEAT_MS = 5000
_GRAVE = (Severity.CRITICAL, Severity.ALARM)

log = logging.getLogger("pasu.keep")


class Teller:
    """Follows the conditions of one process."""

    def __init__(self, run: Path | None, process: str, monotonic: Callable[[], float]) -> None:
        """Begin with nothing wrong. `run` is the directory of health files; None writes none."""
        self.tracker = Tracker()
        self._run = run
        self._process = process
        self._monotonic = monotonic
        self._told: dict[tuple[str, str], float] = {}
        self._no_file = False
        self._body: dict[str, Any] = {}

    def conditions(self, raised: Iterable[Raised], now: Instant, catalogue: Catalogue | None) -> None:
        """Take what holds now, all of it.

        catalogue  for facts; those that it does not take are lost, and the log has them
        """
        facts = []
        for change in self.tracker.update(raised, now, self._monotonic()):
            each, came = change.raised, change.came
            log.log(
                logging.WARNING if came else logging.INFO,
                "%s %s %s: %s",
                "condition" if came else f"hidden by {change.hidden_by}:" if change.hidden_by else "over:",
                each.code,
                each.subject or "-",
                each.detail or each.condition.what_english,
            )
            severity = each.condition.severity
            if severity in _GRAVE and self._is_worth_a_fact(each, came=came):
                body = {
                    "code": each.code,
                    "subject": each.subject,
                    "severity": str(severity),
                    "detail": each.detail,
                }
                if change.hidden_by:
                    body["hidden_by"] = change.hidden_by
                facts.append(Fact("condition.raised" if came else "condition.cleared", now, body))
        if facts and catalogue is not None:
            lines = [ledger.line(fact) for fact in facts]
            try:
                catalogue.write(lambda db: [ledger.append(db, line) for line in lines])
            except StorageFault as fault:
                log.warning("%d facts of conditions are not in the ledger: %s", len(facts), fault.code)

    def health(self, now: Instant, more: dict[str, Any]) -> None:
        """Write the health file; that it cannot be written is logged once."""
        body = {
            "process": self._process,
            "pid": os.getpid(),
            "at_ms": now.utc_ms,
            "trust": str(now.trust),
            "boot_ms": int(self._monotonic() * 1000),
            "conditions": self.tracker.to_json(),
            "hidden": self.tracker.hidden(),
            **more,
        }
        self._body = body
        self._write()

    def beat(self) -> None:
        """Say that a long turn goes on: what was said last, with a new time."""
        boot_ms = int(self._monotonic() * 1000)
        if self._body and boot_ms - self._body["boot_ms"] >= BEAT_MS:
            self._body["boot_ms"] = boot_ms
            self._write()

    def _write(self) -> None:
        if self._run is None:
            return
        body = self._body
        try:
            write_health(self._run, self._process, body)
        except OSError as error:
            if not self._no_file:
                log.warning("no health file: %s: %s", self._run, error.strerror)
            self._no_file = True
        else:
            self._no_file = False

    def _is_worth_a_fact(self, each: Raised, *, came: bool) -> bool:
        key, mono = (each.code, each.subject), self._monotonic()
        if not came:
            return key in self._told
        if mono - self._told.get(key, -AGAIN_S) < AGAIN_S:
            return False
        self._told[key] = mono
        return True
