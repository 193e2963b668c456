"""The numbers that commands bear: each key counts for each box from 1, and no number is given out twice.

One SQLite file in the city's folder, shared by all programs of the centre. A number is durable before the command that
bears it is sent; one that is never sent costs the box a minute of waiting, and nothing else.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "counters.db"
_WAIT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS counter (kid TEXT NOT NULL, box TEXT NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (kid, box)) WITHOUT ROWID
"""


class Counters:
    """The file, open."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it. Raises StorageFault COUNTERS_UNUSABLE."""
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def take(self, kid: str, box: str) -> int:
        """Return the next number of a key for a box; it is durable. Raises StorageFault COUNTERS_UNUSABLE."""
        return self.take_all(kid, [box])[box]

    def take_all(self, kid: str, boxes: Iterable[str]) -> dict[str, int]:
        """Return the next number for each of many boxes, made durable by one transaction."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                found = {
                    box: self._db.execute(
                        "INSERT INTO counter VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET last = last + 1"
                        " RETURNING last",
                        (kid, box),
                    ).fetchone()[0]
                    for box in boxes
                }
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._fault(error) from error
        return found

    def catch_up(self, kid: str, box: str, used: int) -> None:
        """Go on behind a number: the box says that those before were used, so the file here was an older one."""
        try:
            self._db.execute(
                "INSERT INTO counter VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
                (kid, box, used),
            )
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def close(self) -> None:
        """Let go of it."""
        self._db.close()

    def _fault(self, error: sqlite3.Error) -> StorageFault:
        return StorageFault(
            "COUNTERS_UNUSABLE",
            say("명령 번호의 파일을 쓸 수 없습니다", "the file with the commands' numbers cannot be used"),
            hint=say(
                "디스크와 counters.db를 확인하십시오. 지우지 마십시오",
                "check the disk and counters.db; do not remove it",
            ),
            path=str(self._path),
            reason=str(error),
        )
