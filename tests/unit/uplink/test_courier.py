"""The courier: in order, none left out, bounded in all it does."""

from __future__ import annotations

import functools
import operator
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.uplink import courier as module
from agent.uplink.courier import BYTES_PER_S, LINGER_S, MOST_ENTRIES, WINDOW, Courier, Cursor
from agent.uplink.payloads import read
from tests.unit.uplink.samples import LEDGER, entry, segment


class Ledger:
    """Entries by seq, some of them let go."""

    def __init__(self, size: int, kind: str = "gap", gone: range = range(0)) -> None:
        self.id = LEDGER
        self.size = size
        self.kind = kind
        self.gone = gone

    def entries(self, after: int, limit: int):
        seqs = [seq for seq in range(after + 1, self.size + 1) if seq not in self.gone]
        return [entry(seq, self.kind) for seq in seqs[:limit]]


def made(ledger: Ledger, seq: int = 0, now_s: float = 0.0) -> Courier:
    courier = Courier("box", "session", Cursor(ledger.id, seq))
    courier.ledger_is(ledger.id, ledger.size)
    courier.connected(now_s, 0.0)
    return courier


def read_ahead(courier: Courier, ledger: Ledger, now_s: float) -> None:
    while (want := courier.want(now_s)) is not None:
        before = len(courier._waiting)
        courier.read(ledger.entries(want.after, want.limit), now_s)
        if len(courier._waiting) == before:
            return


def send_all(courier: Courier, ledger: Ledger, now_s: float, token: int = 1) -> list[dict]:
    """Send what may be sent now; tokens count on from `token`."""
    said = []
    while True:
        read_ahead(courier, ledger, now_s)
        data = courier.batch(now_s)
        if data is None:
            return said
        courier.sent(token, len(data))
        token += 1
        said.append(read(data))


def seqs(batches: list[dict]) -> list[int]:
    return [each["seq"] for batch in batches for each in batch["entries"]]


def test_entries_go_in_order_and_the_cursor_follows_the_acknowledgements():
    ledger = Ledger(1200)
    courier = made(ledger)
    first = send_all(courier, ledger, 0.0)
    assert seqs(first) == list(range(1, 501))
    assert (courier.backlog, courier.size) == (1200, 1200)
    assert courier.acknowledged(1) == Cursor(LEDGER, 500)
    second = send_all(courier, ledger, 2.0, 2)
    third = send_all(courier, ledger, 3.0, 3)
    assert seqs(first + second + third) == list(range(1, 1201))
    assert courier.acknowledged(3) is None  # the one before it is still on its way
    assert courier.acknowledged(2) == Cursor(LEDGER, 1200)
    assert courier.backlog == 0
    assert courier.drained


def test_what_is_acknowledged_twice_or_never_sent_moves_nothing():
    ledger = Ledger(3)
    courier = made(ledger)
    send_all(courier, ledger, 1.0)
    assert courier.acknowledged(99) is None
    assert courier.acknowledged(1) == Cursor(LEDGER, 3)
    assert courier.acknowledged(1) is None


def test_a_batch_says_where_it_begins_and_what_was_let_go():
    ledger = Ledger(20, gone=range(3, 8))
    courier = made(ledger, seq=1)
    (batch,) = send_all(courier, ledger, 1.0)
    assert batch["first"] == 2
    assert batch["let_go"] == [[3, 7]]
    assert seqs([batch]) == [2, *range(8, 21)]
    assert (batch["v"], batch["box"], batch["ledger"], batch["session"]) == (1, "box", LEDGER, "session")


def test_what_was_let_go_at_the_beginning_is_told_too():
    ledger = Ledger(10, gone=range(1, 5))
    (batch,) = send_all(made(ledger), ledger, 1.0)
    assert (batch["first"], batch["let_go"]) == (1, [[1, 4]])


def test_after_a_connection_that_ended_it_begins_again_at_the_cursor():
    ledger = Ledger(700)
    courier = made(ledger)
    send_all(courier, ledger, 0.0)
    courier.acknowledged(1)
    send_all(courier, ledger, 2.0, 2)
    courier.disconnected()
    assert courier.want(3.0) is None
    assert courier.batch(3.0) is None
    assert courier.acknowledged(2) is None
    courier.connected(4.0, 0.0)
    assert seqs(send_all(courier, ledger, 4.0)) == list(range(501, 701))


