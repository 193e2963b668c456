"""Read of the box what reports show. Edge; it writes nothing.

What the sheets show of the ledger is read after its checkpoint: each entry up to the checkpoint's size is proven by it,
and later ones are told apart.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.command import ring as rings
from agent.command.ring import Ring
from agent.errors import ConfigError
from agent.field.reports.figures import Past
from agent.field.reports.rows import Entry
from agent.language import say
from agent.model import GapCause, Span
from agent.storage import progress
from agent.storage.files import Disk
from agent.storage.keep.day import STORED, off_hours
from agent.storage.keep.orders_inspect import inspection
from agent.storage.keep.orders_run import Context
from agent.storage.keep.rollover import Rules
from agent.storage.keep.time import TimeKeeper
from agent.storage.proof import checkpoints, note, signing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agent.config import Config
    from agent.health import Raised
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

WINDOW = 20_000
"""Entries of the ledger that are looked through at a time."""
DOCTOR_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Proof:
    """The checkpoint that a report was made from.

    size, root  how many entries it covers, and the root over them in hexadecimal
    key         name and id of the key that signed it, as "name+id"
    good        whether that is the box's own key; None where the box has no public key to look at
    note        the whole signed note
    """

    origin: str
    size: int
    root: str
    key: str
    good: bool | None
    at_ms: int | None
    note: str


def proof(catalogue: Catalogue, state: Path) -> Proof | None:
    """Read the newest checkpoint; None for a ledger that was never signed. Raises StorageFault, IntegrityFault."""
    found = checkpoints.newest(catalogue)
    if found is None:
        return None
    verifier = signing.load_verifier(state)
    signers = [f"{one.name}+{one.key_id.hex()}" for one in note.parse_note(found.text.encode()).signatures]
    return Proof(
        found.head.origin,
        found.size,
        found.head.root.hex(),
        ", ".join(signers),
        checkpoints.signed_by(found, verifier) if verifier is not None else None,
        found.at_ms,
        found.text,
    )


@dataclass(frozen=True, slots=True)
class Entries:
    """The part of the ledger that a sheet is about.

    first, last  seqs
    """

    first: int
    last: int


def bounds(catalogue: Catalogue) -> Entries:
    """Return what there is of the ledger. Raises StorageFault."""
    first, last = catalogue.read("SELECT MIN(seq), MAX(seq) FROM ledger")[0]
    return Entries(first or 1, last or 0)


def kept_from(catalogue: Catalogue) -> int | None:
    """Return since when there is a ledger, UTC ms, by entries whose time is to be trusted. Raises StorageFault."""
    found: int | None = catalogue.read("SELECT MIN(at_ms) FROM ledger WHERE trust != 'UNTRUSTED'")[0][0]
    return found


def was_pruned(catalogue: Catalogue) -> bool:
    """Tell whether entries were ever let go of this ledger. Raises StorageFault."""
    return bool(catalogue.read("SELECT 1 FROM ledger WHERE kind = 'ledger.pruned' LIMIT 1"))


def entries(
    catalogue: Catalogue,
    there: Entries,
    kinds: Sequence[str],
    span: Span,
    show: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[Entry]:
    """Yield the entries of some kinds that were written in a span, oldest first, a window of the ledger at a time.

    One whose time is not to be trusted belongs where it stands: after what was before the span, before what was after.
    show    told how many entries were looked through, and of how many
    Raises  StorageFault
    """
    among = _among(catalogue, there, span)
    marks = ", ".join("?" * len(kinds))
    query = (
        "SELECT seq, at_ms, trust, kind, CAST(body AS BLOB) FROM ledger WHERE seq BETWEEN ? AND ?"  # noqa: S608 - marks
        " AND ((at_ms >= ? AND at_ms < ?) OR (trust = 'UNTRUSTED' AND seq BETWEEN ? AND ?))"
        f" AND kind IN ({marks}) ORDER BY seq"
    )
    for begin in range(there.first, there.last + 1, WINDOW):
        end = min(begin + WINDOW - 1, there.last)
        for row in catalogue.read(query, (begin, end, span.start_ms, span.end_ms, *among, *kinds)):
            yield _entry(row)
        show(end - there.first + 1, there.last - there.first + 1)


def _among(catalogue: Catalogue, there: Entries, span: Span) -> tuple[int, int]:
    """Return between which entries those of a span stand, by such as have a time to be trusted."""
    query = (
        "SELECT MAX(CASE WHEN at_ms < ? THEN seq END), MIN(CASE WHEN at_ms >= ? THEN seq END) FROM ledger"
        " WHERE seq BETWEEN ? AND ? AND trust != 'UNTRUSTED'"
    )
    first, last = there.first, there.last
    for begin in range(there.first, there.last + 1, WINDOW):
        end = min(begin + WINDOW - 1, there.last)
        ((before, after),) = catalogue.read(query, (span.start_ms, span.end_ms, begin, end))
        first = first if before is None else before + 1
        if after is not None:
            last = after - 1
            break
    return first, last


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, at_ms, trust, kind, body = row
    return Entry(seq, at_ms, trust, kind, _body(body))


def _body(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def pasts(
    catalogue: Catalogue,
    config: Config,
    span: Span,
    now_ms: int,
    show: Callable[[int, int], None] = lambda *_: None,
) -> list[Past]:
    """Read what is stored of each configured camera in a span. Raises StorageFault.

    show  is called with the number of cameras read, and of all
    """
    # Before the catalogue: what is committed in between is then found twice, and not never.
    opened = progress.read_all(config.storage.state).values()
    firsts = dict(catalogue.read("SELECT id, first_seen_ms FROM camera"))
    found: list[Past] = []
    for camera in config.cameras:
        show(len(found), len(config.cameras))
        spans = [
            Span(one.start_ms, max(one.start_ms, one.reached_ms(now_ms)))
            for one in opened
            if one.camera == camera.id
        ]
        covered = catalogue.coverage(camera.id, span)
        spans += [each.span for each in covered.segments if each.state in STORED]
        first_ms = min([int(firsts.get(camera.id, now_ms)), *(each.start_ms for each in spans)])
        gaps = Counter(gap.cause for gap in covered.gaps)
        del gaps[GapCause.OFF_HOURS]
        past = Span(span.start_ms, max(span.start_ms, min(span.end_ms, now_ms)))
        off = off_hours(covered.gaps, spans, camera.hours, past)
        found.append(Past(camera.id, first_ms, spans, dict(gaps), off))
    return found


def inspected(config: Config, catalogue: Catalogue, now: Instant, wrong: Sequence[Raised]) -> dict[str, Any]:
    """Return what `inspect` says of this box, unsigned. Raises StorageFault, IntegrityFault."""
    state = config.storage.state
    retention = {camera.id: camera.retention_days * 86_400_000 for camera in config.cameras}
    nobody = Ring("", 0, 0, (), frozenset(), config.storage.recipients)
    return inspection(
        Context(
            config.box.id,
            state,
            config.file,
            config.storage.run,
            Rules(retention, config.storage.retention_days * 86_400_000, config.box.operator),
            catalogue,
            {},
            TimeKeeper(state, config.storage.vaults),
            now,
            0.0,
            rings.load(state) or nobody,
            None,
            Disk(),
            lambda _: None,
            wrong,
        )
    )


def examined(catalogue: Catalogue, digest: str) -> Entry | None:
    """Return the ledger's word that the site was examined with a result of this SHA-256. Raises StorageFault."""
    rows = catalogue.read(
        "SELECT seq, at_ms, trust, kind, CAST(body AS BLOB) FROM ledger WHERE kind = 'box.examined'"
        " AND json_extract(body, '$.sha256') = ? ORDER BY seq DESC LIMIT 1",
        (digest,),
    )
    return _entry(rows[0]) if rows else None


def doctor(file: Path, box: str) -> tuple[dict[str, Any], bytes]:
    """Read what `pasu doctor --json` wrote on this box; return it, and the file's bytes.

    Raises  ConfigError REPORT_DOCTOR for a file that is not that, or of another box
    """
    try:
        with file.open("rb") as told:
            data = told.read(DOCTOR_BYTES + 1)
        found = json.loads(data) if len(data) <= DOCTOR_BYTES else None
    except (OSError, ValueError, RecursionError):
        found, data = None, b""
    if not isinstance(found, dict) or not isinstance(found.get("checks"), list) or found.get("box") != box:
        raise ConfigError(
            "REPORT_DOCTOR",
            say(
                f"박스 {box}에서 한 `pasu doctor --json`의 결과가 아닙니다",
                f"this is not what `pasu doctor --json` writes on box {box}",
            ),
            hint=say(
                "`pasu doctor --json > doctor.json`을 하고 그 파일을 주십시오",
                "do `pasu doctor --json > doctor.json`, and name that file",
            ),
            file=str(file),
        )
    return found, data
