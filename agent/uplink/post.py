"""One box's uplink: joins the connection with what goes over it. A shell, called by whoever waits for descriptors.

`pasu uplink` has one of these; the city's bench has 1,463 in one process, with the same code.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from agent.errors import PasuError
from agent.health import Raised
from agent.model import Trust
from agent.uplink import payloads
from agent.uplink.backoff import Backoff
from agent.uplink.carrying import RECEIPT
from agent.uplink.courier import Courier, Cursor
from agent.uplink.errands import Past, Replies
from agent.uplink.inbound import Inbound, Verdict
from agent.uplink.payloads import State, topic, write
from agent.uplink.pulse import Action, Pulse
from agent.uplink.session import Acknowledged, Arrived, Ended, Session, Up, Why

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.uplink.dial import Endpoint
    from agent.uplink.ports import Box

LOOK_S = 1.0
"""How often the ledger, the replies and the health files are looked at."""
CHECKPOINT_S = 600.0
SEQ_HEALTHS = 10
"""One of so many says how long the ledger is: the centre has half an hour's patience, and the line costs."""
HISTORY_AFTER_S = 60.0  # a line that is away for less leaves no hole that anybody would miss
BACKLOG_MANY = 2_000
"""About two hours of 16 cameras: more than a night's pause, less than what a day brings."""
BUSY_ENTRIES = 500
"""Facts that wait, beyond a batch's worth: what is handed out waits for them."""
STOP_S = 3.0
REFUSED_S = 180.0  # longer than the longest wait between two attempts

log = logging.getLogger("pasu.uplink")


