"""The files of commands: orders that came, replies that go, and what the box has of its city.

<state>/exchange/orders/    from the uplink, removed here once their verdict is durable
<state>/exchange/replies/   <16 digits>.json, removed by the uplink once the broker has them
<state>/centre/counters.json  which numbers of which key are used: they outlive the catalogue
<state>/centre/revoked.json   keys that were revoked here, until a ring leaves them out
<state>/centre/lockdown.json  there while the box is locked down
"""

from __future__ import annotations

import heapq
import json
import logging
import os
import re
from typing import TYPE_CHECKING, Any

from agent.command import counters, strict
from agent.command.jws import is_kid
from agent.command.ring import DIRECTORY
from agent.errors import IntegrityFault, StorageFault
from agent.language import say
from agent.model import canonical_json
from agent.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.command.counters import Counter
    from agent.model import Instant
    from agent.storage.files import Disk

MOST_ORDERS = 200
"""As many as the uplink lets wait: no more are looked at in a turn."""
MOST_REPLIES = 1000
REPLY_BYTES = 64 << 10
_ORDER_BYTES = (64 << 10) * 2
"""Of a file: a command of the most bytes, escaped, and what the uplink says of it."""
_ORDER = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\.json\Z")
_REPLY = re.compile(r"([0-9]{16})\.json\Z")
_COUNTERS = "counters.json"
_REVOKED = "revoked.json"
_LOCKDOWN = "lockdown.json"
_LIMIT = 1 << 20

log = logging.getLogger("pasu.keep")


