"""Whether the time of day can be relied on. Pure: clocks are read elsewhere, once a second.

Three things are told apart. The *anchor* is the last point at which the time was known to be right. The *line* is what
recordings are labelled by: a point from which time goes on with the boot clock, which never steps. The *real* time is
what the kernel's CLOCK_REALTIME says now, which anybody may have set.

While the real time stays on the line, all three agree. When it leaves it, labels stay on the line and nothing is
trusted, until the real time comes back or somebody names the new one: so a jump of the clock moves no label and erases
nothing.

Source  docs/adr/0005-trust-in-time.md
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from agent.model import UTC_DAY_MS, Instant, Trust

STEP_MS = 2000
"""Jumps up to this are continuous: leap seconds, and the steps of less than half a second that time services make."""
DRIFT_PPM = 500
"""No quartz is worse, and no kernel slews faster (MAXFREQ of linux/timex.h)."""
HOLDOVER_MS = 5 * UTC_DAY_MS
"""How long time is trusted that nobody confirms any more: the days that the guidelines leave for destroying."""
ABSENT_MS = 3 * UTC_DAY_MS
"""Off for longer than this, one word for the time is not enough: a box from a store would erase all it holds."""
BEHIND_MS = 3_600_000
"""Behind the last known time by less, a clock is waited for: the last known time itself may be minutes ahead, and
against a month it is nothing."""
SLEPT_MS = 600_000
"""Asleep for longer than this, a box knows the time from its battery clock alone: both of the kernel's clocks jump by
what that says, and whether a time service disciplined it is a memory of before."""
RENEW_MS = 60_000
"""The anchor follows a synchronised clock this often, and by DRIFT_PPM at most: whoever serves us a wrong time in small
steps gains 43 s a day, and no more."""
SHIFT_MS = 1000
"""Labels that are off by less are left as they are; capture slews over as much."""
BUILD_MS = 1_793_491_200_000
"""2026-11-01: no clock that shows an earlier time is right."""
LATEST_MS = 4_291_747_200_000
"""2106-01-01: beyond it a clock is believed by its continuity and by people only; 32 bits of seconds end that year."""
DOUBTS = 32
ALWAYS_MS = 1
"""Of `Belief.known_from_ms`: a vault, or whoever else remembers, vouches for all time before its own."""


class Reason(StrEnum):
    """Why the time is trusted, or not."""

    NEW_BOOT = "new_boot"  # nothing is known yet in this boot
    SYNCED = "synced"  # the kernel's clock is disciplined, and goes on as before
    FIRST_SYNC = "first_sync"  # disciplined, and this box has never known another time
    BACK_SYNCED = "back_synced"  # disciplined after a restart, a little later than the last known time
    HOLDOVER = "holdover"  # nobody disciplines the clock, but it goes on from a time that was right
    NAMED = "named"  # a person or the centre has named the time
    UNSYNCED = "unsynced"  # since the box started nobody has said what time it is
    STEPPED = "stepped"  # somebody set the clock, and nobody has named the new time
    SPENT = "holdover_spent"  # for HOLDOVER_MS nobody has said what time it is
    SLEPT = "slept"  # the box was suspended, and nobody has named the time since
    ABSENT = "absent"  # the box was off for longer than ABSENT_MS: a second word is needed
    BACKWARD = (
        "backward"  # earlier than the last known time, or than one that was refused: a second word is needed
    )
    IMPLAUSIBLE = "implausible"  # earlier than this software, or far in the future


class Seen(StrEnum):
    """What an observation is, measured against what was known."""

    STEADY_SYNCED = "steady_synced"
    STEADY = "steady"
    SPENT = "spent"
    STEPPED = "stepped"
    SLEPT = "slept"
    NAMED_SYNCED = "named_synced"
    NAMED = "named"
    FIRST_SYNC = "first_sync"
    BACK_SYNCED = "back_synced"
    ABSENT = "absent"
    BACKWARD = "backward"
    IMPLAUSIBLE = "implausible"
    UNSYNCED = "unsynced"


# What is seen decides alone: from every state the same observation leads to the same one. In particular there is no
# way from UNTRUSTED to SYNCED or HOLDOVER but those that lead there from anywhere.
_TO: dict[Seen, tuple[Trust, Reason]] = {
    Seen.STEADY_SYNCED: (Trust.SYNCED, Reason.SYNCED),
    Seen.STEADY: (Trust.HOLDOVER, Reason.HOLDOVER),
    Seen.SPENT: (Trust.UNTRUSTED, Reason.SPENT),
    Seen.STEPPED: (Trust.UNTRUSTED, Reason.STEPPED),
    Seen.SLEPT: (Trust.UNTRUSTED, Reason.SLEPT),
    Seen.NAMED_SYNCED: (Trust.SYNCED, Reason.NAMED),
    Seen.NAMED: (Trust.HOLDOVER, Reason.NAMED),
    Seen.FIRST_SYNC: (Trust.SYNCED, Reason.FIRST_SYNC),
    Seen.BACK_SYNCED: (Trust.SYNCED, Reason.BACK_SYNCED),
    Seen.ABSENT: (Trust.UNTRUSTED, Reason.ABSENT),
    Seen.BACKWARD: (Trust.UNTRUSTED, Reason.BACKWARD),
    Seen.IMPLAUSIBLE: (Trust.UNTRUSTED, Reason.IMPLAUSIBLE),
    Seen.UNSYNCED: (Trust.UNTRUSTED, Reason.UNSYNCED),
}


@dataclass(frozen=True, slots=True)
class Move:
    """Where a state goes.

    kind  of the fact that tells it; "" when nobody needs to be told
    """

    to: Trust
    reason: Reason
    kind: str


def _kind(before: Trust, to: Trust) -> str:
    if (before is Trust.UNTRUSTED) == (to is Trust.UNTRUSTED):
        return ""
    return "clock.untrusted" if to is Trust.UNTRUSTED else "clock.trusted"


TABLE: dict[tuple[Trust, Seen], Move] = {
    (before, seen): Move(to, reason, _kind(before, to))
    for before in Trust
    for seen, (to, reason) in _TO.items()
}


@dataclass(frozen=True, slots=True)
class Word:
    """Somebody's word for the time: a technician's, later the centre's.

    by                what is shown and told: a name
    boot_id           the boot in which it was given
    boot_ms, utc_ms   the time it names, and the boot clock at that moment
    """

    by: str
    boot_id: str
    boot_ms: int
    utc_ms: int


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading of all clocks.

    boot_id        the kernel's name for this boot
    boot_ms        CLOCK_BOOTTIME, sleep included
    utc_ms         CLOCK_REALTIME at the same moment
    kernel_synced  the kernel says that a time service disciplines its clock
    confirmed      the newest word of a person; signed: that of the centre
    slept_ms       of boot_ms, how long the box was suspended
    """

    boot_id: str
    boot_ms: int
    utc_ms: int
    kernel_synced: bool
    confirmed: Word | None = None
    signed: Word | None = None
    slept_ms: int = 0


