"""What cameras answer to a search and by ONVIF: read, or the one declared error, and nothing that a terminal obeys."""

from __future__ import annotations

import random
from typing import Any

from agent.demo.onvif import _MATCH
from agent.onvif import answers
from agent.onvif.address import own_service, own_stream
from agent.onvif.findings import findings
from agent.onvif.model import Camera, by_source
from agent.onvif.screen import AnswerError, screen
from agent.onvif.search import read
from agent.onvif.text import tame
from tests.fuzz.test_fuzz_rtsp_parsers import mutate

CASES = 100_000
DATAGRAMS = 10_000  # each is read by the library, and takes longer
HOST = "10.0.0.11"
PIECES = [
    b"<!DOCTYPE a>", b"<!ENTITY a 'b'>", b"&a;", b"<", b">", b"]]>", b"<![CDATA[", b"\0", b"\xff\xfe", b"\x1b[2J",
    b"<d:XAddrs>", b"</d:ProbeMatch>", b"http://192.0.2.9/", b" " * 50, b"&#27;", b"&#x10FFFF;", b"onvif://www.onvif.org/name/",
    b"<?xml version='1.0' encoding='utf-7'?>", b"urn:uuid:1", b"<a:RelatesTo/>", b"\xed\xa0\x80",
]  # fmt: skip
WORDS: list[Any] = [
    None, "", "p0", "H264", "\x1b[31m", "http://10.0.0.11/onvif", "http://192.0.2.9/x", "rtsp://10.0.0.11/main",
    "rtsp://a:S3cret@10.0.0.11/x", "rtsp://192.0.2.9/main", 0, 1, -1, 15, 1920, 10**30, True, 1.5, b"x", "y" * 5000, "\ud800",
]  # fmt: skip
NAMES = [
    "token", "Name", "VideoEncoderConfiguration", "AudioEncoderConfiguration", "Encoding", "Resolution", "Width",
    "Height", "RateControl", "FrameRateLimit", "BitrateLimit", "Uri", "Media", "XAddr", "UTCDateTime", "Date", "Time",
    "Year", "Month", "Day", "Hour", "Minute", "Second", "Manufacturer", "Model", "VideoSourceConfiguration", "SourceToken",
]  # fmt: skip


def shape(rnd: random.Random, depth: int = 0) -> Any:
    kind = rnd.randrange(4 if depth < 4 else 1)
    if kind == 1:
        return [shape(rnd, depth + 1) for _ in range(rnd.randrange(4))]
    if kind > 1:
        return {rnd.choice(NAMES): shape(rnd, depth + 1) for _ in range(rnd.randrange(8))}
    return rnd.choice(WORDS)


def test_answers_of_any_shape() -> None:
    rnd = random.Random(61)
    streams = 0
    for _ in range(CASES):
        answer = shape(rnd)
        device = answers.device(answer)
        answers.clock_ms(answer, 0)
        service = answers.media_service(answer, HOST)
        assert service is None or service[0].startswith((f"http://{HOST}", f"https://{HOST}"))
        found = tuple(
            answers.stream(each, shape(rnd, 3), HOST) for each in answers.profiles([answer, shape(rnd, 1)])
        )
        streams += len(found)
        assert all(not each.url or f"//{HOST}" in each.url for each in found)
        assert not any("S3cret" in each.url + each.foreign for each in found)
        for camera in by_source(Camera(HOST, device=device, streams=found)):
            told = [camera.title, *(text for each in findings(camera) for text in (each.text, each.remedy))]
            assert all(text.isprintable() for text in told)
    assert streams > 100


def test_documents_of_any_bytes() -> None:
    rnd = random.Random(62)
    seed = _MATCH.format(
        serial="1", relates="r", scopes="onvif://www.onvif.org/name/x", service=f"http://{HOST}/o"
    ).encode()
    accepted = refused = 0
    for _ in range(CASES):
        case = mutate(rnd, seed, PIECES)
        try:
            assert screen(case) is case
            accepted += 1
            assert b"<!DOCTYPE" not in case
            assert b"<!ENTITY" not in case
        except AnswerError as error:
            refused += str(error).isprintable()
    assert accepted + refused == CASES
    assert min(accepted, refused) > 1000


def test_datagrams_of_any_bytes() -> None:
    rnd = random.Random(63)
    seed = _MATCH.format(
        serial="1", relates="r", scopes="onvif://www.onvif.org/name/x", service=f"http://{HOST}/o"
    ).encode()
    matches = 0
    for _ in range(DATAGRAMS):
        for each in read(mutate(rnd, seed, PIECES), HOST, {"r"}):
            matches += 1
            assert all(f"://{HOST}" in service for service in each.services)
            assert (each.name + each.hardware + each.foreign).isprintable()
    assert matches > 100


def test_addresses_and_names_of_any_letters() -> None:
    rnd = random.Random(64)
    seeds = [
        b"http://10.0.0.11:8080/onvif?a=b",
        b"rtsp://user:S3cret@10.0.0.11:554/main",
        "가\u202e\u009b".encode(),
    ]
    pieces = [*PIECES, b"@", b"[", b"]", b":", b"#", b"//", b"%00"]
    for _ in range(CASES):
        text = mutate(rnd, rnd.choice(seeds), pieces).decode("utf-8", "replace")
        assert tame(text).isprintable()
        service, stream = own_service(text, HOST), own_stream(text, HOST)
        assert service is None or service[0].split("//")[1].startswith(HOST)
        assert stream is None or (stream.host == HOST and stream.password is None)
