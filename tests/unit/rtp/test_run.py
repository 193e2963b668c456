"""Many frames taken at once are taken exactly as one by one, whatever is wrong with them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.framing import Framer
from agent.rtsp.packetizer import packetize
from agent.rtsp.rtp import RtpStream
from agent.rtsp.units import sample

if TYPE_CHECKING:
    from agent.rtsp.media import AccessUnit

PARAMETERS = {
    "h264": [
        bytes.fromhex("6742c01e95a01e0089f970110000030001000003003c0f162ea0"),
        bytes.fromhex("68ce3c80"),
    ],
    "h265": [],
}
SLICES = {"h264": (b"\x65", b"\x41"), "h265": (b"\x26\x01", b"\x02\x01")}


class Taken:
    """A stream fed through the framer, with or without runs."""

    def __init__(self, codec: str, *, runs: bool, channel: int = 0) -> None:
        self.stream = RtpStream(depacketizer(codec, {}, 90_000), 96, 90_000, ssrc=1)
        self.stream.channel = channel
        self.framer = Framer()
        self.taken_by_run = 0
        self.framer.connect({channel: self.stream.push}, {channel: self._run} if runs else None)
        self.units: list[AccessUnit] = []

    def _run(self, data: bytes, at: int, end: int) -> int:
        stop = self.stream.push_run(data, at, end)
        self.taken_by_run += stop - at
        return stop

    def feed(self, data: bytes) -> None:
        self.framer.feed(data)
        while self.framer.next_message(1.0) is not None:
            pass
        while (unit := self.stream.pull()) is not None:
            self.units.append(unit)

    def finish(self) -> list[tuple[object, ...]]:
        self.stream.flush()
        while (unit := self.stream.pull()) is not None:
            self.units.append(unit)
        return [(unit.timestamp, unit.data, unit.keyframe, unit.lost, unit.damaged) for unit in self.units]


def packets(rng: random.Random, codec: str, pictures: int, sequence: int = 0) -> list[bytes]:
    made: list[bytes] = []
    for number in range(pictures):
        key, other = SLICES[codec]
        first = b"\x80" if codec == "h265" else b"\x88"
        nals = (
            [*PARAMETERS[codec], key + first]
            if number % 10 == 0
            else [other + (first if codec == "h265" else b"\x9a")]
        )
        nals[-1] += rng.randbytes(rng.choice((10, 700, 5000, 20_000, 60_000)))
        made += packetize(
            codec,
            sample(nals),
            number * 3000,
            ssrc=7,
            payload_type=96,
            sequence=sequence + len(made) & 0xFFFF,
        )
    return made


def framed(frames: list[bytes], channel: int = 0) -> bytes:
    return b"".join(b"$%c" % channel + len(frame).to_bytes(2, "big") + frame for frame in frames)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("sequence", [0, 65_500])
def test_a_healthy_stream_is_taken_mostly_in_runs(codec: str, sequence: int) -> None:
    data = framed(packets(random.Random(1), codec, 40, sequence))
    plain, quick = Taken(codec, runs=False), Taken(codec, runs=True)
    plain.feed(data)
    quick.feed(data)
    assert quick.finish() == plain.finish()
    assert quick.stream.stats == plain.stream.stats
    assert quick.taken_by_run > len(data) * 0.7


def test_frames_of_another_channel_are_not_taken() -> None:
    data = framed(packets(random.Random(1), "h264", 10), channel=2)
    quick = Taken("h264", runs=True, channel=2)
    quick.stream.channel = 0
    quick.feed(data)
    assert quick.taken_by_run == 0
    assert len(quick.finish()) == 10


def test_a_unit_beyond_its_bound_is_left_to_push() -> None:
    rng = random.Random(3)
    frames = packetize(
        "h264", sample([b"\x65\x88" + rng.randbytes(17 << 20)]), 0, ssrc=7, payload_type=96, sequence=0
    )
    plain, quick = Taken("h264", runs=False), Taken("h264", runs=True)
    for taken in (plain, quick):
        for at in range(0, len(frames), 150):
            taken.feed(framed(frames[at : at + 150]))
    assert quick.finish() == plain.finish() == []
    assert quick.stream.stats == plain.stream.stats


def test_what_is_too_little_is_left_to_push() -> None:
    for size in (300, 2500, 5500):
        quick = Taken("h264", runs=True)
        frames = packetize(
            "h264", sample([b"\x65\x88" + bytes(size)]), 0, ssrc=7, payload_type=96, sequence=0
        )
        quick.feed(framed(frames))
        assert quick.taken_by_run == 0
        assert len(quick.finish()) == 1


def harm(rng: random.Random, frames: list[bytes]) -> bytes:
    """Do to a stream what networks, stale sessions and bad cameras do."""
    frames = list(frames)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(frames))
        kind = rng.randrange(6)
        if kind == 0:
            del frames[at]
        elif kind == 1:
            frames.insert(at, frames[rng.randrange(len(frames))])
        elif kind == 2:
            frame = bytearray(frames[at])
            frame[rng.randrange(min(20, len(frame)))] ^= 1 << rng.randrange(8)
            frames[at] = bytes(frame)
        elif kind == 3:
            frames[at] = frames[at][: rng.randrange(1, len(frames[at]) + 1)]
        elif kind == 4:
            frames[at] += rng.randbytes(rng.randrange(1, 5))
        else:
            other = rng.randrange(len(frames))
            frames[at], frames[other] = frames[other], frames[at]
    data = framed(frames)
    if rng.random() < 0.2:
        mutable = bytearray(data)
        mutable[rng.randrange(len(mutable))] ^= 0xFF
        data = bytes(mutable)
    return data


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_harmed_stream_comes_out_the_same_with_and_without_runs(codec: str) -> None:
    rng = random.Random(f"run {codec}")
    sound = [packets(rng, codec, 4) for _ in range(20)]
    runs = 0
    for _ in range(1500):
        data = harm(rng, sound[rng.randrange(len(sound))])
        plain, quick = Taken(codec, runs=False), Taken(codec, runs=True)
        at = 0
        while at < len(data):
            step = rng.choice((len(data), 5000, 20_000))
            plain.feed(data[at : at + step])
            quick.feed(data[at : at + step])
            at += step
        assert quick.finish() == plain.finish()
        assert quick.stream.stats == plain.stream.stats
        runs += quick.taken_by_run
    assert runs


@pytest.mark.parametrize("encoding", ["MP4V-ES", "JPEG"])
def test_pictures_that_are_no_nal_units_have_no_runs(encoding: str) -> None:
    whole = depacketizer(encoding, {}, 90_000)
    assert whole.run_head == b""
    assert not whole.extend((b"content",), 7)
    whole.flush()
    assert whole.pull() is None
