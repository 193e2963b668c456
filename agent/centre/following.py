"""One ledger as the centre follows it: entries without a hole, the tree over them, and what the box signed. Pure.

The centre believes no head that it cannot make itself from the entries it has. So a box that changes, cuts off or
forks its history contradicts what lies here, and a head that fits stands for everything before it.

What no head stands for yet may be anybody's: it is kept for the time being. Where it contradicts what comes later, all
of it is dropped and asked for again, and nobody is accused before.

Source  RFC 6962 section 2; C2SP tlog-checkpoint, "Witness"; faults H6, E11
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.command import strict
from agent.model import Trust, canonical_json
from agent.storage.proof import leaf, merkle, note

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.storage.proof.note import Verifier

BLOCK = 256
"""Leaves in a block: what is stored together, and hashed to one node."""
LEVEL = 8
_KIND = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_TRUSTS = frozenset(Trust)
MOST_PENDING = 4
"""Heads that wait for their entries; the newest are kept, each of which stands for those before."""


class What(StrEnum):
    """What was found."""

    VERIFIED = "verified"  # a head that the entries here lead to
    EDITED = "edited"  # an entry that a head stands for, and that says something else now
    FORKED = "forked"  # a head over other entries than those that came, also when they came again
    DOUBTED = (
        "doubted"  # entries that no head stands for contradict others, or a head; all of them were dropped
    )
    ROLLED_BACK = "rolled_back"  # a head, signed later, over fewer entries than one before
    UNSIGNED = "unsigned"  # a head that the box's key did not sign, or of another ledger
    INVALID = "invalid"  # not an entry, or not one that follows
    LET_GO = "let_go"  # entries that the box is said to have no more, and that never came here


GRAVE = frozenset({What.EDITED, What.FORKED, What.DOUBTED, What.ROLLED_BACK, What.UNSIGNED, What.INVALID})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found: what, at which size or entry, and more for people."""

    what: What
    size: int
    root: bytes = b""
    at_ms: int = 0
    note: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it came; body is canonical JSON."""

    seq: int
    at_ms: int
    trust: str
    kind: str
    body: str
    leaf: bytes

    @property
    def odd(self) -> bool:
        """Whether no box that is right writes such a one; where its leaf is signed it is kept all the same."""
        return _KIND.fullmatch(self.kind) is None or self.trust not in _TRUSTS


@dataclass(frozen=True, slots=True)
class Block:
    """Leaf hashes of a block, as many as there are; `nodes` are the subtrees that end with it, once it is complete."""

    number: int
    leaves: tuple[bytes, ...]
    nodes: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Taken:
    """What a message brought: entries to store, blocks to store, and findings.

    dropped  what the store holds beyond so many entries goes first; None: nothing does
    """

    entries: list[Entry] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class _Head:
    size: int
    root: bytes
    at_ms: int
    text: str
    doubted: bool = False


class Following:
    """What is known of one ledger. `block` returns a stored block's leaves, for what came long ago."""

    def __init__(
        self,
        origin: str,
        verifier: Verifier,
        block: Callable[[int], Sequence[bytes]],
        subtree: Callable[[int, int], bytes],
        *,
        size: int = 0,
    ) -> None:
        """Go on where the store is.

        origin    of its heads: pasu/v1/<box>/<ledger>
        subtree   returns stored nodes, from level LEVEL on
        size      how many entries are stored
        """
        self._origin = origin
        self._verifier = verifier
        self._stored_block = block
        self._stored = subtree
        self._blocks = merkle.Peaks.at(size // BLOCK, lambda level, index: subtree(LEVEL + level, index))
        self._open = list(block(size // BLOCK)) if size % BLOCK else []
        self._fresh: dict[tuple[int, int], bytes] = {}
        self._fresh_blocks: dict[int, tuple[bytes, ...]] = {}
        self._pending: deque[_Head] = deque()
        self.verified: Finding | None = None
        self.wanted = 0
        self.skipped = 0
        self.lost = 0

    @property
    def size(self) -> int:
        """How many entries are here, from 1 on without a hole."""
        return self._blocks.size * BLOCK + len(self._open)

    @property
    def hole(self) -> bool:
        """Whether a batch came that does not follow: what lies between is missing."""
        return self.skipped > self.size and not self.lost

    @property
    def behind(self) -> bool:
        """Whether the box is known to have more than is here: a batch or a head spoke of it."""
        return max(self.wanted, self.skipped) > self.size and not self.lost

    def entries(self, said: object, let_go: object = None) -> Taken:
        """Take a batch.

        said    `entries` of the message
        let_go  its `let_go`
        """
        taken = Taken()
        if not isinstance(said, list):
            taken.findings.append(Finding(What.INVALID, self.size))
            return taken
        for gone in let_go if isinstance(let_go, list) else []:
            self._gone(gone, taken)
        for one in said:
            entry = _entry(one)
            if entry is None:
                taken.findings.append(Finding(What.INVALID, self.size))
                break
            if entry.seq > self.size + 1:
                if self.lost:
                    # No tree can be made over a hole; what happened is kept all the same.
                    taken.entries.append(entry)
                    continue
                self.skipped = max(self.skipped, entry.seq)
                break  # all of it comes again from the hole on
            if entry.seq > self.size:
                if self.lost:
                    self._heal(taken)
                self._push(entry, taken)
            elif self._leaf(entry.seq) != entry.leaf:
                if entry.seq <= self._sure:
                    taken.findings.append(Finding(What.EDITED, entry.seq, detail=entry.kind))
                    break
                taken.findings.append(Finding(What.DOUBTED, entry.seq, detail=entry.kind))
                self._drop(taken)
                if entry.seq > self.size + 1:
                    break
                self._push(entry, taken)
        self._show_open(taken)
        return taken

    def head(self, text: object, at_ms: int) -> Taken:
        """Take a checkpoint.

        text   the signed note
        at_ms  when the box says that it was signed, and no later than now; the box signs that too, so an old one that
               somebody on the way shows again has its old time
        """
        taken = Taken()
        try:
            found = read_head(text, self._origin, self._verifier)
        except note.NoteError as error:
            taken.findings.append(Finding(What.UNSIGNED, self.size, detail=str(error)))
            return taken
        assert isinstance(text, str)
        head = _Head(found.size, found.root, at_ms, text)
        self.wanted = max(self.wanted, head.size)
        if head.size > self.size:
            self._wait(head)
        else:
            self._judge(head, taken)
        return taken

    def restore(self, size: int, root: bytes, at_ms: int) -> None:
        """Take up again what was verified before the program was started anew."""
        self.verified = Finding(What.VERIFIED, size, root, at_ms)
        self.wanted = max(self.wanted, size)

    def saved(self) -> None:
        """Forget what is in the store by now."""
        self._fresh.clear()
        self._fresh_blocks.clear()

    def _gone(self, gone: Any, taken: Taken) -> None:
        """Take note of entries that the box is said to have let go.

        It lets go only what a signed command acknowledged, and that is never more than was verified here. So this
        file is younger than that command, or nobody honest says so: it is told, and they are asked for all the same.
        """
        if not (isinstance(gone, (list, tuple)) and len(gone) == 2 and all(type(one) is int for one in gone)):
            taken.findings.append(Finding(What.INVALID, self.size))
        elif gone[1] > self.size and gone[0] <= self.size + 1 and not self.lost:
            self.lost = self.size + 1
            taken.findings.append(Finding(What.LET_GO, self.lost, detail=f"{self.lost}-{gone[1]}"))

    def _heal(self, taken: Taken) -> None:
        """Go on where entries were missing: they came. What was kept beyond them comes again, and is judged then."""
        self.lost = 0
        taken.entries = [entry for entry in taken.entries if entry.seq <= self.size]
        taken.dropped = self.size if taken.dropped is None else min(self.size, taken.dropped)
        self._keep_open(taken)

    def _push(self, entry: Entry, taken: Taken) -> None:
        self._open.append(entry.leaf)
        taken.entries.append(entry)
        if entry.odd:
            taken.findings.append(Finding(What.INVALID, entry.seq, detail=entry.kind))
        if len(self._open) == BLOCK:
            number = self._blocks.size
            nodes = self._blocks.push(merkle.root_of(self._open))
            taken.blocks[number] = Block(number, tuple(self._open), tuple(nodes))
            self._fresh_blocks[number] = tuple(self._open)
            for height, node in enumerate(nodes):
                self._fresh[LEVEL + height, ((number + 1) >> height) - 1] = node
            self._open.clear()
        for head in [head for head in self._pending if head.size == self.size]:
            if head.size > self.size:
                break  # one before it had everything dropped
            self._pending.remove(head)
            self._judge(head, taken)

    def _wait(self, head: _Head) -> None:
        if not any(head.size == other.size and head.root == other.root for other in self._pending):
            self._pending.append(head)
        while len(self._pending) > MOST_PENDING:
            self._pending.popleft()

    @property
    def _sure(self) -> int:
        """How many entries a head stands for."""
        return min(self.verified.size, self.size) if self.verified is not None else 0

    def _drop(self, taken: Taken) -> None:
        """Go back to what a head stands for; the rest is asked for again."""
        self.skipped = max(self.skipped, self.size)
        size = self._sure
        whole, inside = divmod(size, BLOCK)
        leaves = list(self._block(whole) if whole < self._blocks.size else self._open)[:inside]
        self._blocks = merkle.Peaks.at(whole, lambda level, index: self._subtree(LEVEL + level, index))
        self._open = leaves
        self._fresh = {
            place: node
            for place, node in self._fresh.items()
            if (place[1] + 1) << (place[0] - LEVEL) <= whole
        }
        self._fresh_blocks = {number: held for number, held in self._fresh_blocks.items() if number < whole}
        taken.entries = [entry for entry in taken.entries if entry.seq <= size]
        taken.blocks = {number: block for number, block in taken.blocks.items() if number < whole}
        self._keep_open(taken)
        taken.dropped = size if taken.dropped is None else min(size, taken.dropped)

    def _show_open(self, taken: Taken) -> None:
        if taken.entries and not self.lost:
            self._keep_open(taken)

    def _keep_open(self, taken: Taken) -> None:
        if self._open:
            taken.blocks[self._blocks.size] = Block(self._blocks.size, tuple(self._open))

    def _judge(self, head: _Head, taken: Taken) -> None:
        """Compare a head with the tree here, which has its entries."""
        if self.root(head.size) != head.root:
            if head.size > self._sure:
                # Entries are not signed one by one: these may be a forgery of the wire. The head is the box's.
                self._drop(taken)
                if not head.doubted:
                    self._wait(replace(head, doubted=True))
                    taken.findings.append(Finding(What.DOUBTED, head.size))
                    return
            finding = Finding(What.FORKED, head.size, head.root, head.at_ms, head.text)
        elif self.verified is not None and head.size < self.verified.size:
            if head.at_ms <= self.verified.at_ms:
                return  # an old one that came late
            detail = str(self.verified.size)
            finding = Finding(What.ROLLED_BACK, head.size, head.root, head.at_ms, head.text, detail)
        else:
            finding = Finding(What.VERIFIED, head.size, head.root, head.at_ms, head.text)
            self.verified = finding
            self.skipped = (
                0  # whoever has more will say so again, and whoever made it up will not be waited for
            )
        taken.findings.append(finding)

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` entries, all of which are here."""
        inside = size - self._blocks.size * BLOCK
        if inside >= 0:
            return self._blocks.root(merkle.root_of(self._open[:inside]) if inside else None)
        return merkle.root_at(size, self._subtree)

    def _subtree(self, level: int, index: int) -> bytes:
        if level >= LEVEL:
            fresh = self._fresh.get((level, index))
            return fresh if fresh is not None else self._stored(level, index)
        first = index << level
        leaves = self._block(first // BLOCK)
        return merkle.root_of(leaves[first % BLOCK : first % BLOCK + (1 << level)])

    def _block(self, number: int) -> Sequence[bytes]:
        fresh = self._fresh_blocks.get(number)
        return fresh if fresh is not None else self._stored_block(number)

    def _leaf(self, seq: int) -> bytes:
        block, place = divmod(seq - 1, BLOCK)
        return self._open[place] if block == self._blocks.size else self._block(block)[place]


def read_head(text: object, origin: str, verifier: Verifier) -> note.Head:
    """Read a checkpoint of one ledger that its box signed. Raises NoteError."""
    try:
        signed = note.parse_note(text.encode() if isinstance(text, str) else b"")
    except UnicodeEncodeError:
        raise note.NoteError("a note is UTF-8") from None
    signed.verify(verifier)
    found = note.parse_head(signed.text)
    if found.origin != origin:
        raise note.NoteError(found.origin)
    return found


def origin_of(box: str, ledger: str) -> str:
    """Name a ledger as its checkpoints do."""
    return f"pasu/v1/{box}/{ledger}"


def _entry(said: Any) -> Entry | None:
    """Read an entry; None for what is none."""
    if not isinstance(said, dict):
        return None
    try:
        own = leaf.object_hash(said)
        body = canonical_json(said["body"])
    except ValueError:
        return None
    if not strict.is_number(said["seq"], 1) or not strict.is_number(said["at_ms"], -strict.MOST_INTEGER):
        return None
    return Entry(said["seq"], said["at_ms"], said["trust"], said["kind"], body, own)
