"""What went over the wire: a tcpdump capture, its TCP streams put together, RTSP and interleaved frames taken apart."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import pytest

from tests.lab import wait_for
from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Capture:
    """tcpdump on the loopback interface, for one TCP port."""

    def __init__(self, path: Path, port: int) -> None:
        self.path = path
        self.port = port
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("capturing packets needs root")
        command = [need("tcpdump"), "-i", "lo", "-n", "-s", "0", "-U", "-B", "16384", "-w", str(self.path)]
        self.process = subprocess.Popen(
            [*command, "port", str(self.port)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert self.process.stderr is not None
        line = ""
        while "listening on" not in line:
            line = self.process.stderr.readline()
            assert line, "tcpdump ended"
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        sizes = [-1]

        def settled() -> bool:
            sizes.append(self.path.stat().st_size)
            return sizes[-1] == sizes[-2]

        wait_for("tcpdump to write what it saw", settled)
        self.process.send_signal(signal.SIGINT)
        rest = self.process.stderr.read()
        self.process.wait(20)
        assert "0 packets dropped by kernel" in rest, rest


def packets(path: Path) -> Iterator[tuple[tuple[bytes, int], tuple[bytes, int], int, int, bytes]]:
    """Yield source, destination, sequence number, flags and payload of each packet; anything but TCP is an error."""
    data = path.read_bytes()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert magic == 0xA1B2C3D4
    assert link == 1, "not Ethernet framing"
    at = 24
    while at + 16 <= len(data):
        (length,) = struct.unpack_from("<8xI", data, at)
        frame = data[at + 16 : at + 16 + length]
        at += 16 + length
        if frame[12:14] != b"\x08\x00":
            continue
        header = (frame[14] & 15) * 4
        total = struct.unpack_from(">H", frame, 16)[0]
        assert frame[23] == 6, f"IP protocol {frame[23]}: nothing but TCP was negotiated"
        tcp = frame[14 + header : 14 + total]
        source, target, sequence = struct.unpack_from(">HHI", tcp)
        yield (frame[26:30], source), (frame[30:34], target), sequence, tcp[13], tcp[(tcp[12] >> 4) * 4 :]


@dataclass
class Talk:
    """One TCP connection taken apart.

    messages  RTSP messages as text, (from the client?, text)
    frames    interleaved frames from the server: (channel, bytes)
    """

    messages: list[tuple[bool, str]] = field(default_factory=list)
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    sent: list[tuple[int, bytes]] = field(default_factory=list)

    def requests(self, method: str) -> list[str]:
        return [text for client, text in self.messages if client and text.startswith(method + " ")]

    def answers(self) -> list[str]:
        return [text for client, text in self.messages if not client]


def talks(path: Path, server_port: int) -> list[Talk]:
    """Put the streams together, in sequence, repeated bytes once."""
    pieces: dict[tuple[object, object], dict[int, bytes]] = {}
    first: dict[tuple[object, object], int] = {}
    for source, target, sequence, flags, payload in packets(path):
        way = (source, target)
        if flags & 2:  # SYN takes one number
            first[way] = (sequence + 1) & 0xFFFFFFFF
            pieces[way] = {}
        elif payload and way in first:
            place = (sequence - first[way]) & 0xFFFFFFFF
            held = pieces[way].get(place, b"")
            if len(payload) > len(held):
                pieces[way][place] = payload
    found = []
    for way in first:
        source, target = way
        if target[1] == server_port:  # type: ignore[index]
            talk = Talk()
            _take_apart(_join(pieces[way]), True, talk)
            _take_apart(_join(pieces.get((target, source), {})), False, talk)
            found.append(talk)
    return found


def _join(pieces: dict[int, bytes]) -> bytes:
    whole = bytearray()
    for place in sorted(pieces):
        assert place <= len(whole), f"the capture misses bytes {len(whole)}..{place}"
        whole[place : place + len(pieces[place])] = pieces[place]
    return bytes(whole)


def _take_apart(stream: bytes, client: bool, talk: Talk) -> None:
    at = 0
    while at < len(stream):
        if stream[at] == 0x24:
            if at + 4 > len(stream):
                return
            channel, size = struct.unpack_from(">BH", stream, at + 1)
            body = stream[at + 4 : at + 4 + size]
            if len(body) < size:
                return
            (talk.sent if client else talk.frames).append((channel, body))
            at += 4 + size
            continue
        end = stream.find(b"\r\n\r\n", at)
        if end < 0:
            return
        head = stream[at : end + 4].decode("utf-8", "replace")
        length = 0
        for line in head.splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                with contextlib.suppress(ValueError):
                    length = int(value)
        body = stream[end + 4 : end + 4 + length].decode("utf-8", "replace")
        talk.messages.append((client, head + body))
        at = end + 4 + length
