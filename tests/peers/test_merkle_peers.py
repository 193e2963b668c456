"""Roots, proofs and signed heads against tlog-scales, which is by other people and shares no code with ours."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from tlog_scales import signing as their_signing
from tlog_scales import tiles, tlog
from tlog_scales.writer import TilesWriter

from agent.storage.proof import merkle, note, tree
from agent.storage.proof.leaf import data
from tests.unit.proof.ledgers import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tlog_scales.reader import TilesReader


SIGNER = their_signing.PlainEd25519Signer("pasu/gn-0007", bytes(range(32)))


def their_log(place: Path, leaves: list[bytes]) -> TilesReader:
    """Let them keep a log, as tiles in files, and return what reads it."""
    writer = TilesWriter.create(place, "pasu/v1/gn-0007/0011223344556677")
    for leaf in leaves:
        writer.add_leaf(leaf)
    writer.commit([SIGNER])
    return writer.reader


def random_leaves(count: int, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(chance.randrange(80)) for _ in range(count)]


def subtree(hashes):
    return lambda level, index: merkle.root_of(hashes[index << level : (index + 1) << level])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 100, 255, 256, 257, 300])
def test_each_accepts_the_proofs_of_the_other(tmp_path, size):
    """Issue 3, point 7; H6."""
    leaves = random_leaves(size, size)
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    theirs = their_log(tmp_path / "log", leaves)
    root = merkle.root_of(hashes)
    assert theirs.calculate_root_hash() == root
    for index in range(size):
        mine = merkle.inclusion_proof(index, size, subtree(hashes))
        other = theirs.get_inclusion_proof(index, size)
        assert other.node_hashes == mine
        tlog.InclusionProof(index, size, mine).check(hashes[index], root)
        assert merkle.verify_inclusion(hashes[index], index, size, other.node_hashes, root)
    for old in range(1, size + 1):
        old_root = merkle.root_of(hashes[:old])
        mine = merkle.consistency_proof(old, size, subtree(hashes))
        other = theirs.get_consistency_proof(old, size)
        assert other.node_hashes == mine
        tlog.ConsistencyProof(old, size, mine).check(old_root, root)
        assert merkle.verify_consistency(old, size, other.node_hashes, old_root, root)


def test_both_refuse_the_same_changed_proofs():
    chance = random.Random(6962)
    refused = 0
    for _ in range(2000):
        size = chance.randrange(2, 70)
        old = chance.randrange(1, size)
        leaves = [merkle.leaf_hash(bytes([number])) for number in range(size)]
        proof = merkle.consistency_proof(old, size, subtree(leaves))
        roots = [merkle.root_of(leaves[:old]), merkle.root_of(leaves)]
        for _ in range(chance.randrange(3)):
            what = chance.randrange(4)
            if what == 0 and proof:
                proof[chance.randrange(len(proof))] = chance.randbytes(32)
            elif what == 1 and proof:
                del proof[chance.randrange(len(proof))]
            elif what == 2:
                proof.insert(chance.randrange(len(proof) + 1), chance.choice(leaves))
            else:
                size = max(old, size + chance.choice([-1, 1]))
        try:
            tlog.ConsistencyProof(old, size, proof).check(*roots)
            theirs = True
        except tlog.ConsistencyProofInvalid:
            theirs = False
        assert merkle.verify_consistency(old, size, proof, *roots) is theirs
        refused += not theirs
    assert 500 < refused < 1800


def test_a_box_s_checkpoint_and_its_proofs_are_verified_by_others(tmp_path):
    """What the box signs and proves is checked from the entries on, with nothing of ours."""
    site = Site(tmp_path)
    site.fill(700)
    old = site.checkpoint()
    site.fill(1300)
    new = site.checkpoint()
    vkey = their_signing.Vkey.from_string(str(site.key.verifier))
    for made in (old, new):
        theirs = tlog.Checkpoint.from_text(made.text)
        theirs.verify(vkey)
        assert (theirs.origin, theirs.size) == (made.head.origin, made.size)
        assert theirs.serialize() == made.text
    of = tree.Tree(site.catalogue)
    for seq in (1, 256, 257, 700, new.size):
        ((number, at_ms, trust, kind, body),) = tree.entries(site.catalogue, seq - 1, 1)
        leaf = tiles.leaf_hash(data(number, at_ms, trust, kind, body))
        tlog.InclusionProof(seq - 1, new.size, of.inclusion(seq, new.size)).check(leaf, new.root)
    proof = of.consistency(old.size, new.size)
    tlog.ConsistencyProof(old.size, new.size, proof).check(old.root, new.root)
    site.catalogue.close()


def test_a_checkpoint_that_others_sign_is_read_and_verified(tmp_path):
    leaves = random_leaves(300, 300)
    their_log(tmp_path / "log", leaves)
    parsed = note.parse_note((tmp_path / "log" / "checkpoint").read_bytes())
    parsed.verify(note.Verifier.parse(SIGNER.vkey.serialize()))
    root = merkle.root_of(merkle.leaf_hash(leaf) for leaf in leaves)
    assert note.parse_head(parsed.text) == note.Head("pasu/v1/gn-0007/0011223344556677", 300, root)
