"""What the centre keeps of every box's ledger: entries, leaf hashes, nodes, heads and alarms, in one SQLite file.

Everything that comes in half a second is one transaction; the broker is told only when that is on the disk. Reading by
other programs goes on meanwhile (WAL).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.centre.following import BLOCK, LEVEL, Following, What, origin_of
from agent.centre.genuine import Newest
from agent.command.strict import MOST_INTEGER
from agent.errors import StorageFault
from agent.language import say
from agent.storage.proof.merkle import HASH_BYTES
from agent.storage.proof.thin import superfluous

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.centre.following import Finding, Taken
    from agent.storage.proof.note import Verifier

FILE = "witness.db"
UNUSABLE = "WITNESS_UNUSABLE"
APPLICATION_ID = 0x50415357  # "PASW"
_WAIT_S = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY, box TEXT NOT NULL, ledger TEXT NOT NULL, first_ms INTEGER NOT NULL,
    size INTEGER NOT NULL DEFAULT 0, verified INTEGER NOT NULL DEFAULT 0, verified_root BLOB, verified_at_ms INTEGER,
    acknowledged INTEGER NOT NULL DEFAULT 0, lost INTEGER NOT NULL DEFAULT 0, UNIQUE (box, ledger));
CREATE TABLE IF NOT EXISTS block (
    ledger INTEGER NOT NULL, number INTEGER NOT NULL, leaves BLOB NOT NULL, nodes BLOB NOT NULL,
    PRIMARY KEY (ledger, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (
    ledger INTEGER NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
    trust TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (ledger, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint (
    ledger INTEGER NOT NULL, size INTEGER NOT NULL, at_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL,
    note TEXT NOT NULL, PRIMARY KEY (ledger, size)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS newest (
    box TEXT PRIMARY KEY, key TEXT NOT NULL, session INTEGER NOT NULL, birth INTEGER NOT NULL,
    state INTEGER NOT NULL, health INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, box TEXT NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
"""

_LEDGERS = "SELECT id, ledger, size, verified, verified_root, verified_at_ms, acknowledged, lost FROM ledger"
MOST_PROVEN = 8
"""Ledgers of a box that are followed at a time, of those that it signed: its key may begin new ones at will."""


@dataclass(slots=True)
class Kept:
    """A ledger as it is kept.

    key           its number in the file
    acknowledged  up to where the box was told that this is here
    """

    key: int
    box: str
    ledger: str
    following: Following
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Fact:
    """An entry as it is kept. proven: a head that the box signed stands for it; any other may be anybody's so far."""

    box: str
    ledger: str
    seq: int
    at_ms: int
    received_ms: int
    trust: str
    kind: str
    body: dict[str, Any]
    proven: bool


