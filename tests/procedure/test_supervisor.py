"""The parent replaces what dies or hangs, and puts a crash to the camera that was being served."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent.capture import poison
from agent.capture import supervisor as module
from agent.capture.roster import Assignment, assign
from agent.capture.supervisor import Supervisor
from agent.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A worker that beats, and does to itself what its camera's plan says.
WORKER = """
import json, os, signal, socket, sys, time
from agent.capture.shared import Shared
control = socket.socket(fileno=int(sys.argv[1]))
order = json.loads(control.recv(1 << 20))
shared = Shared(int(sys.argv[2]))
control.settimeout(0.02)
begun = time.monotonic()
while True:
    control.send(json.dumps({"cameras": {name: {"state": order["cause"]} for name in order["cameras"]}}).encode())
    for index, (name, plan) in enumerate(order["cameras"].items()):
        if time.monotonic() - begun > 0.2 and plan["does"]:
            shared.mark[0] = index + 1 if order["kind"] == "rtsp" else 0
            if shared.witness:
                shared.note(b"seen by " + name.encode())
            if plan["does"] == "leak":
                hoard = bytearray(os.urandom(1 << 20) * 256)
            else:
                os.kill(os.getpid(), getattr(signal, plan["does"]))
    try:
        message = control.recv(1 << 16)
    except TimeoutError:
        continue
    sys.exit(0 if message else 1)
"""


class Parent:
    def __init__(self, assignments: list[Assignment]) -> None:
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self.supervisor = Supervisor(
            assignments,
            {},
            [sys.executable, "-c", WORKER],
            SystemClock(),
            cause="agent_killed",
            tell=self.tell,
        )

    def tell(self, facts: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        self.facts += facts
        return True

    def until(self, what: Callable[[], object], bound_s: float = 30.0) -> None:
        end = time.monotonic() + bound_s
        while not what():
            assert time.monotonic() < end, "waited in vain"
            self.supervisor.turn(0.02)

    def lost(self) -> list[str]:
        return [body["worker"] for kind, body in self.facts if kind == "worker.lost"]

    def states(self) -> dict[str, str]:
        return {
            name: camera["state"]
            for worker in self.supervisor.workers
            for name, camera in worker.state.get("cameras", {}).items()
        }


def plan(does: str = "") -> dict[str, Any]:
    return {"kind": "rtsp", "does": does}


def test_workers_start_are_heard_and_stop() -> None:
    parent = Parent([Assignment("rtsp-0", "rtsp", {"cam01": plan(), "cam02": plan()})])
    parent.until(lambda: parent.states() == {"cam01": "agent_killed", "cam02": "agent_killed"})
    assert parent.supervisor.stop()
    assert parent.facts == []
    assert parent.supervisor.workers == []


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT"])
def test_a7_a_camera_that_crashes_its_worker_gets_one_of_its_own(how: str) -> None:
    parent = Parent([Assignment("rtsp-0", "rtsp", {"good": plan(), "bad": plan(how), "fine": plan()})])
    parent.until(lambda: parent.facts)
    assert parent.facts[0] == ("worker.lost", {"worker": "rtsp-0", "how": how, "serving": "bad"})
    parent.until(lambda: {"good", "fine"} <= set(parent.states()))
    groups = sorted(list(worker.assignment.cameras) for worker in parent.supervisor.workers)
    assert ["good", "fine"] in groups
    assert parent.states()["good"] == "worker_lost"
    steady = next(worker.pid for worker in parent.supervisor.workers if "good" in worker.assignment.cameras)
    parent.until(lambda: len(parent.facts) >= 3)
    assert all(fact[1]["worker"] == "alone-bad" for fact in parent.facts[1:3])
    assert steady in [worker.pid for worker in parent.supervisor.workers]
    parent.supervisor.stop()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes are as long as seconds."""
    monkeypatch.setattr(poison, "PAUSE_FIRST_S", 0.4)
    monkeypatch.setattr(poison, "PAUSE_MOST_S", 0.8)


