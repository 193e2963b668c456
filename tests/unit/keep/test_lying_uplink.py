"""What an uplink that was taken over may put where its reports are: no more than a few numbers in the ledger."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from agent.grants import Report, Stage, encode_report
from tests.unit.keep.showing_box import Showing, camera

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST = (1 << 53) - 1


def says(**changes: Any) -> Callable[[Path], object]:
    """Return what writes a report with some members changed."""

    def write(place: Path) -> object:
        report = json.loads(encode_report(Report(place.stem, Stage.FLOWING, True)))
        return place.write_text(json.dumps(report | changes))

    return write


def is_just(data: bytes) -> Callable[[Path], object]:
    return lambda place: place.write_bytes(data)


def large(place: Path) -> object:
    place.touch()
    return os.truncate(place, 1 << 30)


LIES: dict[str, Callable[[Path], object]] = {
    "a directory": lambda place: place.mkdir(),
    "a full directory": lambda place: (place / "x").mkdir(parents=True),
    "a pipe": os.mkfifo,
    "a link to somewhere": lambda place: place.symlink_to("/etc/passwd"),
    "a link to itself": lambda place: place.symlink_to(place.name),
    "a gigabyte": large,
    "nothing": is_just(b""),
    "no text": is_just(b"\xff\xfe\0"),
    "deep": is_just(b"[" * 4000),
    "a number of four thousand digits": is_just(b'{"v":' + b"9" * 4000 + b"}"),
    "no number": says(sent_bytes=float("nan")),
    "no whole number": says(sent_bytes=1.5),
    "less than nothing": says(sent_bytes=-1),
    "more than can be": says(sent_bytes=MOST + 1),
    "a list": says(stage=["over"]),
    "a reason that moves the cursor": says(reason="\x1b[2J"),
    "one member more": says(camera="cam3"),
    "of another": says(grant="e" * 32),
    "over before its time": says(stage="over", sent_bytes=MOST, left_out=MOST),
}


@pytest.fixture
def box(tmp_path: Path) -> Showing:
    return Showing(tmp_path / "box", camera("cam3").replace("fire-prevention", "crime-prevention"))


def grant(box: Showing, name: str) -> str:
    terms = {"camera": name, "operator": "a", "purpose": "crime-prevention", "ground": "monitoring"}
    made = box.send("officer 1", "stream.grant", terms | {"minutes": 1})
    assert box.answer(made)["status"] == "done"
    return made


@pytest.mark.parametrize("lie", LIES)
def test_e7_whatever_the_uplink_says_streams_end_in_their_time(lie: str, box: Showing) -> None:
    """E7: nothing that it says is written down but counts of bytes, and whether packets went out."""
    told, other = grant(box, "cam1"), grant(box, "cam3")
    place = box.state / "exchange" / "streams"
    LIES[lie](place / f"{told}.json")
    box.tick(3)
    assert sorted(box.granted()) == sorted((told, other))
    assert box.ask("officer 1", "streams")["status"] == "done"
    assert box.ask("officer 1", "stream.revoke", {"grant": other, "reason": "x"})["status"] == "done"
    assert list(box.granted()) == [told]
    box.tick(75)
    assert box.granted() == {}
    stopped = {each["grant"]: each for each in box.bodies("stream.stopped")}
    assert stopped.keys() == {told, other}
    assert 0 <= stopped[told]["sent_bytes"] <= MOST
    assert len(box.bodies("stream.stopped")) == 2
    assert len(box.bodies("stream.started")) <= 1
    assert "keeper.trouble streams" not in box.conditions
