"""What hardware tests have in common: the machine, a recorder with virtual cameras, skipping, the evidence file.

Each test is a program: `python hardware_tests/x.py`. It ends with 0 when all is as expected, 1 when not, and 77 when
what it needs is not there; the reason is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SKIPPED = 77
CONFIG = """
[box]
id = "hardware-test"
site = "bench"
operator = "hardware test"
contact = "none"
[storage]
vault = "{vault}"
state = "{place}/state"
run = "{place}/run"
segment_s = {segment_s}
recipients = ["{recipient}"]
"""
CAMERA = """
[[camera]]
id = "{id}"
name = "{id}"
url = "{url}"
purpose = "facility-management"
legal_basis = "hardware test, nobody in the picture"
"""


class Skip(Exception):
    """What the test needs is not there."""


def options(doc: str, *arguments: tuple, own: str | None = None) -> argparse.Namespace:
    """Read the command line. Each argument: its name, and what add_argument takes besides."""
    parser = argparse.ArgumentParser(
        description=own or doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, more in arguments:
        parser.add_argument(name, **more)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs/evidence/hardware", help="folder for the evidence file"
    )
    given = parser.parse_args()
    there = next(each for each in (given.out, *given.out.absolute().parents) if each.exists())
    need(
        there.is_dir() and os.access(there, os.W_OK),
        f"{given.out} cannot be written: name another folder with --out",
    )
    return given


def run(test) -> None:
    """Run a test, and end the program with its status."""
    try:
        status = test()
    except Skip as reason:
        print(f"skipped: {reason}")
        status = SKIPPED
    sys.exit(status)


def need(true: object, reason: str) -> None:
    if not true:
        raise Skip(reason)


def need_root() -> None:
    need(os.geteuid() == 0, "run it as root")


def text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def pasu(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent.cli.main", *arguments],
        check=False, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "LANG": "C.UTF-8"}, **more,
    )  # fmt: skip


def machine(vault: Path | None = None) -> dict[str, str]:
    """Describe the box: its model and firmware, and the disk that a vault lies on."""
    from agent import __version__, disks

    dmi = Path("/sys/class/dmi/id")
    model = f"{text(dmi / 'sys_vendor')} {text(dmi / 'product_name')}".strip()
    firmware = f"{text(dmi / 'bios_version')} {text(dmi / 'bios_date')}".strip()
    processor = [
        line.partition(":")[2].strip() for line in text("/proc/cpuinfo").splitlines() if "model name" in line
    ]
    said = {
        "box": model or text("/proc/device-tree/model") or "not known",
        "firmware": firmware or text("/proc/device-tree/chosen/u-boot,version") or "not known",
        "processor": f"{os.cpu_count()} x {processor[0] if processor else platform.machine()}",
        "system": f"{platform.freedesktop_os_release().get('PRETTY_NAME', '')}, Linux {platform.release()}",
        "pasu": __version__,
    }
    if vault is not None:
        for device in disks.devices_of(vault):
            block = Path("/sys/block", device, "device")
            firmware = text(block / "rev") or text(block / "firmware_rev") or "not known"
            said["disk"] = f"{device}, {text(block / 'model') or 'no model'}, firmware {firmware}"
    return said


def conclude(
    given: argparse.Namespace, title: str, seen: dict[str, object], good: bool, vault: Path | None = None
) -> int:
    """Write the evidence file, and print it."""
    name = f"{Path(sys.argv[0]).stem.replace('_', '-')}-{platform.node()}-{platform.machine()}.md"
    given.out.mkdir(parents=True, exist_ok=True)
    lines = [
        f"# {title}",
        "",
        f"`python hardware_tests/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}`".replace(" `", "`"),
        "",
    ]
    lines += [f"- {what}: {said}" for what, said in (machine(vault) | seen).items()]
    lines += [
        "",
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}. Result: {'as expected' if good else 'NOT as expected'}",
        "",
    ]
    (given.out / name).write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return 0 if good else 1


def wait_for(what: str, ready, bound_s: float = 120.0):
    end = time.monotonic() + bound_s
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.1)
    raise SystemExit(f"waited {bound_s:.0f} s in vain for {what}")


def cpu_and_memory(pid: int) -> tuple[float, int, int]:
    """Return processor seconds, resident bytes and open files of a process and its children."""
    import psutil

    found = psutil.Process(pid)
    cpu, memory, files = 0.0, 0, 0
    for each in (found, *found.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = each.cpu_times()
            cpu += times.user + times.system
            memory += each.memory_info().rss
            files += each.num_fds()
    return cpu, memory, files


class Recording:
    """`pasu record` with cameras of our own, into a directory of the disk in question.

    urls  by camera; without it virtual cameras on this machine: so many, at so many kbit/s each
    """

    def __init__(
        self,
        vault: Path | None,
        cameras: int = 16,
        kbit: int = 4000,
        urls: dict[str, str] | None = None,
        segment_s: int = 60,
    ) -> None:
        from agent.demo.server import CameraProcess
        from agent.demo.spec import CameraSpec

        self._scratch = tempfile.TemporaryDirectory(prefix="pasu-bench-")
        self.place = Path(self._scratch.name)
        self.vault = (vault or self.place) / "pasu-bench-vault"
        need(not self.vault.exists(), f"{self.vault} is there from before: look at it, and remove it")
        self.segment_s = segment_s
        self.given = urls
        specs = [
            CameraSpec(number, width=1280, height=720, fps=25, gop=50, bitrate=kbit * 1000, prepared=True)
            for number in range(1, cameras + 1)
        ]
        self.cameras = None if urls else CameraProcess(specs)
        self.names = {f"cam{number:02d}": number for number in range(1, cameras + 1)}
        self.process: subprocess.Popen | None = None

    def __enter__(self):
        if self.cameras is not None:
            self.cameras.start()
        urls = self.given or {name: self.cameras.urls[number] for name, number in self.names.items()}
        self.names = dict.fromkeys(urls, 0)
        self.vault.mkdir(parents=True)
        said = pasu("centre", "keygen", "-o", str(self.place / "key.txt")).stdout
        recipient = next(word for word in said.split() if word.startswith("age1"))
        text = CONFIG.format(
            place=self.place, vault=self.vault, recipient=recipient, segment_s=self.segment_s
        )
        self.config = self.place / "agent.toml"
        self.config.write_text(text + "".join(CAMERA.format(id=name, url=url) for name, url in urls.items()))
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()
        if self.cameras is not None:
            self.cameras.stop()
        for path in sorted(self.vault.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.vault.rmdir()
        self._scratch.cleanup()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent.cli.main", "record", "--config", str(self.config)],
            stderr=(self.place / "record.log").open("ab"), cwd=ROOT, start_new_session=True,
        )  # fmt: skip

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def health(self) -> dict:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.place / "run" / "record.json").read_text())
        return {}

    def recording(self) -> int:
        """Return how many cameras are recorded now."""
        return sum(each["state"] == "recording" for each in self.health().get("cameras", {}).values())

    def wait_recording(self, bound_s: float = 120.0) -> float:
        """Return after how many seconds all are recorded."""
        begun = time.monotonic()
        wait_for("recording of all cameras", lambda: self.recording() == len(self.names), bound_s)
        return time.monotonic() - begun

    def rows(self, query: str) -> list[tuple]:
        return ask(self.place / "state", query)

    def gaps(self) -> list[tuple]:
        """Return camera, begin, end and cause of every gap but the one before the first picture."""
        return self.rows("select camera, start_ms, end_ms, cause from gap order by start_ms")

    def stored_bytes(self) -> int:
        return self.rows("select coalesce(sum(sealed_bytes), 0) from segment")[0][0]


def ask(state: Path, query: str, *values: object) -> list[tuple]:
    """Ask a box's catalogue; it is only read."""
    place = state / "catalogue.db"
    if not place.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=30)) as catalogue:
        return catalogue.execute(query, values).fetchall()


def box(config: Path):
    """Return the configuration of the box itself, for tests of what is installed."""
    from agent.config import load

    need(config.exists(), f"{config} is not there: install and configure the box first")
    return load(config)


def said(config, process: str) -> dict:
    from agent.health import read_health

    return read_health(config.storage.run, process) or {}
