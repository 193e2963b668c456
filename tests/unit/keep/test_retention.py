"""What retention plans. Rows of the list of faults: I1, B1, B2, B3, B5, B19, C8, K6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import UTC_DAY_MS, Instant, Trust
from agent.storage.keep.retention import (
    GIB,
    Candidate,
    Cause,
    Demand,
    Marks,
    Plan,
    Room,
    Shelf,
    VaultView,
    View,
    byte_marks,
    file_marks,
    overdue_ms,
    plan,
    reach_tenths,
)

NOW = 1_800_000_000_000
MONTH = 30 * UTC_DAY_MS
PLENTY = Room(100 * GIB, 50 * GIB, 1_000_000, 900_000)
UNKNOWN = Room(None, None, None, None)
MARKS = Marks(1000, 1200)


def segment(number, age_ms, size=100, **more):
    start = NOW - age_ms
    values = {"kept_from_ms": start, "start_ms": start, "end_ms": start + 60_000, "sealed_bytes": size}
    return Candidate(number, **{**values, **more})


def view(*shelves, room=PLENTY, trust=Trust.SYNCED, retention=None, files=Marks(10, 12)):
    vault = VaultView("v1", room, MARKS, files, shelves)
    return View(Instant(NOW, trust), retention or {"cam1": MONTH, "cam2": MONTH}, MONTH, [vault])


def expired(shelf, **more):
    return [number for number, cause in plan(view(shelf, **more)).erase if cause is Cause.EXPIRED]


@pytest.mark.parametrize(("age_ms", "goes"), [(MONTH - 1000, False), (MONTH - 1, False), (MONTH, True)])
def test_i1_the_oldest_frame_rules(age_ms, goes):
    """I1: kept for thirty days to the millisecond, by the segment's start though it reaches over the limit."""
    assert expired(Shelf("cam1", [segment(1, age_ms)])) == ([1] if goes else [])


def test_a_camera_may_have_a_shorter_retention_and_a_removed_one_has_the_boxs():
    retention = {"cam1": 2 * UTC_DAY_MS}
    assert expired(Shelf("cam1", [segment(1, 3 * UTC_DAY_MS)]), retention=retention) == [1]
    assert expired(Shelf("gone", [segment(1, 3 * UTC_DAY_MS)]), retention=retention) == []
    assert expired(Shelf("gone", [segment(1, MONTH)]), retention=retention) == [1]


def test_c8_untrusted_time_plans_nothing_and_says_so():
    """C8: however old things look, and however full the disk is."""
    full = Room(100 * GIB, 0, 1000, 0)
    made = plan(view(Shelf("cam1", [segment(1, 400 * UTC_DAY_MS)]), room=full, trust=Trust.UNTRUSTED))
    assert made == Plan(blocked="time.untrusted")


def test_holdover_is_trusted():
    assert expired(Shelf("cam1", [segment(1, MONTH)]), trust=Trust.HOLDOVER) == [1]


def test_the_future_does_not_expire_and_is_evicted_last():
    young = segment(1, -40 * UTC_DAY_MS)
    shelf = Shelf("cam1", [segment(2, UTC_DAY_MS), young])
    assert expired(shelf) == []
    assert plan(view(shelf, room=Room(5000, 950, None, None))).erase[0] == (2, Cause.EVICTED)


@pytest.mark.parametrize(
    "odd",
    [
        {"kept_from_ms": None},
        {"kept_from_ms": "soon"},
        {"end_ms": 0},
        {"end_ms": None},
        {"start_ms": None},
        {"sealed_bytes": None},
        {"held": True},
    ],
)
def test_b19_a_row_that_cannot_be_or_is_held_goes_for_no_cause_and_stops_no_other(odd):
    """B19, and held segments, which the survey should not have offered."""
    strange = segment(1, MONTH + 5000, **odd)
    shelves = [Shelf("cam1", [strange, segment(2, MONTH)], more=True), Shelf("cam2", [segment(3, MONTH)])]
    made = plan(view(*shelves, room=Room(5000, 0, None, None)))
    assert {number for number, _ in made.erase} == {2, 3}


def test_b19_a_size_that_cannot_be_does_not_keep_a_segment_beyond_its_time():
    """B19: age needs no size; room is not gained by it, so it is passed over where only bytes are short."""
    shelf = Shelf("cam1", [segment(1, MONTH, -5), segment(2, 9000, 0), segment(3, 8000, 100)])
    made = plan(view(shelf, room=Room(5000, 1000 - 90, None, None)))
    assert made.erase == ((1, Cause.EXPIRED), (3, Cause.EVICTED))
    assert made.short == ("v1",)


def test_b1_a_short_disk_loses_the_globally_oldest_and_only_what_is_needed():
    """B1."""
    one = Shelf("cam1", [segment(1, 900), segment(2, 500), segment(3, 100)])
    two = Shelf("cam2", [segment(4, 800), segment(5, 700), segment(6, 600)])
    made = plan(view(one, two, room=Room(5000, 999, None, None)))
    assert made == Plan(tuple((number, Cause.EVICTED) for number in (1, 4, 5)), (), False)  # 201 to free


def test_b1_at_the_low_mark_nothing_is_short():
    assert plan(view(Shelf("cam1", [segment(1, 900)]), room=Room(5000, 1000, None, None))).erase == ()


def test_b2_what_is_on_its_way_counts_as_free():
    """B2: condemned bytes, lately erased bytes, and what expires in this very plan."""
    shelf = Shelf("cam1", [segment(1, MONTH, 300), segment(2, 500, 300)])
    assert plan(view(shelf, room=Room(5000, 700, None, None))).erase == ((1, Cause.EXPIRED),)
    shelf = Shelf("cam1", [segment(2, 500, 300)])
    assert plan(view(shelf, room=Room(5000, 700, None, None, 300))).erase == ()
    assert plan(view(shelf, room=Room(5000, 700, None, None, 299))).erase == ((2, Cause.EVICTED),)


