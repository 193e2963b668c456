"""A box that a city commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from agent.command import jws
from agent.model import canonical_json
from agent.storage.keep.keeper import Keeper
from agent.storage.keep.rollover import Rules
from agent.storage.keep.time import TimeKeeper
from tests.city import City
from tests.unit.keep.keeping import MONTH_MS, Kept30
from tests.unit.keep.kept import RESPONSIBLE
from tests.unit.storage.box import T0

BOX = "box-1"
REPLY = json.loads((Path(__file__).parents[3] / "docs/schemas/reply.json").read_text())
UPLINKS = "A" * 86
"""What the uplink adds as it sends one."""


class Ordered(Kept30):
    """Its keeper takes commands; `replies` are what the uplink would send."""

    def __init__(self, root: Path, **more: Any) -> None:
        self.config_file = root / "agent.toml"
        super().__init__(root, **more)
        self.city = City(now_ms=T0)
        self.city.staff()
        self.city.enrol(self.state)
        (self.state / "exchange" / "orders").mkdir(parents=True)
        self.letters = 0
        self.keeper.tick()

    def start(self, *, step=None, retention: dict[str, int] | None = None) -> Keeper:
        self.keeper = Keeper(
            BOX,
            Rules(retention or dict.fromkeys(self.cameras, MONTH_MS), MONTH_MS, RESPONSIBLE),
            self.state,
            [self.vault_path],
            TimeKeeper(self.state, disk=self.disk, source=self.source),
            config=self.config_file,
            run=self.run,
            disk=self.disk,
            monotonic=lambda: self.source.boot_at / 1000,
            step=step or self.steps.append,
        )
        return self.keeper

    def restart(self, **more: Any) -> None:
        self.keeper.close()
        self.start(**more)

    def sign(self, signer: str, command: str, arguments: dict[str, Any] | None = None, **more: Any) -> str:
        self.city.now_ms = self.clock.utc_ms
        values = {"box": BOX, "issued_ms": self.clock.utc_ms} | more
        return self.city.order(signer, command, arguments or {}, **values)

    def put(self, text: str, *, retained: bool = False) -> Path:
        """Do what the uplink does with a command that arrived."""
        self.letters += 1
        place = self.state / "exchange" / "orders" / f"{self.letters:016x}-{0:08x}.json"
        body = {"jws": text, "retained": retained, "received_ms": self.clock.utc_ms, "over": "mqtt"}
        place.write_text(json.dumps(body))
        return place

    def send(self, signer: str, command: str, arguments: dict[str, Any] | None = None, **more: Any) -> str:
        """Sign and put; return the id."""
        text = self.sign(signer, command, arguments, **more)
        self.put(text)
        return str(jws.peek(text)[1]["id"])

    def send_two(self, first: str, second: str, command: str, arguments: dict[str, Any], **more: Any) -> str:
        inner = self.sign(first, command, arguments, **more)
        return self.send(second, "countersign", {"order": inner})

    def tick(self, times: int = 1) -> None:
        """Let the keeper take turns, a second apart."""
        for _ in range(times):
            self.pass_time(1000)
            self.keeper.tick()

    def replies(self) -> list[dict[str, Any]]:
        """Take the replies away, as the uplink does, oldest first."""
        folder = self.state / "exchange" / "replies"
        found = []
        for path in sorted(folder.glob("*.json")) if folder.exists() else []:
            text = path.read_text()
            found.append(json.loads(text))
            assert canonical_json(found[-1]) == text
            jsonschema.validate(found[-1] | {"sig": UPLINKS}, REPLY)
            path.unlink()
        return found

    def answer(self, name: str) -> dict[str, Any]:
        """Let the keeper work until it has said everything it has to say of a command now; return the last reply."""
        self.tick()
        mine = [reply for reply in self.replies() if reply["id"] == name]
        assert mine, "no reply"
        return mine[-1]

    def ask(
        self, signer: str, command: str, arguments: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Send, and return the last reply."""
        return self.answer(self.send(signer, command, arguments, **more))

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [body for name, body in self.facts() if name == kind]

    @property
    def health(self) -> dict[str, Any]:
        return json.loads((self.run / "keep.json").read_text())

    @property
    def waiting(self) -> list[str]:
        return sorted(path.name for path in (self.state / "exchange" / "orders").iterdir())
