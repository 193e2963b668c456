"""Whether time can be trusted: the whole table, and what happens to a box over boots, steps and years."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import timefile, trust
from agent.model import Instant, Trust
from agent.trust import (
    ABSENT_MS,
    BEHIND_MS,
    BUILD_MS,
    DOUBTS,
    DRIFT_PPM,
    HOLDOVER_MS,
    LATEST_MS,
    SLEPT_MS,
    STEP_MS,
    TABLE,
    Anchor,
    Belief,
    Doubt,
    Line,
    Observation,
    Reason,
    Seen,
    Told,
    Word,
)

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
T0 = 1_800_000_000_000
ERAS = {
    "now": T0,
    "2036, NTP's first era ends": 2_085_978_496_000,
    "2038, 31 bits of seconds end": 2_147_483_648_000,
    "2106, 32 bits of seconds end": 4_294_967_296_000,
}
TRUSTED = (Trust.SYNCED, Trust.HOLDOVER)


class Box:
    """A box whose clocks a test sets."""

    def __init__(self, utc_ms: int = T0) -> None:
        self.boot_id = "boot-1"
        self.boot_ms = 20_000
        self.utc_ms = utc_ms
        self.synced = False
        self.slept_ms = 0
        self.confirmed: Word | None = None
        self.signed: Word | None = None
        self.belief: Belief | None = None
        self.told: list[Told] = []

    @property
    def known(self) -> Belief:
        assert self.belief is not None
        return self.belief

    @property
    def state(self) -> tuple[Trust, Reason]:
        return self.known.state, self.known.reason

    def seen(self) -> Observation:
        return Observation(
            self.boot_id,
            self.boot_ms,
            self.utc_ms,
            self.synced,
            self.confirmed,
            self.signed,
            self.slept_ms,
        )

    def look(self) -> tuple[Trust, Reason]:
        self.belief, told = trust.observe(self.belief, self.seen())
        self.told += told
        return self.state

    def run(self, ms: int, tick_ms: int = 1000, ppm: int = 0) -> tuple[Trust, Reason]:
        """Let time go by; ppm: how much faster the real clock goes than the boot clock."""
        start_boot, start_utc = self.boot_ms, self.utc_ms
        for passed in range(tick_ms, ms + 1, tick_ms):
            self.boot_ms = start_boot + passed
            self.utc_ms = start_utc + passed + passed * ppm // 1_000_000
            self.look()
        return self.state

    def sleep(self, ms: int) -> None:
        """Suspend; by the battery clock so much has gone by when the box wakes."""
        self.slept_ms += ms
        self.boot_ms += ms
        self.utc_ms += ms

    def set_clock(self, by_ms: int) -> tuple[Trust, Reason]:
        self.utc_ms += by_ms
        self.boot_ms += 1000
        self.utc_ms += 1000
        return self.look()

    def reboot(self, off_ms: int, *, synced: bool = False) -> tuple[Trust, Reason]:
        self.boot_id += "x"
        self.boot_ms = 20_000
        self.slept_ms = 0
        self.utc_ms += off_ms
        self.synced = synced
        return self.look()

    def word(self, by: str = "kim") -> Word:
        return Word(by, self.boot_id, self.boot_ms, self.utc_ms)

    def label(self) -> Instant:
        return trust.label(
            self.known, self.boot_ms, self.utc_ms, kernel_synced=self.synced, slept_ms=self.slept_ms
        )

    def kinds(self) -> list[str]:
        kinds = [told.kind for told in self.told]
        self.told.clear()
        return kinds


def synced(utc_ms: int = T0) -> Box:
    box = Box(utc_ms)
    box.synced = True
    if utc_ms < LATEST_MS:
        assert box.look() == (Trust.SYNCED, Reason.FIRST_SYNC)
    else:
        box.confirmed = box.word()
        assert box.look() == (Trust.SYNCED, Reason.NAMED)
    assert box.run(5000) == (Trust.SYNCED, Reason.SYNCED)
    box.kinds()
    return box


# The table -----------------------------------------------------------------------------------------------------


def test_the_table_has_every_cell():
    assert set(TABLE) == {(state, seen) for state in Trust for seen in Seen}


@pytest.mark.parametrize(("state", "seen"), sorted(TABLE))
def test_a_cell(state, seen):
    move = TABLE[state, seen]
    trusting = {
        Seen.STEADY_SYNCED: Trust.SYNCED,
        Seen.STEADY: Trust.HOLDOVER,
        Seen.NAMED_SYNCED: Trust.SYNCED,
        Seen.NAMED: Trust.HOLDOVER,
        Seen.FIRST_SYNC: Trust.SYNCED,
        Seen.BACK_SYNCED: Trust.SYNCED,
    }
    assert move.to is trusting.get(seen, Trust.UNTRUSTED)
    if state in TRUSTED and move.to is Trust.UNTRUSTED:
        assert move.kind == "clock.untrusted"
    elif state is Trust.UNTRUSTED and move.to in TRUSTED:
        assert move.kind == "clock.trusted"
    else:
        assert move.kind == ""
    assert (move.to is Trust.UNTRUSTED) == (
        move.reason
        in (
            Reason.UNSYNCED,
            Reason.STEPPED,
            Reason.SLEPT,
            Reason.SPENT,
            Reason.ABSENT,
            Reason.BACKWARD,
            Reason.IMPLAUSIBLE,
        )
    )


def _reached() -> dict[Seen, tuple[Belief, Observation]]:
    """Bring about each observation, from the state in which it arises."""
    here = {}
    box = synced()
    base, seen = box.known, box.seen()
    here[Seen.STEADY_SYNCED] = (base, seen)
    here[Seen.STEADY] = (base, replace(seen, kernel_synced=False))
    late = replace(
        seen, boot_ms=seen.boot_ms + HOLDOVER_MS + 70_000, utc_ms=seen.utc_ms + HOLDOVER_MS + 70_000
    )
    here[Seen.SPENT] = (base, replace(late, kernel_synced=False))
    stepped = replace(seen, utc_ms=seen.utc_ms + DAY_MS)
    here[Seen.STEPPED] = (base, stepped)
    here[Seen.SLEPT] = (base, replace(seen, slept_ms=SLEPT_MS + 1))
    word = Word("kim", seen.boot_id, seen.boot_ms, stepped.utc_ms)
    here[Seen.NAMED_SYNCED] = (base, replace(stepped, confirmed=word))
    here[Seen.NAMED] = (base, replace(stepped, confirmed=word, kernel_synced=False))
    boot = Observation("boot-2", 5000, seen.utc_ms + HOUR_MS, kernel_synced=True)
    fresh = trust.begin(base, boot)
    here[Seen.FIRST_SYNC] = (trust.begin(None, boot), boot)
    here[Seen.BACK_SYNCED] = (fresh, boot)
    here[Seen.ABSENT] = (fresh, replace(boot, utc_ms=seen.utc_ms + 40 * DAY_MS))
    here[Seen.BACKWARD] = (fresh, replace(boot, utc_ms=seen.utc_ms - HOUR_MS))
    here[Seen.IMPLAUSIBLE] = (fresh, replace(boot, utc_ms=5000))
    here[Seen.UNSYNCED] = (fresh, replace(boot, kernel_synced=False))
    return here


@pytest.mark.parametrize("what", Seen)
def test_every_observation_is_recognised_and_moves_by_the_table(what):
    belief, seen = _reached()[what]
    assert trust.classify(belief, seen) is what
    after, told = trust.observe(belief, seen)
    move = TABLE[belief.state, what]
    assert (after.state, after.reason) == (move.to, move.reason)
    assert [fact.kind for fact in told if fact.kind in ("clock.trusted", "clock.untrusted")] == [
        move.kind
    ] * bool(move.kind)


# Continuity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ERAS.values(), ids=ERAS)
def test_c4_synchronised_time_goes_on_over_the_end_of_an_era(base):
    box = synced(base - 60_000)
    assert box.run(120_000) == (Trust.SYNCED, Reason.SYNCED)
    assert box.label() == Instant(box.utc_ms, Trust.SYNCED)
    box.synced = False
    assert box.run(120_000) == (Trust.HOLDOVER, Reason.HOLDOVER)
    assert box.set_clock(40 * DAY_MS) == (Trust.UNTRUSTED, Reason.STEPPED)
    assert box.set_clock(-40 * DAY_MS) == (Trust.HOLDOVER, Reason.HOLDOVER)
    assert box.reboot(HOUR_MS, synced=True) == (Trust.SYNCED, Reason.BACK_SYNCED)


@pytest.mark.parametrize("step_ms", [-1000, 1000])
def test_c6_a_leap_second_is_no_step(step_ms):
    box = synced()
    assert box.set_clock(step_ms) == (Trust.SYNCED, Reason.SYNCED)
    assert box.run(HOUR_MS, 10_000) == (Trust.SYNCED, Reason.SYNCED)
    assert box.kinds() == []
    assert box.label().utc_ms == box.utc_ms


@pytest.mark.parametrize("ppm", [-DRIFT_PPM, -12, 12, DRIFT_PPM])
def test_c6_smear_and_drift_are_followed(ppm):
    """A smeared leap second is 12 ppm for a day; labels are the real time throughout."""
    box = synced()
    assert box.run(2 * DAY_MS, 30_000, ppm) == (Trust.SYNCED, Reason.SYNCED)
    assert box.label() == Instant(box.utc_ms, Trust.SYNCED)
    box.synced = False
    assert box.run(2 * DAY_MS, 30_000, ppm) == (Trust.HOLDOVER, Reason.HOLDOVER)
    assert box.kinds() == []


@pytest.mark.parametrize("kernel", [True, False])
def test_c8_c11_what_the_battery_clock_says_after_a_sleep_is_not_believed(kernel):
    """C8, C11: the battery clock wakes a year ahead: both clocks jump, the kernel says what it said before."""
    box = synced()
    box.synced = kernel
    box.sleep(365 * DAY_MS)
    assert box.label().trust is Trust.UNTRUSTED  # a recorder sees it before it is published
    assert box.look() == (Trust.UNTRUSTED, Reason.SLEPT)
    assert box.kinds() == ["clock.untrusted"]
    assert box.run(HOUR_MS, HOUR_MS) == (Trust.UNTRUSTED, Reason.SLEPT)
    box.set_clock(-365 * DAY_MS)
    assert box.state == (Trust.UNTRUSTED, Reason.SLEPT)
    box.confirmed = box.word()
    assert box.look() == ((Trust.SYNCED if kernel else Trust.HOLDOVER), Reason.NAMED)
    assert box.known.doubts[-1].shift_ms == -365 * DAY_MS
    assert box.run(5000)[0] in TRUSTED
    assert box.label().trust in TRUSTED


def test_c11_after_days_asleep_one_word_is_not_enough():
    box = synced()
    box.synced = False
    box.sleep(40 * DAY_MS)
    box.confirmed = box.word()
    assert box.look() == (Trust.UNTRUSTED, Reason.ABSENT)
    box.synced = True
    assert box.look() == (Trust.SYNCED, Reason.NAMED)


def test_c11_short_sleeps_are_believed_and_add_up_while_nobody_disciplines_the_clock():
    box = synced()
    for _ in range(3):
        box.sleep(SLEPT_MS)
        assert box.run(60_000) == (Trust.SYNCED, Reason.SYNCED)
    box.synced = False
    box.sleep(SLEPT_MS)
    assert box.run(60_000) == (Trust.HOLDOVER, Reason.HOLDOVER)
    box.sleep(1000)
    assert box.look() == (Trust.UNTRUSTED, Reason.SLEPT)


def test_c11_a_suspended_box_slept_and_did_not_step():
    """The boot clock counts sleep, so both clocks have gone on alike."""
    box = synced()
    box.boot_ms += 600_000
    box.utc_ms += 600_000
    assert box.look() == (Trust.SYNCED, Reason.SYNCED)
    assert box.kinds() == []


def test_holdover_lasts_five_days_and_ends():
    box = synced()
    box.synced = False
    assert box.run(HOLDOVER_MS - 60_000, 60_000) == (Trust.HOLDOVER, Reason.HOLDOVER)
    assert box.run(120_000, 60_000) == (Trust.UNTRUSTED, Reason.SPENT)
    assert box.kinds() == ["clock.untrusted"]
    line = box.known.line
    box.run(DAY_MS, 60_000)
    assert box.known.line == line
    box.synced = True
    assert box.run(1000) == (Trust.SYNCED, Reason.SYNCED)
    assert box.known.doubts[-1].shift_ms == 0


def test_a_clock_that_is_dragged_in_small_steps_is_caught():
    """C7's cousin: each step alone is within what a time service does."""
    box = synced()
    dragged_ms = 0
    while box.known.state is Trust.SYNCED and dragged_ms < DAY_MS:
        box.utc_ms += 1500
        dragged_ms += 1500
        box.run(60_000, 10_000)
    assert box.state == (Trust.UNTRUSTED, Reason.STEPPED)
    assert dragged_ms < 10_000


