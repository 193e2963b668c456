"""Formats for sources that do not come by RTP: libav's extradata, files, the virtual camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.rtsp.bits import annexb_to_sample, sample, split_sample, split_start_codes
from agent.rtsp.errors import RtspError
from agent.rtsp.h264 import PPS as H264_PPS
from agent.rtsp.h264 import SPS as H264_SPS
from agent.rtsp.h264 import H264ParameterSets
from agent.rtsp.h265 import PPS as H265_PPS
from agent.rtsp.h265 import VPS as H265_VPS
from agent.rtsp.h265 import H265ParameterSets
from agent.rtsp.jpeg import jpeg_size
from agent.rtsp.media import VideoFormat
from agent.rtsp.mpeg4 import parse_layer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.rtsp.nal import ParameterSets

__all__ = ["annexb_to_sample", "format_from_units", "sample", "split_sample", "split_start_codes"]


def format_from_units(codec: str, nal_units: Iterable[bytes], clock_rate: int) -> VideoFormat | None:
    """Describe a stream from what is known of it beforehand.

    codec      h264, h265, mpeg4, mjpeg
    nal_units  NAL units (others than parameter sets are passed over); for mpeg4 the headers; for
               mjpeg one picture
    Returns    None while a parameter set is missing or none of them can be read
    Raises     RtspError unsupported_encoding for another codec
    """
    units = [unit for unit in nal_units if unit]
    if codec == "h264":
        chosen = [unit for unit in units if unit[0] & 31 in (H264_SPS, H264_PPS)]
        return _from_sets(H264ParameterSets(), chosen, clock_rate)
    if codec == "h265":
        chosen = [unit for unit in units if H265_VPS <= unit[0] >> 1 & 63 <= H265_PPS]
        return _from_sets(H265ParameterSets(), chosen, clock_rate)
    data = b"".join(units)
    try:
        if codec == "mpeg4":
            layer = parse_layer(data)
            return VideoFormat(codec, clock_rate, layer.width, layer.height, data, layer.reorder)
        if codec == "mjpeg":
            return VideoFormat(codec, clock_rate, *jpeg_size(data), b"", 0)
    except RtspError:
        return None
    raise RtspError("unsupported_encoding", "no such codec", codec=codec)


def _from_sets(sets: ParameterSets, units: list[bytes], clock_rate: int) -> VideoFormat | None:
    for unit in units:
        try:
            sets.add(unit)
        except RtspError:
            continue
    return sets.format(clock_rate)
