"""One worker of `pasu record`: what it does from its first to its last line.

Composition root of the worker as `app` is of its parent: it joins capture with storage. The parent starts it with two
file descriptors: a socket, over which orders come and heartbeats go, and a page of memory that both see.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent import logs
from agent.capture.shared import Shared
from agent.clock import SystemClock
from agent.errors import StorageFault
from agent.language import english
from agent.model import GapCause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.capture.camera import CameraPlan, CameraRecorder
    from agent.capture.live import Handout
    from agent.capture.loop import RtspCamera
    from agent.storage.envelope import Recipient
    from agent.storage.recorder import DiskRecorder

ORDER_BYTES = 1 << 20
MESSAGE_BYTES = 1 << 16
CLOSE_S = 10.0  # for the disk to take what waits in memory

log = logging.getLogger("pasu.record")


@english()
def work(control_number: int, shared_number: int) -> int:
    """Take the order from the parent, record until it says stop or goes away; return the exit status."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold pictures
    logs.to_stderr()
    # Ctrl-C and systemd's SIGTERM reach the whole group; the parent's word is what ends a worker, or its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGPWR, signal.SIG_IGN)
    control = socket.socket(fileno=control_number)
    order = json.loads(control.recv(ORDER_BYTES))
    control.setblocking(False)
    shared = Shared(shared_number)

    def beat(message: bytes) -> None:
        with contextlib.suppress(OSError):
            control.send(message)

    recorder = _recorder(order)
    record = _record_rtsp if order["kind"] == "rtsp" else _record_libav
    status = record(order, recorder, shared, _Ear(control), beat)
    return status if recorder.close(CLOSE_S) else 1


class _Ear:
    """Hears the parent between two turns. `heed` is given what it says, but for the word to stop."""

    def __init__(self, control: socket.socket) -> None:
        self.heed: Callable[[dict[str, Any]], None] = lambda _: None
        self._control = control

    def stopping(self) -> bool:
        """Take what the parent said; tell whether to stop: it said so, or is gone."""
        while True:
            try:
                message = self._control.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return False
            except OSError:
                return True
            said = json.loads(message) if message else {"stop": True}
            if "stop" in said:
                return True
            self.heed(said)


def _record_rtsp(
    order: dict[str, Any], recorder: DiskRecorder, shared: Shared, ear: _Ear, beat: Callable[[bytes], None]
) -> int:
    from agent.capture.connection import Login
    from agent.capture.live import Live
    from agent.capture.loop import RtspCamera, RtspLoop
    from agent.capture.past_live import keeping, machine_bytes, most_bytes
    from agent.capture.sub import SubStream

    settings = order["settings"]
    loop = RtspLoop(
        recorder,
        SystemClock(Path(settings["state"])),
        mark=shared.mark,
        loss_window_s=settings["loss_window_s"],
        beat=beat,
    )
    witness = shared.note if shared.witness else None
    past: dict[str, int] = settings.get("past", {})

    def keep_past(live: Handout, camera: str, forgets: bool) -> Handout:
        most = most_bytes(machine_bytes(), len(past))
        keep_s = 0 if forgets else past.get(camera, 0)
        return keeping(live, settings["live"], camera, loop.poller, keep_s, most)

    def make(
        number: int, camera: str, plan: dict[str, Any], covered_ms: int | None, cause: str
    ) -> RtspCamera:
        more = (plan["username"], plan["password"], plan["transport"], plan["allow_basic"])
        camera_plan, camera_recorder = _camera(settings, camera, plan, recorder, covered_ms, cause)
        live: Handout | None = None
        sub = None
        if settings["live"]:
            # What comes first may be of no hour of the camera: nothing past is kept before that is known.
            live = keep_past(Live(settings["live"], camera, loop.poller), camera, bool(plan["hours"]))
            if plan["sub_url"]:
                sub = SubStream(
                    Login(plan["sub_url"], *more), Live(settings["live"], f"{camera}.sub", loop.poller)
                )
        return RtspCamera(
            number,
            camera_plan,
            Login(plan["url"], *more),
            camera_recorder,
            witness,
            live=live,
            sub=sub,
            remember=lambda live, forgets: keep_past(live, camera, forgets),
        )

    left: dict[str, int | None] = {}

    def heed(said: dict[str, Any]) -> None:
        for camera in said.get("remove", ()):
            left[camera] = loop.remove(camera)
        for camera, new in said.get("add", {}).items():
            recorder.take_in(camera, new["plan"]["vault"])
            # What this process recorded itself may not be in the catalogue yet.
            covered_ms = left.pop(camera, None) or new["covered_ms"]
            loop.add(make(new["number"], camera, new["plan"], covered_ms, new["cause"]))
        if "recipients" in said:
            recorder.seal_to(_recipients(said["recipients"]))
        if "past" in said:
            past.clear()
            past.update(said["past"])
            for each in loop.cameras:
                if each.live is not None:
                    each.hand_out(keep_past(each.live, each.id, each.forgets))

    for number, (camera, plan) in enumerate(order["cameras"].items()):
        loop.add(make(number, camera, plan, recorder.covered_until(camera), order["cause"]))
    ear.heed = heed
    loop.run(ear.stopping)
    return 0


