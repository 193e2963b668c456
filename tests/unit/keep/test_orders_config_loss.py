"""`config.propose`: what it must not take away unseen: cameras, and the way to the centre."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.health import write_health
from agent.storage.keep.orders_config import WATCH_S
from tests.unit.keep.ordered import Ordered
from tests.unit.keep.test_orders_config import proposal, say, toml, write

if TYPE_CHECKING:
    from pathlib import Path

UPLINK = """
[uplink]
broker = "mqtts://10.77.0.1:8883"

[tunnel]
interface = "pasu0"
"""
ELSEWHERE = UPLINK.replace("10.77.0.1", "10.77.0.2")


def speak(box: Ordered, pid: int, *, connected: bool = True) -> None:
    """Do what the uplink does."""
    body = {"process": "uplink", "boot_ms": box.source.boot_at, "pid": pid, "connected": connected}
    (box.run / "uplink").mkdir(exist_ok=True)
    write_health(box.run, "uplink", body)


@pytest.fixture
def box(tmp_path: Path) -> Ordered:
    box = Ordered(tmp_path)
    write(box)
    say(box, toml(box))
    return box


def last(box: Ordered, name: str) -> tuple[str, str]:
    reply = [each for each in box.replies() if each["id"] == name][-1]
    return reply["status"], reply["code"]


def test_e15_a_camera_is_left_out_by_two(box: Ordered) -> None:
    """E15: one stolen key leaves no camera dark."""
    for cameras in (("cam1",), ("cam3",), ("cam1", "cam3")):
        reply = box.ask("officer 1", "config.propose", proposal(toml(box, cameras=cameras)))
        assert (reply["status"], reply["code"]) == ("refused", "COMMAND_SECOND")


@pytest.mark.parametrize(
    "other",
    ["", ELSEWHERE, UPLINK.replace("pasu0", "wg1"), UPLINK.replace('[tunnel]\ninterface = "pasu0"', "")],
)
def test_e15_the_way_to_the_centre_is_changed_by_two(box: Ordered, other: str) -> None:
    """E15: nor does it cut a box off."""
    box.config_file.write_text(toml(box) + UPLINK)
    say(box, toml(box) + UPLINK)
    reply = box.ask("officer 1", "config.propose", proposal(toml(box) + other))
    assert (reply["status"], reply["code"]) == ("refused", "COMMAND_SECOND")


def test_e15_while_the_recorder_is_silent_nothing_is_proposed(box: Ordered) -> None:
    """E15: what recorded is not known then, so nobody could say that it does not any more."""
    box.pass_time(16_000)
    new = proposal(toml(box, url="rtsp://10.0.0.99/dead"))
    assert box.ask("officer 1", "config.propose", new)["code"] == "CONFIG_BUSY"
    say(box, toml(box))
    assert box.ask("officer 1", "config.propose", new)["status"] == "accepted"
    (proposed,) = box.bodies("config.proposed")
    assert proposed["recorded"] == ["cam1", "cam2"]


def test_e15_where_no_camera_records_any_more_it_is_taken_back(box: Ordered) -> None:
    """E15: also when those that did are not in it."""
    old, new = toml(box), toml(box, cameras=("cam3",))
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    for _ in range(int(WATCH_S) + 2):
        box.tick()
        say(box, new, recording=())
    assert last(box, name) == ("failed", "CONFIG_CAMERAS_LOST")
    assert box.config_file.read_text() == old


@pytest.mark.parametrize(
    ("pid", "connected", "verdict"),
    [
        (41, True, ("failed", "CONFIG_CUT_OFF")),
        (42, False, ("failed", "CONFIG_CUT_OFF")),
        (42, True, ("done", "")),
    ],
    ids=["the old one's word", "another that does not arrive", "another that arrives"],
)
def test_e15_a_box_that_does_not_reach_its_broker_again_takes_it_back(
    box: Ordered, pid: int, connected: bool, verdict: tuple[str, str]
) -> None:
    """E15: a wrong address, or a broker that is not the city's, is two minutes without reports and no more."""
    old, new = toml(box) + UPLINK, toml(box) + ELSEWHERE
    box.config_file.write_text(old)
    say(box, old)
    speak(box, 41)
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    for _ in range(int(WATCH_S) + 2):
        box.tick()
        say(box, new)
        speak(box, pid, connected=connected)
    assert last(box, name) == verdict
    assert box.config_file.read_text() == (new if verdict[0] == "done" else old)


def test_a_box_that_had_no_broker_asks_for_none(box: Ordered) -> None:
    new = toml(box) + UPLINK
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    for _ in range(25):
        box.tick()
        say(box, new)
    assert last(box, name) == ("done", "")


def test_another_tunnel_is_judged_by_the_same_uplink(box: Ordered) -> None:
    old, new = toml(box) + UPLINK, toml(box) + UPLINK.replace("pasu0", "wg1")
    box.config_file.write_text(old)
    say(box, old)
    speak(box, 41)
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    for _ in range(25):
        box.tick()
        say(box, new)
        speak(box, 41)
    assert last(box, name) == ("done", "")
