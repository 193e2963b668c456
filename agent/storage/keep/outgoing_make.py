"""Take an order for an export, and make its bundle: O1 to O9, see agent/storage/keep/outgoing.py."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.consignment import MOST_FILES, MQTT, SUMS, Part, sums
from agent.errors import StorageFault
from agent.language import say
from agent.model import Fact, Span, uncovered
from agent.storage import files, ledger
from agent.storage.catalogue import SEGMENTS, segment_of
from agent.storage.keep import outgoing_files, outgoing_rows
from agent.storage.keep.outgoing_order import LIFE_MS, OPEN, Export, ExportRefused, State, check
from agent.storage.keep.outgoing_rows import Linked, Row
from agent.storage.keep.reach import TAIL, has_header, is_absent
from agent.storage.locks import fate
from agent.storage.proof import bundle, checkpoints, evidence, tree
from agent.storage.proof.evidence import Chosen

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.proof.signing import BoxKey
    from agent.storage.vault import Vault

BATCH = 200
MOST_OPEN = 32
"""Exports that have a bundle at a time: each keeps its segments from being erased for a while."""
MOST_MANIFEST_BYTES = 500 << 10
"""Of the list of an export's files over MQTT, one message: a broker ends the connection over one of 512 KiB."""
_LISTED_BYTES = 84  # of a file, beside its name: digest, length, marks of JSON
_READ_BYTES = 1 << 20


@dataclass(slots=True)
class Requested:
    """What an order came to.

    segments, sealed_bytes  that are to be handed out
    missing                 parts of the span that are stored nowhere
    away                    of the segments: their vault is not there now
    """

    export: Export
    segments: int = 0
    sealed_bytes: int = 0
    missing: list[Span] = field(default_factory=list)
    away: int = 0


def request(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    export: Export,
    at: Instant,
    *,
    step: Callable[[str], None],
) -> Requested:
    """Do O1. Given again with the same terms, it answers again, and that is all.

    Raises  ExportRefused, also EXPORT_EXISTS, EXPORT_EMPTY, EXPORT_TOO_LARGE, EXPORT_TOO_MANY; StorageFault
    """
    known = outgoing_rows.find(catalogue, export.id)
    if known is not None:
        if known.export != export:
            raise ExportRefused(
                "EXPORT_EXISTS",
                say("이 id의 반출이 이미 있습니다", "there is another export of this id"),
                hint=say("새 명령으로 청하십시오", "ask with a new command"),
            )
        chosen = outgoing_rows.segments(catalogue, export.id)
        return _answer(export, [(one.span, one.sealed_bytes, one.vault) for one in chosen], vaults)
    check(export, at)
    if sum(row.state in OPEN for row in outgoing_rows.rows(catalogue)) >= MOST_OPEN:
        raise ExportRefused(
            "EXPORT_TOO_MANY",
            say("진행 중인 반출이 너무 많습니다", "too many exports are under way"),
            hint=say("`pasu export list`를 보고 기다리십시오", "see `pasu export list`, and wait"),
        )
    found = list(_choose(catalogue, export))
    if not found:
        raise ExportRefused(
            "EXPORT_EMPTY",
            say("그 구간에 저장된 영상이 없습니다", "nothing of this span is stored"),
            hint=say("`pasu segments`로 있는 구간을 보십시오", "see what is stored with `pasu segments`"),
        )
    if len(found) > MOST_FILES:
        raise ExportRefused(
            "EXPORT_TOO_LARGE",
            say(
                f"조각이 {len(found)}개입니다. 한 번에 {MOST_FILES}개까지",
                f"{len(found)} segments; at most {MOST_FILES} at a time",
            ),
            hint=say("구간을 나누어 청하십시오", "ask for the span in parts"),
        )
    listed = sum(
        (len(one.file) + _LISTED_BYTES) * 2 if one.has_tail else len(one.file) + _LISTED_BYTES
        for _, one in found
    )
    if export.to == MQTT and listed > MOST_MANIFEST_BYTES:
        raise ExportRefused(
            "EXPORT_TOO_LARGE",
            say(
                f"조각이 {len(found)}개입니다. MQTT로는 한 번에 그렇게 많이 보내지 못합니다",
                f"{len(found)} segments; too many for MQTT at a time",
            ),
            hint=say(
                "구간을 나누어 청하거나, to를 https 주소로 하십시오",
                "ask for the span in parts, or with `to` an https address",
            ),
        )
    row = Row(
        export, State.REQUESTED, at.utc_ms, at.trust.value, None, None, at.utc_ms + LIFE_MS, 0, 0, 0, None, "",
        recalled=False, cleared=False, destroyed_ms=None,
    )  # fmt: skip
    answer = _answer(export, [(one.span, one.sealed_bytes, one.vault) for _, one in found], vaults)
    body = export.body() | {"segments": answer.segments, "sealed_bytes": answer.sealed_bytes}
    line = ledger.line(Fact("export.requested", at, body))

    def insert(db: sqlite3.Connection) -> None:
        outgoing_rows.insert(db, row, found)
        ledger.append(db, line)

    catalogue.write(insert)
    step("O1")
    return answer


