from __future__ import annotations

import pytest

from agent.centre.segments import Lost, SegmentFile, read_segment
from agent.mp4.fragment import fragment
from agent.mp4.reader import Fragment, Init
from agent.storage.envelope import CHUNK_BYTES, SEALED_CHUNK_BYTES
from tests.unit.centre.footage import (
    START_MS,
    chunk_count,
    chunk_place,
    cut,
    pictures,
    put,
    segment,
    tail,
    video,
)
from tests.unit.envelope.keys import ALICE, BOB, plaintext, sealed

PLAIN = video(0, 4)
FILE = sealed(PLAIN)
CHUNKS = chunk_count(FILE)
SAMPLES = [sample.data for sample in pictures()[1][:60]]


def read(source: SegmentFile) -> list[Init | Fragment | Lost]:
    return list(read_segment(source, [ALICE], lambda _: None))


def datas(items) -> list[bytes]:
    return [sample.data for item in items if isinstance(item, Fragment) for sample in item.samples]


def losses(items) -> list[Lost]:
    return [item for item in items if isinstance(item, Lost)]


def places(items) -> list[tuple]:
    return [(lost.code, lost.chunk, lost.chunks, lost.offset, lost.length) for lost in losses(items)]


def test_a_name_says_what_a_file_is(tmp_path):
    def at(name: str) -> SegmentFile:
        (tmp_path / name).write_bytes(b"")
        return SegmentFile.at(tmp_path / name, "cam01")

    name = "20261121T100500.000Z"
    assert at(name + ".mp4.age") == SegmentFile(
        tmp_path / (name + ".mp4.age"), None, "cam01", START_MS, False
    )
    assert at(name + ".salvaged.mp4.age").salvaged
    assert at(name + ".salvaged.mp4.age").start_ms == START_MS
    (tmp_path / (name + ".mp4.age.tail")).write_bytes(b"")
    assert at(name + ".mp4.age").tail == tmp_path / (name + ".mp4.age.tail")
    assert at(name + ".mp4.age.part") == SegmentFile(
        tmp_path / (name + ".mp4.age.part"), tmp_path / (name + ".mp4.age.tail"), "cam01", START_MS, True
    )
    assert at("evidence.mp4.age").start_ms is None


def test_a_whole_segment(tmp_path):
    told: list[int] = []
    source = put(tmp_path, FILE, 0)
    items = list(read_segment(source, [BOB, ALICE], told.append))
    assert isinstance(items[0], Init)
    assert (items[0].width, items[0].codec) == (176, "h264")
    assert datas(items) == SAMPLES
    assert not losses(items)
    assert told == [chunk_place(FILE, number + 1) for number in range(CHUNKS)]


@pytest.mark.parametrize("number", range(CHUNKS))
def test_a_damaged_chunk_costs_no_more_than_the_fragments_in_it(tmp_path, number):
    changed = bytearray(FILE)
    changed[chunk_place(FILE, number) + 100] ^= 1
    items = read(put(tmp_path, bytes(changed), 0))
    length = min(SEALED_CHUNK_BYTES, len(FILE) - chunk_place(FILE, number))
    assert places(items) == [("CHUNK_DAMAGED", number, 1, chunk_place(FILE, number), length)]
    got = datas(items)
    # All pictures outside the chunk's 64 KiB and the fragments of 7 pictures that it touches are there.
    assert [data for data in SAMPLES if data in set(got)] == got
    missing = [place for place, data in enumerate(SAMPLES) if data not in set(got)]
    assert missing == list(range(missing[0], missing[-1] + 1))
    assert 0 < len(missing) <= CHUNK_BYTES // 5000 + 14


def test_damaged_chunks_in_a_row_are_told_as_one(tmp_path):
    changed = bytearray(FILE)
    for number in (1, 2, 3, 5):
        changed[chunk_place(FILE, number) + 9] ^= 1
    items = read(put(tmp_path, bytes(changed), 0))
    assert places(items) == [
        ("CHUNK_DAMAGED", 1, 3, chunk_place(FILE, 1), 3 * SEALED_CHUNK_BYTES),
        ("CHUNK_DAMAGED", 5, 1, chunk_place(FILE, 5), SEALED_CHUNK_BYTES),
    ]


def test_files_that_cannot_be_opened_at_all(tmp_path):
    cases = [
        (FILE[:100], "HEADER_DAMAGED"),
        (b"x" * 1000, "NOT_AGE_FILE"),
        (b"", "NOT_AGE_FILE"),
        (sealed(PLAIN, BOB), "NO_MATCHING_IDENTITY"),
    ]
    for data, code in cases:
        (lost,) = read(put(tmp_path, data, 0))
        assert (lost.code, lost.chunk) == (code, None)
        assert lost.detail
    for path in (tmp_path / "missing.mp4.age", tmp_path):
        (lost,) = read(SegmentFile(path))
        assert (lost.code, lost.path) == ("UNREADABLE", path)


def test_a_header_damage_tells_its_offset(tmp_path):
    at = FILE.index(b"--- ") + 10
    (lost,) = read(put(tmp_path, FILE[:at] + b"!" + FILE[at + 1 :], 0))
    assert (lost.code, lost.offset) == ("HEADER_DAMAGED", at - 10)


@pytest.mark.parametrize("chunks", range(CHUNKS))
def test_a_file_that_ends_too_soon(tmp_path, chunks):
    items = read(put(tmp_path, cut(FILE, chunks), 0))
    assert places(items) == [("TRUNCATED", chunks, 0, chunk_place(FILE, chunks), 0)]
    got = datas(items)
    assert got == SAMPLES[: len(got)]
    # What lies before the cut is used to the last whole picture.
    assert abs(sum(map(len, got)) - chunks * CHUNK_BYTES) < 40_000 or not chunks


