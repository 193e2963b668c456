"""A vault as the recorder uses it: is it still there, does it sync, and which of several takes a camera.

A vault that was taken away, or another one in its place, is found at the next flush: its directory and its
identity file are looked at by number. What is written by path goes only where the identity was read.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.language import say
from agent.model import Fact
from agent.storage import files, ledger
from agent.storage.catalogue import Catalogue
from agent.storage.latency import Latency
from agent.storage.placement import Placement
from agent.storage.vault import IDENTITY, Vault, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.clock import Clock

PROBE = "PROBE"
"""Written and removed in the root of a vault that failed, to see whether it works again."""
PROBE_S = 10.0
_PROBE_BYTES = b"pasu looks whether this disk works\n" * 128
_ROOM_BYTES = 64 << 20
_PATIENCE = 20  # a probe that hangs is not repeated before so many times its length


def known_vaults(state: Path, paths: Sequence[Path]) -> list[Vault]:
    """Return the configured vaults that the catalogue knows, in order, without touching them.

    One that is away just now is among them: a shelf reads its identity before it writes anything there.
    Raises  StorageFault when the catalogue cannot be read, or knows none of them
    """
    catalogue = Catalogue.open(state)
    try:
        rows = catalogue.read("SELECT path, uuid, created_ms FROM vault")
    finally:
        catalogue.close()
    known = {path: (uuid, created_ms) for path, uuid, created_ms in rows}
    vaults = [Vault(path, *known[str(path)]) for path in paths if str(path) in known]
    if not vaults:
        raise missing(paths[0] / IDENTITY)
    return vaults


def too_slow(root: Path, slow_ms: int) -> StorageFault:
    """Say that a disk takes long to make things durable: one sync in a hundred longer than so many ms."""
    return StorageFault(
        "DISK_SLOW",
        say("디스크가 느립니다", "the disk is slow"),
        hint=say("다른 프로그램이 그 디스크를 쓰는지 보십시오", "see whether other programs use that disk"),
        path=str(root),
        p99_ms=slow_ms,
    )


class Shelf:
    """One vault. `fault` is what it failed with last, until it works again."""

    def __init__(self, vault: Vault, number: int) -> None:
        """Touch nothing yet: the vault may be away."""
        self.vault = vault
        self.number = number
        self.fault: StorageFault | None = None
        self.probe_at = 0.0
        self.latency = Latency()
        self._disk = vault.disk
        self._root_fd = -1
        self._seen: tuple[int, int, int] | None = None

    @property
    def device(self) -> int | None:
        """Return the file system that it is on, None while it is not known."""
        return self._seen[0] if self._seen else None

    def check(self) -> None:
        """Make sure that it is the vault that was opened, on the same mount; cheap enough for each flush.

        Raises  StorageFault: what stands there has another identity or none, or was mounted anew, so that
                what is open belongs to a mount that is gone
        """
        if self._seen is None:
            self.vault.verify()
            self._seen = self._look()
        elif self._look() != self._seen:
            self.vault.verify()
            raise files.fault("check", self.vault.root, OSError(errno.ENODEV, "mounted anew"))

    def sync(self) -> None:
        """Do C3c. Raises StorageFault."""
        if self._root_fd < 0:
            self._root_fd = self._disk.open_directory(self.vault.root)
        self._disk.syncfs(self._root_fd, self.vault.root)

    def probe(self) -> None:
        """See whether it takes and syncs bytes again, and has room. Raises StorageFault."""
        self.forget()
        self.check()
        place = self.vault.at(PROBE)
        self._disk.atomic_replace(place, _PROBE_BYTES, sync=True)
        self._disk.unlink(place)
        if self.fault is not None and self.fault.code == "DISK_FULL":
            try:
                room = os.statvfs(self.vault.root)
            except OSError as error:
                raise files.fault("statvfs", self.vault.root, error) from error
            if room.f_bavail * room.f_frsize < _ROOM_BYTES or (room.f_files and not room.f_favail):
                raise files.fault("statvfs", self.vault.root, OSError(errno.ENOSPC, "hardly any room"))

    def release(self) -> None:
        """Let go of the root: it must not keep a mount busy that failed."""
        if self._root_fd >= 0:
            fd, self._root_fd = self._root_fd, -1
            self._disk.close(fd)

    def forget(self) -> None:
        """Take any mount of the vault from now on. Only for when nothing of it is open."""
        self.release()
        self._seen = None

    def _look(self) -> tuple[int, int, int] | None:
        try:
            root, identity = self.vault.root.stat(), self.vault.at(IDENTITY).stat()
        except OSError:
            return None
        return root.st_dev, root.st_ino, identity.st_dev


class Shelves:
    """All vaults, which of them work, and the facts about that."""

    def __init__(
        self,
        vaults: Sequence[Vault],
        homes: Mapping[str, int],
        clock: Clock,
        tell: Callable[[ledger.Line], None],
    ) -> None:
        """Take the vaults in the configuration's order.

        homes  number of each camera's own vault, modulo their count; 0 for one that is not named
        tell   is given the facts storage.failed, .recovered and .moved
        """
        self._all = [Shelf(vault, number) for number, vault in enumerate(vaults)]
        self._homes = dict(homes)
        self._clock = clock
        self._tell = tell
        self._placement = Placement(len(self._all))
        self._moves: dict[tuple[int, int], list[str]] = {}

    def __iter__(self) -> Iterator[Shelf]:
        return iter(self._all)

    def take_in(self, camera: str, home: int) -> None:
        """Give a camera its own vault, by number."""
        self._homes[camera] = home

    def home(self, camera: str) -> Shelf:
        """Return a camera's own vault."""
        return self._all[self._homes.get(camera, 0) % len(self._all)]

    def order(self, camera: str) -> list[Shelf]:
        """Return the vaults in the order in which a camera's next segment tries them."""
        return [self._all[number] for number in self._placement.order(self.home(camera).number)]

    @property
    def fault(self) -> StorageFault | None:
        """Return what a vault fails with, None while all work."""
        return next((shelf.fault for shelf in self._all if shelf.fault is not None), None)

    @property
    def slow(self) -> StorageFault | None:
        """Return that a vault which works is too slow, None while all are quick enough."""
        found = ((shelf, shelf.latency.slow_ms) for shelf in self._all if shelf.fault is None)
        return next((too_slow(shelf.vault.root, slow_ms) for shelf, slow_ms in found if slow_ms), None)

    def faulted(self, shelf: Shelf, fault: StorageFault, cameras: list[str]) -> None:
        """Count a fault; write a fact when a vault begins to fail, not again until it has recovered."""
        shelf.release()
        now = self._clock.monotonic()
        self._placement.faulted(shelf.number, fault.code, now)
        begins = shelf.fault is None
        shelf.fault = fault
        if begins:
            shelf.probe_at = now + PROBE_S
            body: dict[str, Any] = {
                "vault": shelf.vault.uuid,
                "code": fault.code,
                "op": str(fault.context.get("op", "")),
                "errno": str(fault.context.get("errno", "")),
                "cameras": sorted(cameras),
            }
            self._fact("storage.failed", body)

    def worked(self, shelf: Shelf, *, recovered: bool) -> None:
        """Note that a vault took and synced bytes; `recovered` when nothing waits for it any more."""
        self._placement.worked(shelf.number, self._clock.monotonic())
        if recovered and shelf.fault is not None:
            code, shelf.fault = shelf.fault.code, None
            self._fact("storage.recovered", {"vault": shelf.vault.uuid, "code": code})

    def probe(self, shelf: Shelf) -> bool:
        """Try an idle vault that failed, or that its cameras have left; tell whether it works."""
        begun = self._clock.monotonic()
        try:
            shelf.probe()
        except StorageFault as fault:
            self.faulted(shelf, fault, [])
            works = False
        else:
            self.worked(shelf, recovered=True)
            works = True
        now = self._clock.monotonic()
        shelf.probe_at = now + max(PROBE_S, _PATIENCE * (now - begun))
        return works

    def is_left(self, shelf: Shelf) -> bool:
        """Tell whether a vault must be probed: it failed, or is not yet trusted again."""
        return shelf.fault is not None or self._placement.failing(shelf.number)

    def moved(self, camera: str, source: Shelf, target: Shelf) -> None:
        """Note that a camera writes to another vault than before."""
        self._moves.setdefault((source.number, target.number), []).append(camera)

    def tell_moves(self) -> None:
        """Write down the moves since the last time, in one fact for each way."""
        moves, self._moves = self._moves, {}
        for (source, target), cameras in moves.items():
            fault = self._all[source].fault
            body: dict[str, Any] = {
                "cameras": sorted(cameras),
                "from": self._all[source].vault.uuid,
                "to": self._all[target].vault.uuid,
                "code": fault.code if fault else "",
            }
            self._fact("storage.moved", body)

    def _fact(self, kind: str, body: dict[str, Any]) -> None:
        self._tell(ledger.line(Fact(kind, self._clock.now(), body)))
