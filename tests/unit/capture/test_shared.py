"""The memory between a worker and its parent: whose turn it is, and the last bytes of a camera that crashed one before."""

from __future__ import annotations

import os
import random

from hypothesis import given
from hypothesis import strategies as st

from agent.capture.shared import RING_BYTES, Shared


def test_each_side_sees_the_other() -> None:
    ours, number = Shared.create(witness=True)
    theirs = Shared(number)
    os.close(number)
    theirs.mark[0] = 300
    theirs.note(b"what came last")
    assert (ours.mark[0], ours.last(), ours.witness) == (300, b"what came last", True)
    theirs.close()
    assert ours.last() == b"what came last"
    ours.close()


def test_a_worker_without_a_suspect_has_no_ring() -> None:
    shared, number = Shared.create(witness=False)
    os.close(number)
    assert (shared.witness, shared.last()) == (False, b"")
    shared.mark[0] = 1
    shared.close()


@given(st.lists(st.integers(0, 3 * RING_BYTES), max_size=8), st.integers(0, 1 << 32))
def test_the_ring_holds_the_last_bytes_whatever_their_pieces(sizes: list[int], seed: int) -> None:
    shared, number = Shared.create(witness=True)
    os.close(number)
    chance = random.Random(seed)
    sent = b""
    for size in sizes:
        piece = chance.randbytes(size)
        shared.note(piece)
        sent += piece
        assert shared.last() == sent[-RING_BYTES:]
    shared.close()
