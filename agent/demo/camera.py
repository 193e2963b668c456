"""Virtual cameras: an RTSP server on a port of its own, pictures by the monotonic clock, a ledger of both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from agent.demo.connection import Connection
from agent.demo.ledger import CameraLedger, Offered
from agent.demo.offer import server_config
from agent.demo.quirks import parse
from agent.demo.studio import Studio

if TYPE_CHECKING:
    from pathlib import Path

    from agent.demo.encoder import Show
    from agent.demo.spec import CameraSpec
    from agent.demo.studio import Sample
    from agent.rtsp.server import ServerConfig

log = logging.getLogger(__name__)

LATE_S = 0.5  # later than this the schedule moves, so that no lot of frames is hurried out
FLUSH_EVERY_S = 1.0
PORT_TRIES = 64


class CameraHost:
    """What live and replaying cameras share: port, connections, UDP sockets, ledger.

    parameter_sets  that the SDP names
    """

    def __init__(
        self, spec: CameraSpec, parameter_sets: tuple[bytes, ...], ledger_directory: Path | None = None
    ) -> None:
        self.spec = spec
        self.quirks = parse(spec.quirks)
        self.ledger = CameraLedger(spec.name, ledger_directory)
        self.port = spec.port
        self._parameter_sets = parameter_sets
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._udp: list[tuple[asyncio.DatagramTransport, asyncio.DatagramTransport]] = []

    @property
    def url(self) -> str:
        """The address, without user and password."""
        return f"rtsp://{self.spec.host}:{self.port}/{self.spec.path}"

    @property
    def sessions(self) -> int:
        """How many clients play now."""
        return sum(connection.video is not None for connection in self._connections)

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self._listen()
        for _track in range(2):
            self._udp.append(await _udp_pair(self.spec.host))

    async def stop(self) -> None:
        """Cut all connections and stop listening; the ledger stays readable."""
        await self._close()
        for pair in self._udp:
            for socket in pair:
                socket.close()
        self._udp.clear()
        self.ledger.close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), self.spec.host, self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            for connection in list(self._connections):
                connection.abort()
            await self._server.wait_closed()
            self._server = None

    # ------------------------------------------------------------------ connections call these

    def attach(self, connection: Connection) -> ServerConfig | None:
        """Take a new connection; None when it is to be refused."""
        if "one_session_only" in self.quirks and self.sessions:
            return None
        self._connections.add(connection)
        ports = tuple(
            (rtp.get_extra_info("sockname")[1], rtcp.get_extra_info("sockname")[1]) for rtp, rtcp in self._udp
        )
        return server_config(self.spec, self.quirks, self._parameter_sets, ports, self.url)

    def detach(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def playing(self, connection: Connection) -> None:
        """Hear that a client plays."""

    def send_datagrams(self, track: int, rtcp: bool, packets: list[bytes], to: tuple[str, int]) -> None:
        """Send by UDP."""
        if track < len(self._udp):
            socket = self._udp[track][rtcp]
            for packet in packets:
                socket.sendto(packet, to)

    def _enter(self, sample: Sample, sent: int, dropped: int, monotonic: float) -> None:
        self.ledger.offered(
            Offered(
                self.spec.number,
                sample.frame,
                sample.utc_ms,
                monotonic,
                sample.keyframe,
                len(sample.data),
                sample.sha256,
                sent,
                dropped,
            )
        )


class VirtualCamera(CameraHost):
    """A live camera: one stream, the same pictures for every client, from the moment it starts.

    Making it encodes a few pictures, which takes some tenths of a second for large ones.
    """

    def __init__(self, spec: CameraSpec, ledger_directory: Path | None = None) -> None:
        self._studio = Studio(spec, parse(spec.quirks), time.time_ns() // 1_000_000)
        super().__init__(spec, self._studio.parameter_sets, ledger_directory)
        self._recent: deque[Sample] = deque()
        self._task: asyncio.Task[None] | None = None
        self._jobs: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()  # a reboot must not change encoders under one that works
        self._silent_until = 0.0
        self._down = False
        self._frame = 0
        self._stalls = "stall" in self.quirks
        self._reboots = "reboot" in self.quirks

    async def start(self) -> None:
        """Listen, and begin to make pictures. Raises OSError when the port is taken."""
        await super().start()
        self._task = asyncio.create_task(self._run(), name=f"camera {self.spec.name}")

    async def stop(self) -> None:
        """Stop everything; the ledger stays readable."""
        for task in (self._task, *self._jobs):
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await super().stop()

    # ------------------------------------------------------------------ what tests make it do

    def stall(self, seconds: float) -> None:
        """Send nothing for some seconds, without closing anything."""
        self._silent_until = asyncio.get_running_loop().time() + seconds

    def silence(self) -> None:
        """Send nothing from now on."""
        self._silent_until = float("inf")

    def speak(self) -> None:
        """End a stall or silence."""
        self._silent_until = 0.0

    def freeze(self) -> None:
        """Show the next picture for ever; frames, numbers and times go on."""
        self._studio.show("frozen")

    def show(self, what: Show) -> None:
        """Show "scene", "frozen" or "grey"."""
        self._studio.show(what)

    def reboot(self, seconds: float) -> None:
        """Cut every connection now, refuse new ones for some seconds, then begin anew with a keyframe."""
        job = asyncio.create_task(self._reboot(seconds), name=f"reboot {self.spec.name}")
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def drop_clients(self) -> None:
        """Cut every connection now; new ones are welcome."""
        for connection in list(self._connections):
            connection.abort()

    async def _reboot(self, seconds: float) -> None:
        self._down = True
        await self._close()
        await asyncio.sleep(seconds)
        self._recent.clear()
        async with self._making:
            await asyncio.to_thread(self._studio.restart)
        await self._listen()
        self._down = False

    # ------------------------------------------------------------------ pictures

    def playing(self, connection: Connection) -> None:
        """Begin a client with what is kept, when the camera is one that does so."""
        for sample in self._recent:
            connection.offer(sample)

    async def _run(self) -> None:
        """Make a frame when it is due. A late one keeps its number; its time is the true one."""
        loop = asyncio.get_running_loop()
        started = anchor = loop.time()
        started_ms = time.time_ns() / 1e6
        step = 1 / self.spec.fps
        count = 0
        flush_at = started
        while True:
            due = anchor + count * step
            now = loop.time()
            if now - due > LATE_S:
                anchor += now - due
                due = now
            await asyncio.sleep(max(0.0, due - now))
            count += 1
            if self._down:
                continue
            media_s = due - started
            utc_ms = round(started_ms + media_s * 1000)
            samples = await self._make(utc_ms, media_s)
            self._frame += 1
            self._play_events(media_s)
            for sample in samples:
                self._offer(sample, started + sample.media_s)
            if due >= flush_at:
                flush_at = due + FLUSH_EVERY_S
                self.ledger.flush()

    async def _make(self, utc_ms: int, media_s: float) -> list[Sample]:
        # Encoding leaves the interpreter's lock: in a thread it does not hold up other cameras.
        if self.spec.prepared:
            return self._studio.make(self._frame, utc_ms, media_s)
        async with self._making:
            return await asyncio.to_thread(self._studio.make, self._frame, utc_ms, media_s)

    def _play_events(self, media_s: float) -> None:
        if self._stalls and media_s >= self.quirks.after("stall"):
            self._stalls = False
            self.stall(self.quirks.value("stall"))
        if self._reboots and media_s >= self.quirks.after("reboot"):
            self._reboots = False
            self.reboot(self.quirks.value("reboot"))

    def _offer(self, sample: Sample, monotonic: float) -> None:
        keep_s = self.quirks.value("burst_on_connect")
        if keep_s:
            self._recent.append(sample)
            while sample.media_s - self._recent[0].media_s > keep_s:
                self._recent.popleft()
        sent = dropped = 0
        if asyncio.get_running_loop().time() >= self._silent_until:
            outcomes = [connection.offer(sample) for connection in list(self._connections)]
            sent, dropped = outcomes.count("sent"), outcomes.count("dropped")
        self._enter(sample, sent, dropped, monotonic)


async def _udp_pair(host: str) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport]:
    """Bind an even port for RTP and the odd one after it for RTCP (RFC 3550 11)."""
    loop = asyncio.get_running_loop()
    for _ in range(PORT_TRIES):
        rtp, _protocol = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (host, 0))
        port = rtp.get_extra_info("sockname")[1]
        if port % 2 == 0:
            try:
                rtcp, _protocol = await loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, (host, port + 1)
                )
            except OSError:
                rtp.close()
                continue
            return rtp, rtcp
        rtp.close()
    raise OSError(f"no free pair of UDP ports on {host}")
