"""Hostile RTP, RTCP, payloads and parameter sets: taken, or the one declared error; in bounded memory.

Plain loops with fixed seeds. A case starts from something valid, so that it gets past the first check.
"""

import random

import pytest

from agent.rtsp import h264, h265, mpeg4
from agent.rtsp.bits import BitReader, annexb_to_sample, base64_nals, sample, split_sample
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.jpeg import jpeg_headers, jpeg_size, parse_baseline
from agent.rtsp.packetizer import packetize
from agent.rtsp.rtcp import goodbye, parse_rtcp, receiver_report, sender_report
from agent.rtsp.rtp import SWITCH_SURELY, RtpStream
from agent.rtsp.units import format_from_units
from tests.unit.rtp.build import h264_pps, h264_sps, h265_pps, h265_sps, h265_vps, rtp, vol

CASES = 100_000


def damage(chooser, data):
    """Flip, cut, repeat or insert bytes."""
    data = bytearray(data)
    for _ in range(chooser.choice((0, 1, 1, 2, 4))):
        at = chooser.randrange(len(data) + 1)
        kind = chooser.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes((chooser.randrange(256),))
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = chooser.choice((b"\x00\x00\x01", b"\x00\x00\x03", b"\xff", b"\x00", bytes(9)))
        elif kind == 3 and data:
            data[chooser.randrange(len(data))] ^= 1 << chooser.randrange(8)
        else:
            data[at:at] = data[at : at + 8]
    return bytes(data)


def high(bits):
    bits.ue(3).u(1, 0).ue(0).ue(0).u(1, 0).u(1, 1)
    for _ in range(12):
        bits.u(1, 1).se(-8)


def vui(bits):
    bits.u(1, 1).u(8, 255).u(32, 7).u(1, 0).u(1, 1).u(4, 5).u(1, 1).u(24, 1).u(1, 1).ue(0).ue(0)
    bits.u(1, 1).u(32, 1).u(32, 50).u(1, 1).u(1, 1).ue(1).u(8, 0).ue(9).ue(9).u(1, 0).ue(9).ue(9).u(1, 0)
    bits.u(20, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 1).u(1, 1).ue(2).ue(1).ue(9).ue(9).ue(2).ue(4)


H264_SETS = [
    h264_sps(),
    h264_sps(100, high=high, crop=(0, 0, 0, 4), vui=vui),
    h264_sps(order_type=1, cycle=(1, 2, 3), vui=vui, frames_only=0),
    h264_pps(),
    h264_pps(7),
]
H265_SETS = [
    h265_vps(),
    h265_sps(),
    h265_sps(layers=2, presents=((1, 1), (0, 1)), window=(0, 0, 0, 4), each_layer=1, reorder=(0, 1, 2)),
    h265_pps(),
    h265_pps(9),
]
LAYERS = [b"\x00\x00\x01\xb0\x01" + vol(verid=2, par=15, control=0, vbv=True, fixed=3), vol(), vol(704, 576)]
JPEG = (
    jpeg_headers(1, 320, 240, bytes(range(1, 65)), bytes(range(101, 165)), 4)
    + bytes(range(200)) * 6
    + b"\xff\xd9"
)


@pytest.mark.parametrize(
    ("parse", "seeds", "check"),
    [
        (
            h264.parse_sps,
            H264_SETS[:3],
            lambda sps: 0 < sps.width <= 16384 and sps.reorder in (None, *range(17)),
        ),
        (h265.parse_sps, H265_SETS[1:3], lambda sps: 0 < sps.height <= 16384 and 0 <= sps.reorder <= 16),
        (mpeg4.parse_layer, LAYERS, lambda layer: 0 < layer.width <= 8191),
        (jpeg_size, [JPEG], lambda size: min(size) > 0),
        (parse_baseline, [JPEG], lambda picture: picture.kind in (0, 1) and len(picture.luma) in (64, 128)),
        (split_sample, [sample(H264_SETS)], lambda nals: all(nals)),
        (
            annexb_to_sample,
            [b"\x00\x00\x01".join(H264_SETS)],
            lambda data: sample(split_sample(data)) == data,
        ),
        (
            lambda data: parse_rtcp(data, 0, len(data)),
            [sender_report(1, 2, 3, 4, 5, cname="x") + goodbye(1)],
            len,
        ),
    ],
    ids=["h264", "h265", "mpeg4", "jpeg-size", "jpeg", "sample", "annexb", "rtcp"],
)
def test_parsers(parse, seeds, check):
    chooser = random.Random(1)
    accepted = refused = 0
    for _ in range(CASES):
        data = damage(chooser, chooser.choice(seeds))
        try:
            assert check(parse(data))
            accepted += 1
        except RtspError:
            refused += 1
    assert accepted > CASES // 50
    assert refused > CASES // 50 or parse is annexb_to_sample


