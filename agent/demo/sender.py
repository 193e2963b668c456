"""From samples to RTP packets, with what cameras do wrong on the way. No sockets, no clock.

One `VideoSender` serves one session: it has its own SSRC, sequence numbers and beginning.
"""

from __future__ import annotations

import math
import random
import struct
from typing import TYPE_CHECKING

from agent.demo.units import PARAMETER_SETS, SLICES, join_sample, kind, split_sample
from agent.rtsp.packetizer import MIN_PAYLOAD_BYTES, packetize

if TYPE_CHECKING:
    from agent.demo.quirks import Quirks

VIDEO_CLOCK = 90_000
NTP_EPOCH_S = 2_208_988_800  # seconds from 1900 to 1970
MTU_PAYLOAD = 1400
_MARKER = 0x80


class VideoSender:
    """Turns samples into packets for one session.

    base  RTP timestamp of media time 0
    """

    def __init__(
        self, codec: str, quirks: Quirks, *, ssrc: int, sequence: int, base: int, payload_type: int
    ) -> None:
        self._codec = codec
        self._quirks = quirks
        self._ssrc = ssrc
        self._sequence = sequence
        self._base = base
        self._payload_type = payload_type
        self._rate = VIDEO_CLOCK * (quirks.value("clock_x10") or 1) * (1 + quirks.value("clock_drift") / 1e6)
        oversized = int(quirks.value("oversized_packets"))
        self._max_payload = min(max(oversized, MIN_PAYLOAD_BYTES), 65_000) if oversized else MTU_PAYLOAD
        self._chance = random.Random(ssrc)  # noqa: S311 - repeatable, not secret
        self._frames = 0
        self._last = 0  # ticks of the frame before, as they should be
        self._last_sent = 0
        self._piled = 0
        self._held: list[bytes] = []
        self.packets_sent = 0
        self.octets_sent = 0

    def timestamp(self, media_s: float, elapsed_s: float) -> int:
        """Return the RTP timestamp of a media time without the quirks that hit single frames."""
        ticks = round(media_s * self._rate) + self._piled
        if elapsed_s >= self._quirks.after("timestamp_jump"):
            ticks += round(self._quirks.value("timestamp_jump") * VIDEO_CLOCK)
        return self._base + ticks & 0xFFFF_FFFF

    def packets(self, sample: bytes, media_s: float, elapsed_s: float, *, udp: bool = False) -> list[bytes]:
        """Return the packets of one sample, in the order in which they go out.

        media_s    when the picture was taken, on the camera's media clock
        elapsed_s  since this session began to play
        """
        ticks = self._frame_timestamp(media_s, elapsed_s)
        if "start_codes_in_payload" in self._quirks and self._codec in PARAMETER_SETS:
            sample = _join_by_start_codes(self._codec, sample)
        packets = packetize(
            self._codec,
            sample,
            ticks,
            ssrc=self._ssrc,
            payload_type=self._payload_type,
            sequence=self._sequence,
            max_payload=self._max_payload,
        )
        self._sequence = self._sequence + len(packets) & 0xFFFF
        self.packets_sent += len(packets)
        self.octets_sent += sum(map(len, packets)) - 12 * len(packets)
        return self._on_the_way(self._marked(packets), udp=udp)

    def _frame_timestamp(self, media_s: float, elapsed_s: float) -> int:
        if elapsed_s >= self._quirks.after("last_delta_huge"):
            self._piled += round(self._quirks.value("last_delta_huge") * VIDEO_CLOCK)
        right = self.timestamp(media_s, elapsed_s)
        sent, frame = right, self._frames
        step = right - self._last
        if frame == 0 and "bad_first_timestamp" in self._quirks:
            sent = right + round(self._quirks.value("bad_first_timestamp") * VIDEO_CLOCK)
        if frame and _due(self._quirks, "equal_timestamps", frame):
            sent = self._last_sent
        if frame and _due(self._quirks, "backward_timestamp", frame):
            sent = right - 2 * step
        self._frames += 1
        self._last, self._last_sent = right, sent & 0xFFFF_FFFF
        return self._last_sent

    def _marked(self, packets: list[bytes]) -> list[bytes]:
        if "no_marker" in self._quirks:
            packets = [packet[:1] + bytes([packet[1] & ~_MARKER]) + packet[2:] for packet in packets]
        if "marker_on_sps" in self._quirks and self._codec in PARAMETER_SETS:
            packets = [
                packet[:1] + bytes([packet[1] | _MARKER]) + packet[2:]
                if _holds_parameter_sets(self._codec, packet)
                else packet
                for packet in packets
            ]
        return packets

    def _on_the_way(self, packets: list[bytes], *, udp: bool) -> list[bytes]:
        if "udp_loss" in self._quirks:
            packets = [packet for packet in packets if not self._hit("udp_loss")]
        if "stale_session_packets" in self._quirks and self._frames % 5 == 0 and packets:
            packets = [packets[0], self._stale(packets[0]), *packets[1:]]
        if not udp:
            return packets
        if "udp_duplicates" in self._quirks:
            packets = [copy for packet in packets for copy in [packet] * (1 + self._hit("udp_duplicates"))]
        if "udp_reorder" in self._quirks:
            packets = self._overtaken(packets)
        return packets

    def _overtaken(self, packets: list[bytes]) -> list[bytes]:
        """Let two packets pass one that is held back; across frames too."""
        out: list[bytes] = []
        for packet in packets:
            if self._held:
                self._held.append(packet)
                if len(self._held) == 3:
                    out += [*self._held[1:], self._held[0]]
                    self._held = []
            elif self._hit("udp_reorder"):
                self._held.append(packet)
            else:
                out.append(packet)
        return out

    def _stale(self, like: bytes) -> bytes:
        """Return a packet as yesterday's session would send it: other SSRC, other place, the same shape."""
        return struct.pack(
            ">BBHII",
            0x80,
            like[1] & 0x7F,
            self._frames * 7 & 0xFFFF,
            self._frames * 6000,
            self._ssrc ^ 0xFFFF_FFFF,
        ) + bytes(like[12:])

    def _hit(self, name: str) -> bool:
        return self._chance.random() * max(self._quirks.value(name), 1.0) < 1.0

    def sender_report(self, utc_s: float, media_s: float, elapsed_s: float) -> bytes:
        """Return SR and SDES (RFC 3550 6.4.1): wall clock and media clock at the same moment."""
        if elapsed_s >= self._quirks.after("clock_step"):
            utc_s += self._quirks.value("clock_step")
        return report(
            self._ssrc, utc_s, self.timestamp(media_s, elapsed_s), self.packets_sent, self.octets_sent
        )

    def bye(self) -> bytes:
        """Return BYE (RFC 3550 6.6), after the empty report that must come before it."""
        return struct.pack(">BBHI", 0x80, 201, 1, self._ssrc) + struct.pack(">BBHI", 0x81, 203, 1, self._ssrc)


