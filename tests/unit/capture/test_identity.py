"""D13: another device at a camera's address shows; the same one, by day and by night, does not."""

from __future__ import annotations

from agent.capture.identity import FORMATS_KEPT, Likeness, compare, learn, mark
from agent.rtsp.media import VideoFormat

DEVICE = {"server": "Maker/1.0", "realm": "serial 4711", "description": "-\nMedia\n\n"}
DAY = VideoFormat("h264", 90_000, 1920, 1080, b"day", 0)
NIGHT = VideoFormat("h264", 90_000, 1920, 1080, b"night", 0)
OTHER = VideoFormat("h265", 90_000, 1920, 1080, b"day", 0)


def session(*formats: VideoFormat, device: dict[str, str] = DEVICE, certificate: bytes = b"") -> dict:
    likeness = Likeness()
    likeness.session(device, certificate)
    for form in formats:
        likeness.format(form)
    return likeness.to_json()


def test_nothing_is_said_before_a_picture() -> None:
    assert Likeness().to_json() == {}
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


def test_what_is_kept_is_bounded() -> None:
    many = [VideoFormat("h264", 90_000, 640, 360, b"%d" % number, 0) for number in range(30)]
    seen = session(*many)
    assert len(seen["formats"]) == FORMATS_KEPT
    known = learn(session(DAY), {**seen, "formats": [session(DAY)["formats"][0], *seen["formats"]]})
    assert known is not None
    assert len(known["formats"]) == FORMATS_KEPT
