"""`config.propose`: what it must not take away unseen: cameras, and the way to the centre."""

from __future__ import annotations

import json
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


LOGIN = '[camera.cam1]\nusername = "recorder"\npassword = "a secret"\n'


def give(box: Ordered, text: str = LOGIN) -> None:
    file = box.config_file.with_name("secrets.toml")
    file.touch(0o600)
    file.write_text(text)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.99/main",
        "rtsp://10.0.0.11:8554/main",
        "rtsps://10.0.0.11/main",
        "http://10.0.0.11/main",
        'rtsp://10.0.0.11/main"\nsub_url = "rtsp://10.0.0.99/sub',
    ],
    ids=["host", "port", "scheme", "other protocol", "second stream"],
)
def test_e15_a_log_in_goes_nowhere_else_by_a_proposal(box: Ordered, url: str) -> None:
    """E15: secrets.toml names no hosts, so whoever says where a camera is would say who gets its password."""
    new = proposal(toml(box, url=url))
    give(box)
    reply = box.ask("officer 1", "config.propose", new)
    assert (reply["status"], reply["code"], reply["detail"]) == (
        "refused",
        "CONFIG_LOGIN",
        {"reason": "cam1"},
    )
    name = box.send_two("officer 1", "department 1", "config.propose", new)
    assert box.answer(name)["code"] == "CONFIG_LOGIN"
    assert box.config_file.read_text() == toml(box)
    assert "a secret" not in json.dumps([reply, *box.facts()])
    give(box, "")  # taken away at the box: now somebody there must give it anew
    assert box.ask("officer 2", "config.propose", new)["status"] == "accepted"


def test_e15_out_of_tls_and_into_clear_text_no_log_in_goes_by_a_proposal(box: Ordered) -> None:
    """E15: on the wire of the cameras it would lie open."""
    safe = "rtsps://10.0.0.11/main"
    box.config_file.write_text(toml(box, url=safe))
    say(box, toml(box, url=safe))
    give(box)
    assert box.ask("officer 1", "config.propose", proposal(toml(box)))["code"] == "CONFIG_LOGIN"
    hashed = toml(box, url=safe).replace("[[camera]]", "[[camera]]\nallow_basic_auth = false")
    box.config_file.write_text(hashed)
    say(box, hashed)
    assert box.ask("officer 1", "config.propose", proposal(toml(box, url=safe)))["code"] == "CONFIG_LOGIN"


def test_e15_a_camera_that_comes_again_does_not_find_its_log_in(box: Ordered) -> None:
    """E15: else it would be taken out by one order, and put elsewhere by the next."""
    give(box, LOGIN.replace("cam1", "cam3"))
    new = proposal(toml(box, cameras=("cam1", "cam2", "cam3")))
    assert box.ask("officer 1", "config.propose", new)["code"] == "CONFIG_LOGIN"


@pytest.mark.parametrize("text", ["[camera", LOGIN + "port = 1\n"])
def test_e15_where_nobody_can_tell_who_has_a_log_in_each_may_have(box: Ordered, text: str) -> None:
    """E15: a file that is being edited opens no way."""
    give(box, text)
    elsewhere = proposal(toml(box, url="rtsp://10.0.0.99/main"))
    assert box.ask("officer 1", "config.propose", elsewhere)["code"] == "CONFIG_LOGIN"


def test_e15_log_ins_that_are_sealed_to_the_machine_go_nowhere_else_either(box: Ordered) -> None:
    """E15: then there is no secrets.toml, and nobody but recording can tell whose log-in there is."""
    (box.config_file.parent / "secrets.sealed").write_bytes(b"sealed")
    elsewhere = proposal(toml(box, url="rtsp://10.0.0.99/main"))
    assert box.ask("officer 1", "config.propose", elsewhere)["code"] == "CONFIG_LOGIN"
    there = proposal(toml(box, url="rtsp://10.0.0.11/second"))
    assert box.ask("officer 2", "config.propose", there)["status"] == "accepted"


def test_paths_and_names_may_change_beside_a_log_in(box: Ordered) -> None:
    give(box)
    new = toml(box, url='rtsp://10.0.0.11:554/second"\nsub_url = "rtsp://10.0.0.11/sub')
    new = new.replace('name = "주차장"', 'name = "정문"')
    assert box.ask("officer 1", "config.propose", proposal(new))["status"] == "accepted"


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
