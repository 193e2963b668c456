"""What may be installed, what is written down, and the verdict on a version."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.field.updating import plan
from agent.field.updating.plan import Growth, Heard, Journal, Outcome, Package, Phase, Situation, Unreadable

OLD = Package("1.0.0", "amd64", "0" * 64, "KID", 5)
NEW = Package("1.1.0", "amd64", "1" * 64, "KID", 5, "2026-11-22T00:00:00Z")
THERE = Situation("amd64", 1, 1 << 40, 5, 5, OLD, ("cam01",))
JOURNAL = Journal(
    "0123456789abcdef", Phase.WATCH, NEW, OLD, "1.0.0", "김정비", 1, ("cam01", "cam02"), True, plan.UNITS, "/state",
    "/run", ("/vault",), pids=(1, 2),
)  # fmt: skip
HOUR_MS = 3_600_000
AT_MS = JOURNAL.at_ms + 2 * HOUR_MS
"""Between the hours of both cameras, of which each has some."""
RESTS = (("cam01", JOURNAL.at_ms, AT_MS + 1), ("cam02", AT_MS - HOUR_MS, AT_MS + HOUR_MS))
BOTH = frozenset({"cam01", "cam02"})


def why_not(package=NEW, older="", anyway=False, no_way_back=False, **more):
    return plan.refuse(package, replace(THERE, **more), older=older, anyway=anyway, no_way_back=no_way_back)


def test_what_may_be_installed():
    assert why_not() is None
    assert why_not(replace(NEW, architecture="all")) is None
    assert why_not(catalogue=None) is None
    assert why_not(order=-1, older="because") is None
    assert why_not(recording=(), anyway=True) is None
    assert why_not(kept=None, no_way_back=True) is None


def test_j2_j4_j5_what_may_not():
    """J2, J4, J5."""
    assert why_not(replace(NEW, architecture="arm64")) == "UPDATE_ARCHITECTURE"
    assert why_not(order=0, older="because") == "UPDATE_SAME"
    assert why_not(order=-1) == "UPDATE_OLDER"
    assert why_not(replace(NEW, catalogue=4), older="because") == "UPDATE_CATALOGUE"
    assert why_not(replace(NEW, catalogue=None), no_way_back=True) == "UPDATE_CATALOGUE"
    assert why_not(room=plan.ROOM_BYTES - 1) == "UPDATE_ROOM"
    assert why_not(recording=()) == "UPDATE_NOT_RECORDING"
    assert why_not(kept=None) == "UPDATE_NO_WAY_BACK"
    assert why_not(replace(NEW, catalogue=6)) == "UPDATE_NO_WAY_BACK"
    assert why_not(replace(NEW, catalogue=6), no_way_back=True) is None


def test_a_journal_comes_back_as_it_was():
    assert plan.parse(plan.encode(JOURNAL)) == JOURNAL
    over = JOURNAL.to(Phase.CLOSE, outcome=Outcome.FAILED, old=None, why="cameras", missing=("cam02",))
    assert plan.parse(plan.encode(over)) == over
    rests = replace(JOURNAL, rests=RESTS)
    assert plan.parse(plan.encode(rests)) == rests
    assert plan.parse_package(plan.encode_package(NEW)) == NEW


def test_a_journal_of_a_version_that_wrote_no_hours_down_is_read():
    """J1: or a second update would take its place."""
    found = json.loads(plan.encode(JOURNAL))
    del found["rests"]
    assert plan.parse(json.dumps(found).encode()) == JOURNAL


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"phase": "x"},
        {"new": {}},
        {"new": None},
        {"cameras": 3},
        {"outcome": "x"},
        {"rests": None},
        {"rests": [["cam01", 1]]},
        {"rests": [["cam01", 1, "x"]]},
    ],
)
def test_what_is_no_journal(change):
    found = json.loads(plan.encode(JOURNAL)) | change
    with pytest.raises(Unreadable):
        plan.parse(json.dumps(found).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"v": 1}', b"[" * 100_000, b"\xff"])
def test_bytes_that_are_no_journal(data):
    with pytest.raises(Unreadable):
        plan.parse(data)
    with pytest.raises(Unreadable):
        plan.parse_package(data)


@pytest.mark.parametrize("change", [{"sha256": "../x"}, {"version": "../x"}, {"sha256": 3}, {"other": 1}])
def test_a_package_has_no_name_that_leads_elsewhere(change):
    found = json.loads(plan.encode_package(NEW)) | change
    with pytest.raises(Unreadable):
        plan.parse_package(json.dumps(found).encode())
    assert NEW.file == "1" * 64 + ".deb"


def test_the_fields_of_a_package():
    fields = {
        "Package": "pasu-agent", "Version": "1.1.0", "Architecture": "amd64", "Pasu-Catalogue": "5",
        "Pasu-Built": "2026-11-22T00:00:00Z",
    }  # fmt: skip
    assert plan.read_fields(fields, "1" * 64, "KID") == NEW
    assert plan.read_fields(fields | {"Pasu-Catalogue": "five"}, "1" * 64, "KID").catalogue is None
    for change in ({"Package": "other"}, {"Version": "../1"}, {"Version": ""}):
        with pytest.raises(Unreadable):
            plan.read_fields(fields | change, "1" * 64, "KID")


def test_j2_a_signature_is_about_one_file_one_version_and_one_architecture():
    """J2: as tools/deb signs."""
    good = "file:pasu-agent_1.1.0_amd64.deb\tversion:1.1.0\tarch:amd64"
    assert plan.is_named(NEW, good)
    for other in (
        "", "x", good.replace("1.1.0", "1.2.0"), good.replace("amd64", "arm64"), good + "\tmore:1",
        good.replace("version:1.1.0", "version:1.1.1"), good.replace("pasu-agent", "other"), good.split("\t", maxsplit=1)[0],
    ):  # fmt: skip
        assert not plan.is_named(NEW, other), other


def verdict(heard, grown=BOTH, passed_s=60.0, rests=(), utc_ms=AT_MS):
    return plan.judge(replace(JOURNAL, rests=rests), heard, grown, passed_s, utc_ms)


def test_j3_it_stays_when_all_that_recorded_before_record():
    """J3."""
    assert verdict(Heard(7, 8, BOTH)) == (True, "", ())
    assert verdict(Heard(7, 8, BOTH), passed_s=plan.SETTLED_S - 1) == (None, "", ())
    assert verdict(Heard(7, 8, BOTH | {"cam03"}), passed_s=plan.SETTLED_S) == (True, "", ())


@pytest.mark.parametrize("grown", [BOTH, frozenset({"cam01"})])
def test_j3_a_camera_that_rests_between_its_hours_is_well_though_nothing_of_it_grows(grown):
    """J3: an update at night stays."""
    heard = Heard(7, 8, frozenset({"cam01"}), resting=frozenset({"cam02"}))
    assert verdict(heard, grown, rests=RESTS[1:]) == (True, "", ())
    assert verdict(Heard(7, 8, frozenset(), resting=BOTH), frozenset(), rests=RESTS) == (True, "", ())


def test_j3_a_camera_without_hours_never_rests():
    """J3: a version whose hours are broken says of all that they rest, and stores nothing."""
    heard = Heard(7, 8, frozenset(), resting=BOTH)
    assert verdict(heard, BOTH, 180.0) == (False, "cameras", ("cam01", "cam02"))
    assert verdict(heard, BOTH, 180.0, rests=RESTS[1:]) == (False, "cameras", ("cam01",))


@pytest.mark.parametrize("weeks", [0, 1, 30])
def test_j3_nor_does_one_with_hours_rest_within_them(weeks):
    """J3: by the hours as the version before had them, in whichever week the power comes back."""
    heard = Heard(7, 8, frozenset(), resting=BOTH)
    later_ms = weeks * plan.WEEK_MS
    for utc_ms, missing in (
        (RESTS[1][1] - 1, ("cam02",)),
        (RESTS[1][1], ()),
        (RESTS[0][2] - 1, ()),
        (RESTS[0][2], ("cam01",)),
        (RESTS[1][2], ("cam01", "cam02")),
    ):
        said = verdict(heard, BOTH, 180.0, RESTS, utc_ms + later_ms)
        assert said == ((False, "cameras", missing) if missing else (True, "", ()))


def test_j3_a_clock_that_stands_before_the_update_began_counts_by_the_week_too():
    """J3: after a boot without a battery behind the clock."""
    journal = replace(JOURNAL, rests=RESTS)
    for utc_ms in (RESTS[1][1], RESTS[1][2]):
        assert journal.may_rest("cam02", utc_ms - 3 * plan.WEEK_MS) is journal.may_rest("cam02", utc_ms)


def test_j3_one_that_says_it_records_must_grow_beside_one_that_rests():
    """J3: the word of the one is none of the other's, nor is that of the version before."""
    heard = Heard(7, 8, frozenset({"cam01"}), resting=frozenset({"cam02"}))
    assert verdict(heard, frozenset(), 180.0, RESTS) == (False, "cameras", ("cam01",))
    silent = Heard(1, 8, frozenset(), resting=BOTH)
    assert verdict(silent, BOTH, 180.0, RESTS)[1:] == ("silent", ("cam01", "cam02"))


