"""RFC 6962: the published vectors, and proofs that only the truth passes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.storage.proof import merkle

# The eight leaves of certificate-transparency's own tests (merkletree/merkle_tree_test.cc), used since by everybody.
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): PATHS[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]


def subtree(leaves):
    """Return the function that proofs are made from, over leaf hashes in a list."""

    def of(level, index):
        part = leaves[index << level : (index + 1) << level]
        assert len(part) == 1 << level, "asked for a subtree that is not complete"
        return merkle.root_of(part)

    return of


def by_definition(leaves):
    """MTH as RFC 6962 section 2.1 writes it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\1" + by_definition(leaves[:half]) + by_definition(leaves[half:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size):
    assert merkle.root_of(HASHES[:size]).hex() == ROOTS[size]
    assert merkle.root_at(size, subtree(HASHES)).hex() == ROOTS[size]


@pytest.mark.parametrize("where", PATHS)
def test_published_inclusion_proofs(where):
    index, size = where
    proof = merkle.inclusion_proof(index, size, subtree(HASHES))
    assert [one.hex() for one in proof] == PATHS[where]
    assert merkle.verify_inclusion(HASHES[index], index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize("where", CONSISTENCY)
def test_published_consistency_proofs(where):
    old, size = where
    proof = merkle.consistency_proof(old, size, subtree(HASHES))
    assert [one.hex() for one in proof] == CONSISTENCY[where]
    assert merkle.verify_consistency(old, size, proof, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[size]))


LARGE = [merkle.leaf_hash(bytes([number, 7])) for number in range(70)]


@pytest.mark.parametrize("size", range(71))
def test_every_proof_of_small_trees(size):
    root = merkle.root_of(LARGE[:size])
    assert root == by_definition(LARGE[:size])
    for index in range(size):
        proof = merkle.inclusion_proof(index, size, subtree(LARGE))
        assert merkle.verify_inclusion(LARGE[index], index, size, proof, root)
    for old in range(size + 1):
        proof = merkle.consistency_proof(old, size, subtree(LARGE))
        assert merkle.verify_consistency(old, size, proof, merkle.root_of(LARGE[:old]), root)


@pytest.mark.parametrize("size", [0, 1, 6, 64])
def test_peaks_go_on_from_stored_subtrees(size):
    peaks = merkle.Peaks.at(size, subtree(LARGE))
    for number in range(size, 70):
        done = peaks.push(LARGE[number])
        for level, node in enumerate(done):
            assert node == subtree(LARGE)(level, number >> level)
    assert peaks.root() == merkle.root_of(LARGE)


def test_a_root_over_peaks_and_a_rest():
    peaks = merkle.Peaks()
    assert peaks.root(LARGE[0]) == LARGE[0]
    for leaf in LARGE[:64]:
        peaks.push(leaf)
    assert peaks.root(merkle.root_of(LARGE[64:67])) == merkle.root_of(LARGE[:67])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_what_is_not_there(index, size):
    with pytest.raises(ValueError):
        merkle.inclusion_proof(index, size, subtree(LARGE))
    assert not merkle.verify_inclusion(LARGE[0], index, size, [], LARGE[0])


@pytest.mark.parametrize(("old", "size"), [(-1, 3), (4, 3)])
def test_a_tree_does_not_begin_with_a_longer_one(old, size):
    with pytest.raises(ValueError):
        merkle.consistency_proof(old, size, subtree(LARGE))
    assert not merkle.verify_consistency(old, size, [], LARGE[0], LARGE[0])


def test_trivial_consistency_is_still_checked():
    root = merkle.root_of(LARGE[:5])
    assert not merkle.verify_consistency(5, 5, [], root, LARGE[0])
    assert not merkle.verify_consistency(5, 5, [LARGE[0]], root, root)
    assert not merkle.verify_consistency(0, 5, [], LARGE[0], root)
    assert not merkle.verify_consistency(0, 5, [LARGE[0]], merkle.EMPTY, root)
    assert not merkle.verify_consistency(3, 5, [], merkle.root_of(LARGE[:3]), root)


