"""Where the keeper and the uplink meet about exports: `<state>/exchange/outgoing/` and `carried/`.

An order says what is to be sent, a word how far it has come. Both are replaced as a whole, and are made anew from the
catalogue and the vaults when they are gone: nothing is lost with them.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from agent import consignment
from agent.consignment import EXPORT_NAME, LIMIT_BYTES, OVER, SUMS, Order, Part, Unreadable, Where, Word
from agent.errors import StorageFault
from agent.model import Trust
from agent.storage import files
from agent.storage.files import Disk
from agent.storage.keep import outgoing_files
from agent.storage.keep.links import listed
from agent.storage.keep.outgoing_order import LIFE_MS, State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.keep.outgoing_rows import Row
    from agent.storage.vault import Vault

EXCHANGE = "exchange"
ORDERS = "outgoing"
WORDS = "carried"
_ENDING = ".json"


def word_of(state: Path, export: str, disk: Disk | None = None) -> Word:
    """Return the uplink's last word of an export; that it waits, when it said nothing that can be read."""
    try:
        return consignment.parse_word(_read(disk or Disk(), _place(state, WORDS, export)) or b"")
    except (Unreadable, StorageFault):
        return Word(export, Where.WAITING)


def order_of(state: Path, export: str, disk: Disk | None = None) -> Order | None:
    """Return the order of an export, None when there is none that can be read. Raises StorageFault."""
    data = _read(disk or Disk(), _place(state, ORDERS, export))
    try:
        return consignment.parse_order(data) if data else None
    except Unreadable:
        return None


def order(state: Path, row: Row, vaults: Mapping[str, Vault], disk: Disk | None = None) -> bool:
    """Give the uplink its order for a bundle that is made, unless it has it; tell whether it has.

    False while a disk of it is not there. Raises StorageFault
    """
    disk = disk or Disk()
    there = order_of(state, row.export.id, disk)
    roots = [vaults[uuid].at(outgoing_files.home(row.export.id)) for uuid in sorted(vaults)]
    roots = [root for root in roots if files.is_directory(root)]
    if there is not None and not there.recalled and there.roots == tuple(map(str, roots)):
        return True
    parts = _parts(disk, roots)
    if parts is None:
        return False
    made = Order(row.export.id, row.export.to, tuple(map(str, roots)), parts, row.expires_ms)
    _write(disk, state, made)
    return True


def withhold(state: Path, export: str, disk: Disk | None = None) -> None:
    """Have the uplink stop, and say nothing to the centre: its order is made anew when it may go on. What it said of
    the export stays. Raises StorageFault
    """
    disk = disk or Disk()
    place = _place(state, ORDERS, export)
    if files.is_regular(place):
        disk.unlink(place)


def recall(state: Path, row: Row, disk: Disk | None = None) -> None:
    """Take an order back, if the uplink may have heard of it. Raises StorageFault."""
    if row.bundled_ms is None:
        return
    disk = disk or Disk()
    there = order_of(state, row.export.id, disk)
    if there is None:
        there = Order(row.export.id, row.export.to, (), (), row.expires_ms)
    elif there.recalled:
        return
    _write(disk, state, replace(there, recalled=True, roots=(), parts=()))


def drop(state: Path, export: str, disk: Disk | None = None) -> None:
    """Remove the order and the word of an export: nothing more is to be said. Raises StorageFault."""
    disk = disk or Disk()
    for kind in (ORDERS, WORDS):
        if not files.is_directory(place := _place(state, kind, export)):
            disk.unlink(place)


def forget(state: Path, known: set[str], at: Instant, disk: Disk | None = None) -> None:
    """Take back orders of which no row tells (the catalogue was lost), and remove what is left of them in the end.

    Raises  StorageFault
    """
    disk = disk or Disk()
    root = state / EXCHANGE / ORDERS
    for name in listed(root) if files.is_directory(root) else []:
        export = name.removesuffix(_ENDING)
        if not name.endswith(_ENDING) or not EXPORT_NAME.match(export) or export in known:
            continue
        there = order_of(state, export, disk)
        late = (
            there is not None and at.trust is not Trust.UNTRUSTED and at.utc_ms > there.expires_ms + LIFE_MS
        )
        over = (Where.RECALLED, Where.REFUSED) if there and there.recalled else OVER
        if there is None or late or word_of(state, export, disk).where in over:
            drop(state, export, disk)
        elif not there.recalled:
            _write(disk, state, replace(there, recalled=True, roots=(), parts=()))


def progress(state: Path, row: Row) -> tuple[int, int]:
    """Return how many files, and bytes, the centre has of an export, as far as is known."""
    if row.state in (State.RECEIVED, State.UNCONFIRMED):
        return row.files, row.bytes
    word = word_of(state, row.export.id)
    return word.files, word.bytes


def _parts(disk: Disk, roots: list[Path]) -> tuple[Part, ...] | None:
    """Return the files of a bundle, as SHA256SUMS names them; None while a part of it is not there."""
    for root in roots:
        data = _read(disk, root / SUMS)
        if data is None:
            continue
        try:
            named = consignment.parse_sums(data)
        except Unreadable:
            return None
        found = [Part(SUMS, len(data), hashlib.sha256(data).hexdigest())]
        for name, sha256 in named.items():
            places = [each / name for each in roots if files.is_regular(each / name)]
            if not places:
                return None
            found.append(Part(name, places[0].stat().st_size, sha256))
        return tuple(found)
    return None


def _place(state: Path, kind: str, export: str) -> Path:
    return state / EXCHANGE / kind / (export + _ENDING)


def _read(disk: Disk, place: Path) -> bytes | None:
    """Read a small file; None when it is not there. Raises StorageFault."""
    if not files.is_regular(place):
        return None
    fd = disk.open_reading(place)
    try:
        return disk.read_at(fd, place, LIMIT_BYTES, 0)
    finally:
        disk.close(fd)


def _write(disk: Disk, state: Path, made: Order) -> None:
    for folder in (state / EXCHANGE, state / EXCHANGE / ORDERS, state / EXCHANGE / WORDS):
        disk.make_directory(folder)
    disk.atomic_replace(_place(state, ORDERS, made.export), consignment.encode_order(made), sync=True)
