"""RFC 6184 payloads, unit boundaries, loss and quirks; what is in nal.py is tested here too."""

import base64

import pytest

from agent.rtsp import nal as nal_module
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.h264 import H264Depacketizer
from tests.unit.rtp.build import drain, feed, h264_pps, h264_sps, lengths

SPS, PPS = h264_sps(), h264_pps()
SEI, AUD = b"\x06\x05\x01\x11\x80", b"\x09\xf0"
IDR = b"\x65\x88" + bytes(range(1, 90))
SECOND_IDR = b"\x65\x48" + bytes(range(1, 60))  # first_mb_in_slice above 0
P = b"\x41\x9a" + bytes(range(1, 80))
SECOND_P = b"\x41\x5a" + bytes(range(1, 50))
RECOVERY = b"\x06\x06\x01\xc4\x80"


def new(**fmtp):
    return depacketizer("h264", fmtp, 90_000)


def fu(nal, *cuts, kind=28, don=b""):
    """Fragments of a NAL unit, cut at these places of its body."""
    body = nal[1:]
    edges = [0, *cuts, len(body)]
    parts = []
    for index in range(len(edges) - 1):
        flags = (0x80 if index == 0 else 0) | (0x40 if index == len(edges) - 2 else 0)
        first = kind if index == 0 else 28
        parts.append(
            bytes((nal[0] & 0xE0 | first, flags | nal[0] & 31))
            + (don if index == 0 else b"")
            + body[edges[index] : edges[index + 1]]
        )
    return parts


def stap(*nals, kind=24, don=b""):
    return bytes((0x60 | kind,)) + don + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def only(units):
    assert len(units) == 1
    return units[0]


def test_single_nal_units():
    unit = only(feed(new(), AUD, SPS, PPS, SEI, IDR, timestamp=1234, now=7.5))
    assert unit.data == lengths(AUD, SPS, PPS, SEI, IDR)
    assert (unit.timestamp, unit.keyframe, unit.lost, unit.damaged, unit.arrival) == (
        1234,
        True,
        0,
        False,
        7.5,
    )
    assert (unit.format.width, unit.format.height, unit.format.codec) == (320, 240, "h264")


@pytest.mark.parametrize("cuts", [(), (1,), (20, 40, 60), (1, 2, 3, 4, 88)])
def test_fragments(cuts):
    unit = only(feed(new(), *fu(IDR, *cuts)))
    assert unit.data == lengths(IDR)
    assert unit.keyframe
    assert unit.format is None


def test_fragments_with_decoding_order_number():
    assert only(feed(new(), *fu(IDR, 20, 40, kind=29, don=b"\x00\x07"))).data == lengths(IDR)


@pytest.mark.parametrize(("kind", "don"), [(24, b""), (25, b"\x01\x02")])
def test_aggregates(kind, don):
    unit = only(feed(new(), stap(SPS, PPS, IDR, kind=kind, don=don)))
    assert unit.data == lengths(SPS, PPS, IDR)
    assert unit.format.width == 320


def test_fragmented_parameter_set_is_learned():
    unit = only(feed(new(), *fu(SPS, 3), PPS, IDR))
    assert unit.data == lengths(SPS, PPS, IDR)
    assert unit.format is not None


def test_unit_without_keyframe():
    assert not only(feed(new(), P)).keyframe


def test_missing_markers_end_by_timestamp():
    machine = new()
    assert feed(machine, P, timestamp=0, marker=False, now=1.0) == []
    unit = only(feed(machine, P, SECOND_P, timestamp=3600, marker=False, now=2.0))
    assert (unit.timestamp, unit.data, unit.arrival) == (0, lengths(P), 1.0)
    machine.flush()
    unit = only(drain(machine))
    assert (unit.timestamp, unit.data, unit.arrival) == (3600, lengths(P, SECOND_P), 2.0)