def test_random_bytes_in_every_parser():
    chooser = random.Random(2)
    for _ in range(CASES):
        data = chooser.randbytes(chooser.choice((0, 1, 4, 16, 60)))
        for parse in (h264.parse_sps, h265.parse_sps, parse_baseline, jpeg_size, split_sample):
            try:
                parse(data)
            except RtspError:
                continue
        assert h264.is_recovery_point(data) in (True, False)
        assert all(base64_nals(data.decode("latin-1")))


def test_sets_by_codec():
    chooser = random.Random(3)
    described = 0
    for _ in range(CASES // 10):  # ten parameter sets each
        for codec, seeds in (("h264", H264_SETS), ("h265", H265_SETS)):
            nals = [damage(chooser, nal) for nal in chooser.choices(seeds, k=5)]
            known = format_from_units(codec, nals, 90_000)
            if known is not None:
                described += 1
                assert known.width > 0
                assert known.config[0] == 1
    assert described > CASES // 50


def test_bit_reader():
    chooser = random.Random(4)
    for _ in range(CASES):
        reader = BitReader(chooser.randbytes(chooser.randrange(12)))
        left = reader.left
        try:
            while True:
                value = chooser.choice(
                    (reader.ue, reader.se, lambda: reader.bits(chooser.randrange(1, 70)))
                )()
                assert abs(value) < 1 << 70
                assert reader.left < left
                left = reader.left
        except RtspError:
            assert reader.left >= 0


def payloads_of(codec):
    """Payloads of a keyframe, two other pictures and, in all, every structure the packetizers know."""
    if codec == "h264":
        units = [
            [*H264_SETS[:1], h264_pps(), b"\x06\x06\x01\xc4\x80", b"\x65\x88" + bytes(range(1, 250)) * 2]
        ]
        units += [
            [b"\x41\x9a" + bytes(range(1, 100)), b"\x41\x5a" + bytes(range(1, 200)) * 2],
            [b"\x09\xf0", b"\x41\x88\x11"],
        ]
    elif codec == "h265":
        units = [
            [*H265_SETS[:2], h265_pps(), b"\x4e\x01\x05\x01\x11", b"\x26\x01\x80" + bytes(range(1, 250)) * 2]
        ]
        units += [
            [b"\x02\x01\xd0" + bytes(range(1, 100)), b"\x02\x01\x50" + bytes(range(1, 200)) * 2],
            [b"\x46\x01\x50", b"\x02\x01\x80\x11"],
        ]
    elif codec == "mpeg4":
        vop = b"\x00\x00\x01\xb6"
        units = [
            LAYERS[0] + vop + b"\x10" + bytes(range(250)) * 2,
            vop + b"\x50" + bytes(range(99)) * 4,
            LAYERS[1],
        ]
    else:
        units = [JPEG, JPEG.replace(b"\xff\xdd\x00\x04\x00\x04", b""), JPEG]
    result = []
    for unit in units:
        data = sample(unit) if isinstance(unit, list) else unit
        limit = 200 if codec == "mjpeg" else 160
        packets = packetize(codec, data, 0, ssrc=1, payload_type=96, sequence=0, max_payload=limit)
        result.append([packet[12:] for packet in packets])
    return result


def with_order_number(payload):
    """Put a DONL where RFC 7798 wants it: behind the FU header of a first fragment, else behind the NAL header."""
    if payload[0] >> 1 & 63 == h265.FU:
        return payload[:3] + (b"\x01\x02" if payload[2] & 0x80 else b"") + payload[3:]
    return payload[:2] + b"\x01\x02" + payload[2:]


ENCODINGS = {"h264": "H264", "h265": "H265", "mpeg4": "MP4V-ES", "mjpeg": "JPEG"}


@pytest.mark.parametrize(("codec", "don"), [*((codec, "0") for codec in ENCODINGS), ("h265", "3")])
def test_depacketizers(codec, don):
    chooser = random.Random(5)
    pictures = payloads_of(codec)
    if don != "0":
        pictures = [[with_order_number(payload) for payload in picture] for picture in pictures]
    machine = depacketizer(ENCODINGS[codec], {"sprop-max-don-diff": don}, 90_000)
    timestamp = units = cases = 0
    while cases < CASES:
        timestamp += chooser.choice((0, 1, 3600))
        intact = chooser.randrange(4) == 0
        picture = chooser.choice(pictures)
        for index, valid in enumerate(picture):
            cases += 1
            payload = valid if intact or chooser.randrange(3) else damage(chooser, valid)
            if not intact and not chooser.randrange(20):
                continue
            lost = 0 if chooser.randrange(12) else chooser.randrange(9)
            marker = (index == len(picture) - 1) != (not chooser.randrange(15))
            machine.push(
                b"\x5c" + payload + b"\x5c", 1, 1 + len(payload), timestamp, marker, lost, float(cases)
            )
        while (unit := machine.pull()) is not None:
            units += 1
            assert unit.data
            assert unit.lost >= 0
            if codec in ("h264", "h265"):
                assert split_sample(unit.data)
            else:
                assert not unit.damaged
        assert len(machine._parts) < 200_000
        if not chooser.randrange(500):
            machine.flush()
    machine.flush()
    assert units > 1000
    assert machine.bad > 100
    assert machine.dropped > 100


def test_whole_units_are_never_made_of_parts():
    """What comes out undamaged after loss, reordering and duplicates is one of the pictures that went in."""
    chooser = random.Random(6)
    for codec, seeds in ENCODINGS.items():
        stream = RtpStream(depacketizer(seeds, {}, 90_000), 96, 90_000, reorder=4, ssrc=1)
        sent = set()
        sequence = whole = 0
        for number in range(4_000):
            body = bytes(
                1 + (number * 7 + index * 13 + (index >> 7)) % 250
                for index in range(chooser.randrange(40, 900))
            )
            if codec == "h264":
                data = sample(
                    [
                        b"\x41\x9a" + bytes((1 + number // 200, 1 + number % 200)) + body,
                        b"\x41\x5a" + body[::-1],
                    ]
                )
            elif codec == "h265":
                data = sample([b"\x02\x01\xd0" + body, b"\x02\x01\x50" + body[::-1]])
            elif codec == "mpeg4":
                data = b"\x00\x00\x01\xb6\x50" + body
            else:
                data = JPEG[: JPEG.index(b"\xff\xda") + 14] + body + b"\xff\xd9"
            sent.add(data)
            packets = packetize(
                codec, data, number * 3600, ssrc=1, payload_type=96, sequence=sequence, max_payload=200
            )
            sequence += len(packets)
            packets = [packet for packet in packets if chooser.randrange(30)]
            if not chooser.randrange(10):
                chooser.shuffle(packets)
            packets += chooser.choices(packets, k=1) if packets and not chooser.randrange(10) else []
            for packet in packets:
                stream.push(packet, 0, len(packet), number / 25)
            while (unit := stream.pull()) is not None:
                assert unit.damaged or unit.data in sent
                whole += not unit.damaged
        assert whole > 1000
        assert stream.stats.lost > 100
        assert stream.stats.duplicates > 10


def test_rtp_headers():
    chooser = random.Random(7)
    stream = RtpStream(depacketizer("H264", {}, 90_000), 96, 90_000, reorder=8, ssrc=1)
    number = 0
    for case in range(CASES):
        number += chooser.choice((1, 1, 1, 1, 1, 1, 2, -1, 0, 200, 5000))
        valid = rtp(
            number,
            chooser.choice((number * 90, chooser.getrandbits(32))),
            b"\x41\x9a" + bytes(range(1, 20)),
            marker=bool(chooser.randrange(2)),
            ssrc=chooser.choice((5, 5, 5, 5, 6)),
            flags=chooser.choice((0x80, 0x80, 0x80, 0x90, 0xA0, 0x83, 0xBF)),
        )
        packet = valid if chooser.randrange(2) else damage(chooser, valid)
        stream.push(b"\xff" * 5 + packet + b"\xff" * 5, 5, 5 + len(packet), case / 10)
        stream.pull()
        assert len(stream._waiting) <= 8
        assert len(stream._missing) <= 200
        assert len(stream._strays_held) < SWITCH_SURELY
        if not chooser.randrange(20):
            control = damage(
                chooser, sender_report(5, chooser.getrandbits(64), number, 1, 1, cname="x") + goodbye(6)
            )
            stream.push_rtcp(control, 0, len(control), case / 10)
            report = stream.receiver_report(case / 10)
            assert len(report) % 4 == 0
            assert parse_rtcp(report, 0, len(report)) == (None, ())
    stats = stream.stats
    assert min(stats.packets, stats.lost, stats.bad, stats.reordered, stats.strays, stats.switches) > 50
    assert stats.bad_rtcp > 10
    assert receiver_report(1, None, "pasu")[1] == 201
