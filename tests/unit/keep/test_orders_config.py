"""`config.propose`: taken up, or taken back."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from agent.storage.keep.orders_config import WATCH_S, judge
from tests.city import RECIPIENT
from tests.procedure.dying import die_at
from tests.unit.keep.kept import DAY_MS
from tests.unit.keep.ordered import BOX, Ordered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def toml(
    box: Ordered, *, cameras: tuple[str, ...] = ("cam1", "cam2"), retention: int = 30, **more: str
) -> str:
    values = {"url": "rtsp://10.0.0.11/main", "purpose": "crime-prevention", "box_id": BOX} | more
    text = f"""
[box]
id = "{values["box_id"]}"
site = "경포해변 3지점"
operator = "강릉시 정보산업과"
contact = "033-000-0000"

[storage]
vault = "{box.vault_path}"
state = "{box.state}"
run = "{box.run}"
retention_days = {retention}
recipients = ["{RECIPIENT}"]
"""
    for camera in cameras:
        text += f"""
[[camera]]
id = "{camera}"
name = "주차장"
url = "{values["url"]}"
purpose = "{values["purpose"]}"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""
    return text


def write(box: Ordered) -> str:
    text = toml(box)
    box.config_file.write_text(text)
    return text


def say(
    box: Ordered, text: str, *, state: str = "applied", recording: tuple[str, ...] = ("cam1", "cam2")
) -> None:
    """Do what the recorder does."""
    body = {
        "process": "record",
        "boot_ms": box.source.boot_at,
        "config": {"sha256": hashlib.sha256(text.encode()).hexdigest(), "state": state},
        "cameras": {
            name: {"state": "recording" if name in recording else "waiting"}
            for name in ("cam1", "cam2", "cam3")
        },
    }
    (box.run / "record.json").write_text(json.dumps(body))


@pytest.fixture
def box(tmp_path: Path) -> Ordered:
    box = Ordered(tmp_path)
    write(box)
    say(box, toml(box))
    return box


def proposal(text: str) -> dict[str, Any]:
    return {"toml": text, "consultation": "협의 2026-11"}


def test_art_7_a_proposal_that_works_stays(box: Ordered) -> None:
    old, new = toml(box), toml(box, cameras=("cam1", "cam2", "cam3"))
    name = box.send("officer 1", "config.propose", proposal(new))
    box.tick()
    assert box.config_file.read_text() == new
    assert (box.config_file.with_name("agent.toml.before")).read_text() == old
    assert [(reply["id"], reply["status"]) for reply in box.replies()] == [(name, "accepted")]
    for _ in range(25):
        say(box, new)
        box.tick()
    (reply,) = box.replies()
    assert (reply["id"], reply["status"]) == (name, "done")
    assert box.config_file.read_text() == new
    (proposed,) = box.bodies("config.proposed")
    assert (proposed["consultation"], proposed["recorded"]) == ("협의 2026-11", ["cam1", "cam2"])
    assert len(box.bodies("config.accepted")) == 1
    assert not (box.state / "proposed.toml").exists()
    assert "rtsp" not in json.dumps(box.facts())  # no address in a fact


@pytest.mark.parametrize("renamed", [False, True])
def test_art_9_another_purpose_takes_the_notice_by_which_opinions_were_heard(
    box: Ordered, renamed: bool
) -> None:
    """Gangneung regulation art. 9, S 4-22: also for a camera that would go on under another id."""
    cameras = ("cam1", "cam3") if renamed else ("cam1", "cam2")
    new = toml(box, cameras=cameras, purpose="illegal-parking")
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    refused = box.answer(name)
    assert (refused["status"], refused["code"]) == ("refused", "CONFIG_NOTICE")
    assert refused["detail"]["reason"] == ", ".join(cameras)
    assert box.config_file.read_text() == toml(box)
    heard = proposal(new) | {"notice": "강릉시 공고 제2026-123호"}
    name = box.send_two("officer 1", "department 1", "config.propose", heard)
    assert box.answer(name)["status"] == "accepted"
    (proposed,) = box.bodies("config.proposed")
    assert proposed["notice"] == "강릉시 공고 제2026-123호"


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://10.0.0.11/main",
        "rtsp://10.0.0.11:554/main",
        "rtsp://10.0.0.11/main/",
        "rtsps://10.0.0.11/m%61in",
        'rtsp://10.0.0.99/other"\nsub_url = "rtsp://10.0.0.11:554/main',
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_art_9_a_view_keeps_its_purpose_however_its_address_is_written(
    box: Ordered, address: str, beside: bool
) -> None:
    """Under another id, or beside the camera that there is: the same address for another purpose takes the notice."""
    other = toml(box, cameras=("cam3",), purpose="illegal-parking", url=address).partition("[[camera]]")[2]
    new = toml(box, cameras=("cam1", "cam2") if beside else ()) + "\n[[camera]]" + other
    refused = box.answer(box.send_two("officer 1", "department 1", "config.propose", proposal(new)))
    assert (refused["status"], refused["code"]) == ("refused", "CONFIG_NOTICE")
    assert refused["detail"]["reason"] == "cam3"


