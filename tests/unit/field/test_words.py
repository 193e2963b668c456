"""What health files say, in words: also of a machine that tells little."""

from __future__ import annotations

import pytest

from agent.config.hours import parse
from agent.field import words
from agent.language import speaking

BARE = {
    "cpu_percent": None, "memory_percent": 9, "swap_percent": 0, "load_hundredths": [1, 2, 3], "uptime_s": 0, "hottest": None,
    "low_voltage": None, "on_battery": None, "battery_percent": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _english():
    with speaking("en"):
        yield


def test_a_machine_that_tells_little_has_few_words():
    assert dict(words.vital_fields(BARE, "UNTRUSTED")) == {
        "processor": "load 0.01 0.02 0.03", "memory": "9 %", "power": "", "up": "0 s", "time": "not trusted",
    }  # fmt: skip
    told = dict(
        words.vital_fields(BARE | {"low_voltage": True, "on_battery": True, "battery_percent": 7}, "HOLDOVER")
    )
    assert told["power"] == "voltage low, mains gone, battery 7 %"
    told = dict(
        words.vital_fields(BARE | {"low_voltage": False, "cpu_percent": 5, "swap_percent": 2}, "SYNCED")
    )
    assert (told["power"], told["memory"]) == ("voltage good", "9 %, swap 2 %")


def test_live_streams_are_counted_by_what_goes_out() -> None:
    def one(way: str, *, flowing: bool = True) -> dict[str, object]:
        return {"camera": "cam01", "as": way, "flowing": flowing}

    streams = [
        one("main"),
        one("main"),
        one("keyframes"),
        one("paused", flowing=False),
        one("sub", flowing=False),
    ]
    said = dict(words.uplink_fields({"streams": streams}))
    assert said["live"] == "main 2, keyframes alone 1, paused for the line 1, not flowing 1"
    assert dict(words.uplink_fields({"streams": [one("sub")]}))["live"] == "second stream 1"


def test_ways_to_the_centre():
    assert dict(words.uplink_fields({})) == {"state": "not connected"}
    assert dict(words.uplink_fields({"connected": True, "protocol": 4, "backlog": 7, "certificate_days": 3})) == {
        "state": "connected · MQTT 3.1.1", "entries to send": "7", "certificate": "3 days left",
    }  # fmt: skip
    assert dict(words.tunnel_fields({})) == {"state": "not up", "handshake": "–", "other ways": "barred"}
    assert dict(words.tunnel_fields({"up": True, "handshake_s": 90, "lacks": ["output"]})) == {
        "state": "up", "handshake": "1 min ago", "other ways": "open",
    }  # fmt: skip


def test_words_that_nobody_knows_stay_as_they_are():
    assert words.camera_state("odd") == "odd"
    assert words.process_word("odd") == "odd"
    assert words.process_word("keep") == "keeping"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (4_200_000, "4.2 MB"), (3 * 10**15, "3000.0 TB")]
)
def test_sizes(count, text):
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("hours", "korean", "english"),
    [
        ([], "", ""),
        (["08:00-20:00"], "매일 08:00~20:00", "every day 08:00-20:00"),
        (
            ["mon-fri 08:00-20:00", "sat,sun 22:00-06:00"],
            "월~금 08:00~20:00, 토~일 22:00~06:00",
            "Mon-Fri 08:00-20:00, Sat-Sun 22:00-06:00",
        ),
        (["mon,wed 00:00-24:00"], "월,수 00:00~24:00", "Mon, Wed 00:00-24:00"),
    ],
)
def test_the_hours_of_a_camera_in_words(hours: list[str], korean: str, english: str) -> None:
    class Some:
        pass

    camera = Some()
    camera.hours = tuple(map(parse, hours))
    assert words.hours(camera.hours) == english
    with speaking("ko"):
        assert words.hours(camera.hours) == korean


def test_a_camera_that_rests_is_not_called_lost() -> None:
    assert words.camera_state("resting") == "off hours"
