"""`command.cancel`: give up a command that waits for its day (E15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command.errors import CommandRefused
from agent.model import Fact
from agent.storage.keep import orders_rows, orders_weight
from agent.storage.keep.orders_run import FAILED, Outcome

if TYPE_CHECKING:
    from agent.command.judge import Weight
    from agent.command.order import Order
    from agent.storage.keep.orders_run import Context


def weigh(context: Context, order: Order) -> Weight:
    """Refuse when nothing of that id waits. Raises CommandRefused COMMAND_NONE_WAITS."""
    if orders_rows.delayed(context.catalogue, order.arguments["id"]) is None:
        raise CommandRefused("COMMAND_NONE_WAITS", "no command of that id waits")
    return orders_weight.LIGHT


def cancel(context: Context, order: Order) -> Outcome:
    """Give it up; its own reply says so, too."""
    row = orders_rows.delayed(context.catalogue, order.arguments["id"])
    if row is not None:
        outcome = {"status": FAILED, "code": "COMMAND_CANCELLED", "detail": {"by": order.id}}
        body = {"id": row.order.id, "command": row.order.command, "by": order.id}
        fact = Fact("command.cancelled", context.now, body)
        orders_rows.change(
            context.catalogue,
            row.order.id,
            [fact],
            state=str(orders_rows.State.ENDED),
            erasable_ms=0,
            outcome=outcome,
        )
    return Outcome(detail={"cancelled": order.arguments["id"]})
