"""What the first bytes of a segment's file tell."""

from __future__ import annotations

import pyrage

from agent.storage import head
from tests.unit.storage.box import SECRET


def test_which_headers_are_whole() -> None:
    """A hold wins where the header still exists: damaged otherwise is not overwritten."""
    sealed = pyrage.encrypt(b"x" * 1000, [SECRET.to_public()])
    length = head.shred_length(sealed, len(sealed), None)
    assert length == sealed.index(b"\n--- ") + 5 + 43 + 1
    assert head.is_whole(sealed)
    assert head.is_whole(sealed[:40] + b"?" + sealed[41:])
    for torn in (20, 60, length - 3):
        assert not head.is_whole(bytes(torn) + sealed[torn:])
        assert not head.is_whole(sealed[:torn] + bytes(length - torn) + sealed[length:])
    assert not head.is_whole(b"")
    assert not head.is_whole(sealed[:50])
    # Power may have been lost between two pages of a long header: behind the zeros of one, keys of the next.
    assert head.shred_length(bytes(length) + b"x" * 500, length + 500, length + 500) == length + 500
    assert head.shred_length(bytes(4096), 100_000, 100_000) == 65_536
    assert head.shred_length(sealed[:100], 100_000, 100_000) == 65_536
    assert head.shred_length(bytes(length) + b"x" * 500, length + 500, length + 501) is None
    assert head.shred_length(bytes(21) + b"x", 22, None) is None
    assert head.shred_length(b"", 0, 5) == 0
    assert head.shred_length(sealed[:50], 50, None) == 50
    # A damaged first line: of the stored size it is ours, and a hold finds its header there.
    assert head.shred_length(b"xxx" + sealed[3:], len(sealed), len(sealed), damaged=True) == len(sealed)
    assert head.is_whole(b"xxx" + sealed[3:])
    assert head.shred_length(b"xxx" + sealed[3:], len(sealed), len(sealed) + 1, damaged=True) is None
    assert head.shred_length(b"MZ", 2, 2) is None
    assert head.shred_length(b"MZ", 2, None, damaged=True) is None
    assert head.is_age(sealed)
    assert head.is_age(b"?" * 30 + sealed[30:])
    assert not head.is_age(bytes(length) + sealed[length:])


def test_of_a_header_that_is_longer_than_what_is_read_as_much_is_overwritten_as_it_can_have() -> None:
    sealed = pyrage.encrypt(bytes(100_000), [SECRET.to_public()] * 60)
    start = sealed[: head.HEAD_BYTES]
    assert b"\n--- " not in start
    assert head.header_length(start, len(sealed)) == head.shred_length(start, len(sealed), None) == 65_536
    assert head.header_length(sealed, len(sealed)) == sealed.index(b"\n--- ") + 5 + 43 + 1
    assert head.header_length(b"MZ", 2) == 2
    assert head.header_length(b"", 0) == 0
