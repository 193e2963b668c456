"""Go through the whole ledger, and say exactly what is not as it was signed."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.storage.proof import merkle, tree
from agent.storage.proof.leaf import entry_hash
from agent.storage.proof.verdict import Verdict, signed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.storage.catalogue import Catalogue
    from agent.storage.proof.note import Verifier
    from agent.storage.proof.verdict import Checkpoint

TAMPER = "tamper.ledger"
MISSING = "missing"  # entries are gone that nothing let go
EDITED = "edited"  # entries are not what they were when their block was hashed
TREE = "tree"  # the entries are right, and the hashes kept of them are not


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with entries, from a seq to a seq, both among them."""

    what: str
    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an earlier checkpoint says.

    name      where it came from
    from_seq  of a bad verdict: the change, the cut or the fork begins here or later, as far as checkpoints tell;
              everything before is as it was signed. 0 where seqs do not matter
    """

    name: str
    checkpoint: Checkpoint
    verdict: Verdict
    from_seq: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """What going through the ledger found.

    size    newest seq.  entries  those still there.  let_go  those of which the hash alone was kept
    told    seqs of the entries `tamper.ledger`: what the keeper found before, and went on from
    """

    ledger_id: str
    size: int
    entries: int
    let_go: int
    root: bytes
    findings: tuple[Finding, ...]
    opinions: tuple[Opinion, ...]
    told: tuple[int, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing was found, now or before, and every checkpoint of this ledger agrees."""
        bad = (Verdict.TRUNCATED, Verdict.FORKED, Verdict.BAD_SIGNATURE)
        return not self.findings and not self.told and not any(one.verdict in bad for one in self.opinions)


