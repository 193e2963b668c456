from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mp4.errors import Mp4Error
from agent.mp4.fragment import Sample
from agent.mp4.join import JITTER_MS, LONGEST_TICKS, Joiner, shown_ms, trim
from agent.mp4.reader import Fragment, Init

HZ = 90_000
TICKS = 6000
INIT = Init("h264", 640, 360, HZ, b"record", b"one")
START_MS = 1_795_255_500_000


def part(dts: int, utc_ms: int | None, pattern: str = "K--------------", offset: int = 0) -> Fragment:
    """Make a fragment of 15 pictures a second; K is a keyframe."""
    samples = [Sample(bytes([i]), TICKS, offset, kind == "K") for i, kind in enumerate(pattern)]
    return Fragment(9, dts, samples, utc_ms)


def join(*sources: list[Fragment], init: Init = INIT) -> tuple[Joiner, list[Fragment]]:
    joiner, out = Joiner(init), []
    for source in sources:
        joiner.begin(init)
        out += [placed for piece in source if (placed := joiner.add(piece))]
    last = joiner.finish()
    return joiner, [*out, last] if last else out


def steps(parts: list[Fragment]) -> list[int]:
    return [sample.duration for piece in parts for sample in piece.samples]


def test_one_source_is_moved_to_zero_and_numbered_anew():
    joiner, out = join([part(5 << 32, START_MS), part((5 << 32) + 15 * TICKS, START_MS + 1000)])
    assert [(p.sequence, p.base_dts, p.utc_ms) for p in out] == [(1, 0, START_MS), (2, HZ, START_MS + 1000)]
    assert [p.samples for p in out] == [part(0, 0).samples] * 2
    assert joiner.dropped == 0


def test_every_add_returns_the_fragment_before_it():
    joiner = Joiner(INIT)
    assert joiner.add(part(0, START_MS)) is None
    assert joiner.add(part(HZ, START_MS + 1000)).base_dts == 0
    assert joiner.finish().base_dts == HZ
    assert joiner.finish() is None


@pytest.mark.parametrize("jitter_ms", [-JITTER_MS, -1, 0, 1, JITTER_MS])
@pytest.mark.parametrize("dts", [0, HZ])
def test_segments_that_meet_are_joined_without_a_gap(jitter_ms, dts):
    _, out = join([part(0, START_MS)], [part(dts, START_MS + 1000 + jitter_ms)])
    assert steps(out) == [TICKS] * 30
    assert out[1].base_dts == HZ


