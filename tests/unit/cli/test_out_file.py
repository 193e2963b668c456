"""A file that a command makes for who called it, also where it goes on as another user."""

from __future__ import annotations

import os
import signal
import stat
import time
from typing import TYPE_CHECKING

import pytest

from agent.cli import out_file
from agent.cli.out_file import made
from agent.cli.parser import UsageError

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another")


def another() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def in_fork(work: object) -> int:
    """Do something in a fork; return its exit status, less than 0 for a signal."""
    pid = os.fork()
    if pid == 0:
        status = 9
        try:
            work()  # type: ignore[operator]
            status = 0
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(params=["as root", "as anybody"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "as anybody":
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    return tmp_path


def test_it_has_its_name_when_it_is_whole(folder: Path) -> None:
    with made(folder / "r.html") as out:
        out.write("가나\r\n")
        assert list(folder.iterdir()) == []
    assert (folder / "r.html").read_bytes() == "가나\r\n".encode()
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE((folder / "r.html").stat().st_mode) == 0o666 & ~mask


def test_what_is_not_ended_is_not_there(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117 - it ends in the middle
        with made(folder / "r.html") as out:
            out.write("half")
            raise KeyboardInterrupt
    assert list(folder.iterdir()) == []


def test_no_file_is_overwritten_be_it_put_there_meanwhile(folder: Path) -> None:
    (folder / "there").write_text("mine")
    with pytest.raises(UsageError) as caught, made(folder / "there"):
        pytest.fail("it was begun")
    assert caught.value.code == "REPORT_FILE"
    with pytest.raises(UsageError):  # noqa: PT012, SIM117 - when it has its end
        with made(folder / "r.html") as out:
            out.write("x")
            (folder / "r.html").write_text("another's")
    assert (folder / "r.html").read_text() == "another's"
    with pytest.raises(UsageError), made(folder / "gone" / "r.html"):
        pytest.fail("nor where no folder is")


def test_what_the_disk_refuses_is_said(folder: Path) -> None:
    with pytest.raises(UsageError), made(folder / "r.html"):
        raise OSError(28, "no space")
    with pytest.raises(BrokenPipeError), made(folder / "r.html"):
        raise BrokenPipeError
    assert list(folder.iterdir()) == []


def test_on_a_file_system_that_needs_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.centre.clip._open_unnamed", lambda _: None)
    with pytest.raises(KeyboardInterrupt), made(folder / "r.html"):
        raise KeyboardInterrupt
    assert list(folder.iterdir()) == []
    with made(folder / "r.html") as out:
        out.write("x")
    assert [each.name for each in folder.iterdir()] == ["r.html"]


@root
def test_as_another_user_it_is_made_for_who_called(tmp_path: Path) -> None:
    def work() -> None:
        with made(tmp_path / "r.html") as out:
            another()
            out.write("whole")

    tmp_path.chmod(0o755)
    assert in_fork(work) == 0
    assert (tmp_path / "r.html").read_text() == "whole"
    assert (tmp_path / "r.html").stat().st_uid == 0


@root
@pytest.mark.parametrize("unnamed", [True, False])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_as_another_user_nothing_stays_of_half_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, unnamed: bool
) -> None:
    if not unnamed:
        monkeypatch.setattr("agent.centre.clip._open_unnamed", lambda _: None)

    def work() -> None:
        with made(tmp_path / "r.html") as out:
            another()
            out.write("half")
            out.flush()
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt

    assert in_fork(work) == (130 if how == "stopped" else -signal.SIGKILL)
    end = time.monotonic() + 20
    while list(tmp_path.iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_it_is_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with made(None) as out:
        out.write("x")
    assert capsys.readouterr().out == "x"
    assert out_file.WHOLE
