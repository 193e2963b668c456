from __future__ import annotations

import pytest

from agent.rtsp.errors import RtspError
from agent.rtsp.framing import LOT_BYTES, MAX_GARBAGE_BYTES, Framer, is_lot, lot
from agent.rtsp.message import Request, Response

REPLY = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 5\r\n\r\nhello"
ASK = b"OPTIONS * RTSP/1.0\r\n\r\n"


def frame(channel: int, payload: bytes) -> bytes:
    return b"$" + bytes((channel,)) + len(payload).to_bytes(2, "big") + payload


RTP = frame(0, b"\x80" + b"a" * 20)


class Rig:
    def __init__(self, channels=(0, 1)):
        self.framer = Framer()
        self.seen = []
        self.copies = []
        self.framer.connect({channel: self.receiver(channel) for channel in channels})

    def receiver(self, channel):
        def receive(data, start, end, now):
            self.copies.append(data)
            self.seen.append((channel, data[start:end]))

        return receive

    def feed(self, *chunks):
        for chunk in chunks:
            self.framer.feed(chunk)
            while (message := self.framer.next_message(1.0)) is not None:
                self.seen.append(message)
        return self.seen


def kinds(seen) -> list[str]:
    return [type(item).__name__ if not isinstance(item, tuple) else f"${item[0]}" for item in seen]


def test_frames_and_messages_come_in_order():
    rig = Rig()
    seen = rig.feed(RTP + REPLY + frame(1, b"\x80r") + b"\r\n" + ASK + frame(0, b""))
    assert kinds(seen) == ["$0", "Response", "$1", "Request", "$0"]
    assert isinstance(seen[1], Response)
    assert seen[1].body == b"hello"
    assert isinstance(seen[3], Request)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 26, 60])
def test_cuts_change_nothing(size):
    data = RTP + REPLY + frame(7, b"\x80" * 50) + RTP + ASK + RTP + b"garbage $$$ \x80" + RTP + REPLY + RTP
    whole, cut = Rig(), Rig()
    whole.feed(data)
    cut.feed(*(data[at : at + size] for at in range(0, len(data), size)))
    assert cut.seen == whole.seen
    assert cut.framer.foreign_frames == whole.framer.foreign_frames == 1
    assert cut.framer.skipped_bytes == whole.framer.skipped_bytes == 13
    assert kinds(whole.seen) == ["$0", "Response", "$0", "Request", "$0", "$0", "Response", "$0"]


def test_whole_frames_are_not_copied():
    rig = Rig()
    chunk = RTP * 10
    rig.feed(chunk + RTP[:9], RTP[9:] + chunk)
    assert len(rig.copies) == 21
    assert len({id(data) for data in rig.copies}) == 3
    assert len(rig.copies[10]) == len(RTP)  # only the frame that was cut in two was joined


def test_a_foreign_frame_is_never_kept():
    rig = Rig()
    sound = frame(2, b"MARKER" * 100)
    rig.framer.feed(RTP + sound[:200])
    assert rig.framer.next_message(0.0) is None
    held = [getattr(rig.framer, name) for name in Framer.__slots__]
    assert not any(b"MARKER" in item for item in held if isinstance(item, bytes))
    assert rig.framer._parts == []
    rig.feed(sound[200:300], sound[300:] + RTP)
    assert kinds(rig.seen) == ["$0", "$0"]
    assert rig.framer.foreign_frames == 1


def test_channels_hold_from_the_next_frame_on():
    rig = Rig(channels=())
    rig.framer.feed(RTP + ASK + RTP)
    assert rig.framer.next_message(0.0) is not None
    rig.framer.connect({0: rig.receiver(0)})
    assert rig.framer.next_message(0.0) is None
    assert kinds(rig.seen) == ["$0"]
    assert rig.framer.foreign_frames == 1


@pytest.mark.parametrize(
    ("garbage", "skipped"),
    [
        (b"\x00\x01\x02", 3),
        (b"$\x00\x00", 0),  # a torn header: swallows the begin of the next frame as its length and payload
        (b"RTSP\x00", 5),
        (b"OPTION", 6),
        (b"hello $\x00\x00\x03\x80aaX", 14),  # looks like a frame, nothing of ours follows
    ],
)
def test_finds_the_way_back(garbage, skipped):
    rig = Rig()
    rig.feed(RTP + garbage + RTP * 5 + REPLY)
    assert kinds(rig.seen)[-2:] == ["$0", "Response"]
    if skipped:
        assert rig.framer.skipped_bytes == skipped
        assert len(rig.seen) == 7


def test_finds_a_message_without_any_channel():
    rig = Rig(channels=())
    rig.feed(b"\x00$\x00\x00\x09\x80" + REPLY)
    assert kinds(rig.seen) == ["Response"]
    assert rig.framer.skipped_bytes == 6


def test_waits_for_the_rest_of_a_message_found_in_garbage():
    rig = Rig()
    rig.feed(b"\x00\x01" + REPLY[:20], REPLY[20:])
    assert kinds(rig.seen) == ["Response"]


def test_gives_up_after_a_megabyte_in_a_row():
    rig = Rig()
    rig.feed(b"\0" * MAX_GARBAGE_BYTES)
    with pytest.raises(RtspError) as caught:
        rig.feed(b"\0" * 100)
    assert caught.value.code == "malformed_message"


def test_a_frame_between_makes_patience_new():
    rig = Rig()
    for _ in range(3):
        rig.feed(b"\0" * (MAX_GARBAGE_BYTES // 2) + RTP + RTP)
    for _ in range(3):
        rig.feed(b"\0" * (MAX_GARBAGE_BYTES // 2) + RTP + frame(9, b"cut")[:5], b"ut")
    assert len(rig.seen) == 9


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0 200 OK\r\n" + b"a" * 20000,
        b"RTSP/1.0 OK\r\n\r\n",
        b"PLAY u RTSP/1.0\r\nContent-Length: 9999999\r\n\r\n",
    ],
)
def test_a_bad_message_is_an_error(data):
    with pytest.raises(RtspError):
        Rig().feed(data)


def test_odd_case_is_a_message_all_the_same():
    assert kinds(Rig().feed(b"rtsp/1.0 200 ok\n\n" + b"play u rtsp/1.0\n\n")) == ["Response", "Request"]


def test_frames_that_are_sent_at_once_are_announced():
    frames = frame(0, b"a" * 20) + frame(0, b"b")
    sent = lot(len(frames)) + frames
    assert is_lot(sent)
    assert sent[LOT_BYTES:] == frames
    orphan = lot(len(sent)) + sent  # the frames that it announced were left out
    for other in (frames, sent[:-1], sent + frame(0, b"c"), sent[:6], b"", sent + sent, orphan):
        assert not is_lot(other)
    assert [data for _, data in Rig().feed(sent + sent)] == [b"a" * 20, b"b"] * 2, (
        "foreign to who does not know"
    )
