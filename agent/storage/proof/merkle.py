"""The Merkle tree of RFC 6962, section 2: hashes, proofs, and how to check them. Pure.

Roots and proofs are made from `Subtree`, a function that gives the hash of a complete subtree:
`subtree(level, index)` covers the leaves `index << level` up to, and without, `(index + 1) << level`; level 0 are
the leaf hashes themselves. Whoever stores a tree chooses which of these to keep. All hashes are SHA-256, 32 bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Subtree = Callable[[int, int], bytes]

HASH_BYTES = 32
EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Peaks:
    """The complete subtrees of a tree that grows at its right end: enough for its root, and never more than 64."""

    def __init__(self) -> None:
        """Begin with no leaf."""
        self.size = 0
        self._hashes: list[bytes] = []

    @classmethod
    def at(cls, size: int, subtree: Subtree) -> Peaks:
        """Go on from a tree of a size whose subtrees are stored."""
        peaks = cls()
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                peaks._hashes.append(subtree(level, (size >> level) - 1))
        peaks.size = size
        return peaks

    def push(self, leaf: bytes) -> list[bytes]:
        """Append a leaf hash; return the complete subtrees that end with it, the leaf itself first."""
        done = [leaf]
        number = self.size
        while number & 1:
            done.append(node_hash(self._hashes.pop(), done[-1]))
            number >>= 1
        self._hashes.append(done[-1])
        self.size += 1
        return done

    def root(self, rest: bytes | None = None) -> bytes:
        """Return the root over everything so far.

        rest  the root over more leaves that follow, fewer than the smallest subtree has
        """
        hashes = self._hashes if rest is None else [*self._hashes, rest]
        if not hashes:
            return EMPTY
        root = hashes[-1]
        for left in reversed(hashes[:-1]):
            root = node_hash(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    peaks = Peaks()
    for leaf in leaves:
        peaks.push(leaf)
    return peaks.root()


def _split(length: int) -> int:
    """Return the largest power of two below a length of at least 2."""
    return 1 << ((length - 1).bit_length() - 1)


def _range(subtree: Subtree, start: int, end: int) -> bytes:
    """Return MTH(D[start:end]) for a range that begins where a subtree of its size may begin."""
    length = end - start
    if length & (length - 1) == 0:
        level = length.bit_length() - 1
        return subtree(level, start >> level)
    middle = start + _split(length)
    return node_hash(_range(subtree, start, middle), _range(subtree, middle, end))


def root_at(size: int, subtree: Subtree) -> bytes:
    """Return the root over the first `size` leaves."""
    return _range(subtree, 0, size) if size else EMPTY


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Prove that a leaf is in the tree: PATH(index, D[size]), RFC 6962 section 2.1.1, deepest hash first.

    Raises  ValueError unless 0 <= index < size
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    start, end = 0, size
    proof: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range(subtree, middle, end))
            end = middle
        else:
            proof.append(_range(subtree, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(old: int, size: int, subtree: Subtree) -> list[bytes]:
    """Prove that a tree begins with an older one: PROOF(old, D[size]), RFC 6962 section 2.1.2.

    Returns  nothing for an old tree of size 0 or `size`
    Raises   ValueError unless 0 <= old <= size
    """
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} does not begin with one of {old}")
    if old in (0, size):
        return []
    start, end = 0, size
    proof: list[bytes] = []
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range(subtree, middle, end))
            end = middle
        else:
            proof.append(_range(subtree, start, middle))
            start = middle
    if start:
        # Else the rest is the whole old tree, whose root the one who checks has already.
        proof.append(_range(subtree, start, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a proof shows that the leaf hash is at this place of the tree with this root.

    Source  RFC 9162 section 2.1.3.2
    """
    if not 0 <= index < size or not _hashes([leaf, root, *proof]):
        return False
    place, last = index, size - 1
    result = leaf
    for other in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            result = node_hash(other, result)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            result = node_hash(result, other)
        place >>= 1
        last >>= 1
    return last == 0 and result == root


def verify_consistency(old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> bool:
    """Tell whether a proof shows that the tree of `size` begins with the tree of `old`.

    Source  RFC 9162 section 2.1.4.2; an old tree of size 0 begins every tree
    """
    if not 0 <= old <= size or not _hashes([old_root, root, *proof]):
        return False
    if old == size:
        return not proof and old_root == root
    if old == 0:
        return not proof and old_root == EMPTY
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    place, last = old - 1, size - 1
    while place & 1:
        place >>= 1
        last >>= 1
    old_result = new_result = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old_result = node_hash(other, old_result)
            new_result = node_hash(other, new_result)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            new_result = node_hash(new_result, other)
        place >>= 1
        last >>= 1
    return last == 0 and old_result == old_root and new_result == root


def _hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
