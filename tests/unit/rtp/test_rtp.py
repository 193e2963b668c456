import struct

import pytest

from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.rtcp import goodbye, sender_report
from agent.rtsp.rtp import SWITCH_AFTER, SWITCH_SURELY, RtpStream
from tests.unit.rtp.build import rtp

P = b"\x41\x9a\x01\x02"


class Tape:
    """A depacketizer that keeps what it is told."""

    def __init__(self):
        self.format = None
        self.bad = 3
        self.dropped = 2
        self.taken = []
        self.flushed = 0

    def push(self, data, start, end, timestamp, marker, lost, now):
        self.taken.append((data[start:end], timestamp, marker, lost, now))

    def pull(self):
        return None

    def flush(self):
        self.flushed += 1


def new(**more):
    tape = Tape()
    return tape, RtpStream(tape, 96, 90_000, ssrc=0x77, **more)


def push(stream, *packets, now=1.0):
    for packet in packets:
        framed = b"$$$" + packet + b"\xee\xee"
        stream.push(framed, 3, 3 + len(packet), now)


def numbered(*numbers, **more):
    return [rtp(number, payload=bytes([number & 255]), **more) for number in numbers]


def taken(tape):
    return [payload[0] for payload, *_ in tape.taken]


def test_plain_packets():
    tape, stream = new()
    push(stream, rtp(1, 1000, b"a"), rtp(2, 1000, b"bc", marker=True), rtp(3, 4600, b"d"), now=5.0)
    assert tape.taken == [
        (b"a", 1000, False, 0, 5.0),
        (b"bc", 1000, True, 0, 5.0),
        (b"d", 4600, False, 0, 5.0),
    ]
    stats = stream.stats
    assert (stats.packets, stats.lost, stats.bad, stats.dropped, stats.bye) == (3, 0, 3, 2, False)
    assert stream.packets == 3


def test_through_to_access_units():
    stream = RtpStream(depacketizer("H264", {}, 90_000), 96, 90_000, ssrc=1)
    push(stream, rtp(1, 1000, P, marker=True))
    assert stream.pull().data == b"\x00\x00\x00\x04" + P
    assert stream.pull() is None
    push(stream, rtp(2, 2000, P))
    assert stream.pull() is None
    stream.flush()
    assert stream.pull().timestamp == 2000


@pytest.mark.parametrize("plain_before", [False, True])
def test_header_with_sources_extension_and_padding(plain_before):
    tape, stream = new()
    if plain_before:
        push(stream, rtp(1, payload=b"x"))
    push(
        stream,
        rtp(2, payload=b"a", flags=0x82, extra=bytes(8)),
        rtp(3, payload=b"b", flags=0x90, extra=struct.pack(">HH", 0xABAC, 3) + bytes(12)),
        rtp(4, payload=b"c\x00\x00\x03", flags=0xA0),
        rtp(5, payload=b"d\x01", flags=0xB1, extra=bytes(4) + struct.pack(">HH", 1, 0), marker=True),
        rtp(6, payload=b"e"),
    )
    assert [entry[0] for entry in tape.taken][-5:] == [b"a", b"b", b"c", b"d", b"e"]
    assert tape.taken[-2][2]
    assert stream.stats.bad == 3


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(11),
        rtp(2, payload=b"x", flags=0x40),
        rtp(2, payload=b"x", payload_type=97),
        rtp(2, payload=b"x", flags=0x8F),  # fifteen sources, none there
        rtp(2, payload=b"x", flags=0x90),  # extension, not there
        rtp(2, payload=b"\x00\x00\x00\x02" + bytes(4), flags=0x90),  # longer than the packet
        rtp(2, payload=b"x\x00", flags=0xA0),  # padding of nothing
        rtp(2, payload=b"x\x09", flags=0xA0),  # padding longer than the payload
        rtp(2, payload=b"x\xff", flags=0xA0),
        rtp(2, flags=0xA1),  # padding after a source that is not there
    ],
)
def test_packets_that_lie_are_counted_and_left_out(packet):
    tape, stream = new()
    push(stream, rtp(1, payload=b"a"), packet, rtp(2, payload=b"b"))
    assert [entry[0] for entry in tape.taken] == [b"a", b"b"]
    assert stream.stats.bad == 3 + 1


