"""One export over MQTT: what is published next, whatever the broker and the centre say."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.consignment import CHUNK_BYTES, MISPLACED, NO_ROOM, Order, Part, Receipt, Where
from agent.uplink import carrier as carriers
from agent.uplink.carrier import (
    ASK_S,
    MOST_ASK_S,
    MOST_TIMES,
    REPEATED,
    WINDOW,
    Carrier,
    Chunk,
    Pace,
    Wish,
)

ID = "ab" * 16
SHA = "cd" * 32
PARTS = (Part("SHA256SUMS", 100, SHA), Part("a", 10 * CHUNK_BYTES, SHA))
TOTAL = 100 + 10 * CHUNK_BYTES
ORDER = Order(ID, "mqtt", ("/",), PARTS, 1)
TAKEN_BACK = Order(ID, "mqtt", (), (), 1, recalled=True)


def make(order: Order = ORDER) -> Carrier:
    return Carrier(order, Pace(float("inf")))


def receipt(where: Where = Where.SENDING, have: int = 0, code: str = "", export: str = ID) -> Receipt:
    return Receipt(export, where, have, code)


def test_it_begins_by_asking_and_asks_again_when_nobody_answers():
    carrier = make()
    assert carrier.turn(0.0, busy=True) is None
    assert carrier.turn(0.0, busy=False) is Wish.MANIFEST
    assert carrier.turn(ASK_S - 1, busy=False) is None
    assert carrier.turn(ASK_S, busy=False) is Wish.MANIFEST


def test_a_centre_that_says_nothing_or_has_no_room_is_asked_more_and_more_seldom():
    carrier, asked = make(), []
    for at_s in range(4 * 3600):
        if carrier.turn(float(at_s), busy=False) is Wish.MANIFEST:
            asked.append(at_s)
            if len(asked) > 8:
                carrier.heard(receipt(Where.WAITING, code=NO_ROOM))
    assert asked[:4] == [0, 30, 90, 210]
    assert {later - at_s for at_s, later in itertools.pairwise(asked[6:])} == {int(MOST_ASK_S)}
    carrier.heard(receipt())
    carrier.disconnected()
    assert carrier.turn(5 * 3600.0, busy=False) is Wish.MANIFEST
    assert carrier.turn(5 * 3600.0 + ASK_S, busy=False) is Wish.MANIFEST


def test_e7_a_broker_that_asks_for_the_beginning_again_and_again_fills_no_line(monkeypatch):
    spare = 3 * CHUNK_BYTES
    monkeypatch.setattr(carriers, "SPARE_BYTES", spare)
    carrier, sent = make(), 0
    most = (MOST_TIMES * TOTAL + spare) // CHUNK_BYTES + 1
    carrier.turn(0.0, busy=False)
    for token in range(2 * most):
        carrier.heard(receipt(have=100, code=MISPLACED))
        chunk = carrier.turn(1.0, busy=False)
        if not isinstance(chunk, Chunk):
            break
        carrier.published(token, chunk, 1.0)
        carrier.acknowledged(token)
        sent += chunk.piece.size
    assert sent < MOST_TIMES * TOTAL + spare + CHUNK_BYTES
    assert (carrier.word.where, carrier.word.code) == (Where.WAITING, REPEATED)
    assert carrier.turn(2.0, busy=False) is None
    carrier.recall(TAKEN_BACK)
    assert carrier.turn(3.0, busy=False) is Wish.RECALL


def test_at_most_a_window_is_on_its_way():
    carrier = make()
    carrier.turn(0.0, busy=False)
    carrier.heard(receipt())
    sent = []
    while isinstance(chunk := carrier.turn(1.0, busy=False), Chunk):
        carrier.published(len(sent), chunk, 1.0)
        sent.append(chunk)
    assert [chunk.n for chunk in sent] == [1, 2, 3, 4]
    assert len(sent) == WINDOW
    assert carrier.word.where is Where.SENDING
    carrier.acknowledged(0)
    assert isinstance(carrier.turn(1.0, busy=False), Chunk)
    carrier.acknowledged(99)


def test_the_rate_is_bounded():
    carrier = Carrier(ORDER, Pace(100.0))
    carrier.turn(0.0, busy=False)
    carrier.heard(receipt())
    chunk = carrier.turn(1.0, busy=False)
    carrier.published(1, chunk, 1.0)
    assert carrier.turn(1.5, busy=False) is None
    assert isinstance(carrier.turn(2.0, busy=False), Chunk)


def test_what_the_centre_lost_is_gone_back_to():
    carrier = make()
    carrier.turn(0.0, busy=False)
    carrier.heard(receipt())
    for token in range(3):
        carrier.published(token, carrier.turn(1.0, busy=False), 1.0)
    carrier.heard(receipt(have=100))  # a receipt that is merely behind changes nothing
    assert carrier.turn(1.0, busy=False).have == 100 + 2 * CHUNK_BYTES
    carrier.heard(receipt(have=100, code=MISPLACED))
    assert carrier.turn(1.0, busy=False).have == 100
    carrier.heard(receipt(have=100 + 5 * CHUNK_BYTES))  # it has more than was thought
    assert carrier.turn(1.0, busy=False).have == 100 + 5 * CHUNK_BYTES
    assert carrier.word.files == 1


def test_a_connection_that_ends_means_asking():
    carrier = make()
    carrier.turn(0.0, busy=False)
    carrier.heard(receipt())
    carrier.published(1, carrier.turn(1.0, busy=False), 1.0)
    carrier.disconnected()
    assert carrier.turn(1.0, busy=False) is Wish.MANIFEST


def test_without_room_it_asks_now_and_then():
    carrier = make()
    carrier.turn(0.0, busy=False)
    carrier.heard(receipt(Where.WAITING, code=NO_ROOM))
    assert carrier.word.code == NO_ROOM
    assert carrier.turn(1.0, busy=False) is None
    assert carrier.turn(ASK_S, busy=False) is Wish.MANIFEST


def test_the_last_chunk_is_waited_for_and_then_asked_about():
    carrier = make()
    carrier.turn(0.0, busy=False)
    carrier.heard(receipt(have=TOTAL - 1))
    chunk = carrier.turn(1.0, busy=False)
    carrier.published(1, chunk, 1.0)
    assert carrier.turn(2.0 + ASK_S, busy=False) is None, "the broker does not have it yet"
    carrier.acknowledged(1)
    assert carrier.turn(2.0, busy=False) is None
    assert carrier.turn(2.0 + ASK_S, busy=False) is Wish.MANIFEST
    carrier.heard(receipt(Where.RECEIVED, TOTAL))
    assert carrier.is_over
    assert carrier.turn(999.0, busy=False) is None
    assert (carrier.word.files, carrier.word.bytes, carrier.word.gone) == (2, TOTAL, 1)


def test_taken_back_nothing_but_that_is_said():
    carrier = make()
    carrier.turn(0.0, busy=False)
    carrier.heard(receipt())
    carrier.published(1, carrier.turn(1.0, busy=False), 1.0)
    carrier.recall(TAKEN_BACK)
    assert not carrier.is_over
    assert carrier.turn(1.0, busy=False) is Wish.RECALL
    carrier.heard(receipt(Where.SENDING, 100))
    assert carrier.turn(2.0, busy=False) is None
    assert carrier.turn(1.0 + ASK_S, busy=False) is Wish.RECALL
    carrier.heard(receipt(Where.RECALLED, export="00" * 16))
    carrier.heard(receipt(Where.RECALLED))
    assert carrier.is_over
    assert carrier.word.gone == 100
    assert Carrier(TAKEN_BACK, Pace(), 7).word.gone == 7


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("heard"), st.integers(0, TOTAL), st.sampled_from(["", MISPLACED])),
            st.tuples(st.just("lost"), st.just(0), st.just("")),
            st.tuples(st.just("go"), st.integers(1, 6), st.just("")),
        ),
        max_size=30,
    )
)
def test_whatever_happens_it_arrives_in_the_end(events):
    """I6: a centre that takes only what comes next, and loses whatever a test wants it to."""
    carrier, have, token, now = make(), 0, 0, 0.0
    for kind, number, code in [*events, ("go", 200, "")]:
        now += ASK_S
        if kind == "heard":
            carrier.heard(receipt(have=min(number, have), code=code))
        elif kind == "lost":
            carrier.disconnected()
        for _ in range(number if kind == "go" else 0):
            now += ASK_S
            wish = carrier.turn(now, busy=False)
            if isinstance(wish, Wish):
                carrier.heard(receipt(Where.RECEIVED if have == TOTAL else Where.SENDING, have))
            elif wish is not None:
                token += 1
                carrier.published(token, wish, now)
                carrier.acknowledged(token)
                if wish.have == have:
                    have += wish.piece.size
                else:
                    carrier.heard(receipt(have=have, code=MISPLACED))
    assert carrier.is_over
    assert have == TOTAL
