"""Who gets the line: one judge over all relays of a box. Pure.

The line is handed out in rounds: to each camera its keyframes, then its second stream, then the whole; in each round by
rank, and among equals to who came first. So what is too much takes the last of the last round away: the low in rank go
down first and come up last, equals stand at most one round apart, and who has not even keyframes pauses while others
live. The first of all never pauses.

Down quickly, up slowly: what is too much shows within seconds, as packets that had to be left out; whether more would
go shows only by trying. Each attempt that fails doubles the wait for the next, each that holds what the next one takes.
A relay whose server takes nothing while others' do is not the line's doing: it is left alone, and costs nobody a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.uplink.ladder import Meter, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Key = tuple[str, str]
"""A relay: its camera, and its centre."""

WINDOW_S = 4.0
"""Left out twice within this: the stream is too much. F7 has ten seconds for all steps."""
FRESH_S = 3.0
UP_FIRST_S = 20.0
UP_MOST_S = 320.0
"""How long the line is calm before more is tried: while it was never too much, after it was, and at most."""
SETTLED_S = 30.0
"""A step that was taken up and stays for so long is one the line carries."""
ENOUGH = 0.9
AT_ONCE = 8
"""So many begin with all they may have; more that come begin with keyframes, and find out."""
SAMPLE_S = 1.0
STUCK = 2
"""So many samples in a row nothing of what waits is taken."""
MAIN_OCTETS_S = 500_000.0
SUB_OCTETS_S = 16_000.0
KEYFRAMES_PART = 0.15
"""What a stream costs before it was measured: usual cameras'; of second streams the least, so that they are tried."""


@dataclass(frozen=True, slots=True)
class Stand:
    """How a relay stands.

    rank     the lowest is served first
    steps    that it may take, least first
    flowing  the media server takes its packets
    away     it does not run, for reasons of its own: camera, media server
    shed     packets of it had to be left out since the last time
    waiting  more would have gone out if the line had taken it
    acked    bytes that the other end has acknowledged, ever
    rates    bytes a second of each step, as far as they were measured
    """

    rank: int
    steps: tuple[Step, ...]
    flowing: bool = True
    away: bool = False
    shed: bool = False
    waiting: bool = False
    acked: int = 0
    rates: Mapping[Step, float] = field(default_factory=dict)

    def cost(self, step: Step) -> float:
        """Return what a step takes of the line, bytes a second, by guess where it was not measured."""
        if step is Step.PAUSED or self.away:
            return 0.0
        if step in self.rates:
            return self.rates[step]
        if step is Step.MAIN:
            return MAIN_OCTETS_S
        if step is Step.SUB:
            return SUB_OCTETS_S
        return self.cost(Step.SUB if Step.SUB in self.steps else Step.MAIN) * KEYFRAMES_PART


@dataclass(slots=True)
class _Seen:
    """What is remembered of a relay.

    order  how many came before it
    dry    samples in a row in which it waited and nothing was acknowledged
    took   something was acknowledged in the last one
    """

    order: int
    step: Step
    best: Step
    acked: int
    shed_s: float | None = None
    waited_s: float | None = None
    dry: int = 0
    took: bool = False


