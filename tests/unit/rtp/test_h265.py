import base64

import pytest

from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.h265 import H265ParameterSets, parse_sps
from tests.unit.rtp.build import drain, feed, h265_pps, h265_sps, h265_vps, lengths

VPS, SPS, PPS = h265_vps(), h265_sps(), h265_pps()
SETS = (VPS, SPS, PPS)
SEI = b"\x4e\x01\x01\x02\x03\x80"
IDR = b"\x26\x01\xaf" + bytes(range(1, 90))
P = b"\x02\x01\xd0" + bytes(range(1, 70))
SECOND_P = b"\x02\x01\x50" + bytes(range(1, 40))


def new(**fmtp):
    return depacketizer("H265", fmtp, 90_000)


def fu(nal, *cuts, don=b""):
    body = nal[2:]
    edges = [0, *cuts, len(body)]
    parts = []
    for index in range(len(edges) - 1):
        flags = (0x80 if index == 0 else 0) | (0x40 if index == len(edges) - 2 else 0)
        head = bytes((nal[0] & 0x81 | 49 << 1, nal[1], flags | nal[0] >> 1 & 63))
        parts.append(head + (don if index == 0 else b"") + body[edges[index] : edges[index + 1]])
    return parts


def ap(*nals):
    return b"\x60\x01" + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def only(units):
    assert len(units) == 1
    return units[0]


# Parameter sets.


def test_sps():
    sps = parse_sps(SPS)
    assert (sps.width, sps.height, sps.reorder, sps.sub_layers, sps.nested) == (640, 360, 2, 1, True)
    assert sps.profile_tier_level == bytes.fromhex("016000000090000000000000")[:11] + b"\x5d"


def test_sps_with_sub_layers():
    nal = h265_sps(layers=2, presents=((1, 1), (0, 1)), each_layer=1, reorder=(0, 1, 3))
    sps = parse_sps(nal)
    assert (sps.width, sps.sub_layers, sps.reorder) == (640, 3, 3)


@pytest.mark.parametrize(
    ("chroma", "size"), [(0, (637, 353)), (1, (634, 346)), (2, (634, 353)), (3, (637, 353))]
)
def test_conformance_window(chroma, size):
    sps = parse_sps(h265_sps(chroma=chroma, window=(1, 2, 3, 4)))
    assert (sps.width, sps.height) == size
    assert sps.chroma_format == (0 if chroma == 3 else chroma)  # our builder sets separate planes for 4:4:4


@pytest.mark.parametrize(
    "nal",
    [
        b"\x42\x01",
        SPS[:14],
        SPS[:-2],
        h265_sps(width=16385),
        h265_sps(height=0),
        h265_sps(window=(0, 320, 0, 0)),
        h265_sps(sps_id=16),
        h265_sps(chroma=4),
        h265_sps(reorder=(17,)),
        h265_sps(layers=7, presents=((0, 0),) * 7),
        SPS + bytes(5000),
    ],
)
def test_sps_that_cannot_be_are_refused(nal):
    with pytest.raises(RtspError) as caught:
        parse_sps(nal)
    assert caught.value.code == "malformed_parameter_sets"


def test_hvcc_layout():
    sets = H265ParameterSets()
    for nal in SETS:
        assert sets.format(90_000) is None
        assert sets.add(nal)
        assert not sets.add(nal)
    described = sets.format(90_000)
    config = described.config
    assert config[:13] == b"\x01" + parse_sps(SPS).profile_tier_level
    assert config[13:22] == b"\xf0\x00\xfc\xfd\xf8\xf8\x00\x00" + bytes((1 << 3 | 4 | 3,))
    assert config[22] == 3
    expected = b""
    for kind, nal in ((32, VPS), (33, SPS), (34, PPS)):
        expected += bytes((kind, 0, 1)) + len(nal).to_bytes(2, "big") + nal
    assert config[23:] == expected
    assert (described.codec, described.width, described.height, described.reorder) == ("h265", 640, 360, 2)


def test_last_sps_is_in_force():
    sets = H265ParameterSets()
    for nal in SETS:
        sets.add(nal)
    assert sets.add(h265_sps(1280, 720, sps_id=1))
    assert sets.add(h265_pps(1))
    assert sets.add(h265_vps(1))
    described = sets.format(90_000)
    assert described.width == 1280
    assert described.config.count(b"\x42\x01") == 2


@pytest.mark.parametrize("nal", [b"\x44\x01", h265_pps(64), h265_vps() + bytes(5000), b"\x44\x01\x00"])
def test_sets_that_cannot_be_are_refused(nal):
    with pytest.raises(RtspError, match="malformed_parameter_sets"):
        H265ParameterSets().add(nal)


# Payloads.


def test_single_nal_units():
    unit = only(feed(new(), *SETS, SEI, IDR, timestamp=99))
    assert unit.data == lengths(*SETS, SEI, IDR)
    assert (unit.timestamp, unit.keyframe, unit.damaged) == (99, True, False)
    assert (unit.format.width, unit.format.height) == (640, 360)


@pytest.mark.parametrize("cuts", [(), (1,), (20, 40, 60), (1, 2, 3, 4, 88)])
def test_fragments(cuts):
    assert only(feed(new(), *fu(IDR, *cuts))).data == lengths(IDR)


