"""I4, C7: what the vaults know of the time, when the box has forgotten all."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest

from agent.clock import read
from agent.errors import StorageFault
from agent.model import Fact, Instant, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.keep import witness
from agent.storage.keep.time import TimeKeeper, begin_boot, confirm
from agent.storage.vault import Vault
from agent.trust import Reason
from tests.unit.clocks import FakeSource
from tests.unit.keep.keeping import Kept30
from tests.unit.keep.kept import DAY_MS
from tests.unit.storage.box import T0, FailingDisk

HOUR_MS = 3_600_000


@pytest.fixture
def box(tmp_path):
    box = Kept30(tmp_path)
    yield box
    box.keeper.close()


def lose_state(box, utc_ms: int, *, known: bool = True) -> None:
    """The box is set up anew around its vault, with a clock that a time service disciplines."""
    box.keeper.close()
    shutil.rmtree(box.state)
    if not known:
        (box.vault_path / witness.FILE).unlink()
    box.source.reboot(utc_ms=utc_ms, synced=True)
    box.clock.utc_ms = utc_ms
    begin_boot(box.state, [box.vault_path], source=box.source)
    assert box.prepare().began == "missing"
    box.keeper = box.start()


@pytest.mark.parametrize("known", [True, False])
def test_a_box_that_lost_its_state_believes_no_clock_that_is_forty_days_ahead(box, known):
    """I4, C7: state directory gone, vault intact, clock 40 days ahead and disciplined by a wrong server."""
    box.record(count=3)
    box.turn(2)
    before = box.names()
    lose_state(box, T0 + 40 * DAY_MS, known=known)
    box.turn(6)
    status = box.keeper._clock.status()
    assert (status.state, status.reason) == (Trust.UNTRUSTED, Reason.ABSENT)
    assert status.anchor is not None
    assert status.anchor.source == "vault"
    assert box.names() == before
    assert box.erased() == []


def test_one_word_is_not_enough_for_it_but_two_are(box):
    """I4: a person's word alone opens nothing; with a time service it does, as after a long absence."""
    box.record(count=1)
    box.turn(2)
    lose_state(box, T0 + 40 * DAY_MS)
    box.source.synced = False
    confirm(box.state, "kim", read(box.source))
    box.turn(3)
    assert box.keeper._clock.status().reason is Reason.ABSENT
    assert box.erased() == []
    box.source.synced = True
    box.turn(1)
    assert box.keeper._clock.status().state is Trust.SYNCED


def test_a_box_that_lost_its_state_and_whose_clock_goes_on_is_believed(box):
    """I4: a state directory that is lost is no reason to ask anybody, as long as the time goes on."""
    box.record(count=1)
    box.turn(2)
    lose_state(box, T0 + 2 * DAY_MS)
    box.turn(2)
    assert box.keeper._clock.status().state is Trust.SYNCED


def test_a_vault_that_comes_back_after_the_boot_began_is_asked(tmp_path):
    """I4 with B7: the disk was away when the line of this boot was begun; nothing was trusted yet."""
    source = FakeSource(T0 + 40 * DAY_MS)
    place, state = tmp_path / "vault", tmp_path / "state"
    begin_boot(state, [place], source=source)
    vault = Vault.create(place, "u", created_ms=T0)
    witness.write(vault, T0 + DAY_MS)
    source.synced = True
    keeper = TimeKeeper(state, [place], source=source)
    assert keeper.observe().trust is Trust.UNTRUSTED
    assert keeper.status().reason is Reason.ABSENT


def come_back(box, utc_ms: int, *, known: bool = True) -> None:
    """The box lost its state while its disk was away, and has met a clock before the disk is back."""
    box.keeper.close()
    shutil.rmtree(box.state)
    if not known:
        (box.vault_path / witness.FILE).unlink()
    away = box.root / "away"
    box.vault_path.rename(away)
    box.source.reboot(utc_ms=utc_ms, synced=True)
    begin_boot(box.state, [box.vault_path], source=box.source)
    box.keeper = box.start()
    box.turn(2)
    status = box.keeper._clock.status()
    assert (status.state, status.reason) == (Trust.SYNCED, Reason.SYNCED)
    away.rename(box.vault_path)
    box.clock.utc_ms = box.source.utc
    assert box.prepare().began == "missing"