@dataclass(frozen=True, slots=True)
class Anchor:
    """A point at which the time was right.

    source    "synced" or "named"; "ledger" or "vault" when only what these say of it is known
    slept_ms  how long the box had been suspended in that boot by then
    """

    boot_id: str
    boot_ms: int
    utc_ms: int
    source: str
    slept_ms: int = 0

    def slept(self, slept_ms: int) -> bool:
        """Tell whether the box was suspended since for too long; slept_ms  of the same boot, now."""
        return slept_ms - self.slept_ms > SLEPT_MS


@dataclass(frozen=True, slots=True)
class Line:
    """What labels follow: from this point on, the boot clock."""

    boot_ms: int
    utc_ms: int

    def at(self, boot_ms: int) -> int:
        """Return the label of a moment of the same boot, UTC ms."""
        return self.utc_ms + boot_ms - self.boot_ms

    @property
    def offset_ms(self) -> int:
        """Return labels minus boot clock."""
        return self.utc_ms - self.boot_ms


@dataclass(frozen=True, slots=True)
class Doubt:
    """A span of one boot that was labelled without trust, and is over: what its labels are off by is known.

    from_ms, to_ms  on the boot clock
    label_ms        labels minus boot clock meanwhile; true_ms: what it should have been
    """

    boot_id: str
    from_ms: int
    to_ms: int
    label_ms: int
    true_ms: int

    @property
    def shift_ms(self) -> int:
        """Return what is to be added to labels; 0 when it is too little to matter."""
        shift_ms = self.true_ms - self.label_ms
        return shift_ms if abs(shift_ms) >= SHIFT_MS else 0


