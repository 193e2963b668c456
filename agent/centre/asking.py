"""What the centre asks of boxes by itself, signed with its service key, and what becomes of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.centre import sender
from agent.centre.arrived import CLEAR, FOLDER, Arrived
from agent.centre.notices import COUNTERS, PASSED_OVER, REFUSED, SERVICE_KEY
from agent.centre.standing import clean
from agent.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.centre.city import City
    from agent.centre.counters import Counters
    from agent.centre.notices import Notices
    from agent.centre.rings import Signer
    from agent.centre.service import Service
    from agent.centre.standing import Wish
    from agent.centre.watched import Watched
    from agent.centre.wire import Wire
    from agent.centre.witness import Witness
    from agent.clock import Clock

MOST_OPEN = 10_000
"""Commands of our own whose answers are waited for; the oldest are forgotten."""
LEAP = 1000
"""So many numbers are left out where a box says that ours were used: one minute of its waiting, and no more."""
ORDERS_A_TICK = 50
KEY_S = 5.0
CHALLENGE = "COMMAND_CHALLENGE"
ORDINARY = CLEAR | {"COMMAND_GAP", "COMMAND_REPLAYED"}
"""Codes of refusals that say nothing of anything wrong."""
CHALLENGES = 3
"""A challenge that was old by the time it came back is refused, and the next one is not."""
_MOST_CODES = 32

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    box: str
    command: str
    about: str
    size: int
    counter: int
    kid: str


class Asking:
    """Sends what is wished, and hears the answers."""

    def __init__(
        self,
        city: City,
        wire: Wire,
        witness: Witness,
        clock: Clock,
        notices: Notices,
        *,
        service: Service | None,
        counters: Counters | None,
        commit: Callable[[], None],
    ) -> None:
        """Ask nothing yet.

        service  signs; None asks nothing
        commit   puts on the disk what came
        """
        self._city, self._wire, self._witness, self._clock = city, wire, witness, clock
        self._notices, self._commit = notices, commit
        self._service, self._counters = service, counters
        self._arrived = Arrived(city.at(FOLDER))
        self._key_s = -KEY_S
        self.open: dict[str, _Asked] = {}
        """What was asked and is not answered, by id."""

    def turn(self, boxes: Iterable[Watched], now_s: float, *, time_ms: int | None) -> None:
        """Ask what is due. time_ms: the centre's time, where that is to be relied on."""
        if self._service is None or self._counters is None:
            return
        if now_s - self._key_s >= KEY_S:
            self._key_s = now_s
            if (wrong := self._service.look(self._now_ms())) is not None:
                self._notices.centre(SERVICE_KEY, wrong)
        signer = self._service.signer
        if signer is None:
            return
        wishes: list[tuple[Watched, Wish]] = []
        for watched in boxes:
            wish = self._wish(watched, now_s, time_ms)
            if wish is not None:
                wishes.append((watched, wish))
                if len(wishes) >= ORDERS_A_TICK:
                    break
        if wishes:
            self._send(signer, wishes, self._counters)

    def hear(self, watched: Watched, body: dict[str, Any]) -> None:
        """Take a box's reply; what answers nothing that we asked is somebody else's."""
        own = body.get("id")
        asked = self.open.get(own) if isinstance(own, str) else None
        if asked is None or asked.box != watched.box.id:
            return
        status, code = clean(body.get("status")), clean(body.get("code"))
        self._arrived.answered(watched.box.id, asked.about, status, code)
        if status == "done":
            watched.refusals.clear()
            watched.shows = False
            if asked.size and asked.about in watched.kept:
                self._witness.acknowledged(watched.kept[asked.about], asked.size)
        elif code == "COMMAND_REPLAYED":
            self._catch_up(asked)
        elif status in ("refused", "failed") and code not in ORDINARY:
            self._refused(watched, asked, code)
        if status in sender.FINAL:
            del self.open[str(own)]

    def _refused(self, watched: Watched, asked: _Asked, code: str) -> None:
        """Say once that a box refuses what the centre asks, until it does not."""
        patience = 1
        if code == CHALLENGE:
            watched.shows, patience = True, CHALLENGES
        if code in watched.refusals or len(watched.refusals) < _MOST_CODES:
            watched.refusals[code] += 1
        if watched.refusals[code] == patience:
            self._notices.about(watched, REFUSED, {"command": asked.command, "code": code})

    def _catch_up(self, asked: _Asked) -> None:
        """Leave numbers out: the file with ours is older. How much older is not believed of who only says so."""
        if self._counters is not None:
            try:
                self._counters.catch_up(asked.kid, asked.box, asked.counter + LEAP)
            except StorageFault as fault:
                self._notices.centre(COUNTERS, {"code": fault.code})

    def _wish(self, watched: Watched, now_s: float, time_ms: int | None) -> Wish | None:
        kept = watched.current
        try:
            wish = watched.standing.wish(
                watched.newest,
                kept.following if kept else None,
                kept.acknowledged if kept else 0,
                now_s,
                time_ms=time_ms,
            )
            if wish is None and watched.standing.told_s is not None:
                wish = self._arrived.wish(watched.box.id, now_s, self._now_ms())
        except Exception as error:  # noqa: BLE001 - one box must not end the watch for a city
            self._passed_over(watched, error)
            return None
        return wish

    def _send(self, signer: Signer, wishes: list[tuple[Watched, Wish]], counters: Counters) -> None:
        # What is acknowledged must be on the disk.
        self._commit()
        try:
            numbers = counters.take_all(signer.key.kid, [watched.box.id for watched, _ in wishes])
        except StorageFault as fault:
            self._notices.centre(COUNTERS, {"code": fault.code})
            return
        for watched, wish in wishes:
            try:
                self._order(signer, watched, wish, numbers[watched.box.id])
            except Exception as error:  # noqa: BLE001 - as above
                self._passed_over(watched, error)
        while len(self.open) > MOST_OPEN:
            del self.open[next(iter(self.open))]

    def _order(self, signer: Signer, watched: Watched, wish: Wish, counter: int) -> None:
        shows = wish.fresh or watched.shows or watched.standing.trust == "UNTRUSTED"
        sealed = sender.seal(
            self._city,
            signer,
            watched.box.id,
            wish.command,
            wish.arguments,
            counter=counter,
            now_ms=self._now_ms(),
            challenge=(watched.standing.challenge or None) if shows else None,
        )
        self._wire.send(sealed.box, sealed.text)
        about = wish.arguments.get("ledger") or wish.arguments.get("export", "")
        size = wish.arguments.get("size", 0)
        self.open[sealed.id] = _Asked(sealed.box, wish.command, about, size, counter, signer.key.kid)

    def _passed_over(self, watched: Watched, error: Exception) -> None:
        _log.error("%s could not be asked: %r", watched.box.id, error)
        self._notices.about(watched, PASSED_OVER, {"reason": clean(str(error)) or type(error).__name__})

    def _now_ms(self) -> int:
        return self._clock.now().utc_ms
