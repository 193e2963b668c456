"""The rules for exports, and what becomes of their links."""

from __future__ import annotations

import itertools

import pytest

from agent.model import Instant, Trust, utc_day
from agent.storage.keep.outgoing_order import ExportRefused, Fate, check, check_inside, check_text, fate_of
from tests.unit.keep.handing import wanted
from tests.unit.storage.box import T0

NOW = Instant(T0 + 10_000, Trust.SYNCED)


def test_a_right_order_stands_also_to_an_address_and_in_an_emergency():
    for more in (
        {},
        {"to": "https://10.77.0.1:8443"},
        {"to": "https://[fd00::1]/"},
        {"emergency": True, "case": "1"},
    ):
        check(wanted(**more), NOW)
    assert wanted(to="https://10.77.0.1").over == "https"
    assert wanted().over == "mqtt"
    assert "10.77" not in str(wanted(to="https://10.77.0.1").body())


@pytest.mark.parametrize("broker", [None, "mqtts://10.77.0.1:8883", "mqtts://broker.city.example"])
def test_it_goes_to_the_broker_or_to_a_private_address_and_nowhere_else(broker):
    """Art. 28(1): what leaves the tunnel is not for a key to say."""
    for to in (
        "mqtt",
        "https://10.77.0.9:8443",
        "https://192.168.1.1",
        "https://172.31.0.1",
        "https://[fd00::1]/",
    ):
        check_inside(wanted(to=to), broker)
    for to in (
        "https://evil.example",
        "https://10.77.0.1.evil.example",
        "https://203.0.113.66",
        "https://172.32.0.1",
        "https://127.0.0.1",
        "https://169.254.0.1",
        "https://[2001:db8::1]",
        "https://[::1]",
        "https://[:::]",
    ):
        with pytest.raises(ExportRefused, match="EXPORT_TO"):
            check_inside(wanted(to=to), broker)


def test_a_brokers_name_is_as_good_as_its_address():
    check_inside(wanted(to="https://Broker.city.example:8443"), "mqtts://broker.city.example:8883")


def test_by_an_untrusted_clock_dates_are_taken_as_they_are():
    long_ago = Instant(0, Trust.UNTRUSTED)
    check(wanted(due="1999-01-01"), long_ago)
    with pytest.raises(ExportRefused, match="EXPORT_DUE"):
        check(wanted(due="soon"), long_ago)


@pytest.mark.parametrize(
    "change",
    [
        {"export": "x"},
        {"ground": "x"},
        {"purpose": "x" * 501},
        {"case": "\0"},
        {"due": utc_day(0)},
        {"to": "ftp://a"},
    ],
)
def test_what_is_wrong_is_refused(change):
    with pytest.raises(ExportRefused):
        check(wanted(**change), NOW)


def test_texts_are_one_line():
    check_text("how", "shredded")
    with pytest.raises(ExportRefused, match="EXPORT_TEXT"):
        check_text("how", "a\tb")


CASES = [*itertools.product((1, 2), (None, "GONE", "COMMITTED", "CONDEMNED", "LOST"), *[(False, True)] * 4)]


@pytest.mark.parametrize(("names", "state", "begun", "sure", "over_age", "held"), CASES)
def test_every_case_of_a_link(names, state, begun, sure, over_age, held):
    """I9: the last name of what is stored, or is held, is never shredded; of what was erased it always is."""
    found = fate_of(names, state, begun=begun, sure=sure, over_age=over_age, held=held)
    if names > 1:
        assert found is Fate.UNLINK
        return
    assert found is not Fate.UNLINK, "its last name would go with the header whole"
    if state == "GONE":
        assert found is Fate.SHRED
    elif state is not None:
        assert found is Fate.RETURN
    elif found is Fate.SHRED:
        assert begun or (sure and over_age and not held)
    elif found is Fate.KEEP:
        assert not sure
        assert not held
    else:
        assert held or not over_age
