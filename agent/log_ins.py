"""Where log-ins are read and written: the one place that knows in which form they lie there.

    handed          what systemd gave this process (LoadCredential=): a copy that no other unit can read
    secrets.toml    in clear, its owner's alone
    secrets.sealed  the same text, sealed to the machine (`agent.machine`); root alone opens it

Where both are there, each log-in in clear counts before the sealed one of its camera: somebody has put it there since.
They lie beside the configuration as it is named, not beside what it may be a link to: systemd looks there too.

Sealing, also of a text that is changed:

1. The new text is checked, sealed, opened again, and compared; nothing is in its place yet.
2. What was is sealed beside it (.bak).
3. secrets.sealed is the new one.
4. A secrets.toml that is left gets another name, is overwritten, and is gone: half of one is never read.

Killed after any of them, either form is whole, old or new, and doing it again does it.

The folder is also the agent's, who is not root and can put any name there, leading anywhere. So nothing is overwritten
through a link but a secrets.toml that root itself made one, and no file that has a name elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from agent import links
from agent.config import ConfigProblems, Problem, Secrets, parse_secrets
from agent.config.secrets import HEAD, regular, secrets_text
from agent.errors import ConfigError
from agent.language import say
from agent.machine import Key, Machine, key_of
from agent.storage import files, locks
from agent.storage.files import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent.config import Config

HANDED = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what LoadCredential= names: copies that this unit alone can read, and that never change."""
HANDED_CLEAR, HANDED_SEALED = "secrets.plain", "secrets.toml"
"""What came of secrets.toml, and of secrets.sealed, which systemd has opened."""
NOTHING = b"#none"
"""What it hands instead of a file that is not there."""
BACKUP = ".bak"
DOOMED = ".gone"
SHUT = ".shut"
"""What did not open, for the day on which its board comes back: never replaced."""
REMAINS = (DOOMED, "", BACKUP, ".new", files.TEMPORARY)
"""Names under which a secrets.toml, or a part of one, may lie in clear."""
CHANGING_S = 10.0
"""As long is waited for whoever changes them; user `pasu`, whose folder it is too, may never end."""
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

    def changing(self) -> AbstractContextManager[None]:
        """Return what keeps others from changing them between a look at them and a `put`: they would undo each other.

        Entering it raises StorageFault FOLDER_BUSY when somebody else is at it for longer than CHANGING_S
        """
        return locks.soon(self.config.parent, CHANGING_S)

    def standing(self) -> Standing:
        """Look how they lie there; nothing is opened. Raises ConfigProblems when it cannot be seen."""
        clear, sealed = files.exists(self.clear), files.exists(self.sealed)
        key = None
        if sealed:
            with contextlib.suppress(ConfigProblems):
                key = key_of(self._sealed_bytes())
        form = Form.SEALED if self._only_sealed() else Form.CLEAR if clear else Form.ABSENT
        return Standing(form, key, sealed and any(files.exists(each) for each in self._remains()))

    def text(self) -> bytes:
        """Return them as a secrets.toml; nothing when there are none.

        Raises  ConfigProblems: others may read those that are in clear, or those that are sealed do not open
        """
        clear = secrets_text(self.clear)
        if not files.exists(self.sealed):
            return clear
        opened = self._opened()
        return _joined((clear, self.clear), (opened, self.sealed))[0] if clear else opened

    def in_clear(self) -> Secrets:
        """Return those that lie there in clear, where the others do not open any more. Raises ConfigProblems."""
        return parse_secrets(secrets_text(self.clear), self.clear)

    def read(self) -> Secrets:
        """Return them. Raises ConfigProblems."""
        return parse_secrets(self.text(), self.counts())

    def put(
        self,
        text: bytes,
        *,
        fresh: bool = False,
        anew: bool = False,
        step: Callable[[str], None] = _NO_STEP,
    ) -> Form:
        """Give them another text, in the form in which they are; those of a machine that can seal begin sealed.

        fresh    the box is new: sealed wherever that can be; log-ins of brokers, which nobody is asked for, stay
        anew     what was sealed does not open any more: it stays beside (.shut), unopened
        step     told the number of each step when it is done
        Returns  the form in which they are
        Raises   ConfigProblems when the text is not right, and nothing is changed then; StorageFault; ConfigError
                 MACHINE_SEAL when those that are sealed can be sealed no more
        """
        parse_secrets(text, self.counts())
        bound, clear = files.exists(self.sealed), files.exists(self.clear)
        if fresh:
            text = self._with_brokers(text)
        if not bound and ((clear and not fresh) or not self.machine.can_seal()):
            return self._put_clear(text, step, fresh=fresh)
        try:
            sealed = self.machine.seal(text or HEAD.encode())
        except ConfigError:
            if bound and not (fresh or anew):
                raise
            return self._put_clear(text, step, fresh=fresh)  # log-ins in clear are better than none
        self._put_sealed(sealed, self._former(forgiving=anew or fresh), step)
        return Form.SEALED

    def seal(self, step: Callable[[str], None] = _NO_STEP) -> Key:
        """Seal those that are in clear; of those that are sealed, remove what is left in clear.

        Returns  what opens them
        Raises   ConfigProblems, StorageFault, ConfigError MACHINE_SEAL
        """
        text = self.text()
        parse_secrets(text, self.counts())
        if self._only_sealed():
            self._wipe_remains()
        else:
            before = {BACKUP: self._sealed_bytes()} if files.exists(self.sealed) else {}
            self._put_sealed(self.machine.seal(text or HEAD.encode()), before, step)
        return key_of(self._sealed_bytes())

    def open(self) -> None:
        """Put those that are sealed there in clear. Raises ConfigProblems, StorageFault."""
        text = self.text()
        parse_secrets(text, self.counts())
        self.disk.atomic_replace(self.clear, text, sync=True)
        self.disk.unlink(self.sealed)
        self.disk.fsync_directory(self.sealed.parent)

    def counts(self) -> Path:
        """Return the file that counts, to name it in problems."""
        return self.sealed if self._only_sealed() else self.clear

    def _only_sealed(self) -> bool:
        """Tell whether all log-ins are sealed: an empty secrets.toml is the same as none."""
        return files.exists(self.sealed) and not (files.exists(self.clear) and self._raw_clear() != b"")

    def _raw_clear(self) -> bytes | None:
        """Return what lies in clear, whoever may read it; None when nothing can be read."""
        try:
            return regular(self.clear)
        except OSError:
            return None

    def _opened(self) -> bytes:
        sealed = self._sealed_bytes()
        try:
            return self.machine.opened(sealed)
        except ConfigError as shut:
            raise self._shut(str(shut.context["reason"])) from None

    def _with_brokers(self, text: bytes) -> bytes:
        """Return a text, and the log-ins of brokers that are known already."""
        known = Secrets()
        for read in (self.in_clear, self.read):
            with contextlib.suppress(ConfigProblems):
                known = read()
        given = parse_secrets(text, self.clear)
        both = given.over(known.of_brokers())
        return text if both == given else both.to_toml()

    def _put_clear(self, text: bytes, step: Callable[[str], None], *, fresh: bool) -> Form:
        step("1")
        before = self._raw_clear() if fresh else secrets_text(self.clear)
        if before:
            self.disk.atomic_replace(_beside(self.clear, BACKUP), before, sync=True)
        step("2")
        self.disk.atomic_replace(self.clear, text, sync=True)
        if files.exists(self.sealed):  # new ones, where nothing can be sealed any more
            self.disk.rename(self.sealed, self._shut_name(self._sealed_bytes()))
            self.disk.fsync_directory(self.sealed.parent)
        step("3")
        return Form.CLEAR

    def _former(self, *, forgiving: bool) -> dict[str, bytes]:
        """Return what was, by the ending of the name that it gets: sealed, and as it lies there where it does not open.

        forgiving  what does not open, or is not right, may be replaced
        """
        former = {}
        try:
            text = self.text()
        except ConfigProblems:
            if not forgiving:
                raise
            text = self._raw_clear() or b""
            if files.exists(self.sealed):
                sealed = self._sealed_bytes()
                former[self._shut_name(sealed).name.removeprefix(self.sealed.name)] = sealed
        return {**former, BACKUP: self.machine.seal(text)} if text else former

    def _shut_name(self, sealed: bytes) -> Path:
        """Return the name under which what does not open is kept: a free one, or that of the same."""
        number, name = 1, _beside(self.sealed, SHUT)
        while files.exists(name) and _content(name) != sealed:
            number += 1
            name = _beside(self.sealed, f"{SHUT}.{number}")
        return name

    def _put_sealed(self, sealed: bytes, former: dict[str, bytes], step: Callable[[str], None]) -> None:
        step("1")
        for ending, content in former.items():
            self.disk.atomic_replace(_beside(self.sealed, ending), content, sync=True)
        step("2")
        self.disk.atomic_replace(self.sealed, sealed, sync=True)
        step("3")
        self._wipe_remains()
        step("4")

    def _remains(self) -> list[Path]:
        return [_beside(self.clear, ending) for ending in REMAINS]

    def _wipe_remains(self) -> None:
        target = self._led_to()
        if target is not None:
            for each in (_beside(target, DOOMED), target):
                self._wipe(each, _beside(target, DOOMED))
        for each in self._remains():
            self._wipe(each, _beside(self.clear, DOOMED))

    def _wipe(self, name: Path, doomed: Path) -> None:
        """Overwrite a file in clear and remove it, under another name first; what is none, or has one elsewhere too,
        loses this name alone. A directory is no secrets.toml, and stays.
        """
        if files.is_directory(name) or not files.exists(name):
            return
        if files.is_regular(name):
            if not files.is_directory(doomed):
                self.disk.rename(name, doomed)
                self.disk.fsync_directory(doomed.parent)
                name = doomed
            fd = self.disk.open_existing(name)  # which follows no link
            try:
                status = self.disk.status(fd, name)
                if status.st_nlink == 1:
                    self.disk.overwrite(fd, name, bytes(status.st_size))
                    self.disk.fdatasync(fd, name)
            finally:
                self.disk.close(fd)
        self.disk.unlink(name)
        self.disk.fsync_directory(name.parent)

    def _led_to(self) -> Path | None:
        """Return the file that secrets.toml is a link to, if root (or who runs this) made it one, to log-ins."""
        path = links.led_to(self.clear)
        if path is None or path == self.clear:
            return None
        there = files.exists(path)  # a kill may have left its doomed name alone
        return path if not there or _are_log_ins(path) else None

    def _sealed_bytes(self) -> bytes:
        try:
            return regular(self.sealed)
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


