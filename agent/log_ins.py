"""Where log-ins are read and written: the one place that knows in which form they lie there.

    handed          what systemd gave this process (LoadCredential=): a copy that no other unit can read
    secrets.toml    in clear, its owner's alone
    secrets.sealed  the same text, sealed to the machine (`agent.machine`); root alone opens it

Where both are there, each log-in in clear counts before the sealed one of its camera: somebody has put it there since.

Sealing, also of a text that is changed:

1. The new text is checked, sealed, opened again, and compared; nothing is in its place yet.
2. What was is sealed beside it (.bak).
3. secrets.sealed is the new one.
4. A secrets.toml that is left gets another name, is overwritten, and is gone: half of one is never read.

Killed after any of them, either form is whole, old or new, and doing it again does it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import ConfigProblems, Problem, Secrets, parse_secrets
from agent.config.secrets import secrets_text
from agent.errors import ConfigError
from agent.language import say
from agent.machine import Key, Machine, key_of
from agent.storage import files
from agent.storage.files import Disk

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config import Config

HANDED = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what LoadCredential= names: copies that this unit alone can read, and that never change."""
HANDED_CLEAR, HANDED_SEALED = "secrets.plain", "secrets.toml"
"""What came of secrets.toml, and of secrets.sealed, which systemd has opened."""
NOTHING = b"#none"
"""What it hands instead of a file that is not there."""
BACKUP = ".bak"
DOOMED = ".gone"
REMAINS = (DOOMED, "", BACKUP, ".new", files.TEMPORARY)
"""Names under which a secrets.toml, or a part of one, may lie in clear."""
_NO_STEP: Callable[[str], None] = lambda _: None  # noqa: E731


class Form(StrEnum):
    """How log-ins lie there."""

    ABSENT = "absent"
    CLEAR = "clear"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Standing:
    """How log-ins lie there.

    key       what opens those that are sealed; None when nothing is sealed, or it may not be seen
    leftover  besides what is sealed something lies there in clear; a secrets.toml counts
    """

    form: Form
    key: Key | None = None
    leftover: bool = False


