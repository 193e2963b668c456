"""A catalogue that cannot be used is moved aside, and a new one begins in its place. The procedure, by its numbers:

    A1  write `<state>/catalogue-damaged`: which file, why, and where it goes
    A2  make `<state>/aside/<UTC time>-<reason>/`
    A3  move WAL and shared memory there
    A4  move the database there; fsync the directory
    A5  build the new catalogue in `<state>/new/`: vaults, cameras, why, and the fact `ledger.began`
    A6  give it the name that everybody opens, at one stroke
    A7  remove `<state>/catalogue-damaged` and `<state>/new/`

Killed at any step and run again, it comes to the same end. Recorders may be running: their transactions find that
another file lies there, and are done again in that one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.model import Fact, Instant, canonical_json, utc_name
from agent.storage import files, ledger, locks, notes, schema
from agent.storage.catalogue import BUSY_S, FILE, Catalogue, set_meta, translate
from agent.storage.layout import DAMAGED, MARKING
from agent.storage.old import ASIDE, OldCatalogue, before
from agent.storage.salvage import UNRECONCILED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.storage.files import Disk
    from agent.storage.vault import Vault

NEW = "new"
RECONCILE = "reconcile"
"""Key in `meta`: why rows are still to be made from the vaults. While it is there, nothing is erased."""
PREDECESSORS = "predecessors"
"""Key in `meta`: JSON list of the ledgers that went before this one."""
BEGAN = "began"
"""Key in `meta`: JSON, when a lost catalogue was begun anew (`at_ms`, `trust`), and the configured `cameras`."""

_BESIDE = ("-wal", "-shm", "-journal")
_READ_BYTES = 65_536
_ROWS = 500
_SMALL = ("meta", "vault", "camera")
"""Tables that are read whole at a start, with their indexes."""


@dataclass(slots=True)
class Signs:
    """What tells that there was a catalogue, and how far it had come.

    lived   a vault holds something, or vaults are known: one that is missing was lost
    trees   signed tree heads: (ledger, size)
    """

    lived: bool = False
    trees: list[tuple[str, int]] = field(default_factory=list)


def tree_at(place: Path) -> tuple[str, int] | None:
    """Read ledger and size from a `CHECKPOINT` (C2SP tlog-checkpoint), None when it tells nothing.

    Its signature is not asked: one that was made up costs a rebuilding, and loses nothing.
    """
    try:
        origin, size = files.read_small(place, _READ_BYTES).decode().split("\n")[:2]
    except (OSError, ValueError):
        return None
    name = origin.rpartition("/")[2]
    return (name, int(size)) if name and size.isascii() and size.isdigit() and len(size) < 19 else None


def verdict(state: Path, signs: Signs) -> str | None:
    """Say why the catalogue cannot be used; None when it can.

    Returns  "first" (there was none), "missing", "damaged" or "old"
    Raises   StorageFault when it cannot be known: locked, refused by the disk, of a newer version
    The whole of it is not read: that takes minutes, and belongs to `pasu check`.
    """
    path = state / FILE
    if not files.exists(path):
        marked = _marker(state)
        return str(marked["reason"]) if "aside" in marked else "missing" if signs.lived else "first"
    if not files.is_regular(path) or _marker(state).get("inode") == path.stat().st_ino:
        return "damaged"
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None
        )
    except sqlite3.Error as error:
        raise translate(path, error) from error
    try:
        return _probe(db, signs)
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_ERROR:
            return "damaged"  # a table or a column that was there is not
        fault = translate(path, error)
        if fault.code != "CATALOGUE_DAMAGED":
            raise fault from error
        return "damaged"
    finally:
        db.close()


def _probe(db: sqlite3.Connection, signs: Signs) -> str | None:
    """Read the ends of every table, through its indexes. Raises sqlite3.Error."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if version == 0 or application != schema.APPLICATION_ID:
        return "damaged"
    if version > schema.VERSION:
        return None  # whoever opens it says so
    for table in ("segment", "gap", "ledger"):
        key = "seq" if table == "ledger" else "id"
        for order in ("ASC", "DESC"):
            db.execute(f"SELECT * FROM {table} ORDER BY {key} {order} LIMIT {_ROWS}").fetchall()  # noqa: S608 - constants
    for (camera,) in db.execute("SELECT id FROM camera").fetchall():
        for table in ("segment", "gap"):
            for column in ("start_ms", "end_ms"):
                db.execute(
                    f"SELECT * FROM {table} WHERE camera = ? ORDER BY {column} DESC LIMIT 10",  # noqa: S608 - constants
                    (camera,),
                ).fetchall()
    for table in _SMALL:
        if db.execute(f"PRAGMA integrity_check({table})").fetchall() != [("ok",)]:
            return "damaged"
    meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
    if notes.names_of(meta.get(UNRECONCILED)) is None or notes.began_of(meta.get(BEGAN)) is None:
        return "damaged"
    if version < 2:
        return None
    vaults = db.execute("SELECT uuid FROM vault").fetchall() if version == schema.VERSION else []
    for (vault,) in vaults:
        for order in ("ASC", "DESC"):
            db.execute(
                "SELECT * FROM segment INDEXED BY idx_segment_vault_path"  # noqa: S608 - constants
                f" WHERE vault = ? AND {schema.PRESENT} ORDER BY path {order} LIMIT 10",
                (vault,),
            ).fetchall()
    size = ledger.size(db)
    known = {meta.get("ledger", ""), *before(meta.get(PREDECESSORS))}
    if any(tree not in known or (tree == meta.get("ledger") and size < told) for tree, told in signs.trees):
        return "old"
    return None