def _content(path: Path) -> bytes | None:
    """Return what a name holds that is no link; None for what cannot be read."""
    with contextlib.suppress(OSError):
        return files.read_small(path, 1 << 21)
    return None


def _are_log_ins(path: Path) -> bool:
    with contextlib.suppress(ConfigProblems):
        return parse_secrets(_content(path) or b"", path) != Secrets()
    return False


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
    handed, sealed = _handed(), _given(HANDED_SEALED)
    none = sealed is None or sealed[0].strip() == NOTHING  # one that is empty was opened
    nothing = handed is not None and _is_nothing(handed[0])
    return nothing and none and files.exists(LogIns(config.file).sealed)


def _joined(clear: tuple[bytes, Path], sealed: tuple[bytes, Path]) -> tuple[bytes, Path]:
    """Return one text of two, and where the first stands: as it is if the other adds nothing. Raises ConfigProblems."""
    first = parse_secrets(*clear)
    both = first.over(parse_secrets(*sealed))
    return (clear[0] if both == first else both.to_toml()), clear[1]


def _is_nothing(text: bytes) -> bool:
    return text.strip() in (NOTHING, b"")


def _handed() -> tuple[bytes, Path] | None:
    """Return what systemd handed, and where; None when it handed no log-ins. Raises ConfigProblems."""
    found = None
    for name in (HANDED_SEALED, HANDED_CLEAR):
        given = _given(name)
        if given is None:
            continue
        if found is None or _is_nothing(found[0]):
            found = given
        elif not _is_nothing(given[0]):
            found = _joined(given, found)
    return found


def _given(name: str) -> tuple[bytes, Path] | None:
    """Return what systemd handed under a name, and where; None when it did not. Raises ConfigProblems."""
    folder = os.environ.get(HANDED)
    if not folder:
        return None
    path = Path(folder, name)
    try:
        return path.read_bytes(), path  # an ACL may show as a mode that others could read by
    except FileNotFoundError:
        return None
    except OSError as error:
        allowed = say("systemd가 건넨 비밀번호 파일", "the passwords that systemd handed over")
        problem = Problem("CONFIG_UNREADABLE", str(path), "", error.strerror or "", allowed, "")
        raise ConfigProblems(path, [problem]) from None
