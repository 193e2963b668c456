"""Whether a camera is on duty: by the labels of its pictures, and only while these can be relied on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.capture.duty import NO_KEYFRAME, PARTS, Duty
from agent.capture.vitals import RARE_S
from agent.config.hours import ALWAYS
from agent.model import GapCause, Span, Trust

DAY_MS = 86_400_000
EIGHT = 1_790_000_000_000 // DAY_MS * DAY_MS - 3_600_000  # 08:00 in Korea
TWENTY = EIGHT + 12 * 3_600_000


def duty(trust: Trust = Trust.SYNCED) -> Duty:
    made = Duty(["08:00-20:00"])
    made.trust(trust)
    return made


def test_hours_begin_and_end_to_the_millisecond() -> None:
    found = [duty().at(at).on for at in (EIGHT - 1, EIGHT, TWENTY - 1, TWENTY)]
    assert found == [False, True, True, False]
    assert duty().at(EIGHT)[1:] == (EIGHT, TWENTY)


def test_a_stretch_is_looked_up_once() -> None:
    asked = duty()
    assert asked.at(EIGHT) is asked.at(TWENTY - 1)
    assert asked.at(TWENTY) is not asked.at(EIGHT)


def test_nobody_is_off_duty_before_the_time_is_trusted_nor_afterwards() -> None:
    made = Duty(["08:00-20:00"])
    assert not made.known
    assert made.at(TWENTY) is ALWAYS
    assert made.split(Span(0, DAY_MS)) == [(True, Span(0, DAY_MS))]
    made.trust(Trust.HOLDOVER)
    assert made.known
    assert not made.at(TWENTY).on
    made.trust(Trust.SYNCED)
    assert not made.at(TWENTY).on
    made.trust(Trust.UNTRUSTED)
    assert made.at(TWENTY) is ALWAYS


def test_a_span_is_told_apart_at_the_turns() -> None:
    assert duty().split(Span(EIGHT - 5, TWENTY + 7)) == [
        (False, Span(EIGHT - 5, EIGHT)),
        (True, Span(EIGHT, TWENTY)),
        (False, Span(TWENTY, TWENTY + 7)),
    ]
    assert duty().split(Span(EIGHT, EIGHT)) == []


def test_what_is_behind_many_turns_counts_as_missed() -> None:
    parts = duty().split(Span(EIGHT, EIGHT + 400 * DAY_MS))
    assert len(parts) == PARTS
    assert parts[-1] == (True, Span(parts[-2][1].end_ms, EIGHT + 400 * DAY_MS))


RARE_MS = RARE_S * 1000
OFF = (GapCause.OFF_HOURS, "first keyframe")
NONE = (GapCause.STREAM_DAMAGED, NO_KEYFRAME)


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "told"),
    [
        (-5, 0, [(-5, 0, GapCause.OFF_HOURS, "")]),
        (-5, 900, [(-5, 0, GapCause.OFF_HOURS, ""), (0, 900, *OFF)]),
        (0, RARE_MS, [(0, RARE_MS, *OFF)]),
        (0, RARE_MS + 1, [(0, RARE_MS, *OFF), (RARE_MS, RARE_MS + 1, *NONE)]),
        (8000, 60_000, [(8000, RARE_MS, *OFF), (RARE_MS, 60_000, *NONE)]),
        (RARE_MS, 60_000, [(RARE_MS, 60_000, *NONE)]),
        (600_000, 1_200_000, [(600_000, 1_200_000, *NONE)]),
    ],
)
def test_the_wait_for_a_first_keyframe_is_off_hours_no_longer_than_keyframes_are_rare_by(
    from_ms: int, to_ms: int, told: list[tuple[int, int, GapCause, str]]
) -> None:
    found = duty().told(Span(EIGHT + from_ms, EIGHT + to_ms), *OFF)
    assert [(part.start_ms - EIGHT, part.end_ms - EIGHT, *more) for part, *more in found] == told


def test_another_cause_holds_for_all_that_is_on_duty() -> None:
    cause = (GapCause.CAMERA_SILENT, "timeout")
    assert [*duty().told(Span(EIGHT - 5, TWENTY + 5), *cause)] == [
        (Span(EIGHT - 5, EIGHT), GapCause.OFF_HOURS, ""),
        (Span(EIGHT, TWENTY), *cause),
        (Span(TWENTY, TWENTY + 5), GapCause.OFF_HOURS, ""),
    ]


@pytest.mark.parametrize(("trust", "at_ms"), [(Trust.UNTRUSTED, TWENTY), (Trust.SYNCED, EIGHT + 3_600_000)])
def test_a_wait_that_no_turn_began_begins_with_the_first_picture_on_duty(trust: Trust, at_ms: int) -> None:
    span = Span(at_ms + 5, at_ms + 7 + RARE_MS + 1)
    assert [*duty(trust).told(span, *OFF, at_ms + 7)] == [
        (Span(span.start_ms, span.end_ms - 1), *OFF),
        (Span(span.end_ms - 1, span.end_ms), *NONE),
    ]


def test_what_is_no_hours_is_refused() -> None:
    with pytest.raises(ValueError, match="no hours"):
        Duty(["always"])


@given(st.lists(st.tuples(st.integers(0, 20 * DAY_MS), st.sampled_from(Trust)), min_size=1, max_size=30))
def test_whatever_was_asked_before_each_answer_is_as_if_asked_first(asked: list[tuple[int, Trust]]) -> None:
    """Clocks step both ways, and trust comes and goes."""
    made = duty()
    for at_ms, trust in asked:
        made.trust(trust)
        assert made.at(EIGHT + at_ms) == duty(trust).at(EIGHT + at_ms)
        assert made.at(EIGHT + at_ms).on == (trust is Trust.UNTRUSTED or at_ms % DAY_MS < DAY_MS // 2)
