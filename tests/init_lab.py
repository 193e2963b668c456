"""A box to make ready: `pasu init` at its real places, in a mount name space whose /etc and /var/lib are nobody else's."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tomllib
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 120.0
COLUMNS = 100
PASU = (sys.executable, "-P", "-m", "agent.cli.main")
LANGUAGES = {"ko": "ko_KR.UTF-8", "en": "C.UTF-8"}
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Za-z0-9]|\r")
OVERLAYS = """
mount -t tmpfs none {0} && mkdir {0}/etc {0}/etc.work {0}/var {0}/var.work
mount -t overlay -o lowerdir=/etc,upperdir={0}/etc,workdir={0}/etc.work none /etc
mount -t overlay -o lowerdir=/var/lib,upperdir={0}/var,workdir={0}/var.work none /var/lib
rm -rf /etc/pasu /var/lib/pasu; echo '# empty' > /etc/fstab; echo ready; exec sleep infinity
"""


KEYS = (
    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
    "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg",
)
PASSWORD = "Fern-Kettle-82"
ANSWERS = f"""
[box]
id = "gn-0007"
site = "경포해변 3지점"
operator = "강릉시 정보산업과"
contact = "정보산업과장 033-000-0000"

[storage]
recipients = ["{KEYS[0]}", "{KEYS[1]}"]

[disk]
@DISK@

