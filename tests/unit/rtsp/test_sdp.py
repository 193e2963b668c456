from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rtsp.errors import RtspError
from agent.rtsp.sdp import Media, SessionDescription, parse_sdp

HIKVISION = (
    b"v=0\r\no=- 1 1 IN IP4 10.0.0.11\r\ns=Media Presentation\r\nb=AS:5100\r\nt=0 0\r\na=control:rtsp://10.0.0.11/main/\r\n"
    b"m=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\na=x-dimensions:1920,1080\r\n"
    b"a=control:rtsp://10.0.0.11/main/trackID=1\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets=Z01=,aO4=\r\n"
    b"m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:trackID=2\r\n"
)


def test_reads_a_real_one():
    got = parse_sdp(HIKVISION)
    assert got.control == "rtsp://10.0.0.11/main/"
    assert got.name == "Media Presentation"
    video, audio = got.medias
    assert video == Media(
        "video",
        0,
        "RTP/AVP",
        (96,),
        {96: ("H264", 90000)},
        {96: {"profile-level-id": "420029", "packetization-mode": "1", "sprop-parameter-sets": "Z01=,aO4="}},
        "rtsp://10.0.0.11/main/trackID=1",
        "recvonly",
        (1920, 1080),
    )
    assert audio.encodings() == ("PCMA",)


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
def test_lines_may_end_anyhow(ending):
    text = b"\xef\xbb\xbf" + HIKVISION.replace(b"\r\n", b" " + ending + b" ") + b"\0\0"
    assert parse_sdp(text) == parse_sdp(HIKVISION)


@pytest.mark.parametrize(
    ("lines", "field", "expected"),
    [
        ("m=video 49170/2 rtp/avp 26", "rtpmap", {26: ("JPEG", 90000)}),
        ("m=video 0 RTP/AVP 96\na=rtpmap:96 h265", "rtpmap", {96: ("H265", 90000)}),
        (
            "m=audio 0 RTP/AVP 97\na=rtpmap:97  mpeg4-generic/16000/2",
            "rtpmap",
            {97: ("MPEG4-GENERIC", 16000)},
        ),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 G726-32", "rtpmap", {97: ("G726-32", 8000)}),
        (
            "m=video 0 RTP/AVP 96\na=rtpmap:x H264/90000\na=rtpmap:96 /90000\na=rtpmap:96 H264/0\na=rtpmap:96 H264/9x",
            "rtpmap",
            {},
        ),
        ("m=video 0 RTP/AVP 96 x 300 97", "payload_types", (96, 97)),
        ("m=application 0 TCP/X *", "payload_types", ()),
        ("m=video 0 RTP/AVP", "payload_types", ()),
        (
            "m=video 0 RTP/AVP 96\na=fmtp:x a=1\na=fmtp:96 A = 1 ;b;;=c;\na=fmtp:96 d=2",
            "fmtp",
            {96: {"a": "1", "b": "", "d": "2"}},
        ),
        ("m=video 0 RTP/AVP 96\na=framesize:96 1280-720", "dimensions", (1280, 720)),
        (
            "m=video 0 RTP/AVP 96\na=x-dimensions:1280,720\na=x-dimensions:99999999,1",
            "dimensions",
            (1280, 720),
        ),
        ("m=video 0 RTP/AVP 96\na=framesize:96 1280", "dimensions", None),
        ("m=video 0 RTP/AVP 96\na=framerate:12.5", "framerate", 12.5),
        ("m=video 0 RTP/AVP 96\na=x-framerate: 25", "framerate", 25.0),
        ("m=video 0 RTP/AVP 96\na=framerate:1e9", "framerate", None),
        ("m=video 0 RTP/AVP 96\na=framerate:0", "framerate", None),
        ("m=video 0 RTP/AVP 96\na=SendOnly", "direction", "sendonly"),
        ("m=video 0 RTP/AVP 96\na=control:", "control", ""),
        ("m=video 0 RTP/AVP 96\na=control:v\nm\na=control:a", "control", "v"),
        ("m=video 0 RTP/AVP 96\nx\n\na=unknown:1\na", "control", None),
    ],
)
def test_reads_lines(lines, field, expected):
    assert getattr(parse_sdp(lines.encode()).medias[0], field) == expected


def test_unknown_types_are_named_by_number():
    assert parse_sdp(b"m=video 0 RTP/AVP 96 26").medias[0].encodings() == ("96", "JPEG")


def test_the_session_may_have_a_control_line_and_no_stream():
    got = parse_sdp(b"v=0\na=tool:x\na=control:*")
    assert (got.control, got.medias) == ("*", ())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_sdp"),
        (b"<html>", "malformed_sdp"),
        (b"a=control:x", "malformed_sdp"),
        (b"m=video -1353744643 RTP/AVP 96", "malformed_sdp"),
        (b"m=video 99999999999999999999999 RTP/AVP 96", "malformed_sdp"),
        (b"m=video 0", "malformed_sdp"),
        (b"m=", "malformed_sdp"),
        (b"v=0\0\nm=video 0 RTP/AVP 96", "malformed_sdp"),
        (HIKVISION.decode().encode("utf-16"), "malformed_sdp"),
        (b"v=0\n" * 2001, "limit"),
        (b"v" * 65537, "limit"),
        (b"m=video 0 RTP/AVP 96\n" * 33, "limit"),
    ],
)
def test_refuses(body, code):
    with pytest.raises(RtspError) as caught:
        parse_sdp(body)
    assert caught.value.code == code


names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
values = st.text("abcdefgXYZ0123456789+/=,", max_size=20)
payload_types = st.integers(96, 127)


@st.composite
def medias(draw):
    types = tuple(draw(st.lists(payload_types, min_size=1, max_size=3, unique=True)))
    return Media(
        draw(st.sampled_from(["video", "audio", "application"])),
        draw(st.integers(0, 65535)),
        "RTP/AVP",
        types,
        {pt: (draw(st.sampled_from(["H264", "H265", "PCMU"])), draw(st.integers(1, 10**9))) for pt in types},
        {pt: draw(st.dictionaries(names, values, min_size=1, max_size=4)) for pt in types},
        draw(st.none() | st.sampled_from(["trackID=1", "rtsp://h/a?b", "*"])),
        draw(st.none() | st.sampled_from(["sendonly", "recvonly", "sendrecv", "inactive"])),
        draw(st.none() | st.tuples(st.integers(1, 16384), st.integers(1, 16384))),
        draw(st.none() | st.integers(1, 9_999_000_000).map(lambda n: n / 1_000_000)),
    )


@given(
    st.builds(
        SessionDescription,
        st.lists(medias(), max_size=4).map(tuple),
        st.none() | st.just("*"),
        names,
        names,
        names,
        names.filter(lambda name: name != "-"),
    )
)
def test_reads_what_it_writes(description):
    assert parse_sdp(description.serialise()) == description
