"""The commands of the centre's own programs: what it has of the ledger, what it misses, and what time it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import IntegrityFault
from agent.model import Fact
from agent.storage import ledger
from agent.storage.catalogue import set_meta
from agent.storage.keep.orders_run import FAILED, Outcome
from agent.storage.proof import tree
from agent.storage.proof.prune import ACKNOWLEDGED

if TYPE_CHECKING:
    import sqlite3

    from agent.command.order import Order
    from agent.storage.keep.orders_run import Context

SLOW_MS = 10_000
"""So long a time may be on its way: the box's clock is confirmed if it shows that time, or so much later."""
FAST_MS = 2_000


def acknowledge(context: Context, order: Order) -> Outcome:
    """Note up to where the centre has the ledger, if it has this ledger: only that lets old entries go."""
    wanted = order.arguments
    catalogue = context.catalogue
    own = catalogue.meta("ledger")
    if wanted["ledger"] != own:
        return Outcome(FAILED, "LEDGER_OTHER", {"ledger": own})
    size = tree.size(catalogue)
    root = ""
    if wanted["size"] <= size:
        tree.grow(catalogue)
        try:
            root = tree.Tree(catalogue).root(wanted["size"]).hex()
        except IntegrityFault as fault:
            return Outcome(FAILED, fault.code)
    if root != wanted["root"]:
        body = {"size": wanted["size"], "root": wanted["root"], "own_size": size, "own_root": root}
        fact = Fact("tamper.disputed", context.now, body | {"by": order.id})
        return Outcome(FAILED, "LEDGER_DISPUTED", body, (fact,))

    def note(db: sqlite3.Connection) -> None:
        before = db.execute("SELECT value FROM meta WHERE key = ?", (ACKNOWLEDGED,)).fetchone()
        if before is None or int(before[0]) < wanted["size"]:
            set_meta(db, ACKNOWLEDGED, str(wanted["size"]))

    catalogue.write(note)
    return Outcome(detail={"size": wanted["size"]})


def resend(context: Context, order: Order) -> Outcome:
    """Have the uplink send the ledger again: it reads the reply, too."""
    wanted = order.arguments
    own = context.catalogue.meta("ledger")
    if wanted["ledger"] != own:
        return Outcome(FAILED, "LEDGER_OTHER", {"ledger": own})
    size = context.catalogue.write(ledger.size)
    again = {"ledger": own, "from_seq": min(wanted["from_seq"], size + 1)}
    return Outcome(detail={"resend": again})


def confirm_time(context: Context, order: Order) -> Outcome:
    """Take the centre's word that the box's clock is right.

    It cannot set a clock that is wrong: that takes a time service, or a person.
    """
    shown_ms = context.clock.status().real_ms
    late_ms = shown_ms - order.arguments["utc_ms"]
    detail = {"shown_ms": shown_ms, "late_ms": late_ms}
    if not -FAST_MS <= late_ms <= SLOW_MS:
        return Outcome(FAILED, "TIME_DIFFERS", detail)
    context.clock.confirm_signed("centre")
    return Outcome(detail=detail)
