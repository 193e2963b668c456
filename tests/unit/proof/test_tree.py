from __future__ import annotations

import pytest

from agent.errors import IntegrityFault
from agent.storage.proof import merkle, prune, tree
from agent.storage.proof.leaf import entry_hash
from tests.unit.proof.ledgers import Site

BORDERS = [0, 1, 2, 255, 256, 257, 511, 512, 513, 767, 768, 1023, 1024, 1025, 1300]


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.catalogue.close()


def hashes(site):
    return [entry_hash(*row) for row in tree.entries(site.catalogue, 0, 1 << 40)]


def every_root_is_right(site, leaves):
    of = tree.Tree(site.catalogue)
    for size in [size for size in BORDERS if size <= len(leaves)]:
        assert of.root(size) == merkle.root_of(leaves[:size])
    size = len(leaves)
    root = merkle.root_of(leaves)
    for seq in (1, 2, 200, 256, 257, 300, 700, size - 1, size):
        assert merkle.verify_inclusion(leaves[seq - 1], seq - 1, size, of.inclusion(seq, size), root)
    for old in BORDERS:
        proof = of.consistency(old, size)
        assert merkle.verify_consistency(old, size, proof, merkle.root_of(leaves[:old]), root)


@pytest.mark.parametrize(
    "steps", [[1300], [1, 255, 256, 257, 513, 1024, 1300], [256, 512, 768, 1024, 1280, 1300]]
)
def test_the_kept_tree_is_the_tree_over_all_entries(site, steps):
    """Whatever sizes it was grown at, roots and proofs are those over all leaves."""
    for size in steps:
        site.fill(size)
        before = tree.blocks(site.catalogue)
        assert tree.grow(site.catalogue) == size // 256 - before
        assert tree.blocks(site.catalogue) == size // 256
    every_root_is_right(site, hashes(site))


def test_it_still_is_after_entries_were_let_go(site):
    site.fill(700)
    site.add(100, "hold.placed")
    site.fill(1300)
    leaves = hashes(site)
    tree.grow(site.catalogue)
    site.catalogue.set_meta(prune.ACKNOWLEDGED, "1300")
    gone = prune.prune(site.catalogue, site.now)
    assert gone == prune.Pruned(1280 - 100, 5)
    left = site.catalogue.read("SELECT COUNT(*), MIN(seq) FROM ledger WHERE seq <= 1280")
    assert left == [(100, 701)]
    leaves += hashes(site)[-1:]  # the fact ledger.pruned
    every_root_is_right(site, leaves)
    site.fill(2100)
    tree.grow(site.catalogue)
    assert tree.Tree(site.catalogue).root(1301) == merkle.root_of(leaves)
    assert tree.wrong_blocks(site.catalogue, 0, 100) == []


def test_growing_a_little_at_a_time_comes_to_the_same(site):
    site.fill(1300)
    assert [tree.grow(site.catalogue, 2) for _ in range(4)] == [2, 2, 1, 0]
    every_root_is_right(site, hashes(site))


@pytest.mark.parametrize("seq", [1, 256, 400, 512])
def test_a_missing_entry_is_no_tree(site, seq):
    """I6: absence is never emptiness."""
    site.fill(600)
    site.tamper("DELETE FROM ledger WHERE seq = ?", (seq,))
    with pytest.raises(IntegrityFault) as caught:
        tree.grow(site.catalogue)
    assert caught.value.code == "LEDGER_HOLE"
    assert caught.value.context == {"seq": seq}


def test_a_proof_of_what_is_not_there_yet_is_a_hole(site):
    site.fill(10)
    with pytest.raises(IntegrityFault, match="LEDGER_HOLE"):
        tree.Tree(site.catalogue).root(11)
    with pytest.raises(IntegrityFault, match="LEDGER_HOLE"):
        tree.Tree(site.catalogue).root(256)


def test_changed_entries_show_in_their_block(site):
    site.fill(1300)
    tree.grow(site.catalogue)
    assert tree.wrong_blocks(site.catalogue, 0, 10) == []
    site.tamper("UPDATE ledger SET at_ms = at_ms + 1 WHERE seq IN (256, 600)")
    site.tamper("DELETE FROM ledger WHERE seq = 1280")
    assert tree.wrong_blocks(site.catalogue, 0, 10) == [0, 2, 4]
    assert tree.wrong_blocks(site.catalogue, 1, 1) == []


def test_kept_leaves_of_another_length_are_not_taken_for_leaves(site):
    site.fill(300)
    tree.grow(site.catalogue)
    site.tamper("UPDATE tree SET leaves = x'00'")
    assert tree.kept_leaves(site.catalogue, 0) == []
    assert tree.Tree(site.catalogue).root(300) == merkle.root_of(hashes(site))
