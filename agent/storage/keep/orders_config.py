"""`config.propose`: a new agent.toml that the recorder takes up, or that is taken back. By steps:

    C1  the new text is staged in <state>/proposed.toml, and the old one in `<file>.before`
    C2  it is noted which cameras record now, and the fact `config.proposed` says who wants what
    C3  the new text replaces the file
    C4  the recorder's health file is watched for WATCH_S: it must have applied this very file, and every camera that
        recorded before and is still configured must record, one at least if any did. Where [uplink] or [tunnel] is
        another, the uplink must have its broker again if it had. If anything is to be kept for less time, nothing is
        erased meanwhile (Desk.on_trial)
    C5  the fact `config.applied`; or the old file is put back, and the fact is `config.rolled_back`

Killed at any step and called again it goes on; the watch begins anew. No secrets travel: agent.toml holds none.
Nor does a proposal send a camera's log-in anywhere else: `moved_logins`.
Source  Gangneung regulation art. 7(2)-(3), 8, 9: consultation before a change; issue 4
"""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.command.errors import CommandRefused
from agent.command.judge import Weight
from agent.command.keyring import Role
from agent.config import ConfigProblems, load, read_secrets
from agent.config.hours import lessens
from agent.config.places import places, view
from agent.health import read_health, silent_s
from agent.model import UTC_DAY_MS, Fact
from agent.storage import files
from agent.storage.keep import orders_rows, orders_weight
from agent.storage.keep.orders_run import FAILED, PROGRESS, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.command.order import Order
    from agent.config import Camera, Config
    from agent.config.values import Centre, Purpose, Tunnel, Uplink
    from agent.storage.keep.orders_run import Context

WATCH_S = 120.0
SETTLED_S = 20.0
"""For so long at least the cameras are watched: one that records at first may still stop."""
STAGED = "proposed.toml"
BEFORE = ".before"
_LIMIT = 1 << 20
_LATELY_S = 15.0
GOOD = ("recording", "resting")
"""States of a camera that is well; the other one is outside of its hours."""
_TECHNICAL = ("name", "url", "sub_url", "transport", "width", "height", "fps")
"""Of a camera, what a technician may change, as long as it is the same host by the same scheme: to another one the
camera's log-in would go, and pictures would come from there. Purpose, legal basis and retention are not his either."""


def weigh(context: Context, order: Order) -> Weight:
    """Refuse a text that is no configuration, or that this signer may not propose; weigh what it would take away.

    A shorter retention, less hours of a camera, one that is left out, and another way to the centre need a second
    signature; another purpose of a camera needs the notice by which opinions were heard.
    Raises  CommandRefused CONFIG_REFUSED, CONFIG_BUSY, CONFIG_FIXED, CONFIG_LOGIN, CONFIG_NOTICE, COMMAND_ROLE
    """
    old, new = _now(context), _proposed(context, order)
    if orders_rows.is_running(context.catalogue, order):
        raise CommandRefused("CONFIG_BUSY", "another proposal is being tried")
    fixed = [
        (old.box.id, new.box.id),
        (old.storage.vaults, new.storage.vaults),
        (old.storage.state, new.storage.state),
        (old.storage.run, new.storage.run),
    ]
    if any(before != after for before, after in fixed):
        raise CommandRefused("CONFIG_FIXED", "the box's id and its folders cannot be changed from afar")
    if order.signers[0].role is Role.TECHNICIAN and not is_technical(old, new):
        raise CommandRefused("COMMAND_ROLE", "a technician changes how cameras are reached, and no more")
    if moved := moved_logins(old, new, _has_login(old)):
        raise CommandRefused(
            "CONFIG_LOGIN", "a camera's log-in would go elsewhere", reason=", ".join(moved)[:300]
        )
    if (others := repurposed(old, new)) and "notice" not in order.arguments:
        reason = ", ".join(others)[:300]
        raise CommandRefused("CONFIG_NOTICE", "a camera would serve another purpose", reason=reason)
    after = _retention(new)
    if not is_shorter(context, new):
        less = not {camera.id for camera in old.cameras} <= {camera.id for camera in new.cameras}
        less = less or bool(lessened(old, new))
        return Weight(2) if less or _way(old) != _way(new) else orders_weight.LIGHT
    return orders_weight.of(context, orders_weight.shortened_ms(context, after), signatures=2)


def is_shorter(context: Context, new: Config) -> bool:
    """Tell whether anything is kept for less time."""
    after = _retention(new)
    cameras = {*context.catalogue.cameras(), *context.rules.retention_ms}
    return any(after(camera) < context.rules.retention_of(camera) for camera in cameras)


def lessened(old: Config, new: Config) -> list[str]:
    """Return the cameras that would not be recorded at some hour at which they are now."""
    pairs = ((old.camera(camera.id), camera) for camera in new.cameras)
    return [now.id for was, now in pairs if was is not None and lessens(was.hours, now.hours)]


