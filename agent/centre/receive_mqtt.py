"""The centre's receiver over MQTT: chunks come as messages, receipts go back on the box's own topic."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING

from agent import consignment
from agent.centre.receive import Refused
from agent.consignment import MISPLACED, NOT_WANTED, Receipt, Unreadable, Where
from agent.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.centre.receive import Store

TELL_CHUNKS = 8
_PART = re.compile(r"export/([0-9a-f]{32})/([0-9]{1,9}|recall)\Z")

log = logging.getLogger("pasu.receive")


class Receiver:
    """Takes what `watch` hears of exports. One thread calls it; comparing at the end has its own."""

    def __init__(
        self,
        store: Store,
        answer: Callable[[str, bytes], None],
        told: Callable[[str, Receipt], None] = lambda _box, _receipt: None,
    ) -> None:
        """Keep all that.

        answer  publishes a receipt to a box, from any thread
        told    hears of every export that came to an end
        """
        self._store = store
        self._answer = answer
        self._told = told
        self._count = 0
        self._misplaced: dict[tuple[str, str], int] = {}
        self._finishing: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def __call__(self, box: str, part: str, payload: bytes) -> None:
        """Take a message; what is none of ours is dropped."""
        found = _PART.match(part)
        if found is None:
            return
        export, number = found[1], found[2]
        try:
            if number == "recall":
                if consignment.parse_recall(payload) == (box, export):
                    self._say(box, self._store.recall(box, export), end=True)
            elif number == "0":
                receipt = self._store.manifest(box, payload)
                if receipt.where is Where.SENDING and self._store.is_whole(receipt, box):
                    self._finish(box, export)
                else:
                    self._say(box, receipt)
            else:
                self._chunk(box, export, payload)
        except Unreadable:
            log.warning("what recalls export %s of %s cannot be read", export, box)
        except Refused as refused:
            receipt = refused.receipt
            self._say(box, Receipt(export, receipt.where, receipt.have, receipt.code, receipt.problems))
        except (StorageFault, OSError) as fault:
            self._fail(box, export, fault)

    def _chunk(self, box: str, export: str, payload: bytes) -> None:
        try:
            said_box, said_export, have, data = consignment.parse_chunk(payload)
        except Unreadable:
            known = self._store.have(box, export)
            self._say(box, Receipt(export, Where.SENDING, known.have if known else 0, MISPLACED))
            return
        if (said_box, said_export) != (box, export):
            self._say(box, Receipt(export, Where.REFUSED, code=NOT_WANTED))
            return
        receipt = self._store.write(box, export, have, data)
        if receipt.code == MISPLACED:
            # Those that were on their way when it went back come too: one answer for all of them.
            if self._misplaced.get((box, export)) != receipt.have or have > receipt.have:
                self._say(box, receipt)
            self._misplaced[box, export] = receipt.have
            return
        self._misplaced.pop((box, export), None)
        if self._store.is_whole(receipt, box):
            self._finish(box, export)
            return
        self._count += 1
        if self._count % TELL_CHUNKS == 0:
            self._say(box, receipt)

    def _finish(self, box: str, export: str) -> None:
        """Compare everything in another thread, once at a time: messages of all other boxes go on meanwhile."""
        with self._lock:
            if (box, export) in self._finishing:
                return
            self._finishing.add((box, export))
        threading.Thread(target=self._compare, args=(box, export), daemon=True).start()

    def _compare(self, box: str, export: str) -> None:
        try:
            receipt = self._store.finish(box, export)
            self._say(box, receipt, end=receipt.where is not Where.SENDING)
        except Refused as refused:
            self._say(box, refused.receipt)
        except (StorageFault, OSError) as fault:
            self._fail(box, export, fault)
        finally:
            with self._lock:
                self._finishing.discard((box, export))

    def _fail(self, box: str, export: str, fault: StorageFault | OSError) -> None:
        """Have the box wait: one export that cannot be written must not end the watch for a city."""
        log.error("%s", fault)
        code = fault.code.lower() if isinstance(fault, StorageFault) else "disk_error"
        self._say(box, Receipt(export, Where.WAITING, code=code))

    def _say(self, box: str, receipt: Receipt, *, end: bool = False) -> None:
        self._answer(box, consignment.encode_receipt(box, receipt))
        if end:
            self._told(box, receipt)
