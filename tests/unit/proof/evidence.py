"""A box with sealed segments, gaps and an erasure, for tests of bundles."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from agent.model import Fact, Gap, GapCause, Span, Trust
from agent.storage.catalogue import COMMITTED, SALVAGED, Segment
from agent.storage.keep.outgoing_order import BY_HAND, Export
from agent.storage.layout import Kind, stem_of
from agent.storage.proof import export
from tests.unit.proof.ledgers import T0, Site

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60_000
SPAN = Span(T0, T0 + 10 * MINUTE)


class Evidence(Site):
    """Ten minutes of cam1: minutes 0, 1, 2 stored, 3 a gap, 4 erased, 5 salvaged with a tail, 6 to 9 stored."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.out = root / "bundle"
        for minute in range(10):
            if minute == 3:
                gap = Span(T0 + 3 * MINUTE, T0 + 4 * MINUTE)
                self.catalogue.add_gap(Gap("cam1", gap, GapCause.CAMERA_SILENT), self.now)
            elif minute == 4:
                start = T0 + 4 * MINUTE
                body = {"camera": "cam1", "start_ms": start, "end_ms": start + MINUTE, "cause": "EXPIRED"}
                self.catalogue.add_fact(Fact("segment.erased", self.now, body))
            else:
                self.store("cam1", minute, salvaged=minute == 5)
                self.store("cam2", minute)
        self.fill(300)

    def store(
        self, camera: str, minute: int, *, salvaged: bool = False, fact: bool = True, shift: int = 0
    ) -> Segment:
        start = T0 + minute * MINUTE
        stem = stem_of(camera, start)
        kind = Kind.SALVAGED if salvaged else Kind.FINAL
        vault = self.vaults[0]
        content = b"age-encryption.org/v1\n" + hashlib.sha256(f"{camera}/{minute}".encode()).digest() * 5000
        vault.at(stem.directory).mkdir(parents=True, exist_ok=True)
        vault.at(stem.path(kind)).write_bytes(content)
        if salvaged:
            vault.at(stem.path(Kind.SALVAGED_TAIL)).write_bytes(b"tail")
        row = Segment(
            vault.uuid, camera, "r1", stem.path(kind), start + shift, start + MINUTE + shift, Trust.SYNCED.value, "h264",
            1280, 720, 90_000, 1800, len(content), len(content), hashlib.sha256(content).hexdigest(), True,
            SALVAGED if salvaged else COMMITTED, salvaged,
        )  # fmt: skip
        if fact:
            self.catalogue.commit_segment(row, self.now, **({"has_tail": True} if salvaged else {}))
        return row

    def site(self) -> export.Site:
        vaults = {vault.uuid: vault for vault in self.vaults}
        return export.Site(self.catalogue, self.key, vaults, self.state, self.disk)

    def export(
        self, span: Span = SPAN, camera: str = "cam1", out: Path | None = None, since=None, **more
    ) -> export.Exported:
        request = export.Request(taken(camera, span), out or self.out, since=since)
        return export.export(self.site(), request, self.now, lambda *_: None, **more)


def taken(camera: str = "cam1", span: Span = SPAN, **more) -> Export:
    """The terms on which somebody takes a bundle at the box."""
    terms = {
        "ground": "investigation",
        "purpose": "crime-prevention",
        "recipient": "강릉경찰서",
        "authority": "강릉경찰서 2027-12",
        "due": "2027-03-01",
        "person": "kim",
        "to": BY_HAND,
    }
    return Export(secrets.token_hex(16), camera, span, **(terms | more))
