"""Earlier checkpoints, and what they say about the ledger that is there now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.errors import IntegrityFault
from agent.language import say
from agent.storage import files
from agent.storage.proof import merkle, note, tree
from agent.storage.proof.leaf import entry_hash
from agent.storage.proof.note import Head, NoteError, Verifier

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.catalogue import Catalogue

FILE = "CHECKPOINT"
"""In the state directory and in every vault: the newest checkpoint."""
WITNESS = "witness"
"""In the state directory: checkpoints that another ledger of this box left, or that this one contradicts."""


class Verdict(StrEnum):
    """What an earlier checkpoint says about the ledger."""

    SAME = "same"
    EXTENDS = "extends"  # the ledger has grown since, and begins with what was signed
    TRUNCATED = "truncated"  # it is shorter than what was signed: cut off, or an older copy
    FORKED = "forked"  # it has other entries than those that were signed: edited, or another history
    OTHER_LEDGER = "other_ledger"  # the checkpoint is of another ledger
    BAD_SIGNATURE = "bad_signature"

    @property
    def good(self) -> bool:
        """Whether the ledger keeps what the checkpoint promised."""
        return self in (Verdict.SAME, Verdict.EXTENDS)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed tree head.

    text   the whole note
    at_ms  when it was made; None for one that came as a file
    """

    head: Head
    text: str
    at_ms: int | None = None

    @property
    def size(self) -> int:
        """Return how many entries it covers."""
        return self.head.size

    @property
    def root(self) -> bytes:
        """Return the root over them."""
        return self.head.root

    @property
    def ledger_id(self) -> str:
        """Return the id of the ledger: the last part of its origin."""
        return self.head.origin.rpartition("/")[2]


def origin(box: str, ledger_id: str) -> str:
    """Return the name of a box's ledger."""
    return f"pasu/v1/{box}/{ledger_id}"


def parse(data: bytes, at_ms: int | None = None) -> Checkpoint:
    """Read a checkpoint, its signature not yet verified. Raises NoteError."""
    parsed = note.parse_note(data)
    return Checkpoint(note.parse_head(parsed.text), data.decode(), at_ms)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint's file, its signature not yet verified.

    Raises  StorageFault; IntegrityFault CHECKPOINT_INVALID
    """
    try:
        data = files.read_small(path, note.MOST_BYTES + 1)
    except OSError as error:
        raise files.fault("read", path, error) from error
    try:
        return parse(data)
    except NoteError as error:
        raise IntegrityFault(
            "CHECKPOINT_INVALID",
            say("검증점 파일이 아닙니다", "this is not a checkpoint"),
            hint=say("CHECKPOINT 파일을 주십시오", "name a file CHECKPOINT, or one the centre kept"),
            path=str(path),
            reason=str(error),
        ) from None


def signed_by(checkpoint: Checkpoint, verifier: Verifier) -> bool:
    """Tell whether a key signed it."""
    try:
        note.parse_note(checkpoint.text.encode()).verify(verifier)
    except NoteError:
        return False
    return True


def examine(
    catalogue: Catalogue, checkpoint: Checkpoint, vkey: Verifier | str, *, entries: bool = True
) -> Verdict:
    """Compare the ledger with an earlier checkpoint.

    vkey     the box's public key, as the centre knows it
    entries  hash every entry again (3 us each), so that an edit shows; without, believe the hashes the tree keeps
    Raises   NoteError for a key that is none; StorageFault
    """
    verifier = Verifier.parse(vkey) if isinstance(vkey, str) else vkey
    if not signed_by(checkpoint, verifier):
        return Verdict.BAD_SIGNATURE
    if checkpoint.ledger_id != tree.identity(catalogue):
        return Verdict.OTHER_LEDGER
    size = tree.size(catalogue)
    if checkpoint.size > size:
        return Verdict.TRUNCATED
    try:
        root = (
            root_of_entries(catalogue, checkpoint.size)
            if entries
            else tree.Tree(catalogue).root(checkpoint.size)
        )
    except IntegrityFault:
        return Verdict.FORKED
    if root != checkpoint.root:
        return Verdict.FORKED
    return Verdict.SAME if checkpoint.size == size else Verdict.EXTENDS


def root_of_entries(catalogue: Catalogue, size: int) -> bytes:
    """Return the root over the entries themselves; where entries were let go, over what was kept of them."""
    peaks = merkle.Peaks()
    for block in range(-(-size // tree.BLOCK)):
        for leaf in block_hashes(catalogue, block)[: size - block * tree.BLOCK]:
            peaks.push(leaf)
    if peaks.size != size:
        raise tree.hole(peaks.size + 1)
    return peaks.root()


def block_hashes(catalogue: Catalogue, block: int) -> list[bytes]:
    """Return a block's leaf hashes as its entries give them, and the kept ones only where an entry was let go.

    Raises  IntegrityFault LEDGER_HOLE
    """
    begin = block * tree.BLOCK
    found = tree.entries(catalogue, begin, tree.BLOCK)
    hashes = tree.kept_leaves(catalogue, block)
    if not hashes:
        for place, row in enumerate(found):
            if row[0] != begin + place + 1:
                raise tree.hole(begin + place + 1)
        return [entry_hash(*row) for row in found]
    for row in found:
        hashes[row[0] - begin - 1] = entry_hash(*row)
    return hashes


def witnesses(state: Path) -> list[Path]:
    """Return the files of checkpoints that were set aside."""
    folder = state / WITNESS
    return sorted(folder.iterdir()) if files.is_directory(folder) else []