def begin(
    state: Path,
    reason: str,
    vaults: Sequence[Vault],
    cameras: Sequence[str],
    now: Instant,
    *,
    away: Mapping[str, str],
    disk: Disk,
    signs: Signs,
    step: Callable[[str], None] = lambda _: None,
) -> None:
    """Do A1 to A7; with the reason "first" A5 to A7, without a word.

    vaults   those that are there; their files get rows again
    away     uuid and path of others that are waited for: theirs get rows when they are back
    Raises   StorageFault
    """
    if reason == "first":
        _clean(state, disk)
        _build(state, vaults, cameras, now, away=away)
        _publish(state, disk, step)
        return
    # A keeper in the middle of a batch relies on what the catalogue says of holds.
    with locks.fate(state):
        now_reason = verdict(state, signs)  # another process may have done it while this one waited
        if now_reason is not None:
            _clean(state, disk)
            _replace(state, now_reason, vaults, cameras, now, away=away, disk=disk, signs=signs, step=step)


def _replace(
    state: Path,
    reason: str,
    vaults: Sequence[Vault],
    cameras: Sequence[str],
    now: Instant,
    *,
    away: Mapping[str, str],
    disk: Disk,
    signs: Signs,
    step: Callable[[str], None],
) -> None:
    path = state / FILE
    with locks.held(state / MARKING):
        marked = _marker(state)
        if "aside" not in marked or (files.exists(path) and os.lstat(path).st_ino != marked["inode"]):
            inode = os.lstat(path).st_ino if files.exists(path) else 0
            marked = {"aside": f"{utc_name(now.utc_ms)}-{reason}", "inode": inode, "reason": reason}
            disk.atomic_replace(state / DAMAGED, canonical_json(marked).encode() + b"\n", sync=True)
    step("A1")
    place = state / ASIDE / str(marked["aside"])
    disk.make_directory(state / ASIDE)
    disk.make_directory(place)
    step("A2")
    for ending in _BESIDE:
        _move(disk, state / (FILE + ending), place / (FILE + ending))
    step("A3")
    _move(disk, path, place / FILE)
    disk.fsync_directory(place)
    disk.fsync_directory(state)
    step("A4")
    old = OldCatalogue(place / FILE)
    name, size, earlier = old.ledger()
    old.close()
    if not name and signs.trees:
        name, size = max(signs.trees, key=lambda tree: tree[1])
    predecessors = sorted({name, *earlier, *(tree for tree, _ in signs.trees)} - {""})
    body: dict[str, object] = {
        "aside": place.name,
        "predecessors": predecessors,
        "previous": name,
        "previous_size": size,
        "reason": str(marked["reason"]),
    }
    _build(state, vaults, cameras, now, away=away, began=body, predecessors=predecessors)
    step("A5")
    _publish(state, disk, step)


