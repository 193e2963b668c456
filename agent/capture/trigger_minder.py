"""What the parent of the recording workers does about the process that listens to triggers: it lives, or is replaced.

It never waits, and where there is no trigger it does nothing at all.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
from typing import TYPE_CHECKING, Any

from agent.capture.child import Worker, ended, resident, start
from agent.capture.roster import Assignment
from agent.capture.triggers import Trigger
from agent.config.sources import MqttSource
from agent.health import Raised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.clock import Clock
    from agent.config import Config, Secrets

AWAY = "trigger.away"
REACTION_S = 3
"""From a bell to somebody who listens at the camera's past socket: the keeper's turn, the grant, a session with the
media server. So much more is kept, so that what is handed out then begins `before_s` before the bell."""
HANG_S = 10.0
START_S = 20.0
STOP_S = 6.0
GONE_S = 2.0  # for a killed one to go
RESTART_FIRST_S = 0.5
RESTART_MOST_S = 10.0
STABLE_S = 60.0
MEMORY_BYTES = 256 << 20  # it holds counts, and a few facts that wait for the catalogue

log = logging.getLogger("pasu.record")


def triggers_of(config: Config, secrets: Secrets) -> list[Trigger]:
    """Return what is to be known of each trigger; log-ins travel on over a socket, and nowhere else."""
    found = []
    for each in config.triggers:
        source = each.source
        if isinstance(source, MqttSource):
            login = secrets.broker(source.host)
            found.append(
                Trigger(
                    each.id,
                    "mqtt",
                    (source.host, source.port, source.topic),
                    None if each.payload is None else each.payload.encode(),
                    each.cameras,
                    (login.username, login.password) if login is not None else None,
                )
            )
        else:
            place = (source.chip, source.line, source.edge)
            found.append(Trigger(each.id, "gpio", place, None, each.cameras))
    return found


def past_of(config: Config) -> dict[str, int]:
    """Return how many last seconds of which cameras are to be kept."""
    asked: dict[str, int] = {}
    for trigger in config.triggers:
        for camera in trigger.cameras:
            if trigger.before_s:
                asked[camera] = max(trigger.before_s + REACTION_S, asked.get(camera, 0))
    return asked


class TriggerMinder:
    """Keeps a process listening while there are triggers."""

    def __init__(self, state: str, command: Sequence[str], clock: Clock) -> None:
        """Start nothing yet.

        state    the state directory
        command  argv that starts the process; two file descriptor numbers are appended
        """
        self._state = state
        self._command = tuple(command)
        self._clock = clock
        self._triggers: list[Trigger] = []
        self._worker: Worker | None = None
        self._due = 0.0
        self._failures = 0
        self.lost = 0

    @property
    def pid(self) -> int | None:
        """Return the process's number while there is one."""
        return self._worker.pid if self._worker else None

    def want(self, triggers: Sequence[Trigger]) -> None:
        """Have these listened to from now on."""
        same = list(triggers) == self._triggers
        self._triggers = list(triggers)
        worker = self._worker
        if worker is None or same or worker.ends_by is not None:
            return
        if self._triggers:
            self._say({"triggers": [each.to_json() for each in triggers]})
        else:
            self._end(worker)

    def turn(self) -> None:
        """See to the process: to be called about every second."""
        worker, now = self._worker, self._clock.monotonic()
        if worker is None:
            if self._triggers and now >= self._due:
                self._start(now)
            return
        while worker.hear(now):
            pass
        how = ended(worker)
        if how is not None:
            self._gone(worker, how, now)
        elif not worker.killed and worker.ends_by is not None and now > worker.ends_by:
            self._kill(worker, "hung")
        elif not worker.killed and worker.ends_by is None:
            if now - worker.beaten > (HANG_S if worker.state else START_S):
                self._kill(worker, "hung")
            elif resident(worker.pid) > MEMORY_BYTES:
                self._kill(worker, "memory")

    def raised(self) -> list[Raised]:
        """Return the triggers that are not listened to."""
        state = self._worker.state if self._worker is not None else {}
        if not state:
            return [Raised(AWAY, each.id, "the process that listens does not run") for each in self._triggers]
        known = {each.id for each in self._triggers}
        return [Raised(AWAY, name, why) for name, why in sorted(state["away"].items()) if name in known]

    def to_json(self) -> dict[str, Any]:
        """Return the part `triggers` of the health file; empty where there is none."""
        if not self._triggers:
            return {}
        heard = self._worker.state.get("heard", {}) if self._worker is not None else {}
        return {"pid": self.pid, "lost": self.lost, "heard": heard}

    def ask_to_stop(self) -> None:
        """Have the process end; `stop` waits for it."""
        self._triggers = []
        if self._worker is not None and self._worker.ends_by is None:
            self._end(self._worker)

    def stop(self) -> bool:
        """End the process, and wait for that; false when it does not go even when it is killed."""
        self.ask_to_stop()
        until = self._clock.monotonic() + STOP_S + GONE_S
        while self._worker is not None and self._clock.monotonic() < until:
            self.turn()
            if self._worker is not None:
                select.select([], [], [], 0.02)
        return self._worker is None

    def _start(self, now: float) -> None:
        order = {
            "settings": {"state": self._state, "triggers": [each.to_json() for each in self._triggers]},
            "cause": "",
        }
        try:
            self._worker = start(self._command, Assignment("triggers", "triggers", {}), order, now)
        except OSError as error:
            log.error("nobody listens to triggers: %s", error.strerror)  # noqa: TRY400 - that is all there is
            self._due = now + RESTART_MOST_S

    def _say(self, message: dict[str, Any]) -> None:
        assert self._worker is not None
        try:
            self._worker.control.send(json.dumps(message).encode())
        except BlockingIOError:  # it has not listened for a megabyte
            self._kill(self._worker, "hung")
        except OSError:
            log.info("the process that listens to triggers is gone and is told nothing")

    def _end(self, worker: Worker) -> None:
        worker.ends_by = self._clock.monotonic() + STOP_S
        self._say({"stop": True})

    def _gone(self, worker: Worker, how: str, now: float) -> None:
        asked = worker.ends_by is not None
        self._let_go(worker)
        if asked:
            self._due = now
            return
        self.lost += 1
        failures = 0 if now - worker.started > STABLE_S else self._failures
        self._failures = min(failures + 1, 8)
        delay = min(RESTART_MOST_S, RESTART_FIRST_S * 2**failures)
        self._due = now + delay
        log.error("the process that listens to triggers (%d) is gone: %s", worker.pid, how)

    def _kill(self, worker: Worker, why: str) -> None:
        log.error("the process that listens to triggers (%d) is killed: %s", worker.pid, why)
        worker.killed = why
        os.kill(worker.pid, signal.SIGKILL)

    def _let_go(self, worker: Worker) -> None:
        worker.control.close()
        worker.shared.close()
        self._worker = None