@dataclass(frozen=True, slots=True)
class LogIns:
    """The log-ins beside a configuration. config: agent.toml, which need not be there yet."""

    config: Path
    machine: Machine = field(default_factory=Machine)
    disk: Disk = field(default_factory=Disk)

    @property
    def clear(self) -> Path:
        """Return where they are in clear."""
        return self.config.with_name("secrets.toml")

    @property
    def sealed(self) -> Path:
        """Return where they are sealed."""
        return self.config.with_name("secrets.sealed")

    def standing(self) -> Standing:
        """Look how they lie there; nothing is opened. Raises ConfigProblems when it cannot be seen."""
        clear, sealed = files.exists(self.clear), files.exists(self.sealed)
        key = None
        if sealed:
            with contextlib.suppress(ConfigProblems):
                key = key_of(self._sealed_bytes())
        form = Form.CLEAR if clear else Form.SEALED if sealed else Form.ABSENT
        return Standing(form, key, sealed and any(files.exists(each) for each in self._remains()))

    def text(self) -> bytes:
        """Return them as a secrets.toml; nothing when there are none.

        Raises  ConfigProblems: others may read those that are in clear, or those that are sealed do not open
        """
        clear = secrets_text(self.clear) if files.exists(self.clear) else None
        if not files.exists(self.sealed):
            return clear or b""
        sealed = self._sealed_bytes()
        try:
            opened = self.machine.opened(sealed)
        except ConfigError as shut:
            raise self._shut(str(shut.context["reason"])) from None
        return opened if clear is None else _joined((clear, self.clear), (opened, self.sealed))[0]

    def in_clear(self) -> Secrets:
        """Return those that lie there in clear, where the others do not open any more. Raises ConfigProblems."""
        return parse_secrets(secrets_text(self.clear), self.clear)

    def read(self) -> Secrets:
        """Return them. Raises ConfigProblems."""
        return parse_secrets(self.text(), self._counts())

    def put(
        self,
        text: bytes,
        *,
        fresh: bool = False,
        anew: bool = False,
        step: Callable[[str], None] = _NO_STEP,
    ) -> Form:
        """Give them another text, in the form in which they are; those of a machine that can seal begin sealed.

        fresh    the box is new: sealed wherever that can be, and what was is nobody's
        anew     what was sealed does not open any more: it stays beside (.bak), unopened
        step     told the number of each step when it is done
        Returns  the form in which they are
        Raises   ConfigProblems when the text is not right, and nothing is changed then; StorageFault; ConfigError
                 MACHINE_SEAL when those that are sealed can be sealed no more
        """
        parse_secrets(text, self._counts())
        bound = files.exists(self.sealed)
        if not bound and ((files.exists(self.clear) and not fresh) or not self.machine.can_seal()):
            return self._put_clear(text, step, fresh=fresh)
        try:
            sealed = self.machine.seal(text)
        except ConfigError:
            if bound and not (fresh or anew):
                raise
            return self._put_clear(text, step, fresh=fresh)  # log-ins in clear are better than none
        self._put_sealed(sealed, self._former(anew=anew, fresh=fresh), step)
        return Form.SEALED

    def seal(self, step: Callable[[str], None] = _NO_STEP) -> Key:
        """Seal those that are in clear; of those that are sealed, remove what is left in clear.

        Returns  what opens them
        Raises   ConfigProblems, StorageFault, ConfigError MACHINE_SEAL
        """
        text = self.text()
        parse_secrets(text, self._counts())
        if files.exists(self.clear):
            before = self._sealed_bytes() if files.exists(self.sealed) else None
            self._put_sealed(self.machine.seal(text), before, step)
        else:
            self._wipe_remains()
        return key_of(self._sealed_bytes())

    def open(self) -> None:
        """Put those that are sealed there in clear. Raises ConfigProblems, StorageFault."""
        text = self.text()
        parse_secrets(text, self._counts())
        self.disk.atomic_replace(self.clear, text, sync=True, owner=self._owner())
        self.disk.unlink(self.sealed)
        self.disk.fsync_directory(self.sealed.parent)

    def _counts(self) -> Path:
        """Return the file that counts, to name it in problems."""
        only_sealed = files.exists(self.sealed) and not files.exists(self.clear)
        return self.sealed if only_sealed else self.clear

    def _put_clear(self, text: bytes, step: Callable[[str], None], *, fresh: bool) -> Form:
        step("1")
        owner = self._owner()
        if files.exists(self.clear) and not fresh:
            before = secrets_text(self.clear)
            self.disk.atomic_replace(_beside(self.clear, BACKUP), before, sync=True, owner=owner)
        step("2")
        self.disk.atomic_replace(self.clear, text, sync=True, owner=owner)
        if files.exists(self.sealed):  # new ones, where nothing can be sealed any more
            self.disk.rename(self.sealed, _beside(self.sealed, BACKUP))
            self.disk.fsync_directory(self.sealed.parent)
        step("3")
        return Form.CLEAR

    def _former(self, *, anew: bool, fresh: bool) -> bytes | None:
        """Return what was, sealed: as it lies there where it is not to be opened any more."""
        if not files.exists(self.sealed):
            return None
        if anew or fresh:
            return self._sealed_bytes()
        return self.machine.seal(self.text())  # what does not open is not replaced without a word

    def _put_sealed(self, sealed: bytes, former: bytes | None, step: Callable[[str], None]) -> None:
        step("1")
        if former is not None:
            self.disk.atomic_replace(_beside(self.sealed, BACKUP), former, sync=True)
        step("2")
        self.disk.atomic_replace(self.sealed, sealed, sync=True)
        step("3")
        self._wipe_remains()
        step("4")

    def _remains(self) -> list[Path]:
        return [_beside(self.clear, ending) for ending in REMAINS]

    def _wipe_remains(self) -> None:
        for each in self._remains():
            self._wipe(each)

    def _wipe(self, name: Path) -> None:
        """Overwrite a file in clear and remove it, where it lies; one that has another name too loses this one."""
        path = name.resolve()
        if files.is_regular(path):
            doomed = _beside(self.clear, DOOMED) if path == name else _beside(path, DOOMED)
            self.disk.rename(path, doomed)
            self.disk.fsync_directory(doomed.parent)
            fd = self.disk.open_existing(doomed)
            try:
                status = self.disk.status(fd, doomed)
                if status.st_nlink == 1:
                    self.disk.overwrite(fd, doomed, bytes(status.st_size))
                    self.disk.fdatasync(fd, doomed)
            finally:
                self.disk.close(fd)
            self.disk.unlink(doomed)
            self.disk.fsync_directory(doomed.parent)
        if path != name:
            self.disk.unlink(name)
            self.disk.fsync_directory(name.parent)

    def _owner(self) -> tuple[int, int]:
        """Return whose a file in clear is to be: as it was, else the configuration's, else of who writes."""
        for path in (self.clear, self.config):
            with contextlib.suppress(OSError):
                status = path.stat()
                return status.st_uid, status.st_gid
        return os.geteuid(), os.getegid()

    def _sealed_bytes(self) -> bytes:
        try:
            return self.sealed.read_bytes()
        except OSError as error:
            allowed = say(
                "root로 실행하십시오: 명령 앞에 `sudo`", "run it as root: `sudo` before the command"
            )
            reason = error.strerror or str(error)
            raise self._stop("CONFIG_UNREADABLE", reason, allowed, "") from None

    def _shut(self, reason: str) -> ConfigProblems:
        allowed = say(
            "봉인한 메인보드와 시스템 디스크를 되돌리거나, 카메라마다 계정을 다시 적으십시오",
            "put back the mainboard and the system disk that sealed them, or give each camera's log-in again",
        )
        return self._stop("CONFIG_SECRETS_SHUT", reason, allowed, "pasu secrets set --anew cam01")

    def _stop(self, code: str, reason: str, allowed: str, example: str) -> ConfigProblems:
        return ConfigProblems(self.sealed, [Problem(code, str(self.sealed), "", reason, allowed, example)])


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def read(config: Config) -> Secrets:
    """Return the log-ins of this process. Raises ConfigProblems."""
    return beside(config.file)


