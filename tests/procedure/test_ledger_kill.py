"""A2: kill -9 at every step and every system call of making a checkpoint, a key, a bundle: what is signed stays true."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.centre import verify
from agent.errors import IntegrityFault
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from agent.storage.proof import audit, checkpoints, signing
from tests.unit.proof.evidence import Evidence
from tests.unit.proof.ledgers import Site

if TYPE_CHECKING:
    from collections.abc import Callable


class DyingDisk(Disk):
    """Kills its own process before the n-th call."""

    def __init__(self, number: int) -> None:
        self.left = number

    def call(self, op, path, function, *args):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return function(*args)


def killed(work: Callable[[], object]) -> bool:
    """Do work in a process of its own; tell whether it was killed in it. It must not fail otherwise."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def die_at(number: str) -> Callable[[str], None]:
    def step(now: str) -> None:
        if now == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def advance(site: Site, vault_disk: Disk | None = None, **more):
    """Make a checkpoint over a connection of its own, as another process does."""
    catalogue = Catalogue.open(site.state)
    vaults = [replace(vault, disk=vault_disk) if vault_disk else vault for vault in site.vaults]
    try:
        return checkpoints.advance(catalogue, site.key, vaults, site.state, site.now, force=True, **more)
    finally:
        catalogue.close()


def files(site: Site) -> list[checkpoints.Checkpoint]:
    places = [site.state, *(vault.root for vault in site.vaults)]
    return [checkpoints.read(place / "CHECKPOINT") for place in places if (place / "CHECKPOINT").exists()]


def all_agree(site: Site) -> None:
    """Whatever was signed so far is a beginning of the ledger, and the ledger accuses nobody."""
    signed = [("", one) for one in [*checkpoints.kept(site.catalogue), *files(site)]]
    found = audit.audit(site.catalogue, signed, site.key.verifier, lambda *_: None)
    assert found.good
    assert len(found.opinions) == len(signed)
    assert site.facts("tamper.ledger", "ledger.began") == []


@pytest.mark.parametrize("number", ["P1", "P2", "P3", "P4"])
def test_killed_after_each_step_of_a_checkpoint(tmp_path, number):
    """H6, S10."""
    site = Site(tmp_path, vaults=2)
    site.fill(600)
    advance(site)
    for _ in range(3):
        site.add(300)
        assert killed(lambda: advance(site, step=die_at(number)))
        all_agree(site)
    site.add(1)
    made = advance(site)
    all_agree(site)
    assert {one.text for one in files(site)} == {made.text}
    assert made.size == site.size
    site.catalogue.close()


def test_killed_before_each_system_call_of_a_checkpoint(tmp_path):
    site = Site(tmp_path, vaults=2)
    number = 0
    while True:
        site.add(130)
        if not killed(lambda: advance(site, DyingDisk(number))):
            break
        all_agree(site)
        number += 1
    assert number > 10
    assert {one.size for one in files(site)} == {site.size}
    all_agree(site)
    site.catalogue.close()


@pytest.mark.parametrize("number", ["P2", "P3", "P4"])
def test_killed_while_it_says_that_the_ledger_was_changed(tmp_path, number):
    """H6: what contradicts is kept and told, once, and no two heads of one ledger contradict each other."""
    site = Site(tmp_path)
    site.fill(600)
    before = site.copy()
    site.fill(900)
    old = advance(site)
    site.put_back(before)
    site.fill(1000)
    assert killed(lambda: advance(site, step=die_at(number)))
    site.add(1)
    advance(site)
    assert len(site.facts("tamper.ledger")) == 1
    assert len(site.facts("ledger.began")) == 1
    assert old.text in [path.read_text() for path in checkpoints.witnesses(site.state)]
    assert {one.ledger_id for one in files(site)} == {site.catalogue.meta("ledger")}
    assert site.catalogue.meta("ledger") != old.ledger_id
    site.catalogue.close()


def test_killed_before_each_system_call_of_making_the_key(tmp_path):
    number = 0
    while True:
        state = tmp_path / str(number)
        state.mkdir()
        died = killed(lambda: signing.load_or_create(state, "gn-0007", DyingDisk(number)))
        key = signing.load_or_create(state, "gn-0007", Disk())
        assert signing.load_verifier(state) == key.verifier
        if not died:
            assert not key.created
            break
        number += 1
    assert number > 5


@pytest.mark.parametrize("number", ["X1", "X2", "X3", "X4", "X5"])
def test_killed_after_each_step_of_handing_out(tmp_path, number):
    """Nothing leaves without its fact; a bundle that is not finished does not look like one."""
    box = Evidence(tmp_path)

    def hand_out():
        box.catalogue = Catalogue.open(box.state)
        box.export(step=die_at(number))

    box.catalogue.close()
    assert killed(hand_out)
    box.catalogue = Catalogue.open(box.state)
    facts = box.facts("export.bundled")
    assert len(facts) == (0 if number == "X1" else 1)
    left = list(box.out.rglob("*.age"))
    assert not left or facts
    if number == "X5":
        assert verify.verify(box.out, box.key.verifier, None, lambda *_: None).good
    else:
        with pytest.raises(IntegrityFault, match="BUNDLE_INVALID"):
            verify.verify(box.out, box.key.verifier, None, lambda *_: None)
    all_agree(box)
    box.export(out=box.out.with_name("again"))
    assert verify.verify(box.out.with_name("again"), box.key.verifier, None, lambda *_: None).good
    box.catalogue.close()
