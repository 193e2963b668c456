"""H3, H4: a contractor has a root shell on a recording box for an hour. What he tries is impossible, or seen at the centre.

Recorder, keeper, uplink, broker and the centre's watch are the real processes; the contractor is this test, which may do
to the box's files and processes whatever root may. Each step names what the centre must show of it: an entry of the
box's ledger, a condition in its health, or an alarm of the centre's own. What nothing on the box can see is listed in
docs/threat-model.md. The row wants each within a minute: the campaign asserts that, and writes how long it took; CI asserts
twice as much, for a busy machine. It is timed by the monotonic clock, since he moves the other one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.evidence import write_section
from tests.false_clock import CUSTOMIZE
from tests.lab import ROOT, centre_key, wait_for
from tests.living import Centre, Ear, LiveBox, settled
from tests.peers.test_stolen import identities, named, opened
from tests.town import Town

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPECS = [CameraSpec(number, width=320, height=240, fps=15, gop=15, prepared=True) for number in (1, 2)]
SEEN_S = 60.0
"""The row's."""
GENEROUS = 2.0
PATIENCE_S = 240
"""What comes too late is waited for all the same, so that it is told how late that was."""
DAYS_40_MS = 40 * 86_400_000
LOOP = "agent/capture/loop.py"
FORKS = {"rolled_back", "forked", "edited", "doubted"}
HEAD = """
# An hour with a root shell (H3)

`pytest --campaign tests/peers/test_red_team.py`. Seconds from each step until the centre shows it.
"""


class Scene:
    """A box that records and reports, its centre, and what the centre sees."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.town = Town(folder / "town")
        self.centre = Centre(self.town)
        self.town.start()
        self.centre.watch.start()  # before a clock and a program are put in its way
        self.ear = Ear(self.town, "health", client_id="centre-red")
        self.program = folder / "python" / "agent"
        shutil.copytree(ROOT / "agent", self.program, ignore=shutil.ignore_patterns("__pycache__"))
        (self.program.parent / "sitecustomize.py").write_text(CUSTOMIZE)
        self.clock = folder / "off_ms"
        self.clock.write_text("0")
        monkeypatch.setenv("PYTHONPATH", str(self.program.parent))
        monkeypatch.setenv("FALSE_CLOCK", str(self.clock))
        self.cameras = CameraProcess(SPECS)
        self.cameras.start()
        self.box = LiveBox(self.town, cameras={each.name: self.cameras.urls[each.number] for each in SPECS})
        self.old: dict[str, bytes] = {}
        self.frozen: list[int] = []
        self.forks_before = 0

    def close(self) -> None:
        with settled(self.cameras, self.town, self.centre.watch, self.box, self.ear):
            pass

    def begin(self) -> None:
        self.box.start()
        self.box.begin()
        self.box.wait_recording(bound_s=120)
        wait_for("what is stored", lambda: len(self.box.segments("cam01")) >= 3, 120)
        wait_for("it at the centre", lambda: self.facts("segment.committed"), 120)
        wait_for("its program", lambda: self.facts("box.program"), 120)

    # what the centre sees

    def facts(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(text) for _, _, _, found, text in self.centre.entries() if found == kind]

    def conditions(self) -> set[tuple[str, str]]:
        """Return those of the newest health that came."""
        said = [body for body in self.ear.hear() if "cameras" in body and "backlog" in body]
        return {(code, subject) for code, subject, _ in said[-1]["conditions"]} if said else set()

    def forks(self) -> int:
        """Return how often the witness said that a ledger is another than it was."""
        return sum(row[0] in FORKS for row in self.centre.rows("select what from alarm"))

    def alarms(self) -> set[str]:
        return {str(row[0]) for row in self.centre.rows("select what from alarm")}


def fact(kind: str, **wanted: object) -> Callable[[Scene], object]:
    """Ask whether the centre has such an entry."""
    return lambda scene: any(
        all(body.get(name) == value for name, value in wanted.items()) for body in scene.facts(kind)
    )


def condition(code: str, subject: str = "") -> Callable[[Scene], object]:
    return lambda scene: (code, subject) in scene.conditions()


def recipients_stay(scene: Scene) -> object:
    return scene.facts("config.applied")[1:] and len(scene.facts("key.recipients")) == 1


def stepped(scene: Scene) -> object:
    return any(body["delta_ms"] > DAYS_40_MS - 60_000 for body in scene.facts("clock.step"))


def edited(scene: Scene) -> object:
    """What the centre had before stays what it was; that it was changed the box says itself, or the witness."""
    told = fact("tamper.ledger", verdict="forked")(scene) or scene.forks()
    return told and fact("hold.placed", authority="made up")(scene)


def went_back(scene: Scene) -> object:
    """The keeper knows the vaults' checkpoints, and begins anew beside them; else the witness contradicts."""
    return fact("ledger.began", reason="old")(scene) or scene.forks() > scene.forks_before


