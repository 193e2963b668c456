"""The last 24 hours of each camera, for whoever may not see the catalogue."""

from __future__ import annotations

from agent.config.hours import day_begun_ms, parse
from agent.field import words
from agent.model import Gap, GapCause, Span
from agent.storage.keep import day
from agent.storage.keep.day import SLOT_MS, SLOTS, begin_of, off_hours, slots

NOW = 1_790_000_000_000 // SLOT_MS * SLOT_MS + 100_000
BEGIN = begin_of(NOW)


def drawn(*spans, first_ms=0, now_ms=NOW):
    return slots([Span(*span) for span in spans], begin_of(now_ms), now_ms, first_ms)


def test_the_last_slot_is_that_of_now_and_there_are_as_many_as_in_a_day():
    assert BEGIN + (SLOTS - 1) * SLOT_MS <= NOW < BEGIN + SLOTS * SLOT_MS
    assert len(drawn()) == SLOTS == 288


def test_all_stored_is_full_and_nothing_stored_is_none():
    assert drawn((BEGIN - 5, NOW)) == "9" * SLOTS
    assert drawn() == "0" * SLOTS


def test_segments_that_follow_with_the_rounding_of_frames_are_whole():
    parts = [(at, at + 59_934) for at in range(BEGIN, NOW, 60_000)]
    assert set(drawn(*parts)) == {"9"}


def test_a_second_missing_is_never_full():
    assert drawn((BEGIN, BEGIN + 10_000), (BEGIN + 11_000, NOW))[0] == "8"


def test_a_slot_tells_its_tenths():
    half = drawn((BEGIN, BEGIN + SLOT_MS // 2), (BEGIN + SLOT_MS, NOW))
    assert half[:2] == "59"


def test_what_was_before_the_camera_is_not_expected():
    known = BEGIN + 10 * SLOT_MS + SLOT_MS // 2
    text = drawn((known, NOW), first_ms=known)
    assert text == "-" * 10 + "9" * (SLOTS - 10)
    assert drawn(first_ms=NOW + 1) == "-" * SLOTS


def test_segments_in_any_order_and_over_each_other_count_once():
    whole = [(BEGIN + at, BEGIN + at + 2 * SLOT_MS) for at in range(0, SLOTS * SLOT_MS, SLOT_MS)]
    assert drawn(*reversed(whole)) == "9" * SLOTS


def test_a_reader_finds_stretches_share_and_what_is_missing():
    text = "-" * 100 + "9" * 88 + "0" * 10 + "5" * 2 + "9" * 88
    keep = {"day": {"slot_s": 300, "cameras": {"cam01": {"begin_ms": 7, "at_ms": 8, "slots": text}}}}
    found = words.last_day(keep, "cam01")
    assert [(each.at, each.slots, each.state) for each in found.stretches] == [
        (0, 100, "before"), (100, 88, "full"), (188, 10, "none"), (198, 2, "part"), (200, 88, "full"),
    ]  # fmt: skip
    assert found.permille == (176 * 10 + 2 * 5) * 100 // 188
    assert found.missing_s == (100 + 10) * 300 // 10
    assert words.share(found) == "94.1 %"
    assert words.last_day(keep, "cam02") is None
    assert words.last_day(None, "cam01") is None
    assert words.share(None) == "–"


def test_what_is_not_whole_never_reads_a_hundred():
    keep = {"day": {"slot_s": 300, "cameras": {"c": {"begin_ms": 0, "at_ms": 0, "slots": "9" * 287 + "8"}}}}
    assert words.share(words.last_day(keep, "c")) == "99.9 %"
    keep["day"]["cameras"]["c"]["slots"] = "-" * 288
    assert words.share(words.last_day(keep, "c")) == "–"
    keep["day"]["cameras"]["c"]["slots"] = "9" * 288
    assert words.share(words.last_day(keep, "c")) == "100 %"


def test_the_keeper_tells_it_of_every_camera(tmp_path):
    import json

    from tests.unit.keep.keeping import Kept30

    box = Kept30(tmp_path)
    box.record("cam1", box.clock.utc_ms - 600_000)
    box.turn(2)
    told = json.loads((tmp_path / "run" / "keep.json").read_text())["day"]
    assert told["slot_s"] == day.SLOT_MS // 1000
    assert set(told["cameras"]) == {"cam1", "cam2"}
    assert all(len(each["slots"]) == SLOTS for each in told["cameras"].values())
    some = {*"12345678"}
    assert some & set(told["cameras"]["cam1"]["slots"])
    assert not some & set(told["cameras"]["cam2"]["slots"])


def test_what_is_off_hours_is_not_expected_and_not_missing():
    half = BEGIN + SLOT_MS // 2
    off = [Span(BEGIN + SLOT_MS, BEGIN + 4 * SLOT_MS), Span(BEGIN - 7, half)]
    text = slots([Span(half, BEGIN + SLOT_MS)], BEGIN, NOW, 0, off)
    assert text == "9zzz" + "0" * (SLOTS - 4)
    assert slots([], BEGIN, NOW, 0, [Span(BEGIN, half)])[0] == "0", "the half that was wanted"
    assert slots([Span(half, half + SLOT_MS // 4)], BEGIN, NOW, 0, [Span(BEGIN, half)])[0] == "5"
    assert slots([Span(BEGIN, NOW)], BEGIN, NOW, 0, [Span(BEGIN - 1, NOW)])[0] == "z"


def test_what_nobody_has_written_down_yet_is_told_by_the_hours():
    nine = [parse("09:00-18:00")]
    eighteen = day_begun_ms(NOW) + 18 * 3_600_000
    span = Span(eighteen - 3_600_000, eighteen + 2 * 3_600_000)
    stored = [Span(span.start_ms, eighteen)]
    written = Gap("cam1", Span(eighteen, eighteen + 600_000), GapCause.OFF_HOURS)
    other = Gap("cam1", Span(eighteen + 600_000, eighteen + 900_000), GapCause.CAMERA_SILENT)
    assert off_hours([], stored, nine, span) == [Span(eighteen, span.end_ms)]
    assert off_hours([written], stored, nine, span) == [
        written.span, Span(eighteen + 600_000, span.end_ms),
    ]  # fmt: skip
    assert off_hours([written, other], stored, nine, span)[1] == Span(eighteen + 900_000, span.end_ms)
    assert off_hours([written], stored, [], span) == [written.span], (
        "what was written counts, whatever the hours are"
    )
    ahead = [Span(span.start_ms, span.end_ms + 5)]
    assert off_hours([], ahead, nine, span) == []


def test_a_reader_counts_off_hours_for_nothing():
    text = "9" * 100 + "z" * 144 + "0" * 44
    keep = {"day": {"slot_s": 300, "cameras": {"cam01": {"begin_ms": 7, "at_ms": 8, "slots": text}}}}
    found = words.last_day(keep, "cam01")
    assert [(each.slots, each.state) for each in found.stretches] == [
        (100, "full"),
        (144, "off"),
        (44, "none"),
    ]
    assert (found.permille, found.missing_s, found.off_s) == (1000 * 100 // 144, 44 * 300, 144 * 300)
    assert words.OFF == day.OFF