[[camera]]
id = "cam01"
name = "주차장 입구"
url = "rtsp://10.0.0.11/main"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
username = "recorder"
password = "{PASSWORD}"
"""


class Box:
    """Directories of a box that has only Debian on it, and disks in it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        place = folder / "overlay"
        place.mkdir()
        self._keeper = subprocess.Popen(
            [need("unshare"), "--mount", "--propagation", "private", "sh", "-ec", OVERLAYS.format(place)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.callback(self._end)
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline().strip() != "ready":
            reason = "no mount name space: run as root"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)

    def _end(self) -> None:
        self._keeper.kill()
        self._keeper.communicate()

    @property
    def inside(self) -> list[str]:
        """Words before a command that is to run in the box."""
        return ["nsenter", "--mount", f"--target={self._keeper.pid}", f"--wdns={self.folder}"]

    def run(self, *words: str, language: str = "en", check: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.inside, *words],
            capture_output=True,
            text=True,
            env=self.environment(language),
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def pasu(self, *words: str, language: str = "en") -> subprocess.CompletedProcess[str]:
        return self.run(*PASU, *words, language=language)

    def log_ins(self) -> dict[str, Any]:
        """Return the log-ins, which only this machine opens, by systemd's own program; in clear they are nowhere."""
        assert not [
            each for each in self.run("ls", "-A", "/etc/pasu").stdout.split() if "secrets.toml" in each
        ]
        found = self.run(
            "grep", "--recursive", "--files-with-matches", "--text", PASSWORD, "/etc", "/var/lib/pasu"
        )
        assert found.stdout == "", found.stdout
        opened = self.run(
            need("systemd-creds"),
            "decrypt",
            "--name=secrets.toml",
            "/etc/pasu/secrets.sealed",
            "-",
            check=True,
        )
        return tomllib.loads(opened.stdout)

    def environment(self, language: str) -> dict[str, str]:
        return {**os.environ, "LC_ALL": LANGUAGES[language], "TERM": "xterm"}

    def answers(self, disk: str, *more: tuple[str, str]) -> Path:
        """Write an answers file. disk: the lines of [disk]; more: what is replaced in it."""
        text = ANSWERS.replace("@DISK@", disk)
        for old, new in more:
            assert old in text
            text = text.replace(old, new)
        file = self.folder / "answers.toml"
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    def read(self, path: str) -> str:
        return self.run("cat", path, check=True).stdout

    def has(self, path: str) -> bool:
        return self.run("test", "-e", path).returncode == 0

    def disk(self, name: str = "disk", *, gib: int = 4, options: tuple[str, ...] = ()) -> str:
        """Put a disk into the box, a sparse file behind a loop device; return its path."""
        with (self.folder / name).open("wb") as file:
            file.truncate(gib << 30)
        image = self.folder / name
        found = subprocess.run(
            [need("losetup"), "--find", "--show", *options, image], capture_output=True, text=True
        )
        if found.returncode:
            reason = "no loop device: run as root"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        device = found.stdout.strip()
        self._stack.callback(
            subprocess.run, ["losetup", "--detach", device], check=False, capture_output=True
        )
        return device

    def part(self, device: str, number: int) -> str:
        """Return the path of a part of a disk; where nobody makes nodes for the kernel's devices, it is made."""
        path = Path(f"{device}p{number}")
        if not path.exists():
            told = Path(f"/sys/class/block/{path.name}/dev").read_text().strip()
            subprocess.run(["mknod", path, "b", *told.split(":")], check=True)
            self._stack.callback(path.unlink)
        return str(path)

    @contextmanager
    def mounted(self, device: str) -> Iterator[Path]:
        """Have a disk mounted, to put something on it or to look at it."""
        place = self.folder / "mnt"
        place.mkdir(exist_ok=True)
        subprocess.run(["mount", device, place], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True)

    def formatted(self, device: str) -> str:
        """Return what blkid finds on a disk, its UUID among it; nothing on a blank one."""
        return subprocess.run(["blkid", "--probe", device], capture_output=True, text=True).stdout

    def signatures(self, device: str) -> str:
        """Return that, and a hash of the disk's beginning: of one that nobody mounts, any change shows."""
        with open(device, "rb") as file:
            return self.formatted(device) + sha256(file.read(64 << 20)).hexdigest()

    @contextmanager
    def talk(self, *words: str, language: str = "en") -> Iterator[Talk]:
        conversation = Talk([*self.inside, *PASU, "init", *words], self.environment(language))
        try:
            yield conversation
        finally:
            conversation.end()


class Talk:
    """Somebody at a terminal: reads until a question stands there, and answers it."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, environment)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
        self.screen = ""
        self.status: int | None = None
        self._raw = b""
        self._seen = 0
        self._over = False

    def wait(self, text: str) -> str:
        """Read until a text has come; return what came since the last time."""
        until = time.monotonic() + PATIENCE_S
        while text not in self.screen[self._seen :]:
            if time.monotonic() > until or not self._read():
                raise AssertionError(f"{text!r} never came:\n{self.screen[max(0, self._seen - 2000) :]}")
        at = self.screen.index(text, self._seen) + len(text)
        before, self._seen = self.screen[self._seen : at], at
        return before

    def answer(self, question: str, words: str = "") -> str:
        """Wait for a question, and answer it; return what came before it."""
        before = self.wait(question)
        self.type(words)
        return before

    def type(self, words: str) -> None:
        """Answer the question that was waited for."""
        os.write(self._fd, f"{words}\n".encode())

    def stop(self, number: signal.Signals) -> int:
        """Stop it by a signal (nsenter has become it); return the exit status.

        Sent again where nothing follows: Python does not hear of a signal that comes between the prompt and the wait
        for a key before there is another, as whoever presses Ctrl-C once more knows.
        """
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            os.kill(self.pid, number)
            again = time.monotonic() + 10.0
            while time.monotonic() < again:
                if not self._read():
                    return self.end()
        raise AssertionError(self.screen[-2000:])

    def rest(self) -> int:
        """Read to the end; return the exit status."""
        until = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < until, self.screen[-2000:]
        return self.end()

    def end(self) -> int:
        """End it, if it has not ended; return the exit status, negative for a signal."""
        if self.status is None:
            with suppress(OSError):
                os.kill(self.pid, 0 if self._over else signal.SIGKILL)
            _, told = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(told)
            os.close(self._fd)
        return self.status

    def _read(self) -> bool:
        """Read for a moment; return whether there may be more."""
        if not select.select([self._fd], [], [], 0.5)[0]:
            return True
        try:
            piece = os.read(self._fd, 65_536)
        except OSError:  # the other side of the terminal is closed
            piece = b""
        self._over = not piece
        self._raw += piece
        self.screen = CODES.sub("", self._raw.decode(errors="replace"))
        return not self._over


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with ExitStack() as stack:
        yield Box(tmp_path, stack)
