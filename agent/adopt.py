"""What a running recorder takes over from files that others change: the configuration, the passwords, the key ring.

agent.toml and secrets.toml are looked at every turn, and read once they have stayed the same from one look to the
next: editors write in place, and half a configuration may be a valid one with fewer cameras. Cameras that did not
change go on untouched. A configuration with errors changes nothing; what cannot change while recording waits for a
restart, and the rest of the file is taken. The ring is replaced as a whole by `pasu keep`, and so is believed at once,
if it is signed. Why there is no thread that is told by the kernel: docs/adr/0016.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from agent import log_ins
from agent.config import ConfigProblems, load
from agent.errors import IntegrityFault, PasuError
from agent.health import Raised
from agent.language import say
from agent.onvif.factory import is_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from agent.capture.roster import Difference
    from agent.config import Config, Secrets

SHIFT = 0.6180339887  # the golden ratio: however many cameras there are, their shares of the grid stay apart
FIXED = (
    "box.id",
    "storage.vault",
    "storage.state",
    "storage.run",
    "storage.segment_s",
    "storage.loss_window_s",
    "uplink.media",
)
"""What holds until the next start."""

FORGED = ("RING_DAMAGED", "RECIPIENTS_UNSIGNED", "RECIPIENTS_OLD")
"""What is wrong with a ring by itself: it stays so until the files are others."""

log = logging.getLogger("pasu.record")


class Workers(Protocol):
    """What is told of changes; `agent.capture.supervisor.Supervisor` is one."""

    def reassign(self, plans: Mapping[str, dict[str, Any]], covered: Mapping[str, int | None]) -> Difference:
        """Record these cameras from now on."""
        ...

    def seal_to(self, recipients: Sequence[str]) -> None:
        """Have every camera's next segment sealed to these."""
        ...

    def say(self, kind: str, body: dict[str, Any]) -> None:
        """Have a fact told."""
        ...


@dataclass(frozen=True, slots=True)
class Sealing:
    """Whom segments are sealed to.

    ids     of the recipients, for people and facts: 16 hexadecimal digits each
    epoch   of the ring that names them; None when the configuration does, on a box that is not enrolled
    differ  agent.toml names others
    """

    recipients: tuple[str, ...]
    ids: tuple[str, ...]
    epoch: int | None
    differ: bool

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Sealing:
        """Read what a fork answers."""
        return cls(tuple(said["recipients"]), tuple(said["ids"]), said["epoch"], said["differ"])

    def to_fact(self) -> dict[str, Any]:
        """Return the body of the fact `key.recipients`."""
        return {"recipients": list(self.ids), "signed": self.epoch is not None, "epoch": self.epoch}


class Forks(Protocol):
    """What needs the database or cryptography, and so is done elsewhere. Both raise PasuError."""

    def examine(self, content: bytes, added: list[str]) -> dict[str, Any]:
        """Note cameras that are new; return `sha256` of the file and `covered`, by camera the UTC ms it reaches."""
        ...

    def sealing(self, recipients: Sequence[str]) -> Sealing:
        """Find out whom to seal to. recipients: those of agent.toml."""
        ...


