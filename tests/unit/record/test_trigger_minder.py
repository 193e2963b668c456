"""What the configuration and secrets.toml say of triggers, as the process that listens is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from agent.capture.trigger_minder import AWAY, REACTION_S, TriggerMinder, past_of, triggers_of
from agent.capture.triggers import Trigger
from agent.clock import SystemClock
from agent.config import Login, Secrets, load
from tests.unit.clocks import FakeSource

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import Config

TEXT = """
[box]
id = "gn-0007"
site = "시험"
operator = "강릉시"
contact = "033-000-0000"
[storage]
vault = "{place}/vault"
state = "{place}/state"
recipients = ["age1mxdx3dknvr6lmqtwdshxw650ye3c7wcqlnehytsg4q6za5rk4eaq9k23xx"]
[uplink]
broker = "mqtts://10.77.0.1:8883"
media = "rtsp://10.77.0.1:8554"
"""
CAMERA = """
[[camera]]
id = "{id}"
name = "{id}"
url = "rtsp://10.0.0.11/main"
purpose = "crime-prevention"
legal_basis = "법"
"""


def config(place: Path, triggers: str) -> Config:
    file = place / "agent.toml"
    cameras = "".join(CAMERA.format(id=name) for name in ("cam01", "cam02", "cam03"))
    file.write_text(TEXT.format(place=place) + cameras + triggers)
    return load(file)


def trigger(name: str, source: str, cameras: str = "[]", before_s: int = 0, more: str = "") -> str:
    return (
        f'[[trigger]]\nid = "{name}"\nname = "{name}"\nsource = "{source}"\ncameras = {cameras}\n'
        f"before_s = {before_s}\n{more}"
    )


def test_each_is_told_what_it_needs_and_a_log_in_goes_by_the_brokers_address(tmp_path: Path) -> None:
    text = trigger("bell", "mqtt://10.0.0.5/site/bell", '["cam01"]', 5, 'payload = "누름"\n')
    text += trigger("other", "mqtt://10.0.0.6:1884/x")
    text += trigger("door", "gpio://gpiochip0/17?edge=both", '["cam02"]')
    secrets = Secrets({}, {"10.0.0.5": Login("pasu", "word")})
    assert triggers_of(config(tmp_path, text), secrets) == [
        Trigger(
            "bell", "mqtt", ("10.0.0.5", 1883, "site/bell"), "누름".encode(), ("cam01",), ("pasu", "word")
        ),
        Trigger("other", "mqtt", ("10.0.0.6", 1884, "x"), None, (), None),
        Trigger("door", "gpio", ("gpiochip0", 17, "both"), None, ("cam02",)),
    ]


def test_of_a_camera_so_much_is_kept_as_the_most_of_its_triggers(tmp_path: Path) -> None:
    text = trigger("one", "mqtt://10.0.0.5/a", '["cam01", "cam02"]', 5)
    text += trigger("two", "mqtt://10.0.0.5/b", '["cam02"]', 20)
    text += trigger("three", "mqtt://10.0.0.5/c", '["cam03"]')
    assert past_of(config(tmp_path, text)) == {"cam01": 5 + REACTION_S, "cam02": 20 + REACTION_S}


def test_one_that_cannot_be_started_is_told_and_tried_again_and_nothing_is_waited_for(tmp_path: Path) -> None:
    source = FakeSource()
    command = (sys.executable, "-c", "raise SystemExit(3)")
    minder = TriggerMinder(str(tmp_path), command, SystemClock(source=source))
    minder.turn()
    assert minder.pid is None
    assert minder.raised() == []
    assert minder.to_json() == {}
    wanted = [Trigger("bell", "mqtt", ("10.0.0.5", 1883, "a"), None, ())]
    minder.want(wanted)
    assert [(each.code, each.subject) for each in minder.raised()] == [(AWAY, "bell")]
    for lost in range(1, 4):
        while minder.lost < lost:
            minder.turn()
            if minder.pid is None:
                source.run(500)
    assert minder.stop()
    assert minder.raised() == []
