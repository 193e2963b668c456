"""Disaster mode: all cameras at once, to one centre, for as long as an officer says and no longer."""

from __future__ import annotations

from typing import Any

import pytest

from agent.command.keyring import Role
from agent.errors import StorageFault
from agent.grants import RANKS, Grant, Kind, Stage
from agent.model import Trust
from agent.storage.granted import MOST_LISTED
from agent.storage.keep.streams import LEASES_MS, REPORT_MS
from tests.unit.keep.showing_box import CENTRE, Killed, Showing, camera, killer

MORE = camera("cam3", "priority = 1") + camera("cam4", "priority = 9") + CENTRE
MINUTE_S = 60
LEASE_MS = LEASES_MS[Kind.DISASTER]


@pytest.fixture
def box(tmp_path) -> Showing:
    return Showing(tmp_path / "box", MORE)


def terms(**more: Any) -> dict[str, Any]:
    return {"reason": "태풍 경보", "ground": "disaster", "centre": "office", "minutes": 60} | more


def started(box: Showing, **more: Any) -> str:
    name = box.send("officer 1", "disaster.start", terms(**more))
    reply = box.answer(name)
    assert reply["status"] == "done", reply
    return name


def test_all_cameras_are_shown_at_once_in_their_order(box: Showing) -> None:
    name = box.send("officer 1", "disaster.start", terms())
    reply = box.answer(name)
    assert (reply["status"], reply["detail"]["disaster"]) == ("done", name)
    assert reply["detail"]["cameras"] == ["cam3", "cam1", "cam4"]
    assert box.live() == ["cam1", "cam3", "cam4"]  # cam2 is a file
    ranks = {each.camera: each.rank for each in box.granted().values()}
    assert ranks == {
        "cam3": RANKS[Kind.DISASTER] + 1,
        "cam1": RANKS[Kind.DISASTER] + 5,
        "cam4": RANKS[Kind.DISASTER] + 9,
    }
    assert {each.centre for each in box.granted().values()} == {"office"}
    (fact,) = box.bodies("disaster.started")
    assert (fact["disaster"], fact["ground"], fact["reason"], fact["minutes"]) == (
        name,
        "disaster",
        "태풍 경보",
        60,
    )
    assert (fact["centre"], fact["cameras"]) == ("office", ["cam3", "cam1", "cam4"])
    assert box.city.signers["officer 1"].kid in fact["person"]
    assert box.bodies("stream.granted") == []
    assert box.conditions["disaster.on"] == "3"


