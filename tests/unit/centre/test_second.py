"""An order that is to be signed by a second person: read, and refused before anybody signs it."""

from __future__ import annotations

import pytest

from agent.centre.second import read_first
from agent.command import jws, keyring
from agent.command.errors import CommandRefused
from agent.command.keyring import Role
from tests.city import BOX, NOW_MS, City

HOLD = {"hold": "h1", "reason": "끝남"}


@pytest.fixture
def city() -> City:
    made = City()
    made.staff()
    return made


def read(city, text, *, box=BOX, second="department 1", now_ms=NOW_MS):
    ring = keyring.parse(city.ring(), city.root)
    return read_first(text, ring, box, ring.find(city.signers[second].kid), now_ms)


def code(city, text, **more):
    with pytest.raises(CommandRefused) as refused:
        read(city, text, **more)
    return refused.value.code


def test_whose_order_it_is_and_what_it_orders(city):
    first = read(city, city.order("officer 1", "hold.release", HOLD))
    assert (first.key.holder, first.command.name, first.letter.arguments) == (
        "officer 1",
        "hold.release",
        HOLD,
    )


def test_each_thing_for_which_a_box_would_refuse_it_is_told_before(city):
    order = city.order("officer 1", "hold.release", HOLD)
    head, body, signature = order.split(".")
    outer = city.order("officer 2", "countersign", {"order": order})
    stranger = City("gangneung", NOW_MS)
    stranger.add("nobody", Role.OFFICER)
    other = jws.sign(
        city.body(city.signers["officer 1"], "hold.release", HOLD, city="jeju"),
        city.signers["officer 1"].key,
        city.signers["officer 1"].kid,
        "pasu-command+jws",
    )
    assert {
        "no order": code(city, "so"),
        "signature": code(city, f"{head}.{body}.{'A' * 86}"),
        "key": code(city, stranger.order("nobody", "hold.release", HOLD)),
        "box": code(city, order, box="gn-0008"),
        "city": code(city, other),
        "two": code(city, outer),
        "unknown": code(city, city.order("officer 1", "explode", {})),
        "argument": code(city, city.order("officer 1", "hold.release", {"hold": "h1"})),
        "late": code(city, order, now_ms=NOW_MS + 3_600_000),
        "same": code(city, order, second="officer 1"),
        "role": code(city, order, second="operator 1"),
    } == {
        "no order": "JWS_MALFORMED",
        "signature": "JWS_SIGNATURE",
        "key": "COMMAND_KEY",
        "box": "COMMAND_BOX",
        "city": "COMMAND_CITY",
        "two": "COMMAND_ARGUMENT",
        "unknown": "COMMAND_UNKNOWN",
        "argument": "COMMAND_ARGUMENT",
        "late": "COMMAND_EXPIRED",
        "same": "COMMAND_SAME_SIGNER",
        "role": "COMMAND_ROLE",
    }
    assert signature
    assert read(city, order, now_ms=NOW_MS + 3_599_999)
