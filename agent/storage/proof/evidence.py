"""What of a camera's span is in a bundle, and its proofs: for those that make one, by copying or by linking."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.model import Fact, Span
from agent.storage.proof import bundle, leaf, merkle, tree
from agent.storage.proof.bundle import Bundle, Proven, Since

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue, Segment
    from agent.storage.proof.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True)
class Chosen:
    """A segment of the span: what its row says of it, its place in the bundle, and the seq of its fact, 0 without one.

    path  relative to its vault; file: relative to the bundle
    """

    vault: str
    path: str
    span: Span
    sha256: str
    sealed_bytes: int
    has_tail: bool
    file: str
    seq: int = 0


@dataclass(slots=True)
class Proofs:
    """What can be proven: the bundle, and what cannot.

    edited    seqs of entries that were changed
    unproven  files of which the ledger has no entry, or a changed one
    """

    bundle: Bundle
    edited: list[int] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)


def named(segments: Iterable[Segment]) -> Iterator[tuple[Segment, str]]:
    """Yield segments with their places in a bundle: the same name may be in two vaults, or be used again, and then the
    later comes beside.
    """
    taken: set[str] = set()
    for segment in segments:
        name, number = segment.path, 0
        while name in taken:
            number += 1
            name = segment.path.replace("segments/", f"segments-{number}/", 1)
        taken.add(name)
        yield segment, name


def stored_facts(catalogue: Catalogue, camera: str) -> dict[tuple[str, str], int]:
    """Return the facts of a camera's segments: by path and digest the seq of the newest."""
    return {
        (fact.get("path", ""), fact.get("sha256", "")): seq
        for seq, _, fact in _facts(catalogue, bundle.STORED, camera)
    }


def about(catalogue: Catalogue, camera: str, span: Span) -> Iterator[tuple[int, Span]]:
    """Yield the facts that say why something of the span is not there: their seqs, and of what."""
    kinds = tuple(kind for kind in bundle.TOLD if kind not in bundle.STORED)
    for seq, _, fact in _facts(catalogue, kinds, camera):
        start, end = fact.get("start_ms"), fact.get("end_ms")
        if not isinstance(start, int) or not isinstance(end, int) or end < start:
            continue
        if start < span.end_ms and end > span.start_ms:
            yield seq, Span(start, end)


def claim(chosen: Sequence[Chosen], camera: str, span: Span, at: Instant, **more: Any) -> Fact:
    """Write the fact that says what is handed out. more: who takes it, and for what."""
    listed = [(one.sha256, one.file) for one in chosen if one.seq]
    body = {
        "camera": camera,
        "start_ms": span.start_ms,
        "end_ms": span.end_ms,
        "segments": len(listed),
        "digest": bundle.digest(listed),
        **more,
    }
    return Fact(bundle.CLAIM, at, body)


def prove(
    catalogue: Catalogue,
    box: str,
    camera: str,
    span: Span,
    *,
    chosen: Sequence[Chosen],
    told: Sequence[int],
    checkpoint: Checkpoint,
    unproven: Sequence[str] = (),
    since: Checkpoint | None = None,
) -> Proofs:
    """Prove every entry that a bundle brings; one that was changed cannot be proven, and is named.

    told      seqs of entries besides those of the segments
    unproven  files of which it is known already
    since     an earlier checkpoint, to whose size a proof is made
    """
    found = Proofs(Bundle(box, camera, span, ()), unproven=[*unproven])
    proof_of = tree.Tree(catalogue)
    by_seq: dict[int, Chosen | None] = dict.fromkeys([*told, *_relabelled(catalogue)])
    by_seq.update((one.seq, one) for one in chosen if one.seq)
    entries = []
    for seq, one in sorted(by_seq.items()):
        proven = _prove(catalogue, proof_of, seq, checkpoint, one)
        if proven:
            entries.append(proven)
        else:
            found.edited.append(seq)
            found.unproven += [one.file] if one else []
    older = None
    if since is not None:
        older = Since(since.size, since.root, tuple(proof_of.consistency(since.size, checkpoint.size)))
    found.bundle = Bundle(box, camera, span, tuple(entries), tuple(found.unproven), older)
    return found


def _prove(
    catalogue: Catalogue, proof_of: tree.Tree, seq: int, checkpoint: Checkpoint, chosen: Chosen | None
) -> Proven | None:
    rows = tree.entries(catalogue, seq - 1, 1)
    proof = proof_of.inclusion(seq, checkpoint.size)
    own = leaf.entry_hash(*rows[0]) if rows else b""
    if not merkle.verify_inclusion(own, seq - 1, checkpoint.size, proof, checkpoint.root):
        return None
    _, at_ms, trust, kind, body = rows[0]
    entry = {"at_ms": at_ms, "body": json.loads(body), "kind": kind, "seq": seq, "trust": trust}
    if chosen is None:
        return Proven(entry, tuple(proof))
    return Proven(entry, tuple(proof), chosen.file, chosen.span)


def _relabelled(catalogue: Catalogue) -> Iterator[int]:
    for row in catalogue.read("SELECT seq FROM ledger WHERE kind = ? ORDER BY seq", (bundle.RELABELLED,)):
        yield row[0]


def _facts(
    catalogue: Catalogue, kinds: tuple[str, ...], camera: str
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield seq, kind and body of facts about a camera."""
    marks = ", ".join("?" * len(kinds))
    # Canonical JSON has one way of writing it, so the text is enough to choose by.
    wanted = f'"camera":{json.dumps(camera)}'
    query = (
        f"SELECT seq, kind, CAST(body AS BLOB) FROM ledger WHERE kind IN ({marks}) AND instr(body, ?)"  # noqa: S608 - marks
        " ORDER BY seq"
    )
    for seq, kind, body in catalogue.read(query, (*kinds, wanted)):
        try:
            fact = json.loads(body)
        except ValueError:
            continue  # damaged: it proves nothing
        if isinstance(fact, dict) and fact.get("camera") == camera:
            yield seq, kind, fact
