"""Judging the machine: from what on something is wrong, and when it is over. Row: K5."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.health.vitals import Judge, Readings, Temperature

CALM = Readings(
    cpu_percent=12, memory_percent=40, swap_percent=0, load_hundredths=(50, 60, 70), uptime_s=86_400
)


def codes(judge, **more):
    return [each.code for each in judge.judge(replace(CALM, **more))]


def heat(celsius, limit=None, sensor="coretemp Package id 0"):
    return (Temperature(sensor, celsius, limit),)


def test_a_machine_that_is_well_says_nothing():
    judge = Judge()
    assert codes(judge) == []
    well = {
        "temperatures": heat(60.0),
        "throttles": 7,
        "is_slowed": False,
        "low_voltage": False,
        "on_battery": False,
        "battery_percent": 100,
    }
    assert codes(judge, **well) == []
    assert codes(judge, **well) == []


def test_k5_a_hot_box_is_hot_until_it_is_clearly_cooler():
    judge = Judge()
    assert codes(judge, temperatures=heat(84.9)) == []
    assert codes(judge, temperatures=heat(85.0)) == ["box.hot"]
    assert codes(judge, temperatures=heat(80.0)) == ["box.hot"]
    assert codes(judge, temperatures=heat(79.9)) == []
    assert codes(judge, temperatures=heat(84.9)) == []


def test_k5_the_sensor_nearest_to_its_own_limit_counts():
    found = (
        Temperature("cpu", 88.0, 100.0),
        Temperature("board", 80.5, 80.0),
        Temperature("loose", 127.0, 80.0),
        Temperature("off", 0.0),
    )
    (hot,) = Judge().judge(replace(CALM, temperatures=found))
    assert (hot.code, hot.detail) == ("box.hot", "board: 80 C")


@pytest.mark.parametrize(("named", "limit"), [(None, 85), (95.0, 95), (0.0, 85), (65261.8, 85), (30.0, 85)])
def test_a_limit_that_cannot_be_is_not_believed(named, limit):
    assert Temperature("x", 20.0, named).limit == limit


def test_a_processor_that_slows_itself_down_is_told():
    judge = Judge()
    assert codes(judge, throttles=100) == [], "before we looked"
    assert codes(judge, throttles=103) == ["box.throttled"]
    assert codes(judge, throttles=103) == []
    assert codes(judge, throttles=None) == []
    assert codes(judge, throttles=104) == [], "what was read before an absence proves nothing"
    assert codes(judge, is_slowed=True) == ["box.throttled"]


def test_power_is_told_as_far_as_it_can_be_read():
    judge = Judge()
    assert codes(judge, low_voltage=True) == ["box.power_low"]
    assert codes(judge, on_battery=True) == ["box.on_battery"]
    (raised,) = judge.judge(replace(CALM, on_battery=True, battery_percent=63))
    assert raised.detail == "63 %"


@pytest.mark.parametrize(
    ("code", "key", "series"),
    [
        ("box.memory_short", "memory_percent", [(89, 0), (90, 1), (85, 1), (84, 0), (89, 0)]),
        ("box.processor_busy", "cpu_percent", [(None, 0), (89, 0), (90, 1), (75, 1), (74, 0)]),
    ],
)
def test_what_is_short_stays_so_until_there_is_clearly_enough(code, key, series):
    judge = Judge()
    for value, holds in series:
        assert codes(judge, **{key: value}) == [code] * holds


def test_the_health_file_has_whole_numbers():
    assert CALM.to_json()["hottest"] is None
    seen = replace(CALM, temperatures=heat(61.8, 95.0)).to_json()
    assert seen == {
        "cpu_percent": 12,
        "memory_percent": 40,
        "swap_percent": 0,
        "load_hundredths": [50, 60, 70],
        "uptime_s": 86_400,
        "hottest": {"sensor": "coretemp Package id 0", "celsius": 62, "limit_celsius": 95},
        "throttles": None,
        "is_slowed": None,
        "low_voltage": None,
        "on_battery": None,
        "battery_percent": None,
    }
