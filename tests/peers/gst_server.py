"""Cameras by GStreamer's RTSP server: a program no one here wrote, on the other side of the recorder.

Run by the system's Python (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0); `tests.lab.GstCameras` starts it.

    gst_server.py --live 1 --ledger DIR             a test picture encoded as it comes (H.264), AAC audio offered
    gst_server.py --clip FILE.h264 --cameras 16 ... a prepared clip in a loop, each frame stamped with its number

Prints one JSON line {"port": ...} when it listens and ends when its standard input does. The ledger is one file
of JSON lines per camera, `cam<N>.jsonl`: every frame with its number, time (UTC and monotonic), key, size and hash,
whether or not somebody was there to receive it. A live camera's ledger begins with its first client.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - its version must be asked for first

from tests import nal  # noqa: E402 - needs the path above

SLOT_S = 0.005  # cameras wake in slots this wide, so that 48 of them cost 200 wake-ups a second, not 1,440


class Ledger:
    """What one camera showed, one JSON line per frame."""

    def __init__(self, folder: Path | None, camera: int, hashed: bool) -> None:
        self.lock = threading.Lock()
        self.file = (folder / f"cam{camera}.jsonl").open("a") if folder else None
        self.hashed = hashed

    def note(self, number: int, data: bytes, key: bool, served: bool) -> None:
        entry: dict[str, object] = {
            "frame": number,
            "utc_ms": time.time_ns() // 1_000_000,
            "monotonic": time.clock_gettime(time.CLOCK_BOOTTIME),
            "key": key,
            "size": len(data),
            "served": served,
        }
        if self.hashed:
            entry["sha256"] = nal.digest(data)
        with self.lock:
            if self.file is not None:
                self.file.write(json.dumps(entry) + "\n")
                if key:
                    self.file.flush()

    def close(self) -> None:
        with self.lock:
            if self.file is not None:
                self.file.close()
            self.file = None


class Clip:
    """A prepared H.264 stream in memory, shared by all cameras that play it."""

    def __init__(self, path: Path, fps: int) -> None:
        pictures = nal.access_units(path.read_bytes())
        sps = next(unit for unit in pictures[0] if unit[0] & 31 == nal.SPS)
        pps = next(unit for unit in pictures[0] if unit[0] & 31 == nal.PPS)
        self.fps = fps
        self.caps = Gst.Caps.from_string(
            f"video/x-h264,stream-format=avc,alignment=au,framerate={fps}/1,"
            f"codec_data=(buffer){nal.avcc(sps, pps).hex()}"
        )
        self.samples = []
        self.keys = []
        for units in pictures:
            kept = [unit for unit in units if unit[0] & 31 not in (nal.SPS, nal.PPS)]
            self.samples.append(nal.sample(kept))
            self.keys.append(any(unit[0] & 31 == nal.IDR for unit in kept))


class ClipCamera:
    """One looping camera. Its frames go on by the clock, like a real one's, whether anyone watches or not."""

    def __init__(self, number: int, clip: Clip, ledger: Ledger, begin: float, offset: int) -> None:
        self.number = number
        self.clip = clip
        self.ledger = ledger
        self.begin = begin
        self.offset = offset
        self.frame = 0
        self.lock = threading.Lock()
        self.media: GstRtspServer.RTSPMedia | None = None
        self.source: Gst.Element | None = None
        self.base_ns: int | None = None

    def attach(self, media: GstRtspServer.RTSPMedia) -> None:
        source = media.get_element().get_by_name("source")
        source.set_property("caps", self.clip.caps)
        with self.lock:
            self.media, self.source, self.base_ns = media, source, None
        media.connect("unprepared", self.detach)

    def detach(self, media: GstRtspServer.RTSPMedia) -> None:
        with self.lock:
            if self.media is media:
                self.media = self.source = None

    def due(self) -> float:
        return self.begin + self.frame / self.clip.fps

    def show(self) -> None:
        """Show the next frame: to the client when there is one, and to the ledger."""
        place = (self.frame + self.offset) % len(self.clip.samples)
        mark = nal.stamp(self.number, self.frame)
        data = len(mark).to_bytes(4, "big") + mark + self.clip.samples[place]
        with self.lock:
            source, fresh = self.source, self.base_ns is None
        served = False
        if source is not None and source.current_state == Gst.State.PLAYING:
            if fresh:
                running = source.get_clock().get_time() - source.get_base_time()
                self.base_ns = running - self.frame * Gst.SECOND // self.clip.fps
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts = buffer.dts = self.base_ns + self.frame * Gst.SECOND // self.clip.fps
            buffer.duration = Gst.SECOND // self.clip.fps
            served = source.emit("push-buffer", buffer) == Gst.FlowReturn.OK
        self.ledger.note(self.frame, data, self.clip.keys[place], served)
        self.frame += 1


def pace(cameras: list[ClipCamera]) -> None:
    """Let every camera show its frames when they are due. One thread for all."""
    queue = [(camera.due(), camera.number, camera) for camera in cameras]
    heapq.heapify(queue)
    while True:
        wait = queue[0][0] - time.monotonic()
        if wait > 0:
            time.sleep(max(wait, SLOT_S))
        now = time.monotonic()
        while queue[0][0] <= now:
            camera = queue[0][2]
            camera.show()
            heapq.heapreplace(queue, (camera.due(), camera.number, camera))


