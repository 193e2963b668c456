from __future__ import annotations

import pytest

from agent.rtsp.transport import Transport, parse_session, parse_transports


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=1", [Transport(True, channels=(2, 3))]),
        ("rtp/avp/tcp; interleaved=4", [Transport(True, channels=(4, 5))]),
        ("RTP/AVP;interleaved=0-1", [Transport(True, channels=(0, 1))]),
        ("RTP/AVP/TCP;interleaved=255-256", [Transport(True)]),
        ("RTP/AVP/TCP;interleaved=3-3", [Transport(True)]),
        ("RTP/AVP/TCP;interleaved=x", [Transport(True)]),
        (
            "RTP/AVP/UDP;unicast;client_port=5000-5001;server_port=6000-6001;source=1.2.3.4",
            [Transport(False, client_ports=(5000, 5001), server_ports=(6000, 6001))],
        ),
        ("RTP/AVP;multicast;port=1-2", [Transport(False, multicast=True)]),
        ("RTP/AVPF;unicast, RTP/SAVP/TCP, RAW/RAW/UDP", [Transport(False)]),
        ("", []),
        ("," * 100, []),
    ],
)
def test_reads(value, expected):
    assert parse_transports(value) == expected


def test_reads_at_most_sixteen():
    assert len(parse_transports("RTP/AVP," * 100)) == 16


@pytest.mark.parametrize(
    "transport",
    [
        Transport(True, channels=(0, 1)),
        Transport(False, client_ports=(5000, 5001), server_ports=(6000, 6003)),
        Transport(False, multicast=True),
    ],
)
def test_reads_what_it_writes(transport):
    assert parse_transports(transport.serialise()) == [transport]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("a" * 257, None),
        ("123", ("123", 60)),
        (" 123 ; Timeout = 30 ", ("123", 30)),
        ("123;timeout=0", ("123", 60)),
        ("123;timeout=soon", ("123", 60)),
        ("123;other=1;timeout=90", ("123", 90)),
    ],
)
def test_session(value, expected):
    assert parse_session(value) == expected