@dataclass(frozen=True, slots=True)
class Belief:
    """Everything known about time, from one observation to the next and from one boot to the next.

    since_ms      boot clock when trust was last lost or won
    since_utc_ms  the same moment's label
    real_ms       real time minus boot clock, as last seen
    heard         boot clock of the newest words that have done their work, the person's and the centre's
    doubts        oldest first, at most DOUBTS
    known_from_ms from when on this box remembers the time, UTC ms: a disk that was away may remember more
                  (agent/reminder.py). 0 when two have named the time, and so no disk knows better
    refused_ms    real time minus boot clock of the latest time that somebody alone named in this boot, and was not
                  believed; 0 when there is none, or time was trusted since
    """

    boot_id: str
    state: Trust
    reason: Reason
    line: Line
    anchor: Anchor | None
    since_ms: int
    since_utc_ms: int
    real_ms: int
    heard: tuple[int, int] = (-1, -1)
    doubts: tuple[Doubt, ...] = ()
    known_from_ms: int = 0
    refused_ms: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """A fact about the clock: its kind and body."""

    kind: str
    body: dict[str, Any]


def begin(before: Belief | None, seen: Observation) -> Belief:
    """Begin a boot: nothing is trusted, labels follow the real time from here; anchor and doubts are remembered."""
    anchor = before.anchor if before else None
    if before and anchor and anchor.boot_id == before.boot_id and before.line.utc_ms > anchor.utc_ms:
        # The line moves while time is trusted only: its last point is the last known time, in holdover too.
        anchor = Anchor(before.boot_id, before.line.boot_ms, before.line.utc_ms, anchor.source)
    return Belief(
        seen.boot_id,
        Trust.UNTRUSTED,
        Reason.NEW_BOOT,
        Line(seen.boot_ms, seen.utc_ms),
        anchor,
        since_ms=0,
        since_utc_ms=seen.utc_ms - seen.boot_ms,
        real_ms=seen.utc_ms - seen.boot_ms,
        known_from_ms=before.known_from_ms if before else 0,
        doubts=before.doubts if before else (),
    )


def classify(belief: Belief, seen: Observation) -> Seen:
    """Say what an observation of the belief's own boot is."""
    words = _words(belief, seen)
    anchor = belief.anchor
    if anchor is not None and anchor.boot_id == seen.boot_id:
        if anchor.slept(seen.slept_ms):
            return _classify_boot(belief, seen, words) if words else Seen.SLEPT
        if words and seen.utc_ms >= BUILD_MS:
            return Seen.NAMED_SYNCED if seen.kernel_synced else Seen.NAMED
        if abs(seen.utc_ms - anchor.utc_ms - (seen.boot_ms - anchor.boot_ms)) > _tolerance(
            belief, anchor, seen
        ):
            return Seen.STEPPED
        if seen.kernel_synced:
            return Seen.STEADY_SYNCED
        return Seen.STEADY if seen.boot_ms - anchor.boot_ms <= HOLDOVER_MS else Seen.SPENT
    return _classify_boot(belief, seen, words)


def _classify_boot(belief: Belief, seen: Observation, words: int) -> Seen:
    """Say what an observation is while nothing was trusted yet in this boot, or since it slept."""
    anchor = belief.anchor
    if seen.utc_ms < BUILD_MS:
        return Seen.IMPLAUSIBLE
    named = Seen.NAMED_SYNCED if seen.kernel_synced else Seen.NAMED
    if words + seen.kernel_synced >= 2:
        return named
    if not words and not seen.kernel_synced:
        return Seen.UNSYNCED
    if anchor is not None and not 0 <= seen.utc_ms - anchor.utc_ms <= ABSENT_MS:
        return Seen.ABSENT if seen.utc_ms > anchor.utc_ms else Seen.BACKWARD
    if seen.utc_ms - seen.boot_ms <= belief.refused_ms + BEHIND_MS:
        # It has only been waited until the last known time was over, or an earlier time is tried after a later one.
        return Seen.BACKWARD
    if words:
        return named
    if anchor is not None:
        return Seen.BACK_SYNCED
    return Seen.FIRST_SYNC if seen.utc_ms < LATEST_MS else Seen.IMPLAUSIBLE