def _record_libav(
    order: dict[str, Any], recorder: DiskRecorder, _shared: Shared, ear: _Ear, beat: Callable[[bytes], None]
) -> int:
    from agent.capture.libav import LibavWorker, plan_source

    ((camera, plan),) = order["cameras"].items()
    settings = order["settings"]
    covered_ms = recorder.covered_until(camera)
    _, camera_recorder = _camera(settings, camera, plan, recorder, covered_ms, order["cause"])
    login = (plan["username"], plan["password"] or "") if plan["username"] else None
    size = {name: plan[name] or 0 for name in ("width", "height", "fps")}
    source = plan_source(plan["url"], **size, login=login, allow_basic=plan["allow_basic"])
    libav = LibavWorker(
        camera,
        source,
        camera_recorder,
        recorder,
        SystemClock(Path(settings["state"])),
        loss_window_s=settings["loss_window_s"],
        beat=lambda state: beat(json.dumps(state).encode()),
    )
    ear.heed = lambda said: recorder.seal_to(_recipients(said["recipients"]))
    return libav.run(ear.stopping)


def _camera(  # noqa: PLR0917 - the settings, the camera, and how it begins
    settings: dict[str, Any],
    camera: str,
    plan: dict[str, Any],
    recorder: DiskRecorder,
    covered_ms: int | None,
    cause: str,
) -> tuple[CameraPlan, CameraRecorder]:
    from agent.capture.camera import CameraPlan, CameraRecorder

    camera_plan = CameraPlan(settings["box"], camera, settings["segment_s"], plan["phase"])
    duty = None
    if plan["hours"]:
        from agent.capture.duty import Duty  # and with it the configuration, which no other camera needs

        duty = Duty(plan["hours"])
    return camera_plan, CameraRecorder(camera_plan, recorder, covered_ms, GapCause(cause), duty)


def _recipients(keys: Sequence[str]) -> list[Recipient]:
    from agent.storage.envelope import X25519Recipient

    return [X25519Recipient.parse(key) for key in keys]


def _recorder(order: dict[str, Any]) -> DiskRecorder:
    """Take up the vaults for this worker's cameras, saving first what a predecessor left open."""
    from agent.storage.catalogue import Catalogue
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
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return DiskRecorder(
        vaults,
        state,
        _recipients(settings["recipients"]),
        clock,
        worker=order["name"],
        homes={camera: plan["vault"] for camera, plan in cameras.items()},
        memory=Memory(cameras, most_bytes(machine_bytes, len(cameras), settings["cameras"])),
    )


if __name__ == "__main__":
    sys.exit(work(int(sys.argv[1]), int(sys.argv[2])))