def moved_logins(old: Config, new: Config, has_login: Callable[[str], bool]) -> list[str]:
    """Return the cameras whose user and password would be offered at an address where they are not offered now.

    secrets.toml names no hosts: whoever may say where a camera is could have its password sent there. So who gives the
    password, at the box, must do so anew. The same for one that would go in clear from now on.
    """
    found = []
    for camera in new.cameras:
        was = old.camera(camera.id)
        if not has_login(camera.id):
            continue
        before = places(was.url, was.sub_url) if was is not None else []
        after = places(camera.url, camera.sub_url)
        in_clear = camera.allow_basic_auth and was is not None and not was.allow_basic_auth
        if before[:1] != after[:1] or not {*after} <= {*before} or in_clear:
            found.append(camera.id)
    return found


def repurposed(old: Config, new: Config) -> list[str]:
    """Return the cameras that would serve another purpose than they, or what they look at, serve now.

    That is, by its id or by one of its addresses: under another id, beside the one that there is, or by another
    camera that is pointed at its address.
    Source  Gangneung regulation art. 9: opinions are heard before
    """
    served: dict[object, set[Purpose]] = {}
    for camera in old.cameras:
        for key in _served_by(camera):
            served.setdefault(key, set()).add(camera.purpose)
    return [
        camera.id
        for camera in new.cameras
        if any(camera.purpose not in served.get(key, {camera.purpose}) for key in _served_by(camera))
    ]


def _served_by(camera: Camera) -> list[object]:
    return [camera.id, *(view(url) for url in (camera.url, camera.sub_url) if url is not None)]


def is_technical(old: Config, new: Config) -> bool:
    """Tell whether only how cameras are reached on their hosts differs."""
    before = {camera.id: _essence(camera) for camera in old.cameras}
    after = {camera.id: _essence(camera) for camera in new.cameras}
    if _rest(old) != _rest(new) or before != after or [*before] != [*after]:
        return False
    pairs = zip(old.cameras, new.cameras, strict=True)
    return all(_host(was.url) == _host(now.url) and _hosts(now) <= _hosts(was) for was, now in pairs)


def _rest(config: Config) -> tuple[object, ...]:
    shown = config.centres, config.streams, config.triggers
    return config.box, config.storage, config.uplink, config.tunnel, *shown


def propose(context: Context, order: Order) -> Outcome:
    """Do C1 to C5."""
    assert context.config_file is not None, "weighed before"
    file, text = context.config_file, order.arguments["toml"].encode()
    before = file.with_name(file.name + BEFORE)
    note = context.note
    if note is None:
        weigh(context, order)  # again: a delayed one was weighed a day ago
        recorded = sorted(_recording(_heard_recorder(context)))
        old = files.read_small(file, _LIMIT)
        context.disk.atomic_replace(context.state / STAGED, text, sync=True)
        context.disk.atomic_replace(before, old, sync=True)
        context.step("C1")
        note = {
            "before_sha256": _sha256(old),
            "after_sha256": _sha256(text),
            "recorded": recorded,
            "uplink_pid": _pid_to_replace(context, _now(context), _proposed(context, order)),
            # Until the verdict nothing is erased then: what would be taken back with the file could not be.
            "shorter": is_shorter(context, _proposed(context, order)),
        }
        told = note | {"consultation": order.arguments["consultation"], "by": order.id}
        if "notice" in order.arguments:
            told["notice"] = order.arguments["notice"]
        del told["uplink_pid"]
        context.remember(order, note, Fact("config.proposed", context.now, told))
        context.step("C2")
    sha256 = note["after_sha256"]
    if "since_ms" not in note:
        context.disk.atomic_replace(file, text, sync=True)
        context.step("C3")
        note = note | {"since_ms": int(context.mono_s * 1000), "boot_id": context.clock.boot_id}
        context.remember(order, note)
    elif note["boot_id"] != context.clock.boot_id:
        note = note | {"since_ms": int(context.mono_s * 1000), "boot_id": context.clock.boot_id}
        context.remember(order, note)
    passed_s = WATCH_S if context.last else context.mono_s - note["since_ms"] / 1000
    cut_off = _is_cut_off(context, note["uplink_pid"])
    verdict, missing = judge(
        _recorder(context), sha256, set(note["recorded"]), _wanted(order), passed_s, cut_off=cut_off
    )
    context.step("C4")
    detail: dict[str, Any] = {"sha256": sha256}
    if not verdict:
        return Outcome(PROGRESS, detail=detail)
    context.disk.unlink(context.state / STAGED)
    facts = {"before_sha256": note["before_sha256"], "after_sha256": sha256, "by": order.id}
    if verdict == "applied":
        context.step("C5")
        return Outcome(detail=detail, facts=(Fact("config.accepted", context.now, facts),))
    old, lies_there = files.read_small(before, _LIMIT), _sha256(files.read_small(file, _LIMIT))
    if lies_there == sha256 and _sha256(old) == note["before_sha256"]:
        context.disk.atomic_replace(file, old, sync=True)
    elif lies_there != note["before_sha256"]:  # else it was put back, before a kill
        verdict = "CONFIG_CHANGED"  # by somebody else, who answers for it
    context.step("C5")
    facts |= {"code": verdict, "missing": missing}
    detail |= {"missing": missing}
    return Outcome(FAILED, verdict, detail, (Fact("config.rolled_back", context.now, facts),))


