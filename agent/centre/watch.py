"""Watch a city: hear every box, keep its ledger as a witness, ask for what is missing, and say what is wrong.

One loop: messages in, one transaction each half second, then the broker may forget them. Killed at any moment, nothing
is lost: what was not committed comes again, and what comes twice is known by its number.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from agent.centre import registry, sender
from agent.centre.arrived import FOLDER, Arrived
from agent.centre.following import GRAVE, What, origin_of, read_head
from agent.centre.genuine import is_genuine
from agent.centre.standing import Standing, clean, inspected_head, number
from agent.centre.watched import Alarm, Watched
from agent.errors import PasuError
from agent.storage.proof import note
from agent.uplink import payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.centre.city import City
    from agent.centre.counters import Counters
    from agent.centre.following import Taken
    from agent.centre.registry import Box
    from agent.centre.rings import Signer
    from agent.centre.standing import Wish
    from agent.centre.watched import Row
    from agent.centre.wire import Message, Wire
    from agent.centre.witness import Kept, Witness
    from agent.clock import Clock

PARTS = ("birth", "state", "health", "facts", "checkpoint", "reply", "export/#")
COMMIT_S = 0.5
COMMIT_MESSAGES = 500
TICK_S = 1.0
REGISTRY_S = 5.0
MOST_ASKED = 10_000
"""Commands of our own whose answers are waited for; the oldest are forgotten."""
LEAP = 1000
"""So many numbers are left out where a box says that ours were used: one minute of its waiting, and no more."""
ORDERS_A_TICK = 50
ALARM_S = 10.0
"""Between two alarms of one kind about one box."""
CLIENT = "centre-watch"

_log = logging.getLogger(__name__)

# Alarms beside what `What` names.
SILENT, BACK, NEW_LEDGER, OTHER_KEY, UNKNOWN_BOX = "silent", "back", "new_ledger", "other_key", "unknown_box"
FORGED = "forged"  # what the broker says in a box's name, and the box did not sign
NOT_OF_THE_BOX = frozenset({BACK, FORGED})


class Watch:
    """The loop's state; `turn` is called again and again."""

    def __init__(
        self,
        city: City,
        wire: Wire,
        witness: Witness,
        clock: Clock,
        *,
        signer: Signer | None,
        counters: Counters | None,
        confirm_time: Callable[[], bool] = lambda: False,
        chunk: Callable[[str, str, bytes], None] = lambda _box, _part, _data: None,
    ) -> None:
        """Begin to watch.

        signer        signs what the centre asks of boxes by itself; None asks nothing
        confirm_time  whether the centre's time is to be relied on
        chunk         given box, part and bytes of each chunk of an export
        """
        self._city, self._wire, self._witness, self._clock = city, wire, witness, clock
        self._signer, self._counters = signer, counters
        self._confirm_time, self._chunk, self._arrived = confirm_time, chunk, Arrived(city.at(FOLDER))
        self._boxes: dict[str, Watched] = {}
        self._strangers: set[str] = set()
        self._unacknowledged: list[Message] = []
        self._asked: dict[str, tuple[str, str, int, int]] = {}
        self._alarms: deque[Alarm] = deque()
        began_s = clock.monotonic()
        self._commit_s = self._tick_s = began_s
        self._registry_s = began_s - REGISTRY_S
        self._registry_mark = 0
        self._look_up()

    def turn(self, within_s: float) -> None:
        """Wait for messages, handle them, and do what is due. Raises StorageFault, UplinkFault."""
        message = self._wire.get(within_s)
        while message is not None:
            self._handle(message)
            if len(self._unacknowledged) >= COMMIT_MESSAGES:
                break
            message = self._wire.get(0)
        now_s = self._clock.monotonic()
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
        while self._alarms:
            yield self._alarms.popleft()

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
        self._unacknowledged.append(message)
        if message.box not in self._boxes:
            self._look_up(at_once=True)  # it may have been enrolled a moment ago
        watched = self._boxes.get(message.box)
        if watched is None:
            self._stranger(message.box)
            return
        if message.part.startswith("export/"):
            self._chunk(message.box, message.part, message.payload)
            return
        if not self._is_genuine(watched, message):
            # The box said no such thing, or not so: it is the way to it that is not to be relied on.
            self._alarm(watched, FORGED, {"part": clean(message.part)})
            return
        try:
            body = payloads.read(message.payload)
        except ValueError:
            self._alarm(watched, What.INVALID, {"part": clean(message.part)})
            return
        try:
            self._believe(watched, message, body)
        except PasuError:
            raise
        except Exception:  # noqa: BLE001 - what nobody thought of
            # The broker hands out again what is not acknowledged: one message must not end the watch for a city.
            _log.exception("a message of %s (%s) was passed over", watched.box.id, clean(message.part))
            self._alarm(watched, What.INVALID, {"part": clean(message.part)})
            watched.kept = self._witness.kept(watched.box.id, watched.verifier)

    def _is_genuine(self, watched: Watched, message: Message) -> bool:
        keys = watched.box.report_keys
        if is_genuine(message.box, message.part, message.payload, keys):
            return True
        self._look_up(at_once=True)  # its certificate may have been renewed a moment ago
        again = watched.box.report_keys
        return again != keys and is_genuine(message.box, message.part, message.payload, again)

    def _believe(self, watched: Watched, message: Message, body: dict[str, Any]) -> None:
        if message.part == "facts":
            self._facts(watched, body)
        elif message.part == "checkpoint":
            self._checkpoint(watched, body)
        elif message.part == "reply":
            self._reply(watched, body)
        elif message.part in ("birth", "state", "health"):
            self._report(watched, message, body)

    def _report(self, watched: Watched, message: Message, body: dict[str, Any]) -> None:
        """Take what a box says of itself now. What is older than what is known is passed over: that may be honest."""
        new = watched.newest_said.place(message.part, body)
        if new is None:
            return
        if new:
            self._witness.set_newest(watched.box.id, watched.box.vkey, watched.newest_said)
        now_s = self._clock.monotonic()
        if watched.standing.hear(message.part, body, now_s, retained=message.retained or not new):
            self._alarm(watched, BACK, {})
        if message.part == "birth":
            self._birth(watched, body)

    def _stranger(self, box: str) -> None:
        """Tell once of a box that is not enrolled: the broker should have kept it out."""
        name = clean(box)
        if name not in self._strangers and len(self._strangers) < MOST_ASKED:
            self._strangers.add(name)
            self._note(Alarm(self._now_ms(), name, UNKNOWN_BOX, {}))

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
        at_ms = min(number(body.get("at_ms")), self._now_ms())
        self._keep(watched, kept, kept.following.head(body.get("note"), at_ms))
        if before and watched.proven != before:
            # Its catalogue was lost or contradicted, or somebody made the box forget: a person looks.
            self._alarm(watched, NEW_LEDGER, {"ledger": kept.ledger, "before": before})

    def _keep(self, watched: Watched, kept: Kept, taken: Taken) -> None:
        self._witness.store(kept, taken, self._now_ms())
        for entry in taken.entries:
            if entry.kind == "ledger.began":
                self._alarm(
                    watched, NEW_LEDGER, {"ledger": kept.ledger, "seq": entry.seq, "body": entry.body}
                )
        for finding in taken.findings:
            if finding.what in GRAVE or finding.what is What.LET_GO:
                detail = {"ledger": kept.ledger, "size": finding.size, "detail": clean(finding.detail)}
                self._alarm(watched, finding.what, detail | ({"note": finding.note} if finding.note else {}))

    def _ledger(self, watched: Watched, name: object, head: object = None) -> Kept | None:
        """Return what is kept of a ledger; None for one that is new to us and that nothing speaks for.

        head  its checkpoint, where one came
        """
        if not isinstance(name, str) or len(name) != 16 or set(name) - set("0123456789abcdef"):
            self._alarm(watched, What.INVALID, {"ledger": clean(name)})
            return None
        kept = watched.kept.get(name)
        if kept is not None:
            return kept
        if head is not None:
            try:
                read_head(head, origin_of(watched.box.id, name), watched.verifier)
            except note.NoteError as error:
                self._alarm(watched, What.UNSIGNED, {"ledger": name, "detail": clean(str(error))})
                return None
        elif watched.full:
            # Where it is a real one, its head will come, and what is passed over is asked for then.
            self._alarm(watched, What.INVALID, {"ledger": name})
            return None
        kept = watched.kept[name] = self._witness.begin(
            watched.box.id, name, watched.verifier, self._now_ms()
        )
        return kept

    def _birth(self, watched: Watched, body: dict[str, Any]) -> None:
        vkey = body.get("vkey")
        if vkey and vkey != watched.box.vkey:
            self._alarm(watched, OTHER_KEY, {"vkey": clean(vkey)})

    def _reply(self, watched: Watched, body: dict[str, Any]) -> None:
        inspected = inspected_head(body)
        if inspected is not None:
            self._checkpoint(watched, inspected)
        own = body.get("id")
        asked = self._asked.get(own) if isinstance(own, str) else None
        if asked is None or asked[0] != watched.box.id:
            return
        _, ledger, size, counter = asked
        self._arrived.answered(watched.box.id, ledger, body.get("status"), body.get("code"))
        if body.get("status") == "done" and size and ledger in watched.kept:
            self._witness.acknowledged(watched.kept[ledger], size)
        elif body.get("code") == "COMMAND_REPLAYED" and self._signer and self._counters:
            # The file with our numbers is an older one. How far behind it is nobody believes who only says so.
            self._counters.catch_up(self._signer.key.kid, watched.box.id, counter + LEAP)
        if body.get("status") in sender.FINAL:
            del self._asked[str(own)]

    # What is due

    def _tick(self, now_s: float) -> None:
        wishes: list[tuple[Watched, Wish]] = []
        time_ms = self._now_ms() if self._confirm_time() else None
        for watched in self._boxes.values():
            if watched.standing.fell_silent(now_s):
                self._alarm(watched, SILENT, {"online": watched.standing.online})
            if self._signer is None or not self._wire.connected or len(wishes) >= ORDERS_A_TICK:
                continue
            kept = watched.current
            wish = watched.standing.wish(
                watched.newest,
                kept.following if kept else None,
                kept.acknowledged if kept else 0,
                now_s,
                time_ms=time_ms,
            )
            if wish is None and watched.standing.told_s is not None:
                wish = self._arrived.wish(watched.box.id, now_s, self._now_ms())
            if wish is not None:
                wishes.append((watched, wish))
        self._send(wishes)

    def _send(self, wishes: list[tuple[Watched, Wish]]) -> None:
        if not wishes or self._signer is None or self._counters is None:
            return
        # What is acknowledged must be on the disk.
        self.commit()
        numbers = self._counters.take_all(self._signer.key.kid, [watched.box.id for watched, _ in wishes])
        for watched, wish in wishes:
            sealed = sender.seal(
                self._city,
                self._signer,
                watched.box.id,
                wish.command,
                wish.arguments,
                counter=numbers[watched.box.id],
                now_ms=self._now_ms(),
                challenge=watched.standing.challenge
                if wish.fresh or watched.standing.trust == "UNTRUSTED"
                else None,
            )
            self._wire.send(sealed.box, sealed.text)
            size = wish.arguments.get("size", 0)
            counter = numbers[watched.box.id]
            about = wish.arguments.get("ledger") or wish.arguments.get("export", "")
            self._asked[sealed.id] = (watched.box.id, about, size, counter)
        while len(self._asked) > MOST_ASKED:
            del self._asked[next(iter(self._asked))]

    def _look_up(self, *, at_once: bool = False) -> None:
        """Take up boxes that were enrolled meanwhile, and let go of those that were turned out."""
        now_s = self._clock.monotonic()
        if not at_once and now_s - self._registry_s < REGISTRY_S:
            return
        self._registry_s = now_s
        changed = self._city.at("boxes").stat().st_mtime_ns
        if changed == self._registry_mark:
            return
        self._registry_mark = changed
        listed = {box.id: box for box in registry.boxes(self._city) if box.out_ms is None}
        for name in self._boxes.keys() - listed.keys():
            del self._boxes[name]
        for name, box in listed.items():
            watched = self._boxes.get(name)
            if watched is None or watched.box.vkey != box.vkey:
                self._boxes[name] = self._begin(box, now_s)
                self._strangers.discard(name)
            else:
                watched.box = box

    def _begin(self, box: Box, now_s: float) -> Watched:
        verifier = note.Verifier.parse(box.vkey)
        kept = self._witness.kept(box.id, verifier)
        standing = Standing(box.id, box.site, now_s)
        return Watched(box, verifier, standing, kept, self._witness.newest(box.id, box.vkey))

    def _alarm(self, watched: Watched, what: str, detail: dict[str, Any]) -> None:
        now_s = self._clock.monotonic()
        if now_s - watched.alarmed_s.get(what, -ALARM_S) < ALARM_S:
            return  # whoever floods us shall not fill the disk
        watched.alarmed_s[what] = now_s
        if what not in NOT_OF_THE_BOX:
            watched.alarms += 1
        self._note(Alarm(self._now_ms(), watched.box.id, str(what), detail))

    def _note(self, alarm: Alarm) -> None:
        self._witness.alarm(alarm.box, alarm.what, alarm.detail, alarm.at_ms)
        self._alarms.append(alarm)
        while len(self._alarms) > MOST_ASKED:
            self._alarms.popleft()

    def _now_ms(self) -> int:
        return self._clock.now().utc_ms
