"""What `wg show IF dump` says, and which conditions follow."""

from __future__ import annotations

import pytest

from agent.tunnel import dump
from agent.tunnel.dump import STALE_S, Device, Handshakes, Peer
from tests.unit.tunnel.samples import KEY, PEER

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
HEAD = f"{PRIVATE}\t{KEY}\t40000\toff\n"
LINE = f"{PEER}\t(none)\t203.0.113.5:51820\t10.77.0.1/32,fd77::/64\t1800000000\t123\t456\t25\n"


def test_a_dump_is_read_and_the_private_key_is_not_kept():
    found = dump.parse(HEAD + LINE)
    peer = Peer(PEER, "203.0.113.5:51820", ("10.77.0.1/32", "fd77::/64"), 1_800_000_000, 123, 456, 25)
    assert found == Device(KEY, 40000, (peer,))
    assert PRIVATE not in repr(found)


def test_a_peer_that_was_never_heard():
    found = dump.parse(HEAD + f"{PEER}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n")
    assert found.peers == (Peer(PEER, "", (), 0, 0, 0, 0),)


@pytest.mark.parametrize("text", ["", "x", HEAD + "x", HEAD + LINE.replace("123", "x"), LINE])
def test_what_is_no_dump_is_refused(text):
    with pytest.raises(ValueError):
        dump.parse(text)


def test_the_age_of_a_handshake_does_not_follow_the_wall():
    """A clock that jumps makes no handshake old, and none young."""
    ages = Handshakes()
    assert ages.age_s(0, 1000.0, 5.0) is None
    assert ages.age_s(900, 1000.0, 5.0) == 100.0
    assert ages.age_s(900, 90_000.0, 15.0) == 110.0
    assert ages.age_s(90_001, 90_000.0, 20.0) == 0.0
    assert ages.age_s(90_001, 5.0, 30.0) == 10.0
    assert ages.age_s(0, 5.0, 31.0) is None
    assert ages.age_s(90_050, 5.0, 40.0) == 0.0  # of the future, by a clock that was wrong


def codes(
    *,
    there: bool = True,
    age: float | None = 1.0,
    up: float = 1e6,
    lacks: tuple[str, ...] = (),
    trouble: str = "",
) -> dict:
    device = Device(KEY, 1, ()) if there else None
    found = dump.raised(device, age, up_s=up, lacks=lacks, trouble=trouble)
    return {each.code: each.detail for each in found}


def test_conditions():
    """F1: a dead endpoint is told after three minutes, by the age of the handshake."""
    assert codes() == {}
    assert codes(age=STALE_S) == {}
    assert codes(age=STALE_S + 1) == {"tunnel.stale": "196 s"}
    assert codes(age=None, up=STALE_S) == {}
    assert codes(age=None) == {"tunnel.stale": "-"}
    assert codes(there=False, age=None, trouble="TUNNEL_COMMAND") == {"tunnel.down": "TUNNEL_COMMAND"}
    # What is up and may not come up again is told while somebody may still mend it from afar.
    assert codes(trouble="TUNNEL_KEY_DAMAGED") == {"tunnel.trouble": "TUNNEL_KEY_DAMAGED"}
    assert codes(age=STALE_S + 1, trouble="X").keys() == {"tunnel.trouble", "tunnel.stale"}
    assert codes(lacks=("a", "b")) == {"tunnel.unguarded": "a; b"}
