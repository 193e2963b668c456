"""What a process tells systemd: its words, where they go, and when none is said."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from agent import notify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Ticks:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@contextlib.contextmanager
def listening(name: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(name)
        there.setblocking(False)
        yield there


def heard(there: socket.socket) -> list[str]:
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(there.recv(4096).decode())
    return found


def test_a_word_a_line() -> None:
    assert (
        notify.datagram(READY="1", STATUS="recording 3 of 4\ncameras")
        == b"READY=1\nSTATUS=recording 3 of 4 cameras"
    )


@pytest.mark.parametrize(
    ("value", "to"),
    [("", None), ("@", None), ("/", None), ("vsock:2:1", None), ("/run/n", "/run/n"), ("@n", "\0n")],
)
def test_where_it_goes(value, to) -> None:
    assert notify.address(value) == to


def test_without_systemd_nothing_is_told_and_nothing_fails() -> None:
    told = notify.take({})
    told.alive()
    told.ready()
    told.status("x")
    told.stopping()
    assert told.is_ready


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_before_it_is_ready_it_asks_for_time_and_afterwards_it_says_that_it_lives(
    tmp_path: Path, kind: str
) -> None:
    name = str(tmp_path / "n") if kind == "path" else f"\0pasu-test-{os.getpid()}"
    environment = {
        "NOTIFY_SOCKET": name.replace("\0", "@"),
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "2",
        "LANG": "C",
    }
    ticks = Ticks()
    with listening(name) as there:
        made = notify.take(environment)
        assert environment == {"LANG": "C"}  # no child has it
        told = notify.Notifier(made._to, ticks)
        told.alive()
        told.alive()
        assert heard(there) == [f"EXTEND_TIMEOUT_USEC={notify.EXTEND_S * 1_000_000}"]
        ticks.now += notify.START_MOST_S
        told.alive()
        assert heard(there) == []  # that is no start any more
        told.ready()
        told.ready()
        assert heard(there) == ["READY=1\nWATCHDOG=1"]
        told.alive()
        assert heard(there) == []
        ticks.now += notify.SAY_S
        told.alive()
        told.status("connected")
        told.status("connected")
        told.stopping()
        assert heard(there) == ["WATCHDOG=1", "STATUS=connected", "STOPPING=1"]


def test_a_socket_that_is_gone_or_full_holds_nobody_up(tmp_path: Path) -> None:
    told = notify.Notifier(str(tmp_path / "gone"))
    told.ready()
    with listening(str(tmp_path / "full")) as there:
        told = notify.Notifier(str(tmp_path / "full"))
        for number in range(5000):
            told.status(str(number))
        assert len(heard(there)) < 5000