def test_proofs_that_are_too_long_or_hashes_of_another_length_fail():
    root = merkle.root_of(LARGE[:5])
    inclusion = merkle.inclusion_proof(2, 5, subtree(LARGE))
    consistency = merkle.consistency_proof(3, 5, subtree(LARGE))
    assert not merkle.verify_inclusion(LARGE[2], 2, 5, [*inclusion, root], root)
    assert not merkle.verify_inclusion(LARGE[2][:31], 2, 5, inclusion, root)
    old_root = merkle.root_of(LARGE[:3])
    assert not merkle.verify_consistency(3, 5, [*consistency, root], old_root, root)
    assert not merkle.verify_consistency(3, 5, [one[:-1] for one in consistency], old_root, root)


def changed(data, values):
    """Draw a list of hashes that differs from the one given: a bit, one more, one less, two exchanged."""
    kinds = ["more"] + (["bit", "less"] if values else [])
    if len(set(values)) > 1:
        kinds.append("exchange")
    kind = data.draw(st.sampled_from(kinds))
    values = list(values)
    if kind == "more":
        values.insert(data.draw(st.integers(0, len(values))), data.draw(st.binary(min_size=32, max_size=32)))
        return values
    place = data.draw(st.integers(0, len(values) - 1))
    if kind == "bit":
        bit = data.draw(st.integers(0, 255))
        values[place] = (int.from_bytes(values[place], "big") ^ 1 << bit).to_bytes(32, "big")
    elif kind == "less":
        del values[place]
    else:
        other = data.draw(st.sampled_from([n for n, value in enumerate(values) if value != values[place]]))
        values[place], values[other] = values[other], values[place]
    return values


@given(st.data(), st.integers(1, 70))
def test_no_changed_inclusion_proof_passes(data, size):
    """H6: any other leaf, place, hash or order fails. (Which size a root is of, the signed checkpoint says.)"""
    index = data.draw(st.integers(0, size - 1))
    root = merkle.root_of(LARGE[:size])
    proof = merkle.inclusion_proof(index, size, subtree(LARGE))
    what = data.draw(st.sampled_from(["leaf", "index", "proof", "root"]))
    if what == "leaf":
        other = data.draw(st.integers(0, 69).filter(lambda number: number != index))
        assert not merkle.verify_inclusion(LARGE[other], index, size, proof, root)
    elif what == "index":
        other = data.draw(st.integers(0, size + 4).filter(lambda number: number != index))
        assert not merkle.verify_inclusion(LARGE[index], other, size, proof, root)
    elif what == "proof":
        assert not merkle.verify_inclusion(LARGE[index], index, size, changed(data, proof), root)
    else:
        assert not merkle.verify_inclusion(LARGE[index], index, size, proof, root[::-1])


@given(st.data(), st.integers(2, 70))
def test_no_changed_consistency_proof_passes(data, size):
    """H6: a fork, or any changed proof of a continuation, fails."""
    old = data.draw(st.integers(1, size - 1))
    old_root, root = merkle.root_of(LARGE[:old]), merkle.root_of(LARGE[:size])
    proof = merkle.consistency_proof(old, size, subtree(LARGE))
    what = data.draw(st.sampled_from(["fork", "proof"]))
    if what == "proof":
        assert not merkle.verify_consistency(old, size, changed(data, proof), old_root, root)
    else:
        place = data.draw(st.integers(0, old - 1))
        forked = [*LARGE[:place], merkle.leaf_hash(b"another"), *LARGE[place + 1 : size]]
        other = merkle.consistency_proof(old, size, subtree(forked))
        assert not merkle.verify_consistency(old, size, other, old_root, merkle.root_of(forked))
        assert not merkle.verify_consistency(old, size, proof, old_root, merkle.root_of(forked))