def test_packets_of_padding_alone_carry_loss_on():
    tape, stream = new()
    push(
        stream,
        rtp(1, payload=b"a"),
        rtp(4),
        rtp(5, payload=b"\x01", flags=0xA0),
        rtp(6, payload=b"b"),
        rtp(7, payload=b"c"),
    )
    assert [(entry[0], entry[3]) for entry in tape.taken] == [(b"a", 0), (b"b", 2), (b"c", 0)]
    assert stream.stats.packets == 5
    push(stream, rtp(8, flags=0xA0))  # says padding, has no byte of it
    assert stream.stats.packets == 6


def test_sequence_numbers_wrap():
    tape, stream = new()
    push(stream, *numbered(*range(65_000, 65_536 + 600)))
    assert len(tape.taken) == 1136
    assert stream.stats.lost == 0
    push(stream, *numbered(*range(65_536 + 602, 3 * 65_536)))
    assert stream.stats.lost == 2
    report = stream.receiver_report(1.0)
    assert struct.unpack(">I", report[16:20])[0] == 3 * 65_536 - 1


def test_loss_across_the_wrap():
    tape, stream = new()
    push(stream, *numbered(65_534, 65_537, 65_538))
    assert [entry[3] for entry in tape.taken] == [0, 2, 0]


def test_timestamps_unwrap_and_step_back():
    tape, stream = new()
    for number, timestamp in enumerate((2**32 - 100, 200, 150, 2**31 + 100, 2**31 + 50, 0)):
        push(stream, rtp(number, timestamp, b"x"))
    base = 2**32
    assert [entry[1] for entry in tape.taken] == [
        base - 100, base + 200, base + 150, base + 2**31 + 100, base + 2**31 + 50, 2 * base,
    ]  # fmt: skip


def test_loss_without_waiting():
    tape, stream = new()
    push(stream, *numbered(1, 2, 5, 6))
    assert [entry[3] for entry in tape.taken] == [0, 0, 2, 0]
    assert stream.stats.lost == 2
    push(stream, *numbered(3, 3, 6))
    assert taken(tape) == [1, 2, 5, 6]
    stats = stream.stats
    assert (stats.lost, stats.reordered, stats.duplicates) == (1, 1, 2)
    push(stream, *numbered(7))
    assert tape.taken[-1][3] == 0


def test_late_packets_are_remembered_only_for_a_while():
    _, stream = new()
    push(stream, *numbered(1, 4, *range(5, 190), 192))
    push(stream, *numbered(150, 191))
    stats = stream.stats
    assert (stats.lost, stats.reordered, stats.duplicates) == (3, 1, 1)


def test_late_packets_are_put_in_order():
    tape, stream = new(reorder=4)
    push(stream, *numbered(1, 3, 4), now=1.0)
    assert taken(tape) == [1]
    push(stream, *numbered(2, 5, 6), now=2.0)
    assert taken(tape) == [1, 2, 3, 4, 5, 6]
    assert [entry[4] for entry in tape.taken] == [1.0, 2.0, 1.0, 1.0, 2.0, 2.0]
    assert all(entry[3] == 0 for entry in tape.taken)
    stats = stream.stats
    assert (stats.lost, stats.reordered, stats.duplicates) == (0, 1, 0)


def test_waiting_ends_when_enough_came():
    tape, stream = new(reorder=3)
    push(stream, *numbered(1, 4, 3, 6, 4, 6))
    assert taken(tape) == [1]
    assert stream.stats.duplicates == 2
    push(stream, *numbered(8))
    assert [(entry[0][0], entry[3]) for entry in tape.taken] == [(1, 0), (3, 1), (4, 0)]
    stream.flush()
    assert [(entry[0][0], entry[3]) for entry in tape.taken[3:]] == [(6, 1), (8, 1)]
    assert tape.flushed == 1
    assert stream.stats.lost == 3