def _refused(belief: Belief, seen: Observation, what: Seen) -> int:
    """Return what is remembered of refused words after an untrusted observation."""
    late = what is Seen.BACKWARD and belief.anchor and belief.anchor.utc_ms - seen.utc_ms > BEHIND_MS
    if late or what is Seen.ABSENT:
        return max(belief.refused_ms, seen.utc_ms - seen.boot_ms)
    return belief.refused_ms


def _tolerance(belief: Belief, anchor: Anchor, seen: Observation) -> int:
    """Return how far the real time may be from the anchor's, ms.

    Drift is granted for the time until trust was lost: a step is not forgiven because it was long ago.
    """
    until_ms = belief.since_ms if belief.state is Trust.UNTRUSTED else seen.boot_ms
    return STEP_MS + (until_ms - anchor.boot_ms) * DRIFT_PPM // 1_000_000


def _words(belief: Belief, seen: Observation) -> int:
    """Count those who name the present time, and have not been heard before."""
    words = zip((seen.confirmed, seen.signed), belief.heard, strict=True)
    return sum(word is not None and word.boot_ms > heard and fits(word, seen) for word, heard in words)


def fits(word: Word, seen: Observation) -> bool:
    """Tell whether a word names the time that the real clock shows now."""
    elapsed_ms = seen.boot_ms - word.boot_ms
    if word.boot_id != seen.boot_id or not 0 <= elapsed_ms <= HOLDOVER_MS:
        return False
    return abs(seen.utc_ms - word.utc_ms - elapsed_ms) <= STEP_MS + elapsed_ms * DRIFT_PPM // 1_000_000


def observe(belief: Belief | None, seen: Observation) -> tuple[Belief, list[Told]]:
    """Take one observation.

    belief   None for a box that has never known the time
    Returns  what is believed now, and the facts to tell, in order
    """
    told: list[Told] = []
    fresh = belief is None or belief.boot_id != seen.boot_id
    if belief is None or fresh:
        belief = begin(belief, seen)
    what = classify(belief, seen)
    move = TABLE[belief.state, what]
    real_ms = seen.utc_ms - seen.boot_ms
    if abs(real_ms - belief.real_ms) > STEP_MS:
        expected_ms = seen.boot_ms + belief.real_ms
        step = {"from_ms": expected_ms, "to_ms": seen.utc_ms, "delta_ms": seen.utc_ms - expected_ms}
        told.append(Told("clock.step", step))
    line, anchor, doubts, heard = belief.line, belief.anchor, belief.doubts, belief.heard
    if what in (Seen.NAMED, Seen.NAMED_SYNCED):
        heard, names = _hear(belief, seen)
        told += [Told("clock.confirmed", {"by": name, "utc_ms": seen.utc_ms}) for name in names]
    known_from_ms = belief.known_from_ms
    if move.to is not Trust.UNTRUSTED:
        if what is Seen.NAMED_SYNCED:
            known_from_ms = 0
        elif anchor is None:
            known_from_ms = seen.utc_ms
        anchor = _anchor(belief, seen, what)
        line = Line(seen.boot_ms, seen.utc_ms)
    shift_ms = 0
    if belief.state is Trust.UNTRUSTED and move.to is not Trust.UNTRUSTED and not fresh:
        doubt = Doubt(seen.boot_id, belief.since_ms, seen.boot_ms, belief.line.offset_ms, line.offset_ms)
        doubts = (*doubts, doubt)[-DOUBTS:]
        shift_ms = doubt.shift_ms
    elif belief.state is not Trust.UNTRUSTED and what in (Seen.NAMED, Seen.NAMED_SYNCED):
        doubts = _stepped_unseen(belief, seen, line)
    kind = move.kind or ("clock.untrusted" if fresh else "")
    since = (belief.since_ms, belief.since_utc_ms)
    if kind == "clock.trusted":
        told.append(Told(kind, {"reason": str(move.reason), "shift_ms": shift_ms}))
    elif kind:
        told.append(Told(kind, {"reason": str(move.reason)}))
    if kind and not (fresh and move.to is Trust.UNTRUSTED):
        since = (seen.boot_ms, line.at(seen.boot_ms))
    after = replace(
        belief,
        state=move.to,
        reason=move.reason,
        line=line,
        anchor=anchor,
        since_ms=since[0],
        since_utc_ms=since[1],
        real_ms=real_ms,
        known_from_ms=known_from_ms,
        refused_ms=_refused(belief, seen, what) if move.to is Trust.UNTRUSTED else 0,
        heard=heard,
        doubts=doubts,
    )
    return after, told


