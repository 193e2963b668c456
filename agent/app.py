"""Composition root: the one module that joins capture with storage.

It holds the life of `pasu record`: the parent (small: no camera bytes, no database, no cryptography) and what
a worker does from its first to its last line. Work of the parent that needs the database is done in a
short-lived fork of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import socket
import sys
import time
import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import __version__, keeping
from agent.capture.shared import Shared
from agent.capture.supervisor import Supervisor, assign
from agent.clock import SystemClock
from agent.errors import PasuError, StorageFault
from agent.health import Raised, Tracker, write_health
from agent.language import english, say
from agent.model import Fact, GapCause
from agent.storage.layout import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.capture.camera import CameraPlan, CameraRecorder
    from agent.config import Config, Secrets
    from agent.ports import Recorder

WORKER = (sys.executable, "-P", "-m", "agent.app")  # -P: never code from the directory we were started in
PARENT_TURN_S = 1.0  # a heartbeat or a worker's end wakes it before that
HEALTH_S = 2.0
ALONE_S = 20.0  # for the workers of a parent that was killed to end
PROBE_S = 600.0  # a fork that reads some pages of the catalogue: 50 ms of a core
RENEW_S = 60.0  # for a new catalogue in the place of a lost one
TELL_S = 10.0  # for a fact to reach the ledger
CLOSE_S = 10.0  # for the disk to take what waits in memory

log = logging.getLogger("pasu.record")


def run(config: Config, secrets: Secrets) -> int:
    """Start all processes of the agent in the foreground, as a first look or while developing."""
    minder = keeping.Minder(config)
    try:
        return record(config, secrets, beside=minder.turn)
    finally:
        minder.stop()


def record(config: Config, secrets: Secrets, *, beside: Callable[[], object] = lambda: None) -> int:
    """Record until SIGTERM or SIGINT; return the exit status.

    beside  called about once a second, once recording has begun: what else this process sees to
    Raises  StorageFault when the vault or the catalogue is not what it should be; then nothing was started
    """
    keeping.log_to_stderr()
    # SIGPWR: the power supply says that it will not last.
    stop = _stop_on_signal(signal.SIGTERM, signal.SIGINT, signal.SIGPWR)
    storage = config.storage
    clock = SystemClock(storage.state)
    lock = _alone(storage.state)
    cause = _forked(lambda: _prepare(config))
    run_directory = _run_directory(storage.run)
    supervisor = Supervisor(
        assign(_plans(config, secrets), os.cpu_count() or 1),
        {
            "box": config.box.id,
            "vaults": [str(vault) for vault in storage.vaults],
            "cameras": len(config.cameras),
            "state": str(storage.state),
            "segment_s": storage.segment_s,
            "loss_window_s": storage.loss_window_s,
            "recipients": list(storage.recipients),
        },
        WORKER,
        clock,
        cause=cause,
        tell=lambda kind, body: _tell_forked(storage.state, kind, body),
    )
    next_health, told = 0.0, dict[str, str]()
    next_probe = clock.monotonic() + PROBE_S
    tracker, since_s = Tracker(), clock.monotonic()
    while not stop():
        beside()
        supervisor.turn(PARENT_TURN_S)
        now = clock.monotonic()
        if now >= next_health:
            next_health = now + HEALTH_S
            told = _tell_trouble(supervisor, told)
            _mind_catalogue(config, probe=now >= next_probe)
            next_probe = now + PROBE_S if now >= next_probe else next_probe
            silent = keeping.is_silent(storage.run, now, since_s)
            tracker.update([Raised("process.silent", "keep")] if silent else [], clock.now(), now)
            _write_health(run_directory, config, supervisor, clock, "recording", tracker=tracker)
    clean = supervisor.stop()
    if clean:
        _tell_forked(storage.state, "box.stopped", {"version": __version__})
        log.info("clean: all that was recorded is committed")
    else:
        log.error("not clean: the next start puts in order what is left")
    _write_health(run_directory, config, supervisor, clock, "stopped", tracker=tracker)
    os.close(lock)
    return 0 if clean else 1


@english()
def worker(control_number: int, shared_number: int) -> int:
    """Be one worker: take the order from the parent, record until it says stop or goes away."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold pictures
    keeping.log_to_stderr()
    # Ctrl-C and systemd's SIGTERM reach the whole group; the parent's word is what ends a worker, or its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPWR, signal.SIG_IGN)
    control = socket.socket(fileno=control_number)
    order = json.loads(control.recv(1 << 20))
    control.setblocking(False)
    shared = Shared(shared_number)

    def stopping() -> bool:
        try:
            message = control.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not message or "stop" in json.loads(message)

    def beat(message: bytes) -> None:
        with contextlib.suppress(OSError):
            control.send(message)

    recorder = _recorder(order)
    if order["kind"] == "rtsp":
        status = _record_rtsp(order, recorder, shared, stopping, beat)
    else:
        status = _record_libav(order, recorder, stopping, beat)
    return status if recorder.close(CLOSE_S) else 1


