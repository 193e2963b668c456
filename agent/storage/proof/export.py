"""Make a bundle of a camera's span, on the box. The procedure, by its numbers:

X1  choose: rows and facts of the span
X2  one transaction: the fact `export.bundled`, who takes what, on which terms, and which files, and the export's row,
    by which its destruction is asked for. First, so that nothing leaves without a trace
X3  a checkpoint that covers it
X4  copy the sealed files
X5  write CHECKPOINT and proofs.json

In a lockdown nothing is copied, also not the rest of what was begun.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.command.errors import CommandRefused
from agent.errors import IntegrityFault, StorageFault
from agent.language import say
from agent.model import uncovered
from agent.storage import files, ledger
from agent.storage.keep import outgoing_order, outgoing_rows
from agent.storage.keep.orders_files import is_locked_down
from agent.storage.keep.outgoing_order import State
from agent.storage.keep.outgoing_rows import Row
from agent.storage.proof import bundle, checkpoints, evidence, tree
from agent.storage.proof.audit import tampered
from agent.storage.proof.evidence import Chosen

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping

    from agent.model import Instant, Span
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.keep.outgoing_order import Export as Order
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

    order   of what, to whom, on which terms; `to` is BY_HAND
    second  who agreed that it serves another purpose than the camera's; empty where it does not
    since   an earlier checkpoint, to whose size a proof is made
    """

    order: Order
    out: Path
    second: str = ""
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
    Raises    ExportRefused for its terms, CommandRefused COMMAND_LOCKDOWN; StorageFault BUNDLE_NOT_EMPTY, or what
              the disk says; IntegrityFault WITNESS_CONTRADICTED when the ledger does not begin with what `since`
              signed, LEDGER_HOLE
    """
    catalogue, disk, out, order = site.catalogue, site.disk, request.out, request.order
    outgoing_order.check_terms(order, at)
    _check_open(site.state)
    _make_place(out, disk)
    tree.grow(catalogue)
    if request.since is not None:
        _check_since(catalogue, site.key, request.since)
    chosen = list(_choose(catalogue, order))
    told = dict(evidence.about(catalogue, order.camera, order.span))
    step("X1")
    claim = _claim(catalogue, request, chosen, at)
    step("X2")
    made = checkpoints.advance(catalogue, site.key, list(site.vaults.values()), site.state, at, force=True)
    checkpoint = made or checkpoints.newest(catalogue)  # the keeper may have been quicker
    if checkpoint is None or checkpoint.size < claim:
        raise tree.hole(claim)
    step("X3")
    done = Exported(checkpoint, tampered=tampered(catalogue))
    covered = [*(one.span for one in chosen), *told.values()]
    done.missing = uncovered(covered, order.span, bundle.NEARLY_MS)
    for one in chosen:
        _check_open(site.state)
        _take(one, site, out, done)
        progress(done.bytes, sum(each.sealed_bytes for each in chosen))
    step("X4")
    found = evidence.prove(
        catalogue,
        site.key.box,
        order.camera,
        order.span,
        chosen=chosen,
        told=[*told, claim],
        checkpoint=checkpoint,
        unproven=done.unproven,
        since=request.since,
    )
    done.damaged += [(f"ledger {seq}", "LEDGER_EDITED") for seq in found.edited]
    done.unproven = found.unproven
    disk.atomic_replace(out / bundle.CHECKPOINT, checkpoint.text.encode(), sync=True)
    disk.atomic_replace(out / bundle.PROOFS, bundle.encode(found.bundle), sync=True)
    step("X5")
    return done


def _check_open(state: Path) -> None:
    """Refuse while the box is locked down: no footage leaves it. Raises CommandRefused COMMAND_LOCKDOWN."""
    if is_locked_down(state):
        raise CommandRefused("COMMAND_LOCKDOWN", "the box is locked down")


def _claim(catalogue: Catalogue, request: Request, chosen: list[Chosen], at: Instant) -> int:
    """Do X2; return the seq of the fact.

    The copy counts as out from here on, and whole: whether it came to an end nobody tells who takes the disk away.
    """
    order = request.order
    more = order.terms() | ({"second": request.second} if request.second else {})
    line = ledger.line(evidence.claim(chosen, order.camera, order.span, at, by=order.person, **more))
    size = sum(one.sealed_bytes for one in chosen)

    def write(db: sqlite3.Connection) -> int:
        seq = ledger.append(db, line)
        row = Row(
            order, State.UNCONFIRMED, at.utc_ms, at.trust.value, seq, None, at.utc_ms, len(chosen), size, size,
            at.utc_ms, "", recalled=True, cleared=True, destroyed_ms=None,
        )  # fmt: skip
        outgoing_rows.insert(db, row, ())
        return seq

    return catalogue.write(write)


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


def _choose(catalogue: Catalogue, order: Order) -> Iterator[Chosen]:
    """Yield the segments of the span, each with its fact: the newest about a file of that name and digest."""
    facts = evidence.stored_facts(catalogue, order.camera)
    for segment, file in evidence.named(catalogue.segments(order.camera, order.span)):
        yield Chosen(
            segment.vault,
            segment.path,
            segment.span,
            segment.sha256,
            segment.sealed_bytes,
            segment.has_tail,
            file,
            facts.get((segment.path, segment.sha256), 0),
        )


def _take(one: Chosen, site: Site, out: Path, done: Exported) -> None:
    """Copy a segment, and its tail; what cannot be read is noted, what cannot be written ends the export."""
    vault = site.vaults.get(one.vault)
    if vault is None:
        done.damaged.append((one.file, "VAULT_MISSING"))
        return
    target = out / one.file
    for folder in reversed(target.relative_to(out).parents[:-1]):
        site.disk.make_directory(out / folder)
    source = vault.at(one.path)
    try:
        sha256 = _copy(source, target, site.disk, done)
        if one.has_tail:
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
    elif sha256 != one.sha256:
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
