"""A bell on a GPIO line is heard: each press once, however its contact bounces.

Set-up    either a kernel with gpio-sim (CONFIG_GPIO_SIM, Linux 5.17 and later; configfs mounted), as root: then the
          line is made up by the kernel; or a real line with a button, named with --chip and --line. Pasu installed in
          this environment.
Run       python hardware_tests/gpio_line.py [--chip gpiochip0 --line 17 --edge falling --presses 10]
Expected  as many edges as presses; with gpio-sim also: of a level that holds for 5 ms none, and none of the wrong edge;
          a line that another has is told as such; a chip that goes away is told, and found again.
Writes    docs/evidence/hardware/gpio-line-<machine>.md
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import time
from pathlib import Path

from bench import conclude, need, options, run

from agent.capture.gpio import Line

CONFIGFS = Path("/sys/kernel/config/gpio-sim")
HOLD_S = 0.2  # longer than the debouncing


class Simulated:
    """A chip of gpio-sim with four lines."""

    def __init__(self) -> None:
        self._place = CONFIGFS / "pasu-test"
        (self._place / "bank0").mkdir(parents=True)
        (self._place / "bank0" / "num_lines").write_text("4")
        self._switch(on=True)

    def _switch(self, *, on: bool) -> None:
        (self._place / "live").write_text("1" if on else "0")
        if on:
            self.chip = (self._place / "bank0" / "chip_name").read_text().strip()
            device = (self._place / "dev_name").read_text().strip()
            self._lines = Path("/sys/devices/platform") / device / self.chip

    def level(self, line: int, *, high: bool) -> None:
        (self._lines / f"sim_gpio{line}" / "pull").write_text("pull-up" if high else "pull-down")

    def unplug(self) -> None:
        self._switch(on=False)

    def plug(self) -> None:
        self._switch(on=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._switch(on=False)
        (self._place / "bank0").rmdir()
        self._place.rmdir()


def heard(line: Line, wait_s: float) -> int:
    """Return how many edges came within a while."""
    until, count = time.monotonic() + wait_s, 0
    while (left := until - time.monotonic()) > 0:
        number = line.fileno()
        assert number is not None, line.away
        if select.select([number], [], [], left)[0]:
            count += line.edges()
            if line.away:
                break
    return count


def opened(chip: str, number: int, edge: str) -> Line:
    line = Line(chip, number, edge)
    line.turn(0.0)
    return line


def simulated(presses: int) -> list[str]:
    chip = Simulated()
    found = []
    try:
        chip.level(1, high=True)
        for edge, wanted in (("falling", presses), ("rising", presses), ("both", 2 * presses)):
            line = opened(chip.chip, 1, edge)
            assert not line.away, line.away
            for _ in range(presses):
                for high in (False, True):
                    chip.level(1, high=high)
                    time.sleep(HOLD_S)
            got = heard(line, 1.0)
            assert got == wanted, f"{edge}: {got} of {wanted}"
            found.append(f"{edge}: {presses} presses, {got} edges")
            for high in (False, True) * 5:  # 5 ms each: it bounces
                chip.level(1, high=high)
                time.sleep(0.005)
            bounced = heard(line, 1.0)
            assert bounced == 0, f"{edge}: {bounced} edges of a bouncing contact"
            found.append(f"{edge}: ten levels of 5 ms, 0 edges")
            other = opened(chip.chip, 1, edge)
            assert other.away == "another program has it", other.away
            line.close()
        line = opened(chip.chip, 1, "falling")
        chip.unplug()
        heard(line, 5.0)
        assert line.away == "the chip is gone", line.away
        chip.plug()
        line = opened(chip.chip, 1, "falling")
        assert not line.away, line.away
        line.close()
        found.append("chip taken away and put back: told, and found again")
    finally:
        chip.close()
    return found


def real(chip: str, number: int, edge: str, presses: int) -> list[str]:
    line = opened(chip, number, edge)
    assert not line.away, line.away
    found = []
    for press in range(1, presses + 1):
        print(f"press and let go: {press} of {presses}", flush=True)
        got = 0
        while not got:
            got = heard(line, 1.0)
        got += heard(line, 1.0)
        found.append(f"press {press}: {got} edges")
        assert got == (2 if edge == "both" else 1), found[-1]
    line.close()
    return found


def test() -> int:
    given = options(
        __doc__,
        ("--chip", {"help": "a real chip; without it gpio-sim"}),
        ("--line", {"type": int, "default": 17}),
        ("--edge", {"default": "falling", "choices": ("falling", "rising", "both")}),
        ("--presses", {"type": int, "default": 10}),
    )
    if given.chip:
        what = f"{given.chip} line {given.line}, {given.edge}"
        found = real(given.chip, given.line, given.edge, given.presses)
    else:
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["modprobe", "gpio-sim"], check=False, capture_output=True)
        need(
            CONFIGFS.exists(),
            "no gpio-sim in this kernel (or not root, or no configfs): name a real line with --chip",
        )
        what, found = "gpio-sim", simulated(given.presses)
    return conclude(given, f"A GPIO line: {what}", dict(enumerate(found, 1)), True)


if __name__ == "__main__":
    run(test)
