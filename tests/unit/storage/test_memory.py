from __future__ import annotations

from agent.storage.memory import HOLD_S, LEAST_BYTES, MEASURE_S, MOST_BYTES, Memory, most_bytes

CAMERAS = ["cam1", "cam2", "cam3"]


def fed(memory: Memory, rate: int, seconds: int, at: float = 0.0) -> float:
    memory.measure(at)
    for _ in range(seconds):
        memory.take(rate)
        at += 1
        memory.measure(at)
    return at


def test_the_limit_follows_the_rate() -> None:
    """B9: a minute of sixteen cameras at 4 Mbit/s fits, also when the desk holds four fifths of it."""
    memory = Memory(CAMERAS)
    assert memory.limit == LEAST_BYTES
    rate = 16 * 400_000
    at = fed(memory, rate, int(MEASURE_S))
    assert memory.limit == rate * HOLD_S
    assert memory.held_limit >= 60 * rate
    for _ in range(72):  # six minutes of night
        at = fed(memory, 0, int(MEASURE_S), at)
    assert LEAST_BYTES < memory.limit < rate * HOLD_S * 0.6


def test_the_limit_ends_at_what_the_machine_can_spare() -> None:
    memory = Memory(CAMERAS, most=100 << 20)
    fed(memory, 16 * 500_000, 30)
    assert memory.limit == 100 << 20
    assert Memory(CAMERAS, most=1000).limit == 1000


def test_workers_share_a_quarter_of_the_machine() -> None:
    assert most_bytes(1 << 30, 4, 16) == 1 << 26
    assert most_bytes(1 << 40, 16, 16) == MOST_BYTES
    assert most_bytes(1 << 30, 4, 0) == 1 << 28


def test_the_last_camera_gives_way_first_and_comes_back_first_of_none() -> None:
    """B16: pictures give way in the order of the configuration, from its end."""
    memory = Memory(CAMERAS, most=100_000)
    refused = []
    for waiting in range(0, 100_001, 1000):
        memory.queued = waiting
        for camera in CAMERAS:
            if not memory.room(camera) and camera not in refused:
                refused.append(camera)
    assert refused == ["cam3", "cam2", "cam1"]
    memory.queued = 84_000  # below the threshold of the last, and not yet well below it
    assert [memory.room(camera) for camera in CAMERAS] == [True, True, False]
    memory.queued = 80_000
    assert all(memory.room(camera) for camera in CAMERAS)


def test_a_desk_that_is_full_leaves_room_for_the_queue() -> None:
    memory = Memory(CAMERAS, most=100_000)
    memory.held = memory.held_limit
    assert all(memory.room(camera) for camera in CAMERAS)
    memory.queued = 30_000
    assert memory.held_limit == 70_000
    assert not memory.room("cam1")
    memory.queued = 200_000
    assert memory.held_limit == 0


def test_a_camera_that_was_not_named_comes_last() -> None:
    memory = Memory(["cam1"])
    assert [memory.rank(camera) for camera in ("cam1", "new", "newer", "new")] == [0, 1, 2, 1]
