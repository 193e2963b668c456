"""What the uplink meets of the box: the ledger, the exchange, its own memory, and how the box is.

Each is a port of `agent.uplink.ports`, made of what storage and the health files have.
"""

from __future__ import annotations

import logging
import platform
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.errors import StorageFault
from agent.health import STALE_S, Raised, Tracker, read_health, silences, silent_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.clock import Clock
    from agent.config import Config
    from agent.storage.exchange import UplinkFiles, UplinkSide
    from agent.storage.ledger import Entry
    from agent.storage.reader import LedgerView
    from agent.uplink.courier import Cursor
    from agent.uplink.payloads import Birth, Checkpoint, FullCondition, Health

CURSOR_S = (
    1.0  # while a backlog goes, the cursor is written that often; what is sent twice for it does no harm
)
FILES_S = 1.0

log = logging.getLogger("pasu.uplink")


def boot_s() -> float:
    """Return seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class View:
    """The ledger as the uplink wants it."""

    view: LedgerView
    box: str

    def look(self) -> tuple[str, int, int]:
        """As the port says."""
        return self.view.look()

    def entries(self, ledger: str, after: int, limit: int, most_bytes: int) -> Sequence[Entry]:
        """As the port says."""
        return self.view.entries(ledger, after, limit, most_bytes)

    def checkpoint(self) -> Checkpoint | None:
        """As the port says."""
        from agent.uplink.payloads import Checkpoint

        note = self.view.checkpoint()
        if note is None:
            return None
        return Checkpoint(box=self.box, ledger=note.ledger, note=note.text, at_ms=note.at_ms)


@dataclass(slots=True)
class Desk:
    """The exchange as the uplink wants it."""

    side: UplinkSide
    clock: Clock

    def put_order(self, jws: str, *, retained: bool) -> bool:
        """As the port says."""
        return self.side.put_order(jws, self.clock.now().utc_ms, retained=retained)

    def replies(self, limit: int) -> list[tuple[str, bytes]]:
        """As the port says."""
        return self.side.replies(limit)

    def drop_reply(self, name: str) -> None:
        """As the port says."""
        self.side.drop_reply(name)


@dataclass(slots=True)
class Notebook:
    """The uplink's files; the cursor is written now and then."""

    files: UplinkFiles
    _cursor: Cursor | None = None
    _next_s: float = 0.0

    def cursor(self) -> Cursor | None:
        """As the port says."""
        from agent.uplink.courier import Cursor

        found = self.files.read_cursor()
        return Cursor(*found) if found else None

    def set_cursor(self, cursor: Cursor) -> None:
        """As the port says; written by `flush`."""
        self._cursor = cursor

    def flush(self, now_s: float | None = None) -> None:
        """Write the cursor down, if it moved and it is time; without a time, now."""
        if self._cursor is not None and (now_s is None or now_s >= self._next_s):
            self._next_s = (now_s or 0.0) + CURSOR_S
            self.files.write_cursor(self._cursor.ledger, self._cursor.seq)
            self._cursor = None

    def history(self) -> list[str]:
        """As the port says."""
        return self.files.read_history()

    def add_history(self, line: str) -> None:
        """As the port says."""
        self.files.add_history(line)

    def set_history(self, lines: Sequence[str]) -> None:
        """As the port says."""
        self.files.write_history([*lines])


@dataclass(slots=True)
class Reports:
    """How the box is, by what its processes say."""

    config: Config
    session: str
    clock: Clock
    view: View
    tracker: Tracker = field(default_factory=Tracker)
    _since_s: float = field(default_factory=boot_s)
    _read_s: float = -FILES_S
    _files: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    _ledger: tuple[str, str] = ("", "")

    def health(self, n: int, backlog: int, seq: int | None) -> Health:
        """As the port says."""
        from agent.uplink import summary

        files = self._said()
        return summary.health(
            self.config,
            self.session,
            n,
            self.clock.now(),
            record=files["record"],
            keep=files["keep"],
            wrong=self._wrong(),
            backlog=backlog,
            seq=seq,
        )

    def birth(self, n: int) -> Birth:
        """As the port says."""
        from agent.clock import SystemSource
        from agent.uplink import summary

        files = self._said()
        return summary.birth(
            self.config,
            self.session,
            n,
            self.clock.now(),
            boot=(SystemSource().boot_id(), int(boot_s() * 1000)),
            versions={
                "pasu": __version__,
                "python": platform.python_version(),
                "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            },
            ledger=self._named(),
            record=files["record"],
            keep=files["keep"],
            wrong=self._wrong(),
        )

    def follow(self, raised: Sequence[Raised], now_s: float) -> None:
        """Take what the uplink itself finds wrong; who is silent is found here."""
        self._said()
        silent = silences(self._files, now_s, self._since_s)
        self.tracker.update([*raised, *silent], self.clock.now(), now_s)

    def _named(self) -> tuple[str, str]:
        """Return the ledger's id and key, as they were when they could last be read."""
        try:
            self._ledger = (self.view.look()[0], self.view.view.vkey())
        except StorageFault as fault:
            log.debug("the ledger cannot be read: %s", fault)
        return self._ledger

    def _wrong(self) -> list[FullCondition]:
        from agent.uplink import summary

        files = self._said()
        return summary.conditions(
            files["record"], files["keep"], files.get("tunnel"), own=self.tracker.to_json()
        )

    def _said(self) -> dict[str, dict[str, Any] | None]:
        """Return the health files, None for a process that is silent."""
        now_s = boot_s()
        if now_s - self._read_s >= FILES_S:
            self._read_s = now_s
            run = self.config.storage.run
            for process in ("record", "keep", *(("tunnel",) if self.config.tunnel else ())):
                self._files[process] = read_health(run, process)
        return {name: body if _speaks(body, now_s) else None for name, body in self._files.items()}


def _speaks(body: dict[str, Any] | None, now_s: float) -> bool:
    silent = silent_s(body, now_s)
    return silent is not None and silent <= STALE_S
