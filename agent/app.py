"""Composition root of `pasu record`: the life of its parent.

The parent is small: no camera bytes, no database, no cryptography, no thread. Work that needs them is done in
short-lived forks of it; its workers (`agent.worker`) join capture with storage.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent import __version__, log_ins, logs, notify, openings
from agent.adopt import Adoption, Numbers, Sealing, Watched, hours, purposes, refuse_older
from agent.bulletin import Bulletin, Familiar
from agent.capture.roster import assign
from agent.capture.supervisor import Supervisor
from agent.capture.trigger_minder import TriggerMinder, past_of, triggers_of
from agent.clock import SystemClock
from agent.errors import PasuError, StorageFault
from agent.forks import forked
from agent.health import Raised, read_health, silences
from agent.language import english, say
from agent.model import Fact, GapCause
from agent.storage import likenesses
from agent.storage.layout import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.config import Config, Secrets
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

WORKER = (sys.executable, "-P", "-m", "agent.worker")  # -P: never code from the directory we were started in
TRIGGERS = (sys.executable, "-P", "-m", "agent.triggering")
PARENT_TURN_S = 1.0  # a heartbeat or a worker's end wakes it before that
HEALTH_S = 2.0
ALONE_S = 20.0  # for the workers of a parent that was killed to end
PROBE_S = 600.0  # a fork that reads some pages of the catalogue: 50 ms of a core
RENEW_S = 60.0  # for a new catalogue in the place of a lost one
TELL_S = 10.0  # for facts to reach the ledger
EXAMINE_S = 10.0
ALL_SILENT_S = 60.0
"""Where no worker at all has spoken for so long, though each that hangs was replaced, systemd is to begin anew."""
RING_FILES = ("centre/ring.jws", "centre/root.json")
"""As `agent.command.ring` names them; that one brings cryptography with it, which the parent does without."""

log = logging.getLogger("pasu.record")


def record(config: Config, secrets: Secrets, *, beside: Callable[[], object] = lambda: None) -> int:
    """Record until SIGTERM or SIGINT; return the exit status.

    beside  called about once a second, once recording has begun: what else this process sees to
    Raises  StorageFault when the vault or the catalogue is not what it should be, IntegrityFault when the box is
            enrolled and its recipients are not signed; then nothing was started
    """
    logs.to_stderr()
    notifier = notify.take()
    told = _noted(signal.SIGTERM, signal.SIGINT, signal.SIGPWR)
    storage = config.storage
    clock = SystemClock(storage.state)
    lock = _alone(storage.state)
    files, ring, faces = _watched(config)
    start = forked(lambda: _prepare(config), beside=notifier.alive)
    sealing = Sealing.from_json(start["sealing"])
    numbers = Numbers()
    supervisor = Supervisor(
        assign(numbers.plans(config, secrets), os.cpu_count() or 1),
        {
            "box": config.box.id,
            "vaults": [str(vault) for vault in storage.vaults],
            "cameras": len(config.cameras),
            "state": str(storage.state),
            "segment_s": storage.segment_s,
            "loss_window_s": storage.loss_window_s,
            "recipients": list(sealing.recipients),
            "live": str(storage.run) if config.uplink is not None and config.uplink.media else "",
        },
        WORKER,
        clock,
        cause=start["cause"],
        tell=lambda facts: _tell_forked(storage.state, facts),
    )
    minder = TriggerMinder(str(storage.state), TRIGGERS, clock)

    def adopted(config: Config, secrets: Secrets) -> None:
        supervisor.keep_past(past_of(config))
        minder.want(triggers_of(config, secrets))

    adopted(config, secrets)
    adoption = Adoption(
        config,
        sealing,
        numbers,
        sha256=start["sha256"],
        files=files,
        ring=ring,
        secrets=secrets,
        adopted=adopted,
    )
    ports = openings.Ports(start["listening"], clock.monotonic())
    familiar = Familiar(start["likenesses"])
    bulletin = Bulletin(storage.run, supervisor, clock, familiar)
    box, forks = config.box.id, _Forks(storage.state)
    next_health, since_s = 0.0, clock.monotonic()
    next_probe = since_s + PROBE_S
    with english():
        while not told:
            beside()
            supervisor.turn(PARENT_TURN_S)
            minder.turn()
            _tell_systemd(notifier, supervisor)
            now = clock.monotonic()
            if now < next_health:
                continue
            next_health = now + HEALTH_S
            _mind_catalogue(adoption.config, probe=now >= next_probe)
            next_probe = now + PROBE_S if now >= next_probe else next_probe
            adoption.turn(supervisor, forks)
            if faces.changed():
                familiar.replace(forks.likenesses())
            if (opened := ports.turn(now)) is not None:
                supervisor.say(openings.KIND, opened)
            raised = [*adoption.raised(), *minder.raised()]
            if silences({"keep": read_health(storage.run, "keep")}, now, since_s):
                raised.append(Raised("process.silent", "keep"))
            new = bulletin.hear(adoption.config, raised)
            if new and forks.remember(new):
                faces.changed()
            bulletin.write(box, "recording", adoption.to_json(), adoption.sealing.to_fact(), minder.to_json())
        notifier.stopping()
        minder.ask_to_stop()
        clean = supervisor.stop()
        minder.stop()
    if clean:
        body = {
            "version": __version__,
            "clean": True,
            "reason": "power" if signal.SIGPWR in told else "asked",
        }
        _tell_forked(storage.state, [("box.stopped", body)])
        log.info("clean: all that was recorded is committed")
    else:
        log.error("not clean: the next start puts in order what is left")
    bulletin.write(box, "stopped", adoption.to_json(), adoption.sealing.to_fact(), {})
    os.close(lock)
    return 0 if clean else 1


def _tell_systemd(notifier: notify.Notifier, supervisor: Supervisor) -> None:
    """Tell that recording goes on, while any worker is heard; one that is not, the supervisor replaces."""
    silent_s = supervisor.silent_s()
    if silent_s is not None and silent_s < ALL_SILENT_S:
        notifier.ready()
        notifier.alive()
    states = [camera.get("state") for camera in supervisor.cameras().values()]
    notifier.status(f"recording {states.count('recording')} of {len(states)} cameras")


def _watched(config: Config) -> tuple[Watched, Watched, Watched]:
    """Look at the files that others change: the configuration's, the key ring's, the memory of cameras."""
    state = config.storage.state
    return (
        Watched((config.file, *log_ins.watched(config))),
        Watched([state / name for name in RING_FILES]),
        Watched((state / likenesses.FILE,)),
    )


class _Forks:
    """What needs the database or cryptography, each done in a fork."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def examine(self, content: bytes, added: list[str]) -> dict[str, Any]:
        """Do as `adopt.Forks`."""
        said: dict[str, Any] = forked(lambda: _examine(self._state, content, added), EXAMINE_S)
        return said

    def sealing(self, recipients: Sequence[str]) -> Sealing:
        """Do as `adopt.Forks`."""
        return Sealing.from_json(forked(lambda: _sealing(self._state, recipients), EXAMINE_S))

    def likenesses(self) -> dict[str, dict[str, Any]]:
        """Return what is remembered of the cameras."""
        found: dict[str, dict[str, Any]] = likenesses.read(self._state)
        return found

    def remember(self, marks: dict[str, dict[str, Any]]) -> bool:
        """Remember cameras; that it fails costs no more than to see them as new after a restart."""
        try:
            forked(lambda: likenesses.remember(self._state, marks), EXAMINE_S)
        except (PasuError, OSError) as error:
            log.warning("cameras are not remembered: %s", error)
            return False
        return True


