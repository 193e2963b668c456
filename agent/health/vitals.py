"""Judge the machine's vital signs. Pure: `agent/vitals.py` reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.health.registry import Raised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOT_CELSIUS = 85
"""For a sensor that names no limit of its own: processors of such boxes slow down from 90 or 100 on."""
COOLER_CELSIUS = 5  # a condition goes that far below where it came
BELIEVED_CELSIUS = range(1, 120)
"""What lies outside is a sensor that is not connected: they say 0, -128 or 127."""
BELIEVED_LIMITS = range(45, 111)
BUSY_PERCENT, CALM_PERCENT = 90, 75
SHORT_PERCENT, AMPLE_PERCENT = 90, 85


@dataclass(frozen=True, slots=True)
class Temperature:
    """What one sensor says.

    celsius        as read, which may be nonsense
    limit_celsius  from where its maker calls it hot, None where it does not say
    """

    sensor: str
    celsius: float
    limit_celsius: float | None = None

    @property
    def limit(self) -> float:
        """Return from where on it is hot."""
        if self.limit_celsius is None or int(self.limit_celsius) not in BELIEVED_LIMITS:
            return HOT_CELSIUS
        return self.limit_celsius

    @property
    def left(self) -> float:
        """Return how far below its limit it is."""
        return self.limit - self.celsius


@dataclass(frozen=True, slots=True)
class Readings:
    """The machine at one moment; None for what it does not tell.

    cpu_percent      since the reading before, None for the first
    memory_percent   of what programs can have, as the kernel reckons it
    load_hundredths  over 1, 5 and 15 minutes
    throttles        how often the processor slowed itself down since boot
    is_slowed        whether it does so now
    low_voltage      whether a sensor of the supply gives alarm
    on_battery       whether the mains is gone
    """

    cpu_percent: int | None
    memory_percent: int
    swap_percent: int
    load_hundredths: Sequence[int]
    uptime_s: int
    temperatures: Sequence[Temperature] = ()
    throttles: int | None = None
    is_slowed: bool | None = None
    low_voltage: bool | None = None
    on_battery: bool | None = None
    battery_percent: int | None = None

    def hottest(self) -> Temperature | None:
        """Return the sensor that is nearest to its limit, or furthest above it."""
        found = [each for each in self.temperatures if int(each.celsius) in BELIEVED_CELSIUS]
        return min(found, key=lambda each: each.left, default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the part of the health file."""
        hottest = self.hottest()
        return {
            "cpu_percent": self.cpu_percent,
            "memory_percent": self.memory_percent,
            "swap_percent": self.swap_percent,
            "load_hundredths": [*self.load_hundredths],
            "uptime_s": self.uptime_s,
            "hottest": hottest
            and {
                "sensor": hottest.sensor,
                "celsius": round(hottest.celsius),
                "limit_celsius": round(hottest.limit),
            },
            "throttles": self.throttles,
            "is_slowed": self.is_slowed,
            "low_voltage": self.low_voltage,
            "on_battery": self.on_battery,
            "battery_percent": self.battery_percent,
        }


@dataclass(slots=True)
class Judge:
    """Says what is wrong with a row of readings. What came goes only when it is clearly over."""

    _on: set[str] = field(default_factory=set)
    _throttles: int | None = None

    def judge(self, seen: Readings) -> list[Raised]:
        """Take the next reading; return all that holds."""
        return [*self._judge(seen)]

    def _judge(self, seen: Readings) -> Iterator[Raised]:
        hottest = seen.hottest()
        if hottest is not None and self._is("box.hot", -hottest.left, 0, -COOLER_CELSIUS):
            yield Raised("box.hot", detail=f"{hottest.sensor}: {round(hottest.celsius)} C")
        before, self._throttles = self._throttles, seen.throttles
        more = before is not None and seen.throttles is not None and seen.throttles > before
        if more or seen.is_slowed:
            yield Raised("box.throttled")
        if seen.low_voltage:
            yield Raised("box.power_low")
        if seen.on_battery:
            percent = seen.battery_percent
            yield Raised("box.on_battery", detail="" if percent is None else f"{percent} %")
        if self._is("box.memory_short", seen.memory_percent, SHORT_PERCENT, AMPLE_PERCENT):
            yield Raised("box.memory_short", detail=f"{seen.memory_percent} %")
        busy = seen.cpu_percent
        if busy is not None and self._is("box.processor_busy", busy, BUSY_PERCENT, CALM_PERCENT):
            yield Raised("box.processor_busy", detail=f"{busy} %")

    def _is(self, code: str, value: float, comes: float, goes: float) -> bool:
        """Tell whether a value is too high: from `comes` on, until it is below `goes`."""
        if value >= (goes if code in self._on else comes):
            self._on.add(code)
        else:
            self._on.discard(code)
        return code in self._on
