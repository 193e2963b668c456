"""Ledgers for tests: a catalogue with entries, a key, and someone who changes what must not be changed."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from agent.model import Fact, Instant, Trust
from agent.storage import ledger
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.files import Disk
from agent.storage.proof import checkpoints, signing
from agent.storage.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_800_000_000_000
BOX = "gn-0007"


class Site:
    """A state directory with a catalogue and a key, and vaults."""

    def __init__(self, root: Path, vaults: int = 1, disk: Disk | None = None) -> None:
        self.state = root / "state"
        self.state.mkdir(parents=True)
        self.disk = disk or Disk()
        self.catalogue = Catalogue.prepare(self.state)
        self.vaults = [
            Vault.create(root / f"vault{number}", f"uuid-{number}", created_ms=T0, disk=self.disk)
            for number in range(vaults)
        ]
        for vault in self.vaults:
            self.catalogue.add_vault(vault.uuid, str(vault.root), T0)
        self.key = signing.load_or_create(self.state, BOX, Disk())
        self.told = 0
        self.now = Instant(T0, Trust.SYNCED)

    def add(self, count: int, kind: str = "camera.lost") -> None:
        self.told += count  # no two entries are alike
        numbers = range(self.told - count, self.told)
        lines = [ledger.line(Fact(kind, self.now, {"camera": "cam1", "n": number})) for number in numbers]
        self.catalogue.write(lambda db: [ledger.append(db, line) for line in lines])

    def fill(self, size: int) -> None:
        """Add entries until the ledger has so many."""
        self.add(size - self.size)

    @property
    def size(self) -> int:
        return self.catalogue.read("SELECT COALESCE(MAX(seq), 0) FROM ledger")[0][0]

    def advance(self, **more) -> checkpoints.Checkpoint | None:
        return checkpoints.advance(self.catalogue, self.key, self.vaults, self.state, self.now, **more)

    def checkpoint(self) -> checkpoints.Checkpoint:
        made = self.advance(force=True)
        assert made is not None
        return made

    def examine(self, checkpoint, **more) -> checkpoints.Verdict:
        return checkpoints.examine(self.catalogue, checkpoint, self.key.verifier, **more)

    def tamper(self, query: str, values=()) -> None:
        """Do what somebody with the disk in his hands can do."""
        db = sqlite3.connect(self.state / FILE)
        with db:
            db.execute(query, values)
        db.close()

    def facts(self, *kinds: str) -> list[tuple]:
        marks = ", ".join("?" * len(kinds))
        return self.catalogue.read(
            f"SELECT kind, body FROM ledger WHERE kind IN ({marks}) ORDER BY seq", kinds
        )

    def copy(self) -> bytes:
        """Return the database as it is now."""
        self.catalogue.read("PRAGMA wal_checkpoint(TRUNCATE)")
        return (self.state / FILE).read_bytes()

    def put_back(self, copy: bytes) -> None:
        """Put an older copy of the database in place."""
        self.catalogue.close()
        for name in (FILE, FILE + "-wal", FILE + "-shm"):
            (self.state / name).unlink(missing_ok=True)
        (self.state / FILE).write_bytes(copy)
        self.catalogue = Catalogue.open(self.state)
