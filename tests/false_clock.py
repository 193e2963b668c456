"""A box whose real clock a test sets: `pasu record`, `pasu keep` and `pasu clock` in a false time.

Python starts each of them with a `sitecustomize` that moves time.time() by what a file says. The boot clock stays the
machine's own, as on a box whose clock somebody sets. (libfaketime 0.9.10 would do it from outside, but it breaks the
absolute sleeps of Python 3.11 when it is told to leave the monotonic clock alone.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab import Site, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

PASU = Path(sys.executable).parent / "pasu"
CUSTOMIZE = """
import os
import time

_file, _time_ns = os.environ["FALSE_CLOCK"], time.time_ns


def _false_ns():
    with open(_file, encoding="ascii") as file:
        return _time_ns() + int(file.read()) * 1_000_000


time.time_ns = _false_ns
time.time = lambda: _false_ns() / 1e9
"""


class TimedSite(Site):
    """A site with a keeper, whose processes all see the same false time."""

    def __init__(self, folder: Path, cameras: dict[str, str], off_ms: int, **more: Any) -> None:
        """Begin with the clock off by off_ms."""
        super().__init__(folder, cameras, **more)
        self.offset_file = folder / "off_ms"
        self.keeper: subprocess.Popen[bytes] | None = None
        self.set_clock(off_ms)
        customize = folder / "python" / "sitecustomize.py"
        customize.parent.mkdir()
        customize.write_text(CUSTOMIZE)
        self.environment = {
            **os.environ,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(customize.parent),
            "FALSE_CLOCK": str(self.offset_file),
        }

    def set_clock(self, off_ms: int) -> None:
        """Set the clock of all its processes at once."""
        part = self.folder / "off_ms.part"
        part.write_text(str(off_ms))
        part.rename(self.offset_file)

    def start(self) -> None:
        self.process = self._start(["record"], "record.log")
        self.keeper = self._start(["keep"], "keep.log")

    def kill(self) -> int:
        keeper, self.keeper = self.keeper, None
        if keeper is not None:
            keeper.kill()
            keeper.wait(30)
        return super().kill()

    def stop(self, bound_s: float = 30.0) -> int:
        keeper, self.keeper = self.keeper, None
        assert keeper is not None
        keeper.terminate()
        kept = keeper.wait(bound_s)
        return super().stop(bound_s) or kept

    def clock(self, *arguments: str) -> str:
        """Run `pasu clock`."""
        done = subprocess.run(
            [str(PASU), "clock", *arguments, "--config", str(self.config)],
            env=self.environment,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return done.stdout.decode()

    def trust(self) -> dict[str, Any]:
        return json.loads(self.clock("--json"))

    def wait_trust(self, trust: str) -> None:
        wait_for(f"trust {trust}", lambda: self.trust()["trust"] == trust and self.trust()["published"])

    def wait_rows(self, what: str, query: str, ready: Callable[[list[tuple]], object]) -> list[tuple]:
        """Poll the catalogue."""
        wait_for(what, lambda: ready(self.rows(query)), 60.0)
        return self.rows(query)

    def _start(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as out:
            return subprocess.Popen(
                [str(PASU), *command, "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=self.environment,
            )