@pytest.mark.usefixtures("quick")
def test_a8_the_third_crash_of_its_own_worker_is_told_with_the_hash_of_what_it_sent() -> None:
    parent = Parent([Assignment("rtsp-0", "rtsp", {"good": plan(), "bad": plan("SIGSEGV")})])
    parent.until(lambda: parent.lost().count("alone-bad") == 6)
    told = [body for kind, body in parent.facts if kind == "camera.poisoned"]
    assert told == [
        {
            "camera": "bad",
            "how": "SIGSEGV",
            "crashes": 3,
            "within_s": 600,
            "bytes": len(b"seen by bad"),
            "sha256": hashlib.sha256(b"seen by bad").hexdigest(),
        }
    ]
    assert [kind for kind, _ in parent.facts].index("camera.poisoned") == 4  # after one in the shared worker
    assert parent.lost()[0] == "rtsp-0"
    assert parent.lost().count("rtsp-0") == 1
    parent.until(lambda: "good" in parent.states())
    cameras = parent.supervisor.cameras()
    assert cameras["bad"]["restricted"]
    assert "restricted" not in cameras["good"]
    parent.supervisor.stop()


@pytest.mark.usefixtures("quick")
def test_a8_a_camera_is_restored_when_it_stays_well(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = plan("SIGABRT")
    parent = Parent([Assignment("rtsp-0", "rtsp", {"bad": bad})])
    parent.until(lambda: "camera.poisoned" in dict(parent.facts))
    bad["does"] = ""
    parent.until(lambda: parent.states() == {"bad": "worker_lost"})
    assert parent.supervisor.cameras()["bad"]["restricted"]
    assert "camera.restored" not in dict(parent.facts)
    monkeypatch.setattr(poison, "CALM_S", 0.0)
    parent.until(lambda: parent.facts[-1] == ("camera.restored", {"camera": "bad"}))
    assert "restricted" not in parent.supervisor.cameras()["bad"]
    parent.supervisor.stop()


@pytest.mark.usefixtures("quick")
def test_a8_a_source_that_crashes_libav_is_restricted_too() -> None:
    parent = Parent([Assignment("libav-board", "libav", {"board": {"kind": "libav", "does": "SIGSEGV"}})])
    parent.until(lambda: "camera.poisoned" in dict(parent.facts))
    assert dict(parent.facts)["camera.poisoned"]["camera"] == "board"
    parent.supervisor.stop()


def test_a7_a_worker_that_leaks_is_replaced_before_the_machine_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES", 128 << 20)
    monkeypatch.setattr(module, "MEMORY_S", 0.05)
    leaky = Assignment("libav-leaky", "libav", {"leaky": {"kind": "libav", "does": "leak"}})
    parent = Parent([leaky, Assignment("rtsp-0", "rtsp", {"good": plan()})])
    parent.until(lambda: "good" in parent.states())
    steady = next(worker.pid for worker in parent.supervisor.workers if "good" in worker.assignment.cameras)
    parent.until(lambda: "camera.poisoned" in dict(parent.facts))
    assert dict(parent.facts)["worker.lost"] == {"worker": "libav-leaky", "how": "memory", "serving": ""}
    assert dict(parent.facts)["camera.poisoned"]["how"] == "memory"
    assert steady in [worker.pid for worker in parent.supervisor.workers]
    parent.supervisor.stop()


def test_a8_kills_from_outside_poison_nobody() -> None:
    parent = Parent([Assignment("libav-board", "libav", {"board": {"kind": "libav", "does": "SIGKILL"}})])
    parent.until(lambda: len(parent.lost()) == 4)
    assert {kind for kind, _ in parent.facts} == {"worker.lost"}
    parent.supervisor.stop()


def test_a_fact_that_the_ledger_does_not_take_waits_and_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TELL_AGAIN_S", 0.2)
    refused: list[str] = []

    class Deaf(Parent):
        def tell(self, facts: Sequence[tuple[str, dict[str, Any]]]) -> bool:
            if len(refused) < 3:
                refused.append(facts[0][0])
                return False
            return super().tell(facts)

    parent = Deaf([Assignment("rtsp-0", "rtsp", {"cam01": plan()})])
    for lost in (1, 2):
        parent.until(lambda: len(parent.states()) == 1)
        os.kill(parent.supervisor.workers[0].pid, signal.SIGKILL)
        parent.until(lambda lost=lost: parent.supervisor.lost == lost)  # type: ignore[misc]
    parent.until(lambda: len(parent.lost()) == 2)
    parent.until(lambda: len(parent.states()) == 1)
    assert refused == ["worker.lost"] * 3
    parent.supervisor.stop()
    assert parent.lost() == ["rtsp-0", "rtsp-0"]


def test_a_camera_whose_worker_is_gone_is_shown_as_waiting() -> None:
    parent = Parent([Assignment("rtsp-0", "rtsp", {"cam01": plan()})])
    parent.until(lambda: len(parent.states()) == 1)
    os.kill(parent.supervisor.workers[0].pid, signal.SIGKILL)
    parent.until(lambda: parent.facts or parent.supervisor.lost)
    assert parent.supervisor.cameras()["cam01"]["state"] == "waiting"
    parent.supervisor.stop()


def test_a6_a_hung_worker_is_killed_and_its_camera_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HANG_S", 0.5)
    parent = Parent([Assignment("rtsp-0", "rtsp", {"good": plan(), "stuck": plan("SIGSTOP")})])
    parent.until(lambda: parent.facts)
    assert module.START_S > 10  # its start was not what was too slow
    assert parent.facts[0][1] == {"worker": "rtsp-0", "how": "hung", "serving": "stuck"}
    parent.until(lambda: "good" in parent.states())
    parent.supervisor.stop()


def test_a_worker_that_never_speaks_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_S", 0.5)
    facts: list[dict[str, Any]] = []
    supervisor = Supervisor(
        [Assignment("rtsp-0", "rtsp", {"cam01": plan()})],
        {},
        [sys.executable, "-c", "import time; time.sleep(60)"],
        SystemClock(),
        cause="agent_killed",
        tell=lambda told: facts.extend(body for _, body in told) is None,
    )
    end = time.monotonic() + 30
    while not facts:
        assert time.monotonic() < end
        supervisor.turn(0.02)
    assert facts[0]["how"] == "hung"
    supervisor.stop()


def test_a_kill_from_outside_blames_nobody() -> None:
    parent = Parent([Assignment("rtsp-0", "rtsp", {"cam01": plan(), "cam02": plan()})])
    parent.until(lambda: len(parent.states()) == 2)
    os.kill(parent.supervisor.workers[0].pid, signal.SIGKILL)
    parent.until(lambda: parent.facts)
    parent.until(lambda: len(parent.states()) == 2)
    assert parent.facts[0][1]["serving"] == ""
    assert [list(worker.assignment.cameras) for worker in parent.supervisor.workers] == [["cam01", "cam02"]]
    parent.supervisor.stop()


def test_a_worker_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.3)
    parent = Parent([Assignment("rtsp-0", "rtsp", {"cam01": plan()})])
    parent.until(lambda: len(parent.states()) == 1)
    os.kill(parent.supervisor.workers[0].pid, signal.SIGSTOP)
    assert not parent.supervisor.stop()


def test_cameras_are_shared_out() -> None:
    cameras = {f"cam{number}": plan() for number in range(100)}
    cameras["file"] = {"kind": "libav"}
    shared = assign(cameras, loops=2)
    assert [len(each.cameras) for each in shared] == [50, 50, 1]
    assert [each.kind for each in shared] == ["rtsp", "rtsp", "libav"]
    assert assign({}, loops=2) == []
    assert [each.name for each in assign({"file": {"kind": "libav"}}, 2)] == ["libav-file"]
    assert len(assign(cameras, loops=1)) == 2
