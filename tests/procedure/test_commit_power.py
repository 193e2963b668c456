"""A10: the commit procedure, and a loss of power after each of its steps, also in the middle of a chunk.

What a disk shows afterwards is made up: everything that the last sync covered, and of what came later any part, by
seeded chance. Files grow by any length, perhaps with zeros at their end; of a renamed file one of both names is there; of
a replaced one the old or the new content. The catalogue keeps each transaction that was done: SQLite is trusted.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from typing import TYPE_CHECKING

from agent.storage.catalogue import FILE
from agent.storage.layout import Kind
from tests.procedure import scenario
from tests.unit.storage.box import Box

if TYPE_CHECKING:
    from pathlib import Path

Tree = dict[str, bytes]


def files_of(box: Box) -> Tree:
    tops = (box.vault_path, box.state / "open")
    found = [path for top in tops for path in top.rglob("*") if path.is_file()]
    return {str(path.relative_to(box.root)): path.read_bytes() for path in found}


def grown(rng: random.Random, old: bytes, new: bytes) -> bytes:
    size = rng.choice([len(old), len(new), rng.randint(len(old), len(new))])
    kept = rng.choice([size, rng.randint(len(old), size)])
    return new[:kept] + bytes(size - kept)


def after_power_loss(rng: random.Random, durable: Tree, now: Tree) -> Tree:
    """Choose what is there: between what a sync covered and what was there last."""
    seen: Tree = {}
    for name in sorted(durable.keys() | now.keys()):
        old, new = durable.get(name), now.get(name)
        final = name.removesuffix(".part")
        if old == new and new is not None:
            seen[name] = new
        elif name.endswith(Kind.PART.value):
            if new is None:  # renamed, and the directory not yet synced
                if final not in durable:
                    seen[rng.choice([name, final])] = now[final]
            elif old is not None or rng.random() < 0.7:
                seen[name] = grown(rng, old or b"", new)
        elif name.endswith(Kind.FINAL.value) and old is None:
            if name + ".part" not in durable:  # created, finished and renamed since the last sync
                seen[rng.choice([name, name + ".part"])] = now[name]
        elif old is None:
            choice = rng.choice([None, b"", new])
            if choice is not None:
                seen[name] = choice
        else:
            choice = rng.choice([old, new])
            if choice is not None:
                seen[name] = choice
    return seen


def lay_out(root: Path, tree: Tree, catalogue: Path) -> None:
    for top in ("vault/segments", "vault/holds", "vault/quarantine", "state/open"):
        (root / top).mkdir(parents=True)
    for name, content in tree.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    source, target = sqlite3.connect(catalogue), sqlite3.connect(root / "state" / FILE)
    source.backup(target)
    source.close()
    target.close()


def test_after_each_step_the_power_goes(tmp_path) -> None:
    rng = random.Random(20261121)
    box = Box(tmp_path / "box")
    durable: Tree = files_of(box)
    promise = scenario.Promise(frozenset(), {})
    losses = 0

    def lose_power() -> None:
        nonlocal losses
        losses += 1
        root = tmp_path / "after"
        lay_out(root, after_power_loss(rng, durable, files_of(box)), box.state / FILE)
        after = Box(root)
        assert after.report.faults == []
        scenario.check(after, promise, ("run-1", "unknown"))
        shutil.rmtree(root)

    def step(name: str) -> None:
        nonlocal durable
        now = files_of(box)
        if name == "C3c":
            durable = now
        elif name == "C5":  # the bytes of the file that is finished; its mark (progress) is not covered
            part = next(path for path in now if path.endswith(Kind.PART.value) and is_finished(box, path))
            durable = durable | {part: now[part]}
        elif name == "C7":
            done = {path for path in now if path.endswith(Kind.FINAL.value)}
            durable = {path: data for path, data in durable.items() if path.removesuffix(".part") not in done}
            durable |= {path: now[path] for path in done}
        for _ in range(4):
            lose_power()

    def on_flush(new: scenario.Promise) -> None:
        nonlocal promise
        promise = new

    desk = box.desk(step=step)
    scenario.run(desk, on_flush)
    desk.close()
    scenario.check(box, promise)
    assert losses > 300


def is_finished(box: Box, part: str) -> bool:
    """Tell whether this `.part` has its final mark: only the one that is between C4 and C6 has."""
    from agent.storage.progress import read_all

    path = str((box.root / part.removesuffix(".part")).relative_to(box.vault_path))
    return read_all(box.state)[box.vault.uuid, path].final is not None
