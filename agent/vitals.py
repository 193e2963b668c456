"""Read the machine's vital signs: processor, memory, temperatures, power. Without a network, and without rights.

What a machine does not tell is None: no machine has all of it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from agent.health import Raised, read_health
from agent.health.smart import judge_all
from agent.health.vitals import Judge, Readings, Temperature

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SYS = Path("/sys")
PERIOD_S = 10.0
SLOWING = ("cpufreq", "Processor")
"""Kinds of `cooling_device` that cool by slowing the processor down; the others are fans."""


class Vitals:
    """Reads them; each reading of the processor is over the time since the one before."""

    def __init__(self, sys: Path = SYS) -> None:
        """Begin to count. `sys` is where the kernel shows its devices."""
        self._sys = sys
        self._counted = False

    def read(self) -> Readings:
        """Read all of it. Raises OSError, psutil.Error"""
        cpu = psutil.cpu_percent()
        counted, self._counted = self._counted, True
        mains, battery = self._supplies()
        return Readings(
            cpu_percent=round(cpu) if counted else None,
            memory_percent=round(psutil.virtual_memory().percent),
            swap_percent=round(psutil.swap_memory().percent),
            load_hundredths=[round(100 * load) for load in psutil.getloadavg()],
            uptime_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
            temperatures=[*_temperatures()],
            throttles=_sum(self._numbers("devices/system/cpu/cpu*/thermal_throttle/*_throttle_count")),
            is_slowed=self._is_slowed(),
            # Only the alarm of too little: boards have others that are on for ever, since nobody set their limits.
            low_voltage=_any(number > 0 for number in self._numbers("class/hwmon/hwmon*/in*_lcrit_alarm")),
            on_battery=None if mains is None or battery is None else not mains,
            battery_percent=battery,
        )

    def _is_slowed(self) -> bool | None:
        states = []
        for kind in self._sys.glob("class/thermal/cooling_device*/type"):
            if any(word in _text(kind) for word in SLOWING):
                states += [*_numbers([kind.with_name("cur_state")])]
        return _any(state > 0 for state in states)

    def _supplies(self) -> tuple[bool | None, int | None]:
        """Return whether the mains is there, and how full the box's battery is, in percent."""
        mains: bool | None = None
        battery: int | None = None
        for kind in self._sys.glob("class/power_supply/*/type"):
            if _text(kind.with_name("scope")) == "Device":
                continue  # the battery of a mouse
            if _text(kind) in ("Mains", "USB"):
                for online in _numbers([kind.with_name("online")]):
                    mains = bool(mains) or online > 0
            elif _text(kind) in ("Battery", "UPS"):
                battery = next(_numbers([kind.with_name("capacity")]), battery)
        return mains, battery

    def _numbers(self, pattern: str) -> Iterator[int]:
        return _numbers(self._sys.glob(pattern))


class Watch:
    """Looks at the machine and at what its disks say of themselves, from time to time."""

    def __init__(self, run: Path | None, vitals: Vitals | None = None) -> None:
        """Look at nothing yet. `run` is where `pasu disks` leaves its file; None when there is no such place."""
        self._run = run
        self._vitals = vitals or Vitals()
        self._judge = Judge()
        self._due = 0.0
        self._raised: list[Raised] = []
        self._hot: set[str] = set()
        self._body: dict[str, Any] = {"vitals": None, "disks": None}

    def look(self, boot_s: float) -> tuple[list[Raised], dict[str, Any]]:
        """Look, if it is time for that; return what is wrong, and for the health file `vitals` and `disks`.

        boot_s  now, seconds since boot, sleep included
        Raises  OSError, psutil.Error
        """
        if boot_s >= self._due:
            self._due = boot_s + PERIOD_S
            seen = self._vitals.read()
            disks = read_health(self._run, "disks") if self._run else None
            raised, self._hot = judge_all(disks, boot_s, self._hot)
            self._raised = [*self._judge.judge(seen), *raised]
            self._body = {"vitals": seen.to_json(), "disks": disks and disks.get("disks")}
        return self._raised, self._body


def _temperatures() -> Iterator[Temperature]:
    for chip, sensors in psutil.sensors_temperatures().items():
        for each in sensors:
            limit = each.high or (each.critical - 10 if each.critical else None)
            yield Temperature(f"{chip} {each.label}".strip(), each.current, limit)


def _numbers(files: Iterable[Path]) -> Iterator[int]:
    for file in files:
        try:
            yield int(_text(file))
        except ValueError:  # empty: it could not be read
            continue


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # a sensor that does not answer says nothing
        return ""


def _sum(numbers: Iterable[int]) -> int | None:
    found = [*numbers]
    return sum(found) if found else None


def _any(signs: Iterable[bool]) -> bool | None:
    found = [*signs]
    return any(found) if found else None
