"""The clock of recorders: what labels follow while somebody sets the box's clock."""

from __future__ import annotations

import ast
import json
import os
import time
from pathlib import Path

import pytest

from agent import clock as module
from agent import kernel_clock, timefile, trust
from agent.clock import SystemClock, SystemSource, read
from agent.model import Instant, Trust, utc_day, utc_name
from agent.storage.keep.time import TimeKeeper, confirm
from tests.unit.clocks import T0, FakeSource

DAY_MS = 86_400_000
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def source():
    return FakeSource(synced=True)


def published(tmp_path, source) -> TimeKeeper:
    keeper = TimeKeeper(tmp_path, source=source)
    keeper.observe()
    return keeper


def test_labels_are_the_real_time_while_it_is_on_the_line(tmp_path, source):
    published(tmp_path, source)
    clock = SystemClock(tmp_path, source)
    assert clock.now() == Instant(T0, Trust.SYNCED)
    source.run(5000)
    source.step(300)
    assert clock.now() == Instant(T0 + 5300, Trust.SYNCED)
    source.synced = False
    source.run(5000)
    assert clock.now() == Instant(T0 + 10_300, Trust.HOLDOVER)


@pytest.mark.parametrize("by_ms", [40 * DAY_MS, -3_600_000, -365 * DAY_MS, 5000])
def test_c2_c3_labels_go_on_when_nobody_watches_yet(tmp_path, source, by_ms):
    """The recorder sees the step by itself, at its next picture, and needs no keeper for it."""
    published(tmp_path, source)
    clock = SystemClock(tmp_path, source)
    clock.now()
    source.step(by_ms)
    source.run(100)
    assert clock.now() == Instant(T0 + 100, Trust.UNTRUSTED)
    source.step(-by_ms)
    source.run(100)
    assert clock.now() == Instant(T0 + 200, Trust.SYNCED)


def test_c2_labels_follow_the_line_that_was_confirmed(tmp_path, source):
    keeper = published(tmp_path, source)
    clock = SystemClock(tmp_path, source)
    clock.now()
    source.step(40 * DAY_MS)
    source.run(1000)
    keeper.observe()
    assert clock.now() == Instant(T0 + 1000, Trust.UNTRUSTED)
    confirm(tmp_path, "kim", read(source))
    source.run(1000)
    keeper.observe()
    source.run(1000)
    assert clock.now() == Instant(T0 + 3000 + 40 * DAY_MS, Trust.SYNCED)


def test_the_file_is_read_when_it_changed_and_once_a_second_at_most(tmp_path, source, monkeypatch):
    published(tmp_path, source)
    clock = SystemClock(tmp_path, source)
    looks, reads = [], []
    stat, decode = os.stat, timefile.decode
    monkeypatch.setattr(module.os, "stat", lambda path: looks.append(path) or stat(path))
    monkeypatch.setattr(module.timefile, "decode", lambda text: reads.append(text) or decode(text))
    for _ in range(100):
        clock.now()
        source.run(100)
    assert 9 <= len(looks) <= 11
    assert len(reads) == 1


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[]"])
def test_without_a_line_that_can_be_read_nothing_is_trusted(tmp_path, source, content):
    """Where somebody should watch and does not, even a synchronised kernel may show a time of last year."""
    if content is not None:
        (tmp_path / timefile.FILE).write_bytes(content)
    clock = SystemClock(tmp_path, source)
    assert clock.now() == Instant(T0, Trust.UNTRUSTED)
    source.step(DAY_MS)
    source.run(1000)
    assert clock.now() == Instant(T0 + 1000, Trust.UNTRUSTED)


def test_the_line_of_another_boot_says_nothing(tmp_path, source):
    published(tmp_path, source)
    source.reboot(1000, synced=True)
    clock = SystemClock(tmp_path, source)
    assert clock.now() == Instant(T0 + 1000, Trust.UNTRUSTED)
    source.run(1000)
    TimeKeeper(tmp_path, source=source).observe()
    assert clock.now() == Instant(T0 + 2000, Trust.SYNCED)


def test_a_file_that_breaks_later_leaves_the_line_that_was_read(tmp_path, source):
    published(tmp_path, source)
    clock = SystemClock(tmp_path, source)
    clock.now()
    (tmp_path / timefile.FILE).write_bytes(b"torn")
    source.run(2000)
    assert clock.now() == Instant(T0 + 2000, Trust.SYNCED)


def test_a_clock_that_nobody_is_to_watch_asks_the_kernel(source):
    clock = SystemClock(source=source)
    assert clock.now().trust is Trust.SYNCED
    source.step(DAY_MS)
    assert clock.now() == Instant(T0, Trust.UNTRUSTED)
    source = FakeSource()
    assert SystemClock(source=source).now() == Instant(T0, Trust.UNTRUSTED)
    source = FakeSource(5000, synced=True)
    assert SystemClock(source=source).now() == Instant(5000, Trust.UNTRUSTED)


