"""A box that hands out: what the keeper does for an export, call by call, and what an uplink would say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent import consignment
from agent.consignment import Where, Word
from agent.model import UTC_DAY_MS, Span, Trust, utc_day
from agent.storage.keep import outgoing, outgoing_desk, outgoing_rows
from agent.storage.keep.outgoing import Export, Exports
from agent.storage.keep.rollover import Rules
from agent.storage.proof import signing
from tests.unit.keep.kept import DAY_MS, RESPONSIBLE, Kept
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from pathlib import Path

    from agent.health import Raised
    from agent.storage.keep.outgoing_order import State

ID = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
MONTH_MS = 30 * DAY_MS
RULES = Rules({"cam1": MONTH_MS, "cam2": MONTH_MS}, MONTH_MS, RESPONSIBLE)


def wanted(export: str = ID, camera: str = "cam1", span: Span = Span(T0, T0 + 3000), **more: Any) -> Export:
    values = {
        "ground": "investigation",
        "purpose": "crime-prevention",
        "recipient": "강릉경찰서 형사과",
        "authority": "강릉경찰서 2026-1234",
        "due": utc_day(T0 + 40 * UTC_DAY_MS),
        "to": "mqtt",
        "person": "김OO",
    }
    return Export(export, camera, span, **{**values, **more})


class Handing(Kept):
    """Its clock stands at the end of what was recorded."""

    def request(self, export: Export | None = None, **more: Any) -> outgoing.Requested:
        with self.catalogue() as catalogue:
            return outgoing.request(catalogue, self.vaults, export or wanted(), self.at(), **more)

    def cancel(self, export: str = ID, **more: Any) -> outgoing.Cancelled:
        with self.catalogue() as catalogue:
            return outgoing.cancel(catalogue, self.state, export, self.at(), by="officer", **more)

    def received(self, export: str = ID, *, good: bool = True, **more: Any) -> State:
        """Do what a signed order of the centre does."""
        with self.catalogue() as catalogue:
            return outgoing.received(catalogue, export, self.at(), by="centre", good=good, **more)

    def destroyed(self, export: str = ID) -> bool:
        with self.catalogue() as catalogue:
            return outgoing.destroyed(catalogue, export, self.at(), by="officer", how="shredded")

    def hand(
        self, *, settled: bool = True, trust: Trust = Trust.SYNCED, step=lambda _: None, enough=lambda: False
    ) -> list[Raised]:
        """Let the keeper do everything that is due for exports."""
        exports = Exports(self.state, RULES, step, self.disk)
        key = signing.load_or_create(self.state, "box-1", self.disk)
        with self.catalogue() as catalogue:
            while True:
                raised = exports.turn(
                    catalogue, self.vaults, key, self.at(trust), settled=settled, enough=enough
                )
                if not exports.more:
                    return raised

    def say(self, where: Where, export: str = ID, *, gone: int = 0, **more: Any) -> None:
        """Speak as the uplink does."""
        place = self.state / "exchange" / "carried" / f"{export}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(consignment.encode_word(Word(export, where, gone=gone, **more)))

    def order(self, export: str = ID) -> consignment.Order | None:
        return outgoing_desk.order_of(self.state, export)

    def export(self, export: str = ID) -> outgoing_rows.Row:
        with self.catalogue() as catalogue:
            row = outgoing_rows.find(catalogue, export)
        assert row is not None
        return row

    def bundle(self, export: str = ID) -> Path:
        return self.vault_path / "outgoing" / export

    def outgoing(self) -> list[str]:
        return self.names("outgoing")

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [body for each, body in self.facts() if each == kind]

    def vkey(self) -> str:
        return (self.state / "keys" / "box.vkey").read_text()


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())
