from __future__ import annotations

import struct

import pytest

from agent.mp4.boxes import ABOUT_UUID, DESCRIPTION_LIMIT
from agent.mp4.errors import Mp4Error
from agent.mp4.init import init_segment
from tests.unit.mp4.tree import walk, words

CONFIG = bytes(range(40))


def test_boxes_of_the_init_segment_in_their_order():
    data = init_segment("h264", 1920, 1080, 90_000, CONFIG, b'{"run":"x"}')
    assert list(walk(data)) == [
        *("ftyp", "uuid", "moov", "moov/mvhd", "moov/trak", "moov/trak/tkhd", "moov/trak/mdia"),
        *("moov/trak/mdia/mdhd", "moov/trak/mdia/hdlr", "moov/trak/mdia/minf", "moov/trak/mdia/minf/vmhd"),
        *("moov/trak/mdia/minf/dinf", "moov/trak/mdia/minf/dinf/dref", "moov/trak/mdia/minf/stbl"),
        *(f"moov/trak/mdia/minf/stbl/{kind}" for kind in ("stsd", "stts", "stsc", "stsz", "stco")),
        *("moov/mvex", "moov/mvex/trex"),
    ]


def test_fields_of_the_init_segment():
    tree = walk(init_segment("h264", 1920, 1080, 90_000, CONFIG, b"about"))
    assert tree["ftyp"] == b"iso6" + bytes(4) + b"iso6iso5mp41"
    assert tree["uuid"] == ABOUT_UUID + b"about"
    unity = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000]
    mvhd = words(tree["moov/mvhd"])
    assert mvhd[:5] == [0, 0, 0, 90_000, 0]
    assert mvhd[5:7] == [0x10000, 0x01000000]
    assert mvhd[9:18] == unity
    assert (mvhd[-1], len(mvhd)) == (2, 25)
    tkhd = words(tree["moov/trak/tkhd"])
    assert tkhd == [3, 0, 0, 1, 0, 0, 0, 0, 0, 0, *unity, 1920 << 16, 1080 << 16]
    mdia = "moov/trak/mdia/"
    assert words(tree[mdia + "mdhd"]) == [0, 0, 0, 90_000, 0, 0x55C40000]
    assert tree[mdia + "hdlr"] == bytes(8) + b"vide" + bytes(12) + b"Pasu\0"
    assert tree[mdia + "minf/vmhd"] == b"\0\0\0\1" + bytes(8)
    assert tree[mdia + "minf/dinf/dref"] == b"\0\0\0\0\0\0\0\1\0\0\0\x0curl \0\0\0\1"
    for kind, length in (("stts", 8), ("stsc", 8), ("stsz", 12), ("stco", 8)):
        assert tree[mdia + "minf/stbl/" + kind] == bytes(length)
    assert words(tree["moov/mvex/trex"]) == [0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("codec", "entry", "record"), [("h264", b"avc1", b"avcC"), ("h265", b"hev1", b"hvcC")]
)
def test_sample_entry_with_a_record(codec, entry, record):
    stsd = walk(init_segment(codec, 640, 360, 90_000, CONFIG))["moov/trak/mdia/minf/stbl/stsd"]
    visual = (
        bytes(6)
        + b"\0\1"
        + bytes(16)
        + b"\x02\x80\x01\x68"
        + bytes.fromhex("00480000 00480000 00000000 0001")
    )
    visual += bytes(32) + b"\0\x18\xff\xff"
    inner = struct.pack(">I", 8 + len(CONFIG)) + record + CONFIG
    assert stsd == b"\0\0\0\0\0\0\0\1" + struct.pack(">I", 8 + len(visual + inner)) + entry + visual + inner


@pytest.mark.parametrize(("codec", "object_type"), [("mpeg4", 0x20), ("mjpeg", 0x6C)])
@pytest.mark.parametrize("config", [b"", CONFIG, bytes(300), bytes(70_000)])
def test_sample_entry_with_descriptors(codec, object_type, config):
    stsd = walk(init_segment(codec, 0, 0, 90_000, config))["moov/trak/mdia/minf/stbl/stsd"]
    assert stsd[12:16] == b"mp4v"

    def descriptor(tag: int, body: bytes) -> bytes:
        groups = [len(body) >> shift & 0x7F for shift in (21, 14, 7, 0)]
        return bytes([tag, groups[0] | 0x80, groups[1] | 0x80, groups[2] | 0x80, groups[3]]) + body

    specific = descriptor(5, config) if config else b""
    decoder = descriptor(4, bytes((object_type, 0x11)) + bytes(11) + specific)
    esds = bytes(4) + descriptor(3, bytes(3) + decoder + descriptor(6, b"\2"))
    assert stsd[94:] == struct.pack(">I", 8 + len(esds)) + b"esds" + esds


def test_nothing_about_the_segment_leaves_no_box():
    assert "uuid" not in walk(init_segment("mjpeg", 1, 1, 1, b""))


@pytest.mark.parametrize(
    "arguments",
    [
        ("av1", 1, 1, 1, b"x"),
        ("h264", 1, 1, 1, b""),
        ("h265", 1, 1, 1, b""),
        ("h264", 65536, 1, 1, b"x"),
        ("h264", 1, -1, 1, b"x"),
        ("h264", 1, 65536, 1, b"x"),
        ("h264", 1, 1, 0, b"x"),
        ("h264", 1, 1, 1 << 32, b"x"),
        ("h264", 1, 1, 1, bytes(DESCRIPTION_LIMIT // 2 + 1)),
    ],
)
def test_track_that_no_file_can_hold_is_refused(arguments):
    with pytest.raises(Mp4Error, match=r"^track: "):
        init_segment(*arguments)


def test_too_much_about_a_segment_is_refused():
    with pytest.raises(Mp4Error, match=r"^about: "):
        init_segment("mjpeg", 1, 1, 1, b"", bytes(DESCRIPTION_LIMIT // 2 + 1))
