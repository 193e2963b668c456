"""What the checks of the machine look at: disks, clocks, files, units, memory, the page. Edge; it judges nothing."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import subprocess
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import links
from agent.clock import SystemSource
from agent.config import ConfigProblems
from agent.errors import StorageFault
from agent.field.doctor.judge_box import Opening, Place, Unit
from agent.field.doctor.judge_disk import LEAST_BYTES, DiskLook
from agent.log_ins import LogIns
from agent.storage.files import Disk, exists

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.config import Config, Secrets
    from agent.log_ins import Standing

SYNCS, SYNC_BYTES = 16, 64 << 10
STREAM_BYTES, STREAM_PIECE = 32 << 20, 4 << 20
STREAM_S = 8.0
ASK_S = 20.0
PROC = Path("/proc")
SYS = Path("/sys")
RUNNING = Path("/run/systemd/system")
UNIT_FOLDERS = (
    Path("/etc/systemd/system"),
    Path("/usr/lib/systemd/system"),
    Path("/lib/systemd/system"),
)
KEY_MARK = b"AGE-SECRET-KEY-1"
KEY_FILE_BYTES = 64 << 10
KEY_DEPTH = 3
EXPOSURE = re.compile(r"exposure level[^:]*: *([0-9]+(?:\.[0-9]+)?)")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def disk(place: Path, disk: Disk | None = None) -> DiskLook:
    """Measure a vault's disk with a file that has no name: nothing is left of it, whatever happens."""
    disk = disk or Disk()
    try:
        room = os.statvfs(place)
        on_root = place.stat().st_dev == Path("/").stat().st_dev
    except OSError as error:
        return DiskLook(str(place), False, 0, 0, (), 0, error.strerror or str(error))
    sizes = room.f_frsize * room.f_blocks, room.f_frsize * room.f_bavail
    if sizes[1] < LEAST_BYTES:
        return DiskLook(str(place), on_root, *sizes, (), 0, "")
    try:
        syncs, rate = _written(place, disk)
    except StorageFault as fault:
        return DiskLook(str(place), on_root, *sizes, (), 0, f"{fault.code} {fault.context.get('errno', '')}")
    except OSError:  # a file system without files that have no name
        syncs, rate = (), 0
    return DiskLook(str(place), on_root, *sizes, syncs, rate, "")


def _written(place: Path, disk: Disk) -> tuple[tuple[int, ...], int]:
    flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
    fd = disk.call("create", place, os.open, place, flags, 0o600)
    try:
        took = []
        for _ in range(SYNCS):
            begun = time.monotonic()
            disk.write_all(fd, place, os.urandom(SYNC_BYTES))
            disk.fdatasync(fd, place)
            took.append(round((time.monotonic() - begun) * 1000))
        piece, written = os.urandom(STREAM_PIECE), 0
        begun = time.monotonic()
        while written < STREAM_BYTES and time.monotonic() - begun < STREAM_S:
            disk.write_all(fd, place, piece)
            disk.fdatasync(fd, place)
            written += len(piece)
        return tuple(sorted(took)), int(written / max(time.monotonic() - begun, 1e-6))
    finally:
        disk.close(fd)


def clock(sys: Path = SYS) -> tuple[bool, int | None]:
    """Return whether the kernel's clock is synchronised, and the seconds by which the battery clock differs."""
    away = None
    for rtc in sorted(sys.glob("class/rtc/rtc*/since_epoch")):
        with contextlib.suppress(OSError, ValueError):
            away = int(rtc.read_text(encoding="ascii")) - int(time.time())
            break
    return SystemSource().kernel_synced(), away


def places(config: Config) -> list[Place]:
    """Return what must be closed to others: passwords, state, keys, vaults."""
    storage = config.storage
    sealed = [config.sealed_secrets_file] if exists(config.sealed_secrets_file) else []
    clear = [config.secrets_file] if exists(config.secrets_file) or not sealed else []
    wanted = [*sealed, *clear, storage.state, storage.state / "keys", *storage.vaults]
    return [_place(each) for each in wanted]


def sealing(config: Config, read: Secrets | None) -> tuple[Standing, Opening, bool]:
    """Return how log-ins lie there, whether they open, and whether they can be sealed.

    read  the log-ins as they were read; None: they could not be
    """
    beside = LogIns(config.file)
    can_seal = beside.machine.can_seal()
    if links.led_to(beside.clear) is None:  # which recording is not handed, whatever is read here
        return beside.standing(), Opening(None, "CONFIG_LINK"), can_seal
    if read is not None:
        return beside.standing(), Opening(True), can_seal
    if os.geteuid() != 0:
        return beside.standing(), Opening(None), can_seal
    try:
        beside.read()
    except ConfigProblems as wrong:
        code = wrong.problems[0].code
        opens = Opening(False) if code == "CONFIG_SECRETS_SHUT" else Opening(None, code)
        return beside.standing(), opens, can_seal
    return beside.standing(), Opening(True), can_seal  # they were mended meanwhile


