from __future__ import annotations

import pytest

from agent.rtsp.errors import RtspError
from agent.rtsp.url import RtspUrl, content_base, control_url, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://10.0.0.11/main", RtspUrl("rtsp", "10.0.0.11", 554, "/main")),
        ("RTSPS://Cam.Local", RtspUrl("rtsps", "cam.local", 322, "")),
        ("rtsp://cam:8554?x=1", RtspUrl("rtsp", "cam", 8554, "?x=1")),
        ("rtsp://cam:/a#frag", RtspUrl("rtsp", "cam", 554, "/a")),
        (" rtsp://[2001:DB8::1]:554/a\n", RtspUrl("rtsp", "2001:db8::1", 554, "/a")),
        ("rtsp://[fe80::1%25eth0]/a", RtspUrl("rtsp", "fe80::1%eth0", 554, "/a")),
        ("rtsp://admin@cam/", RtspUrl("rtsp", "cam", 554, "/", "admin")),
        ("rtsp://ad%3Amin:p%40s:s@w%2f@cam/x@y", RtspUrl("rtsp", "cam", 554, "/x@y", "ad:min", "p@s:s@w/")),
        ("rtsp://admin:@cam", RtspUrl("rtsp", "cam", 554, "", "admin", "")),
        ("rtsp://a:100%@cam", RtspUrl("rtsp", "cam", 554, "", "a", "100%")),
    ],
)
def test_reads(text, expected):
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://cam/",
        "rtsp:/cam",
        "rtsp://",
        "rtsp:///path",
        "rtsp://user:pw@/path",
        "rtsp://c am/",
        "rtsp://cam/a b",
        "rtsp://cam\x00/",
        "rtsp://cam:0/",
        "rtsp://cam:65536/",
        "rtsp://cam:x/",
        "rtsp://[::1/",
        "rtsp://[::g]/",
        "rtsp://[::1]x/",
        "rtsp://[::1::2]/",
        'rtsp://[fe80::1%e"x]/',
        "rtsp://u:%ff@cam/",
        "rtsp://" + "a" * 3000,
        "rtsp://카메라/",
        "rtsp://cam/\r\nEvil: 1",
    ],
)
def test_refuses(text):
    with pytest.raises(RtspError) as caught:
        parse_url(text)
    assert caught.value.code == "malformed_url"
    assert "pw" not in str(caught.value)


def test_shows_no_secret():
    url = parse_url("rtsp://admin:S3cret@cam:8554/user=a&password=S3cret&channel=1?auth=S3cret#x")
    for text in (str(url), repr(url), url.redacted(), f"{url}"):
        assert "S3cret" not in text
        assert "admin" not in text
    assert url.redacted() == "rtsp://cam:8554/user=a&password=***&channel=1?auth=***"
    assert url.request() == "rtsp://cam:8554/user=a&password=S3cret&channel=1?auth=S3cret"


@pytest.mark.parametrize(
    "text",
    ["rtsp://cam/a", "rtsps://cam/a", "rtsp://[::1]:8554/a?b", "rtsp://[fe80::1%25eth0]/a", "rtsp://cam:322"],
)
def test_request_reads_back(text):
    assert parse_url(text).request() == text


@pytest.mark.parametrize(
    ("base", "control", "expected"),
    [
        ("rtsp://h/a", None, "rtsp://h/a"),
        ("rtsp://h/a", "", "rtsp://h/a"),
        ("rtsp://h/a/", "*", "rtsp://h/a/"),
        ("rtsp://h/a", "trackID=1", "rtsp://h/a/trackID=1"),
        ("rtsp://h/a/", "trackID=1", "rtsp://h/a/trackID=1"),
        ("rtsp://h/a?channel=1&subtype=0", "trackID=0", "rtsp://h/a?channel=1&subtype=0/trackID=0"),
        ("rtsp://h/a?channel=1/", "trackID=0", "rtsp://h/a?channel=1/trackID=0"),
        ("rtsp://h/a", "?track=1", "rtsp://h/a?track=1"),
        ("rtsp://h:8554/a/b?c", "/track1", "rtsp://h:8554/track1"),
        ("rtsp://h", "track1", "rtsp://h/track1"),
        ("rtsp://h/a", "RTSP://other/x", "RTSP://other/x"),
        ("rtsp://h/a", "rtsp://u:p@h/x", "rtsp://h/x"),
    ],
)
def test_control(base, control, expected):
    assert control_url(base, control) == expected


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        (None, None, "rtsp://h/a"),
        ("rtsp://h/b/", None, "rtsp://h/b/"),
        ("rtsp://u:p@h/b/ ", None, "rtsp://h/b/"),
        (None, "rtsp://h/c", "rtsp://h/c"),
        ("", "http://h/c", "rtsp://h/a"),
        ("/", None, "rtsp://h/a"),
        ("/b/", None, "rtsp://h/b/"),
    ],
)
def test_base(base, location, expected):
    assert content_base("rtsp://h/a", base, location) == expected