def test_small_errors_do_not_add_up():
    """Each segment is 40 ms late on the one before, a real loss: after a few it is more than jitter."""
    _, out = join(*([part(0, START_MS + i * 1040)] for i in range(20)))
    ends = [piece.base_dts * 1000 // HZ for piece in out]
    assert all(abs(end - i * 1040) <= JITTER_MS for i, end in enumerate(ends))


def test_missing_time_between_segments_lengthens_the_last_picture():
    _, out = join([part(0, START_MS)], [part(0, START_MS + 6500)])
    assert steps(out) == [TICKS] * 14 + [TICKS + 5500 * HZ // 1000] + [TICKS] * 15
    assert out[1].base_dts == 6500 * HZ // 1000


def test_distance_is_that_of_the_pictures_shown():
    """The second segment's first picture is decoded 0.5 s before it is shown."""
    _, out = join([part(0, START_MS)], [part(0, START_MS + 6500, offset=HZ // 2)])
    assert out[1].base_dts == 6000 * HZ // 1000


def test_missing_time_inside_a_segment_is_told_by_the_media_clock():
    _, out = join([part(0, START_MS), part(3 * HZ, START_MS + 999_999)])
    assert steps(out) == [TICKS] * 14 + [TICKS + 2 * HZ] + [TICKS] * 15


def test_time_that_runs_backwards_becomes_no_time_and_the_next_gap_is_still_seen():
    hour_ms = 3_600_000
    sources = [[part(0, START_MS)], [part(0, START_MS - hour_ms)], [part(0, START_MS - hour_ms + 3000)]]
    _, out = join(*sources)
    assert steps(out) == [TICKS] * 29 + [TICKS + 2 * HZ] + [TICKS] * 15
    _, out = join([part(HZ, START_MS), part(0, START_MS)])
    assert steps(out) == [TICKS] * 30


def test_output_begins_with_a_keyframe_at_zero():
    joiner, out = join([part(0, START_MS, "---"), part(3 * TICKS, START_MS + 200, "--K--")])
    assert [(p.base_dts, len(p.samples), p.utc_ms) for p in out] == [(0, 3, START_MS + 333)]
    assert joiner.dropped == 5
    # What was left out at the begin does not shift what comes in the next segment.
    _, out = join([part(0, START_MS, "--K")], [part(0, START_MS + 1200, "K")])
    assert steps(out) == [TICKS + HZ, TICKS]


def test_nothing_but_dependent_pictures_makes_no_file():
    joiner, out = join([part(0, START_MS, "---")])
    assert out == []
    assert joiner.dropped == 3


def test_after_a_break_pictures_wait_for_a_keyframe_and_their_time_is_kept():
    joiner, out = join(
        [part(0, START_MS, "K--")],
        [part(0, START_MS + 2200, "---"), part(3 * TICKS, START_MS + 2400, "-K-")],
    )
    assert joiner.dropped == 4
    # 3 pictures, 2 s missing, 4 left out: the keyframe is decoded at 2 s and 7 pictures.
    assert [p.base_dts for p in out] == [0, 2 * HZ + 7 * TICKS]
    assert steps(out) == [TICKS, TICKS, TICKS + 2 * HZ + 4 * TICKS, TICKS, TICKS]


def test_segment_cut_inside_a_group_of_pictures_goes_on_where_the_last_one_ended():
    joiner, out = join([part(0, START_MS, "K--")], [part(0, START_MS + 200, "---")])
    assert joiner.dropped == 0
    assert steps(out) == [TICKS] * 6


def test_without_utc_segments_follow_each_other():
    _, out = join([part(0, None)], [part(0, START_MS)], [part(0, START_MS + 3000)], [part(0, None)])
    assert steps(out) == [TICKS] * 29 + [TICKS + 2 * HZ] + [TICKS] * 30
    assert [p.utc_ms for p in out] == [None, START_MS, START_MS + 3000, None]


def test_fragment_without_samples_is_nothing():
    joiner = Joiner(INIT)
    assert joiner.add(Fragment(1, 0, [], 0)) is None
    assert joiner.finish() is None


@pytest.mark.parametrize(
    "change", [{"codec": "h265"}, {"width": 1}, {"height": 1}, {"timescale": 1}, {"config": b"other"}]
)
def test_another_format_is_not_accepted(change):
    joiner = Joiner(INIT)
    assert joiner.accepts(INIT._replace(about=b"two"))
    assert not joiner.accepts(INIT._replace(**change))
    with pytest.raises(Mp4Error, match=r"^other_track: "):
        joiner.begin(INIT._replace(**change))


def test_time_longer_than_a_picture_can_last_wants_another_file():
    longest_ms = LONGEST_TICKS * 1000 // HZ
    joiner = Joiner(INIT)
    assert joiner.accepts(INIT, 0)
    joiner.add(part(0, START_MS, "K"))
    assert joiner.accepts(INIT, START_MS + longest_ms)
    assert not joiner.accepts(INIT, START_MS + longest_ms + 1)
    joiner.begin(INIT)
    for _ in range(2):
        with pytest.raises(Mp4Error, match=r"^gap_too_long: "):
            joiner.add(part(0, START_MS + longest_ms + 1))
    assert joiner.add(part(0, START_MS + 1000)).samples[-1].duration == HZ
    assert joiner.finish().base_dts == HZ


def test_trim_keeps_times_true():
    whole = Fragment(
        3, 1000, [Sample(b"a", 90, 180, True), Sample(b"b", 180, 0, False), Sample(b"c", 90, 90, False)], 5000
    )
    assert shown_ms(whole, HZ) == [5000, 4999, 5002]
    assert trim(whole, 0, 3, HZ) == whole
    assert trim(whole, 1, 2, HZ) == Fragment(3, 1090, whole.samples[1:2], 4999)
    assert trim(whole, 2, 9, HZ) == Fragment(3, 1270, whole.samples[2:], 5002)
    assert trim(whole, 3, 9, HZ) is None
    assert trim(whole._replace(utc_ms=None), 1, 3, HZ) == Fragment(3, 1090, whole.samples[1:], None)
    assert shown_ms(whole._replace(utc_ms=None, samples=[]), HZ) == []


segments = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 10**6),
            st.none() | st.integers(START_MS, START_MS + 10**7),
            st.text("K-", min_size=1, max_size=4),
        ),
        max_size=3,
    ),
    max_size=5,
)


@given(segments)
def test_output_is_one_unbroken_line_of_keyframe_led_pictures(sources):
    joiner, out = join(*([part(*piece) for piece in source] for source in sources))
    dts = 0
    for number, piece in enumerate(out):
        assert (piece.sequence, piece.base_dts) == (number + 1, dts)
        dts += sum(sample.duration for sample in piece.samples)
    assert all(sample.duration >= TICKS for piece in out for sample in piece.samples)
    assert not out or out[0].samples[0].keyframe
    taken = sum(len(pattern) for source in sources for _, _, pattern in source)
    assert sum(len(piece.samples) for piece in out) + joiner.dropped == taken


@given(st.lists(st.integers(JITTER_MS + 1, 10**6), max_size=6))
def test_real_time_distances_are_kept(gaps):
    """Every segment's first picture is, in the output, as far from the first of all as it was in the world."""
    starts = [START_MS]
    for gap_ms in gaps:
        starts.append(starts[-1] + 1000 + gap_ms)
    _, out = join(*([part(0, start)] for start in starts))
    assert [piece.base_dts * 1000 // HZ for piece in out] == [start - START_MS for start in starts]


def test_source_that_stands_at_tick_0_is_not_another_source():
    """Only a new source's UTC may move the anchor, also when the old one goes on at tick 0."""
    still = Fragment(1, 0, [Sample(b"", 0, 0, True)], START_MS)
    _, out = join([still, part(2 * HZ, START_MS + 999_999, "K")], [part(0, START_MS + 5000, "K")])
    assert [piece.base_dts for piece in out] == [0, 2 * HZ, 5 * HZ]
