"""Make a bundle of a camera's span, on the box. The procedure, by its numbers:

X1  choose: rows and facts of the span
X2  the fact `export.bundled`: who takes what, and which files. First, so that nothing leaves without a trace
X3  a checkpoint that covers it
X4  copy the sealed files
X5  write CHECKPOINT and proofs.json
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import IntegrityFault, StorageFault
from agent.language import say
from agent.model import Fact, Span, uncovered
from agent.storage import files
from agent.storage.proof import bundle, checkpoints, leaf, merkle, tree
from agent.storage.proof.audit import tampered
from agent.storage.proof.bundle import Bundle, Proven, Since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue, Segment
    from agent.storage.files import Disk
    from agent.storage.proof.checkpoints import Checkpoint
    from agent.storage.proof.signing import BoxKey
    from agent.storage.vault import Vault

_READ_BYTES = 1 << 20
_TAIL = ".tail"


@dataclass(frozen=True, slots=True)
class Site:
    """What a bundle is made from. vaults: by uuid, those that are there."""

    catalogue: Catalogue
    key: BoxKey
    vaults: Mapping[str, Vault]
    state: Path
    disk: Disk


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    by     who takes it, for the ledger
    since  an earlier checkpoint, to whose size a proof is made
    """

    camera: str
    span: Span
    out: Path
    by: str
    since: Checkpoint | None = None