CLIP_PIPELINE = (
    "( appsrc name=source is-live=true format=time block=false max-bytes=8000000 leaky-type=none "
    "! rtph264pay name=pay0 pt=96 mtu=1400 config-interval={config} {audio} )"
)
SPOKEN = "audiotestsrc is-live=true wave=silence ! alawenc ! rtppcmapay name=pay1 pt=8"
LIVE_PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate={fps}/1 "
    "! timeoverlay ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} bitrate={kbps} "
    "! video/x-h264,stream-format=avc,alignment=au,profile=constrained-baseline "
    "! rtph264pay name=pay0 pt=96 mtu=1400 config-interval=-1 "
    "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=1 ! {aac} ! rtpmp4gpay name=pay1 pt=97 )"
)


def aac_encoder() -> str:
    for name in ("voaacenc", "fdkaacenc", "faac", "avenc_aac"):
        if Gst.ElementFactory.find(name):
            return f"{name} ! aacparse"
    sys.exit("no AAC encoder: apt install gstreamer1.0-plugins-bad gstreamer1.0-libav")


def watch_live(
    media: GstRtspServer.RTSPMedia, camera: int, ledgers: dict[int, tuple[Ledger, list[int]]]
) -> None:
    """Note every access unit that goes into the payloader of a live camera."""
    ledger, count = ledgers[camera]

    def seen(_pad: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        buffer = info.get_buffer()
        if (
            buffer.pts == count[1]
        ):  # the first one comes by twice, before and after the server unblocks the stream
            return Gst.PadProbeReturn.OK
        count[1] = buffer.pts
        data = buffer.extract_dup(0, buffer.get_size())
        ledger.note(count[0], data, nal.is_key(data), True)
        count[0] += 1
        return Gst.PadProbeReturn.OK

    pad = media.get_element().get_by_name("pay0").get_static_pad("sink")
    pad.add_probe(Gst.PadProbeType.BUFFER, seen)


ROLE = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"


def require_login(server: GstRtspServer.RTSPServer, name: str, password: str) -> None:
    """Let in by Digest log-in only."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest(name, password, token)
    server.set_auth(auth)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--live", type=int, default=0, metavar="N", help="N cameras encoded as they come")
    parser.add_argument("--clip", type=Path, help="prepared H.264 with delimiters")
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first camera")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--kbps", type=int, default=1500)
    parser.add_argument("--ledger", type=Path)
    parser.add_argument("--no-hash", action="store_true")
    parser.add_argument("--audio", action="store_true", help="clips offer an audio track too")
    parser.add_argument("--in-band", action="store_true", help="repeat parameter sets before each keyframe")
    parser.add_argument("--user", metavar="NAME:PASSWORD", help="ask for this log-in (Digest)")
    options = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(str(options.port))
    mounts = server.get_mount_points()
    cameras: list[ClipCamera] = []
    books: list[Ledger] = []
    ledgers: dict[int, tuple[Ledger, list[int]]] = {}
    if options.ledger:
        options.ledger.mkdir(parents=True, exist_ok=True)

    for number in range(options.first, options.first + (options.live or options.cameras)):
        factory = GstRtspServer.RTSPMediaFactory()
        ledger = Ledger(options.ledger, number, not options.no_hash)
        books.append(ledger)
        if options.live:
            width, height = options.size.split("x")
            factory.set_launch(
                LIVE_PIPELINE.format(
                    width=width, height=height, fps=options.fps, kbps=options.kbps, aac=aac_encoder()
                )
            )
            ledgers[number] = (ledger, [0, -1])
            factory.connect("media-configure", lambda _f, media, n: watch_live(media, n, ledgers), number)
        else:
            clip = cameras[0].clip if cameras else Clip(options.clip, options.fps)
            share = (number - options.first) / options.cameras
            camera = ClipCamera(
                number, clip, ledger, time.monotonic() + share / options.fps, int(share * len(clip.samples))
            )
            cameras.append(camera)
            factory.set_launch(
                CLIP_PIPELINE.format(
                    config=-1 if options.in_band else 0, audio=SPOKEN if options.audio else ""
                )
            )
            factory.connect("media-configure", lambda _f, media, c: c.attach(media), camera)
        if options.user:
            factory.add_role_from_structure(Gst.Structure.from_string(ROLE)[0])
        factory.set_shared(True)
        factory.set_latency(0)
        mounts.add_factory(f"/cam{number}", factory)

    if options.user:
        require_login(server, *options.user.split(":", 1))
    server.attach(None)
    loop = GLib.MainLoop()
    if cameras:
        threading.Thread(target=pace, args=(cameras,), daemon=True).start()

    def end_with_input() -> None:
        sys.stdin.buffer.read()
        loop.quit()

    threading.Thread(target=end_with_input, daemon=True).start()
    print(json.dumps({"port": server.get_bound_port()}), flush=True)
    loop.run()
    for ledger in books:
        ledger.close()


main()
