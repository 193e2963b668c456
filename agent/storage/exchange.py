"""Where keep and the uplink meet: two folders of small files, each of which one of them writes and the other removes.

    <state>/exchange/orders/<16 hex time>-<8 hex>.json   uplink to keep: a command, not judged yet
    <state>/exchange/replies/<16 digits>.json            keep to uplink: what is to be sent, as it is

A file appears whole, by a rename. Its name gives the order. What else lies there is left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.storage.files import Disk, exists, fault, read_small

if TYPE_CHECKING:
    from pathlib import Path

MOST_ORDERS = 200
MOST_FILE_BYTES = 1 << 18
MOST_SESSION = (1 << 48) - 1
MOST_HISTORY_BYTES = 8 << 20
"""Twice what the uplink lets it become."""
FOLDERS = ("", "orders", "replies", "outgoing", "carried", "grants", "streams")

_ORDER = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\.json")
_REPLY = re.compile(r"[0-9]{16}\.json")


def place(state: Path) -> Path:
    """Return the folder of all exchange."""
    return state / "exchange"


def memory(state: Path) -> Path:
    """Return the uplink's own folder, beside the certificates that it only reads. Nobody else reads what is there."""
    return state / "uplink" / "memory"


def make(state: Path, disk: Disk) -> None:
    """Make the folders, where they are missing. Raises StorageFault"""
    for name in FOLDERS:
        disk.make_directory(place(state) / name)


def oldest_reply_ms(state: Path) -> int | None:
    """Return when the oldest reply that waits was given, UTC ms; None for none. Raises StorageFault."""
    folder = place(state) / "replies"
    names = _listed(folder, _REPLY) if exists(folder) else []
    return int(min(names)[:16]) // 1000 if names else None


class UplinkSide:
    """What the uplink does there."""

    def __init__(self, state: Path, disk: Disk | None = None) -> None:
        """Look at nothing yet."""
        self._disk = disk or Disk()
        self._orders = place(state) / "orders"
        self._replies = place(state) / "replies"

    def put_order(self, jws: str, received_ms: int, *, retained: bool) -> bool:
        """Hand a command to keep; false when too many wait there.

        No sync: a command that a power cut takes is one that has no reply, and is sent again.
        Raises  StorageFault
        """
        if len(_listed(self._orders, _ORDER)) >= MOST_ORDERS:
            return False
        body = {"jws": jws, "retained": retained, "received_ms": received_ms, "over": "mqtt"}
        name = f"{max(0, received_ms):016x}-{os.urandom(4).hex()}.json"
        self._disk.atomic_replace(self._orders / name, json.dumps(body).encode(), sync=False)
        return True

    def replies(self, limit: int) -> list[tuple[str, bytes]]:
        """Return keep's oldest replies, by name. One that cannot be read is passed over. Raises StorageFault"""
        found = []
        for name in sorted(_listed(self._replies, _REPLY))[:limit]:
            with contextlib.suppress(StorageFault):
                fd = self._disk.open_reading(self._replies / name)
                try:
                    found.append((name, self._disk.read_start(fd, self._replies / name, MOST_FILE_BYTES)))
                finally:
                    self._disk.close(fd)
        return found

    def drop_reply(self, name: str) -> None:
        """Remove a reply. Raises StorageFault"""
        self._disk.unlink(self._replies / name)


class UplinkFiles:
    """What the uplink remembers, in `memory`: a help, and no authority. What fails to be written is forgotten."""

    def __init__(self, state: Path, disk: Disk | None = None) -> None:
        """Look at nothing yet."""
        self._disk = disk or Disk()
        self._folder = memory(state)

    def read_cursor(self) -> tuple[str, int] | None:
        """Return ledger and seq, None for what cannot be read."""
        try:
            found = json.loads(read_small(self._folder / "cursor.json", MOST_FILE_BYTES))
            ledger, seq = found["ledger"], found["seq"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return (ledger, seq) if isinstance(ledger, str) and type(seq) is int and seq >= 0 else None

    def write_cursor(self, ledger: str, seq: int) -> None:
        """Write it down. No sync: an older one only sends again what the centre knows already."""
        body = json.dumps({"ledger": ledger, "seq": seq}).encode()
        with contextlib.suppress(StorageFault):
            self._disk.atomic_replace(self._folder / "cursor.json", body, sync=False)

    def begin_session(self, now_ms: int) -> str:
        """Name a life of the uplink: 12 hexadecimal digits, above every earlier one, for the centre to tell them apart.

        It is the time, where that is above the one before: so a name is new also where this folder was set back, and
        where the clock was.
        """
        path = self._folder / "session"
        try:
            before = int(read_small(path, MOST_FILE_BYTES), 16)
        except (OSError, ValueError):
            before = 0
        name = f"{max(now_ms, before + 1 if 0 < before < MOST_SESSION else 1):012x}"
        with contextlib.suppress(StorageFault):
            self._disk.atomic_replace(path, name.encode(), sync=True)
        return name

    def read_history(self) -> list[str]:
        """Return the lines that are whole."""
        try:
            text = read_small(self._folder / "history.jsonl", MOST_HISTORY_BYTES)
        except OSError:
            return []
        return text.decode("utf-8", errors="replace").split("\n")[:-1]

    def add_history(self, line: str) -> None:
        """Append a line."""
        path = self._folder / "history.jsonl"
        with contextlib.suppress(StorageFault):
            fd = self._disk.open_existing(path) if exists(path) else self._disk.create_excl(path)
            try:
                os.lseek(fd, 0, os.SEEK_END)
                self._disk.write_all(fd, path, line.encode() + b"\n")
            finally:
                self._disk.close(fd)

    def write_history(self, lines: list[str]) -> None:
        """Replace all lines."""
        path = self._folder / "history.jsonl"
        with contextlib.suppress(StorageFault):
            if lines:
                data = "".join(f"{line}\n" for line in lines).encode()
                self._disk.atomic_replace(path, data, sync=False)
            else:
                self._disk.unlink(path)


def _listed(folder: Path, form: re.Pattern[str]) -> list[str]:
    """Return the names of a form in a folder. Raises StorageFault"""
    try:
        return [name for name in os.listdir(folder) if form.fullmatch(name)]  # noqa: PTH208 - names are all that is wanted
    except OSError as error:
        raise fault("list", folder, error) from error