def test_never_more_than_the_window_waits_for_its_acknowledgement():
    ledger = Ledger(10_000)
    courier = made(ledger)
    sent = functools.reduce(
        operator.iadd, (send_all(courier, ledger, float(second), second * 10) for second in range(1, 30)), []
    )
    assert len(sent) == WINDOW
    assert courier.want(40.0) is None
    assert courier.due_s(40.0) == LINGER_S


def test_a_backlog_goes_at_a_bounded_rate(monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 1_000_000)
    ledger = Ledger(100_000)
    courier = made(ledger)
    sent = sum(
        len(seqs(send_all(courier, ledger, tenth / 10, tenth * 100 + 1))) for tenth in range(100)
    )  # 9.9 s
    assert module.ENTRIES_PER_S * 9.8 <= sent <= MOST_ENTRIES + module.ENTRIES_PER_S * 9.9 + 1
    assert 0 < courier.due_s(9.9) <= MOST_ENTRIES / module.ENTRIES_PER_S


def test_bytes_are_bounded_too():
    ledger = Ledger(100)
    courier = made(ledger)
    courier.read(ledger.entries(0, 10), 0.0)
    assert courier.batch(0.0) is not None
    courier.sent(1, 3 * BYTES_PER_S)  # far more than there was to spend
    courier.read(ledger.entries(10, 10), 0.0)
    assert courier.batch(1.0) is None
    assert 1.0 < courier.due_s(1.0) < 3.0
    assert courier.batch(4.0) is not None


def test_ordinary_facts_wait_for_company_and_others_for_nothing():
    ledger = Ledger(0, kind="segment.committed")
    courier = made(ledger)
    ledger.size = 2
    courier.ledger_is(LEDGER, 2)
    assert send_all(courier, ledger, 10.0) == []
    assert courier.due_s(10.0) == pytest.approx(LINGER_S)
    assert send_all(courier, ledger, 69.0) == []
    assert seqs(send_all(courier, ledger, 70.0)) == [1, 2]
    courier.acknowledged(1)
    ledger.size, ledger.kind = 3, "gap"
    courier.ledger_is(LEDGER, 3)
    assert seqs(send_all(courier, ledger, 71.0, 2)) == [3]
    assert courier.due_s(71.0) == LINGER_S  # nothing waits


def test_what_was_there_before_the_connection_does_not_linger():
    ledger = Ledger(3, kind="segment.committed")
    assert seqs(send_all(made(ledger), ledger, 1.0)) == [1, 2, 3]


def test_a_health_takes_along_what_would_be_due_before_the_next():
    ledger = Ledger(0, kind="segment.committed")
    courier = made(ledger)
    courier.hurry(0.0)
    ledger.size = 1
    courier.ledger_is(LEDGER, 1)
    send_all(courier, ledger, 10.0)
    courier.hurry(39.9)
    assert courier.batch(39.9) is None
    courier.hurry(40.0)
    assert courier.batch(40.0) is not None


def test_with_a_backlog_it_waits_a_while_after_connecting():
    """A city that comes back does not come back at once."""
    ledger = Ledger(501)
    courier = made(ledger)
    courier.disconnected()
    courier.connected(100.0, 0.5)
    assert courier.want(104.9) is None
    assert courier.want(105.0) is not None
    ledger = Ledger(500)
    courier = made(ledger)
    courier.disconnected()
    courier.connected(100.0, 1.0)
    assert courier.want(100.0) is not None


def test_another_ledger_begins_anew():
    ledger = Ledger(10)
    courier = made(ledger)
    send_all(courier, ledger, 1.0)
    assert courier.ledger_is("another", 4) == Cursor("another", 0)
    assert courier.acknowledged(1) is None
    ledger.id, ledger.size = "another", 4
    (batch,) = send_all(courier, ledger, 2.0, 2)
    assert (batch["ledger"], seqs([batch])) == ("another", [1, 2, 3, 4])
    assert courier.ledger_is("another", 4) is None


