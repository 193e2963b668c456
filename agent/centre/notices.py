"""What the watch says to people: kept for good, and of each kind no more often than somebody can read."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from agent.centre.standing import clean
from agent.centre.watched import Alarm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.centre.watched import Watched
    from agent.centre.witness import Witness
    from agent.clock import Clock

# Words beside what `What` names. Of a box:
SILENT, BACK, NEW_LEDGER, OTHER_KEY, UNKNOWN_BOX = "silent", "back", "new_ledger", "other_key", "unknown_box"
FORGED = "forged"  # what the broker says in a box's name, and the box did not sign
STALE = "stale"  # a box that is silent is shown with reports of its past
WITHHELD = "withheld"  # a box is heard, and its ledger does not come
REFUSED = "refused"  # it refuses what the centre itself asks
FLOOD = "flood"  # it sends more than can be handled
DAMAGED = "damaged"  # its file in the city's folder cannot be used
PASSED_OVER = "passed_over"  # a message that could not be handled here
# Of the centre itself; the alarm names no box.
SERVICE_KEY, COUNTERS, FOLDER = "service_key", "counters", "folder"

NOT_OF_THE_BOX = frozenset({BACK, FORGED, STALE, DAMAGED, PASSED_OVER})
"""What makes nobody look at the box."""
NOT_OF_A_LEDGER = frozenset(
    {SILENT, BACK, DAMAGED, PASSED_OVER, REFUSED, FLOOD, SERVICE_KEY, COUNTERS, FOLDER}
)
ALARM_S = 10.0
"""Between two alarms of one kind about one box."""
SELDOM_S = 600.0
"""The same of what lasts."""
DAY_S = 86_400.0
_LASTING = frozenset({FLOOD, STALE, PASSED_OVER})
_MOST_WAITING = 10_000
_MOST_STRANGERS = 10_000


class Notices:
    """Keeps each alarm, and hands it on."""

    def __init__(self, witness: Witness, clock: Clock) -> None:
        """Keep them in the witness's file."""
        self._witness, self._clock = witness, clock
        self._waiting: deque[Alarm] = deque()
        self._said_s: dict[str, float] = {}
        self._strangers: set[str] = set()

    def about(self, watched: Watched, what: str, detail: dict[str, Any]) -> None:
        """Say something about a box. Whoever floods us shall not fill the disk."""
        now_s, least_s = self._clock.monotonic(), SELDOM_S if what in _LASTING else ALARM_S
        if now_s - watched.alarmed_s.get(what, -least_s) < least_s:
            return
        watched.alarmed_s[what] = now_s
        if what not in NOT_OF_THE_BOX:
            watched.alarms += 1
        self._say(watched.box.id, what, detail)

    def stranger(self, box: str) -> None:
        """Say once of a box that it is not enrolled: the broker should have kept it out."""
        name = clean(box)
        if name not in self._strangers and len(self._strangers) < _MOST_STRANGERS:
            self._strangers.add(name)
            self._say(name, UNKNOWN_BOX, {})

    def known(self, box: str) -> None:
        """Hear that a box is enrolled by now."""
        self._strangers.discard(box)

    def damaged(self, box: str, reason: str) -> None:
        """Say that a box's file cannot be used."""
        self._say(clean(box), DAMAGED, {"reason": clean(reason)})

    def centre(self, what: str, detail: dict[str, Any]) -> None:
        """Say something about the centre itself; the same again after a day."""
        now_s, mark = self._clock.monotonic(), f"{what} {sorted(detail.items())}"
        self._said_s = {known: at_s for known, at_s in self._said_s.items() if now_s - at_s < DAY_S}
        if mark not in self._said_s:
            self._said_s[mark] = now_s
            self._say("", what, detail)

    def between(self, what: str, detail: dict[str, Any]) -> None:
        """Say something about what lies between the centre and all boxes."""
        self._say("", what, detail)

    def take(self) -> Iterator[Alarm]:
        """Yield what was said since the last call."""
        while self._waiting:
            yield self._waiting.popleft()

    def _say(self, box: str, what: str, detail: dict[str, Any]) -> None:
        alarm = Alarm(self._clock.now().utc_ms, box, str(what), detail)
        self._witness.alarm(alarm.box, alarm.what, alarm.detail, alarm.at_ms)
        self._waiting.append(alarm)
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()


def is_grave(alarm: Alarm) -> bool:
    """Tell whether it says that something is wrong with a ledger, or with who speaks."""
    return alarm.what not in NOT_OF_A_LEDGER
