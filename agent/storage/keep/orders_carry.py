"""Carry accepted commands out, and answer: J5 to J8 of orders.py."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agent.command import judge
from agent.errors import PasuError, StorageFault
from agent.model import Fact, Trust
from agent.storage.keep import orders_files, orders_rows
from agent.storage.keep.orders_handlers import HANDLERS
from agent.storage.keep.orders_rows import State
from agent.storage.keep.orders_run import DONE, FAILED, PROGRESS, Context, Outcome
from agent.storage.keep.orders_weight import DELAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.command.order import Order
    from agent.command.ring import Ring
    from agent.model import Instant
    from agent.storage.keep.orders_files import Replies
    from agent.storage.keep.orders_rows import Row
    from agent.storage.keep.orders_run import Handler, Place, Turn

TRIES = 5
"""A command that was cut off so often by the end of the keeper is given up: it may be what ends it."""
_RIGHTS = ("ring.replace", "key.revoke")

log = logging.getLogger("pasu.keep")


class Carrier:
    """Carries commands out, turn by turn.

    delayed  those that wait for their day
    trouble  why a reply could not be written in the last turn: it is tried again, and keeps no other command waiting
    """

    def __init__(self, place: Place, replies: Replies, handlers: Mapping[str, Handler] = HANDLERS) -> None:
        """Look at nothing yet. `handlers`: who carries out which command."""
        self.delayed: list[Row] = []
        self.trouble: StorageFault | None = None
        self._place = place
        self._replies = replies
        self._handlers = handlers
        self._taken_up: set[str] = set()
        self._said: dict[str, dict[str, Any]] = {}  # the last progress

    def take_up(self, name: str) -> None:
        """Note that a command was accepted in this very life."""
        self._taken_up.add(name)

    def turn(self, turn: Turn, held: Ring) -> bool:
        """Carry on everything that is not answered, the oldest first; tell whether rights have changed.

        Raises  StorageFault
        """
        self.trouble = None
        for row in orders_rows.unanswered(turn.catalogue):
            if row.state is State.DELAYED:
                self._delay(turn, row, held)
        changed = False
        for row in orders_rows.unanswered(turn.catalogue):
            if row.state is State.RUNNING:
                self._run(turn, row, held)
                changed |= row.order.command in _RIGHTS
                if changed:
                    break  # the others in the next turn, by the new ring
        rows = orders_rows.unanswered(turn.catalogue)
        for row in rows:
            if row.state is State.ENDED:
                self._answer(turn, row)
        self.delayed = [row for row in rows if row.state is State.DELAYED]
        return changed

    def _delay(self, turn: Turn, row: Row, held: Ring) -> None:
        """Tell that it waits; when its day is over, see whether its signers still may, and begin."""
        order = row.order
        if not row.told:
            detail = {"due_ms": row.due_ms, "erasable_ms": row.erasable_ms}
            if self._say(order, "delayed", turn.now, "COMMAND_DELAYED", detail):
                orders_rows.change(turn.catalogue, order.id, told=1)
        if turn.now.trust is Trust.UNTRUSTED:
            return
        if row.trust == Trust.UNTRUSTED:
            # Its day was counted from a time that may have been any: it begins now.
            orders_rows.change(
                turn.catalogue,
                order.id,
                accepted_ms=turn.now.utc_ms,
                trust=str(turn.now.trust),
                due_ms=turn.now.utc_ms + DELAY_MS,
                told=0,
            )
            return
        if turn.now.utc_ms < (row.due_ms or 0):
            return
        why = judge.still_allowed(order, held, self._place.box, turn.now)
        if why:
            self._end(turn, row, Outcome(FAILED, why))
        elif not orders_files.is_locked_down(self._place.state):  # else when that is lifted
            orders_rows.change(turn.catalogue, order.id, state=str(State.RUNNING))
            self.take_up(order.id)

    def _run(self, turn: Turn, row: Row, held: Ring) -> None:
        """Do J5 and J6. An outcome of progress leaves the row as it is."""
        order, tries = row.order, row.tries
        if order.id not in self._taken_up:
            # A keeper before this one had begun.
            tries += 1
            orders_rows.change(turn.catalogue, order.id, tries=tries)
            self.take_up(order.id)
        handler = self._handlers.get(order.command)
        if handler is None or tries > TRIES or (tries and not handler.again):
            self._end(turn, row, Outcome(FAILED, "COMMAND_INTERRUPTED"))
            return
        context = Context.of(self._place, turn, held)
        context.note, context.last = row.note, tries == TRIES
        outcome = _carried_out(handler, context, row)
        self._place.step("J5")
        if outcome.status != PROGRESS:
            self._end(turn, row, outcome)
        elif self._said.get(order.id) != outcome.detail:
            status = PROGRESS if row.told else "accepted"
            if not self._say(order, status, turn.now, outcome.code, outcome.detail):
                return
            self._said[order.id] = outcome.detail
            if not row.told:
                orders_rows.change(turn.catalogue, order.id, told=1)

    def _end(self, turn: Turn, row: Row, outcome: Outcome) -> None:
        facts = [*outcome.facts]
        if outcome.status != DONE:
            body = {"id": row.order.id, "command": row.order.command, "code": outcome.code}
            facts.append(Fact("command.failed", turn.now, body))
        told = {"status": outcome.status, "code": outcome.code, "detail": outcome.detail}
        orders_rows.change(turn.catalogue, row.order.id, facts, state=str(State.ENDED), outcome=told)
        self._place.step("J6")

    def _answer(self, turn: Turn, row: Row) -> None:
        order = row.order
        assert row.outcome is not None, "what ended has an outcome"
        detail = row.outcome["detail"]
        if order.id != order.letter.id:
            detail = detail | {"order": order.letter.id}
        if not self._say(order, row.outcome["status"], turn.now, row.outcome["code"], detail):
            return
        self._place.step("J7")
        orders_rows.change(turn.catalogue, order.id, state=str(State.ANSWERED))
        self._said.pop(order.id, None)
        self._place.step("J8")

    def _say(self, order: Order, status: str, now: Instant, code: str, detail: Mapping[str, Any]) -> bool:
        """Write a reply; tell whether it is written."""
        try:
            self._replies.say(order.id, order.command, status, now, code=code, detail=detail)
        except StorageFault as fault:
            self.trouble = self.trouble or fault
            return False
        return True


def _carried_out(handler: Handler, context: Context, row: Row) -> Outcome:
    """Call the handler; what goes wrong is what came of it, unless it is the catalogue."""
    try:
        return handler.run(context, row.order)
    except PasuError as error:
        if is_catalogue(error):
            raise
        log.error("command %s: %s", row.order.id, error)  # noqa: TRY400 - the fault says it all
        return Outcome(FAILED, error.code)
    except Exception:
        # A command must not end the keeper, and again when it is started again.
        log.exception("command %s", row.order.id)
        return Outcome(FAILED, "COMMAND_FAILED")


def is_catalogue(error: PasuError) -> bool:
    """Tell whether an error is the catalogue's: it may lie elsewhere in a moment, and all is done again."""
    return isinstance(error, StorageFault) and error.code.startswith("CATALOGUE")
