"""What disks say of themselves, and what is wrong with them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.health import Raised
from agent.health.smart import UNWATCHED_S, examine, judge, judge_all
from tests.unit.health.reports import SCSI, VIRTUAL, ata, attribute, nvme

WELL = (
    attribute(5, "Reallocated_Sector_Ct", "0"),
    attribute(187, "Reported_Uncorrect", "0"),
    attribute(194, "Temperature_Celsius", "38 (0 17 0 0 0)"),
    attribute(197, "Current_Pending_Sector", "0"),
    attribute(198, "Offline_Uncorrectable", "0"),
)


def seen(report, *, was_hot=False):
    return [
        (each.code, each.subject, each.detail)
        for each in judge(examine("sda", ["/vault"], report), was_hot=was_hot)
    ]


def test_a_good_disk_is_described_and_raises_nothing():
    disk = examine("sda", ["/vault", "/state"], ata(*WELL))
    assert disk == {
        "device": "sda",
        "places": ["/vault", "/state"],
        "kind": "hdd",
        "model": "EXAMPLE SV4000",
        "serial": "Z0000001",
        "bytes": 4000787030016,
        "hours": 21044,
        "celsius": 38,
        "passed": True,
        "failed": [],
        "reallocated": 0,
        "pending": 0,
        "uncorrectable": 0,
        "worn_percent": None,
        "is_hot": False,
        "unavailable": "",
    }
    assert judge(disk, was_hot=False) == []
    assert seen(nvme()) == []


def test_a_disk_that_says_it_fails_is_believed():
    broken = attribute(5, "Reallocated_Sector_Ct", "1975", value=1, failed="now")
    assert seen(ata(broken, passed=False)) == [
        ("disk.failing", "sda", "EXAMPLE SV4000 Z0000001: Reallocated_Sector_Ct"),
        ("disk.bad_sectors", "sda", "EXAMPLE SV4000 Z0000001: reallocated 1975"),
    ]
    assert seen(ata(passed=False)) == [("disk.failing", "sda", "EXAMPLE SV4000 Z0000001")]
    past = attribute(5, "Reallocated_Sector_Ct", "0", failed="past")
    assert seen(ata(past)) == []


@pytest.mark.parametrize(("warning", "fails"), [(1, True), (2, False), (4, True), (8, True), (16, False)])
def test_what_an_nvme_disk_warns_of(warning, fails):
    report = nvme(critical_warning=warning)
    report["smart_status"]["passed"] = True
    assert ("disk.failing" in [code for code, *_ in seen(report)]) == fails


@pytest.mark.parametrize(
    ("report", "counts"),
    [
        (ata(attribute(197, "Current_Pending_Sector", "8")), "pending 8"),
        (
            ata(
                attribute(187, "Reported_Uncorrect", "3"),
                attribute(198, "Offline_Uncorrectable", "2 (Average 1)"),
            ),
            "uncorrectable 5",
        ),
        (nvme(media_errors=7), "uncorrectable 7"),
        (SCSI, "uncorrectable 2, reallocated 4"),
    ],
)
def test_bad_places_are_counted(report, counts):
    ((code, _, detail),) = seen(report)
    assert code == "disk.bad_sectors"
    assert detail.endswith(f": {counts}")


@pytest.mark.parametrize(
    ("report", "worn"),
    [
        (nvme(percentage_used=90), 90),
        (nvme(percentage_used=255), 255),
        (ata(attribute(177, "Wear_Leveling_Count", "2870", value=4), turns=0), 96),
        ({**ata(turns=0), "endurance_used": {"current_percent": 93}}, 93),
    ],
)
def test_a_worn_disk_is_told(report, worn):
    assert seen(report) == [("disk.worn", "sda", f"{worn} %")]


@pytest.mark.parametrize(
    "report",
    [
        nvme(percentage_used=89),
        ata(attribute(177, "Wear_Leveling_Count", "0", value=11), turns=0),
        ata(attribute(177, "Wear_Leveling_Count", "0", value=0), turns=0),
        ata(attribute(231, "Temperature_Celsius", "4", value=4), turns=0),
    ],
)
def test_a_disk_that_lasts_is_not(report):
    assert seen(report) == []


@pytest.mark.parametrize(
    ("report", "was_hot", "hot"),
    [
        (ata(celsius=59), False, False),
        (ata(celsius=60), False, True),
        (ata(celsius=55), True, True),
        (ata(celsius=54), True, False),
        (ata(celsius=65, turns=0), False, False),
        (ata(celsius=70, turns=0), False, True),
        (nvme(temperature=79), False, False),
        (nvme(temperature=80), False, True),
        (nvme(critical_warning=2, temperature=60), False, True),
    ],
)
def test_a_hot_disk_is_hot_until_it_is_clearly_cooler(report, was_hot, hot):
    report["smart_status"]["passed"] = True
    assert [code for code, *_ in seen(report, was_hot=was_hot)] == ["disk.hot"] * hot


def test_a_disk_that_only_warns_of_heat_need_not_say_how_hot_it_is():
    report = nvme(critical_warning=2)
    report["smart_status"]["passed"] = True
    del report["temperature"]
    assert seen(report) == [("disk.hot", "sda", "")]


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (None, "no smartctl"),
        (VIRTUAL, "/dev/vda: Unable to detect device type"),
        ({"smartctl": {"exit_status": 0, "messages": [7, {}]}}, "no SMART"),
        ({}, "no SMART"),
    ],
)
def test_a_disk_without_smart_is_no_trouble_and_says_why(report, why):
    disk = examine("vda", [], report)
    assert disk["unavailable"] == why
    assert judge(disk, was_hot=False) == []


def test_all_disks_are_judged_and_the_hot_ones_remembered():
    hot, warm = examine("sda", [], ata(celsius=61)), examine("sdb", [], ata(celsius=56))
    body = {"boot_ms": 900_000, "disks": [hot, warm, "nonsense"]}
    raised, now_hot = judge_all(body, 1000.0, set())
    assert ([each.subject for each in raised], now_hot) == (["sda"], {"sda"})
    raised, now_hot = judge_all(body, 1000.0, {"sdb"})
    assert now_hot == {"sda", "sdb"}


@pytest.mark.parametrize(
    ("body", "raised"),
    [
        (None, []),
        ({"boot_ms": 1000, "disks": []}, []),
        ({"boot_ms": 1000}, []),
        ({"disks": []}, [Raised("disk.unwatched")]),
        ({"boot_ms": 900, "disks": []}, [Raised("disk.unwatched")]),
    ],
)
def test_disks_that_nobody_asks_any_more_are_told(body, raised):
    assert judge_all(body, 1.0 + UNWATCHED_S, set()) == (raised, set())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYS = st.sampled_from([*ata(), *nvme(), *SCSI, "endurance_used"])


@given(st.dictionaries(KEYS, JSON, max_size=8), JSON)
def test_whatever_a_report_holds_it_is_read(report, other):
    """A disk that is failing may say anything, and so may a bridge before it."""
    rows = [other, {"id": 5, "name": other, "raw": other, "value": other, "when_failed": "now"}]
    for each in (report, other, {**report, "ata_smart_attributes": {"table": rows}}):
        disk = examine("sda", ["/vault"], each)
        assert json.loads(json.dumps(disk)) == disk
        judge(disk, was_hot=True)
    if isinstance(other, dict):
        judge_all({"disks": [other, report]}, 0.0, set())