@pytest.mark.parametrize("known", [True, False])
def test_b15_a_disk_that_comes_back_after_a_wrong_clock_was_believed_is_asked_first(box, known):
    """I4, C7, B15: state directory gone and the disk mounted late; its time, or its making, is forty days before
    the clock that was met. Nothing of it is erased, and its memory is not written over.
    """
    box.record(count=3)
    box.turn(2)
    before, told = box.names(), witness.read(box.vault_path)
    come_back(box, T0 + 40 * DAY_MS, known=known)
    box.turn(6)
    status = box.keeper._clock.status()
    assert (status.state, status.reason) == (Trust.UNTRUSTED, Reason.ABSENT)
    assert box.names() == before
    assert box.erased() == []
    assert witness.read(box.vault_path) == (told if known else None)
    assert "clock.untrusted" in box.kinds()
    assert box.conditions["time.untrusted"] == "absent"
    # Two words: then it is so, and the disk is not asked again.
    confirm(box.state, "kim", read(box.source))
    box.turn(1)
    assert box.keeper._clock.status().state is Trust.SYNCED
    box.keeper.close()
    box.keeper = box.start()
    box.turn(2)
    assert box.keeper._clock.status().state is Trust.SYNCED
    assert len(box.erased()) == 3


@pytest.mark.parametrize("days", [0, 2])
def test_a_disk_that_comes_back_and_whose_time_goes_on_is_no_reason_to_ask(box, days):
    """I4: the clock that was met is the right one."""
    box.record(count=1)
    box.turn(2)
    come_back(box, T0 + days * DAY_MS + 60_000)
    box.turn(3)
    assert box.keeper._clock.status().state is Trust.SYNCED
    assert witness.read(box.vault_path) > T0 + days * DAY_MS + 60_000


def test_a_disk_that_comes_back_and_knows_a_later_time_is_believed(box):
    """C3: the clock that was met is a year behind; what is recorded by it would be erased when it is put right."""
    box.record(count=1)
    box.turn(2)
    told = witness.read(box.vault_path)
    box.source.utc = T0  # of the box that is set up anew
    place = box.vault_path / "VAULT"
    place.write_text(place.read_text().replace(str(T0), str(T0 - 20 * DAY_MS)))
    come_back(box, T0 - 10 * DAY_MS)
    box.turn(2)
    assert box.keeper._clock.status().reason is Reason.BACKWARD
    assert witness.read(box.vault_path) == told
    box.source.step(10 * DAY_MS + 60_000)
    box.turn(1)
    assert box.keeper._clock.status().state is Trust.SYNCED


def test_c1_a_new_box_whose_vault_was_made_by_a_wrong_clock_needs_no_word(tmp_path):
    """C1: its first sync puts the making of the vault right, too; there was no other box before."""
    source = FakeSource(T0 - 20 * DAY_MS)
    state = tmp_path / "state"
    begin_boot(state, [], source=source)
    vault = Vault.create(tmp_path / "vault", "u", created_ms=T0 - 20 * DAY_MS)
    (vault.at("segments") / "cam1").mkdir()
    keeper = TimeKeeper(state, source=source)
    source.run(60_000)
    keeper.observe()
    keeper.witness([vault])
    source.step(20 * DAY_MS)
    source.synced = True
    source.run(1000)
    keeper.observe()
    assert keeper.meet([vault]) == Instant(T0 + 61_000, Trust.SYNCED)
    keeper.witness([vault])
    assert witness.read(vault.root) == T0 + 61_000


def test_a_box_that_forgot_the_time_and_has_a_ledger_asks_disks_that_know_more(tmp_path):
    """I4: `time.json` lost, the ledger begun a day ago by a clock that may have been wrong; a disk knows better."""
    source = FakeSource(T0 + 41 * DAY_MS, synced=True)
    catalogue = Catalogue.prepare(tmp_path)
    for day in (40, 41):
        catalogue.add_fact(Fact("box.started", Instant(T0 + day * DAY_MS, Trust.SYNCED), {}))
    catalogue.close()
    keeper = TimeKeeper(tmp_path, source=source)
    assert keeper.observe().trust is Trust.SYNCED
    vault = Vault.create(tmp_path / "vault", "u", created_ms=T0)
    assert keeper.meet([vault]).trust is Trust.SYNCED  # it holds nothing, and knows nothing
    keeper.meet([])
    witness.write(vault, T0 + DAY_MS)
    assert keeper.meet([vault]).trust is Trust.UNTRUSTED
    assert keeper.status().reason is Reason.ABSENT
    assert TimeKeeper(tmp_path, source=source).status().reason is Reason.ABSENT


