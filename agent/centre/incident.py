"""What the centre can say of a box when a leak is known, or is possible: from what it keeps, without the box. Pure.

    incident.json    the box, the span, what of it a signed head stands for, what the box was, how often what happened
    entries.jsonl    the entries of its ledgers that are of the span, or came in it, one a line
    alarms.jsonl     what was said meanwhile of the box, and of the centre
    checkpoint.txt   the newest head that it signed, for `pasu centre verify --witness`
    SHA256SUMS       of all of these

Each entry has two times: the box's, and when it came here. The second is the centre's own, and proves by when what was
known (Standard Guideline art. 28); so an entry counts as of the span by either.
Source  Personal Information Protection Act art. 34, decree art. 39 and 40: 72 hours
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.centre.witness import Fact
    from agent.model import Span

DESCRIPTION, ENTRIES, ALARMS, CHECKPOINT, SUMS = (
    "incident.json",
    "entries.jsonl",
    "alarms.jsonl",
    "checkpoint.txt",
    "SHA256SUMS",
)
HOURS = 72
STATE = (
    "box.started",
    "box.program",
    "box.listening",
    "config.applied",
    "key.recipients",
    "key.ring",
    "lockdown.changed",
)
"""The newest of each says what the box was: its program and ports, its cameras, to whom recordings are sealed."""


class Incident:
    """Counts the entries as they are written down."""

    def __init__(self, box: str, span: Span) -> None:
        """Know of none yet."""
        self.box, self.span = box, span
        self._counts: Counter[str] = Counter()
        self._ledgers: dict[str, list[int]] = {}

    def line(self, fact: Fact) -> str:
        """Count an entry; return its line."""
        self._counts[fact.kind] += 1
        counts = self._ledgers.setdefault(fact.ledger, [0, 0])
        counts[0] += 1
        counts[1] += fact.proven
        return f"{json.dumps(entry(fact), ensure_ascii=False)}\n"

    @property
    def unproven(self) -> int:
        """How many entries nothing that the box signed stands for yet."""
        return sum(found - proven for found, proven in self._ledgers.values())

    def describe(self, state: list[Fact], alarms: int, *, signed: bool, now_ms: int) -> dict[str, Any]:
        """Return incident.json.

        state   the newest entry of each kind of STATE, as far as there is one
        signed  there is a checkpoint.txt
        """
        return {
            "v": 1,
            "box": self.box,
            "made_ms": now_ms,
            "from_ms": self.span.start_ms,
            "to_ms": self.span.end_ms,
            "ledgers": [
                {"ledger": name, "entries": found, "proven": proven}
                for name, (found, proven) in self._ledgers.items()
            ],
            "counts": dict(sorted(self._counts.items())),
            "alarms": alarms,
            "checkpoint": signed,
            "state": {fact.kind: entry(fact) for fact in state},
        }


def entry(fact: Fact) -> dict[str, Any]:
    """Return an entry as it stands in a line."""
    return {
        "ledger": fact.ledger,
        "seq": fact.seq,
        "at_ms": fact.at_ms,
        "received_ms": fact.received_ms,
        "trust": fact.trust,
        "kind": fact.kind,
        "body": fact.body,
        "proven": fact.proven,
    }


def alarm_line(at_ms: int, box: str, what: str, detail: dict[str, Any]) -> str:
    """Return the line of an alarm."""
    line = {"at_ms": at_ms, "box": box, "alarm": what, "detail": detail}
    return f"{json.dumps(line, ensure_ascii=False)}\n"
