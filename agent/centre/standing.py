"""One box as the centre sees it now: what it says of itself, since when it is silent, and what to ask of it. Pure.

Times are seconds of the centre's monotonic clock. What a box sends is somebody else's text: it is bounded and cleaned
here, before anybody's terminal shows it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.centre.following import Following

SILENCE_S = 55.0
"""A row that is red within a minute (H3): a health comes every 30 s, so one that is lost is waited for."""
HOLE_S = 5.0
"""A batch that does not follow: what is missing may be on its way."""
BEHIND_S = 90.0
"""A head over entries that did not come: ordinary ones are sent within a minute. Where none ever came, HOLE_S."""
RESEND_S = (30.0, 600.0)
"""Between two requests for the same entries: at first, and at most."""
LOST_S = (600.0, 86_400.0)
"""The same, of entries that the box is said to have no more: most likely it is so."""
WITHHELD_S = 1800.0
"""What a box has comes within ten minutes, and is proven by then: three times that is no accident."""
NAMED_S = 900.0
"""How long its ledger is a box says every five minutes."""
ACKNOWLEDGE_ENTRIES = 1000
ACKNOWLEDGE_S = 3600.0
"""Only what is a month old waits for it: an hour is soon enough, and 0.23 MB a day less than ten minutes."""
TIME_S = 60.0
RECORDING, RESTING = 4, 7
"""Places of these words in agent.uplink.payloads.CAMERA_STATES."""
_MOST_TEXT = 200
_MOST_LISTED = 256


@dataclass(frozen=True, slots=True)
class Wish:
    """A command that the centre itself sends. `fresh` asks for the box's challenge."""

    command: str
    arguments: dict[str, Any]
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A condition that a box says it has."""

    code: str
    subject: str
    since_ms: int


@dataclass(slots=True)
class Standing:
    """What is known of one box.

    began_s    since when the centre listens; anew each time after the broker was away
    heard_s    when it last spoke; None: not since then
    told_s     when it last told its health
    online     what its `state` says; None: nothing
    silent     the alarm about its silence was raised
    withheld   the alarm about a ledger that does not come was raised
    told       a health came, which says more of now than a birth
    cameras    of each: state, tenths of pictures per second, kbit/s
    seq        the newest entry of its ledger, as it said last, and when that was
    vaults     free in thousandths, tenths of days until full; None where it cannot be told
    """

    box: str
    site: str
    began_s: float
    heard_s: float | None = None
    told_s: float | None = None
    online: bool | None = None
    silent: bool = False
    withheld: bool = False
    told: bool = False
    trust: str = ""
    challenge: str = ""
    version: str = ""
    backlog: int = 0
    seq: int = 0
    seq_s: float | None = None
    cameras: list[tuple[int, int, int]] = field(default_factory=list)
    conditions: list[Seen] = field(default_factory=list)
    vaults: list[tuple[int | None, int | None]] = field(default_factory=list)
    _asked: dict[str, float] = field(default_factory=dict)
    _resend_wait_s: float = RESEND_S[0]
    _stuck: tuple[int, float] = (-1, 0.0)
    _owed: tuple[int, float] | None = None

    def hear(self, part: str, body: dict[str, Any], now_s: float, *, retained: bool) -> bool:
        """Take a birth, state or health, which the box signed; tell whether it was silent until now.

        retained  the broker kept it, or shows it again: it says what was, and not that the box is there
        """
        if part == "state":
            self.online = body.get("online") is True
        elif part == "health":
            self._health(body)
        else:
            self._birth(body)
        if retained or (part == "state" and not self.online):
            return False
        self.heard_s = now_s
        if part == "health":
            # Whoever speaks is there, whatever will of it was shown meanwhile.
            self.told_s, self.online = now_s, True
            self.seq_s = now_s if "seq" in body else self.seq_s
        back, self.silent = self.silent, False
        return back

    def _birth(self, body: dict[str, Any]) -> None:
        versions = body.get("versions")
        self.version = clean(versions.get("pasu")) if isinstance(versions, dict) else ""
        if self.told:
            return
        self.challenge = clean(body.get("challenge"))
        self.trust = clean(body.get("trust"))
        self.conditions = [
            Seen(clean(one.get("code")), clean(one.get("subject")), number(one.get("since_ms")))
            for one in listed(body.get("conditions"))
            if isinstance(one, dict)
        ]

    def _health(self, body: dict[str, Any]) -> None:
        self.told = True
        self.trust, self.challenge = clean(body.get("trust")), clean(body.get("challenge"))
        self.backlog = number(body.get("backlog"))
        if "seq" in body:
            self.seq = number(body["seq"])
        self.cameras = [
            (number(said[0]), number(said[1]), number(said[2]))
            for said in listed(body.get("cameras"))
            if isinstance(said, list) and len(said) == 3
        ]
        self.conditions = [
            Seen(clean(one[0]), clean(one[1]), number(one[2]))
            for one in listed(body.get("conditions"))
            if isinstance(one, list) and len(one) == 3
        ]
        self.vaults = [
            (_maybe(one[0]), _maybe(one[1]))
            for one in listed(body.get("vaults"))
            if isinstance(one, list) and len(one) == 2
        ]

    @property
    def recording(self) -> int:
        """How many cameras record."""
        return sum(state == RECORDING for state, _, _ in self.cameras)

    @property
    def resting(self) -> int:
        """How many cameras are outside of their hours."""
        return sum(state == RESTING for state, _, _ in self.cameras)

    def listen(self, now_s: float) -> None:
        """Begin to count anew: until now nobody could be heard, and that says nothing of the box."""
        self.began_s, self._owed = now_s, None

    def fell_silent(self, now_s: float) -> bool:
        """Tell, once, that the box has said nothing for too long."""
        since = self.began_s if self.heard_s is None else max(self.began_s, self.heard_s)
        if self.silent or now_s - since < SILENCE_S:
            return False
        self.silent = True
        return True

    def ledger_stays_away(self, verified: int, now_s: float) -> bool:
        """Tell, once, that the box is heard, and what its ledger had WITHHELD_S ago is not proven here.

        Somebody on the way may let its health through and drop the rest; and who records has more to tell by then.

        verified  entries of its newest ledger that a signed head stands for
        """
        if self.told_s is None or self.silent:
            self._owed = None
            return False
        known = self.seq_s is not None and now_s - self.seq_s < NAMED_S
        settled = verified == self.seq and not self.recording
        if self._owed is None or (known and (settled or self._owed[0] <= verified <= self.seq)):
            self._owed = (max(self.seq, verified + bool(self.recording)), now_s)
            self.withheld = False
            return False
        if self.withheld or now_s - self._owed[1] < WITHHELD_S:
            return False
        self.withheld = True
        return True

    def wish(
        self,
        ledger: str,
        following: Following | None,
        acknowledged: int,
        now_s: float,
        *,
        time_ms: int | None,
    ) -> Wish | None:
        """Return what to ask of the box now, one thing at a time.

        ledger, following, acknowledged  of its newest ledger
        time_ms  the centre's time, where that is to be relied on
        """
        if self.silent or self.heard_s is None:
            return None
        if (
            self.trust == "UNTRUSTED"
            and self.challenge
            and time_ms is not None
            and self._due("time", TIME_S, now_s)
        ):
            return Wish("time.confirm", {"utc_ms": time_ms}, fresh=True)
        if following is None:
            return None
        if self._missing(following, now_s):
            return Wish("facts.resend", {"ledger": ledger, "from_seq": following.size + 1})
        verified = following.verified
        if verified is None or verified.size <= acknowledged:
            return None
        if verified.size - acknowledged >= ACKNOWLEDGE_ENTRIES:
            due = self._due("acknowledge", RESEND_S[0], now_s)
        else:
            due = self._due("acknowledge", ACKNOWLEDGE_S, now_s, spread=True)
        if not due:
            return None
        arguments = {"ledger": ledger, "size": verified.size, "root": verified.root.hex()}
        return Wish("ledger.acknowledge", arguments)

    def _missing(self, following: Following, now_s: float) -> bool:
        """Tell whether it is time to ask for entries that did not come."""
        size, since_s = self._stuck
        missing = following.behind or following.lost
        if not missing or size != following.size:
            self._stuck = (following.size, now_s)
            if not missing:
                self._resend_wait_s = RESEND_S[0]
            return False
        soon = following.hole or following.size == 0
        if now_s - since_s < (HOLE_S if soon else BEHIND_S):
            return False
        least_s, most_s = LOST_S if following.lost else RESEND_S
        wait_s = max(self._resend_wait_s, least_s)
        if not self._due("resend", wait_s, now_s):
            return False
        self._resend_wait_s = min(2 * wait_s, most_s)
        return True

    def _due(self, what: str, every_s: float, now_s: float, *, spread: bool = False) -> bool:
        """Tell whether a thing was not asked for long enough, and take it as asked if so.

        spread  the first time is another for each box, so that a whole city is not asked at once
        """
        last = self._asked.get(what)
        if last is None and spread:
            last = self.began_s - every_s + zlib.crc32(self.box.encode()) % int(every_s)
        if last is not None and now_s - last < every_s:
            return False
        self._asked[what] = now_s
        return True


def clean(value: object) -> str:
    """Return a text that can be shown: what is not printable is gone, and it is not long."""
    return (
        "".join(letter for letter in value[:_MOST_TEXT] if letter.isprintable())
        if isinstance(value, str)
        else ""
    )


def number(value: object) -> int:
    """Return a whole number, 0 for anything else."""
    return value if type(value) is int else 0


def listed(value: object) -> list[Any]:
    """Return a list, bounded; none for anything else."""
    return value[:_MOST_LISTED] if isinstance(value, list) else []


def inspected_head(reply: dict[str, Any]) -> dict[str, Any] | None:
    """Return the head that a box signs when it is inspected, whoever asked, as a checkpoint; None where none is."""
    inspection = _within(reply, "detail", "inspection")
    ledger = _within(inspection, "7_measures", "ledger")
    if not ledger.get("checkpoint"):
        return None
    # Its time is the inspection's: a box that was killed before it answered may answer much later.
    return {"ledger": ledger.get("id"), "note": ledger["checkpoint"], "at_ms": inspection.get("at_ms")}


def _within(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return an object inside an object, an empty one where there is none."""
    for name in names:
        found = body.get(name)
        body = found if isinstance(found, dict) else {}
    return body


def _maybe(value: object) -> int | None:
    return value if type(value) is int else None