class Watched:
    """Files that somebody may replace or rewrite."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Take them as they are now."""
        self._paths = tuple(paths)
        self._known = self._last = self._look()

    def changed(self) -> bool:
        """Tell, once for each change, whether they are other files than before."""
        before, self._known = self._known, self._look()
        return self._known != before

    def settled(self) -> bool:
        """Tell, once for each change, whether they have changed and then stayed the same for one look."""
        last, self._last = self._last, self._look()
        if self._last != last or self._last == self._known:
            return False
        self._known = self._last
        return True

    def known(self) -> bool:
        """Tell whether they are still what was told of last."""
        return self._look() == self._known

    def again(self) -> None:
        """Take the newest change as not seen yet."""
        self._known = ()

    def _look(self) -> tuple[object, ...]:
        return tuple(_signature(path) for path in self._paths)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Numbers:
    """Gives each camera a number that it keeps while it is configured, for its vault and its share of the grid."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def plans(self, config: Config, secrets: Secrets) -> dict[str, dict[str, Any]]:
        """Return per camera what its worker must know; log-ins travel here, over a socket, and nowhere else."""
        ids = [camera.id for camera in config.cameras]
        kept = {camera: number for camera, number in self._numbers.items() if camera in ids}
        free = iter(sorted(set(range(len(ids) + len(kept))) - set(kept.values())))
        self._numbers = {camera: kept[camera] if camera in kept else next(free) for camera in ids}
        plans: dict[str, dict[str, Any]] = {}
        for camera in config.cameras:
            login = secrets.login(camera.id)
            number = self._numbers[camera.id]
            plans[camera.id] = {
                "kind": "rtsp" if camera.kind == "rtsp" else "libav",
                "url": camera.url,
                "sub_url": camera.sub_url,
                "transport": camera.transport,
                "allow_basic": camera.allow_basic_auth,
                "username": login.username if login else None,
                "password": login.password if login else None,
                "width": camera.width,
                "height": camera.height,
                "fps": camera.fps,
                "hours": [str(each) for each in camera.hours],
                "phase": number * SHIFT % 1,
                "vault": number,
            }
        return plans


def default_passwords(config: Config, secrets: Secrets) -> list[str]:
    """Return the cameras whose log-in is one that cameras leave the factory with (D12)."""
    logins = ((camera.id, secrets.login(camera.id)) for camera in config.cameras)
    return [
        camera for camera, login in logins if login is not None and is_factory(login.username, login.password)
    ]


def purposes(config: Config) -> dict[str, str]:
    """Return what each camera serves, for the ledger: a change at the box itself is seen by it (regulation art. 9)."""
    return {camera.id: str(camera.purpose) for camera in config.cameras}


def hours(config: Config) -> dict[str, list[str]]:
    """Return outside of which hours nothing is stored, of each camera that has any, for the ledger (art. 26(2))."""
    return {camera.id: [str(each) for each in camera.hours] for camera in config.cameras if camera.hours}


class Adoption:
    """Follows the files of one recorder.

    config   what is in force; of a new file that which can be
    """

    def __init__(
        self,
        config: Config,
        sealing: Sealing,
        numbers: Numbers,
        *,
        sha256: str,
        files: Watched,
        ring: Watched,
        secrets: Secrets | None = None,
        adopted: Callable[[Config, Secrets], None] = lambda *_: None,
    ) -> None:
        """Begin with what the recorder was started with.

        numbers     that were given to its cameras
        sha256      of agent.toml
        files,ring  configuration and passwords, and what a key ring consists of; from before they were read
        secrets     that are in force; None: nobody knows them
        adopted     told of each configuration that is in force now
        """
        self.config = config
        self.sealing = sealing
        self._sha256 = sha256
        self._numbers = numbers
        self._files = files
        self._ring = ring
        self._adopted = adopted
        self._state = "applied"
        self._problems: tuple[str, ...] = ()
        self._waiting: tuple[str, ...] = ()
        self._unverified = ""
        self._default = default_passwords(config, secrets) if secrets is not None else []

    def turn(self, workers: Workers, forks: Forks) -> None:
        """Look at the files, and take over what is new and right."""
        if self._files.settled():
            self._read(workers, forks)
        if self._ring.changed() or (self._unverified and self._unverified not in FORGED):
            self._seal(workers, forks)

    def raised(self) -> list[Raised]:
        """Return what is wrong with the files."""
        found = []
        if self._problems:
            found.append(Raised("config.invalid", "", ", ".join(self._problems)))
        if log_ins.is_shut(self.config):
            found.append(Raised("config.secrets_shut"))
        if self._waiting:
            found.append(Raised("config.needs_restart", "", ", ".join(self._waiting)))
        if self._unverified:
            found.append(Raised("recipients.unverified", "", self._unverified))
        if self.sealing.differ:
            found.append(Raised("recipients.differ"))
        return found + [Raised("camera.default_password", camera) for camera in self._default]

    def to_json(self) -> dict[str, Any]:
        """Return the part `config` of the health file: which file was looked at last, and what became of it."""
        return {"sha256": self._sha256, "state": self._state}

    def _read(self, workers: Workers, forks: Forks) -> None:
        file = self.config.file
        content = b""
        try:
            content = file.read_bytes()
            config, secrets = load(file), log_ins.read(self.config)
            if file.read_bytes() != content:
                self._files.again()
                return
        except OSError as error:
            self._refuse(forks, content, [error.strerror or str(error)])
            return
        except ConfigProblems as error:
            for problem in error.problems:
                where = problem.key or problem.file
                log.error("%s %s: %s", where, problem.code, problem.allowed)  # noqa: TRY400 - it says it all
            self._refuse(forks, content, [f"{each.key} {each.code}".strip() for each in error.problems])
            return
        waiting = _fixed(self.config, config)
        effective = keep_fixed(self.config, config)
        known = {camera.id for camera in self.config.cameras}
        added = [camera.id for camera in config.cameras if camera.id not in known]
        try:
            said = forks.examine(content, added)
        except PasuError as error:  # the catalogue is away: it is tried again
            log.error("the new configuration waits: %s", error)  # noqa: TRY400 - the error says it all
            self._files.again()
            return
        done = workers.reassign(self._numbers.plans(effective, secrets), said["covered"])
        others = effective.storage.recipients != self.config.storage.recipients
        same = said["sha256"] == self._sha256 and not self._problems and not done
        self.config = effective
        self._sha256, self._problems, self._waiting = said["sha256"], (), waiting
        self._state = "needs_restart" if waiting else "applied"
        self._default = default_passwords(effective, secrets)
        self._adopted(effective, secrets)
        if others:
            self._seal(workers, forks)
        if not same:
            body = {
                "sha256": self._sha256,
                **done.to_json(),
                "waiting": list(waiting),
                "purposes": purposes(effective),
                "hours": hours(effective),
            }
            log.info("configuration applied: %s", body)
            workers.say("config.applied", body)

    def _refuse(self, forks: Forks, content: bytes, problems: list[str]) -> None:
        """Go on with what is in force."""
        self._problems = tuple(problems)
        self._state = "invalid"
        try:
            self._sha256 = forks.examine(content, [])["sha256"]
        except PasuError as error:
            log.error("the configuration is invalid, and: %s", error)  # noqa: TRY400 - the error says it all
            self._files.again()

    def _seal(self, workers: Workers, forks: Forks) -> None:
        """Take over whom to seal to; when that cannot be verified, go on with whom it was."""
        try:
            found = forks.sealing(self.config.storage.recipients)
            refuse_older(self.sealing.to_fact(), found)
        except PasuError as error:
            if self._unverified != error.code:
                log.error("segments are sealed to whom they were: %s", error)  # noqa: TRY400 - the error says it all
            self._unverified = error.code
            return
        self._unverified = ""
        before, self.sealing = self.sealing, found
        if found.recipients != before.recipients:
            workers.seal_to(found.recipients)
        if (found.recipients, found.epoch) != (before.recipients, before.epoch):
            log.info("segments are sealed to %s", " ".join(found.ids))
            workers.say("key.recipients", found.to_fact())


def refuse_older(before: Mapping[str, Any], found: Sealing) -> None:
    """Make sure that a box which sealed to signed recipients goes back neither to unsigned nor to older ones.

    before  body of a fact `key.recipients`
    Raises  IntegrityFault RECIPIENTS_UNSIGNED, RECIPIENTS_OLD
    """
    if not before.get("signed"):
        return
    hint = say(
        "관제센터에서 등록 묶음을 다시 받아 `pasu enrol accept`를 하십시오",
        "get the enrolment bundle from the centre again, and `pasu enrol accept` it",
    )
    if found.epoch is None:
        what = say(
            "등록된 박스인데 도시가 서명한 키 목록이 없습니다",
            "this box is enrolled, and the key ring that the city signed is gone",
        )
        raise IntegrityFault("RECIPIENTS_UNSIGNED", what, hint=hint)
    if found.epoch < before["epoch"]:
        what = say(
            "도시가 서명한 키 목록이 전에 쓰던 것보다 오래되었습니다",
            "the key ring is older than the one that was in force",
        )
        raise IntegrityFault("RECIPIENTS_OLD", what, hint=hint, epoch=found.epoch, known=before["epoch"])


def _values(config: Config) -> dict[str, Any]:
    storage = config.storage
    values = (
        config.box.id,
        storage.vaults,
        storage.state,
        storage.run,
        storage.segment_s,
        storage.loss_window_s,
        config.uplink is not None
        and config.uplink.media is not None,  # where it is does not matter to recording
    )
    return dict(zip(FIXED, values, strict=True))


def _fixed(old: Config, new: Config) -> tuple[str, ...]:
    """Return the keys that differ and cannot change while recording."""
    before, after = _values(old), _values(new)
    return tuple(key for key in FIXED if before[key] != after[key])


def keep_fixed(old: Config, new: Config) -> Config:
    """Return the new configuration with the old one's fixed values."""
    box = replace(new.box, id=old.box.id)
    storage = replace(
        new.storage,
        vaults=old.storage.vaults,
        state=old.storage.state,
        run=old.storage.run,
        segment_s=old.storage.segment_s,
        loss_window_s=old.storage.loss_window_s,
    )
    live = "uplink.media" in _fixed(old, new)
    return replace(new, box=box, storage=storage, uplink=old.uplink if live else new.uplink)
