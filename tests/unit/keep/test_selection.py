"""Streams without a hand: cameras that the configuration selects, and those that triggers start."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from agent.config import hours
from agent.grants import RANKS, Kind, Most, Stage
from agent.model import Trust
from agent.storage.keep.selection import HOUR_MS, MOST_AN_HOUR
from agent.storage.keep.streams import COUNT_MS, LEASES_MS, REPORT_MS
from tests.unit.keep.showing_box import CENTRE, Killed, Showing, camera, killer

SELECTED = '[[stream]]\ncamera = "cam1"\n'
BELL = """
[[trigger]]
id = "bell01"
name = "비상벨"
source = "mqtt://10.0.0.5:1883/site/bell01"
cameras = ["cam1", "cam3"]
minutes = 2
before_s = 10
"""
THIRD = camera("cam3", "priority = 1")
LEASE_MS = LEASES_MS[Kind.CONFIGURATION]
DAY_MS = 86_400_000


def korean(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone(timedelta(hours=9))).strftime("%a %H:%M").lower()


def window(from_ms: int, to_ms: int) -> str:
    """Write hours from one moment to another."""
    return f"{korean(from_ms)}-{korean(to_ms)[-5:]}"


@pytest.fixture
def box(tmp_path) -> Showing:
    return Showing(tmp_path / "box", SELECTED)


@pytest.fixture
def bell(tmp_path) -> Showing:
    return Showing(tmp_path / "box", THIRD + BELL)


def only(found: list[Any]) -> Any:
    (one,) = found
    return one


# What the configuration selects


def test_a_selected_camera_is_shown_with_nobody_asking(box: Showing) -> None:
    """Art. 20."""
    grant = only([*box.granted().values()])
    assert (grant.camera, grant.centre, grant.most, grant.before_s) == ("cam1", "", Most.MAIN, 0)
    assert grant.rank == RANKS[Kind.CONFIGURATION] + 5
    fact = only(box.bodies("stream.granted"))
    assert (fact["grant"], fact["kind"], fact["camera"]) == (grant.grant, "configuration", "cam1")
    assert (fact["purpose"], fact["ground"]) == ("crime-prevention", "monitoring")
    assert (fact["person"], fact["operator"], fact["until_ms"]) == ("", "", 0)


def test_for_days_without_a_fact_but_its_bytes_once_a_day(box: Showing) -> None:
    """The wire: 5 MB a day."""
    before = len(box.facts())
    grant = only([*box.granted()])
    box.relay(1000)
    for hour in range(49):
        box.pass_time(3_600_000)
        box.tick()
        box.relay(1000 + hour)
    assert only([*box.granted()]) == grant
    counted = box.bodies("stream.counted")
    assert [each["grant"] for each in counted] == [grant, grant]
    assert counted[-1]["sent_bytes"] >= 1040
    own = [kind for kind, _ in box.facts()[before:] if kind.startswith("stream.")]
    assert sorted(own) == ["stream.counted", "stream.counted", "stream.started"]
    assert COUNT_MS == DAY_MS


def test_f12_its_file_is_lent_for_minutes_and_ends_with_the_keeper(box: Showing) -> None:
    """F12."""
    for _ in range(30):
        box.pass_time(20_000)
        box.tick()
        left = only([each.until_boot_ms - box.now_boot_ms for each in box.granted().values()])
        assert LEASE_MS // 2 - 1000 <= left <= LEASE_MS
    box.keeper.close()
    box.pass_time(LEASE_MS)
    assert box.granted() == {}


def test_f12_a_table_that_is_gone_ends_it_within_two_seconds(box: Showing) -> None:
    """F12."""
    name = only([*box.granted()])
    box.relay(70)
    box.tick()
    box.configure()
    box.tick(2)
    assert box.granted() == {}
    box.relay()
    box.tick()
    fact = only(box.bodies("stream.stopped"))
    assert (fact["grant"], fact["reason"], fact["sent_bytes"]) == (name, "unconfigured", 70)
    box.tick(30)
    assert len(box.bodies("stream.stopped")) == 1


@pytest.mark.parametrize(
    "change", ['centre = "office"\n', 'hours = ["00:00-24:00"]\n', ""], ids=["centre", "hours", "priority"]
)
def test_another_table_is_another_stream_without_a_moment_between(box: Showing, change: str) -> None:
    first = only([*box.granted()])
    seen: list[int] = []
    box.restart(step=lambda _: seen.append(len(box.granted())))
    box.configure(CENTRE + SELECTED + change)
    if not change:
        text = box.config_file.read_text().replace('id = "cam1"', 'id = "cam1"\npriority = 2')
        box.config_file.write_text(text, encoding="utf-8")
    box.turns(3)
    assert only([*box.granted()]) != first
    assert min(seen) >= 1
    assert [each["grant"] for each in box.bodies("stream.stopped")] in ([first], [])


def test_a_configuration_that_cannot_be_read_changes_nothing(box: Showing) -> None:
    before = box.granted()
    box.config_file.write_text("[[stream]\n", encoding="utf-8")
    box.tick(3)
    assert box.granted() == before
    box.config_file.unlink()
    box.tick(3)
    assert box.granted() == before


def test_hours_begin_and_end_it_once_a_day(tmp_path) -> None:
    box = Showing(tmp_path / "box")
    start = box.clock.utc_ms + 600_000
    text = f'[[stream]]\ncamera = "cam1"\nhours = ["{korean(start)[-5:]}-{korean(start + 1_200_000)[-5:]}"]\n'
    box.configure(text)
    box.tick(2)
    assert box.granted() == {}
    for _ in range(2):
        box.pass_time(660_000)
        box.tick()
        assert len(box.granted()) == 1
        box.relay()
        box.pass_time(1_260_000)
        box.tick()
        assert box.granted() == {}
        box.relay()
        box.pass_time(DAY_MS - 660_000 - 1_260_000 - 1000)
        box.tick()
    assert [each["reason"] for each in box.bodies("stream.stopped")] == ["hours", "hours"]
    assert len(box.bodies("stream.granted")) == 2


def test_c1_with_hours_nothing_is_shown_while_nobody_knows_the_time(tmp_path) -> None:
    """C1."""
    box = Showing(
        tmp_path / "box", THIRD + SELECTED + '[[stream]]\ncamera = "cam3"\nhours = ["00:00-24:00"]\n'
    )
    assert box.live() == ["cam1", "cam3"]
    true_ms = box.source.utc
    box.source.reboot(utc_ms=0)
    box.restart()
    box.turns(3)
    assert box.keeper._clock.now().trust is Trust.UNTRUSTED
    assert box.live() == ["cam1"]
    assert "stream.unscheduled cam3" in box.conditions
    box.source.utc, box.source.synced = true_ms + 60_000, True
    box.turns(60)
    assert box.live() == ["cam1", "cam3"]
    assert "stream.unscheduled cam3" not in box.conditions


def test_another_boot_is_another_grant(box: Showing) -> None:
    first = only([*box.granted()])
    box.relay(42)
    box.tick()
    box.source.reboot(60_000, synced=True)
    box.restart()
    box.tick(2)
    second = only([*box.granted()])
    assert first != second
    fact = only(box.bodies("stream.stopped"))
    assert (fact["grant"], fact["reason"], fact["sent_bytes"], fact["reported"]) == (
        first,
        "restarted",
        42,
        False,
    )


def test_a_keeper_that_is_started_again_goes_on(box: Showing) -> None:
    before = only([*box.granted()])
    for _ in range(5):
        box.restart()
        box.tick(2)
    assert only([*box.granted()]) == before
    assert len(box.bodies("stream.granted")) == 1


def test_revoked_it_stays_off_till_the_next_korean_day(box: Showing) -> None:
    name = only([*box.granted()])
    assert box.ask("officer 1", "stream.revoke", {"grant": name, "reason": "민원"})["status"] == "done"
    assert box.granted() == {}
    box.tick(REPORT_MS // 1000 + 5)
    box.restart()
    box.tick(5)
    assert box.granted() == {}
    assert only(box.bodies("stream.stopped"))["reason"] == "revoked"
    tomorrow_ms = hours.day_begun_ms(box.clock.utc_ms) + DAY_MS
    box.pass_time(tomorrow_ms - box.clock.utc_ms - 5000)
    box.tick()
    assert box.granted() == {}
    box.tick(6)
    assert len(box.granted()) == 1


def test_revoked_after_days_it_stays_off_for_the_day_on_which_it_was_revoked(box: Showing) -> None:
    for _ in range(3):
        box.pass_time(DAY_MS)
        box.tick()
    assert (
        box.ask("officer 1", "stream.revoke", {"grant": only([*box.granted()]), "reason": "민원"})["status"]
        == "done"
    )
    box.tick(REPORT_MS // 1000 + 5)
    assert box.granted() == {}


def test_revoked_it_comes_back_with_another_table(box: Showing) -> None:
    box.ask("officer 1", "stream.revoke", {"grant": only([*box.granted()]), "reason": "민원"})
    box.tick(3)
    box.configure(CENTRE + SELECTED)
    box.tick(3)
    assert box.granted() == {}  # its own table is the same
    box.configure(CENTRE + SELECTED + 'hours = ["00:00-24:00"]\n')
    box.tick(3)
    assert len(box.granted()) == 1


def test_revoked_while_nobody_knew_the_time_it_stays_off_for_the_day_on_which_that_is_known(
    box: Showing,
) -> None:
    true_ms = box.source.utc
    box.source.reboot(utc_ms=0)
    box.restart()
    box.tick(2)
    box.replies()
    name = only([*box.granted()])
    revoke = {"grant": name, "reason": "민원"}
    text = box.city.order(
        "officer 1",
        "stream.revoke",
        revoke,
        box="box-1",
        issued_ms=true_ms,
        challenge=box.health["challenge"],
    )
    box.put(text)
    box.tick()
    assert only(box.replies())["status"] == "done"
    box.tick(REPORT_MS // 1000 + 3)
    assert box.granted() == {}
    box.source.utc, box.source.synced = true_ms + 60_000, True
    box.tick(60)
    assert box.keeper._clock.now().trust is not Trust.UNTRUSTED
    assert box.granted() == {}
    box.pass_time(DAY_MS)
    box.tick()
    assert len(box.granted()) == 1


def test_a_lockdown_ends_it_and_the_end_of_that_brings_it_back(box: Showing) -> None:
    box.ask("officer 1", "lockdown", {"on": True})
    box.tick(2)
    assert box.granted() == {}
    box.tick(REPORT_MS // 1000 + 5)
    assert only(box.bodies("stream.stopped"))["reason"] == "lockdown"
    name = box.send_two("officer 1", "officer 2", "lockdown", {"on": False})
    assert box.answer(name)["status"] == "done"
    box.tick(2)
    assert len(box.granted()) == 1


@pytest.mark.parametrize("at", ["V1", "V2", "V3", "V4", "V5", "V6"])
def test_a2_killed_after_a_step_it_begins_and_ends_once(tmp_path, at: str) -> None:
    """A2."""
    box = Showing(tmp_path / "box")
    step, killed = killer(at)
    box.restart(step=step)
    box.configure(SELECTED)
    for number in range(40):
        if number == 15:
            box.configure()
        try:
            box.turns()
        except Killed:
            box.restart()
        if 8 <= number < 15:
            assert len(box.granted()) == 1
    assert killed
    assert box.granted() == {}
    assert box.uplink.reports() == {}
    grant = only(box.bodies("stream.granted"))["grant"]
    assert only(box.bodies("stream.started"))["grant"] == grant
    assert only(box.bodies("stream.stopped"))["grant"] == grant


# Triggers


def test_a_bell_shows_its_cameras_with_the_seconds_before_it(bell: Showing) -> None:
    assert bell.granted() == {}
    bell.press()
    bell.tick()
    assert bell.live() == ["cam1", "cam3"]
    found = {each.camera: each for each in bell.granted().values()}
    assert {each.before_s for each in found.values()} == {10}
    assert found["cam3"].rank == RANKS[Kind.TRIGGER] + 1
    assert RANKS[Kind.DISASTER] + 9 < found["cam3"].rank < RANKS[Kind.ORDER]
    facts = bell.bodies("stream.granted")
    assert [(each["kind"], each["trigger"], each["camera"], each["minutes"]) for each in facts] == [
        ("trigger", "bell01", "cam1", 2),
        ("trigger", "bell01", "cam3", 2),
    ]
    bell.relay(9)
    bell.tick()
    bell.pass_time(120_000)
    bell.turns(2)
    assert bell.granted() == {}
    assert [each["reason"] for each in bell.bodies("stream.stopped")] == ["expired", "expired"]


def test_pressed_again_it_goes_on_from_then(bell: Showing) -> None:
    bell.press()
    bell.turns()
    first = bell.granted()
    bell.pass_time(100_000)
    bell.press()
    bell.turns()
    bell.pass_time(110_000)
    bell.turns()
    assert bell.granted().keys() == first.keys()
    assert len(bell.bodies("stream.granted")) == 2
    bell.pass_time(11_000)
    bell.turns()
    assert bell.granted() == {}


@pytest.mark.parametrize("body", [{"trigger": "other"}, {"trigger": 7}, {"trigger": None}])
def test_what_names_no_trigger_starts_nothing(bell: Showing, body: dict[str, Any]) -> None:
    bell.press(**body)
    bell.tick(3)
    assert bell.granted() == {}
    assert not [each for each in bell.conditions if each.startswith("keeper.trouble")]


def test_an_event_starts_its_streams_once_also_for_another_keeper(bell: Showing) -> None:
    bell.press()
    bell.turns()
    bell.restart()
    bell.turns(3)
    assert len(bell.bodies("stream.granted")) == 2
    until = {each.until_boot_ms for each in bell.granted().values()}
    bell.restart()
    bell.turns(3)
    assert {each.until_boot_ms for each in bell.granted().values()} == until


def test_an_event_that_was_heard_starts_nothing_for_another_keeper(bell: Showing) -> None:
    bell.press()
    bell.turns()
    bell.configure(THIRD)
    bell.turns(2)
    bell.keeper.close()
    bell.configure(THIRD + BELL)
    bell.start()
    bell.turns(2)
    assert bell.granted() == {}
    assert len(bell.bodies("stream.granted")) == 2


def test_an_event_while_the_keeper_was_away_counts_for_half_a_minute(bell: Showing) -> None:
    bell.keeper.close()
    bell.press()
    bell.pass_time(20_000)
    bell.start()
    bell.tick()
    assert bell.live() == ["cam1", "cam3"]


def test_an_old_event_starts_nothing(bell: Showing) -> None:
    bell.keeper.close()
    bell.press()
    bell.pass_time(40_000)
    bell.start()
    bell.tick(3)
    assert bell.granted() == {}


def test_a_clock_that_steps_between_keeps_no_bell_from_being_seen(bell: Showing) -> None:
    bell.press()
    bell.source.step(3_600_000)
    bell.tick(2)
    assert bell.live() == ["cam1", "cam3"]


def test_an_event_of_another_boot_starts_nothing(bell: Showing) -> None:
    bell.keeper.close()
    bell.press()
    bell.source.reboot(29_000, synced=True)
    bell.source.boot_at = 5000
    bell.start()
    bell.tick(3)
    assert bell.granted() == {}


def test_revoked_it_stays_off_for_as_long_as_it_would_have_been_shown(bell: Showing) -> None:
    bell.press()
    bell.turns()
    for name in [*bell.granted()]:
        bell.ask("officer 1", "stream.revoke", {"grant": name, "reason": "오작동"})
    bell.turns(3)
    bell.press()
    bell.turns(3)
    bell.restart()
    bell.turns(3)
    assert bell.granted() == {}
    bell.pass_time(120_000)
    bell.press()
    bell.turns()
    assert bell.live() == ["cam1", "cam3"]


def test_f11_a_bell_that_jams_is_told_of_and_starts_no_more_for_a_while(tmp_path) -> None:
    """F11."""
    bell = Showing(tmp_path / "box", THIRD + BELL.replace("minutes = 2", "minutes = 1"))
    for _ in range(3 * MOST_AN_HOUR):
        bell.press()
        bell.turns()
        bell.pass_time(61_000)
        bell.turns(2)
    assert len(bell.bodies("stream.granted")) == 2 * MOST_AN_HOUR
    assert "trigger.restless bell01" in bell.conditions
    bell.pass_time(HOUR_MS)
    bell.press()
    bell.turns()
    assert bell.live() == ["cam1", "cam3"]


def test_f11_a_bell_that_is_pressed_without_end_is_one_stream(bell: Showing) -> None:
    """F11."""
    for _ in range(200):
        bell.press()
        bell.turns()
        bell.pass_time(60_000)
    assert len(bell.bodies("stream.granted")) == 2
    with bell.catalogue() as catalogue:
        assert catalogue.read("SELECT COUNT(*) FROM stream") == [(2,)]


def test_rows_do_not_grow(bell: Showing) -> None:
    for _ in range(8):
        bell.press()
        bell.turns()
        bell.pass_time(121_000)
        bell.turns(2)
    with bell.catalogue() as catalogue:
        assert catalogue.read("SELECT COUNT(*) FROM stream") == [(2,)]


def test_a_trigger_that_is_not_configured_any_more(bell: Showing) -> None:
    bell.press()
    bell.turns()
    bell.configure(THIRD + BELL.replace('"cam1", "cam3"', '"cam3"'))
    bell.turns(2)
    assert bell.live() == ["cam3"]
    bell.configure(THIRD)
    bell.turns(2)
    assert bell.granted() == {}
    assert {each["reason"] for each in bell.bodies("stream.stopped")} == {"unconfigured"}


def test_in_a_lockdown_a_bell_shows_nothing_and_afterwards_it_is_too_late(bell: Showing) -> None:
    bell.ask("officer 1", "lockdown", {"on": True})
    bell.press()
    bell.tick(5)
    assert bell.granted() == {}
    name = bell.send_two("officer 1", "officer 2", "lockdown", {"on": False})
    assert bell.answer(name)["status"] == "done"
    bell.tick(3)
    assert bell.granted() == {}


@pytest.mark.parametrize("at", ["V1", "V2", "V3", "V4", "V5", "V6"])
def test_a2_killed_after_a_step_a_trigger_shows_once(bell: Showing, at: str) -> None:
    """A2."""
    step, killed = killer(at)
    bell.restart(step=step)
    bell.press()
    for _ in range(135):
        try:
            bell.turns()
        except Killed:
            bell.restart()
    assert killed
    assert bell.granted() == {}
    assert len(bell.bodies("stream.granted")) == 2
    assert len(bell.bodies("stream.started")) == 2
    assert len(bell.bodies("stream.stopped")) == 2
    assert bell.uplink.reports() == {}


# All of them


def test_streams_tells_of_all_kinds_and_of_no_others_cameras(tmp_path) -> None:
    box = Showing(tmp_path / "box", THIRD + SELECTED + BELL)
    box.press()
    box.ask("officer 1", "disaster.start", {"reason": "a", "ground": "disaster", "minutes": 5})
    told = box.ask("officer 1", "streams")["detail"]["streams"]
    kinds = sorted((each["kind"], each["camera"], each["source"]) for each in told)
    assert [(kind, camera) for kind, camera, _ in kinds] == [
        ("configuration", "cam1"), ("disaster", "cam1"), ("disaster", "cam3"), ("trigger", "cam1"), ("trigger", "cam3"),
    ]  # fmt: skip
    assert kinds[0][2] == "cam1@"
    assert kinds[-1][2] == "bell01"
    box.say(told[0]["grant"], Stage.WAITING, reason="timeout")
    again = box.ask("officer 1", "streams")["detail"]["streams"]
    assert again[0]["reason"] == "timeout"


def test_a_reply_is_never_too_long(tmp_path) -> None:
    names = [f"c{number:02d}" for number in range(47)]
    tables = "".join(camera(name) for name in names) + CENTRE
    tables += "".join(f'[[stream]]\ncamera = "{name}"\n' for name in names)
    tables += "".join(f'[[stream]]\ncamera = "{name}"\ncentre = "office"\n' for name in names[:17])
    bell = BELL.replace('"cam1", "cam3"', ", ".join(f'"{name}"' for name in names[:8]))
    box = Showing(tmp_path / "box", tables + bell + bell.replace("bell01", "bell02"))
    box.press()
    box.press("bell02")
    box.ask("officer 1", "disaster.start", {"reason": "a", "ground": "disaster", "minutes": 5})
    assert len(box.granted()) == 64 + 16 + 48
    reply = box.ask("officer 1", "streams")
    assert (reply["status"], len(reply["detail"]["streams"]), reply["detail"]["more"]) == ("done", 120, 8)
