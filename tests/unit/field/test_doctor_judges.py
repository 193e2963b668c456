"""Judgements of the site examination: each way in which a check can end, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.config.hours import DAY_MS, KOREA_MS, parse
from agent.field.doctor import judge_box, judge_camera, judge_disk, judge_way
from agent.field.doctor.check import Result, State, fail, ok, skip, status, warn, worst
from agent.field.doctor.judge_box import Opening, Place, Unit
from agent.field.doctor.judge_disk import DiskLook
from agent.field.doctor.judge_way import StoredLook
from agent.field.doctor.registry import CHECKS, COVERED
from agent.field.picture import Measures, judge
from agent.health import CONDITIONS, Raised, Severity
from agent.language import speaking

GOOD, NOTE, BAD, NONE = State.OK, State.WARNING, State.FAILURE, State.NOT_APPLICABLE


def states(results: list[Result]) -> list[State]:
    return [each.state for each in results]


@pytest.fixture(params=["ko", "en"], autouse=True)
def language(request):
    with speaking(request.param):
        yield


def test_every_check_has_words_and_every_condition_that_it_covers_exists():
    for check in CHECKS.values():
        assert check.title
        assert check.why
        assert check.then
    assert set(CONDITIONS) >= set(COVERED)


def test_the_exit_status_says_the_worst():
    assert [each.word for each in State]
    assert status([]) == status([NONE, GOOD]) == 0
    assert status([GOOD, NOTE]) == 3
    assert status([NOTE, BAD, GOOD]) == 1
    assert worst([NONE]) is NONE
    assert states([ok("unit", ""), warn("unit", ""), fail("unit", ""), skip("unit", "")]) == [
        GOOD,
        NOTE,
        BAD,
        NONE,
    ]


def test_configuration():
    assert states(judge_box.config([])) == [GOOD]
    assert states(judge_box.config([("storage.recipients", "one")])) == [NOTE]
    right = {"config": {"state": "applied", "sha256": "aa"}}
    assert judge_box.applied("aa", right).state is GOOD
    assert judge_box.applied("bb", right).state is BAD
    assert judge_box.applied("aa", {"config": {"state": "rejected", "sha256": "aa"}}).state is BAD
    assert judge_box.applied("aa", None).state is BAD


def test_processes():
    said = {"boot_ms": 90_000, "version": "1"}
    found = judge_box.processes({"record": said, "keep": None, "uplink": {**said, "boot_ms": 1000}}, 100.0)
    assert states(found) == [GOOD, BAD, BAD]


def test_a_process_that_dies_and_comes_again_is_told():
    """It speaks anew each time, so it is never silent."""
    before = {"record": {"pid": 1}, "keep": {"pid": 2}, "uplink": None, "tunnel": {"pid": 3}, "page": {}}
    after = {
        "record": {"pid": 1},
        "keep": {"pid": 9},
        "uplink": {"pid": 4},
        "tunnel": None,
        "page": {"pid": 5},
    }
    (found,) = judge_box.restarts(before, after)
    assert (found.state, found.check, found.subject) == (BAD, "process", "keep")
    assert judge_box.restarts(before, before) == []


def test_conditions_that_have_a_check_of_their_own_are_not_told_twice():
    def raised(code):
        return {"code": code, "subject": "x", "detail": ""}

    codes = ["vault.foreign", "box.hot", "camera.plaintext_leg", "camera.below_floor"]
    found = judge_box.conditions([raised(code) for code in codes], [fail("camera.floor", "small", "x")])
    assert states(found) == [
        BAD if CONDITIONS["vault.foreign"].severity in judge_box.GRAVE else NOTE,
        BAD if CONDITIONS["box.hot"].severity in judge_box.GRAVE else NOTE,
    ]
    assert "vault.foreign" in found[0].subject
    assert states(judge_box.conditions([raised("camera.below_floor")], [fail("camera.floor", "", "x")])) == [
        GOOD
    ]


@pytest.mark.parametrize("code", sorted(COVERED))
def test_what_a_check_has_not_found_is_told_as_the_box_says_it(code):
    """A frozen camera, a key ring that cannot be relied on: measured from outside both look well."""
    raised = {"code": code, "subject": "cam01", "detail": ""}
    severity = CONDITIONS[code].severity
    for check in COVERED[code]:
        well = [ok(check, "", "cam01"), skip(check, "", "cam01"), fail("other", "", "cam01")]
        mild = [warn(check, "", "cam01")]
        for results, told in (
            (well, False),
            (mild, severity not in judge_box.GRAVE),
            ([fail(check, "", "cam01")], True),
        ):
            expected = (
                GOOD if told or severity is Severity.INFO else BAD if severity in judge_box.GRAVE else NOTE
            )
            assert states(judge_box.conditions([raised], results)) == [expected]
        if code.startswith("camera.") and severity is not Severity.INFO:
            other = judge_box.conditions([raised], [fail(check, "", "cam02")])
            assert states(other) != [GOOD]


def test_time():
    assert states(judge_box.clock("SYNCED", 1, kernel_synced=True)) == [GOOD, GOOD, GOOD]
    assert states(judge_box.clock("HOLDOVER", -600, kernel_synced=True)) == [GOOD, NOTE, NOTE]
    assert states(judge_box.clock("UNTRUSTED", None, kernel_synced=False)) == [BAD, BAD, NOTE]


def test_without_a_time_server_a_word_stands_in_for_a_while_and_no_longer():
    """Else a site without one could not be accepted at all."""
    until = "2026-11-28 14:05:00+09:00"
    found = judge_box.clock("HOLDOVER", 0, kernel_synced=False, word_until=until)
    assert states(found) == [NOTE, NOTE, GOOD]
    assert until in found[0].measured
    assert states(judge_box.clock("HOLDOVER", 0, kernel_synced=False)) == [BAD, NOTE, GOOD], "nobody said so"
    spent = judge_box.clock("UNTRUSTED", 0, kernel_synced=False, word_until=until)
    assert states(spent) == [BAD, BAD, GOOD], "what is not trusted stands by nothing"
    both = judge_box.clock("SYNCED", 0, kernel_synced=True, word_until=until)
    assert states(both) == [GOOD, GOOD, GOOD]


def test_permissions():
    places = [
        Place("a", 0o600, 7), Place("b", 0o700, 0), Place("c", 0o640, 7), Place("d", 0o604, 7), Place("e", None, 0),
        Place("f", 0o700, 8), Place("g", None, None),
    ]  # fmt: skip
    assert states(judge_box.permissions(places, 7)) == [GOOD, GOOD, NOTE, BAD, NONE, BAD, NOTE]


@pytest.mark.parametrize(
    ("form", "key", "opens", "can_seal", "leftover", "state"),
    [
        ("absent", None, True, True, False, NONE),
        ("clear", None, True, True, False, NOTE),
        ("clear", None, True, False, False, NONE),
        ("clear", "host", True, False, True, NOTE),
        ("sealed", "tpm", True, True, False, GOOD),
        ("sealed", "host", True, True, False, GOOD),
        ("sealed", "tpm", True, True, True, NOTE),
        ("sealed", "none", True, True, False, BAD),
        ("sealed", "tpm", False, True, False, BAD),
        ("sealed", "tpm", None, False, False, NOTE),
        ("sealed", None, True, False, False, NOTE),
    ],
)
def test_log_ins_and_what_they_are_sealed_to(form, key, opens, can_seal, leftover, state):
    found = judge_box.sealing(form, key, opens=Opening(opens), can_seal=can_seal, leftover=leftover)
    assert (found.check, found.state) == ("secrets.sealed", state)


@pytest.mark.parametrize("form", ["clear", "sealed"])
def test_what_else_is_wrong_with_log_ins_is_not_that_another_machine_sealed_them(form):
    found = judge_box.sealing(
        form, "tpm", opens=Opening(None, "CONFIG_SYNTAX"), can_seal=True, leftover=False
    )
    assert found.state == BAD
    assert "CONFIG_SYNTAX" in found.measured


def test_a_tpm_that_nothing_was_sealed_to_is_told_of():
    found = judge_box.sealing(
        "sealed", "host", opens=Opening(True), can_seal=True, leftover=False, has_tpm=True
    )
    assert found.state == NOTE
    assert "TPM" in found.measured
    assert "libtss2" in found.measured


def test_units_and_their_isolation():
    assert states(judge_box.units(None)) == [NONE]
    units = [
        Unit("a", "enabled", "active"),
        Unit("b", "disabled", "active"),
        Unit("c", "static", "failed"),
        Unit("d", "", ""),
    ]
    assert states(judge_box.units(units)) == [GOOD, BAD, BAD, BAD]
    fence = [Unit("pasu-fence.service", *words) for words in (("enabled", "inactive"), ("enabled", "failed"))]
    assert states(judge_box.units([*fence, Unit("pasu-fence.service", "disabled", "active")])) == [
        GOOD,
        BAD,
        BAD,
    ]
    assert states(judge_box.exposures({})) == [NONE]
    assert states(judge_box.exposures({"pasu-keep.service": 0.3, "pasu-record.service": 1.0})) == [GOOD, GOOD]
    assert states(judge_box.exposures({"pasu-keep.service": 0.4, "pasu-record.service": 9.2})) == [NOTE, NOTE]


def test_memory_and_the_page():
    assert states(judge_box.memory([], {"keep": 0, "rtsp-0": None})) == [GOOD, GOOD, NONE]
    assert states(judge_box.memory(["/dev/sda2"], {"keep": 1})) == [BAD, BAD]
    assert states(judge_box.page(False, {})) == [NONE]
    assert states(judge_box.page(True, {"10.0.0.1:8443": "", "10.0.0.2:8443": "refused"})) == [GOOD, BAD]


DISK = DiskLook("/vault", False, 4 * 10**12, 10**12, (5, 10, 20), 100 * 10**6, "")


def test_a_disk():
    load = 8_000_000
    assert DiskLook.from_json(DISK.to_json()) == DISK
    assert states(judge_disk.disk(DISK, load, 10**9)) == [GOOD, GOOD, GOOD]
    assert states(judge_disk.disk(replace(DISK, on_root=True, free_bytes=10), load, 10**9)) == [
        BAD,
        BAD,
        GOOD,
    ]
    assert states(judge_disk.disk(replace(DISK, wrong="DISK_GONE"), load, 0)) == [BAD]
    assert judge_disk.disk(replace(DISK, syncs_ms=()), load, 0)[2].state is NOTE
    # Also where keep, who knows the reserve, says nothing.
    full = replace(DISK, syncs_ms=(), free_bytes=judge_disk.LEAST_BYTES - 1)
    assert states(judge_disk.disk(full, load, 0)) == [GOOD, BAD, NOTE]
    for syncs, rate, state in (
        ((5, 300, 400), 10**8, NOTE), ((5, 10, 1500), 10**8, NOTE), ((5, 10, 20), 2 * load, NOTE),
        ((5, 1200, 1300), 10**8, BAD), ((5, 10, 20), load - 1, BAD),
    ):  # fmt: skip
        assert judge_disk.disk(replace(DISK, syncs_ms=syncs, bytes_s=rate), load, 0)[2].state is state


def test_what_disks_say_of_themselves():
    def known(name, passed=True, why=""):
        return {"device": name, "model": "WD", "passed": passed, "unavailable": why}

    assert states(judge_disk.smart(None, [])) == [NOTE]
    raised = [Raised("disk.failing", "sda"), Raised("disk.worn", "sdb", "91 %")]
    disks = [known("sda"), known("sdb"), known("sdc"), known("sdd", None, "no SMART"), known("sde", None)]
    assert states(judge_disk.smart(disks, raised)) == [BAD, NOTE, GOOD, NONE, NONE]


def test_days_of_retention():
    record = {"cameras": {"a": {"kbit_s": 4000}, "b": {"kbit_s": 0}}}
    assert judge_disk.load_bytes_s(["a", "b"], record) == (1_000_000, 1)
    assert judge_disk.load_bytes_s(["a"], None) == (500_000, 1)
    day = 1_000_000 * 86_400

    def days(count, guessed=0, told=None):
        look = replace(DISK, total_bytes=count * day + 5)
        return judge_disk.retention(30, told, [look], (1_000_000, guessed), 5).state

    assert [days(29), days(30), days(33), days(40, 1)] == [BAD, NOTE, GOOD, GOOD]
    assert [days(1, told=299), days(1, told=310), days(1, told=400)] == [BAD, NOTE, GOOD]
    assert judge_disk.retention(30, None, [DISK], (0, 0), 0).state is NONE
    assert judge_disk.retention(30, None, [], (1, 0), 0).state is NONE


CAMERA = {"state": "recording", "frames": 100, "runs": 1, "fps_tenths": 150, "width": 1920, "height": 1080}


def test_pictures_of_a_camera():
    def frames(**more):
        return judge_camera.frames("cam01", CAMERA, {**CAMERA, **more}, 30.0).state

    assert judge_camera.frames("cam01", None, CAMERA, 30.0).state is BAD
    assert judge_camera.frames("cam01", CAMERA, None, 30.0).state is BAD
    assert frames(state="lost", cause="CAMERA_SILENT") is BAD
    assert frames() is BAD
    assert judge_camera.frames("cam01", CAMERA, CAMERA, 0.0).state is BAD
    assert frames(frames=550) is GOOD
    assert frames(frames=450) is NOTE
    assert frames(frames=120, fps_tenths=None) is GOOD
    assert frames(frames=550, runs=2) is NOTE


def test_the_floor_and_keyframes():
    """D8: below 320x240 or 15 pictures a second."""
    floor = judge_camera.floor
    assert floor("a", CAMERA).state is GOOD
    assert floor("a", {**CAMERA, "fps_tenths": 149}).state is BAD
    assert floor("a", {**CAMERA, "width": 240, "height": 320}).state is GOOD
    assert floor("a", {**CAMERA, "width": 319, "height": 240}).state is BAD
    assert floor("a", {**CAMERA, "width": 640, "height": 239}).state is BAD
    assert [floor("a", each).state for each in (None, {}, {"width": 5})] == [NONE, NONE, NONE]
    assert floor("a", {"state": "recording"}).state is NOTE
    found = [judge_camera.keyframes("a", {"keyframe_ms": each}).state for each in (2000, 5001, 15_000, None)]
    assert found == [GOOD, NOTE, BAD, NONE]
    assert judge_camera.keyframes("a", CAMERA).state is NOTE  # half a minute, and no second one


def test_what_a_camera_sees():
    def seen(**more):
        values = {
            "sharpness": 600,
            "mean": 120,
            "dark": 20,
            "bright": 220,
            "glare": 0,
            "noise": 9,
            "edges": 90,
            "empty": 5,
        }
        found = Measures(**{**values, **more})
        return judge_camera.picture("a", found, judge(found)).state

    assert seen() is GOOD
    assert seen(sharpness=100) is BAD
    assert seen(sharpness=None) is NOTE
    assert seen(empty=1000, edges=0) is BAD
    assert judge_camera.picture("a", None, None, "why").state is BAD


def test_passwords_and_sound():
    """D12: a factory password is a failure."""
    assert judge_camera.password("a", True, False).state is GOOD
    assert judge_camera.password("a", True, True).state is BAD
    assert judge_camera.password("a", False, False).state is NOTE
    assert judge_camera.sound("a", {"audio_offered": []}, 0).state is GOOD
    assert judge_camera.sound("a", None, 0).state is NONE
    assert judge_camera.sound("a", {}, 0).state is NONE
    assert judge_camera.sound("a", {"audio_offered": ["PCMU"]}, 0).state is NOTE
    assert judge_camera.sound("a", {}, 3).state is BAD
    assert judge_camera.wire({}, (), ["a:554"]).state is NOTE
    assert judge_camera.wire({"a 96": 50}, (), ["b:554"]).state is NOTE
    assert judge_camera.wire({"a 96": 50}, (), ()).state is GOOD
    assert judge_camera.wire({"a 96": 50, "a 0": 9}, ["a 0 96"], ["b:554"]).state is BAD


def test_sealing():
    def sealed(*ids, signed=False):
        return {"sealing": {"recipients": list(ids), "signed": signed}}

    judged = judge_way.recipients
    assert judged(["a", "b"], sealed("b", "a")).state is GOOD
    assert judged(["a", "b"], sealed("c", signed=True)).state is GOOD
    assert judged(["a"], sealed("a")).state is NOTE
    assert judged(["a", "b"], sealed("a", "c")).state is BAD
    assert judged(["a"], None).state is BAD

    def stored(*told, now_ms=1_000_000):
        return judge_way.stored("cam01", StoredLook(*told), 2, now_ms, 60).state

    assert stored("", 0, "", 0) is NOTE
    assert stored("p", 0, "HEADER_DAMAGED", 0) is BAD
    assert stored("p", 2, "", 1_000_000) is GOOD
    assert stored("p", 3, "", 1_000_000) is BAD
    assert [stored("p", 2, "", end_ms) for end_ms in (1_300_000, 760_000, 759_000)] == [GOOD, GOOD, BAD]
    assert judge_way.no_key([], 9).state is GOOD
    assert judge_way.no_key(["k"], 9).state is BAD
    assert [judge_way.canary(each).state for each in ("", "waits", "right", "wrong")] == [
        NONE,
        NOTE,
        GOOD,
        BAD,
    ]


def test_ways_to_the_centre():
    """E13: days of the certificate."""
    tunnel = judge_way.tunnel
    up = {"up": True, "lacks": [], "handshake_s": 40}
    assert tunnel(False, None).state is NONE
    assert tunnel(True, None).state is BAD
    assert [tunnel(True, {**up, **more}).state for more in ({}, {"lacks": ["x"]}, {"handshake_s": 181})] == [
        GOOD,
        BAD,
        BAD,
    ]
    assert tunnel(True, {**up, "handshake_s": None}).state is BAD
    told = {"connected": True, "backlog": 3, "certificate_days": 90}
    broker = judge_way.broker
    assert states(broker(False, False, None)) == [NONE, NONE]
    assert states(broker(True, False, None)) == [BAD, NONE]
    assert states(broker(True, True, None)) == [BAD, NONE]
    assert states(broker(True, True, told)) == [GOOD, GOOD]
    assert states(broker(True, True, {**told, "backlog": 5000, "certificate_days": 29})) == [NOTE, NOTE]
    assert states(broker(True, True, {"connected": False, "certificate_days": -1})) == [BAD, BAD]
    assert states(broker(True, True, {**told, "certificate_days": None})) == [GOOD, NONE]
    ring = {"ring_epoch": 1}
    command = judge_way.command
    assert command(False, None, {}).state is NONE
    assert command(True, 5, {}).state is BAD
    assert [command(True, since, ring).state for since in (None, 60, 86_401)] == [NOTE, GOOD, NOTE]


def test_a_command_is_there_and_back_only_when_its_answer_has_left():
    ring = {"ring_epoch": 1}

    def waits(waits_s, connected=True, since_s=90):
        return judge_way.command(True, since_s, ring, waits_s, connected=connected)

    assert [waits(each).state for each in (None, 60, 61)] == [GOOD, GOOD, BAD]
    assert waits(3600).numbers == {"waits_s": 3600}
    assert waits(3600, since_s=None).state is BAD
    assert waits(3600, connected=False).state is GOOD, (
        "the connection is what is wrong, and is told by itself"
    )


def test_a_camera_that_rests_fails_nothing():
    hours = (parse("09:00-18:00"),)
    nine = 9 * 3_600_000 - KOREA_MS

    def stored(end_ms, now_ms):
        return judge_way.stored("cam01", StoredLook("p", 2, "", end_ms), 2, now_ms, 60, hours).state

    eighteen = nine + 9 * 3_600_000
    assert stored(eighteen, eighteen + 3_600_000) is GOOD
    assert stored(eighteen, nine + DAY_MS + 60_000) is GOOD, "the first segment of the hours is not ended yet"
    assert stored(eighteen, nine + DAY_MS + 600_000) is BAD
    assert stored(eighteen - 600_000, eighteen + 60_000) is BAD, "it failed before they ended"

    def none_yet(now_ms):
        return judge_way.stored("cam01", StoredLook("", 0, "", 0), 2, now_ms, 60, hours).state

    assert none_yet(eighteen) is NONE
    assert none_yet(nine) is NOTE
    resting = {**CAMERA, "state": "resting", "frames": 550}
    found = judge_camera.frames("cam01", CAMERA, resting, 30.0)
    assert found.state is GOOD
    assert found.measured.endswith(("outside of its hours: none is stored", "녹화 시간 밖이라 저장하지 않음"))
    assert judge_camera.frames("cam01", CAMERA, {**resting, "frames": 0}, 30.0).state is BAD
