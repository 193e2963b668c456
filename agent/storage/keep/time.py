"""Watch the clock: read it, believe it or not, publish the line that labels follow, and tell.

`TimeKeeper` is the edge around `agent.trust`. It keeps what is known in `<state>/time.json`, which every recorder
reads. What was recorded in doubt is given its time back by `agent.storage.keep.settle`.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agent import timefile, trust
from agent.clock import SystemSource, read
from agent.errors import StorageFault
from agent.language import say
from agent.model import Fact, Instant, Trust
from agent.reminder import remind
from agent.storage import ledger
from agent.storage.files import Disk
from agent.storage.keep import settle, witness
from agent.storage.keep.reasons import WORDS
from agent.storage.keep.remembered import anchored, remembered
from agent.storage.keep.stamps import Stamps
from agent.storage.locks import held
from agent.trust import Anchor, Belief, Observation, Reason, Word

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from agent.clock import ClockSource
    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault
    from agent.trust import Told

SAVE_MS = 600_000
"""What is known is written at changes, and else this often: a clock that is saved every second wears out flash."""
MOVED_MS = 500
"""The line has moved by this much: a change that labels should follow at once."""
WITNESS_MS = 3_600_000
"""How often the time is written down in the vaults: one that is a little old counts as time that was not known."""
LOCK = "time.lock"
AGAIN_MS = 60_000
"""A vault that refused to have the time written down is asked again after so long."""
UNTOLD = 1000
"""Facts that wait for the ledger; a clock that is set every second is told by the first of them."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known about time now, for people and conditions.

    state, reason   see agent.trust
    now             the label of now
    real_ms         what the kernel's clock shows, UTC ms; not the label, while somebody has set it
    since_ms        label of when trust was last won or lost
    kernel_synced   a time service disciplines the kernel's clock
    anchor          the last time that was known to be right, None when there never was one
    held_ms         how long nobody has confirmed the time, in this boot; left_ms of trust without that
    confirmed       a person's word that was not used yet, and fits
    fault           time.json cannot be written, None when it can
    """

    state: Trust
    reason: Reason
    now: Instant
    real_ms: int
    since_ms: int
    kernel_synced: bool
    anchor: Anchor | None
    held_ms: int
    left_ms: int
    confirmed: bool
    fault: StorageFault | None

    @property
    def what(self) -> str:
        """Say in the reader's language why the time is trusted, or not."""
        return say(*WORDS[self.reason][0])

    @property
    def next(self) -> str:
        """Say what to do about it; empty when there is nothing to do."""
        if self.reason in (Reason.ABSENT, Reason.BACKWARD) and self.confirmed:
            return say(
                "확인은 받았습니다. 시각 동기(chrony, systemd-timesyncd)가 되면 믿습니다",
                "confirmed; it is trusted once a time service (chrony, systemd-timesyncd) has synchronised too",
            )
        return say(*WORDS[self.reason][1])


