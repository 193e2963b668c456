"""What the keeper says of the machine: vital signs, disks, and power that comes and goes."""

from __future__ import annotations

import pytest

from agent.health import Raised, read_health
from agent.model import Fact
from tests.unit.keep.keeping import Kept30
from tests.unit.keep.kept import DAY_MS


class Watched(Kept30):
    """Its machine says what a test wants."""

    def __init__(self, *args, **more):
        self.raised: list[Raised] | OSError = []
        super().__init__(*args, **more)

    def look(self, boot_s: float):
        if isinstance(self.raised, OSError):
            raise self.raised
        return self.raised, {"vitals": {"cpu_percent": 7}, "disks": None}

    def start(self, **more):
        keeper = super().start(**more)
        keeper._watch = self.look
        return keeper


@pytest.fixture
def box(tmp_path):
    made = Watched(tmp_path / "box")
    yield made
    made.keeper.close()


def test_the_machine_stands_in_the_keepers_health(box):
    box.raised = [Raised("box.on_battery", detail="63 %"), Raised("box.hot", detail="cpu: 90 C")]
    box.turn()
    health = read_health(box.run, "keep")
    assert (health["vitals"], health["disks"]) == ({"cpu_percent": 7}, None)
    assert health["version"]
    assert box.conditions == {"box.on_battery": "63 %"}, "a hot box is told after a minute"
    box.turn(6)
    assert "box.hot" in box.conditions
    box.raised = []
    box.turn()
    assert box.conditions == {}
    told = [(kind, body["code"]) for kind, body in box.facts() if kind.startswith("condition")]
    assert told == [
        ("condition.raised", "box.on_battery"),
        ("condition.raised", "box.hot"),
        ("condition.cleared", "box.on_battery"),
        ("condition.cleared", "box.hot"),
    ]


def test_a_machine_that_cannot_be_read_stops_nothing(box):
    box.record()
    box.raised = OSError(5, "sensor")
    box.pass_time(30 * DAY_MS)
    box.turn(2)
    assert box.conditions == {"keeper.trouble machine": "OSError"}
    assert [*box.states().values()] == ["GONE"]


def test_power_that_came_and_went_is_told_for_a_day(box):
    box.turn()
    assert box.conditions == {}
    with box.catalogue() as catalogue:
        catalogue.add_fact(Fact("box.flapping", box.at(), {"starts": 5, "within_s": 600}))
    box.turn()
    assert box.conditions == {"box.power_flapping": ""}
    box.pass_time(DAY_MS)
    box.turn()
    assert box.conditions == {}