# --- what he tries, and what is seen of it -------------------------------------------------------------------------


def reads_the_past(scene: Scene) -> None:
    """With whatever stands as a key in any file of the box."""
    files = [path for path in scene.box.folder.rglob("*") if path.is_file() and ".mp4.age" not in path.name]
    values = {value for path in files for value in named(path.read_bytes()) if len(value) == 32}
    assert len(values) > 20
    assert opened(scene.folder, identities(sorted(values)), [scene.box.segments("cam01")[0].path]) == 0


def places_a_hold(scene: Scene) -> None:
    done = scene.box.run_command(
        "hold", "place", "--camera", "cam01", "--from", "-30s", "--to", "now", "--ground", "investigation",
        "--authority", "made up", "--review", "+30d",
    )  # fmt: skip
    assert done.returncode == 0, done


def adds_a_recipient(scene: Scene) -> None:
    _, own = centre_key(scene.folder / "his.key")
    text = scene.box.config.read_text()
    scene.box.config.write_text(text.replace('recipients = ["', f'recipients = ["{own}", "'))


def changes_the_ring(scene: Scene) -> None:
    (ring,) = [path for path in (scene.box.state / "centre").iterdir() if path.name.startswith("ring")]
    scene.old[str(ring)] = ring.read_bytes()
    ring.write_bytes(ring.read_bytes().replace(b".", b"A.", 1))


def puts_the_ring_back(scene: Scene) -> None:
    for path, content in scene.old.items():
        with open(path, "wb") as file:
            file.write(content)


def replaces_the_program(scene: Scene) -> None:
    with (scene.program.parent / LOOP).open("a") as file:
        file.write("# and a copy in clear for me\n")


def loads_one_more(scene: Scene) -> None:
    (scene.program.parent / "usercustomize.py").write_text("import os\n")


def moves_the_clock(scene: Scene) -> None:
    scene.clock.write_text(str(DAYS_40_MS))


def deletes_a_segment(scene: Scene) -> None:
    scene.box.segments("cam02")[0].path.unlink()


def kills_a_worker(scene: Scene) -> None:
    for pid in scene.box.workers().values():
        os.kill(pid, signal.SIGKILL)


def freezes_the_recorder(scene: Scene) -> None:
    scene.box.wait_recording(bound_s=120)
    scene.frozen = scene.box.pids()
    for pid in scene.frozen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def goes_back_to_a_copy(scene: Scene) -> None:
    """Of the catalogue: what he has done since is gone from the box. And the clock goes back, too."""
    scene.clock.write_text("0")
    scene.box.confirm_clock()
    for pid in scene.frozen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    scene.box.wait_recording(bound_s=120)
    with (
        contextlib.closing(sqlite3.connect(scene.box.state / "catalogue.db", timeout=60)) as own,
        contextlib.closing(sqlite3.connect(scene.folder / "copy.db")) as copy,
    ):
        own.backup(copy)
        ((copied,),) = copy.execute("select max(seq) from ledger")
    # Before that nobody could tell: what is not signed yet is nowhere but in the catalogue that he puts away.
    signed = "select 1 from checkpoint where size > ?"
    wait_for("a signature under more than the copy has", lambda: scene.box.rows(signed, copied), PATIENCE_S)
    size = scene.centre.size()
    wait_for("more at the centre", lambda: scene.centre.size() > size + 4, PATIENCE_S)
    scene.forks_before = scene.forks()
    for each in (scene.box.uplink, scene.box.keep):
        each.kill()
    scene.box.kill()
    for name in ("catalogue.db-wal", "catalogue.db-shm"):
        (scene.box.state / name).unlink(missing_ok=True)
    shutil.copy(scene.folder / "copy.db", scene.box.state / "catalogue.db")
    scene.box.start()
    scene.box.keep.start()
    scene.box.uplink.start()