def test_waiting_across_the_wrap():
    tape, stream = new(reorder=4)
    push(stream, *numbered(65_534, 65_537, 65_536, 65_535, 65_538))
    assert taken(tape) == [254, 255, 0, 1, 2]


def test_stray_packet_of_another_source_is_left_out():
    tape, stream = new()
    push(stream, *numbered(1, 2), *numbered(900, ssrc=6), *numbered(3), *numbered(901, ssrc=6), *numbered(4))
    assert taken(tape) == [1, 2, 3, 4]
    stats = stream.stats
    assert (stats.strays, stats.switches, stats.lost) == (2, 0, 0)


def test_another_source_is_followed_when_ours_is_silent():
    tape, stream = new()
    push(stream, *numbered(1, 2), now=1.0)
    push(stream, *numbered(*range(900, 900 + SWITCH_AFTER - 1), ssrc=6), now=3.0)
    assert taken(tape) == [1, 2]
    push(stream, *numbered(900 + SWITCH_AFTER - 1, 900 + SWITCH_AFTER, ssrc=6), now=3.0)
    assert [(entry[0][0], entry[3]) for entry in tape.taken[2:]] == [
        (900 + index & 255, 1 if index == 0 else 0) for index in range(SWITCH_AFTER + 1)
    ]
    stats = stream.stats
    assert (stats.strays, stats.switches, stats.lost) == (0, 1, 0)


def test_another_source_must_insist_while_ours_is_alive():
    tape, stream = new()
    push(stream, *numbered(1, 2))
    push(stream, *numbered(*range(900, 900 + SWITCH_SURELY - 1), ssrc=6))
    assert len(tape.taken) == 2
    push(stream, *numbered(900 + SWITCH_SURELY - 1, ssrc=6))
    assert len(tape.taken) == 2 + SWITCH_SURELY


def test_packets_of_another_source_must_follow_each_other():
    tape, stream = new()
    push(stream, *numbered(1), now=1.0)
    push(stream, *numbered(*range(900, 960, 2), ssrc=6), now=9.0)
    assert taken(tape) == [1]
    assert stream.stats.strays == 30


def test_jump_of_the_sequence_is_followed_by_the_second_packet():
    tape, stream = new()
    push(stream, *numbered(1, 2, 30_000))
    assert taken(tape) == [1, 2]
    push(stream, *numbered(30_001, 30_002))
    assert [(entry[0][0], entry[3]) for entry in tape.taken[2:]] == [(48, 1), (49, 0), (50, 0)]
    assert (stream.stats.lost, stream.stats.switches) == (0, 1)


def test_single_jump_is_a_stray():
    tape, stream = new(reorder=5)
    push(stream, *numbered(1, 30_000, 2, 4, 40_000, 40_001))
    assert taken(tape) == [1, 2, 4, 64, 65]
    assert [entry[3] for entry in tape.taken] == [0, 0, 1, 1, 0]
    assert stream.stats.strays == 1


def test_jump_that_ends_at_the_wrap():
    tape, stream = new()
    push(stream, *numbered(20_000, 65_535, 65_536, 65_537))
    assert taken(tape) == [20_000 & 255, 255, 0, 1]


# Reports.


def block(report):
    ssrc, lost, highest, jitter, last, delay = struct.unpack(">IIIIII", report[8:32])
    return {
        "ssrc": ssrc, "fraction": lost >> 24, "lost": lost & 0xFFFFFF, "highest": highest, "jitter": jitter,
        "last": last, "delay": delay,
    }  # fmt: skip


def test_report_before_any_packet():
    _, stream = new()
    report = stream.receiver_report(1.0)
    assert report[:8] == bytes((0x80, 201, 0, 1)) + struct.pack(">I", 0x77)
    assert b"pasu" in report


