"""What the parent of `pasu record` says: conditions to the ledger and the log, everything to its health file."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.capture.identity import compare, doubt, learn
from agent.capture.vitals import Watch
from agent.health import Raised, Severity, Tracker, write_health
from agent.health.recording import judge_storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from agent.capture.supervisor import Supervisor
    from agent.clock import Clock
    from agent.config import Config

AGAIN_S = 600.0
"""A condition that comes and goes is not told to the ledger more often."""
PLAIN = ("rtsp:", "http:", "udp:")
GRAVE = (Severity.CRITICAL, Severity.ALARM)

log = logging.getLogger("pasu.record")


class Familiar:
    """Knows the device behind each camera's address again (fault D13)."""

    def __init__(self, known: Mapping[str, dict[str, Any]]) -> None:
        """Take what is remembered, by camera."""
        self._known = dict(known)
        self._differ: dict[str, list[str]] = {}

    def replace(self, known: Mapping[str, dict[str, Any]]) -> None:
        """Take what is remembered now: somebody said that a camera was exchanged."""
        self._known = dict(known)

    def see(self, states: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Compare what cameras show; return what is to be remembered from now on, by camera."""
        new: dict[str, dict[str, Any]] = {}
        for camera, state in states.items():
            seen = state.get("likeness")
            if not seen:
                continue
            known = self._known.get(camera)
            differ = self._differ[camera] = compare(known, seen) if known is not None else []
            learnt = doubt(known, differ) if known is not None and differ else learn(known, seen)
            if learnt is not None:
                new[camera] = self._known[camera] = learnt
        return new

    def differences(self, camera: str) -> list[str]:
        """Return in what the device differs from the one that is remembered."""
        return self._differ.get(camera, [])


class Bulletin:
    """Follows what is wrong, and says it."""

    def __init__(self, run: Path, supervisor: Supervisor, clock: Clock, familiar: Familiar) -> None:
        """Begin with nothing wrong. run: the directory of health files; where it cannot be made none is written."""
        self._run: Path | None = run
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            log.warning("no health file: %s: %s", run, error.strerror)
            self._run = None
        self._supervisor = supervisor
        self._clock = clock
        self._familiar = familiar
        self._tracker = Tracker()
        self._watch = Watch()
        self._told: dict[tuple[str, str], float] = {}
        self._trouble: dict[str, str] = {}
        self._cameras: dict[str, dict[str, Any]] = {}

    def hear(self, config: Config, raised: Iterable[Raised]) -> dict[str, dict[str, Any]]:
        """Take what the workers say, and what else is wrong; say what is new of it.

        Returns  what is to be remembered of cameras, as `Familiar.see`
        """
        now_s = self._clock.monotonic()
        self._tell_trouble()
        said = self._supervisor.cameras()
        states = {camera.id: said.get(camera.id, {"state": "waiting"}) for camera in config.cameras}
        new = self._familiar.see(states)
        for camera, state in states.items():
            if differences := self._familiar.differences(camera):
                state["identity"] = differences
        plain = [camera.id for camera in config.cameras if camera.url.startswith(PLAIN)]
        found = [*self._watch.raised(states, plain, now_s), *judge_storage(self._storage()), *raised]
        self._cameras = states
        for change in self._tracker.update(found, self._clock.now(), now_s):
            self._tell(change.raised, now_s, came=change.came, hidden_by=change.hidden_by)
        return new

    def _tell(self, raised: Raised, now_s: float, *, came: bool, hidden_by: str) -> None:
        condition = raised.condition
        detail = raised.detail or condition.what_english
        how = "condition" if came else f"hidden by {hidden_by}:" if hidden_by else "over:"
        level = logging.WARNING if came and condition.severity != Severity.INFO else logging.INFO
        log.log(level, "%s %s %s: %s", how, raised.code, raised.subject or "-", detail)
        key = (raised.code, raised.subject)
        if condition.severity not in GRAVE:
            return
        if came and now_s - self._told.get(key, -AGAIN_S) < AGAIN_S:
            return
        if not came and key not in self._told:
            return
        if came:
            self._told[key] = now_s
        body = {
            "code": raised.code,
            "subject": raised.subject,
            "severity": str(condition.severity),
            "detail": raised.detail,
        }
        if hidden_by:
            body["hidden_by"] = hidden_by
        self._supervisor.say("condition.raised" if came else "condition.cleared", body)

    def write(
        self,
        box: str,
        state: str,
        config: Mapping[str, Any],
        sealing: Mapping[str, Any],
        triggers: Mapping[str, Any],
    ) -> None:
        """Replace the health file.

        state     recording, stopped
        config    which file was looked at last, and what became of it; sealing: whom segments are sealed to
        triggers  what listens to bells and sensors, empty where there are none
        """
        if self._run is None:
            return
        now = self._clock.now()
        body = {
            "process": "record",
            "version": __version__,
            "box": box,
            "pid": os.getpid(),
            "state": state,
            "at_ms": now.utc_ms,
            "trust": str(now.trust),
            "boot_ms": int(self._clock.monotonic() * 1000),
            "workers": [
                {"name": each.assignment.name, "pid": each.pid, "cameras": list(each.assignment.cameras)}
                for each in self._supervisor.workers
            ],
            "workers_lost": self._supervisor.lost,
            "cameras": {camera: _shown(state) for camera, state in self._cameras.items()},
            "storage": self._storage(),
            "config": dict(config),
            "sealing": dict(sealing),
            "triggers": dict(triggers),
            "conditions": self._tracker.to_json(),
            "hidden": self._tracker.hidden(),
        }
        try:
            write_health(self._run, "record", body)
        except OSError as error:
            _warn_once(f"no health file: {error.strerror}")

    def _storage(self) -> dict[str, dict[str, Any]]:
        """Return what cannot be stored, by worker; empty while all is well."""
        found = {each.assignment.name: each.state.get("storage") for each in self._supervisor.workers}
        return {name: trouble for name, trouble in found.items() if trouble}

    def _tell_trouble(self) -> None:
        """Log what has changed since the last time about what cannot be stored."""
        found = {
            f"{worker} {name}": f"{fault['code']} {fault['where']}"
            for worker, trouble in self._storage().items()
            for name, fault in trouble.items()
        }
        for name, fault in found.items():
            if self._trouble.get(name) != fault:
                log.error("%s: %s", name, fault)
        for name in self._trouble.keys() - found.keys():
            log.info("%s: works again", name)
        self._trouble = found


def _shown(state: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is between worker and parent."""
    return {name: value for name, value in state.items() if name not in ("likeness", "conditions")}


@lru_cache(maxsize=8)
def _warn_once(text: str) -> None:
    """Log a warning the first time; what is wrong with the run directory is wrong every two seconds."""
    log.warning(text)
