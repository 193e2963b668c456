"""`delete.subject`: a span of one camera goes before its time, for the person in the picture. By its numbers:

    F1  looked for what it takes, and what forbids it (deletion.py)
    F2  one transaction, under `locks.fate`: the segments are condemned for Cause.REQUESTED, the hold that kept them
        for the request is released, the fact `deletion.begun`, and the command's note of which segments they are
    F3  the keeper's rounds remove the hold's links and erase: R2 to R5 of holds.py, E3 to E6 of erase.py
    F4  one transaction (J6): the outcome, and the fact `deletion.ended`

Killed before F2 nothing was begun, and all is looked at again; after it each segment is erased once, as any other that
is condemned, and the answer is counted from the tombstones. A hold that comes before a segment's header is overwritten
gives it its state back, as ever: then the answer says that it is not whole.
Source: Gangneung regulation art. 29(1); PIPA art. 21(2), 36(2)-(3); docs/adr/0032
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.command import deleting, judge
from agent.command.errors import CommandRefused
from agent.command.keyring import Role
from agent.model import Fact, Span, Trust
from agent.storage import ledger
from agent.storage.keep import deletion, erase, hold_rows, orders_files, orders_rows, orders_weight
from agent.storage.keep.orders_hold import lacks_rows
from agent.storage.keep.orders_run import DONE, FAILED, PROGRESS, Outcome
from agent.storage.keep.placing import released_fact
from agent.storage.keep.retention import Cause
from agent.storage.keep.stored import CONDEMNED, GONE
from agent.storage.locks import fate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from agent.command.judge import Weight
    from agent.command.order import Order
    from agent.storage.keep.deletion import Found
    from agent.storage.keep.orders_run import Context

LATE_MS = 3_600_000
"""So soon it is done, or answered as not whole (duty 29(1): deleted within the hour)."""


def weigh(context: Context, order: Order) -> Weight:
    """Refuse what cannot be done as a whole now; count what goes early against what may go in a day.

    Raises  CommandRefused DELETION_*, CAMERA_UNKNOWN; HoldRefused; TimeUntrusted; StorageFault
    """
    if len(order.signers) < 2 and not _has_privacy_officer(context):
        raise CommandRefused("DELETION_NO_PRIVACY", "the ring has no key of a privacy officer")
    found = _look(context, order)
    return orders_weight.of(context, _early(context, found), signatures=2)


def delete(context: Context, order: Order) -> Outcome:
    """Do F1 and F2 once; then say how far it is, until all are gone or an hour is over."""
    if context.note is not None:
        return _follow(context, order, context.note)
    if context.last:
        return Outcome(FAILED, "COMMAND_INTERRUPTED")
    try:
        note = _begin(context, order)
    except CommandRefused as refused:
        return Outcome(FAILED, refused.code, {"reason": str(refused.context.get("reason", ""))})
    return Outcome(PROGRESS, detail=_counts(order, note, left=len(note["segments"])))


def _look(context: Context, order: Order) -> Found:
    wanted = order.arguments
    erase.require_time(context.now)
    if wanted["camera"] not in context.catalogue.cameras():
        raise CommandRefused("CAMERA_UNKNOWN", "no such camera")
    span = _span(order)
    deleting.check(span, context.now.utc_ms)
    if lacks_rows(context):
        raise CommandRefused("DELETION_UNREADY", "the catalogue is not whole")
    found = deletion.look(
        context.catalogue,
        context.vaults,
        context.state,
        wanted["camera"],
        span,
        hold_id=wanted.get("hold", ""),
        now_ms=context.now.utc_ms,
    )
    context.step("F1")
    return found


def _begin(context: Context, order: Order) -> dict[str, Any]:
    """Do F1 and F2; return the note."""
    wanted, now = order.arguments, context.now
    with fate(context.state):
        _still_allowed(context, order)
        found = _look(context, order)
        hold = found.hold
        note: dict[str, Any] = {
            "segments": [row.id for row in found.rows],
            "begun_ms": now.utc_ms,
            "start_ms": found.span.start_ms,
            "end_ms": found.span.end_ms,
            "sealed_bytes": found.sealed_bytes,
        }
        count, sealed_bytes = (0, 0) if hold is None else hold_rows.totals(context.catalogue, hold.id)
        body = _body(order, note, segments=len(found.rows), hold_segments=count)
        facts = [Fact("deletion.begun", now, body)]
        if hold is not None:
            facts.append(released_fact(hold, now, wanted["request"], order.by, (count, sealed_bytes)))
        lines = [ledger.line(fact) for fact in facts]

        def condemn(db: sqlite3.Connection) -> None:
            again = deletion.touched(db.execute, wanted["camera"], _span(order))
            if [row.id for row in again] != note["segments"]:
                raise CommandRefused("DELETION_UNREADY", "another segment came in between")
            (note["seq"],) = db.execute("SELECT COALESCE(MAX(seq), 0) FROM ledger").fetchone()
            if hold is not None:
                hold_rows.release(db, hold.id, now.utc_ms, wanted["request"])
            live = [row.id for row in found.live]
            if erase.mark(db, [(each, str(Cause.REQUESTED)) for each in live], now) != live:
                raise CommandRefused("DELETION_UNREADY", "a segment may not be condemned now")
            for line in lines:
                ledger.append(db, line)
            orders_rows.put_notes(db, {order.id: note})

        context.catalogue.write(condemn)
    context.note = note
    context.step("F2")
    return note


def _still_allowed(context: Context, order: Order) -> None:
    """Refuse what may have been accepted long ago: the box was locked down since, or a signer may not any more."""
    erase.require_time(context.now)
    if orders_files.is_locked_down(context.state):
        raise CommandRefused("COMMAND_LOCKDOWN", "the box is locked down")
    why = judge.still_allowed(order, context.ring, context.box, context.now)
    if why:
        raise CommandRefused(why, "a signer may not order it any more")


def _follow(context: Context, order: Order, note: dict[str, Any]) -> Outcome:
    """Say how far it is; at its end count what the tombstones tell."""
    query = "SELECT path, state FROM segment WHERE id IN (SELECT value FROM json_each(?))"
    rows = context.catalogue.read(query, (json.dumps(note["segments"]),))
    left = [path for path, state in rows if state == CONDEMNED]
    trusted = context.now.trust is not Trust.UNTRUSTED
    late = trusted and context.now.utc_ms - note["begun_ms"] > LATE_MS
    if left and not late and not context.last:
        return Outcome(PROGRESS, detail=_counts(order, note, left=len(left)))
    tombstones = _tombstones(context, note["seq"], {path for path, _ in rows})
    # In the place of a replaced one something else lies, and stays: whoever put it there may have the segment.
    missing = [each for each in tombstones if each.get("missing") and not each.get("replaced")]
    unshredded = [
        each for each in tombstones if each.get("replaced") or not (each["shredded"] or each.get("missing"))
    ]
    kept = sum(state not in (CONDEMNED, GONE) for _, state in rows)
    counts = _counts(
        order,
        note,
        erased=len(tombstones),
        missing=len(missing),
        unshredded=len(unshredded),
        kept=kept,
        left=len(left),
    )
    code = "DELETION_UNFINISHED" if left else "DELETION_PARTLY" if kept or unshredded else ""
    body = _body(order, note) | counts
    fact = Fact("deletion.ended", context.now, body)
    return Outcome(FAILED if code else DONE, code, counts, (fact,))


def _tombstones(context: Context, after_seq: int, paths: set[str]) -> list[dict[str, Any]]:
    query = "SELECT body FROM ledger WHERE kind = 'segment.erased' AND seq > ? ORDER BY seq"
    bodies = (json.loads(body) for (body,) in context.catalogue.read(query, (after_seq,)))
    return [body for body in bodies if body["path"] in paths]


def _early(context: Context, found: Found) -> Iterator[int]:
    """Yield how much stored time it lets go early: the deletion's own, and what else the hold alone had kept."""
    yield sum(row.end_ms - row.start_ms for row in found.live)
    if found.hold is not None:
        yield from orders_weight.released_ms(context, found.hold, [row.id for row in found.rows])


