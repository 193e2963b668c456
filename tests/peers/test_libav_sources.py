"""Sources that come through libav: each in a process of its own, its one video stream untouched, its sound left alone."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import av
import pytest

from agent.demo.ledger import read_frames
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.checker import Frame, check
from tests.lab import Site, wait_for
from tests.nal import split_annexb, units_of
from tests.peer import need
from tests.peers.test_quirks import sha256

if TYPE_CHECKING:
    from tests.checker import Picture

FPS, FILE_S, RECORD_S = 25, 6, 16
PICTURE = "-f lavfi -i testsrc2=size=320x240:rate=25"
SOUND = "-f lavfi -i sine=frequency=440:sample_rate=48000"

# name -> what ffmpeg makes of picture and sound; B-frames where the codec has them
FILES = {
    "h264": ("h264.mp4", "-c:v libx264 -preset veryfast -bf 2 -g 25 -c:a aac"),
    "h265": ("h265.ts", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -c:a aac"),
    "mjpeg": ("mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj420p -q:v 5 -c:a pcm_s16le"),
    "mpeg4": ("mpeg4.mp4", "-c:v mpeg4 -q:v 5 -g 25 -c:a aac"),
    "raw": ("raw.nut", "-c:v rawvideo -pix_fmt yuv420p -c:a pcm_s16le"),
}
SOUNDS = {"h264": "aac", "h265": "aac", "mjpeg": "pcm_s16le", "mpeg4": "aac", "raw": "pcm_s16le"}


def make(folder: Path) -> dict[str, Path]:
    files = {}
    for name, (file, codecs) in FILES.items():
        files[name] = folder / file
        inputs = f"-v error -nostdin -y {PICTURE} {SOUND} -t {FILE_S} -pix_fmt yuv420p"
        subprocess.run(
            [need("ffmpeg"), *inputs.split(), *codecs.split(), str(files[name])], check=True, timeout=120
        )
    return files


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def live(path: Path, target: str) -> subprocess.Popen[bytes]:
    """Play a file over and over at its own speed as MPEG-TS, nothing encoded anew."""
    command = f"-v error -nostdin -re -stream_loop -1 -i {path} -c copy -f mpegts"
    return subprocess.Popen([need("ffmpeg"), *command.split(), target], stdout=subprocess.PIPE)


class HttpCamera:
    """Serves MPEG-TS at the speed of its clock to every client; can be switched off and on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = 0
        self.players: set[subprocess.Popen[bytes]] = set()
        self.sessions = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.sessions += 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                player = live(camera.path, "pipe:1")
                camera.players.add(player)
                assert player.stdout is not None
                with contextlib.suppress(OSError):
                    while data := player.stdout.read1(65536):  # type: ignore[attr-defined]
                        self.wfile.write(data)
                player.kill()
                player.wait()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        for player in list(self.players):
            player.kill()
        self.players.clear()


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def slices(units: list[bytes]) -> set[bytes]:
    """Return the coded slices of H.264: a muxer adds and moves parameter sets and delimiters."""
    return {unit for unit in units if unit[0] & 31 in (1, 5)}


class Recorded:
    """All sources in one run of the recorder, and what was seen on the way."""

    def __init__(self, folder: Path) -> None:
        self.files = make(folder)
        self.spec = CameraSpec(1, width=320, height=240, fps=15.0, gop=15, prepared=True)
        self.ledger = folder / "ledger"
        port = free_udp_port()
        with (
            CameraProcess([self.spec], self.ledger) as cameras,
            HttpCamera(self.files["h264"]) as web,
        ):
            urls = {name: f"file:{path}" for name, path in self.files.items()}
            urls |= {
                "http": f"http://127.0.0.1:{web.port}/live.ts",
                "udp": f"udp://127.0.0.1:{port}",
                "rtsp": cameras.urls[1],
            }
            sender = live(self.files["h264"], f"udp://127.0.0.1:{port}?pkt_size=1316")
            try:
                with Site(folder / "site", urls, segment_s=5) as site:
                    site.wait_recording(bound_s=60)
                    self.workers = site.workers()
                    self.maps = {name: maps(pid) for name, pid in self.workers.items()}
                    time.sleep(RECORD_S)
                    web.stop()
                    wait_for("the end to be noticed", lambda: site.states()["http"] != "recording", 30)
                    time.sleep(2)
                    web.start()
                    back = time.monotonic()
                    site.wait_recording("http")
                    self.back_s = time.monotonic() - back
                    time.sleep(3)
                    self.health = site.health()
                    assert site.stop() == 0
            finally:
                sender.kill()
                sender.wait()
        self.site = site
        self._pictures: dict[str, list[Picture]] = {}

    def pictures(self, camera: str) -> list[Picture]:
        # The checker's reader refuses a file with anything but one video track.
        if camera not in self._pictures:
            self._pictures[camera] = [one for _, found in self.site.stored(camera) for one in found]
        return self._pictures[camera]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("libav"))


@pytest.mark.parametrize("name", ["h264", "mjpeg", "mpeg4"])
def test_samples_of_a_file_are_its_own_bytes(recorded: Recorded, name: str) -> None:
    source = packets(recorded.files[name])
    stored = [picture.data for picture in recorded.pictures(name)]
    assert stored[: len(source)] == source, "a whole round"
    assert set(stored) <= set(source)
    assert len(stored) > 2 * len(source), "it began again at its end"


