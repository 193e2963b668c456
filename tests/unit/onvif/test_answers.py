"""Answers of cameras, of any shape, turned into what is known."""

from __future__ import annotations

import pytest

from agent.onvif import answers
from agent.onvif.model import Device, Profile, Stream

HOST = "10.0.0.11"
AT_MS = 1_795_342_200_000  # 2026-11-22T10:10:00Z


def said(year: object = 2026, month: object = 11, hour: object = 10, second: object = 0) -> object:
    return {
        "UTCDateTime": {
            "Date": {"Year": year, "Month": month, "Day": 22},
            "Time": {"Hour": hour, "Minute": 10, "Second": second},
        }
    }


def profile(**change: object) -> dict[str, object]:
    return {
        "token": "p0",
        "Name": "main",
        "VideoSourceConfiguration": {"SourceToken": "lens"},
        "VideoEncoderConfiguration": {
            "Encoding": "H264",
            "Resolution": {"Width": 1920, "Height": 1080},
            "RateControl": {"FrameRateLimit": 15, "BitrateLimit": 4096},
        },
        "AudioEncoderConfiguration": {"Encoding": "G711"},
        **change,
    }


def test_an_answer_to_a_search() -> None:
    found = answers.match(
        HOST,
        [
            "http://10.0.0.11/onvif/device_service",
            "https://10.0.0.11/onvif",
            "http://10.0.0.11/onvif/device_service",
        ],
        [
            "onvif://www.onvif.org/type/x",
            "onvif://www.onvif.org/name/%EC%B9%B4%20%1B",
            "onvif://www.onvif.org/hardware/XN",
            5,
        ],
    )
    assert found.services == ("https://10.0.0.11/onvif", "http://10.0.0.11/onvif/device_service")
    assert (found.name, found.hardware, found.foreign) == ("카 \\x1b", "XN", "")


def test_d14_an_answer_that_names_another_host_is_not_followed_there() -> None:
    found = answers.match(HOST, ["http://169.254.169.254/", "http://10.0.0.1/x"], [])
    assert found.services == ()
    assert found.foreign == "169.254.169.254"
    assert (found.name, found.hardware) == ("", "")


def test_one_address_of_its_own_is_enough() -> None:
    found = answers.match(HOST, ["http://192.168.1.9/onvif", "http://10.0.0.11/onvif", None], [])
    assert found.services == ("http://10.0.0.11/onvif",)
    assert not found.foreign


def test_what_it_is() -> None:
    told = {"Manufacturer": "Hanwha", "Model": "XN\x1b", "FirmwareVersion": None, "SerialNumber": "가"}
    assert answers.device(told) == Device("Hanwha", "XN\\x1b", "", "가")
    assert answers.device(None) == Device()


def test_its_media_service_is_on_itself() -> None:
    assert answers.media_service({"Media": {"XAddr": "http://192.0.2.9:80/m"}}, HOST) == (
        "http://10.0.0.11:80/m",
        True,
    )
    assert answers.media_service({"Media": None}, HOST) is None


@pytest.mark.parametrize(
    ("answer", "off_ms"),
    [
        (said(), 500),
        (said(second=7), 7_500),
        (said(hour=9), -3_599_500),
        (said(second=60), 60_500),
        (said(year=1970, month=1), None),
        (said(year=0), None),
        (said(month=13), None),
        (said(hour=24), None),
        (said(second="7"), None),
        ({}, None),
        (None, None),
    ],
)
def test_its_clock(answer: object, off_ms: int | None) -> None:
    found = answers.clock_ms(answer, AT_MS)
    if off_ms is None and found is not None:
        assert found < -(10**12)  # 1970 is a time too, if not the right one
    else:
        assert found == off_ms


def test_its_profiles() -> None:
    assert answers.profiles([profile()]) == (
        Profile("p0", "main", "h264", 1920, 1080, 15, 4096, "G711", "lens"),
    )


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("H264", "h264"), ("JPEG", "mjpeg"), ("MPEG4", "mpeg4"), ("h265", "h265"), ("VP9", ""), (3, "")],
)
def test_its_codecs(encoding: object, codec: str) -> None:
    assert answers.profiles([profile(VideoEncoderConfiguration={"Encoding": encoding})])[0].codec == codec


@pytest.mark.parametrize(
    "odd",
    [{"token": None}, {"token": ""}, {"token": "x" * 65}, {"token": "a\nb"}, {"token": 5}],
)
def test_a_profile_that_cannot_be_named_cannot_be_asked_for(odd: dict[str, object]) -> None:
    assert answers.profiles([profile(**odd)]) == ()


def test_profiles_are_read_once_each_and_no_more_than_there_is_room_for() -> None:
    assert (
        len(answers.profiles([profile(token=f"p{number}") for number in range(10_000)]))
        == answers.MAX_PROFILES
    )
    assert len(answers.profiles([profile(), profile()])) == 1
    assert answers.profiles("profiles") == ()
    assert answers.profiles([None, 5, "x"]) == ()


def test_a_profile_that_says_little() -> None:
    bare = {"token": "p0", "VideoEncoderConfiguration": {"Resolution": {"Width": -1, "Height": 10**9}}}
    assert answers.profiles([bare]) == (Profile("p0", "", "", None, None, None, None, None),)
    assert answers.profiles([profile(AudioEncoderConfiguration={})])[0].audio == "?"


def test_where_a_stream_is() -> None:
    main = answers.profiles([profile()])[0]
    found = answers.stream(main, {"Uri": "rtsp://a:b@10.0.0.11/main"}, HOST)
    assert found == Stream(
        *("rtsp://10.0.0.11/main", "main", "h264", 1920, 1080, 15, ("G711",)),
        profile="p0",
        source="lens",
        kbps=4096,
    )
    quiet = answers.profiles([profile(AudioEncoderConfiguration=None)])[0]
    assert answers.stream(quiet, {"Uri": "rtsp://10.0.0.11/main"}, HOST).audio == ()


def test_d14_a_stream_on_another_host_is_named_and_not_used() -> None:
    main = answers.profiles([profile()])[0]
    found = answers.stream(main, {"Uri": "rtsp://192.0.2.9/main"}, HOST)
    assert (found.url, found.foreign) == ("", "192.0.2.9")
    assert answers.stream(main, None, HOST).foreign == ""


@pytest.mark.parametrize(
    ("words", "wants"),
    [
        (["Sender not Authorized", "env:Sender"], True),
        (["The action requested requires authorization", "NotAuthorized"], True),
        ([None, "wsse:FailedAuthentication"], True),
        (["Unauthorized"], True),
        (["Action not supported"], False),
        ([], False),
    ],
)
def test_which_faults_ask_for_a_log_in(words: list[object], wants: bool) -> None:
    assert answers.refuses_log_in(words) is wants
