"""What one RTP packet costs: the receive path from packet bytes to access units, without sockets.

Run: python benchmarks/rtp_hot_path.py [pictures]
"""

from __future__ import annotations

import random
import sys
import time

from agent.rtsp.bits import sample
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.packetizer import packetize
from agent.rtsp.rtp import RtpStream

PICTURE_BYTES = 20_000  # 4 Mbit/s at 25 pictures a second
CODECS = {"h264": ("H264", b"\x41\x9a"), "h265": ("H265", b"\x02\x01\xd0")}


def packets_of(codec: str, pictures: int, chooser: random.Random) -> list[bytes]:
    sequence = 0
    packets: list[bytes] = []
    for index in range(pictures):
        body = bytes(chooser.choices(range(1, 256), k=PICTURE_BYTES))
        unit = sample([CODECS[codec][1] + body])
        made = packetize(codec, unit, index * 3600, ssrc=7, payload_type=96, sequence=sequence)
        sequence += len(made)
        packets += made
    return packets


def best_of(codec: str, packets: list[bytes], first: bytes | None = None) -> float:
    """Push all packets, five times, and return the best time in seconds."""
    places = [(packet, len(packet), packet[1] & 0x80) for packet in packets]
    best = float("inf")
    for _ in range(5):
        stream = RtpStream(depacketizer(CODECS[codec][0], {}, 90_000), 96, 90_000, ssrc=1)
        push, pull = stream.push, stream.pull
        if first is not None:
            push(first, 0, len(first), 0.0)
        begin = time.perf_counter()
        for packet, length, marker in places:
            push(packet, 0, length, 0.0)
            if marker:
                assert pull() is not None
        best = min(best, time.perf_counter() - begin)
        assert stream.stats.lost == 0
    return best


def measure(codec: str, pictures: int) -> None:
    whole = packets_of(codec, pictures, random.Random(1))
    middle = [whole[1][:2] + (number & 0xFFFF).to_bytes(2, "big") + whole[1][4:] for number in range(1, 5001)]
    for name, packets, first in (("whole pictures", whole, None), ("middle fragments", middle, whole[0])):
        seconds = best_of(codec, packets, first)
        size = sum(map(len, packets))
        cost = seconds / len(packets) * 1e6
        print(f"{codec} {name:16}  {cost:.2f} µs per packet, {size / seconds / 1e6:.0f} MB/s")


if __name__ == "__main__":
    for name in CODECS:
        measure(name, int(sys.argv[1]) if len(sys.argv) > 1 else 500)
