"""A box whose segments are held and erased: what a keeper does, call by call."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyrage

from agent.model import Instant, Span, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.keep import erase, holds
from agent.storage.keep.hold import Hold
from tests.unit.storage.box import SECRET, T0, Box, pattern, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.storage.keep.batch import Report

DAY_MS = 86_400_000
SEGMENT_MS = 1000
RESPONSIBLE = "강릉시 정보산업과"
UUID = "uuid-1"


class Kept(Box):
    """Segments of one second each, at T0 and after."""

    def record(self, camera: str = "cam1", at_ms: int = T0, count: int = 1, size: int = 30_000) -> None:
        desk = self.desk()
        for number in range(count):
            begin = at_ms + number * SEGMENT_MS
            desk.begin(start(camera, begin))
            desk.write(camera, pattern(size, begin % 9973), begin + SEGMENT_MS, 25)
            desk.end(camera, begin + SEGMENT_MS)
        desk.stop()
        desk.close()

    def record_salvaged(self, camera: str = "cam1", at_ms: int = T0) -> None:
        """Leave a segment of a killed recorder, cut to a whole chunk, with a tail."""
        pid = os.fork()
        if pid == 0:
            try:
                desk = self.desk()
                desk.begin(start(camera, at_ms))
                for number in range(4):
                    desk.write(camera, pattern(30_000, number), at_ms + 1000 * (number + 1), 25)
                desk.flush()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        self.salvage()

    @contextmanager
    def catalogue(self) -> Iterator[Catalogue]:
        catalogue = Catalogue.open(self.state)
        try:
            yield catalogue
        finally:
            catalogue.close()

    @property
    def vaults(self) -> dict[str, Any]:
        return {self.vault.uuid: self.vault}

    def at(self, trust: Trust = Trust.SYNCED) -> Instant:
        return Instant(self.clock.utc_ms, trust)

    def place(self, order: Hold, *, trust: Trust = Trust.SYNCED, **more: Any) -> holds.Placed:
        with self.catalogue() as catalogue:
            return holds.place(catalogue, self.vaults, self.state, order, self.at(trust), **more)

    def release(self, hold_id: str = "h1", **more: Any) -> holds.Released:
        with self.catalogue() as catalogue:
            return holds.release(
                catalogue, self.vaults, self.state, hold_id, self.at(), reason="case closed", **more
            )

    def tend(self, *, trust: Trust = Trust.SYNCED, **more: Any) -> holds.Tended:
        with self.catalogue() as catalogue:
            return holds.tend(catalogue, self.vaults, self.state, self.at(trust), **more)

    def reconcile(self, **more: Any) -> holds.Tended:
        with self.catalogue() as catalogue:
            return holds.reconcile(catalogue, self.vaults, self.state, self.at(), **more)

    def condemn(self, ids: Sequence[int] | None = None, cause: str = "EXPIRED") -> list[int]:
        with self.catalogue() as catalogue:
            if ids is None:
                ids = [row[0] for row in catalogue.read("SELECT id FROM segment ORDER BY id")]
            return erase.condemn(catalogue, [(each, cause) for each in ids], self.at())

    def finish(self, *, limit: int = 100, **more: Any) -> Report:
        with self.catalogue() as catalogue:
            return erase.finish(
                catalogue, self.vaults, self.state, self.at(), RESPONSIBLE, limit=limit, **more
            )

    def states(self) -> dict[str, str]:
        """Return the state of every row, by path."""
        with self.catalogue() as catalogue:
            return dict(catalogue.read("SELECT path, state FROM segment ORDER BY id"))

    def erased(self) -> list[dict[str, Any]]:
        return [body for kind, body in self.facts() if kind == "segment.erased"]

    def links(self) -> list[str]:
        """Return every file in holds/, but HOLD itself."""
        return [name for name in self.names("holds") if not name.endswith("/HOLD")]

    def linked_rows(self) -> list[str]:
        with self.catalogue() as catalogue:
            return [row[0] for row in catalogue.read("SELECT path FROM hold_segment ORDER BY path")]

    def opens(self, path: str) -> bool:
        """Tell whether an age that is not ours opens a file of the vault."""
        try:
            pyrage.decrypt((self.vault_path / path).read_bytes(), [SECRET])
        except (OSError, pyrage.DecryptError):
            return False
        return True


def order(
    hold_id: str = "h1",
    cameras: tuple[str, ...] = ("cam1",),
    span: Span = Span(T0, T0 + 3_600_000),
    **more: Any,
) -> Hold:
    values = {
        "ground": "investigation",
        "authority": "강릉경찰서 2026-1234",
        "review_ms": T0 + 30 * DAY_MS,
        "placed_ms": 0,
        "trust": "",
        "placed_by": "officer",
    }
    return Hold(hold_id, cameras, span, **{**values, **more})