def test_marker_on_parameter_sets_holds_them_back():
    machine = new()
    assert feed(machine, SPS) == []
    assert feed(machine, PPS) == []
    unit = only(feed(machine, IDR))
    assert unit.data == lengths(SPS, PPS, IDR)


def test_parameter_sets_of_another_timestamp_join_the_next_picture():
    machine = new()
    assert feed(machine, SPS, PPS, timestamp=10) == []
    unit = only(feed(machine, IDR, timestamp=20, now=3.0))
    assert (unit.timestamp, unit.data, unit.arrival) == (20, lengths(SPS, PPS, IDR), 3.0)


def test_marker_on_every_slice_is_found_out():
    machine = new()
    assert only(feed(machine, P, timestamp=0)).data == lengths(P)
    assert feed(machine, SECOND_P, timestamp=0) == []
    assert feed(machine, P, timestamp=10) == []  # the rest of the first picture is dropped
    assert machine.dropped == 1
    assert feed(machine, SECOND_P, timestamp=10) == []
    unit = only(feed(machine, P, timestamp=20))
    assert (unit.data, unit.lost) == (lengths(P, SECOND_P), 1)


def test_marker_on_every_fragment():
    machine = new()
    for part in fu(P, 20, 40):
        units = feed(machine, part, timestamp=5)
    assert only(units).data == lengths(P)


def test_several_slices():
    assert only(feed(new(), IDR, *fu(SECOND_IDR, 9))).data == lengths(IDR, SECOND_IDR)


def test_loss_between_pictures_is_not_damage():
    machine = new()
    feed(machine, P, timestamp=0)
    unit = only(feed(machine, *fu(P, 30), timestamp=7200, lost=4))
    assert (unit.lost, unit.damaged) == (4, False)
    assert only(feed(machine, P, timestamp=10800)).lost == 0


def test_fragment_with_a_hole_is_dropped_and_the_picture_with_it():
    machine = new()
    parts = fu(IDR, 20, 40, 60)
    machine.push(parts[0], 0, len(parts[0]), 0, False, 0, 1.0)
    assert feed(machine, *parts[2:], lost=1) == []
    assert machine.dropped == 1
    unit = only(feed(machine, P, timestamp=10))
    assert (unit.data, unit.lost, unit.damaged) == (lengths(P), 1, False)


def test_picture_with_its_first_slice_whole_is_given_out_damaged():
    machine = new()
    parts = fu(SECOND_IDR, 20, 40)
    feed(machine, IDR, parts[0], marker=False)
    unit = only(feed(machine, parts[2], lost=1))
    assert (unit.data, unit.damaged, unit.lost, unit.keyframe) == (lengths(IDR), True, 1, True)


def test_loss_after_a_slice_damages_its_picture():
    machine = new()
    feed(machine, IDR, timestamp=0, marker=False)
    first, second = feed(machine, P, timestamp=10, lost=2)
    assert (first.data, first.damaged, first.lost) == (lengths(IDR), True, 2)
    assert (second.data, second.damaged, second.lost) == (lengths(P), False, 0)


def test_picture_without_its_first_slice_is_dropped():
    machine = new()
    feed(machine, P, timestamp=0)
    assert feed(machine, SECOND_P, SECOND_P, timestamp=10, lost=1) == []
    assert only(feed(machine, P, timestamp=20)).lost == 1


def test_loss_between_parameter_sets_and_a_whole_slice():
    machine = new()
    feed(machine, SPS, PPS, marker=False)
    unit = only(feed(machine, IDR, lost=1))
    assert (unit.damaged, unit.lost) == (False, 1)


def test_joining_in_the_middle_of_a_fragmented_unit():
    machine = new()
    assert feed(machine, *fu(IDR, 20, 40)[1:], timestamp=0) == []
    unit = only(feed(machine, P, timestamp=10))
    assert (unit.data, unit.damaged) == (lengths(P), False)


