"""`pasu keep` as a process: it erases by a confirmed clock, ends when told, and is started again. Row: I5."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agent import keeping, minding
from agent.config import load
from agent.health import STALE_S, read_health, silences
from agent.passes import What, Why, Word
from agent.storage import passbook
from agent.storage.files import Disk
from tests.lab import wait_for
from tests.unit.keep.kept import DAY_MS, Kept
from tests.unit.storage.box import StillClock

PASU = Path(sys.executable).parent / "pasu"
TOML = """
[box]
id = "box-1"
site = "시험장"
operator = "강릉시 정보산업과"
contact = "033-000-0000"
[storage]
vault = "{root}/vault"
state = "{root}/state"
run = "{root}/run"
recipients = ["{recipient}"]
[[camera]]
id = "cam1"
name = "cam1"
url = "rtsp://127.0.0.1:1/"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""


class Past(Kept):
    """A box with five recordings that are 31 days old."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.config = root / "agent.toml"
        recipient = "age1mxdx3dknvr6lmqtwdshxw650ye3c7wcqlnehytsg4q6za5rk4eaq9k23xx"
        self.config.write_text(TOML.format(root=root, recipient=recipient))
        self.record("cam1", self.clock.utc_ms, count=5)
        # And one of a minute ago: who was off for a month needs more than a technician's word.
        self.clock.utc_ms += 31 * DAY_MS - 60_000
        self.record("cam1", self.clock.utc_ms)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, command: str = "keep") -> subprocess.Popen[bytes]:
        with (self.root / "keep.log").open("ab") as log:
            process = subprocess.Popen(
                [str(PASU), command, "--config", str(self.config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.processes.append(process)
        return process

    def confirm(self) -> None:
        subprocess.run(
            [str(PASU), "clock", "confirm", "--yes", "--by", "kim", "--config", str(self.config)],
            check=True,
            capture_output=True,
            timeout=60,
        )

    @property
    def health(self) -> dict:
        return read_health(self.root / "run", "keep") or {}

    def conditions(self) -> set[str]:
        return {each["code"] for each in self.health.get("conditions", [])}


@pytest.fixture
def box(tmp_path, monkeypatch):
    # A box of now, and not of the year in which the other tests play: its keeper reads the real clock.
    past_ms = time.time_ns() // 1_000_000 - 31 * DAY_MS
    monkeypatch.setattr(StillClock.__init__, "__defaults__", (past_ms,))
    made = Past(tmp_path / "box")
    yield made
    for process in made.processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(30)


def test_it_erases_once_a_technician_has_confirmed_the_time_and_not_before(box):
    process = box.start()
    wait_for("a whole cycle", lambda: box.health.get("retention", {}).get("blocked") == "time.untrusted", 60)
    assert "time.untrusted" in box.conditions()
    assert set(box.states().values()) == {"COMMITTED"}
    box.confirm()
    wait_for(
        "everything over age to be gone", lambda: [*box.states().values()] == ["GONE"] * 5 + ["COMMITTED"], 60
    )
    assert len(box.names()) == 1
    process.terminate()
    assert process.wait(60) == 0
    assert box.kinds().count("segment.erased") == 5


def test_another_keeper_is_refused_and_one_that_was_killed_is_not_in_the_way(box, monkeypatch):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    first = box.start()
    wait_for("health", lambda: box.health.get("pid") == first.pid, 60)
    second = box.start()
    assert second.wait(60) == 1
    said = (box.root / "keep.log").read_text("utf-8")
    assert "KEEPING_ALREADY" in said
    assert "이미 다른 프로세스가" in said  # what it says to who started it is in that one's language
    first.kill()
    first.wait(60)
    third = box.start()
    wait_for("the third's health", lambda: box.health.get("pid") == third.pid, 60)


def test_visits_become_facts_on_a_box_that_gets_its_page_while_it_runs(box):
    process = box.start()
    wait_for("health", lambda: box.health.get("pid") == process.pid, 60)
    page = box.root / "page"
    passbook.make(page, Disk())
    word = Word(What.REFUSED, "", Why.UNKNOWN, 1, "192.168.77.9")
    assert passbook.put_word(page, word, time.time_ns() // 1_000_000, Disk())
    text = box.config.read_text(encoding="utf-8")
    box.config.write_text(f'{text}\n[page]\nlisten = "127.0.0.1"\nfolder = "{page}"\n', encoding="utf-8")
    wait_for("the visit to be a fact", lambda: "page.refused" in box.kinds(), 60)
    assert passbook.words(page) == []
    assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_it_is_told(box, number):
    process = box.start()
    wait_for("health", lambda: box.health.get("pid") == process.pid, 60)
    process.send_signal(number)
    assert process.wait(60) == 0


def test_without_a_catalogue_it_waits_and_makes_nothing(box, monkeypatch):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    for place in box.state.glob("catalogue.db*"):
        place.rename(box.root / place.name)
    before = box.names()
    process = box.start()
    wait_for("the condition", lambda: "catalogue.unavailable" in box.conditions(), 60)
    assert not (box.state / "catalogue.db").exists()
    log = (box.root / "keep.log").read_text("utf-8")
    assert "CATALOGUE_MISSING: the catalogue is not there" in log
    said, _, logged = log.partition("INFO pasu.keep")
    assert "주의: " in said  # to who started it
    assert logged.isascii(), logged
    for place in box.root.glob("catalogue.db*"):
        place.rename(box.state / place.name)
    wait_for("it to be over", lambda: box.health and "catalogue.unavailable" not in box.conditions(), 60)
    assert box.names() == before
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture
def minder(box):
    made = minding.Minder("keep", "agent.keeping", load(box.config))
    yield made
    made.stop()


def turn_until(minder, what, state, **more):
    def turned():
        minder.turn(**more)
        return state()

    wait_for(what, turned, 90)


def test_i5_a_keeper_that_died_is_started_again(box, minder):
    """I5."""
    turn_until(minder, "the first", lambda: minder.pid is not None and box.health.get("pid") == minder.pid)
    first = minder.pid
    os.kill(first, signal.SIGKILL)
    turn_until(
        minder, "another", lambda: minder.pid not in (None, first) and box.health.get("pid") == minder.pid
    )


def test_i5_a_keeper_that_hangs_is_killed_and_started_again(box, minder):
    """I5: one that cannot even end itself."""
    turn_until(minder, "the first", lambda: minder.pid is not None and box.health.get("pid") == minder.pid)
    first = minder.pid
    os.kill(first, signal.SIGSTOP)
    turn_until(minder, "its end", lambda: minder.pid != first, killed_s=6.0)
    turn_until(
        minder, "another", lambda: minder.pid not in (None, first) and box.health.get("pid") == minder.pid
    )


def test_i5_a_keeper_ends_with_whoever_minds_it(box):
    """I5: a lock that an orphan holds would keep its successor from erasing."""
    code = (
        "import sys, time; from pathlib import Path; from agent.config import load; from agent.minding import Minder\n"
        f"minder = Minder('keep', 'agent.keeping', load(Path({str(box.config)!r})))\n"
        "while True:\n    minder.turn(); time.sleep(0.2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL)
    box.processes.append(parent)
    wait_for("the child", lambda: "pid" in box.health, 60)
    child = box.health["pid"]
    parent.kill()
    parent.wait(60)
    wait_for("the child's end", lambda: not Path(f"/proc/{child}").exists(), 60)


def test_i5_silence_is_told_by_those_who_still_speak(box):
    """I5: a file that is not there, of an earlier boot, or old."""
    run = box.root / "run"
    run.mkdir()

    def silent(boot_s: float, since_s: float) -> bool:
        return bool(silences({"keep": read_health(run, "keep")}, boot_s, since_s))

    assert not silent(1000.0, 1000.0 - STALE_S)
    assert silent(1000.0, 999.0 - STALE_S)
    (run / "keep.json").write_text('{"boot_ms": 990000}')
    assert not silent(1000.0, 0.0)
    assert silent(1051.0, 0.0)
    (run / "keep.json").write_text('{"boot_ms": 9990000}')
    assert silent(1000.0, 0.0)


def test_i5_pasu_run_records_and_keeps_and_ends_both(box):
    """I5: the first look has a keeper too, and gets a new one when it dies."""
    process = box.start("run")
    wait_for("the keeper", lambda: box.health.get("pid"), 60)
    wait_for("the recorder", lambda: read_health(box.root / "run", "record"), 60)
    first = box.health["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for("another keeper", lambda: box.health.get("pid") not in (None, first), 60)
    second = box.health["pid"]
    process.terminate()
    assert process.wait(60) == 0
    assert not Path(f"/proc/{second}").exists()
    wrong = {each["code"] for each in read_health(box.root / "run", "record")["conditions"]}
    assert wrong <= {"camera.plaintext_leg"}


@pytest.mark.parametrize("first", ["order", "signal"])
def test_f12_an_order_ends_the_keepers_pause(tmp_path, first):
    """F12: who is shown a picture, or takes one back, does not wait for the keeper's next turn; nor does a signal."""
    folder = tmp_path / "orders"
    folder.mkdir()
    wake, writing = os.pipe()
    known = keeping._mark(folder)

    def happen() -> None:
        (folder / "0000.json").touch() if first == "order" else os.write(writing, b"\0")

    threading.Timer(0.5, happen).start()
    began = time.monotonic()
    keeping._wait(wake, 600.0, folder, known)
    assert time.monotonic() - began < 300.0
    assert (keeping._mark(folder) != known) == (first == "order")
    if first == "order":  # one that came while the keeper was at work is not waited for either
        keeping._wait(wake, 600.0, folder, known)
        assert time.monotonic() - began < 300.0
    assert keeping._mark(tmp_path / "none") == 0
    os.close(wake)
    os.close(writing)
