"""Rows, shares and bars of a span."""

from __future__ import annotations

from agent.cli.coverage import GAP, OFF, OPEN, UNKNOWN, bar, holes, joined, looked_at, off_ms, rows, stored_ms
from agent.model import Gap, GapCause, Span
from agent.storage.catalogue import Segment
from agent.storage.progress import Mark, Open

SPAN = Span(0, 600_000)


def segment(start: int, end: int, state: str = "COMMITTED", run: str = "r1", width: int = 640) -> Segment:
    return Segment(
        "v", "cam01", run, f"segments/{start}", start, end, "SYNCED", "h264", width, 360, 90_000, 15, 900, 1000, "00", True, state, False
    )  # fmt: skip


def gap(start: int, end: int) -> Gap:
    return Gap("cam01", Span(start, end), GapCause.CAMERA_SILENT, "x")


def test_everything_of_a_span_in_order():
    found = rows(
        [segment(-30_000, 60_000), segment(60_000, 120_000), segment(300_000, 360_000)],
        [gap(120_000, 200_000)],
        SPAN,
    )
    assert [(row.state, row.span.start_ms, row.span.end_ms) for row in found] == [
        ("COMMITTED", -30_000, 60_000),
        ("COMMITTED", 60_000, 120_000),
        (GAP, 120_000, 200_000),
        (UNKNOWN, 200_000, 300_000),
        ("COMMITTED", 300_000, 360_000),
        (UNKNOWN, 360_000, 600_000),
    ]
    assert stored_ms(found, SPAN) == 180_000
    assert holes(found, SPAN) == [Span(120_000, 300_000), Span(360_000, 600_000)]


def test_gaps_are_cut_to_the_span():
    found = rows([], [gap(-5, 700_000)], SPAN)
    assert [(row.state, row.span) for row in found] == [(GAP, SPAN)]
    assert (found[0].cause, found[0].detail) == ("camera_silent", "x")


def test_the_rounding_of_frame_times_is_no_hole():
    found = rows([segment(0, 300_000), segment(300_033, 600_000)], [], SPAN)
    assert [row.state for row in found] == ["COMMITTED", "COMMITTED"]
    assert stored_ms(found, SPAN) == SPAN.length_ms
    assert bar(found, SPAN, 10) == "█" * 10


def test_what_is_erased_is_not_stored():
    found = rows([segment(0, 300_000, "GONE"), segment(300_000, 600_000, "SALVAGED")], [], SPAN)
    assert stored_ms(found, SPAN) == 300_000
    assert holes(found, SPAN) == [Span(0, 300_000)]


def test_neighbours_of_one_kind_are_joined():
    found = rows(
        [segment(0, 60_000), segment(60_033, 120_000), segment(120_000, 180_000, run="r2"), segment(180_000, 240_000, run="r2", width=320),
         segment(300_000, 360_000, run="r2", width=320), segment(360_000, 400_000, "SALVAGED", "r2", 320)],
        [gap(240_000, 300_000)],
        Span(0, 400_000),
    )  # fmt: skip
    together = joined(found)
    assert [(row.segments, row.span.start_ms, row.span.end_ms) for row in together] == [
        (2, 0, 120_000),
        (1, 120_000, 180_000),
        (1, 180_000, 240_000),
        (0, 240_000, 300_000),
        (1, 300_000, 360_000),
        (1, 360_000, 400_000),
    ]
    assert (together[0].sealed_bytes, together[0].frames) == (2000, 30)
    assert joined([]) == []


def test_segments_of_one_run_that_are_apart_are_not_joined():
    found = rows([segment(0, 60_000), segment(61_000, 120_000)], [], Span(0, 120_000))
    assert [row.segments for row in joined(found)] == [1, 0, 1]


def open_segment(start: int, end: int, tail: int = 0) -> Open:
    mark = Mark(3, end, 15, 100 if tail else 0, tail, 0)
    return Open(
        vault="uuid-1",
        path=f"segments/{start}",
        camera="cam01",
        run="r1",
        start_ms=start,
        trust="SYNCED",
        codec="h264",
        width=640,
        height=360,
        time_base_hz=90_000,
        keyframe_start=True,
        durable=mark,
        written=mark,
        final=None,
    )


def test_what_is_being_recorded_is_stored_as_far_as_it_came():
    found = rows([segment(0, 60_000)], [], Span(0, 80_000), [open_segment(60_000, 70_000, 72_000)])
    assert [(row.state, row.span.end_ms) for row in found] == [
        ("COMMITTED", 60_000),
        (OPEN, 72_000),
        (UNKNOWN, 80_000),
    ]
    assert stored_ms(found, Span(0, 80_000)) == 72_000
    committed = rows([segment(60_000, 75_000)], [], Span(60_000, 75_000), [open_segment(60_000, 70_000)])
    assert [row.state for row in committed] == ["COMMITTED"]
    assert rows([], [], Span(0, 50_000), [open_segment(60_000, 70_000)])[0].state == UNKNOWN


def test_what_is_ahead_of_a_growing_segment_is_not_looked_at():
    span = Span(0, 100_000)
    assert looked_at(span, 80_000, []) == Span(0, 80_000)
    assert looked_at(span, 200_000, []) == span
    assert looked_at(Span(90_000, 100_000), 80_000, []) == Span(90_000, 90_000)
    assert looked_at(span, 80_000, [open_segment(60_000, 70_000)]) == Span(0, 70_000)
    # One that stopped growing a while ago was left behind by a kill: what came after it is missing.
    assert looked_at(span, 90_001, [open_segment(60_000, 70_000, 75_000)]) == Span(0, 90_001)
    assert looked_at(span, 65_000, [open_segment(60_000, 70_000)]) == Span(0, 65_000)


def test_the_bar_is_full_only_where_everything_is_stored():
    found = rows([segment(0, 150_000), segment(300_000, 600_000)], [], SPAN)
    assert bar(found, SPAN, 4) == "█·██"
    assert bar(found, SPAN, 3) == "▒▒█"
    assert bar([], SPAN, 3) == "···"


def test_what_is_outside_of_a_cameras_hours_is_not_missing():
    rest = Gap("cam01", Span(300_000, 480_000), GapCause.OFF_HOURS)
    found = rows([segment(0, 240_000), segment(540_000, 600_000)], [gap(240_000, 300_000), rest], SPAN)
    assert [row.state for row in found] == ["COMMITTED", GAP, OFF, UNKNOWN, "COMMITTED"]
    assert holes(found, SPAN) == [Span(240_000, 300_000), Span(480_000, 540_000)]
    assert (stored_ms(found, SPAN), off_ms(found, SPAN)) == (300_000, 180_000)
    assert bar(found, SPAN, 10) == "████·───·█"
    assert bar(found, SPAN, 4) == "█▒─▒"
    assert off_ms(rows([], [rest], Span(0, 0)), Span(0, 0)) == 0
    assert bar(rows([], [], Span(5, 5)), Span(5, 5), 1) == "█"
