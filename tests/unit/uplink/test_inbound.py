from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.uplink.inbound import BURST, MOST_BYTES, PER_S, REMEMBERED, SUSPECT_S, Inbound, Verdict

TOPIC = "pasu/v1/gn-0007/command"
JWS = b"eyJhbGciOiJFZERTQSJ9.eyJ2IjoxfQ.c2ln"


def made() -> Inbound:
    return Inbound(TOPIC)


def test_a_command_is_taken():
    inbound = made()
    assert inbound.judge(TOPIC, JWS, 0.0, retained=False) is Verdict.TAKEN
    assert (inbound.dropped, inbound.suspicion(0.0), inbound.is_flooded(0.0)) == (0, "", False)


@pytest.mark.parametrize(
    ("topic", "payload", "verdict"),
    [
        (TOPIC, b"a.b." + b"x" * (MOST_BYTES - 4), Verdict.TAKEN),
        (TOPIC, b"a.b." + b"x" * (MOST_BYTES - 3), Verdict.OVERSIZE),
        (TOPIC, b"", Verdict.GARBAGE),
        (TOPIC, b"NaN", Verdict.GARBAGE),
        (TOPIC, b'{"a":1}', Verdict.GARBAGE),
        (TOPIC, b"a.b.c\n", Verdict.GARBAGE),
        (TOPIC, "a.b.c한".encode(), Verdict.GARBAGE),
        (TOPIC, b"\xff\xfe", Verdict.GARBAGE),
        ("pasu/v1/gn-0008/command", JWS, Verdict.FOREIGN),
        ("pasu/v1/gn-0007/#", JWS, Verdict.FOREIGN),
        ("", JWS, Verdict.FOREIGN),
    ],
)
def test_e9_what_is_no_command_ends_before_anybody_parses_it(topic, payload, verdict):
    """E9, E7: a broker that hands us such things is suspect."""
    inbound = made()
    assert inbound.judge(topic, payload, 5.0, retained=False) is verdict
    assert inbound.dropped == (verdict is not Verdict.TAKEN)
    assert bool(inbound.suspicion(5.0)) == (verdict is not Verdict.TAKEN)
    assert inbound.suspicion(5.0 + SUSPECT_S) == ""


@given(st.binary(max_size=300), st.text(max_size=40), st.booleans())
def test_e9_anything_is_judged(payload, topic, retained):
    """E9: a verdict, and never an error."""
    inbound = made()
    for name in (topic, TOPIC):
        assert isinstance(inbound.judge(name, payload, 0.0, retained=retained), Verdict)


def test_e2_a_retained_command_is_handed_on_once_as_such_and_told():
    """E2: keep refuses and records it; at the next connections it comes again, and nobody hears of it."""
    inbound = made()
    assert inbound.judge(TOPIC, JWS, 0.0, retained=True) is Verdict.RETAINED
    assert inbound.suspicion(0.0) == "retained"
    for n in range(50):
        assert inbound.judge(TOPIC, JWS, float(n), retained=True) is Verdict.AGAIN
    assert inbound.judge(TOPIC, JWS + b"x", 60.0, retained=True) is Verdict.RETAINED


def test_what_is_remembered_of_retained_ones_is_bounded():
    inbound = made()
    for n in range(REMEMBERED * 2):
        assert inbound.judge(TOPIC, JWS + b"%d" % n, n * 10.0, retained=True) is Verdict.RETAINED
    assert len(inbound._seen) == REMEMBERED


def test_e14_a_flood_is_cut_to_ten_a_second_and_counted():
    """E14: 10,000 messages a second for ten seconds."""
    inbound = made()
    verdicts = [inbound.judge(TOPIC, JWS, n / 10_000, retained=bool(n % 7 == 0)) for n in range(100_000)]
    taken = verdicts.count(Verdict.TAKEN) + verdicts.count(Verdict.RETAINED)
    assert PER_S * 9 <= taken <= BURST + PER_S * 10 + 1
    assert inbound.dropped == len(verdicts) - taken
    assert inbound.is_flooded(10.0)
    assert not inbound.is_flooded(10.0 + SUSPECT_S)
    assert inbound.judge(TOPIC, JWS, 12.0, retained=False) is Verdict.TAKEN


def test_e14_retained_ones_count_too():
    """E14."""
    inbound = made()
    verdicts = {inbound.judge(TOPIC, JWS + b"%d" % n, 0.0, retained=True) for n in range(100)}
    assert verdicts == {Verdict.RETAINED, Verdict.FLOOD}


def test_one_that_finds_no_place_counts_as_dropped():
    inbound = made()
    inbound.overflowed(inbound.judge(TOPIC, JWS, 0.0, retained=False), 1.0)
    assert inbound.dropped == 1
    assert inbound.counts == {Verdict.TAKEN: 0, Verdict.FLOOD: 1}
    assert inbound.is_flooded(1.0)


def test_a_clock_that_stands_gives_no_more_than_the_burst():
    inbound = made()
    taken = sum(inbound.judge(TOPIC, JWS, 5.0, retained=False) is Verdict.TAKEN for _ in range(100))
    assert taken == BURST


def test_other_oddities_are_noted():
    inbound = made()
    inbound.suspect("protocol", 1.0)
    assert inbound.suspicion(2.0) == "protocol"
