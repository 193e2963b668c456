"""Who is let in: a pass's code opens one session, once; a cookie is the session. Edge.

    <page>/own/sessions.json   of each pass that was used: the SHA-256 of its cookie, and since when

    D1  the code is looked up by its digest; its pass must be good and not used
    D2  that it is used now is written down, durably
    D3  the page tells keep, which makes a fact of it
    D4  the visitor gets the cookie

A session of which nothing was heard for IDLE_MS is ended. A page that is open asks by itself: what ends is one whose
browser was closed, or is out of reach.

Killed after D2 the pass is spent, and another one is to be issued; never the other way round.
Source  safety standard art. 6(4): who does nothing for a time is cut off
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent import passes
from agent.clock import BOOT_ID
from agent.errors import StorageFault
from agent.health import read_health, silent_s
from agent.health.gather import STALE_S
from agent.model import Trust
from agent.passes import Lock, Standing, What, Why, Word
from agent.storage import passbook
from agent.storage.files import Disk, read_small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.passes import Pass

SESSIONS = "sessions.json"
COOKIE_BYTES = 32
TELL_S = 60.0
"""Refusals of one kind are told at most so often, with their number."""
IDLE_MS = 30 * 60_000
_LIMIT_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Times:
    """Now: UTC ms; the kernel's name of this boot; milliseconds since then; whether the box relies on its UTC."""

    utc_ms: int
    boot: str
    boot_ms: int
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Entered:
    """A session that was opened: its cookie, and its pass."""

    cookie: str
    by: Pass


