"""The commands about holds, and what a release would let go early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command.errors import CommandRefused
from agent.command.table import day_ms
from agent.model import Span
from agent.storage import notes
from agent.storage.aside import RECONCILE
from agent.storage.keep import hold_rows, holds, orders_weight
from agent.storage.keep.hold import EVERY, Hold, HoldRefused, check_order, check_text
from agent.storage.keep.orders_run import Outcome
from agent.storage.salvage import UNRECONCILED

if TYPE_CHECKING:
    from agent.command.judge import Weight
    from agent.command.order import Order
    from agent.storage.keep.orders_run import Context


def weigh_place(context: Context, order: Order) -> Weight:
    """Refuse an order that cannot stand; while rows of a lost catalogue are missing, whichever camera it names.

    Raises  HoldRefused, CommandRefused CAMERA_UNKNOWN
    """
    hold = _hold(context, order)
    check_order(hold, context.now)
    known = context.catalogue.cameras()
    if not all(camera == EVERY or camera in known for camera in hold.cameras) and not lacks_rows(context):
        raise CommandRefused("CAMERA_UNKNOWN", "no such camera")
    return orders_weight.LIGHT


def place(context: Context, order: Order) -> Outcome:
    """Place a hold: H1 to H3. From there on it holds; the keeper's turns link what it covers."""
    placed = holds.place(
        context.catalogue,
        context.vaults,
        context.state,
        _hold(context, order),
        context.now,
        later=True,
        step=context.step,
    )
    detail = {
        "hold": placed.hold.id,
        "spared": len(placed.spared),
        "late": len(placed.late),
        "undecided": len(placed.undecided),
        "unfinished_vaults": sorted(placed.unfinished),
    }
    return Outcome(detail=detail)


def weigh_release(context: Context, order: Order) -> Weight:
    """Weigh what a release would let go early. Raises HoldRefused, CommandRefused COMMAND_CAMERA."""
    check_text("reason", order.arguments["reason"])
    hold = hold_rows.find(context.catalogue, order.arguments["hold"])
    if hold is None:
        raise HoldRefused("HOLD_UNKNOWN", "no such hold")
    if not hold.is_active:
        raise HoldRefused("HOLD_RELEASED", "the hold was released before")
    if not order.sees(hold.cameras):
        raise CommandRefused("COMMAND_CAMERA", "the key is not for this camera")
    return orders_weight.of(context, orders_weight.released_ms(context, hold), signatures=2)


def release(context: Context, order: Order) -> Outcome:
    """Release a hold: R1. The keeper's turns remove its links."""
    again = context.note is not None
    if not again:
        context.remember(order, {"releasing": True})
    hold, reason = order.arguments["hold"], order.arguments["reason"]
    try:
        done = holds.release(
            context.catalogue,
            context.vaults,
            context.state,
            hold,
            context.now,
            reason=reason,
            by=order.by,
            later=True,
            step=context.step,
        )
    except HoldRefused as refused:
        if again and refused.code == "HOLD_RELEASED":
            return Outcome(detail={"hold": hold})
        raise
    detail = {"hold": hold, "segments": done.segments, "sealed_bytes": done.sealed_bytes}
    return Outcome(detail=detail)


def lacks_rows(context: Context) -> bool:
    """Tell whether there may be recordings of cameras that the catalogue does not know: of a disk that is away, too."""
    catalogue = context.catalogue
    return catalogue.meta(RECONCILE) is not None or bool(notes.names(catalogue, UNRECONCILED))


def _hold(context: Context, order: Order) -> Hold:
    wanted = order.arguments
    return Hold(
        id=order.id,
        cameras=tuple(sorted(wanted["cameras"])),
        span=Span(wanted["from_ms"], wanted["to_ms"]),
        ground=wanted["ground"],
        authority=wanted["authority"],
        review_ms=day_ms(wanted["review"]),
        placed_ms=context.now.utc_ms,
        trust=str(context.now.trust),
        placed_by=order.by,
    )