@pytest.mark.parametrize(
    ("heard", "grown", "why", "missing"),
    [
        (Heard(0, 8, BOTH), BOTH, "silent", ("cam01", "cam02")),
        (Heard(1, 8, BOTH), BOTH, "silent", ("cam01", "cam02")),
        (Heard(7, 8, frozenset({"cam01"})), BOTH, "cameras", ("cam02",)),
        (Heard(7, 8, BOTH), frozenset({"cam02"}), "cameras", ("cam01",)),
        (Heard(7, 0, BOTH), BOTH, "keep", ()),
        (Heard(7, 2, BOTH), BOTH, "keep", ()),
    ],
)
def test_j3_it_goes_when_they_do_not_within_180_s(heard, grown, why, missing):
    """J3: nor is the word of a process of the version before worth anything."""
    assert verdict(heard, grown, 179.9) == (None, why, missing)
    assert verdict(heard, grown, 180.0) == (False, why, missing)


def test_keep_is_asked_for_only_where_it_spoke_before():
    assert plan.judge(replace(JOURNAL, keeping=False), Heard(7, 0, BOTH), BOTH, 60.0, AT_MS) == (True, "", ())


def test_what_grew_is_remembered():
    growth = Growth()
    assert growth.see({"cam01": "a", "cam02": "a"}) == frozenset()
    assert growth.see({"cam01": "b", "cam02": "a"}) == {"cam01"}
    assert growth.see({"cam01": "a", "cam02": "a"}) == {"cam01"}
    assert growth.see({"cam03": "new"}) == {"cam01", "cam03"}


def test_what_is_told_has_no_path_and_no_secret():
    told = plan.told(
        JOURNAL.to(Phase.CLOSE, outcome=Outcome.ROLLED_BACK, why="silent", missing=("cam02",)), 77
    )
    assert told == {
        "v": 1, "id": "0123456789abcdef", "outcome": "rolled_back", "version": "1.1.0", "sha256": "1" * 64,
        "signed_by": "KID", "built": "2026-11-22T00:00:00Z", "before": "1.0.0", "before_sha256": "0" * 64,
        "by": "김정비", "older": "", "why": "silent", "missing": ["cam02"], "begun_ms": 1, "at_ms": 77,
    }  # fmt: skip