def _examine(state: Path, content: bytes, added: list[str]) -> dict[str, Any]:
    covered = {}
    if added:
        from agent.storage.catalogue import Catalogue

        now_ms = SystemClock(state).now().utc_ms
        catalogue = Catalogue.open(state)
        catalogue.add_cameras(added, now_ms)
        covered = {camera: catalogue.covered_until(camera, now_ms) for camera in added}
        catalogue.close()
    return {"sha256": _sha256(content), "covered": covered}


def _sealing(state: Path, configured: Sequence[str]) -> dict[str, Any]:
    """Find out whom to seal to: the ring's recipients on a box that is enrolled, else those of agent.toml.

    Raises  IntegrityFault when the ring cannot be relied on; then nothing may be sealed to anyone else
    """
    from agent.command import ring
    from agent.storage.envelope import X25519Recipient, seal_bytes

    found = ring.load(state)
    recipients = found.recipients if found is not None else tuple(configured)
    # What cannot be sealed to shall be found here, and not by the workers one after the other.
    seal_bytes([X25519Recipient.parse(key) for key in recipients], b"")
    return {
        "recipients": recipients,
        "ids": [_sha256(key.encode())[:16] for key in recipients],
        "epoch": found.epoch if found is not None else None,
        "differ": found is not None and set(configured) != set(recipients),
    }


