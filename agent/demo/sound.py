"""Sound that nobody should ask for: a soft tone with a marker in every packet, so that a leak is found."""

from __future__ import annotations

import math
import struct

import av
import numpy as np

from agent.demo.stamp import AUDIO_MARKER

PCMU_BYTES = 160  # 20 ms at 8 kHz
AAC_SAMPLES = 1024
AAC_RATE = 16_000
AAC_CONFIG = "1408"  # AudioSpecificConfig (ISO 14496-3 1.6.2.1): AAC LC, 16 kHz, one channel
_MARKER_BIT = 0x80


class AudioSender:
    """The audio packets of one session.

    encoding  "pcmu" (RFC 3551) or "aac" (RFC 3640, AAC-hbr)
    """

    def __init__(self, encoding: str, *, ssrc: int, payload_type: int) -> None:
        self._aac = encoding == "aac"
        self._ssrc = ssrc
        self._payload_type = payload_type
        self._packet_s = AAC_SAMPLES / AAC_RATE if self._aac else 0.02
        self._ticks = AAC_SAMPLES if self._aac else PCMU_BYTES
        self._loop = _aac_loop() if self._aac else _pcmu_loop()
        self._sent = 0

    def packets(self, elapsed_s: float) -> list[bytes]:
        """Return the packets that are due; at most a second's worth, however late the call."""
        due = int(elapsed_s / self._packet_s)
        self._sent = max(self._sent, due - int(1 / self._packet_s))
        out = []
        while self._sent < due:
            marker = _MARKER_BIT if self._aac or self._sent == 0 else 0
            head = struct.pack(
                ">BBHII",
                0x80,
                self._payload_type | marker,
                self._sent & 0xFFFF,
                self._sent * self._ticks & 0xFFFF_FFFF,
                self._ssrc,
            )
            out.append(head + self._loop[self._sent % len(self._loop)])
            self._sent += 1
        return out


def _pcmu_loop() -> list[bytes]:
    """Return one second of a soft 400 Hz tone in µ-law, the marker at the head of each packet."""
    tone = bytes(_mu_law(round(1200 * math.sin(2 * math.pi * 400 * n / 8000))) for n in range(8000))
    starts = range(0, 8000, PCMU_BYTES)
    return [AUDIO_MARKER + tone[start + len(AUDIO_MARKER) : start + PCMU_BYTES] for start in starts]


def _mu_law(sample: int) -> int:
    """Code one 16-bit sample (ITU-T G.711)."""
    sign = 0x80 if sample < 0 else 0
    level = min(abs(sample), 32_635) + 132
    exponent = level.bit_length() - 8
    return ~(sign | exponent << 4 | level >> exponent + 3 & 0x0F) & 0xFF


def _aac_loop() -> list[bytes]:
    """Return a second of coded tone, each AU behind its header (RFC 3640 3.3.6).

    The marker stands in front, in a data_stream_element (ISO 14496-3 4.4.2.2), which decoders skip. Its head
    is one byte and a count, so that what follows stays on byte borders.
    """
    context = av.CodecContext.create("aac", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = AAC_RATE, "mono", "fltp"
    context.bit_rate = 32_000
    units: list[bytes] = []
    for start in range(0, 16 * AAC_SAMPLES, AAC_SAMPLES):
        at = np.arange(start, start + AAC_SAMPLES, dtype=np.float32)
        tone = (0.04 * np.sin(2 * np.pi * 400 * at / AAC_RATE)).astype(np.float32)[None, :]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = AAC_RATE, start
        units += [bytes(packet) for packet in context.encode(frame)]
    marker = b"\x80" + bytes([len(AUDIO_MARKER)]) + AUDIO_MARKER
    return [struct.pack(">HH", 16, len(marker) + len(unit) << 3) + marker + unit for unit in units[1:]]
