"""How long each disk holds what is recorded, told days before it is too short (K6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.health import Raised
from agent.storage.keep import survey
from agent.storage.keep.stock import FRESH_MS, Forecast, Stock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.retention import View
    from agent.storage.keep.rollover import Rules

SLACK_TENTHS = 3
"""`vault.retention_short` goes away that far above where it came."""


class Outlook:
    """The forecasts, by vault."""

    def __init__(self, rules: Rules) -> None:
        """Know nothing yet."""
        self.forecasts: dict[str, Forecast] = {}
        self._rules = rules
        self._stock = Stock(rules.longest_ms, rules.hours)
        self._short: set[str] = set()
        self._held: dict[str, int] = {}
        self._held_ms: int | None = None

    @property
    def rates(self) -> dict[str, int]:
        """Return the bytes per day that each vault takes, as far as known."""
        return {uuid: forecast.bytes_per_day for uuid, forecast in self.forecasts.items()}

    def forget(self, evicted: Iterable[tuple[str, int]]) -> None:
        """Count days anew from which segments were erased before their time: camera and start of each."""
        for camera, start_ms in evicted:
            self._stock.forget(camera, start_ms)

    def advance(
        self, catalogue: Catalogue, view: View, now: Instant, enough: Callable[[], bool]
    ) -> list[Raised]:
        """Count what is due, forecast anew when all is counted, and say which vault is too small.

        Raises  StorageFault
        """
        if self._stock.advance(catalogue, catalogue.cameras(), now.utc_ms, enough):
            if self._held_ms is None or not 0 <= now.utc_ms - self._held_ms < FRESH_MS:
                self._held = survey.held_bytes(catalogue, now.utc_ms - self._rules.longest_ms)
                self._held_ms = now.utc_ms
            self.forecasts = {
                uuid: forecast
                for uuid, spare in self._spare(view)
                if (forecast := self._forecast(uuid, spare, now))
            }
        return [*self._too_short()]

    def _forecast(self, vault: str, spare_bytes: int, now: Instant) -> Forecast | None:
        return self._stock.forecast(vault, now.utc_ms, self._rules.retention_of, spare_bytes)

    def _spare(self, view: View) -> Iterable[tuple[str, int]]:
        for vault in view.vaults:
            free = vault.room.free_bytes
            if free is not None:
                held = self._held.get(vault.uuid, 0)
                yield vault.uuid, free + vault.room.scheduled_bytes - vault.bytes.low - held

    def _too_short(self) -> Iterable[Raised]:
        for uuid, forecast in self.forecasts.items():
            if not forecast.steady:  # a quarter of an hour of rain is no reason to buy a disk
                continue
            limit = forecast.allowed_tenths + (SLACK_TENTHS if uuid in self._short else 0)
            if forecast.day_tenths < limit:
                self._short.add(uuid)
                tenths = forecast.day_tenths
                yield Raised("vault.retention_short", uuid, f"{tenths // 10}.{tenths % 10} days")
            else:
                self._short.discard(uuid)
