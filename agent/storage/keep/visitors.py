"""What happens at the page's door becomes facts. The page has no catalogue: it leaves a word.

    G1  one transaction: the fact, and the name of the word in `page.taken`
    G2  the word is removed; a word whose name stands there is only removed
    G3  who came last is written down for the page to show

A page that was taken over can claim visits that did not happen, of passes that there are; whose they are is read from
the pass, which it cannot write. It fills no ledger: BURST facts at once, and one in EVERY_S.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from agent import passes
from agent.errors import StorageFault
from agent.model import Fact
from agent.passes import What
from agent.storage import ledger, passbook
from agent.storage.catalogue import set_meta

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from agent.model import Instant
    from agent.passes import Word
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk

BURST = 30
EVERY_S = 10.0
A_TURN = 10
TAKEN = "page.taken"
KINDS = {What.VISITED: "page.visited", What.REFUSED: "page.refused", What.LOCKED: "page.locked"}

log = logging.getLogger("pasu.keep")


class Visitors:
    """Takes the page's words, turn by turn."""

    def __init__(self, folder: Path, disk: Disk, step: Callable[[str], None] = lambda _: None) -> None:
        """Look at nothing yet. `step`: told each numbered step."""
        self._folder = folder
        self._disk = disk
        self._step = step
        self._left = float(BURST)
        self._before_s: float | None = None

    def turn(self, catalogue: Catalogue, now: Instant, now_s: float) -> None:
        """Take what waits, as much as may be. now_s: seconds since boot. Raises StorageFault CATALOGUE_..."""
        if self._before_s is not None:
            self._left = min(float(BURST), self._left + max(0.0, now_s - self._before_s) / EVERY_S)
        self._before_s = now_s
        names = passbook.words(self._folder)
        if not names or self._left < 1:
            return
        taken = catalogue.meta(TAKEN)
        known = {one.id: one for one in passbook.listed(self._folder)}
        lately: list[dict[str, Any]] = []
        for name in names[:A_TURN]:
            if name != taken and self._left >= 1:
                told = self._take(catalogue, name, now, known)
                self._left -= 1
                lately[:0] = [told] if told else []
            elif name != taken:
                break
            self._drop(name)
        if lately:
            with contextlib.suppress(StorageFault):
                passbook.write_seen(self._folder, [*lately, *passbook.seen(self._folder)], self._disk)
            self._step("G3")

    def _take(
        self, catalogue: Catalogue, name: str, now: Instant, known: dict[str, passes.Pass]
    ) -> dict[str, Any] | None:
        try:
            word = passbook.read_word(self._folder, name)
        except (OSError, passes.Unreadable):
            log.warning("%s: not a word of the page", name)
            return None
        body = _body(word, known.get(word.id))
        line = ledger.line(Fact(KINDS[word.what], now, body))

        def write(db: sqlite3.Connection) -> None:
            ledger.append(db, line)
            set_meta(db, TAKEN, name)

        catalogue.write(write)
        self._step("G1")
        return {"at_ms": now.utc_ms, "what": str(word.what), **body}

    def _drop(self, name: str) -> None:
        try:
            passbook.drop_word(self._folder, name, self._disk)
        except StorageFault as error:
            log.warning("%s", error)
        self._step("G2")


def _body(word: Word, one: passes.Pass | None) -> dict[str, Any]:
    """Return a fact's body: of whom, from the pass; of the rest, what the page says."""
    return {
        "id": one.id if one else "",
        "name": one.name if one else "",
        "company": one.company if one else "",
        "why": str(word.why) if word.why else "",
        "count": word.count,
        "source": word.source,
    }
