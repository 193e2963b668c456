"""Which worker gets which camera, and what a new configuration changes."""

from __future__ import annotations

from typing import Any

from agent.capture.roster import CAMERAS_A_LOOP, Assignment, Difference, assign, difference, seat


def plan(kind: str = "rtsp", **more: Any) -> dict[str, Any]:
    return {"kind": kind, **more}


def test_cameras_are_shared_out() -> None:
    many = {f"cam{number:03d}": plan() for number in range(2 * CAMERAS_A_LOOP + 1)}
    assignments = assign({**many, "board": plan("libav")}, loops=4)
    assert [(each.name, each.kind, len(each.cameras)) for each in assignments] == [
        ("rtsp-0", "rtsp", 43),
        ("rtsp-1", "rtsp", 43),
        ("rtsp-2", "rtsp", 43),
        ("libav-board", "libav", 1),
    ]
    assert len(assign(many, loops=2)) == 2
    assert assign({}, loops=2) == []


def test_what_differs() -> None:
    old = {"a": plan(url="1"), "b": plan(url="2"), "c": plan(url="3")}
    new = {"d": plan(url="4"), "b": plan(url="2"), "c": plan(url="5")}
    found = difference(old, new)
    assert found == Difference(("d",), ("a",), ("c",))
    assert found
    assert found.to_json() == {"added": ["d"], "removed": ["a"], "changed": ["c"]}
    assert not difference(old, dict(old))


def test_a_new_camera_sits_where_there_are_the_fewest() -> None:
    full = Assignment("rtsp-0", "rtsp", {f"cam{number}": plan() for number in range(CAMERAS_A_LOOP)})
    more = Assignment("rtsp-1", "rtsp", {"a": plan(), "b": plan()})
    few = Assignment("rtsp-3", "rtsp", {"c": plan()})
    alone = Assignment("alone-x", "rtsp", {"x": plan()}, witness=True)
    board = Assignment("libav-board", "libav", {"board": plan("libav")})
    assert seat("new", plan(), [full, more, few, alone, board]) == (few, False)
    assert list(few.cameras) == ["c", "new"]


def test_where_there_is_no_seat_a_worker_is_begun() -> None:
    full = Assignment("rtsp-0", "rtsp", {f"cam{number}": plan() for number in range(CAMERAS_A_LOOP)})
    alone = Assignment("alone-x", "rtsp", {"x": plan()}, witness=True)
    assert seat("new", plan(), [full, alone]) == (Assignment("rtsp-1", "rtsp", {"new": plan()}), True)
    assert seat("new", plan(), []) == (Assignment("rtsp-0", "rtsp", {"new": plan()}), True)
    board = plan("libav")
    assert seat("new", board, [full]) == (Assignment("libav-new", "libav", {"new": board}), True)