def test_report_counts_loss_since_the_last_one():
    _, stream = new()
    push(stream, *numbered(10, 11, 14, 15))
    told = block(stream.receiver_report(1.0))
    assert told == {
        "ssrc": 5,
        "fraction": 2 * 256 // 6,
        "lost": 2,
        "highest": 15,
        "jitter": 0,
        "last": 0,
        "delay": 0,
    }
    assert block(stream.receiver_report(1.0))["fraction"] == 0
    push(stream, *numbered(16))
    assert block(stream.receiver_report(1.0))["fraction"] == 0
    push(stream, *numbered(17, 17, 17, 17))
    told = block(stream.receiver_report(1.0))
    assert (told["fraction"], told["lost"]) == (0, 0xFFFFFF)  # more came than was sent
    push(stream, *numbered(25), *numbered(19))
    told = block(stream.receiver_report(1.0))
    assert (told["fraction"], told["lost"]) == (6 * 256 // 8, 5)


def test_total_loss_between_reports_is_at_most_all():
    _, stream = new()
    push(stream, *numbered(1))
    stream.receiver_report(1.0)
    push(stream, *numbered(2_900))
    assert block(stream.receiver_report(1.0))["fraction"] == 255


def test_report_after_a_switch_counts_anew():
    _, stream = new()
    push(stream, *numbered(1, 5))
    push(stream, *numbered(40_000, 40_001))
    told = block(stream.receiver_report(1.0))
    assert (told["lost"], told["highest"]) == (0, 40_001)


def test_jitter():
    _, stream = new()
    push(stream, rtp(1, 0, b"x"), now=10.0)
    push(stream, rtp(2, 3600, b"x"), now=10.04)
    assert block(stream.receiver_report(1.0))["jitter"] == 0
    push(stream, rtp(3, 7200, b"x"), now=10.18)  # 100 ms late: 9000 / 16
    assert block(stream.receiver_report(1.0))["jitter"] == 562


def test_sender_report_is_kept_and_told():
    _, stream = new()
    push(stream, rtp(1, 2**32 - 10, b"x"))
    data = sender_report(5, 0x11112222_33334444, 20, 0, 0, cname="c")
    stream.push_rtcp(b"##" + data, 2, 2 + len(data), 4.0)
    assert stream.stats.sender_report == (0x11112222_33334444, 2**32 + 20, 4.0)
    told = block(stream.receiver_report(4.5))
    assert (told["last"], told["delay"]) == (0x22223333, 32768)
    other = sender_report(6, 1, 1, 0, 0, cname="c")
    stream.push_rtcp(other, 0, len(other), 5.0)
    assert stream.stats.sender_report[0] == 0x11112222_33334444


def test_sender_report_before_the_first_packet_sets_the_reference():
    tape, stream = new()
    data = sender_report(5, 1, 2**32 - 10, 0, 0, cname="c")
    stream.push_rtcp(data, 0, len(data), 4.0)
    push(stream, rtp(1, 20, b"x"))
    assert stream.stats.sender_report == (1, 2**32 - 10, 4.0)
    assert tape.taken[0][1] == 2**32 + 20


def test_goodbye_and_bad_control_packets():
    _, stream = new()
    push(stream, rtp(1, payload=b"x"), now=1.0)
    stream.push_rtcp(goodbye(6), 0, 16, 1.0)
    assert not stream.stats.bye
    stream.push_rtcp(goodbye(5), 0, 16, 1.0)
    assert stream.stats.bye
    stream.push_rtcp(b"\x80", 0, 1, 1.0)
    assert stream.stats.bad_rtcp == 1
    data = sender_report(5, 1, 1, 0, 0, cname="c")
    stream.push_rtcp(data, 0, len(data), 1.0)
    push(stream, *numbered(*range(900, 900 + SWITCH_AFTER), ssrc=6), now=3.0)
    stats = stream.stats
    assert (stats.bye, stats.sender_report) == (False, None)
