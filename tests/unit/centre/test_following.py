"""A ledger as the centre follows it: every way of rewriting history contradicts what lies here (H6)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.centre.following import BLOCK, LEVEL, MOST_PENDING, Following, What, origin_of
from agent.cli.kinds import KINDS
from agent.storage.proof import leaf, merkle, note

ORIGIN = "pasu/v1/gn-0007/0011223344556677"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NAME = "pasu/gn-0007"
VERIFIER = note.Verifier(NAME, KEY.public_key().public_bytes_raw())


def entries(first: int, last: int, kind: str = "gap") -> list[dict]:
    return [
        {"seq": seq, "at_ms": seq, "trust": "SYNCED", "kind": kind, "body": {"n": seq}}
        for seq in range(first, last + 1)
    ]


def head(said: list[dict], origin: str = ORIGIN, key=KEY) -> str:
    root = merkle.root_of([leaf.object_hash(one) for one in said])
    return note.sign(note.write_head(note.Head(origin, len(said), root)), NAME, key)


class Store:
    """What the file would hold."""

    def __init__(self) -> None:
        self.blocks = {}
        self.entries = []
        self.following = self.open()

    def open(self) -> Following:
        return Following(ORIGIN, VERIFIER, self.block, self.subtree, size=len(self.entries))

    def block(self, number: int):
        return self.blocks[number].leaves

    def subtree(self, level: int, index: int) -> bytes:
        height = level - LEVEL
        return self.blocks[((index + 1) << height) - 1].nodes[height]

    def keep(self, taken, *, saved: bool = True):
        if taken.dropped is not None:
            self.entries = [entry for entry in self.entries if entry.seq <= taken.dropped]
            self.blocks = {n: block for n, block in self.blocks.items() if n < taken.dropped // BLOCK}
        self.entries += taken.entries
        self.blocks |= taken.blocks
        if saved:
            self.following.saved()
        return [finding.what for finding in taken.findings]

    def take(self, said, let_go=None, **more):
        return self.keep(self.following.entries(said, let_go), **more)

    def head(self, text, at_ms=1, **more):
        return self.keep(self.following.head(text, at_ms), **more)


@pytest.fixture
def store():
    return Store()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.data())
def test_heads_of_any_size_are_verified_in_any_order(sizes, data):
    """Also after a restart between any two messages."""
    store, total = Store(), sum(sizes)
    said = entries(1, total)
    at = 0
    for size in sizes:
        assert store.take(said[at : at + size]) == []
        at += size
        if data.draw(st.booleans()):
            store.following = store.open()
        wanted = data.draw(st.integers(1, at))
        following = store.open()
        taken = following.head(head(said[:wanted]), 1)
        assert [finding.what for finding in taken.findings] == [What.VERIFIED]
        forged = said[: wanted - 1] + entries(wanted, wanted, "other")
        assert [one.what for one in following.head(head(forged), 1).findings] == [What.FORKED]
        assert [one.what for one in store.open().head(head(forged), 1).findings] == [What.DOUBTED]
    assert [entry.seq for entry in store.entries] == list(range(1, total + 1))
    assert store.following.root(total) == merkle.root_of([leaf.object_hash(one) for one in said])


@pytest.mark.parametrize(
    "odd",
    [{"kind": "hold.placed\n99 forged"}, {"kind": "x" * 65}, {"kind": ""}, {"trust": "SURE"}],
    ids=["lines", "long", "empty", "trust"],
)
def test_e9_an_entry_that_no_box_writes_is_told_and_kept(store, odd):
    """E9: where a signed head stands for it, it is what the box has."""
    said = [*entries(1, 4), entries(5, 5)[0] | odd, *entries(6, 9)]
    assert store.take(said) == [What.INVALID]
    assert store.head(head(said)) == [What.VERIFIED]
    assert len(store.entries) == 9


def test_what_a_box_writes_is_nothing_to_tell(store):
    said = [entry | {"kind": kind} for entry, kind in zip(entries(1, len(KINDS)), KINDS, strict=True)]
    assert store.take(said) == []


def test_a_head_waits_for_its_entries(store):
    said = entries(1, 2 * BLOCK + 10)
    assert store.head(head(said[: BLOCK + 3])) == []
    assert store.following.behind
    assert not store.following.hole
    assert store.head(head(said[: BLOCK + 3])) == []
    assert store.take(said) == [What.VERIFIED]
    assert store.following.verified.size == BLOCK + 3
    assert not store.following.behind


def test_of_many_heads_that_wait_the_newest_are_kept(store):
    said = entries(1, 20)
    for size in range(1, 11):
        store.head(head(said[:size]))
    assert store.take(said) == [What.VERIFIED] * MOST_PENDING
    assert store.following.verified.size == 10


def test_what_comes_twice_is_taken_once(store):
    said = entries(1, BLOCK + 20)
    store.take(said)
    assert store.take(said) == []
    assert len(store.entries) == BLOCK + 20


def test_what_comes_twice_in_one_message_is_taken_once(store):
    said = entries(1, BLOCK + 2)
    assert store.take(said + said, saved=False) == []
    assert store.head(head(said[: BLOCK - 1]), saved=False) == [What.VERIFIED]
    assert len(store.entries) == BLOCK + 2


@pytest.mark.parametrize("seq", [1, BLOCK, BLOCK + 1, BLOCK + 20])
def test_an_entry_that_changed_is_found(store, seq):
    store.take(entries(1, BLOCK + 20))
    store.head(head(entries(1, BLOCK + 20)))
    assert store.take(entries(seq, seq, "other")) == [What.EDITED]
    assert store.entries[seq - 1].kind == "gap"


@pytest.mark.parametrize("sure", [0, 5, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7])
@pytest.mark.parametrize("forged", [1, 2, BLOCK, 2 * BLOCK + 9])
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_h6_a_forged_entry_ahead_of_the_real_one_costs_nothing_but_a_resend(
    store, sure, forged, restarts, saved
):
    """H6: what nobody signed for is dropped where it contradicts what comes; the real history is what stays."""
    said = entries(1, 6 * BLOCK + 3)
    store.take(said[:sure], saved=saved)
    if sure:
        assert store.head(head(said[:sure]), saved=saved) == [What.VERIFIED]
    store.take(entries(sure + 1, sure + forged, "forged"), saved=saved)
    if restarts:
        verified, store.following = store.following.verified, store.open()
        if verified:
            store.following.restore(verified.size, verified.root, 1)
    assert store.take(said[sure:], saved=saved) == [What.DOUBTED]
    assert store.head(head(said), 2) == [What.VERIFIED]
    assert [entry.kind for entry in store.entries] == ["gap"] * len(said)
    assert store.open().root(len(said)) == merkle.root_of([leaf.object_hash(one) for one in said])


def test_h6_entries_after_one_that_is_in_doubt_come_again(store):
    """H6: what would follow what was dropped waits for that."""
    said = entries(1, 20)
    store.take(entries(1, 10, "forged"))
    assert store.take(said[4:]) == [What.DOUBTED]
    assert (store.following.size, store.following.hole, store.entries) == (0, True, [])
    assert store.take(said) == []
    assert store.head(head(said)) == [What.VERIFIED]


def test_h6_a_head_that_forged_entries_do_not_lead_to_waits_for_the_real_ones(store):
    """H6: the head is the box's, the entries are not yet: no fork before they came again."""
    said = entries(1, BLOCK + 10)
    store.take(said[:5])
    store.head(head(said[:5]))
    store.take(entries(6, BLOCK + 10, "forged"))
    assert store.head(head(said), 2) == [What.DOUBTED]
    assert (store.following.size, store.following.hole, len(store.entries)) == (5, True, 5)
    store.take(entries(6, 9, "forged"))
    assert store.take(said[5:]) == [What.DOUBTED, What.VERIFIED]
    assert [entry.kind for entry in store.entries] == ["gap"] * len(said)


