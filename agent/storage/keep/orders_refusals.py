"""Refused commands: a fact for the first of a kind, a count for those that follow within a minute (E14)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.command.offences import Offences
from agent.model import Fact

if TYPE_CHECKING:
    from agent.command.judge import Refuse
    from agent.model import Instant

QUIET_S = 60.0
OFTEN = 10
OFTEN_S = 600.0


@dataclass(slots=True)
class _Minute:
    until_s: float
    more: int = 0


class Refusals:
    """Counts them."""

    def __init__(self) -> None:
        """Begin with none."""
        self.total = 0
        self._minutes: dict[str, _Minute] = {}
        self._lately: deque[tuple[float, str]] = deque(maxlen=OFTEN)
        self._offences = Offences()

    def add(self, verdict: Refuse, now: Instant, mono_s: float) -> Fact | None:
        """Count one; return its fact, None when one of its code was told within the minute."""
        self.total += 1
        self._lately.append((mono_s, verdict.code))
        if verdict.forged:
            self._offences.note(verdict.kid, mono_s)
        minute = self._minutes.get(verdict.code)
        if minute is not None and mono_s < minute.until_s:
            minute.more += 1
            return None
        self._minutes[verdict.code] = _Minute(mono_s + QUIET_S)
        body: dict[str, Any] = {"code": verdict.code, "count": 1}
        texts = {"id": verdict.id, "command": verdict.command, "kid": verdict.kid, "reason": verdict.reason}
        return Fact("command.refused", now, body | {name: text for name, text in texts.items() if text})

    def flush(self, now: Instant, mono_s: float) -> list[Fact]:
        """Return the facts of those that were only counted, once their minute is over."""
        over = {code: minute for code, minute in self._minutes.items() if mono_s >= minute.until_s}
        for code in over:
            del self._minutes[code]
        return [
            Fact("command.refused", now, {"code": code, "count": minute.more})
            for code, minute in over.items()
            if minute.more
        ]

    def shut(self, mono_s: float) -> frozenset[str]:
        """Return the keys under which bad signatures are not answered now."""
        return self._offences.shut(mono_s)

    def often(self, mono_s: float) -> str:
        """Return the last code if there were many lately, else nothing."""
        if len(self._lately) < OFTEN or mono_s - self._lately[0][0] > OFTEN_S:
            return ""
        return self._lately[-1][1]
