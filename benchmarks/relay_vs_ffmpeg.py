"""A granted live stream beside what one would use instead: one `ffmpeg -c copy -f rtsp` per camera.

Cameras of 1080p at 30 fps and 4 Mbit/s from one GStreamer server on this machine, a media server by GStreamer at the
other end. Ours: `pasu record` records all of them, and a process relays some; what relaying costs is that process, and
what the recorder takes more of while it hands out. Theirs: a process per stream that reads from the camera and pushes.
Both in turns, several rounds in one run, so that both meet the same machine.

    benchmarks/relay_vs_ffmpeg.py [--streams 4] [--seconds 15] [--rounds 3] [--evidence]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.lab import GstCameras, Site, cpu_s, machine, prepared_clip, pss_bytes, wait_for  # noqa: E402
from tests.media import GstMedia  # noqa: E402
from tests.peer import need  # noqa: E402

RATIO = 0.25  # the bound of the issue
SETTLE_S = 3.0
RELAY = """
import sys, time
from agent.uplink.relaying import Relays, media_url
from agent.uplink.streams import Want
def now(): return time.clock_gettime(time.CLOCK_BOOTTIME)
relays = Relays({"": media_url(sys.argv[1])}, "gn-1", sys.argv[2], now)
relays.want({(camera, ""): Want(now() + 600) for camera in sys.argv[3:]})
sys.stdin.read()
relays.close()
"""


def window(pids: list[int], seconds: float) -> float:
    """Return processor seconds per second that processes take in a while."""
    time.sleep(SETTLE_S)
    before, began = cpu_s(pids), time.monotonic()
    time.sleep(seconds)
    return (cpu_s(pids) - before) / (time.monotonic() - began)


def main() -> int:
    """Measure and print; the exit status says whether the bound holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--evidence", action="store_true", help="write docs/evidence/relay-vs-ffmpeg.md")
    options = parser.parse_args()
    streams = options.streams
    names = [f"cam{number:02d}" for number in range(streams)]
    rows: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}

    def note(name: str, share: float, octets: float) -> None:
        rows.setdefault(name, []).append(100 * share / streams)
        memory.setdefault(name, []).append(octets / 1e6 / streams)

    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clip = prepared_clip()
        cameras = stack.enter_context(
            GstCameras(folder / "cameras", "--clip", str(clip), "--cameras", str(streams), "--no-hash")
        )
        media = stack.enter_context(GstMedia(folder / "media", *(f"/gn-1/{name}" for name in names)))
        site = Site(folder / "site", {name: cameras.url(number) for number, name in enumerate(names)})
        with site.config.open("a") as file:
            file.write(f'[uplink]\nbroker = "mqtts://127.0.0.1:1"\nmedia = "rtsp://127.0.0.1:{media.port}"\n')
            file.write('[tunnel]\ninterface = "pasu0"\n')
        stack.enter_context(site)
        site.wait_recording()
        url = f"rtsp://127.0.0.1:{media.port}"

        def flowing(count: dict[str, int]) -> bool:
            return all(len(media.units(f"/gn-1/{name}")) > count[name] + 30 for name in names)

        for _ in range(options.rounds):
            alone = window(site.pids(), options.seconds)
            count = {name: len(media.units(f"/gn-1/{name}")) for name in names}
            command = [sys.executable, "-c", RELAY, url, str(site.run), *names]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
            ) as ours:
                wait_for("pictures", lambda count=count: flowing(count))
                recorder = site.pids()
                both = window([*recorder, ours.pid], options.seconds)
                relay = window([ours.pid], options.seconds)
                note("pasu, the relay alone", relay, pss_bytes([ours.pid]))
                note("pasu, and what recording takes more", both - alone, pss_bytes([ours.pid]))
                assert ours.stdin is not None
                ours.stdin.close()
            wait_for("the end", lambda: len(media.heard("end")) == len(media.heard("begin")))
            count = {name: len(media.units(f"/gn-1/{name}")) for name in names}
            pull = ["-v", "error", "-nostdin", "-rtsp_transport", "tcp", "-i"]
            push = ["-map", "0:v", "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp"]
            theirs = [
                subprocess.Popen([need("ffmpeg"), *pull, cameras.url(number), *push, f"{url}/gn-1/{name}"])
                for number, name in enumerate(names)
            ]
            wait_for("their pictures", lambda count=count: flowing(count))
            pids = [each.pid for each in theirs]
            note("ffmpeg -c copy -f rtsp", window(pids, options.seconds), pss_bytes(pids))
            for each in theirs:
                each.terminate()
                each.wait()
            wait_for("the end", lambda: len(media.heard("end")) == len(media.heard("begin")))
        site.stop()
    how = f"{streams} streams of 4 Mbit/s, {options.rounds} rounds of {options.seconds:.0f} s; {machine()}"
    lines = [
        f"{name}: {statistics.median(found):.2f} % of a core, {statistics.median(memory[name]):.1f} MB each"
        for name, found in rows.items()
    ]
    theirs_cpu = statistics.median(rows["ffmpeg -c copy -f rtsp"])
    ratio = statistics.median(rows["pasu, and what recording takes more"]) / theirs_cpu
    lines.append(f"ratio {ratio:.2f}, with a bound of {RATIO}")
    print("\n".join((how, *lines)))
    if options.evidence:
        (ROOT / "docs/evidence/relay-vs-ffmpeg.md").write_text(
            "# A granted stream beside `ffmpeg -c copy -f rtsp`\n\n"
            f"`benchmarks/relay_vs_ffmpeg.py --evidence`, {time.strftime('%Y-%m-%d', time.gmtime())}; {how}.\n"
            "Medians of the rounds, ours and theirs in turns in one run; `Pasu` is one process for all streams.\n\n"
            + "".join(f"- {line}\n" for line in lines)
            + f"\nLoad of the machine meanwhile: {os.getloadavg()[1]:.1f}.\n"
        )
    return 0 if ratio <= RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