class Door:
    """Lets visitors in. Used by many threads."""

    def __init__(
        self,
        folder: Path,
        times: Callable[[], Times],
        disk: Disk | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Look at nothing yet. `folder`: the page's; `step`: told each numbered step."""
        self._folder = folder
        self._times = times
        self._disk = disk or Disk()
        self._step = step
        self._mutex = threading.Lock()
        self._lock = Lock()
        self._untold: dict[Why, tuple[int, Word]] = {}
        self._told_s: dict[Why, float] = {}
        self._word_ms = 0
        self._visits: list[Word] = []
        self._heard_ms: dict[str, int] = {}
        """Of each open session's pass: when it was heard last, by the clock since boot."""

    def enter(self, typed: str, source: str) -> Entered | Why:
        """Open a session with a code, or say why not. Raises StorageFault when D2 cannot be done."""
        with self._mutex:
            now = self._times()
            if self._lock.is_locked(source, now.boot_ms / 1000):
                self._refuse(Why.LOCKED, "", source, now)
                return Why.LOCKED
            digest = passes.digest_of(typed)
            one = next((each for each in self._passes() if digest and _same(each.digest, digest)), None)
            why = self._why_not(one, now)
            if one is None or why is not None:
                why = why or Why.UNKNOWN
                self._refuse(why, one.id if one else "", source, now)
                if self._lock.failed(source, now.boot_ms / 1000):
                    self._tell(Word(What.LOCKED, "", None, 1, source), now)
                return why
            cookie = secrets.token_urlsafe(COOKIE_BYTES)
            known = self._sessions() | {one.id: {"digest": _digest(cookie), "since_ms": now.utc_ms}}
            known = {name: each for name, each in known.items() if not passbook.is_gone(self._folder, name)}
            self._disk.atomic_replace(self._own / SESSIONS, json.dumps(known).encode(), sync=True)
            self._step("D2")
            self._heard_ms[one.id] = now.boot_ms
            visit = Word(What.VISITED, one.id, None, 1, source)
            if not self._tell(visit, now):
                self._visits.append(visit)
            self._step("D3")
            return Entered(cookie, one)

    def who(self, cookie: str) -> Pass | None:
        """Return the pass whose session a cookie is, as long as it is good."""
        digest = _digest(cookie[:100])
        now = self._times()
        sessions = self._sessions()
        for one in self._passes():
            session = sessions.get(one.id)
            if session is not None and _same(str(session.get("digest", "")), digest):
                if _standing(one, now) is not Standing.GOOD or self._is_idle(one.id, now):
                    return None
                self._heard_ms[one.id] = now.boot_ms
                return one
        return None

    def leave(self, cookie: str) -> None:
        """End a session; its pass stays used. Raises StorageFault."""
        with self._mutex:
            sessions = self._sessions()
            for session in sessions.values():
                if _same(str(session.get("digest", "")), _digest(cookie[:100])):
                    session["digest"] = ""
            self._disk.atomic_replace(self._own / SESSIONS, json.dumps(sessions).encode(), sync=True)

    def tell_rest(self) -> None:
        """Tell keep of visits that it could not be told of, and of refusals that were put together.

        And end the sessions that are idle. To be called every few seconds.
        """
        with self._mutex:
            now = self._times()
            with contextlib.suppress(
                StorageFault
            ):  # where that cannot be written, `who` refuses them all the same
                self._end_idle(now)
            self._visits = [each for each in self._visits if not self._tell(each, now)]
            for why in [*self._untold]:
                self._tell_refusals(why, now)

    @property
    def is_locked(self) -> bool:
        """Tell whether everybody has to wait."""
        return self._lock.all_locked(self._times().boot_ms / 1000)

    def open_sessions(self) -> int:
        """Return how many sessions are open."""
        now, sessions = self._times(), self._sessions()
        return sum(
            bool(sessions.get(one.id, {}).get("digest"))
            and _standing(one, now) is Standing.GOOD
            and not self._is_idle(one.id, now)
            for one in self._passes()
        )

    def _is_idle(self, name: str, now: Times) -> bool:
        """Tell whether a session was not heard for too long; one from before this process counts from now on."""
        return now.boot_ms - self._heard_ms.setdefault(name, now.boot_ms) >= IDLE_MS

    def _end_idle(self, now: Times) -> None:
        sessions = self._sessions()
        idle = [name for name, each in sessions.items() if each.get("digest") and self._is_idle(name, now)]
        for name in idle:
            sessions[name]["digest"] = ""
        if idle:
            self._disk.atomic_replace(self._own / SESSIONS, json.dumps(sessions).encode(), sync=True)
        for name in self._heard_ms.copy().keys() - sessions.keys():  # a copy: others write meanwhile
            del self._heard_ms[name]

    def _why_not(self, one: Pass | None, now: Times) -> Why | None:
        if one is None:
            return Why.UNKNOWN
        standing = _standing(one, now)
        if standing is not Standing.GOOD:
            return Why(standing.value)
        return Why.USED if one.id in self._sessions() else None

    def _refuse(self, why: Why, name: str, source: str, now: Times) -> None:
        count = self._untold[why][0] if why in self._untold else 0
        count = min(count + 1, passes.MOST_COUNT)
        self._untold[why] = (count, Word(What.REFUSED, name, why, count, source))
        self._tell_refusals(why, now)

    def _tell_refusals(self, why: Why, now: Times) -> None:
        now_s = now.boot_ms / 1000
        if now_s - self._told_s.get(why, -TELL_S) >= TELL_S and self._tell(self._untold[why][1], now):
            self._told_s[why] = now_s
            del self._untold[why]

    def _tell(self, word: Word, now: Times) -> bool:
        """Do D3. That keep cannot be told stops no visitor: the disk is full, say, and that is what they come for."""
        self._word_ms = max(now.utc_ms, self._word_ms + 1)  # their names give their order
        with contextlib.suppress(StorageFault):
            return passbook.put_word(self._folder, word, self._word_ms, self._disk)
        return False

    @property
    def _own(self) -> Path:
        return self._folder / passbook.OWN

    def _passes(self) -> list[Pass]:
        return passbook.listed(self._folder)

    def _sessions(self) -> dict[str, dict[str, Any]]:
        """Return which passes were used. Raises StorageFault when that cannot be read: then nobody is let in."""
        place = self._own / SESSIONS
        try:
            found = json.loads(read_small(place, _LIMIT_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise StorageFault(
                "PAGE_SESSIONS", "which passes were used cannot be read", path=str(place)
            ) from error
        return {name: each for name, each in found.items() if isinstance(each, dict)}


def clock(run: Path | None = None) -> Times:
    """Ask the machine.

    run  of the health files: keep says there whether the clock is relied on, and names the boot to whom /proc does not;
         without it the clock is taken as it is
    """
    keep = (read_health(run, "keep") if run else None) or {}
    try:
        boot = BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = str(keep.get("boot", ""))
    boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    silent = silent_s(keep, boot_s)
    heard = silent is not None and silent <= STALE_S
    trusted = run is None or (heard and keep.get("trust") in (Trust.SYNCED, Trust.HOLDOVER))
    return Times(time.time_ns() // 1_000_000, boot, int(boot_s * 1000), trusted)


def _standing(one: Pass, now: Times) -> Standing:
    return one.standing(now.utc_ms, now.boot, now.boot_ms, trusted=now.trusted)


def _digest(cookie: str) -> str:
    return hashlib.sha256(b"pasu-session\0" + cookie.encode()).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
