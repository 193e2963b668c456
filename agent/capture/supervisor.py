"""The parent of the recording workers: starts them, hears their heartbeats, replaces the hung and the dead.

It does nothing else, so that nothing can make it fail: no camera bytes, no database while all is well, no threads. One
worker carries all RTSP cameras (more by core when there are very many); each source that needs libav has its own. A
camera that was being served when its worker crashed or hung gets a worker of its own from then on: the next time, it
costs only itself. One that goes on crashing is put under quarantine (agent/capture/poison.py); of what it had sent last
only the hash is kept, for it is video.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent.capture.child import Worker, ended, resident, start
from agent.capture.poison import CRASHES, WITHIN_S, Suspects
from agent.capture.roster import Assignment, Difference, difference, seat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.clock import Clock

HANG_S = (
    4.0  # without a heartbeat for so long a worker is killed; a killed one's cameras record again within 10 s
)
START_S = 20.0  # until the first heartbeat: salvage reads what a predecessor left, and the disk may be slow
HANG_LIBAV_S = 10.0  # opening a source may take libav its own time-out of 5 s
RESTART_MOST_S = 5.0
STABLE_S = 60.0
STOP_S = 15.0
GONE_S = 5.0  # for a killed worker to go, at our own end
LATE_S = 2.0  # a turn that begins so late means that we stood still ourselves, and so perhaps did all others
MOVE_S = 2.0  # for a camera's last segment to be in the catalogue before another worker asks how far it came
RECONFIGURED = "reconfigured"
TELL_AGAIN_S = 60.0  # a try may take as long as the ledger is locked, and nobody hears heartbeats meanwhile
MEMORY_S = 5.0  # how often a worker's memory is looked at
# Far above what a worker's queues may hold (512 MiB while a disk is away), or half of a small machine.
MEMORY_BYTES = min(3 << 29, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
# What a process does not come to by itself alone: SIGKILL and SIGTERM come from outside, an exit status from our code.
CRASH_SIGNALS = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"})

log = logging.getLogger("pasu.record")


@dataclass(slots=True)
class _Waiting:
    assignment: Assignment
    due: float
    cause: str


class Supervisor:
    """Keeps a worker alive for every assignment.

    settings   what every worker is told, as JSON
    command    argv that starts a worker; two file descriptor numbers are appended
    tell       takes (kind, body) of facts, and tells whether they are in the ledger; it may take its time
    """

    def __init__(
        self,
        assignments: Sequence[Assignment],
        settings: dict[str, Any],
        command: Sequence[str],
        clock: Clock,
        *,
        cause: str,
        tell: Callable[[Sequence[tuple[str, dict[str, Any]]]], bool],
    ) -> None:
        self._settings = settings
        self._plans = {camera: plan for each in assignments for camera, plan in each.cameras.items()}
        self._command = tuple(command)
        self._clock = clock
        self._tell = tell
        self._workers: list[Worker] = []
        self._failures: dict[str, int] = {}
        self._waiting = [_Waiting(assignment, 0.0, cause) for assignment in assignments]
        self._cameras: dict[str, dict[str, Any]] = {}
        self._suspects = Suspects()
        self._untold: list[tuple[str, dict[str, Any]]] = []
        self._next_telling = 0.0
        self._next_weighing = 0.0
        self._expected = clock.monotonic()  # when the next turn should begin at the latest
        self._heard: float | None = None
        self.lost = 0

    @property
    def workers(self) -> Sequence[Worker]:
        """Return the living workers."""
        return self._workers

    def silent_s(self) -> float | None:
        """Return for how long no worker has spoken, 0 where nothing is to be recorded; None: none has spoken yet."""
        if not self._plans:
            return 0.0
        return None if self._heard is None else self._clock.monotonic() - self._heard

    def cameras(self) -> dict[str, Any]:
        """Return what was last said of every camera."""
        restricted = {camera: {"restricted": True} for camera in self._suspects.restricted()}
        return {camera: {**state, **restricted.get(camera, {})} for camera, state in self._cameras.items()}

    def turn(self, wait_s: float) -> None:
        """Start what is due, hear what the workers say, and end what hangs. Returns after wait_s at the latest."""
        now = self._clock.monotonic()
        if now - self._expected > LATE_S:
            self._heard = None if self._heard is None else now
            for worker in self._workers:
                worker.beaten = now
        for waiting in [waiting for waiting in self._waiting if waiting.due <= now]:
            self._waiting.remove(waiting)
            try:
                self._workers.append(self._start(waiting.assignment, waiting.cause))
            except OSError as error:
                log.error("worker %s cannot be started: %s", waiting.assignment.name, error.strerror)  # noqa: TRY400
                waiting.due = now + 1.0
                self._waiting.append(waiting)
        for camera in self._suspects.acquitted(now):
            log.info("%s: ten minutes without a crash: no longer restricted", camera)
            self._untold.append(("camera.restored", {"camera": camera}))
        # Only now: recording comes first, and the ledger may be busy.
        if now >= self._next_telling:
            self._tell_all(now)
        self._listen(wait_s)
        now = self._clock.monotonic()
        for worker in list(self._workers):
            how = ended(worker)
            if how is not None and worker.ends_by is not None:
                self._leave(worker, how, now)
            elif how is not None:
                self._replace(worker, how, now)
            elif worker.ends_by is not None:
                if now > worker.ends_by and not worker.killed:
                    self._kill(worker, "hung")
            elif not worker.killed and now - worker.beaten > _patience_s(worker):
                self._kill(worker, "hung")
            elif not worker.killed and now >= self._next_weighing and resident(worker.pid) > MEMORY_BYTES:
                self._kill(worker, "memory")  # before the kernel chooses a victim, which may be another
        if now >= self._next_weighing:
            self._next_weighing = now + MEMORY_S
        self._expected = self._clock.monotonic()

    def say(self, kind: str, body: dict[str, Any]) -> None:
        """Have a fact told in the next turn."""
        self._untold.append((kind, body))

    def seal_to(self, recipients: Sequence[str]) -> None:
        """Have every camera's next segment sealed to these."""
        self._settings = {**self._settings, "recipients": list(recipients)}
        for worker in self._workers:
            self._send(worker, {"recipients": list(recipients)})

    def keep_past(self, seconds: Mapping[str, int]) -> None:
        """Have so many last seconds of these cameras kept in memory, and of no others."""
        if dict(seconds) == self._settings.get("past", {}):
            return
        self._settings = {**self._settings, "past": dict(seconds)}
        for worker in self._workers:
            if worker.assignment.kind == "rtsp":
                self._send(worker, {"past": dict(seconds)})

    def reassign(self, plans: Mapping[str, dict[str, Any]], covered: Mapping[str, int | None]) -> Difference:
        """Record these cameras from now on. Those whose plan is the same are not touched.

        plans    every camera with all that its worker must know
        covered  per added camera how far it was recorded before, UTC ms
        """
        found = difference(self._plans, plans)
        self._plans = dict(plans)
        self._settings = {**self._settings, "cameras": len(plans)}
        elsewhere = [
            camera
            for camera in (*found.removed, *found.changed)
            if not self._alter(camera, plans.get(camera)) and camera in plans
        ]
        now = self._clock.monotonic()
        for camera in found.removed:
            self._cameras.pop(camera, None)
        for camera in (*found.added, *elsewhere):
            self._seat(camera, plans[camera], covered.get(camera), now + MOVE_S * (camera in elsewhere))
        return found

    def _alter(self, camera: str, plan: dict[str, Any] | None) -> bool:
        """Change or take away a camera where it is; tell whether nothing more is to be done."""
        for waiting in self._waiting:
            if camera in waiting.assignment.cameras:
                assignment = waiting.assignment
                if plan is not None and plan["kind"] == assignment.kind:
                    assignment.cameras[camera] = plan
                    return True
                del assignment.cameras[camera]
                if not assignment.cameras:
                    self._waiting.remove(waiting)
                return plan is None
        for worker in self._workers:
            if worker.successor is not None and camera in worker.successor.cameras:
                same = plan is not None and plan["kind"] == worker.successor.kind
                worker.successor = (
                    replace(worker.successor, cameras={camera: plan}) if same and plan else None
                )
                return plan is None or same
        worker = next(worker for worker in self._workers if camera in worker.assignment.cameras)
        assignment = worker.assignment
        same = plan is not None and plan["kind"] == assignment.kind
        if same and plan is not None and assignment.kind == "rtsp":
            assignment.cameras[camera] = plan
            self._send(worker, {"remove": [camera], **self._addition(worker, camera, None)})
            return True
        del assignment.cameras[camera]
        if assignment.cameras:
            self._send(worker, {"remove": [camera]})
            return plan is None
        worker.ends_by = self._clock.monotonic() + STOP_S
        if same and plan is not None:
            worker.successor = replace(assignment, cameras={camera: plan})
        self._send(worker, {"stop": True})
        return plan is None or same

    def _seat(self, camera: str, plan: dict[str, Any], covered_ms: int | None, due: float) -> None:
        living = {id(worker.assignment): worker for worker in self._workers if worker.ends_by is None}
        there = [worker.assignment for worker in living.values()]
        there += [waiting.assignment for waiting in self._waiting]
        assignment, new = seat(camera, plan, there)
        worker = living.get(id(assignment))
        if new:
            self._waiting.append(_Waiting(assignment, due, RECONFIGURED))
        elif worker is not None:
            self._send(worker, self._addition(worker, camera, covered_ms))

    def _addition(self, worker: Worker, camera: str, covered_ms: int | None) -> dict[str, Any]:
        worker.numbers.append(camera)
        order = {
            "plan": worker.assignment.cameras[camera],
            "number": len(worker.numbers) - 1,
            "covered_ms": covered_ms,
            "cause": RECONFIGURED,
        }
        return {"add": {camera: order}}

    def _send(self, worker: Worker, message: dict[str, Any]) -> None:
        """Tell a worker something. One that is gone hears it from its successor's order."""
        try:
            worker.control.send(json.dumps(message).encode())
        except BlockingIOError:  # it has not listened for a megabyte
            if not worker.killed:
                self._kill(worker, "hung")
        except OSError:
            log.info("worker %s is gone and is told nothing", worker.assignment.name)

    def _leave(self, worker: Worker, how: str, now: float) -> None:
        """Let go of a worker that was told to end, and begin what follows it."""
        self._close(worker)
        clean = how == "exit 0"
        log.info("worker %s (%d) has ended: %s", worker.assignment.name, worker.pid, how)
        if not clean:
            self.lost += 1
            body = {"worker": worker.assignment.name, "how": how, "serving": ""}
            self._untold.append(("worker.lost", body))
        if worker.successor is not None:
            self._waiting.append(_Waiting(worker.successor, now, RECONFIGURED if clean else "worker_lost"))

    def _tell_all(self, now: float) -> None:
        """Hand on the facts that wait; if the ledger does not take them they wait on."""
        if self._untold:
            count = len(self._untold)
            if self._tell(self._untold):
                del self._untold[:count]
            else:
                self._next_telling = now + TELL_AGAIN_S

    def stop(self) -> bool:
        """Ask all workers to end in order, and wait for them. False when one had to be killed."""
        self._waiting.clear()
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.control.send(b'{"stop":true}')
        until = self._clock.monotonic() + STOP_S
        clean = True
        while self._workers:
            for worker in list(self._workers):
                how = ended(worker)
                late = self._clock.monotonic() - until
                if how is None and late > 0 and not worker.killed:
                    self._kill(worker, "hung")
                if how is not None or late > GONE_S:
                    clean = clean and how == "exit 0"
                    self._close(worker)
            self._listen(0.05)
        self._tell_all(self._clock.monotonic())
        return clean

    def _listen(self, wait_s: float) -> None:
        """Hear what the workers say, for wait_s or until one speaks."""
        by_number = {worker.control.fileno(): worker for worker in self._workers if not worker.mute}
        for number in select.select(list(by_number), [], [], wait_s)[0]:
            self._hear(by_number[number])
        if len(by_number) < len(self._workers):
            select.select([], [], [], min(wait_s, 0.05))  # one is ending; its end has no socket to wait for

    def _start(self, assignment: Assignment, cause: str) -> Worker:
        order = {
            "settings": self._settings,
            "name": assignment.name,
            "kind": assignment.kind,
            "cameras": assignment.cameras,
            "cause": cause,
        }
        return start(self._command, assignment, order, self._clock.monotonic())

    def _hear(self, worker: Worker) -> None:
        while worker.hear(self._clock.monotonic()):
            self._heard = worker.beaten
            states = worker.state["cameras"].items()
            self._cameras.update((name, state) for name, state in states if name in worker.assignment.cameras)

    def _kill(self, worker: Worker, why: str) -> None:
        log.error("worker %s (%d) is killed: %s", worker.assignment.name, worker.pid, why)
        worker.killed = why
        os.kill(worker.pid, signal.SIGKILL)

    def _replace(self, worker: Worker, how: str, now: float) -> None:
        """Begin the dead worker's work anew, the blamed camera in a worker of its own."""
        self.lost += 1
        assignment = worker.assignment
        served = worker.shared.mark[0]
        last = worker.shared.last()
        # One that never spoke has not recorded: what was missing before it is missing still, for the same reason.
        cause = "worker_lost" if worker.state else worker.cause
        self._close(worker)
        blamed = worker.numbers[served - 1] if 0 < served <= len(worker.numbers) else None
        if blamed not in assignment.cameras:  # it was taken out, and is nobody's any more
            blamed = None
        log.error(
            "worker %s (%d) is gone: %s, serving %s", assignment.name, worker.pid, how, blamed or "none"
        )
        self._untold.append(("worker.lost", {"worker": assignment.name, "how": how, "serving": blamed or ""}))
        for camera in assignment.cameras:
            self._cameras.setdefault(camera, {}).update(state="waiting", cause=cause)
        if blamed is not None and len(assignment.cameras) > 1:
            alone = Assignment(
                f"alone-{blamed}", assignment.kind, {blamed: assignment.cameras[blamed]}, witness=True
            )
            rest = {camera: plan for camera, plan in assignment.cameras.items() if camera != blamed}
            self._waiting.append(_Waiting(Assignment(assignment.name, assignment.kind, rest), now, cause))
            self._waiting.append(_Waiting(alone, now, cause))
            return
        failures = 0 if now - worker.started > STABLE_S else self._failures.get(assignment.name, 0)
        self._failures[assignment.name] = failures + 1
        delay = 0.0 if failures == 0 else min(RESTART_MOST_S, 0.25 * 2**failures)
        if len(assignment.cameras) == 1 and (blamed is not None or _is_crash(assignment, how)):
            (camera,) = assignment.cameras
            delay = max(delay, self._judge(camera, how, last, now))
            assignment = replace(assignment, witness=True)
        self._waiting.append(_Waiting(assignment, now + delay, cause))

    def _judge(self, camera: str, how: str, last: bytes, now: float) -> float:
        """Note that a camera crashed its own worker; return how long it is left alone, in seconds."""
        sentence = self._suspects.crashed(camera, now)
        if sentence.poisoned:
            import hashlib  # brings libcrypto with it, which the parent does without while all is well

            log.error("%s: %d crashes of its own worker: restricted", camera, CRASHES)
            body = {
                "camera": camera,
                "how": how,
                "crashes": CRASHES,
                "within_s": round(WITHIN_S),
                "bytes": len(last),
                "sha256": hashlib.sha256(last).hexdigest() if last else "",
            }
            self._untold.append(("camera.poisoned", body))
        return sentence.pause_s or 0.0

    def _close(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.control.close()
        worker.shared.close()


def _is_crash(assignment: Assignment, how: str) -> bool:
    """Tell whether an end is one that input can bring about, where the worker does not say whose turn it is."""
    return how in CRASH_SIGNALS or how == "memory" or (assignment.kind == "libav" and how == "hung")


def _patience_s(worker: Worker) -> float:
    """Return how long a worker may be silent."""
    if not worker.state:
        return START_S
    return HANG_LIBAV_S if worker.assignment.kind == "libav" else HANG_S
