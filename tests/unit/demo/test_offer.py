import base64

import pytest

from agent.demo.offer import ELSEWHERE, medias, server_config
from agent.demo.quirks import parse
from agent.demo.spec import CameraSpec

SETS = {
    "h264": (b"\x67\x42\xc0\x16abc", b"\x68pps"),
    "h265": (b"\x40\x01vps", b"\x42\x01sps", b"\x44\x01pps"),
    "mpeg4": (b"\0\0\1\xb0\xf5",),
    "mjpeg": (),
}


def config(quirks="", codec="h264", **words):
    spec = CameraSpec(1, codec=codec, quirks=quirks, **words)
    return server_config(spec, parse(quirks), SETS[codec], ((4, 5),), "rtsp://h:1/main")


def test_parameters_in_the_sdp():
    def fmtp(codec):
        video = config(codec=codec).medias[0]
        return video.fmtp.get(video.payload_types[0], {})

    assert fmtp("h264") == {
        "packetization-mode": "1",
        "profile-level-id": "42C016",
        "sprop-parameter-sets": ",".join(base64.b64encode(one).decode() for one in SETS["h264"]),
    }
    assert [base64.b64decode(fmtp("h265")[f"sprop-{name}"]) for name in ("vps", "sps", "pps")] == list(
        SETS["h265"]
    )
    assert fmtp("mpeg4") == {"profile-level-id": "1", "config": "000001B0F5"}
    assert fmtp("mjpeg") == {}


@pytest.mark.parametrize(
    ("audio", "expected"), [("pcmu", ("PCMU", 8000)), ("aac", ("MPEG4-GENERIC", 16000)), ("none", None)]
)
def test_sound_in_the_sdp(audio, expected):
    found = medias(CameraSpec(1, audio=audio), parse(""), SETS["h264"])
    assert [media.kind for media in found] == ["video", "audio"][: 2 if expected else 1]
    if expected:
        assert list(found[1].rtpmap.values()) == [expected]


def test_damaged_sets_are_only_in_the_sdp():
    text = config("broken_sprop").medias[0].fmtp[96]["sprop-parameter-sets"]
    damaged = [base64.b64decode(one) for one in text.split(",")]
    assert [one[:1] for one in damaged] == [b"\x67", b"\x68"]
    assert set(damaged).isdisjoint(SETS["h264"])


def test_log_in():
    assert config().log_in is None
    log_in = config("digest_both, stale_nonce=4", username="u", password="p").log_in
    assert (log_in.offers, log_in.qop, log_in.stale_after) == (("SHA-256", "MD5", "Basic"), "auth", 4)
    assert config("digest_no_qop", username="u").log_in.qop is None
    assert config("basic", username="u").log_in.offers == ("Basic",)
    assert config("digest_sha256", username="u").log_in.offers == ("SHA-256",)


def test_protocol_quirks():
    plain = config()
    assert (plain.timeout_s, plain.quirks.redirect, plain.quirks.get_parameter) == (60, None, "ok")
    assert config("session_timeout=7").timeout_s == 7
    only = config("keepalive_options_only=0.2")
    assert (only.timeout_s, only.quirks.keepalive, only.quirks.get_parameter) == (
        1,
        frozenset(("OPTIONS",)),
        "refuse",
    )
    ignoring = config("ignores_get_parameter").quirks
    assert (ignoring.get_parameter, ignoring.list_get_parameter) == ("ignore", True)
    assert config("refuses_get_parameter").quirks.get_parameter == "refuse"
    assert config("redirect_same_host").quirks.redirect == "rtsp://h:1/main/moved"
    assert config("redirect_other_host").quirks.redirect == ELSEWHERE
    switches = config(
        "needs_user_agent, foreign_channels, absolute_control, wrong_profile_in_sdp, parameter_sets_in_band_only,"
        "setup_then_silence"
    ).quirks
    assert switches.needs_user_agent
    assert switches.channel_shift
    assert switches.control == "absolute"
    assert switches.wrong_profile
    assert switches.no_sprop
    assert switches.silent
