"""Goes round all checks of a site, in the registry's order, while recording goes on undisturbed. Edge.

Cameras are looked at for as long as is asked; what else there is to look at is looked at meanwhile.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from datetime import timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from agent import overview
from agent.cli.times import show_time
from agent.errors import CameraFault, PasuError
from agent.field.doctor import (
    drop_ins,
    fence,
    judge_box,
    judge_camera,
    judge_disk,
    judge_way,
    look,
    look_state,
    sniff,
)
from agent.field.doctor.check import Result, fail, skip, warn
from agent.field.looking import FIRST_S, Looking
from agent.field.picture import judge, middle_of
from agent.forks import as_owner
from agent.health import Raised, read_health
from agent.language import say
from agent.machine import TPM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.config import Config, Secrets
    from agent.config.values import Camera
    from agent.field.doctor.judge_disk import DiskLook
    from agent.field.picture import Measures

KOREA = timezone(timedelta(hours=9))
PICTURES = 5
PICTURE_S = 12.0
"""For so many measures of one camera it is waited so long after the first; for that one, FIRST_S."""
BEGIN_S = 60.0
"""A slow processor takes long to load what decodes, and a camera to begin a session: neither is its picture."""
HELD_UP_S = 120.0
"""Time in which the one who looks had no processor is not the camera's, up to this."""
STEP_S = 1.0
SILENT_S = 15.0
"""The span that pictures are counted over is record's own; a busy machine may let it speak so much late."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    seconds  how long cameras are looked at
    wire_s   how long the wire is listened to, 0: not at all
    canary   as `judge_way.canary`, and which file
    """

    seconds: int
    wire_s: int
    canary: tuple[str, str]