def test_a_step_is_not_forgiven_because_it_was_long_ago():
    box = synced()
    box.set_clock(30_000)
    assert box.run(4 * DAY_MS, 60_000) == (Trust.UNTRUSTED, Reason.STEPPED)


# Steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by_ms", [STEP_MS + 100, 40 * DAY_MS, 365 * DAY_MS, -HOUR_MS, -365 * DAY_MS, 31 * DAY_MS]
)
@pytest.mark.parametrize("kernel", [True, False])
def test_c2_c3_a_jump_keeps_the_old_line_and_is_told_at_once(by_ms, kernel):
    box = synced()
    before = box.label().utc_ms
    box.synced = kernel
    assert box.set_clock(by_ms) == (Trust.UNTRUSTED, Reason.STEPPED)
    assert [(told.kind, told.body) for told in box.told] == [
        ("clock.step", {"from_ms": before + 1000, "to_ms": before + 1000 + by_ms, "delta_ms": by_ms}),
        ("clock.untrusted", {"reason": "stepped"}),
    ]
    assert box.label() == Instant(before + 1000, Trust.UNTRUSTED)
    box.run(60_000)
    assert box.label() == Instant(before + 61_000, Trust.UNTRUSTED)
    assert len(box.told) == 2


def test_c2_the_clock_comes_back():
    box = synced()
    box.set_clock(40 * DAY_MS)
    box.run(60_000)
    assert box.set_clock(-40 * DAY_MS) == (Trust.SYNCED, Reason.SYNCED)
    assert box.kinds() == ["clock.step", "clock.untrusted", "clock.step", "clock.trusted"]
    (doubt,) = box.known.doubts
    assert doubt.shift_ms == 0
    assert doubt.to_ms - doubt.from_ms == 61_000


