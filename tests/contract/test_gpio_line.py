"""A GPIO line: the same suite against a stand-in for the kernel's call. The kernel's own: hardware_tests/gpio_line.py."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import struct
from typing import TYPE_CHECKING

import pytest

from agent.capture import gpio_abi
from agent.capture.gpio import AGAIN_S, DEBOUNCE_US, Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Kernel:
    """Answers GPIO_V2_GET_LINE_IOCTL with one end of a pipe, and puts edges into the other."""

    def __init__(self) -> None:
        self.refuses = 0
        self.asked: list[bytes] = []
        self._edges = -1
        self._serial = 0

    def ioctl(self, _chip: int, number: int, asked: bytearray) -> int:
        assert number == gpio_abi.GET_LINE
        self.asked.append(bytes(asked))
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        reading, self._edges = os.pipe()
        self._serial = 0
        struct.pack_into("=i", asked, gpio_abi.FD_AT, reading)
        return 0

    def edge(self, times: int = 1, *, lost: int = 0) -> None:
        self._serial += lost
        for _ in range(times):
            self._serial += 1
            os.write(self._edges, struct.pack("=QIIII6I", 1, 2, 17, 1, self._serial, *[0] * 6))

    def unplug(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._edges)
        self._edges = -1


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    (tmp_path / "gpiochip0").touch()
    stand_in = Kernel()
    yield stand_in
    stand_in.unplug()


@pytest.fixture
def line(tmp_path: Path, kernel: Kernel) -> Iterator[Line]:
    opened = Line("gpiochip0", 17, "falling", devices=tmp_path, ioctl=kernel.ioctl)
    yield opened
    opened.close()


def test_each_edge_counts(line: Line, kernel: Kernel) -> None:
    assert line.fileno() is None
    assert line.edges() == 0
    line.turn(0.0)
    assert line.away == ""
    number = line.fileno()
    assert number is not None
    assert line.edges() == 0
    kernel.edge()
    assert select.select([number], [], [], 10)[0]
    assert line.edges() == 1
    kernel.edge(3)
    assert line.edges() == 3
    kernel.edge(200)
    assert sum(line.edges() for _ in range(5)) == 200
    assert kernel.asked == [bytes(gpio_abi.request(17, "falling", "pasu", DEBOUNCE_US))]


def test_edges_that_the_kernel_had_no_room_for_count_too(line: Line, kernel: Kernel) -> None:
    line.turn(0.0)
    kernel.edge(2)
    kernel.edge(1, lost=40)
    assert line.edges() == 43


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EBUSY, "another program has it"),
        (errno.EINVAL, "no such line"),
        (errno.ENOTTY, "not a chip"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_line_that_is_refused_is_asked_for_again(line: Line, kernel: Kernel, number: int, why: str) -> None:
    kernel.refuses = number
    line.turn(0.0)
    assert line.away == why
    kernel.refuses = 0
    line.turn(AGAIN_S - 0.1)
    assert line.away == why
    assert len(kernel.asked) == 1
    line.turn(AGAIN_S)
    assert line.away == ""


def test_a_chip_that_is_not_there(tmp_path: Path, kernel: Kernel) -> None:
    gone = Line("gpiochip7", 1, "both", devices=tmp_path, ioctl=kernel.ioctl)
    gone.turn(0.0)
    assert gone.away == "no such chip"
    assert not kernel.asked


def test_a_chip_that_goes_and_comes(line: Line, kernel: Kernel) -> None:
    line.turn(0.0)
    kernel.edge()
    kernel.unplug()
    assert line.edges() == 1
    assert line.edges() == 0
    assert line.away == "the chip is gone"
    assert line.fileno() is None
    line.turn(AGAIN_S)
    assert line.away == ""
    kernel.edge(2)
    assert line.edges() == 2


def test_a_real_file_is_no_chip(tmp_path: Path) -> None:
    """The real call, as far as it goes without a chip."""
    (tmp_path / "gpiochip0").touch()
    none = Line("gpiochip0", 1, "rising", devices=tmp_path)
    none.turn(0.0)
    assert none.away == "not a chip"
