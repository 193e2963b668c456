"""A box that can lose its power: Debian under systemd in QEMU, cameras next door on the host, disks that forget.

The root is made by mmdebstrap with Debian's own kernel, and kept by a digest of its recipe. The guest has no way to a
package archive: what a package needs is laid into apt's own cache, as from a stick. Commands go over a virtio port.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.lab import ROOT, wait_for
from tests.lossy_disk import LossyDisk
from tests.package_lab import kept
from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "10.0.2.2"
"""The host's loopback, as the guest sees it."""
SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "udev",
    "kmod",
    "dbus",
    "e2fsprogs",
    "initramfs-tools",
    "linux-image-cloud-amd64",
    "python3-minimal",
    "chrony",
    "ca-certificates",
)
"""python3-minimal, which knows no JSON, is for the port's other end alone."""
STICK = "/mnt"
"""Where the files that a technician brings along are to be found."""
ROOT_BYTES = 6 << 30
VAULT_BYTES = 300 << 30
"""Thirty days of a few cameras; the image is sparse."""
TCG_TIMES = 10
"""Where there is no KVM every bound is so many times longer."""

PORT = "pasu.lab"
AGENT = (ROOT / "tests" / "guest_agent.py").read_text()
AGENT_UNIT = """
[Unit]
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
[Service]
ExecStart=/usr/bin/python3 /usr/local/sbin/lab-agent
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive HOME=/root
Restart=always
RestartSec=1
KillMode=process
[Install]
WantedBy=sysinit.target
"""
UDEV = f'SUBSYSTEM=="virtio-ports", ATTR{{name}}=="{PORT}", TAG+="systemd", ENV{{SYSTEMD_WANTS}}="lab-agent.service"\n'
NETWORK = "[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n[Link]\nRequiredForOnline=yes\n"
FSTAB = f"/dev/vda / ext4 errors=remount-ro 0 1\n/dev/vdc {STICK} ext4 ro,nofail 0 0\n"


@dataclass(frozen=True, slots=True)
class Base:
    """An image to copy from, and what boots it."""

    image: Path
    kernel: Path
    initrd: Path


def accelerated() -> bool:
    """Tell whether guests run on the processor itself: /dev/kvm alone says nothing where it emulates every instruction."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and bool({"vmx", "svm"} & set(flags))


def patience(seconds: float) -> float:
    """Return a bound as it is for this machine."""
    return seconds if accelerated() else seconds * TCG_TIMES


def need_root() -> None:
    """Users and device files of a root file system are root's to make."""
    if os.geteuid() != 0:
        pytest.fail("needs root") if os.environ.get("CI") else pytest.skip("needs root")


