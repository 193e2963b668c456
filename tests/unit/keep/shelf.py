"""A vault with segments in it, without a recorder: real sealed files, real rows."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from agent.model import Instant, Span, Trust
from agent.storage.catalogue import COMMITTED, SALVAGED, Catalogue, Segment
from agent.storage.envelope import X25519Recipient, seal_bytes
from agent.storage.files import Disk
from agent.storage.layout import Kind, stem_of
from agent.storage.vault import Vault
from tests.unit.storage.box import SECRET, pattern

if TYPE_CHECKING:
    from pathlib import Path

    from agent.model import Gap

T0 = 1_800_000_000_000  # 2027-01-15T08:00:00Z
NOW = T0 + 3_600_000
AT = Instant(NOW, Trust.SYNCED)
MINUTE_MS = 60_000
RECIPIENT = X25519Recipient.parse(str(SECRET.to_public()))


class BadDisk(Disk):
    """Fails reads of a range of a file, as a disk with a bad sector does."""

    def __init__(self) -> None:
        self.bad: dict[str, range] = {}
        self.reads = 0
        self.read_only = False

    def call(self, op, path, function, *args):
        if op == "rename" and self.read_only and "quarantine" in path.parts:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if op == "read":
            self.reads += 1
            _, size, offset = args
            bad = self.bad.get(path.name, range(0))
            if bad and offset < bad.stop and offset + size > bad.start:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*args)


class Shelf:
    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.state = root / "state"
        self.state.mkdir(exist_ok=True)
        self.disk = BadDisk()
        self.vault = Vault.create(root / "vault", "uuid-1", created_ms=T0, disk=self.disk)
        self.catalogue = Catalogue.prepare(self.state)
        self.catalogue.add_vault("uuid-1", str(root / "vault"), T0)

    @property
    def vaults(self) -> dict[str, Vault]:
        return {self.vault.uuid: self.vault}

    def add(
        self,
        minute: int = 0,
        *,
        camera: str = "cam1",
        size: int = 150_000,
        tail: bool = False,
        row: bool = True,
        age_s: int = 3600,
        **more: Any,
    ) -> Segment:
        """Store a segment of one minute; `row` false leaves its file without one."""
        start_ms = T0 + minute * MINUTE_MS
        stem = stem_of(camera, start_ms)
        path = stem.path(Kind.SALVAGED if tail else Kind.FINAL)
        sealed = seal_bytes([RECIPIENT], pattern(size, minute))
        place = self.vault.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(sealed)
        if tail:
            self.vault.at(path + ".tail").write_bytes(
                seal_bytes([RECIPIENT], b"PASUTAIL" + bytes(8) + b"rest")
            )
        written_s = NOW // 1000 - age_s
        os.utime(place, (written_s, written_s))
        values = {
            "vault": "uuid-1",
            "camera": camera,
            "run": "run-1",
            "path": path,
            "start_ms": start_ms,
            "end_ms": start_ms + MINUTE_MS,
            "trust": "SYNCED",
            "codec": "h264",
            "width": 1280,
            "height": 720,
            "time_base_hz": 90_000,
            "frames": 900,
            "plain_bytes": size,
            "sealed_bytes": len(sealed),
            "sha256": hashlib.sha256(sealed).hexdigest(),
            "keyframe_start": True,
            "state": SALVAGED if tail else COMMITTED,
            "has_tail": tail,
        }
        segment = Segment(**(values | more))
        if row:
            assert self.catalogue.commit_segment(segment, AT)
        return segment

    def at(self, segment: Segment) -> Path:
        return self.vault.at(segment.path)

    def hold(self, segment: Segment, *, linked: bool = True, camera: str | None = None) -> Path:
        """Hold a segment as a hold does: rows, and a hard link."""
        link = f"holds/h1/{segment.path.removeprefix('segments/')}"
        place = self.vault.at(link)

        def insert(db):
            values = {"id": "h1", "from_ms": segment.start_ms, "to_ms": segment.end_ms}
            for _, name, kind, needed, *_ in db.execute("PRAGMA table_info(hold)").fetchall():
                if needed:
                    values.setdefault(name, 0 if kind == "INTEGER" else "")
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO hold ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
            db.execute(
                "INSERT INTO hold_camera VALUES ('h1', ?) ON CONFLICT DO NOTHING", (camera or segment.camera,)
            )
            if linked:
                row = db.execute("SELECT id FROM segment WHERE path = ?", (segment.path,)).fetchone()
                db.execute("INSERT INTO hold_segment VALUES ('h1', ?, ?)", (row[0], link))

        if linked:
            place.parent.mkdir(parents=True)
            os.link(self.at(segment), place)
        self.catalogue.write(insert)
        return place

    def state_of(self, segment: Segment) -> tuple[str, str]:
        (row,) = self.catalogue.read("SELECT state, cause FROM segment WHERE path = ?", (segment.path,))
        return row

    def gaps(self, camera: str = "cam1") -> list[Gap]:
        return self.catalogue.coverage(camera, Span(0, 1 << 60)).gaps

    def facts(self, *kinds: str) -> list[dict[str, Any]]:
        entries = self.catalogue.ledger(0, 100_000)
        return [json.loads(entry.body) for entry in entries if not kinds or entry.kind in kinds]

    def names(self, top: str = "segments") -> list[str]:
        root = self.vault.root
        return sorted(str(path.relative_to(root)) for path in (root / top).rglob("*") if not path.is_dir())
