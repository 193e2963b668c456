"""A1, A2, A3: recorder, workers, keeper and hold commands killed at random, in any combination, 300 times.

Nothing committed is lost, nothing held is lost, nothing is erased twice or too early, no missing picture is without its
gap, and in the end everything that is due is erased and everything that is held is there: without anybody's help.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.lab import ROOT, GstCameras, Site, machine, prepared_clip
from tests.procedure.keep_scenario import (
    RETENTION_MS,
    Audit,
    Holds,
    Program,
    audit,
    erased_all_that_is_due,
    frames_accounted_for,
    iso,
    now_ms,
    plant,
    run,
    tree_agrees,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

OLD = ("old0", "old1", "old2", "old3")
EVERY_MS = 150  # how often a planted segment comes of age
OVERDUE_MS = 60_000
PROMISES = 10  # holds at once
AIM_S = 3.0

# What is killed together, and how often of a hundred. "each" draws for every process that lives.
VICTIMS = {
    ("keep",): 40,
    ("command",): 14,
    ("keep", "command"): 10,
    ("worker",): 8,
    ("record",): 6,
    ("record", "worker"): 5,
    ("record", "worker", "keep"): 5,
    ("record", "worker", "keep", "command"): 4,
    ("each",): 8,
}


class Chaos:
    """Starts what died, orders holds and releases, and kills.

    Half of the kills fall anywhere. The others are aimed: they wait until the keeper has condemned something, or a command
    has left its first trace, and fall within the next moments, for starting Python takes longer than all steps together.
    """

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.chance = random.Random(seed)
        self.holds = Holds()
        self.killed: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.left_condemned = 0
        self.held_lost: list[str] = []
        self.watched = 0
        self.keeper = Program(site, "keep")
        self.command: Program | None = None
        self._hold = ""
        self._number = 0

    def restart(self) -> None:
        """Start again what is dead, as systemd would."""
        if self.site.process is None or self.site.process.poll() is not None:
            self.site.start()
        if not self.keeper.alive():
            self.keeper = Program(self.site, "keep")

    def stands(self) -> bool:
        """Tell whether all is well again; what ended meanwhile, for what it had started was killed, is started again."""
        self.restart()
        states = self.site.states()
        return all(states.get(camera) == "recording" for camera in self.site.cameras)

    def order(self) -> None:
        """Place a hold on what is about to be erased, or release one."""
        self.collect()
        if self.command is not None:
            return
        promised = sorted(self.holds.promised)
        if len(promised) >= PROMISES or (promised and self.chance.random() < 0.25):
            self._hold = self.chance.choice(promised)
            # Its time is over when release begins: until here each of its files had to be there.
            self.watched += len(self.holds.promised[self._hold])
            self.held_lost += [f"{self._hold}: {each}" for each in self.holds.lost(self.site, self._hold)]
            del self.holds.promised[self._hold]
            self.command = Program(self.site, "hold", "release", self._hold, "--reason", "no longer needed")
            return
        self._number += 1
        self._hold = f"case-{self._number}"
        begin = now_ms() - RETENTION_MS + self.chance.randrange(-15_000, 40_000)
        cameras = self.chance.choice([*OLD, "old0,old2", "all"])
        self.command = Program(
            self.site, "hold", "place", "--id", self._hold, "--camera", cameras,
            "--from", iso(begin), "--to", iso(begin + self.chance.randrange(500, 8000)),
            "--ground", "investigation", "--authority", "강릉경찰서 2026-1234",
            "--review", iso(now_ms() + 60 * 86_400_000)[:10],
        )  # fmt: skip

    def collect(self) -> None:
        """Take note of a command that came to its end."""
        if self.command is None or self.command.alive():
            return
        what, status = self.command.arguments[1], self.command.process.returncode
        assert status in (0, -signal.SIGKILL), f"{what}: {status}: {self.command.said()}"
        self.done[f"{what}, {'done' if status == 0 else 'killed'}"] += 1
        if status == 0 and what == "place":
            self.holds.placed(self.site, self._hold)
        self.command = None

    def wait(self) -> str:
        """Let some time pass; return what the kill is aimed at, or nothing."""
        if self.chance.random() < 0.5:
            time.sleep(self.chance.uniform(0.0, 1.3))
            return ""
        aim = "command" if self.command is not None and self.chance.random() < 0.3 else "keep"
        end = time.monotonic() + AIM_S
        while time.monotonic() < end and not (self._begun() if aim == "command" else self._condemned()):
            time.sleep(0.002)
        time.sleep(self.chance.uniform(0.0, 0.04))
        return aim

    def _condemned(self) -> int:
        ((count,),) = self.site.rows("select count(*) from segment where state = 'CONDEMNED'")
        return int(str(count))

    def _begun(self) -> bool:
        """Tell whether the command that runs has left its first trace, or is over."""
        assert self.command is not None
        if self.command.arguments[1] == "place":
            return (self.site.vault / "holds" / self._hold).exists() or not self.command.alive()
        released = self.site.rows("select 1 from hold where id = ? and released_ms is not null", self._hold)
        return bool(released) or not self.command.alive()

    def kill(self, aim: str) -> None:
        """Kill some of what lives, at once; what is aimed at in any case."""
        alive: dict[str, list[int]] = {"keep": [self.keeper.pid] if self.keeper.alive() else []}
        if self.command is not None and self.command.alive():
            alive["command"] = [self.command.pid]
        if self.site.process is not None and self.site.process.poll() is None:
            alive["record"], *workers = [[pid] for pid in self.site.pids()]
            alive["worker"] = [pid for (pid,) in workers]
        (names,) = self.chance.choices(list(VICTIMS), weights=list(VICTIMS.values()))
        if names == ("each",):
            names = tuple(name for name in alive if self.chance.random() < 0.5)
        chosen = [name for name in {*names, aim} if alive.get(name)] or ["keep"]
        for name in chosen:
            for pid in alive[name]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.killed[" + ".join(sorted(chosen))] += 1
        if "keep" in chosen:
            self.keeper.wait()
            self.left_condemned += bool(self._condemned())
        if "record" in chosen:
            assert self.site.process is not None
            self.site.process.wait(30)

    def end(self) -> None:
        """Stop what still runs."""
        for program in (self.command, self.keeper):
            if program is not None and program.alive():
                program.kill()


@dataclass(frozen=True)
class Outcome:
    kills: int
    seconds: float
    killed: Counter[str]
    left_condemned: int
    commands: Counter[str]
    audit: Audit
    checkpointed: int
    frames: dict[str, str]
    starts: int


def kill_everything(folder: Path, kills: int, seed: int) -> Outcome:
    cameras = GstCameras(
        folder / "cameras", "--clip", str(prepared_clip(640, 360, 30, 1000, 10, 1)), "--cameras", "2"
    )
    names = {"live0": 0, "live1": 1}
    with cameras:
        site = Site(
            folder / "site", {camera: cameras.url(number) for camera, number in names.items()}, segment_s=5
        )
        with site, contextlib.ExitStack() as stack:
            site.wait_recording()
            old = now_ms() - RETENTION_MS
            plant(site, OLD, old - OVERDUE_MS, old + round(kills * 1500) + 60_000, EVERY_MS)
            chaos = Chaos(site, seed)
            stack.callback(chaos.end)
            run(site, "clock", "confirm", "--yes")
            until("the first erasure", lambda: site.facts("segment.erased"))
            begun = time.monotonic()
            for _ in range(kills):
                chaos.restart()
                if chaos.chance.random() < 0.7:
                    chaos.order()
                chaos.kill(chaos.wait())
            seconds = time.monotonic() - begun
            ended_ms = now_ms()

            until("recording", chaos.stands)
            until("the last command", lambda: chaos.command is None or not chaos.command.alive())
            chaos.collect()
            until("all that is due to be erased", lambda: erased_all_that_is_due(site, ended_ms))
            assert chaos.keeper.alive(), chaos.keeper.said()
            assert chaos.keeper.stop() == 0, chaos.keeper.said()
            assert site.stop() == 0, site.log[-3000:]
        print(run(site, "ledger", "verify")[-500:])
        result = audit(site, chaos.holds)
        result.held_lost += chaos.held_lost
        result.held += chaos.watched
        return Outcome(
            kills,
            seconds,
            chaos.killed,
            chaos.left_condemned,
            chaos.done,
            result,
            tree_agrees(site),
            frames_accounted_for(site, cameras, names),
            len(site.facts("box.started")),
        )


def whole(outcome: Outcome) -> None:
    print(
        f"{outcome.kills} kills in {outcome.seconds:.0f} s: {dict(outcome.killed)}; {dict(outcome.commands)}"
    )
    print(
        f"{outcome.audit.erased} erased, {outcome.audit.live} live, {outcome.audit.held} held; {outcome.frames}"
    )
    print(f"{outcome.left_condemned} kills of the keeper left something condemned")
    outcome.audit.clean()
    assert outcome.audit.erased > outcome.kills, "little was erased: the kills met nothing"
    assert outcome.audit.held > outcome.kills // 5, "little was held"
    assert outcome.left_condemned > outcome.kills // 20, "few kills fell while something was erased"
    assert outcome.commands["place, done"] > outcome.kills // 20
    assert outcome.commands["place, killed"] > outcome.kills // 50


def test_everything_killed_three_hundred_times(tmp_path):
    whole(kill_everything(tmp_path, 300, seed=20261121))


@pytest.mark.campaign
def test_everything_killed_a_thousand_times(tmp_path):
    outcome = kill_everything(tmp_path, 1000, seed=7)
    result = outcome.audit
    killed = "".join(f"| {names} | {count} |\n" for names, count in outcome.killed.most_common())
    commands = ", ".join(f"{what} {count}" for what, count in sorted(outcome.commands.items()))
    frames = "".join(f"| {camera} | {said} |\n" for camera, said in outcome.frames.items())
    (ROOT / "docs/evidence/kill-everything.md").write_text(
        f"# Everything killed {outcome.kills} times\n\n"
        f'`make campaign ARGS="-k everything_killed"`, seed 7, {time.strftime("%Y-%m-%d", time.gmtime())}; {machine()}.\n'
        f"{outcome.kills} random SIGKILLs in {outcome.seconds:.0f} s, of any combination of `pasu record` (parent, workers),"
        " `pasu keep` and a running `pasu hold place` or `release`; what died was started again, as systemd would."
        f" {outcome.left_condemned} kills of the keeper fell between condemning and the tombstone. The recorder was started {outcome.starts} times. Commands: {commands}.\n\n"
        "| killed together | times |\n| --- | --- |\n" + killed + "\n"
        "| what must not be | found |\n| --- | --- |\n"
        f"| committed segments lost | {len(result.lost)} |\n| held segments lost | {len(result.held_lost)} |\n"
        f"| segments committed or erased twice | {len(result.doubled)} |\n| segments erased too early | {len(result.too_early)} |\n"
        f"| rows, files, links and facts that disagree | {len(result.wrong)} |\n\n"
        f"Erased: {result.erased} segments, each with one tombstone; live: {result.live}, each with its size and hash, the planted ones"
        f" opened; held until they were released or the end: {result.held}. {result.facts} facts without a hole; the root over the first"
        f" {outcome.checkpointed}, computed by the test, is the one the vault's checkpoint signs. SQLite's integrity check: ok.\n\n"
        "| camera | frames, by the camera's own ledger |\n| --- | --- |\n" + frames
    )
    whole(outcome)
