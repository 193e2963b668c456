"""Put in place what the interview has found out: everything is checked first, and agent.toml comes last.

A box that is new (`install`):

1. agent.toml and the log-ins are checked as `pasu config check` does, and nothing is written if anything is wrong.
2. The folders: that of the state is the agent's alone; that of the vault is root's while no disk is mounted there, so
   that nothing can ever be recorded beside a disk that is missing.
3. fstab has the line of the vault's disk. It names the file system by UUID, and lets a box boot without it.
4. The disk is mounted, and is the agent's.
5. The log-ins are there (`agent.log_ins`), sealed to the machine where it can: systemd hands recording a copy, and
   nobody else is given any.
6. agent.toml is there: the box is configured, and its units may start.
7. The draft is gone.

Killed after any of them, the box is either not configured, and `pasu init` goes on with the draft, or it is, and whole.

A box that has its configuration (`change`), killed after any of which both files are whole, old or new:

C1. The new agent.toml is checked.
C2. The log-ins that were changed are among the others, as these are by now; what was is beside them (.bak).
C3. agent.toml is the new one; what it was is beside it (.bak).
C4. No log-in is left of a camera that was removed, or that wants none: not before, so that a camera which is still
    configured can always be recorded.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import subprocess
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import parse_secrets
from agent.config.load import ConfigProblems, load_tables, load_text
from agent.errors import ConfigError, StorageFault
from agent.field.setup import answers as answers_
from agent.field.setup import draft, folders, fstab, works
from agent.field.setup.amend import amended, amended_cameras, amended_log_ins, changes, secrets_wanted
from agent.field.setup.inside import TOOLS
from agent.language import say
from agent.log_ins import Form, LogIns
from agent.machine import Machine
from agent.onvif.proposal import appended
from agent.storage import links
from agent.storage.files import Disk, exists, fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.config import Config, Login
    from agent.field.setup.answers import Answers
    from agent.field.setup.drives import Drive

BACKUP, DRAFT = ".bak", ".draft"
CONFIG_MODE = 0o640
USER = "pasu"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on a box; tests have others.

    user     whose the state and the vault are; one that does not exist leaves them to whoever runs this
    machine  what log-ins are sealed to
    """

    config: Path
    fstab: Path = Path("/etc/fstab")
    user: str = USER
    machine: Machine = field(default_factory=Machine)

    @property
    def draft(self) -> Path:
        """Return where answers wait for the rest of them: only root may see them, though no password is there."""
        return self.config.with_name(self.config.name + DRAFT)

    def owner(self) -> tuple[int, int]:
        """Return user and group of the agent."""
        try:
            found = pwd.getpwnam(self.user)
        except KeyError:
            return os.geteuid(), os.getegid()
        return found.pw_uid, found.pw_gid

    def group(self) -> int:
        """Return the group that may read agent.toml."""
        try:
            return grp.getgrnam(self.user).gr_gid
        except KeyError:
            return os.getegid()


def check(answers: Answers, file: Path) -> Config:
    """Check answers. file: what they are said to stand in. Raises ConfigProblems with everything that is wrong."""
    found = answers_.problems(answers, str(file))
    try:
        config = load_tables(answers_.config_tables(answers), file)
    except ConfigProblems as wrong:
        raise ConfigProblems(file, [*wrong.problems, *found]) from None
    if found:
        raise ConfigProblems(file, found)
    return config