def test_unknown_room_evicts_nothing():
    assert plan(view(Shelf("cam1", [segment(1, 900)]), room=UNKNOWN)) == Plan()


def test_b5_inodes_are_room_too():
    """B5."""
    shelf = Shelf("cam1", [segment(number, 900 - number, 0) for number in range(1, 6)])
    made = plan(view(shelf, room=Room(100 * GIB, 50 * GIB, 100, 9)))
    assert made.erase == tuple((number, Cause.EVICTED) for number in (1, 2, 3))
    made = plan(view(shelf, room=Room(100 * GIB, 50 * GIB, 100, 9, 0, 1)))
    assert made.erase == ()


def test_b3_a_disk_full_of_holds_stays_short_and_says_so():
    """B3: never a held one, though nothing else is left."""
    shelf = Shelf("cam1", [segment(1, 900, held=True)])
    assert plan(view(shelf, room=Room(5000, 0, None, None))) == Plan(short=("v1",))


def test_b3_what_an_export_links_gives_no_room_and_is_not_evicted_for_it():
    """B3: it goes by its age all the same."""
    shelf = Shelf("cam1", [segment(1, MONTH, outgoing=True), segment(2, 900, outgoing=True), segment(3, 800)])
    made = plan(view(shelf, room=Room(5000, 0, None, None)))
    assert made == Plan(((1, Cause.EXPIRED), (3, Cause.EVICTED)), ("v1",))


def test_eviction_stops_where_the_order_is_no_longer_known():
    one = Shelf("cam1", [segment(1, 900)], more=True)
    two = Shelf("cam2", [segment(4, 800), segment(5, 700)])
    made = plan(view(one, two, room=Room(5000, 0, None, None)))
    assert made == Plan(((1, Cause.EVICTED),), (), True)


def test_more_follows_where_all_that_was_seen_is_expired():
    assert plan(view(Shelf("cam1", [segment(1, MONTH)], more=True))).more
    assert not plan(view(Shelf("cam1", [segment(1, MONTH), segment(2, 5)], more=True))).more
    assert not plan(view(Shelf("cam1", [segment(1, MONTH)]))).more


def test_causes_come_in_order_over_all_vaults():
    short = VaultView("a", Room(5000, 0, None, None), MARKS, MARKS, [Shelf("cam1", [segment(1, 5)])])
    other = VaultView("b", PLENTY, MARKS, Marks(0, 0), [Shelf("cam2", [segment(2, MONTH)])])
    made = plan(View(Instant(NOW, Trust.SYNCED), {}, MONTH, [short, other]))
    assert made.erase == ((2, Cause.EXPIRED), (1, Cause.EVICTED))
    assert made.short == ("a",)


def test_overdue_is_the_worst_and_never_negative():
    assert overdue_ms(view()) == 0
    assert overdue_ms(view(Shelf("cam1", [segment(1, UTC_DAY_MS)]))) == 0
    shelf = Shelf("cam1", [segment(1, MONTH + 9), segment(2, MONTH + 5000, held=True)])
    assert overdue_ms(view(shelf, Shelf("cam2", [segment(3, MONTH + 70)]))) == 70


def test_marks():
    assert byte_marks(None, 0) == Marks(GIB, GIB + GIB // 8)
    assert byte_marks(8000 * GIB, 0) == Marks(160 * GIB, 160 * GIB + GIB // 4)
    assert byte_marks(1000 * GIB, 144 * 30 * GIB).low == 30 * GIB
    assert byte_marks(64 << 20, 0).low == (64 << 20) // 20
    assert byte_marks(0, 0) == Marks(1, 1)
    assert file_marks(None) == Marks(0, 0)
    assert file_marks(1_000_000) == Marks(10_000, 11_250)
    assert file_marks(2000) == Marks(100, 112)


def test_k6_the_forecast():
    """K6: in tenths of a day, at the given rate."""
    assert reach_tenths([], 10**9) is None
    assert reach_tenths([Demand(0, MONTH)], 10**9) is None
    assert reach_tenths([Demand(100, MONTH)], 2130) == 213
    assert reach_tenths([Demand(100, MONTH)], -5) == 0
    assert reach_tenths([Demand(100, MONTH)], 100 * 31) == 310
    # 10 days of both, then 20 more of the longer one: 10*300 + 5*100
    assert reach_tenths([Demand(200, 10 * UTC_DAY_MS), Demand(100, MONTH)], 3500) == 150


@given(
    free=st.integers(0, 3000),
    scheduled=st.integers(0, 500),
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 300), st.booleans()), max_size=30),
)
def test_b2_never_more_than_one_segment_too_many(free, scheduled, sizes):
    """B2: without its last segment the plan would not have reached the high mark; and nothing held is in it."""
    shelves = {0: [], 1: [], 2: []}
    for number, (camera, size, held) in enumerate(sizes):
        shelves[camera].append(segment(number, 1000 - number, size, held=held))
    made = plan(
        view(
            *(Shelf(f"c{key}", column) for key, column in shelves.items()),
            room=Room(9999, free, None, None, scheduled),
        )
    )
    chosen = [number for number, _ in made.erase]
    assert chosen == sorted(chosen)
    assert not any(sizes[number][2] for number in chosen)
    if free + scheduled >= MARKS.low:
        assert not chosen
    elif chosen:
        assert free + scheduled + sum(sizes[number][1] for number in chosen[:-1]) < MARKS.high
    if made.short:
        assert len(chosen) == sum(not held for _, _, held in sizes)