class Post:
    """Carries everything between one box and the broker."""

    def __init__(self, box: Box, endpoint: Endpoint) -> None:
        """Connect to nothing yet; the notebook is read."""
        self.inbound = Inbound(topic(box.id, "command"))
        self.protocol = 0
        self.trouble = ""
        self._box = box
        self._receipts = topic(box.id, RECEIPT)
        listen = (self.inbound.topic, self._receipts) if box.carrying else (self.inbound.topic,)
        self._session = Session(endpoint, box.id, listen, topic(box.id, "state"))
        self._backoff = Backoff()
        self._courier = Courier(box.id, box.session, box.notebook.cursor() or Cursor("", 0))
        self._pulse = Pulse()
        self._replies = Replies(box.exchange, self._publish, self._resend)
        self._past = Past(box.notebook, self._publish)
        self._tokens: dict[int, Callable[[], None]] = {}
        self._health_n = self._birth_n = 0
        self._spoke = False
        self._birth = ""
        self._note = ""
        self._noted_s = -CHECKPOINT_S
        self._draining = False
        self._open_s = 0.0
        self._up_s = 0.0
        self._away_s: float | None = None
        self._look_s = 0.0
        self._refused = ""
        self._refused_s = -REFUSED_S
        self._offline = ""
        self._stop_s: float | None = None
        self._carrying_s = 0.0

    @property
    def is_up(self) -> bool:
        """Whether the broker is there."""
        return self._session.is_up

    @property
    def is_stopped(self) -> bool:
        """Whether the goodbye was said, or need not be."""
        return self._stop_s is not None and not self._session.is_open

    @property
    def backlog(self) -> int:
        """Entries of the ledger that the broker has not acknowledged."""
        return self._courier.backlog

    @property
    def reason(self) -> str:
        """Why there is no connection, without addresses; empty while there is one."""
        return "" if self.is_up else self._offline

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received inside TLS."""
        return self._session.sent_bytes, self._session.received_bytes

    @property
    def wants_write(self) -> bool:
        """Whether to wait until the descriptor takes bytes, too."""
        return self._session.wants_write

    @property
    def connection(self) -> int:
        """Counts connections."""
        return self._session.attempts

    def fileno(self) -> int:
        """Return the descriptor to wait for, -1 while there is none."""
        return self._session.fileno()

    def turn(self, now_s: float) -> float:
        """Do what can be done now; return in how many seconds to be called again, or when the descriptor is ready."""
        for event in self._session.turn(now_s):
            if not self._hear(event, now_s):
                break  # what else came over that connection is of no use
        if self._stop_s is not None:
            self._leave(now_s)
        else:
            if self._away_s is None and not self.is_up:
                self._away_s = now_s
            if not self._session.is_open and now_s >= self._open_s:
                will = self._state(online=False)
                trusted = self._box.now().trust is not Trust.UNTRUSTED
                self._session.open(now_s, will, check_dates=trusted)
            if now_s >= self._look_s:
                self._look(now_s)
                self._look_s = now_s + self._pulse.within_s(now_s, LOOK_S)
            self._carry(now_s)
            self._hand_out(now_s)
            if self._spoke and not self._tokens:  # else an acknowledgement is the answer
                self._session.ask_if_quiet(now_s)
            self._spoke = False
        self._session.flush(now_s)
        return self._due_s(now_s)

    def stop(self, now_s: float) -> None:
        """Begin to say goodbye; `is_stopped` tells when that is done."""
        if self._box.carrying is not None:
            self._box.carrying.stop()
        if self.is_up:
            self._stop_s = now_s + STOP_S
            self._publish("state", self._state(online=False), retain=True, then=self._session.close)
        else:
            self._stop_s = now_s
            self._session.close()

    def raised(self, now_s: float) -> list[Raised]:
        """Return what is wrong with the way to the centre."""
        found = [
            Raised("uplink.offline", detail=self._offline) if not self.is_up else None,
            Raised("uplink.refused", detail=self._refused) if self._is_refused(now_s) else None,
            Raised("uplink.taken_over") if self._backoff.is_taken_over(now_s) else None,
            Raised("uplink.flooded") if self.inbound.is_flooded(now_s) else None,
            Raised("uplink.backlog", detail=str(self.backlog)) if self.backlog > BACKLOG_MANY else None,
        ]
        if suspicion := self.inbound.suspicion(now_s):
            found.append(Raised("broker.suspect", detail=suspicion))
        return [each for each in found if each]

    def _is_refused(self, now_s: float) -> bool:
        """Tell whether the broker would not have us lately: it may welcome us, and refuse what we say."""
        return now_s - self._refused_s < REFUSED_S

    def _hear(self, event: Up | Ended | Acknowledged | Arrived, now_s: float) -> bool:
        """Act on what happened; false when we have given up the connection over it."""
        if isinstance(event, Up):
            self._welcomed(event, now_s)
        elif isinstance(event, Ended):
            self._lost(event, now_s)
        elif isinstance(event, Acknowledged):
            return self._acknowledged(event, now_s)
        else:
            self._arrived(event, now_s)
        return True

    def _welcomed(self, event: Up, now_s: float) -> None:
        log.info("connected (MQTT %s)", "5" if event.protocol == 5 else "3.1.1")
        self.protocol = event.protocol
        self._up_s, self._away_s = now_s, None
        self._offline = ""
        self._birth = self._note = ""  # the broker may have lost what it retained (E11)
        self._publish("state", self._state(online=True), retain=True)
        self._pulse.connected()
        self._courier.connected(now_s, self._box.chance())
        self._draining = True
        self._look_s = now_s

    def _lost(self, event: Ended, now_s: float) -> None:
        self._tokens.clear()
        self._replies.disconnected()
        self._past.disconnected()
        self._courier.disconnected()
        if self._box.carrying is not None:
            self._box.carrying.disconnected()
        chance, over = self._box.chance(), event.why is Why.TAKEN_OVER
        if event.why is Why.VERSION:
            wait_s = 0.0
        elif event.up and event.why is not Why.REFUSED:
            wait_s = self._backoff.ended(now_s - self._up_s, now_s, chance, taken_over=over)
        else:
            wait_s = self._backoff.failed(chance)
        if event.why in (Why.PROTOCOL, Why.UNPROVEN):
            self.inbound.suspect(event.detail, now_s)
        if event.why is Why.REFUSED:
            self._refused, self._refused_s = event.detail, now_s
        self._offline = event.detail
        self._open_s = now_s + wait_s
        log.warning("no connection: %s (%s); again in %.1f s", event.why.value, event.detail, wait_s)

    def _acknowledged(self, event: Acknowledged, now_s: float) -> bool:
        done = self._tokens.pop(event.token, None)
        if done is None:
            return True
        if not event.refused:
            try:
                done()
            except PasuError as error:
                self.trouble = error.code  # what could not be removed goes again, and is known by its id
            return True
        # What the broker will not take now it may take when it has been set right; until then nothing is passed over.
        self._session.close()
        self._lost(Ended(Why.REFUSED, f"publish: {event.refused}", up=False), now_s)
        return False

    def _arrived(self, event: Arrived, now_s: float) -> None:
        if self._box.carrying is not None and event.topic == self._receipts:
            if not event.retained:
                self._box.carrying.heard(event.payload)
                self._carrying_s = now_s
            return
        verdict = self.inbound.judge(event.topic, event.payload, now_s, retained=event.retained)
        if verdict not in (Verdict.TAKEN, Verdict.RETAINED):
            return  # counted; a line of the log for each would be a flood of its own
        try:
            taken = self._box.exchange.put_order(event.payload.decode("ascii"), retained=event.retained)
        except PasuError as error:
            log.error("a command cannot be handed to keep: %s", error)  # noqa: TRY400 - the error says it all
            taken = False
        if not taken:
            self.inbound.overflowed(verdict, now_s)

    def _look(self, now_s: float) -> None:
        """Look at everything that others write."""
        try:
            ledger, size, acknowledged = self._box.ledger.look()
            if (cursor := self._courier.ledger_is(ledger, size, acknowledged)) is not None:
                self._box.notebook.set_cursor(cursor)
            self.trouble = ""
        except PasuError as error:
            self.trouble = error.code
        self._beat(now_s)
        if self.is_up:
            self._introduce()
            self._answer()
            if self._courier.drained:
                self._past.turn()
            self._checkpoint(now_s)

    def _beat(self, now_s: float) -> None:
        """Say how the box is, or keep it for later."""
        seq = self._courier.size if self._health_n % SEQ_HEALTHS == 0 else None
        health = self._box.reports.health(self._health_n, self.backlog, seq)
        up = self.is_up
        if not up and self._away_s is not None and now_s - self._away_s < HISTORY_AFTER_S:
            return
        action = self._pulse.take(health, now_s, up=up)
        if action is Action.SEND:
            self._health_n += 1
            self._publish("health", write(health), retain=True, qos=0)
            self._spoke = True
            self._courier.hurry(now_s)
        elif action is Action.KEEP:
            self._health_n += 1
            self._past.keep(health)

    def _introduce(self) -> None:
        """Say who the box is, when that is new to the broker."""
        birth = self._box.reports.birth(self._birth_n)
        passing = {"n", "at_ms", "trust", "boot_ms", "challenge", "conditions"}
        lasting = payloads.dump({key: value for key, value in birth.to_json().items() if key not in passing})
        if lasting != self._birth and self._publish("birth", write(birth), retain=True):
            self._birth = lasting
            self._birth_n += 1

    def _answer(self) -> None:
        """Send what keep replied."""
        try:
            self._replies.turn()
        except PasuError as error:
            self.trouble = error.code

    def _resend(self, ledger: str, from_seq: int) -> None:
        """Go back in the ledger, since the centre misses entries (E11)."""
        cursor = self._courier.resend(ledger, from_seq)
        if cursor is not None:
            log.info("the centre misses entries: going back to %d", cursor.seq + 1)
            self._box.notebook.set_cursor(cursor)

    def _checkpoint(self, now_s: float) -> None:
        """Say the newest signed head: at the end of a drain, and when it is another one, every few minutes."""
        drained = self._draining and self._courier.drained
        if not drained and now_s - self._noted_s < CHECKPOINT_S:
            return
        try:
            checkpoint = self._box.ledger.checkpoint()
        except PasuError as error:
            self.trouble = error.code
            return
        if checkpoint is not None and checkpoint.note != self._note:
            if not self._publish("checkpoint", write(checkpoint), retain=True):
                return
            self._note = checkpoint.note
        self._noted_s = now_s
        self._draining = self._draining and not drained

    def _carry(self, now_s: float) -> None:
        """Read ahead in the ledger, and send what is due."""
        if not self.is_up:
            return
        try:
            if (want := self._courier.want(now_s)) is not None:
                found = self._box.ledger.entries(want.ledger, want.after, want.limit, want.most_bytes)
                self._courier.read(found, now_s)
        except PasuError as error:
            self.trouble = error.code
        while (batch := self._courier.batch(now_s)) is not None:
            token = self._session.publish(topic(self._box.id, "facts"), batch, qos=1)
            if token is None:
                return
            self._courier.sent(token, len(batch))
            self._tokens[token] = partial(self._delivered, token)
            if self._courier.backlog > BACKLOG_MANY:
                self._draining = True

    def _hand_out(self, now_s: float) -> None:
        """Send what is handed out, while no facts wait."""
        if self._box.carrying is not None:
            wait_s = self._box.carrying.turn(
                now_s,
                up=self.is_up,
                busy=self.backlog > BUSY_ENTRIES,
                publish=lambda kind, payload, then: self._publish(kind, payload, then=then),
            )
            self._carrying_s = now_s + wait_s

    def _delivered(self, token: int) -> None:
        cursor = self._courier.acknowledged(token)
        if cursor is not None:
            self._box.notebook.set_cursor(cursor)

    def _leave(self, now_s: float) -> None:
        assert self._stop_s is not None
        if now_s >= self._stop_s and self._session.is_open:
            self._session.close()

    def _state(self, *, online: bool) -> bytes:
        box, at_ms = self._box, self._box.now().utc_ms
        # A will is made before the connection that it is of.
        count = self.connection + (not self._session.is_open)
        return write(State(box=box.id, online=online, session=box.session, connection=count, at_ms=at_ms))

    def _publish(
        self,
        kind: str,
        payload: bytes,
        *,
        retain: bool = False,
        qos: int = 1,
        then: Callable[[], None] | None = None,
    ) -> bool:
        """Publish; call `then` when the broker has it. False when there is no connection."""
        token = self._session.publish(topic(self._box.id, kind), payload, qos=qos, retain=retain)
        if token is None:
            return False
        if qos:
            self._tokens[token] = then or (lambda: None)
        return True

    def _due_s(self, now_s: float) -> float:
        due_s = [self._session.due_s(now_s)]
        if self._stop_s is not None:
            due_s.append(self._stop_s - now_s)
        else:
            due_s.append(self._look_s - now_s)
            if self._box.carrying is not None:
                due_s.append(self._carrying_s - now_s)
            if not self._session.is_open:
                due_s.append(self._open_s - now_s)
            elif self.is_up:
                due_s.append(self._courier.due_s(now_s))
        return max(0.0, min(due_s))