def test_c2_somebody_names_the_new_time():
    box = synced()
    box.set_clock(40 * DAY_MS)
    box.run(60_000)
    label_ms = box.label().utc_ms
    box.kinds()
    box.confirmed = box.word("kim")
    assert box.run(1000) == (Trust.SYNCED, Reason.NAMED)
    assert [told.kind for told in box.told] == ["clock.confirmed", "clock.trusted"]
    assert box.told[0].body == {"by": "kim", "utc_ms": box.utc_ms}
    assert box.told[1].body == {"reason": "named", "shift_ms": 40 * DAY_MS}
    assert box.label() == Instant(label_ms + 1000 + 40 * DAY_MS, Trust.SYNCED)
    box.kinds()
    assert box.run(10_000) == (Trust.SYNCED, Reason.SYNCED)
    assert box.kinds() == []


def test_a_word_works_once():
    """The clock is set to a time that was confirmed earlier, after another was: nobody has named it again."""
    box = synced()
    box.set_clock(DAY_MS)
    box.confirmed = box.word()
    box.run(1000)
    box.signed = None
    box.set_clock(-DAY_MS)
    assert box.state == (Trust.UNTRUSTED, Reason.STEPPED)
    box.set_clock(DAY_MS)
    assert box.state == (Trust.SYNCED, Reason.SYNCED)  # back on its line, not by the word
    box.synced = False
    box.run(HOLDOVER_MS + 120_000, 60_000)
    assert box.state == (Trust.UNTRUSTED, Reason.SPENT)


