from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mp4.boxes import BOX_LIMIT, DESCRIPTION_LIMIT, box, full_box
from agent.mp4.errors import Mp4Error
from agent.mp4.fragment import PRFT_START, Sample, fragment
from agent.mp4.init import init_segment
from agent.mp4.reader import Fragment, Init, Reader

INIT = Init("h264", 640, 360, 90_000, b"record", b'{"camera":"cam01"}')
HEAD = init_segment(*INIT)
SAMPLES = [
    Sample(b"keyframe", 3000, 0, True),
    Sample(b"", 3000, 3000, False),
    Sample(b"end", 3000, -3000, False),
]
UTC_MS = 1_795_255_500_123
PART = Fragment(1, 90_000, SAMPLES, UTC_MS)
DATA = fragment(*PART)
MOOF_AT = DATA.index(b"moof") - 4

samples = st.builds(
    Sample,
    st.binary(max_size=40),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.booleans(),
)
fragments = st.builds(
    Fragment,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 2**32),
    st.lists(samples, min_size=1, max_size=6),
    st.none() | st.integers(-61_505_151_000, 4_233_462_143_999),
)
inits = st.builds(
    Init,
    st.sampled_from(["h264", "h265", "mpeg4", "mjpeg"]),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(1, 2**32 - 1),
    st.binary(min_size=1, max_size=300),
    st.binary(max_size=50),
)


@given(inits, st.lists(fragments, max_size=4), st.data())
def test_what_was_written_is_read_in_pieces_of_any_size(init, parts, data):
    whole = init_segment(*init) + b"".join(fragment(*part) for part in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    reader, found = Reader(), []
    for start, stop in itertools.pairwise([0, *cuts, len(whole)]):
        found += reader.feed(whole[start:stop])
    assert found == [init, *parts]
    assert reader.pending_bytes == 0


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_track_without_configuration(codec):
    init = Init(codec, 0, 0, 1000, b"", b"")
    assert Reader().feed(init_segment(*init)) == [init]


def test_every_cut_off_end_leaves_pending_bytes_and_the_whole_samples_before_it():
    whole = HEAD + DATA
    for end in range(len(whole)):
        reader = Reader()
        found = reader.feed(whole[:end])
        assert found == ([INIT] if end >= len(HEAD) else [])
        assert reader.pending_bytes == (end if end < len(HEAD) else end - len(HEAD))
        payload = end - (len(whole) - 11)
        # The empty second sample is whole with the first.
        expected = PART._replace(samples=SAMPLES[:2]) if payload >= 8 else None
        assert reader.rest() == expected
        assert reader.feed(whole[end:])[-1] == PART


def test_two_segments_in_one_stream():
    bare = Init("mjpeg", 1, 1, 1, b"", b"")
    data = HEAD + DATA + init_segment(*bare) + DATA
    assert Reader().feed(data) == [INIT, PART, bare, PART]


def test_boxes_of_other_names_are_passed_over():
    strangers = box(b"free", bytes(DESCRIPTION_LIMIT - 8)) + box(b"uuid", bytes(20)) + box(b"abst", b"x")
    reader = Reader()
    assert reader.feed(HEAD + strangers + DATA + strangers) == [INIT, PART]
    assert reader.pending_bytes == 0
    # Inside known boxes as well.
    moof = DATA[MOOF_AT : DATA.index(b"mdat") - 4]
    at = moof.index(b"trun") + 12
    offset = struct.unpack_from(">i", moof, at)[0]
    wider = moof[8:at] + struct.pack(">i", offset + 8) + moof[at + 4 :] + box(b"free")
    assert Reader().feed(HEAD + DATA[:MOOF_AT] + box(b"moof", wider) + DATA[DATA.index(b"mdat") - 4 :]) == [
        INIT,
        PART,
    ]


def test_prft_of_another_track_or_version_says_nothing():
    for place, value in ((11, 23), (15, 2), (8, 0)):
        data = bytearray(DATA)
        data[place] = value
        expected = PART if place == 11 else PART._replace(utc_ms=None)
        assert Reader().feed(HEAD + bytes(data)) == [INIT, expected]


def test_utc_belongs_to_its_own_fragment_only():
    later = fragment(2, 99_000, SAMPLES, None)
    assert Reader().feed(HEAD + DATA + later)[-1] == Fragment(2, 99_000, SAMPLES, None)


def trickle(reader: Reader, data: bytes) -> None:
    for at in range(len(data)):
        reader.feed(data[at : at + 1])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0\0\0\x07ftyp", "box_size"),
        (struct.pack(">I", DESCRIPTION_LIMIT + 1) + b"ftyp", "box_size"),
        (HEAD + struct.pack(">I", BOX_LIMIT + 1) + b"mdat", "box_size"),
        (HEAD + struct.pack(">I", DESCRIPTION_LIMIT + 1) + b"abcd", "box_size"),
        (HEAD + b"\0\0\0\x08\xffree", "box_size"),
        (HEAD + b"\0\0\0\x08fr\0e", "box_size"),
        (HEAD + b"\0\0\0\1mdat\0\0\0\0\0\0\0\x10", "box_size"),
        (b"not a movie", "box_size"),
        (b"\0\0\0\x10RIFF", "order"),
        (DATA, "order"),
        (HEAD[: HEAD.index(b"moov") - 4] + DATA, "order"),
        (HEAD + box(b"mdat", b"x"), "order"),
        (HEAD + DATA[: DATA.index(b"mdat") - 4] + box(b"free"), "order"),
        (HEAD + DATA[: DATA.index(b"mdat") - 4] + box(b"mdat"), "sample_size"),
        (HEAD + DATA[: DATA.index(b"mdat") - 4] + struct.pack(">I4s", BOX_LIMIT, b"mdat"), "sample_size"),
        (HEAD + box(b"prft", bytes(23)), "box_short"),
        (HEAD + box(b"moof"), "box_count"),
    ],
)
def test_bytes_that_are_not_ours_are_refused(data, code):
    with pytest.raises(Mp4Error) as error:
        trickle(Reader(), data)
    assert error.value.code == code


