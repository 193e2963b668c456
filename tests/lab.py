"""Black-box laboratory: cameras on one side, `pasu record` in the middle, and a checker that trusts neither.

The recorder is a process tree that is started, stopped and killed; what it did is read from outside, with other
means than its own: the catalogue through plain sqlite3, segments through the `age` program and a small MP4 reader
here that was written after docs/formats.md alone.
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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import nal
from tests.peer import need

ROOT = Path(__file__).resolve().parent.parent
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's python3-gi is built for this one
TAIL_MAGIC = b"PASUTAIL"
NTP_EPOCH_S = 2_208_988_800  # seconds from 1900 to 1970, RFC 5905


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


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture a camera showed. served: somebody was connected, as far as the camera knows."""

    number: int
    utc_ms: int
    key: bool
    digest: str
    served: bool


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
    subprocess.run(
        [need("ffmpeg"), "-v", "error", "-nostdin", "-y", "-f", "lavfi"]
        + ["-i", f"testsrc2=size={width}x{height}:rate={fps}", "-t", str(seconds)]
        + ["-vf", "noise=alls=12:allf=t,format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast"]
        + ["-profile:v", "baseline", "-b:v", f"{kbps}k", "-minrate", f"{kbps}k", "-maxrate", f"{kbps}k"]
        + ["-bufsize", f"{kbps}k", "-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"]
        + ["-x264-params", "aud=1:nal-hrd=cbr", "-f", "h264", str(part)],
        check=True,
        timeout=300,
    )
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
    """A GStreamer RTSP server with one mount per camera; arguments go to tests/peers/gst_server.py."""

    def __init__(self, folder: Path, *arguments: str, cameras: int = 1, port: int = 0) -> None:
        self.folder = folder
        self.cameras = cameras
        self.port = port
        self.arguments = arguments
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> GstCameras:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        need_gstreamer()
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [SYSTEM_PYTHON, str(ROOT / "tests/peers/gst_server.py"), "--ledger", str(self.folder)]
                + ["--port", str(self.port), *self.arguments],
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
        return f"rtsp://127.0.0.1:{self.port}/cam{camera}"

    def ledger(self, camera: int) -> list[Frame]:
        lines = (self.folder / f"cam{camera}.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        return [
            Frame(entry["frame"], entry["utc_ms"], entry["key"], entry.get("sha256", ""), entry["served"])
            for entry in entries
        ]


# --- what was stored, read with other means than the recorder's ------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    """One stored access unit."""

    utc_ms: float
    key: bool
    data: bytes


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk the whole boxes of one level; a box cut off at the end is left out."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        if size < head or at + size > len(data):
            return
        yield kind, data[at + head : at + size]
        at += size


def inner(data: bytes, *path: bytes) -> bytes:
    for kind in path:
        data = next(body for name, body in boxes(data) if name == kind)
    return data


def pictures(mp4: bytes) -> list[Picture]:
    """List the access units of a segment, each with the UTC its fragment gives it."""
    found: list[Picture] = []
    hz = 0
    utc_ms, media = 0.0, 0
    moof = b""
    for kind, body in boxes(mp4):
        if kind == b"moov":
            tracks = [content for name, content in boxes(body) if name == b"trak"]
            assert len(tracks) == 1, f"{len(tracks)} tracks in a segment"
            assert inner(tracks[0], b"mdia", b"hdlr")[8:12] == b"vide", "a track that is not video"
            header = inner(tracks[0], b"mdia", b"mdhd")
            (hz,) = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)
        elif kind == b"prft":
            seconds, part = struct.unpack_from(">II", body, 8)
            utc_ms = (seconds - NTP_EPOCH_S) * 1000 + part * 1000 / (1 << 32)
            (media,) = struct.unpack_from(">Q" if body[0] == 1 else ">I", body, 16)
        elif kind == b"moof":
            moof = body
        elif kind == b"mdat":
            found.extend(_fragment(moof, body, hz, utc_ms, media))
    return found


def _fragment(moof: bytes, mdat: bytes, hz: int, utc_ms: float, media: int) -> Iterator[Picture]:
    traf = inner(moof, b"traf")
    decode = inner(traf, b"tfdt")
    (dts,) = struct.unpack_from(">Q" if decode[0] == 1 else ">I", decode, 4)
    run = inner(traf, b"trun")
    flags, count = struct.unpack_from(">II", run)
    flags &= 0xFFFFFF
    at = 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    place = 0
    for _ in range(count):
        duration = size = sample_flags = offset = 0
        if flags & 0x100:
            (duration,) = struct.unpack_from(">I", run, at)
            at += 4
        if flags & 0x200:
            (size,) = struct.unpack_from(">I", run, at)
            at += 4
        if flags & 0x400:
            (sample_flags,) = struct.unpack_from(">I", run, at)
            at += 4
        if flags & 0x800:
            (offset,) = struct.unpack_from(">i", run, at)
            at += 4
        when = utc_ms + (dts + offset - media) * 1000 / hz
        yield Picture(when, not sample_flags & 0x10000, mdat[place : place + size])
        place += size
        dts += duration