def test_a_word_for_another_time_or_boot_or_of_long_ago_is_none():
    box = synced()
    word = box.word()
    seen = box.seen()
    assert trust.fits(word, seen)
    assert not trust.fits(replace(word, utc_ms=word.utc_ms - 10_000), seen)
    assert not trust.fits(replace(word, boot_id="other"), seen)
    assert not trust.fits(replace(word, boot_ms=word.boot_ms + 1000), seen)
    later = replace(seen, boot_ms=seen.boot_ms + HOLDOVER_MS + 1, utc_ms=seen.utc_ms + HOLDOVER_MS + 1)
    assert not trust.fits(word, later)


def test_a_clock_that_is_set_and_named_between_two_looks():
    box = synced()
    box.utc_ms += DAY_MS
    box.confirmed = box.word()
    assert box.run(1000) == (Trust.SYNCED, Reason.NAMED)
    assert box.kinds() == ["clock.step", "clock.confirmed"]
    assert box.known.doubts[-1].shift_ms == DAY_MS
    box.confirmed = box.word()
    box.run(1000)
    assert len(box.known.doubts) == 1  # the time that was right already is named: nothing was in doubt
    assert box.kinds() == ["clock.confirmed"]


def test_nobody_can_name_a_time_before_this_software():
    box = synced()
    box.set_clock(-box.utc_ms)
    box.confirmed = box.word()
    assert box.run(1000) == (Trust.UNTRUSTED, Reason.STEPPED)
    fresh = Box(5000)
    fresh.confirmed = fresh.word()
    fresh.synced = True
    assert fresh.look() == (Trust.UNTRUSTED, Reason.IMPLAUSIBLE)