def _build(
    state: Path,
    vaults: Sequence[Vault],
    cameras: Sequence[str],
    now: Instant,
    *,
    away: Mapping[str, str],
    began: dict[str, object] | None = None,
    predecessors: Sequence[str] = (),
) -> None:
    """Make a catalogue that says all that it must say before anybody opens it."""
    catalogue = Catalogue.prepare(state / NEW)
    try:
        for vault in vaults:
            catalogue.add_vault(vault.uuid, str(vault.root), vault.created_ms)
        for uuid, place in away.items():
            catalogue.add_vault(uuid, place, 0)  # it says itself when it was made
        catalogue.add_cameras(list(cameras), now.utc_ms)
        if began is not None:
            line = ledger.line(Fact("ledger.began", now, dict(began)))
            told = canonical_json({"at_ms": now.utc_ms, "trust": now.trust.value, "cameras": sorted(cameras)})

            def write(db: sqlite3.Connection) -> None:
                ledger.append(db, line)
                set_meta(db, PREDECESSORS, json.dumps(list(predecessors)))
                set_meta(db, BEGAN, told)
                set_meta(db, UNRECONCILED, json.dumps([*(vault.uuid for vault in vaults), *away]))
                set_meta(db, RECONCILE, str(began["reason"]))

            catalogue.write(write)
    finally:
        catalogue.close()
    if files.exists(state / NEW / (FILE + "-wal")):
        raise StorageFault(
            "CATALOGUE_FAILED", "the new catalogue is not in one file", path=str(state / NEW / FILE)
        )


def _publish(state: Path, disk: Disk, step: Callable[[str], None]) -> None:
    disk.rename(state / NEW / FILE, state / FILE)
    disk.fsync_directory(state)
    step("A6")
    disk.unlink(state / DAMAGED)
    step("A7")


def settle(state: Path, disk: Disk) -> None:
    """Remove a mark that is about another file than the one that lies there: A7 was not reached.

    Raises  StorageFault
    """
    marked = _marker(state)
    if marked and marked.get("inode") != (state / FILE).stat().st_ino:
        disk.unlink(state / DAMAGED)


def _clean(state: Path, disk: Disk) -> None:
    """Make `<state>/new/` an empty directory."""
    place = state / NEW
    disk.make_directory(place)
    for ending in ("", *_BESIDE):
        disk.unlink(place / (FILE + ending))


def _move(disk: Disk, source: Path, target: Path) -> None:
    if not files.exists(source):
        return
    if files.exists(target):  # by a run that was killed, or by whoever had the old one still open
        number = 1
        while files.exists(target.with_name(f"{target.name}.{number}")):
            number += 1
        target = target.with_name(f"{target.name}.{number}")
    disk.rename(source, target)


def _marker(state: Path) -> dict[str, object]:
    """Return what `catalogue-damaged` says; a file that says nothing is about what lies there now."""
    try:
        marked = json.loads(files.read_small(state / DAMAGED, _READ_BYTES))
        if isinstance(marked["inode"], int) and isinstance(marked["reason"], str):
            return dict(marked)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return {"inode": (state / FILE).stat().st_ino, "reason": "damaged"} if files.exists(state / FILE) else {}
