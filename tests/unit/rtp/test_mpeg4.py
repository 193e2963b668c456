import pytest

from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.mpeg4 import find_layer, parse_layer
from tests.unit.rtp.build import drain, feed, vol

CODE = b"\x00\x00\x01"
VOS_SIMPLE = CODE + b"\xb0\x01" + CODE + b"\xb5\x09" + CODE + b"\x00"
VOS_ADVANCED = CODE + b"\xb0\xf5"
USER = CODE + b"\xb2Lavc"
HEADERS = VOS_SIMPLE + vol() + USER
GOV = CODE + b"\xb3\x00\x10\x07"
I_VOP = CODE + b"\xb6\x10" + bytes(range(2, 90))
P_VOP = CODE + b"\xb6\x50" + bytes(range(2, 60))


def new(**fmtp):
    return depacketizer("mp4v-es", fmtp, 90_000)


def only(units):
    assert len(units) == 1
    return units[0]


@pytest.mark.parametrize(
    ("headers", "reorder"),
    [
        (vol(), None),
        (VOS_SIMPLE + vol(), 0),
        (VOS_ADVANCED + vol(), None),
        (vol(control=1), 0),
        (vol(control=0), None),
        (vol(control=0, vbv=True), None),
        (vol(verid=2, par=15, fixed=1), None),
        (vol(resolution=1, fixed=0), None),
        (USER + vol() + USER, None),
        (vol() + CODE + b"\xb0", None),
    ],
)
def test_layer(headers, reorder):
    layer = parse_layer(headers)
    assert (layer.width, layer.height, layer.reorder) == (352, 288, reorder)
    assert layer.header.startswith(CODE + b"\x20")
    assert USER not in layer.header


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        CODE,
        CODE + b"\x20",
        VOS_SIMPLE,
        vol()[:8],
        vol(width=0),
        vol(shape=3),
        vol(shape=1, verid=2),
        vol() + bytes(5000),
    ],
)
def test_layer_that_cannot_be_is_refused(headers):
    with pytest.raises(RtspError) as caught:
        parse_layer(headers)
    assert caught.value.code == "malformed_parameter_sets"


def test_find_layer_looks_at_every_start_code():
    assert find_layer(CODE + b"\x20") == b""
    assert find_layer(CODE + b"\x2f\x11" + CODE + b"\x20\x22") == CODE + b"\x2f\x11"


def test_unit_in_pieces():
    data = HEADERS + GOV + I_VOP
    unit = only(feed(new(), data[:30], data[30:80], data[80:], timestamp=77, now=4.0))
    assert (unit.data, unit.keyframe, unit.timestamp, unit.arrival) == (data, True, 77, 4.0)
    assert (unit.format.width, unit.format.height, unit.format.reorder) == (352, 288, 0)
    assert unit.format.config == HEADERS


def test_inter_picture_is_no_keyframe_and_keeps_the_format():
    machine = new(config=HEADERS.hex())
    unit = only(feed(machine, P_VOP))
    assert not unit.keyframe
    assert unit.format is machine.format


def test_headers_of_the_same_layer_keep_the_format():
    machine = new(config=(VOS_SIMPLE + vol()).hex())
    first = machine.format
    assert only(feed(machine, HEADERS + I_VOP, timestamp=0)).format is first
    changed = only(feed(machine, vol(704, 576) + I_VOP, timestamp=10)).format
    assert (changed.width, changed.height) == (704, 576)
    assert only(feed(machine, vol(704, 576) + I_VOP, timestamp=20)).format is changed


@pytest.mark.parametrize("config", ["", "zz", vol(width=0).hex()])
def test_broken_config_is_ignored(config):
    machine = new(config=config)
    assert machine.format is None
    assert machine.bad == 0
    assert only(feed(machine, HEADERS + I_VOP)).format.width == 352


def test_broken_layer_in_band_is_counted():
    machine = new()
    assert only(feed(machine, vol(width=0) + I_VOP)).format is None
    assert machine.bad == 1


def test_headers_alone_join_the_next_picture():
    machine = new()
    assert feed(machine, HEADERS, timestamp=0, now=1.0) == []
    unit = only(feed(machine, I_VOP, timestamp=10, now=2.0))
    assert (unit.data, unit.timestamp, unit.arrival) == (HEADERS + I_VOP, 10, 2.0)
    assert feed(machine, HEADERS, timestamp=20, now=3.0) == []
    assert only(feed(machine, I_VOP, timestamp=20, now=3.0)).data == HEADERS + I_VOP


def test_headers_without_a_picture_are_bounded():
    machine = new()
    assert feed(machine, CODE + b"\xb2" + bytes([7]) * 5000) == []
    assert (machine.bad, machine.dropped) == (1, 1)
    assert feed(machine, CODE + b"\xb6", timestamp=5) == []  # a VOP that ends before its type
    machine.flush()
    assert drain(machine) == []


def test_missing_markers():
    machine = new()
    feed(machine, I_VOP, timestamp=0, marker=False)
    assert only(feed(machine, P_VOP, timestamp=10, marker=False)).data == I_VOP
    machine.flush()
    assert only(drain(machine)).data == P_VOP


def test_picture_with_a_hole_is_dropped():
    machine = new()
    feed(machine, I_VOP[:40], marker=False)
    assert feed(machine, I_VOP[60:], lost=1) == []
    unit = only(feed(machine, P_VOP, timestamp=10))
    assert (unit.lost, unit.damaged, machine.dropped) == (1, False, 1)


def test_picture_whose_beginning_is_missing_is_dropped():
    machine = new()
    assert feed(machine, I_VOP[30:], lost=3) == []
    assert feed(machine, b"") == []
    assert only(feed(machine, P_VOP, timestamp=10)).lost == 3
    assert only(feed(machine, P_VOP, timestamp=20, lost=2)).lost == 2


def test_unit_is_bounded():
    machine = new()
    feed(machine, I_VOP, marker=False)
    for _ in range(300):
        feed(machine, bytes([7]) * 60_000, marker=False)
    assert len(machine._parts) == 0
    assert feed(machine, b"\x07") == []
    assert only(feed(machine, P_VOP, timestamp=10)).data == P_VOP