# Boots ---------------------------------------------------------------------------------------------------------


def test_c1_a_box_that_boots_in_1970_records_and_learns_the_time():
    box = Box(20_000)
    assert box.look() == (Trust.UNTRUSTED, Reason.IMPLAUSIBLE)
    assert box.run(600_000) == (Trust.UNTRUSTED, Reason.IMPLAUSIBLE)
    assert box.label() == Instant(620_000, Trust.UNTRUSTED)
    box.synced = True
    box.set_clock(T0)
    assert box.state == (Trust.SYNCED, Reason.FIRST_SYNC)
    assert box.kinds() == ["clock.untrusted", "clock.step", "clock.trusted"]
    (doubt,) = box.known.doubts
    assert (doubt.from_ms, doubt.to_ms, doubt.shift_ms) == (0, 621_000, T0)


def test_a_first_installation_believes_its_kernel_or_a_person():
    assert synced().known.anchor is not None
    box = Box()
    assert box.look() == (Trust.UNTRUSTED, Reason.UNSYNCED)
    box.confirmed = box.word()
    assert box.run(1000) == (Trust.HOLDOVER, Reason.NAMED)
    assert box.known.doubts[-1].shift_ms == 0
    far = Box(LATEST_MS)
    far.synced = True
    assert far.look() == (Trust.UNTRUSTED, Reason.IMPLAUSIBLE)


@pytest.mark.parametrize("off_ms", [0, HOUR_MS, ABSENT_MS - HOUR_MS])
def test_after_a_restart_a_synchronised_clock_is_believed(off_ms):
    box = synced()
    assert box.reboot(off_ms) == (Trust.UNTRUSTED, Reason.UNSYNCED)
    box.synced = True
    assert box.run(1000) == (Trust.SYNCED, Reason.BACK_SYNCED)
    assert box.kinds() == ["clock.untrusted", "clock.trusted"]


def test_after_a_restart_without_a_time_service_a_person_is_believed():
    box = synced()
    box.reboot(HOUR_MS)
    box.confirmed = box.word()
    assert box.run(1000) == (Trust.HOLDOVER, Reason.NAMED)


@pytest.mark.parametrize(
    ("off_ms", "reason"),
    [(40 * DAY_MS, Reason.ABSENT), (365 * DAY_MS, Reason.ABSENT), (-HOUR_MS, Reason.BACKWARD)],
)
def test_c8_after_long_absence_or_backwards_two_words_are_needed(off_ms, reason):
    for first, second in (("kernel", "person"), ("person", "kernel"), ("person", "centre")):
        box = synced()
        assert box.reboot(off_ms) == (Trust.UNTRUSTED, Reason.UNSYNCED)
        for number, who in enumerate((first, second)):
            if who == "kernel":
                box.synced = True
            elif who == "person":
                box.confirmed = box.word()
            else:
                box.signed = box.word("centre")
            box.run(3000)
            if number == 0:
                assert box.state == (Trust.UNTRUSTED, reason)
        assert box.known.state is not Trust.UNTRUSTED
        assert box.kinds()[-1] == "clock.trusted"


def test_c3_a_clock_that_is_days_behind_is_not_believed_by_waiting():
    """C3: it would pass the last known time some day, and be as wrong as before."""
    box = synced()
    box.run(2 * DAY_MS, 60_000)
    assert box.reboot(-2 * DAY_MS, synced=True) == (Trust.UNTRUSTED, Reason.BACKWARD)
    assert box.run(5 * DAY_MS, 60_000) == (Trust.UNTRUSTED, Reason.BACKWARD)
    box.confirmed = box.word()
    assert box.look() == (Trust.SYNCED, Reason.NAMED)
    assert box.known.refused_ms == 0


