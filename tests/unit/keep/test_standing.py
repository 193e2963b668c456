"""What is to be shown by no single grant: what is decided of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.config import Config, load
from agent.config.hours import KOREA_MS
from agent.model import Instant, Trust
from agent.storage.keep import standing
from agent.storage.keep.standing import Event, Mode, events, is_fresh, left_ms, mode_of, selected, stays_off
from tests.unit.config.samples import RIGHT
from tests.unit.keep.showing_box import CENTRE, FILE, UPLINK, camera

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIDNIGHT = 20_000 * DAY_MS - KOREA_MS  # in Korea
NOON = Instant(MIDNIGHT + 12 * HOUR_MS, Trust.SYNCED)
NIGHT = Instant(MIDNIGHT + 23 * HOUR_MS, Trust.SYNCED)
UNSURE = Instant(NOON.utc_ms, Trust.UNTRUSTED)
STREAMS = (
    '[[stream]]\ncamera = "cam01"\n'
    '[[stream]]\ncamera = "cam03"\ncentre = "office"\nstream = "main"\nhours = ["08:00-20:00"]\n'
)


def config(tmp_path: Path, more: str = STREAMS) -> Config:
    file = tmp_path / "agent.toml"
    text = (
        RIGHT
        + camera("cam03", "priority = 2")
        + camera("cam04", "priority = 9")
        + FILE
        + UPLINK
        + CENTRE
        + more
    )
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_what_is_selected_and_when_it_began(tmp_path: Path) -> None:
    found, unsure = selected(config(tmp_path), NOON)
    assert (sorted(found), unsure) == (["cam01@", "cam03@office"], [])
    always, hours = found["cam01@"], found["cam03@office"]
    assert (always.camera.id, always.centre, always.most, always.window_ms) == ("cam01", "", "main", MIDNIGHT)
    assert (hours.centre, hours.window_ms) == ("office", MIDNIGHT + 8 * HOUR_MS)


def test_out_of_its_hours_a_camera_is_not_selected(tmp_path: Path) -> None:
    assert sorted(selected(config(tmp_path), NIGHT)[0]) == ["cam01@"]


def test_hours_need_a_time_that_is_trusted(tmp_path: Path) -> None:
    found, unsure = selected(config(tmp_path), UNSURE)
    assert (sorted(found), unsure) == (["cam01@"], ["cam03"])
    assert found["cam01@"].window_ms is None
    assert selected(config(tmp_path), replace(NOON, trust=Trust.HOLDOVER))[1] == []


def test_a_camera_that_is_not_configured_is_not_selected(tmp_path: Path) -> None:
    whole = config(tmp_path)
    assert selected(replace(whole, cameras=whole.cameras[1:]), NOON)[0].keys() == {"cam03@office"}


@pytest.mark.parametrize("change", ['stream = "sub"\n', 'hours = ["08:00-21:00"]\n', 'centre = "office"\n'])
def test_another_table_is_another_stream(tmp_path: Path, change: str) -> None:
    before = next(iter(selected(config(tmp_path, '[[stream]]\ncamera = "cam01"\n'), NOON)[0].values()))
    text = '[[stream]]\ncamera = "cam01"\n' + change
    if "sub" in change:
        whole = config(tmp_path, '[[stream]]\ncamera = "cam01"\n')
        whole = replace(whole, streams=(replace(whole.streams[0], stream="sub"),))
    else:
        whole = config(tmp_path, text)
    after = next(iter(selected(whole, NOON)[0].values()))
    assert before.mark != after.mark


def test_what_was_revoked_stays_off_till_its_next_hours(tmp_path: Path) -> None:
    wanted = selected(config(tmp_path), NOON)[0]["cam01@"]
    last = {"ended": "revoked", "mark": wanted.mark, "window_ms": MIDNIGHT}
    assert stays_off(wanted, last)
    tomorrow = selected(config(tmp_path), Instant(NOON.utc_ms + DAY_MS, Trust.SYNCED))[0]["cam01@"]
    assert not stays_off(tomorrow, last)
    assert not stays_off(wanted, None)
    assert not stays_off(wanted, {**last, "ended": "hours"})
    assert not stays_off(wanted, {**last, "mark": "another"})


def test_what_was_revoked_stays_off_while_nobody_knows_the_time(tmp_path: Path) -> None:
    wanted = selected(config(tmp_path), NOON)[0]["cam01@"]
    unsure = selected(config(tmp_path), UNSURE)[0]["cam01@"]
    last = {"ended": "revoked", "mark": wanted.mark, "window_ms": MIDNIGHT - DAY_MS}
    assert stays_off(unsure, last)
    assert stays_off(wanted, {**last, "window_ms": None})


def test_events_as_facts_tell_of_them() -> None:
    rows = [(1, 5, '{"trigger":"bell01"}'), (2, 6, '{"trigger":7}'), (3, 7, "[]"), (4, 8, "{}")]
    assert events(rows) == [Event(1, 5, "bell01")]


@pytest.mark.parametrize(
    ("age_ms", "up_ms", "looked_ms", "fresh"),
    [
        (0, 10**6, None, True),
        (30_000, 10**6, None, True),
        (30_001, 10**6, None, False),
        (-2000, 10**6, None, True),
        (-2001, 10**6, None, False),
        (9000, 8000, None, False),  # before this boot
        (10**9, 10**6, 10**6 - 1000, True),  # the clock was stepped since it was written
        (-(10**9), 10**6, 10**6 - 30_000, True),
        (31_000, 10**6, 10**6 - 30_001, False),
        (1000, 10**6, 10**6 - 30_001, True),
    ],
)
def test_only_what_happened_just_now_starts_anything(
    age_ms: int, up_ms: int, looked_ms: int | None, fresh: bool
) -> None:
    assert is_fresh(Event(1, 10**12 - age_ms, "bell01"), 10**12, up_ms, looked_ms) is fresh


NOTE = {"boot": "b1", "until_boot_ms": 1000, "until_ms": NOON.utc_ms + 1000, "trust": "SYNCED", "minutes": 60}


@pytest.mark.parametrize(
    ("boot", "boot_ms", "now", "more", "mode"),
    [
        ("b1", 999, NOON, {}, Mode.ON),
        ("b1", 999, UNSURE, {"trust": "UNTRUSTED"}, Mode.ON),  # the clock of the boot is enough
        ("b1", 999, Instant(10**15, Trust.SYNCED), {}, Mode.ON),
        ("b1", 1000, Instant(0, Trust.SYNCED), {}, Mode.EXPIRED),
        ("b2", 0, NOON, {}, Mode.RESUME),
        ("b2", 0, Instant(NOON.utc_ms + 1000, Trust.SYNCED), {}, Mode.EXPIRED),
        ("b2", 0, UNSURE, {}, Mode.SUSPENDED),
        ("b2", 0, NOON, {"trust": "UNTRUSTED"}, Mode.RESTARTED),
    ],
)
def test_how_a_disaster_mode_stands(boot: str, boot_ms: int, now: Instant, more: dict, mode: Mode) -> None:
    assert mode_of({**NOTE, **more}, boot, boot_ms, now) is mode


def test_a_mode_resumes_for_what_is_left_and_never_for_more_than_was_ordered() -> None:
    assert left_ms(NOTE, NOON) == 1000
    assert left_ms(NOTE, Instant(NOON.utc_ms - DAY_MS, Trust.SYNCED)) == 60 * 60_000


def test_what_can_be_shown_and_in_what_order(tmp_path: Path) -> None:
    whole = config(tmp_path)
    assert [each.id for each in standing.shown_first(whole)] == ["cam03", "cam01", "cam04"]
    assert standing.can_be_shown(whole, "cam01", "") is whole.camera("cam01")
    assert standing.can_be_shown(whole, "cam01", "office") is whole.camera("cam01")
    assert standing.can_be_shown(whole, "cam01", "nowhere") is None
    assert standing.can_be_shown(whole, "cam02", "") is None
    assert standing.can_be_shown(whole, "cam2", "") is None