def test_fragmented_sets_and_aggregates():
    unit = only(feed(new(), *fu(VPS, 2), ap(SPS, PPS, SEI), *fu(IDR, 9)))
    assert unit.data == lengths(VPS, SPS, PPS, SEI, IDR)
    assert unit.format is not None


@pytest.mark.parametrize("kind", range(22))
def test_keyframes_are_random_access_pictures(kind):
    nal = bytes((kind << 1, 1, 0x80, 0x11))
    assert only(feed(new(), nal)).keyframe == (16 <= kind <= 21)
    nal += bytes(range(1, 30))
    assert only(feed(new(), *fu(nal, 10))).keyframe == (16 <= kind <= 21)


def test_decoding_order_numbers():
    machine = new(**{"sprop-max-don-diff": "2"})
    don = b"\x00\x09"
    first = VPS[:2] + don + VPS[2:]
    length = lambda nal: len(nal).to_bytes(2, "big")  # noqa: E731 - only here
    together = b"\x60\x01" + don + length(SPS) + SPS + b"\x01" + length(PPS) + PPS
    unit = only(feed(machine, first, together, *fu(IDR, 20, 50, don=don)))
    assert unit.data == lengths(VPS, SPS, PPS, IDR)
    assert (machine.bad, unit.damaged) == (0, False)
    assert feed(machine, b"\x62\x01\x93\x00\x01", timestamp=5) == []  # a start with nothing but the number
    assert feed(machine, b"\x60\x01\x00", timestamp=6) == []
    assert machine.bad == 2


def test_sdp_sets_and_in_band_sets():
    text = {
        f"sprop-{name}": base64.b64encode(nal).decode()
        for name, nal in zip(("vps", "sps", "pps"), SETS, strict=True)
    }
    machine = new(**text)
    first = machine.format
    assert first.width == 640
    assert only(feed(machine, *SETS, IDR, timestamp=0)).format is first
    assert only(feed(machine, h265_sps(1280, 720), IDR, timestamp=10)).format.width == 1280
    assert new(**{"sprop-sps": "AAAA,!", "sprop-vps": text["sprop-vps"]}).format is None


def test_sets_of_an_enhancement_layer_are_not_ours():
    machine = new()
    other = h265_sps(1280, 720, head=b"\x42\x09")
    high = h265_sps(1280, 720, head=b"\x43\x01")
    assert only(feed(machine, *SETS, other, high, IDR)).format.width == 640


def test_fragment_with_a_hole():
    machine = new()
    parts = fu(IDR, 20, 40, 60)
    feed(machine, *parts[:2], marker=False)
    assert feed(machine, parts[3], lost=1) == []
    assert feed(machine, *fu(P, 10)[1:], timestamp=10) == []
    unit = only(feed(machine, P, timestamp=20))
    assert (unit.lost, machine.dropped) == (1, 2)


def test_slices_missing_markers_and_damage():
    machine = new()
    feed(machine, P, fu(SECOND_P, 20)[0], marker=False)
    feed(machine, SECOND_P, marker=False)
    unit = only(feed(machine, P, timestamp=10, marker=False))
    assert (unit.data, unit.damaged) == (lengths(P, SECOND_P), True)
    assert feed(machine, SECOND_P, timestamp=20, marker=False)[0].data == lengths(P)
    machine.flush()
    assert drain(machine) == []


def test_start_codes_inside_payloads():
    code = b"\x00\x00\x00\x01"
    stream = b"".join(code + nal for nal in (*SETS, IDR))
    assert only(feed(new(), stream)).data == lengths(*SETS, IDR)
    assert only(feed(new(), *fu(stream, 10, 30))).data == lengths(*SETS, IDR)
    assert only(feed(new(), *fu(VPS + code + SPS + code + PPS + code + IDR, 10, 30))).data == lengths(
        *SETS, IDR
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x26\x01",
        b"\x64\x01\x00",  # PACI
        b"\x60\x01\x00",
        b"\x60\x01\x00\x05\x02",
        b"\x60\x01\x00\x00\x02",
        b"\x60\x01\x00\x01\x02",
        b"\x60\x01\x00\x02\x02\x01",
        b"\x62\x01\x93",
        b"\xa6\x01\xaf\x11",  # forbidden bit
        b"\x26\x00\xaf\x11",  # temporal id 0
        b"\x00\x00\x01",
    ],
)
def test_payload_that_is_none_damages_the_unit(payload):
    machine = new()
    unit = only(feed(machine, IDR, payload))
    assert (unit.data, unit.damaged, machine.bad) == (lengths(IDR), True, 1)


def test_unit_is_bounded():
    machine = new()
    start, middle, end = fu(IDR[:3] + bytes([7]) * 180_000, 60_000, 120_000)
    feed(machine, start, marker=False)
    for _ in range(300):
        feed(machine, middle, marker=False)
    assert machine.bad == 1
    assert feed(machine, end) == []
    feed(machine, start, timestamp=10, marker=False)
    for _ in range(279):
        feed(machine, middle, timestamp=10, marker=False)
    assert feed(machine, end, timestamp=10) == []
    assert only(feed(machine, P, timestamp=20)).data == lengths(P)
