"""Checkpoints: the signed heads of the ledger's tree, made on the box and kept on each vault's disk.

The procedure, by its numbers:

    P1  the tree grows
    P2  what is signed already is compared with the ledger. Where a file says more than a ledger that agrees with its
        own table of heads, yesterday's catalogue was put back: nothing is signed. What contradicts it otherwise is
        kept as a file, then becomes a fact `tamper.ledger`, and the ledger gets a new id: two heads of one ledger
        that contradict each other are never signed (tlog-checkpoint, "Signatures")
    P3  root and signature; one transaction writes the row
    P4  the files

A file never says more than the ledger on the disk holds, so one that does has seen a ledger that was cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING

from agent.errors import IntegrityFault, StorageFault
from agent.model import Fact
from agent.storage import files, ledger, notes, stale
from agent.storage.catalogue import set_meta
from agent.storage.locks import held
from agent.storage.old import before as earlier
from agent.storage.proof import note, tree
from agent.storage.proof.note import Head, NoteError
from agent.storage.proof.thin import superfluous
from agent.storage.proof.verdict import (
    FILE,
    WITNESS,
    Checkpoint,
    Verdict,
    examine,
    origin,
    parse,
    read,
    signed_by,
    witnesses,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.proof.signing import BoxKey
    from agent.storage.vault import Vault

__all__ = [
    "FILE",
    "Checkpoint",
    "Verdict",
    "advance",
    "examine",
    "kept",
    "newest",
    "origin",
    "parse",
    "read",
    "signed_by",
    "witnesses",
]

DUE_ENTRIES = 100
DUE_MS = 57_000
"""A checkpoint is at most so many entries or so old; requirement S10 asks for a minute, the way to the centre in it."""

ONCE_BLOCKS = 128  # 32,768 entries of an old ledger without a tree in one call: a few tenths of a second
AGAIN_BLOCKS = 16
"""Complete blocks that are hashed again with each checkpoint: 16 ms. A ledger of 5.6 million entries is gone through in
a day, one of a day of 16 cameras within minutes.
"""

_LOCK = "checkpoint.lock"
PREDECESSORS = "predecessors"
"""Key in `meta`: JSON list of the ids of the ledgers that went before this one; agent.storage.aside writes it too."""
_SIGNED_BY = "signed_by"
_NEXT_AGAIN = "ledger_next_again"
_EDITED = "ledger_edited_blocks"


def newest(catalogue: Catalogue) -> Checkpoint | None:
    """Return the newest checkpoint that the catalogue holds."""
    rows = catalogue.read("SELECT note, at_ms FROM checkpoint ORDER BY size DESC LIMIT 1")
    return _from_row(rows[0]) if rows else None


def kept(catalogue: Catalogue) -> list[Checkpoint]:
    """Return every checkpoint that the catalogue holds and that can be read, oldest first."""
    rows = catalogue.read("SELECT note, at_ms FROM checkpoint ORDER BY size")
    return [checkpoint for row in rows if (checkpoint := _from_row(row))]


def advance(
    catalogue: Catalogue,
    key: BoxKey,
    vaults: Sequence[Vault],
    state: Path,
    at: Instant,
    *,
    force: bool = False,
    once: int = ONCE_BLOCKS,
    step: Callable[[str], None] = lambda _: None,
) -> Checkpoint | None:
    """Keep the tree up, and make a checkpoint when one is due. Called at every tick.

    vaults   those that are there; one whose disk refuses gets its file the next time
    force    make one whenever the ledger has grown
    once     blocks by which the tree of an old ledger grows in one call, unless forced
    step     told each number of the procedure
    Returns  the new checkpoint; None when none was due, or the tree of an old ledger is still being made
    Raises   StorageFault, CATALOGUE_DAMAGED for an old copy; IntegrityFault LEDGER_HOLE
    """
    with held(state / _LOCK):  # the files have one name
        while tree.grow(catalogue, once) == once:
            if not force:
                return None
        step("P1")
        if not _due(catalogue, at, force=force):
            return None
        _compare(catalogue, key, vaults, state, at)
        _name_key(catalogue, key, at)
        tree.grow(catalogue)
        step("P2")
        checkpoint = _make(catalogue, key, at)
        step("P3")
        _write_files(checkpoint, vaults, state)
        step("P4")
    return checkpoint


def _due(catalogue: Catalogue, at: Instant, *, force: bool) -> bool:
    last = newest(catalogue)
    size = tree.size(catalogue)
    if last is None or size < last.size:
        return size > 0
    grown = size - last.size
    age_ms = at.utc_ms - (last.at_ms or 0)
    # A clock that was set back makes an age negative: then it is time too.
    return grown > 0 and (force or grown >= DUE_ENTRIES or not 0 <= age_ms < DUE_MS)


def _make(catalogue: Catalogue, key: BoxKey, at: Instant) -> Checkpoint:
    """P3."""
    size = tree.size(catalogue)
    head = Head(origin(key.box, tree.identity(catalogue)), size, tree.Tree(catalogue).root(size))
    text = key.sign(note.write_head(head))
    edited = [block for block in notes.mild(catalogue.meta(_EDITED), []) if type(block) is int]
    begin = notes.number(catalogue.meta(_NEXT_AGAIN))
    wrong = [block for block in tree.wrong_blocks(catalogue, begin, AGAIN_BLOCKS) if block not in edited]
    after = begin + AGAIN_BLOCKS if begin + AGAIN_BLOCKS < tree.blocks(catalogue) else 0
    lines = [
        ledger.line(
            Fact(
                "tamper.ledger",
                at,
                {
                    "verdict": "edited",
                    "from_seq": block * tree.BLOCK + 1,
                    "to_seq": (block + 1) * tree.BLOCK,
                },
            )
        )
        for block in wrong
    ]

    def insert(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT INTO checkpoint (size, at_ms, root, note) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (size) DO UPDATE SET at_ms = excluded.at_ms, root = excluded.root, note = excluded.note",
            (size, at.utc_ms, head.root, text),
        )
        sizes = [row[0] for row in db.execute("SELECT size FROM checkpoint")]
        db.executemany("DELETE FROM checkpoint WHERE size = ?", [(old,) for old in superfluous(sizes)])
        set_meta(db, _NEXT_AGAIN, str(after))
        if lines:
            set_meta(db, _EDITED, json.dumps(sorted([*edited, *wrong])))
        for line in lines:
            ledger.append(db, line)

    catalogue.write(insert)
    return Checkpoint(head, text, at.utc_ms)


def _name_key(catalogue: Catalogue, key: BoxKey, at: Instant) -> None:
    """Say in the ledger, once, who signs it: `key.created`, or `key.used` for a key that an earlier ledger named."""
    vkey, before = str(key.verifier), catalogue.meta(_SIGNED_BY)
    if before == vkey:
        return
    body = {"vkey": vkey} | ({"previous": before} if before else {})
    line = ledger.line(Fact("key.created" if key.created else "key.used", at, body))

    def insert(db: sqlite3.Connection) -> None:
        set_meta(db, _SIGNED_BY, vkey)
        ledger.append(db, line)

    catalogue.write(insert)


def _compare(catalogue: Catalogue, key: BoxKey, vaults: Sequence[Vault], state: Path, at: Instant) -> None:
    """P2: look whether the ledger still begins with everything that was signed and is at hand."""
    last = newest(catalogue)
    places = [("catalogue", last)] if last else []
    for name, path in [
        ("state", state / FILE),
        *((f"vault {vault.uuid}", vault.at(FILE)) for vault in vaults),
    ]:
        with contextlib.suppress(StorageFault, IntegrityFault):
            places.append((name, read(path)))
    bad = []
    seen: set[str] = set()
    for place, checkpoint in places:
        if checkpoint.text in seen:
            continue
        seen.add(checkpoint.text)
        verdict = examine(catalogue, checkpoint, key.verifier, entries=False)
        if not verdict.good:
            _keep_witness(checkpoint, state, vaults)
        if verdict in (Verdict.TRUNCATED, Verdict.FORKED):
            bad.append((place, checkpoint, verdict))
    if any(verdict is Verdict.TRUNCATED for _, _, verdict in bad) and bad[0][1] is not last:
        # Another ledger would make it look new, and its rows with it (B12): who opens it next begins anew.
        raise stale.fault(state)
    if bad:
        if last is not None:
            _keep_witness(last, state, vaults)
        _contradicted(catalogue, bad, at)


def _contradicted(
    catalogue: Catalogue, places: Sequence[tuple[str, Checkpoint, Verdict]], at: Instant
) -> None:
    """Say what was found, and let what follows be another ledger. All of it was kept as files before."""
    before, size = tree.identity(catalogue), tree.size(catalogue)
    facts = [
        Fact(
            "tamper.ledger",
            at,
            {
                "verdict": verdict.value,
                "place": place,
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
                "found_size": size,
            },
        )
        for place, checkpoint, verdict in places
    ]
    predecessors = sorted({*earlier(catalogue.meta(PREDECESSORS)), before})
    began = {
        "predecessors": predecessors,
        "previous": before,
        "previous_size": size,
        "reason": "contradicted",
    }
    facts.append(Fact("ledger.began", at, began))
    lines = [ledger.line(fact) for fact in facts]

    def insert(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM checkpoint")
        set_meta(db, "ledger", os.urandom(8).hex())
        set_meta(db, PREDECESSORS, json.dumps(predecessors))
        for line in lines:
            ledger.append(db, line)

    catalogue.write(insert)


def _keep_witness(checkpoint: Checkpoint, state: Path, vaults: Sequence[Vault]) -> None:
    disk = vaults[0].disk if vaults else files.Disk()
    folder = state / WITNESS
    disk.make_directory(folder)
    name = f"{checkpoint.size}-{hashlib.sha256(checkpoint.text.encode()).hexdigest()[:16]}"
    if not files.exists(folder / name):
        disk.atomic_replace(folder / name, checkpoint.text.encode(), sync=True)


def _write_files(checkpoint: Checkpoint, vaults: Sequence[Vault], state: Path) -> None:
    """P4. A vault that is not itself gets nothing: below a mount point that is empty is another disk."""
    disk = vaults[0].disk if vaults else files.Disk()
    data = checkpoint.text.encode()
    for vault in vaults:
        with contextlib.suppress(StorageFault):
            vault.verify()
            vault.disk.atomic_replace(vault.at(FILE), data, sync=True)
    disk.atomic_replace(state / FILE, data, sync=True)


def _from_row(row: tuple[str, int]) -> Checkpoint | None:
    try:
        return parse(row[0].encode(), row[1])
    except NoteError:
        return None