class Orders:
    """The orders that came, oldest first."""

    def __init__(self, state: Path, disk: Disk) -> None:
        self._folder = state / "exchange" / "orders"
        self._disk = disk

    def names(self) -> list[str]:
        """Return the names of the first that wait; none when the uplink was never there."""
        return heapq.nsmallest(MOST_ORDERS, (name for name in _listed(self._folder) if _ORDER.match(name)))

    def read(self, name: str) -> tuple[str, bool] | None:
        """Return the text of a command, and whether the broker had kept it; None for what is no order."""
        try:
            raw = files.read_small(self._folder / name, _ORDER_BYTES + 1)
            body = json.loads(raw)
            text, retained = body["jws"], body["retained"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None
        return (text, retained) if isinstance(text, str) and isinstance(retained, bool) else None

    def drop(self, name: str) -> bool:
        """Remove one; tell whether it is gone. One that stays has its verdict, and must stop no other."""
        try:
            self._disk.unlink(self._folder / name)
        except StorageFault as fault:
            log.warning("%s", fault)
            return False
        return True


class Replies:
    """The replies that wait for the uplink."""

    def __init__(self, state: Path, disk: Disk, box: str) -> None:
        self._box = box
        self._exchange = state / "exchange"
        self._folder = self._exchange / "replies"
        self._disk = disk
        self._last = 0

    def say(
        self,
        name: str,
        command: str,
        status: str,
        now: Instant,
        *,
        code: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a reply to the command of an id, durable. Too many: the oldest that only tell of progress go first.

        Raises  StorageFault
        """
        reply = {
            "v": 1,
            "box": self._box,
            "id": name,
            "command": command,
            "status": status,
            "code": code,
            "at_ms": now.utc_ms,
            "trust": str(now.trust),
            "detail": dict(detail or {}),
        }
        if len(canonical_json(reply).encode()) > REPLY_BYTES:
            reply["detail"] = {"too_long": True}
        self._put(reply, now.utc_ms)

    def _put(self, reply: Mapping[str, Any], now_ms: int) -> None:
        """Write it under a number that is never used again, also after the uplink removed its file.

        Names of times to come are none of ours, and do not say what is next: there are only so many numbers.
        """
        self._disk.make_directory(self._exchange)
        self._disk.make_directory(self._folder)
        names = sorted(name for name in _listed(self._folder) if _REPLY.match(name))
        self._make_room(names)
        now = max(0, now_ms) * 1000
        newest = max((number for name in names if (number := int(name[:16])) <= now), default=0)
        self._last = max(self._last + 1, newest + 1, now)
        while files.exists(self._folder / f"{self._last:016d}.json"):
            self._last += 1
        data = canonical_json(reply).encode()
        self._disk.atomic_replace(self._folder / f"{self._last:016d}.json", data, sync=True)

    def _make_room(self, names: list[str]) -> None:
        over = len(names) - MOST_REPLIES + 1
        if over <= 0:
            return
        passing = [name for name in names if self._is_passing(name)]
        for name in [*passing, *(name for name in names if name not in passing)][:over]:
            self._disk.unlink(self._folder / name)

    def _is_passing(self, name: str) -> bool:
        try:
            raw = files.read_small(self._folder / name, REPLY_BYTES * 2)
            return json.loads(raw)["status"] in ("progress", "waiting", "accepted")
        except (OSError, ValueError, LookupError, TypeError):
            return True


def read_counters(state: Path) -> tuple[dict[str, Counter], bool] | None:
    """Return the used numbers, and whether some were lost: so when the file cannot be read. None: there is no file."""
    raw = _read(state / DIRECTORY / _COUNTERS)
    if raw is None:
        return None
    try:
        return counters.decode(json.loads(raw))
    except (ValueError, RecursionError):
        return {}, True


def write_counters(state: Path, found: Mapping[str, Counter], disk: Disk, *, forgotten: bool) -> None:
    """Write the used numbers, durable. Raises StorageFault."""
    data = canonical_json(counters.encode(found, forgotten=forgotten)).encode() + b"\n"
    disk.atomic_replace(state / DIRECTORY / _COUNTERS, data, sync=True)


def read_revoked(state: Path) -> frozenset[str]:
    """Return the keys that were revoked here. Raises IntegrityFault CENTRE_FILE_DAMAGED: nobody is obeyed then."""
    path = state / DIRECTORY / _REVOKED
    raw = _read(path)
    if raw is None:
        return frozenset()
    try:
        kids = strict.read(raw)["revoked"]
    except (ValueError, KeyError):
        kids = None
    if not isinstance(kids, list) or not all(map(is_kid, kids)):
        raise _damaged(path)
    return frozenset(kids)


def write_revoked(state: Path, kids: frozenset[str], disk: Disk) -> None:
    """Write them, durable. Raises StorageFault."""
    data = canonical_json({"v": 1, "revoked": sorted(kids)}).encode() + b"\n"
    disk.atomic_replace(state / DIRECTORY / _REVOKED, data, sync=True)


def is_locked_down(state: Path) -> bool:
    """Tell whether the box is locked down: whatever the file says, it is there."""
    return files.exists(state / DIRECTORY / _LOCKDOWN)


def lock_down(state: Path, body: Mapping[str, Any], disk: Disk) -> None:
    """Lock the box down, durable. Raises StorageFault."""
    disk.atomic_replace(state / DIRECTORY / _LOCKDOWN, canonical_json(body).encode() + b"\n", sync=True)


def lift(state: Path, disk: Disk) -> None:
    """Lift the lockdown, durable. Raises StorageFault."""
    disk.unlink(state / DIRECTORY / _LOCKDOWN)
    disk.fsync_directory(state / DIRECTORY)


def _read(path: Path) -> bytes | None:
    try:
        return files.read_small(path, _LIMIT)
    except FileNotFoundError:
        return None
    except OSError:
        return b""


def _damaged(path: Path) -> IntegrityFault:
    return IntegrityFault(
        "CENTRE_FILE_DAMAGED",
        say("센터에서 받은 것을 적은 파일이 손상되었습니다", "a file of what the centre ordered is damaged"),
        hint=say(
            "누가 고쳤는지 조사하십시오. 되돌리거나 다시 등록할 때까지 명령을 따르지 않습니다",
            "find out who edited it; no command is obeyed until it is restored, or the box enrolled again",
        ),
        path=str(path),
    )


def _listed(folder: Path) -> list[str]:
    """Return what lies there but directories, which no unlink removes and nobody has made for us."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.fault("list", folder, error) from error
