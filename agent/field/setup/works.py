"""The world of the interview: disks looked at, made anew, measured and mounted; cameras searched. Edge.

A disk is looked at again right before it is made anew: what was true when it was shown may not be any more.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from agent.errors import StorageFault
from agent.field.setup import drives as drives_
from agent.field.setup.drives import Content, Drive, Use
from agent.field.setup.fit import Cost
from agent.field.setup.inside import TOOLS
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = "NAME,PATH,TYPE,SIZE,MODEL,SERIAL,TRAN,RM,RO,MOUNTPOINTS"
LABEL = "pasu-vault"
INODE_BYTES = 524_288
"""One file for so much room: a minute of 256 kbit/s takes four times that."""
LOOK_S, FORMAT_S, MEASURE_S = 300, 7200, 600
INSIDE = (
    *("unshare", "--mount", "--propagation", "private", "--"),
    *(sys.executable, "-P", "-m", "agent.field.setup.inside"),  # -P: nothing of the folder that one stands in
)
Progress = Callable[[int, int], None]


def disks(vault: str, named: str = "") -> tuple[Drive, ...]:
    """Return all disks, looked at. vault: where one may be mounted already; named: a loop device that is wanted too.

    Raises  StorageFault INIT_DISKS when nothing can be said of them
    """
    done = _run(["lsblk", "--json", "--bytes", "--tree", "--output", COLUMNS], LOOK_S)
    try:
        there = drives_.read(json.loads(done))
    except (ValueError, TypeError, AttributeError) as error:
        raise _trouble("INIT_DISKS", str(error)) from None
    contents: dict[str, Content] = {}
    for whole in there:
        if drives_.is_system(whole) or (whole.kind == "loop" and whole.path != named):
            continue
        for each in whole.all():
            if each.path not in contents and not (each.mounts and each.mounts != (vault,)):
                contents[each.path] = _look(each.path, vault if each.mounts else "")
    return tuple(drives_.looked(whole, contents) for whole in there)


def _look(path: str, at: str) -> Content:
    """Look into a device; what cannot be looked into is said to be unclear, and is refused then."""
    try:
        told = _run(
            [*INSIDE, "look", path, *filter(None, [at])],
            LOOK_S,
        )
        return Content.from_json(json.loads(told.splitlines()[-1]))
    except (StorageFault, ValueError, IndexError, KeyError, TypeError):
        return Content(signature="?")


def make_anew(drive: Drive, phrase: str, box: str, vault: str) -> None:
    """Format a disk, if it is still what it was, may be, and its phrase was typed. Everything on it is lost.

    Raises  StorageFault: the code of the refusal, INIT_DISK_CHANGED, INIT_DISK_BUSY, INIT_FORMAT
    """
    found = drives_.find(disks(vault, drive.path), drive.path)
    if found is None or (found[0].size_bytes, found[0].serial) != (drive.size_bytes, drive.serial):
        raise StorageFault(
            "INIT_DISK_CHANGED",
            say("디스크가 그 사이 바뀌었습니다", "the disk is not what it was when it was shown"),
            hint=say("다시 보고 고르십시오", "look again, and choose again"),
            path=drive.path,
        )
    verdict = drives_.judge(*found, box, vault)
    if verdict.use is not Use.FORMAT or phrase != found[0].phrase:
        raise StorageFault(
            verdict.code or "INIT_DISK_CHANGED", verdict.text, hint=verdict.then, path=drive.path
        )
    for each in reversed(list(found[0].all())):
        _alone(each.path)
    for each in reversed(list(found[0].all())):
        _run(["wipefs", "--all", "--quiet", each.path], LOOK_S)
    if found[0].parts:
        _run(["partx", "--delete", drive.path], LOOK_S)
    options = ["-q", "-F", "-L", LABEL, "-U", str(uuid4()), "-m", "0", "-i", str(INODE_BYTES)]
    _run(
        ["mkfs.ext4", *options, "-E", "lazy_itable_init=0,lazy_journal_init=0", drive.path],
        FORMAT_S,
        code="INIT_FORMAT",
    )


def _alone(path: str) -> None:
    """Make sure that nobody has a device: the kernel refuses what is mounted, swapped to, or part of a RAID."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        code = "INIT_DISK_BUSY" if error.errno == errno.EBUSY else "INIT_FORMAT"
        raise _trouble(code, error.strerror or str(error)) from None


def uuid_of(device: str) -> str:
    """Return the UUID of a device's file system. Raises StorageFault INIT_DISKS."""
    found = _run(["blkid", "--probe", "--output", "value", "--match-tag", "UUID", device], LOOK_S).strip()
    if not found:
        raise _trouble("INIT_DISKS", f"{device}: UUID?")
    return found


def measure(drive: Drive | None, folder: str, load: int, cameras: int, progress: Progress) -> Cost:
    """Measure a disk, or the one that a folder lies on (or would). Raises StorageFault INIT_MEASURE."""
    target = Path(drive.path if drive is not None and not drive.mounts else folder)
    while drive is None and not target.exists():
        target = target.parent
    words = [*INSIDE, "measure", str(target)]
    last = ""
    with subprocess.Popen(
        [*words, str(load), str(cameras)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            for line in child.stdout:
                done, _, of = line.partition(" ")
                if done.isdigit():
                    progress(int(done), int(of))
                else:
                    last = line
            why = child.stderr.read()
        except BaseException:
            child.terminate()
            raise
    try:
        told = json.loads(last)
        return Cost(tuple(told["took_us"]), told["free_bytes"], told["total_bytes"])
    except (ValueError, KeyError, TypeError):
        reason = why.strip().splitlines()[-1:] or [f"{child.returncode}"]
        raise _trouble("INIT_MEASURE", reason[0]) from None


def read_text(path: str) -> str | None:
    """Return the text of a small file, None when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(1 << 20).decode("utf-8", errors="replace")
    except OSError:
        return None


def _run(words: Sequence[str], limit_s: float, *, code: str = "INIT_DISKS") -> str:
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=limit_s,
            stdin=subprocess.DEVNULL,
            env=_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _trouble(code, f"{words[0]}: {error}") from None
    if done.returncode:
        raise _trouble(code, f"{words[0]}: {done.stderr.strip()[-300:] or done.returncode}")
    return done.stdout


def _environment() -> Mapping[str, str]:
    return {**os.environ, **TOOLS}


def _trouble(code: str, reason: str) -> StorageFault:
    messages = {
        "INIT_DISKS": say("디스크를 볼 수 없습니다", "the disks cannot be looked at"),
        "INIT_DISK_BUSY": say("다른 프로그램이 쓰고 있는 디스크입니다", "somebody else is using the disk"),
        "INIT_FORMAT": say("포맷하지 못했습니다", "the disk could not be formatted"),
        "INIT_MEASURE": say("디스크를 재지 못했습니다", "the disk could not be measured"),
    }
    return StorageFault(code, messages[code], reason=reason)
