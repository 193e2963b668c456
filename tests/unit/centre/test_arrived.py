"""Which boxes are told, signed, that their exports are here (I6, E7)."""

from __future__ import annotations

import os

import pytest

from agent import consignment
from agent.centre.arrived import AGAIN_S, CLEAR, YOUNG_S, Arrived
from agent.consignment import Receipt, Where

BOX = "gn-0001"
ONE, TWO = "1" * 32, "2" * 32
NOW_MS = 1_800_000_000_000


@pytest.fixture
def root(tmp_path):
    (tmp_path / BOX).mkdir()
    return tmp_path


def put(root, export, where=Where.RECEIVED, *, age_s=0, name=None):
    path = root / BOX / f"{name or export}.receipt"
    path.write_bytes(consignment.encode_receipt(BOX, Receipt(export, where, 7)))
    os.utime(path, (NOW_MS / 1000 - age_s,) * 2)


def wishes(arrived, now_s, box=BOX):
    found = []
    while (wish := arrived.wish(box, now_s, NOW_MS)) is not None:
        assert wish.command == "export.received"
        found.append((wish.arguments["export"], wish.arguments["good"]))
    return found


def test_what_came_is_told_each_until_it_is_answered(root):
    put(root, ONE)
    put(root, TWO, Where.DAMAGED)
    arrived = Arrived(root)
    assert wishes(arrived, 0.0) == [(ONE, True), (TWO, False)]
    assert wishes(arrived, AGAIN_S - 1) == []
    arrived.answered(BOX, ONE, "done", "")
    arrived.answered(BOX, TWO, "refused", "COMMAND_EXPIRED")
    assert wishes(arrived, AGAIN_S) == [(TWO, False)]
    arrived.answered(BOX, TWO, "refused", min(CLEAR))
    assert wishes(arrived, 3 * AGAIN_S) == []


def test_what_comes_later_is_seen(root):
    arrived = Arrived(root)
    assert wishes(arrived, 0.0) == wishes(arrived, 0.0, "gn-0002") == []
    put(root, ONE)
    assert wishes(arrived, 1.0) == [(ONE, True)]


@pytest.mark.parametrize("where", [Where.RECALLED, Where.SENDING, Where.REFUSED])
def test_what_is_not_here_whole_is_not_told(root, where):
    put(root, ONE, where)
    put(root, TWO, age_s=YOUNG_S + 1)  # nobody waits for it any more
    put(root, TWO, name="3" * 32)
    (root / BOX / f"{'4' * 32}.receipt").write_bytes(b"no receipt")
    (root / BOX / f"{'5' * 32}.receipt").mkdir()
    os.mkfifo(root / BOX / f"{'6' * 32}.receipt")
    assert wishes(Arrived(root), 0.0) == []