def edits_what_was_told(scene: Scene) -> None:
    """His hold was another's; written over what the box has signed, and the centre has."""
    ((seq,),) = scene.box.rows("select seq from ledger where kind = 'hold.placed'")
    wait_for(
        "its signature", lambda: scene.box.rows("select 1 from checkpoint where size >= ?", seq), PATIENCE_S
    )
    with contextlib.closing(sqlite3.connect(scene.box.state / "catalogue.db", timeout=60)) as own, own:
        changed = own.execute(
            "update ledger set body = replace(body, 'made up', 'court 77') where kind = 'hold.placed'"
        )
        assert changed.rowcount == 1


def pulls_the_line(scene: Scene) -> None:
    for each in (scene.box.uplink, scene.box.keep):
        each.kill()
    scene.box.kill()


Step = tuple["Callable[[Scene], None]", str, "Callable[[Scene], object]"]
PARTS: list[list[Step]] = [
    [
        (places_a_hold, "hold.placed", fact("hold.placed", authority="made up")),
        (adds_a_recipient, "config.applied, and no new recipient", recipients_stay),
        (changes_the_ring, "ring.damaged", condition("ring.damaged")),
        (replaces_the_program, "box.program", fact("box.program", changed=[LOOP])),
        (deletes_a_segment, "segment.lost", fact("segment.lost", camera="cam02")),
    ],
    [
        (puts_the_ring_back, "no condition", lambda scene: not condition("ring.damaged")(scene)),
        (
            loads_one_more,
            "box.program",
            lambda scene: "usercustomize.py" in json.dumps(scene.facts("box.program")),
        ),
        (moves_the_clock, "clock.step", stepped),
        (kills_a_worker, "worker.lost", fact("worker.lost", how="SIGKILL")),
    ],
]
MINUTE: list[Step] = [
    (edits_what_was_told, "tamper.ledger, or forked", edited),
    (freezes_the_recorder, "process.silent", condition("process.silent", "record")),
]
BACK: list[Step] = [(goes_back_to_a_copy, "a ledger begun anew, or forked", went_back)]
GONE: list[Step] = [(pulls_the_line, "silent", lambda scene: "silent" in scene.alarms())]
"""What is told after a minute is for the campaign. CI has it elsewhere, with clocks of its own: H6 and silence in
tests/contract/test_centre_watch.py, I5 in tests/procedure/test_keep_process.py."""


def play(folder: Path, monkeypatch: pytest.MonkeyPatch, *parts: list[Step]) -> list[tuple[str, str, float]]:
    """Do all of it, a part at a time; return each step, as what it was seen, and how many seconds that took."""
    scene, took = Scene(folder, monkeypatch), []
    try:
        scene.begin()
        reads_the_past(scene)
        for part in parts:
            waiting = []
            for step, name, seen in part:
                step(scene)
                waiting.append((time.monotonic(), step.__name__, name, seen))
            until = time.monotonic() + PATIENCE_S
            while waiting:
                for each in [each for each in waiting if each[3](scene)]:
                    waiting.remove(each)
                    begun, what, name, _ = each
                    took.append((what.replace("_", " "), name, time.monotonic() - begun))
                    print(shown(took[-1]), flush=True)
                assert time.monotonic() < until, (
                    f"never seen at the centre: {[each[1:3] for each in waiting]}"
                )
                time.sleep(0.2)
    finally:
        scene.close()
    return took


def shown(step: tuple[str, str, float]) -> str:
    what, name, seconds = step
    return f"| {what} | {name} | {seconds:.0f} s |"


def late(took: list[tuple[str, str, float]], bound_s: float) -> list[tuple[str, str, float]]:
    return [step for step in took if step[2] > bound_s]


def test_h3_an_hour_with_a_root_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    took = play(tmp_path, monkeypatch, *PARTS, BACK)
    assert len(took) == sum(map(len, PARTS)) + len(BACK)
    assert late(took, SEEN_S * GENEROUS) == []


@pytest.mark.campaign
def test_h3_how_soon_the_centre_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    took = play(tmp_path, monkeypatch, *PARTS, MINUTE, BACK, GONE)
    lines = ["| he | seen as | after |", "| --- | --- | --- |", *map(shown, took)]
    write_section("red-team.md", HEAD, "Steps", lines)
    assert late(took, SEEN_S) == []
