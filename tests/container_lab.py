"""A box without a kernel of its own: systemd-nspawn over two disks, and a power cut as file systems know it.

The cut is EXT4_IOC_SHUTDOWN without flushing the journal, as xfstests' `godown` does it: from that instant nothing more
reaches either disk, neither data nor journal. Then every process is killed. Boots take seconds, so that there can be
many; a kernel's boot and a disk's own cache are tests.vm_lab's matter.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.lab import tree, wait_for
from tests.peer import need
from tests.vm_lab import STICK, Box, make_vault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.vm_lab import Base

_SHUTDOWN, _NO_LOG_FLUSH = (
    0x8004587D,
    2,
)  # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH of linux/fs/ext4/ext4.h
_ADJ_FREQUENCY, _ADJ_STATUS, _ADJ_TICK = 2, 0x10, 0x4000  # linux/timex.h
_TIMEX = (("q", 16), ("i", 40), ("q", 88))
"""Form and place of rate, state and tick."""
_AGAIN = 133  # systemd-nspawn's word for a box that wants to start anew
_CAPABILITIES = "--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON"


class Container(Box):
    """One box in a container.

    folder     images, mounts, console.log
    stick      files that it finds in STICK
    neighbour  the host, as the box sees it, and where cameras listen; it stays when the box, and the line to it, goes
    address    of the box
    """

    def __init__(
        self, folder: Path, found: Base, *, stick: Sequence[Path] = (), sets_time: bool = False
    ) -> None:
        """Make its disks.

        sets_time  its time service may discipline the clock, which is the host's (`clock_as_it_was`)
        """
        self._clock = "--capability=CAP_SYS_TIME" if sets_time else "--drop-capability=CAP_SYS_TIME"
        folder.mkdir(parents=True, exist_ok=True)
        number = os.getpid() % 250
        self._machine = f"pasu-{number}"
        self._line_end, self.neighbour, self.address = (f"10.9.{number}.{host}" for host in (1, 2, 15))
        self._network = folder / "host0.network"
        self._network.write_text(
            f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\nGateway={self.neighbour}\n"
        )
        self._stick = folder / "stick"
        self._stick.mkdir()
        for file in stick:
            shutil.copy(file, self._stick)
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.images = [folder / "root.img", folder / "vault.img"]
        self.mounts = [folder / "root", folder / "vault"]
        for mount in self.mounts:
            mount.mkdir(exist_ok=True)
        subprocess.run(["cp", "--sparse=always", found.image, self.images[0]], check=True, timeout=300)
        make_vault(self.images[1])
        _host_address("replace", self.neighbour)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the box, if it still runs, and let go of everything."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.pull()
        finally:
            _host_address("del", self.neighbour)

    @property
    def console(self) -> str:
        return (self.folder / "console.log").read_text(errors="replace")

    # power

    def plug_in(self) -> None:
        """Switch on: check and mount the disks, as the kernel and the first file system do, and begin with systemd."""
        assert self.process is None
        self.started_ms = time.time_ns() // 1_000_000
        for image in self.images:
            done = subprocess.run([need("e2fsck"), "-p", image], capture_output=True, text=True, timeout=300)
            assert done.returncode in (0, 1), f"a person would be asked: {done.stdout}{done.stderr}"
        root, vault = self.mounts
        # In a mount namespace of their own: one that somebody else makes meanwhile would hold these disks too.
        mount = "mount -o loop,noatime"
        script = f'{mount} "$1" "$2" && mkdir -p "$2/var/lib/pasu/vault" && {mount} "$3" "$4" && shift 4 && exec "$@"'
        disks = [self.images[0], root, self.images[1], vault]
        command = [need("unshare"), "--mount", "--propagation=private", "sh", "-euc", script, "sh", *disks]
        command += [
            need("systemd-nspawn"),
            "--quiet",
            "--boot",
            f"--directory={root}",
            f"--machine={self._machine}",
        ]
        command += [
            "--register=no",
            "--keep-unit",
            "--network-veth",
            "--link-journal=no",
            "--resolv-conf=off",
        ]
        command += [_CAPABILITIES, "--drop-capability=CAP_SYS_MODULE", self._clock]
        command += ["--system-call-filter=bpf @keyring", "--console=pipe"]
        command += [f"--bind={vault}:/var/lib/pasu/vault", f"--bind-ro={self._stick}:{STICK}"]
        command += [f"--bind-ro={self._network}:/etc/systemd/network/05-host0.network"]
        with (self.folder / "console.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        wait_for("the box's network", self._address, 60)

    def _address(self) -> bool:
        """Give the host's end of the line its address, once there is one."""
        name = f"ve-{self._machine}"
        command = f"ip address replace {self._line_end}/24 dev {name} && ip link set {name} up"
        assert self.process is not None
        assert self.process.poll() is None, self.console[-3000:]
        return subprocess.run(["sh", "-c", command], capture_output=True, timeout=60).returncode == 0

    def pull(self) -> int:
        """Pull the plug; returns the UTC ms of the moment before."""
        assert self.process is not None
        at_ms = time.time_ns() // 1_000_000
        for mount in self.mounts:
            fd = os.open(f"/proc/{self.process.pid}/root{mount}", os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
            finally:
                os.close(fd)
        for pid in tree(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        self.process = None
        self._wait_end()
        return at_ms

    def shut_down(self) -> None:
        """Switch off in order."""
        assert self.process is not None
        self.run("systemctl", "--no-block", "poweroff")
        self.process.wait(120)
        self.process = None
        self._wait_end()

    def reboot(self) -> None:
        """Start again in order, and wait until it is up."""
        assert self.process is not None
        self.run("systemctl", "--no-block", "reboot")
        assert self.process.wait(120) == _AGAIN, self.console[-3000:]
        self.process = None
        self._wait_end()
        self.plug_in()
        self.wait_up()

    def _wait_end(self) -> None:
        """Wait until nobody holds the disks: one that is held would be mounted as it was, and not as it is."""
        for image in self.images:
            wait_for(f"the end of {image}", partial(_let_go, image), 60)

    # talk

    def ask(self, command: list[str], data: bytes, seconds: float) -> tuple[int, bytes, bytes]:
        leader = self._leader()
        assert leader, "the box is off"
        enter = ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "--root", "--wd"]
        words = [
            "env",
            "-i",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
        ]
        words += ["DEBIAN_FRONTEND=noninteractive", "HOME=/root"]
        try:
            done = subprocess.run(
                [*enter, *words, *command], input=data, capture_output=True, timeout=seconds
            )
        except subprocess.TimeoutExpired as late:
            return 124, late.stdout or b"", late.stderr or b""
        return done.returncode, done.stdout, done.stderr

    def _leader(self) -> int:
        """Return the host's number of the box's first process, 0 while there is none."""
        if self.process is None:
            return 0
        for pid in tree(self.process.pid)[1:]:
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                numbers = next(line.split() for line in status if line.startswith("NSpid:"))
                if numbers[-1] == "1" and len(numbers) == 3:
                    return pid
        return 0

    def wait_up(self, bound_s: float = 120) -> str:
        """Wait until the box's systemd answers; returns the name of this boot."""

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.console[-3000:]
            if not self._leader():
                return False
            status, out, _ = self.try_run("systemctl", "show", "--property=Version")
            return status == 0 and out.startswith("Version=")

        wait_for("the box", answers, bound_s)
        self._address()
        name = "/proc/sys/kernel/random/boot_id"
        self.boot_id = self.run("cat", name).strip()
        # Units with a /proc of their own see the kernel's name of this boot, and not nspawn's: so shall everybody.
        self.try_run("umount", name)
        return self.boot_id


@contextlib.contextmanager
def clock_as_it_was() -> Iterator[None]:
    """Give the kernel's clock its rate and its state back afterwards: a container's time service disciplines the host's.

    Source  `struct timex` of adjtimex(2), on machines of 64 bits
    """
    libc, timex = ctypes.CDLL(None, use_errno=True), bytearray(256)

    def call() -> None:
        assert libc.adjtimex((ctypes.c_char * len(timex)).from_buffer(timex)) >= 0

    call()
    rate, state, tick = (struct.unpack_from(form, timex, at)[0] for form, at in _TIMEX)
    try:
        yield
    finally:
        struct.pack_into("I", timex, 0, _ADJ_FREQUENCY | _ADJ_STATUS | _ADJ_TICK)
        for (form, at), value in zip(_TIMEX, (rate, state, tick), strict=True):
            struct.pack_into(form, timex, at, value)
        call()


def _let_go(image: Path) -> bool:
    found = subprocess.run([need("losetup"), "-j", image], check=True, capture_output=True, timeout=60)
    return not found.stdout


def _host_address(do: str, address: str) -> None:
    subprocess.run([need("ip"), "address", do, f"{address}/32", "dev", "lo"], capture_output=True, timeout=60)