class Rounds:
    """One examination of one site."""

    def __init__(
        self,
        config: Config,
        secrets: Secrets | None,
        request: Request,
        busy: Callable[[str, str, int], None] = lambda *_: None,
    ) -> None:
        """Look at nothing yet.

        secrets  None when they cannot be read
        busy     told what is looked at now: a check, a subject, seconds that are left
        """
        self._config = config
        self._secrets = secrets
        self._request = request
        self._busy = busy
        self._record: dict[str, Any] | None = None

    def go(self) -> Iterator[Result]:
        """Make every check; yield what each found."""
        config = self._config
        storage = config.storage
        self._record = read_health(storage.run, "record")
        yield from judge_box.config([(each.key, each.text) for each in config.warnings])
        yield judge_box.applied(look.digest(config.file), self._record)
        try:
            found = as_owner(storage.state, lambda: overview.of_box(config))
        except PasuError as error:
            yield fail("process", str(error.code), str(storage.run))
            return
        results: list[Result] = []
        for result in self._look(found):
            results.append(result)
            yield result
        end = found
        with contextlib.suppress(PasuError):  # what they said when one began is better than nothing
            end = as_owner(storage.state, lambda: overview.of_box(config))
        yield from judge_box.restarts(found["processes"], end["processes"])
        yield from judge_box.conditions(end["conditions"], results)

    def _look(self, found: dict[str, Any]) -> Iterator[Result]:
        """Make the checks that need what the processes say. found: as `agent.overview` read it."""
        config = self._config
        begin, begun_s = self._record, time.monotonic()
        yield from self._box(found)
        yield from self._state(found)
        yield from self._disks(found)
        yield from self._machine(found)
        for camera in config.cameras:
            self._busy("camera.picture", camera.id, 0)
            yield self._picture(camera)
        self._busy("audio.wire", "", self._request.wire_s)
        yield sniff.look([camera.url for camera in config.cameras], self._request.wire_s)
        end = read_health(config.storage.run, "record")
        while (left := self._request.seconds - _between_s(begin, end)) > 0:
            if time.monotonic() - begun_s > self._request.seconds + SILENT_S:
                break
            self._busy("camera.frames", "", math.ceil(left))
            time.sleep(min(STEP_S, left))
            end = read_health(config.storage.run, "record")
        yield from self._cameras(begin, end)

    def _box(self, found: dict[str, Any]) -> Iterator[Result]:
        config, processes = self._config, found["processes"]
        yield from judge_box.processes(processes, found["boot_ms"] / 1000)
        synced, away = look.clock()
        until_ms = as_owner(config.storage.state, lambda: look_state.word_until(config))
        until = "" if until_ms is None else show_time(until_ms, KOREA)
        yield from judge_box.clock(found["trust"], away, kernel_synced=synced, word_until=until)
        yield judge_way.recipients(look_state.recipients(config), self._record)
        yield judge_way.tunnel(config.tunnel is not None, processes.get("tunnel"))
        enrolled = "uplink" in processes
        yield from judge_way.broker(config.uplink is not None, enrolled, processes.get("uplink"))
        fingerprint = str((processes.get("page") or {}).get("fingerprint", ""))
        answers = look.page(config, fingerprint) if config.page else {}
        yield from judge_box.page(config.page is not None, answers)

    def _state(self, found: dict[str, Any]) -> Iterator[Result]:
        """Ask the catalogue."""
        config = self._config
        orders = (found["processes"].get("keep") or {}).get("orders") or {}
        self._busy("sealing.segment", "", 0)
        try:
            said = as_owner(config.storage.state, lambda: look_state.ledger(config, found["at_ms"]))
        except PasuError as error:
            why = f"{error.code}"
            yield fail("sealing.segment", why)
            yield skip("command", why)
            said = {"uninvited": {}}
        else:
            sealed_to = (self._record or {}).get("sealing") or {}
            several, long_s = len(sealed_to.get("recipients") or ()), config.storage.segment_s
            for camera in config.cameras:
                stored = look_state.stored_look(said["stored"][camera.id])
                yield judge_way.stored(camera.id, stored, several, found["at_ms"], long_s, camera.hours)
            since_s, waits_s = (
                None if at_ms is None else max(0, (found["at_ms"] - at_ms) // 1000)
                for at_ms in (said["command_ms"], said["reply_ms"])
            )
            connected = bool((found["processes"].get("uplink") or {}).get("connected"))
            yield judge_way.command(config.uplink is not None, since_s, orders, waits_s, connected=connected)
        folders = [config.file.parent, config.storage.state]
        yield judge_way.no_key(*look.keys(folders))
        yield judge_way.canary(*self._request.canary)
        told = (self._record or {}).get("cameras") or {}
        for camera in config.cameras:
            yield judge_camera.sound(camera.id, told.get(camera.id), int(said["uninvited"].get(camera.id, 0)))

    def _disks(self, found: dict[str, Any]) -> Iterator[Result]:
        config = self._config
        keep = found["processes"].get("keep") or {}
        reserves = {each["path"]: int(each["reserve_bytes"]) for each in keep.get("vaults", [])}
        load = judge_disk.load_bytes_s([camera.id for camera in config.cameras], self._record)
        looks: list[DiskLook] = []
        for place in config.storage.vaults:
            self._busy("disk.sync", str(place), 0)
            seen = as_owner(config.storage.state, partial(_disk, place))
            looks.append(judge_disk.DiskLook.from_json(seen))
            yield from judge_disk.disk(looks[-1], load[0], reserves.get(str(place.absolute()), 0))
        raised = [
            Raised(each["code"], each["subject"], each["detail"])
            for each in found["conditions"]
            if each["code"].startswith("disk.")
        ]
        yield from judge_disk.smart(keep.get("disks"), raised)
        told = (keep.get("retention") or {}).get("forecast_tenths_of_days")
        days = max([config.storage.retention_days, *(each.retention_days for each in config.cameras)])
        yield judge_disk.retention(days, told, looks, load, sum(reserves.values()))

    def _machine(self, found: dict[str, Any]) -> Iterator[Result]:
        config = self._config
        owner = config.storage.state.stat().st_uid if config.storage.state.exists() else 0
        yield from judge_box.permissions(look.places(config), owner)
        standing, opens, can_seal = look.sealing(config, self._secrets)
        yield judge_box.sealing(
            standing.form,
            standing.key,
            opens=opens,
            can_seal=can_seal,
            leftover=standing.leftover,
            has_tpm=TPM.exists(),
        )
        names = look.unit_names(config)
        self._busy("unit", "", 0)
        yield from judge_box.units(look.units([*names, *judge_box.AT_BOOT]))
        self._busy("fence", "", 0)
        yield from fence.look(config)
        self._busy("hardening.unit", "", 0)
        yield from judge_box.exposures(look.exposures(dict.fromkeys([*names, *judge_box.EXPOSED_OTHERS])))
        yield from drop_ins.judge(drop_ins.handing())
        if config.uplink is not None:
            yield from drop_ins.judge_sight(drop_ins.in_sight(config.storage.vaults))
        yield from judge_box.memory(look.swaps(), look.cores(found["processes"]))
        for camera in config.cameras:
            if self._secrets is None:
                yield warn("camera.password", say("계정을 읽을 수 없습니다", "the log-ins cannot be read"))
                break
            yield self._password(camera.id)

    def _password(self, camera: str) -> Result:
        from agent.onvif.factory import is_factory

        assert self._secrets is not None
        login = self._secrets.login(camera)
        known = login is not None and is_factory(login.username, login.password)
        return judge_camera.password(camera, login is not None, known)

    def _picture(self, camera: Camera) -> Result:
        found: list[Measures] = []
        login = self._secrets.login(camera.id) if self._secrets is not None else None
        until, begun, held_up_s = time.monotonic() + BEGIN_S, False, 0.0
        try:
            with Looking(self._config.storage.run, camera, login) as looking:
                while len(found) < PICTURES and (left := until + held_up_s - time.monotonic()) > 0:
                    measures = looking.next(min(left, STEP_S))
                    held_up_s = min(looking.held_up_s, HELD_UP_S)
                    now_s = time.monotonic() - held_up_s
                    if looking.confined and not begun:
                        begun, until = True, now_s + FIRST_S
                    if measures is not None:
                        until = until if found else now_s + PICTURE_S
                        found.append(measures)
        except CameraFault as fault:
            if fault.code == "AIM_ODD":
                return judge_camera.picture(camera.id, None, None, fault.message)
            if not found:
                # A board's pictures are the recorder's alone; a camera may have no second place.
                make = skip if fault.code == "AIM_NOT_RECORDED" else warn
                return make("camera.picture", fault.message, camera.id)
        if not found and (not begun or held_up_s >= HELD_UP_S):
            late = say("보기 시작하지 못했습니다", "looking could not begin in time")
            return warn("camera.picture", late, camera.id)
        if not found:
            why = say("그림을 풀지 못했습니다", "no picture could be decoded")
            return judge_camera.picture(camera.id, None, None, why)
        middle = middle_of(found)
        return judge_camera.picture(camera.id, middle, judge(middle))

    def _cameras(self, begin: dict[str, Any] | None, end: dict[str, Any] | None) -> Iterator[Result]:
        before, after = (begin or {}).get("cameras") or {}, (end or {}).get("cameras") or {}
        seconds = _between_s(begin, end)
        for camera in self._config.cameras:
            told = after.get(camera.id)
            yield judge_camera.frames(camera.id, before.get(camera.id), told, seconds)
            yield judge_camera.floor(camera.id, told)
            yield judge_camera.keyframes(camera.id, told)


def _between_s(begin: dict[str, Any] | None, end: dict[str, Any] | None) -> float:
    """Return the seconds between two words of record, by its own clock."""
    return float((end or {}).get("boot_ms", 0) - (begin or {}).get("boot_ms", 0)) / 1000


def _disk(place: Path) -> dict[str, Any]:
    return look.disk(place).to_json()
