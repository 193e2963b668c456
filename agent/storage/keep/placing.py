"""Place and release holds: H1 to H6 and R1 to R5, see agent/storage/keep/holds.py."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say
from agent.model import Fact, Span, uncovered
from agent.storage import ledger, progress
from agent.storage.catalogue import LIVE
from agent.storage.keep import hold as rules
from agent.storage.keep import hold_files, hold_rows, linking
from agent.storage.keep.hold import Hold, HoldRefused
from agent.storage.keep.reach import has_header
from agent.storage.keep.stored import covered, covered_condemned
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.stored import Stored
    from agent.storage.vault import Vault

_ROUNDING_MS = 100  # less between two segments is the rounding of frame times


def nothing(_: str) -> None:
    """Take a step, and do nothing."""


@dataclass(slots=True)
class Placed:
    """What a hold came to.

    segments,sealed_bytes  that it has links of now
    spared                 of these, were condemned already, and came back
    late                   segments of the span that were erased already, or were past saving; the newest seven days'
    undecided              condemned ones that could not be looked at: they come back when their disk does
    open                   what of the past span lies in segments that are being recorded: linked when they are stored
    holes                  what of the past span is stored nowhere, by camera
    future                 what of the span is still to be recorded, and will be linked then
    unfinished             vaults that are not there or would not take it: it is tried again by the keeper
    """

    hold: Hold
    segments: int = 0
    sealed_bytes: int = 0
    spared: list[Stored] = field(default_factory=list)
    late: list[Stored] = field(default_factory=list)
    undecided: list[Stored] = field(default_factory=list)
    lost: list[Stored] = field(default_factory=list)
    open: list[tuple[str, Span]] = field(default_factory=list)
    holes: list[tuple[str, Span]] = field(default_factory=list)
    future: Span | None = None
    unfinished: set[str] = field(default_factory=set)
    faults: list[StorageFault] = field(default_factory=list)


@dataclass(slots=True)
class Released:
    """What a release came to; what is unfinished is done by the keeper."""

    hold: Hold
    segments: int
    sealed_bytes: int
    unfinished: set[str] = field(default_factory=set)
    faults: list[StorageFault] = field(default_factory=list)


def place(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    order: Hold,
    at: Instant,
    *,
    later: bool = False,
    step: Callable[[str], None] = nothing,
) -> Placed:
    """Place a hold. Given again with the same terms, it finishes one that was cut off.

    later   links are left to the keeper's turns, and what is missing is not looked for

    vaults  by uuid, those that are there
    order   placed_ms and trust are set here
    Raises  HoldRefused; StorageFault when the catalogue cannot take it: HOLD_UNFINISHED when a vault has its file
            already, and it will hold all the same
    """
    rules.check_order(order, at)
    order = replace(order, placed_ms=at.utc_ms, trust=at.trust.value)
    # Before the catalogue is asked: what is stored in between is then found twice, and not never.
    opened = list(progress.read_all(state).values())
    with fate(state):
        known = hold_rows.find(catalogue, order.id)
        written = _written(vaults, order.id)
        hold = _same_order(order, [each for each in (known, *written.values()) if each is not None])
        report = Placed(hold)
        _write_files(vaults, hold, report, step)
        if known is None:
            _place_rows(catalogue, vaults, hold, at, report, step=step)
        try:
            hold_files.write_copy(hold_files.copies(state, vaults), hold)
        except StorageFault as fault:  # the keeper tries again
            report.faults.append(fault)
    if later:
        return report
    top = hold_rows.newest(catalogue)
    linked = linking.link(catalogue, vaults, state, hold, covered(catalogue, hold, LIVE), step=step)
    if linked.is_whole:
        hold_rows.set_mark(catalogue, hold.id, top)
    report.lost = linked.lost
    report.unfinished |= linked.away
    report.faults += linked.faults
    _answer(catalogue, hold, at, report, opened)
    return report


def _written(vaults: Mapping[str, Vault], hold_id: str) -> dict[str, Hold]:
    """Return what the vaults have of a hold. What cannot be read is written anew by a hold of its name."""
    found = {uuid: hold_files.read(vault, hold_id) for uuid, vault in vaults.items()}
    return {uuid: hold for uuid, hold in found.items() if isinstance(hold, Hold)}


def _same_order(order: Hold, known: list[Hold]) -> Hold:
    """Return the hold that is there, when it is the one that is ordered; the order when there is none."""
    for hold in known:
        if not hold.is_active or hold.terms() != order.terms():
            raise HoldRefused(
                "HOLD_EXISTS",
                say(
                    f"이 id의 보존이 이미 있습니다: {order.id}",
                    f"there is another hold of this id: {order.id}",
                ),
                hint=say("다른 --id를 주십시오", "give another --id"),
            )
    return known[0] if known else order


def _write_files(
    vaults: Mapping[str, Vault], hold: Hold, report: Placed, step: Callable[[str], None]
) -> None:
    for uuid, vault in vaults.items():
        try:
            if hold_files.read(vault, hold.id) != hold:
                hold_files.write(vault, hold)
        except StorageFault as fault:
            report.faults.append(fault)
            report.unfinished.add(uuid)
        step("H1")


def _place_rows(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    hold: Hold,
    at: Instant,
    report: Placed,
    *,
    step: Callable[[str], None],
) -> None:
    """Do H2 and H3."""
    try:
        for row in covered_condemned(catalogue, hold):
            vault = vaults.get(row.vault)
            try:
                whole = vault is not None and has_header(vault, row.path)
            except StorageFault:
                vault, whole = None, False
            (report.spared if whole else report.late if vault else report.undecided).append(row)
        step("H2")
        looked_at = {row.id for row in (*report.spared, *report.late, *report.undecided)}
        before = list(report.spared)

        def insert(db: sqlite3.Connection) -> None:
            # What was condemned since H2 cannot have been overwritten: that needs the lock which is held here.
            rows = covered_condemned(catalogue, hold)
            report.spared = before + [row for row in rows if row.id not in looked_at]
            hold_rows.insert(db, hold)
            body = hold.body() | {"spared": len(report.spared), "late": len(report.late)}
            line = ledger.line(Fact("hold.placed", at, body))
            for row in report.spared:
                spare(db, row)
            ledger.append(db, line)

        catalogue.write(insert)
    except StorageFault as fault:
        if len(report.unfinished) == len(vaults):
            raise
        raise StorageFault(
            "HOLD_UNFINISHED",
            say(
                "보존이 저장소에는 적혔으나 목록에는 아직 없습니다",
                "the hold is in the vault and not in the catalogue",
            ),
            hint=say(
                f"지워지지 않습니다. 끝내려면 같은 명령을 --id {hold.id}로 다시 하십시오",
                f"it holds all the same; to finish it give the command again with --id {hold.id}",
            ),
            reason=str(fault),
        ) from fault
    step("H3")


def spare(db: sqlite3.Connection, row: Stored) -> bool:
    """Give a condemned segment its state back inside the caller's transaction; false if it is not condemned.

    Holds look for segments without links from their beginning then: it may be older than what they looked at last.
    """
    db.execute("UPDATE hold SET linked_id = NULL WHERE released_ms IS NULL")
    query = (
        "UPDATE segment SET state = ?, cause = '', condemned_ms = NULL WHERE id = ? AND state = 'CONDEMNED'"
    )
    return bool(db.execute(query, (row.live_state, row.id)).rowcount)


def _answer(
    catalogue: Catalogue, hold: Hold, at: Instant, report: Placed, opened: list[progress.Open]
) -> None:
    """Say what was asked for and is not there."""
    report.segments, report.sealed_bytes = hold_rows.totals(catalogue, hold.id)
    report.late += covered(catalogue, hold, "state = 'GONE'")
    past = Span(hold.span.start_ms, max(hold.span.start_ms, min(hold.span.end_ms, at.utc_ms)))
    if hold.span.end_ms > at.utc_ms:
        report.future = Span(max(at.utc_ms, hold.span.start_ms), hold.span.end_ms)
    cameras = catalogue.cameras() if rules.EVERY in hold.cameras else hold.cameras
    for camera in cameras:
        rows = covered(catalogue, hold, LIVE, [camera])
        spans, paths = [row.span for row in rows], {row.path for row in rows}
        spans += [row.span for row in (*report.undecided, *report.late) if row.camera == camera]
        stored = max((span.end_ms for span in spans), default=0)
        for one in opened:
            start = max(one.start_ms, stored, past.start_ms)
            end = min(one.reached_ms(at.utc_ms), past.end_ms)
            if one.camera == camera and one.path not in paths and start < end:
                spans.append(Span(start, end))
                report.open.append((camera, spans[-1]))
        report.holes += [(camera, hole) for hole in uncovered(spans, past, _ROUNDING_MS)]


def released_fact(hold: Hold, at: Instant, reason: str, by: str, had: tuple[int, int]) -> Fact:
    """Write down that a hold is over. had: how many segments it had links of, and their bytes."""
    body = {
        "hold": hold.id,
        "reason": reason,
        "released_by": by,
        "placed_ms": hold.placed_ms,
        "segments": had[0],
        "sealed_bytes": had[1],
    }
    return Fact("hold.released", at, body)


def release(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    hold_id: str,
    at: Instant,
    *,
    reason: str,
    by: str = "",
    later: bool = False,
    step: Callable[[str], None] = nothing,
) -> Released:
    """Release a hold. What is older than the retention is erased by the keeper's next rounds.

    later   links are left to the keeper's turns

    Raises  HoldRefused HOLD_UNKNOWN, HOLD_RELEASED, HOLD_TEXT; StorageFault when the catalogue cannot take it, and
            then it still holds
    """
    rules.check_text("--reason", reason)
    with fate(state):
        hold = hold_rows.find(catalogue, hold_id)
        if hold is None:
            ids = ", ".join(each.id for each in hold_rows.holds(catalogue)) or "-"
            raise HoldRefused(
                "HOLD_UNKNOWN",
                say(f"이런 보존이 없습니다: {hold_id}", f"no such hold: {hold_id}"),
                hint=say(f"있는 보존: {ids}", f"holds: {ids}"),
            )
        if hold.released_ms is not None:
            raise HoldRefused(
                "HOLD_RELEASED",
                say(f"이미 해제된 보존입니다: {hold_id}", f"the hold was released before: {hold_id}"),
                hint=say("`pasu hold list --all`로 보십시오", "see `pasu hold list --all`"),
                reason=hold.release_reason,
            )
        count, sealed = hold_rows.totals(catalogue, hold_id)
        line = ledger.line(released_fact(hold, at, reason, by, (count, sealed)))

        def over(db: sqlite3.Connection) -> None:
            if hold_rows.release(db, hold_id, at.utc_ms, reason):
                ledger.append(db, line)

        catalogue.write(over)
    step("R1")
    hold = hold.released(at.utc_ms, reason)
    if later:
        return Released(hold, count, sealed)
    faults = linking.unlink(catalogue, vaults, state, hold, step=step)
    away = hold_rows.vaults(catalogue, hold_id)
    return Released(hold, count, sealed, away, faults)
