"""Catalogues that were moved aside: read as far as they can be read, never written.

`<state>/aside/<UTC time>-<reason>/` holds each with its WAL. Newer ones are asked first. What a damaged one says is
believed only where the file itself agrees.
"""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from agent.storage.catalogue import FILE, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

ASIDE = "aside"
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[a-z]+\Z")
_MORE = ("kept_from_ms", "relabelled_from_ms")
COLUMNS = (*(column.name for column in fields(Segment)), *_MORE)
_LIVE = "state IN ('COMMITTED', 'SALVAGED', 'CONDEMNED')"


class OldCatalogue:
    """One catalogue that was moved aside, or is about to be. No method raises for what SQLite cannot read."""

    def __init__(self, place: Path) -> None:
        """Take a database file; what cannot be opened tells nothing."""
        # First with its WAL, which needs a shared memory file beside it; then as it is.
        self._open = [
            db for db in (_open(place, "mode=ro"), _open(place, "mode=ro&immutable=1")) if db is not None
        ]

    def close(self) -> None:
        """Close the connections."""
        for db in self._open:
            db.close()

    def ledger(self) -> tuple[str, int, list[str]]:
        """Return the ledger's id, its size, and the ids of those before it; empty and 0 where unreadable."""
        meta = {
            key: value for key, value in self._all("SELECT key, value FROM meta") if isinstance(value, str)
        }
        sizes = self._all("SELECT COALESCE(MAX(seq), 0) FROM ledger")
        size = max((row[0] for row in sizes if isinstance(row[0], int)), default=0)
        return meta.get("ledger", ""), size, before(meta.get("predecessors"))

    def vaults(self) -> dict[str, str]:
        """Return the vaults that it knew: uuid to path."""
        return {
            uuid: path
            for uuid, path in self._all("SELECT uuid, path FROM vault")
            if isinstance(uuid, str) and isinstance(path, str)
        }

    def cameras(self) -> list[str]:
        """Return the cameras that it knew."""
        return [row[0] for row in self._all("SELECT id FROM camera") if isinstance(row[0], str)]

    def segments(self, vault: str, directory: str) -> dict[str, dict[str, Any]]:
        """Return what it says of the files in a directory of a vault: path to the columns of COLUMNS.

        Around pages that are damaged every row is sought from both sides, and by two indexes.
        """
        columns = ", ".join(COLUMNS)
        found: dict[str, dict[str, Any]] = {}
        camera, day = directory.split("/")[1:3]
        ways = (
            ("vault = ? AND path > ? AND path < ?", (vault, directory + "/", directory + "0"), "path"),
            ("camera = ? AND start_ms >= ? AND start_ms < ?", (camera, *_day(day)), "start_ms"),
        )
        for condition, values, order in ways:
            query = f"SELECT {columns} FROM segment WHERE {condition} AND {_LIVE}"  # noqa: S608 - constants
            whole = False
            for direction in ("ASC", "DESC"):
                rows, whole = self._read(f"{query} ORDER BY {order} {direction}", values)
                for row in rows:
                    told = dict(zip(COLUMNS, row, strict=True))
                    if told["vault"] == vault:
                        found.setdefault(str(told["path"]), told)
                if whole:
                    break
            if whole:
                break
        return found

    def gaps(self, camera: str) -> list[tuple[Any, ...]]:
        """Return its gaps of a camera: start, end, cause, detail, trust, relabelled from."""
        return list(
            dict.fromkeys(
                self._all(
                    "SELECT start_ms, end_ms, cause, detail, trust, relabelled_from_ms FROM gap WHERE camera = ?"
                    " ORDER BY start_ms, id",
                    (camera,),
                    backwards="ORDER BY start_ms DESC, id DESC",
                )
            )
        )

    def _all(self, query: str, values: tuple[Any, ...] = (), backwards: str = "") -> list[tuple[Any, ...]]:
        rows, whole = self._read(query, values)
        if not whole and backwards:
            rows += self._read(query[: query.index("ORDER BY")] + backwards, values)[0]
        return rows

    def _read(self, query: str, values: tuple[Any, ...]) -> tuple[list[tuple[Any, ...]], bool]:
        """Return the rows up to the first that cannot be read, and whether these are all."""
        best: list[tuple[Any, ...]] = []
        for db in self._open:
            rows: list[tuple[Any, ...]] = []
            try:
                # fetchall would give nothing of what came before the fault.
                for row in db.execute(query, values):
                    rows.append(row)  # noqa: PERF402
            except (sqlite3.Error, UnicodeError, OverflowError):
                best = max(best, rows, key=len)
            else:
                return rows, True
        return best, False


class Asides:
    """What all catalogues that were moved aside say of stored files. Opened when they are first asked."""

    def __init__(self, catalogues: Callable[[], Iterable[OldCatalogue]]) -> None:
        """Take what opens them, newest first; who made this closes them."""
        self._open = catalogues
        self._olds: list[OldCatalogue] | None = None

    def told(self, vault: str, directory: str) -> dict[str, list[dict[str, Any]]]:
        """Return what they say of the files in a directory of a vault: by path, the newest first."""
        if self._olds is None:
            self._olds = list(self._open())
        told: dict[str, list[dict[str, Any]]] = {}
        for old in self._olds:
            for path, row in old.segments(vault, directory).items():
                told.setdefault(path, []).append(row)
        return told

    def close(self) -> None:
        """Close what was opened."""
        for old in self._olds or ():
            old.close()
        self._olds = None


def old_catalogues(state: Path) -> Iterator[OldCatalogue]:
    """Open every catalogue that was moved aside, newest first; each is to be closed."""
    for place in reversed(asides(state)):
        yield OldCatalogue(place / FILE)


def asides(state: Path) -> list[Path]:
    """Return the directories of catalogues that were moved aside, oldest first."""
    try:
        return sorted(place for place in (state / ASIDE).iterdir() if _NAME.match(place.name))
    except OSError:
        return []


def before(text: str | None) -> list[str]:
    """Read the list of ledgers that went before one (meta `predecessors`)."""
    try:
        return [str(ledger) for ledger in json.loads(text or "[]")]
    except (ValueError, TypeError, RecursionError):
        return []


def _day(day: str) -> tuple[int, int]:
    """Return the span of a day's name, with the time by which names are moved on when one is taken."""
    from agent.model import UTC_DAY_MS, parse_utc_name

    start = parse_utc_name(day.replace("-", "") + "T000000.000Z")
    return start - 10_000, start + UTC_DAY_MS


def _open(place: Path, how: str) -> sqlite3.Connection | None:
    try:
        db = sqlite3.connect(f"{place.absolute().as_uri()}?{how}", uri=True, isolation_level=None)
    except sqlite3.Error:
        return None
    return db
