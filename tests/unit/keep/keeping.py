"""A box with a keeper, and clocks that a test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.storage.keep.keeper import Keeper
from agent.storage.keep.rollover import Rules
from agent.storage.keep.time import TimeKeeper
from tests.unit.clocks import FakeSource
from tests.unit.keep.kept import DAY_MS, RESPONSIBLE, Kept
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from pathlib import Path

MONTH_MS = 30 * DAY_MS


class Kept30(Kept):
    """Its recorder and its keeper read the same clocks."""

    def __init__(self, root: Path, *, cameras: tuple[str, ...] = ("cam1", "cam2"), **more: Any) -> None:
        super().__init__(root, cameras=cameras, **more)
        self.source = FakeSource(utc_ms=T0, synced=True)
        self.run = root / "run"
        self.run.mkdir()
        self.steps: list[str] = []
        self.keeper = self.start()
        # It was there when the vault was made: a month before its first look would be a month it knows nothing of.
        self.keeper._clock.observe()

    def start(self, *, step=None, retention: dict[str, int] | None = None) -> Keeper:
        return Keeper(
            "box-1",
            Rules(retention or {"cam1": MONTH_MS, "cam2": MONTH_MS}, MONTH_MS, RESPONSIBLE),
            self.state,
            [self.vault_path],
            TimeKeeper(self.state, disk=self.disk, source=self.source),
            run=self.run,
            disk=self.disk,
            monotonic=lambda: self.source.boot_at / 1000,
            step=step or self.steps.append,
        )

    def pass_time(self, ms: int) -> None:
        """Let time pass; the clock stays right."""
        self.source.run(ms)
        self.clock.utc_ms = self.source.utc

    def turn(self, times: int = 1) -> None:
        """Let the keeper take whole cycles, and all the work that is left over from each."""
        for _ in range(times):
            self.pass_time(10_000)
            while self.keeper.tick() == 0:
                pass

    @property
    def conditions(self) -> dict[str, str]:
        """Return code and subject of what holds, with its detail."""
        return {
            f"{each['code']} {each['subject']}".strip(): each["detail"]
            for each in self.keeper._teller.tracker.to_json()
        }
