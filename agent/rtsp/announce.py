"""A stream described anew for those it is passed on to: what is needed to decode it, and nothing else of its camera.

No address, no name, no title, no sound, none of what a camera may have written into its description: every value here
is rebuilt from what we know of the stream, or is a word of a known form.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from agent.rtsp.message import Request
from agent.rtsp.sdp import Media, SessionDescription

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.rtsp.events import Described
    from agent.rtsp.media import VideoFormat

CONTROL = "streamid=0"
CONTENT_TYPE = ("Content-Type", "application/sdp")
_KEPT = {
    "H264": ("packetization-mode", "profile-level-id"),
    "H265": ("profile-space", "profile-id", "tier-flag", "level-id", "tx-mode", "sprop-max-don-diff"),
    "MP4V-ES": ("profile-level-id",),
    "JPEG": (),
}
_WORD = re.compile(r"[A-Za-z0-9]{1,16}", re.ASCII)


def describe(described: Described, form: VideoFormat) -> bytes:
    """Write the session description of one video stream.

    described  what the camera offered
    form       what its pictures turned out to be; parameter sets come from here, since what cameras say of them is
               missing, late or wrong (quirks 15, 17, 19)
    """
    encoding, payload_type = described.encoding.upper(), described.payload_type
    said = described.video.fmtp.get(payload_type, {})
    params = {name: said[name] for name in _KEPT.get(encoding, ()) if _WORD.fullmatch(said.get(name, ""))}
    params.update(_parameter_sets(form))
    if encoding == "H264" and params.get("packetization-mode") != "2":
        params["packetization-mode"] = "1"  # cameras that say 0 send fragments all the same
    media = Media(
        "video",
        0,
        "RTP/AVP",
        (payload_type,),
        {payload_type: (encoding, described.clock_rate)},
        {payload_type: params} if params else {},
        CONTROL,
        dimensions=(form.width, form.height) if form.codec == "mjpeg" else None,
    )
    return SessionDescription((media,)).serialise()


def announce(url: str, description: bytes, cseq: int = 1) -> bytes:
    """Write the ANNOUNCE request that carries a description: what a live socket begins with."""
    return Request((("CSeq", str(cseq)), CONTENT_TYPE), description, method="ANNOUNCE", url=url).serialise()


def _parameter_sets(form: VideoFormat) -> Mapping[str, str]:
    if form.codec == "h264":
        sets = _avcc_sets(form.config)
        return {
            "profile-level-id": form.config[1:4].hex().upper(),
            "sprop-parameter-sets": ",".join(map(_base64, sets)),
        }
    if form.codec == "h265":
        names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        found = _hvcc_sets(form.config)
        return {name: ",".join(map(_base64, found[kind])) for kind, name in names.items() if found.get(kind)}
    return {"config": form.config.hex().upper()} if form.config else {}


def _base64(nal: bytes) -> str:
    return base64.b64encode(nal).decode("ascii")


def _avcc_sets(record: bytes) -> list[bytes]:
    """Read the parameter sets of an avcC record of ours (ISO/IEC 14496-15, 5.3.3.1)."""
    at, found = 5, []
    for _ in range(2):
        count = record[at] & 31
        at += 1
        for _ in range(count):
            at += 2
            length = record[at - 2] << 8 | record[at - 1]
            found.append(record[at : at + length])
            at += length
    return found


def _hvcc_sets(record: bytes) -> dict[int, list[bytes]]:
    """Read the parameter sets of an hvcC record of ours, by NAL unit type (ISO/IEC 14496-15, 8.3.3.1)."""
    at, found = 23, dict[int, list[bytes]]()
    for _ in range(record[22]):
        kind, count = record[at] & 63, record[at + 1] << 8 | record[at + 2]
        at += 3
        for _ in range(count):
            at += 2
            length = record[at - 2] << 8 | record[at - 1]
            found.setdefault(kind, []).append(record[at : at + length])
            at += length
    return found
