"""The command as a process: what it loads, how it ends, and what a terminal shows."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.unit.centre import footage
from tests.unit.cli.test_commands import SPAN, box  # noqa: F401 - a fixture

HEAVY = ("rich", "av", "cv2", "sqlite_utils", "numpy", "paho", "watchdog")


def loaded(code: str) -> set[str]:
    """Run code in a fresh interpreter; return the names of the packages it loaded."""
    shown = f"import sys, json\n{code}\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout))


def test_the_command_line_itself_loads_nothing_heavy():
    found = loaded("from agent.cli.main import build; build()")
    assert found.isdisjoint({*HEAVY, "cryptography", "sqlite3"})


def test_recording_loads_nothing_heavy():
    assert loaded("import agent.cli.main, agent.app\nfrom agent.config import load").isdisjoint(HEAVY)


def pasu(*arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "agent.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Unbuffered output would fail at the first print, and hide what happens at the last flush.
        env={**os.environ, "PYTHONUNBUFFERED": "", "LC_ALL": "C.UTF-8", **environment},
    )


@pytest.mark.parametrize("locale", ["ko_KR.UTF-8", "ko_KR.eucKR", "ko"])
def test_korean_arrives_where_no_such_locale_is_installed(locale):
    out, error = pasu("--help", LC_ALL=locale).communicate(timeout=60)
    assert error == b""
    assert "쓰는 법: pasu".encode() in out or "쓰는 법: pasu".encode("euc-kr") in out


def test_a_terminal_without_hangul_gets_question_marks():
    process = pasu("--help", LC_ALL="ko_KR.UTF-8", PYTHONIOENCODING="ascii")
    out, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, b"")
    assert b"? ?: pasu" in out


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_is_no_error(unbuffered):
    process = pasu("help", PYTHONUNBUFFERED=unbuffered)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert error == b""


def test_a_progress_bar_on_a_terminal_only(box, tmp_path):  # noqa: F811
    file = min((box / "vault").rglob("*.age"))
    line = [sys.executable, "-m", "agent.cli.main", "open", "--identity", str(box / "centre.key"), "-o"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*line, str(tmp_path / "a.mp4"), str(file)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "LC_ALL": "ko_KR.UTF-8", "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the other end is gone
        pass
    finally:
        os.close(ours)
    out = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert "여는 중".encode() in shown
    assert "여는 중".encode() not in out
    quiet = subprocess.run(
        [*line, str(tmp_path / "b.mp4"), str(file)], capture_output=True, timeout=60, check=True
    )
    assert quiet.stderr == b""
    assert len(footage.packets(tmp_path / "b.mp4")) == 60


def test_a_closed_pipe_in_the_middle_of_a_table(box):  # noqa: F811
    process = pasu("segments", "cam01", "--config", str(box / "agent.toml"), *SPAN, "--json")
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert error == b""