def _has_privacy_officer(context: Context) -> bool:
    ring = context.ring
    return any(
        key.role is Role.PRIVACY
        and key.kid not in ring.revoked
        and key.serves(context.box)
        and key.is_valid(context.now.utc_ms)
        for key in ring.keys
    )


def _span(order: Order) -> Span:
    return Span(order.arguments["from_ms"], order.arguments["to_ms"])


def _counts(order: Order, note: dict[str, Any], **more: int) -> dict[str, Any]:
    """Return what the reply says: the true span, and how many."""
    return {
        "deletion": order.id,
        "camera": order.arguments["camera"],
        "start_ms": note["start_ms"],
        "end_ms": note["end_ms"],
        "segments": len(note["segments"]),
        "sealed_bytes": note["sealed_bytes"],
        **more,
    }


def _body(order: Order, note: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what both facts say: what was asked for, why, and by whose keys."""
    wanted = order.arguments
    return {
        "deletion": order.id,
        "camera": wanted["camera"],
        "from_ms": wanted["from_ms"],
        "to_ms": wanted["to_ms"],
        "start_ms": note["start_ms"],
        "end_ms": note["end_ms"],
        "sealed_bytes": note["sealed_bytes"],
        "ground": wanted["ground"],
        "grounds": deleting.EDITION,
        "request": wanted["request"],
        "hold": wanted.get("hold", ""),
        "kids": [key.kid for key in order.signers],
        "by": order.by,
        **more,
    }
