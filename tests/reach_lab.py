"""A box that records, keeps and reports, behind a real tunnel; at its other end the city's broker and media server.

    cameras 10.0.0.11 ---- cam0  box  up0 ---- lb  line  lh ---- hu0  centre
                                 wg  ============ tunnel ============ wg   mosquitto, media server

Cameras, media server (GStreamer), mosquitto, wireguard-go, nftables and `tc` are programs no one here wrote; `pasu tunnel
watch`, `record`, `keep` and `uplink` are the box's own processes, the last of the guarded group. All clocks are one:
CLOCK_BOOTTIME and the wall clock of the machine.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from agent.command.keyring import Role
from agent.health import folder_of, read_health
from agent.uplink import payloads
from tests.checker import check
from tests.lab import GstCameras, Site, prepared_clip, wait_for
from tests.living import Hand, Running
from tests.media import GstMedia
from tests.town import Town
from tests.tunnel_lab import ENDPOINT, GROUP, INSIDE, PORT, Lab, inside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
BOX = "gn-0007"
MEDIA_PORT = 8554
CAMERA_PORT = 554
CENTRE_PORT = 8884
_OUTGOING = 4  # PACKET_OUTGOING


def boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LabTown(Town):
    """The lab's city, as what signs commands and listens at its centre wants it."""

    def __init__(self, lab: Reach) -> None:
        self.folder, self.city, self.host = lab.folder, lab.city, INSIDE
        self.port, self.inside = 8883, CENTRE_PORT
        self.boxes: dict[str, Path] = {}
        self._namespace = lab.hub

    def connect(self, *arguments: Any, **more: Any) -> Any:
        with inside(self._namespace):  # its thread is born there, and stays
            return super().connect(*arguments, **more)


class BoxSite(Site):
    """What the box has stored, read from outside."""

    def __init__(self, lab: Reach, cameras: Sequence[str]) -> None:
        self.folder = lab.folder / "box"
        self.cameras = list(cameras)
        self.config = lab.config_file
        self.vault, self.state, self.run = self.folder / "vault", self.folder / "state", self.folder / "run"
        self.key = lab.city.at("recordings", "operation.key")
        self.process = None

    def health(self) -> dict[str, Any]:
        return self.said("record")

    def said(self, process: str) -> dict[str, Any]:
        return read_health(self.run, process) or {}

    def conditions(self, process: str) -> set[str]:
        return {each["code"] for each in self.said(process).get("conditions", [])}


