from __future__ import annotations

import pytest

from agent.storage.placement import AT_ONCE, FAULTS, FAULTS_WITHIN_S, RETURN_S, Placement


def test_cameras_try_their_own_vault_first_and_then_the_next() -> None:
    placement = Placement(3)
    assert [placement.order(home) for home in range(3)] == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]


@pytest.mark.parametrize("code", sorted(AT_ONCE))
def test_what_the_next_call_would_meet_again_counts_at_once(code) -> None:
    placement = Placement(3)
    placement.faulted(1, code, 10.0)
    assert [placement.order(home) for home in range(3)] == [[0, 2, 1], [2, 0, 1], [2, 0, 1]]


def test_single_faults_count_when_they_come_close() -> None:
    """B6: after k errors in t the disk is failing."""
    placement = Placement(2)
    for number in range(FAULTS * 3):
        placement.faulted(0, "DISK_FAILED", number * FAULTS_WITHIN_S)
        assert not placement.failing(0)
    placement = Placement(2)
    for number in range(FAULTS):
        assert not placement.failing(0)
        placement.faulted(0, "DISK_FAILED", number * 10.0)
    assert placement.failing(0)


def test_a_vault_is_trusted_again_when_it_has_worked_for_ten_minutes() -> None:
    placement = Placement(2)
    placement.worked(0, 1.0)
    placement.worked(0, 1.0 + 2 * RETURN_S)
    placement.faulted(0, "DISK_FULL", 2000.0)
    placement.worked(0, 2100.0)
    placement.worked(0, 2100.0 + RETURN_S - 1)
    assert placement.failing(0)
    placement.faulted(0, "DISK_FAILED", 2100.0 + RETURN_S - 1)
    placement.worked(0, 3000.0)
    placement.worked(0, 3000.0 + RETURN_S - 1)
    assert placement.failing(0)
    placement.worked(0, 3000.0 + RETURN_S)
    assert not placement.failing(0)
    placement.faulted(0, "DISK_FAILED", 3000.0 + RETURN_S)
    assert not placement.failing(0)


def test_when_all_fail_each_is_tried_in_turn() -> None:
    placement = Placement(2)
    placement.faulted(0, "DISK_FULL", 0.0)
    placement.faulted(1, "VAULT_MISSING", 0.0)
    assert placement.order(1) == [1, 0]
