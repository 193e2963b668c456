import pytest

from agent.rtsp.errors import RtspError
from agent.rtsp.h264 import H264ParameterSets, is_recovery_point, parse_sps
from tests.unit.rtp.build import h264_pps, h264_sps


def high(chroma=1, *, planes=0, lists=None, luma=0):
    def write(bits):
        bits.ue(chroma)
        if chroma == 3:
            bits.u(1, planes)
        bits.ue(luma).ue(0).u(1, 0)
        bits.u(1, 1 if lists else 0)
        for index in range(12 if chroma == 3 else 8) if lists else ():
            lists(bits, index)

    return write


def restriction(reorder, *, before=lambda bits: bits.u(8, 0)):
    """A VUI of eight absent parts, then bitstream_restriction."""

    def write(bits):
        before(bits)
        if reorder is None:
            bits.u(1, 0)
            return
        bits.u(1, 1).u(1, 1).ue(2).ue(1).ue(11).ue(11).ue(reorder).ue(4)

    return write


def full_vui(bits):
    bits.u(1, 1).u(8, 255).u(16, 4).u(16, 3)  # extended aspect ratio
    bits.u(1, 1).u(1, 0)  # overscan
    bits.u(1, 1).u(3, 5).u(1, 1).u(1, 1).u(24, 0x010101)  # signal type with colours
    bits.u(1, 1).ue(0).ue(0)  # chroma location
    bits.u(1, 1).u(32, 1).u(32, 50).u(1, 1)  # timing
    for _ in range(2):
        bits.u(1, 1).ue(1).u(4, 2).u(4, 3)
        for _ in range(2):
            bits.ue(1000).ue(2000).u(1, 0)
        bits.u(20, 0)
    bits.u(1, 0).u(1, 1)  # low delay, pic_struct


def plain_vui(bits):
    bits.u(1, 1).u(8, 1).u(1, 0)  # aspect ratio 1:1
    bits.u(1, 1).u(3, 5).u(1, 0).u(1, 0)  # signal type without colours
    bits.u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0)


def test_main_profile():
    sps = parse_sps(h264_sps())
    assert (sps.width, sps.height, sps.reorder, sps.profile, sps.level) == (320, 240, None, 77, 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "274d001fe7402802dd80a5050505f000000300100000030 28b010002dc68000225517fff0280",
            (77, 1280, 720),
        ),  # V380, retina #68
        ("67640033ac1514a0a03d90", (100, 640, 480)),  # Reolink, from SDP, retina #102
        (
            "67640033ac1514a0a03da1000004f6000063380404",
            (100, 640, 480),
        ),  # the same camera in band: broken VUI
    ],
)
def test_parameter_sets_of_real_cameras(text, expected):
    sps = parse_sps(bytes.fromhex(text.replace(" ", "")))
    assert (sps.profile, sps.width, sps.height, sps.reorder) == (*expected, None)


def test_1080_lines_are_cropped():
    sps = parse_sps(h264_sps(100, high=high(), width_mbs=120, height_units=68, crop=(0, 0, 0, 4)))
    assert (sps.width, sps.height) == (1920, 1080)


def test_interlaced_lines_count_twice():
    sps = parse_sps(h264_sps(width_mbs=120, height_units=34, frames_only=0, crop=(0, 0, 0, 2)))
    assert (sps.width, sps.height) == (1920, 1080)


@pytest.mark.parametrize(
    ("chroma", "planes", "size"),
    [(0, 0, (317, 233)), (1, 0, (314, 226)), (2, 0, (314, 233)), (3, 0, (317, 233)), (3, 1, (317, 233))],
)
def test_cropping_units_follow_the_chroma_format(chroma, planes, size):
    sps = parse_sps(h264_sps(244, high=high(chroma, planes=planes), crop=(1, 2, 3, 4)))
    assert (sps.width, sps.height, sps.chroma_format) == (*size, chroma)


def test_scaling_lists_are_skipped():
    def lists(bits, index):
        if index % 3 == 0:
            bits.u(1, 0)
        elif index % 3 == 1:
            bits.u(1, 1).se(-8)  # next scale 0: use the default
        else:
            bits.u(1, 1)
            for entry in range(16 if index < 6 else 64):
                bits.se(1 if entry % 2 else -1)

    for chroma in (1, 3):
        sps = parse_sps(h264_sps(100, high=high(chroma, lists=lists, luma=2), width_mbs=45, height_units=36))
        assert (sps.width, sps.height, sps.bit_depth_luma) == (720, 576, 2)


def test_order_count_type_1_has_a_cycle():
    assert parse_sps(h264_sps(order_type=1, cycle=(2, -3, 40))).width == 320