def test_h6_a_head_that_does_not_fit_what_came_twice_is_a_fork(store):
    """H6: it is told with the note as evidence, and the next head is judged for itself."""
    said = entries(1, 20)
    other = head([*said[:9], *entries(10, 20, "other")])
    store.head(other)
    store.head(head([*said[:8], *entries(9, 20, "other")]))
    assert store.take(said) == [What.DOUBTED]
    assert store.following.size == 0
    assert store.take(said) == [What.DOUBTED]  # two heads, one after the other
    taken = store.following.entries(said)
    assert taken.findings[0].note == other
    assert store.keep(taken) == [What.FORKED]
    assert store.take(said) == [What.FORKED]
    assert store.take(said) == []
    assert store.head(head(said), 2) == [What.VERIFIED]


def test_what_does_not_follow_is_left_for_later(store):
    assert store.take(entries(1, 5) + entries(8, 9)) == []
    assert store.following.size == 5
    assert store.following.hole
    assert store.following.behind
    assert store.take(entries(6, 9)) == []
    assert not store.following.hole


def test_a_newer_head_over_less_is_a_roll_back_and_an_older_one_is_not(store):
    said = entries(1, 10)
    store.take(said)
    store.head(head(said), at_ms=100)
    assert store.head(head(said[:5]), at_ms=50) == []
    assert store.head(head(said[:5]), at_ms=150) == [What.ROLLED_BACK]
    assert store.following.verified.size == 10


