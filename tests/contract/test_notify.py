"""What `pasu record`, `keep`, `uplink` and `page` tell systemd over a real socket; and that a loop that hangs says nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent import app, notify
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.forks import forked
from tests.lab import Site, wait_for
from tests.living import Running
from tests.page_lab import site as page_site

if TYPE_CHECKING:
    from collections.abc import Iterator


class Manager:
    """Listens as systemd does."""

    def __init__(self, place: Path) -> None:
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.setblocking(False)

    def hear(self) -> list[str]:
        """Return the words that came since this was last asked."""
        new: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                new += self._socket.recv(4096).decode().split("\n")
        self.said += new
        return new

    def wait(self, word: str, bound_s: float = 120) -> None:
        wait_for(word, lambda: word in self.hear(), bound_s)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(monkeypatch) -> Iterator[Manager]:
    # The path of a socket is short.
    place = Path(f"/tmp/pasu-notify-{os.getpid()}")
    place.unlink(missing_ok=True)
    monkeypatch.setenv("NOTIFY_SOCKET", str(place))
    made = Manager(place)
    yield made
    made.close()
    place.unlink(missing_ok=True)


def hangs(manager: Manager, pid: int) -> None:
    """Stop a process, and see that nothing more is said; let it go on, and see that it is."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for("the process to stand", lambda: stands(pid), 60)
        manager.hear()  # what was under way
        time.sleep(3 * notify.SAY_S)
        assert manager.hear() == []
    finally:
        os.kill(pid, signal.SIGCONT)
    manager.wait("WATCHDOG=1")


def stands(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_a6_recording_is_ready_when_it_tries_its_cameras_and_says_so_while_its_workers_are_heard(
    tmp_path, manager
):
    """A6: a worker that hangs is the parent's matter, a parent that hangs systemd's."""
    with (
        CameraProcess([CameraSpec(1, width=320, height=240, fps=10, gop=10)], tmp_path / "ledger") as cameras,
        Site(tmp_path / "site", {"cam01": cameras.urls[1]}, segment_s=5) as site,
    ):
        manager.wait("READY=1")
        manager.wait("STATUS=recording 1 of 1 cameras")
        manager.wait("WATCHDOG=1")
        before = site.workers()["rtsp-0"]
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{before}/environ").read_bytes()
        os.kill(before, signal.SIGSTOP)
        wait_for("another worker", lambda: site.workers().get("rtsp-0", before) != before, 120)
        site.wait_recording(bound_s=120)
        manager.wait("WATCHDOG=1")
        assert site.process is not None
        hangs(manager, site.process.pid)
        assert site.stop(120) == 0
        manager.hear()
    assert manager.said.count("READY=1") == 1
    assert "STOPPING=1" in manager.said


def test_keep_says_so_by_the_turn_that_does_the_work(tmp_path, manager):
    site = Site(tmp_path / "site", {"cam01": "rtsp://127.0.0.1:1/"})
    keep = Running(tmp_path / "keep.log", "keep", "--config", str(site.config))
    keep.start()
    try:
        manager.wait("READY=1")
        manager.wait("WATCHDOG=1")
        hangs(manager, keep.pid)
        assert keep.stop() == 0
        manager.wait("STOPPING=1")
    finally:
        keep.kill()


def test_the_page_says_so(tmp_path, manager):
    box = page_site(tmp_path)
    page = Running(tmp_path / "page.log", "page", "--config", str(box.config.file))
    page.start()
    try:
        manager.wait("READY=1")
        hangs(manager, page.pid)
        assert page.stop() == 0
        manager.wait("STOPPING=1")
    finally:
        page.kill()


class Silent:
    def __init__(self, silent_s: float | None) -> None:
        self.silent = silent_s

    def silent_s(self) -> float | None:
        return self.silent

    def cameras(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("silent_s", "said"),
    [(None, False), (0.0, True), (app.ALL_SILENT_S - 1, True), (app.ALL_SILENT_S, False)],
)
def test_a6_where_no_worker_at_all_is_heard_systemd_is_to_begin_anew(tmp_path, silent_s, said):
    """A6: each that hangs was replaced, and still nobody speaks."""
    place = tmp_path / "n"
    manager = Manager(place)
    app._tell_systemd(notify.Notifier(str(place)), Silent(silent_s))  # type: ignore[arg-type]
    assert ("WATCHDOG=1" in manager.hear()) is said
    manager.close()


def test_a_long_start_is_not_killed_while_it_goes_on(tmp_path):
    """What a power cut left is put in order by a fork, which may take as long as a slow disk likes."""
    place = tmp_path / "n"
    manager = Manager(place)
    notifier = notify.Notifier(str(place))
    gate, key = os.pipe()

    def rebuild() -> str:
        os.read(gate, 1)
        return "done"

    def beside() -> None:
        notifier.alive()
        if any(word.startswith("EXTEND_TIMEOUT_USEC=") for word in manager.hear()):
            os.write(key, b"x")

    assert forked(rebuild, beside=beside) == "done"
    assert manager.said
    manager.close()