@dataclass(slots=True)
class Share:
    """The judge."""

    _seen: dict[Key, _Seen] = field(default_factory=dict)
    _stands: Mapping[Key, Stand] = field(default_factory=dict)
    _line: Meter = field(default_factory=Meter)
    _acked: int = 0
    _came: int = 0
    _sample_s: float | None = None
    _since_s: float = 0.0
    _calm_s: float = 0.0
    _wait_s: float = FRESH_S
    _tried: bool = False
    _count: int = 1

    @property
    def capacity(self) -> float | None:
        """Return what the line carried while more was waiting, bytes a second; None while there never was."""
        return self._line.capacity

    def judge(self, now_s: float, stands: Mapping[Key, Stand]) -> dict[Key, Step]:
        """Return what each relay is to send from now on.

        now_s   monotonic
        stands  of all relays there are; to be told once a second, and as soon as one has shed
        """
        self._meet(now_s, stands)
        self._sample(now_s)
        if not any(stand.flowing for stand in stands.values()):
            self._calm_s = now_s  # nothing is learnt while nothing flows
        troubled = self._troubled(now_s)
        if troubled:
            self._down(now_s, troubled)
        elif self._tried and now_s - self._since_s >= SETTLED_S:
            self._tried = False
            self._wait_s = min(UP_FIRST_S, self._wait_s)
        elif now_s - self._calm_s >= self._wait_s:
            self._up(now_s)
        return {key: seen.step for key, seen in self._seen.items()}

    # who is there

    def _meet(self, now_s: float, stands: Mapping[Key, Stand]) -> None:
        """Learn who came and who went; where the line was too little it is divided anew among those who are there."""
        held = sum(self._stands[key].cost(seen.step) for key, seen in self._seen.items())
        is_tight = any(seen.step is not seen.best for seen in self._seen.values())
        changed = self._seen.keys() != stands.keys()
        self._stands = stands
        for key in self._seen.keys() - stands.keys():
            del self._seen[key]
        for key, seen in self._seen.items():
            steps = stands[key].steps
            if steps[-1] > seen.best and seen.step is seen.best:
                seen.step = steps[-1]
            seen.best = steps[-1]
            seen.step = max((step for step in steps if step <= seen.step), default=Step.PAUSED)
        for key, stand in sorted(stands.items(), key=lambda item: item[1].rank):
            if key not in self._seen:
                first = stand.steps[-1 if len(self._seen) < AT_ONCE else 0]
                self._seen[key] = _Seen(self._came, first, stand.steps[-1], stand.acked)
                self._came += 1
        if changed and is_tight and self._seen:
            self._divide(held)
            self._begin(now_s)

    # how it goes

    def _sample(self, now_s: float) -> None:
        if self._sample_s is not None and now_s - self._sample_s < SAMPLE_S * ENOUGH:
            return
        self._sample_s = now_s
        taken = {key: max(0, self._stands[key].acked - seen.acked) for key, seen in self._seen.items()}
        for key, seen in self._seen.items():
            stand = self._stands[key]
            seen.acked = stand.acked
            seen.took = taken[key] > 0
            seen.dry = seen.dry + 1 if stand.waiting and not seen.took else 0
            if stand.waiting:
                seen.waited_s = now_s
        self._acked += sum(taken.values())
        waiting = any(stand.waiting and not self._is_stuck(key) for key, stand in self._stands.items())
        self._line.sample(now_s, acked=self._acked, came=0, waiting=waiting)

    def _is_stuck(self, key: Key) -> bool:
        """Tell whether a relay's server takes nothing while another's does."""
        return self._seen[key].dry >= STUCK and any(seen.took for seen in self._seen.values())

    def _troubled(self, now_s: float) -> list[Key]:
        """Return whose stream is too much."""
        needed = sum(
            stand.rates.get(self._seen[key].step, 0.0)
            for key, stand in self._stands.items()
            if stand.flowing and not self._is_stuck(key)
        )
        capacity = self._line.capacity
        is_known = capacity is not None and capacity < needed * ENOUGH
        found = []
        for key, stand in self._stands.items():
            seen = self._seen[key]
            if not stand.flowing:
                seen.shed_s = None
            elif stand.shed and not self._is_stuck(key):
                self._calm_s = now_s
                if is_known or (seen.shed_s is not None and now_s - seen.shed_s <= WINDOW_S):
                    found.append(key)
                seen.shed_s = seen.waited_s = now_s
        return found

    # down and up

    def _down(self, now_s: float, troubled: Iterable[Key]) -> None:
        """Take at least one step away, from those who feel the line, or share a centre with who does."""
        centres = {centre for _, centre in troubled}
        before = self._standing()
        capacity = self._line.capacity
        self._fit(
            [
                key
                for key, seen in self._seen.items()
                if not self._is_stuck(key)
                and (key[1] in centres or (seen.waited_s is not None and now_s - seen.waited_s <= WINDOW_S))
            ],
            None if capacity is None else capacity * ENOUGH,
            down=1,
        )
        if before != self._standing():
            self._wait_s = min(UP_MOST_S, max(UP_FIRST_S, self._wait_s * (1 + self._tried)))
            self._count = 1
            self._begin(now_s)

    def _fit(self, among: list[Key], octets_s: float | None, down: int = 0) -> None:
        """Take steps from those, the last of the last round first, until what all send fits.

        octets_s  what there is for all, None while that is not known
        down      so many steps are taken in any case, and from each no more than that: what a line carries is not yet
                  known well in its first slow second. 0: without either bound
        """
        lowest = {key: self._below(key, down) for key in among}
        first = min(among, key=self._place)
        lowest[first] = max(lowest[first], self._stands[first].steps[0])
        taken = 0
        while True:
            if taken >= down and (octets_s is None or self._cost() <= octets_s):
                return
            left = [key for key in among if self._seen[key].step > lowest[key]]
            if not left:
                return
            last = max(left, key=lambda key: (self._seen[key].step, *self._place(key)))
            self._seen[last].step = self._below(last, 1)
            taken += 1

    def _cost(self) -> float:
        """Return what all together take of the line, bytes a second."""
        return sum(
            self._stands[key].cost(seen.step) for key, seen in self._seen.items() if not self._is_stuck(key)
        )

    def _below(self, key: Key, down: int) -> Step:
        """Return the step so many below a relay's; 0: the last of all."""
        steps = (Step.PAUSED, *self._stands[key].steps)
        return steps[max(0, steps.index(self._seen[key].step) - down)] if down else Step.PAUSED

    def _divide(self, octets_s: float) -> None:
        """Give out so much anew, in rounds."""
        live = [key for key, stand in self._stands.items() if not stand.away and not self._is_stuck(key)]
        for key in live:
            self._seen[key].step = self._seen[key].best
        if live:
            self._fit(live, octets_s)

    def _up(self, now_s: float) -> None:
        """Try more: the first of the first round that is not had; before that the rounds are put in order."""
        before = self._standing()
        self._divide(self._cost())
        if before != self._standing():
            self._begin(now_s)
            return
        for _ in range(self._count):
            nexts = {
                key: next(step for step in self._stands[key].steps if step > seen.step)
                for key, seen in self._seen.items()
                if seen.step is not seen.best and not self._stands[key].away and not self._is_stuck(key)
            }
            if not nexts:
                break
            key = min(nexts, key=lambda key: (nexts[key], *self._place(key)))
            self._seen[key].step = nexts[key]
        if before != self._standing():
            self._count *= 2
            self._tried = True
            self._since_s = self._calm_s = now_s
            for seen in self._seen.values():
                seen.shed_s = None

    def _place(self, key: Key) -> tuple[int, int]:
        return self._stands[key].rank, self._seen[key].order

    def _standing(self) -> list[Step]:
        return [seen.step for seen in self._seen.values()]

    def _begin(self, now_s: float) -> None:
        self._tried = False
        self._since_s = self._calm_s = now_s
        for seen in self._seen.values():
            seen.shed_s = None