def report(ssrc: int, utc_s: float, rtp: int, packets: int, octets: int) -> bytes:
    """Write a sender report with the name of its source."""
    seconds = math.floor(utc_s)
    fraction = int((utc_s - seconds) * 2**32)
    sr = struct.pack(
        ">BBHIIIIII",
        0x80,
        200,
        6,
        ssrc,
        seconds + NTP_EPOCH_S & 0xFFFF_FFFF,
        fraction & 0xFFFF_FFFF,
        rtp,
        packets & 0xFFFF_FFFF,
        octets & 0xFFFF_FFFF,
    )
    return sr + struct.pack(">BBHIBB6s", 0x81, 202, 3, ssrc, 1, 6, b"camera")


def _due(quirks: Quirks, name: str, frame: int) -> bool:
    return name in quirks and frame % max(int(quirks.value(name)), 1) == 0


def _holds_parameter_sets(codec: str, packet: bytes) -> bool:
    """Tell whether a packet is a parameter set, or an aggregate (STAP-A, AP), which carries them here."""
    return kind(codec, packet[12:14]) in (*PARAMETER_SETS[codec], 24 if codec == "h264" else 48)


def _join_by_start_codes(codec: str, sample: bytes) -> bytes:
    """Put all that comes before the first slice into one "unit", Annex B inside, as some cameras do."""
    units = split_sample(sample)
    first = next((at for at, unit in enumerate(units) if kind(codec, unit) in SLICES[codec]), 0)
    if first > 1:
        units = [b"\x00\x00\x00\x01".join(units[:first]), *units[first:]]
    return join_sample(units)
