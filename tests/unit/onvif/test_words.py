"""A stranger's words, bytes and addresses: made harmless, or refused."""

from __future__ import annotations

import pytest

from agent.onvif.address import (
    bracketed,
    device_service,
    named_host,
    own_service,
    own_stream,
    same_host,
)
from agent.onvif.paths import PATHS, RTSP_PORTS, rtsp
from agent.onvif.screen import MAX_BYTES, AnswerError, screen
from agent.onvif.text import dig, items, number, tame

HOST = "10.0.0.11"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("주차장 입구", "주차장 입구"),
        ("주차장", "주차장"),  # decomposed, as some phones type it
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("\u009b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("two\nlines", "two\\nlines"),
        ("\ud800", "\\ud800"),
        ("  x  ", "x"),
        ("y" * 70, "y" * 63 + "…"),
        ("z" * 64, "z" * 64),
        (None, ""),
        (7, ""),
        (b"bytes", ""),
    ],
)
def test_no_terminal_obeys_what_a_camera_calls_itself(said: object, shown: str) -> None:
    assert tame(said) == shown
    assert tame(said).isprintable()


def test_a_million_letters_are_not_even_read() -> None:
    assert len(tame("\x1b" * 1_000_000)) == 64


def test_answers_of_any_shape_are_followed_as_far_as_they_go() -> None:
    value = {"a": {"b": [1, 2, 3]}}
    assert dig(value, "a", "b") == [1, 2, 3]
    assert dig(value, "a", "b", "c") is None
    assert dig(value, "x", "y") is None
    assert dig(None, "a") is None
    assert list(items(value["a"]["b"], 2)) == [1, 2]
    assert list(items({"a": 1}, 2)) == []


@pytest.mark.parametrize(
    ("said", "read"),
    [(5, 5), (1, 1), (9, 9), (0, None), (10, None), (True, None), ("5", None), (5.0, None), (None, None)],
)
def test_a_number_is_one_within_bounds(said: object, read: int | None) -> None:
    assert number(said, 1, 9) == read


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (HOST, HOST, True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        (HOST, "10.0.0.12", False),
        ("camera.local", "camera.local", False),
        ("", "", False),
    ],
)
def test_a_name_is_nobodys_address(one: str, other: str, same: bool) -> None:
    assert same_host(one, other) is same


def test_addresses_as_they_stand_in_urls() -> None:
    assert bracketed("::1") == "[::1]"
    assert device_service(HOST) == "http://10.0.0.11:80/onvif/device_service"
    assert rtsp(HOST, 554, "/main") == "rtsp://10.0.0.11/main"
    assert rtsp("::1", 8554, "/main") == "rtsp://[::1]:8554/main"
    assert all(
        own_stream(rtsp(HOST, port, path), HOST) for port in RTSP_PORTS for pair in PATHS for path in pair
    )


@pytest.mark.parametrize(
    ("said", "safe"),
    [
        ("http://10.0.0.11/onvif/media", ("http://10.0.0.11/onvif/media", False)),
        ("http://10.0.0.11:8080/onvif?x=1", ("http://10.0.0.11:8080/onvif?x=1", False)),
        ("https://10.0.0.11", ("https://10.0.0.11/", False)),
        (" http://10.0.0.11/a ", ("http://10.0.0.11/a", False)),
        ("http://user:word@10.0.0.11/a", ("http://10.0.0.11/a", False)),
        ("http://169.254.169.254/latest/meta-data", ("http://10.0.0.11/latest/meta-data", True)),
        ("http://camera.local/onvif", ("http://10.0.0.11/onvif", True)),
        ("http://10.0.0.11@evil.example/onvif", ("http://10.0.0.11/onvif", True)),
        ("ftp://10.0.0.11/a", None),
        ("file:///etc/passwd", None),
        ("http:///a", None),
        ("http://10.0.0.11:99999/a", None),
        ("http://10.0.0.11:0/a", None),
        ("http://[::1/a", None),
        ("http://10.0.0.11/a b", None),
        ("http://10.0.0.11/\r\nHost: x", None),
        ("http://10.0.0.11/가", None),
        ("", None),
        ("http://10.0.0.11/" + "a" * 1000, None),
        (None, None),
        (5, None),
    ],
)
def test_d14_a_camera_sends_us_to_nobody_but_itself(said: object, safe: tuple[str, bool] | None) -> None:
    assert own_service(said, HOST) == safe


@pytest.mark.parametrize(
    ("said", "request_line"),
    [
        ("rtsp://10.0.0.11/main", "rtsp://10.0.0.11/main"),
        ("rtsp://admin:word@10.0.0.11:8554/main?x=1", "rtsp://10.0.0.11:8554/main?x=1"),
        ("rtsps://10.0.0.11/main", "rtsps://10.0.0.11/main"),
        (" rtsp://10.0.0.11/a ", "rtsp://10.0.0.11/a"),
        ("rtsp://10.0.0.12/main", None),
        ("rtsp://camera.local/main", None),
        ("rtsp://10.0.0.11/a b", None),
        ("rtsp://10.0.0.11/a#b", "rtsp://10.0.0.11/a"),
        ("http://10.0.0.11/main", None),
        ("rtsp://10.0.0.11/\x1b", None),
        ("rtsp://10.0.0.11/길", None),
        ("", None),
        ("rtsp://10.0.0.11/" + "a" * 1000, None),
        (None, None),
    ],
)
def test_a_stream_is_on_the_camera_itself_and_without_its_password(
    said: object, request_line: str | None
) -> None:
    url = own_stream(said, HOST)
    assert (url.request() if url else None) == request_line
    assert url is None or url.password is None


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ("rtsp://192.0.2.9/main", "192.0.2.9"),
        ("http://[::1/a", ""),
        (None, ""),
        ("nothing", ""),
        ("http://\x1bx/", "\\x1bx"),
    ],
)
def test_the_other_host_is_named(said: object, host: str) -> None:
    assert named_host(said) == host


@pytest.mark.parametrize(
    "content",
    [
        b"<a/>",
        b'<?xml version="1.0"?><a/>',
        b'<?xml version="1.0" encoding="UTF-8"?><a><!-- a word --><b><![CDATA[x]]></b></a>',
        b"<?xml version='1.0' encoding='euc-kr'?><a>\xb0\xa1</a>",
        b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?><a/>",
    ],
)
def test_what_any_camera_sends_goes_on_as_it_is(content: bytes) -> None:
    assert screen(content) is content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', "declarations"),
        (b'<!DOCTYPE a SYSTEM "http://192.0.2.9/x"><a/>', "declarations"),
        (b"<a><!ENTITY></a>", "declarations"),
        ('<?xml version="1.0"?><!DOCTYPE a><a/>'.encode("utf-16"), "encoding"),
        ("<!DOCTYPE a><a/>".encode("utf-16-le"), "encoding"),
        ("﻿가".encode("utf-16-be"), "encoding"),
        (b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>', "encoding"),
        (b'<?xml version="1.0" encoding="cp037"?><a/>', "encoding"),
        (b'<?xml version="1.0" encoding=UTF-7?><a/>', "encoding"),
        (b'<?xml version="1.0" encoding="' + b"u" * 60 + b'"?><a/>', "encoding"),
        (b"<a>" + b"b" * MAX_BYTES + b"</a>", "too-long"),
    ],
)
def test_no_parser_is_handed_what_declares_or_hides(content: bytes, code: str) -> None:
    with pytest.raises(AnswerError) as refused:
        screen(content)
    assert refused.value.code == code
    assert str(refused.value).startswith(code)