@pytest.mark.parametrize(
    ("sps", "reorder"),
    [
        (h264_sps(66), 0),  # baseline has no B slices
        (h264_sps(order_type=2), 0),
        (h264_sps(100, 0x10, high=high()), 0),  # intra profile
        (h264_sps(77, 0x10), None),
        (h264_sps(vui=restriction(2)), 2),
        (h264_sps(vui=restriction(0)), 0),
        (h264_sps(vui=restriction(None)), None),
        (h264_sps(vui=restriction(17)), None),  # more than a decoded picture buffer can hold
        (h264_sps(vui=restriction(1, before=full_vui)), 1),
        (h264_sps(vui=restriction(3, before=plain_vui)), 3),
        (h264_sps(vui=lambda bits: bits.u(4, 0).u(1, 1), stop=False), None),  # cut short in the timing
        (h264_sps(vui=lambda bits: bits.u(5, 0).u(1, 1).ue(32)), None),  # too many coded picture buffers
    ],
)
def test_reorder(sps, reorder):
    parsed = parse_sps(sps)
    assert (parsed.reorder, parsed.width, parsed.height) == (reorder, 320, 240)


@pytest.mark.parametrize(
    "nal",
    [
        b"\x67",
        b"\x67\x42\x00\x1f",
        h264_sps(sps_id=32),
        h264_sps(order_type=3),
        h264_sps(100, high=high(4)),
        h264_sps(100, high=high(1, luma=7)),
        h264_sps(order_type=1, cycle=(0,) * 256),
        h264_sps(width_mbs=1025),
        h264_sps(height_units=1025),
        h264_sps(height_units=513, frames_only=0),
        h264_sps(width_mbs=2**32 - 1),
        h264_sps(crop=(0, 160, 0, 0)),
        h264_sps(crop=(0, 0, 100, 21)),
        h264_sps(crop=(2**32 - 2, 0, 0, 0)),
        h264_sps() + bytes(5000),
    ],
)
def test_sps_that_cannot_be_are_refused(nal):
    with pytest.raises(RtspError) as caught:
        parse_sps(nal)
    assert caught.value.code == "malformed_parameter_sets"


def test_avcc_layout():
    sets = H264ParameterSets()
    sps, pps = h264_sps(77, 0x40, 31), h264_pps()
    assert sets.format(90_000) is None
    assert sets.add(sps)
    assert sets.format(90_000) is None
    assert sets.add(pps)
    described = sets.format(90_000)
    expected = bytes((1, 77, 0x40, 31, 0xFF, 0xE1)) + len(sps).to_bytes(2, "big") + sps
    expected += b"\x01" + len(pps).to_bytes(2, "big") + pps
    assert described.config == expected
    assert (described.codec, described.clock_rate, described.width) == ("h264", 90_000, 320)


def test_avcc_of_high_profile_has_a_tail():
    sets = H264ParameterSets()
    sets.add(h264_sps(110, high=high(2, luma=2)))
    sets.add(h264_pps())
    assert sets.format(90_000).config[-4:] == bytes((0xFE, 0xFA, 0xF8, 0))


def test_sets_say_what_changed_and_the_last_sps_is_in_force():
    sets = H264ParameterSets()
    small, large = h264_sps(), h264_sps(sps_id=1, width_mbs=40)
    assert sets.add(small)
    assert not sets.add(small)
    assert sets.add(h264_pps())
    assert not sets.add(h264_pps())
    assert sets.add(h264_pps(1, 1))
    first = sets.format(90_000)
    assert first.width == 320
    assert sets.add(large)
    second = sets.format(90_000)
    assert second.width == 640
    assert second.config[5] == 0xE2
    assert sets.add(small)
    assert sets.format(90_000).width == 320


def test_avcc_counts_no_more_than_it_can():
    sets = H264ParameterSets()
    for index in range(32):
        sets.add(h264_sps(sps_id=index))
    for index in range(256):
        sets.add(h264_pps(index))
    assert sets.format(90_000).config[5] == 0xE0 | 31


@pytest.mark.parametrize("pps", [b"\x68", b"\x68" + bytes(12), h264_pps(256), h264_pps() + bytes(5000)])
def test_pps_that_cannot_be_are_refused(pps):
    with pytest.raises(RtspError, match="malformed_parameter_sets"):
        H264ParameterSets().add(pps)


@pytest.mark.parametrize(
    ("sei", "found"),
    [
        (b"\x06\x06\x01\xc4\x80", True),
        (b"\x06\x06\x01\x64\x80", False),  # recovery_frame_cnt above 0
        (b"\x06\x05\x02\xaa\xbb\x06\x01\xc4\x80", True),  # behind another message
        (b"\x06\x01\x01\x11\x80", False),
        (b"\x06\xff\xff\x05\x00\x06\x01\xc4\x80", True),  # payload type 515
        (b"\x06\x05\xff\x01" + bytes([7]) * 256 + b"\x06\x01\xc4\x80", True),  # payload size 256
        (b"\x06\x06", False),
        (b"\x06", False),
        (b"\x06\xff\xff\xff\xff", False),
        (b"\x06\x05\xff\xff\xff", False),
        (b"\x06\x06\x00\x00", False),
        (b"\x06\x01\x00\x06\x00", False),
        (b"\x06\x01\x00\xff\x06\x01", False),
        (b"\x06\xff\x06\x01", False),
        (b"\x06\x07\x00\x06\xff\x01", False),
    ],
)
def test_recovery_point(sei, found):
    assert is_recovery_point(sei) is found