@dataclass(frozen=True, slots=True)
class Segment:
    """A row of the catalogue."""

    camera: str
    path: Path
    start_ms: int
    end_ms: int
    state: str
    frames: int


@dataclass(frozen=True, slots=True)
class GapRow:
    """A gap the ledger admits."""

    start_ms: int
    end_ms: int
    cause: str


# --- the recorder ----------------------------------------------------------------------------------------------


class Site:
    """One box: its configuration, the centre's key, and `pasu record` as a process tree to start and to kill.

    cameras   camera id -> URL
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
    ) -> None:
        self.folder = folder
        self.command = command
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

    def __enter__(self) -> Site:
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
                [str(pasu), *self.command, "--config", str(self.config)],
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


# --- the checker -----------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What became of every frame of one camera, from its first stored frame to its last."""

    stored: list[Frame] = field(default_factory=list)
    excused: list[tuple[Frame, str]] = field(default_factory=list)
    unexplained: list[Frame] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    foreign: int = 0
    misplaced: list[tuple[Frame, str]] = field(default_factory=list)

    def summary(self) -> str:
        return (
            f"{len(self.stored)} stored, {len(self.excused)} in gaps, {len(self.unexplained)} unexplained, "
            f"{len(self.doubled)} doubled, {len(self.misplaced)} misplaced, {self.foreign} foreign"
        )

    def clean(self) -> None:
        """Assert the oracle: nothing lost without a gap, nothing twice, nothing from elsewhere, all in place."""
        assert self.stored, "nothing was stored"
        assert not self.unexplained, f"lost without a gap: {_runs(self.unexplained)}; {self.summary()}"
        assert not self.doubled, f"stored twice: {self.doubled[:5]}; {self.summary()}"
        assert not self.foreign, f"pictures the camera never showed; {self.summary()}"
        assert not self.misplaced, f"outside their segment's span: {self.misplaced[:5]}; {self.summary()}"

    def lost_before(self, at_ms: int) -> float:
        """Return how many ms of video before a moment are missing: to the last stored frame before it."""
        newest = max((frame.utc_ms for frame in self.stored if frame.utc_ms <= at_ms), default=None)
        return 0 if newest is None else at_ms - newest


def _runs(frames: Sequence[Frame]) -> list[str]:
    runs: list[list[Frame]] = []
    for frame in frames:
        if runs and runs[-1][-1].number == frame.number - 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return [f"{run[0].number}..{run[-1].number} at {run[0].utc_ms}" for run in runs[:8]]


def check(
    ledger: Sequence[Frame],
    stored: Sequence[tuple[Segment, Sequence[Picture]]],
    gaps: Sequence[GapRow],
    *,
    digest: Callable[[bytes], str] = nal.digest,
    slack_ms: int = 300,
    placed_within_ms: int = 500,
) -> Verdict:
    """Say of every frame between the first and the last stored one whether it is stored, in a gap, or lost.

    slack_ms   a gap's ends are the recorder's idea of time, the ledger's are the camera's: they may differ by the way
    """
    verdict = Verdict()
    places: dict[str, list[Segment]] = {}
    for segment, found in stored:
        for picture in found:
            places.setdefault(digest(picture.data), []).append(segment)
    known = Counter(frame.digest for frame in ledger)
    twice = [name for name, count in known.items() if count > 1]
    assert not twice, "the camera showed equal frames: such a ledger proves nothing"
    verdict.foreign = sum(1 for name in places if name not in known)
    verdict.doubled = [name for name, where in places.items() if len(where) > 1]
    there = [index for index, frame in enumerate(ledger) if frame.digest in places]
    if not there:
        return verdict
    for frame in ledger[there[0] : there[-1] + 1]:
        where = places.get(frame.digest)
        if where:
            verdict.stored.append(frame)
            segment = where[0]
            if not segment.start_ms - placed_within_ms <= frame.utc_ms <= segment.end_ms + placed_within_ms:
                place = f"{segment.path.name} {segment.start_ms}..{segment.end_ms}, shown at {frame.utc_ms}"
                verdict.misplaced.append((frame, place))
            continue
        excuse = next(
            (gap for gap in gaps if gap.start_ms - slack_ms <= frame.utc_ms <= gap.end_ms + slack_ms), None
        )
        if excuse is None:
            verdict.unexplained.append(frame)
        else:
            verdict.excused.append((frame, excuse.cause))
    return verdict


@functools.cache
def machine() -> str:
    """Describe this machine in one line, for evidence files."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores, {model}, {os.uname().sysname} {os.uname().release}"