def _record_rtsp(
    order: dict[str, Any],
    recorder: Recorder,
    shared: Shared,
    stopping: Callable[[], bool],
    beat: Callable[[bytes], None],
) -> int:
    from agent.capture.connection import Login
    from agent.capture.loop import RtspCamera, RtspLoop

    loop = RtspLoop(
        recorder,
        SystemClock(Path(order["settings"]["state"])),
        mark=shared.mark,
        loss_window_s=order["settings"]["loss_window_s"],
        beat=beat,
    )
    for index, (camera, plan) in enumerate(order["cameras"].items()):
        login = Login(plan["url"], plan["username"], plan["password"], plan["transport"], plan["allow_basic"])
        camera_plan, camera_recorder = _camera(order, camera, recorder)
        witness = shared.note if shared.witness else None
        loop.add(RtspCamera(index, camera_plan, login, camera_recorder, witness))
    loop.run(stopping)
    return 0


def _record_libav(
    order: dict[str, Any], recorder: Recorder, stopping: Callable[[], bool], beat: Callable[[bytes], None]
) -> int:
    from agent.capture.libav import LibavWorker, plan_source

    ((camera, plan),) = order["cameras"].items()
    _, camera_recorder = _camera(order, camera, recorder)
    login = (plan["username"], plan["password"] or "") if plan["username"] else None
    source = plan_source(
        plan["url"], width=plan["width"] or 0, height=plan["height"] or 0, fps=plan["fps"] or 0, login=login
    )
    libav = LibavWorker(
        camera,
        source,
        camera_recorder,
        recorder,
        SystemClock(Path(order["settings"]["state"])),
        loss_window_s=order["settings"]["loss_window_s"],
        beat=lambda state: beat(json.dumps(state).encode()),
    )
    return libav.run(stopping)


def _camera(order: dict[str, Any], camera: str, recorder: Recorder) -> tuple[CameraPlan, CameraRecorder]:
    from agent.capture.camera import CameraPlan, CameraRecorder

    settings = order["settings"]
    plan = CameraPlan(settings["box"], camera, settings["segment_s"], order["cameras"][camera]["phase"])
    covered_ms = recorder.covered_until(camera)
    return plan, CameraRecorder(plan, recorder, covered_ms, GapCause(order["cause"]))


def _recorder(order: dict[str, Any]) -> Recorder:
    """Take up the vaults for this worker's cameras, saving first what a predecessor left open."""
    from agent.storage.catalogue import Catalogue
    from agent.storage.envelope import X25519Recipient
    from agent.storage.memory import Memory, most_bytes
    from agent.storage.recorder import DiskRecorder
    from agent.storage.salvage import salvage
    from agent.storage.shelf import known_vaults

    settings, cameras = order["settings"], order["cameras"]
    state = Path(settings["state"]).absolute()
    clock = SystemClock(state)
    vaults = known_vaults(state, [Path(vault) for vault in settings["vaults"]])
    if order["cause"] == GapCause.WORKER_LOST:
        catalogue = Catalogue.open(state)
        for vault in vaults:
            try:
                vault.verify()
                salvage(vault, catalogue, state, list(cameras), clock.now())
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                log.error("left for the next start: %s", fault)  # noqa: TRY400 - the fault says it all
        catalogue.close()
    recipients = [X25519Recipient.parse(recipient) for recipient in settings["recipients"]]
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return DiskRecorder(
        vaults,
        state,
        recipients,
        clock,
        worker=order["name"],
        homes={camera: plan["vault"] for camera, plan in cameras.items()},
        memory=Memory(cameras, most_bytes(machine_bytes, len(cameras), settings["cameras"])),
    )


def _prepare(config: Config) -> str:
    """Make sure of vault and catalogue, save what was left open, write box.started; return why there was a gap."""
    import uuid

    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.time import begin_boot, mark_boot
    from agent.storage.prepare import prepare
    from agent.storage.starts import flapping

    storage = config.storage
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
    catalogue.add_fact(Fact("box.started", now, {"version": __version__, "cameras": len(config.cameras)}))
    if (fact := flapping(catalogue, now)) is not None:
        log.error("started %d times without an orderly stop: look at the power", fact.body["starts"])
        catalogue.add_fact(fact)
    catalogue.close()
    return str(GapCause.AGENT_KILLED if before == "box.started" else GapCause.AGENT_STOPPED)


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
        reason = _forked(lambda: _renew(config), RENEW_S)
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