@pytest.mark.parametrize("behind_ms", [BEHIND_MS + 1, BEHIND_MS])
def test_one_that_is_behind_by_little_is_waited_for(behind_ms):
    box = synced()
    late = behind_ms > BEHIND_MS
    assert box.reboot(-behind_ms, synced=True) == (Trust.UNTRUSTED, Reason.BACKWARD)
    assert box.known.refused_ms == (box.utc_ms - box.boot_ms if late else 0)
    box.run(2 * HOUR_MS, 60_000)
    assert box.state == ((Trust.UNTRUSTED, Reason.BACKWARD) if late else (Trust.SYNCED, Reason.SYNCED))


@pytest.mark.parametrize("first", ["kernel", "person"])
def test_c8_who_names_two_times_after_each_other_is_not_believed_alone(first):
    """C8: forty days in a store, and the word for it was refused: the same source may not try another time."""
    box = synced()
    box.reboot(41 * DAY_MS)
    if first == "kernel":
        box.synced = True
    else:
        box.confirmed = box.word()
    assert box.run(3000) == (Trust.UNTRUSTED, Reason.ABSENT)
    box.synced, box.confirmed = False, None
    assert box.run(HOUR_MS, 60_000) == (Trust.UNTRUSTED, Reason.UNSYNCED)
    box.set_clock(-40 * DAY_MS)
    box.synced = True
    assert box.look() == (Trust.UNTRUSTED, Reason.BACKWARD)
    assert box.run(DAY_MS, 60_000) == (Trust.UNTRUSTED, Reason.BACKWARD)
    assert box.set_clock(-10 * DAY_MS) == (Trust.UNTRUSTED, Reason.BACKWARD)
    assert box.set_clock(10 * DAY_MS) == (Trust.UNTRUSTED, Reason.BACKWARD)
    assert box.set_clock(40 * DAY_MS) == (Trust.UNTRUSTED, Reason.ABSENT)
    box.confirmed = box.word()
    assert box.look() == (Trust.SYNCED, Reason.NAMED)
    assert (box.known.refused_ms, box.known.doubts[-1].shift_ms) == (0, 0)


def test_c3_a_time_service_that_was_behind_and_is_put_right_is_believed():
    """C3: what it named first was before a time that has been; what it names now is not."""
    box = synced()
    assert box.reboot(-10 * DAY_MS, synced=True) == (Trust.UNTRUSTED, Reason.BACKWARD)
    box.run(HOUR_MS, 60_000)
    assert box.set_clock(10 * DAY_MS) == (Trust.SYNCED, Reason.BACK_SYNCED)
    assert box.known.refused_ms == 0


def test_c11_a_word_that_was_refused_after_a_sleep_is_remembered_too():
    box = synced()
    box.synced = False
    box.sleep(40 * DAY_MS)
    box.confirmed = box.word()
    assert box.look() == (Trust.UNTRUSTED, Reason.ABSENT)
    box.set_clock(-39 * DAY_MS)
    assert box.state == (Trust.UNTRUSTED, Reason.SLEPT)
    box.confirmed = box.word()
    assert box.look() == (Trust.UNTRUSTED, Reason.BACKWARD)
    box.signed = box.word("centre")
    assert box.look() == (Trust.HOLDOVER, Reason.NAMED)


def test_what_was_refused_is_forgotten_with_the_boot():
    """A time service that was wrong for an hour asks for no technician when it is right at the next start."""
    box = synced()
    assert box.reboot(40 * DAY_MS, synced=True) == (Trust.UNTRUSTED, Reason.ABSENT)
    assert box.reboot(-40 * DAY_MS + HOUR_MS, synced=True) == (Trust.SYNCED, Reason.BACK_SYNCED)


def test_holdover_counts_as_known_time_after_a_restart():
    box = synced()
    box.synced = False
    box.run(4 * DAY_MS, 60_000)
    assert box.reboot(60_000, synced=True) == (Trust.SYNCED, Reason.BACK_SYNCED)


def test_time_after_an_unconfirmed_step_does_not():
    box = synced()
    known = box.utc_ms
    box.set_clock(2 * DAY_MS)
    box.run(HOUR_MS, 10_000)
    box.reboot(0)
    assert box.known.anchor is not None
    assert box.known.anchor.utc_ms <= known


