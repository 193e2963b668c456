"""What is kept of a camera's bytes since its last keyframe, and the packets picked out of it."""

from __future__ import annotations

import random

import pytest

from agent.capture.recent import DATAGRAM, MOST_BYTES, Picker, Recent, pick
from agent.rtsp.errors import RtspError
from agent.rtsp.framing import Framer


def rtp(number: int, timestamp: int, size: int = 50, payload_type: int = 96) -> bytes:
    head = bytes((0x80, payload_type)) + (number & 0xFFFF).to_bytes(2, "big") + timestamp.to_bytes(4, "big")
    return head + bytes(4) + bytes((number & 0xFF,)) * size


def frame(packet: bytes, channel: int = 0) -> bytes:
    return b"$" + bytes((channel,)) + len(packet).to_bytes(2, "big") + packet


class Line:
    """Feeds a session's framer and what is kept with the same chunks."""

    def __init__(self, channel: int = 0) -> None:
        self.framer = Framer()
        self.framer.connect({channel: lambda *_: None})
        self.recent = Recent()

    def bring(self, data: bytes, now: float) -> None:
        self.recent.add(data, self.framer.missing, now)
        self.framer.feed(data)
        while self.framer.next_message(now) is not None:
            pass


@pytest.mark.parametrize("seed", range(40))
def test_from_the_keyframe_on_however_the_bytes_are_cut(seed: int) -> None:
    chooser = random.Random(seed)
    packets = [rtp(number, number // 4, chooser.randrange(1, 90)) for number in range(80)]
    noise = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"
    stream = b""
    places = []
    for packet in packets:
        places.append(len(stream))
        stream += frame(packet) + chooser.choice(
            [b"", noise, frame(rtp(1, 1), 5), frame(b"\x81\xc8" + bytes(6), 1)]
        )
    line = Line()
    at, now, arrivals = 0, 0.0, {}
    while at < len(stream):
        end = at + chooser.randrange(1, 700)
        now += 1.0
        for packet, place in zip(packets, places, strict=True):
            if place + len(frame(packet)) <= end and packet[4:8] not in arrivals:
                arrivals[packet[4:8]] = now
        line.bring(stream[at:end], now)
        at = end
    key = chooser.randrange(2, 18)
    timestamp = key.to_bytes(4, "big")
    # The arrival is that of the chunk which completes the keyframe's first packet, wherever that began.
    assert line.recent.begins(key, arrivals[timestamp])
    _, found = pick(line.recent, 0, 96)
    assert found == b"".join(frame(packet) for packet in packets[key * 4 :])
    assert line.recent.serial == 1


def test_what_came_before_a_keyframe_is_let_go() -> None:
    line = Line()
    for number in range(10):
        line.bring(frame(rtp(number, number)), float(number))
    before = len(line.recent)
    assert line.recent.begins(6, 6.0)
    assert len(line.recent) == before * 4 // 10
    assert [missing for missing, _ in line.recent] == [0, 0, 0, 0]


def test_where_a_frame_is_cut_inside_its_header_the_chunk_before_is_kept_too() -> None:
    whole = b"".join(frame(rtp(number, number)) for number in range(6))
    size = len(whole) // 6
    line = Line()
    line.bring(whole[: size * 2], 1.0)
    line.bring(whole[size * 2 : size * 3 + 2], 2.0)
    line.bring(whole[size * 3 + 2 :], 3.0)
    assert line.recent.begins(3, 3.0)
    assert [missing for missing, _ in line.recent] == [0, None]
    assert pick(line.recent, 0, 96)[1] == b"".join(frame(rtp(number, number)) for number in range(3, 6))


def test_too_much_is_dropped_and_the_next_keyframe_begins_anew() -> None:
    recent = Recent()
    recent.add(bytes(10), 0, 1.0)
    assert recent.begins(5, 1.0)
    recent.add(bytes(MOST_BYTES), 0, 2.0)
    assert recent.keyframe is None
    assert len(recent) == 0
    assert not recent.begins(6, 2.0)  # its begin is among what was dropped
    recent.add(bytes(10), 0, 3.0)
    assert recent.begins(7, 3.0)
    assert (recent.keyframe, recent.serial) == (7, 2)


def test_where_the_first_packet_is_cut_by_what_was_dropped_the_next_keyframe_is_waited_for() -> None:
    recent = Recent()
    recent.add(bytes(MOST_BYTES + 1), 0, 1.0)
    recent.add(frame(rtp(1, 1))[9:] + frame(rtp(2, 1)), len(frame(rtp(1, 1))) - 9, 2.0)
    assert not recent.begins(1, 2.0)
    assert (recent.keyframe, recent.serial) == (None, 0)
    recent.add(frame(rtp(3, 2)), 0, 3.0)
    assert recent.begins(2, 3.0)
    assert pick(recent, 0, 96)[1] == frame(rtp(3, 2))


def test_datagrams() -> None:
    recent = Recent()
    for number in range(6):
        recent.add(rtp(number, number), DATAGRAM, float(number))
    recent.add(bytes(70_000), DATAGRAM, 6.0)  # no datagram is so long; and no frame
    assert recent.begins(3, 3.0)
    picker, found = pick(recent, None, 96)
    assert found == b"".join(frame(rtp(number, number)) for number in range(3, 6))
    picker.feed(rtp(9, 9), DATAGRAM)
    assert picker.taken() == [frame(rtp(9, 9))]
    assert picker.taken() == []


def test_only_packets_of_the_stream_are_picked() -> None:
    picker = Picker(2, 96)
    picker.feed(frame(rtp(1, 1), 2) + frame(rtp(2, 1, payload_type=8), 2) + frame(b"\x80\x60", 2), 0)
    picker.feed(frame(b"\x00" + rtp(3, 1)[1:], 2) + frame(rtp(4, 1), 4), 0)
    assert picker.taken() == [frame(rtp(1, 1))]  # on channel 0, wherever it came


def test_nothing_is_picked_where_the_keyframe_is_not_to_be_found() -> None:
    recent = Recent()
    assert pick(recent, 0, 96)[1] == b""
    recent.add(frame(rtp(1, 1)), 0, 1.0)
    recent.begins(8, 1.0)
    assert pick(recent, 0, 96)[1] == b""
    lost = Recent()
    lost.add(frame(rtp(1, 1))[3:], None, 1.0)
    assert not lost.begins(1, 1.0)
    assert pick(lost, 0, 96)[1] == b""


def test_garbage_is_the_one_declared_error() -> None:
    recent = Recent()
    recent.add(b"x" * ((1 << 20) + 100), 0, 1.0)
    recent.begins(1, 1.0)
    assert pick(recent, 0, 96)[1] == b""
    with pytest.raises(RtspError):
        Picker(0, 96).feed(b"x" * ((1 << 20) + 100), 0)


def test_a_keyframe_later_than_all_that_is_kept_leaves_the_last_of_it() -> None:
    recent = Recent()
    recent.add(bytes(10), 0, 1.0)
    recent.add(bytes(20), 0, 2.0)
    assert recent.begins(1, 5.0)
    assert len(recent) == 20


def test_rows_of_packets_are_taken_at_once() -> None:
    picker = Picker(0, 96)
    row = b"".join(frame(rtp(number, 7, 300)) for number in range(9))
    sound = b"".join(frame(rtp(number, 7, 200, payload_type=8)) for number in range(9))
    picker.feed(row + sound + row, 0)
    taken = picker.taken()
    assert b"".join(taken) == row + row
    assert len(taken) < 6


def test_packets_of_another_source_are_left_out() -> None:
    """Quirk 25, and sound with the pictures' payload type; one by one and in rows."""
    ours, other = rtp(1, 7, 300), rtp(1, 7, 300)[:8] + b"\0\0\0\1" + bytes(300)
    picker = Picker(0, 96, 0)
    row, strange, mixed = frame(ours) * 9, frame(other) * 9, frame(ours) * 4 + frame(other) * 4
    picker.feed(row + strange + mixed, 0)
    assert b"".join(picker.taken()) == frame(ours) * 13
    picker.feed(other, DATAGRAM)
    assert picker.taken() == []
    picker.follow(1)
    picker.feed(strange + row, 0)
    assert b"".join(picker.taken()) == strange
    picker.follow(None)
    picker.feed(mixed, 0)
    assert b"".join(picker.taken()) == mixed
    recent = Recent()
    recent.add(frame(other) + frame(ours), 0, 1.0)
    recent.begins(7, 1.0)
    assert pick(recent, 0, 96, 0)[1] == frame(ours)