@dataclass(slots=True)
class Exported:
    """What was written.

    damaged   files that are not what the ledger says, or are not there, with the reason
    unproven  files of which this ledger has no entry
    missing   parts of the span of which there is neither a segment nor an entry that says why
    tampered  seqs of the entries `tamper.ledger`: somebody changed what was signed before
    """

    checkpoint: Checkpoint
    files: int = 0
    bytes: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    missing: list[Span] = field(default_factory=list)
    tampered: list[int] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether the centre will find nothing wrong with it."""
        return not (self.damaged or self.unproven or self.missing or self.tampered)


def export(
    site: Site,
    request: Request,
    at: Instant,
    progress: Callable[[int, int], None],
    *,
    step: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Make a bundle in a directory that is missing or empty.

    progress  told how many bytes are copied, and of how many
    Raises    StorageFault BUNDLE_NOT_EMPTY, or what the disk says; IntegrityFault WITNESS_CONTRADICTED when the
              ledger does not begin with what `since` signed, LEDGER_HOLE
    """
    catalogue, disk, out = site.catalogue, site.disk, request.out
    _make_place(out, disk)
    tree.grow(catalogue)
    if request.since is not None:
        _check_since(catalogue, site.key, request.since)
    chosen = list(_choose(catalogue, request))
    told = dict(_about(catalogue, request))
    step("X1")
    claim = catalogue.add_fact(_claim(chosen, request, at))
    step("X2")
    made = checkpoints.advance(catalogue, site.key, list(site.vaults.values()), site.state, at, force=True)
    checkpoint = made or checkpoints.newest(catalogue)  # the keeper may have been quicker
    if checkpoint is None or checkpoint.size < claim:
        raise tree.hole(claim)
    step("X3")
    done = Exported(checkpoint, tampered=tampered(catalogue))
    covered = [*(one.segment.span for one in chosen), *told.values()]
    done.missing = uncovered(covered, request.span, bundle.NEARLY_MS)
    for one in chosen:
        _take(one, site, out, done)
        progress(done.bytes, sum(each.segment.sealed_bytes for each in chosen))
    step("X4")
    proofs = bundle.encode(_bundle(site, request, chosen, [*told, claim], done))
    disk.atomic_replace(out / bundle.CHECKPOINT, checkpoint.text.encode(), sync=True)
    disk.atomic_replace(out / bundle.PROOFS, proofs, sync=True)
    step("X5")
    return done


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A segment of the span: its row, its place in the bundle, and the seq of its fact, 0 without one."""

    segment: Segment
    file: str
    seq: int


def _make_place(out: Path, disk: Disk) -> None:
    disk.make_directory(out)
    try:
        empty = not any(out.iterdir())
    except OSError as error:
        raise files.fault("list", out, error) from error
    if not empty:
        raise StorageFault(
            "BUNDLE_NOT_EMPTY",
            say("묶음을 만들 폴더가 비어 있지 않습니다", "the directory for the bundle is not empty"),
            hint=say("새 폴더를 --out으로 지정하십시오", "name a new directory with --out"),
            path=str(out),
        )


def _check_since(catalogue: Catalogue, key: BoxKey, since: Checkpoint) -> None:
    verdict = checkpoints.examine(catalogue, since, key.verifier, entries=False)
    if not verdict.good:
        raise IntegrityFault(
            "WITNESS_CONTRADICTED",
            say("원장이 이전 검증점과 맞지 않습니다", "the ledger contradicts the earlier checkpoint"),
            hint=say(
                "`pasu ledger verify --checkpoint`로 확인하십시오",
                "look with `pasu ledger verify --checkpoint`",
            ),
            verdict=verdict.value,
            size=since.size,
        )


def _choose(catalogue: Catalogue, request: Request) -> Iterator[_Chosen]:
    """Yield the segments of the span, each with its fact: the newest about a file of that name and digest."""
    facts: dict[tuple[str, str], int] = {}
    for seq, _, fact in _facts(catalogue, bundle.STORED, request.camera):
        facts[fact.get("path", ""), fact.get("sha256", "")] = seq
    taken: set[str] = set()
    for segment in catalogue.segments(request.camera, request.span):
        # The same name may be in two vaults, or be used again; in the bundle the later comes beside.
        name, number = segment.path, 0
        while name in taken:
            number += 1
            name = segment.path.replace("segments/", f"segments-{number}/", 1)
        taken.add(name)
        yield _Chosen(segment, name, facts.get((segment.path, segment.sha256), 0))


def _about(catalogue: Catalogue, request: Request) -> Iterator[tuple[int, Span]]:
    """Yield the facts that say why something of the span is not there: their seqs, and of what."""
    kinds = tuple(kind for kind in bundle.TOLD if kind not in bundle.STORED)
    for seq, _, fact in _facts(catalogue, kinds, request.camera):
        start, end = fact.get("start_ms"), fact.get("end_ms")
        if not isinstance(start, int) or not isinstance(end, int) or end < start:
            continue
        if start < request.span.end_ms and end > request.span.start_ms:
            yield seq, Span(start, end)


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


def _claim(chosen: list[_Chosen], request: Request, at: Instant) -> Fact:
    listed = [(one.segment.sha256, one.file) for one in chosen if one.seq]
    body = {
        "camera": request.camera,
        "start_ms": request.span.start_ms,
        "end_ms": request.span.end_ms,
        "segments": len(listed),
        "digest": bundle.digest(listed),
        "by": request.by,
    }
    return Fact(bundle.CLAIM, at, body)


def _bundle(site: Site, request: Request, chosen: list[_Chosen], told: list[int], done: Exported) -> Bundle:
    """Prove every entry that the bundle brings; one that was changed cannot be proven, and is named.

    told  seqs of entries besides those of the segments
    """
    catalogue, checkpoint = site.catalogue, done.checkpoint
    proof_of = tree.Tree(catalogue)
    by_seq: dict[int, _Chosen | None] = dict.fromkeys([*told, *_relabelled(catalogue)])
    by_seq.update((one.seq, one) for one in chosen if one.seq)
    entries = []
    for seq, one in sorted(by_seq.items()):
        proven = _prove(catalogue, proof_of, seq, checkpoint, one)
        if proven:
            entries.append(proven)
        else:
            done.damaged.append((f"ledger {seq}", "LEDGER_EDITED"))
            if one:
                done.unproven.append(one.file)
    since = None
    if request.since is not None:
        old = request.since
        since = Since(old.size, old.root, tuple(proof_of.consistency(old.size, checkpoint.size)))
    return Bundle(site.key.box, request.camera, request.span, tuple(entries), tuple(done.unproven), since)


def _prove(
    catalogue: Catalogue, proof_of: tree.Tree, seq: int, checkpoint: Checkpoint, chosen: _Chosen | None
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
    return Proven(entry, tuple(proof), chosen.file, chosen.segment.span)


def _take(one: _Chosen, site: Site, out: Path, done: Exported) -> None:
    """Copy a segment, and its tail; what cannot be read is noted, what cannot be written ends the export."""
    vault = site.vaults.get(one.segment.vault)
    if vault is None:
        done.damaged.append((one.file, "VAULT_MISSING"))
        return
    target = out / one.file
    for folder in reversed(target.relative_to(out).parents[:-1]):
        site.disk.make_directory(out / folder)
    source = vault.at(one.segment.path)
    try:
        sha256 = _copy(source, target, site.disk, done)
        if one.segment.has_tail:
            _copy(
                source.with_name(source.name + _TAIL), target.with_name(target.name + _TAIL), site.disk, done
            )
    except StorageFault as error:
        if Path(str(error.context.get("path"))).is_relative_to(out):
            raise
        done.damaged.append((one.file, error.code))
        return
    done.files += 1
    if not one.seq:
        done.unproven.append(one.file)
    elif sha256 != one.segment.sha256:
        done.damaged.append((one.file, "CONTENT_CHANGED"))


def _copy(source: Path, target: Path, disk: Disk, done: Exported) -> str:
    """Copy a file piece by piece; return its SHA-256. Links are not followed."""
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise files.fault("open", source, error) from error
    digest = hashlib.sha256()
    try:
        written = disk.create_excl(target)
        try:
            while data := _read(fd, source):
                digest.update(data)
                disk.write_all(written, target, data)
                done.bytes += len(data)
            disk.fdatasync(written, target)
        finally:
            disk.close(written)
    finally:
        os.close(fd)
    disk.fsync_directory(target.parent)
    return digest.hexdigest()


def _read(fd: int, source: Path) -> bytes:
    try:
        return os.read(fd, _READ_BYTES)
    except OSError as error:
        raise files.fault("read", source, error) from error
