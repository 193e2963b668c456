"""A stream described anew, for those it is passed on to."""

from __future__ import annotations

import pytest

from agent.rtsp.announce import announce, describe
from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.events import Described
from agent.rtsp.h265 import H265ParameterSets
from agent.rtsp.media import VideoFormat
from agent.rtsp.message import Request, parse_message
from agent.rtsp.sdp import Media, parse_sdp
from tests.unit.rtp.build import h264_pps, h264_sps, h265_pps, h265_sps, h265_vps


def described(encoding: str, fmtp: dict[str, str], payload_type: int = 96) -> Described:
    media = Media(
        "video", 5004, "RTP/AVP", (payload_type,), {}, {payload_type: fmtp}, "rtsp://admin:pw@10.0.0.1/t"
    )
    return Described(media, payload_type, encoding, 90_000, ("PCMU",), ("application",))


def h264_format() -> VideoFormat:
    found = depacketizer("H264", {}, 90_000)
    for nal in (h264_sps(), h264_pps()):
        found._learn(nal)
    found._describe()
    assert found.format is not None
    return found.format


SECRETS = {
    "profile-level-id": "4D0033",  # not that of the stream (quirk 19)
    "sprop-parameter-sets": "Z2QAH6w=,aM48gA==",
    "x-vendor": "user=admin&pass=1",
    "config": "rtsp://10.0.0.1/",
}


def test_h264_is_described_by_what_its_pictures_say() -> None:
    form = h264_format()
    text = describe(described("H264", SECRETS), form)
    (media,) = parse_sdp(text).medias
    params = media.fmtp[96]
    assert set(params) == {"packetization-mode", "profile-level-id", "sprop-parameter-sets"}
    assert params["packetization-mode"] == "1"
    again = depacketizer("H264", params, 90_000)
    assert again.format == form
    assert params["profile-level-id"] == form.config[1:4].hex().upper()
    assert media.control == "streamid=0"
    for secret in (b"10.0.0.1", b"admin", b"pass", b"PCMU", b"audio", b"application", b"vendor"):
        assert secret not in text


@pytest.mark.parametrize(("said", "kept"), [("0", "1"), ("1", "1"), ("2", "2"), ("x y", "1")])
def test_the_packetization_mode(said: str, kept: str) -> None:
    text = describe(described("h264", {"packetization-mode": said}), h264_format())
    assert parse_sdp(text).medias[0].fmtp[96]["packetization-mode"] == kept


def test_h265() -> None:
    sets = H265ParameterSets()
    for nal in (h265_vps(), h265_sps(), h265_pps()):
        sets.add(nal)
    form = sets.format(90_000)
    assert form is not None
    params = (
        parse_sdp(describe(described("H265", {"sprop-max-don-diff": "0", "profile-id": "1"}), form))
        .medias[0]
        .fmtp[96]
    )
    assert params["sprop-max-don-diff"] == "0"
    assert params["profile-id"] == "1"
    assert depacketizer("H265", params, 90_000).format == form


def test_mpeg4_and_mjpeg() -> None:
    form = VideoFormat("mpeg4", 90_000, 640, 480, bytes.fromhex("000001b001"), 0)
    params = parse_sdp(describe(described("MP4V-ES", {"profile-level-id": "1"}), form)).medias[0].fmtp[96]
    assert params == {"profile-level-id": "1", "config": "000001B001"}
    (media,) = parse_sdp(
        describe(described("JPEG", {}, 26), VideoFormat("mjpeg", 90_000, 2592, 1944, b"", 0))
    ).medias
    assert media.dimensions == (2592, 1944)
    assert media.fmtp == {}
    assert media.rtpmap[26] == ("JPEG", 90_000)


def test_an_encoding_without_rules_keeps_nothing_of_what_was_said() -> None:
    text = describe(described("VP8", SECRETS), VideoFormat("vp8", 90_000, 640, 480, b"", 0))
    assert b"fmtp" not in text


def test_the_announcement_is_a_request() -> None:
    request = parse_message(announce("*", b"v=0\r\n"))
    assert isinstance(request, Request)
    assert (request.method, request.url, request.body) == ("ANNOUNCE", "*", b"v=0\r\n")
    assert request.get("Content-Type") == "application/sdp"
