"""The commands of the disaster mode: `disaster.start`, `disaster.stop` (art. 28(1)6; the procedure: disaster.py).

One officer is enough, and it is a purpose that the cameras were not put up for: so its ground is one of three, it ends
by itself, everybody can see in the ledger who began it, and health says for as long as it lasts that it is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.command.errors import CommandRefused
from agent.grants import Kind
from agent.model import Fact
from agent.storage import ledger
from agent.storage.keep import orders_rows, orders_weight, shown_rows, standing, streams
from agent.storage.keep.disaster import COMMAND
from agent.storage.keep.hold import EDITION
from agent.storage.keep.orders_run import Outcome
from agent.storage.keep.orders_stream import config_of

if TYPE_CHECKING:
    import sqlite3

    from agent.command.judge import Weight
    from agent.command.order import Order
    from agent.storage.keep.orders_run import Context

GROUNDS = ("disaster", "vital-interest", "public-safety")
"""Of the table of grounds, those for which one may look through all cameras at once."""
MOST_MODES = 4
"""One, and so many before it that have not come to their end."""


def weigh_start(context: Context, order: Order) -> Weight:
    """Refuse a mode that cannot be.

    Raises  CommandRefused STREAM_NOT_CONFIGURED, STREAM_CENTRE, STREAM_GROUND, STREAM_SOURCE, STREAM_BUSY
    """
    config = config_of(context)
    if config.media(order.arguments.get("centre", "")) is None:
        raise CommandRefused("STREAM_CENTRE", "no such centre is configured")
    if order.arguments["ground"] not in GROUNDS:
        raise CommandRefused("STREAM_GROUND", "no ground for all cameras at once", reason=", ".join(GROUNDS))
    if not standing.shown_first(config):
        raise CommandRefused("STREAM_SOURCE", "no camera of the box can be shown live")
    if len(orders_rows.shown(context.catalogue, COMMAND)) >= MOST_MODES:
        raise CommandRefused("STREAM_BUSY", "the modes before it have not come to their end")
    return orders_weight.LIGHT


def start(context: Context, order: Order) -> Outcome:
    """Do Y1; the keeper's turns do the rest. The second time the row knows: it lasts no longer."""
    note = context.note
    if note is None:
        wanted, now_boot_ms = order.arguments, int(context.mono_s * 1000)
        minutes_ms = wanted["minutes"] * 60_000
        note = {
            "boot": context.clock.boot_id,
            "until_boot_ms": now_boot_ms + minutes_ms,
            "until_ms": context.now.utc_ms + minutes_ms,
            "trust": str(context.now.trust),
            "minutes": wanted["minutes"],
            "centre": wanted.get("centre", ""),
            "cameras": [camera.id for camera in standing.shown_first(config_of(context))],
            "ended": "",
            "ended_boot_ms": 0,
            "over": False,
        }
        body = {
            "disaster": order.id,
            "ground": wanted["ground"],
            "grounds": EDITION,
            "reason": wanted["reason"],
            "centre": note["centre"],
            "cameras": note["cameras"],
            "minutes": wanted["minutes"],
            "until_ms": note["until_ms"],
            "person": order.by,
        }
        notes = _ended(context, "renewed") | {order.id: note}
        _put(context, notes, Fact("disaster.started", context.now, body))
        context.note = note
        context.step("Y1")
    detail = {"disaster": order.id, "cameras": note["cameras"], "until_ms": note["until_ms"]}
    return Outcome(detail=detail)


def weigh_stop(context: Context, order: Order) -> Weight:  # noqa: ARG001 - the form of all that weigh
    """Refuse it where nothing is to be stopped. Raises CommandRefused DISASTER_OFF."""
    if not _ended(context, "stopped"):
        raise CommandRefused("DISASTER_OFF", "no disaster mode is on")
    return orders_weight.LIGHT


def stop(context: Context, order: Order) -> Outcome:
    """Do Y4 and V4 for all of it, and say how many bytes had left (art. 28(2)). The fact comes with Y5."""
    notes = _ended(context, "stopped", by=order.by, said=order.arguments["reason"])
    if notes:
        _put(context, notes)
        context.step("Y4")
    sent_bytes = 0
    for row in shown_rows.open_rows(context.catalogue):
        if row.kind is Kind.DISASTER:
            streams.take_back(context.state, context.disk, row.id)
            report = streams.report_of(context.state, context.disk, row.id)
            sent_bytes += report.sent_bytes if report is not None else 0
    context.step("V4")
    return Outcome(detail={"sent_bytes": sent_bytes})


def _ended(context: Context, why: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Return, by order, what is to be known of the modes that are on, when they end by this."""
    ended = {"ended": why, "ended_boot_ms": int(context.mono_s * 1000), **more}
    rows = orders_rows.shown(context.catalogue, COMMAND)
    return {
        row.order.id: {**row.note, **ended} for row in rows if row.note is not None and not row.note["ended"]
    }


def _put(context: Context, notes: dict[str, dict[str, Any]], *facts: Fact) -> None:
    lines = [ledger.line(fact) for fact in facts]

    def write(db: sqlite3.Connection) -> None:
        orders_rows.put_notes(db, notes)
        for line in lines:
            ledger.append(db, line)

    context.catalogue.write(write)
