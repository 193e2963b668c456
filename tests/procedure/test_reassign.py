"""The parent gives its workers other cameras while they work: nobody is started anew who need not be."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent.capture import supervisor as module
from agent.capture.roster import assign
from agent.capture.supervisor import Supervisor
from agent.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# A worker that shows in its heartbeat what it was told; one of kind "deaf" does not end when it is told to.
WORKER = """
import json, os, signal, socket, sys, time
from agent.capture.shared import Shared
control = socket.socket(fileno=int(sys.argv[1]))
order = json.loads(control.recv(1 << 20))
shared = Shared(int(sys.argv[2]))
control.settimeout(0.02)
cameras = {name: {"plan": plan, "number": number, "cause": order["cause"]}
           for number, (name, plan) in enumerate(order["cameras"].items())}
sealed = order["settings"].get("recipients")
while True:
    states = {name: {"state": "recording", "sealed": sealed, **each} for name, each in cameras.items()}
    control.send(json.dumps({"cameras": states}).encode())
    for name, each in cameras.items():
        if each["plan"].get("does"):
            shared.mark[0] = each["number"] + 1
            os.kill(os.getpid(), getattr(signal, each["plan"]["does"]))
    try:
        said = json.loads(control.recv(1 << 16) or b'{"stop": true}')
    except TimeoutError:
        continue
    if "stop" in said:
        if any(each["plan"].get("deaf") for each in cameras.values()):
            continue
        sys.exit(0)
    for name in said.get("remove", ()):
        del cameras[name]
    cameras.update(said.get("add", {}))
    sealed = said.get("recipients", sealed)
