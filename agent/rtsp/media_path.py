"""The way of the one video stream from the camera: its transport, its packets, and our reports on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.rtsp.depacketizer import depacketizer
from agent.rtsp.errors import RtspError
from agent.rtsp.rtp import RtpStats, RtpStream
from agent.rtsp.transport import Transport, parse_transports

if TYPE_CHECKING:
    from agent.rtsp.events import ClientConfig, Event
    from agent.rtsp.framing import Framer
    from agent.rtsp.offer import Choice

UDP_REORDER = 32  # packets to wait for a late one


class MediaPath:
    """One stream, over TCP or UDP as configured.

    server_ports  the camera's UDP ports, once agreed
    datagrams     to send to them: (to the RTCP port?, bytes)
    """

    __slots__ = ("_config", "_packets", "_report_channel", "_ssrc", "_stream", "datagrams", "server_ports")

    def __init__(self, config: ClientConfig, choice: Choice, ssrc: int) -> None:
        described = choice.described
        self._config = config
        self._ssrc = ssrc
        self._stream = RtpStream(
            depacketizer(described.encoding, choice.fmtp, described.clock_rate),
            described.payload_type,
            described.clock_rate,
            reorder=UDP_REORDER if config.transport == "udp" else 0,
            ssrc=ssrc,
        )
        self._packets = 0
        self._report_channel: int | None = None
        self.server_ports: tuple[int, int] | None = None
        self.datagrams: list[tuple[bool, bytes]] = []

    def offer(self) -> str:
        """Return the Transport header of SETUP."""
        if self._config.transport == "tcp":
            return Transport(tcp=True, channels=(0, 1)).serialise()
        return Transport(tcp=False, client_ports=self._config.client_ports).serialise()

    def agree(self, answer: str | None, framer: Framer, now: float) -> None:
        """Take the transport that the camera chose; other channels than asked for are its right.

        answer  Transport header; without a readable one the camera is taken to agree
        Raises  RtspError "transport_refused" when it chose another kind
        """
        tcp = self._config.transport == "tcp"
        answers = parse_transports(answer or "")
        chosen = answers[0] if answers else Transport(tcp)
        if chosen.tcp != tcp or chosen.multicast:
            raise RtspError(
                "transport_refused", "the camera chooses another transport", asked=self._config.transport
            )
        if tcp:
            rtp, self._report_channel = chosen.channels or (0, 1)
            self._stream.channel = rtp
            framer.connect(
                {rtp: self._stream.push, self._report_channel: self._stream.push_rtcp},
                {rtp: self._stream.push_run},
            )
            return
        self.server_ports = chosen.server_ports
        if self.server_ports is not None:
            # Opens the way back through a NAT or firewall between us and the camera.
            punch = b"\x80" + bytes(7) + (self._ssrc & 0xFFFFFFFF).to_bytes(4, "big")
            self.datagrams += [(False, punch), (True, self._stream.receiver_report(now))]

    @property
    def channel(self) -> int | None:
        """Return the interleaved channel of RTP, None over UDP."""
        return self._stream.channel if self._config.transport == "tcp" else None

    @property
    def source(self) -> int | None:
        """Return the SSRC whose packets are taken, None while none has come."""
        return self._stream.source

    def push_datagram(self, rtcp: bool, data: bytes, now: float) -> None:
        """Take a datagram from the camera's RTP or RTCP port."""
        push = self._stream.push_rtcp if rtcp else self._stream.push
        push(data, 0, len(data), now)

    def pull(self, events: list[Event]) -> bool:
        """Move finished access units to the events; tell whether usable packets came since the last time."""
        pull = self._stream.pull
        while (unit := pull()) is not None:
            events.append(unit)
        packets = self._stream.packets
        came = packets != self._packets
        self._packets = packets
        return came

    def flush(self, events: list[Event]) -> None:
        """Move what is left to the events: nothing more will come."""
        self._stream.flush()
        self.pull(events)

    def report(self, now: float) -> bytes:
        """Make a receiver report; return it framed for the RTSP connection, or queue it as a datagram."""
        report = self._stream.receiver_report(now)
        if self._report_channel is not None:
            return b"$%c%b%b" % (self._report_channel, len(report).to_bytes(2, "big"), report)
        if self.server_ports is not None:
            self.datagrams.append((True, report))
        return b""

    @property
    def stats(self) -> RtpStats:
        """Counts of the RTP stream."""
        return self._stream.stats