def rebuilt(data: bytes, kind: bytes, change: bytes, at: int = 0) -> bytes:
    """Overwrite bytes of the body of the first box of a kind."""
    place = data.index(kind) + 4 + at
    return data[:place] + change + data[place + len(change) :]


AVC = init_segment(*INIT)
MP4V = init_segment("mpeg4", 1, 1, 1, b"headers")
BARE = init_segment("mjpeg", 1, 1, 1, b"")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (rebuilt(AVC, b"mdhd", b"\1"), "moov"),
        (rebuilt(AVC, b"mdhd", bytes(4), 12), "moov"),
        (rebuilt(AVC, b"stsd", b"\1"), "moov"),
        (rebuilt(AVC, b"stsd", b"\2", 7), "moov"),
        (rebuilt(AVC, b"avc1", b"av01", -4), "moov"),
        (rebuilt(AVC, b"avcC", b"hvcC", -4), "box_count"),
        (rebuilt(AVC, b"trak", b"trax", -4), "box_count"),
        (rebuilt(MP4V, b"esds", b"\4", 4), "esds"),
        (rebuilt(MP4V, b"esds", b"\xff\xff\xff\xff", 5), "esds"),
        (rebuilt(MP4V, b"esds", b"\5", 12), "esds"),
        (rebuilt(MP4V, b"esds", b"\x40", 17), "esds"),
        (rebuilt(MP4V, b"esds", b"\x06", 30), "esds"),
        (rebuilt(BARE, b"esds", b"\x0c", 16), "esds"),
        (rebuilt(BARE, b"esds", b"\x00", 16), "esds"),
        (AVC[: AVC.index(b"moov") - 4] + box(b"moov", box(b"trak", box(b"mdia", box(b"mdhd")))), "box_short"),
    ],
)
def test_movie_that_is_not_ours_is_refused(data, code):
    with pytest.raises(Mp4Error) as error:
        Reader().feed(data)
    assert error.value.code == code


def test_sample_description_without_an_entry_is_refused():
    stbl = box(b"stbl", full_box(b"stsd", 0, 0, b"\0\0\0\1"))
    mdhd = full_box(b"mdhd", 0, 0, struct.pack(">IIIII", 0, 0, 1, 0, 0))
    moov = box(b"moov", box(b"trak", box(b"mdia", mdhd, box(b"minf", stbl))))
    with pytest.raises(Mp4Error, match="found=0"):
        Reader().feed(AVC[: AVC.index(b"uuid") - 4] + moov)


