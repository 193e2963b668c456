"""From where a box finishes by itself: the new version in, watched, and out again where it does not record.

    U4   what erases and what talks is stopped; dpkg installs the new package
    U5   units are started again, recording first; from here on the new version is watched
    U6   every camera that recorded before records, by its own word and by what grows on the disks, within 180 s
    U7   or else all is stopped, the catalogue is looked at, and dpkg installs the old package
    U8   units are started again
    U9   last.json says what became of it: keep makes a fact of it, whichever version's it is
    U10  the package of the version that runs is the one that is kept; the journal is removed

The journal says before each what is next. So whoever is killed, or loses power, is followed by somebody who does that
step again, and each may be done twice: dpkg puts right what it left half done. Only the standard library and a few
modules of Pasu are used: they run from a file of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.field.updating import plan
from agent.field.updating.plan import Growth, Outcome, Phase
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.field.updating.machine import Machine
    from agent.field.updating.plan import Journal, Package
    from agent.field.updating.store import Store

LOOK_S = 1.0


class Finisher:
    """Carries an update to its end."""

    def __init__(
        self,
        store: Store,
        machine: Machine,
        *,
        step: Callable[[str], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Do nothing yet. `step`: told each numbered step; `tell`: told what is going on, in words."""
        self._store = store
        self._machine = machine
        self._step = step
        self._tell = tell

    def run(self, journal: Journal) -> Journal:
        """Do what is left of an update; return it with its outcome. Raises StorageFault; then it is done again."""
        work = {
            Phase.INSTALL: self._install,
            Phase.START: self._start,
            Phase.WATCH: self._watch,
            Phase.BACK: self._back,
            Phase.BACK_START: self._back_start,
        }
        while journal.phase is not Phase.CLOSE:
            journal = work[journal.phase](journal)
            self._store.put_journal(journal)
        self._close(journal)
        return journal

    def _install(self, journal: Journal) -> Journal:
        self._tell(say(f"{journal.new.version}을(를) 설치합니다.", f"Installing {journal.new.version}."))
        self._machine.stop([unit for unit in plan.QUIET if unit in journal.units])
        wrong = self._put(journal.new)
        self._step("U4")
        if wrong:
            self._tell(say(f"설치하지 못했습니다: {wrong}", f"It could not be installed: {wrong}"))
            return journal.to(Phase.BACK, why="install")
        return journal.to(Phase.START)

    def _put(self, package: Package) -> str:
        """Install a package that is what it was; return what went wrong."""
        if not self._store.is_whole(package):
            return "the package is damaged"
        return self._machine.install(self._store.path(package))

    def _start(self, journal: Journal) -> Journal:
        heard = self._machine.heard(journal.run)
        pids = tuple(pid for pid in (heard.record, heard.keep) if pid)
        self._machine.ready()
        self._machine.start(journal.units)
        self._step("U5")
        return journal.to(Phase.WATCH, watches=1, pids=pids, boot=self._machine.boot())

    def _watch(self, journal: Journal) -> Journal:
        self._machine.ready()
        boot = self._machine.boot()
        if journal.boot != boot:
            if journal.watches >= plan.MOST_WATCHES:
                return journal.to(Phase.BACK, why="restarts")
            journal = journal.to(Phase.WATCH, watches=journal.watches + 1, pids=(), boot=boot)
            self._store.put_journal(journal)
        self._tell(
            say(
                f"전에 녹화하던 카메라 {len(journal.cameras)}대가 녹화하는지 봅니다 (길어도 {plan.WATCH_S:.0f}초).",
                f"Watching whether the {len(journal.cameras)} cameras that recorded before do"
                f" ({plan.WATCH_S:.0f} s at most).",
            )
        )
        growth, since_s = Growth(), self._machine.boot_s()
        while True:
            heard = self._machine.heard(journal.run)
            grown: frozenset[str] = frozenset()
            if plan.anew(heard.record, journal):
                grown = growth.see(self._machine.marks(journal.vaults, journal.cameras))
            passed_s = self._machine.boot_s() - since_s
            verdict, why, missing = plan.judge(journal, heard, grown, passed_s, self._machine.utc_ms())
            if verdict is not None:
                break
            self._machine.sleep(LOOK_S)
        self._step("U6")
        if verdict:
            return journal.to(Phase.CLOSE, outcome=Outcome.APPLIED)
        return journal.to(Phase.BACK, why=why, missing=missing)

    def _back(self, journal: Journal) -> Journal:
        self._tell(
            say(
                f"되돌립니다: {journal.was}. 까닭: {why_text(journal.why, journal.missing)}",
                f"Going back to {journal.was}: {why_text(journal.why, journal.missing)}",
            )
        )
        old = journal.old
        # What records goes on, unless something was stopped for this.
        after = Phase.BACK_START if journal.why == "install" else Phase.CLOSE
        if old is None:
            return journal.to(after, outcome=Outcome.FAILED)
        if self._is_shut(journal, old):
            return journal.to(after, outcome=Outcome.FAILED, why=f"{journal.why} catalogue")
        self._machine.stop([unit for unit in journal.units if unit != plan.TUNNEL])
        if self._is_shut(journal, old):  # it may have been changed a moment ago
            return journal.to(Phase.BACK_START, outcome=Outcome.FAILED, why=f"{journal.why} catalogue")
        wrong = self._put(old)
        self._step("U7")
        if not wrong:
            return journal.to(Phase.BACK_START, outcome=Outcome.ROLLED_BACK)
        self._tell(wrong)
        if journal.tries + 1 < plan.MOST_TRIES:
            return journal.to(Phase.BACK, tries=journal.tries + 1)
        self._put(journal.new)  # that one, whole, rather than neither
        return journal.to(Phase.BACK_START, outcome=Outcome.FAILED, why=f"{journal.why} back")

    def _is_shut(self, journal: Journal, old: Package) -> bool:
        """Tell whether the old version would refuse the catalogue, and record nothing (J5).

        The new one stays then: it may be mended. A catalogue that cannot be asked may be any.
        """
        there = self._machine.catalogue(journal.state)
        return there is not None and there > (old.catalogue or 0)

    def _back_start(self, journal: Journal) -> Journal:
        self._machine.ready()
        self._machine.start(journal.units)
        self._step("U8")
        return journal.to(Phase.CLOSE)

    def _close(self, journal: Journal) -> None:
        self._machine.ready()
        self._store.put_last(plan.told(journal, self._machine.utc_ms()))
        self._step("U9")
        if journal.outcome is Outcome.APPLIED or self._machine.installed() == journal.new.version:
            self._store.put_kept(journal.new)
        self._store.drop_others()
        self._store.drop_journal()
        self._step("U10")


def why_text(why: str, missing: Sequence[str]) -> str:
    """Say why a version was taken back: as a journal's `why`, and the cameras that do not record."""
    texts = {
        "install": say("설치하지 못함", "it could not be installed"),
        "silent": say("녹화 프로세스가 말하지 않음", "the recorder says nothing"),
        "cameras": say("녹화하지 않는 카메라: ", "cameras that do not record: ") + ", ".join(missing),
        "keep": say("보관 프로세스가 말하지 않음", "the keeper says nothing"),
        "restarts": say("지켜보는 동안 박스가 거듭 다시 시작함", "the box started again and again meanwhile"),
        "catalogue": say(
            "전의 버전은 지금의 목록을 읽지 못함", "the version before cannot read the catalogue as it is now"
        ),
        "back": say("전의 버전을 설치하지 못함", "the version before could not be installed"),
    }
    return "; ".join(texts.get(word, word) for word in why.split())