def judge(
    recorder: Mapping[str, Any],
    sha256: str,
    recorded: set[str],
    wanted: set[str],
    passed_s: float,
    *,
    cut_off: bool = False,
) -> tuple[str, list[str]]:
    """Say what becomes of a new configuration.

    recorder  its health file, empty when it says nothing
    recorded  cameras that recorded before; wanted: those that are configured now
    cut_off   the uplink had its broker before, and has it no more
    Returns   "" (look again), "applied", or the code of why it is taken back; and which cameras do not record
    """
    said = recorder.get("config")
    state = said.get("state") if isinstance(said, dict) and said.get("sha256") == sha256 else ""
    recording = _recording(recorder)
    missing = sorted((recorded & wanted) - recording if recording else recorded)
    if state in ("invalid", "needs_restart"):
        return "CONFIG_NOT_TAKEN", missing
    if state == "applied" and not missing and not cut_off and passed_s >= SETTLED_S:
        return "applied", []
    if passed_s < WATCH_S:
        return "", missing
    if state != "applied":
        return "CONFIG_NOT_TAKEN", missing
    return ("CONFIG_CAMERAS_LOST" if missing else "CONFIG_CUT_OFF"), missing


def _retention(config: Config) -> Callable[[str], int]:
    days = {camera.id: camera.retention_days for camera in config.cameras}
    return lambda camera: days.get(camera, config.storage.retention_days) * UTC_DAY_MS


def _now(context: Context) -> Config:
    if context.config_file is None:
        raise CommandRefused("CONFIG_REFUSED", "this keeper was started without a configuration")
    return load(context.config_file)


def _proposed(context: Context, order: Order) -> Config:
    """Read the proposed text as if it lay in the file's place. Raises CommandRefused CONFIG_REFUSED."""
    from agent.config.load import load_text

    assert context.config_file is not None, "asked before"
    try:
        return load_text(order.arguments["toml"].encode(), context.config_file)
    except ConfigProblems as problems:
        reason = "; ".join(f"{each.key} {each.code}" for each in problems.problems[:5])
        raise CommandRefused("CONFIG_REFUSED", "no valid agent.toml", reason=reason[:300]) from None


def _wanted(order: Order) -> set[str]:
    tables = tomllib.loads(order.arguments["toml"]).get("camera", [])
    return {table["id"] for table in tables}


def _host(url: str) -> tuple[str, str]:
    """Return where an address leads; a file is a place of its own."""
    parts = urlsplit(url)
    return parts.scheme, parts.path if parts.scheme == "file" else parts.hostname or ""


def _has_login(config: Config) -> Callable[[str], bool]:
    """Return what tells whether a camera has one; where nobody can tell, each may have."""
    try:
        if config.sealed_secrets_file.exists():
            return lambda _: True
        known = set(read_secrets(config.secrets_file).cameras())
    except (ConfigProblems, OSError):
        return lambda _: True
    return known.__contains__


def _hosts(camera: Camera) -> set[tuple[str, str]]:
    return {_host(url) for url in (camera.url, camera.sub_url) if url is not None}


def _essence(camera: Camera) -> dict[str, Any]:
    return {name: value for name, value in camera.to_json().items() if name not in _TECHNICAL}


def _recorder(context: Context) -> Mapping[str, Any]:
    return _said(context, "record")


def _said(context: Context, process: str) -> Mapping[str, Any]:
    """Return what a process says of itself; nothing when it has not spoken lately."""
    if context.run is None:
        return {}
    said = read_health(context.run, process)
    silent = silent_s(said, context.mono_s)
    return said if said is not None and silent is not None and silent <= _LATELY_S else {}


def _heard_recorder(context: Context) -> Mapping[str, Any]:
    """Return the same of one that speaks: while it is silent nobody can say what a proposal loses.

    Raises  CommandRefused CONFIG_BUSY
    """
    recorder = _recorder(context)
    if not recorder:
        raise CommandRefused("CONFIG_BUSY", "the recorder says nothing")
    return recorder


def _way(config: Config) -> tuple[Uplink | None, Tunnel | None, tuple[Centre, ...]]:
    return config.uplink, config.tunnel, config.centres


def _pid_to_replace(context: Context, old: Config, new: Config) -> int | None:
    """Return the uplink that must be followed by another one; 0: the same will do; None: none is asked for.

    An uplink whose broker is another ends, and a new one begins: the old one's word is worth nothing then.
    """
    said = _said(context, "uplink")
    if _way(old) == _way(new) or new.uplink is None or said.get("connected") is not True:
        return None
    pid = said.get("pid")
    return pid if old.uplink != new.uplink and isinstance(pid, int) else 0


def _is_cut_off(context: Context, pid: int | None) -> bool:
    if pid is None:
        return False
    said = _said(context, "uplink")
    return said.get("connected") is not True or said.get("pid") == pid


def _recording(recorder: Mapping[str, Any]) -> set[str]:
    cameras = recorder.get("cameras", {})
    return {name for name, each in cameras.items() if each.get("state") in GOOD}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