def install(
    places: Places,
    answers: Answers,
    drive: Drive | None,
    *,
    disk: Disk | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Config:
    """Make a new box ready.

    drive    the disk for recordings, ready to be mounted; None: the folder on the system's disk
    step     told the number of each step when it is done
    Returns  the configuration as it is now
    Raises   ConfigProblems, StorageFault
    """
    disk = disk or Disk()
    check(answers, places.config)
    text = answers_.config_text(answers).encode()
    config = load_text(text, places.config)
    step("1")
    vault = config.storage.vaults[0]
    folders.prepare(places, config, disk, mounted=drive is not None)
    step("2")
    if drive is not None:
        kind = drive.content.signature if drive.content is not None else "ext4"
        _write_fstab(places, works.uuid_of(drive.path), str(vault), kind, disk, theirs=bool(drive.mounts))
        step("3")
        if not drive.mounts:
            _mount(drive.path, vault, kind)
        folders.give(disk, vault, *places.owner())
        step("4")
    hidden = LogIns(places.config, places.machine, disk)
    with hidden.changing():
        hidden.put(answers_.secrets_text(answers).encode(), fresh=True)
    step("5")
    _put(disk, places.config, text, CONFIG_MODE, (os.geteuid(), places.group()))
    step("6")
    draft.drop(places, disk)
    step("7")
    return config


def change(
    places: Places,
    before: Answers,
    after: Answers,
    *,
    disk: Disk | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Config:
    """Change a configuration that is there: values where they stand, new cameras at the end.

    before, after  its tables as they were shown, and as they should be; cameras are told by their id
    Raises         ConfigProblems, and nothing is changed then; ConfigError INIT_AMEND, CONFIG_LINK; StorageFault
    """
    hidden = LogIns(places.config, places.machine, disk or Disk())
    with hidden.changing():
        return _change(hidden, before, after, step)


def _change(hidden: LogIns, before: Answers, after: Answers, step: Callable[[str], None]) -> Config:
    disk, file = hidden.disk, links.followed(hidden.config)  # log-ins lie beside the link itself
    old, status = links.content(file)
    there, wanted = before.get("camera", []), answers_.cameras_as_written(before, after)
    single = changes(answers_.config_tables(before), answers_.config_tables(after))
    text = amended_cameras(amended(_text(old, file), single), there, wanted)
    ids = {each["id"] for each in there}
    added = [each for each in after.get("camera", []) if each["id"] not in ids]
    new = text.encode()
    if added:
        new = appended(new, answers_.camera_tables(added))
    _as_wanted(new, {**answers_.config_tables(after), "camera": wanted}, file)
    config = load_text(new, hidden.config)
    lies = hidden.sealed if hidden.standing().form is Form.SEALED else hidden.clear
    former = hidden.text() or answers_.SECRETS_HEAD.encode()
    known = parse_secrets(former, lies)
    shown, log_ins = answers_.log_ins(before), answers_.log_ins(after)
    typed = {name: login for name, login in log_ins.items() if shown.get(name) != login}
    fresh = {name: login for name, login in typed.items() if known.login(name) != login}
    left = (ids - {each["id"] for each in wanted}) | shown.keys()
    gone = {name: None for name in sorted(left - log_ins.keys()) if known.login(name) is not None}
    with_fresh = _with_log_ins(former, fresh, lies)
    without_gone = _with_log_ins(with_fresh, gone, lies)
    step("C1")
    if fresh:
        hidden.put(with_fresh)
        step("C2")
    if new != old:
        mode, owner = status.st_mode & 0o777, (status.st_uid, status.st_gid)
        _put(disk, file.with_name(file.name + BACKUP), old, mode, owner)
        _put(disk, file, new, mode, owner)
        step("C3")
    if gone:
        hidden.put(without_gone)
        step("C4")
    return config


def _with_log_ins(former: bytes, wanted: Mapping[str, Login | None], file: Path) -> bytes:
    """Return log-ins with these among them (None: taken out). file: where they lie. Raises ConfigError INIT_AMEND."""
    text = _text(former, file)
    new = amended_log_ins(text, wanted).encode()
    _as_wanted(new, secrets_wanted(text, wanted), file)
    return new


def _text(content: bytes, file: Path) -> str:
    """Return what a file says. Raises ConfigError INIT_AMEND for what is no UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _cannot_amend(file) from None


def _as_wanted(new: bytes, wanted: Answers, file: Path) -> None:
    """Make sure that an amended file says what it should, and nothing else. Raises ConfigError INIT_AMEND."""
    try:
        same = tomllib.loads(new.decode()) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise _cannot_amend(file)


def _cannot_amend(file: Path) -> ConfigError:
    return ConfigError(
        "INIT_AMEND",
        say(
            f"{file.name}은 `pasu init`이 고칠 수 없는 모양으로 쓰여 있습니다",
            f"{file.name} is written so that it cannot be amended",
        ),
        hint=say(
            "아무것도 바꾸지 않았습니다. 직접 고치십시오. 계정은 `pasu secrets set`으로 고칩니다",
            "nothing was changed; edit it by hand, and log-ins by `pasu secrets set`",
        ),
        file=str(file),
    )


def _put(disk: Disk, path: Path, data: bytes, mode: int, owner: tuple[int, int]) -> None:
    """Give a file its content, mode and owner, so that whoever reads it finds the old one or the new one, whole."""
    fresh = path.with_name(path.name + ".new")
    disk.unlink(fresh)
    fd = disk.create_excl(fresh)
    try:
        try:
            disk.write_all(fd, fresh, data)
            if owner != folders.myself():
                disk.call("chown", fresh, os.fchown, fd, *owner)
            disk.call("chmod", fresh, os.fchmod, fd, mode)
            disk.fdatasync(fd, fresh)
        except OSError as error:
            raise fault("chown", fresh, error) from error
        finally:
            disk.close(fd)
        disk.rename(fresh, path)
    except StorageFault:
        with contextlib.suppress(StorageFault):
            disk.unlink(fresh)
        raise
    disk.fsync_directory(path.parent)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise fault("read", file, error) from error


def _write_fstab(places: Places, uuid: str, folder: str, kind: str, disk: Disk, *, theirs: bool) -> None:
    """Have a line in fstab. theirs: the disk is mounted there already, so that a line of other words is about it."""
    there = exists(places.fstab)
    old = _read(places.fstab).decode("utf-8", errors="surrogateescape") if there else ""
    new = fstab.with_vault(old, uuid, folder, kind)
    if new is None and theirs:
        return
    if new is None:
        raise StorageFault(
            "INIT_FSTAB",
            say(
                f"{places.fstab}에 {folder}의 다른 줄이 있습니다",
                f"{places.fstab} has another line for {folder}",
            ),
            hint=say(
                "그 줄을 확인하고 지운 다음 다시 하십시오", "look at that line, take it out, and begin again"
            ),
            path=str(places.fstab),
        )
    if new != old:
        status = places.fstab.stat() if there else None
        mode = status.st_mode & 0o777 if status is not None else 0o644
        owner = (status.st_uid, status.st_gid) if status is not None else folders.myself()
        _put(disk, places.fstab, new.encode("utf-8", errors="surrogateescape"), mode, owner)


def _mount(device: str, folder: Path, kind: str) -> None:
    plain = ",".join(
        word for word in fstab.options(kind).split(",") if not word.startswith("x-") and word != "nofail"
    )
    done = subprocess.run(
        ["mount", "-t", kind, "-o", plain, device, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(TOOLS),
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise StorageFault(
            "INIT_MOUNT",
            say("영상 디스크를 연결하지 못했습니다", "the disk for recordings cannot be mounted"),
            hint=say("dmesg에서 디스크 오류를 확인하십시오", "look for errors of the disk in dmesg"),
            path=device,
            reason=done.stderr.strip()[-300:],
        )
