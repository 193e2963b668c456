"""The Merkle tree over the ledger, kept in the catalogue.

Table `tree` has a row for each complete block of 256 entries: `nodes` are the hashes of all complete subtrees that end
with the block, the block's own first, 32 bytes each. So every inner node from level 8 on is found in one row, and a
root or a proof at any size takes a few dozen rows and the entries of one block. `leaves` are the block's 256 leaf
hashes, once entries of it were let go.

Hashes are computed outside of any transaction: entries that are written do not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import IntegrityFault
from agent.language import say
from agent.storage.proof import merkle
from agent.storage.proof.leaf import entry_hash

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from agent.storage.catalogue import Catalogue

LEVEL = 8
BLOCK = 1 << LEVEL
"""Entries in a block: 64 cameras fill one in four minutes; a partial one is hashed in half a millisecond."""

_BATCH = 64  # blocks whose rows one transaction writes


def size(catalogue: Catalogue) -> int:
    """Return how many entries the ledger has, those let go included: its newest seq."""
    return int(catalogue.read("SELECT COALESCE(MAX(seq), 0) FROM ledger")[0][0])


def blocks(catalogue: Catalogue) -> int:
    """Return how many blocks have their row."""
    return int(catalogue.read("SELECT COALESCE(MAX(block), -1) + 1 FROM tree")[0][0])


def identity(catalogue: Catalogue) -> str:
    """Return the id of this ledger: one that was begun anew after a loss is another."""
    return catalogue.meta("ledger") or ""


def grow(catalogue: Catalogue, most: int | None = None) -> int:
    """Write rows for blocks that have become complete.

    most     blocks at once; all of them by default
    Returns  how many were written
    Raises   IntegrityFault LEDGER_HOLE when entries are missing; StorageFault
    """
    first = blocks(catalogue)
    last = size(catalogue) // BLOCK
    if most is not None:
        last = min(last, first + most)
    for begin in range(first, last, _BATCH):
        _grow(catalogue, begin, min(begin + _BATCH, last))
    return last - first


def _grow(catalogue: Catalogue, first: int, last: int) -> None:
    peaks = merkle.Peaks.at(first, lambda level, index: _node(catalogue, LEVEL + level, index))
    rows = []
    for block in range(first, last):
        inside = leaves(catalogue, block)
        if len(inside) < BLOCK:
            raise hole(block * BLOCK + len(inside) + 1)
        root = merkle.root_of(inside)
        rows.append((block, b"".join(peaks.push(root))))

    def insert(db: sqlite3.Connection) -> None:
        # Whoever grew it at the same time wrote the same.
        db.executemany("INSERT INTO tree (block, nodes) VALUES (?, ?) ON CONFLICT DO NOTHING", rows)

    catalogue.write(insert)


class Tree:
    """The tree of a catalogue that was grown, for roots and proofs. Remembers the block it read last."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Look at a catalogue; `grow` it before."""
        self._catalogue = catalogue
        self._block = -1
        self._leaves: list[bytes] = []

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` entries. Raises IntegrityFault LEDGER_HOLE."""
        return merkle.root_at(size, self._subtree)

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """Prove that entry `seq` is among the first `size`. Raises IntegrityFault LEDGER_HOLE."""
        return merkle.inclusion_proof(seq - 1, size, self._subtree)

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Prove that the first `size` entries begin with the first `old`. Raises IntegrityFault LEDGER_HOLE."""
        return merkle.consistency_proof(old, size, self._subtree)

    def _subtree(self, level: int, index: int) -> bytes:
        if level >= LEVEL:
            return _node(self._catalogue, level, index)
        first = index << level
        block = first // BLOCK
        if block != self._block:
            self._leaves = leaves(self._catalogue, block)
            self._block = block
        inside = self._leaves[first % BLOCK : first % BLOCK + (1 << level)]
        if len(inside) < 1 << level:
            raise hole(first + len(inside) + 1)
        return merkle.root_of(inside)


def leaves(catalogue: Catalogue, block: int) -> list[bytes]:
    """Return a block's leaf hashes, of the last block as many as there are.

    Those of entries that were let go are the ones kept then.
    Raises  IntegrityFault LEDGER_HOLE
    """
    begin = block * BLOCK
    # Entries first: what is let go in between has its hashes by the time they are looked for.
    rows = entries(catalogue, begin, BLOCK)
    kept = kept_leaves(catalogue, block)
    return kept or list(_hashes(rows, begin))


def kept_leaves(catalogue: Catalogue, block: int) -> list[bytes]:
    """Return the leaf hashes that were kept of a block of which entries were let go; else nothing."""
    rows = catalogue.read("SELECT CAST(leaves AS BLOB) FROM tree WHERE block = ?", (block,))
    raw: bytes = (rows[0][0] or b"") if rows else b""
    if len(raw) != BLOCK * merkle.HASH_BYTES:
        return []
    return [raw[at : at + merkle.HASH_BYTES] for at in range(0, len(raw), merkle.HASH_BYTES)]


def entries(catalogue: Catalogue, after: int, most: int) -> list[tuple[int, int, str, str, str]]:
    """Return entries with after < seq <= after + most: seq, at_ms, trust, kind, body.

    A flipped bit may have left text that is no UTF-8: it is returned as it can be, and its hash is another.
    """
    rows = catalogue.read(
        "SELECT seq, at_ms, CAST(trust AS BLOB), CAST(kind AS BLOB), CAST(body AS BLOB) FROM ledger"
        " WHERE seq > ? AND seq <= ? ORDER BY seq",
        (after, after + most),
    )
    return [
        (seq, at_ms, *(text.decode("utf-8", "surrogateescape") for text in texts))
        for seq, at_ms, *texts in rows
    ]


def wrong_blocks(catalogue: Catalogue, first: int, count: int) -> list[int]:
    """Hash complete blocks again, and return those whose entries are not what the tree says they were."""
    wrong = []
    for block in range(first, min(first + count, blocks(catalogue))):
        begin = block * BLOCK
        found = {row[0]: entry_hash(*row) for row in entries(catalogue, begin, BLOCK)}
        kept = kept_leaves(catalogue, block)
        if kept:
            hashes = kept
            right = all(kept[seq - begin - 1] == own for seq, own in found.items())
        else:
            hashes = [found.get(begin + place + 1, b"") for place in range(BLOCK)]
            right = len(found) == BLOCK
        if not right or merkle.root_of(hashes) != _node(catalogue, LEVEL, block):
            wrong.append(block)
    return wrong


def hole(seq: int) -> IntegrityFault:
    """Say that an entry is missing that nothing let go."""
    return IntegrityFault(
        "LEDGER_HOLE",
        say("원장에서 항목이 빠졌습니다", "an entry is missing from the ledger"),
        hint=say(
            "`pasu ledger verify`로 범위를 확인하십시오", "`pasu ledger verify` shows how much is missing"
        ),
        seq=seq,
    )


def _hashes(rows: Iterable[tuple[int, int, str, str, str]], after: int) -> Iterator[bytes]:
    """Yield the leaf hashes of entries that follow each other. Raises IntegrityFault LEDGER_HOLE."""
    for expected, row in enumerate(rows, after + 1):
        if row[0] != expected:
            raise hole(expected)
        yield entry_hash(*row)


def _node(catalogue: Catalogue, level: int, index: int) -> bytes:
    """Return the hash of a complete subtree from a block's level on."""
    height = level - LEVEL
    block = ((index + 1) << height) - 1
    rows = catalogue.read("SELECT CAST(nodes AS BLOB) FROM tree WHERE block = ?", (block,))
    node = rows[0][0][height * merkle.HASH_BYTES : (height + 1) * merkle.HASH_BYTES] if rows else b""
    if len(node) != merkle.HASH_BYTES:
        raise hole(block * BLOCK + 1)
    return node
