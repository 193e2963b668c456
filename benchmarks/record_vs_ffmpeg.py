"""`pasu record` beside what one would use instead: one `ffmpeg -c copy -f segment` per camera.

Sixteen cameras, 1080p at 30 fps and 4 Mbit/s, from one GStreamer server on this machine; the two recorders in
turns, several rounds in one run, so that both meet the same machine. Ours is the real thing: sealed, synced,
catalogued, all its processes counted. Theirs writes plain files and syncs nothing. Then 48 cameras of ours.

Figures are of a window in the middle, all connected: processor seconds from /proc (user, system, reaped
children), proportional set size at its end, and frames lost from the numbers stamped into every frame: holes
between the first and the last that was stored.

    make bench        or: benchmarks/record_vs_ffmpeg.py --cameras 4 --seconds 10 --rounds 1
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import nal  # noqa: E402 - needs the path above
from tests.lab import GstCameras, Site, cpu_s, machine, prepared_clip, pss_bytes, tree, wait_for  # noqa: E402

CPU_RATIO = 0.20  # the bounds of the issue, for 16 cameras
PSS_MB = 4.0
SETTLE_S = 5.0


@dataclass
class Turn:
    """What one recorder took in one window."""

    recorder: str
    cameras: int
    seconds: float
    cpu_s: float
    pss_mb: float
    frames: int
    lost: int
    threads: dict[str, float] = field(default_factory=dict)

    @property
    def cpu_percent(self) -> float:
        """Per cent of a core, per camera."""
        return 100 * self.cpu_s / self.seconds / self.cameras

    @property
    def pss_mb_per_camera(self) -> float:
        return self.pss_mb / self.cameras


def stamps(data: bytes) -> list[int]:
    return [int(match[1][4:], 16) for match in re.finditer(re.escape(nal.STAMP) + rb"([0-9a-f]{12})", data)]


def holes(numbers: list[int]) -> int:
    return max(numbers) - min(numbers) + 1 - len(set(numbers)) if numbers else 0


def thread_seconds(pids: list[int]) -> dict[str, float]:
    """Return user and system seconds of each thread, named by process and thread."""
    found: dict[str, float] = {}
    for place, pid in enumerate(pids):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                stat = (task / "stat").read_text()
                name = stat[stat.index("(") + 1 : stat.rindex(")")]
                fields = stat.rpartition(")")[2].split()
                who = f"{'parent' if place == 0 else 'worker'}/{name}{'' if task.name == str(pid) else '+'}"
                for kind, ticks in (("user", fields[11]), ("system", fields[12])):
                    found[f"{who} {kind}"] = found.get(f"{who} {kind}", 0) + int(ticks) / 100
    return found


def pasu(cameras: GstCameras, count: int, seconds: float, folder: Path) -> Turn:
    site = Site(folder, {f"cam{number:02d}": cameras.url(number) for number in range(count)}, segment_s=60)
    with site:
        site.wait_recording(bound_s=60)
        time.sleep(SETTLE_S)
        pids = site.pids()
        before, threads = cpu_s(pids), thread_seconds(pids)
        started = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - started
        assert site.pids() == pids, "a worker was replaced while we measured"
        used = cpu_s(pids) - before
        after = thread_seconds(pids)
        pss = pss_bytes(pids) / 1e6
        status = site.stop(60)
        assert status == 0, site.log[-3000:]
    frames = lost = 0
    for number in range(count):
        numbers = []
        for segment in site.segments(f"cam{number:02d}"):
            numbers += stamps(site.plain(segment))
        assert numbers, f"camera {number} stored nothing"
        frames += len(numbers)
        lost += holes(numbers)
    spent = {name: round(after[name] - threads.get(name, 0), 2) for name in after}
    return Turn(
        "pasu", count, elapsed, used, pss, frames, lost, {k: v for k, v in spent.items() if v >= 0.02}
    )


def ffmpeg(cameras: GstCameras, count: int, seconds: float, folder: Path) -> Turn:
    folder.mkdir()
    program = shutil.which("ffmpeg")
    assert program
    running = []
    for number in range(count):
        options = f"-nostdin -v error -rtsp_transport tcp -i {cameras.url(number)} -c copy -an"
        options += " -f segment -segment_time 60 -reset_timestamps 1"
        running.append(
            subprocess.Popen(
                [program, *options.split(), str(folder / f"cam{number:02d}-%03d.mp4")],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    try:
        for number in range(count):
            first = folder / f"cam{number:02d}-000.mp4"
            wait_for(
                f"ffmpeg's file {number}", lambda first=first: first.exists() and first.stat().st_size, 60
            )
        time.sleep(SETTLE_S)
        pids = [pid for process in running for pid in tree(process.pid)]
        before = cpu_s(pids)
        started = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - started
        used = cpu_s(pids) - before
        pss = pss_bytes(pids) / 1e6
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
    frames = lost = 0
    for number in range(count):
        numbers = []
        for path in sorted(folder.glob(f"cam{number:02d}-*.mp4")):
            numbers += stamps(path.read_bytes())
        frames += len(numbers)
        lost += holes(numbers)
    return Turn("ffmpeg", count, elapsed, used, pss, frames, lost)


def line(turn: Turn) -> str:
    return (
        f"{turn.recorder:>7}  {turn.cameras:3d} cameras  {turn.seconds:5.1f} s  cpu {turn.cpu_s:7.2f} s"
        f" = {turn.cpu_percent:6.3f} % of a core per camera  pss {turn.pss_mb_per_camera:6.2f} MB per camera"
        f"  frames {turn.frames} stored, {turn.lost} lost"
    )


def table(turns: list[Turn]) -> str:
    text = (
        "| recorder | cameras | seconds | CPU s | % of a core per camera | PSS MB per camera"
        " | frames | lost |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for turn in turns:
        text += (
            f"| {turn.recorder} | {turn.cameras} | {turn.seconds:.0f} | {turn.cpu_s:.2f}"
            f" | {turn.cpu_percent:.3f} | {turn.pss_mb_per_camera:.2f} | {turn.frames} | {turn.lost} |\n"
        )
    return text


def mean_cpu(turns: list[Turn]) -> float:
    return statistics.mean(turn.cpu_percent for turn in turns)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--many", type=int, default=48, help="cameras of ours alone; 0 leaves that out")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each window")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", type=Path, default=ROOT / "bench-output")
    parser.add_argument("--evidence", action="store_true", help="write docs/evidence/record-vs-ffmpeg.md")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    clip = prepared_clip(seconds=30)
    print(machine(), flush=True)

    turns: list[Turn] = []
    with tempfile.TemporaryDirectory(dir=options.output) as scratch:
        place = Path(scratch)

        def take(recorder: str, cameras: GstCameras, count: int) -> None:
            folder = place / f"{recorder}-{len(turns)}"
            turns.append({"pasu": pasu, "ffmpeg": ffmpeg}[recorder](cameras, count, options.seconds, folder))
            shutil.rmtree(folder)
            print(line(turns[-1]), flush=True)

        def served(count: int, name: str) -> GstCameras:
            return GstCameras(place / name, "--clip", str(clip), "--cameras", str(count), "--no-hash")

        with served(options.cameras, "cameras") as cameras:
            for _ in range(options.rounds):
                take("pasu", cameras, options.cameras)
                take("ffmpeg", cameras, options.cameras)
        if options.many:
            with served(options.many, "many") as cameras:
                take("pasu", cameras, options.many)

    return conclude(turns, options)


def conclude(turns: list[Turn], options: argparse.Namespace) -> int:
    """Say how the two compare, write it down, and return the exit status: 0 within bounds."""
    ours = [turn for turn in turns if turn.recorder == "pasu" and turn.cameras == options.cameras]
    theirs = [turn for turn in turns if turn.recorder == "ffmpeg"]
    cpu = mean_cpu(ours) / mean_cpu(theirs)
    pss = statistics.mean(turn.pss_mb_per_camera for turn in ours)
    pss_ratio = pss / statistics.mean(turn.pss_mb_per_camera for turn in theirs)
    lost = sum(turn.lost for turn in turns if turn.recorder == "pasu")
    good = cpu <= CPU_RATIO and pss <= PSS_MB and not lost
    summary = (
        f"CPU ratio {cpu:.3f} (bound {CPU_RATIO}), memory {pss:.2f} MB per camera (bound {PSS_MB}; ratio"
        f" {pss_ratio:.2f}), {lost} frames of ours lost: {'within bounds' if good else 'OUT OF BOUNDS'}"
    )
    print(summary)
    spent = sorted(ours[-1].threads.items(), key=lambda item: -item[1])
    profile = "\n".join(f"| {name} | {seconds:.2f} |" for name, seconds in spent)
    print(profile.replace("|", " "))
    result = {
        "machine": machine(),
        "turns": [asdict(turn) for turn in turns],
        "cpu_ratio": cpu,
        "pss_mb": pss,
    }
    (options.output / "record_vs_ffmpeg.json").write_text(json.dumps(result, indent=1))
    if options.evidence:
        (ROOT / "docs/evidence/record-vs-ffmpeg.md").write_text(
            "# `pasu record` beside ffmpeg\n\n"
            f"`make bench ARGS=--evidence`, {time.strftime('%Y-%m-%d', time.gmtime())}; {machine()}.\n"
            "Cameras 1080p at 30 fps and 4 Mbit/s from GStreamer's RTSP server on the same machine; in turns"
            " in one run. Ours sealed, synced and catalogued, all processes counted; ffmpeg `-c copy"
            " -f segment`, one per camera, plain files.\n\n"
            f"{table(turns)}\n{summary}.\n\n"
            f"Where ours goes: seconds of {ours[-1].cameras} cameras in {ours[-1].seconds:.0f} s"
            " (a `+` marks the storage thread).\n\n"
            f"| thread | s |\n| --- | --- |\n{profile}\n"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
