"""Chooses the one stream to record out of what a camera offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.rtsp.errors import RtspError
from agent.rtsp.events import Described
from agent.rtsp.text import shown
from agent.rtsp.url import control_url, is_absolute

if TYPE_CHECKING:
    from agent.rtsp.sdp import Media, SessionDescription

USABLE = frozenset(("H264", "H265", "MP4V-ES", "JPEG"))


@dataclass(frozen=True, slots=True)
class Choice:
    """What will be set up and played.

    described  what to tell
    setup_url  address of the chosen video stream
    play_url   address of the whole presentation
    fmtp       parameters for the depacketizer, with "x-dimensions" where the description gives a size
    """

    described: Described
    setup_url: str
    play_url: str
    fmtp: dict[str, str]


def choose(description: SessionDescription, base: str) -> Choice:
    """Choose the first video stream of a usable encoding.

    base    address that relative control lines are joined to
    Raises  RtspError "no_video" when there is none, or when its address is also that of another stream:
            asking for it might bring sound (Gangneung regulation art. 11(2))
    """
    whole = control_url(base, description.control)
    if description.control is not None and is_absolute(description.control):
        base = whole
    for media in description.medias:
        payload_type = _payload_type(media)
        if payload_type is None:
            continue
        address = control_url(base, media.control)
        same = [other for other in description.medias if control_url(base, other.control) == address]
        if len(same) > 1:
            raise RtspError("no_video", "the video stream has no address of its own", streams=len(same))
        encoding, clock = media.rtpmap[payload_type]
        audio = tuple(
            name for other in description.medias if other.kind == "audio" for name in other.encodings()
        )
        other = tuple(item.kind for item in description.medias if item is not media and item.kind != "audio")
        fmtp = dict(media.fmtp.get(payload_type, {}))
        if media.dimensions is not None:
            fmtp["x-dimensions"] = f"{media.dimensions[0]},{media.dimensions[1]}"
        return Choice(Described(media, payload_type, encoding, clock, audio, other), address, whole, fmtp)
    offered = ", ".join(f"{media.kind} {'/'.join(media.encodings())}" for media in description.medias[:4])
    raise RtspError("no_video", "the camera offers no video that can be recorded", offered=shown(offered))


def _payload_type(media: Media) -> int | None:
    """Return the first usable payload type; encrypted profiles (RTP/SAVP) are not usable."""
    if media.kind != "video" or not media.proto.startswith("RTP/AVP"):
        return None
    return next((pt for pt in media.payload_types if media.rtpmap.get(pt, ("", 0))[0] in USABLE), None)
