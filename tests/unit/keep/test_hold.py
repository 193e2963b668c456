"""Holds as values: what is refused, what is covered, what a HOLD file says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Instant, Span, Trust, canonical_json
from agent.storage.keep.hold import (
    ACCESS,
    GROUNDS,
    REVIEW_DAYS,
    Hold,
    HoldRefused,
    check_order,
    check_text,
    latest_review,
    merged,
    read,
    write,
)
from agent.storage.keep.stored import Stored
from tests.unit.keep.kept import DAY_MS, order
from tests.unit.storage.box import T0

NOW = Instant(T0, Trust.SYNCED)


def refused(hold: Hold, now: Instant = NOW) -> HoldRefused:
    with pytest.raises(HoldRefused) as caught:
        check_order(hold, now)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize("language", ["ko_KR.UTF-8", "C"])
def test_every_ground_is_taken_and_any_other_is_refused_with_the_list(monkeypatch, language) -> None:
    """Gangneung art. 28(1) has six, the Standard Guideline art. 40(1) ten, and access requests have their own."""
    monkeypatch.setenv("LC_ALL", language)
    for ground in GROUNDS:
        check_order(order(ground=ground), NOW)
    error = refused(order(ground="curiosity"))
    assert error.code == "HOLD_GROUND"
    assert all(ground in error.hint for ground in GROUNDS)
    assert ("범죄의 수사" in error.hint) == (language != "C")
    assert len([each for each in GROUNDS.values() if each.gangneung.startswith("28(1)")]) == 6
    assert {each.guideline for each in GROUNDS.values()} >= {f"40(1){n}" for n in range(1, 11)}


def test_a_request_has_ten_days_from_when_it_was_placed() -> None:
    """Standard Guideline 44(4)."""
    asked = order(ground=ACCESS, placed_ms=T0)
    assert asked.answer_left_ms(T0) == 10 * DAY_MS
    assert asked.answer_left_ms(T0 + 10 * DAY_MS) == 0
    assert asked.answer_left_ms(T0 - 1) == 0  # by a clock that was wrong: nobody knows
    assert asked.released(T0 + 1, "answered").answer_left_ms(T0 + 2) is None
    assert order(placed_ms=T0).answer_left_ms(T0) is None


@pytest.mark.parametrize(
    ("review_ms", "fits"),
    [
        (T0 + 1, True),
        (T0 + 90 * DAY_MS, True),
        (T0, False),
        (T0 - 1, False),
        (T0 + 90 * DAY_MS + 1, False),
    ],
)
def test_a_review_is_at_most_ninety_days_away_and_not_in_the_past(review_ms, fits) -> None:
    """I3."""
    if fits:
        check_order(order(review_ms=review_ms), NOW)
    else:
        error = refused(order(review_ms=review_ms))
        assert error.code == "HOLD_REVIEW"
        assert "2027-04-15" in error.hint  # the latest day, told


def test_by_an_untrusted_clock_a_review_is_taken_and_judged_later() -> None:
    """I3: a box that thinks it is 1970 must be able to hold, and then nobody may be spared the review."""
    check_order(order(review_ms=T0), Instant(0, Trust.UNTRUSTED))
    far = order(review_ms=T0 + 1000 * DAY_MS)
    check_order(far, Instant(0, Trust.UNTRUSTED))
    assert far.is_due(T0)
    assert not order(review_ms=latest_review(T0)).is_due(T0)


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".h", "x" * 65, "보존", "a\n"])
def test_an_id_that_is_no_directorys_name_is_refused(name) -> None:
    assert refused(order(name)).code == "HOLD_ID"


@pytest.mark.parametrize("text", ["", "   ", "x" * 501, "two\nlines", "bell\a"])
def test_a_text_must_be_one_line(text) -> None:
    assert refused(order(authority=text)).code == "HOLD_TEXT"
    with pytest.raises(HoldRefused):
        check_text("--reason", text)


def test_a_hold_of_nothing_is_refused() -> None:
    assert refused(order(cameras=())).code == "HOLD_SPAN"
    assert refused(order(span=Span(T0, T0))).code == "HOLD_SPAN"


def test_what_a_hold_covers() -> None:
    hold = order(span=Span(1000, 2000))
    assert hold.covers("cam1", Span(1999, 5000))
    assert hold.covers("cam1", Span(0, 1001))
    assert not hold.covers("cam1", Span(2000, 3000))
    assert not hold.covers("cam1", Span(0, 1000))
    assert not hold.covers("cam2", Span(1000, 2000))
    assert order(cameras=("*",), span=Span(1000, 2000)).covers("cam2", Span(1000, 2000))
    assert hold.covers("cam1", Span(-20_000, -8_999), "x.salvaged.mp4.age")
    assert not hold.covers("cam1", Span(-20_000, -9_000), "x.salvaged.mp4.age")


def test_a_fact_names_what_was_ordered() -> None:
    hold = order()
    assert hold.body()["hold"] == "h1"
    assert hold.terms() == order("h2", placed_by="another").terms()
    assert hold.terms() != order(authority="another").terms()


def test_a_review_is_soon_and_then_due() -> None:
    hold = order(review_ms=T0 + 30 * DAY_MS)
    times = {
        days: (hold.is_soon(T0 + days * DAY_MS), hold.is_due(T0 + days * DAY_MS))
        for days in (0, 22, 23, 29, 30)
    }
    assert times == {
        0: (False, False),
        22: (False, False),
        23: (True, False),
        29: (True, False),
        30: (False, True),
    }
    assert REVIEW_DAYS == 90


texts = st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.integers(0, 1 << 50)
orders = st.builds(
    Hold,
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    cameras=st.lists(texts, min_size=1, max_size=3).map(tuple),
    span=st.tuples(numbers, numbers).map(lambda pair: Span(min(pair), max(pair))),
    ground=texts,
    authority=texts,
    review_ms=numbers,
    placed_ms=numbers,
    trust=texts,
    placed_by=texts,
    released_ms=st.none() | numbers,
    release_reason=st.none() | texts,
)


@given(orders)
def test_a_hold_file_is_one_line_and_is_read_back(hold) -> None:
    data = write(hold)
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    assert read(hold.id, data) == hold
    assert read(hold.id + "x", data) is None


@given(orders, st.data())
def test_a_hold_file_that_was_cut_or_changed_is_not_read_as_another_hold(hold, data) -> None:
    whole = write(hold)
    assert read(hold.id, whole[: data.draw(st.integers(0, len(whole) - 1))]) is None
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    found = read(hold.id, bytes(changed))
    assert found is None or write(found) == bytes(changed)


@pytest.mark.parametrize(
    "change",
    [
        {"from_ms": "1"},
        {"from_ms": True},
        {"cameras": []},
        {"cameras": [1]},
        {"authority": None},
        {"released_ms": "x"},
        {"release_reason": 5},
        {"extra": 1},
        {"magic": "other"},
        {"version": 2},
        {"from_ms": 1 << 60},
        {"review_ms": 1.5},
        {"cameras": None},
    ],
)
def test_a_hold_file_of_another_shape_is_not_read(change) -> None:
    body = json.loads(write(order())) | change
    try:
        text = canonical_json(body)
    except TypeError:
        text = json.dumps(body)
    assert read("h1", text.encode() + b"\n") is None
    assert read("h1", b"[]") is None


def test_what_two_disks_hold_is_held() -> None:
    one = order(span=Span(0, 10), review_ms=5).released(7, "done")
    other = order(cameras=("cam2",), span=Span(5, 20), review_ms=9)
    both = merged(one, other)
    assert both == merged(other, one)
    assert (both.cameras, both.span, both.review_ms, both.is_active) == (
        ("cam1", "cam2"),
        Span(0, 20),
        5,
        True,
    )
    assert not merged(one, one).is_active


def test_a_row_knows_which_state_it_had() -> None:
    def row(path: str) -> Stored:
        return Stored(1, "v", "c", path, 1, 2, 3, "", "CONDEMNED", "EXPIRED", 4, None)

    assert row("a.mp4.age").live_state == "COMMITTED"
    assert row("a.salvaged.mp4.age").live_state == "SALVAGED"
