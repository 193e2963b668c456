"""H.264: sequence parameter sets (ITU-T H.264, 7.3.2.1 and annex E), the avcC record, and RFC 6184 payloads.

Profile and size come from the SPS alone: profile-level-id in SDP is wrong on some cameras (quirk 19,
go2rtc #155).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.rtsp.bits import MAX_PARAMETER_SET_BYTES, BitReader, base64_nals, bounded, checked_size, unescape
from agent.rtsp.errors import RtspError
from agent.rtsp.media import VideoFormat
from agent.rtsp.nal import MAX_UNIT_BYTES, OVERHEAD, NalDepacketizer

if TYPE_CHECKING:
    from collections.abc import Mapping

SLICE, PARTITION_A, PARTITION_C, IDR, SEI, SPS, PPS = 1, 2, 4, 5, 6, 7, 8
STAP_A, STAP_B, FU_A, FU_B = 24, 25, 28, 29
RECOVERY_POINT = 6  # SEI payload type (annex D)
BASELINE = 66
WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})  # 7.3.2.1.1
INTRA_IF_SET3 = frozenset({44, 86, 100, 110, 122, 244})  # E.2.1, max_num_reorder_frames
EXTENDED_SAR = 255
MAX_SETS = 31  # what the five bits of avcC can count


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """What a recorder wants from an SPS.

    width, height  pixels after cropping
    reorder        pictures of output delay, 0 where excluded, None when unsaid
    """

    id: int
    profile: int
    compatibility: int
    level: int
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    width: int
    height: int
    reorder: int | None


def parse_sps(nal: bytes) -> SequenceParameters:
    """Read a sequence parameter set, with its NAL header.

    Raises   RtspError malformed_parameter_sets, also for sizes no picture has
    Source   ITU-T H.264, 7.3.2.1.1, 7.4.2.1.1 (cropping) and E.1.1
    """
    if not 4 <= len(nal) <= MAX_PARAMETER_SET_BYTES:
        raise RtspError("malformed_parameter_sets", "no SPS has this length", length=len(nal))
    profile, compatibility, level = nal[1], nal[2], nal[3]
    bits = BitReader(unescape(nal[4:]))
    sps_id = bounded(bits.ue(), 31, "seq_parameter_set_id")
    chroma_format, separate_planes, depth_luma, depth_chroma = 1, False, 0, 0
    if profile in WITH_CHROMA:
        chroma_format = bounded(bits.ue(), 3, "chroma_format_idc")
        if chroma_format == 3:
            separate_planes = bits.flag()
        depth_luma = bounded(bits.ue(), 6, "bit_depth_luma_minus8")
        depth_chroma = bounded(bits.ue(), 6, "bit_depth_chroma_minus8")
        bits.flag()  # qpprime_y_zero_transform_bypass
        if bits.flag():
            _skip_scaling_lists(bits, 8 if chroma_format != 3 else 12)
    bits.ue()  # log2_max_frame_num_minus4
    order_type = bounded(bits.ue(), 2, "pic_order_cnt_type")
    if order_type == 0:
        bits.ue()  # log2_max_pic_order_cnt_lsb_minus4
    elif order_type == 1:
        bits.flag()
        bits.se()
        bits.se()
        for _ in range(bounded(bits.ue(), 255, "num_ref_frames_in_pic_order_cnt_cycle")):
            bits.se()
    bits.ue()  # max_num_ref_frames
    bits.flag()  # gaps_in_frame_num_value_allowed
    width_mbs = bits.ue() + 1
    height_units = bits.ue() + 1
    frames_only = bits.flag()
    if not frames_only:
        bits.flag()  # mb_adaptive_frame_field
    bits.flag()  # direct_8x8_inference
    lines = 1 if frames_only else 2
    across = down = 0
    if bits.flag():
        # Units are chroma samples, and of frame lines if fields are possible (equations 7-19 to 7-22).
        unit_x = 1 if separate_planes or chroma_format in (0, 3) else 2
        unit_y = (2 if chroma_format == 1 else 1) * lines
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        across, down = unit_x * (left + right), unit_y * (top + bottom)
    checked_size(width_mbs * 16, height_units * 16 * lines)
    width, height = checked_size(width_mbs * 16 - across, height_units * 16 * lines - down)
    intra_only = profile in INTRA_IF_SET3 and bool(compatibility & 0x10)
    reorder = 0 if profile == BASELINE or order_type == 2 or intra_only else _reorder(bits)
    return SequenceParameters(
        sps_id, profile, compatibility, level, chroma_format, depth_luma, depth_chroma, width, height, reorder
    )


def _skip_scaling_lists(bits: BitReader, count: int) -> None:
    """Skip scaling_list() syntax (7.3.2.1.1.1)."""
    for index in range(count):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _reorder(bits: BitReader) -> int | None:
    """Read on to max_num_reorder_frames; None where the VUI lacks it or is broken, as on some cameras."""
    try:
        return _vui_reorder(bits) if bits.flag() else None
    except RtspError:
        return None


def _vui_reorder(bits: BitReader) -> int | None:
    """Read vui_parameters() (E.1.1)."""
    if bits.flag() and bits.bits(8) == EXTENDED_SAR:
        bits.bits(32)
    if bits.flag():
        bits.flag()  # overscan_appropriate
    if bits.flag():
        bits.bits(4)  # video_format, full range
        if bits.flag():
            bits.bits(24)  # colour description
    if bits.flag():
        bits.ue()  # chroma sample locations
        bits.ue()
    if bits.flag():
        bits.bits(65)  # timing: two words and fixed_frame_rate
    nal_hrd = bits.flag()
    if nal_hrd:
        _skip_hrd(bits)
    vcl_hrd = bits.flag()
    if vcl_hrd:
        _skip_hrd(bits)
    if nal_hrd or vcl_hrd:
        bits.flag()  # low_delay_hrd
    bits.flag()  # pic_struct_present
    if not bits.flag():
        return None
    bits.flag()  # motion_vectors_over_pic_boundaries
    for _ in range(4):
        bits.ue()  # bytes and bits per picture, vector lengths
    reorder = bits.ue()
    return reorder if reorder <= 16 else None  # MaxDpbFrames is at most 16 (A.3.1)


def _skip_hrd(bits: BitReader) -> None:
    """Skip hrd_parameters() (E.1.2)."""
    count = bounded(bits.ue(), 31, "cpb_cnt_minus1") + 1
    bits.bits(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.flag()
    bits.bits(20)


class H264ParameterSets:
    """SPS and PPS of a stream by id; the SPS that came last is the one in force."""

    __slots__ = ("_active", "_pps", "_sps")

    def __init__(self) -> None:
        self._sps: dict[int, tuple[bytes, SequenceParameters]] = {}
        self._pps: dict[int, bytes] = {}
        self._active = -1

    def add(self, nal: bytes) -> bool:
        """Take an SPS or PPS; tell whether anything changed. Raises RtspError for a malformed one."""
        if nal[0] & 31 == SPS:
            known = self._sps.get(self._active)
            if known is not None and known[0] == nal:
                return False
            sps = parse_sps(nal)
            self._sps[sps.id] = (nal, sps)
            self._active = sps.id
            return True
        if not 2 <= len(nal) <= MAX_PARAMETER_SET_BYTES:
            raise RtspError("malformed_parameter_sets", "no PPS has this length", length=len(nal))
        pps_id = bounded(BitReader(unescape(nal[1:12])).ue(), 255, "pic_parameter_set_id")
        if self._pps.get(pps_id) == nal:
            return False
        self._pps[pps_id] = nal
        return True

    def format(self, clock_rate: int) -> VideoFormat | None:
        """Describe the stream, None while a set is missing."""
        if self._active < 0 or not self._pps:
            return None
        active = self._sps[self._active]
        others = [self._sps[key] for key in sorted(self._sps) if key != self._active]
        sps = active[1]
        nals = [nal for nal, _ in (active, *others)][:MAX_SETS]
        return VideoFormat(
            "h264",
            clock_rate,
            sps.width,
            sps.height,
            avcc(sps, nals, [self._pps[key] for key in sorted(self._pps)][:MAX_SETS]),
            sps.reorder,
        )


def avcc(sps: SequenceParameters, sps_nals: list[bytes], pps_nals: list[bytes]) -> bytes:
    """Build the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1.2), with 4-byte lengths.

    sps       the parsed first of sps_nals; at most 31 of each kind
    """
    record = [bytes((1, sps.profile, sps.compatibility, sps.level, 0xFF, 0xE0 | len(sps_nals)))]
    for nal in sps_nals:
        record += (len(nal).to_bytes(2, "big"), nal)
    record.append(bytes((len(pps_nals),)))
    for nal in pps_nals:
        record += (len(nal).to_bytes(2, "big"), nal)
    if sps.profile in WITH_CHROMA:
        record.append(
            bytes((0xFC | sps.chroma_format, 0xF8 | sps.bit_depth_luma, 0xF8 | sps.bit_depth_chroma, 0))
        )
    return b"".join(record)


def is_recovery_point(sei: bytes) -> bool:
    """Tell whether an SEI NAL unit says that decoding can start at this picture.

    Source   ITU-T H.264, annex D: a recovery point with recovery_frame_cnt 0
    """
    body = unescape(sei[:MAX_PARAMETER_SET_BYTES])
    at = 1
    while at + 2 < len(body):
        kind = size = 0
        while body[at] == 0xFF and at + 2 < len(body):
            kind += 255
            at += 1
        kind += body[at]
        at += 1
        while body[at] == 0xFF and at + 1 < len(body):
            size += 255
            at += 1
        size += body[at]
        at += 1
        if kind == RECOVERY_POINT:
            return at < len(body) and body[at] >= 0x80
        at += size
    return False


class H264Depacketizer(NalDepacketizer):
    """RFC 6184, non-interleaved; of the interleaved mode STAP-B and FU-B in the order they come."""

    __slots__ = ()

    def __init__(self, fmtp: Mapping[str, str], clock_rate: int) -> None:
        sets = [nal for nal in base64_nals(fmtp.get("sprop-parameter-sets", "")) if nal[0] & 31 in (SPS, PPS)]
        super().__init__(H264ParameterSets(), sets, clock_rate)

    def push(  # noqa: PLR0917 - the hot path: a keyword costs more than a position
        self, data: bytes, start: int, end: int, timestamp: int, marker: bool, lost: int, now: float
    ) -> None:
        """Take one RTP payload."""
        if (
            end - start > 2
            and data[start + 1] == self._fu_middle
            and data[start] == self._fu_head
            and timestamp == self._timestamp
            and not lost
            and not marker
        ):  # the hot path: nine of ten packets are the middle of a fragmented NAL unit
            self._parts.append(data[start + 2 : end])
            self._size += end - start + OVERHEAD
            if self._size > MAX_UNIT_BYTES:
                self._charge(0)
            return
        self._begin(timestamp, lost, now)
        kind = data[start] & 31 if start < end else 0
        if kind in (FU_A, FU_B):
            self._fragment(data, start, end, kind)
        elif kind in (STAP_A, STAP_B):
            self._abandon()
            self._aggregate(data, start + (1 if kind == STAP_A else 3), end)
        else:
            self._abandon()
            self._whole(data, start, end)
        self._end_packet(marker)

    def _fragment(self, data: bytes, start: int, end: int, kind: int) -> None:
        """Take a fragment (RFC 6184, 5.8)."""
        body = start + 2
        if body >= end:
            self._abandon()
            self._spoil()
            return
        head, header = data[start], data[start + 1]
        inner = header & 31
        if header & 0x80:
            self._abandon()
            body += 2 if kind == FU_B else 0
            if body >= end:
                self._spoil()
                return
            vcl = SLICE <= inner <= IDR
            self._open(
                bytes((head & 0xE0 | inner,)),
                vcl=vcl,
                first=vcl and self._starts(inner, data[body]),
                key=vcl and self._is_key(inner, data[body]),
            )
            self._fu_head = head & 0xE0 | FU_A
            self._fu_middle = inner
            self.run_head = bytes((self._fu_head, inner))
        elif inner != self._fu_middle:
            self._abandon()
            self._damaged = True
            return
        self._append(data[body:end])
        if header & 0x40 and self._fu_at >= 0:
            self._close()

    def _aggregate(self, data: bytes, at: int, end: int) -> None:
        """Take NAL units behind 16-bit lengths (RFC 6184, 5.7.1)."""
        if at >= end:
            self._spoil()
        while at < end:
            begin = at + 2
            at = begin + (data[at] << 8 | data[at + 1]) if begin < end else end + 1
            if at > end or at == begin:
                self._spoil()
                return
            self._whole(data, begin, at)

    def _one(self, nal: bytes) -> None:
        kind = nal[0] & 31 if nal else 0
        if not 1 <= kind <= 23 or nal[0] & 0x80:
            self._spoil()
        elif kind > IDR:
            if kind == SEI:
                self._recovery = self._recovery or is_recovery_point(nal)
            elif kind in (SPS, PPS):
                self._learn(nal)
            self._put(nal)
        elif len(nal) < 2:
            self._spoil()
        else:
            self._put(nal)
            self._slice(self._starts(kind, nal[1]), self._is_key(kind, nal[1]))

    @staticmethod
    def _starts(kind: int, following: int) -> bool:
        """Tell whether a slice is the first of its picture: first_mb_in_slice, ue(v), is 0."""
        return following >= 0x80 and kind not in (3, PARTITION_C)

    def _is_key(self, kind: int, following: int) -> bool:
        """Tell whether decoding can start at a slice.

        An IDR, or a first I slice (slice_type 7 or 2 behind first_mb_in_slice 0) after a recovery point SEI.
        """
        return kind == IDR or (self._recovery and (following == 0x88 or following & 0xF0 == 0xB0))
