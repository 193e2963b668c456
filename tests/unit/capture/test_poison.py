"""A8: when a camera's input is put under quarantine, and how slowly it is tried again."""

from __future__ import annotations

from agent.capture.poison import CALM_S, PAUSE_MOST_S, WITHIN_S, Sentence, Suspects


def test_the_third_crash_within_ten_minutes_begins_a_quarantine() -> None:
    suspects = Suspects()
    assert suspects.crashed("cam01", 0.0) == Sentence(None, poisoned=False)
    assert suspects.crashed("cam01", WITHIN_S - 2) == Sentence(None, poisoned=False)
    assert suspects.restricted() == []
    assert suspects.crashed("cam01", WITHIN_S - 1) == Sentence(5.0, poisoned=True)
    assert suspects.restricted() == ["cam01"]


def test_crashes_further_apart_are_no_pattern() -> None:
    suspects = Suspects()
    for number in range(20):
        assert suspects.crashed("cam01", number * WITHIN_S / 2) == Sentence(None, poisoned=False)


def test_pauses_grow_to_a_minute_and_the_quarantine_is_said_once() -> None:
    suspects = Suspects()
    sentences = [suspects.crashed("cam01", number * 61.0) for number in range(9)]
    assert [sentence.pause_s for sentence in sentences] == [None, None, 5, 10, 20, 40, 60, 60, 60]
    assert [sentence.poisoned for sentence in sentences] == [number == 2 for number in range(9)]
    assert PAUSE_MOST_S == 60


def test_cameras_are_judged_one_by_one() -> None:
    suspects = Suspects()
    for now in (0.0, 1.0, 2.0):
        suspects.crashed("bad", now)
    assert suspects.crashed("good", 3.0) == Sentence(None, poisoned=False)
    assert suspects.restricted() == ["bad"]


def test_ten_minutes_without_a_crash_end_it_and_the_count_begins_anew() -> None:
    suspects = Suspects()
    for now in (0.0, 1.0, 2.0):
        suspects.crashed("cam01", now)
    assert suspects.acquitted(2.0 + CALM_S - 0.001) == []
    assert suspects.acquitted(2.0 + CALM_S) == ["cam01"]
    assert suspects.acquitted(2.0 + CALM_S) == []
    assert suspects.restricted() == []
    assert suspects.crashed("cam01", 3.0 + CALM_S) == Sentence(None, poisoned=False)


def test_one_that_crashed_too_seldom_has_nothing_to_be_acquitted_of() -> None:
    suspects = Suspects()
    suspects.crashed("cam01", 0.0)
    assert suspects.acquitted(10 * CALM_S) == []


def test_a_crash_under_quarantine_long_after_the_last_keeps_it() -> None:
    suspects = Suspects()
    for now in (0.0, 1.0, 2.0):
        suspects.crashed("cam01", now)
    assert suspects.crashed("cam01", 601.5) == Sentence(10.0, poisoned=False)
    assert suspects.acquitted(602.0) == []
