"""The Debian package as tools/deb makes it, changed ones made of it, and throw-away roots to install them in.

Nothing is left mounted: each command has a mount namespace of its own.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.peer import need

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
_OLD_S = 7200  # commits come often, and each package has 113 MiB
_ENTER = """
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
root=$2/root
shift 2
exec chroot "$root" "$@"
"""


def kept() -> Path:
    """Return where tests keep what takes long to make."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pasu-tests"


@functools.cache
def tool() -> ModuleType:
    """Return tools/deb as a module."""
    loader = importlib.machinery.SourceFileLoader("tools_deb", str(ROOT / "tools/deb"))
    spec = importlib.util.spec_from_loader("tools_deb", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def build(out: Path, *arguments: str, root: Path = ROOT, **environment: str) -> Path:
    """Run tools/deb of the checkout `root`; return the package."""
    done = subprocess.run(
        [sys.executable, root / "tools/deb", "--out", out, *arguments],
        capture_output=True,
        text=True,
        timeout=1500,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1].split(" (")[0])


def only(checkout: Path, *names: str) -> None:
    """Let what a checkout builds carry only some of its wheels, and commit that: built in a quarter of the time."""
    lock = checkout / "packaging/box.lock"
    entries = re.findall(r"^[\w.-]+==.*(?:\n    --hash.*)+\n", lock.read_text(), re.MULTILINE)
    lock.write_text("".join(entry for entry in entries if entry.partition("==")[0] in names))
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    day = {"GIT_COMMITTER_DATE": "2026-11-22T00:00:00Z", "GIT_AUTHOR_DATE": "2026-11-22T00:00:00Z"}
    subprocess.run(
        ["git", *who, "commit", "-qam", "few"], cwd=checkout, check=True, env={**os.environ, **day}
    )


def built() -> Path:
    """Return the package of the last commit for this architecture, not signed and without release keys; made once."""
    need("dpkg-deb")
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout[:16]
    folder = kept() / f"deb-{commit}"
    if not folder.exists():
        for other in kept().glob("deb-*"):
            if time.time() - other.stat().st_mtime > _OLD_S:
                shutil.rmtree(other, ignore_errors=True)
        part = folder.with_suffix(f".{os.getpid()}")
        part.mkdir(parents=True)
        try:
            build(part, "--arch", architecture)
            part.rename(folder)
        except OSError:
            assert folder.exists()  # somebody else was faster
        finally:
            shutil.rmtree(part, ignore_errors=True)
    (package,) = folder.glob("*.deb")
    return package


def repack(
    package: Path,
    out: Path,
    version: str,
    change: Callable[[Path], None] = lambda _: None,
    *,
    slim: bool = False,
) -> Path:
    """Make another version of a package.

    change   is told the root of what is unpacked; the tree is at usr/lib/pasu-agent/<version>-<hash> there
    slim     without others' packages: installed within a second; `pasu --version` still runs
    """
    root = out / f"unpacked-{version}"
    subprocess.run(["dpkg-deb", "-R", package, root], check=True, timeout=300)
    (tree,) = (root / "usr/lib/pasu-agent").iterdir()
    if slim:
        for path in (tree / "lib/python3.11/site-packages").iterdir():
            if not path.name.startswith(("agent", "pasu_agent")):
                _remove(path)
    other = f"{version}-{tree.name.rpartition('-')[2]}"
    for name in ("preinst", "postinst", "prerm", "postrm"):
        script = root / "DEBIAN" / name
        script.write_text(script.read_text().replace(tree.name, other))
    control = root / "DEBIAN/control"
    lines = [
        f"Version: {version}" if line.startswith("Version:") else line
        for line in control.read_text().splitlines()
    ]
    control.write_text("\n".join(lines) + "\n")
    (root / "DEBIAN/md5sums").unlink(missing_ok=True)
    (tree / "share/version").write_text(version)
    tree = tree.rename(tree.with_name(other))
    change(root)
    made = out / package.name.replace(package.name.split("_")[1], version)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "-b", root, made],
        check=True,
        capture_output=True,
        timeout=300,
    )
    shutil.rmtree(root)
    return made


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@dataclass
class Box:
    """A root that is written to in a folder of its own.

    lower    what lies below: folders, the uppermost first
    place    where its changes lie; `place/upper` holds them
    """

    lower: list[Path]
    place: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("upper", "work", "root"):
            (self.place / name).mkdir(parents=True, exist_ok=True)

    @property
    def layers(self) -> list[Path]:
        """Return what another root is laid upon to begin as this one is."""
        return [self.place / "upper", *self.lower]

    def run(self, *command: str, check: bool = True, around: tuple[str, ...] = (), **environment: str) -> str:
        """Run a command in it, without a network; return what it said.

        around   a command of this machine that runs it, such as strace
        """
        enter = ["sh", "-c", _ENTER, "enter", ":".join(map(str, self.lower)), str(self.place), *command]
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", *around, *enter],
            capture_output=True,
            text=True,
            timeout=600,
            stdin=subprocess.DEVNULL,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                **self.environment,
                **environment,
            },
        )
        if check:
            assert done.returncode == 0, (
                f"{command}: {done.returncode}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"
            )
        return done.stdout + done.stderr

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file into it."""
        write = 'mkdir -p "$(dirname "$1")"; printf %s "$2" >"$1"; chmod "$3" "$1"'
        self.run("sh", "-c", write, "sh", path, text, f"{mode:o}")

    def bring(self, file: Path) -> str:
        """Copy a file into it; return its path there."""
        shutil.copy(file, self.place / "upper" / file.name)
        return f"/{file.name}"


def bare() -> Path:
    """Return a Debian 12 with nothing but what it always has, and apt; made once.

    Its dpkg does not wait for the disk: tests kill processes in it, and cut no power.
    """
    need("mmdebstrap")
    folder = kept() / "bare-bookworm"
    if not folder.exists():
        part = folder.with_suffix(f".{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [
                "mmdebstrap",
                "--mode=root",
                "--variant=apt",
                "--dpkgopt=force-unsafe-io",
                "bookworm",
                part,
            ],
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        part.rename(folder)
    return folder
