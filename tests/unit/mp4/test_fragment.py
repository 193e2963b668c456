from __future__ import annotations

import struct

import pytest

from agent.mp4.boxes import BOX_LIMIT, DESCRIPTION_LIMIT
from agent.mp4.errors import Mp4Error
from agent.mp4.fragment import Sample, fragment
from tests.unit.mp4.tree import walk, words

KEY = Sample(b"key", 3000, 0, True)
DELTA = Sample(b"delta", 3003, 0, False)


def test_fragment_byte_for_byte():
    """Written out by hand from ISO/IEC 14496-12."""
    expected = bytes.fromhex(
        "00000020 70726674 01000018 00000001"  # prft, version 1, flags 24, track 1
        "83aa7e81 80000000 0000000200000005"  # 1970-01-01T00:00:01.500 in NTP; tick
        "00000070 6d6f6f66"
        "00000010 6d666864 00000000 00000007"  # mfhd: 7
        "00000058 74726166"
        "00000010 74666864 00020000 00000001"  # tfhd: default-base-is-moof, track 1
        "00000014 74666474 01000000 0000000200000005"  # tfdt
        "0000002c 7472756e 01000701 00000002 00000078"  # trun: two samples, data at 120
        "00000bb8 00000003 02000000"
        "00000bbb 00000005 01010000"
        "00000010 6d646174"
    )
    assert fragment(7, (2 << 32) + 5, [KEY, DELTA], 1500) == expected + b"keydelta"


def test_offsets_are_written_for_all_samples_once_one_has_any():
    early = DELTA._replace(offset=-3000)
    tree = walk(fragment(1, 9000, [KEY, early, DELTA], 0))
    trun = words(tree["moof/traf/trun"])
    assert trun[:3] == [0x01000F01, 3, len(tree["moof"]) + 16]
    assert trun[3:] == [
        *(3000, 3, 0x02000000, 0),
        *(3003, 5, 0x01010000, 2**32 - 3000),
        *(3003, 5, 0x01010000, 0),
    ]
    assert tree["mdat"] == b"keydeltadelta"


@pytest.mark.parametrize(("base_dts", "offset", "tick"), [(100, 50, 150), (100, -50, 50), (100, -150, 0)])
def test_prft_speaks_of_the_first_picture_as_it_is_shown(base_dts, offset, tick):
    tree = walk(fragment(1, base_dts, [KEY._replace(offset=offset)], 0))
    assert struct.unpack(">Q", tree["prft"][16:]) == (tick,)


def test_prft_time_goes_round_in_2036():
    before = walk(fragment(1, 0, [KEY], 2_085_978_495_999))["prft"]
    after = walk(fragment(1, 0, [KEY], 2_085_978_496_000))["prft"]
    assert words(before)[2] == 0xFFFFFFFF
    assert words(after)[2:4] == [0, 0]


def test_no_utc_no_prft():
    assert next(iter(walk(fragment(1, 0, [KEY], None)))) == "moof"


def test_sequence_goes_round():
    assert words(walk(fragment((1 << 32) + 3, 0, [KEY], 0))["moof/mfhd"]) == [0, 3]


@pytest.mark.parametrize(
    ("base_dts", "samples"),
    [
        (0, []),
        (-1, [KEY]),
        (1 << 64, [KEY]),
        (0, [KEY._replace(duration=-1)]),
        (0, [KEY._replace(duration=1 << 32)]),
        (0, [KEY._replace(offset=1 << 31)]),
        (0, [KEY._replace(offset=-(1 << 31) - 1)]),
        (0, [KEY] * (DESCRIPTION_LIMIT // 12)),
        (0, [KEY._replace(data=bytes(BOX_LIMIT - 7))]),
    ],
)
def test_what_does_not_fit_is_refused(base_dts, samples):
    with pytest.raises(Mp4Error, match=r"^fragment: "):
        fragment(1, base_dts, samples, 0)


def test_samples_may_be_empty_of_bytes():
    assert fragment(1, 0, [KEY._replace(data=b"")], 0).endswith(b"\0\0\0\x08mdat")