def test_art_9_no_camera_of_another_purpose_is_pointed_at_a_view(box: Ordered) -> None:
    parking = toml(box, cameras=("cam2",), purpose="illegal-parking", url="rtsp://10.0.0.12/main")
    parking = "\n[[camera]]" + parking.partition("[[camera]]")[2]
    box.config_file.write_text(toml(box, cameras=("cam1",)) + parking)
    moved = toml(box, cameras=("cam1",)) + parking.replace("10.0.0.12", "10.0.0.11")
    refused = box.answer(box.send_two("officer 1", "department 1", "config.propose", proposal(moved)))
    assert (refused["code"], refused["detail"]["reason"]) == ("CONFIG_NOTICE", "cam2")
    # What is at another port is another view: an encoder of several channels has them all at one host.
    beside = proposal(toml(box, cameras=("cam1",)) + parking.replace("10.0.0.12", "10.0.0.11:8554"))
    assert box.answer(box.send("officer 2", "config.propose", beside))["status"] == "accepted"


def test_what_the_recorder_finds_invalid_is_taken_back_at_once(box: Ordered) -> None:
    old, new = toml(box), toml(box, url="rtsp://10.0.0.99/main")
    name = box.send("officer 1", "config.propose", proposal(new))
    box.tick()
    say(box, new, state="invalid")
    box.tick(2)
    last = box.replies()[-1]
    assert (last["id"], last["status"], last["code"]) == (name, "failed", "CONFIG_NOT_TAKEN")
    assert box.config_file.read_text() == old
    (back,) = box.bodies("config.rolled_back")
    assert back["code"] == "CONFIG_NOT_TAKEN"


def test_cameras_that_recorded_before_must_record_after(box: Ordered) -> None:
    old, new = toml(box), toml(box, url="rtsp://10.0.0.99/main")
    name = box.send("officer 1", "config.propose", proposal(new))
    for _ in range(int(WATCH_S) + 2):
        box.tick()
        say(box, new, recording=("cam1",))
    last = box.replies()[-1]
    assert (last["id"], last["code"], last["detail"]["missing"]) == (name, "CONFIG_CAMERAS_LOST", ["cam2"])
    assert box.config_file.read_text() == old


def test_a_camera_that_is_taken_out_need_not_record(box: Ordered) -> None:
    new = toml(box, cameras=("cam1",))
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    for _ in range(25):
        box.tick()
        say(box, new, recording=("cam1",))
    assert (box.replies()[-1]["id"], box.config_file.read_text()) == (name, new)


def test_a_recorder_that_says_nothing_has_not_taken_it_up(box: Ordered) -> None:
    old, new = toml(box), toml(box, url="rtsp://10.0.0.99/main")
    box.send("officer 1", "config.propose", proposal(new))
    box.tick(int(WATCH_S) + 3)
    assert box.replies()[-1]["code"] == "CONFIG_NOT_TAKEN"
    assert box.config_file.read_text() == old


def test_what_a_technician_may_change(box: Ordered) -> None:
    for text, code in (
        (toml(box, purpose="fire-prevention"), "COMMAND_ROLE"),
        (toml(box, cameras=("cam1",)), "COMMAND_ROLE"),
        (toml(box, cameras=("cam1", "cam2", "cam3")), "COMMAND_ROLE"),
        (toml(box, retention=20), "COMMAND_ROLE"),
        (toml(box).replace("경포해변", "주문진"), "COMMAND_ROLE"),
        (toml(box, url="rtsp://203.0.113.66/main"), "COMMAND_ROLE"),
        (toml(box, url="http://10.0.0.11/main"), "COMMAND_ROLE"),
        (toml(box, url="file:/srv/loop.mp4"), "COMMAND_ROLE"),
        (
            toml(
                box, url='rtsp://10.0.0.11/main"\nallow_basic_auth = false\nsub_url = "rtsp://10.0.0.11/sub'
            ),
            "COMMAND_ROLE",
        ),
        (toml(box, url='rtsp://10.0.0.11/main"\nsub_url = "rtsp://203.0.113.66/sub'), "COMMAND_ROLE"),
        (
            toml(box).replace(RECIPIENT, "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"),
            "COMMAND_ROLE",
        ),
    ):
        reply = box.ask("technician 1", "config.propose", proposal(text))
        assert (reply["status"], reply["code"]) == ("refused", code)
    assert box.config_file.read_text() == toml(box)
    more = 'rtsp://10.0.0.11:8554/second"\ntransport = "udp"\nsub_url = "rtsp://10.0.0.11/sub'
    reply = box.ask("technician 1", "config.propose", proposal(toml(box, url=more)))
    assert reply["status"] == "accepted"