def audit(
    catalogue: Catalogue,
    checkpoints: Sequence[tuple[str, Checkpoint]],
    verifier: Verifier | None,
    progress: Callable[[int, int], None],
) -> Audit:
    """Hash every entry, compare with the tree that was kept, and with every checkpoint.

    checkpoints  where each came from, and itself
    verifier     the box's key; None believes signatures, where there is no key yet
    progress     told how many entries are done, and of how many
    Raises       StorageFault
    """
    size = tree.size(catalogue)
    ledger_id = tree.identity(catalogue)
    before = predecessors(catalogue) - {ledger_id}
    opinions: list[Opinion] = []
    open_: list[tuple[str, Checkpoint]] = []
    for name, checkpoint in checkpoints:
        if verifier is not None and not signed_by(checkpoint, verifier):
            opinions.append(Opinion(name, checkpoint, Verdict.BAD_SIGNATURE))
        elif checkpoint.ledger_id in before:
            opinions.append(Opinion(name, checkpoint, Verdict.OTHER_LEDGER))
        elif checkpoint.size > size:
            opinions.append(Opinion(name, checkpoint, Verdict.TRUNCATED, size + 1))
        else:
            open_.append((name, checkpoint))
    walk = _Walk(catalogue, ledger_id, size, sorted(open_, key=lambda one: one[1].size))
    for block in range(-(-size // tree.BLOCK)):
        walk.block(block)
        progress(min((block + 1) * tree.BLOCK, size), size)
    opinions = sorted([*opinions, *walk.conclude()], key=lambda one: (one.checkpoint.size, one.name))
    return Audit(
        ledger_id,
        size,
        walk.entries,
        walk.let_go,
        walk.root,
        tuple(walk.findings),
        tuple(opinions),
        tuple(tampered(catalogue)),
    )


def predecessors(catalogue: Catalogue) -> set[str]:
    """Return the ids of the ledgers before this one, as its own entries name them.

    A head that this box signed for any other ledger must fit this one: ids are no entries, and whoever edits
    entries may edit the id as well.
    """
    named: set[str] = set()
    for (body,) in catalogue.read("SELECT body FROM ledger WHERE kind = 'ledger.began' ORDER BY seq"):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            began = json.loads(body)
            named |= {str(began.get("previous", "")), *map(str, began.get("predecessors", ()))}
    return named


def tampered(catalogue: Catalogue) -> list[int]:
    """Return the seqs of the entries that say that the ledger was changed behind a checkpoint's back."""
    rows = catalogue.read("SELECT seq FROM ledger WHERE kind = ? ORDER BY seq", (TAMPER,))
    return [row[0] for row in rows]


@dataclass(slots=True)
class _Walk:
    """The state of going through. Two trees are kept: over what the entries are, and over what the tree says.

    agreed   size of the last checkpoint that signed these entries
    vouched  entries in blocks whose kept hashes some checkpoint signed, whatever became of the entries
    """

    catalogue: Catalogue
    ledger_id: str
    size: int
    waiting: list[tuple[str, Checkpoint]]
    findings: list[Finding] = field(default_factory=list)
    opinions: list[Opinion] = field(default_factory=list)
    entries: int = 0
    let_go: int = 0
    root: bytes = merkle.EMPTY
    agreed: int = 0
    vouched: int = 0
    _real: merkle.Peaks = field(default_factory=merkle.Peaks)
    _told: merkle.Peaks = field(default_factory=merkle.Peaks)

    def block(self, block: int) -> None:
        """Take the next block."""
        begin = block * tree.BLOCK
        count = min(tree.BLOCK, self.size - begin)
        hashes = self._hashes(begin, count)
        while self.waiting and self.waiting[0][1].size <= begin + count:
            name, checkpoint = self.waiting.pop(0)
            self._hear(name, checkpoint, hashes[: checkpoint.size - begin])
        rest = merkle.root_of(hashes)
        self.root = self._real.root(rest)
        if count == tree.BLOCK:
            self._close(block, rest, whole=b"" not in hashes)

    def _hashes(self, begin: int, count: int) -> list[bytes]:
        """Return the leaf hashes of a block: empty for what is missing."""
        found = {row[0]: entry_hash(*row) for row in tree.entries(self.catalogue, begin, count)}
        kept = tree.kept_leaves(self.catalogue, begin // tree.BLOCK)
        self.entries += len(found)
        hashes = []
        for seq in range(begin + 1, begin + count + 1):
            own, old = found.get(seq), kept[seq - begin - 1] if kept else None
            if own is None and old is None:
                self._find(MISSING, seq, seq)
            elif own is None:
                self.let_go += 1
            elif old is not None and own != old:
                self._find(EDITED, seq, seq)
            hashes.append(own or old or b"")
        return hashes

    def _close(self, block: int, root: bytes, *, whole: bool) -> None:
        """Compare a complete block with its row, and go on with both trees."""
        begin = block * tree.BLOCK
        rows = self.catalogue.read("SELECT CAST(nodes AS BLOB) FROM tree WHERE block = ?", (block,))
        nodes: bytes = rows[0][0] if rows else b""
        told = nodes[: merkle.HASH_BYTES] or root
        if root != told and whole and not (self.findings and self.findings[-1].to_seq > begin):
            self._find(EDITED, begin + 1, begin + tree.BLOCK)
        self._real.push(root)
        # Without a row nobody has said anything about the block: the keeper comes to it later.
        done = b"".join(self._told.push(told))
        if rows and nodes != done and nodes[: merkle.HASH_BYTES] == told:
            self._find(TREE, begin + 1, begin + tree.BLOCK)

    def _hear(self, name: str, checkpoint: Checkpoint, hashes: list[bytes]) -> None:
        """Compare with a checkpoint that ends in this block."""
        rest = merkle.root_of(hashes) if hashes else None
        if self._real.root(rest) == checkpoint.root and checkpoint.ledger_id == self.ledger_id:
            self.agreed = checkpoint.size
            verdict = Verdict.SAME if checkpoint.size == self.size else Verdict.EXTENDS
            self.opinions.append(Opinion(name, checkpoint, verdict))
        else:
            self.opinions.append(Opinion(name, checkpoint, Verdict.FORKED, self.agreed + 1))
        if self._told.root(rest) == checkpoint.root:
            self.vouched = checkpoint.size // tree.BLOCK * tree.BLOCK

    def conclude(self) -> list[Opinion]:
        """Return what the checkpoints say, now that all is known: a change lies in a block that was found wrong, or
        behind those that are vouched for.
        """
        first = self.vouched + 1
        if self.findings:
            first = min(first, self.findings[0].from_seq)
        return [
            replace(one, from_seq=first)
            if one.verdict is Verdict.FORKED and one.from_seq < first <= one.checkpoint.size
            else one
            for one in self.opinions
        ]

    def _find(self, what: str, first: int, last: int) -> None:
        """Add a finding; what follows on its like becomes one with it."""
        before = self.findings[-1] if self.findings else None
        if before and before.what == what and before.to_seq + 1 == first and what != TREE:
            self.findings[-1] = Finding(what, before.from_seq, last)
        else:
            self.findings.append(Finding(what, first, last))
