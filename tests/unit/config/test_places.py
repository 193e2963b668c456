"""Whom a camera's log-in is offered to."""

from __future__ import annotations

import pytest

from agent.config.places import PORTS, places, view


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("rtsp://10.0.0.11/main", ("rtsp", "10.0.0.11", 554)),
        ("RTSPS://Camera.Example/x", ("rtsps", "camera.example", 322)),
        ("http://10.0.0.11/ts", ("http", "10.0.0.11", 80)),
        ("https://[fd00::5]:8443/ts", ("https", "fd00::5", 8443)),
        ("rtsp://10.0.0.11@10.9.9.9/main", ("rtsp", "10.9.9.9", 554)),
        ("v4l2:/dev/video0", ("v4l2", "", None)),
        ("rtsp://[::1/a", ("", "rtsp://[::1/a", None)),
        ("rtsp://10.0.0.11:99999/a", ("", "rtsp://10.0.0.11:99999/a", None)),
    ],
)
def test_scheme_host_and_port_make_a_place(url: str, place: object) -> None:
    assert places(url) == [place]


def test_the_usual_port_is_the_same_place_written_out_and_a_stream_that_is_not_there_has_none() -> None:
    for scheme, port in PORTS.items():
        assert places(f"{scheme}://10.0.0.11/a", None) == places(f"{scheme}://10.0.0.11:{port}/b")
    first, second = "http://10.0.0.11/a", "rtsp://10.0.0.11/b"
    assert places(first, second) == [*places(first), *places(second)]
    assert places(first) != places(second)
    assert places() == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rtsp://Cam.Example/main", "rtsp://cam.example.:554/main/"),
        ("rtsp://10.0.0.11/main", "rtsps://10.0.0.11:322/m%61in"),
        ("rtsp://[FD00::5]/live?ch=1", "rtsp://[fd00::5]/live?ch=%31"),
        ("v4l2:/dev/video0", "v4l2:/dev/video0"),
        ("rtsp://[::1/a", "rtsp://[::1/a"),
    ],
)
def test_however_it_is_written_an_address_is_one_view(one: str, other: str) -> None:
    assert view(one) == view(other)


def test_another_host_port_path_or_channel_is_another_view() -> None:
    several = [
        "rtsp://10.0.0.11/live?ch=1", "rtsp://10.0.0.11/live?ch=2", "rtsp://10.0.0.11/main", "rtsp://10.0.0.12/main",
        "rtsp://10.0.0.11:8554/main", "rtsp://[::1/main",
    ]  # fmt: skip
    assert len({*map(view, several)}) == len(several)