def _hear(belief: Belief, seen: Observation) -> tuple[tuple[int, int], list[str]]:
    """Return which words are spent now, and whose they were."""
    heard, names = list(belief.heard), []
    for number, word in enumerate((seen.confirmed, seen.signed)):
        if word is not None and word.boot_ms > heard[number] and fits(word, seen):
            heard[number] = word.boot_ms
            names.append(word.by)
    return (heard[0], heard[1]), names


def _stepped_unseen(belief: Belief, seen: Observation, line: Line) -> tuple[Doubt, ...]:
    """Return the doubts when the clock was set and named between two observations: a recorder may have seen it."""
    if abs(line.offset_ms - belief.line.offset_ms) < SHIFT_MS:
        return belief.doubts
    doubt = Doubt(seen.boot_id, belief.line.boot_ms, seen.boot_ms, belief.line.offset_ms, line.offset_ms)
    return (*belief.doubts, doubt)[-DOUBTS:]


def _anchor(belief: Belief, seen: Observation, what: Seen) -> Anchor | None:
    """Return the anchor after a trusted observation."""
    anchor = belief.anchor
    if what is Seen.STEADY:
        return anchor
    if what is Seen.STEADY_SYNCED:
        assert anchor is not None
        elapsed_ms = seen.boot_ms - anchor.boot_ms
        if elapsed_ms < RENEW_MS:
            return anchor
        expected_ms = anchor.utc_ms + elapsed_ms
        most_ms = elapsed_ms * DRIFT_PPM // 1_000_000
        moved_ms = max(-most_ms, min(most_ms, seen.utc_ms - expected_ms))
        return Anchor(seen.boot_id, seen.boot_ms, expected_ms + moved_ms, "synced", seen.slept_ms)
    named = what in (Seen.NAMED, Seen.NAMED_SYNCED)
    return Anchor(seen.boot_id, seen.boot_ms, seen.utc_ms, "named" if named else "synced", seen.slept_ms)


def label(belief: Belief, boot_ms: int, utc_ms: int, *, kernel_synced: bool, slept_ms: int = 0) -> Instant:
    """Label a moment by what was last published of this boot, which may be minutes old.

    boot_ms, utc_ms  both clocks now; slept_ms  as in an observation
    Returns the real time while it is on the line, else the line's, UNTRUSTED
    """
    elapsed_ms = boot_ms - belief.line.boot_ms
    expected_ms = belief.line.at(boot_ms)
    off_ms = abs(utc_ms - expected_ms)
    if belief.state is Trust.UNTRUSTED or off_ms > STEP_MS + max(0, elapsed_ms) * DRIFT_PPM // 1_000_000:
        return Instant(expected_ms, Trust.UNTRUSTED)
    assert belief.anchor is not None, "trust has an anchor"
    if belief.anchor.slept(slept_ms):
        return Instant(expected_ms, Trust.UNTRUSTED)
    if kernel_synced:
        return Instant(utc_ms, Trust.SYNCED)
    held = boot_ms - belief.anchor.boot_ms <= HOLDOVER_MS
    return Instant(utc_ms, Trust.HOLDOVER) if held else Instant(expected_ms, Trust.UNTRUSTED)