class Tap:
    """Notes when packets of a TCP port with something in them came out of an interface of the centre, inside the tunnel."""

    def __init__(self, namespace: str, interface: str, port: int) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
            self._socket.bind((interface, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._socket.settimeout(0.2)
        self._port = port
        self._stop = False
        self.came: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            try:
                packet, address = self._socket.recvfrom(128)
            except TimeoutError:
                continue
            except OSError:  # the interface went, and may come again
                time.sleep(0.05)
                continue
            if address[2] == _OUTGOING or packet[:1] != b"\x45" or packet[9] != 6:
                continue
            length = int.from_bytes(packet[2:4], "big") - 20 - (packet[32] >> 4) * 4
            if length > 0 and int.from_bytes(packet[22:24], "big") == self._port:
                self.came.append(boot_s())

    def since(self, at_s: float) -> list[float]:
        """Return when packets came after a moment."""
        return [each for each in list(self.came) if each > at_s]

    def stop(self) -> None:
        self._stop = True
        self._thread.join(10)
        self._socket.close()


class Ears:
    """The centre's client: signs and sends commands, and notes when each entry of the ledger and each reply arrived."""

    def __init__(self, lab: Reach) -> None:
        self.entries: dict[int, tuple[dict[str, Any], int]] = {}
        self.replies: dict[str, list[dict[str, Any]]] = {}
        self.healths: list[dict[str, Any]] = []
        parts = ("facts", "reply", "health")
        self._client = lab.town.connect(
            "centre", client_id="centre-ear", topics=tuple(f"pasu/v1/{BOX}/{part}" for part in parts)
        )
        self._client.client.on_message = self._heard
        while not self._client.heard.empty():
            self._heard(None, None, self._client.heard.get())

    def _heard(self, _client: Any, _data: Any, message: Any) -> None:
        now_ms = time.time_ns() // 1_000_000
        part, said = message.topic.rsplit("/", 1)[1], payloads.read(message.payload)
        if part == "facts":
            for entry in said["entries"]:
                self.entries.setdefault(entry["seq"], (entry, now_ms))
        elif part == "reply":
            self.replies.setdefault(said["id"], []).append(said)
        else:
            self.healths.append(said)

    def send(self, text: str) -> None:
        assert self._client.publish(f"pasu/v1/{BOX}/command", text.encode())

    def wait_reply(self, own: str, bound_s: float = 120.0) -> dict[str, Any]:
        def last() -> Any:
            return [
                said for said in self.replies.get(own, []) if said["status"] in ("done", "failed", "refused")
            ]

        found: dict[str, Any] = wait_for(f"the reply to {own}", last, bound_s)[0]  # type: ignore[index]
        return found

    def delays_s(self, after_ms: int, kinds: Sequence[str] = ()) -> list[float]:
        """Return how long entries of these kinds (all, if none is named), written after a moment, took to the centre."""
        found = [
            (came_ms - entry["at_ms"]) / 1000
            for entry, came_ms in list(self.entries.values())
            if entry["at_ms"] >= after_ms and (not kinds or entry["kind"] in kinds)
        ]
        return sorted(found)

    def close(self) -> None:
        self._client.close()


class Worse:
    """A line that loses and delays: between the box and the hub's address, which it takes in the line's namespace.

    loss     share of datagrams that are lost, each way
    delay_s  each is late by up to so much, so that they overtake each other
    """

    REAL = "198.51.100.6"

    def __init__(self, lab: Lab, loss: float, delay_s: float, seed: int) -> None:
        self.loss, self.delay_s = loss, delay_s
        self.counts = {"lost": 0, "carried": 0}
        lab._do("ip", "-n", lab.hub, "address", "add", f"{self.REAL}/24", "dev", "hu0")
        lab._do("ip", "-n", lab.hub, "address", "del", f"{ENDPOINT}/24", "dev", "hu0")
        lab._do("ip", "-n", lab.hub, "address", "add", f"{self.REAL}/24", "dev", "hu0", check=False)
        lab._do("ip", "-n", lab.hub, "route", "replace", "default", "via", "198.51.100.1")
        lab._do("ip", "-n", lab.line, "address", "add", f"{ENDPOINT}/32", "dev", "lo")
        with inside(lab.line):
            self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._near.bind((ENDPOINT, PORT))
            self._far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._far.bind(("198.51.100.1", 0))
        self._far.connect((self.REAL, PORT))
        self._chance = random.Random(seed)
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        late: list[tuple[float, int, bool, bytes]] = []
        number = itertools.count()
        box: Any = None
        while not self._stop:
            wait_s = max(0.0, late[0][0] - time.monotonic()) if late else 0.1
            for sock in select.select([self._near, self._far], [], [], min(wait_s, 0.1))[0]:
                try:
                    data, address = sock.recvfrom(65536)
                except OSError:
                    continue
                if sock is self._near:
                    box = address
                if self._chance.random() < self.loss:
                    self.counts["lost"] += 1
                    continue
                due = time.monotonic() + self._chance.random() * self.delay_s
                heapq.heappush(late, (due, next(number), sock is self._near, data))
            while late and late[0][0] <= time.monotonic():
                _, _, up, data = heapq.heappop(late)
                self.counts["carried"] += 1
                try:
                    if up:
                        self._far.send(data)
                    elif box is not None:
                        self._near.sendto(data, box)
                except OSError:
                    continue

    def stop(self) -> None:
        self._stop = True
        self._thread.join(10)
        self._near.close()
        self._far.close()


class Reach(Lab):
    """All of it. Made and taken away again; `begin` starts what a box and a centre start."""

    def __init__(
        self,
        folder: Path,
        cameras: int = 1,
        *,
        size: tuple[int, int] = (640, 360),
        fps: int = 15,
        kbps: int = 500,
        gop_s: float = 1.0,
        segment_s: int = 5,
        decode: bool = False,
    ) -> None:
        super().__init__(folder)
        self.names = [f"cam{number:02d}" for number in range(cameras)]
        self._fps, self._segment_s = fps, segment_s
        self._clip = prepared_clip(*size, fps, kbps, seconds=10, gop_s=gop_s)
        self._decode = decode
        self._closing: list[Any] = []

    def hire(self) -> None:
        self.town = LabTown(self)
        self.officer = Hand(self.town, Role.OFFICER, "kim", BOX)

    def configure(self, folder: str, box: str, interface: str) -> Path:
        file = super().configure(folder, box, interface)
        if folder != "box":
            return file
        text = file.read_text(encoding="utf-8")
        head, _, rest = text.partition("[[camera]]")
        tail = rest[rest.index("\n[uplink]") :]
        shown = "".join(
            f'[[camera]]\nid = "{name}"\nname = "{name}"\nurl = "rtsp://10.0.0.11:{CAMERA_PORT}/cam{number}"\n'
            'purpose = "crime-prevention"\nlegal_basis = "개인정보 보호법 제25조제1항제2호"\n'
            for number, name in enumerate(self.names)
        )
        head = head.replace(
            "[storage]\n", f"[storage]\nsegment_s = {self._segment_s}\nloss_window_s = 1.0\n", 1
        )
        media = f'media = "rtsp://{INSIDE}:{MEDIA_PORT}"\n'
        file.write_text(head + shown + tail.replace("[uplink]\n", f"[uplink]\n{media}", 1), encoding="utf-8")
        return file

    def into(self, namespace: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", namespace)

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._closing):
            getattr(each, "kill", getattr(each, "stop", getattr(each, "close", None)))()
        self._closing.clear()
        super().__exit__()

    def keep(self, thing: Any) -> Any:
        """Have something ended with the rest."""
        self._closing.append(thing)
        return thing

    # what is started

    def start_media(self) -> None:
        paths = [f"/{BOX}/{name}" for name in self.names]
        self.media = GstMedia(
            self.folder / "media",
            *paths,
            port=MEDIA_PORT,
            address=INSIDE,
            decode=self._decode,
            within=self.into(self.hub),
        )
        self.media.start()

    def begin(self) -> None:
        """Start the centre, the tunnel, the cameras and the box, and wait until they are there."""
        self.hub_up()
        self.start_broker()
        self.start_media()
        self.keep(_Stopping(lambda: self.media.stop(kill=True)))
        self.cameras = GstCameras(
            self.folder / "cameras",
            *("--clip", str(self._clip), "--fps", str(self._fps), "--in-band"),
            *("--cameras", str(len(self.names))),
            port=CAMERA_PORT,
            address="10.0.0.11",
            within=self.into(self.line),
        )
        self.cameras.start()
        self.keep(self.cameras)
        self.boot()
        self.watch()
        self.site = BoxSite(self, self.names)
        group = ("setpriv", "--regid", str(GROUP), "--clear-groups")
        config = ("--config", str(self.config_file))
        box = self.into(self.box)
        log = self.folder / "box"
        self.recording = self.keep(Running(log / "record.log", "record", *config, within=box))
        self.keeping = self.keep(Running(log / "keep.log", "keep", *config, within=box))
        self.reporting = self.keep(Running(log / "uplink.log", "uplink", *config, within=(*box, *group)))
        for each in (self.recording, self.keeping):
            each.start()
        wait_for("recording", lambda: set(self.site.states().values()) == {"recording"}, 120)
        wait_for("the keeper", lambda: self.site.said("keep").get("pid") == self.keeping.pid, 120)
        self.pasu("clock", "confirm", "--yes", "--by", "kim")
        wait_for("time", lambda: self.site.said("keep").get("trust") in ("SYNCED", "HOLDOVER"), 120)
        wait_for("the tunnel", lambda: self.health().get("up") and not self.health()["lacks"], 120)
        self.reporting.start()
        wait_for("the connection", lambda: self.site.said("uplink").get("connected"), 120)
        self.ears = self.keep(Ears(self))

    # orders

    def order(self, command: str, **arguments: Any) -> str:
        """Sign and send a command as the centre does; return its id."""
        own, text = self.officer.sign(command, arguments)
        self.ears.send(text)
        return own

    def grant(self, camera: str, minutes: int = 15) -> str:
        terms = {"camera": camera, "operator": "lee", "purpose": "crime-prevention", "ground": "monitoring"}
        return self.order("stream.grant", **terms, minutes=minutes)

    def revoke(self, grant: str) -> str:
        return self.order("stream.revoke", grant=grant, reason="끝")

    # what is to be seen

    def streams(self) -> dict[str, dict[str, Any]]:
        """Return what the uplink says of each camera that it relays; others are shown less (agent.health.heard)."""
        try:
            said = json.loads((folder_of(self.site.run, "uplink") / "uplink.json").read_text())
        except (OSError, ValueError):
            return {}
        return {each["camera"]: each for each in said["streams"]}

    def count(self, camera: str) -> int:
        """Return how many access units of a camera have come to the media server."""
        file = self.folder / "media" / f"{BOX}_{camera}.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def see(self, camera: str, more: int, bound_s: float = 120.0) -> None:
        """Wait until so many more access units have come; whoever waits in vain is told how everything stood."""
        count = self.count(camera)
        try:
            wait_for(f"pictures of {camera}", lambda: self.count(camera) > count + more, bound_s)
        except AssertionError as error:
            said = {
                "streams": self.streams(),
                "conditions": {name: self.site.conditions(name) for name in ("record", "keep", "uplink")},
                "tunnel": self.health(),
                "replies": self.ears.replies,
                "uplink": (self.folder / "box" / "uplink.log").read_text()[-3000:],
                "media": self.media.process is not None and self.media.process.poll(),
            }
            raise AssertionError(f"{error}: {said}") from None

    def units(self, camera: str) -> list[dict[str, Any]]:
        return self.media.units(f"/{BOX}/{camera}")

    def shown(self, camera: str) -> dict[int, dict[str, Any]]:
        """Return the frames that a camera showed, by number."""
        lines = (self.folder / "cameras" / f"cam{self.names.index(camera)}.jsonl").read_text().splitlines()
        return {entry["frame"]: entry for entry in map(json.loads, lines[:-1])}

    def check_pictures(self, camera: str) -> int:
        """Assert that what came is what the camera showed, bit for bit; return how many pictures."""
        came = self.units(camera)
        newest = max(unit["frame"] for unit in came)
        wait_for("the camera's ledger", lambda: newest in self.shown(camera))
        shown = self.shown(camera)
        for unit in came:
            assert unit["sha256"] == shown[unit["frame"]]["sha256"], unit
        return len(came)

    def nothing_lost(self, *cameras: str) -> int:
        """Stop the recorder in order and assert that it stored every frame; return how many those are."""
        if self.recording.alive():
            assert self.recording.stop() == 0
        stored = 0
        for camera in cameras or self.names:
            number = self.names.index(camera)
            wait_for("a segment", lambda camera=camera: self.site.segments(camera))
            newest = max(segment.end_ms for segment in self.site.segments(camera))
            wait_for("the camera's ledger", lambda: self.cameras.ledger(number)[-1].utc_ms > newest, 60)
            verdict = check(self.cameras.ledger(number), self.site.stored(camera), self.site.gaps(camera))
            verdict.clean()
            assert not verdict.excused, f"{camera}: {verdict.summary()}"
            stored += len(verdict.stored)
        return stored

    def tap(self) -> Tap:
        made: Tap = self.keep(Tap(self.hub, self.hub_interface, MEDIA_PORT))
        return made

    def slow(self, bits_s: int) -> None:
        """Let the line carry so much, both ways; 0 as much as there is. What waits longer than 0.4 s for it is lost."""
        for interface in ("lh", "lb"):
            if bits_s:
                words = ("replace", "dev", interface, "root", "tbf", "rate", f"{bits_s}bit")
                self.at(self.line, "tc", "qdisc", *words, "burst", "6000", "latency", "400ms")
            else:
                self.at(self.line, "tc", "qdisc", "del", "dev", interface, "root", check=False)

    def narrow(self) -> None:
        """Make the way to the centre one of 1280 bytes, on which nobody is told what was too large (F5)."""
        self._do("ip", "-n", self.line, "link", "set", "lh", "mtu", "1280")
        self.at(
            self.line, "nft", "add table inet t; add chain inet t o { type filter hook output priority 0; }"
        )
        self.at(self.line, "nft", "add rule inet t o meta l4proto icmp drop")

    def centre_dies(self) -> None:
        """Take away broker, media server and the line to the hub, all at once."""
        self._do("ip", "-n", self.line, "link", "set", "lh", "down")
        self._mosquitto.kill()
        self._mosquitto.wait(30)
        self.media.stop(kill=True)
        self.ears.close()

    def centre_returns(self) -> None:
        """Have it all back; whoever listens at the centre begins anew."""
        self._do("ip", "-n", self.line, "link", "set", "lh", "up")
        self.start_broker()
        self.start_media()
        self.ears = self.keep(Ears(self))

    def start_broker(self) -> None:
        self.broker()
        self._mosquitto = self.processes[-1]

        def answers() -> bool:
            with inside(self.hub), socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", CENTRE_PORT)) == 0

        wait_for("the broker", answers)


class _Stopping:
    def __init__(self, work: Any) -> None:
        self.kill = work
