"""Exports on their way to the centre: over MQTT in the post's turns, over HTTPS in a thread of their own."""

from __future__ import annotations

import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING, Protocol

from agent import consignment
from agent.consignment import MQTT, Manifest, Unreadable
from agent.uplink.carrier import Carrier, Pace, Wish
from agent.uplink.carrier_https import Sender

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from agent.consignment import Order, Piece, Word

LOOK_S = 0.5
"""How often orders are looked at: one that is taken back must stop within two seconds (I8)."""
TELL_S = 2.0
MOST_RECEIPT = 64 << 10
RECEIPT = "receipt"
"""Topic below pasu/v1/<box>/ on which the centre says how far it has come."""

log = logging.getLogger("pasu.uplink")


class Consigned(Protocol):
    """Where exports are told of. What fails there is passed over, and asked for again."""

    def orders(self) -> dict[str, Order]:
        """Return what is to be sent, by export."""
        ...

    def words(self) -> dict[str, Word]:
        """Return what was said of exports before."""
        ...

    def put(self, word: Word) -> None:
        """Tell keep how far one has come."""
        ...

    def read(self, order: Order, piece: Piece) -> bytes:
        """Return bytes of a file; zeros for what the disk does not give."""
        ...


class Carrying:
    """All exports of a box. One thread calls it; the sender over HTTPS has its own."""

    def __init__(
        self,
        box: str,
        consigned: Consigned,
        tls: Callable[[], ssl.SSLContext],
        now_ms: Callable[[], int],
        interface: str = "",
    ) -> None:
        """Start nothing yet.

        tls        makes a context of the certificates that are there now; raises OSError
        interface  by which alone the centre is reached; empty where there is no tunnel
        """
        self._box = box
        self._consigned = consigned
        self._now_ms = now_ms
        self._pace = Pace()
        self._carriers: dict[str, Carrier] = {}
        self._told: dict[str, tuple[Word, float]] = {}
        self._tokens = itertools.count(1)
        self._sender = Sender(box, tls, consigned.read, consigned.put, interface=interface)
        self._look_s = 0.0

    def turn(
        self, now_s: float, *, up: bool, busy: bool, publish: Callable[[str, bytes, Callable[[], None]], bool]
    ) -> float:
        """Do what can be done now; return in how many seconds to be called again.

        up, busy  whether the broker is there, and whether facts wait: those come first
        publish   takes a kind, a payload, and what to call when the broker has it; false when it is not sent
        """
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._look()
        self._sender.busy = busy
        wait_s = self._look_s - now_s
        for carrier in self._carriers.values():
            while up and (wish := carrier.turn(now_s, busy=busy)) is not None:
                if isinstance(wish, Wish):
                    part, payload = self._letter(carrier, wish)
                    if not publish(f"export/{carrier.order.export}/{part}", payload, _nothing):
                        break
                    continue
                data = self._consigned.read(carrier.order, wish.piece)
                chunk = consignment.encode_chunk(self._box, carrier.order.export, wish.have, data)
                token = next(self._tokens)
                if not publish(
                    f"export/{carrier.order.export}/{wish.n}", chunk, partial(carrier.acknowledged, token)
                ):
                    break
                carrier.published(token, wish, now_s)
            self._tell(carrier, now_s)
            if up and not carrier.is_over:
                wait_s = min(wait_s, self._pace.wait_s(now_s) or LOOK_S)
        return max(0.0, wait_s)

    def heard(self, payload: bytes) -> None:
        """Hear a receipt."""
        if len(payload) > MOST_RECEIPT:
            return
        try:
            receipt = consignment.parse_receipt(payload)
        except Unreadable as error:
            log.warning("a receipt that cannot be read: %s", error)
            return
        if (carrier := self._carriers.get(receipt.export)) is not None:
            carrier.heard(receipt)

    def disconnected(self) -> None:
        """Hear that the broker is gone."""
        for carrier in self._carriers.values():
            carrier.disconnected()

    def stop(self) -> None:
        """End the sender's thread."""
        self._sender.stop()

    def _look(self) -> None:
        now_ms = self._now_ms()
        orders = self._consigned.orders()
        due = {name: order for name, order in orders.items() if order.recalled or now_ms < order.expires_ms}
        words = self._consigned.words() if due.keys() - self._carriers.keys() else {}
        self._sender.look({name: order for name, order in due.items() if order.to != MQTT}, words)
        over_mqtt = {name: order for name, order in due.items() if order.to == MQTT}
        for name in self._carriers.keys() - over_mqtt.keys():
            del self._carriers[name]
            self._told.pop(name, None)
        for name, order in over_mqtt.items():
            known = self._carriers.get(name)
            if known is None:
                before = words.get(name)
                self._carriers[name] = Carrier(order, self._pace, before.gone if before else 0)
            elif order.recalled and not known.order.recalled:
                known.recall(order)

    def _letter(self, carrier: Carrier, wish: Wish) -> tuple[str, bytes]:
        export = carrier.order.export
        if wish is Wish.RECALL:
            return "recall", consignment.encode_recall(self._box, export)
        return "0", consignment.encode_manifest(Manifest(self._box, export, carrier.order.parts))

    def _tell(self, carrier: Carrier, now_s: float) -> None:
        """Tell keep, at once when it stands otherwise, and now and then how far it is."""
        word = carrier.word
        before, told_s = self._told.get(word.export, (None, 0.0))
        if word == before or (before is not None and before.where is word.where and now_s - told_s < TELL_S):
            return
        self._told[word.export] = (word, now_s)
        self._consigned.put(word)


def _nothing() -> None:
    pass