def test_a_file_of_a_technician_is_the_same_file(box: Ordered) -> None:
    box.config_file.write_text(toml(box, url="file:/srv/clip.mp4"))
    reply = box.ask("technician 1", "config.propose", proposal(toml(box, url="file:/srv/loop.mp4")))
    assert (reply["status"], reply["code"]) == ("refused", "COMMAND_ROLE")


def test_what_nobody_may_change_from_afar(box: Ordered) -> None:
    for text, code in (
        (toml(box, box_id="gn-0008"), "CONFIG_FIXED"),
        (toml(box).replace(str(box.state), "/somewhere"), "CONFIG_FIXED"),
        ("not toml", "CONFIG_REFUSED"),
        (toml(box, purpose="curiosity"), "CONFIG_REFUSED"),
        (toml(box).replace("legal_basis", "legal_bases"), "CONFIG_REFUSED"),
    ):
        reply = box.ask("officer 1", "config.propose", proposal(text))
        assert (reply["status"], reply["code"]) == ("refused", code)


def test_a_shorter_retention_takes_two(box: Ordered) -> None:
    short = proposal(toml(box, retention=20))
    assert box.ask("officer 1", "config.propose", short)["code"] == "COMMAND_SECOND"
    name = box.send_two("officer 1", "department 1", "config.propose", short)
    assert box.answer(name)["status"] == "accepted"


LIVE = '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"\n'
CENTRE = '[[centre]]\nname = "office"\nmedia = "rtsp://10.77.0.2:8554"\n'
SELECTED = '[[stream]]\ncamera = "cam1"\n'
BELL = '[[trigger]]\nid = "b"\nname = "b"\nsource = "gpio://gpiochip0/1"\ncameras = ["cam1"]\n'


def test_another_media_server_takes_two_and_what_is_shown_takes_an_officer(box: Ordered) -> None:
    """ADR 0020: another centre is another way out of the box."""
    box.config_file.write_text(toml(box) + LIVE)
    both = proposal(toml(box) + LIVE + CENTRE)
    assert box.ask("officer 1", "config.propose", both)["code"] == "COMMAND_SECOND"
    for more in (CENTRE, SELECTED, BELL, "priority"):
        text = toml(box) + LIVE + more
        if more == "priority":
            text = toml(box).replace('id = "cam1"', 'id = "cam1"\npriority = 1') + LIVE
        assert box.ask("technician 1", "config.propose", proposal(text))["code"] == "COMMAND_ROLE"
    reply = box.ask("officer 1", "config.propose", proposal(toml(box) + LIVE + SELECTED + BELL))
    assert reply["status"] == "accepted"


def test_one_proposal_at_a_time(box: Ordered) -> None:
    box.ask("officer 1", "config.propose", proposal(toml(box, url="rtsp://10.0.0.12/main")))
    assert box.ask("officer 2", "config.propose", proposal(toml(box)))["code"] == "CONFIG_BUSY"


def test_what_somebody_edits_meanwhile_is_left_alone(box: Ordered) -> None:
    new, own = toml(box, url="rtsp://10.0.0.12/main"), toml(box, url="rtsp://10.0.0.77/main")
    box.ask("officer 1", "config.propose", proposal(new))
    box.config_file.write_text(own)
    box.tick(int(WATCH_S) + 2)
    assert box.replies()[-1]["code"] == "CONFIG_CHANGED"
    assert box.config_file.read_text() == own


def test_killed_at_each_step_the_file_is_the_old_or_the_new_and_the_verdict_comes(tmp_path: Path) -> None:
    for at in range(30):
        box = Ordered(tmp_path / f"{at}")
        old = write(box)
        say(box, old)
        new = toml(box, url="rtsp://10.0.0.12/main")
        box.keeper.close()
        name = box.send("officer 1", "config.propose", proposal(new))

        def work(step: Callable[[str], None], box: Ordered = box, new: str = new) -> None:
            box.start(step=step)
            for _ in range(3):
                box.pass_time(1000)
                box.keeper.tick()
            say(box, new, state="invalid")
            box.pass_time(1000)
            box.keeper.tick()

        died = die_at(work, at)
        assert box.config_file.read_text() in (old, new)
        box.pass_time(5000)
        box.start()
        say(box, new, state="invalid")
        box.tick(3)
        last = [reply for reply in box.replies() if reply["id"] == name][-1]
        assert (last["status"], last["code"]) == ("failed", "CONFIG_NOT_TAKEN")
        assert box.config_file.read_text() == old
        assert len(box.bodies("config.rolled_back")) == len(box.bodies("config.proposed")) == 1
        box.keeper.close()
        if not died:
            return
    pytest.fail("it never came to its end")


