"""Bits, parameter sets and packets built by hand from the standards."""

from __future__ import annotations

import struct


class Bits:
    """Writes bits, most significant first."""

    def __init__(self):
        self.text = ""

    def u(self, count, value):
        assert 0 <= value < 1 << count
        self.text += format(value, f"0{count}b") if count else ""
        return self

    def ue(self, value):
        code = format(value + 1, "b")
        self.text += "0" * (len(code) - 1) + code
        return self

    def se(self, value):
        return self.ue(2 * value - 1 if value > 0 else -2 * value)

    def bytes(self, stop=True):
        text = self.text + ("1" if stop else "")
        text += "0" * (-len(text) % 8)
        return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def escape(rbsp):
    """Insert emulation prevention bytes."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def h264_sps(
    profile=77, compat=0, level=30, sps_id=0, width_mbs=20, height_units=15, *, frames_only=1, crop=None,
    high=None, order_type=0, cycle=(), vui=None, stop=True,
):  # fmt: skip
    bits = Bits().ue(sps_id)
    if high:
        high(bits)
    bits.ue(0).ue(order_type)
    if order_type == 0:
        bits.ue(2)
    elif order_type == 1:
        bits.u(1, 0).se(-3).se(4).ue(len(cycle))
        for offset in cycle:
            bits.se(offset)
    bits.ue(1).u(1, 0).ue(width_mbs - 1).ue(height_units - 1).u(1, frames_only)
    if not frames_only:
        bits.u(1, 0)
    bits.u(1, 1)
    bits.u(1, 1 if crop else 0)
    for edge in crop or ():
        bits.ue(edge)
    bits.u(1, 1 if vui else 0)
    if vui:
        vui(bits)
    return bytes((0x67, profile, compat, level)) + escape(bits.bytes(stop))


def h264_pps(pps_id=0, sps_id=0, tail=b"\xaa"):
    return b"\x68" + Bits().ue(pps_id).ue(sps_id).bytes() + tail


def h265_vps(vps_id=0):
    return bytes((0x40, 0x01, vps_id << 4 | 0x0C, 0x01, 0xFF, 0xFF))


def h265_sps(
    width=640, height=360, sps_id=0, *, layers=0, presents=(), chroma=1, window=None, reorder=(2,), each_layer=0,
    head=b"\x42\x01",
):  # fmt: skip
    bits = Bits().u(4, 0).u(3, layers).u(1, 1)
    bits.u(8, 0x01).u(32, 0x60000000).u(48, 0x900000000000).u(8, 93)
    for profile, level in presents:
        bits.u(1, profile).u(1, level)
    if layers:
        bits.u(2 * (8 - layers), 0)
    for profile, level in presents:
        bits.u(88 * profile, 0).u(8 * level, 0)
    bits.ue(sps_id).ue(chroma)
    if chroma == 3:
        bits.u(1, 1)
    bits.ue(width).ue(height).u(1, 1 if window else 0)
    for edge in window or ():
        bits.ue(edge)
    bits.ue(0).ue(0).ue(4).u(1, each_layer)
    for pictures in reorder:
        bits.ue(4).ue(pictures).ue(0)
    return head + escape(bits.bytes())


def h265_pps(pps_id=0, tail=b"\xc1\x72"):
    return b"\x44\x01" + Bits().ue(pps_id).bytes() + tail


def vol(
    width=352, height=288, *, verid=None, par=1, control=None, vbv=False, shape=0, resolution=25, fixed=None
):
    """A video object layer header; control is low_delay or None for no vol_control_parameters."""
    bits = Bits().u(1, 0).u(8, 1).u(1, 1 if verid else 0)
    if verid:
        bits.u(4, verid).u(3, 1)
    bits.u(4, par)
    if par == 15:
        bits.u(16, 0x0102)
    bits.u(1, 0 if control is None else 1)
    if control is not None:
        bits.u(2, 1).u(1, control).u(1, 1 if vbv else 0)
        if vbv:
            bits.u(79, (1 << 79) - 1)
    bits.u(2, shape).u(1, 1).u(16, resolution).u(1, 1).u(1, 0 if fixed is None else 1)
    if fixed is not None:
        bits.u(max(1, (resolution - 1).bit_length()), fixed)
    bits.u(1, 1).u(13, width).u(1, 1).u(13, height).u(1, 1)
    return b"\x00\x00\x01\x20" + bits.bytes()


def rtp(sequence, timestamp=0, payload=b"", *, marker=False, ssrc=5, payload_type=96, flags=0x80, extra=b""):
    second = payload_type | (0x80 if marker else 0)
    return (
        struct.pack(">BBHII", flags, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        + extra
        + payload
    )


def feed(depacketizer, *payloads, timestamp=0, marker=True, lost=0, now=1.0):
    """Push payloads of one timestamp, the marker on the last, and pull all there is."""
    for index, payload in enumerate(payloads):
        last = index == len(payloads) - 1
        framed = b"\x55\x55" + payload + b"\x99\x99"  # nothing outside start..end may count
        depacketizer.push(
            framed, 2, 2 + len(payload), timestamp, marker and last, lost if index == 0 else 0, now
        )
    return drain(depacketizer)


def drain(depacketizer):
    units = []
    while (unit := depacketizer.pull()) is not None:
        units.append(unit)
    return units


def lengths(*nals):
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)
