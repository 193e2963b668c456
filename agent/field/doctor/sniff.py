"""Listens to the wire from the cameras for some seconds, as root, and keeps nothing of it. Edge."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.field.doctor.check import skip, warn
from agent.field.doctor.judge_camera import wire as judge
from agent.field.doctor.wire import Piece, Wire
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.field.doctor.check import Result

ETH_P_ALL = 3  # linux/if_ether.h
PACKET_OUTGOING = 4  # linux/if_packet.h: what this box sends; on `lo` all is seen twice
TCP, UDP = 6, 17
MOST_BYTES = 1 << 17
BUFFER_BYTES = 8 << 20
PORT = 554


def look(urls: Iterable[str], seconds: int) -> Result:
    """Listen to what these cameras send, and judge it."""
    cameras = {place for url in urls if (place := _place(url))}
    if not cameras or not seconds:
        why = say(
            "암호화되지 않은 IPv4 RTSP 카메라가 없거나 듣지 않았습니다",
            "no camera by plain RTSP and IPv4, or not listened",
        )
        return skip("audio.wire", why)
    try:
        wire = listen(cameras, seconds)
    except PermissionError:
        return warn("audio.wire", say("root로 해야 들을 수 있습니다 (sudo)", "only root can listen (sudo)"))
    except OSError as error:
        return warn("audio.wire", error.strerror or str(error))
    heard = {session for session, _ in wire.counts}
    unheard = [
        f"{host}:{port}"
        for host, port in sorted(cameras)
        if not any(each.startswith((f"{host}:{port}>", f"{host} ")) for each in heard)
    ]
    return judge(wire.numbers, wire.sound, unheard)


def listen(cameras: set[tuple[str, int]], seconds: float) -> Wire:
    """Listen for so long. cameras: addresses and RTSP ports. Raises OSError."""
    wire = Wire()
    hosts = {host for host, _ in cameras}
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as heard:
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        while (left := until - time.monotonic()) > 0:
            heard.settimeout(left)
            try:
                data, where = heard.recvfrom(MOST_BYTES)
            except TimeoutError:
                break
            if where[2] == PACKET_OUTGOING:
                continue
            if piece := piece_of(data, cameras, hosts):
                wire.take(piece)
    return wire


def piece_of(data: bytes, cameras: set[tuple[str, int]], hosts: set[str]) -> Piece | None:
    """Read an IPv4 packet; None when it is from no camera, or holds nothing. Source: RFC 791, 9293, 768."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    # Of what the kernel puts together before we see it the length may not fit into its field, and is 0.
    begin, end = (data[0] & 15) * 4, int.from_bytes(data[2:4]) or len(data)
    host = socket.inet_ntoa(data[12:16])
    if host not in hosts or int.from_bytes(data[6:8]) & 0x1FFF or end < begin + 8 or len(data) < begin + 20:
        return None
    packet = data[begin:end]
    port, to = struct.unpack_from(">HH", packet)
    if data[9] == TCP and (host, port) in cameras:
        payload = packet[(packet[12] >> 4) * 4 :]
        return Piece(f"{host}:{port}>{to}", int.from_bytes(packet[4:8]), payload) if payload else None
    if data[9] == UDP and to % 2 == 0:
        return Piece(f"{host} udp", None, packet[8:])
    return None


def _place(url: str) -> tuple[str, int] | None:
    parts = urlsplit(url)
    if parts.scheme != "rtsp" or not parts.hostname:
        return None
    try:
        return socket.gethostbyname(parts.hostname), parts.port or PORT
    except OSError:
        return None
