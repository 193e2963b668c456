"""E1, E3: whatever is sent again, swapped, doubled, cut off by a restart or a lost catalogue, no command runs twice.

The model is the simplest there can be: which letters did what they say. A lockdown switched on and a key revoked cannot
be counted by looking, so each letter revokes a key of its own, and the facts of both ledgers are counted.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.keep.ordered import Ordered

if TYPE_CHECKING:
    from pathlib import Path

SIGNERS = ("officer 1", "department 1", "officer 2", "department 2")


class Attack:
    """A broker that keeps every letter, and sends what it likes; a box that is restarted and loses its catalogue."""

    def __init__(self, root: Path, seed: int, *, forgetful: bool = False) -> None:
        self.chance = random.Random(seed)
        self.forgetful = forgetful
        self.box = Ordered(root)
        self.letters: list[str] = []
        self.ran: Counter[str] = Counter()
        self.told = 0
        self.sent = 0
        self.losses = 0

    def sign(self) -> None:
        """Let somebody sign another letter, some of them expired, ahead of time, or for another box."""
        chance = self.chance
        number = len(self.letters) + 1
        more: dict[str, Any] = {}
        if chance.random() < 0.05:
            more["box"] = "gn-0008"
        if chance.random() < 0.05:
            more["issued_ms"] = self.box.clock.utc_ms - chance.choice([-600_000, 90_000_000])
        first, second = chance.sample(SIGNERS, 2)
        text = self.box.sign(first, "key.revoke", {"kid": f"{number:016x}"}, **more)
        if chance.random() < 0.95:  # the box does not know the key: it takes two
            text = self.box.sign(second, "countersign", {"order": text})
        self.letters.append(text)

    def act(self) -> None:
        """Do one thing: mostly send something again."""
        chance, box = self.chance, self.box
        dice = chance.random()
        if dice < 0.10 or not self.letters:
            self.sign()
            # The newest first, or one of those before it: swapped, in part never sent at first.
            box.put(chance.choice(self.letters[-3:]))
            self.sent += 1
        elif dice < 0.93:
            for _ in range(chance.randint(1, 8)):
                text = chance.choice(self.letters)
                if chance.random() < 0.05:
                    place = chance.randrange(len(text))
                    text = text[:place] + chance.choice("Aa0-_.") + text[place + 1 :]
                box.put(text, retained=chance.random() < 0.05)
                self.sent += 1
        elif dice < 0.955:
            box.pass_time(chance.choice([1000, 15_000, 70_000, 3_600_000]))
        elif dice < 0.985:
            box.restart()
        else:
            self.lose()
        box.tick(chance.randint(0, 2))
        box.replies()

    def lose(self) -> None:
        """Lose the catalogue; what its ledger said is counted first."""
        self.losses += 1
        self.count()
        box = self.box
        box.keeper.close()
        for path in box.state.glob("catalogue.db*"):
            path.unlink()
        shutil.rmtree(box.state / "open", ignore_errors=True)
        box.prepare()
        self.told = 0
        if self.forgetful:
            (box.state / "centre/counters.json").write_text('{"v":1,"forgotten":false,"counters":{}}')
        box.start()

    def count(self) -> None:
        """Add what this ledger says was done."""
        with self.box.catalogue() as catalogue:
            rows = catalogue.read(
                "SELECT seq, body FROM ledger WHERE kind = 'rights.changed' AND seq > ? ORDER BY seq",
                (self.told,),
            )
        for seq, body in rows:
            self.told = seq
            self.ran[json.loads(body)["kid"]] += 1

    def finish(self) -> None:
        for _ in range(5):
            self.box.tick(15)
            self.box.pass_time(61_000)
        self.count()
        self.box.keeper.close()


def attack(root: Path, seed: int, replays: int, *, forgetful: bool = False) -> Attack:
    found = Attack(root, seed, forgetful=forgetful)
    while found.sent < replays:
        found.act()
    found.finish()
    twice = {kid: count for kid, count in found.ran.items() if count > 1}
    assert twice == {}, f"seed {seed}"
    return found


def test_e1_five_thousand_replays_run_nothing_twice(tmp_path: Path) -> None:
    found = attack(tmp_path, seed=20261122, replays=5000)
    # It attacked, and the box was not deaf.
    assert len(found.ran) > 50
    assert found.losses > 3
    assert found.sent >= 5000


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(20))
def test_e1_a_hundred_thousand_replays_run_nothing_twice(tmp_path: Path, seed: int) -> None:
    found = attack(tmp_path, seed=seed, replays=5000)
    print(f"seed {seed}: {found.sent} letters, {len(found.ran)} commands ran, {found.losses} catalogues lost")
    assert len(found.ran) > 50


def test_e1_the_attack_sees_a_box_that_forgets(tmp_path: Path) -> None:
    """Without what outlives the catalogue the same attack runs letters again: the test can fail."""
    with pytest.raises(AssertionError, match="seed"):
        attack(tmp_path, seed=1, replays=3000, forgetful=True)