class Witness:
    """The file, open."""

    def __init__(self, path: Path, *, reading: bool = False) -> None:
        """Open it, or make it.

        reading  never write: another program does
        Raises   StorageFault WITNESS_UNUSABLE
        """
        self._path = path
        self._busy = False
        try:
            if reading:
                self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)
                return
            self._db = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def kept(self, box: str, verifier: Verifier) -> dict[str, Kept]:
        """Return the ledgers of a box, by id, in the order in which they came; of proven ones the newest."""
        rows = self._read(f"{_LEDGERS} WHERE box = ? ORDER BY id", (box,))
        old = {row[0] for row in [row for row in rows if row[3]][:-MOST_PROVEN]}
        return {row[1]: self._kept(box, verifier, row) for row in rows if row[0] not in old}

    def take_up(self, box: str, ledger: str, verifier: Verifier) -> Kept | None:
        """Return one ledger of a box, however old; None where there is none of this id."""
        rows = self._read(f"{_LEDGERS} WHERE box = ? AND ledger = ?", (box, ledger))
        return self._kept(box, verifier, rows[0]) if rows else None

    def _kept(self, box: str, verifier: Verifier, row: tuple[Any, ...]) -> Kept:
        key, ledger, size, verified, root, at_ms, acknowledged, lost = row
        following = self._following(key, box, ledger, verifier, size)
        if verified:
            following.restore(verified, root, at_ms)
        following.lost = lost
        return Kept(key, box, ledger, following, acknowledged)

    def newest(self, box: str) -> Newest:
        """Return what was the newest of a box's reports."""
        rows = self._read("SELECT key, session, birth, state, health FROM newest WHERE box = ?", (box,))
        return Newest(*rows[0]) if rows else Newest()

    def set_newest(self, box: str, newest: Newest) -> None:
        """Keep it, so that old reports are known for what they are after a restart too."""
        self._write(
            "INSERT OR REPLACE INTO newest VALUES (?, ?, ?, ?, ?, ?)",
            (box, newest.key, newest.session, newest.birth, newest.state, newest.health),
        )

    def begin(self, box: str, ledger: str, verifier: Verifier, now_ms: int) -> Kept:
        """Begin to keep a ledger."""
        self._write(
            "INSERT INTO ledger (box, ledger, first_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (box, ledger, now_ms),
        )
        key = self._read("SELECT id FROM ledger WHERE box = ? AND ledger = ?", (box, ledger))[0][0]
        return Kept(key, box, ledger, self._following(key, box, ledger, verifier, 0), 0)

    def store(self, kept: Kept, taken: Taken, now_ms: int) -> None:
        """Write what a message brought, all of it or nothing. It is on the disk when `commit` returns."""
        try:
            self._begin()
            self._db.execute("SAVEPOINT message")
            try:
                self._store(kept, taken, now_ms)
            except StorageFault:
                raise  # it ends the program, and the transaction with it
            except BaseException:
                self._db.execute("ROLLBACK TO message")
                raise
            self._db.execute("RELEASE message")
        except sqlite3.Error as error:
            raise self._fault(error) from error
        kept.following.saved()

    def _store(self, kept: Kept, taken: Taken, now_ms: int) -> None:
        if taken.dropped is not None:
            self._write("DELETE FROM fact WHERE ledger = ? AND seq > ?", (kept.key, taken.dropped))
            self._write(
                "DELETE FROM block WHERE ledger = ? AND number >= ?", (kept.key, taken.dropped // BLOCK)
            )
        if taken.entries:
            self._many(
                "INSERT INTO fact VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (kept.key, one.seq, one.at_ms, now_ms, one.trust, one.kind, one.body)
                    for one in taken.entries
                ],
            )
        self._many(
            "INSERT INTO block VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET leaves = excluded.leaves, nodes = excluded.nodes",
            [
                (kept.key, block.number, b"".join(block.leaves), b"".join(block.nodes))
                for block in taken.blocks.values()
            ],
        )
        verified = [finding for finding in taken.findings if finding.what is What.VERIFIED]
        for finding in verified:
            self._keep_head(kept, finding, now_ms)
        if taken.entries or verified or taken.findings:
            best = kept.following.verified
            self._write(
                "UPDATE ledger SET size = ?, lost = ?, verified = ?, verified_root = ?, verified_at_ms = ?"
                " WHERE id = ?",
                (
                    kept.following.size,
                    kept.following.lost,
                    best.size if best else 0,
                    best.root if best else None,
                    best.at_ms if best else None,
                    kept.key,
                ),
            )

    def acknowledged(self, kept: Kept, size: int) -> None:
        """Take note that the box knows that so much is here."""
        kept.acknowledged = max(kept.acknowledged, size)
        self._write("UPDATE ledger SET acknowledged = ? WHERE id = ?", (kept.acknowledged, kept.key))

    def alarm(self, box: str, what: str, detail: dict[str, Any], now_ms: int) -> None:
        """Keep an alarm for good."""
        self._write(
            "INSERT INTO alarm (at_ms, box, what, detail) VALUES (?, ?, ?, ?)",
            (now_ms, box, what, json.dumps(detail, ensure_ascii=False)),
        )

    def commit(self) -> None:
        """Put everything since the last commit on the disk. Raises StorageFault WITNESS_UNUSABLE."""
        if self._busy:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._fault(error) from error
            self._busy = False

    def facts(self, box: str, kind: str, after_ms: int, before_ms: int, last: int) -> list[Fact]:
        """Return entries of a box, oldest first.

        kind  of these, or its first part: "hold"; empty for all
        last  at most so many, the newest; 0 for all
        """
        rows = self._read(
            "SELECT l.ledger, seq, at_ms, received_ms, trust, kind, body, seq <= l.verified"
            " FROM fact f JOIN ledger l ON l.id = f.ledger"
            " WHERE l.box = ? AND at_ms >= ? AND at_ms < ? AND (? = '' OR kind = ? OR kind GLOB ?)"
            " ORDER BY f.ledger DESC, seq DESC LIMIT ?",
            (box, after_ms, before_ms, kind, kind, f"{kind}.*", last or -1),
        )
        return [
            Fact(box, ledger, seq, at_ms, received_ms, trust, name, json.loads(body), bool(proven))
            for ledger, seq, at_ms, received_ms, trust, name, body, proven in reversed(rows)
        ]

    def of_span(self, box: str, after_ms: int, before_ms: int) -> Iterator[Fact]:
        """Yield the entries of a box that are of a span, or came here in it, in the order in which it wrote them."""
        rows = self._cursor(
            "SELECT l.ledger, seq, at_ms, received_ms, trust, kind, body, seq <= l.verified"
            " FROM fact f JOIN ledger l ON l.id = f.ledger WHERE l.box = ?1"
            " AND ((at_ms >= ?2 AND at_ms < ?3) OR (received_ms >= ?2 AND received_ms < ?3))"
            " ORDER BY f.ledger, seq",
            (box, after_ms, before_ms),
        )
        for ledger, seq, at_ms, received_ms, trust, kind, body, proven in rows:
            yield Fact(box, ledger, seq, at_ms, received_ms, trust, kind, json.loads(body), bool(proven))

    def newest_of(self, box: str, kind: str) -> list[Fact]:
        """Return the newest entry of a kind, or of all for "", whatever its time; none where there is none."""
        return self.facts(box, kind, -MOST_INTEGER, MOST_INTEGER + 1, 1)

    def alarms(self, box: str | None = None) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
        """Yield alarms, oldest first: when, box, what, detail."""
        for at_ms, name, what, detail in self._read(
            "SELECT at_ms, box, what, detail FROM alarm WHERE ?1 IS NULL OR box = ?1 ORDER BY id", (box,)
        ):
            yield at_ms, name, what, json.loads(detail)

    def newest_head(self, box: str) -> str | None:
        """Return the newest verified checkpoint of a box, for `pasu centre verify --witness`."""
        rows = self._read(
            "SELECT note FROM checkpoint c JOIN ledger l ON l.id = c.ledger WHERE l.box = ?"
            " ORDER BY c.ledger DESC, c.size DESC LIMIT 1",
            (box,),
        )
        return str(rows[0][0]) if rows else None

    def close(self) -> None:
        """Let go of it; what was not committed is as if it never came."""
        self._db.close()

    def _following(self, key: int, box: str, ledger: str, verifier: Verifier, size: int) -> Following:
        def block(number: int) -> list[bytes]:
            rows = self._read("SELECT leaves FROM block WHERE ledger = ? AND number = ?", (key, number))
            return _hashes(rows[0][0]) if rows else []

        def subtree(level: int, index: int) -> bytes:
            height = level - LEVEL
            number = ((index + 1) << height) - 1
            rows = self._read("SELECT nodes FROM block WHERE ledger = ? AND number = ?", (key, number))
            nodes = _hashes(rows[0][0]) if rows else []
            if len(nodes) <= height:
                raise self._fault(sqlite3.DatabaseError(f"block {number} of ledger {ledger} is gone"))
            return nodes[height]

        if size % BLOCK and len(block(size // BLOCK)) != size % BLOCK:
            raise self._fault(sqlite3.DatabaseError(f"the last block of ledger {ledger} is not whole"))
        return Following(origin_of(box, ledger), verifier, block, subtree, size=size)

    def _keep_head(self, kept: Kept, finding: Finding, now_ms: int) -> None:
        self._write(
            "INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET note = excluded.note",
            (kept.key, finding.size, finding.at_ms, now_ms, finding.note),
        )
        rows = self._read("SELECT size FROM checkpoint WHERE ledger = ?", (kept.key,))
        gone = [(kept.key, size) for size in superfluous([row[0] for row in rows])]
        self._many("DELETE FROM checkpoint WHERE ledger = ? AND size = ?", gone)

    def _cursor(self, query: str, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield rows one by one: of a month there are too many to hold."""
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _write(self, query: str, values: tuple[Any, ...]) -> None:
        self._many(query, [values])

    def _many(self, query: str, rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        try:
            self._begin()
            self._db.executemany(query, rows)
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _begin(self) -> None:
        if not self._busy:
            self._db.execute("BEGIN IMMEDIATE")
            self._busy = True

    def _fault(self, error: sqlite3.Error) -> StorageFault:
        return StorageFault(
            UNUSABLE,
            say("원장 증인의 파일을 쓸 수 없습니다", "the witness's file cannot be used"),
            hint=say(
                "디스크를 확인하고, 손상되었으면 witness.db를 백업에서 되돌리십시오",
                "check the disk; if the file is damaged, restore witness.db from a backup",
            ),
            path=str(self._path),
            reason=str(error),
        )


def _hashes(raw: bytes) -> list[bytes]:
    return [raw[place : place + HASH_BYTES] for place in range(0, len(raw), HASH_BYTES)]
