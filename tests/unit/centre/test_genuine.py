"""Which reports count: those that a box signed, and that are newer than what was there (E7)."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent.centre.genuine import Newest, is_genuine, signer_of
from agent.enrolment import form
from agent.uplink.payloads import SIGNED
from tests.unit.uplink.samples import KEY, SEAL

BOX = "gn-0007"
KEYS = [base64.b64encode(form.spki(KEY.public_key())).decode()]
OTHER = base64.b64encode(form.spki(ec.generate_private_key(ec.SECP256R1()).public_key())).decode()
OLD, NOW, NEXT = "019a00000001", "019a00000002", "01a000000000"


def said(session: str = NOW, **more):
    return {"session": session} | more


@pytest.mark.parametrize("part", sorted(SIGNED))
def test_reports_are_signed(part):
    signed = SEAL.put(f"pasu/v1/{BOX}/{part}", b'{"v":1}')
    assert is_genuine(BOX, part, signed, KEYS)
    assert not is_genuine(BOX, part, b'{"v":1}', KEYS)
    assert not is_genuine("gn-0008", part, signed, KEYS)


def test_it_is_known_which_key_signed():
    signed = SEAL.put(f"pasu/v1/{BOX}/health", b'{"v":1}')
    assert signer_of(BOX, "health", signed, [OTHER, *KEYS]) == KEYS[0]
    assert signer_of(BOX, "health", signed, [OTHER]) is None
    assert signer_of(BOX, "facts", b"", [OTHER]) == ""


def test_facts_have_a_proof_of_their_own():
    assert is_genuine(BOX, "facts", b"", KEYS)


def place(newest: Newest, part: str, body: dict, key: str = "new", keys: tuple[str, ...] = ("new", "old")):
    return newest.place(part, body, key, keys)


def test_within_a_session_each_kind_counts_for_itself():
    newest = Newest()
    assert place(newest, "health", said(n=7))
    assert place(newest, "birth", said(n=0))
    assert place(newest, "health", said(n=8))
    assert place(newest, "health", said(n=8)) is False
    assert place(newest, "health", said(n=7)) is None
    assert place(newest, "birth", said(n=0)) is False


def test_an_older_session_tells_nothing():
    newest = Newest()
    assert place(newest, "health", said(NOW, n=3))
    for part in ("birth", "health"):
        assert place(newest, part, said(OLD, n=9)) is None
    assert place(newest, "state", said(OLD, connection=9, online=False)) is None
    assert place(newest, "birth", said(NEXT, n=0))
    assert place(newest, "health", said(NOW, n=4)) is None
    assert place(newest, "health", said(NEXT, n=0))


def test_a_will_comes_after_its_own_connection_and_before_the_next():
    newest = Newest()
    assert place(newest, "state", said(connection=1, online=True))
    assert place(newest, "state", said(connection=2, online=True))
    assert place(newest, "state", said(connection=1, online=False)) is None
    assert place(newest, "state", said(connection=2, online=False))
    assert place(newest, "state", said(connection=2, online=True)) is None
    assert place(newest, "state", said(connection=3, online=True))


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
    assert [place(Newest(), part, body) for part in ("birth", "state", "health")] == [None] * 3


def test_with_a_new_key_a_box_begins_anew_and_the_one_before_says_nothing_any_more():
    """E7: whoever lost the numbers is enrolled with a new key; old words, shown again, stay of the past."""
    newest = Newest()
    assert place(newest, "health", said(NEXT, n=7), key="old")
    assert place(newest, "health", said(OLD, n=9), key="old") is None
    assert place(newest, "health", said(OLD, n=0))
    assert (newest.key, newest.session) == ("new", int(OLD, 16))
    for session in (OLD, NOW, NEXT, "ffffffffffff"):
        assert place(newest, "health", said(session, n=99), key="old") is None
    assert place(newest, "health", said(OLD, n=0)) is False
    assert place(newest, "birth", said(OLD, n=0))


def test_a_key_that_the_city_has_no_more_is_followed_by_any_that_it_has():
    newest = Newest()
    assert place(newest, "health", said(NOW, n=1), key="gone", keys=("gone",))
    assert place(newest, "health", said(OLD, n=0), key="old")
    assert place(newest, "health", said(OLD, n=0))
    assert place(newest, "health", said(OLD, n=1), key="old") is None
