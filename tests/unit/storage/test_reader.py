"""The ledger as the uplink reads it: whatever happens to the catalogue, and without a writer noticing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from agent.errors import StorageFault
from agent.model import Fact, Instant, Trust
from agent.storage.catalogue import FILE, Catalogue
from agent.storage.proof.prune import ACKNOWLEDGED
from agent.storage.reader import LedgerView
from tests.unit.storage.box import T0, Box


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path / "box")


@pytest.fixture
def view(box):
    made = LedgerView(box.state)
    yield made
    made.close()


def add(box: Box, count: int, **body) -> None:
    catalogue = Catalogue.open(box.state)
    for n in range(count):
        catalogue.add_fact(Fact("gap", Instant(T0 + n, Trust.SYNCED), {"n": n} | body))
    catalogue.close()


def test_it_says_which_ledger_there_is_and_how_long(box, view):
    ledger, size, acknowledged = view.look()
    assert len(ledger) == 16
    assert acknowledged == 0
    add(box, 3)
    catalogue = Catalogue.open(box.state)
    catalogue.set_meta(ACKNOWLEDGED, "2")
    catalogue.close()
    assert view.look() == (ledger, size + 3, 2)


def test_entries_come_in_order_and_bounded(box, view):
    add(box, 200, text="x" * 100)
    ledger, size, _ = view.look()
    everything = view.entries(ledger, 0, 1000, 1 << 30)
    assert [each.seq for each in everything] == list(range(1, size + 1))
    assert [each.seq for each in view.entries(ledger, 5, 70, 1 << 30)] == list(range(6, 76))
    few = view.entries(ledger, 0, 1000, 1000)
    assert sum(len(each.body) for each in few) <= 1000
    assert len(few) >= 8
    assert len(view.entries(ledger, 0, 1000, 1)) == 1
    assert view.entries(ledger, size, 10, 1000) == []


def test_of_another_ledger_there_is_nothing(box, view):
    add(box, 3)
    assert view.entries("f" * 16, 0, 10, 1000) == []


def test_the_newest_checkpoint_and_the_key(box, view):
    assert view.checkpoint() is None
    assert view.vkey() == ""
    catalogue = Catalogue.open(box.state)
    catalogue.write(
        lambda db: db.executemany(
            "INSERT INTO checkpoint (size, at_ms, root, note) VALUES (?, ?, ?, ?)",
            [(1, T0, b"", "old"), (9, T0 + 1, b"", "new")],
        )
    )
    catalogue.set_meta("signed_by", "key")
    catalogue.close()
    note = view.checkpoint()
    assert (note.ledger, note.text, note.at_ms) == (view.look()[0], "new", T0 + 1)
    assert view.vkey() == "key"


def test_b11_a_catalogue_that_is_replaced_is_found_again(box, view):
    """B11."""
    before = view.look()[0]
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (box.state / name).unlink(missing_ok=True)
    with pytest.raises(StorageFault, match=r"CATALOGUE_MISSING|CATALOGUE_DAMAGED"):
        view.look()
    with pytest.raises(StorageFault, match="CATALOGUE_MISSING"):
        view.look()
    (box.state / "catalogue-damaged").unlink(missing_ok=True)
    Catalogue.prepare(box.state).close()
    assert view.look()[0] != before


def test_a_catalogue_that_is_locked_is_asked_again(box, view):
    view.look()
    other = sqlite3.connect(box.state / FILE, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    view.close()
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageFault, match="CATALOGUE_BUSY"):
        view.look()
    other.execute("ROLLBACK")
    other.close()
    assert view.look()[1] >= 0


def test_nothing_can_be_written_through_it(box, view):
    view.look()
    with pytest.raises(StorageFault):
        view._catalogue.write(lambda db: db.execute("DELETE FROM ledger"))


def test_a_writer_never_waits_for_it(box, view):
    """A recorder's transaction waits 0.25 s for a lock at most: with a reader at full speed none ever has to."""
    add(box, 3000)
    stopping = threading.Event()
    read = [0]

    def reading() -> None:
        mine = LedgerView(box.state)
        while not stopping.is_set():
            ledger, size, _ = mine.look()
            read[0] += len(mine.entries(ledger, max(0, size - 500), 500, 1 << 20))
        mine.close()

    reader = threading.Thread(target=reading)
    reader.start()
    try:
        impatient = Catalogue.open(box.state, busy_s=0.0)  # a lock that is held would be an error at once
        until = time.monotonic() + 60
        written = 0
        while written < 300 or read[0] < 20_000:
            impatient.add_fact(Fact("gap", Instant(T0, Trust.SYNCED), {"n": written}))
            written += 1
            assert time.monotonic() < until
        impatient.close()
    finally:
        stopping.set()
        reader.join(60)


def test_it_reads_where_nothing_can_be_written(box):
    """As the unit has it: the state directory is mounted read-only for the uplink, and others write to it."""
    writer = Catalogue.open(box.state)
    writer.add_fact(Fact("gap", Instant(T0, Trust.SYNCED), {"n": 1}))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom agent.storage.reader import LedgerView\n"
        f"view = LedgerView(Path({str(box.state)!r}))\n"
        "print(view.look()[1], flush=True)\nsys.stdin.readline()\n"
        "print(view.look()[1], len(view.entries(view.look()[0], 0, 100, 10000)), flush=True)\n"
    )
    inner = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && ! touch "$1/x" 2>/dev/null && exec "$2" -c "$3"'
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", inner, "sh", str(box.state), sys.executable, code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=os.getcwd(),
    )
    first = int(process.stdout.readline())
    writer.add_fact(Fact("gap", Instant(T0, Trust.SYNCED), {"n": 2}))
    out, _ = process.communicate("\n", timeout=60)
    assert out.split() == [str(first + 1), str(first + 1)]
    assert process.returncode == 0
    writer.close()