def test_damage_without_marker_ends_by_timestamp():
    machine = new()
    assert feed(machine, *fu(IDR, 20, 40)[:2], timestamp=0, marker=False) == []
    assert only(feed(machine, P, timestamp=10)).data == lengths(P)
    assert machine.dropped == 1


def test_damage_that_a_flush_ends():
    machine = new()
    feed(machine, IDR, *fu(SECOND_IDR, 20)[:1], marker=False)
    machine.flush()
    unit = only(drain(machine))
    assert (unit.data, unit.damaged) == (lengths(IDR), True)
    machine.flush()
    assert drain(machine) == []


@pytest.mark.parametrize("other", [P, stap(SPS, PPS), fu(SECOND_IDR, 9)[0], b"\x7c\x41\x11"])
def test_fragments_cut_off_by_something_else(other):
    machine = new()
    feed(machine, IDR, fu(SECOND_IDR, 20)[0], marker=False)
    feed(machine, other, marker=False)
    machine.flush()
    assert only(drain(machine)).damaged


def test_middle_fragment_with_other_importance_still_belongs():
    parts = fu(IDR, 20, 40)
    parts[1] = bytes((parts[1][0] & 0x1F | 0x20,)) + parts[1][1:]
    assert only(feed(new(), *parts)).data == lengths(IDR)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x1e\x01\x02",  # reserved type 30
        b"\x7a\x00\x01\x02",  # MTAP16
        b"\x78",  # STAP-A without NAL units
        b"\x78\x00",
        b"\x78\x00\x05\x41",  # length beyond the end
        b"\x78\x00\x00\x41",  # length 0
        b"\x79\x00\x01",
        b"\x7c",
        b"\x7c\x85",
        b"\x7d\x85\x00\x01",  # FU-B without room for more than the order number
        b"\xe5\x88\x11",  # forbidden bit
        b"\x65",  # slice without a body
        b"\x00\x00\x01",  # start code and nothing else
        b"\x67" + b"\x00\x00\x01\x41" * 300,  # start codes without end
    ],
)
def test_payload_that_is_none_damages_the_unit(payload):
    machine = new()
    unit = only(feed(machine, IDR, payload, timestamp=0))
    assert (unit.data[: len(IDR) + 4], unit.damaged) == (lengths(IDR), True)
    assert machine.bad == 1
    assert feed(machine, payload, timestamp=10) == []
    assert only(feed(machine, P, timestamp=20)).lost == 1


def test_recovery_point_with_intra_slice_is_a_keyframe():
    for slice_header in (b"\x41\x88", b"\x41\xb0"):
        assert only(feed(new(), RECOVERY, slice_header + b"\x11\x22")).keyframe
        assert only(feed(new(), RECOVERY, *fu(slice_header + b"\x11\x22", 2))).keyframe
    assert not only(feed(new(), RECOVERY, P)).keyframe
    assert not only(feed(new(), RECOVERY, SEI, P)).keyframe
    machine = new()
    feed(machine, RECOVERY, P, timestamp=0)
    assert not only(feed(machine, b"\x41\x88\x11", timestamp=1)).keyframe


def test_data_partitions():
    part_a, part_b, part_c = b"\x42\x88\x11", b"\x43\x88\x22", b"\x44\x88\x33"
    assert only(feed(new(), part_a, part_b, part_c)).data == lengths(part_a, part_b, part_c)
    assert feed(new(), part_b) == []


def test_start_codes_inside_payloads():
    code = b"\x00\x00\x00\x01"
    stream = code + SPS + code + PPS + b"\x00\x00\x01" + IDR
    expected = lengths(SPS, PPS, IDR)
    assert only(feed(new(), stream)).data == expected
    assert only(feed(new(), *fu(stream, 10, 30))).data == expected
    assert only(feed(new(), SPS + code + PPS + code + IDR)).data == expected
    assert only(feed(new(), *fu(SPS + code + PPS + code + IDR, 40))).data == expected
    assert only(feed(new(), stap(code + SPS, PPS), IDR)).data == expected


