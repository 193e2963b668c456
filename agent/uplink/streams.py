"""Which cameras are relayed by which grants, and what is to be said of each grant. Pure.

A relay belongs to a camera, a grant to somebody who watches it: two grants of one camera share one relay, which ends
with the last of them. Bytes are counted for each grant from its begin to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.grants import MOST_CAMERAS, Report, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.grants import Grant

LAST_MS = 1500
"""So long after its end a grant's bytes are counted: its relay may take a second to end."""
AGAIN_MS = 10_000
"""How often bytes are told while they flow: what a power cut takes of them is no more than that."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How a camera's relay goes, and what it has sent since this process began, over all its lives."""

    flowing: bool = False
    reason: str = ""
    sent_bytes: int = 0
    left_out: int = 0


NONE = Flow()


@dataclass(slots=True)
class _Seen:
    """A grant that was heard of.

    base   how its camera's counts stood when it began
    ended  why it is in force no more, and since when
    """

    grant: Grant
    base: Flow
    flowed: bool = False
    ended: str = ""
    ended_ms: int = 0
    told: Report | None = None
    told_ms: int = 0


class Streams:
    """All grants of a box, as the uplink sees them."""

    def __init__(self, boot: str, before: Mapping[str, Report] | None = None) -> None:
        """Begin with none.

        boot    the kernel's name of this one
        before  what an earlier life of this process said, by grant: bytes go on from there
        """
        self._boot = boot
        self._seen: dict[str, _Seen] = {}
        self._before = dict(before or {})
        self._over = {name for name, report in self._before.items() if report.stage is Stage.OVER}

    def look(
        self, grants: Mapping[str, Grant], now_ms: int, flows: Mapping[str, Flow]
    ) -> tuple[dict[str, tuple[float, bool]], list[Report]]:
        """Learn which grants there are; return which cameras to relay, and what to say of grants.

        grants   by id
        now_ms   CLOCK_BOOTTIME
        flows    by camera
        Returns  camera -> (until when, seconds since boot; whether it has a second stream), at most MOST_CAMERAS, those
                 first whose grants came first; and reports that say something new
        """
        self._over &= grants.keys()
        for name, grant in grants.items():
            if name not in self._seen and name not in self._over:
                self._seen[name] = self._new(name, grant, flows.get(grant.camera, NONE))
        for name, seen in self._seen.items():
            if seen.ended:
                continue
            if name not in grants:
                seen.ended, seen.ended_ms = "revoked", now_ms
            elif not seen.grant.is_open(self._boot, now_ms):
                seen.ended, seen.ended_ms = "expired", now_ms
        return self._wanted(), [*self._reports(now_ms, flows)]

    def _new(self, name: str, grant: Grant, flow: Flow) -> _Seen:
        before = self._before.pop(name, None)
        if before is None:
            return _Seen(grant, flow)
        base = Flow(sent_bytes=flow.sent_bytes - before.sent_bytes, left_out=flow.left_out - before.left_out)
        return _Seen(grant, base, before.flowed)

    def _wanted(self) -> dict[str, tuple[float, bool]]:
        wanted: dict[str, tuple[float, bool]] = {}
        for seen in self._seen.values():
            grant = seen.grant
            until_s, has_sub = wanted.get(grant.camera, (0.0, False))
            if not seen.ended and (grant.camera in wanted or len(wanted) < MOST_CAMERAS):
                wanted[grant.camera] = max(until_s, grant.until_boot_ms / 1000), has_sub or grant.has_sub
        return wanted

    def _reports(self, now_ms: int, flows: Mapping[str, Flow]) -> list[Report]:
        said = []
        for name, seen in [*self._seen.items()]:
            flow = flows.get(seen.grant.camera, NONE)
            seen.flowed = seen.flowed or (flow.flowing and not seen.ended)
            over = bool(seen.ended) and now_ms >= seen.ended_ms + LAST_MS
            stage = Stage.OVER if over else Stage.FLOWING if flow.flowing else Stage.WAITING
            report = Report(
                name,
                stage,
                seen.flowed,
                seen.ended if over else "" if flow.flowing else flow.reason,
                flow.sent_bytes - seen.base.sent_bytes,
                flow.left_out - seen.base.left_out,
            )
            if _is_news(seen, report, now_ms):
                seen.told, seen.told_ms = report, now_ms
                said.append(report)
            if over:
                del self._seen[name]
                self._over.add(name)
        return said


def _is_news(seen: _Seen, report: Report, now_ms: int) -> bool:
    told = seen.told
    if told is None or (told.stage, told.flowed, told.reason) != (report.stage, report.flowed, report.reason):
        return True
    return told != report and now_ms >= seen.told_ms + AGAIN_MS
