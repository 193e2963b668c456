from __future__ import annotations

import struct
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mp4 import progressive as module
from agent.mp4.errors import Mp4Error
from agent.mp4.progressive import Index, SampleMeta, progressive
from agent.mp4.reader import Init
from tests.unit.mp4.tree import walk, words

INIT = Init("h264", 640, 360, 90_000, b"record", b'{"camera":"cam01"}')
KEY = SampleMeta(1000, 3000, 0, True)
DELTA = SampleMeta(100, 3000, 0, False)
STBL = "moov/trak/mdia/minf/stbl/"

metas = st.builds(
    SampleMeta,
    st.integers(0, 2000),
    st.integers(0, 2**31 - 1),
    st.integers(-(2**30) + 1, 2**30 - 1),
    st.booleans(),
)


def expand(body: bytes) -> list[int]:
    """Undo the run lengths of stts and ctts."""
    _, count, *runs = words(body)
    assert len(runs) == 2 * count
    return [value for times, value in zip(runs[::2], runs[1::2], strict=True) for _ in range(times)]


def places(tree: dict[str, bytes]) -> list[tuple[int, int]]:
    """Find each sample's offset and size through stsc, stsz and stco or co64, as a player does."""
    _, uniform, count, *sizes = words(tree[STBL + "stsz"])
    assert (uniform, count) == (0, len(sizes))
    if STBL + "co64" in tree:
        body = tree[STBL + "co64"]
        chunks = list(struct.unpack(f">{(len(body) - 8) // 8}Q", body[8:]))
    else:
        chunks = words(tree[STBL + "stco"])[2:]
    _, entries, *runs = words(tree[STBL + "stsc"])
    firsts = [*runs[::3], len(chunks) + 1]
    found = []
    for entry in range(entries):
        assert runs[3 * entry + 2] == 1
        for chunk in range(firsts[entry], firsts[entry + 1]):
            at = chunks[chunk - 1]
            for _ in range(runs[3 * entry + 1]):
                found.append((at, sizes[len(found)]))
                at += found[-1][1]
    assert len(found) == count
    return found


@given(st.lists(metas, max_size=100), st.none() | st.integers(-(10**13), 10**13))
def test_a_player_finds_every_sample_and_its_time(rest, utc_ms):
    samples = [KEY, *rest]
    header = progressive(INIT, samples, utc_ms)
    tree = walk(header)
    assert list(tree)[:3] == ["ftyp", "uuid", "moov"]
    starts = accumulate((sample.size for sample in samples), initial=len(header))
    assert places(tree) == [(at, sample.size) for at, sample in zip(starts, samples, strict=False)]
    assert expand(tree[STBL + "stts"]) == [sample.duration for sample in samples]
    offsets = expand(tree[STBL + "ctts"]) if STBL + "ctts" in tree else [0] * len(samples)
    first = 0
    if "moov/trak/edts/elst" in tree:
        elst = tree["moov/trak/edts/elst"]
        layout = ">IIQqI" if elst[0] else ">IIIiI"
        _, count, _, first, rate = struct.unpack(layout, elst)
        assert (count, rate) == (1, 0x10000)
    # No offset is negative, and what the edit list takes away is what was added.
    assert [offset - first for offset in offsets] == [sample.offset for sample in samples]
    assert max(offsets) < 1 << 31
    if STBL + "stss" in tree:
        assert words(tree[STBL + "stss"])[2:] == [
            i + 1 for i, sample in enumerate(samples) if sample.keyframe
        ]
    else:
        assert all(sample.keyframe for sample in samples)
    assert int(tree["mdat size"]) == 8 + sum(sample.size for sample in samples)


def test_plain_stream_has_no_table_it_does_not_need():
    tree = walk(progressive(INIT._replace(codec="mjpeg", config=b"", about=b""), [KEY] * 61))
    assert "uuid" not in tree
    assert "moov/mvex" not in tree
    assert [name for name in tree if name.startswith(STBL)] == [
        STBL + kind for kind in ("stsd", "stts", "stsz", "stsc", "stco")
    ]
    assert words(tree[STBL + "stts"]) == [0, 1, 61, 3000]
    assert words(tree[STBL + "stsc"]) == [0, 2, 1, 30, 1, 3, 1, 1]
    assert "moov/trak/edts" not in tree


@pytest.mark.parametrize(("count", "stsc"), [(29, [0, 1, 1, 29, 1]), (60, [0, 1, 1, 30, 1])])
def test_chunks_that_are_all_alike_need_one_entry(count, stsc):
    assert words(walk(progressive(INIT, [KEY] * count))[STBL + "stsc"]) == stsc


