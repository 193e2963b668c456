"""B11 with real processes: a catalogue is overwritten, or deleted, under `pasu record`, and `pasu rebuild` after it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.lab import Site, wait_for
from tests.peers.test_record_virtual import by_bits, check, ledger

SPEC = CameraSpec(1, width=320, height=240, fps=15, gop=15)


def overwrite(site: Site) -> None:
    for ending in ("", "-wal"):
        with (
            contextlib.suppress(FileNotFoundError),
            (site.state / f"catalogue.db{ending}").open("r+b") as file,
        ):
            file.write(b"\xa5" * 8192)


def delete(site: Site) -> None:
    for ending in ("", "-wal", "-shm"):
        (site.state / f"catalogue.db{ending}").unlink(missing_ok=True)


def pasu(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "pasu"), *words, "--config", str(site.config)],
        capture_output=True,
        text=True,
        env={**os.environ, "LANG": "C.UTF-8"},
        timeout=120,
    )


@pytest.mark.parametrize("loss", [overwrite, delete], ids=lambda loss: loss.__name__)
def test_recording_goes_on_without_a_restart_and_no_frame_is_lost(tmp_path, loss) -> None:
    with CameraProcess([SPEC], tmp_path / "ledger") as cameras:
        with Site(tmp_path / "site", {SPEC.name: cameras.urls[SPEC.number]}, segment_s=5) as site:
            site.wait_recording(bound_s=60)
            wait_for("two segments", lambda: site.committed(SPEC.name, 2))
            workers = site.workers()
            loss(site)
            # A connection that is open may not notice for long; whoever opens the catalogue does, and says so.
            assert pasu(site, "segments", SPEC.name).returncode == 1
            wait_for("a new ledger", lambda: quietly(lambda: site.facts("ledger.began")), 60)
            wait_for("segments in it", lambda: site.committed(SPEC.name, 2), 60)
            assert site.workers() == workers
            done = pasu(site, "rebuild", "--json")
            assert done.returncode in (0, 3), done.stderr
            told = json.loads(done.stdout)
            assert told["needed"]
            assert told["files"] + told["left"] >= 2
            assert site.stop() == 0
        wait_for("the camera to see it go", lambda: cameras.command("status")["cameras"][0]["sessions"] == 0)
    assert len(site.facts("ledger.began")) == 1
    assert len(list((site.state / "aside").iterdir())) == 1
    files = set(site.vault.rglob("*.age"))
    rows = {segment.path for segment in site.segments(SPEC.name)}
    assert rows == files
    # What the old catalogue told of gaps went with it, so only what is stored is asked for.
    verdict = check(
        ledger(tmp_path / "ledger", SPEC, False), site.stored(SPEC.name), site.gaps(SPEC.name), digest=by_bits
    )
    verdict.clean()
    again = pasu(site, "rebuild", "--json")
    assert json.loads(again.stdout)["needed"] is (done.returncode == 3)


def quietly(ask):
    """Ask a database that is being replaced."""
    import sqlite3

    try:
        return ask()
    except sqlite3.DatabaseError:
        return None
