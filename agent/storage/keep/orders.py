"""Commands of the centre: taken from the uplink, judged, carried out and answered. The procedure, by its numbers:

    J1  judged by agent.command.judge: for this box, signed, in time, its number new, for this role
    J2  one transaction: the command's row, its numbers, the fact `command.accepted` (or `command.refused`)
    J3  the numbers are in <state>/centre/counters.json too, which outlives the catalogue
    J4  the uplink's file is removed: the verdict is durable
    J5  carried out, by a handler to whom the second time is the same
    J6  one transaction: what came of it, and the facts of that
    J7  the reply is a file for the uplink
    J8  the row says ANSWERED

J5 to J8 are those of orders_carry.py. Nothing is carried out before J3. So whatever is killed and whichever single
memory is lost, no command runs twice: one that was cut off goes on from its row, and one whose row was lost has its
number in the file (E1). A letter that must wait for an earlier one stays where the uplink put it (E3).
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent.command import judge, ring
from agent.command.errors import CommandRefused
from agent.command.judge import Accept, Refuse, Wait, Weight, World
from agent.errors import IntegrityFault, PasuError, StorageFault
from agent.health import Raised
from agent.model import Fact, Trust
from agent.storage.keep import orders_files, orders_rows
from agent.storage.keep.orders_carry import Carrier, is_catalogue
from agent.storage.keep.orders_files import Orders, Replies
from agent.storage.keep.orders_handlers import HANDLERS
from agent.storage.keep.orders_keys import about_keys
from agent.storage.keep.orders_refusals import Refusals
from agent.storage.keep.orders_rows import State
from agent.storage.keep.orders_run import Context, Place, Turn
from agent.storage.keep.orders_used import Used
from agent.storage.keep.orders_weight import DELAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.command.order import Order
    from agent.command.ring import Ring
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.orders_run import Handler

__all__ = ["Desk", "Place", "Turn"]

MOST_A_TURN = 10
CHALLENGE_S = 60.0
CHALLENGES = 3
"""A challenge is taken for two to three minutes: health goes out every 30 s, and the answer must come back."""
RING_S = 30.0
TRIAL_S = 60.0
"""So long after its verdict a configuration may still be in force that was taken back."""

log = logging.getLogger("pasu.keep")


class Desk:
    """Takes commands, turn by turn: the keeper's, each second."""

    def __init__(self, place: Place, handlers: Mapping[str, Handler] = HANDLERS) -> None:
        """Look at nothing yet. `handlers`: who carries out which command."""
        self._handlers = handlers
        self._place = place
        self._orders = Orders(place.state, place.disk)
        self._replies = Replies(place.state, place.disk, place.box)
        self._carrier = Carrier(place, self._replies, handlers)
        self._refusals = Refusals()
        self._used = Used(place.state, place.disk)
        self._ring: Ring | None = None
        self._ring_due = 0.0
        self._damaged: list[Raised] = []
        self._challenges: list[str] = []
        self._challenge_due = 0.0
        self._since: dict[str, float] = {}  # of letters that wait for others
        self._asked: set[str] = set()
        self._early: set[tuple[str, int]] = set()  # keys and numbers of those that wait
        self._left: set[str] = set()  # have their verdict, and could not be removed
        self._catalogue: Catalogue | None = None
        self._trial_until = 0.0

    @property
    def on_trial(self) -> bool:
        """Tell whether a shorter retention is being tried, or was a moment ago: then nothing is erased."""
        return self._place.monotonic() < self._trial_until

    @property
    def ring(self) -> Ring | None:
        """Return whose commands are obeyed now; None for a box that has no centre, or whose ring is damaged."""
        return self._ring

    @property
    def challenge(self) -> str | None:
        """Return what a command must bear that is to be believed by it alone; None for a box that has no centre."""
        return self._challenges[-1] if self._ring and self._challenges else None

    def to_json(self) -> dict[str, Any]:
        """Return what the health file says of commands."""
        return {
            "waiting": len(self._since),
            "delayed": [
                {"id": row.order.id, "command": row.order.command, "due_ms": row.due_ms}
                for row in self._carrier.delayed
            ],
            "refused": self._refusals.total,
            "ring_epoch": self._ring.epoch if self._ring else None,
            "lockdown": orders_files.is_locked_down(self._place.state),
        }

    def turn(self, turn: Turn) -> list[Raised]:
        """Take what came, carry on what was begun, and return what is wrong. Raises StorageFault."""
        mono_s = self._place.monotonic()
        if orders_rows.on_trial(turn.catalogue):
            self._trial_until = mono_s + TRIAL_S
        if turn.catalogue is not self._catalogue:
            self._used.load(turn.catalogue)
            self._catalogue = turn.catalogue
        names, trouble = self._names()
        try:
            self._look_at_ring(mono_s, now=bool(names))
            if self._ring is None:
                return self._damaged
            if mono_s >= self._challenge_due:
                self._challenge_due = mono_s + CHALLENGE_S
                self._challenges = [*self._challenges, os.urandom(16).hex()][-CHALLENGES:]
            self._used.sync()
            try:
                self._receive(turn, names, mono_s)
            except StorageFault as fault:
                if is_catalogue(fault) or not self._used.is_written:
                    raise
                trouble = fault
            # Whatever is wrong with what comes in: what was begun must come to its end (a trial stops all erasing).
            self._carry(turn, mono_s)
            trouble = trouble or self._carrier.trouble
        except IntegrityFault as fault:
            self._ring = None
            # Until it is looked at again: between two looks it is no better.
            self._damaged = [Raised("ring.damaged", detail=str(fault.context.get("reason", fault.code)))]
            return self._damaged
        for fact in self._refusals.flush(turn.now, mono_s):
            turn.catalogue.add_fact(fact)
        if turn.now.trust is not Trust.UNTRUSTED:
            orders_rows.forget(turn.catalogue, turn.now.utc_ms - orders_rows.KEPT_MS)
        if trouble is not None:
            raise trouble
        return self._raised(turn.now, mono_s)

    def _names(self) -> tuple[list[str], StorageFault | None]:
        """Return what waits, but what was judged and could not be removed; or why that cannot be told."""
        try:
            names = self._orders.names()
        except StorageFault as fault:
            return [], fault
        self._left = {name for name in self._left if name in names and not self._orders.drop(name)}
        return [name for name in names if name not in self._left], None

    def _carry(self, turn: Turn, mono_s: float) -> None:
        """Carry on what was accepted; by new rights from then on."""
        if self._carrier.turn(turn, self._held()):
            self._look_at_ring(mono_s, now=True)

    def _look_at_ring(self, mono_s: float, *, now: bool) -> None:
        if not now and mono_s < self._ring_due:
            return
        self._ring_due = mono_s + RING_S
        found = ring.load(self._place.state)
        if found is not None:
            found = found.without(orders_files.read_revoked(self._place.state))
        self._ring, self._damaged = found, []

    def _receive(self, turn: Turn, names: Sequence[str], mono_s: float) -> None:
        """Do J1 to J4 for what came, in the order in which it came."""
        self._since = {name: at for name, at in self._since.items() if name in names}
        self._early.clear()
        self._asked &= set(names)
        judged = 0
        for name in names:
            if judged == MOST_A_TURN:
                break
            judged += self._take(turn, name, mono_s)

    def _take(self, turn: Turn, name: str, mono_s: float) -> bool:
        """Take one letter; false when it waits."""
        letter = self._orders.read(name)
        if letter is None:
            self._refusals.add(Refuse("COMMAND_UNREADABLE"), turn.now, mono_s)
            self._drop(name)
            return True
        text, retained = letter
        context = Context.of(self._place, turn, self._held())
        waited_s = mono_s - self._since.setdefault(name, mono_s)
        verdict = judge.judge(
            text,
            self._world(turn.now, mono_s),
            lambda order: self._weigh(context, order),
            retained=retained,
            waited_s=waited_s,
        )
        self._place.step("J1")
        if isinstance(verdict, Wait):
            self._wait(name, verdict, turn.now)
            return False  # nor does a copy count: all go at once, else they would take the places of others
        if isinstance(verdict, Refuse) and not verdict.takes:
            # It uses no number up. Dropped after the reply, it would stay where no reply can be written, and anybody
            # can put such a one there.
            self._drop(name)
        if isinstance(verdict, Accept):
            self._accept(turn, verdict)
        elif not self._is_known(turn.catalogue, verdict, text):
            self._refuse(turn, verdict, mono_s)
        self._drop(name)
        self._place.step("J4")
        if isinstance(verdict, Accept):
            # Before the next is judged: it may be that this one locks down, or revokes its key.
            self._carry(turn, mono_s)
        return True

    def _drop(self, name: str) -> None:
        self._since.pop(name, None)
        if not self._orders.drop(name):
            self._left.add(name)

    def _world(self, now: Instant, mono_s: float) -> World:
        place, held = self._place, self._held()
        belief = place.clock.belief
        known_ms = belief.anchor.utc_ms if belief is not None and belief.anchor is not None else 0
        return World(
            place.box,
            held,
            self._used.counters,
            now,
            max(known_ms, held.issued_ms),
            frozenset(self._challenges),
            self._refusals.shut(mono_s),
            orders_files.is_locked_down(place.state),
            self._used.forgotten,
        )

    def _weigh(self, context: Context, order: Order) -> Weight:
        handler = self._handlers.get(order.command)
        if handler is None:
            raise CommandRefused("COMMAND_UNKNOWN", "not carried out by this version")
        if orders_rows.text_of(context.catalogue, order.id) is not None:
            raise CommandRefused("COMMAND_REPLAYED", "its id was used before")
        try:
            return handler.weigh(context, order)
        except CommandRefused:
            raise
        except PasuError as error:
            if is_catalogue(error):
                raise
            raise CommandRefused(error.code, "refused by what is stored") from None
        except Exception:
            # Else it would be asked again in each turn, and nothing behind it would ever be.
            log.exception("command %s", order.id)
            raise CommandRefused("COMMAND_FAILED", "an error in Pasu") from None

    def _is_known(self, catalogue: Catalogue, verdict: Refuse, text: str) -> bool:
        """Tell whether it is a second copy of a letter that is being carried out: QoS 1 brings such, and a kill."""
        if verdict.code != "COMMAND_REPLAYED":
            return False
        known = orders_rows.text_of(catalogue, verdict.id)
        return known is not None and known[0] == text and known[1] is not State.ANSWERED

    def _wait(self, name: str, verdict: Wait, now: Instant) -> None:
        """Let it stay, one for each number of a key; ask for those before it when it is time."""
        if (verdict.kid, verdict.number) in self._early:
            self._drop(name)
            return
        self._early.add((verdict.kid, verdict.number))
        if verdict.ask and name not in self._asked:
            detail = {"kid": verdict.kid, "expects": verdict.expects}
            with suppress(StorageFault):  # what lies behind it must be judged all the same; it is asked again
                self._replies.say(
                    verdict.id, verdict.command, "waiting", now, code="COMMAND_GAP", detail=detail
                )
                self._asked.add(name)

    def _accept(self, turn: Turn, verdict: Accept) -> None:
        """Do J2 and J3."""
        order, weight = verdict.order, verdict.weight
        due_ms = turn.now.utc_ms + DELAY_MS if verdict.delayed else None
        state = State.DELAYED if verdict.delayed else State.RUNNING
        body = order.body() | ({"due_ms": due_ms, "erasable_ms": weight.erasable_ms} if due_ms else {})
        fact = Fact("command.accepted", turn.now, body)
        self._used.take(
            turn.catalogue,
            verdict.takes,
            [fact],
            lambda db: orders_rows.insert(
                db, order, state, turn.now, due_ms=due_ms, erasable_ms=weight.erasable_ms
            ),
            self._place.step,
        )
        self._carrier.take_up(order.id)
        log.info("command %s %s by %s: %s", order.command, order.id, order.by, state.lower())

    def _refuse(self, turn: Turn, verdict: Refuse, mono_s: float) -> None:
        fact = self._refusals.add(verdict, turn.now, mono_s)
        if verdict.takes or fact:
            self._used.take(turn.catalogue, verdict.takes, [fact] if fact else [], None, self._place.step)
        if fact:
            log.warning(
                "command refused: %s %s %s", verdict.code, verdict.command or "-", verdict.reason or "-"
            )
        if verdict.id:
            detail = {"reason": verdict.reason} if verdict.reason else {}
            self._replies.say(
                verdict.id, verdict.command, "refused", turn.now, code=verdict.code, detail=detail
            )

    def _held(self) -> Ring:
        assert self._ring is not None, "nothing is done without a ring"
        return self._ring

    def _raised(self, now: Instant, mono_s: float) -> list[Raised]:
        found = [Raised("command.delayed", row.order.id, row.order.command) for row in self._carrier.delayed]
        if often := self._refusals.often(mono_s):
            found.append(Raised("command.refused_often", detail=often))
        if orders_files.is_locked_down(self._place.state):
            found.append(Raised("lockdown.on"))
        if now.trust is not Trust.UNTRUSTED:
            found += about_keys(self._held(), self._place.box, now.utc_ms)
        return found
