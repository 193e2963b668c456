"""What a row says again: every reason to believe an old catalogue, and every reason not to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import GapCause, Span
from agent.storage.envelope import CHUNK_BYTES, SEALED_CHUNK_BYTES
from agent.storage.keep import reborn
from agent.storage.keep.reborn import Stored
from agent.storage.layout import Kind, stem_of
from tests.unit.storage.box import T0

FILE = Stored("v", stem_of("cam1", T0), Kind.FINAL, 1216, T0 + 60_000, has_tail=False, header=200)
TOLD = reborn.from_file(FILE, 0, None) | {
    "run": "r",
    "codec": "h264",
    "sha256": "ab",
    "frames": 5,
    "trust": "SYNCED",
}


def test_an_old_row_that_agrees_is_taken_as_it_is() -> None:
    assert reborn.from_old(TOLD, FILE) == TOLD


@pytest.mark.parametrize(
    ("told", "file"),
    [
        ({"start_ms": "x"}, {}),
        ({"frames": -1}, {}),
        ({"width": True}, {}),
        ({"codec": None}, {}),
        ({"trust": "MAYBE"}, {}),
        ({"camera": "cam2"}, {}),
        ({"sealed_bytes": 1215}, {}),
        ({}, {"regular": False}),
        ({"relabelled_from_ms": "x"}, {}),
        ({"start_ms": T0 + 1}, {}),
        ({"start_ms": T0 - 10_001}, {}),
        ({"relabelled_from_ms": T0 + 1}, {}),
        ({"end_ms": T0}, {}),
        ({"end_ms": T0 + 86_400_001}, {}),
    ],
)
def test_an_old_row_that_cannot_be_is_not_taken(told, file) -> None:
    assert reborn.from_old(TOLD | told, replace(FILE, **file)) is None


def test_what_the_file_itself_says_overrules_the_old_row() -> None:
    salvaged = replace(FILE, kind=Kind.SALVAGED, has_tail=True)
    row = reborn.from_old(TOLD | {"state": "CONDEMNED", "keyframe_start": 7}, salvaged)
    assert row is not None
    assert (row["state"], row["has_tail"], row["keyframe_start"]) == ("SALVAGED", 1, 1)
    moved = reborn.from_old(TOLD | {"start_ms": T0 - 9000, "kept_from_ms": T0 - 9000}, FILE)
    assert moved is not None
    assert moved["start_ms"] == T0 - 9000


@pytest.mark.parametrize("kept", [None, "x", T0 - 1, True])
def test_a_time_to_be_kept_from_that_is_too_early_is_none(kept) -> None:
    row = reborn.from_old(TOLD | {"kept_from_ms": kept}, FILE)
    assert row is not None
    assert row["kept_from_ms"] is None


def test_a_relabelled_row_keeps_both_times() -> None:
    told = TOLD | {"start_ms": 5 * T0, "end_ms": 5 * T0 + 1, "relabelled_from_ms": T0, "kept_from_ms": 5 * T0}
    assert reborn.from_old(told, FILE) == told


@pytest.mark.parametrize(
    ("last_ms", "next_ms", "end_ms"),
    [
        (T0 + 40_000, None, T0 + 40_000),
        (T0 + 40_000, T0 + 50_000, T0 + 40_000),
        (T0 + 40_000, T0 + 40_250, T0 + 40_250),
        (T0 + 40_000, T0 + 39_000, T0 + 39_000),
        (T0 + 700_000, None, T0 + 60_000),  # a disk that was copied
        (T0 - 5, T0 + 20_000, T0 + 20_000),
        (T0 - 5, T0, T0 + 1),
    ],
)
def test_the_end_is_the_last_write_or_the_next_start(last_ms, next_ms, end_ms) -> None:
    row = reborn.from_file(replace(FILE, last_ms=last_ms, next_ms=next_ms), 0, T0)
    assert row["end_ms"] == end_ms


@pytest.mark.parametrize(
    ("earliest_ms", "latest_ms", "kept"),
    [(T0, T0, T0), (T0, None, T0), (T0 + 1, None, None), (0, T0 - 1, None)],
)
def test_a_label_is_believed_between_the_vaults_making_and_now(earliest_ms, latest_ms, kept) -> None:
    row = reborn.from_file(FILE, earliest_ms, latest_ms)
    assert (row["kept_from_ms"], row["trust"]) == (kept, "UNTRUSTED" if kept is None else "HOLDOVER")


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("told", "last_ms", "next_ms", "now_ms", "span", "kept"),
    [
        # Its clock was slow, and that was found out: C1, C3.
        (True, 20 * DAY_MS, None, 30 * DAY_MS, (20 * DAY_MS - 600_000, 20 * DAY_MS), 20 * DAY_MS),
        (True, 20 * DAY_MS, 70_000, 30 * DAY_MS, (20 * DAY_MS - 70_000, 20 * DAY_MS), 20 * DAY_MS),
        (True, 20 * DAY_MS, 5, 30 * DAY_MS, (20 * DAY_MS - 60_000, 20 * DAY_MS), 20 * DAY_MS),
        (True, 20 * DAY_MS, DAY_MS, 30 * DAY_MS, (20 * DAY_MS - 600_000, 20 * DAY_MS), 20 * DAY_MS),
        # Its clock was fast.
        (True, -20 * DAY_MS, None, 30 * DAY_MS, (-20 * DAY_MS - 600_000, -20 * DAY_MS), 0),
        (True, -20 * DAY_MS, None, -1, (-20 * DAY_MS - 600_000, -20 * DAY_MS), -20 * DAY_MS),
        (True, -20 * DAY_MS, None, None, (-20 * DAY_MS - 600_000, -20 * DAY_MS), 0),
        # It was right.
        (True, 60_000, None, 30 * DAY_MS, (0, 60_000), 0),
        # Nobody ever knew, or the disk was copied: the name says when, and it is kept from later.
        (False, 20 * DAY_MS, None, 30 * DAY_MS, (0, 60_000), 20 * DAY_MS - 600_000),
        (False, -20 * DAY_MS, None, 30 * DAY_MS, (0, 60_000), 0),
        (False, 31 * DAY_MS, None, 30 * DAY_MS, (0, 60_000), None),
    ],
)
def test_a_file_that_was_told_its_time_goes_by_it(told, last_ms, next_ms, now_ms, span, kept) -> None:
    file = replace(FILE, told=told, last_ms=T0 + last_ms, next_ms=None if next_ms is None else T0 + next_ms)
    row = reborn.from_file(file, 0, None if now_ms is None else T0 + now_ms)
    assert (row["start_ms"] - T0, row["end_ms"] - T0) == span
    assert row["kept_from_ms"] == (None if kept is None else T0 + kept)
    moved = row["start_ms"] != T0
    assert row["relabelled_from_ms"] == (T0 if moved else None)
    assert reborn.from_old(row, file) == row


def test_plain_bytes_follow_from_the_size() -> None:
    assert reborn.from_file(FILE, 0, None)["plain_bytes"] == 1000
    assert reborn.from_file(replace(FILE, size=100), 0, None)["plain_bytes"] == 0
    salvaged = replace(FILE, kind=Kind.SALVAGED, size=200 + 2 * SEALED_CHUNK_BYTES)
    assert reborn.from_file(salvaged, 0, None)["plain_bytes"] == 2 * CHUNK_BYTES
    assert not reborn.is_cut(salvaged)
    assert reborn.is_cut(replace(salvaged, kind=Kind.FINAL))
    assert not reborn.is_cut(FILE)


def test_a_gap_that_cannot_be_is_not_taken() -> None:
    good = (T0, T0 + 5, "camera_silent", "", "SYNCED", None)
    assert reborn.gap_from_old(good, T0 + 5) == good
    assert reborn.gap_from_old((*good[:5], T0), T0 + 5) == (*good[:5], T0)
    assert reborn.gap_from_old(good, T0 + 4) is None
    for place, value in ((0, "x"), (1, None), (0, -1), (0, T0 + 6), (2, "why"), (3, None), (4, "SURE")):
        bad = [*good]
        bad[place] = value
        assert reborn.gap_from_old(tuple(bad), T0 + 5) is None
    assert set(GapCause) >= {"record_lost"}


def test_holes_are_what_nothing_covers_behind_the_first() -> None:
    covered = [(100, 200), (150, 160), (200, 300), (310, 400), (500, 600)]
    assert reborn.holes(covered, 0, 1000, 20) == [Span(400, 500), Span(600, 1000)]
    assert reborn.holes(covered, 450, 1000, 20) == [Span(450, 500), Span(600, 1000)]
    assert reborn.holes(covered, 0, 450, 20) == [Span(400, 500)]
    assert reborn.holes(covered, 0, 0, 20) == []
    assert reborn.holes([], 0, 1000, 20) == []


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50)), max_size=20), st.integers(0, 600))
def test_holes_and_what_is_covered_make_one_line(spans, to_ms) -> None:
    covered = sorted((start, start + length) for start, length in spans)
    holes = reborn.holes(covered, 0, to_ms, 0)
    marks = [0] * 700
    for start, end in covered:
        for at in range(start, end):
            marks[at] = 1
    for hole in holes:
        assert not any(marks[hole.start_ms : hole.end_ms])
        for at in range(hole.start_ms, hole.end_ms):
            marks[at] = 1
    if covered:
        assert all(marks[covered[0][0] : to_ms])
