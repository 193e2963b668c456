"""When a disk is slow: by how long its syncs take, in one of a hundred."""

from __future__ import annotations

from agent.storage.latency import LEAST, WINDOW_S, Latency


def fed(latency, seconds, count=1, begin=0.0):
    for number in range(count):
        latency.took(seconds, begin + number)
    return latency.slow_ms


def test_a_few_syncs_prove_nothing():
    latency = Latency()
    assert fed(latency, 2.0, LEAST - 1) is None
    assert fed(latency, 2.0, begin=LEAST) == 2000


def test_one_long_sync_in_a_hundred_is_no_slow_disk():
    latency = Latency()
    assert fed(latency, 0.02, 298) is None
    assert fed(latency, 3.0, 3, begin=298.0) is None
    assert fed(latency, 0.6, 1, begin=301.0) == 600


def test_what_is_slow_stays_so_until_it_is_clearly_quick():
    latency = Latency()
    assert fed(latency, 0.5, 100) is None
    assert fed(latency, 0.51, 100, begin=100.0) == 510
    assert fed(latency, 0.3, int(WINDOW_S) + 1, begin=200.0) == 300
    assert fed(latency, 0.25, int(WINDOW_S) + 1, begin=600.0) is None
    assert fed(latency, 0.4, int(WINDOW_S) + 1, begin=1000.0) is None


def test_what_is_long_ago_does_not_count():
    latency = Latency()
    assert fed(latency, 9.0, LEAST) == 9000
    assert fed(latency, 0.01, LEAST, begin=LEAST + WINDOW_S) is None