def test_b17_a_vault_that_refuses_to_remember_is_asked_once_a_minute(tmp_path):
    """B17: each try writes and syncs; a directory in the file's place would cost one each second."""
    disk, source = FailingDisk(), FakeSource(synced=True)
    vault = Vault.create(tmp_path / "vault", "u", created_ms=T0, disk=disk)
    (vault.root / witness.FILE).mkdir()
    keeper = TimeKeeper(tmp_path, source=source)
    disk.calls.clear()
    for _ in range(121):
        source.run(1000)
        keeper.observe()
        keeper.witness([vault])
    assert disk.calls.count("rename") == 3
    (vault.root / witness.FILE).rmdir()
    source.run(60_000)
    keeper.observe()
    keeper.witness([vault])
    assert witness.read(vault.root) == source.utc


def test_an_empty_vault_is_no_memory(tmp_path):
    vault = Vault.create(tmp_path / "vault", "u", created_ms=T0 - 90 * DAY_MS)
    assert witness.earliest([vault.root, tmp_path / "nowhere"]) is None
    source = FakeSource(synced=True)
    keeper = TimeKeeper(tmp_path, [vault.root], source=source)
    assert keeper.observe().trust is Trust.SYNCED


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"{}", b'{"version":2,"utc_ms":1}', b'{"version":1,"utc_ms":"x"}']
)
def test_what_tells_no_time_is_none(tmp_path, content):
    assert witness.read(tmp_path) is None
    (tmp_path / witness.FILE).write_bytes(content)
    assert witness.read(tmp_path) is None
    assert witness.newest([tmp_path]) is None


@pytest.mark.parametrize("name", ["TIME", "CHECKPOINT", "VAULTS", "VAULT"])
def test_b14_nobody_waits_for_a_pipe_in_the_place_of_a_file(box, name):
    """B14: what somebody made in a vault may be no file; reading it must not keep anybody from recording or keeping."""
    (box.vault_path / name).unlink(missing_ok=True)
    os.mkfifo(box.vault_path / name)
    # A process of its own, which can be ended if it waits.
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            begin_boot(box.root / "new", [box.vault_path], source=box.source)
            with suppress(StorageFault):
                box.prepare()
            box.turn(2)
            status = 0
        finally:
            os._exit(status)
    for _ in range(600):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        time.sleep(0.1)
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pytest.fail(f"waits for {name}")
    assert status == 0


def test_the_time_is_written_every_hour_while_it_is_trusted_and_again_when_it_was_put_right(tmp_path):
    disk, source = FailingDisk(), FakeSource(synced=True)
    vault = Vault.create(tmp_path / "vault", "u", created_ms=T0, disk=disk)
    keeper = TimeKeeper(tmp_path, [vault.root], source=source)

    def look(ms: int) -> int | None:
        source.run(ms)
        keeper.observe()
        keeper.witness([vault])
        return witness.read(vault.root)

    assert look(1000) == T0 + 1000
    assert look(HOUR_MS - 1) == T0 + 1000
    assert look(1) == T0 + 1000 + HOUR_MS
    source.step(DAY_MS)
    assert look(HOUR_MS) == T0 + 1000 + HOUR_MS
    source.run(1000)
    confirm(tmp_path, "kim", read(source))
    assert look(0) == T0 + 2000 + 2 * HOUR_MS + DAY_MS
    disk.plan = lambda _number, op, _path: errno.EIO if op == "write" else None
    assert look(HOUR_MS) == T0 + 2000 + 2 * HOUR_MS + DAY_MS


def test_a_box_that_wakes_a_year_ahead_erases_nothing(box):
    """C8, C11: its battery clock was set wrong while it slept, and the kernel still calls itself synchronised."""
    box.record(count=3)
    box.turn(2)
    before = box.names()
    box.source.sleep(365 * DAY_MS)
    box.clock.utc_ms = box.source.utc
    box.turn(4)
    status = box.keeper._clock.status()
    assert (status.state, status.reason) == (Trust.UNTRUSTED, Reason.SLEPT)
    assert box.names() == before
    assert box.erased() == []
