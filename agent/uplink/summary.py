"""Makes a health and a birth of what the processes say of themselves. Pure.

Nothing of a health file goes on as it is: what is not named here does not leave the box, so no address does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.health import Severity
from agent.uplink.payloads import CAMERA_STATES, Birth, CameraPlate, FullCondition, Health

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.config import Config
    from agent.model import Instant

MOST_CONDITIONS = 64
_MOST_TEXT = 200
_ORDER = [str(severity) for severity in Severity]


def conditions(*files: Mapping[str, Any] | None, own: Iterable[dict[str, Any]] = ()) -> list[FullCondition]:
    """Return what all processes find wrong, the worst first.

    files  health files, None for a process that is silent
    own    what the uplink itself finds, as a tracker tells it
    """
    told = [each for file in files for each in _list(_get(file, "conditions"))] + [*own]
    found = [condition for each in told if (condition := _condition(each)) is not None]
    return sorted(found, key=lambda each: (_ORDER.index(each.severity), each.since_ms))[:MOST_CONDITIONS]


def health(
    config: Config,
    session: str,
    n: int,
    now: Instant,
    *,
    record: Mapping[str, Any] | None,
    keep: Mapping[str, Any] | None,
    wrong: Sequence[FullCondition],
    backlog: int,
    seq: int | None,
) -> Health:
    """Make a health.

    record, keep  their health files, None for a process that is silent
    backlog, seq  of the ledger: entries that the broker has not acknowledged; the newest, None where it is not told
    """
    cameras = _get(record, "cameras")
    return Health(
        box=config.box.id,
        session=session,
        n=n,
        at_ms=now.utc_ms,
        trust=now.trust.value,
        challenge=_text(_get(keep, "challenge")),
        cameras=[_camera(_get(cameras, camera.id)) for camera in config.cameras],
        conditions=[(each.code, each.subject, each.since_ms) for each in wrong if each.severity != "info"],
        vaults=[_vault(vault) for vault in _list(_get(keep, "vaults"))],
        box_vitals=_vitals(_get(keep, "vitals")),
        backlog=backlog,
        seq=seq,
    )


def birth(
    config: Config,
    session: str,
    n: int,
    now: Instant,
    *,
    boot: tuple[str, int],
    versions: dict[str, str],
    ledger: tuple[str, str],
    record: Mapping[str, Any] | None,
    keep: Mapping[str, Any] | None,
    wrong: Sequence[FullCondition],
) -> Birth:
    """Make a birth.

    boot        the kernel's name for it, and milliseconds since
    ledger      its id, and the public key that signs it
    record, keep  their health files, None for a process that is silent
    """
    return Birth(
        box=config.box.id,
        session=session,
        n=n,
        at_ms=now.utc_ms,
        trust=now.trust.value,
        boot_ms=boot[1],
        boot=boot[0],
        versions=versions,
        site=config.box.site,
        operator=config.box.operator,
        retention_days=config.storage.retention_days,
        cameras=[
            CameraPlate(
                id=camera.id,
                name=camera.name,
                purpose=camera.purpose.value,
                legal_basis=camera.legal_basis,
                owner=config.box.operator,
                retention_days=camera.retention_days,
            )
            for camera in config.cameras
        ],
        recipients=[_text(each) for each in _list(_get(_get(record, "sealing"), "recipients"))],
        ledger=ledger[0],
        vkey=ledger[1],
        challenge=_text(_get(keep, "challenge")),
        conditions=[*wrong],
    )


def _camera(said: Any) -> tuple[int, int, int]:
    state = _get(said, "state")
    place = CAMERA_STATES.index(state) if state in CAMERA_STATES else 0
    return place, round(_number(_get(said, "fps")) * 10), round(_number(_get(said, "kbit_s")))


def _vault(said: Any) -> tuple[int | None, int | None]:
    total, free = _number(_get(said, "total_bytes")), _number(_get(said, "free_bytes"))
    forecast = _get(said, "forecast_tenths_of_days")
    return int(free * 1000 // total) if total else None, forecast if type(forecast) is int else None


def _vitals(said: Any) -> tuple[int | None, int | None, int | None, int | None]:
    load = _list(_get(said, "load_hundredths"))
    found = (
        _get(said, "cpu_percent"),
        _get(said, "memory_percent"),
        _get(_get(said, "hottest"), "celsius"),
        load[0] if load else None,
    )
    cpu, memory, hottest, first = (each if type(each) is int else None for each in found)
    return cpu, memory, hottest, first


def _condition(said: Any) -> FullCondition | None:
    """Read one; what lacks its code or severity is none."""
    code, severity, since_ms = (_get(said, name) for name in ("code", "severity", "since_ms"))
    if not isinstance(code, str) or severity not in _ORDER:
        return None
    trust = _get(said, "trust")
    return FullCondition(
        code=code,
        severity=severity,
        subject=_text(_get(said, "subject")),
        detail=_text(_get(said, "detail")),
        since_ms=since_ms if type(since_ms) is int else 0,
        trust=trust if trust in ("SYNCED", "HOLDOVER") else "UNTRUSTED",
    )


def _get(said: Any, name: str) -> Any:
    return said.get(name) if isinstance(said, dict) else None


def _list(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []


def _text(said: Any) -> str:
    return said[:_MOST_TEXT] if isinstance(said, str) else ""


def _number(said: Any) -> float:
    """Return a number that is none of the odd ones: these files are read from another process."""
    return said if type(said) in (int, float) and 0 <= said < 1e15 else 0
