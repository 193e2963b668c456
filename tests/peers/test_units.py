"""Every process under the system calls that its unit leaves it: a filter that is too tight kills no worker on a site.

The real filters (tests/sandbox.py), the real processes, every kind of source; programs and brokers no one here wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agent.command.keyring import Role
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.lab import ROOT, Site, wait_for
from tests.living import PASU, Ear, Hand, LiveBox, Running, settled
from tests.page_lab import ask
from tests.page_lab import site as page_site
from tests.peer import need
from tests.peers.test_libav_sources import HttpCamera, free_udp_port, live, make
from tests.sandbox import allowed
from tests.town import Town
from tests.tunnel_lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNITS = ROOT / "systemd"


def under(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.sandbox", str(UNITS / f"pasu-{name}.service"), "--")


@pytest.fixture(autouse=True)
def needed(monkeypatch) -> None:
    need("systemd-analyze")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if os.geteuid() != 0:
        pytest.fail("needs root") if os.environ.get("CI") else pytest.skip("needs root")


def test_the_sandbox_is_one() -> None:
    """What it should refuse it refuses: memory that is written and run, name spaces, other kinds of sockets, the clock."""
    tried = (
        "import ctypes, errno, mmap, socket\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.unshare(0x10000000) == -1 and ctypes.get_errno() == errno.EPERM\n"
        "assert libc.adjtimex(ctypes.create_string_buffer(512)) == -1 and ctypes.get_errno() == errno.EPERM\n"
        "for family in (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_INET):\n"
        "    try: socket.socket(family, socket.SOCK_DGRAM)\n"
        "    except OSError as error: assert error.errno == errno.EAFNOSUPPORT\n"
        "    else: raise AssertionError(family)\n"
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "try: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "except OSError as error: assert error.errno == errno.EPERM\n"
        "else: raise AssertionError('mmap')\n"
    )
    done = subprocess.run(
        [*under("keep"), sys.executable, "-c", tried], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["record", "keep", "uplink", "page"])
def test_no_unit_may_look_at_others_or_set_clocks(name: str) -> None:
    refused = {
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "adjtimex",
        "clock_adjtime",
        "clock_settime",
    }
    refused |= {
        "mount",
        "unshare",
        "setns",
        "init_module",
        "kexec_load",
        "bpf",
        "io_uring_setup",
        "perf_event_open",
    }
    assert not refused & allowed(UNITS / f"pasu-{name}.service")


def test_every_kind_of_source_is_recorded_under_the_filter(tmp_path: Path) -> None:
    """H.264, H.265, MJPEG and MPEG-4 by RTSP over TCP and UDP; files, HTTP and UDP by libav; raw pictures encoded."""
    files = make(tmp_path)
    codecs = ("h264", "h265", "mjpeg", "mpeg4", "h264")
    specs = [
        CameraSpec(n, codec=codec, width=320, height=240, fps=10, gop=10)  # type: ignore[arg-type]
        for n, codec in enumerate(codecs, 1)
    ]
    port = free_udp_port()
    with contextlib.ExitStack() as stack:
        cameras = stack.enter_context(CameraProcess(specs, tmp_path / "ledger"))
        web = stack.enter_context(HttpCamera(files["h264"]))
        urls = {name: f"file:{path}" for name, path in files.items()}
        urls |= {"http": f"http://127.0.0.1:{web.port}/live.ts", "udp": f"udp://127.0.0.1:{port}"}
        urls |= {f"rtsp{n}": url for n, url in cameras.urls.items()}
        sender = live(files["h264"], f"udp://127.0.0.1:{port}?pkt_size=1316")
        stack.callback(sender.wait)
        stack.callback(sender.kill)
        site = Site(
            tmp_path / "site",
            urls,
            segment_s=5,
            camera_options={"rtsp5": {"transport": "udp"}},
            within=under("record"),
        )
        with site:
            for camera in urls:
                wait_for(f"two segments of {camera}", lambda camera=camera: site.committed(camera, 2), 180)
            assert "Traceback" not in site.log, site.log[-3000:]
            # On a busy machine one may be late, which is no matter of the filter; what a filter ends dies otherwise.
            assert {body["how"] for _, _, body in site.facts("worker.lost")} <= {"hung"}
            assert site.stop(120) == 0
        for camera in urls:
            assert site.stored(camera), camera


class Scene:
    """A box whose keeper and uplink run under their units' filters, and a city that commands it."""

    def __init__(self, folder: Path) -> None:
        self.town = Town(folder)
        self.officer = Hand(self.town, Role.OFFICER, "kim")
        self.box = LiveBox(self.town)
        self.box.keep = Running(self.box.keep.log, *self.box.keep.arguments, within=under("keep"))
        uplink = ("nice", "-n", "10", *under("uplink"))  # as the unit's Nice=
        self.box.uplink = Running(self.box.uplink.log, *self.box.uplink.arguments, within=uplink)
        self.town.start()
        self.ear = Ear(self.town, "reply")

    def end(self) -> None:
        self.ear.close()
        self.box.end()
        self.town.stop()


