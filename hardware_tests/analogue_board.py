"""An analogue capture board is recorded, sealed, and opened again.

Set-up    a V4L2 device (a capture board with a camera on it, or a USB camera), Pasu installed in this environment,
          Debian's age and ffmpeg.
Run       python hardware_tests/analogue_board.py [/dev/video0] [--size 720x576] [--fps 25] [--seconds 60]
Expected  one video stream, H.264, of the asked size; no decoding error; at least 99 % of the asked pictures; no gap;
          the worker's log names the board's hardware encoder where there is one.
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
from pathlib import Path

from bench import ROOT, conclude, need, options, run

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
        time.sleep(given.seconds)
        recorder.send_signal(signal.SIGTERM)
        log = recorder.communicate(timeout=60)[1]
        rows = json.loads(
            call(*pasu, "segments", "board", "--from", f"-{given.seconds + 60}s", "--to", "now", "--json",
                "--config", str(place / "agent.toml"), cwd=ROOT).stdout
        )  # fmt: skip
        call(*pasu, "open", "--identity", str(place / "key.txt"), "board", "--from", f"-{given.seconds + 60}s",
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
    frames = int(stream["nb_read_packets"])
    seen = {
        "codec": stream["codec_name"],
        "size": f"{stream['width']}x{stream['height']}",
        "pictures": f"{frames} of about {given.seconds * given.fps}",
        "encoder": encoder[1] if encoder else "none: the board delivers encoded video",
        "decoding errors": errors.strip() or "none",
        "recorder's word": json.dumps(rows)[:400],
    }
    good = (
        stream["codec_name"] in ("h264", "mjpeg") and not errors and frames >= 0.9 * given.seconds * given.fps
    )
    return conclude(given, "An analogue board", seen, good)


if __name__ == "__main__":
    run(test)