def test_nal_units_of_a_transport_stream_are_its_own(recorded: Recorded) -> None:
    source = [split_annexb(data) for data in packets(recorded.files["h265"])]
    stored = [list(units_of(picture.data)) for picture in recorded.pictures("h265")]
    assert stored[: len(source)] == source
    assert len(stored) > 2 * len(source)


@pytest.mark.parametrize("name", ["http", "udp"])
def test_a_live_stream_keeps_its_slices(recorded: Recorded, name: str) -> None:
    source = {unit for data in packets(recorded.files["h264"]) for unit in slices(list(units_of(data)))}
    pictures = recorded.pictures(name)
    for picture in pictures:
        found = slices(list(units_of(picture.data)))
        assert found
        assert found <= source
    assert len(pictures) > FPS * (RECORD_S - 2)
    times = sorted(picture.utc_ms for picture in pictures)
    assert times[-1] - times[0] > (RECORD_S - 2) * 1000


def test_raw_pictures_are_encoded(recorded: Recorded) -> None:
    rows = recorded.site.rows("select distinct codec, width, height from segment where camera = 'raw'")
    assert rows == [("h264", 320, 240)]
    pictures = recorded.pictures("raw")
    assert len(pictures) > FPS * FILE_S * 2
    assert pictures[0].key


@pytest.mark.parametrize("name", [*FILES, "http", "udp"])
def test_sound_is_a_fact_and_nothing_more(recorded: Recorded, name: str) -> None:
    offered = [body for _, _, body in recorded.site.facts("camera.audio_offered") if body["camera"] == name]
    assert offered
    assert {tuple(body["encodings"]) for body in offered} == {(SOUNDS.get(name, "aac"),)}  # type: ignore[arg-type]
    assert recorded.pictures(name)
    for segment in recorded.site.segments(name)[:2]:
        done = subprocess.run(
            [need("ffprobe"), "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", "-"],
            input=recorded.site.plain(segment),
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.decode().split() == ["video"]


def test_a_round_of_a_file_is_a_session_of_its_own(recorded: Recorded) -> None:
    """Where one round ends and the next begins there may be a gap, short and with its cause."""
    for name in FILES:
        assert recorded.health["cameras"][name]["reconnects"] >= 2
        gaps = recorded.site.gaps(name)
        assert {gap.cause for gap in gaps} <= {"camera_closed"}
        assert all(gap.end_ms - gap.start_ms < 3000 for gap in gaps), gaps
        times = [picture.utc_ms for picture in recorded.pictures(name)]
        # A round lasts as long as its pictures say: a file is played in time.
        assert (times[-1] - times[0]) / 1000 == pytest.approx(len(times) / FPS, rel=0.25)


def test_a_server_that_goes_away_and_returns(recorded: Recorded) -> None:
    print(f"HTTP: recording again {recorded.back_s:.2f} s after the server was back")
    assert recorded.back_s <= 10.0, "5 s is what is asked for; twice that for a busy machine"
    causes = {gap.cause for gap in recorded.site.gaps("http")}
    assert causes
    assert causes <= {"camera_closed", "camera_unreachable", "camera_silent", "worker_lost"}


def test_each_source_has_a_process_and_only_those_load_libav(recorded: Recorded) -> None:
    assert sorted(recorded.workers) == sorted(
        ["rtsp-0", *(f"libav-{name}" for name in (*FILES, "http", "udp"))]
    )
    assert len(set(recorded.workers.values())) == len(recorded.workers)
    for name, text in recorded.maps.items():
        assert ("libavformat" in text) == name.startswith("libav-"), name
        assert ("libavcodec" in text) == name.startswith("libav-"), name
    assert recorded.health["workers_lost"] == 0


def test_the_camera_beside_them_lost_nothing(recorded: Recorded) -> None:
    frames = [
        Frame(one.frame, one.utc_ms, one.keyframe, one.sha256, one.sessions > 0)
        for one in read_frames(recorded.ledger / f"{recorded.spec.name}.frames.jsonl")
    ]
    site = recorded.site
    verdict = check(frames, site.stored("rtsp"), site.gaps("rtsp"), digest=sha256)
    verdict.clean()
    assert not verdict.excused
    assert "Traceback" not in site.log, site.log[site.log.index("Traceback") :][:3000]


def test_d13_another_device_behind_http_is_told(tmp_path: Path) -> None:
    files = make(tmp_path)
    transport = {name: tmp_path / f"{name}-live.ts" for name in ("h264", "h265")}
    for name, target in transport.items():
        command = f"-v error -nostdin -i {files[name]} -c copy -f mpegts {target}"
        subprocess.run([need("ffmpeg"), *command.split()], check=True, timeout=60)

    def doubted() -> bool:
        found = site.health().get("conditions", [])
        return "camera.identity_changed" in [each["code"] for each in found if each["subject"] == "http"]

    with (
        HttpCamera(transport["h264"]) as web,
        Site(tmp_path / "site", {"http": f"http://127.0.0.1:{web.port}/live.ts"}, segment_s=5) as site,
    ):
        site.wait_recording(bound_s=60)
        wait_for("it to be remembered", lambda: (site.state / "cameras.json").exists())
        for _ in range(2):
            web.stop()
            wait_for("the end to be noticed", lambda: site.states()["http"] != "recording", 30)
            assert not doubted()
            web.start()
            site.wait_recording("http", bound_s=60)
            time.sleep(4)
            assert not doubted(), "the same one came back"
        web.stop()
        web.path = transport["h265"]
        wait_for("the end to be noticed", lambda: site.states()["http"] != "recording", 30)
        web.start()
        wait_for("the alarm", doubted, 60)
        assert site.stop() == 0