def test_doubts_are_bounded():
    box = synced()
    for _ in range(DOUBTS + 5):
        box.set_clock(DAY_MS)
        box.set_clock(-DAY_MS)
    assert len(box.known.doubts) == DOUBTS
    assert box.known.state is Trust.SYNCED


# Labels --------------------------------------------------------------------------------------------------------


def test_labels_by_a_line_that_was_published_minutes_ago():
    box = synced()
    belief = box.known
    boot, utc = box.boot_ms + 500_000, box.utc_ms + 500_000
    assert trust.label(belief, boot, utc, kernel_synced=True) == Instant(utc, Trust.SYNCED)
    assert trust.label(belief, boot, utc, kernel_synced=False) == Instant(utc, Trust.HOLDOVER)
    assert trust.label(belief, boot, utc + STEP_MS, kernel_synced=True).trust is Trust.SYNCED
    assert trust.label(belief, boot, utc + 40 * DAY_MS, kernel_synced=True) == Instant(utc, Trust.UNTRUSTED)
    assert trust.label(belief, boot, utc - HOUR_MS, kernel_synced=True) == Instant(utc, Trust.UNTRUSTED)
    late = HOLDOVER_MS + 120_000
    alone = trust.label(belief, boot + late, utc + late, kernel_synced=False)
    assert alone == Instant(utc + late, Trust.UNTRUSTED)


# On disk -------------------------------------------------------------------------------------------------------

times = st.integers(-(1 << 60), 1 << 60)
anchors = st.builds(Anchor, st.text(), times, times, st.text())
beliefs = st.builds(
    Belief,
    st.text(),
    st.sampled_from(Trust),
    st.sampled_from(Reason),
    st.builds(Line, times, times),
    anchors,
    times,
    times,
    times,
    st.tuples(times, times),
    st.lists(st.builds(Doubt, st.text(), times, times, times, times), max_size=3).map(tuple),
    times,
    times,
)
FACT = {"kind": "clock.step", "at_ms": 5, "trust": "SYNCED", "body": {"delta_ms": 7}}


@given(beliefs)
def test_what_is_written_is_read(belief):
    assert timefile.decode(timefile.encode(belief, [FACT])) == (belief, [FACT])
    unknown = replace(belief, state=Trust.UNTRUSTED, anchor=None)
    assert timefile.decode(timefile.encode(unknown, [])) == (unknown, [])


@given(st.builds(Word, st.text(), st.text(), times, times))
def test_a_word_that_is_written_is_read(word):
    assert timefile.decode_word(timefile.encode_word(word)) == word


def _good() -> dict:
    return json.loads(timefile.encode(synced().known, [FACT]))


@pytest.mark.parametrize("key", sorted(_good()))
@pytest.mark.parametrize("value", [None, [], {}, "x", 1.5, True, [1, 2, 3], ["a", "b"], [{}], {"boot_ms": 1}])
def test_anything_else_is_refused(key, value):
    body = _good()
    right = (key in ("untold", "doubts") and value == []) or (key == "boot_id" and value == "x")
    right = right or (key == "version" and value is True)  # which equals 1
    body[key] = value
    with nullcontext() if right else pytest.raises(ValueError, match="not a record"):
        timefile.decode(json.dumps(body))
    del body[key]
    with pytest.raises(ValueError, match="not a record"):
        timefile.decode(json.dumps(body))


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "{", '{"magic":"other","version":1}', "\x00"])
def test_what_is_no_record_at_all_is_refused(text):
    with pytest.raises(ValueError, match="not a record"):
        timefile.decode(text)
    with pytest.raises(ValueError, match="not a word"):
        timefile.decode_word(text)


def test_facts_that_wait_have_a_body():
    body = _good()
    body["untold"] = [{**FACT, "body": 5}]
    with pytest.raises(ValueError, match="not a record"):
        timefile.decode(json.dumps(body))


def test_a_word_has_text_and_whole_numbers():
    good = dataclasses.asdict(Word("kim", "b", 1, 2))
    for key, value in (("by", 5), ("boot_ms", 1.0), ("utc_ms", "2"), ("more", 1)):
        with pytest.raises(ValueError, match="not a word"):
            timefile.decode_word(json.dumps({**good, key: value}))


def test_the_build_date_is_in_the_past_of_every_test():
    assert BUILD_MS < T0