def beside(config: Path) -> Secrets:
    """Return what systemd handed this process, else what is beside a configuration. Raises ConfigProblems."""
    handed = _handed()
    return LogIns(config).read() if handed is None else parse_secrets(*handed)


def watched(config: Config) -> tuple[Path, ...]:
    """Return the files that may change what `read` returns."""
    beside = LogIns(config.file)
    return () if _handed() is not None else (beside.clear, beside.sealed)


def is_shut(config: Config) -> bool:
    """Tell whether systemd could hand this process nothing although log-ins are there, sealed."""
    handed = _handed()
    return handed is not None and _is_nothing(handed[0]) and files.exists(LogIns(config.file).sealed)


def _joined(clear: tuple[bytes, Path], sealed: tuple[bytes, Path]) -> tuple[bytes, Path]:
    """Return one text of two, and where the first stands: as it is if the other adds nothing. Raises ConfigProblems."""
    first = parse_secrets(*clear)
    both = first.over(parse_secrets(*sealed))
    return (clear[0] if both == first else both.to_toml()), clear[1]


def _is_nothing(text: bytes) -> bool:
    return text.strip() in (NOTHING, b"")


def _handed() -> tuple[bytes, Path] | None:
    """Return what systemd handed, and where; None when it handed no log-ins. Raises ConfigProblems."""
    folder = os.environ.get(HANDED)
    found = None
    for name in (HANDED_SEALED, HANDED_CLEAR) if folder else ():
        path = Path(str(folder), name)
        try:
            text = path.read_bytes()  # an ACL may show as a mode that others could read by
        except FileNotFoundError:
            continue
        except OSError as error:
            allowed = say("systemd가 건넨 비밀번호 파일", "the passwords that systemd handed over")
            problem = Problem("CONFIG_UNREADABLE", str(path), "", error.strerror or "", allowed, "")
            raise ConfigProblems(path, [problem]) from None
        if found is None or _is_nothing(found[0]):
            found = text, path
        elif not _is_nothing(text):
            found = _joined((text, path), found)
    return found