def test_a_command_is_carried_and_carried_out_under_the_filters(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with settled(scene):
        scene.box.begin()
        own, text = scene.officer.sign("inspect")
        scene.ear.send(text)
        assert scene.ear.wait_reply(own)["status"] == "done"
        for each in (scene.box.keep, scene.box.uplink):
            assert "Traceback" not in each.said()


def test_the_tunnel_comes_up_and_is_kept_under_its_filter_and_with_its_two_rights(tmp_path: Path) -> None:
    """By wireguard-go, which is started under the same filter, and with the box's own `ip`, `wg` and `nft`."""
    with Lab(tmp_path) as lab:
        lab.within = under("tunnel")
        lab.hub_up()
        lab.boot()
        lab.watch()
        lab.start_uplink()
        lab.wait_traffic()
        lab.delete_link()
        lab.wait_traffic()
        assert lab.health()["lacks"] == []
        assert "Traceback" not in (tmp_path / "watch.log").read_text()


def test_a_wrong_file_of_passwords_is_seen_under_the_filter(tmp_path: Path) -> None:
    """Whoever restarts recording for new passwords looks at them first (pasu-secrets.service)."""
    site = Site(tmp_path, {"cam01": "rtsp://10.0.0.11/"})
    check = [*under("secrets"), str(PASU), "config", "check", str(site.config)]
    assert subprocess.run(check, capture_output=True, timeout=120).returncode == 0
    (tmp_path / "secrets.toml").write_text("[nonsense")
    assert subprocess.run(check, capture_output=True, timeout=120).returncode == 78


@pytest.mark.parametrize(
    ("unit", "words"), [("fence-apply", ("fence", "status", "--json")), ("disks", ("disks", "--json"))]
)
def test_what_is_called_for_a_moment_runs_under_its_filter(
    tmp_path: Path, unit: str, words: tuple[str, ...]
) -> None:
    site = Site(tmp_path, {"cam01": "rtsp://10.0.0.11/"})
    for folder in (site.run, site.state):
        folder.mkdir()
    command = [*under(unit), str(PASU), *words, "--config", str(site.config)]
    done = subprocess.run(["unshare", "--net", *command], capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout), done.stderr
    assert "Operation not permitted" not in done.stdout + done.stderr


@pytest.fixture
def page(tmp_path: Path) -> Iterator[object]:
    box = page_site(tmp_path)
    running = Running(tmp_path / "page.log", "page", "--config", str(box.config.file), within=under("page"))
    running.start()
    yield box
    running.kill()


def test_the_page_answers_under_its_filter(page) -> None:
    def answers() -> bool:
        with contextlib.suppress(OSError):
            return ask(page).status == 303
        return False

    wait_for("the page", answers, 120)


def test_who_asks_for_the_clock_is_answered_and_says_it(tmp_path: Path) -> None:
    tried = "import ctypes; assert ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) >= 0"
    assert subprocess.run([*under("clock"), sys.executable, "-c", tried], timeout=60).returncode == 0
    place = tmp_path / "kernel.json"
    code = (
        f"from pathlib import Path; from agent import kernel_clock; kernel_clock.main(Path({str(place)!r}))"
    )
    process = subprocess.Popen([*under("clock"), sys.executable, "-P", "-c", code])
    try:
        wait_for("what the kernel says", place.exists, 60)
        process.terminate()
        assert process.wait(60) == 0
        assert not place.exists()
    finally:
        process.kill()
        process.wait()
