"""Handovers come twice in a loss window, the sync once, and sooner for a young session."""

from __future__ import annotations

import itertools

from agent.capture.pace import Pace


def test_every_second_handover_ends_a_window() -> None:
    pace = Pace(1.0)
    seen = [
        (number / 20, pace.window_ends(begun_lately=False))
        for number in range(100)
        if pace.handover_due(number / 20)
    ]
    assert [ends for _, ends in seen][:6] == [False, True, False, True, False, True]
    ends_at = [at for at, ends in seen if ends]
    assert all(later - earlier <= 1.0 for earlier, later in itertools.pairwise(ends_at))
    assert ends_at[-1] > 3.9


def test_a_young_session_does_not_wait_for_the_window() -> None:
    pace = Pace(1.0)
    assert pace.handover_due(0.0)
    assert not pace.handover_due(0.1)
    assert pace.window_ends(begun_lately=True)