def test_what_was_verified_before_a_restart_still_counts(store):
    said = entries(1, 10)
    store.take(said)
    store.following = store.open()
    store.following.restore(12, b"r" * 32, 100)
    assert store.following.behind
    assert store.head(head(said[:5]), at_ms=150) == [What.ROLLED_BACK]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        "\ud800",
        head(entries(1, 2), "pasu/v1/gn-0007/ffffffffffffffff"),
        head(entries(1, 2), key=Ed25519PrivateKey.from_private_bytes(b"x" * 32)),
        note.sign("no head\n", NAME, KEY),
    ],
    ids=range(7),
)
def test_what_is_not_a_head_of_this_ledger_is_told(store, text):
    assert store.head(text) == [What.UNSIGNED]
    assert store.following.verified is None


@pytest.mark.parametrize(
    "said",
    [
        None,
        [7],
        [{}],
        [entries(1, 1)[0] | {"seq": 0}],
        [entries(1, 1)[0] | {"seq": True}],
        [entries(1, 1)[0] | {"at_ms": 1 << 60}],
        [entries(1, 1)[0] | {"body": {"n": 1.5}}],
    ],
    ids=range(7),
)
def test_what_is_no_entry_is_told_and_ends_the_batch(store, said):
    assert store.take(said) == [What.INVALID]
    assert store.entries == []


def test_what_the_box_let_go_before_it_came_ends_the_proof_and_not_the_keeping(store):
    store.take(entries(1, 5))
    assert store.take(entries(9, 10), [[6, 8]]) == [What.LET_GO]
    assert store.following.lost == 6
    assert not store.following.behind
    assert [entry.seq for entry in store.entries] == [1, 2, 3, 4, 5, 9, 10]
    assert store.take(entries(11, 11), [[6, 8]]) == []
    assert set(store.blocks) == {0}


def test_h6_a_word_of_what_was_let_go_does_not_blind_the_witness(store):
    """H6: what lies before it is judged as ever, and where the entries come after all, everything is."""
    said = entries(1, BLOCK + 10)
    store.take(said[:5])
    assert store.take([], [[6, 10**9]]) == [What.LET_GO]
    assert store.head(head(said[:5])) == [What.VERIFIED]
    assert store.take(entries(3, 3, "other")) == [What.EDITED]
    assert store.head(head(entries(1, 4, "other"))) == [What.FORKED]
    assert store.head(head(said)) == []
    store.take(entries(9, 12, "forged"))
    assert len(store.entries) == 9
    lost = store.following.lost
    store.following = store.open()
    store.following.restore(5, merkle.root_of([leaf.object_hash(one) for one in said[:5]]), 1)
    store.following.lost = lost
    assert store.take(said[7:] + said) == []
    assert not store.following.lost
    assert [entry.kind for entry in store.entries] == ["gap"] * len(said)
    assert store.head(head(said), 2) == [What.VERIFIED]
    assert store.open().root(len(said)) == merkle.root_of([leaf.object_hash(one) for one in said])


def test_a_made_up_entry_far_ahead_is_not_waited_for_once_a_head_is_verified(store):
    said = entries(1, 10)
    store.take(said)
    store.take(entries(1 << 50, 1 << 50))
    assert store.following.hole
    assert store.head(head(said)) == [What.VERIFIED]
    assert not store.following.behind


def test_what_was_let_go_and_is_here_is_no_loss(store):
    store.take(entries(1, 5))
    assert store.take([], [[1, 5]]) == []
    assert store.take([], [[7, 9]]) == []
    assert store.take([], [["x", 1]]) == [What.INVALID]
    assert store.take([], [7]) == [What.INVALID]
    assert store.take([], "x") == []
    assert not store.following.lost


def test_a_ledger_is_named_as_its_checkpoints_do():
    assert origin_of("gn-0007", "0011223344556677") == ORIGIN
