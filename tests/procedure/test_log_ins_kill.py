"""Log-ins on their way from one form to the other: killed after each step, refused by each call."""

from __future__ import annotations

import errno
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from agent.errors import StorageFault
from agent.log_ins import LogIns
from agent.machine import PROGRAM, Machine
from tests.lab import ROOT
from tests.peer import need
from tests.sealing import FakeCreds
from tests.unit.storage.box import FailingDisk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSWORD = b"Gwangan-77"
OLD = b'# ours\n[camera.cam01]\nusername = "u"\npassword = "' + PASSWORD + b'"\n'
NEW = OLD.replace(b"cam01", b"cam02")
DO: dict[str, Callable[[LogIns], object]] = {
    "seal": LogIns.seal,
    "open": LogIns.open,
    "put clear": lambda each: each.put(NEW),
    "put sealed": lambda each: each.put(NEW),
    "put leftover": lambda each: each.put(NEW),
}


def prepared(folder: Path, what: str, disk: FailingDisk | None = None) -> LogIns:
    folder.mkdir()
    beside = LogIns(folder / "agent.toml")
    if what in ("open", "put sealed", "put leftover"):
        beside.put(OLD, fresh=True)
    if what not in ("open", "put sealed"):
        beside.clear.touch(mode=0o600)
        beside.clear.write_bytes(OLD)
    return beside if disk is None else LogIns(beside.config, disk=disk)


def in_clear(beside: LogIns) -> list[str]:
    return sorted(each.name for each in beside.config.parent.iterdir() if PASSWORD in each.read_bytes())


@pytest.mark.parametrize("what", DO)
def test_whatever_call_fails_they_are_whole_and_doing_it_again_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    FakeCreds(tmp_path / "creds", monkeypatch)
    counted = FailingDisk()
    DO[what](prepared(tmp_path / "counted", what, counted))
    assert len(counted.calls) >= 6
    for number in range(len(counted.calls)):
        failing = FailingDisk(lambda at, _op, _path, wanted=number: errno.EIO if at == wanted else None)
        beside = prepared(tmp_path / str(number), what, failing)
        with pytest.raises(StorageFault):
            DO[what](beside)
        now = LogIns(beside.config)
        assert {*now.read().cameras()} in ({"cam01"}, {"cam02"}, {"cam01", "cam02"})
        DO[what](now)
        assert now.text() == (NEW if what.startswith("put") else OLD)
        if what in ("seal", "put sealed", "put leftover"):
            assert in_clear(now) == []


@pytest.mark.parametrize("step", ["1", "2", "3", "4"])
@pytest.mark.parametrize("what", ["seal", "put sealed", "put leftover"])
def test_h1_killed_after_each_step_nothing_is_lost_and_in_the_end_nothing_is_in_clear(
    tmp_path: Path, what: str, step: str
) -> None:
    """H1, with systemd's own program."""
    need(PROGRAM)
    if not Machine().can_seal():
        pytest.skip("needs root")
    beside = prepared(tmp_path / "etc", what)
    act = "seal(step)" if what == "seal" else "put(NEW, step=step)"
    program = f"""
        import os, signal
        from pathlib import Path
        from tests.procedure.test_log_ins_kill import NEW, LogIns
        def step(done):
            if done == {step!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        LogIns(Path({str(beside.config)!r})).{act}
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, check=False)
    assert ended.returncode == -9
    there = {"cam01"} if what == "seal" or step in "12" else {"cam02"}
    if (what, step) == ("put leftover", "3"):
        there = {"cam01", "cam02"}  # the old one is in clear still
    assert {*beside.read().cameras()} == there
    DO[what](beside)
    assert beside.text() == (NEW if what.startswith("put") else OLD)
    assert in_clear(beside) == []
