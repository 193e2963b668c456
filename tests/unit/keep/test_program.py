"""H3, H4: whoever changes the program is told of, once, with the names of what is other than before."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import agent
from agent.model import Instant, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.keep.program import LOOK_S, MOST_NAMED, Program

NOW = Instant(1_790_000_000_000, Trust.SYNCED)


class Box:
    def __init__(self, folder: Path) -> None:
        self.package = folder / "site" / "agent"
        (self.package / "keep").mkdir(parents=True)
        (self.package / "app.py").write_text("one")
        (self.package / "keep" / "erase.py").write_text("two")
        (folder / "state").mkdir()
        self.catalogue = Catalogue.prepare(folder / "state")
        self.mono_s = 0.0
        self.start()

    def start(self) -> None:
        self.program = Program(self.package, ["", str(self.package.parent)])

    def turn(self) -> list[dict[str, object]]:
        """Turn once it is due; return all that was told so far."""
        self.mono_s += LOOK_S
        self.program.turn(self.catalogue, NOW, self.mono_s)
        return [json.loads(entry.body) for entry in self.catalogue.ledger() if entry.kind == "box.program"]


@pytest.fixture
def box(tmp_path):
    box = Box(tmp_path)
    yield box
    box.catalogue.close()


def test_h3_the_first_time_and_each_other_program_is_told_once(box):
    (first,) = box.turn()
    assert (first["files"], first["changed"]) == (2, [])
    box.start()
    assert box.turn() == [first], "the same program, started again"
    (box.package / "keep" / "erase.py").write_text("six")
    first, second = box.turn()
    assert second["changed"] == ["agent/keep/erase.py"]
    assert second["sha256"] != first["sha256"]
    assert len(box.turn()) == 2
    box.start()
    (box.package / "app.py").unlink()
    *_, third = box.turn()
    assert (third["files"], third["changed"]) == (1, []), "who was not there does not know which"
    assert len(box.turn()) == 3


def test_h3_a_file_of_the_same_size_and_time_is_another(box):
    path = box.package / "app.py"
    box.turn()
    status = path.stat()
    path.write_text("eno")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert box.turn()[-1]["changed"] == ["agent/app.py"]


def test_h4_what_python_loads_besides_is_seen(box):
    box.turn()
    (box.package.parent / "sitecustomize.py").write_text("import os")
    (box.package.parent / "evil.pth").write_text("import os")
    (box.package / "keep" / "more.so").write_bytes(b"\x7fELF")
    assert box.turn()[-1]["changed"] == [
        "agent/keep/more.so", "path 0: evil.pth", "path 0: sitecustomize.py",
    ]  # fmt: skip


def test_h4_what_python_makes_by_itself_and_what_cannot_be_read_is_no_reason_to_stop(box):
    box.turn()
    (box.package / "__pycache__").mkdir()
    (box.package / "__pycache__" / "app.pyc").write_bytes(b"x")
    assert len(box.turn()) == 1
    (box.package / "nowhere").symlink_to("is not there")
    assert len(box.turn()) == 1
    (box.package / "folder.py").symlink_to(box.package / "keep")
    assert len(box.turn()) == 1, "os.walk counts a link to a folder among the folders"
    for number in range(MOST_NAMED + 5):
        (box.package / f"{number}.py").write_text("x")
    assert len(box.turn()[-1]["changed"]) == MOST_NAMED


def test_a_file_that_cannot_be_read_counts_as_another(box, monkeypatch):
    box.turn()
    real = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "app.py":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    (box.package / "app.py").write_text("one and more")
    assert box.turn()[-1]["changed"] == ["agent/app.py"]


def test_it_looks_no_oftener_than_it_must_and_knows_its_own(box):
    box.turn()
    (box.package / "app.py").write_text("other")
    box.program.turn(box.catalogue, NOW, box.mono_s + LOOK_S - 0.1)
    assert len(box.catalogue.ledger()) == 1
    own = Program(Path(agent.__file__).parent)
    own.turn(box.catalogue, NOW, 0.0)
    entry = json.loads(box.catalogue.ledger()[-1].body)
    assert entry["files"] > 300
    assert sys.path
