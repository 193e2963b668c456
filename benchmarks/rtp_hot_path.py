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


def measure(codec: str, pictures: int) -> None:
    packets = packets_of(codec, pictures, random.Random(1))
    places = [(0, len(packet)) for packet in packets]
    best = float("inf")
    for _ in range(5):
        stream = RtpStream(depacketizer(CODECS[codec][0], {}, 90_000), 96, 90_000, ssrc=1)
        push, pull = stream.push, stream.pull
        begin = time.perf_counter()
        for packet, (start, end) in zip(packets, places, strict=True):
            push(packet, start, end, 0.0)
            if packet[1] & 0x80:
                assert pull() is not None
        best = min(best, time.perf_counter() - begin)
    size = sum(map(len, packets))
    print(f"{codec}: whole pictures  {best / len(packets) * 1e6:.2f} µs per packet, {size / best / 1e6:.0f} MB/s")

    middle = [packet for packet in packets if not packet[1] & 0x80][1:14]
    best = float("inf")
    for _ in range(5):
        stream = RtpStream(depacketizer(CODECS[codec][0], {}, 90_000), 96, 90_000, ssrc=1)
        push = stream.push
        push(packets[0], 0, len(packets[0]), 0.0)
        numbered = [
            packet[:2] + (index + 1 & 0xFFFF).to_bytes(2, "big") + packet[4:]
            for index in range(5000)
            for packet in (middle[0],)
        ]
        begin = time.perf_counter()
        for packet in numbered:
            push(packet, 0, 1412, 0.0)
        best = min(best, time.perf_counter() - begin)
    size = len(numbered) * 1412
    print(f"{codec}: middle fragment {best / 5000 * 1e6:.2f} µs per packet, {size / best / 1e6:.0f} MB/s")


if __name__ == "__main__":
    for name in CODECS:
        measure(name, int(sys.argv[1]) if len(sys.argv) > 1 else 500)
