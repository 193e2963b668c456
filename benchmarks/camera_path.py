"""What one camera's bytes cost from the socket to the recorder's queue, without sockets, disk and noise.

A stream of 4 Mbit/s and 30 pictures a second is made up in memory, as it comes through RTSP over TCP, and fed to the
session machine and the camera's recorder in pieces as large as one turn of the loop receives. Prints processor
microseconds per packet and per picture, and per second of 16 cameras.

    .venv/bin/python benchmarks/camera_path.py
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.capture.camera import CameraPlan, CameraRecorder
from agent.capture.duty import Duty
from agent.capture.loop import TURN_S
from agent.capture.recent import Picker, Recent
from agent.capture.vitals import Gauge
from agent.model import GapCause, Instant, Trust
from agent.rtsp.bits import sample
from agent.rtsp.client import ClientSession
from agent.rtsp.events import ClientConfig
from agent.rtsp.media import AccessUnit
from agent.rtsp.packetizer import packetize
from agent.rtsp.sdp import Media
from agent.rtsp.server import Play, ServerConfig, ServerSession
from agent.rtsp.url import parse_url

FPS, GOP, SECONDS = 30, 60, 60
START_MS = 1_790_000_000_000  # 23:13 in Korea
HOURS = {"hours": "08:00-24:00", "rests": "08:00-20:00"}
PARAMETER_SETS = (
    bytes.fromhex("6742c01e95a01e0089f970110000030001000003003c0f162ea0"),
    bytes.fromhex("68ce3c80"),
)


class Void:
    """A recorder that keeps nothing, so that only the camera's path is measured."""

    def begin(self, segment) -> None: ...
    def write(self, camera, data, end_ms, frames) -> None: ...
    def end(self, camera, end_ms) -> None: ...
    def flush(self) -> None: ...
    def gap(self, gap, at) -> None: ...
    def fact(self, fact) -> None: ...
    def backlog_bytes(self) -> int:
        return 0

    def room(self, _camera) -> bool:
        return True


class Idle(Gauge):
    """A gauge that measures nothing, to see what one costs."""

    __slots__ = ()

    def picture(self, data, ticks, keyframe, hurt) -> None: ...


def playing() -> ClientSession:
    """Return a session that plays, its dialogue with the virtual camera's machine done."""
    fmtp = {
        "packetization-mode": "1",
        "sprop-parameter-sets": "Z0LAHpWgHgCJ+XARAAADAAEAAAMAPA8WLqA=,aM48gA==",
    }
    media = Media(
        kind="video", port=0, proto="RTP/AVP", payload_types=(96,), rtpmap={96: ("H264", 90_000)}, fmtp={96: fmtp},
        control="track1",
    )  # fmt: skip
    server = ServerSession(ServerConfig((media,)), nonce=lambda: "1234")
    client = ClientSession(ClientConfig(url=parse_url("rtsp://127.0.0.1/main")), ssrc=1, nonce=lambda: "5678")
    client.start(0.0)
    while not any(isinstance(event, Play) for event in server.receive(client.output(), 0.0)):
        client.receive(server.output(), 0.0)
    client.receive(server.output(), 0.0)
    return client


def stream() -> tuple[list[bytes], int]:
    """Return what each picture puts on the wire, and the number of packets."""
    rng = random.Random(1)
    pictures, sequence, packets = [], 0, 0
    for number in range(FPS * SECONDS):
        key = number % GOP == 0
        size = 60_000 if key else int(rng.gauss(15_600, 2_000))
        units = [b"\x65" + rng.randbytes(size)] if key else [b"\x41" + rng.randbytes(size)]
        data = sample([*PARAMETER_SETS, *units] if key else units)
        made = packetize("h264", data, number * 3000, ssrc=7, payload_type=96, sequence=sequence)
        sequence = sequence + len(made) & 0xFFFF
        packets += len(made)
        pictures.append(b"".join(b"$\x00" + len(packet).to_bytes(2, "big") + packet for packet in made))
    return pictures, packets


def main() -> None:
    """Measure and print."""
    pictures, packets = stream()
    together = max(1, round(TURN_S * FPS))
    turns = [b"".join(pictures[at : at + together]) for at in range(0, len(pictures), together)]
    ways: tuple[tuple[str, type[Gauge] | None, str], ...] = (
        ("session alone", None, ""),
        ("session, timeline, cutter, fragments", Idle, ""),
        ("the same, and what it says of the camera", Gauge, ""),
        ("the same, of a camera with hours", Gauge, "hours"),
        ("a camera that rests, outside of its hours", Gauge, "rests"),
        ("the same as without hours, kept for who may come to look on", Gauge, "kept"),
        ("the same, while somebody looks on", Gauge, "shown"),
    )
    costs = dict.fromkeys((name for name, _, _ in ways), 1e9)
    for _ in range(5):  # in turns, so that a machine that is busy for a while is so for all of them
        for name, gauge, live in ways:
            session = playing()
            plan = CameraPlan("box", "cam01", 60, 0.0)
            duty = Duty([HOURS[live]]) if live in HOURS else None
            camera = CameraRecorder(plan, Void(), None, GapCause.AGENT_STOPPED, duty)
            if gauge is not None:
                camera.gauge = gauge()
            recent, picker = Recent(), Picker(0, 96)
            began = time.process_time()
            for number, turn in enumerate(turns):
                now = number * together / FPS
                instant = Instant(START_MS + round(now * 1000), Trust.SYNCED)
                if live and not duty:
                    recent.add(turn, session.missing, now)
                if live == "shown":
                    picker.feed(turn, 0)
                    b"".join(picker.taken())
                for event in session.receive(turn, now):
                    if gauge is not None and type(event) is AccessUnit:
                        camera.picture(event, instant, now)
                        if live and not duty and event.keyframe:
                            recent.begins(event.timestamp & 0xFFFFFFFF, event.arrival)
                if gauge is not None and number * together % FPS < together:
                    camera.flush(instant)
            costs[name] = min(costs[name], time.process_time() - began)
    for name, best in costs.items():
        print(
            f"{name}: {best / packets * 1e6:.2f} us per packet, {best / len(pictures) * 1e6:.1f} us per picture,"
            f" 16 cameras {best / SECONDS * 16 * 1000:.1f} ms/s"
        )


if __name__ == "__main__":
    main()