def _sha256(data: bytes) -> str:
    """Return SHA-256, hexadecimal. To be called in forks: it brings libcrypto with it."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _prepare(config: Config) -> dict[str, Any]:
    """Make sure of vault and catalogue, save what was left open, write box.started.

    Returns  `cause` of the gap before, `sealing`, `sha256` of agent.toml, `likenesses`
    """
    import uuid

    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.time import begin_boot, mark_boot
    from agent.storage.prepare import prepare
    from agent.storage.starts import flapping

    storage = config.storage
    sealing = _sealing(storage.state, storage.recipients)
    for vault in storage.vaults:
        vault.parent.mkdir(parents=True, exist_ok=True)
    now = begin_boot(storage.state, storage.vaults)
    report = prepare(
        storage.vaults,
        storage.state,
        [camera.id for camera in config.cameras],
        now,
        box=config.box.id,
        new_uuid=lambda: str(uuid.uuid4()),
    )
    # By their codes: what `prepare` raises is said to a person, so what it reports is in that one's language.
    for fault in report.faults:
        log.error("left for the next start: %s %s", fault.code, fault.context)
    for path, fault in report.vault_faults.items():
        log.error("not recording to %s: %s %s", path, fault.code, fault.context)
    if report.began:
        log.error(
            "the catalogue was lost (%s): a new one was begun, and rows come back by `pasu keep`",
            report.began,
        )
    catalogue = Catalogue.open(storage.state)
    mark_boot(catalogue)
    before = catalogue.last_fact("box.started", "box.stopped")
    _refuse_older(catalogue, sealing)
    catalogue.add_fact(Fact("box.started", now, {"version": __version__, "cameras": len(config.cameras)}))
    sha256 = _note_start(catalogue, config, sealing, now)
    if (fact := flapping(catalogue, now)) is not None:
        log.error("started %d times without an orderly stop: look at the power", fact.body["starts"])
        catalogue.add_fact(fact)
    listening = _last(catalogue, openings.KIND).get("open")
    catalogue.close()
    return {
        "listening": listening,
        "cause": str(GapCause.AGENT_KILLED if before == "box.started" else GapCause.AGENT_STOPPED),
        "sealing": sealing,
        "sha256": sha256,
        "likenesses": likenesses.read(storage.state),
    }


def _last(catalogue: Catalogue, kind: str) -> dict[str, Any]:
    """Return the body of the newest fact of a kind, empty when there is none."""
    rows = catalogue.read("SELECT body FROM ledger WHERE kind = ? ORDER BY seq DESC LIMIT 1", (kind,))
    body: dict[str, Any] = json.loads(rows[0][0]) if rows else {}
    return body


def _refuse_older(catalogue: Catalogue, sealing: dict[str, Any]) -> None:
    refuse_older(_last(catalogue, "key.recipients"), Sealing.from_json(sealing))


def _note_start(catalogue: Catalogue, config: Config, sealing: dict[str, Any], now: Instant) -> str:
    """Write what is in force now where it is not what the ledger says; return the SHA-256 of agent.toml."""
    try:
        sha256 = _sha256(config.file.read_bytes())
    except OSError:  # it was there a moment ago; the recorder will find out what became of it
        sha256 = ""
    before, cameras = _last(catalogue, "config.applied"), [camera.id for camera in config.cameras]
    if before.get("sha256") != sha256:
        body = {"sha256": sha256, "cameras": cameras, "purposes": purposes(config), "hours": hours(config)}
        catalogue.add_fact(Fact("config.applied", now, body))
    sealed_to = Sealing.from_json(sealing).to_fact()
    if _last(catalogue, "key.recipients") != sealed_to:
        catalogue.add_fact(Fact("key.recipients", now, sealed_to))
    return sha256


@english()
def _mind_catalogue(config: Config, *, probe: bool) -> None:
    """Have a catalogue that is damaged or gone replaced; the workers record on, and find the new one.

    probe  look whether it is, though nobody has said so: connections that are open read their memory, not the disk
    Where the state directory is not what `prepare` made of it, its disk is away, and nothing is begun there.
    """
    state = config.storage.state
    lost = (state / DAMAGED).exists() or not (state / "catalogue.db").exists()
    if not (lost or probe) or not (state / "open").is_dir():
        return
    try:
        reason = forked(lambda: _renew(config), RENEW_S)
    except (PasuError, OSError) as error:
        _warn_once(f"the catalogue is lost and cannot be begun anew: {error}")
    else:
        if reason:
            log.error(
                "the catalogue was lost (%s): a new one was begun, and rows come back by `pasu keep`", reason
            )


def _renew(config: Config) -> str:
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.time import mark_boot
    from agent.storage.prepare import renew

    storage = config.storage
    cameras = [camera.id for camera in config.cameras]
    reason = renew(
        storage.vaults, storage.state, cameras, SystemClock(storage.state).now(), box=config.box.id
    )
    if reason:
        catalogue = Catalogue.open(storage.state)
        mark_boot(catalogue)
        catalogue.close()
    return reason


@lru_cache(maxsize=8)
def _warn_once(text: str) -> None:
    """Log a warning the first time; what is wrong with the catalogue is wrong every two seconds."""
    log.warning(text)


def _tell_forked(state: Path, facts: Sequence[tuple[str, dict[str, Any]]]) -> bool:
    """Append facts without loading the database into the parent; tell whether all of them were."""

    def tell() -> None:
        from agent.storage import ledger
        from agent.storage.catalogue import Catalogue

        now = SystemClock(state).now()
        lines = [ledger.line(Fact(kind, now, body)) for kind, body in facts]
        catalogue = Catalogue.open(state)
        catalogue.write(lambda db: [ledger.append(db, line) for line in lines])
        catalogue.close()

    try:
        forked(tell, TELL_S)
    except (PasuError, OSError) as error:
        kinds = " ".join(sorted({kind for kind, _ in facts}))
        log.error("not in the ledger yet: %s: %s", kinds, error)  # noqa: TRY400 - the error says it all
        return False
    return True


def _alone(state: Path) -> int:
    """Make sure that nobody else records into this state; return the lock, which the workers inherit.

    A parent that was killed leaves workers behind that still commit what they have; they are waited for.
    Raises  StorageFault ALREADY_RECORDING
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(state.parent / f".{state.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.set_inheritable(lock, True)
    until = time.monotonic() + ALONE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise StorageFault(
                    "ALREADY_RECORDING",
                    say("이미 녹화 중입니다", "pasu is recording here already"),
                    hint=say(
                        "실행 중인 pasu를 먼저 멈추십시오", "stop the pasu that runs, or leave it to its work"
                    ),
                    path=str(state),
                ) from None
            time.sleep(0.1)
        else:
            return lock


def _noted(*signals: signal.Signals) -> list[int]:
    """Note signals as they come. SIGPWR: the power supply says that it will not last."""
    told: list[int] = []
    for number in signals:
        signal.signal(number, lambda got, _frame: told.append(got))
    return told
