"""Which reports count: those that a box signed, and that are newer than what was there (E7)."""

from __future__ import annotations

import base64

import pytest

from agent.centre.genuine import Newest, is_genuine
from agent.enrolment import form
from agent.uplink.payloads import SIGNED
from tests.unit.uplink.samples import KEY, SEAL

BOX = "gn-0007"
KEYS = [base64.b64encode(form.spki(KEY.public_key())).decode()]
OLD, NOW, NEXT = "019a00000001", "019a00000002", "01a000000000"


def said(session: str = NOW, **more):
    return {"session": session} | more


@pytest.mark.parametrize("part", sorted(SIGNED))
def test_reports_are_signed(part):
    signed = SEAL.put(f"pasu/v1/{BOX}/{part}", b'{"v":1}')
    assert is_genuine(BOX, part, signed, KEYS)
    assert not is_genuine(BOX, part, b'{"v":1}', KEYS)
    assert not is_genuine("gn-0008", part, signed, KEYS)


def test_facts_have_a_proof_of_their_own():
    assert is_genuine(BOX, "facts", b"", KEYS)


def test_within_a_session_each_kind_counts_for_itself():
    newest = Newest()
    assert newest.place("health", said(n=7))
    assert newest.place("birth", said(n=0))
    assert newest.place("health", said(n=8))
    assert newest.place("health", said(n=8)) is False
    assert newest.place("health", said(n=7)) is None
    assert newest.place("birth", said(n=0)) is False


def test_an_older_session_tells_nothing():
    newest = Newest()
    assert newest.place("health", said(NOW, n=3))
    for part in ("birth", "health"):
        assert newest.place(part, said(OLD, n=9)) is None
    assert newest.place("state", said(OLD, connection=9, online=False)) is None
    assert newest.place("birth", said(NEXT, n=0))
    assert newest.place("health", said(NOW, n=4)) is None
    assert newest.place("health", said(NEXT, n=0))


def test_a_will_comes_after_its_own_connection_and_before_the_next():
    newest = Newest()
    assert newest.place("state", said(connection=1, online=True))
    assert newest.place("state", said(connection=2, online=True))
    assert newest.place("state", said(connection=1, online=False)) is None
    assert newest.place("state", said(connection=2, online=False))
    assert newest.place("state", said(connection=2, online=True)) is None
    assert newest.place("state", said(connection=3, online=True))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"session": 7, "n": 1},
        {"session": "s", "n": 1},
        {"session": "-00000001", "n": 1},
        {"session": "0" * 13, "n": 1},
        said(n=1, connection=1, historical=True),
        said(n=True),
        said(n="1"),
        said(n=-1),
        said(n=1 << 48),
        said(),
    ],
)
def test_what_has_no_place_is_not_taken(body):
    assert [Newest().place(part, body) for part in ("birth", "state", "health")] == [None] * 3