def test_a_cursor_that_was_lost_begins_where_the_centre_has_acknowledged():
    courier = Courier("box", "session", Cursor("", 0))
    assert courier.ledger_is(LEDGER, 10, 6) == Cursor(LEDGER, 6)
    assert courier.backlog == 4


def test_a_ledger_that_lost_its_end_is_sent_again():
    courier = Courier("box", "session", Cursor(LEDGER, 10))
    assert courier.ledger_is(LEDGER, 5, 7) == Cursor(LEDGER, 5)


def test_e11_the_centre_asks_again_for_what_the_broker_lost():
    """E11."""
    ledger = Ledger(10)
    courier = made(ledger, seq=10)
    assert courier.resend("another", 3) is None
    assert courier.resend(LEDGER, 0) is None
    assert courier.resend(LEDGER, 11) is None
    assert courier.resend(LEDGER, 3) == Cursor(LEDGER, 2)
    assert seqs(send_all(courier, ledger, 1.0)) == list(range(3, 11))


def test_a_batch_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    ledger = Ledger(50)
    courier = made(ledger)
    want = courier.want(0.0)
    assert want.most_bytes == 1000
    courier.read(ledger.entries(0, 9), 0.0)
    left = courier.want(0.0).most_bytes
    assert 0 < left < 1000
    courier.read(ledger.entries(9, 9), 0.0)
    assert courier.want(0.0) is None
    assert courier.batch(0.0) is not None


def test_only_one_full_batch_is_read_ahead():
    ledger = Ledger(2000)
    courier = made(ledger)
    courier.read(ledger.entries(0, MOST_ENTRIES), 0.0)
    assert courier.want(0.0) is None


def test_bodies_go_as_they_are():
    chance = random.Random(1)
    courier = made(Ledger(1))
    one = segment(chance, 1, 3, 1_800_000_000_000)
    courier.read([one], 0.0)
    said = read(courier.batch(0.0))["entries"][0]
    assert said == {
        "seq": 1,
        "at_ms": one.at_ms,
        "trust": "SYNCED",
        "kind": "segment.committed",
        "body": __import__("json").loads(one.body),
    }


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_e10_whatever_happens_the_broker_gets_every_entry_in_order(data):
    """E10: connections that end at any point, acknowledgements in any order, a ledger that grows."""
    ledger = Ledger(0, kind="segment.committed")
    courier = made(ledger)
    up, now, token = True, 0.0, 0
    flying: dict[int, list[int]] = {}
    had: set[int] = set()
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.floats(0, 70))
        action = data.draw(st.sampled_from(["grow", "send", "send", "acknowledge", "drop", "connect"]))
        if action == "grow":
            ledger.size += data.draw(st.integers(1, 700))
            ledger.kind = data.draw(st.sampled_from(["gap", "segment.committed"]))
        elif action == "drop":
            courier.disconnected()
            up, flying = False, {}
        elif action == "connect" and not up:
            courier.connected(now, data.draw(st.floats(0, 1)))
            up = True
        elif action == "acknowledge" and flying:
            chosen = data.draw(st.sampled_from(sorted(flying)))
            had.update(flying.pop(chosen))
            courier.acknowledged(chosen)
        courier.ledger_is(LEDGER, ledger.size)
        if up and action == "send":
            read_ahead(courier, ledger, now)
            if (batch := courier.batch(now)) is not None:
                token += 1
                said = read(batch)
                got = seqs([said])
                assert got == list(range(said["first"], said["first"] + len(got)))
                assert len(got) <= MOST_ENTRIES
                flying[token] = got
                courier.sent(token, len(batch))
        assert len(flying) <= WINDOW
        assert set(range(1, courier.cursor.seq + 1)) <= had
    if not up:
        courier.connected(now, 0.0)
    for chosen in [*flying]:
        had.update(flying[chosen])
        courier.acknowledged(chosen)
    while not courier.drained:
        now += 70.0
        read_ahead(courier, ledger, now)
        if (batch := courier.batch(now)) is None:
            now += LINGER_S + 1
            batch = courier.batch(now)
            assert batch is not None
        token += 1
        courier.sent(token, len(batch))
        had.update(seqs([read(batch)]))
        courier.acknowledged(token)
    assert had == set(range(1, ledger.size + 1))
    assert courier.cursor.seq == ledger.size
