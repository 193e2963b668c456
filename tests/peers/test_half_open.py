"""E12: a line that loses every packet and says nothing of it, between a real uplink and the city's mosquitto.

The box is in a network namespace of its own, and a namespace that forwards lies between it and the broker. Forwarding is
switched off there: what comes is thrown away without a word, so both ends hold a connection that is none any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from typing import TYPE_CHECKING, Self

import pytest

from agent.command.keyring import Role
from tests.lab import wait_for
from tests.living import BOX, Centre, Ear, Hand, LiveBox, settled
from tests.town import Town

if TYPE_CHECKING:
    from pathlib import Path

BOUND_S = 45.0
LATE_S = 5.0
"""The uplink writes its health file every two seconds, and shares the machine with everything else that runs."""


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


class Line:
    """Two namespaces: the box's, and the one on the way. `address` is the broker's end."""

    def __init__(self) -> None:
        own = os.getpid()
        net = own % 120 * 2
        self.box, self.router = f"pasu-half{own}-box", f"pasu-half{own}-line"
        self.address, self._near = f"10.214.{net}.1", f"10.214.{net}.2"
        self._far, self._there = f"10.214.{net + 1}.1", f"10.214.{net + 1}.2"
        self._here = f"ph{own % 10**7}"

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        for name in (self.box, self.router):
            ip("netns", "add", name)
        ip("link", "add", self._here, "type", "veth", "peer", "name", "centre", "netns", self.router)
        ip(
            "link",
            "add",
            "box",
            "netns",
            self.router,
            "type",
            "veth",
            "peer",
            "name",
            "line",
            "netns",
            self.box,
        )
        ip("address", "add", f"{self.address}/30", "dev", self._here)
        ip("link", "set", self._here, "up")
        for name, device, address in (
            (self.router, "centre", self._near), (self.router, "box", self._far), (self.box, "line", self._there),
        ):  # fmt: skip
            ip("-n", name, "address", "add", f"{address}/30", "dev", device)
            ip("-n", name, "link", "set", device, "up")
        ip("-n", self.box, "link", "set", "lo", "up")
        ip("-n", self.box, "route", "add", "default", "via", self._far)
        ip("route", "add", f"{self._far.rpartition('.')[0]}.0/30", "via", self._near)
        self.forward(True)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(AssertionError):
            ip("link", "del", self._here)
        for name in (self.box, self.router):
            with contextlib.suppress(AssertionError):
                ip("netns", "del", name)

    def forward(self, on: bool) -> None:
        """Let packets through, or lose each of them."""
        value = str(int(on))
        command = [
            "ip",
            "netns",
            "exec",
            self.router,
            "sh",
            "-c",
            f"echo {value} > /proc/sys/net/ipv4/ip_forward",
        ]
        subprocess.run(command, check=True, timeout=30)

    def within(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.box)


def waits(box: LiveBox) -> list[str]:
    """Return why the uplink had no connection, each time that it said so."""
    return re.findall(r"no connection: (.*); again in", box.uplink.log.read_text(errors="replace"))


def a_line_that_dies(folder: Path, line: Line, times: int) -> list[float]:
    """Cut a line so often; return how long it took each time until that was noticed, in seconds."""
    town = Town(folder, host=line.address)
    hand = Hand(town, Role.OFFICER, "kim")
    box, centre = LiveBox(town), Centre(town)
    box.uplink.within = line.within()
    noticed: list[float] = []
    town.start()
    ear = Ear(town)
    with settled(town, centre.watch, box, ear):
        centre.watch.start()
        box.begin()
        box.write(10)
        wait_for("the first entries", lambda: centre.size() >= 10, 120)
        sent = []
        for number in range(times):
            before = len(waits(box))
            line.forward(False)
            cut_s = time.monotonic()
            # There is something to say on both sides: the connection is not idle, it leads nowhere.
            box.write(30)
            own, text = hand.sign("inspect")
            ear.send(text)
            sent.append(own)
            wait_for("its end", lambda: box.uplink_says().get("connected") is False, 120)
            noticed.append(time.monotonic() - cut_s)
            why = waits(box)[before]
            quiet = re.fullmatch(r"silent \(nothing for (\d+) s\)", why)
            assert quiet, why
            assert int(quiet[1]) <= BOUND_S + 1, why
            box.write(20)
            assert centre.size() < len(box.ledger_rows())
            line.forward(True)
            box.wait_up()
            wait_for("everything at the centre", lambda: centre.size() >= (number + 1) * 50 + 10, 120)
            assert ear.wait_reply(own)["status"] == "done"
        assert box.uplink.alive()
        assert box.keep.stop() == 0
        whole = box.ledger_rows()
        wait_for("the last entries", lambda: centre.size() >= len(whole), 240)
        assert [tuple(row) for row in centre.entries()] == [tuple(row) for row in whole], "lost or doubled"
        assert [box.accepted(own) for own in sent] == [1] * times
        assert centre.alarms() == [], centre.watch.said()
        assert centre.rows("select count(*) from ledger where box = ?", BOX) == [(1,)]
    return noticed


@pytest.fixture
def line():
    with Line() as made:
        yield made


def test_e12_a_line_that_loses_everything_is_noticed_and_found_again(tmp_path, line):
    """E12: noticed within 1.5 times the keep-alive; the box comes back by itself, and nothing is lost or doubled."""
    noticed = a_line_that_dies(tmp_path, line, 1)
    print("noticed after", *(f"{each:.1f} s" for each in noticed))
    assert max(noticed) <= BOUND_S + LATE_S


@pytest.mark.campaign
def test_e12_five_times_in_a_row(tmp_path, line):
    """E12: again and again, at whatever moment of the uplink's rhythm."""
    noticed = a_line_that_dies(tmp_path, line, 5)
    print("noticed after", *(f"{each:.1f} s" for each in noticed))
    assert max(noticed) <= BOUND_S + LATE_S