"""


def plan(kind: str = "rtsp", **more: Any) -> dict[str, Any]:
    return {"kind": kind, **more}


class Parent:
    def __init__(self, plans: dict[str, dict[str, Any]]) -> None:
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self.plans = plans
        self.supervisor = Supervisor(
            assign(plans, 1),
            {"recipients": ["first"]},
            [sys.executable, "-c", WORKER],
            SystemClock(),
            cause="agent_killed",
            tell=self.tell,
        )

    def tell(self, facts: Sequence[tuple[str, dict[str, Any]]]) -> bool:
        self.facts += facts
        return True

    def change(self, plans: dict[str, dict[str, Any]], covered: dict[str, int | None] | None = None) -> None:
        self.plans = plans
        self.supervisor.reassign(plans, covered or {})

    def until(self, what: Callable[[], object], bound_s: float = 30.0) -> None:
        end = time.monotonic() + bound_s
        while not what():
            assert time.monotonic() < end, f"waited in vain: {self.supervisor.cameras()}"
            self.supervisor.turn(0.02)

    def settle(self) -> dict[str, dict[str, Any]]:
        """Wait until exactly the cameras that are wanted are recorded, by their newest plans."""

        def wanted() -> bool:
            said = self.supervisor.cameras()
            plans = {name: each.get("plan") for name, each in said.items() if each["state"] == "recording"}
            return plans == self.plans

        self.until(wanted)
        return self.supervisor.cameras()

    def pids(self) -> dict[str, int]:
        return {
            camera: worker.pid for worker in self.supervisor.workers for camera in worker.assignment.cameras
        }


@pytest.fixture
def two() -> Iterator[Parent]:
    parent = Parent({"cam01": plan(), "cam02": plan(), "board": plan("libav")})
    parent.settle()
    yield parent
    parent.supervisor.stop()


def test_cameras_come_and_go_and_the_others_do_not_notice(two: Parent) -> None:
    before = two.pids()
    two.change({"cam01": plan(), "cam03": plan(), "board": plan("libav")}, {"cam03": 1234})
    said = two.settle()
    assert two.pids() == {"cam01": before["cam01"], "cam03": before["cam01"], "board": before["board"]}
    assert said["cam03"]["covered_ms"] == 1234
    assert said["cam03"]["cause"] == "reconfigured"
    assert said["cam03"]["number"] == 2, (
        "a number is not used twice: a mark may still name the camera that went"
    )
    assert two.facts == []


def test_a_changed_camera_begins_anew_in_its_worker(two: Parent) -> None:
    before = two.pids()
    two.change({**two.plans, "cam02": plan(url="new")})
    assert two.settle()["cam02"]["cause"] == "reconfigured"
    assert two.pids() == before


def test_a_process_of_one_camera_is_ended_in_order_before_its_successor_begins(two: Parent) -> None:
    before = two.pids()
    two.change({**two.plans, "board": plan("libav", url="new")})
    assert two.settle()["board"]["cause"] == "reconfigured"
    after = two.pids()
    assert after["board"] != before["board"]
    assert after["cam01"] == before["cam01"]
    assert two.facts == [], "nobody was lost"
    two.change({"cam01": plan(), "cam02": plan()})
    two.settle()
    two.until(lambda: len(two.supervisor.workers) == 1)
    assert two.facts == []


def test_a_camera_may_become_one_of_another_kind_and_back(two: Parent) -> None:
    two.change({"cam01": plan(), "cam02": plan("libav"), "board": plan()})
    two.settle()
    pids = two.pids()
    assert pids["board"] == pids["cam01"] != pids["cam02"]
    two.change({"cam01": plan(), "cam02": plan(), "board": plan("libav")})
    two.settle()
    assert two.supervisor.lost == 0


def test_all_cameras_may_be_others(two: Parent) -> None:
    two.change({"cam07": plan(), "cam08": plan()})
    two.settle()
    two.until(lambda: len(two.supervisor.workers) == 1)
    assert two.facts == []


def test_a_worker_that_does_not_end_is_killed_and_its_successor_saves_what_it_left(
    two: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.5)
    two.change({**two.plans, "board": plan("libav", deaf=True)})
    two.settle()
    two.change({**two.plans, "board": plan("libav")})
    assert two.settle()["board"]["cause"] == "worker_lost"
    assert two.facts == [("worker.lost", {"worker": "libav-board", "how": "hung", "serving": ""})]


def test_a_worker_that_died_meanwhile_is_replaced_with_the_newest_cameras(two: Parent) -> None:
    os.kill(two.pids()["cam01"], signal.SIGKILL)
    two.change({"cam02": plan(url="new"), "cam05": plan(), "board": plan("libav")})
    two.settle()
    assert two.supervisor.lost == 1


def test_a_change_while_a_worker_waits_for_its_start_is_in_its_order(two: Parent) -> None:
    os.kill(two.pids()["cam01"], signal.SIGKILL)
    two.until(lambda: two.supervisor.lost == 1)
    two.change({"cam01": plan(url="new"), "cam06": plan(), "board": plan()})
    two.settle()
    two.change({"cam06": plan("libav")})
    two.settle()
    two.until(lambda: len(two.supervisor.workers) == 1)


def test_changes_in_quick_succession_end_in_the_last_one(two: Parent) -> None:
    for number in range(20):
        two.change(
            {
                "cam01": plan(),
                f"cam{number % 4 + 2:02d}": plan(["rtsp", "libav"][number % 2], url=str(number)),
                "board": plan("libav", url=str(number // 2)),
            }
        )
        two.supervisor.turn(0.01)
    two.settle()
    assert two.supervisor.lost == 0


def test_a_camera_that_was_added_is_blamed_by_its_own_number(two: Parent) -> None:
    two.change({"cam02": plan(), "cam03": plan(does="SIGSEGV"), "board": plan("libav")})
    two.until(lambda: two.facts)
    assert two.facts[0][1] == {"worker": "rtsp-0", "how": "SIGSEGV", "serving": "cam03"}
    two.until(lambda: two.supervisor.cameras()["cam02"]["state"] == "recording")
    two.change({"cam02": plan(), "board": plan("libav")})
    two.settle()


def test_g5_every_worker_is_told_whom_to_seal_to_and_so_are_those_that_begin_later(two: Parent) -> None:
    two.supervisor.seal_to(["second", "third"])
    two.until(
        lambda: {tuple(each["sealed"]) for each in two.supervisor.cameras().values()} == {("second", "third")}
    )
    os.kill(two.pids()["board"], signal.SIGKILL)
    two.until(lambda: two.supervisor.lost == 1)
    assert two.settle()["board"]["sealed"] == ["second", "third"]
