"""A box with every case of erasing and holding, for tests that kill or fail it; and what must be true afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.model import Span
from agent.storage.keep import holds
from tests.unit.keep.kept import Kept, order
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.files import Disk

HELD = Span(T0, T0 + 3000)
"""Of cam1: the first three segments, the second of them salvaged, with a tail."""


def filled(root: Path, disk: Disk | None = None) -> Kept:
    """Return a box with four segments of cam1 and two of cam2."""
    box = Kept(root, disk=disk)
    box.record()
    box.record_salvaged(at_ms=T0 + 1000)
    box.record(at_ms=T0 + 2000)
    box.record(at_ms=T0 + 3600_000)
    box.record("cam2", count=2)
    return box


def check(box: Kept) -> None:
    """Assert that rows, files, links and facts tell one story. Nothing may be unfinished any more.

    A stored segment has its file, whole; an erased one has none, and one tombstone; each link has its row and the
    other way round, and is the very file; each active hold has its file and a link to all it covers.
    """
    states = box.states()
    assert set(states.values()) <= {"COMMITTED", "SALVAGED", "GONE"}
    box.check()
    tombstones = [body["path"] for body in box.erased()]
    assert len(tombstones) == len(set(tombstones))
    assert sorted(tombstones) == sorted(path for path, state in states.items() if state == "GONE")
    assert all(body["shredded"] and "missing" not in body for body in box.erased())
    links, rows = box.links(), box.linked_rows()
    assert [name for name in links if not name.endswith(".tail")] == rows
    for name in links:
        original = box.vault_path / "segments" / name.split("/", 2)[2]
        assert os.path.samefile(box.vault_path / name, original)
    with box.catalogue() as catalogue:
        every = holds.all_holds(catalogue)
        assert catalogue.meta("erasing") is None
    on_disk = [name.split("/")[1] for name in box.names("holds") if name.endswith("/HOLD")]
    assert sorted(on_disk) == sorted(hold.id for hold in every if hold.is_active)
    assert sorted(os.listdir(box.vault_path / "holds")) == sorted(on_disk)
    for hold in every:
        if hold.is_active:
            covered = [row for row in box.rows() if hold.covers(row.camera, row.span, row.path)]
            assert {row.path.replace("segments", f"holds/{hold.id}") for row in covered} <= set(rows)
    told = [(kind, body["hold"]) for kind, body in box.facts() if kind.startswith("hold.")]
    assert len(told) == len(set(told))
    assert {hold for kind, hold in told if kind in ("hold.placed", "hold.restored")} == {
        hold.id for hold in every
    }


def held(box: Kept) -> list[str]:
    """Return the paths of cam1 in the span that is held, that are stored."""
    return [row.path for row in box.rows() if order(span=HELD).covers(row.camera, row.span, row.path)]
