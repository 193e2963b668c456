"""Which program this box runs, told in the ledger: another one is another number at the centre (H3, H4).

Whoever replaces a file of it, or has Python load one more, is seen within the minute. One who knows of this, and
changes this too, is not: see docs/threat-model.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.model import Fact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

KIND = "box.program"
LOOK_S = 20.0
MOST_NAMED = 20
_BESIDE = ("*.pth", "sitecustomize.py", "usercustomize.py")
"""What Python loads before any program, from any directory that it looks for modules in."""
_MADE = "__pycache__"
_Stamp = tuple[int, int, int, int]


class Program:
    """The files of a package, and what Python loads beside it."""

    def __init__(self, package: Path, path: Sequence[str] | None = None) -> None:
        """Read nothing yet.

        package  the directory of the program
        path     directories that Python looks for modules in; None: this process's own
        """
        self._package = package
        self._path = [Path(each) for each in (sys.path if path is None else path) if each]
        self._due_s = 0.0
        self._seen: dict[str, tuple[_Stamp, str]] = {}

    def turn(self, catalogue: Catalogue, now: Instant, mono_s: float) -> None:
        """Look whether it is another than the ledger says, and write that. Raises StorageFault."""
        if mono_s < self._due_s:
            return
        self._due_s = mono_s + LOOK_S
        before, self._seen = self._seen, dict(self._look())
        if before and {name: sha256 for name, (_, sha256) in before.items()} == {
            name: sha256 for name, (_, sha256) in self._seen.items()
        }:
            return
        total = hashlib.sha256()
        for name, (_, sha256) in sorted(self._seen.items()):
            total.update(f"{sha256}  {name}\n".encode())
        rows = catalogue.read("SELECT body FROM ledger WHERE kind = ? ORDER BY seq DESC LIMIT 1", (KIND,))
        if rows and json.loads(rows[0][0]).get("sha256") == total.hexdigest():
            return
        names = before.keys() | self._seen.keys() if before else ()
        changed = sorted(
            name for name in names if before.get(name, ((), ""))[1] != self._seen.get(name, ((), ""))[1]
        )
        body = {"sha256": total.hexdigest(), "files": len(self._seen), "changed": changed[:MOST_NAMED]}
        catalogue.add_fact(Fact(KIND, now, body))

    def _look(self) -> Iterator[tuple[str, tuple[_Stamp, str]]]:
        """Return each file's name, stamp and SHA-256; one that has the stamp of before is not read again."""
        for name, path in self._files():
            try:
                status = path.stat()
            except OSError:  # it went away meanwhile, and is not there
                continue
            stamp = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            known = self._seen.get(name)
            if known is not None and known[0] == stamp:
                yield name, known
                continue
            try:
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                sha256 = f"errno {error.errno}"
            yield name, (stamp, sha256)

    def _files(self) -> Iterator[tuple[str, Path]]:
        for folder, folders, files in os.walk(self._package):
            folders[:] = [each for each in folders if each != _MADE]
            for each in files:
                path = Path(folder, each)
                yield str(path.relative_to(self._package.parent)), path
        for number, directory in enumerate(self._path):
            for pattern in _BESIDE:
                for path in directory.glob(pattern):
                    yield f"path {number}: {path.name}", path
