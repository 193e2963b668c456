"""Put together what all processes of a box say. Pure: the files were read by somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.health.condition import Severity
from agent.health.registry import CONDITIONS, Raised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.model import Instant

STALE_S = 55.0
"""A process that has said nothing for so long is shown as a condition by those who still speak; at the centre within a
minute (H3)."""
_ORDER = list(Severity)


def silent_s(health: Mapping[str, Any] | None, boot_s: float) -> float | None:
    """Return for how long a process has said nothing, by the clock since boot that it writes as `boot_ms`.

    boot_s   now, seconds since boot, sleep included
    Returns  None when it never spoke in this boot: a clock that starts anew is behind what an earlier boot wrote
    """
    said = health.get("boot_ms") if health else None
    if type(said) is not int or not 0 <= said <= boot_s * 1000:
        return None
    return boot_s - said / 1000


def silences(
    healths: Mapping[str, Mapping[str, Any] | None], boot_s: float, since_s: float = 0.0
) -> list[Raised]:
    """Return `process.silent` for each process that has said nothing for too long.

    healths  of those that should run, by the names of their files; None where there is none
    boot_s   now, seconds since boot, sleep included
    since_s  when one began to listen, by the same clock: a process that is yet to start is not silent
    """
    return [
        Raised("process.silent", process, f"{int(long_s)} s")
        for process, long_s in _silent(healths, boot_s, since_s).items()
    ]


def _silent(
    healths: Mapping[str, Mapping[str, Any] | None], boot_s: float, since_s: float
) -> dict[str, float]:
    """Return for how long each process that is silent has been so, as far as it was listened to."""
    found = {}
    for process, health in healths.items():
        silent = silent_s(health, boot_s)
        long_s = boot_s - since_s if silent is None else min(boot_s - since_s, silent)
        if long_s > STALE_S:
            found[process] = long_s
    return found


def gather(
    healths: Mapping[str, Mapping[str, Any] | None],
    boot_s: float,
    now: Instant,
    since_s: float = 0.0,
    also: Iterable[Raised] = (),
) -> list[dict[str, Any]]:
    """Return the conditions of all processes, each once, the worst first and of those the oldest.

    healths, boot_s, since_s  as in `silences`, which are among them
    also     what the reader finds wrong by itself, since now; a process is silent since it spoke, or since_s
    Returns  as `Tracker.to_json`
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for health in healths.values():
        for each in (health or {}).get("conditions", []):
            if each.get("code") in CONDITIONS:
                found.setdefault((each["code"], each["subject"]), each)
    # By the clock since boot: one that never spoke has left no time of its own, and a jump moves none of this.
    silent = _silent(healths, boot_s, since_s)
    for raised in [*silences(healths, boot_s, since_s), *also]:
        long_s = silent.get(raised.subject, 0.0) if raised.code == "process.silent" else 0.0
        each = {
            "code": raised.code,
            "severity": str(raised.condition.severity),
            "subject": raised.subject,
            "detail": raised.detail,
            "since_ms": now.utc_ms - int(long_s * 1000),
            "trust": str(now.trust),
        }
        found.setdefault((raised.code, raised.subject), each)
    return sorted(
        found.values(), key=lambda each: (_ORDER.index(Severity(each["severity"])), each["since_ms"])
    )
