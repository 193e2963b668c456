"""Passes: codes, whom they let in, and who must wait."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import passes
from agent.passes import CODE_BYTES, Lock, Pass, Standing, Unreadable, What, Why, Word

CODE = passes.new_code(bytes(range(CODE_BYTES)))
ONE = Pass(
    "1a2b3c4d", passes.digest_of(CODE), "김정비", "한빛보안", "officer", 1000, 5000, "boot-1", 9000
)  # fmt: skip
WORD = Word(What.REFUSED, "1a2b3c4d", Why.USED, 3, "192.168.77.20")


def test_a_code_has_twenty_letters_in_groups_and_each_chance_its_own():
    assert [len(part) for part in CODE.split("-")] == [5, 5, 5, 5]
    assert set(CODE) <= set(passes.ALPHABET + "-")
    assert passes.new_code(bytes(CODE_BYTES)) == "00000-00000-00000-00000"
    assert passes.new_code(b"\xff" * CODE_BYTES) == "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ"


@given(
    st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES), st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES)
)
def test_two_codes_are_one_only_where_their_hundred_bits_are(one, other):
    same = int.from_bytes(one) >> 4 == int.from_bytes(other) >> 4
    assert (passes.new_code(one) == passes.new_code(other)) == same


def test_a_code_is_known_however_it_is_typed_and_misread():
    code = passes.new_code(bytes([0b00001_000, 0b01_00000_1, 0b0_0000_0000 >> 1, *range(10)]))
    for typed in (
        code.lower(),
        code.replace("-", ""),
        code.replace("-", " "),
        f"  {code}\n",
        code.replace("0", "o"),
    ):
        assert passes.digest_of(typed) == passes.digest_of(code)
    assert passes.digest_of(code.replace("1", "l")) == passes.digest_of(code.replace("1", "I"))
    assert code not in str(passes.digest_of(code))


@pytest.mark.parametrize(
    "typed", ["", "-", CODE[:-1], CODE + "0", CODE[:-1] + "U", CODE[:-1] + "é", "0" * 100_000]
)
def test_what_is_no_code_has_no_digest(typed):
    assert passes.digest_of(typed) is None


def test_a_pass_is_good_until_its_time_is_over_by_either_clock():
    assert ONE.standing(4999, "boot-1", 8999) is Standing.GOOD
    assert ONE.standing(5000, "boot-1", 8999) is Standing.EXPIRED
    assert ONE.standing(0, "boot-1", 9000) is Standing.EXPIRED  # the clock was set back
    assert ONE.standing(4999, "boot-2", 99_000) is Standing.GOOD
    assert replace(ONE, revoked_ms=2000).standing(0, "", 0) is Standing.REVOKED


def test_in_another_boot_a_pass_is_as_good_as_the_clock():
    """C1: a box whose battery is empty begins again in the past, with every pass that ever was."""
    assert ONE.standing(1000, "boot-2", 0) is Standing.GOOD
    assert ONE.standing(999, "boot-2", 0) is Standing.EXPIRED
    assert ONE.standing(4999, "boot-2", 0, trusted=False) is Standing.EXPIRED
    assert ONE.standing(4999, "boot-1", 0, trusted=False) is Standing.GOOD
    assert replace(ONE, boot="").standing(999, "", 0) is Standing.EXPIRED  # nobody knows which boot it is


def test_what_was_written_is_read():
    for one in (ONE, replace(ONE, revoked_ms=7)):
        assert passes.parse(passes.encode(one)) == one
    for word in (WORD, replace(WORD, why=None, id="", what=What.VISITED, source="fe80::1")):
        assert passes.parse_word(passes.encode_word(word)) == word


def spoilt(data, **other):
    return json.dumps(json.loads(data) | other).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"\xff", b"[" * 100_000, b"{}", b'{"v":2}', b'{"v":1}',
        *(spoilt(passes.encode(ONE), **other) for other in (
            {"id": "../../../"}, {"digest": "x"}, {"until_ms": -1}, {"until_ms": True}, {"until_ms": 1.5},
            {"revoked_ms": "no"}, {"until_boot_ms": None},
        )),
    ],
)  # fmt: skip
def test_what_is_no_pass_is_refused(data):
    with pytest.raises(Unreadable):
        passes.parse(data)


@pytest.mark.parametrize(
    "other",
    [
        {"what": "opened"}, {"why": "because"}, {"count": -1}, {"count": 10**9}, {"source": "<script>"}, {"source": None},
        {"id": "../x"}, {"id": 7}, {"id": None}, {"v": 3},
    ],
)  # fmt: skip
def test_what_is_no_word_is_refused(other):
    """The page may have become anything."""
    with pytest.raises(Unreadable):
        passes.parse_word(spoilt(passes.encode_word(WORD), **other))


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data):
    for read in (passes.parse, passes.parse_word):
        with pytest.raises(Unreadable):
            read(data)


@pytest.mark.parametrize(
    ("text", "fits"), [("김정비", True), ("", False), (" x", False), ("a\nb", False), ("x" * 61, False)]
)
def test_names_are_one_short_line(text, fits):
    assert passes.is_text(text) == fits


def test_a_source_that_fails_five_times_waits_ten_minutes():
    lock = Lock()
    assert [lock.failed("10.0.0.1", at) for at in range(5)] == [False] * 4 + [True]
    assert lock.is_locked("10.0.0.1", 5)
    assert not lock.is_locked("10.0.0.2", 5)
    assert lock.is_locked("10.0.0.1", 4 + passes.LOCKED_S - 1)
    assert not lock.is_locked("10.0.0.1", 4 + passes.LOCKED_S)


def test_failures_far_apart_lock_nobody_out():
    lock = Lock()
    for at in range(20):
        lock.failed("10.0.0.1", at * 200.0)
    assert not lock.is_locked("10.0.0.1", 19 * 200.0)


def test_many_sources_together_lock_the_door_and_memory_stays_bounded():
    lock = Lock()
    told = [lock.failed(f"10.0.{number}.1", 1.0) for number in range(passes.FAILURES_OF_ALL)]
    assert told == [False] * (passes.FAILURES_OF_ALL - 1) + [True]
    assert lock.all_locked(2.0)
    assert lock.is_locked("192.168.0.1", 2.0)
    for number in range(10_000):
        lock.failed(f"10.{number >> 8}.{number & 255}.9", 3.0)
    assert len(lock._sources) == passes.MOST_SOURCES
    assert len(lock._all) == passes.FAILURES_OF_ALL


def test_an_ipv6_source_is_its_network_and_what_is_no_address_is_one_source():
    lock = Lock()
    for number in range(5):
        lock.failed(f"2001:db8::{number}", 1.0)
    assert lock.is_locked("2001:db8::ffff", 1.0)
    assert not lock.is_locked("2001:db8:1::1", 1.0)
    for _ in range(5):
        lock.failed("what", 1.0)
    assert lock.is_locked("else", 1.0)
