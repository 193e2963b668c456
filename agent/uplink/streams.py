"""Which cameras are relayed to which centres by which grants, and what is to be said of each grant. Pure.

A relay belongs to a camera and a centre, a grant to somebody who watches there: two grants of one camera to one centre
share one relay, which ends with the last of them. Bytes are counted for each grant from its begin to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.grants import Most, Report, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.grants import Grant
    from agent.uplink.share import Key

MOST_RELAYS = 64
"""At a time (F11): all 48 cameras of a box in a disaster, and who watches besides. What is wanted beyond that waits."""

LAST_MS = 1500
"""So long after its end a grant's bytes are counted: its relay may take a second to end."""
AGAIN_MS = 10_000
"""How often bytes are told while they flow: what a power cut takes of them is no more than that."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a relay is to do, by all grants that it serves.

    until_s   when it ends by itself, seconds since boot
    has_sub   the camera has a second stream
    rank      the lowest is served first
    most      the best it may send
    before_s  seconds before now to begin with
    """

    until_s: float
    has_sub: bool = False
    rank: int = 25
    most: Most = Most.MAIN
    before_s: int = 0


@dataclass(frozen=True, slots=True)
class Flow:
    """How a relay goes, and what it has sent since this process began, over all its lives."""

    flowing: bool = False
    reason: str = ""
    sent_bytes: int = 0
    left_out: int = 0


NONE = Flow()
LINE = "line"
"""The reason of a relay that pauses: the line is others' for now."""
FULL = "full"
"""The reason of one that there is none for: others come first."""


@dataclass(slots=True)
class _Seen:
    """A grant that was heard of.

    base   how its relay's counts stood when it began
    ended  why it is in force no more, and since when
    """

    grant: Grant
    base: Flow
    flowed: bool = False
    ended: str = ""
    ended_ms: int = 0
    told: Report | None = None
    told_ms: int = 0

    @property
    def key(self) -> Key:
        return self.grant.camera, self.grant.centre


class Streams:
    """All grants of a box, as the uplink sees them."""

    def __init__(self, boot: str, before: Mapping[str, Report] | None = None) -> None:
        """Begin with none.

        boot    the kernel's name of this one
        before  what an earlier life of this process said, by grant: bytes go on from there. A grant that was over and
                is open, since it was lent again or its file could not be seen for a while, begins anew
        """
        self._boot = boot
        self._seen: dict[str, _Seen] = {}
        self._before = dict(before or {})
        self._over = {name for name, report in self._before.items() if report.stage is Stage.OVER}

    def look(
        self, grants: Mapping[str, Grant], now_ms: int, flows: Mapping[Key, Flow]
    ) -> tuple[dict[Key, Want], list[Report]]:
        """Learn which grants there are; return what to relay, and what to say of grants.

        grants   by id
        now_ms   CLOCK_BOOTTIME
        flows    of the relays
        Returns  what each relay is to do, at most MOST_RELAYS, by rank, and among equals those first whose grants came
                 first; and reports that say something new
        """
        self._over &= grants.keys()
        for name, grant in grants.items():
            is_open = grant.is_open(self._boot, now_ms)
            seen = self._seen.get(name)
            if seen is None and (is_open or name not in self._over):
                self._over.discard(name)
                self._seen[name] = self._new(name, grant, flows.get((grant.camera, grant.centre), NONE))
            elif seen is not None and seen.key == (grant.camera, grant.centre):
                seen.grant = grant  # what lasts long is lent for minutes, again and again
                seen.ended = "" if is_open else seen.ended
        for name, seen in self._seen.items():
            if seen.ended:
                continue
            if name not in grants:
                seen.ended, seen.ended_ms = "revoked", now_ms
            elif not seen.grant.is_open(self._boot, now_ms):
                seen.ended, seen.ended_ms = "expired", now_ms
        wanted = self._wanted()
        said = self._reports(now_ms, flows, wanted)
        self._before = {name: report for name, report in self._before.items() if name in grants}
        return wanted, said

    def _new(self, name: str, grant: Grant, flow: Flow) -> _Seen:
        before = self._before.pop(name, None)
        if before is None:
            return _Seen(grant, flow)
        base = Flow(sent_bytes=flow.sent_bytes - before.sent_bytes, left_out=flow.left_out - before.left_out)
        return _Seen(grant, base, before.flowed)

    def _wanted(self) -> dict[Key, Want]:
        open_: dict[Key, list[Grant]] = {}
        for seen in self._seen.values():
            if not seen.ended:
                open_.setdefault(seen.key, []).append(seen.grant)
        wanted = {key: _want(grants) for key, grants in open_.items()}
        first = sorted(wanted, key=lambda key: wanted[key].rank)[:MOST_RELAYS]
        return {key: wanted[key] for key in first}

    def _reports(self, now_ms: int, flows: Mapping[Key, Flow], wanted: Mapping[Key, Want]) -> list[Report]:
        said = []
        for name, seen in [*self._seen.items()]:
            flow = flows.get(seen.key, NONE)
            reason = flow.reason if seen.key in wanted or seen.ended else FULL
            seen.flowed = seen.flowed or (flow.flowing and not seen.ended)
            over = bool(seen.ended) and now_ms >= seen.ended_ms + LAST_MS
            stage = Stage.OVER if over else Stage.FLOWING if flow.flowing else Stage.WAITING
            report = Report(
                name,
                stage,
                seen.flowed,
                seen.ended if over else "" if flow.flowing else reason,
                max(0, flow.sent_bytes - seen.base.sent_bytes),
                max(0, flow.left_out - seen.base.left_out),
            )
            if _is_news(seen, report, now_ms):
                seen.told, seen.told_ms = report, now_ms
                said.append(report)
            if over:
                del self._seen[name]
                self._over.add(name)
                self._before[name] = report
        return said


def _want(grants: Iterable[Grant]) -> Want:
    grants = [*grants]
    return Want(
        max(grant.until_boot_ms for grant in grants) / 1000,
        any(grant.has_sub for grant in grants),
        min(grant.rank for grant in grants),
        Most.MAIN if any(grant.most is Most.MAIN for grant in grants) else Most.SUB,
        max(grant.before_s for grant in grants),
    )


def _is_news(seen: _Seen, report: Report, now_ms: int) -> bool:
    told = seen.told
    if told is None or (told.stage, told.flowed, told.reason) != (report.stage, report.flowed, report.reason):
        return True
    return told != report and now_ms >= seen.told_ms + AGAIN_MS