def base(package: Path | None = None) -> Base:
    """Return a root file system with what a package depends on in apt's cache; made where it is not there yet."""
    need_root()
    needs = "" if package is None else _field(package, "Depends") + "|" + _field(package, "Recommends")
    recipe = repr((SUITE, PACKAGES, AGENT, AGENT_UNIT, UDEV, NETWORK, FSTAB, ROOT_BYTES, needs))
    folder = kept() / f"vm-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    found = Base(folder / "root.img", folder / "vmlinuz", folder / "initrd.img")
    if not folder.exists():
        part = folder.with_suffix(f".{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            _make(part, package)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return found


def _field(package: Path, name: str) -> str:
    done = subprocess.run([need("dpkg-deb"), "-f", package, name], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _make(folder: Path, package: Path | None) -> None:
    tree = folder / "tree"
    hooks = []
    if package is not None:
        fetch = "apt-get -oAPT::Install-Recommends=true --yes --download-only install"
        apt = 'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"'
        hooks = [f"--customize-hook={apt}; apt-get clean && {fetch} {package.absolute()}"]
    command = [need("mmdebstrap"), "--mode=root", "--variant=apt", "--skip=cleanup/apt"]
    done = subprocess.run(
        [*command, f"--include={','.join(PACKAGES)}", *hooks, SUITE, str(tree)],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, f"mmdebstrap: {done.stderr[-3000:]}"
    files = {
        "usr/local/sbin/lab-agent": AGENT,
        "etc/systemd/system/lab-agent.service": AGENT_UNIT,
        "etc/udev/rules.d/60-lab.rules": UDEV,
        "etc/systemd/network/10-lab.network": NETWORK,
        "etc/fstab": FSTAB,
        "etc/hostname": "pasu-lab\n",
        "etc/resolv.conf": "",
        "etc/machine-id": "",
    }
    for name, text in files.items():
        place = tree / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text(text)
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "systemd-networkd.service").symlink_to("/lib/systemd/system/systemd-networkd.service")
    for name in ("vmlinuz", "initrd.img"):
        (found,) = (tree / "boot").glob(f"{name}-*")
        shutil.copyfile(found, folder / name)
    image = folder / "root.img"
    with image.open("wb") as file:
        file.truncate(ROOT_BYTES)
    subprocess.run([need("mkfs.ext4"), "-q", "-L", "root", "-d", tree, image], check=True, timeout=600)
    shutil.rmtree(tree)


def make_vault(image: Path) -> None:
    """Make a disk for recordings, with a file system and nothing else on it."""
    with image.open("wb") as file:
        file.truncate(VAULT_BYTES)
    # Few inodes: the kernel writes their tables in the background, into a sparse file.
    command = [need("mkfs.ext4"), "-q", "-L", "pasu-vault", "-m", "0", "-T", "largefile4", image]
    subprocess.run(command, check=True, timeout=600)


def make_stick(folder: Path, files: Sequence[Path]) -> Path:
    """Make an image of a file system that holds copies of files."""
    tree, image = folder / "stick", folder / "stick.img"
    tree.mkdir()
    for file in files:
        shutil.copy(file, tree)
    with image.open("wb") as made:
        made.truncate((32 << 20) + 2 * sum(file.stat().st_size for file in files))
    subprocess.run([need("mkfs.ext4"), "-q", "-d", tree, image], check=True, timeout=600)
    shutil.rmtree(tree)
    return image


class Box:
    """A box that is spoken to; how, its kind knows."""

    folder: Path
    boot_id = ""
    started_ms = 0
    """UTC of the host when it was switched on."""

    def run(self, *command: str, data: bytes = b"", seconds: float = 60) -> str:
        """Run a command in the box as root; returns what it wrote on standard output. It must end with 0."""
        status, out, err = self.try_run(*command, data=data, seconds=seconds)
        assert status == 0, f"{' '.join(command)}: {status}\n{out[-3000:]}\n{err[-3000:]}"
        return out

    def try_run(self, *command: str, data: bytes = b"", seconds: float = 60) -> tuple[int, str, str]:
        """Run a command in the box; returns its status, standard output and standard error."""
        status, out, err = self.ask(list(command), data, seconds)
        return status, out.decode(errors="replace"), err.decode(errors="replace")

    def ask(self, command: list[str], data: bytes, seconds: float) -> tuple[int, bytes, bytes]:
        raise NotImplementedError

    def wait_up(self, bound_s: float = 120) -> str:
        raise NotImplementedError

    def sh(self, script: str, data: bytes = b"", seconds: float = 60) -> str:
        """Run a script of the shell in the box."""
        return self.run("sh", "-euc", script, data=data, seconds=seconds)

    def put(self, place: str, data: bytes, mode: str = "0644") -> None:
        """Write a file in the box."""
        self.sh(f'mkdir -p "$(dirname {place})"; cat > {place}; chmod {mode} {place}', data)

    def get(self, place: str) -> bytes:
        """Read a file of the box."""
        status, out, err = self.ask(["cat", place], b"", 60)
        assert status == 0, f"{place}: {err.decode()}"
        return out

    def reboot(self) -> None:
        """Start again in order, and wait until it is up."""
        before = self.boot_id
        self.run("systemctl", "--no-block", "reboot")
        while self.wait_up() == before:
            time.sleep(0.1)


class Guest(Box):
    """One virtual box, its second disk new. Its disks keep what was flushed, and of the rest what chance keeps.

    folder   images, console.log
    stick    files that it finds in STICK
    forward  TCP port of the guest -> port of the host's loopback
    """

    def __init__(
        self,
        folder: Path,
        found: Base,
        *,
        stick: Sequence[Path] = (),
        seed: int = 0,
        forward: dict[int, int] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._base = found
        self._forward = forward or {}
        self._asked = 0
        self._held = b""
        self._port: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.images = [folder / "root.img", folder / "vault.img"]
        subprocess.run(["cp", "--sparse=always", found.image, self.images[0]], check=True, timeout=300)
        self._stick = make_stick(folder, stick)
        with self.images[1].open("wb") as file:
            file.truncate(VAULT_BYTES)
        # A path of a Unix socket is short.
        self._sockets = Path(
            subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip()
        )
        names = ("root", "vault")
        self.disks = [
            LossyDisk(image, self._sockets / name, seed + number)
            for number, (image, name) in enumerate(zip(self.images, names, strict=True))
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the guest, if it still runs, and let go of everything."""
        if self.process is not None:
            self.pull()
        for disk in self.disks:
            disk.close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def console(self) -> str:
        return (self.folder / "console.log").read_text(errors="replace")

    # power

    def plug_in(self) -> None:
        """Switch on. The moment is in `started_ms`, UTC of the host."""
        assert self.process is None
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self._forward.items())
        accel = (
            ["-accel", "kvm", "-cpu", "host"]
            if accelerated()
            else ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"]
        )
        port = self._sockets / "port"
        # It ends with the test, however that ends.
        command = [
            need("setpriv"),
            "--pdeathsig=KILL",
            need("qemu-system-x86_64"),
            "-machine",
            "q35",
            *accel,
            "-m",
            "1536",
            "-smp",
            "2",
        ]
        command += ["-nodefaults", "-display", "none", "-no-user-config"]
        command += ["-kernel", self._base.kernel, "-initrd", self._base.initrd]
        command += ["-append", "root=/dev/vda ro console=ttyS0 net.ifnames=0 mitigations=off"]
        command += [
            "-chardev",
            f"file,id=tty,path={self.folder / 'console.log'},append=on",
            "-serial",
            "chardev:tty",
        ]
        command += ["-device", "virtio-serial", "-chardev", f"socket,id=lab,path={port},server=on,wait=off"]
        command += ["-device", f"virtserialport,chardev=lab,name={PORT}", "-device", "virtio-rng-pci"]
        command += ["-netdev", f"user,id=net{forwards}", "-device", "virtio-net-pci,netdev=net"]
        for number, disk in enumerate(self.disks):
            command += ["-drive", f"if=none,id=d{number},format=raw,file=nbd+unix:///?socket={disk.place}"]
            command += ["-device", f"virtio-blk-pci,drive=d{number},write-cache=on,serial=lab{number}"]
        command += ["-drive", f"if=virtio,format=raw,readonly=on,file={self._stick}"]
        port.unlink(missing_ok=True)
        with (self.folder / "qemu.log").open("ab") as log:
            self.started_ms = time.time_ns() // 1_000_000
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._connect(port)

    def _connect(self, port: Path) -> None:
        def connected() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "qemu.log").read_text()[-2000:]
            found = socket.socket(socket.AF_UNIX)
            try:
                found.connect(str(port))
            except OSError:
                found.close()
                return False
            self._port = found
            return True

        self._held = b""
        wait_for("QEMU's socket", connected, 60)

    def pull(self) -> int:
        """Pull the plug; returns the UTC ms of the moment before."""
        assert self.process is not None
        at_ms = time.time_ns() // 1_000_000
        self.process.kill()
        self.process.wait(60)
        self.process = None
        self._hang_up()
        for disk in self.disks:
            disk.cut()
        return at_ms

    def shut_down(self) -> None:
        """Switch off in order."""
        assert self.process is not None
        self.run("systemctl", "--no-block", "poweroff")
        self.process.wait(patience(180))
        self.process = None
        self._hang_up()

    def _hang_up(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    # talk

    def wait_up(self, bound_s: float = 120) -> str:
        """Wait until the guest says that it is there; returns the name of this boot."""
        until = time.monotonic() + patience(bound_s)
        while True:
            said = self._next(until)
            if "up" in said:
                self.boot_id = said["up"]
                return self.boot_id

    def ask(self, command: list[str], data: bytes, seconds: float) -> tuple[int, bytes, bytes]:
        assert self._port is not None, "the guest is off"
        self._asked += 1
        bound_s = patience(seconds)
        asked = {
            "id": self._asked,
            "run": command,
            "input": base64.b64encode(data).decode(),
            "seconds": bound_s,
        }
        self._port.settimeout(bound_s)
        self._port.sendall(repr(asked).encode() + b"\n")
        until = time.monotonic() + bound_s + 30
        while True:
            said = self._next(until)
            if said.get("id") == self._asked:
                return said["status"], base64.b64decode(said["out"]), base64.b64decode(said["err"])

    def _next(self, until: float) -> dict[str, Any]:
        """Return what the guest says next; what is left over of an interrupted boot is passed over."""
        assert self._port is not None
        while True:
            line, newline, rest = self._held.partition(b"\n")
            if newline:
                self._held = rest
                with contextlib.suppress(ValueError, SyntaxError):
                    said = ast.literal_eval(line.decode())
                    if isinstance(said, dict):
                        return said
                continue
            left = until - time.monotonic()
            assert left > 0, f"the guest says nothing; its console: {self.console[-3000:]}"
            self._port.settimeout(left)
            try:
                part = self._port.recv(1 << 20)
            except TimeoutError:
                continue
            assert part, f"QEMU went away: {(self.folder / 'qemu.log').read_text()[-2000:]}"
            self._held += part


def read_out(image: Path, place: str, to: Path) -> None:
    """Copy a folder out of a disk that nobody uses, without mounting it."""
    to.mkdir(parents=True, exist_ok=True)
    command = [need("debugfs"), "-R", f"rdump {place} {to}", image]
    subprocess.run(command, check=True, capture_output=True, timeout=600)


class TimeServer:
    """Answers SNTP (RFC 4330) on the host with the host's own time."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                asked, sender = self._socket.recvfrom(1024)
            except OSError:
                return
            if len(asked) >= 48:
                stamp = _ntp(time.time())
                # Leap 0, version 4, server; stratum 2; poll 4; precision 2^-20; a root that is near.
                head = bytes([0x24, 2, 4, 0xEC]) + bytes(8) + b"\x7f\x00\x00\x01"
                with contextlib.suppress(OSError):
                    self._socket.sendto(head + stamp + asked[40:48] + stamp + _ntp(time.time()), sender)


def _ntp(at_s: float) -> bytes:
    return int((at_s + 2_208_988_800) * (1 << 32)).to_bytes(8, "big")


def set_time(box: Box, server: TimeServer, host: str, *more: str) -> None:
    """Have a box follow a time server, as a site follows that of its city. host: the server, as the box sees it."""
    lines = (f"server {host} port {server.port} iburst minpoll 2 maxpoll 4", "rtcsync", *more)
    box.put("/etc/chrony/chrony.conf", "".join(f"{line}\n" for line in lines).encode())
    box.run("systemctl", "restart", "chrony")