def sprop(*nals):
    return ",".join(base64.b64encode(nal).decode() for nal in nals)


def test_parameter_sets_from_sdp_only():
    machine = new(**{"sprop-parameter-sets": sprop(SPS, PPS)})
    assert machine.format.width == 320
    unit = only(feed(machine, IDR))
    assert unit.format is machine.format
    assert unit.data == lengths(IDR)


def test_broken_sets_in_sdp_are_ignored():
    machine = new(**{"sprop-parameter-sets": sprop(b"\x67\x42", IDR) + ",!!", "profile-level-id": "zz"})
    assert machine.format is None
    assert machine.bad == 0
    assert only(feed(machine, SPS, PPS, IDR)).format.width == 320


def test_same_sets_keep_the_format_object_and_other_sets_make_a_new_one():
    machine = new(**{"sprop-parameter-sets": sprop(SPS + b"\x00", PPS)})
    first = machine.format
    for timestamp in (0, 10):
        assert only(feed(machine, SPS, PPS, IDR, timestamp=timestamp)).format is first
    larger = h264_sps(width_mbs=40)
    changed = only(feed(machine, larger, PPS, IDR, timestamp=20)).format
    assert (changed.width, changed) != (320, first)
    assert only(feed(machine, P, timestamp=30)).format is changed


def test_sets_in_turn_do_not_change_the_format():
    machine = new()
    other = h264_sps(sps_id=1)
    first = only(feed(machine, SPS, other, PPS, IDR, timestamp=0)).format
    assert only(feed(machine, SPS, other, PPS, IDR, timestamp=10)).format is first


def test_broken_sps_in_band_is_counted_and_passed_on():
    machine = new(**{"sprop-parameter-sets": sprop(SPS, PPS)})
    broken = h264_sps(order_type=3)
    unit = only(feed(machine, broken, IDR))
    assert (unit.data, unit.format.width, machine.bad) == (lengths(broken, IDR), 320, 1)


def test_unit_is_bounded():
    assert nal_module.MAX_UNIT_BYTES == 16 << 20
    machine = new()
    start, middle, end = fu(b"\x65\x88" + bytes([7]) * 90_000, 30_000, 60_000)
    feed(machine, IDR, start, marker=False)
    for _ in range(600):
        feed(machine, middle, marker=False)
    assert machine.bad == 1
    assert feed(machine, end, IDR) == []
    assert machine.dropped == 1
    unit = only(feed(machine, P, timestamp=10))
    assert (unit.data, unit.lost) == (lengths(P), 1)


@pytest.mark.parametrize("payload", [SEI, IDR, stap(*[AUD] * 40), fu(IDR, 80)[0]])
def test_no_payload_makes_a_unit_grow_for_ever(payload):
    machine = new()
    biggest = 0
    for _ in range(150_000 // (20 if len(payload) > 100 else 1)):
        machine.push(payload, 0, len(payload), 0, False, 0, 1.0)
        biggest = max(biggest, len(machine._parts))
    assert biggest <= 2 * nal_module.MAX_UNIT_BYTES // nal_module.OVERHEAD


def test_last_fragment_that_breaks_the_bound():
    machine = new()
    body = b"\x65\x88" + bytes([7]) * 65_000
    feed(machine, *fu(body, 64_000)[:1], marker=False)
    middle = b"\x7c\x05" + bytes([7]) * 65_000
    for _ in range(256):
        feed(machine, middle, marker=False)
    feed(machine, b"\x7c\x45" + bytes([7]) * 65_000)
    assert (machine.bad, drain(machine)) == (1, [])


def test_first_nal_after_an_ended_unit_sets_its_arrival():
    machine = new()
    feed(machine, P, timestamp=0, now=1.0)
    unit = only(feed(machine, P, timestamp=0, now=2.0))  # a second picture (field) with the same timestamp
    assert unit.arrival == 2.0


def test_depacketizer_class():
    assert isinstance(new(), H264Depacketizer)
