"""Which counters of which key are used up: what makes each command run at most once. Pure.

A key numbers its commands for a box from 1. `mark` is the highest number that was used. Below it nothing runs any
more, but for numbers in `open`: they never ran, and may still come inside the second signature of somebody else, which
can take hours while the first signer goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.command import strict
from agent.command.jws import is_kid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_OPEN = 64
"""Older ones are closed: a command lives for a day, and nobody signs so many in a day that wait for a second."""


@dataclass(frozen=True, slots=True)
class Take:
    """The use of a number. `ran` is false for one that may still come inside a second signature."""

    kid: str
    number: int
    ran: bool = True


@dataclass(frozen=True, slots=True)
class Counter:
    """The numbers of one key."""

    mark: int = 0
    open: tuple[int, ...] = ()

    def is_new(self, number: int) -> bool:
        """Tell whether a command by itself may bear a number."""
        return number > self.mark

    def is_unused(self, number: int) -> bool:
        """Tell whether an order inside a second signature may bear a number."""
        return number > self.mark or number in self.open

    def taken(self, number: int, *, ran: bool) -> Counter:
        """Return it after a number was used."""
        free = [each for each in self.open if each != number]
        if number > self.mark:
            first = max(self.mark + 1, number - MOST_OPEN)
            free += range(first, number)
            if not ran:
                free.append(number)
        return Counter(max(self.mark, number), tuple(sorted(free)[-MOST_OPEN:]))

    def joined(self, other: Counter) -> Counter:
        """Return what two memories of the same key make together: what either has used is used."""
        free = {each for each in (*self.open, *other.open) if self.is_unused(each) and other.is_unused(each)}
        return Counter(max(self.mark, other.mark), tuple(sorted(free)[-MOST_OPEN:]))


def after(
    counters: Mapping[str, Counter], takes: Iterable[Take], *, forgotten: bool = False
) -> dict[str, Counter]:
    """Return the counters after some numbers were used.

    forgotten  those of some keys were lost: of a key without one nobody knows which of the lower numbers ran, so none
               of them may
    """
    found = dict(counters)
    for take in takes:
        lost = Counter(take.number - 1) if forgotten else Counter()
        found[take.kid] = found.get(take.kid, lost).taken(take.number, ran=take.ran)
    return found


def joined(one: Mapping[str, Counter], other: Mapping[str, Counter]) -> dict[str, Counter]:
    """Return what two memories make together."""
    empty = Counter()
    return {
        kid: one[kid].joined(other[kid])
        if kid in one and kid in other
        else one.get(kid, other.get(kid, empty))
        for kid in {*one, *other}
    }


def encode(counters: Mapping[str, Counter], *, forgotten: bool = False) -> dict[str, Any]:
    """Write counters as values of JSON.

    forgotten  those of some keys were lost
    """
    return {
        "v": 1,
        "forgotten": forgotten,
        "counters": {kid: {"mark": each.mark, "open": [*each.open]} for kid, each in counters.items()},
    }


def decode(body: Any) -> tuple[dict[str, Counter], bool]:
    """Read what `encode` wrote: the counters, and whether some were lost. Raises ValueError for anything else."""
    if not isinstance(body, dict) or body.keys() != {"v", "forgotten", "counters"} or body["v"] != 1:
        raise ValueError("not counters")
    if body["forgotten"] not in (True, False) or not isinstance(body["counters"], dict):
        raise ValueError("not counters")
    found = {}
    for kid, each in body["counters"].items():
        if not is_kid(kid) or not isinstance(each, dict) or each.keys() != {"mark", "open"}:
            raise ValueError("not a counter")
        mark, free = each["mark"], each["open"]
        if not strict.is_number(mark) or not isinstance(free, list):
            raise ValueError("not a counter")
        if not all(strict.is_number(number, 1, mark) for number in free):
            raise ValueError("not a counter")
        found[kid] = Counter(mark, tuple(free))
    return found, bool(body["forgotten"])