class TimeKeeper:
    """The one who decides whether time is trusted. One process at a time has one and calls `observe` every second."""

    def __init__(
        self,
        state: Path,
        vaults: Sequence[Path] = (),
        *,
        disk: Disk | None = None,
        source: ClockSource | None = None,
    ) -> None:
        """Read what was known last; writes nothing yet.

        vaults  the configured ones: they know the time when the state directory has forgotten it
        """
        self._state = state
        self._places = vaults
        self._disk = disk or Disk()
        self._source = source or SystemSource()
        self._belief, self._untold = _load(state)
        if self._belief is None:
            self._belief = remembered(state, vaults)
        self._seen = self._look()
        self._saved: tuple[Belief, int] | None = None
        self._told_saved = len(self._untold)
        self._fault: StorageFault | None = None
        self._observed = False
        self._stamps = Stamps()
        self._witnessed: dict[str, tuple[int, int]] = {}
        self._met: set[str] = set()

    @property
    def boot_id(self) -> str:
        """Return the kernel's name for this boot."""
        return self._seen.boot_id

    @property
    def kernel_ms(self) -> int:
        """Return what the kernel's clock said when it was looked at last, UTC ms, right or not."""
        return self._seen.utc_ms

    @property
    def knows_boot(self) -> bool:
        """Tell whether the line of this boot is published: nobody else needs to begin it then."""
        return self._belief is not None and self._belief.boot_id == self._seen.boot_id

    @property
    def refused(self) -> list[StorageFault]:
        """Return the faults of files that could not be corrected; their rows wait."""
        return [*self._stamps.faults.values()]

    @property
    def belief(self) -> Belief | None:
        """Return what is believed, for `settle` and tests."""
        return self._belief

    def observe(self) -> Instant:
        """Read the clocks, decide, publish what changed; return now as it is labelled.

        A disk that refuses changes nothing in what is decided; it is tried again at the next call.
        """
        self._seen = self._look()
        self._observed = True
        if self.knows_boot:
            self._take()
        else:
            with ExitStack() as locks:
                # A state directory that cannot be written keeps nobody from deciding.
                with suppress(StorageFault):
                    locks.enter_context(held(self._state / LOCK))
                # Who starts recording may have begun this boot's line meanwhile: there must be one only.
                published, untold = _load(self._state)
                if published is not None and published.boot_id == self._seen.boot_id:
                    self._belief, self._untold = published, [*self._untold, *untold][:UNTOLD]
                self._take()
        return self.now()

    def facts(self) -> list[Fact]:
        """Return the facts that are not in the ledger yet, oldest first."""
        return [
            Fact(fact["kind"], Instant(fact["at_ms"], Trust(fact["trust"])), fact["body"])
            for fact in self._untold
        ]

    def told(self, count: int) -> None:
        """Forget the oldest facts: they are in the ledger."""
        del self._untold[:count]
        self._save()

    def tell(self, catalogue: Catalogue) -> int:
        """Append the waiting facts to the ledger, all in one transaction; return how many. Raises StorageFault."""
        lines = [ledger.line(fact) for fact in self.facts()]
        if lines:
            catalogue.write(lambda db: [ledger.append(db, line) for line in lines])
            self.told(len(lines))
        return len(lines)

    def settle(
        self,
        catalogue: Catalogue,
        limit: int = settle.LIMIT,
        *,
        vaults: Mapping[str, Vault] | None = None,
    ) -> int:
        """Give what was recorded in doubt its time back, at most `limit` rows in one transaction; return how many.

        Nothing is done while time is not trusted. To be called each tick, again and again until it returns 0.
        vaults  those that are there, whose files are corrected too; rows of others wait. None leaves files alone
        Raises  StorageFault
        """
        now = self.now()
        if self._belief is None or now.trust is Trust.UNTRUSTED:
            return 0
        return settle.settle(
            catalogue, self._belief, self._seen.boot_ms, now, limit, vaults=vaults, stamps=self._stamps
        )

    def meet(self, vaults: Collection[Vault]) -> Instant:
        """Ask vaults that were away what time they know; return now as it is labelled then.

        To be called before anything is done by a trusted time to vaults that may have come back: a box that has lost
        its memory believed the first clock that it met.
        """
        belief, now = self._belief, self.now()
        self._met &= {vault.uuid for vault in vaults}
        back = [vault for vault in vaults if vault.uuid not in self._met]
        if belief is None or now.trust is Trust.UNTRUSTED or not back:
            return now
        known_ms = witness.told(back, belief)
        if known_ms is not None:
            self._belief, facts = remind(belief, known_ms, now.utc_ms, self._seen.boot_ms)
            now = self.now()
            self._note(facts, now)
            if self._belief != belief:
                self._save()
        self._met |= {vault.uuid for vault in back}
        return now

    def confirm_signed(self, by: str) -> Word:
        """Take the centre's word for the time that was seen last: its signature was checked. Raises StorageFault."""
        return confirm(self._state, by, self._seen, disk=self._disk, file=timefile.SIGNED_FILE)

    def witness(self, vaults: Collection[Vault]) -> None:
        """Write the time down in opened vaults, while it is trusted: every WITNESS_MS, and when it was put right.

        A vault that refuses keeps an older time: no harm, and it is tried again after AGAIN_MS.
        """
        now, boot_ms = self.meet(vaults), self._seen.boot_ms
        if now.trust is Trust.UNTRUSTED:
            return
        offset_ms = now.utc_ms - boot_ms
        for vault in vaults:
            at_ms, before_ms = self._witnessed.get(vault.uuid, (-WITNESS_MS, offset_ms))
            if boot_ms - at_ms < WITNESS_MS and abs(offset_ms - before_ms) < trust.STEP_MS:
                continue
            try:
                witness.write(vault, now.utc_ms)
            except StorageFault:
                self._witnessed[vault.uuid] = boot_ms - WITNESS_MS + AGAIN_MS, offset_ms
            else:
                self._witnessed[vault.uuid] = boot_ms, offset_ms

    def status(self) -> Status:
        """Return what is known, as of the last observation; before the first, as one would decide now."""
        seen = self._seen
        belief = self._belief
        if belief is None or not self._observed:
            belief, _ = trust.observe(belief, seen)
        word = seen.confirmed
        waiting = word is not None and word.boot_ms > belief.heard[0] and trust.fits(word, seen)
        anchor = belief.anchor
        held_ms = seen.boot_ms - anchor.boot_ms if anchor and anchor.boot_id == seen.boot_id else 0
        return Status(
            belief.state,
            belief.reason,
            _label(belief, seen),
            seen.utc_ms,
            belief.since_utc_ms,
            seen.kernel_synced,
            anchor,
            held_ms,
            0 if belief.state is Trust.UNTRUSTED else max(0, trust.HOLDOVER_MS - held_ms),
            waiting,
            self._fault,
        )

    def _look(self) -> Observation:
        signed = read_word(self._state, timefile.SIGNED_FILE)
        return replace(read(self._source), confirmed=read_word(self._state), signed=signed)

    def _take(self) -> None:
        """Decide by what was seen, and write it down where it matters."""
        if self._belief is not None and self._belief.anchor is None:
            # A vault that was away, or not looked into, when this boot began.
            self._belief = anchored(self._belief, witness.newest(self._places))
        self._belief, told = trust.observe(self._belief, self._seen)
        self._note(told, self.now())
        if self._worth_saving(self._belief):
            self._save()

    def _note(self, told: Iterable[Told], now: Instant) -> None:
        """Write facts down until the ledger has them."""
        for fact in told:
            if len(self._untold) < UNTOLD:
                entry = {"kind": fact.kind, "at_ms": now.utc_ms, "trust": str(now.trust), "body": fact.body}
                self._untold.append(entry)

    def now(self) -> Instant:
        """Return when the clocks were last read, as it is labelled."""
        belief, seen = self._belief, self._seen
        if belief is None or belief.boot_id != seen.boot_id:
            return Instant(seen.utc_ms, Trust.UNTRUSTED)
        return _label(belief, seen)

    def _worth_saving(self, belief: Belief) -> bool:
        if self._saved is None or self._fault is not None or self._told_saved != len(self._untold):
            return True
        saved, at_ms = self._saved
        moved = abs(saved.line.offset_ms - belief.line.offset_ms) >= MOVED_MS
        due = belief.state is not Trust.UNTRUSTED and self._seen.boot_ms - at_ms >= SAVE_MS
        return (
            moved
            or due
            or abs(saved.refused_ms - belief.refused_ms) >= MOVED_MS
            or (saved.state, saved.reason, saved.heard) != (belief.state, belief.reason, belief.heard)
        )

    def _save(self) -> None:
        """Publish. The old file stays in place when the disk refuses."""
        if self._belief is None:
            return
        data = timefile.encode(self._belief, self._untold).encode()
        try:
            self._disk.atomic_replace(self._state / timefile.FILE, data, sync=True)
        except StorageFault as fault:
            self._fault = fault
            return
        self._fault = None
        self._saved = (self._belief, self._seen.boot_ms)
        self._told_saved = len(self._untold)


