"""Whatever a camera sends, and however it arrives: who listens gets the access units that are recorded, from a keyframe on."""

from __future__ import annotations

import contextlib
import random
import select
import socket
from typing import TYPE_CHECKING

import pytest

from agent.capture.live import Door, Listener, Live
from agent.capture.past import Past
from agent.capture.past_live import Both, PastLive
from agent.rtsp.bits import sample
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.events import Described
from agent.rtsp.framing import Framer
from agent.rtsp.message import Request
from agent.rtsp.packetizer import packetize
from agent.rtsp.rtp import RtpStream
from agent.rtsp.sdp import Media, parse_sdp
from tests.unit.rtp.build import h264_pps, h264_sps, h265_pps, h265_sps, h265_vps

if TYPE_CHECKING:
    from pathlib import Path

    from agent.rtsp.media import AccessUnit

SETS = {"h264": (h264_sps(), h264_pps()), "h265": (h265_vps(), h265_sps(), h265_pps())}
# Keyframe and other picture: first slice, further slice. Delimiter, SEI.
SLICES = {
    "h264": ((b"\x65\x88", b"\x65\x40"), (b"\x41\x9a", b"\x41\x40")),
    "h265": ((b"\x26\x01\xaf", b"\x26\x01\x2f"), (b"\x02\x01\xd0", b"\x02\x01\x50")),
}
EXTRAS = {
    "h264": (b"\x09\xf0", b"\x06\x05\x01\xaa\x80"),
    "h265": (b"\x46\x01\x10", b"\x4e\x01\x05\x01\xaa\x80"),
}
ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"


def bytes_of(chooser: random.Random, codec: str, channel: int, *, lossy: bool) -> bytes:
    """Make what a camera sends in a few seconds, numbers and times that wrap among it."""
    number, stamp, out = chooser.randrange(65536), chooser.randrange(1 << 32), b""
    for count in range(120):
        is_key = count % 9 == 0
        first, further = SLICES[codec][0 if is_key else 1]
        units = [each for each in EXTRAS[codec] if chooser.random() < 0.3]
        units += SETS[codec] if is_key and (count == 0 or chooser.random() < 0.9) else ()
        size = chooser.choice([3000, 20_000, 60_000] if is_key else [20, 300, 1400, 5000, 30_000])
        units.append(first + bytes((chooser.randrange(1, 255),)) * size)
        units += [further + b"\x91" * chooser.randrange(1, 3000) for _ in range(chooser.choice([0, 0, 2]))]
        packets = packetize(codec, sample(units), stamp, ssrc=0x55, payload_type=96, sequence=number)
        number, stamp = number + len(packets), stamp + 3600
        for packet in packets:
            if lossy and chooser.random() < 0.002:
                continue
            out += frame(channel, packet)
            what = chooser.random()
            if what < 0.01:
                out += ANSWER
            elif what < 0.02:
                out += frame(channel + 1, b"\x80\xc9\0\1\0\0\0\1")
            elif what < 0.03:
                out += frame(9, packet[:32])  # nobody negotiated this one
    return out


def frame(channel: int, packet: bytes) -> bytes:
    return b"$" + bytes((channel,)) + len(packet).to_bytes(2, "big") + packet


class Receiving:
    """Access units out of interleaved packets; also what the handing out asks of a session."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.units: list[AccessUnit] = []
        self._framer = Framer()
        self._stream: RtpStream | None = None

    def begin(self, codec: str, fmtp: dict[str, str]) -> None:
        self._stream = RtpStream(depacketizer(codec.upper(), fmtp, 90_000), 96, 90_000, ssrc=1)
        self._stream.channel = self.channel
        self._framer.connect({self.channel: self._stream.push}, {self.channel: self._stream.push_run})

    @property
    def missing(self) -> int | None:
        return self._framer.missing

    @property
    def source(self) -> int | None:
        return self._stream.source if self._stream is not None else None

    def take(self, data: bytes, now: float, codec: str) -> list[AccessUnit]:
        self._framer.feed(data)
        while (message := self._framer.next_message(now)) is not None:
            if isinstance(message, Request):
                (media,) = parse_sdp(message.body).medias
                self.begin(codec, dict(media.fmtp.get(96, {})))
        before = len(self.units)
        while self._stream is not None and (unit := self._stream.pull()) is not None:
            self.units.append(unit)
        return self.units[before:]


class Ear(Receiving):
    """Who listens at a door, put there without a connection."""

    def __init__(self, door: Door) -> None:
        super().__init__(0)
        near, self.socket = socket.socketpair(socket.AF_UNIX)
        self.socket.setblocking(False)
        door._listeners.append(Listener(near, door._serial()))

    def hear(self, codec: str) -> None:
        with contextlib.suppress(BlockingIOError):
            self.take(self.socket.recv(1 << 22), 0.0, codec)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("seed", range(20))
def test_what_is_handed_out_is_what_is_recorded_from_a_keyframe_on(
    seed: int, codec: str, tmp_path: Path
) -> None:
    chooser = random.Random(f"{codec} {seed}")
    channel, lossy = chooser.choice([0, 0, 2]), chooser.random() < 0.3
    stream = bytes_of(chooser, codec, channel, lossy=lossy)
    poller = select.epoll()
    live = Live(str(tmp_path), "cam01", poller)
    past = PastLive(str(tmp_path), "cam01", poller, Past(2.0))
    both = Both(live, past)
    encoding = codec.upper()
    media = Media("video", 0, "RTP/AVP", (96,), {96: (encoding, 90_000)}, {}, None)
    both.described(Described(media, 96, encoding, 90_000, (), ()))
    session = Receiving(channel)
    session.begin(codec, {})
    ears: list[Ear] = []
    at, now = 0, 0.0
    while at < len(stream) or now < 20.0:
        now += 0.1
        for _ in range(chooser.choice([1, 1, 2])):
            size = chooser.choice([10, 700, 5000, 30_000, 100_000])
            chunk, at = stream[at : at + size], at + size
            if chunk:
                both.take(chunk, session, now)  # type: ignore[arg-type]
                for unit in session.take(chunk, now, codec):
                    if unit.keyframe:
                        both.picture(unit)
        if chooser.random() < 0.1 and at < len(stream):
            ears.append(Ear(chooser.choice([live, past])))
        both.turn(set())
        for ear in ears:
            ear.hear(codec)
    stamps = [unit.timestamp & 0xFFFFFFFF for unit in session.units]
    for ear in ears:
        assert ear.units[0].keyframe
        begin = stamps.index(ear.units[0].timestamp & 0xFFFFFFFF)
        recorded = [unit.data for unit in session.units[begin:]]
        assert [unit.data for unit in ear.units] == recorded[: len(ear.units)]
        assert len(ear.units) >= len(recorded) - 1  # the last one may wait for the next one's begin
        ear.socket.close()
    both.close()
    poller.close()
