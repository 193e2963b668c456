"""An export on its way over MQTT: the box's post, a real broker, the centre's receiver; cut wherever it hurts."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from agent import consignment
from agent.centre import verify
from agent.centre.receive import Store
from agent.centre.receive_mqtt import Receiver
from agent.consignment import CHUNK_BYTES, NO_ROOM, NOT_PROVEN, Where
from agent.model import Instant, Span, Trust
from agent.storage.consigned import Consigned
from agent.storage.keep.outgoing_order import State
from agent.uplink.carrying import Carrying
from agent.uplink.dial import Endpoint
from agent.uplink.ports import Box
from agent.uplink.post import Post
from tests.broker import Listener, Mosquitto
from tests.unit.keep.handing import ID, Handing, wanted
from tests.unit.storage.box import T0
from tests.uplink_box import Memory, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOX = "box-1"
SPAN = Span(T0, T0 + 30_000)


class Centre(Listener):
    """Hears chunks, hands them to the receiver, and sends its receipts."""

    def __init__(self, broker: Mosquitto, store: Store) -> None:
        self.chunks = 0
        self.deaf = False
        self.ends: list[Where] = []
        self.receiver = self.take(store)
        super().__init__(broker, f"pasu/v1/{BOX}/export/#")

    def take(self, store: Store) -> Receiver:
        self.store = store
        self.receiver = Receiver(store, self.answer, lambda _, receipt: self.ends.append(receipt.where))
        return self.receiver

    def answer(self, box: str, payload: bytes) -> None:
        if not self.deaf:
            self.client.publish(f"pasu/v1/{box}/receipt", payload, qos=1)

    def _heard(self, _client, _data, message) -> None:
        if self.deaf:
            return
        self.chunks += message.topic.rpartition("/")[2].isdigit()
        self.receiver(BOX, message.topic.removeprefix(f"pasu/v1/{BOX}/"), message.payload)


class Way(Wire):
    """A box with an export, its post, a broker and a centre."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.box = Handing(root / "box")
        self.box.record(count=6, size=700_000)
        self.box.clock.utc_ms = T0 + 60_000
        self.box.hand()
        self.broker = Mosquitto(root / "broker")
        self.pair = self.broker.authority.issue(BOX)
        self.centre = Centre(self.broker, self.new_store())
        self.memory = Memory(BOX)
        self.ahead_s = 0.0
        self.exchange = Consigned(self.box.state)
        self.post = self.new_post()

    def new_store(self, **more) -> Store:
        vkey = verify.read_key(self.box.vkey())
        self.proven: list[tuple[str, str]] = []
        return Store(
            self.root / "received",
            lambda _: vkey,
            lambda *export: export in self.proven,
            **{"spare_bytes": 0, **more},
        )

    def new_post(self) -> Post:
        self.endpoint = Endpoint("127.0.0.1", self.broker.port, self.broker.authority.file, *self.pair)
        carrying = Carrying(
            BOX, self.exchange, lambda: self.endpoint.context(check_dates=True), lambda: self.box.clock.utc_ms
        )
        memory = self.memory
        now = Instant(T0, Trust.SYNCED)
        more = (lambda: now, random.random, carrying)
        return Post(Box(BOX, "5e551011", memory, memory, memory, memory, *more), self.endpoint)

    def order(self) -> None:
        self.box.request(wanted(span=SPAN))
        self.box.hand()

    def turn(self) -> float:
        self.ahead_s += 0.05  # the bound on the rate is one of our clock
        return super().turn()

    def arrive(self, *wheres: Where) -> None:
        self.until(f"{wheres}", lambda: (word := self.word()) is not None and word.where in wheres, 120)

    def word(self):
        return self.exchange.words().get(ID)

    @property
    def place(self) -> Path:
        return self.root / "received" / BOX / ID

    def check_whole(self) -> None:
        bundle = self.box.bundle()
        names = sorted(str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file())
        there = sorted(str(path.relative_to(self.place)) for path in self.place.rglob("*") if path.is_file())
        assert there == names
        for name in names:
            assert (self.place / name).read_bytes() == (bundle / name).read_bytes()
        self.box.hand()
        assert self.box.export().state is State.SENT  # a receipt is nobody's signature
        self.box.received()
        self.box.hand()
        assert self.box.export().state is State.RECEIVED
        assert len(self.box.told("export.received")) == len(self.box.told("export.sent")) == 1
        assert self.centre.ends == [Where.RECEIVED]

    def close(self) -> None:
        self.stop()
        self.centre.close()
        self.broker.stop()


@pytest.fixture
def way(tmp_path) -> Iterator[Way]:
    made = Way(tmp_path)
    yield made
    made.close()


def test_i6_it_arrives_over_mqtt_and_is_counted_once(way) -> None:
    """I6, I7."""
    way.order()
    way.arrive(Where.RECEIVED)
    total = way.box.export().bytes
    assert way.word().gone == total
    way.check_whole()


