"""`erasure.confirm`: a signature, the privacy officer's or a deputy's, under what automatic erasure did, day by day.

One transaction: the fact `retention.signed`, with the outcome. It erases nothing and keeps nothing.
Source  Standard Guideline art. 10(3)-(4): destruction is recorded, and the privacy officer confirms its result
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from agent.command.errors import CommandRefused
from agent.model import Fact
from agent.storage.keep import daily, orders_weight
from agent.storage.keep.orders_run import FAILED, Outcome
from agent.storage.keep.retention import Cause

if TYPE_CHECKING:
    from agent.command.judge import Weight
    from agent.command.order import Order
    from agent.storage.keep.orders_run import Context

NOTHING = "ERASURE_NOTHING"


def weigh(context: Context, order: Order) -> Weight:
    """Refuse it where there is nothing to sign. Raises CommandRefused ERASURE_NOTHING."""
    if not _wanted(context, order):
        raise CommandRefused(NOTHING, "no daily check is left to sign up to that day")
    return orders_weight.LIGHT


def confirm(context: Context, order: Order) -> Outcome:
    """Sign the daily checks that nobody has signed, up to a day; the reply says what they add up to."""
    found = _wanted(context, order)
    if not found:  # another order was carried out in between
        return Outcome(FAILED, NOTHING)
    erased: Counter[str] = Counter()
    for check in found:
        erased.update(check.erased)
    erased.pop(Cause.REQUESTED, None)  # ordered by people, and recorded with their signatures
    body = {
        "days": len(found),
        "from_seq": found[0].seq,
        "to_seq": found[-1].seq,
        "from_ms": found[0].from_ms,
        "to_ms": found[-1].to_ms,
        "erased": dict(erased),
    }
    who = {"by": order.id, "holder": order.signers[0].holder}
    return Outcome(detail=body, facts=(Fact(daily.SIGNED, context.now, body | who),))


def _wanted(context: Context, order: Order) -> list[daily.Check]:
    """Return the checks up to the last one of that day: one of a clock that was wrong meanwhile is among them."""
    found = daily.unsigned(context.catalogue)
    days = [number for number, check in enumerate(found, 1) if check.day <= order.arguments["day"]]
    return found[: days[-1]] if days else []