@pytest.mark.parametrize(
    ("said", "passed_s", "verdict"),
    [
        ({}, 0, ""),
        ({}, 120, "CONFIG_NOT_TAKEN"),
        ({"config": {"sha256": "other", "state": "invalid"}}, 5, ""),
        ({"config": {"sha256": "new", "state": "invalid"}}, 5, "CONFIG_NOT_TAKEN"),
        ({"config": {"sha256": "new", "state": "needs_restart"}}, 5, "CONFIG_NOT_TAKEN"),
        ({"config": {"sha256": "new", "state": "applied"}, "cameras": {"a": {"state": "recording"}}}, 5, ""),
        (
            {"config": {"sha256": "new", "state": "applied"}, "cameras": {"a": {"state": "recording"}}},
            20,
            "applied",
        ),
        ({"config": {"sha256": "new", "state": "applied"}, "cameras": {}}, 20, ""),
        ({"config": {"sha256": "new", "state": "applied"}, "cameras": {}}, 120, "CONFIG_CAMERAS_LOST"),
    ],
)
def test_the_verdict(said: dict[str, Any], passed_s: float, verdict: str) -> None:
    assert judge(said, "new", {"a", "b"}, {"a"}, passed_s)[0] == verdict


def test_e15_nothing_is_erased_by_a_retention_that_is_on_trial(tmp_path: Path) -> None:
    """Nor by a keeper that is started in the middle of the trial, and knows the shorter one only."""
    box = Ordered(tmp_path)
    old = write(box)
    box.record(count=1)
    box.pass_time(25 * DAY_MS)
    box.record(at_ms=box.clock.utc_ms - 100_000, count=40)
    box.turn(2)
    say(box, old)
    new = toml(box, retention=20)
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    assert box.answer(name)["status"] == "accepted"
    short = {"cam1": 20 * DAY_MS, "cam2": 20 * DAY_MS}
    box.restart(retention=short)
    box.turn(5)
    assert box.health["retention"]["blocked"] == "config.on_trial"
    assert box.erased() == []
    say(box, new, state="invalid")
    box.tick(2)
    assert box.replies()[-1]["code"] == "CONFIG_NOT_TAKEN"
    box.turn(4)  # with the rules that were taken back, until somebody tells it
    assert box.erased() == []
    box.restart()
    box.turn(10)
    assert box.erased() == []
    assert box.health["retention"]["blocked"] == ""
    # And what is accepted counts from then on.
    say(box, old)
    name = box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    box.tick()
    box.restart(retention=short)
    for _ in range(25):
        say(box, new)
        box.tick()
    assert box.replies()[-1]["status"] == "done"
    box.turn(10)
    assert len(box.erased()) == 1


def test_e15_a_trial_ends_whatever_is_wrong_with_what_comes_in(box: Ordered) -> None:
    """While a shorter retention is on trial nothing is erased: it must not last because the uplink's folder is odd."""
    new = toml(box, retention=20)
    box.send_two("officer 1", "department 1", "config.propose", proposal(new))
    box.tick(2)
    assert box.replies()[-1]["status"] == "accepted"
    orders = box.state / "exchange/orders"
    orders.rmdir()
    orders.write_text("in the way")
    blocked = set()
    for _ in range(25):
        say(box, new)
        box.tick()
        blocked.add(box.health["retention"]["blocked"])
    assert "config.on_trial" in blocked
    assert box.replies()[-1]["status"] == "done"
    assert "keeper.trouble orders" in box.conditions
    box.turn(8)
    assert box.health["retention"]["blocked"] == ""


def test_gangneung_art_26_2_less_hours_take_two_and_are_no_technicians(box: Ordered) -> None:
    def with_hours(*hours: str) -> str:
        return toml(box).replace('id = "cam1"', f'id = "cam1"\nhours = {json.dumps([*hours])}')

    box.config_file.write_text(with_hours("08:00-20:00"))
    less, more = proposal(with_hours("08:00-19:59")), proposal(with_hours("07:00-20:00"))
    for text in (less, more):
        assert box.ask("technician 1", "config.propose", text)["code"] == "COMMAND_ROLE"
    assert box.ask("officer 1", "config.propose", less)["code"] == "COMMAND_SECOND"
    assert box.ask("officer 1", "config.propose", more)["status"] == "accepted"


def test_a_camera_that_rests_is_no_camera_that_was_lost() -> None:
    said = {"config": {"sha256": "1", "state": "applied"}, "cameras": {"cam1": {"state": "resting"}}}
    assert judge(said, "1", {"cam1"}, {"cam1"}, 60.0) == ("applied", [])
