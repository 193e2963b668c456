"""D13: another device at a camera's address shows; the same one, by day and by night, does not."""

from __future__ import annotations

import pytest

from agent.capture.identity import FORMATS_KEPT, Likeness, compare, doubt, host_of, learn, mark
from agent.rtsp.media import VideoFormat

DEVICE = {"server": "Maker/1.0", "realm": "serial 4711", "description": "-\nMedia\n\n"}
DAY = VideoFormat("h264", 90_000, 1920, 1080, b"day", 0)
NIGHT = VideoFormat("h264", 90_000, 1920, 1080, b"night", 0)
OTHER = VideoFormat("h265", 90_000, 1920, 1080, b"day", 0)


URL = "rtsp://192.0.2.1/main"


def session(
    *formats: VideoFormat, device: dict[str, str] = DEVICE, certificate: bytes = b"", url: str = URL
) -> dict:
    likeness = Likeness(url)
    likeness.session(device, certificate)
    for form in formats:
        likeness.format(form)
    return likeness.to_json()


def test_nothing_is_said_before_a_picture() -> None:
    assert Likeness(URL).to_json() == {}
    assert session() == {}


def test_no_word_of_the_camera_is_kept_itself() -> None:
    assert mark("") == mark(b"") == ""
    assert mark("serial 4711") == mark(b"serial 4711")
    assert "4711" not in str(session(DAY))
    assert mark("\udcff")  # bytes that are no text come as such


def test_d13_the_same_camera_is_no_other() -> None:
    known = learn(None, session(DAY, DAY))
    assert known is not None
    assert compare(known, session(DAY)) == []
    assert learn(known, session(DAY)) is None


def test_d13_each_thing_that_differs_is_named() -> None:
    known = learn(None, session(DAY))
    assert known is not None
    assert compare(known, session(DAY, device={**DEVICE, "realm": "serial 4712"})) == ["realm"]
    known = {**known, "certificate": mark(b"old")}
    assert compare(known, session(DAY, certificate=b"new")) == ["certificate"]
    assert compare(known, session(OTHER, device={**DEVICE, "server": "Another"})) == ["server", "formats"]


def test_d13_what_changes_while_a_session_lasts_is_learnt() -> None:
    known = learn(None, session(DAY))
    assert known is not None
    dusk = session(DAY, NIGHT, DAY)
    assert compare(known, dusk) == []
    known = learn(known, dusk)
    assert known is not None
    assert compare(known, session(NIGHT)) == []
    assert compare(learn(None, session(DAY)) or {}, session(NIGHT)) == ["formats"]


def test_a_mark_that_is_new_to_us_is_learnt_and_is_no_difference() -> None:
    known = {name: value for name, value in session(DAY).items() if name != "realm"}
    assert compare(known, session(DAY)) == []
    assert learn(known, session(DAY)) == session(DAY)


def there(*formats: VideoFormat, **how) -> dict:
    """Return what is remembered of a camera that was seen so."""
    known = learn(None, session(*formats, **how))
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("rtsp://192.0.2.1/main", "192.0.2.1"),
        ("rtsps://[2001:db8::1]:322/main", "2001:db8::1"),
        ("rtsp://Gate.example/main", "gate.example"),
        ("udp://@239.0.0.1:5000", "239.0.0.1"),
        ("udp://:5000", "udp://:5000"),
        ("file:///demo/gate.mp4", "file:///demo/gate.mp4"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_d13_who_is_asked_is_the_host_or_the_whole_where_there_is_none(address: str, host: str) -> None:
    assert host_of(address) == host


def test_d13_at_another_host_anybody_may_answer() -> None:
    known = {**there(DAY), "doubt": "server"}
    moved = session(OTHER, device={**DEVICE, "server": "Another"}, url="rtsp://192.0.2.9/main")
    assert compare(known, moved) == []
    assert learn(known, moved) == moved


@pytest.mark.parametrize(
    "url", ["rtsp://192.0.2.1/second", "rtsp://192.0.2.1:8554/main", "rtsps://192.0.2.1/main"]
)
def test_d13_another_path_port_or_scheme_has_other_pictures_and_is_the_same_device(url: str) -> None:
    known = there(DAY)
    words = {**DEVICE, "description": "-\nsecond\n\n"}
    moved = session(OTHER, device=words, url=url)
    assert compare(known, moved) == []
    learnt = learn(known, moved)
    assert learnt == moved, "nothing of the pictures before is left"
    assert compare(learnt, session(DAY, device=words, url=url)) == ["formats"]
    for name in ("server", "realm"):
        assert compare(known, session(DAY, device={**DEVICE, name: "x"}, url=url)) == [name]


def test_d13_a_certificate_is_remembered_while_the_line_is_not_encrypted() -> None:
    safe = "rtsps://192.0.2.1/main"
    known = there(DAY, certificate=b"its own", url=safe)
    plain = session(DAY)
    assert compare(known, plain) == []
    known = learn(known, plain)
    assert known is not None
    assert compare(known, session(DAY, certificate=b"its own", url=safe)) == []
    assert compare(known, session(DAY, certificate=b"another", url=safe)) == ["certificate"]


def test_d13_a_doubt_goes_neither_by_another_path_nor_by_a_restart() -> None:
    known = there(DAY)
    other = session(OTHER)
    doubted = doubt(known, compare(known, other))
    assert doubted == {**known, "doubt": "formats"}
    assert doubt(doubted, ["formats"]) is None
    moved = session(OTHER, url="rtsp://192.0.2.1/second")
    assert compare(doubted, moved) == ["formats"]
    assert compare(doubted, session(DAY)) == [], "the right one is back where it was"
    assert learn(doubted, session(DAY)) == known


def test_d13_what_was_remembered_before_addresses_were_is_gone_on_with() -> None:
    old = {name: value for name, value in session(DAY).items() if name not in ("host", "address")}
    assert compare(old, session(DAY)) == []
    assert compare(old, session(OTHER)) == ["formats"]
    assert learn(old, session(DAY)) == session(DAY)


def test_what_is_kept_is_bounded() -> None:
    many = [VideoFormat("h264", 90_000, 640, 360, b"%d" % number, 0) for number in range(30)]
    seen = session(*many)
    assert len(seen["formats"]) == FORMATS_KEPT
    known = learn(session(DAY), {**seen, "formats": [session(DAY)["formats"][0], *seen["formats"]]})
    assert known is not None
    assert len(known["formats"]) == FORMATS_KEPT
