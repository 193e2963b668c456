"""The keeper: the only process that erases. It has no network, and takes one turn a second.

A turn: the clock, by which what was recorded in doubt gets its time back, and a checkpoint, each second; and every
CYCLE_S, or as soon as there is more to do: the vaults are looked for, before the clock, holds are tended, retention is
planned and carried out, a little is checked and counted, and the day is confirmed.

Nothing is erased unless all of this is so: the time is trusted; the catalogue is whole (no `reconcile` in it); holds
were reconciled with the vaults since this keeper started, and since a vault came back; the vault is there, with its
own identity. What fails is a condition, and is tried again; a part that fails does not keep the others from their work.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.errors import IntegrityFault, PasuError, StorageFault
from agent.health import Raised
from agent.model import UTC_DAY_MS, Trust
from agent.storage import stale, starts
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.files import Disk
from agent.storage.keep import (
    daily,
    day,
    disks,
    holds,
    outgoing,
    quarantined,
    rebuild,
    settle,
    streams,
    survey,
    tend,
    unread,
    updates,
    visitors,
)
from agent.storage.keep.batch import CYCLE_S
from agent.storage.keep.hold import ANSWER_WARN_DAYS
from agent.storage.keep.moment import Followed, Moment
from agent.storage.keep.orders import Desk, Place, Turn
from agent.storage.keep.orders_files import is_locked_down
from agent.storage.keep.outlook import Outlook
from agent.storage.keep.program import Program
from agent.storage.keep.rollover import Rollover
from agent.storage.keep.teller import Teller
from agent.storage.prepare import renew
from agent.storage.proof import checkpoints, signing
from agent.storage.updated import BUILT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.keep.retention import Plan, VaultView
    from agent.storage.keep.rollover import Rules
    from agent.storage.keep.time import TimeKeeper
    from agent.storage.proof.signing import BoxKey
    from agent.storage.vault import Vault

TICK_S = 1.0
WORK_S = 0.5
"""One kind of work takes no longer in one turn: SIGTERM and the clock are heard in between."""
LITTLE_S = 0.1  # checking and counting, which nobody waits for
CLEAR_S = 60.0  # how often quarantine/ is looked into
CLEAR_FILES = 16
HOLDS_AGAIN_S = 60.0  # a reconciliation that met faults is done again

OLD_AGAIN_S = 60.0  # an old catalogue that could not be begun anew is tried again

log = logging.getLogger("pasu.keep")


class Keeper:
    """Keeps one box. One thread uses it, and calls `tick` again after as many seconds as it returns."""

    def __init__(
        self,
        box: str,
        rules: Rules,
        state: Path,
        vaults: Sequence[Path],
        clock: TimeKeeper,
        *,
        config: Path | None = None,
        run: Path | None = None,
        page: Path | None = None,
        program: Path | None = None,
        updated: Path | None = None,
        watch: Callable[[float], tuple[list[Raised], dict[str, Any]]] = lambda _: ([], {}),
        disk: Disk | None = None,
        monotonic: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        step: Callable[[str], None] = lambda _: None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Do nothing yet.

        box        its id, for the signing key
        vaults     the configured ones
        config     agent.toml, which the centre may propose to change; None where there is none
        run        where the health file goes; None writes none
        page       the folder of passes and visits; None where there is no page
        program    the directory of the program, whose changes are told; None tells of none
        updated    the folder of updates; None where there are none
        watch      takes seconds since boot; returns what is wrong with the machine, and for the health file
        monotonic  seconds since boot, sleep included
        step       told each numbered step, so that tests may kill after it
        beat       called while a turn takes long and goes on
        """
        self._teller = Teller(run, "keep", monotonic)
        self._box = box
        self._watch = watch
        self._machine: dict[str, Any] = {}
        self._rules = rules
        self._state = state
        self._paths = [path.absolute() for path in vaults]
        self._clock = clock
        self._disk = disk or Disk()
        self._monotonic = monotonic
        self._step = step
        self._beat = beat
        self._catalogue: Catalogue | None = None
        self._inode = (0, 0)
        self._key: BoxKey | None = None
        self._vaults: dict[str, Vault] = {}
        self._due = 0.0
        self._reconciled: set[str] = set()
        self._reconcile_again = 0.0
        self._holds_known = False  # in this turn
        self._rebuilt = 0  # the rebuilding whose rows that reconciliation saw
        self._reconciled_day = 0
        self._tender: holds.Tender | None = None
        self._holds_more = False
        self._raised: dict[str, list[Raised]] = {}
        self._rollover = Rollover(rules, state, monotonic, self._take_step)
        self._exports = outgoing.Exports(state, rules, self._take_step, self._disk)
        place = Place(
            box, state, rules, clock, self._disk, monotonic, self._take_step, config_file=config, run=run
        )
        self._desk = Desk(place)
        self._streams = streams.Streams(box, state, self._disk, self._take_step)
        self._followed = Followed(config)
        self._outlook = Outlook(rules)
        self._day = day.Day(state)
        self._visitors = visitors.Visitors(page, self._disk, self._take_step) if page else None
        self._program = Program(program) if program else None
        self._updated = updated
        self._unsettled = 0
        self._today: tuple[int, dict[str, int]] = (-1, {})
        self._odd_turn = 0
        self._clear_due = 0.0
        self._unshredded = 0  # in quarantine
        self._old, self._old_until = (
            "",
            0.0,
        )  # why an old catalogue cannot be begun anew, and how long to wait
        self._pauses = unread.Pauses(monotonic)
        self._blocked = "start"

    def tick(self) -> float:
        """Take a turn; return how many seconds later the next one is due."""
        now = self._clock.observe()
        self._part("machine", self._watch_machine)
        more = False
        try:
            more = self._turn(self._open(now), now)
            self._raised["catalogue"] = (
                [Raised("catalogue.unavailable", detail=self._old)] if self._old else []
            )
        except StorageFault as fault:
            self._lost(fault)
        self._say(self._clock.now())
        return 0.0 if more else TICK_S

    def close(self) -> None:
        """Let go of the catalogue."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    def _take_step(self, name: str) -> None:
        """Tell a step, and that the turn goes on: a reconciliation of many links, say."""
        self._step(name)
        self._beat()
        self._teller.beat()

    def _open(self, now: Instant) -> Catalogue:
        """Return the catalogue, opened anew when another file stands in its place.

        Whoever found it damaged moves it aside and begins a new one; by the old one nothing may be erased any more.
        One that is older than what was signed is begun anew here, since by itself it says nothing is amiss (B12).
        """
        try:
            status = (self._state / FILE).stat()
            inode = (status.st_dev, status.st_ino)
        except OSError:
            inode = (0, 0)
        if self._catalogue is not None and (
            inode != self._inode or (self._old and self._monotonic() >= self._old_until)
        ):
            self.close()
        if self._catalogue is None:
            self._catalogue = Catalogue.open(self._state)
            trees = stale.trees(self._state, ())
            if not stale.is_old(self._state, trees):  # else not even which vaults there are is sure
                found = disks.look(self._catalogue, self._paths, self._disk).vaults
                trees = stale.trees(self._state, found.values())
            self._old = ""
            if stale.is_old(self._state, trees):
                self._begin_anew(now, trees)
            self._inode = inode
            self._vaults = {}
            self._reconciled = set()
            self._today = (-1, {})
            self._due = 0.0
        return self._catalogue

    def _begin_anew(self, now: Instant, trees: Sequence[tuple[str, int]]) -> None:
        """Have an old catalogue moved aside; the next turn opens the new one, as recorders do. Raises StorageFault.

        trees  what says that it is old: it may be a vault that is not configured any more
        Returns  where that cannot be done: nothing is erased, signed or rebuilt by the old one
        """
        self.close()
        cameras = [*self._rules.retention_ms]
        try:
            why = renew(self._paths, self._state, cameras, now, box=self._box, disk=self._disk, trees=trees)
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            log.error("the catalogue is older than what was signed, and no new one can be begun: %s", fault)  # noqa: TRY400 - the fault says it all
            self._old, self._old_until = fault.code, self._monotonic() + OLD_AGAIN_S
            self._catalogue = Catalogue.open(self._state)
            # Each fact makes it look younger, but not to whoever reads the mark.
            self._catalogue.damage("ledger")
            return
        if why:
            log.error("the catalogue was lost (%s): a new one was begun, and rows come back", why)
            with contextlib.closing(Catalogue.open(self._state)) as catalogue:
                settle.mark_boot(catalogue, self._clock.boot_id)
        raise stale.fault(self._state)

    def _lost(self, fault: StorageFault) -> None:
        if fault.code == "CATALOGUE_BUSY":
            code = "catalogue.busy"
        else:
            code = "catalogue.unavailable"
            self.close()
        if not self._raised.get("catalogue"):
            log.error("%s", fault)
        self._raised["catalogue"] = [Raised(code, detail=fault.code)]

    def _turn(self, catalogue: Catalogue, now: Instant) -> bool:
        """Do what is due; return whether there is more of it."""
        mono = self._monotonic()
        due, more = mono >= self._due, False
        if due:
            # Before the clock: what was recorded in doubt waits for its vault's disk, but for no second turn.
            self._part("vaults", lambda: self._look(catalogue, now))
            now = self._clock.meet(self._vaults.values())
        self._part("clock", lambda: self._watch_clock(catalogue, now))
        self._part("orders", lambda: self._take_orders(catalogue, now))
        self._part("streams", lambda: self._tend_streams(catalogue, now, mono))
        self._part("page", lambda: self._hear_page(catalogue, now, mono))
        if due:
            self._due = mono + CYCLE_S
            self._part("holds", lambda: self._tend_holds(catalogue, now))
            more |= self._holds_more
            more |= self._rebuild(catalogue, now)
            more |= self._retain(catalogue, now)
            self._part("exports", lambda: self._hand_out(catalogue, now))
            more |= self._exports.more
            if more:
                self._due = mono
            else:
                self._part("check", lambda: self._check(catalogue, now))
                self._part("outlook", lambda: self._look_out(catalogue, now))
                self._part("day", lambda: self._look_back(catalogue, now, mono))
                if mono >= self._clear_due and not self._blocked:
                    self._part("quarantine", lambda: self._clear(catalogue, now))
            self._part("daily", lambda: self._daily(catalogue, now))
            self._part("update", lambda: self._hear_update(catalogue, now))
            self._part("power", lambda: starts.flapped(catalogue, now))
            self._part("program", lambda: self._watch_program(catalogue, now, mono))
            known = not self._old and not set(self._vaults) - self._reconciled
            self._part("state", lambda: daily.spare_state(catalogue, self._state, now, holds_known=known))
        self._part("checkpoint", lambda: self._sign(catalogue, now))
        return more

    def _part(self, name: str, work: Callable[[], Iterable[Raised]]) -> None:
        """Do one part of a turn; what goes wrong in it is its condition, unless it is the catalogue."""
        try:
            self._raised[name] = [*work()]
        except PasuError as fault:
            if isinstance(fault, StorageFault) and fault.code.startswith("CATALOGUE"):
                raise
            if not any(each.code == "keeper.trouble" for each in self._raised.get(name, [])):
                log.error("%s: %s", name, fault)  # noqa: TRY400 - the fault says it all
            code = "ledger.broken" if isinstance(fault, IntegrityFault) else "keeper.trouble"
            self._raised[name] = [Raised(code, name, fault.code)]
        except Exception as error:
            # A row that nobody thought of must not end the keeper, and again when it is started again (B19).
            what = type(error).__name__
            trouble = [Raised("keeper.trouble", name, what)]
            if self._raised.get(name) != trouble:
                log.exception("%s", name)
            self._raised[name] = trouble

    def _watch_machine(self) -> Iterable[Raised]:
        raised, self._machine = self._watch(self._monotonic())
        return raised

    def _watch_program(self, catalogue: Catalogue, now: Instant, mono: float) -> Iterable[Raised]:
        if self._program is not None:
            self._program.turn(catalogue, now, mono)
        return ()

    def _watch_clock(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        self._clock.tell(catalogue)
        self._clock.witness(self._vaults.values())
        enough = self._enough(WORK_S)
        while self._clock.settle(catalogue, vaults=self._vaults):
            self._reconciled_day = 0  # a hold may cover now what is older than what it looked at last
            if enough():
                break
        self._unsettled = survey.unsettled(catalogue)
        if refused := self._clock.refused:
            yield Raised("keeper.trouble", "clock", f"{len(refused)}: {refused[0].code}")
        if now.trust is Trust.UNTRUSTED:
            yield Raised("time.untrusted", detail=str(self._clock.status().reason))

    def _take_orders(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        wrong = [each for part in self._raised.values() for each in part]
        return self._desk.turn(Turn(catalogue, self._vaults, now, self._key, wrong))

    def _tend_streams(self, catalogue: Catalogue, now: Instant, mono: float) -> Iterable[Raised]:
        moment = Moment(
            now,
            self._clock.boot_id,
            int(mono * 1000),
            self._desk.ring,
            self._followed.config(),
            is_locked_down(self._state),
        )
        return self._streams.turn(catalogue, moment)

    def _hear_update(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        if self._updated is None:
            return ()
        return [*updates.turn(catalogue, now, self._updated), *updates.age(now, BUILT)]

    def _hear_page(self, catalogue: Catalogue, now: Instant, mono: float) -> Iterable[Raised]:
        if self._visitors is not None:
            self._visitors.turn(catalogue, now, mono)
        return ()

    def _look_back(self, catalogue: Catalogue, now: Instant, mono: float) -> Iterable[Raised]:
        self._day.turn(catalogue, self._rules.retention_ms, now.utc_ms, mono, self._rules.hours)
        return ()

    def _look(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        found = disks.look(catalogue, self._paths, self._disk)
        if found.vaults.keys() - self._vaults.keys() and not self._old:
            trees = stale.trees(self._state, found.vaults.values())
            if stale.is_old(self._state, trees):  # a disk that was away knows better
                self._begin_anew(now, trees)
                raise stale.fault(self._state)
        self._vaults = found.vaults
        self._reconciled &= set(found.vaults)
        return found.raised

    def _tend_holds(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        self._holds_known = False
        mono = self._monotonic()
        day = now.utc_ms // UTC_DAY_MS
        again = 0 < self._reconcile_again <= mono
        rebuilt = rebuild.last(catalogue)
        if rebuilt != self._rebuilt:
            # What a rebuilding gave its rows lies in holds, too, also where its label is not in the hold's span.
            self._reconciled, self._rebuilt, self._reconciled_day = set(), rebuilt, 0
            self._tender = None
        tender = self._tender_of(catalogue)
        if not tender.is_looking and (
            again or set(self._vaults) - self._reconciled or day != self._reconciled_day
        ):
            tender.look_at_all()
            self._reconciled_day, self._reconcile_again = day, 0.0
        is_round, self._holds_more = tender.is_looking, False
        report = tender.turn(now, self._enough(WORK_S))
        self._holds_more = report.more
        if is_round and report.faults:
            self._reconcile_again = mono + HOLDS_AGAIN_S
        if is_round and not tender.is_looking:
            self._reconciled = set(self._vaults)
        self._holds_known = True
        for hold in report.due:
            yield Raised("hold.review_due", hold.id)
        for hold in report.soon:
            yield Raised("hold.review_soon", hold.id)
        for hold, left_ms in report.asked:
            if left_ms <= 0:
                yield Raised("hold.answer_due", hold.id)
            elif left_ms <= ANSWER_WARN_DAYS * UTC_DAY_MS:
                yield Raised("hold.answer_soon", hold.id, f"{-(-left_ms // UTC_DAY_MS)} d")
        for name in sorted(report.incomplete):
            yield Raised("hold.incomplete", name, report.faults[0].code if report.faults else "")
        for uuid, name in report.unreadable:
            yield Raised("hold.unreadable", name, uuid)
        for uuid, name in report.foreign:
            yield Raised("hold.foreign", name, uuid)
        for name, path in report.lost:
            yield Raised("hold.lost", name, path)

    def _tender_of(self, catalogue: Catalogue) -> holds.Tender:
        """Return who tends holds; another one when there is another catalogue, or a vault came or went."""
        if self._tender is None or not self._tender.serves(catalogue, self._vaults):
            if self._tender is not None and self._tender.is_looking:
                self._reconciled_day = 0
            self._tender = holds.Tender(catalogue, self._vaults, self._state, step=self._take_step)
        return self._tender

    def _rebuild(self, catalogue: Catalogue, now: Instant) -> bool:
        """Make a lost catalogue whole again, a little; return whether there is more of that."""
        more = False

        def advance() -> Iterable[Raised]:
            nonlocal more
            progress = rebuild.advance(
                catalogue,
                self._vaults,
                self._state,
                now,
                WORK_S,
                pauses=self._pauses,
                step=self._take_step,
            )
            for uuid, places in unread.unread(catalogue.meta(unread.UNREAD)).items():
                if uuid in self._vaults and places:
                    detail = f"{len(places)}: {places[0]}"
                    yield Raised("vault.failing", str(self._vaults[uuid].root), detail)
            if progress is not None and not progress.done:
                more = progress.phase != "time"
                detail = f"{progress.reason}: {progress.phase} {progress.days}/{progress.of}"
                yield Raised("catalogue.reconciling", detail=detail)

        if not self._old:
            self._part("rebuild", advance)
        return more

    def _may_erase(self, catalogue: Catalogue, now: Instant) -> str:
        """Return why nothing may be erased now; empty when it may."""
        if now.trust is Trust.UNTRUSTED:
            return "time.untrusted"
        if self._old:
            return "catalogue.unavailable"
        if catalogue.meta("reconcile") is not None:
            return "catalogue.reconciling"
        if self._desk.on_trial:
            return "config.on_trial"
        return "" if self._knows_holds(catalogue) else "holds.unreconciled"

    def _knows_holds(self, catalogue: Catalogue) -> bool:
        """Tell whether every hold of the vaults that are there has the rows of its links."""
        through = not set(self._vaults) - self._reconciled
        return through and self._holds_known and self._rebuilt == rebuild.last(catalogue)

    def _retain(self, catalogue: Catalogue, now: Instant) -> bool:
        """Plan and erase; return whether there is more to erase."""
        more = False

        def rollover() -> Iterable[Raised]:
            nonlocal more
            roll = self._rollover
            self._blocked = self._may_erase(catalogue, now)
            view = roll.survey(catalogue, self._vaults, now, self._outlook.rates)
            if self._blocked:
                return roll.raised(catalogue, None)
            plan = roll.plan(catalogue, view)
            roll.condemn(catalogue, plan, now)
            done, gone = roll.finish(catalogue, self._vaults, now, self._enough(WORK_S))
            more = bool(done.files) and (plan.more or done.more)
            self._note_erased(catalogue, plan, now, done.files)
            if done.files and not more and roll.is_late:
                # What was late is gone now: a hold that was released, a clock that was confirmed.
                roll.survey(catalogue, self._vaults, now, self._outlook.rates)
            return [*roll.raised(catalogue, plan), *gone]

        self._part("retention", rollover)
        return more

    def _hand_out(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        return self._exports.turn(
            catalogue,
            self._vaults,
            self._key,
            now,
            settled=not self._old and self._knows_holds(catalogue) and catalogue.meta("reconcile") is None,
            enough=self._enough(WORK_S),
        )

    def _note_erased(self, catalogue: Catalogue, plan: Plan, now: Instant, erased: int) -> None:
        for fault in self._rollover.faults[:3]:
            log.error("not erased: %s", fault)
        for path, reason in [*self._rollover.refused.items()][:3]:
            log.error("not erased: %s: %s", path, reason)
        self._outlook.forget(self._rollover.evicted)
        day = now.utc_ms // UTC_DAY_MS
        if self._today[0] != day:
            self._today = (day, daily.erased_between(catalogue, day * UTC_DAY_MS, (day + 1) * UTC_DAY_MS))
        elif erased:
            lately = daily.erased_between(catalogue, now.utc_ms, now.utc_ms + 1)
            self._today = (day, {cause: count + lately[cause] for cause, count in self._today[1].items()})
        if erased:
            log.info("erased %d segments, %d more condemned", erased, max(0, len(plan.erase) - erased))

    def _check(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        done = tend.tend(catalogue, self._vaults, self._state, now, LITTLE_S)
        if done.still:
            yield Raised("segment.damaged", detail=f"{len(done.still)}: {done.still[0].path}")
        if now.trust is not Trust.UNTRUSTED and self._vaults:
            odd = self._odd_row(catalogue, now)
            if odd is not None:
                yield Raised("catalogue.odd_rows", detail=f"segment {odd}")

    def _odd_row(self, catalogue: Catalogue, now: Instant) -> int | None:
        """Look at one camera each time, on from where the last one was found: that is looked at until it is right."""
        places = [(uuid, camera) for uuid in sorted(self._vaults) for camera in catalogue.cameras()]
        if not places:
            return None
        uuid, camera = places[self._odd_turn % len(places)]
        until_ms = now.utc_ms - self._rules.retention_of(camera)
        odd = survey.odd_row(catalogue, uuid, camera, until_ms)
        if odd is None:
            self._odd_turn += 1
        return odd

    def _daily(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        if now.trust is Trust.UNTRUSTED or self._blocked:
            return ()
        daily.confirm(
            catalogue,
            now,
            cycle_s=CYCLE_S,
            responsible=self._rules.responsible,
            oldest_ms=self._rollover.oldest_ms,
            overdue_ms=self._rollover.overdue_ms or 0,
        )
        daily.prune(catalogue, now.utc_ms)
        # Where there is no centre there is nobody who could sign.
        return daily.waits_for_signature(catalogue, now.utc_ms) if self._desk.ring else ()

    def _clear(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        done = quarantined.clear(
            catalogue, self._vaults, self._state, now, self._rules, limit=CLEAR_FILES, step=self._take_step
        )
        self._clear_due = self._monotonic() + (0.0 if done.more else CLEAR_S)
        self._unshredded += done.unshredded
        if self._unshredded:
            yield Raised("erase.unshredded", quarantined.PLACE, str(self._unshredded))
        if done.faults:
            yield Raised("erase.failing", quarantined.PLACE, f"{len(done.faults)}: {done.faults[0].code}")

    def _look_out(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        view = self._rollover.view
        if now.trust is Trust.UNTRUSTED or view is None:
            return []
        return self._outlook.advance(catalogue, view, now, self._enough(LITTLE_S))

    def _sign(self, catalogue: Catalogue, now: Instant) -> Iterable[Raised]:
        if self._old:
            return [Raised("ledger.unsigned", detail=self._old)]
        try:
            if self._key is None:
                self._key = signing.load_or_create(self._state, self._box, self._disk)
            checkpoints.advance(
                catalogue, self._key, [*self._vaults.values()], self._state, now, step=self._take_step
            )
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            return [Raised("ledger.unsigned", detail=fault.code)]
        if catalogue.read("SELECT 1 FROM ledger WHERE kind = 'tamper.ledger' LIMIT 1"):
            return [Raised("ledger.broken", detail="tamper.ledger")]
        return []

    def _enough(self, budget_s: float) -> Callable[[], bool]:
        until = self._monotonic() + budget_s
        return lambda: self._monotonic() >= until

    def _say(self, now: Instant) -> None:
        raised = [each for part in self._raised.values() for each in part]
        self._teller.conditions(raised, now, self._catalogue)
        roll, forecasts = self._rollover, self._outlook.forecasts
        trusted = now.trust is not Trust.UNTRUSTED
        reaches = [forecast.day_tenths for forecast in forecasts.values()]
        body = {
            "version": __version__,
            "box": self._box,
            **self._machine,
            "retention": {
                "blocked": self._blocked,
                "oldest_ms": roll.oldest_ms if trusted else None,
                "overdue_ms": roll.overdue_ms,
                "erased_today": self._today[1],
                "forecast_tenths_of_days": min(reaches, default=None),
            },
            "unsettled": self._unsettled,
            "boot": self._clock.boot_id,
            "challenge": self._desk.challenge,
            "orders": self._desk.to_json(),
            "day": self._day.to_json(),
            "vaults": [self._vault(vault) for vault in (roll.view.vaults if roll.view else ())],
        }
        self._teller.health(now, body)

    def _vault(self, view: VaultView) -> dict[str, Any]:
        forecast = self._outlook.forecasts.get(view.uuid)
        return {
            "uuid": view.uuid,
            "path": str(self._vaults[view.uuid].root) if view.uuid in self._vaults else None,
            "total_bytes": view.room.total_bytes,
            "free_bytes": view.room.free_bytes,
            "free_files": view.room.free_files,
            "reserve_bytes": view.bytes.low,
            "bytes_per_day": forecast.bytes_per_day if forecast else None,
            "forecast_tenths_of_days": forecast.day_tenths if forecast else None,
            "forecast_week_tenths_of_days": forecast.week_tenths if forecast else None,
        }
