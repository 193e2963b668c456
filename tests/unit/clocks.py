"""Clocks that a test sets."""

from __future__ import annotations

T0 = 1_800_000_000_000


class FakeSource:
    """A machine's clocks: time goes by only by `run`."""

    def __init__(self, utc_ms: int = T0, *, synced: bool = False) -> None:
        self.boot = "boot-1"
        self.boot_at = 20_000
        self.utc = utc_ms
        self.synced = synced
        self.slept = 0

    def boot_id(self) -> str:
        return self.boot

    def boot_ms(self) -> int:
        return self.boot_at

    def utc_ms(self) -> int:
        return self.utc

    def slept_ms(self) -> int:
        return self.slept

    def kernel_synced(self) -> bool:
        return self.synced

    def run(self, ms: int) -> None:
        """Let time go by."""
        self.boot_at += ms
        self.utc += ms

    def sleep(self, ms: int) -> None:
        """Suspend the box: when it wakes, its battery clock says that so much has gone by."""
        self.slept += ms
        self.run(ms)

    def step(self, ms: int) -> None:
        """Set the real clock by so much."""
        self.utc += ms

    def reboot(self, off_ms: int = 0, *, utc_ms: int | None = None, synced: bool = False) -> None:
        """Start again after a while, with the real clock going on or starting at utc_ms."""
        self.boot += "x"
        self.boot_at = 20_000
        self.slept = 0
        self.utc = utc_ms if utc_ms is not None else self.utc + off_ms
        self.synced = synced
