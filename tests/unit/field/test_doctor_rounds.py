"""What doctor makes of one who looks and sees nothing, does not begin, or says what it should not."""

from __future__ import annotations

import sys
import time

import pytest

from agent.config import load
from agent.field.doctor import rounds
from agent.field.doctor.check import State
from agent.field.doctor.rounds import Request, Rounds
from tests.unit.config.samples import RIGHT

CONFINED = "print('{\"confined\": true}')"
WELL = '{"sharpness": 600, "mean": 120, "dark": 20, "bright": 220, "glare": 0, "noise": 9, "edges": 90, "empty": 5}'


@pytest.mark.parametrize(
    ("says", "state"),
    [
        (f"{CONFINED}\nfor _ in range(5): print('{WELL}')", State.OK),
        (f"{CONFINED}\nprint('{WELL}')", State.OK),
        (CONFINED, State.FAILURE),
        (f"{CONFINED}\nprint('{WELL}')\nprint('a text')", State.FAILURE),
        ("", State.WARNING),
        ("raise SystemExit", State.WARNING),
        ("print('{\"confined\": false}')", State.WARNING),
    ],
)
def test_only_what_was_seen_is_well(tmp_path, monkeypatch, says, state):
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\nimport sys, time\n{says}\nsys.stdout.flush()\ntime.sleep(600)\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setattr(rounds, "BEGIN_S", 60.0 if says else 0.5)
    monkeypatch.setattr(rounds, "FIRST_S", 1.0)
    monkeypatch.setattr(rounds, "PICTURE_S", 1.0)
    config = load(tmp_path / "agent.toml")
    result = Rounds(config, None, Request(1, 0, ("", "")))._picture(config.cameras[0])
    assert (result.check, result.subject, result.state) == ("camera.picture", "cam01", state)


@pytest.mark.parametrize(("held_up_s", "state"), [(0.0, State.FAILURE), (rounds.HELD_UP_S, State.WARNING)])
def test_a_busy_machine_is_no_bad_picture(tmp_path, monkeypatch, held_up_s, state):
    (tmp_path / "agent.toml").write_text(RIGHT.replace("/var/lib/pasu", str(tmp_path)), encoding="utf-8")
    monkeypatch.setattr(rounds, "HELD_UP_S", 2.0)
    monkeypatch.setattr(rounds, "FIRST_S", 0.5)
    monkeypatch.setattr(rounds.Looking, "next", lambda _, wait_s: time.sleep(wait_s))
    monkeypatch.setattr(rounds.Looking, "confined", True, raising=False)
    monkeypatch.setattr(rounds.Looking, "__init__", lambda *_: None)
    monkeypatch.setattr(rounds.Looking, "__exit__", lambda *_: None)
    monkeypatch.setattr(rounds.Looking, "held_up_s", held_up_s)
    config = load(tmp_path / "agent.toml")
    result = Rounds(config, None, Request(1, 0, ("", "")))._picture(config.cameras[0])
    assert result.state is state
