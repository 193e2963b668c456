"""Watch a city: hear every box, keep its ledger as a witness, ask for what is missing, and say what is wrong.

One loop: messages in, one transaction each half second, then the broker may forget them. Killed at any moment, nothing
is lost: what was not committed comes again, and what comes twice is known by its number.

What one box sends, one file of the folder, or one error of a disk beside the witness's own costs that one thing. Where
the witness's file cannot be written, whoever turns this begins anew (agent.cli.centre_watch).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agent.centre.asking import Asking
from agent.centre.following import GRAVE, What, origin_of, read_head
from agent.centre.genuine import signer_of
from agent.centre.notices import (
    BACK,
    FLOOD,
    FOLDER,
    FORGED,
    NEW_LEDGER,
    OTHER_KEY,
    PASSED_OVER,
    SILENT,
    STALE,
    WITHHELD,
    Notices,
)
from agent.centre.roster import Roster
from agent.centre.standing import Standing, clean, inspected_head, number
from agent.centre.watched import Watched
from agent.centre.witness import UNUSABLE
from agent.errors import PasuError
from agent.storage.proof import note
from agent.uplink import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.centre.city import City
    from agent.centre.counters import Counters
    from agent.centre.following import Taken
    from agent.centre.registry import Box
    from agent.centre.service import Service
    from agent.centre.watched import Alarm, Row
    from agent.centre.wire import Message, Wire
    from agent.centre.witness import Kept, Witness
    from agent.clock import Clock

PARTS = ("birth", "state", "health", "facts", "checkpoint", "reply", "export/#")
RETAINED = frozenset({"birth", "state", "health", "checkpoint"})
"""What a box has the broker keep; anything else that was kept is old, and comes at each start."""
COMMIT_S = 0.5
COMMIT_MESSAGES = 50
"""Half of what the broker hands out unacknowledged (agent.centre.wire)."""
TURN_MESSAGES = 500
TICK_S = 1.0
REGISTRY_S = 5.0
BEHIND_S = 30.0
CLIENT = "centre-watch"

_log = logging.getLogger(__name__)


class Watch:
    """The loop's state; `turn` is called again and again."""

    def __init__(
        self,
        city: City,
        wire: Wire,
        witness: Witness,
        clock: Clock,
        *,
        service: Service | None,
        counters: Counters | None,
        confirm_time: Callable[[], bool] = lambda: False,
        chunk: Callable[[str, str, bytes], None] = lambda _box, _part, _data: None,
    ) -> None:
        """Begin to watch.

        service       signs what the centre asks of boxes by itself; None asks nothing
        confirm_time  whether the centre's time is to be relied on
        chunk         given box, part and bytes of each chunk of an export
        """
        self._wire, self._witness, self._clock = wire, witness, clock
        self._confirm_time, self._chunk = confirm_time, chunk
        self._notices = Notices(witness, clock)
        self._asking = Asking(
            city, wire, witness, clock, self._notices, service=service, counters=counters, commit=self.commit
        )
        self._roster = Roster(city)
        self._boxes: dict[str, Watched] = {}
        self._unreadable: dict[str, str] = {}
        self._unacknowledged: list[Message] = []
        self._deaf = False
        self._behind_s: float | None = None
        began_s = clock.monotonic()
        self._commit_s = self._tick_s = began_s
        self._registry_s = began_s - REGISTRY_S
        self._look_up()

    def turn(self, within_s: float) -> None:
        """Wait for messages, handle them, and do what is due. Raises StorageFault WITNESS_UNUSABLE."""
        message = self._wire.get(within_s)
        handled = 0
        while message is not None:
            self._handle(message)
            handled += 1
            if handled >= TURN_MESSAGES or len(self._unacknowledged) >= COMMIT_MESSAGES:
                break
            message = self._wire.get(0)
        now_s = self._clock.monotonic()
        if message is None:
            self._behind_s = None
        elif self._behind_s is None:
            self._behind_s = now_s
        if now_s - self._tick_s >= TICK_S:
            self._tick_s = now_s
            self._look_up()
            self._tick(now_s)
        if now_s - self._commit_s >= COMMIT_S or len(self._unacknowledged) >= COMMIT_MESSAGES:
            self.commit()

    def commit(self) -> None:
        """Put on the disk what came, then let the broker forget it."""
        self._commit_s = self._clock.monotonic()
        self._witness.commit()
        for message in self._unacknowledged:
            self._wire.acknowledge(message)
        self._unacknowledged.clear()

    def alarms(self) -> Iterator[Alarm]:
        """Yield what was found since the last call."""
        return self._notices.take()

    def say(self, what: str, detail: dict[str, Any]) -> None:
        """Keep what whoever turns this has to say of the way to all boxes."""
        self._notices.between(what, detail)

    def rows(self) -> list[Row]:
        """Return every box that is enrolled, by id."""
        return [self._boxes[name].row for name in sorted(self._boxes)]

    @property
    def all_heard(self) -> bool:
        """Whether every box has told its health since we listen, or is known to be away."""
        return all(
            watched.standing.told_s is not None or watched.standing.online is False
            for watched in self._boxes.values()
        )

    @property
    def all_verified(self) -> bool:
        """Whether of every box that is here the newest head is verified."""
        return all(
            watched.current is not None
            and watched.current.following.verified is not None
            and not watched.current.following.behind
            for watched in self._boxes.values()
            if watched.standing.told_s is not None
        )

    # Messages

    def _handle(self, message: Message) -> None:
        if message.ticket[1]:  # nobody waits for an acknowledgement of QoS 0
            self._unacknowledged.append(message)
        if message.box not in self._boxes:
            self._look_up(at_once=True)  # it may have been enrolled a moment ago
        watched = self._boxes.get(message.box)
        if watched is None:
            self._notices.stranger(message.box)
            return
        try:
            self._take(watched, message)
        except Exception as error:
            if isinstance(error, PasuError) and error.code == UNUSABLE:
                raise
            # The broker hands out again what is not acknowledged: one message must not end the watch for a city.
            part = clean(message.part)
            _log.exception("a message of %s (%s) was passed over", watched.box.id, part)
            ours = isinstance(error, (PasuError, OSError))
            self._notices.about(watched, PASSED_OVER if ours else What.INVALID, {"part": part})
            watched.kept = self._witness.kept(watched.box.id, watched.verifier)

    def _take(self, watched: Watched, message: Message) -> None:
        if message.retained and message.part not in RETAINED:
            return
        if message.part.startswith("export/"):
            self._chunk(message.box, message.part, message.payload)
            return
        key = self._signer(watched, message)
        if key is None:
            # The box said no such thing, or not so: it is the way to it that is not to be relied on.
            self._notices.about(watched, FORGED, {"part": clean(message.part)})
            return
        try:
            body = payloads.read(message.payload)
        except ValueError:
            self._notices.about(watched, What.INVALID, {"part": clean(message.part)})
            return
        if message.part == "facts":
            self._facts(watched, body)
        elif message.part == "checkpoint":
            self._checkpoint(watched, body)
        elif message.part == "reply":
            self._reply(watched, body)
        elif message.part in ("birth", "state", "health"):
            self._report(watched, message, body, key)

    def _signer(self, watched: Watched, message: Message) -> str | None:
        """Return which key of the box signed a message; empty where none has to, None where none did."""
        said = (message.box, message.part, message.payload)
        keys = watched.box.report_keys
        if (key := signer_of(*said, keys)) is not None:
            return key
        self._look_up(at_once=True)  # its certificate may have been renewed a moment ago
        again = watched.box.report_keys
        return signer_of(*said, again) if again != keys else None

    def _report(self, watched: Watched, message: Message, body: dict[str, Any], key: str) -> None:
        """Take what a box says of itself now. What is older than what is known is passed over: that may be honest."""
        new = watched.newest_said.place(message.part, body, key, watched.box.report_keys)
        if new is None:
            now = message.part == "health" and not (message.retained or body.get("historical"))
            if now and watched.standing.silent:
                # A box that is gone is shown as if it were there; or it lost its numbers, and its clock was set back.
                self._notices.about(watched, STALE, {"session": clean(body.get("session"))})
            return
        if new:
            self._witness.set_newest(watched.box.id, watched.newest_said)
        now_s = self._clock.monotonic()
        if watched.standing.hear(message.part, body, now_s, retained=message.retained or not new):
            self._notices.about(watched, BACK, {})
        if message.part == "birth":
            vkey = body.get("vkey")
            if vkey and vkey != watched.box.vkey:
                self._notices.about(watched, OTHER_KEY, {"vkey": clean(vkey)})

    def _facts(self, watched: Watched, body: dict[str, Any]) -> None:
        kept = self._ledger(watched, body.get("ledger"))
        if kept is None:
            return
        taken = kept.following.entries(body.get("entries"), body.get("let_go"))
        self._keep(watched, kept, taken)

    def _checkpoint(self, watched: Watched, body: dict[str, Any]) -> None:
        before = watched.proven
        kept = self._ledger(watched, body.get("ledger"), body.get("note"))
        if kept is None:
            return
        # A clock that is ahead would make every later head an old one.
        at_ms = min(number(body.get("at_ms")), self._clock.now().utc_ms)
        self._keep(watched, kept, kept.following.head(body.get("note"), at_ms))
        watched.trim()
        if before and watched.proven != before:
            # Its catalogue was lost or contradicted, or somebody made the box forget: a person looks.
            self._notices.about(watched, NEW_LEDGER, {"ledger": kept.ledger, "before": before})

    def _keep(self, watched: Watched, kept: Kept, taken: Taken) -> None:
        self._witness.store(kept, taken, self._clock.now().utc_ms)
        for entry in taken.entries:
            if entry.kind == "ledger.began":
                detail: dict[str, Any] = {"ledger": kept.ledger, "seq": entry.seq, "body": clean(entry.body)}
                self._notices.about(watched, NEW_LEDGER, detail)
        for finding in taken.findings:
            if finding.what in GRAVE or finding.what is What.LET_GO:
                detail = {"ledger": kept.ledger, "size": finding.size, "detail": clean(finding.detail)}
                more = {"note": finding.note} if finding.note else {}
                self._notices.about(watched, finding.what, detail | more)

    def _ledger(self, watched: Watched, name: object, head: object = None) -> Kept | None:
        """Return what is kept of a ledger; None for one that is new to us and that nothing speaks for.

        head  its checkpoint, where one came
        """
        if not isinstance(name, str) or len(name) != 16 or set(name) - set("0123456789abcdef"):
            self._notices.about(watched, What.INVALID, {"ledger": clean(name)})
            return None
        kept = watched.kept.get(name)
        if kept is not None:
            return kept
        if head is not None:
            try:
                read_head(head, origin_of(watched.box.id, name), watched.verifier)
            except note.NoteError as error:
                self._notices.about(watched, What.UNSIGNED, {"ledger": name, "detail": clean(str(error))})
                return None
        kept = self._witness.take_up(watched.box.id, name, watched.verifier)
        if kept is None:
            if head is None and watched.full:
                # Where it is a real one, its head will come, and what is passed over is asked for then.
                self._notices.about(watched, What.INVALID, {"ledger": name})
                return None
            now_ms = self._clock.now().utc_ms
            kept = self._witness.begin(watched.box.id, name, watched.verifier, now_ms)
        watched.follow(kept)
        return kept

    def _reply(self, watched: Watched, body: dict[str, Any]) -> None:
        inspected = inspected_head(body)
        if inspected is not None:
            self._checkpoint(watched, inspected)
        self._asking.hear(watched, body)

    # What is due

    def _tick(self, now_s: float) -> None:
        if not self._wire.connected:
            self._deaf = True  # whoever turns this says so; of the boxes nothing is known
            return
        if self._deaf:
            self._deaf = False
            for watched in self._boxes.values():
                watched.standing.listen(now_s)
        for box, count in self._wire.take_dropped().items():
            if (flooding := self._boxes.get(box)) is not None:
                self._notices.about(flooding, FLOOD, {"dropped": count})
        # What somebody said may be among what waits, as after a disk that stood still; but no flood hides silence.
        behind = self._behind_s is not None and now_s - self._behind_s < BEHIND_S
        for watched in self._boxes.values():
            standing = watched.standing
            if not behind and standing.fell_silent(now_s):
                self._notices.about(watched, SILENT, {"online": standing.online})
            elif standing.ledger_stays_away(verified := watched.row.verified, now_s):
                detail = {"says": standing.seq, "verified": verified, "backlog": standing.backlog}
                self._notices.about(watched, WITHHELD, detail)
        time_ms = self._clock.now().utc_ms if self._confirm_time() else None
        self._asking.turn(self._boxes.values(), now_s, time_ms=time_ms)

    def _look_up(self, *, at_once: bool = False) -> None:
        """Take up boxes that were enrolled meanwhile, and let go of those that were turned out.

        A box whose file cannot be read stays as it is; so do all where the folder cannot.
        """
        now_s = self._clock.monotonic()
        due = now_s - self._registry_s >= REGISTRY_S
        if not (due or at_once):
            return
        if due:
            self._registry_s = now_s
        try:
            looked = self._roster.look(again=due)
        except OSError as error:
            self._notices.centre(FOLDER, {"folder": "boxes", "reason": error.strerror or ""})
            return
        if looked is None:
            return
        for name in looked.unreadable.keys() - self._unreadable.keys():
            self._notices.damaged(name, looked.unreadable[name])
        self._unreadable = looked.unreadable
        for name in self._boxes.keys() - looked.boxes.keys() - looked.unreadable.keys():
            del self._boxes[name]
        for name, box in looked.boxes.items():
            watched = self._boxes.get(name)
            if watched is None or watched.box.vkey != box.vkey:
                self._boxes[name] = self._begin(box, now_s)
                self._notices.known(name)
            else:
                watched.box = box

    def _begin(self, box: Box, now_s: float) -> Watched:
        verifier = note.Verifier.parse(box.vkey)
        kept = self._witness.kept(box.id, verifier)
        standing = Standing(box.id, box.site, now_s)
        return Watched(box, verifier, standing, kept, self._witness.newest(box.id))
