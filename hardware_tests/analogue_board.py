"""An analogue capture board is recorded, sealed, and opened again.

Set-up    a V4L2 device (a capture board with a camera on it, or a USB camera), Pasu installed in this environment,
          Debian's age and ffmpeg.
Run       python hardware_tests/analogue_board.py [/dev/video0] [--size 720x576] [--fps 25] [--seconds 60]
Expected  one video stream, H.264 (MJPEG from a device that delivers that), of the asked size; no decoding error; at
          least 99 % of the asked pictures from the first one on; no gap between them; the worker's log names a hardware
          encoder where the kernel knows one that Pasu uses.
Writes    docs/evidence/hardware/analogue-board-<machine>.md
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT, ask, conclude, need, options, run, text, wait_for

LEAST = 0.99
CONFIG = """
[box]
id = "hardware-test"
site = "bench"
operator = "hardware test"
contact = "none"
[storage]
vault = "{place}/vault"
state = "{place}/state"
run = "{place}/run"
segment_s = 10
recipients = ["{recipient}"]
[[camera]]
id = "board"
name = "analogue board"
url = "v4l2:{device}"
width = {width}
height = {height}
fps = {fps}
purpose = "facility-management"
legal_basis = "hardware test, nobody in the picture"
"""


def call(*command: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True, **more)


@dataclass(frozen=True)
class Board:
    """What came of a board. planned: pictures that belong into what was stored; encoder: "" where none is needed."""

    codec: str
    size: str
    pictures: int
    planned: int
    gaps: list[str]
    errors: str
    encoder: str


def wrong(board: Board, size: str, hardware: set[str]) -> list[str]:
    """Say what is not as expected. hardware: encoders of which the log must name one, where pictures are encoded."""
    judged = {
        f"the codec is {board.codec}": board.codec not in ("h264", "mjpeg"),
        f"the size is {board.size}": board.size != size,
        "a picture cannot be decoded": bool(board.errors),
        "pictures are missing": not board.planned or board.pictures < LEAST * board.planned,
        "there is a gap": bool(board.gaps),
        f"{board.encoder} encodes, not the hardware": bool(board.encoder and hardware)
        and board.encoder not in hardware,
    }
    return [each for each, is_so in judged.items() if is_so]


def known_encoders(root: Path = Path("/")) -> set[str]:
    """Return FFmpeg's names of hardware encoders that the kernel shows: Rockchip's, and stateful ones of V4L2."""
    found = {"h264_rkmpp"} if (root / "dev/mpp_service").exists() else set()
    names = [text(each).lower() for each in root.glob("sys/class/video4linux/video*/name")]
    return found | ({"h264_v4l2m2m"} if any("enc" in name for name in names) else set())


def test() -> int:
    given = options(
        __doc__,
        ("device", {"nargs": "?", "default": "/dev/video0"}),
        ("--size", {"default": "720x576"}),
        ("--fps", {"type": int, "default": 25}),
        ("--seconds", {"type": int, "default": 60}),
    )
    need(Path(given.device).exists(), f"{given.device} is not there: connect a board, or name its device")
    width, height = given.size.split("x")
    pasu = (sys.executable, "-m", "agent.cli.main")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        said = call(*pasu, "centre", "keygen", "-o", str(place / "key.txt"), cwd=ROOT).stdout
        recipient = re.search(r"age1[a-z0-9]+", said)
        assert recipient, said
        (place / "agent.toml").write_text(
            CONFIG.format(
                place=place,
                recipient=recipient[0],
                device=given.device,
                width=width,
                height=height,
                fps=given.fps,
            )
        )
        recorder = subprocess.Popen(
            [*pasu, "record", "--config", str(place / "agent.toml")],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        wait_for("a picture", lambda: ask(place / "state", "select 1 from segment"), 60)
        time.sleep(given.seconds)
        recorder.send_signal(signal.SIGTERM)
        log = recorder.communicate(timeout=60)[1]
        stored = ask(place / "state", "select start_ms, end_ms from segment order by start_ms")
        begun_ms, ended_ms = stored[0][0], stored[-1][1]
        gaps = ask(place / "state", "select start_ms, end_ms, cause from gap where end_ms > ? and start_ms < ?",
                   begun_ms, ended_ms)  # fmt: skip
        call(*pasu, "open", "--identity", str(place / "key.txt"), "board", "--from", f"-{given.seconds + 120}s",
            "--to", "now", "-o", str(place / "clip.mp4"), "--config", str(place / "agent.toml"), cwd=ROOT)  # fmt: skip
        streams = call(
            "ffprobe",
            "-v",
            "error",
            "-count_packets",
            "-show_streams",
            "-of",
            "json",
            str(place / "clip.mp4"),
        )
        errors = call("ffmpeg", "-v", "error", "-i", str(place / "clip.mp4"), "-f", "null", "-").stderr
    (stream,) = json.loads(streams.stdout)["streams"]
    encoder = re.search(r"encoded by (\S+)", log)
    board = Board(
        codec=stream["codec_name"],
        size=f"{stream['width']}x{stream['height']}",
        pictures=int(stream["nb_read_packets"]),
        planned=round((ended_ms - begun_ms) / 1000 * given.fps),
        gaps=[f"{cause} {end - start} ms" for start, end, cause in gaps],
        errors=errors.strip(),
        encoder=encoder[1] if encoder else "",
    )
    hardware = known_encoders()
    found = wrong(board, given.size, hardware)
    seen = {
        "codec": board.codec,
        "size": f"{board.size}, asked for {given.size}",
        "pictures": f"{board.pictures} of {board.planned}",
        "gaps": "; ".join(board.gaps) or "none",
        "encoder": board.encoder or "none: the board delivers encoded video",
        "hardware encoders that the kernel knows": ", ".join(sorted(hardware)) or "none",
        "decoding errors": board.errors or "none",
        "wrong": "; ".join(found) or "nothing",
    }
    return conclude(given, "An analogue board", seen, not found)


if __name__ == "__main__":
    run(test)
