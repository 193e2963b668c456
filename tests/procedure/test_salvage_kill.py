"""A2: the salvage procedure of agent/storage/salvage.py, killed after each of its steps, and killed again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

from agent.storage.catalogue import FILE
from agent.storage.vault import Vault
from tests.procedure import scenario
from tests.procedure.dying import die_at
from tests.unit.storage.box import Box

if TYPE_CHECKING:
    from pathlib import Path


def wreck(root: Path) -> Box:
    """Leave a vault with every case: live tails, parts, finished files without rows, and what is not what its name says."""
    box = Box(root / "box")
    # Another process holds the catalogue, so that nothing that is finished gets its row; then, in the third segments,
    # the recorder is killed: one has a tail.
    lock = sqlite3.connect(box.state / FILE, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    syncs: list[str] = []

    def when(name: str) -> bool:
        if name == "C3c":
            syncs.append(name)
        return len(syncs) == 2 * scenario.SEGMENT_MS // 1000 + 2

    scenario.run_and_die(box, when)
    lock.execute("ROLLBACK")
    lock.close()
    day = next((box.vault_path / "segments" / "cam1").iterdir())
    (day / "20270115T085800.000Z.mp4.age").symlink_to("/etc/hostname")
    (day / "20270115T085900.000Z.mp4.age.tail").mkdir()
    (day / "20270115T090000.000Z.mp4.age.part").write_bytes(b"age-encryption.org/v1\n-> cut off")
    (day / "20270115T090100.000Z.mp4.age").write_bytes(b"not sealed at all")
    (day / "20270115T090200.000Z.mp4.age.tail").write_bytes(b"a tail of nothing")
    (day / "20270115T090300.000Z.mp4.age.tail.tmp").write_bytes(b"half a tail")
    return box


def quarantined(box: Box) -> list[tuple[str, bool]]:
    return [(path.name, path.is_symlink()) for path in sorted((box.vault_path / "quarantine").iterdir())]


def test_killed_after_each_step_it_comes_to_the_same_end(tmp_path) -> None:
    wrecked = wreck(tmp_path)
    shutil.copytree(wrecked.root, tmp_path / "once", symlinks=True)
    steps: list[str] = []
    reached = at_root(wrecked, tmp_path / "once")
    reached.salvage(step=steps.append)
    scenario.check(reached, scenario.Promise(frozenset(), {}))
    assert set(steps) >= {"S1", "S2", "S3", "S4", "S5", "S6", "Q1", "Q2"}
    assert [row.state for row in reached.rows()] == ["COMMITTED", "COMMITTED", "SALVAGED"] * 2
    expected_rows, expected_quarantine = reached.rows(), quarantined(reached)
    for at in range(len(steps)):
        root = tmp_path / str(at)
        shutil.copytree(wrecked.root, root, symlinks=True)
        box = at_root(wrecked, root)
        assert die_at(lambda step, box=box: box.salvage(step=step), at)
        # And again at the first step of the second attempt, then to the end.
        die_at(lambda step, box=box: box.salvage(step=step), 0)
        box.salvage()
        assert box.rows() == expected_rows
        assert quarantined(box) == expected_quarantine
        scenario.check(box, scenario.Promise(frozenset(), {}))
        last = box.salvage()
        assert (last.salvaged, last.adopted, last.quarantined, last.faults) == (0, 0, 0, [])
        shutil.rmtree(root)


def at_root(box: Box, root: Path) -> Box:
    """Return the same box at another place, as it stands: nothing prepared, nothing salvaged."""
    other = Box.__new__(Box)
    other.__dict__.update(box.__dict__)
    other.root, other.vault_path, other.state = root, root / "vault", root / "state"
    other.vault = Vault.open(other.vault_path, "uuid-1")
    return other


def test_what_does_not_belong_is_moved_as_it_is(tmp_path) -> None:
    box = wreck(tmp_path)
    box.salvage()
    found = dict(quarantined(box))
    links = [name for name, is_link in found.items() if is_link]
    assert links == ["cam1.2027-01-15.20270115T085800.000Z.mp4.age"]
    place = box.vault_path / "quarantine"
    assert os.readlink(place / links[0]) == "/etc/hostname"
    assert (place / "cam1.2027-01-15.20270115T090200.000Z.mp4.age.tail").read_bytes() == b"a tail of nothing"
    assert len(found) == 5
    facts = [body for kind, body in box.facts() if kind == "segment.quarantined"]
    assert len(facts) == 5
    assert all(body["reason"] and body["path"].startswith("segments/") for body in facts)


def test_a_worker_salvages_only_its_own_cameras(tmp_path) -> None:
    box = wreck(tmp_path)
    theirs = [name for name in box.names() if "/cam2/" in name]
    box.salvage(["cam1"])
    assert [name for name in box.names() if "/cam2/" in name] == theirs
    assert not [name for name in box.names() if "/cam1/" in name and name.endswith(".part")]
