"""What a virtual camera says of itself in RTSP: its SDP, its log-in, its protocol quirks."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from agent.demo.sound import AAC_CONFIG, AAC_RATE
from agent.rtsp import server as rtsp
from agent.rtsp.gatekeeper import LogIn
from agent.rtsp.sdp import Media

if TYPE_CHECKING:
    from agent.demo.quirks import Quirks
    from agent.demo.spec import CameraSpec

VIDEO, AUDIO = 0, 1  # tracks, in the order of the SDP
VIDEO_TYPES = {"h264": 96, "h265": 96, "mpeg4": 96, "mjpeg": 26}
AUDIO_TYPES = {"pcmu": 0, "aac": 97}
ENCODINGS = {"h264": "H264", "h265": "H265", "mpeg4": "MP4V-ES", "mjpeg": "JPEG"}
REALM = "virtual camera"
ELSEWHERE = "rtsp://203.0.113.9/elsewhere"  # RFC 5737: an address that is nobody's
DEFAULT_TIMEOUT_S = 60


def server_config(
    spec: CameraSpec,
    quirks: Quirks,
    parameter_sets: tuple[bytes, ...],
    udp_ports: tuple[tuple[int, int], ...],
    url: str,
) -> rtsp.ServerConfig:
    """Describe the camera to the session machine.

    parameter_sets  as the encoder made them
    url             the camera's own address
    """
    return rtsp.ServerConfig(
        medias=medias(spec, quirks, parameter_sets),
        log_in=_log_in(spec, quirks),
        udp_ports=udp_ports,
        timeout_s=_timeout_s(quirks),
        quirks=_protocol_quirks(quirks, url),
    )


def medias(spec: CameraSpec, quirks: Quirks, parameter_sets: tuple[bytes, ...]) -> tuple[Media, ...]:
    """Write the streams of the SDP: video first, sound behind it when there is any."""
    if "broken_sprop" in quirks:
        parameter_sets = tuple(one[:2] + b"\xff" * 3 for one in parameter_sets)
    payload_type = VIDEO_TYPES[spec.codec]
    video = Media(
        kind="video",
        port=0,
        proto="RTP/AVP",
        payload_types=(payload_type,),
        rtpmap={payload_type: (ENCODINGS[spec.codec], 90_000)},
        fmtp={payload_type: _parameters(spec.codec, parameter_sets)} if spec.codec != "mjpeg" else {},
        control="trackID=0",
        framerate=spec.fps,
        dimensions=(spec.width, spec.height) if spec.codec == "mjpeg" else None,
    )
    if spec.audio == "none":
        return (video,)
    audio_type = AUDIO_TYPES[spec.audio]
    aac = {
        "streamtype": "5",
        "profile-level-id": "15",
        "mode": "AAC-hbr",
        "config": AAC_CONFIG,
        "sizelength": "13",
        "indexlength": "3",
        "indexdeltalength": "3",
    }
    audio = Media(
        kind="audio",
        port=0,
        proto="RTP/AVP",
        payload_types=(audio_type,),
        rtpmap={audio_type: ("MPEG4-GENERIC", AAC_RATE) if spec.audio == "aac" else ("PCMU", 8000)},
        fmtp={audio_type: aac} if spec.audio == "aac" else {},
        control="trackID=1",
    )
    return (video, audio)


def _parameters(codec: str, sets: tuple[bytes, ...]) -> dict[str, str]:
    text = [base64.b64encode(one).decode() for one in sets]
    if codec == "h264":
        return {
            "packetization-mode": "1",
            "profile-level-id": sets[0][1:4].hex().upper(),
            "sprop-parameter-sets": ",".join(text),
        }
    if codec == "h265":
        return {"sprop-vps": text[0], "sprop-sps": text[1], "sprop-pps": text[2]}
    return {"profile-level-id": "1", "config": b"".join(sets).hex().upper()}


def _log_in(spec: CameraSpec, quirks: Quirks) -> LogIn | None:
    if not spec.username:
        return None
    offers: tuple[str, ...] = ("MD5",)
    if "basic" in quirks:
        offers = ("Basic",)
    elif "digest_sha256" in quirks:
        offers = ("SHA-256",)
    elif "digest_both" in quirks:
        offers = ("SHA-256", "MD5", "Basic")
    return LogIn(
        spec.username,
        spec.password,
        REALM,
        offers,
        qop=None if "digest_no_qop" in quirks else "auth",
        stale_after=int(quirks.value("stale_nonce")),
    )


def _timeout_s(quirks: Quirks) -> int:
    wanted = quirks.value("session_timeout") or quirks.value("keepalive_options_only") or DEFAULT_TIMEOUT_S
    return max(1, int(wanted))


def _protocol_quirks(quirks: Quirks, url: str) -> rtsp.Quirks:
    answer: rtsp.Answer = "ok"
    if "ignores_get_parameter" in quirks:
        answer = "ignore"
    if "refuses_get_parameter" in quirks or "keepalive_options_only" in quirks:
        answer = "refuse"
    keepalive = rtsp.Quirks().keepalive
    if "keepalive_options_only" in quirks:
        keepalive = frozenset(("OPTIONS",))
    redirect = f"{url}/moved" if "redirect_same_host" in quirks else None
    if "redirect_other_host" in quirks:
        redirect = ELSEWHERE
    return rtsp.Quirks(
        get_parameter=answer,
        list_get_parameter=True if answer == "ignore" else None,
        keepalive=keepalive,
        needs_user_agent="needs_user_agent" in quirks,
        redirect=redirect,
        channel_shift=20 if "foreign_channels" in quirks else 0,
        control="absolute" if "absolute_control" in quirks else "relative",
        wrong_profile="wrong_profile_in_sdp" in quirks,
        no_sprop="parameter_sets_in_band_only" in quirks,
        silent="setup_then_silence" in quirks,
    )
