"""The folders where keep and the uplink meet."""

from __future__ import annotations

import errno
import json

import pytest

from agent.errors import StorageFault
from agent.storage import exchange
from agent.storage.exchange import MOST_ORDERS, UplinkFiles, UplinkSide
from agent.storage.files import Disk
from tests.unit.storage.box import T0, FailingDisk


@pytest.fixture
def state(tmp_path):
    (tmp_path / "uplink" / "memory").mkdir(parents=True)
    exchange.make(tmp_path, Disk())
    exchange.make(tmp_path, Disk())
    return tmp_path


def test_an_order_appears_whole_and_in_the_order_of_time(state):
    side = UplinkSide(state)
    for n in (2, 1):
        assert side.put_order(f"a.b.{n}", T0 + n, retained=n == 1)
    names = sorted(path.name for path in (state / "exchange" / "orders").iterdir())
    assert [name[:16] for name in names] == [f"{T0 + n:016x}" for n in (1, 2)]
    said = [json.loads((state / "exchange" / "orders" / name).read_bytes()) for name in names]
    assert said[0] == {"jws": "a.b.1", "retained": True, "received_ms": T0 + 1, "over": "mqtt"}
    assert said[1]["retained"] is False


def test_there_is_room_for_so_many(state):
    side = UplinkSide(state)
    (state / "exchange" / "orders" / "somebody's").write_text("")
    assert all(side.put_order("a.b.c", T0, retained=False) for _ in range(MOST_ORDERS))
    assert not side.put_order("a.b.c", T0, retained=False)


@pytest.mark.parametrize("op", ["create", "write", "rename"])
def test_an_order_that_cannot_be_written_leaves_nothing(state, op):
    side = UplinkSide(state, FailingDisk(lambda _n, what, _p: errno.ENOSPC if what == op else None))
    with pytest.raises(StorageFault):
        side.put_order("a.b.c", T0, retained=False)
    assert list((state / "exchange" / "orders").iterdir()) == []


def test_replies_come_oldest_first_and_what_is_none_is_left_alone(state):
    folder = state / "exchange" / "replies"
    for name in ("0000000000000002.json", "0000000000000001.json", "0000000000000003.json.tmp", "note"):
        (folder / name).write_text(name)
    (folder / "0000000000000004.json").symlink_to("/etc/passwd")
    side = UplinkSide(state)
    assert side.replies(9) == [
        ("0000000000000001.json", b"0000000000000001.json"),
        ("0000000000000002.json", b"0000000000000002.json"),
    ]
    assert len(side.replies(1)) == 1
    side.drop_reply("0000000000000001.json")
    side.drop_reply("0000000000000001.json")
    assert len(side.replies(9)) == 1
    assert len(list(folder.iterdir())) == 4


def test_folders_that_are_gone_are_a_fault(tmp_path):
    with pytest.raises(StorageFault):
        UplinkSide(tmp_path).replies(1)
    with pytest.raises(StorageFault):
        UplinkSide(tmp_path).put_order("a.b.c", T0, retained=False)


def test_the_cursor_is_kept_and_nonsense_is_none(state):
    files = UplinkFiles(state)
    assert files.read_cursor() is None
    files.write_cursor("00ff", 7)
    assert files.read_cursor() == ("00ff", 7)
    for text in (
        "",
        "{}",
        "[]",
        '{"ledger":1,"seq":1}',
        '{"ledger":"a","seq":-1}',
        '{"ledger":"a","seq":true}',
    ):
        (exchange.memory(state) / "cursor.json").write_text(text)
        assert files.read_cursor() is None


def test_history_is_appended_and_replaced(state):
    files = UplinkFiles(state)
    assert files.read_history() == []
    files.add_history("one")
    files.add_history("둘")
    assert files.read_history() == ["one", "둘"]
    with (exchange.memory(state) / "history.jsonl").open("a") as file:
        file.write("torn")
    assert files.read_history() == ["one", "둘"]
    files.write_history(["three"])
    assert files.read_history() == ["three"]
    files.write_history([])
    assert not (exchange.memory(state) / "history.jsonl").exists()


def test_a_memory_that_cannot_be_written_is_no_fault(state):
    files = UplinkFiles(state, FailingDisk(lambda *_: errno.ENOSPC))
    files.write_cursor("a", 1)
    files.add_history("x")
    files.write_history(["x"])
    files.write_history([])
    assert files.read_cursor() is None
    assert files.read_history() == []


def test_each_life_of_the_uplink_has_a_higher_name_than_those_before(state):
    """E7: also where the clock was set back, or the folder; the centre takes the highest for the present one."""
    files = UplinkFiles(state)
    assert files.begin_session(1_800_000_000_000) == "01a3185c5000"
    assert files.begin_session(1_800_000_000_005) == "01a3185c5005"
    assert files.begin_session(0) == "01a3185c5006"
    assert UplinkFiles(state).begin_session(-5) == "01a3185c5007"
    for text in ("", "x", "-1", "f" * 12, "9" * 5000, "\u0663"):
        (exchange.memory(state) / "session").write_text(text)
        assert files.begin_session(7) == "000000000007"
    assert UplinkFiles(state, FailingDisk(lambda *_: errno.ENOSPC)).begin_session(9) == "000000000009"
