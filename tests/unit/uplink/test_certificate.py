from __future__ import annotations

import time

import pytest

from agent.model import UTC_DAY_MS, Instant, Trust
from agent.uplink.certificate import days_left, not_after_ms, raised
from tests.broker import Authority
from tests.unit.uplink.samples import T0


@pytest.mark.parametrize(
    ("days", "codes"),
    [
        (None, []),
        (400, []),
        (30, []),
        (29, ["certificate.ends_in_30_days"]),
        (14, ["certificate.ends_in_30_days"]),
        (13, ["certificate.ends_in_14_days"]),
        (7, ["certificate.ends_in_14_days"]),
        (6, ["certificate.ends_in_7_days"]),
        (1, ["certificate.ends_in_7_days"]),
        (0, ["certificate.ends_in_1_day"]),
        (-1, ["certificate.expired"]),
    ],
)
def test_e13_the_end_of_a_certificate_is_told_in_time(days, codes):
    """E13."""
    assert [each.code for each in raised(days)] == codes


def test_days_are_whole_and_untrusted_time_tells_none():
    now = Instant(T0, Trust.HOLDOVER)
    assert days_left(T0 + 30 * UTC_DAY_MS, now) == 30
    assert days_left(T0 + 30 * UTC_DAY_MS - 1, now) == 29
    assert days_left(T0 - 1, now) == -1
    assert days_left(None, now) is None
    assert days_left(T0, Instant(T0, Trust.UNTRUSTED)) is None


def test_the_end_is_read_from_the_file(tmp_path):
    certificate, _ = Authority(tmp_path).issue("box", days=(-1, 10))
    left = not_after_ms(certificate) - time.time_ns() // 1_000_000
    assert 9 * UTC_DAY_MS < left <= 10 * UTC_DAY_MS
    certificate.write_text("nonsense")
    assert not_after_ms(certificate) is None
    assert not_after_ms(tmp_path / "none") is None