def test_presentation_begins_with_the_first_picture_and_ends_with_the_last_shown():
    order = [KEY._replace(offset=3000), DELTA._replace(offset=6000), DELTA]
    tree = walk(progressive(INIT, order))
    # Shown at 3000, 9000 and 6000: from 3000 until 12000.
    assert words(tree["moov/trak/edts/elst"]) == [0, 1, 9000, 3000, 0x10000]
    assert words(tree["moov/mvhd"])[4] == 9000
    assert words(tree["moov/trak/tkhd"])[5] == 9000
    assert words(tree["moov/trak/mdia/mdhd"])[4] == 9000


def test_negative_offsets_are_moved_up():
    tree = walk(progressive(INIT, [KEY, DELTA._replace(offset=3000), DELTA._replace(offset=-3000)]))
    assert words(tree[STBL + "ctts"])[0] == 0
    assert expand(tree[STBL + "ctts"]) == [3000, 6000, 0]
    assert words(tree["moov/trak/edts/elst"])[3] == 3000


def test_equal_offsets_are_kept():
    tree = walk(progressive(INIT, [KEY._replace(offset=3000)]))
    assert expand(tree[STBL + "ctts"]) == [3000]


def test_picture_of_no_length_shown_before_it_is_decoded():
    tree = walk(progressive(INIT, [KEY._replace(duration=0, offset=-9000)]))
    assert words(tree["moov/mvhd"])[4] == 0


def test_creation_time_counts_from_1904():
    tree = walk(progressive(INIT, [KEY], 1_795_255_500_123))
    for name in ("moov/mvhd", "moov/trak/tkhd", "moov/trak/mdia/mdhd"):
        assert words(tree[name])[1:3] == [1_795_255_500 + 2_082_844_800] * 2


def test_times_beyond_2040_and_long_clips_widen_the_headers():
    tree = walk(progressive(INIT, [KEY], 2_300_000_000_000))
    created = 2_300_000_000 + 2_082_844_800
    mvhd = tree["moov/mvhd"]
    assert struct.unpack(">IQQIQ", mvhd[:32]) == (1 << 24, created, created, 90_000, 3000)
    assert len(mvhd) == 112
    long = [KEY._replace(duration=(1 << 31) - 1, offset=5)] * 4
    tree = walk(progressive(INIT, long))
    assert struct.unpack(">IQQIIQ", tree["moov/trak/tkhd"][:36]) == (1 << 24 | 3, 0, 0, 1, 0, (1 << 33) - 4)
    assert struct.unpack(">IIQqI", tree["moov/trak/edts/elst"]) == (1 << 24, 1, (1 << 33) - 4, 5, 0x10000)


def test_offsets_are_wide_when_pictures_reach_beyond_32_bits():
    def header(last: int) -> tuple[bytes, dict[str, bytes]]:
        index = Index()
        for size in (2**30 - 1,) * 3 + (2**30 - 1 - last, 0):
            index.add(size, 1, 0, True)
        data = index.header(INIT)
        return data, walk(data)

    # The box's size needs 64 bits first: four GiB less than its own header.
    data, tree = header(0)
    assert int(tree["mdat size"]) == 16 + 4 * (2**30 - 1)
    assert STBL + "co64" in tree
    assert places(tree)[0][0] == len(data)
    data, tree = header(10)
    assert int(tree["mdat size"]) == 8 + 4 * (2**30 - 1) - 10
    assert STBL + "co64" in tree
    assert places(tree)[0][0] == len(data)
    narrow, tree = header(2000)
    assert int(tree["mdat size"]) == 8 + 4 * (2**30 - 1) - 2000
    assert STBL + "stco" in tree
    assert places(tree)[0][0] == len(narrow)
    assert places(tree)[-1][0] == len(narrow) + 4 * (2**30 - 1) - 2000


@pytest.mark.parametrize(
    "bad",
    [
        KEY._replace(size=-1),
        KEY._replace(size=2**30),
        KEY._replace(duration=-1),
        KEY._replace(duration=2**31),
        KEY._replace(offset=2**30),
        KEY._replace(offset=-(2**30)),
    ],
)
def test_numbers_beyond_the_tables_are_refused_and_leave_the_index_as_it_was(bad):
    index = Index()
    index.add(*KEY)
    before = index.header(INIT)
    with pytest.raises(Mp4Error, match=r"^sample: "):
        index.add(*bad)
    assert index.header(INIT) == before


def test_file_begins_with_a_keyframe():
    with pytest.raises(Mp4Error, match=r"^keyframe: "):
        progressive(INIT, [DELTA])


def test_file_without_pictures_is_refused():
    with pytest.raises(Mp4Error, match=r"^sample: "):
        progressive(INIT, [])


def test_tables_are_in_network_order_on_every_machine(monkeypatch):
    numbers = module.array("I", [1, 2])
    assert module._big(numbers) == b"\0\0\0\1\0\0\0\2"
    assert list(numbers) == [1, 2]
    numbers.byteswap()
    monkeypatch.setattr(module.sys, "byteorder", "big")
    assert module._big(numbers) == b"\0\0\0\1\0\0\0\2"