@pytest.mark.parametrize("chunks", range(CHUNKS))
def test_a_salvaged_segment_alone_and_with_its_tail(tmp_path, chunks):
    file = cut(FILE, chunks)
    items = read(put(tmp_path, file, 0, suffix=".salvaged.mp4.age"))
    assert not losses(items)
    alone = datas(items)
    assert alone == SAMPLES[: len(alone)]
    # The tail ends where the kill came: in the middle of a fragment, here after its third picture or so.
    end = min(chunks * CHUNK_BYTES + 60_000, len(PLAIN))
    for offset in {chunks * CHUNK_BYTES, max(0, chunks - 1) * CHUNK_BYTES}:
        until = min(end, offset + CHUNK_BYTES)
        (tmp_path / "20261121T100500.000Z.salvaged.mp4.age.tail").write_bytes(tail(PLAIN, offset, until))
        items = read(put(tmp_path, file, 0, suffix=".salvaged.mp4.age"))
        assert not losses(items)
        got = datas(items)
        assert got == SAMPLES[: len(got)]
        assert len(got) >= len(alone)
        if until > chunks * CHUNK_BYTES + 30_000:
            assert len(got) > len(alone)


def test_a_tail_beside_a_whole_segment_is_left_alone(tmp_path):
    (tmp_path / "20261121T100500.000Z.mp4.age.tail").write_bytes(b"stale")
    items = read(put(tmp_path, FILE, 0))
    assert not losses(items)
    assert datas(items) == SAMPLES


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (tail(PLAIN, 2 * CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 90), "goes on at byte 131073"),
        (tail(PLAIN, 0, 10, magic=b"PASUTALE"), "not a tail"),
        (sealed(b"PASUTAIL\0\0\0"), "not a tail"),
        (sealed(b""), "not a tail"),
        (tail(PLAIN, 0)[:-1], "cut off"),
        (sealed(b"PASUTAIL" + bytes(8), BOB), "none of the identities"),
        (tail(plaintext(200_000), 0), "too large"),
        (b"", "not an age file"),
        (None, "reading failed"),
    ],
)
def test_a_tail_that_cannot_be_used(tmp_path, data, why):
    path = tmp_path / "x.tail"
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    source = put(tmp_path, cut(FILE, 2), 0, suffix=".salvaged.mp4.age")
    items = read(SegmentFile(source.path, path, salvaged=True))
    (lost,) = losses(items)
    assert (lost.code, lost.path) == ("TAIL_UNUSABLE", path)
    assert why in lost.detail
    assert datas(items)


def test_a_tail_that_has_nothing_new(tmp_path):
    source = put(tmp_path, cut(FILE, 2), 0, suffix=".salvaged.mp4.age")
    path = tmp_path / "x.tail"
    path.write_bytes(tail(PLAIN, CHUNK_BYTES, CHUNK_BYTES + 1000))
    items = read(SegmentFile(source.path, path, salvaged=True))
    assert not losses(items)
    assert datas(items) == datas(read(SegmentFile(source.path, salvaged=True)))


def test_a_tail_stands_in_for_a_chunk_that_was_cut_off(tmp_path):
    part = FILE[: chunk_place(FILE, 3) + 5000]
    (tmp_path / "20261121T100500.000Z.mp4.age.tail").write_bytes(
        tail(PLAIN, 3 * CHUNK_BYTES, 4 * CHUNK_BYTES)
    )
    items = read(put(tmp_path, part, 0, suffix=".mp4.age.part"))
    assert not losses(items)
    assert sum(map(len, datas(items))) > 3.7 * CHUNK_BYTES
    changed = bytearray(part)
    changed[chunk_place(FILE, 2)] ^= 1
    items = read(put(tmp_path, bytes(changed), 0, suffix=".mp4.age.part"))
    assert places(items) == [("CHUNK_DAMAGED", 2, 2, chunk_place(FILE, 2), SEALED_CHUNK_BYTES + 5000)]
    assert set(datas(items)) <= set(SAMPLES)


def test_bytes_behind_the_last_chunk(tmp_path):
    plain = PLAIN[: 2 * CHUNK_BYTES]
    file = sealed(plain)
    items = read(put(tmp_path, file + b"more", 0))
    assert [lost.code for lost in losses(items)] == ["CHUNK_AFTER_END"]
    assert datas(items)


def test_whole_chunks_that_are_no_video(tmp_path):
    items = read(put(tmp_path, sealed(plaintext(200_000)), 0))
    assert {lost.code for lost in losses(items)} == {"VIDEO_DAMAGED"}
    assert not datas(items)


def test_video_that_ends_within_a_fragment(tmp_path):
    items = read(put(tmp_path, sealed(PLAIN[:-3]), 0))
    assert [lost.code for lost in losses(items)] == ["VIDEO_DAMAGED"]
    assert datas(items) == SAMPLES[:-1]


def test_reading_goes_on_behind_strange_bytes_between_fragments(tmp_path):
    one = fragment(1, 0, pictures()[1][:3], START_MS)
    plain = PLAIN[: PLAIN.index(b"prft") - 4] + one + b"\0\0\0\1" + bytes(50) + one
    items = read(put(tmp_path, sealed(plain), 0))
    assert datas(items) == [*SAMPLES[:3], *SAMPLES[:3]]
    assert [lost.code for lost in losses(items)] == ["VIDEO_DAMAGED"]


def test_nothing_is_held_open_when_reading_stops_early(tmp_path):
    items = read_segment(segment(tmp_path, 0, 4), [ALICE], lambda _: None)
    assert isinstance(next(items), Init)
    items.close()
    assert list(items) == []