def test_the_machine_has_these_clocks():
    source = SystemSource()
    seen = read(source)
    assert len(seen.boot_id) >= 32
    assert abs(seen.utc_ms - time.time() * 1000) < 60_000
    assert seen.boot_ms > 0
    assert seen.kernel_synced in (True, False)
    clock = SystemClock()
    one, two = clock.monotonic(), clock.monotonic()
    assert two >= one
    assert abs(clock.now().utc_ms - time.time() * 1000) < 60_000


def test_a_machine_without_proc_has_one_boot(monkeypatch):
    monkeypatch.setattr(module, "BOOT_ID", Path("/nowhere"))
    module._boot_id.cache_clear()
    try:
        assert SystemSource().boot_id() == ""
    finally:
        module._boot_id.cache_clear()


def test_clocks_that_were_read_far_apart_are_read_again():
    """The box slept, or the process was stopped, between the two: that is no step."""

    class Sleepy(FakeSource):
        naps = 3

        def utc_ms(self) -> int:
            at = super().utc_ms()
            if self.naps:
                self.naps -= 1
                self.run(600_000)
            return at

    seen = read(Sleepy())
    assert seen.utc_ms - seen.boot_ms == T0 - 20_000
    Sleepy.naps = 100
    assert read(Sleepy()).utc_ms > 0


# C5 ------------------------------------------------------------------------------------------------------------

ZONES = ("UTC", "Asia/Seoul", "America/St_Johns", "XYZ-14", "KST-9KDT,M3.2.0,M11.1.0")


def test_c5_no_name_and_no_label_knows_a_time_zone(tmp_path, source, monkeypatch):
    published(tmp_path, source)
    answers = set()
    for zone in ZONES:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        now = SystemClock(tmp_path, source).now()
        answers.add((now, utc_name(now.utc_ms), utc_day(now.utc_ms)))
    monkeypatch.undo()
    time.tzset()
    assert answers == {(Instant(T0, Trust.SYNCED), "20270115T080000.000Z", "2027-01-15")}


LOCAL = {
    "localtime",
    "mktime",
    "strftime",
    "ctime",
    "fromtimestamp",
    "astimezone",
    "today",
    "tzset",
    "timezone",
    "altzone",
}


@pytest.mark.parametrize("package", ["capture", "storage", "rtsp", "mp4", "uplink"])
def test_c5_nothing_that_stores_can_ask_for_local_time(package):
    asked = []
    for file in [*sorted((ROOT / "agent" / package).rglob("*.py")), *(ROOT / "agent").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in LOCAL:
                asked.append(f"{file.name}:{node.lineno} {node.attr}")
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                asked += [
                    f"{file.name}:{node.lineno} {name}"
                    for name in names
                    if name in LOCAL | {"datetime", "zoneinfo"}
                ]
    assert asked == []


def test_the_tolerance_of_labels_is_that_of_trust(tmp_path, source):
    published(tmp_path, source)
    clock = SystemClock(tmp_path, source)
    source.step(trust.STEP_MS)
    assert clock.now().trust is Trust.SYNCED
    source.step(1)
    assert clock.now().trust is Trust.UNTRUSTED


@pytest.mark.parametrize(
    ("said", "synced"),
    [
        ('{"synced": true, "boot_ms": -1000}', True),
        ('{"synced": false, "boot_ms": -1000}', False),
        ('{"synced": true, "boot_ms": -16000}', False),  # it fell silent
        ('{"synced": true, "boot_ms": 60000}', False),  # of another boot
        ('{"synced": 1, "boot_ms": -1000}', False),
        ("[]", False),
        ("{", False),
        (None, False),
    ],
)
def test_who_may_not_ask_the_kernel_is_told(tmp_path, monkeypatch, said, synced):
    """The units' filters leave no call that sets clocks, and that is the one that tells (tests/contract/test_units.py)."""

    class Refusing:
        @staticmethod
        def adjtimex(_timex: object) -> int:
            return -1

    monkeypatch.setattr(module, "_libc", Refusing)
    place = tmp_path / "kernel.json"
    if said is not None:
        if said.startswith("{") and said.endswith("}"):
            body = json.loads(said)
            said = json.dumps({**body, "boot_ms": body["boot_ms"] + SystemSource().boot_ms()})
        place.write_text(said)
    assert SystemSource(place).kernel_synced() is synced


def test_what_is_told_is_what_the_kernel_says(tmp_path):
    place = tmp_path / "kernel.json"
    for synced in (True, False):
        source = FakeSource(synced=synced)
        kernel_clock.tell(source, place)
        assert json.loads(place.read_text()) == {"synced": synced, "boot_ms": source.boot_ms()}
        assert place.stat().st_mode & 0o777 == 0o644