def _label(belief: Belief, seen: Observation) -> Instant:
    return trust.label(
        belief, seen.boot_ms, seen.utc_ms, kernel_synced=seen.kernel_synced, slept_ms=seen.slept_ms
    )


def begin_boot(
    state: Path,
    vaults: Sequence[Path] = (),
    *,
    disk: Disk | None = None,
    source: ClockSource | None = None,
) -> Instant:
    """Begin the line of this boot, unless somebody has; return now as it is labelled. For who starts recording.

    Makes the state directory, in which `prepare` makes everything else. Its parent must be there.
    Raises  StorageFault
    """
    disk = disk or Disk()
    disk.make_directory(state)
    keeper = TimeKeeper(state, vaults, disk=disk, source=source)
    # The facts wait in the file for whoever keeps.
    return keeper.now() if keeper.knows_boot else keeper.observe()


def mark_boot(catalogue: Catalogue, *, source: ClockSource | None = None) -> None:
    """Note where the rows of earlier boots end, once nothing of them is left to be salvaged. Raises StorageFault."""
    settle.mark_boot(catalogue, (source or SystemSource()).boot_id())


def read_word(state: Path, file: str = timefile.CONFIRMED_FILE) -> Word | None:
    """Return the newest word for the time, a person's or the centre's; None when there is none that can be read."""
    try:
        return timefile.decode_word((state / file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def confirm(
    state: Path,
    by: str,
    seen: Observation,
    *,
    disk: Disk | None = None,
    file: str = timefile.CONFIRMED_FILE,
) -> Word:
    """Give one's word for the time that was seen; whoever watches the clock takes it within a second.

    Raises  StorageFault
    """
    word = Word(by, seen.boot_id, seen.boot_ms, seen.utc_ms)
    data = timefile.encode_word(word).encode()
    (disk or Disk()).atomic_replace(state / file, data, sync=True)
    return word


def published(state: Path) -> Belief | None:
    """Return what was published last, None when nothing that can be read was."""
    return _load(state)[0]


def _load(state: Path) -> tuple[Belief | None, list[dict[str, Any]]]:
    try:
        return timefile.decode((state / timefile.FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, []
