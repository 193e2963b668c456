from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Codec, Trust
from agent.storage import progress
from agent.storage.files import Disk
from agent.storage.progress import Final, Mark, Open, reach
from tests.unit.storage.box import T0

number = st.integers(0, 1 << 60)
marks = st.builds(Mark, number, number, number, number, number, number)
finals = st.builds(
    Final, number, number, number, number, st.text("0123456789abcdef", min_size=64, max_size=64)
)
opens = st.builds(
    Open,
    vault=st.text("0123-", min_size=1),
    path=st.text("abc/", min_size=1),
    camera=st.text("abc"),
    run=st.text(st.characters(exclude_categories=["Cs"])),
    start_ms=number,
    trust=st.sampled_from([trust.value for trust in Trust]),
    codec=st.sampled_from([codec.value for codec in Codec]),
    width=number,
    height=number,
    time_base_hz=number,
    keyframe_start=st.booleans(),
    durable=marks,
    written=marks,
    final=st.none() | finals,
)


def sample(path: str = "segments/cam1/d/x.mp4.age", chunks: int = 3, **more) -> Open:
    mark = Mark(chunks, T0 + 1000 * chunks, 25 * chunks)
    values = {
        "vault": "uuid-1",
        "path": path,
        "camera": "cam1",
        "run": "run-1",
        "start_ms": T0,
        "trust": "SYNCED",
        "codec": "h264",
        "width": 1,
        "height": 1,
        "time_base_hz": 90_000,
        "keyframe_start": True,
        "durable": mark,
        "written": mark,
        "final": None,
    }
    return Open(**(values | more))


@given(st.lists(opens, max_size=4))
def test_what_is_written_is_read(tmp_path_factory, segments) -> None:
    place = tmp_path_factory.getbasetemp() / "progress.json"
    progress.write(Disk(), place, segments, sync=False)
    assert progress.read(place) == segments


def test_a_file_that_is_not_there_tells_nothing(tmp_path) -> None:
    assert progress.read(tmp_path / "x.json") == []
    assert progress.read_all(tmp_path) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"version":2,"segments":[{}]}',
        b'{"version":1,"segments":7}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_tells_nothing(tmp_path, content) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert progress.read(tmp_path / "x.json") == []


@pytest.mark.parametrize(
    "change",
    [
        {"path": 7},
        {"camera": None},
        {"start_ms": -1},
        {"start_ms": 1.5},
        {"start_ms": True},
        {"start_ms": 1 << 62},
        {"trust": "MAYBE"},
        {"codec": "mp3"},
        {"keyframe_start": 1},
        {"durable": None},
        {"written": {"chunks": 1}},
        {"final": {"end_ms": 1}},
        {"final": {"end_ms": 1, "frames": 1, "plain_bytes": 1, "sealed_bytes": 1, "sha256": 7}},
        {"extra": 1},
    ],
)
def test_an_entry_that_is_not_whole_is_passed_over_alone(tmp_path, change) -> None:
    place = tmp_path / "x.json"
    good = sample()
    progress.write(Disk(), place, [good, good], sync=True)
    content = json.loads(place.read_text())
    content["segments"][0] |= change
    place.write_text(json.dumps(content))
    assert progress.read(place) == [good]


def test_mutated_files_are_read_or_passed_over(tmp_path) -> None:
    place = tmp_path / "x.json"
    progress.write(Disk(), place, [sample(), sample("b", final=Final(T0, 1, 2, 3, "ab" * 32))], sync=False)
    good = place.read_bytes()
    rng = random.Random(7)
    for _ in range(5_000):
        raw = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(raw))
            raw[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
        place.write_bytes(raw)
        for segment in progress.read(place):
            assert type(segment.start_ms) is int
            assert type(segment.written.end_ms) is int


def test_of_two_that_tell_of_one_path_the_further_one_counts(tmp_path) -> None:
    (tmp_path / "open").mkdir()
    near, far = sample(chunks=3), sample(chunks=5)
    finished = sample(chunks=1, final=Final(T0, 1, 2, 3, "ab" * 32))
    progress.write(Disk(), tmp_path / "open" / "a.json", [near, sample("p", 9)], sync=False)
    progress.write(
        Disk(),
        tmp_path / "open" / "b.json",
        [far, finished.__class__(**{**vars_of(finished), "path": "p"})],
        sync=False,
    )
    known = progress.read_all(tmp_path)
    assert known["uuid-1", far.path] == far
    assert known["uuid-1", "p"].final is not None


def vars_of(segment: Open) -> dict:
    return {name: getattr(segment, name) for name in segment.__dataclass_fields__}


def known(durable: Mark, written: Mark) -> Open:
    return sample(durable=durable, written=written)


def test_reach_takes_the_written_mark_where_the_file_has_it() -> None:
    segment = known(Mark(2, T0 + 2000, 50), Mark(4, T0 + 4000, 100))
    assert reach(segment, 4, 0) == (T0 + 4000, 100)
    assert reach(segment, 9, 0) == (T0 + 4000, 100)
    assert reach(segment, 3, 0) == (T0 + 2000, 50)
    assert reach(segment, 2, 0) == (T0 + 2000, 50)


def test_reach_claims_a_part_when_the_disk_lost_what_was_durable() -> None:
    segment = known(Mark(4, T0 + 4000, 100), Mark(4, T0 + 4000, 100))
    assert reach(segment, 1, 0) == (T0 + 1000, 25)
    assert reach(segment, 0, 0) == (T0, 0)


def test_reach_believes_a_tail_as_far_as_it_is_surely_there() -> None:
    durable = Mark(1, T0 + 1000, 25, 500, T0 + 2000, 50)
    written = Mark(2, T0 + 2000, 50, 700, T0 + 3000, 75)
    segment = known(durable, written)
    assert reach(segment, 2, 700) == (T0 + 3000, 75)
    assert reach(segment, 2, 500) == (T0 + 2000, 50)
    assert reach(segment, 1, 700) == (T0 + 2000, 50)
    assert reach(segment, 1, 500) == (T0 + 2000, 50)
    assert reach(segment, 1, 0) == (T0 + 1000, 25)
    assert reach(segment, 2, 0) == (T0 + 2000, 50)
    only_written = known(Mark(0, T0, 0), Mark(0, T0, 0, 700, T0 + 1000, 25))
    assert reach(only_written, 0, 700) == (T0 + 1000, 25)
    assert reach(only_written, 0, 123) == (T0, 0)
