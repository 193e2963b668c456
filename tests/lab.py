"""Black-box laboratory: cameras on one side, `pasu record` in the middle, and a checker that trusts neither.

The recorder is a process tree that is started, stopped and killed; what it did is read from outside, with other
means than its own: the catalogue through plain sqlite3, segments through the `age` program and `tests.checker`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.checker import Frame, GapRow, Picture, Segment, pictures
from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's python3-gi is built for this one
TAIL_MAGIC = b"PASUTAIL"


def wait_for(what: str, ready: Callable[[], object], bound_s: float = 30.0) -> object:
    """Poll until `ready` gives something true; the bound is generous, what it proves is that it comes at all."""
    end = time.monotonic() + bound_s
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {bound_s} s in vain for {what}")
        time.sleep(0.05)


# --- processes, seen through /proc -----------------------------------------------------------------------------


def tree(root: int) -> list[int]:
    """Return a process and all its descendants, the root first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{entry}/stat").read_text()
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """Return user and system seconds of processes, their reaped children included."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(value) for value in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_bytes(pids: Sequence[int]) -> int:
    """Return the proportional set size of processes, shared pages counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


# --- cameras ---------------------------------------------------------------------------------------------------


def prepared_clip(
    width: int = 1920,
    height: int = 1080,
    fps: int = 30,
    kbps: int = 4000,
    seconds: int = 30,
    gop_s: float = 2,
) -> Path:
    """Return an H.264 stream at a constant rate, kept between runs: encoding it is the dear part of a test."""
    folder = Path(tempfile.gettempdir()) / "pasu-test-clips"
    folder.mkdir(exist_ok=True)
    gop = round(gop_s * fps)
    clip = folder / f"{width}x{height}-{fps}fps-{kbps}k-{seconds}s-gop{gop}.h264"
    if clip.exists():
        return clip
    part = clip.with_suffix(f".{os.getpid()}.part")
    rate = f"-b:v {kbps}k -minrate {kbps}k -maxrate {kbps}k -bufsize {kbps}k"
    command = (
        f"-v error -nostdin -y -f lavfi -i testsrc2=size={width}x{height}:rate={fps} -t {seconds}"
        " -vf noise=alls=12:allf=t,format=yuv420p -c:v libx264 -preset ultrafast -profile:v baseline"
        f" {rate} -g {gop} -keyint_min {gop} -sc_threshold 0 -x264-params aud=1:nal-hrd=cbr -f h264"
    )
    subprocess.run([need("ffmpeg"), *command.split(), str(part)], check=True, timeout=300)
    part.rename(clip)
    return clip


def need_gstreamer() -> None:
    """Ask the system's Python for the server's bindings; missing, they fail in CI and skip elsewhere."""
    probe = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer;"
        "Gst.init(None); assert all(map(Gst.ElementFactory.find, ('x264enc', 'rtph264pay')))"
    )
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, text=True, timeout=60)
        why = done.stderr.strip().splitlines()[-1:] if done.returncode else None
    except FileNotFoundError as error:
        why = [str(error)]
    if why is not None:
        import pytest

        reason = f"GStreamer's RTSP server is missing ({' '.join(why)}): run tools/peers as root"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