def _choose(catalogue: Catalogue, export: Export) -> Iterator[tuple[int, Chosen]]:
    span = export.span
    rows = catalogue.read(SEGMENTS, {"camera": export.camera, "from_ms": span.start_ms, "to_ms": span.end_ms})
    for row, (one, file) in zip(rows, evidence.named(map(segment_of, rows)), strict=True):
        chosen = Chosen(one.vault, one.path, one.span, one.sha256, one.sealed_bytes, one.has_tail, file)
        yield row[-1], chosen


def _answer(export: Export, found: Sequence[tuple[Span, int, str]], vaults: Mapping[str, Vault]) -> Requested:
    return Requested(
        export,
        len(found),
        sum(sealed for _, sealed, _ in found),
        uncovered([span for span, *_ in found], export.span, bundle.NEARLY_MS),
        sum(vault not in vaults for *_, vault in found),
    )


class Maker:
    """Makes bundles: O2 to O9, in as many turns as it takes."""

    def __init__(
        self,
        catalogue: Catalogue,
        vaults: Mapping[str, Vault],
        state: Path,
        key: BoxKey,
        at: Instant,
        *,
        step: Callable[[str], None],
    ) -> None:
        """Do nothing yet."""
        self._catalogue = catalogue
        self._vaults = vaults
        self._state = state
        self._key = key
        self._at = at
        self._step = step

    def advance(self, row: Row, enough: Callable[[], bool]) -> bool:
        """Go on with an export that is REQUESTED; tell whether there is more to be done at once.

        Raises  StorageFault; then it is tried again
        """
        export = row.export
        if row.claim is None:
            if not self._link(export.id, enough):
                return True
            self._claim(export)
            row = outgoing_rows.find(self._catalogue, export.id) or row
        chosen = outgoing_rows.segments(self._catalogue, export.id)
        if row.claim is None or not chosen:
            self._lapse(export)
            return False
        checkpoint = self._checkpoint(row.claim)
        there = [one for one in chosen if one.vault in self._vaults]
        if not there:
            return False  # until a disk of it is back
        home = self._vaults[min(one.vault for one in there)]
        parts = self._papers(export, chosen, row.claim, checkpoint, home)
        values = {
            "state": State.BUNDLED,
            "bundled_ms": self._at.utc_ms,
            "expires_ms": self._at.utc_ms + LIFE_MS,
            "files": len(parts),
            "bytes": sum(part.size for part in parts),
        }
        self._catalogue.write(lambda db: outgoing_rows.change(db, export.id, [State.REQUESTED], **values))
        self._step("O9")
        return False

    def _link(self, export: str, enough: Callable[[], bool]) -> bool:
        """Do O2 to O5; tell whether every segment whose vault is there has its link."""
        wanted = [
            one
            for one in outgoing_rows.segments(self._catalogue, export)
            if not one.has_link and one.vault in self._vaults
        ]
        for uuid in sorted({one.vault for one in wanted}):
            outgoing_files.make(self._vaults[uuid], export)
            self._step("O2")
        rest = iter(wanted)
        while batch := list(itertools.islice(rest, BATCH)):
            self._link_batch(export, batch)
            if enough():
                return next(rest, None) is None
        return True

    def _link_batch(self, export: str, batch: Sequence[Linked]) -> None:
        made: list[int] = []
        lost: list[int] = []
        touched: set[tuple[str, str]] = set()
        with fate(self._state):
            for one in batch:
                vault = self._vaults[one.vault]
                try:
                    if not self._is_there(vault, one):
                        lost.append(one.segment)
                        continue
                    directory = outgoing_files.link(vault, export, one.path, one.file)
                except StorageFault as fault:
                    if not is_absent(fault):
                        raise
                    lost.append(one.segment)
                    continue
                made.append(one.segment)
                touched.add((one.vault, directory))
                self._step("O3")
            for uuid, directory in sorted(touched):
                self._vaults[uuid].disk.fsync_directory(self._vaults[uuid].at(directory))
            self._step("O4")

            def note(db: sqlite3.Connection) -> None:
                outgoing_rows.mark_linked(db, export, made)
                outgoing_rows.drop_segments(db, export, lost)

            self._catalogue.write(note)
            self._step("O5")

    def _is_there(self, vault: Vault, one: Linked) -> bool:
        """Tell whether a segment is what it was when it was chosen: under another row its name is another's."""
        rows = self._catalogue.read(
            "SELECT state FROM segment WHERE id = ? AND path = ?", (one.segment, one.path)
        )
        state = rows[0][0] if rows else "GONE"
        if state == "CONDEMNED":  # perhaps overwritten already, in a batch that was cut off
            return has_header(vault, one.path)
        return state in ("COMMITTED", "SALVAGED")

    def _claim(self, export: Export) -> None:
        """Do O6: say what is handed out, before a byte of it leaves. What has no link by now is not among it."""
        linked = [one for one in outgoing_rows.segments(self._catalogue, export.id) if one.has_link]
        chosen = self._chosen(export, linked)
        fact = evidence.claim(
            chosen, export.camera, export.span, self._at, by=export.person, export=export.id
        )
        line = ledger.line(fact)
        kept = {one.segment for one in linked}

        def claim(db: sqlite3.Connection) -> None:
            every = outgoing_rows.segments(self._catalogue, export.id)
            outgoing_rows.drop_segments(
                db, export.id, [one.segment for one in every if one.segment not in kept]
            )
            if linked:
                outgoing_rows.change(db, export.id, [State.REQUESTED], claim=ledger.append(db, line))

        self._catalogue.write(claim)
        self._step("O6")

    def _chosen(self, export: Export, linked: Sequence[Linked]) -> list[Chosen]:
        facts = evidence.stored_facts(self._catalogue, export.camera)
        return [
            Chosen(
                one.vault, one.path, one.span, one.sha256, one.sealed_bytes, one.has_tail, one.file,
                facts.get((one.path, one.sha256), 0),
            )
            for one in linked
        ]  # fmt: skip

    def _lapse(self, export: Export) -> None:
        """Give up an export of which nothing is there any more."""
        body = {"export": export.id, "code": "EXPORT_EMPTY", "gone_bytes": 0}
        line = ledger.line(Fact("export.expired", self._at, body))

        def lapse(db: sqlite3.Connection) -> None:
            values = {"state": State.EXPIRED, "closed_ms": self._at.utc_ms, "code": "EXPORT_EMPTY"}
            if outgoing_rows.change(db, export.id, [State.REQUESTED], **values):
                ledger.append(db, line)

        self._catalogue.write(lapse)

    def _checkpoint(self, claim: int) -> checkpoints.Checkpoint:
        """Do O7."""
        vaults = [*self._vaults.values()]
        made = checkpoints.advance(self._catalogue, self._key, vaults, self._state, self._at, force=True)
        checkpoint = made or checkpoints.newest(self._catalogue)
        if checkpoint is None or checkpoint.size < claim:
            raise tree.hole(claim)
        self._step("O7")
        return checkpoint

    def _papers(
        self,
        export: Export,
        linked: Sequence[Linked],
        claim: int,
        checkpoint: checkpoints.Checkpoint,
        home: Vault,
    ) -> list[Part]:
        """Do O8; return the files of the bundle."""
        chosen = self._chosen(export, linked)
        told = [seq for seq, _ in evidence.about(self._catalogue, export.camera, export.span)]
        proofs = evidence.prove(
            self._catalogue,
            self._key.box,
            export.camera,
            export.span,
            chosen=chosen,
            told=[*told, claim],
            checkpoint=checkpoint,
            unproven=[one.file for one in chosen if not one.seq],
        )
        papers = {
            bundle.CHECKPOINT: checkpoint.text.encode(),
            bundle.PROOFS: bundle.encode(proofs.bundle),
        }
        parts = [Part(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in papers.items()]
        for one in linked:
            if one.vault in self._vaults:
                parts += _parts_of(self._vaults[one.vault], export.id, one)
        papers[SUMS] = sums(parts)
        place = home.at(outgoing_files.home(export.id))
        for name, data in papers.items():
            home.disk.atomic_replace(place / name, data, sync=True)
        self._step("O8")
        return [Part(SUMS, len(papers[SUMS]), hashlib.sha256(papers[SUMS]).hexdigest()), *parts]


def _parts_of(vault: Vault, export: str, one: Linked) -> Iterator[Part]:
    """Yield a segment's file and its tail. A digest that the catalogue has is taken from there."""
    place = vault.at(f"{outgoing_files.home(export)}/{one.file}")
    for path, name, known in (
        (place, one.file, one.sha256),
        (place.with_name(place.name + TAIL), one.file + TAIL, ""),
    ):
        if not files.is_regular(path):
            continue
        fd = vault.disk.open_reading(path)
        try:
            size = vault.disk.status(fd, path).st_size
            yield Part(name, size, known or _digest(vault.disk, fd, path))
        finally:
            vault.disk.close(fd)


def _digest(disk: Disk, fd: int, path: Path) -> str:
    digest, at = hashlib.sha256(), 0
    while data := disk.read_at(fd, path, _READ_BYTES, at):
        digest.update(data)
        at += len(data)
    return digest.hexdigest()
