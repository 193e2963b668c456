"""H.265: sequence parameter sets (ITU-T H.265, 7.3.2.2), the hvcC record, and RFC 7798 payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.rtsp.bits import MAX_PARAMETER_SET_BYTES, BitReader, base64_nals, bounded, checked_size, unescape
from agent.rtsp.errors import RtspError
from agent.rtsp.media import VideoFormat
from agent.rtsp.nal import MAX_UNIT_BYTES, OVERHEAD, NalDepacketizer

if TYPE_CHECKING:
    from collections.abc import Mapping

IRAP_FIRST, IRAP_LAST, VCL_LAST = 16, 21, 31
VPS, SPS, PPS = 32, 33, 34
AP, FU = 48, 49
MAX_DPB = 16  # A.4.2


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """What a recorder wants from an SPS.

    profile_tier_level  its first twelve bytes: general profile, tier, compatibility, constraints, level
    width, height       pixels inside the conformance window
    reorder             sps_max_num_reorder_pics of the highest sub-layer
    """

    id: int
    sub_layers: int
    nested: bool
    profile_tier_level: bytes
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    width: int
    height: int
    reorder: int


def parse_sps(nal: bytes) -> SequenceParameters:
    """Read a sequence parameter set, with its two-byte NAL header.

    Raises   RtspError malformed_parameter_sets, also for sizes no picture has
    Source   ITU-T H.265, 7.3.2.2.1, 7.3.3 (profile_tier_level)
    """
    if not 4 <= len(nal) <= MAX_PARAMETER_SET_BYTES:
        raise RtspError("malformed_parameter_sets", "no SPS has this length", length=len(nal))
    bits = BitReader(unescape(nal[2:]))
    bits.bits(4)  # sps_video_parameter_set_id
    more_layers = bounded(bits.bits(3), 6, "sps_max_sub_layers_minus1")
    nested = bits.flag()
    profile_tier_level = bits.bits(96).to_bytes(12, "big")
    _skip_sub_layers(bits, more_layers)
    sps_id = bounded(bits.ue(), 15, "sps_seq_parameter_set_id")
    chroma_format = bounded(bits.ue(), 3, "chroma_format_idc")
    separate_planes = chroma_format == 3 and bits.flag()
    width, height = checked_size(bits.ue(), bits.ue())
    if bits.flag():
        unit_x = 2 if chroma_format in (1, 2) else 1  # table 6-1
        unit_y = 2 if chroma_format == 1 else 1
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width, height = checked_size(width - unit_x * (left + right), height - unit_y * (top + bottom))
    depth_luma = bounded(bits.ue(), 8, "bit_depth_luma_minus8")
    depth_chroma = bounded(bits.ue(), 8, "bit_depth_chroma_minus8")
    bounded(bits.ue(), 12, "log2_max_pic_order_cnt_lsb_minus4")
    reorder = 0
    for _ in range(more_layers + 1 if bits.flag() else 1):
        bits.ue()  # sps_max_dec_pic_buffering_minus1
        reorder = bounded(bits.ue(), MAX_DPB, "sps_max_num_reorder_pics")
        bits.ue()  # sps_max_latency_increase_plus1
    return SequenceParameters(
        sps_id,
        more_layers + 1,
        nested,
        profile_tier_level,
        0 if separate_planes else chroma_format,
        depth_luma,
        depth_chroma,
        width,
        height,
        reorder,
    )


def _skip_sub_layers(bits: BitReader, count: int) -> None:
    """Skip the sub-layers of profile_tier_level()."""
    present = [(bits.flag(), bits.flag()) for _ in range(count)]
    if count:
        bits.bits(2 * (8 - count))
    for profile, level in present:
        bits.bits(88 * profile + 8 * level)


class H265ParameterSets:
    """VPS, SPS and PPS of a stream by id; the SPS that came last is the one in force."""

    __slots__ = ("_active", "_pps", "_sps", "_vps")

    def __init__(self) -> None:
        self._vps: dict[int, bytes] = {}
        self._sps: dict[int, tuple[bytes, SequenceParameters]] = {}
        self._pps: dict[int, bytes] = {}
        self._active = -1

    def add(self, nal: bytes) -> bool:
        """Take a VPS, SPS or PPS; tell whether anything changed. Raises RtspError for a malformed one."""
        if not 3 <= len(nal) <= MAX_PARAMETER_SET_BYTES:
            raise RtspError("malformed_parameter_sets", "no parameter set has this length", length=len(nal))
        kind = nal[0] >> 1 & 63
        if kind == SPS:
            known = self._sps.get(self._active)
            if known is not None and known[0] == nal:
                return False
            sps = parse_sps(nal)
            self._sps[sps.id] = (nal, sps)
            self._active = sps.id
            return True
        if kind == VPS:
            sets, set_id = self._vps, nal[2] >> 4
        else:
            sets, set_id = self._pps, bounded(BitReader(unescape(nal[2:13])).ue(), 63, "pps id")
        if sets.get(set_id) == nal:
            return False
        sets[set_id] = nal
        return True

    def format(self, clock_rate: int) -> VideoFormat | None:
        """Describe the stream, None while a set is missing."""
        if self._active < 0 or not self._vps or not self._pps:
            return None
        active = self._sps[self._active]
        others = [self._sps[key] for key in sorted(self._sps) if key != self._active]
        sps = active[1]
        arrays = (
            (VPS, [self._vps[key] for key in sorted(self._vps)]),
            (SPS, [nal for nal, _ in (active, *others)]),
            (PPS, [self._pps[key] for key in sorted(self._pps)]),
        )
        return VideoFormat("h265", clock_rate, sps.width, sps.height, hvcc(sps, arrays), sps.reorder)


def hvcc(sps: SequenceParameters, arrays: tuple[tuple[int, list[bytes]], ...]) -> bytes:
    """Build the HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1.2), with 4-byte lengths.

    arrays   NAL unit type and NAL units of that type; marked incomplete, since more may come in band
    What only the VUI would tell (segmentation, parallelism, frame rate) is left at "unspecified", which is 0.
    """
    record = [
        b"\x01",
        sps.profile_tier_level,
        b"\xf0\x00\xfc",  # min_spatial_segmentation_idc and parallelismType unspecified
        bytes((0xFC | sps.chroma_format, 0xF8 | sps.bit_depth_luma, 0xF8 | sps.bit_depth_chroma)),
        b"\x00\x00",  # avgFrameRate unspecified
        bytes((sps.sub_layers << 3 | sps.nested << 2 | 3, len(arrays))),
    ]
    for kind, nals in arrays:
        record.append(bytes((kind,)) + len(nals).to_bytes(2, "big"))
        for nal in nals:
            record += (len(nal).to_bytes(2, "big"), nal)
    return b"".join(record)


class H265Depacketizer(NalDepacketizer):
    """RFC 7798. Decoding order numbers (sprop-max-don-diff above 0) are skipped, their order stays."""

    __slots__ = ("_don",)

    def __init__(self, fmtp: Mapping[str, str], clock_rate: int) -> None:
        text = ",".join(fmtp.get(name, "") for name in ("sprop-vps", "sprop-sps", "sprop-pps"))
        sets = [nal for nal in base64_nals(text) if nal[0] >> 1 & 63 in (VPS, SPS, PPS)]
        super().__init__(H265ParameterSets(), sets, clock_rate)
        self._don = 2 if fmtp.get("sprop-max-don-diff", "0").strip() not in ("", "0") else 0

    def push(  # noqa: PLR0917 - the hot path: a keyword costs more than a position
        self, data: bytes, start: int, end: int, timestamp: int, marker: bool, lost: int, now: float
    ) -> None:
        """Take one RTP payload."""
        if (
            end - start > 3
            and data[start + 2] == self._fu_middle
            and data[start] == self._fu_head
            and timestamp == self._timestamp
            and not lost
            and not marker
        ):  # the hot path, as for H.264; only a first fragment carries a DONL
            self._parts.append(data[start + 3 : end])
            self._size += end - start + OVERHEAD
            if self._size > MAX_UNIT_BYTES:
                self._charge(0)
            return
        self._begin(timestamp, lost, now)
        kind = data[start] >> 1 & 63 if end - start > 2 else -1
        if kind == FU:
            self._fragment(data, start, end)
        elif kind == AP:
            self._abandon()
            self._aggregate(data, start + 2, end)
        else:
            self._abandon()
            self._single(data, start, end)
        self._end_packet(marker)

    def _single(self, data: bytes, start: int, end: int) -> None:
        """Take a single NAL unit packet (RFC 7798, 4.4.1): the DONL stands behind the NAL unit header."""
        if self._don:
            nal = data[start : start + 2] + data[start + 2 + self._don : end]
            self._whole(nal, 0, len(nal))
        else:
            self._whole(data, start, end)

    def _fragment(self, data: bytes, start: int, end: int) -> None:
        """Take a fragment (RFC 7798, 4.4.3)."""
        header = data[start + 2]
        inner = header & 63
        body = start + 3
        if header & 0x80:
            self._abandon()
            body += self._don
            if body >= end:
                self._spoil()
                return
            head = bytes((data[start] & 0x81 | inner << 1, data[start + 1]))
            vcl = inner <= VCL_LAST and head[1] & 7 > 0
            self._open(head, vcl=vcl, first=data[body] >= 0x80, key=IRAP_FIRST <= inner <= IRAP_LAST)
            self._fu_head = data[start]
            self._fu_middle = inner
            self.run_head = bytes((data[start], data[start + 1], inner))
        elif inner != self._fu_middle:
            self._abandon()
            self._damaged = True
            return
        self._append(data[body:end])
        if header & 0x40 and self._fu_at >= 0:
            self._close()

    def _aggregate(self, data: bytes, at: int, end: int) -> None:
        """Take NAL units behind 16-bit lengths (RFC 7798, 4.4.2).

        With decoding order numbers, a DONL of two bytes precedes the first, a DOND byte the others.
        """
        at += self._don
        if at >= end:
            self._spoil()
        while at < end:
            begin = at + 2
            at = begin + (data[at] << 8 | data[at + 1]) if begin < end else end + 1
            if at > end or at == begin:
                self._spoil()
                return
            self._whole(data, begin, at)
            if self._don:
                at += 1

    def _one(self, nal: bytes) -> None:
        kind = nal[0] >> 1 & 63 if len(nal) > 1 else AP
        if kind >= AP or nal[0] & 0x80 or not nal[1] & 7:
            self._spoil()
        elif kind > VCL_LAST:
            if kind in (VPS, SPS, PPS) and not nal[0] & 1 and nal[1] < 8:  # of the base layer
                self._learn(nal)
            self._put(nal)
        elif len(nal) < 3:
            self._spoil()
        else:
            self._put(nal)
            self._slice(nal[2] >= 0x80, IRAP_FIRST <= kind <= IRAP_LAST)