def _plans(config: Config, secrets: Secrets) -> dict[str, dict[str, Any]]:
    """Return per camera what its worker must know; log-ins travel here, over a socket, and nowhere else."""
    plans: dict[str, dict[str, Any]] = {}
    for number, camera in enumerate(config.cameras):
        login = secrets.login(camera.id)
        plans[camera.id] = {
            "kind": "rtsp" if camera.kind == "rtsp" else "libav",
            "url": camera.url,
            "transport": camera.transport,
            "allow_basic": camera.allow_basic_auth,
            "username": login.username if login else None,
            "password": login.password if login else None,
            "width": camera.width,
            "height": camera.height,
            "fps": camera.fps,
            "phase": number / len(config.cameras),
            "vault": number,
        }
    return plans


def _run_directory(run: Path) -> Path | None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("no health file: %s: %s", run, error.strerror)
        return None
    return run


def _write_health(
    run: Path | None,
    config: Config,
    supervisor: Supervisor,
    clock: SystemClock,
    state: str,
    *,
    tracker: Tracker,
) -> None:
    if run is None:
        return
    cameras: dict[str, Any] = {camera.id: {"state": "waiting"} for camera in config.cameras}
    cameras.update(supervisor.cameras())
    now = clock.now()
    body = {
        "process": "record",
        "version": __version__,
        "box": config.box.id,
        "pid": os.getpid(),
        "state": state,
        "at_ms": now.utc_ms,
        "trust": str(now.trust),
        "workers": [
            {"name": each.assignment.name, "pid": each.pid, "cameras": list(each.assignment.cameras)}
            for each in supervisor.workers
        ],
        "workers_lost": supervisor.lost,
        "cameras": cameras,
        "storage": _storage(supervisor),
        "conditions": tracker.to_json(),
    }
    try:
        write_health(run, "record", body)
    except OSError as error:
        _warn_once(f"no health file: {error.strerror}")


def _storage(supervisor: Supervisor) -> dict[str, dict[str, Any]]:
    """Return what cannot be stored, by worker; empty while all is well."""
    found = {each.assignment.name: each.state.get("storage") for each in supervisor.workers}
    return {name: trouble for name, trouble in found.items() if trouble}


def _tell_trouble(supervisor: Supervisor, told: dict[str, str]) -> dict[str, str]:
    """Log what has changed since the last time about what cannot be stored; return what was told."""
    found = {
        f"{worker} {name}": f"{fault['code']} {fault['where']}"
        for worker, trouble in _storage(supervisor).items()
        for name, fault in trouble.items()
    }
    for name, fault in found.items():
        if told.get(name) != fault:
            log.error("%s: %s", name, fault)
    for name in told.keys() - found.keys():
        log.info("%s: works again", name)
    return found


@lru_cache(maxsize=8)
def _warn_once(text: str) -> None:
    """Log a warning the first time; what is wrong with the run directory is wrong every two seconds."""
    log.warning(text)


@english()
def _tell_forked(state: Path, kind: str, body: dict[str, Any]) -> bool:
    """Append a fact without loading the database into the parent; tell whether that was done."""

    def tell() -> str:
        from agent.storage.catalogue import Catalogue

        catalogue = Catalogue.open(state)
        catalogue.add_fact(Fact(kind, SystemClock(state).now(), body))
        catalogue.close()
        return ""

    try:
        _forked(tell, TELL_S)
    except (PasuError, OSError) as error:
        log.error("fact %s is not in the ledger: %s", kind, error)  # noqa: TRY400 - the error says it all
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


def _forked(work: Callable[[], str], timeout_s: float | None = None) -> str:
    """Do work in a fork of this process, which has one thread; return its answer, or raise its PasuError."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            try:
                answer: dict[str, Any] = {"answer": work()}
            except PasuError as error:
                context = {key: str(value) for key, value in error.context.items()}
                answer = {
                    "code": error.code,
                    "message": error.message,
                    "hint": error.hint,
                    "context": context,
                }
            with os.fdopen(writing, "w", encoding="utf-8") as pipe:
                pipe.write(json.dumps(answer))
            status = 0
        except BaseException:  # noqa: BLE001 - a fork must never return into its parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        if select.select([pipe], [], [], timeout_s)[0]:
            text = pipe.read()
        else:
            os.kill(pid, signal.SIGKILL)
            text = ""
    os.waitpid(pid, 0)
    answer = (
        json.loads(text) if text else {"code": "INTERNAL", "message": "a helper process failed; see above"}
    )
    if "answer" in answer:
        return str(answer["answer"])
    raise StorageFault(
        answer["code"], answer["message"], hint=answer.get("hint", ""), **answer.get("context", {})
    )


def _stop_on_signal(*signals: signal.Signals) -> Callable[[], bool]:
    told: list[int] = []
    for number in signals:
        signal.signal(number, lambda got, _frame: told.append(got))
    return lambda: bool(told)


if __name__ == "__main__":
    sys.exit(worker(int(sys.argv[1]), int(sys.argv[2])))