@pytest.mark.parametrize("where", [Where.RECEIVED, Where.DAMAGED, Where.REFUSED, Where.RECALLED])
def test_e7_a_receipt_that_nobody_signed_removes_nothing(way, where) -> None:
    """E7: a rogue broker says that it is there. The bundle stays, and the ledger does not say that it arrived."""
    way.order()
    way.until("some of it", lambda: way.centre.chunks > 2, 60)
    way.centre.deaf = True
    files = way.box.outgoing()
    total = way.box.export().bytes
    forged = consignment.encode_receipt(BOX, consignment.Receipt(ID, where, total, "forged"))
    way.centre.client.publish(f"pasu/v1/{BOX}/receipt", forged, qos=1)
    way.arrive(where)
    for _ in range(3):
        way.box.hand()
    assert way.box.outgoing() == files
    assert way.box.order() is not None
    assert not {"export.received", "export.expired", "export.recalled"} & {*way.box.kinds()}
    # The centre's own program, and another life of the uplink: it arrives all the same.
    way.stop()
    way.post = way.new_post()
    way.centre.deaf = False
    way.exchange.put(consignment.Word(ID, Where.WAITING))
    way.arrive(Where.RECEIVED)
    way.check_whole()


@pytest.mark.parametrize("percent", [10, 50, 99])
def test_i6_the_broker_dies_on_the_way(way, percent) -> None:
    """I6: killed with all it had not written; what the centre has is not sent again."""
    way.order()
    total = way.box.export().bytes
    chunks = total // CHUNK_BYTES
    way.until("some of it", lambda: way.centre.chunks > chunks * percent // 100, 60)
    way.broker.restart(lose_store=True)
    way.arrive(Where.RECEIVED)
    assert way.word().gone <= total + 8 * CHUNK_BYTES
    way.check_whole()


def test_i6_both_ends_begin_anew(way) -> None:
    """I6: the uplink and the centre's program are other processes now, and chunks were lost between them."""
    way.order()
    total = way.box.export().bytes
    way.until("some of it", lambda: way.centre.chunks > 4, 60)
    way.centre.deaf = True
    way.until("more that nobody hears", lambda: way.word().gone > total // 2, 60)
    way.stop()
    way.post = way.new_post()
    way.centre.take(way.new_store())
    way.centre.deaf = False
    way.arrive(Where.RECEIVED)
    way.check_whole()


def test_i6_a_full_centre_is_waited_for_over_mqtt(way) -> None:
    """I6."""
    way.centre.take(way.new_store(spare_bytes=1 << 60))
    way.order()
    way.until("no room", lambda: (word := way.word()) is not None and word.code == NO_ROOM, 60)
    way.centre.take(way.new_store())
    way.arrive(Where.RECEIVED)
    way.check_whole()


def test_i8_taken_back_over_mqtt(way) -> None:
    """I8: nothing is published after the order was seen, and the centre throws away what it had."""
    way.order()
    way.until("some of it", lambda: way.centre.chunks > 4, 60)
    way.box.cancel()
    way.arrive(Where.RECALLED)
    before = way.centre.chunks
    way.pass_time(20)
    assert way.centre.chunks == before
    way.box.hand()
    (body,) = way.box.told("export.recalled")
    assert 0 < body["gone_bytes"] < way.box.export().bytes
    assert body["confirmed"]
    assert os.listdir(way.root / "received" / BOX) == [f"{ID}.receipt"]


def test_i8_a_recall_on_the_wire_destroys_nothing_that_the_ledger_does_not_give_up(way) -> None:
    """I8, I7: whoever can publish as the box reaches no evidence; nor does garbage."""
    way.order()
    way.arrive(Where.RECEIVED)
    heard: list[bytes] = []
    receiver = Receiver(way.centre.store, lambda _, receipt: heard.append(receipt))
    for payload in (
        b"no recall",
        consignment.encode_recall("box-2", ID),
        consignment.encode_recall(BOX, "0" * 32),
    ):
        receiver(BOX, f"export/{ID}/recall", payload)
    assert not heard
    receiver(BOX, f"export/{ID}/recall", consignment.encode_recall(BOX, ID))
    assert consignment.parse_receipt(heard.pop()).code == NOT_PROVEN
    way.check_whole()
    way.box.cancel()
    way.proven.append((BOX, ID))
    way.arrive(Where.RECALLED)
    assert not way.place.exists()


def test_exports_wait_for_facts_over_mqtt(way) -> None:
    """What is handed out never goes before a backlog of facts."""
    way.memory.size, way.memory.kind = 100_000, "gap"
    way.memory.fault = ""
    way.order()
    seen: list[int] = []
    way.until("both", lambda: seen.append(way.post.backlog) or way.centre.chunks > 1, 60)
    assert seen[-1] <= 500 < max(seen)


def test_another_exports_and_odd_messages_are_dropped(way) -> None:
    for part, data in (
        ("export/x/1", b""),
        (f"export/{ID}/99999999999", b""),
        (f"export/{ID}/0", b"{"),
        (f"export/{ID}/1", b"no chunk"),
        (f"export/{ID}/2", b"{}\n1"),
    ):
        way.centre.receiver(BOX, part, data)
    assert not (way.root / "received").exists()
