"""What doctor says of the fence on the cameras' side (D14)."""

from __future__ import annotations

import os

import pytest

from agent.config import load
from agent.fence.rules import Fence
from agent.field.doctor import fence
from agent.field.doctor.check import State
from agent.field.doctor.registry import CHECKS
from agent.language import speaking
from agent.tunnel import tools
from tests.unit.config.samples import RIGHT


@pytest.fixture(autouse=True)
def english():
    with speaking("en"):
        yield


MADE = Fence(("eth1",), ("10.0.0.11", "10.0.0.12"))


def test_d14_one_that_stands_is_well() -> None:
    (said,) = fence.judge(MADE, [], {})
    assert (said.state, said.subject) == (State.OK, "")
    assert "eth1" in said.measured
    assert said.numbers == {"interfaces": ["eth1"], "cameras": 2}
    (shared,) = fence.judge(Fence((), ("10.0.0.11",)), [], {})
    assert "–" not in shared.measured
    assert "1" in shared.measured
    assert said.check in CHECKS


def test_d14_rules_that_are_gone_are_a_failure_and_a_camera_left_out_a_warning() -> None:
    stands, *left = fence.judge(MADE, ["the kernel has no such rules"], {"cam03": "gate.site"})
    assert stands.state is State.FAILURE
    assert "the kernel has no such rules" in stands.measured
    assert [(each.state, each.subject, each.numbers) for each in left] == [
        (State.WARNING, "cam03", {"host": "gate.site"})
    ]
    assert "gate.site" in left[0].measured


@pytest.mark.parametrize(
    ("url", "root", "words"),
    [
        ("file:/srv/film.mp4", True, "no camera comes by a network"),
        ("rtsp://127.0.0.1/main", True, "no camera comes by a network"),
        ("rtsp://10.0.0.11/main", False, "may not be seen (sudo)"),
        ("rtsp://gate.site/main", False, "may not be seen (sudo)"),
        ("udp://@:5000", False, "may not be seen (sudo)"),
        ("rtsp://10.0.0.11/main", True, "there is no program nft"),
    ],
)
def test_where_it_cannot_be_seen_it_is_said_why(tmp_path, monkeypatch, url, root, words) -> None:
    text = RIGHT.replace("/var/lib/pasu", str(tmp_path))
    file = tmp_path / "agent.toml"
    head, *_ = text.partition("[[camera]]")
    camera = f'[[camera]]\nid = "cam01"\nname = "x"\nurl = "{url}"\n'
    file.write_text(head + camera + 'purpose = "crime-prevention"\nlegal_basis = "x"\n', encoding="utf-8")
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(tools, "PATH", str(tmp_path))
    (said,) = fence.look(load(file), tmp_path / "cameras.nft")
    assert (said.check, said.state, said.measured) == ("fence", State.NOT_APPLICABLE, words)