def test_descriptor_length_may_be_short():
    """One byte of length, as other writers have it."""
    esds = bytes(4) + b"\x03\x12" + bytes(3) + b"\x04\x0d\x6c\x11" + bytes(11)
    data = BARE.replace(BARE[BARE.index(b"esds") + 4 : BARE.index(b"stts") - 4], esds)
    shorter = len(BARE) - len(data)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v", b"esds"):
        at = data.index(kind) - 4
        size = int.from_bytes(data[at : at + 4], "big") - shorter
        data = data[:at] + size.to_bytes(4, "big") + data[at + 4 :]
    assert Reader().feed(data) == [Init("mjpeg", 1, 1, 1, b"", b"")]


@pytest.mark.parametrize(
    ("kind", "change", "at"),
    [
        (b"tfhd", b"\0\0\0\0", 0),
        (b"tfhd", b"\0\0\0\2", 4),
        (b"tfdt", b"\0", 0),
        (b"trun", b"\1\0\x0f\0", 0),
        (b"trun", b"\0\0\0\0", 4),
        (b"trun", b"\0\0\0\2", 4),
        (b"trun", b"\0\0\0\4", 4),
        (b"trun", b"\xff\xff\xff\xff", 4),
        (b"trun", b"\0\0\0\0", 8),
        (b"trun", b"\xff\xff\xff\xff", 16),
        (b"trun", struct.pack(">I", BOX_LIMIT - 8), 16),
    ],
)
def test_fragment_that_is_not_ours_is_refused(kind, change, at):
    reader = Reader()
    reader.feed(HEAD)
    with pytest.raises(Mp4Error, match=r"^moof: "):
        reader.feed(rebuilt(DATA, kind, change, at))


def test_what_is_whole_before_the_damage_comes_first_and_the_error_with_every_later_call():
    reader = Reader()
    assert reader.feed(HEAD + DATA + b"garbage!") == [INIT, PART]
    for _ in range(2):
        with pytest.raises(Mp4Error, match="box_size"):
            reader.feed(b"")
    assert reader.pending_bytes == 8


def test_refused_box_stays_pending():
    reader = Reader()
    reader.feed(HEAD)
    for _ in range(2):
        with pytest.raises(Mp4Error, match="box_count"):
            reader.feed(b"" if reader.pending_bytes else box(b"moof"))
        assert reader.pending_bytes == 8


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    "lost", [(10, 20), (MOOF_AT + 2, len(DATA)), (len(DATA) - 5, len(DATA) + 40), (0, 4)]
)
def test_resync_finds_the_next_whole_fragment(step, lost):
    """Bytes went missing in the first or second of four fragments; the last ones are found again."""
    parts = [PART._replace(sequence=number, base_dts=number * 9000) for number in range(1, 5)]
    whole = b"".join(fragment(*part) for part in parts)
    broken = whole[: lost[0]] + whole[lost[1] :]
    reader, found = Reader(), []
    reader.feed(HEAD)
    reader.feed(broken[: lost[0]])
    reader.resync()
    for at in range(lost[0], len(broken), step):
        found += reader.feed(broken[at : at + step])
    assert found == parts[2 if lost[1] > len(DATA) else 1 :]
    assert reader.pending_bytes == 0


def test_resync_steps_over_a_start_that_leads_nowhere():
    reader = Reader()
    reader.resync()
    with pytest.raises(Mp4Error):
        reader.feed(b"???" + PRFT_START + bytes(16) + b"garbage!" + DATA)
    reader.resync()
    assert reader.feed(b"") == [PART]


def test_search_holds_little():
    reader = Reader()
    reader.resync()
    for _ in range(100):
        assert reader.feed(bytes(10_000)) == []
    assert reader.pending_bytes == len(PRFT_START) - 1


def test_rest_without_a_fragment_is_none():
    reader = Reader()
    assert reader.rest() is None
    reader.feed(HEAD + DATA)
    assert reader.rest() is None
    with pytest.raises(Mp4Error):
        reader.feed(DATA[: DATA.index(b"mdat") - 4] + box(b"mdat", b"wrong"))
    assert reader.rest() is None