def _place(path: Path) -> Place:
    try:
        status = path.stat()
    except PermissionError:
        return Place(str(path), None, None)
    except OSError:
        return Place(str(path), None, 0)
    return Place(str(path), status.st_mode & 0o777, status.st_uid)


def unit_names(config: Config) -> list[str]:
    """Return the units that this configuration needs."""
    names = ["pasu-record.service", "pasu-keep.service", "pasu-clock.service"]
    names += ["pasu-disks.timer", "pasu-fence-apply.timer"]
    names += ["pasu-secrets.path", "pasu-secrets-clear.path"]
    names += ["pasu-uplink.service"] if config.uplink else []
    names += ["pasu-egress.service", "pasu-tunnel.service"] if config.tunnel else []
    return names + (["pasu-page.service", "pasu-page-again.path"] if config.page else [])


def units(names: Iterable[str], running: Path = RUNNING) -> list[Unit] | None:
    """Ask systemd; None where it does not run."""
    if not running.is_dir():
        return None
    return [
        Unit(name, _said("systemctl", "is-enabled", name), _said("systemctl", "is-active", name))
        for name in names
    ]


def exposures(names: Iterable[str], folders: Iterable[Path] = UNIT_FOLDERS) -> dict[str, float]:
    """Ask systemd-analyze how open each unit is that is there."""
    found = {}
    for name in names:
        file = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if file is None or file.suffix != ".service":
            continue
        text = _said("systemd-analyze", "security", "--offline=true", "--no-pager", str(file))
        if answer := EXPOSURE.search(text):
            found[name] = float(answer[1])
    return found


def _said(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=ASK_S,
            check=False,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def swaps(proc: Path = PROC, sys: Path = SYS) -> list[str]:
    """Return swap that is on a disk and not encrypted."""
    try:
        lines = (proc / "swaps").read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return []
    names = [line.split()[0] for line in lines if line.split()]
    return [name for name in names if not _harmless(Path(name), sys)]


def _harmless(device: Path, sys: Path) -> bool:
    name = device.resolve().name
    if name.startswith("zram"):
        return True
    try:
        uuid = (sys / "block" / name / "dm" / "uuid").read_text(encoding="ascii")
    except OSError:
        return False
    return uuid.startswith("CRYPT-")


def cores(healths: Mapping[str, Mapping[str, Any] | None], proc: Path = PROC) -> dict[str, int | None]:
    """Return, of each process that holds pictures or keys, how large a core file it may leave; None: not to be seen."""
    record, keep = healths.get("record") or {}, healths.get("keep") or {}
    pids = {str(each["name"]): each["pid"] for each in record.get("workers", [])}
    pids |= {"keep": keep["pid"]} if "pid" in keep else {}
    return {name: _core(proc / str(pid) / "limits") for name, pid in pids.items()}


def _core(limits: Path) -> int | None:
    try:
        text = limits.read_text(encoding="ascii")
    except OSError:
        return None
    line = next((each for each in text.splitlines() if each.startswith("Max core file size")), "")
    words = line.removeprefix("Max core file size").split()
    if not words:
        return None
    return int(words[0]) if words[0].isdigit() else 1 << 62


def keys(folders: Iterable[Path]) -> tuple[list[str], int]:
    """Look for private keys that open video in small files; return where they are, and how many files were read."""
    found: list[str] = []
    looked = 0
    for folder in folders:
        for place, inside, files in os.walk(folder):
            if len(Path(place).relative_to(folder).parts) >= KEY_DEPTH:
                inside.clear()
            for name in files:
                file = Path(place) / name
                with contextlib.suppress(OSError):
                    if file.is_symlink() or not file.is_file() or file.stat().st_size > KEY_FILE_BYTES:
                        continue
                    looked += 1
                    if KEY_MARK in file.read_bytes().upper():
                        found.append(str(file))
    return sorted(found), looked


def page(config: Config, fingerprint: str) -> dict[str, str]:
    """Ask the page for its certificate at each of its addresses; return what is wrong, "" for nothing.

    fingerprint  that it says of itself in its health file
    """
    assert config.page is not None
    return {
        f"{host}:{config.page.port}": _greet(host, config.page.port, fingerprint)
        for host in config.page.listen
    }


def _greet(host: str, port: int, fingerprint: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = (
        ssl.CERT_NONE
    )  # nobody signed it: a person compares its fingerprint, and so is done here
    try:
        with socket.create_connection((host, port), 5) as plain, context.wrap_socket(plain) as talk:
            certificate = talk.getpeercert(binary_form=True) or b""
    except OSError as error:
        return error.strerror or str(error)
    ours = "".join(letter for letter in fingerprint.lower() if letter.isalnum())
    return "" if ours == sha256(certificate).hexdigest() else "another certificate"


def digest(file: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; "" when it cannot be read."""
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