def test_files_are_lent_for_a_quarter_of_an_hour_at_most(box: Showing) -> None:
    started(box, minutes=720)
    for _ in range(40):
        box.pass_time(MINUTE_S * 1000)
        box.tick()
        left = [each.until_boot_ms - box.now_boot_ms for each in box.granted().values()]
        assert len(left) == 3
        assert all(LEASE_MS // 2 - 1000 <= each <= LEASE_MS for each in left)


def test_f12_a_keeper_that_is_no_more_lets_nothing_run_on(box: Showing) -> None:
    """F12: the dead man's switch."""
    started(box, minutes=720)
    box.keeper.close()
    box.pass_time(LEASE_MS)
    assert box.granted() == {}


def test_it_ends_by_itself_with_the_bytes_of_each_camera(box: Showing) -> None:
    name = started(box, minutes=16)
    box.relay(700)
    box.tick(2)
    assert sorted(each["camera"] for each in box.bodies("stream.started")) == ["cam1", "cam3", "cam4"]
    box.pass_time(15 * MINUTE_S * 1000)
    box.tick(2)
    assert box.live() == ["cam1", "cam3", "cam4"]
    box.pass_time(MINUTE_S * 1000)
    box.tick()
    assert box.granted() == {}
    box.relay()
    box.tick()
    (fact,) = box.bodies("disaster.stopped")
    assert (fact["disaster"], fact["reason"], fact["sent_bytes"]) == (name, "expired", 2100)
    assert fact["cameras"]["cam3"] == {"flowed": True, "sent_bytes": 700, "left_out": 0}
    assert box.bodies("stream.stopped") == []
    assert "disaster.on" not in box.conditions
    box.tick(3)
    assert len(box.bodies("disaster.stopped")) == 1
    assert box.uplink.reports() == {}
    with box.catalogue() as catalogue:
        assert catalogue.read("SELECT COUNT(*) FROM stream") == [(0,)]


def test_an_officer_stops_it_and_hears_of_the_bytes(box: Showing) -> None:
    started(box)
    box.relay(50)
    box.tick()
    name = box.send("officer 2", "disaster.stop", {"reason": "해제"})
    reply = box.answer(name)
    assert (reply["status"], reply["detail"]["sent_bytes"]) == ("done", 150)
    assert box.granted() == {}
    box.relay()
    box.tick()
    (fact,) = box.bodies("disaster.stopped")
    assert (fact["reason"], fact["said"]) == ("stopped", "해제")
    assert box.city.signers["officer 2"].kid in fact["by"]
    assert box.ask("officer 1", "disaster.stop", {"reason": "x"})["code"] == "DISASTER_OFF"


def test_an_uplink_that_says_nothing_is_not_waited_for(box: Showing) -> None:
    started(box)
    box.ask("officer 1", "disaster.stop", {"reason": "x"})
    box.tick(2 + REPORT_MS // 1000)
    (fact,) = box.bodies("disaster.stopped")
    assert fact["cameras"]["cam1"] == {"flowed": False, "sent_bytes": 0, "left_out": 0}


def test_started_again_it_goes_on_and_no_camera_is_interrupted(box: Showing) -> None:
    first = started(box, minutes=2)
    box.turns(60)
    seen: list[list[str]] = []
    box.restart(step=lambda _: seen.append(sorted({*box.live()})))
    second = started(box, minutes=2)
    assert seen
    assert all(each == ["cam1", "cam3", "cam4"] for each in seen)
    box.turns(75)
    assert box.live() == ["cam1", "cam3", "cam4"]
    (fact,) = box.bodies("disaster.stopped")
    assert (fact["disaster"], fact["reason"]) == (first, "renewed")
    box.turns(60)
    assert box.granted() == {}
    assert [each["disaster"] for each in box.bodies("disaster.stopped")] == [first, second]


def test_only_so_many_modes_wait_for_their_end(box: Showing) -> None:
    for _ in range(4):
        started(box)
    assert box.ask("officer 1", "disaster.start", terms())["code"] == "STREAM_BUSY"
    assert box.live() == ["cam1", "cam3", "cam4"]


def test_who_may_and_for_what(box: Showing) -> None:
    for who in ("operator 1", "technician 1", "service 1"):
        if who in box.city.signers:
            assert box.ask(who, "disaster.start", terms())["code"] == "COMMAND_ROLE"
    box.city.add("officer 9", Role.OFFICER, cameras=["cam1"])
    box.city.epoch += 1
    box.city.enrol(box.state)
    box.tick(40)
    box.replies()
    assert box.ask("officer 9", "disaster.start", terms())["code"] == "COMMAND_CAMERA"
    assert box.ask("officer 1", "disaster.start", terms(ground="investigation"))["code"] == "STREAM_GROUND"
    assert box.ask("officer 1", "disaster.start", terms(centre="nowhere"))["code"] == "STREAM_CENTRE"
    assert box.ask("officer 1", "disaster.start", terms(minutes=721))["code"] == "COMMAND_ARGUMENT"
    assert box.ask("officer 1", "disaster.start", terms(minutes=0))["code"] == "COMMAND_ARGUMENT"
    assert box.ask("officer 1", "disaster.start", terms(centre="../x"))["code"] == "COMMAND_ARGUMENT"
    assert box.granted() == {}
    assert box.bodies("disaster.started") == []


def test_the_usual_centre(box: Showing) -> None:
    wanted = terms()
    del wanted["centre"]
    assert box.ask("officer 1", "disaster.start", wanted)["status"] == "done"
    assert {each.centre for each in box.granted().values()} == {""}
    assert box.ask("officer 1", "disaster.start", terms(centre=""))["status"] == "done"


def test_a_box_that_has_nothing_to_show_refuses(tmp_path) -> None:
    box = Showing(tmp_path / "box")
    text = box.config_file.read_text()
    box.config_file.write_text(text.replace("rtsp://10.0.0.11/main", "file:///a.mp4"), encoding="utf-8")
    assert box.ask("officer 1", "disaster.start", terms(centre=""))["code"] == "STREAM_SOURCE"
    box.config_file.write_text(text.replace("media =", "# media ="), encoding="utf-8")
    assert box.ask("officer 1", "disaster.start", terms(centre=""))["code"] == "STREAM_NOT_CONFIGURED"


def test_a_lockdown_ends_it(box: Showing) -> None:
    started(box)
    box.turns()
    box.ask("officer 1", "lockdown", {"on": True})
    box.turns(3)
    assert box.granted() == {}
    assert box.bodies("disaster.stopped")[0]["reason"] == "lockdown"
    assert box.ask("officer 1", "disaster.start", terms())["code"] == "COMMAND_LOCKDOWN"


def test_the_key_of_who_began_it_is_revoked(box: Showing) -> None:
    started(box)
    box.turns()
    name = box.send_two("officer 2", "department 1", "key.revoke", {"kid": box.city.signers["officer 1"].kid})
    assert box.answer(name)["status"] == "done"
    box.turns(3)
    assert box.granted() == {}
    assert box.bodies("disaster.stopped")[0]["reason"] == "key_revoked"


def test_f12_clock_steps_neither_lengthen_nor_shorten_it(box: Showing) -> None:
    """F12."""
    started(box, minutes=2)
    box.source.step(365 * 86_400_000)
    box.turns(60)
    assert box.live() == ["cam1", "cam3", "cam4"]
    box.source.step(-2 * 365 * 86_400_000)
    box.turns(62)
    assert box.granted() == {}


def test_what_is_on_is_not_forgotten_by_a_clock_that_was_years_behind(box: Showing) -> None:
    name = started(box, minutes=5)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE command SET accepted_ms = 0"))
    box.turns(5)
    assert box.live() == ["cam1", "cam3", "cam4"]
    box.ask("officer 1", "disaster.stop", {"reason": "끝"})
    box.turns(2)
    assert [each["disaster"] for each in box.bodies("disaster.stopped")] == [name]


def test_a5_over_a_power_cut_it_goes_on_to_its_end(box: Showing) -> None:
    """A5: a disaster cuts the power too."""
    name = started(box, minutes=60)
    box.relay(100)
    box.tick()
    box.source.reboot(20 * MINUTE_S * 1000, synced=True)
    box.restart()
    assert box.granted() == {}  # by the clock of another boot
    box.tick(2)
    assert box.live() == ["cam1", "cam3", "cam4"]
    assert box.bodies("disaster.resumed") == [
        {"disaster": name, "until_ms": box.bodies("disaster.started")[0]["until_ms"]}
    ]
    box.relay(30)
    box.pass_time(39 * MINUTE_S * 1000)
    box.tick()
    assert len(box.granted()) == 3
    box.pass_time(2 * MINUTE_S * 1000)
    box.tick()
    assert box.granted() == {}
    box.relay()
    box.tick()
    (fact,) = box.bodies("disaster.stopped")
    assert (fact["reason"], fact["sent_bytes"]) == ("expired", 390)


def test_c1_after_a_power_cut_nothing_is_shown_till_the_time_is_trusted(box: Showing) -> None:
    """C1."""
    started(box, minutes=60)
    true_ms = box.source.utc
    box.source.reboot(utc_ms=0)
    box.restart()
    box.tick(3)
    assert box.keeper._clock.now().trust is Trust.UNTRUSTED
    assert box.granted() == {}
    assert "disaster.suspended" in box.conditions
    assert "disaster.on" not in box.conditions
    box.source.utc, box.source.synced = true_ms + 10 * MINUTE_S * 1000, True
    box.tick(60)
    assert box.keeper._clock.now().trust is not Trust.UNTRUSTED
    assert box.live() == ["cam1", "cam3", "cam4"]
    assert "disaster.suspended" not in box.conditions


def test_a_mode_whose_time_went_by_while_the_power_was_off_is_over(box: Showing) -> None:
    started(box, minutes=60)
    box.source.reboot(61 * MINUTE_S * 1000, synced=True)
    box.restart()
    box.tick(3)
    assert box.granted() == {}
    assert box.bodies("disaster.stopped")[0]["reason"] == "expired"
    assert box.bodies("disaster.resumed") == []


def test_a_camera_that_is_revoked_stays_off_also_over_a_power_cut(box: Showing) -> None:
    started(box)
    (name,) = [each.grant for each in box.granted().values() if each.camera == "cam4"]
    box.relay(10)
    box.tick()
    assert (
        box.ask("officer 1", "stream.revoke", {"grant": name, "reason": "사생활"})["detail"]["sent_bytes"]
        == 10
    )
    box.turns(3)
    assert box.live() == ["cam1", "cam3"]
    box.source.reboot(60_000, synced=True)
    box.restart()
    box.turns(3)
    assert box.live() == ["cam1", "cam3"]
    box.ask("officer 1", "disaster.stop", {"reason": "끝"})
    box.turns(2)
    (fact,) = box.bodies("disaster.stopped")
    assert fact["cameras"]["cam4"]["sent_bytes"] == 10
    (revoked,) = box.bodies("stream.revoked")
    assert (revoked["camera"], revoked["reason"]) == ("cam4", "사생활")


def test_cameras_and_centres_that_are_not_configured_any_more(box: Showing) -> None:
    started(box)
    box.configure(camera("cam3") + CENTRE)
    box.turns(2)
    assert box.live() == ["cam1", "cam3"]
    box.configure(camera("cam3"))
    box.turns(2)
    assert box.granted() == {}
    box.configure(MORE)
    box.turns(2)
    assert box.granted() == {}  # who wants them again orders it again


def test_a_configuration_that_cannot_be_read_ends_no_disaster_also_for_another_keeper(box: Showing) -> None:
    started(box)
    box.config_file.write_text("[[", encoding="utf-8")
    box.turns(2)
    box.restart()
    box.turns(3)
    assert box.live() == ["cam1", "cam3", "cam4"]
    box.configure(MORE)
    box.turns(2)
    assert box.live() == ["cam1", "cam3", "cam4"]


def test_it_does_not_count_among_the_streams_that_operators_may_have(box: Showing) -> None:
    """F11."""
    started(box)
    wanted = {
        "camera": "cam1",
        "operator": "operator 1",
        "purpose": "crime-prevention",
        "ground": "monitoring",
        "minutes": 5,
    }
    assert box.ask("operator 1", "stream.grant", wanted)["status"] == "done"
    told = box.ask("officer 1", "streams")["detail"]["streams"]
    assert sorted((each["kind"], each["camera"]) for each in told) == [
        ("disaster", "cam1"), ("disaster", "cam3"), ("disaster", "cam4"), ("order", "cam1"),
    ]  # fmt: skip


def test_f11_48_cameras_are_shown_and_their_facts_are_small(tmp_path) -> None:
    """F11: more than relays may be by single orders."""
    box = Showing(tmp_path / "box", "".join(camera(f"c{number:02d}") for number in range(47)))
    started(box, centre="", minutes=720)
    assert len(box.granted()) == 48
    box.relay(10**12)
    box.tick()
    box.ask("officer 1", "disaster.stop", {"reason": "끝"})
    box.relay()
    box.tick()
    (fact,) = box.bodies("disaster.stopped")
    assert fact["sent_bytes"] == 48 * 10**12
    assert len(fact["cameras"]) == 48
    assert len(str(fact)) < 6000


@pytest.mark.parametrize("at", ["Y1", "Y2", "V2"])
def test_a2_killed_after_a_step_of_its_begin_it_begins_once_and_for_no_longer(box: Showing, at: str) -> None:
    """A2."""
    step, killed = killer(at)
    box.restart(step=step)
    name = box.send("officer 1", "disaster.start", terms(minutes=10))
    begun = box.now_boot_ms
    with pytest.raises(Killed):
        box.tick(3)
    box.restart()
    box.pass_time(30_000)
    assert box.answer(name)["status"] == "done"
    box.tick()
    assert killed
    assert box.live() == ["cam1", "cam3", "cam4"]
    assert len(box.bodies("disaster.started")) == 1
    box.turns(600 - (box.now_boot_ms - begun) // 1000 + 2)
    assert box.granted() == {}


@pytest.mark.parametrize("at", ["V3", "Y4", "V4", "V5", "V6", "Y5"])
@pytest.mark.parametrize("how", ["expired", "stopped", "renewed"])
def test_a2_killed_after_a_step_of_its_end_it_ends_once(box: Showing, at: str, how: str) -> None:
    """A2."""
    name = started(box, minutes=1)
    step, killed = killer(at)
    box.restart(step=step)

    def turns(times: int) -> None:
        for _ in range(times):
            try:
                box.turns()
            except Killed:
                box.restart()

    turns(5)
    if how == "stopped":
        box.send("officer 1", "disaster.stop", {"reason": "끝"})
    elif how == "renewed":
        box.send("officer 1", "disaster.start", terms(minutes=1))
    turns(20)
    if how == "renewed":
        assert box.live() == ["cam1", "cam3", "cam4"]
    turns(80)
    assert killed or (at, how) == ("Y4", "x")
    assert box.granted() == {}
    assert box.uplink.reports() == {}
    stopped = [each for each in box.bodies("disaster.stopped") if each["disaster"] == name]
    assert len(stopped) == 1
    assert stopped[0]["reason"] == how
    assert stopped[0]["sent_bytes"] == 300
    count = 2 if how == "renewed" else 1
    assert len(box.bodies("disaster.stopped")) == count
    assert len(box.bodies("stream.started")) == 3 * count


@pytest.mark.parametrize("at", ["Y3", "Y2", "V2"])
def test_a2_killed_while_it_resumes(box: Showing, at: str) -> None:
    """A2."""
    started(box)
    box.relay(100)
    box.source.reboot(60_000, synced=True)
    step, killed = killer(at)
    box.restart(step=step)
    with pytest.raises(Killed):
        box.tick(3)
    box.restart()
    box.tick(2)
    assert killed
    assert box.live() == ["cam1", "cam3", "cam4"]
    assert len(box.bodies("disaster.resumed")) == 1


def test_a_hostile_uplink_plants_what_it_likes(box: Showing) -> None:
    """What lies among reports ends nothing, begins nothing, and stops no keeper."""
    started(box)
    box.tick()
    reports, grants_ = box.state / "exchange" / "streams", box.state / "exchange" / "grants"
    (one, two, three) = sorted(box.granted())
    (reports / f"{one}.json").mkdir()
    (reports / f"{two}.json").symlink_to("/dev/zero")
    (reports / f"{three}.json").write_text('{"v":1}' * 2000)
    (reports / f"{'f' * 32}.json").write_text("{}")
    (grants_ / f"{'e' * 32}.json").write_bytes(
        (grants_ / f"{one}.json").read_bytes().replace(one.encode(), b"e" * 32)
    )
    box.say("d" * 32, Stage.FLOWING, flowed=True, sent_bytes=1)
    box.tick(2)
    assert sorted(box.granted()) == [one, two, three]
    assert box.bodies("stream.started") == []
    assert not (reports / f"{'f' * 32}.json").exists()
    assert box.ask("officer 1", "disaster.stop", {"reason": "끝"})["status"] == "done"
    box.tick(REPORT_MS // 1000 + 3)
    assert box.granted() == {}
    assert len(box.bodies("disaster.stopped")) == 1
    assert "keeper.trouble streams" not in box.conditions


def test_a_grant_that_was_tampered_with_is_put_right(box: Showing) -> None:
    """A file that is removed comes back; a longer one is not believed after a restart."""
    started(box)
    grants_ = box.state / "exchange" / "grants"
    (one, two, _) = sorted(box.granted())
    (grants_ / f"{one}.json").unlink()
    box.tick()
    assert len(box.granted()) == 3
    box.restart()
    longer: Grant = box.granted()[two]
    box.tick()
    assert box.granted()[two].until_boot_ms - box.now_boot_ms <= LEASE_MS
    assert longer.grant == two


def test_a_disk_that_takes_nothing_keeps_no_stream_from_its_end(box: Showing, monkeypatch) -> None:
    """What cannot be done for one is no reason to go on with another."""
    started(box)
    (wrong, *_others) = sorted(box.granted())
    real = box.disk.unlink

    def unlink(path) -> None:
        if path.stem == wrong:
            raise StorageFault("DISK_FAILED", "no", hint="", path=str(path), error="EIO")
        real(path)

    monkeypatch.setattr(box.disk, "unlink", unlink)
    box.ask("officer 1", "lockdown", {"on": True})
    box.tick()
    assert sorted(box.granted()) == [wrong]
    assert "keeper.trouble streams" in box.conditions
    monkeypatch.undo()
    box.tick()
    assert box.granted() == {}


def test_a_full_disk_begins_nothing_and_ends_what_is_to_end(box: Showing, monkeypatch) -> None:
    first = started(box, minutes=1)
    real = box.disk.atomic_replace

    def full(path, *args, **more) -> None:
        if path.parent.name == "grants":
            raise StorageFault("DISK_FULL", "no", hint="", path=str(path), error="ENOSPC")
        real(path, *args, **more)

    monkeypatch.setattr(box.disk, "atomic_replace", full)
    name = box.send("officer 1", "disaster.start", terms())
    assert box.answer(name)["status"] == "done"
    box.tick(60)
    assert box.granted() == {}
    monkeypatch.undo()
    box.tick()
    assert box.live() == ["cam1", "cam3", "cam4"]
    box.tick(REPORT_MS // 1000 + 2)
    assert [each["disaster"] for each in box.bodies("disaster.stopped")] == [first]


def test_a_report_that_cannot_be_read_keeps_nobody_from_revoking(box: Showing) -> None:
    """F12."""
    started(box)
    (one, *_others) = sorted(box.granted())
    reports = box.state / "exchange" / "streams"
    (reports / f"{one}.json").mkdir()
    reply = box.ask("officer 1", "stream.revoke", {"grant": one, "reason": "x"})
    assert (reply["status"], reply["detail"]["sent_bytes"]) == ("done", 0)
    assert one not in box.granted()


def test_a_folder_full_of_reports_keeps_the_keeper_no_longer_than_it_may(box: Showing) -> None:
    reports = box.state / "exchange" / "streams"
    started(box)
    for number in range(MOST_LISTED + 100):
        (reports / f"{number:032x}.json").touch()
    box.tick(3)
    assert len(box.granted()) == 3
    assert [*reports.iterdir()] == []