class GstCameras:
    """A GStreamer RTSP server with one mount per camera; arguments go to tests/peers/gst_server.py.

    within  a program that starts it
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        cameras: int = 1,
        port: int = 0,
        address: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.cameras = cameras
        self.port = port
        self.address = address
        self.within = within
        self.arguments = arguments
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        need_gstreamer()
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("a") as log:
            server = [SYSTEM_PYTHON, str(ROOT / "tests/peers/gst_server.py"), "--ledger", str(self.folder)]
            where = ["--port", str(self.port), "--address", self.address]
            self.process = subprocess.Popen(
                [*self.within, *server, *where, *self.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server did not start: {(self.folder / 'server.log').read_text()}"
        self.port = json.loads(line)["port"]

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.communicate(timeout=20)
            self.process = None

    def url(self, camera: int) -> str:
        return f"rtsp://{self.address}:{self.port}/cam{camera}"

    def ledger(self, camera: int) -> list[Frame]:
        lines = (self.folder / f"cam{camera}.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        return [
            Frame(entry["frame"], entry["utc_ms"], entry["key"], entry.get("sha256", ""), entry["served"])
            for entry in entries
        ]


# --- the recorder ----------------------------------------------------------------------------------------------


class Site:
    """One box: its configuration, the centre's key, and `pasu record` as a process tree to start and to kill.

    cameras   camera id -> URL
    within    a program that starts it
    """

    def __init__(
        self,
        folder: Path,
        cameras: dict[str, str],
        *,
        segment_s: float = 10,
        loss_window_s: float = 1.0,
        command: Sequence[str] = ("record",),
        camera_options: dict[str, dict[str, object]] | None = None,
        secrets: dict[str, tuple[str, str]] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.command = command
        self.within = within
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.vault, self.state, self.run = folder / "vault", folder / "state", folder / "run"
        self.key, recipient = centre_key(folder / "centre.key")
        self.config = folder / "agent.toml"
        text = (
            '[box]\nid = "lab-1"\nsite = "시험장"\noperator = "강릉시"\ncontact = "033-000-0000"\n'
            f'[storage]\nvault = "{self.vault}"\nstate = "{self.state}"\nrun = "{self.run}"\n'
            f'segment_s = {segment_s}\nloss_window_s = {loss_window_s}\nrecipients = ["{recipient}"]\n'
        )
        for camera, url in cameras.items():
            text += (
                f'[[camera]]\nid = "{camera}"\nname = "{camera}"\nurl = "{url}"\n'
                'purpose = "crime-prevention"\nlegal_basis = "개인정보 보호법 제25조제1항제2호"\n'
            )
            for name, value in ((camera_options or {}).get(camera) or {}).items():
                text += f"{name} = {json.dumps(value)}\n"
        self.config.write_text(text)
        self.cameras = list(cameras)
        place = folder / "secrets.toml"
        place.touch(0o600)
        for camera, (username, password) in (secrets or {}).items():
            with place.open("a") as file:
                file.write(f'[camera.{camera}]\nusername = "{username}"\npassword = "{password}"\n')

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        return (self.folder / "record.log").read_text(errors="replace")

    def start(self) -> None:
        pasu = Path(sys.executable).parent / "pasu"
        with (self.folder / "record.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, str(pasu), *self.command, "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "LANG": "C.UTF-8"},
            )

    def stop(self, bound_s: float = 30.0) -> int:
        """Ask it to stop in order; returns its exit status."""
        assert self.process is not None
        self.process.terminate()
        status = self.process.wait(bound_s)
        self.process = None
        return status

    def kill(self) -> int:
        """SIGKILL every process of the tree at once; returns the UTC ms of the moment before."""
        at_ms = time.time_ns() // 1_000_000
        if self.process is not None:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None
        return at_ms

    def pids(self) -> list[int]:
        assert self.process is not None
        return tree(self.process.pid)

    # what it says of itself

    def health(self) -> dict[str, Any]:
        """Return what the running recorder says; what a predecessor left is nothing."""
        try:
            said = json.loads((self.run / "record.json").read_text())
        except (OSError, ValueError):
            return {}
        return said if self.process is not None and said["pid"] == self.process.pid else {}

    def states(self) -> dict[str, str]:
        return {camera: state["state"] for camera, state in self.health().get("cameras", {}).items()}

    def workers(self) -> dict[str, int]:
        return {worker["name"]: worker["pid"] for worker in self.health().get("workers", [])}

    def wait_recording(self, *cameras: str, bound_s: float = 30.0) -> None:
        """Wait until the cameras named, or all, are being recorded."""

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"the recorder ended: {self.log[-3000:]}"
            states = self.states()
            return all(states.get(camera) == "recording" for camera in cameras or self.cameras)

        wait_for(f"recording of {cameras or 'all'}", ready, bound_s)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Ask the catalogue; an absent or still unprepared one has no rows."""
        database = self.state / "catalogue.db"
        if not database.exists():
            return []
        with contextlib.closing(
            sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
        ) as connection:
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def segments(self, camera: str | None = None) -> list[Segment]:
        rows = self.rows(
            "select camera, path, start_ms, end_ms, state, frames from segment"
            " where ?1 is null or camera = ?1 order by camera, start_ms",
            camera,
        )
        return [Segment(row[0], self.vault / row[1], *row[2:]) for row in rows]  # type: ignore[arg-type]

    def gaps(self, camera: str) -> list[GapRow]:
        rows = self.rows("select start_ms, end_ms, cause from gap where camera = ? order by start_ms", camera)
        return [GapRow(*row) for row in rows]  # type: ignore[arg-type]

    def facts(self, kind: str | None = None) -> list[tuple[str, int, dict[str, object]]]:
        rows = self.rows(
            "select kind, at_ms, body from ledger where ?1 is null or kind = ?1 order by seq", kind
        )
        return [(str(row[0]), int(row[1]), json.loads(str(row[2]))) for row in rows]  # type: ignore[call-overload]

    def committed(self, camera: str, at_least: int = 1) -> bool:
        return len(self.segments(camera)) >= at_least

    # what is really there

    def decrypt(self, path: Path) -> tuple[bytes, str]:
        """Open a file with the `age` program; returns what came out, and what it complained of."""
        done = subprocess.run(
            [need("age"), "-d", "-i", str(self.key), str(path)], capture_output=True, timeout=60
        )
        return done.stdout, done.stderr.decode() if done.returncode else ""

    def plain(self, segment: Segment) -> bytes:
        """Return a segment's MP4: `age` must open a committed one whole; a salvaged one is joined with its tail."""
        data, complaint = self.decrypt(segment.path)
        if segment.state == "COMMITTED":
            assert not complaint, f"{segment.path.name}: {complaint}"
            return data
        for tail in (
            Path(f"{segment.path}.tail"),
            Path(str(segment.path).replace(".salvaged.", ".") + ".tail"),
        ):
            if tail.exists():
                rest, complaint = self.decrypt(tail)
                assert not complaint, f"{tail.name}: {complaint}"
                assert rest[:8] == TAIL_MAGIC
                (offset,) = struct.unpack_from(">Q", rest, 8)
                if offset <= len(data) < offset + len(rest) - 16:
                    data = data[:offset] + rest[16:]
        return data

    def stored(self, camera: str) -> list[tuple[Segment, list[Picture]]]:
        return [(segment, pictures(self.plain(segment))) for segment in self.segments(camera)]


def centre_key(path: Path) -> tuple[Path, str]:
    """Make a key pair with `age-keygen`, as a control centre without Pasu would."""
    need("age")
    if not path.exists():
        subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    recipient = next(line for line in path.read_text().splitlines() if line.startswith("# public key:"))
    return path, recipient.split(":")[1].strip()


@functools.cache
def machine() -> str:
    """Describe this machine in one line, for evidence files."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores, {model}, {os.uname().sysname} {os.uname().release}"
