"""What comes out of the process that looks at pictures: numbers, whoever it belongs to by now."""

from __future__ import annotations

import json
import os
import sys
import time

import pytest

from agent.config.values import Camera, Purpose
from agent.errors import CameraFault
from agent.field import looking
from agent.field.picture import MOST, Measures

WELL = Measures(600, 120, 20, 220, 0, 9, 90, 5)
CAMERA = Camera(
    "cam01", "gate", "rtsp://127.0.0.1:9/x", None, "tcp", Purpose.CRIME_PREVENTION, "law", 30, (), False, None, None, None, 5, None,
)  # fmt: skip


def test_what_was_measured_comes_back():
    for found in (WELL, Measures(None, 0, 0, 0, 0, 0, 0, 0)):
        assert Measures.read(json.loads(json.dumps(found.numbers()))) == found
    assert Measures.read(MOST).numbers() == MOST


@pytest.mark.parametrize(
    "more",
    [
        {"mean": "\x1b[2J"}, {"mean": 1.5}, {"mean": True}, {"mean": -1}, {"mean": 256}, {"mean": None}, {"mean": [1]},
        {"sharpness": 10**9}, {"picture": "iVBORw0KGgo"},
    ],
)  # fmt: skip
def test_nothing_but_numbers_comes_out(more):
    with pytest.raises(ValueError, match="no measure"):
        Measures.read({**WELL.numbers(), **more})


@pytest.mark.parametrize("said", [None, [], "x", 7, {}, {"mean": 1}])
def test_and_all_of_them(said):
    with pytest.raises(ValueError, match="no measures"):
        Measures.read(said)


@pytest.mark.parametrize(
    "says",
    [
        "print('{\"confined\": \"yes\"}')", "print('[' * 4000)", "print('\\x1b[2J')", "print('x' * 100_000, end='')",
        "print('{\"confined\": true}'); print('{\"mean\": \"a text\"}')", "print('null')",
    ],
)  # fmt: skip
def test_one_that_was_taken_over_is_not_believed_and_shows_nothing(tmp_path, monkeypatch, says):
    """A picture that takes the decoder over may make it say anything to a process of root's."""
    fake = tmp_path / "python"
    fake.write_text(
        f"#!{sys.executable}\nimport time\n{says}\nimport sys; sys.stdout.flush(); time.sleep(600)\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with looking.Looking(tmp_path, CAMERA, None) as looks, pytest.raises(CameraFault, match="AIM_ODD"):
        assert looks.next(60) is not None


def test_one_that_cannot_be_confined_is_told(tmp_path, monkeypatch):
    fake = tmp_path / "python"
    fake.write_text(f"#!{sys.executable}\nprint('{{\"confined\": false}}')\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with looking.Looking(tmp_path, CAMERA, None) as looks, pytest.raises(CameraFault, match="AIM_UNCONFINED"):
        looks.next(60)


def test_a_busy_machine_is_told(tmp_path, monkeypatch):
    """One processor for two who never rest: each waits for the other."""
    fake = tmp_path / "python"
    fake.write_text(
        f"#!{sys.executable}\nimport os\nos.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\nwhile 1: pass\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    with looking.Looking(tmp_path, CAMERA, None) as one, looking.Looking(tmp_path, CAMERA, None) as other:
        until = time.monotonic() + 60
        while not (one.held_up_s > 0.2 and other.held_up_s > 0.2) and time.monotonic() < until:
            time.sleep(0.05)
        assert one.held_up_s > 0.2
        assert other.held_up_s > 0.2
    assert one.held_up_s == 0
