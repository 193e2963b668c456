"""The pure part of the check: rows beside names."""

from __future__ import annotations

import pytest

from agent.model import Span
from agent.storage.keep.check_findings import Done, Finding, Place, Row, What, compare, parts
from agent.storage.layout import Kind, Stem

DAY = "2027-01-15"
ONE, TWO = "20270115T080000.000Z", "20270115T080100.000Z"


def row(start: str = ONE, ending: str = ".mp4.age", **more) -> Row:
    values = {
        "id": 1,
        "camera": "cam1",
        "path": f"segments/cam1/{DAY}/{start}{ending}",
        "start_ms": 0,
        "end_ms": 60_000,
        "sealed_bytes": 9,
        "sha256": "",
        "state": "COMMITTED",
        "has_tail": False,
    }
    return Row(**(values | more))


def test_a_whole_day() -> None:
    found = compare("cam1", DAY, [row()], {ONE + ".mp4.age"})
    assert (found.there, found.absent, found.loose, found.strange) == ([row()], [], [], [])


def test_a_row_without_its_file_and_a_file_without_its_row() -> None:
    """B13."""
    found = compare("cam1", DAY, [row()], {TWO + ".mp4.age", ONE + ".salvaged.mp4.age"})
    assert found.absent == [row()]
    assert found.loose == [
        (Stem("cam1", DAY, ONE), Kind.SALVAGED),
        (Stem("cam1", DAY, TWO), Kind.FINAL),
    ]


def test_what_belongs_to_an_open_segment_is_named_once() -> None:
    """A1: by its `.part`, or by what is left of it."""
    tails = {ONE + ".mp4.age.tail", ONE + ".mp4.age.tail.tmp"}
    found = compare("cam1", DAY, [], tails | {ONE + ".mp4.age.part"})
    assert (found.loose, found.strange) == ([(Stem("cam1", DAY, ONE), Kind.PART)], [])
    found = compare("cam1", DAY, [row()], {row().name} | tails)
    assert {kind for _, kind in found.loose} == {Kind.TAIL, Kind.TAIL_TEMPORARY}


def test_a_condemned_row_may_or_may_not_have_its_file() -> None:
    condemned = row(state="CONDEMNED")
    for names in (set(), {condemned.name}):
        found = compare("cam1", DAY, [condemned], names)
        assert (found.there, found.absent, found.loose) == ([], [], [])


def test_tails() -> None:
    salvaged = row(ending=".salvaged.mp4.age", has_tail=True)
    tail = salvaged.name + ".tail"
    assert compare("cam1", DAY, [salvaged], {salvaged.name, tail}).tailless == []
    assert compare("cam1", DAY, [salvaged], {salvaged.name}).tailless == [salvaged]
    assert compare("cam1", DAY, [salvaged], set()).tailless == []
    # Beside its segment it may be on its way into the row; alone it continues nothing.
    assert compare("cam1", DAY, [], {salvaged.name, tail}).strange == []
    assert compare("cam1", DAY, [], {tail}).strange == [tail]


def test_a_name_that_is_not_ours() -> None:
    assert compare("cam1", DAY, [], {"holiday.jpg"}).strange == ["holiday.jpg"]


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (f"segments/cam1/{DAY}/{ONE}.mp4.age", True),
        (f"segments/cam1/{DAY}/{ONE}.salvaged.mp4.age", True),
        (f"segments/cam1/{DAY}/{ONE}.mp4.age.part", False),
        (f"segments/cam1/{DAY}/x", False),
        (f"segments/../{DAY}/{ONE}.mp4.age", False),
        (f"segments/cam1/today/{ONE}.mp4.age", False),
        (f"holds/cam1/{DAY}/{ONE}.mp4.age", False),
        ("segments/cam1", False),
        ("/etc/passwd", False),
        ("", False),
    ],
)
def test_the_path_of_a_row(path, ours) -> None:
    """B19: a row with a bad name."""
    assert (parts(path) is not None) == ours


def test_a_row_whose_end_lies_before_its_start_covers_nothing() -> None:
    """B19."""
    assert row(start_ms=5, end_ms=3).span == Span(5, 5)


@pytest.mark.parametrize("what", list(What))
@pytest.mark.parametrize("done", list(Done))
def test_a_finding_is_open_until_something_is_done(what, done) -> None:
    settled = {Done.LOST, Done.QUARANTINED, Done.RESTORED, Done.ADOPTED, Done.OVERTAKEN}
    assert Finding("v", "c", "p", what, done=done).is_open == (
        what is not What.STRANGE and done not in settled
    )


@pytest.mark.parametrize("span", [None, Span(3, 9)])
def test_a_finding_is_written_down_and_read_back(span) -> None:
    places = (Place(None, 0, 5, "unreadable"), Place(3, 7, 9, "zeros"))
    finding = Finding("v", "c", "p", What.DIGEST, span, "a", "b", places, Done.HELD)
    assert Finding.from_json(finding.as_json()) == finding
