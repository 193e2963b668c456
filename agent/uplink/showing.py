"""Live streams as grants allow them: what the keeper says is brought to the relays, and what they say to the keeper.

One thread calls it, the one that reports; the relays have their own, and end by themselves if this one hangs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from agent.health import Raised
from agent.uplink.streams import LINE, NONE, Streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.grants import Grant, Report
    from agent.uplink.share import Key
    from agent.uplink.streams import Flow, Want

LOOK_S = 0.25
"""How often grants are looked at: one that is taken back must stop within two seconds (F12)."""
STALLED_S = 10.0
MOST_TOLD = 8
"""Cameras that stall: of a media server that is away so many say enough, and whoever reads conditions takes 32."""


class Granted(Protocol):
    """Where grants are told of, and reports go. What fails there is passed over: nothing is granted by it."""

    def grants(self) -> dict[str, Grant]:
        """Return what may be shown, by grant, oldest first."""
        ...

    def reports(self) -> dict[str, Report]:
        """Return what was said before."""
        ...

    def put(self, report: Report) -> None:
        """Tell keep what became of one."""
        ...


class Relayed(Protocol):
    """What relays; `agent.uplink.relaying.Relays` is one."""

    def want(self, wanted: Mapping[Key, Want]) -> None:
        """Relay these, and no others."""
        ...

    def flows(self) -> dict[Key, Flow]:
        """Return how each relay goes."""
        ...

    def state(self) -> list[dict[str, Any]]:
        """Return what the health file shows."""
        ...

    def close(self) -> None:
        """End all, and wait for that."""
        ...


class Showing:
    """All live streams of a box."""

    def __init__(self, granted: Granted, relays: Relayed, boot: str) -> None:
        """Begin with what is granted. `boot`: the kernel's name of this one."""
        self._granted = granted
        self._relays = relays
        self._streams = Streams(boot, granted.reports())
        self._next_s = 0.0
        self._wanted: dict[Key, Want] = {}
        self._dry: dict[Key, float] = {}

    def turn(self, now_s: float) -> float:
        """Look when it is time; return in how many seconds to be called again. now_s: seconds since boot."""
        if now_s >= self._next_s:
            self._next_s = now_s + LOOK_S
            self._look(now_s)
        return self._next_s - now_s

    def raised(self, now_s: float) -> list[Raised]:
        """Return which cameras should flow and do not; one that waits for its turn on a slow line is in order."""
        found: dict[str, Raised] = {}
        flows = self._relays.flows()
        for (camera, centre), since_s in self._dry.items():
            reason = flows.get((camera, centre), NONE).reason
            if now_s - since_s >= STALLED_S and reason != LINE:
                detail = f"{centre}: {reason}" if centre else reason
                found.setdefault(camera, Raised("stream.stalled", camera, detail))
        return [*found.values()][:MOST_TOLD]

    def to_json(self) -> list[dict[str, Any]]:
        """Return what the health file shows: cameras, centres and counts, nobody's name."""
        return self._relays.state()

    def close(self) -> None:
        """End all streams; their grants stand, for whoever begins anew."""
        self._relays.close()

    def _look(self, now_s: float) -> None:
        flows = self._relays.flows()
        wanted, reports = self._streams.look(self._granted.grants(), int(now_s * 1000), flows)
        if wanted != self._wanted:
            self._wanted = wanted
            self._relays.want(wanted)
        for report in reports:
            self._granted.put(report)
        self._dry = {key: self._dry.get(key, now_s) for key in wanted if not flows.get(key, NONE).flowing}
