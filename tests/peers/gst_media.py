"""A media server by GStreamer's RTSP server in RECORD mode: a program no one here wrote, at the relay's far end.

Run by the system's Python, like gst_server.py; `tests.media.GstMedia` starts it.

    gst_media.py --port 0 --path /box/cam01 [--path ...] --ledger DIR [--decode] [--user NAME:PASSWORD]

Prints one JSON line {"port": ...} when it listens, then a line for each publisher that comes ("begin") and goes ("end"),
and with --decode one for the first decoded frame. The ledger is one file of JSON lines per path: every access unit with
its size, hash and the monotonic time of its arrival.
"""

from __future__ import annotations

import argparse
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

TAKE = "( rtph264depay name=depay0 ! video/x-h264,stream-format=avc,alignment=au ! {rest} )"
KEEP = "appsink name=sink sync=false async=false max-buffers=0"
DECODE = (
    "tee name=t ! queue ! " + KEEP + " t. ! queue ! avdec_h264 ! appsink name=shown sync=false async=false"
)
ROLE = (
    "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true, "
    "media.factory.record=(boolean)true"
)
said = threading.Lock()


def say(**what: object) -> None:
    with said:
        print(json.dumps({**what, "monotonic": time.clock_gettime(time.CLOCK_BOOTTIME)}), flush=True)


def without_losses(_pipeline: Gst.Element, element: Gst.Element) -> None:
    """Have nothing said of lost packets to what stands behind.

    rtpulpfecdec, which the server puts into every stream that it records, aborts the process (have_caps_ssrc) when it
    hears of a lost packet before it knows the stream.
    """
    if element.get_factory().get_name() == "rtpbin":
        element.connect("new-jitterbuffer", lambda _bin, buffer, *_: buffer.set_property("do-lost", False))


class Book:
    """What came on one path."""

    def __init__(self, path: str, folder: Path) -> None:
        self.path = path
        self.file = (folder / (path.strip("/").replace("/", "_") + ".jsonl")).open("a")
        self.shown = False

    def media(self, media: GstRtspServer.RTSPMedia) -> None:
        self.shown = False
        say(begin=self.path)
        element = media.get_element()
        element.get_parent().connect("element-added", without_losses)
        sink = element.get_by_name("sink")
        sink.set_property("emit-signals", True)
        sink.connect("new-sample", self.unit)
        shown = element.get_by_name("shown")
        if shown is not None:
            shown.set_property("emit-signals", True)
            shown.connect("new-sample", self.frame)
        media.connect("unprepared", lambda _: say(end=self.path))

    def unit(self, sink: Gst.Element) -> Gst.FlowReturn:
        buffer = sink.emit("pull-sample").get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
        entry = {
            "monotonic": time.clock_gettime(time.CLOCK_BOOTTIME),
            "size": len(data),
            "sha256": nal.digest(data),
            "key": nal.is_key(data),
        }
        found = nal.read_stamp(data)
        if found is not None:
            entry["camera"], entry["frame"] = found
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()
        return Gst.FlowReturn.OK

    def frame(self, sink: Gst.Element) -> Gst.FlowReturn:
        sink.emit("pull-sample")
        if not self.shown:
            self.shown = True
            say(shown=self.path)
        return Gst.FlowReturn.OK


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--path", action="append", default=[])
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--decode", action="store_true")
    parser.add_argument("--user", metavar="NAME:PASSWORD")
    options = parser.parse_args()
    Gst.init(None)
    options.ledger.mkdir(parents=True, exist_ok=True)
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(str(options.port))
    mounts = server.get_mount_points()
    books = []
    for path in options.path:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(TAKE.format(rest=DECODE if options.decode else KEEP))
        factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        factory.set_latency(0)
        book = Book(path, options.ledger)
        books.append(book)
        factory.connect("media-configure", lambda _f, media, one: one.media(media), book)
        if options.user:
            factory.add_role_from_structure(Gst.Structure.from_string(ROLE)[0])
        mounts.add_factory(path, factory)
    if options.user:
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_digest(*options.user.split(":", 1), token)
        server.set_auth(auth)
    server.attach(None)
    loop = GLib.MainLoop()

    def end_with_input() -> None:
        sys.stdin.buffer.read()
        loop.quit()

    threading.Thread(target=end_with_input, daemon=True).start()
    say(port=server.get_bound_port())
    loop.run()


main()
