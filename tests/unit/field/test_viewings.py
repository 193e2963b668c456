"""H9: how often who watched which camera is counted, from the entries of the ledger alone."""

from __future__ import annotations

from agent.config.hours import DAY_MS
from agent.field.reports.viewings import Viewings, heads
from agent.language import speaking

DAY = 20_000 * DAY_MS  # midnight UTC, nine in the morning in Korea
NIGHT = DAY + 15 * 3_600_000  # midnight in Korea


def grant(
    counted: Viewings,
    name: str,
    at_ms: int,
    camera: str = "cam01",
    operator: str = "kim",
    box: str = "",
    **more: object,
) -> None:
    body = {
        "grant": name, "kind": "order", "camera": camera, "operator": operator, "person": "officer",
        "purpose": "crime-prevention", "minutes": 10,
    } | more  # fmt: skip
    counted.take("stream.granted", at_ms, body, box)


def test_h9_one_camera_again_and_again_stands_first():
    counted = Viewings()
    grant(counted, "x", DAY, camera="cam02")
    for number in range(5):
        grant(counted, str(number), NIGHT - 2 + number)
        counted.take("stream.stopped", NIGHT, {"grant": str(number), "sent_bytes": 1000})
    grant(counted, "y", DAY, operator="lee")
    grant(counted, "z", DAY, purpose="fire-prevention")
    first, *others = counted.rows()
    assert first.as_json() == {
        "camera": "cam01", "operator": "kim", "purpose": "crime-prevention", "grants": 5, "days": 2, "minutes": 50,
        "sent_bytes": 5000, "newest_ms": NIGHT + 2,
    }  # fmt: skip
    assert [(row.camera, row.operator, row.purpose) for row in others] == [
        ("cam01", "kim", "fire-prevention"), ("cam01", "lee", "crime-prevention"), ("cam02", "kim", "crime-prevention"),
    ]  # fmt: skip


def test_h9_what_nobody_ordered_is_nobodys_viewing():
    counted = Viewings()
    grant(counted, "a", DAY, kind="configuration")
    grant(counted, "b", DAY, kind="trigger")
    counted.take("hold.placed", DAY, {"grant": "a"})
    counted.take("stream.stopped", DAY, {"grant": "a", "sent_bytes": 9})
    assert counted.rows() == []


def test_h9_boxes_are_told_apart_and_who_ordered_stands_for_whom_nobody_named():
    counted = Viewings()
    grant(counted, "a", DAY, box="gn-1")
    grant(counted, "a", DAY, box="gn-2", operator="")
    counted.take("stream.stopped", DAY, {"grant": "a", "sent_bytes": 7}, "gn-2")
    counted.take("stream.stopped", DAY, {"grant": "a", "sent_bytes": 7}, "gn-2")
    one, two = counted.rows()
    assert (one.camera, one.operator, one.sent_bytes) == ("gn-1 cam01", "kim", 0)
    assert (two.camera, two.operator, two.sent_bytes) == ("gn-2 cam01", "officer", 7)


def test_what_a_stranger_wrote_is_text_or_nothing():
    counted = Viewings()
    grant(counted, "a", DAY, camera="c\u202e1", operator=["x"], person=3, minutes=True, purpose={"a": 1})
    grant(counted, "b", DAY, camera="c\u202e1", operator=["x"], person=3, minutes=-4, purpose="strange")
    counted.take("stream.stopped", DAY, {"grant": "a", "sent_bytes": "many"})
    with speaking("en"):
        rows = [row.cells(str) for row in counted.rows()]
        assert len(heads()) == len(rows[0])
    assert [row[:6] for row in rows] == [
        ("c\ufffd1", "", "", "1", "1", "0"), ("c\ufffd1", "", "strange", "1", "1", "0"),
    ]  # fmt: skip


def test_its_cells_in_both_languages():
    counted = Viewings()
    grant(counted, "a", DAY)
    (row,) = counted.rows()
    with speaking("ko"):
        assert row.cells(lambda at: f"@{at}") == (
            "cam01", "kim", "방범", "1", "1", "10", "0", f"@{DAY}",
        )  # fmt: skip
        assert heads()[0] == "카메라"
