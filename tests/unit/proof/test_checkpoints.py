"""H6, S10: edit, cut, rollback and fork are each found against an earlier checkpoint."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.errors import IntegrityFault, StorageFault
from agent.model import Fact, Instant, Trust
from agent.storage import ledger
from agent.storage.files import Disk
from agent.storage.proof import checkpoints, merkle, note, signing, tree
from agent.storage.proof.checkpoints import DUE_MS, Verdict
from agent.storage.proof.leaf import entry_hash
from tests.unit.proof.ledgers import BOX, T0, Site
from tests.unit.storage.box import FailingDisk


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path, vaults=2)
    yield made
    made.catalogue.close()


def hashes(site, size):
    return [entry_hash(*row) for row in tree.entries(site.catalogue, 0, size)]


def after(site, ms):
    site.now = replace(site.now, utc_ms=site.now.utc_ms + ms)


def test_a_checkpoint_is_the_signed_root_over_everything(site):
    site.fill(300)
    made = site.checkpoint()
    assert made.size == 301  # the fact that names the key is in it
    assert made.root == merkle.root_of(hashes(site, 301))
    assert made.head.origin == f"pasu/v1/{BOX}/{tree.identity(site.catalogue)}"
    note.parse_note(made.text.encode()).verify(site.key.verifier)
    assert made == checkpoints.newest(site.catalogue)
    for place in [site.state, *(vault.root for vault in site.vaults)]:
        assert (place / "CHECKPOINT").read_text() == made.text
    assert checkpoints.read(site.state / "CHECKPOINT").head == made.head


def test_it_is_due_after_a_hundred_entries_or_a_minute_and_never_without_a_new_entry(site):
    """S10: at most 60 s or 100 entries old."""
    assert site.advance() is None, "an empty ledger"
    site.fill(1)
    assert site.advance().size == 2
    assert site.advance() is None
    after(site, 3_600_000)
    assert site.advance() is None, "nothing new"
    assert site.advance(force=True) is None
    site.add(1)
    assert site.advance().size == 3
    site.add(99)
    assert site.advance() is None
    site.add(1)
    assert site.advance().size == 103
    site.add(1)
    after(site, DUE_MS - 1)
    assert site.advance() is None
    after(site, 1)
    assert site.advance().size == 104
    site.add(1)
    after(site, -1_000_000)  # the clock was set back: how old it is nobody knows
    assert site.advance().size == 105


def test_the_ledger_names_its_key_once(site):
    site.fill(1)
    site.checkpoint()
    site.add(200)
    site.checkpoint()
    vkey = str(site.key.verifier)
    ((kind, body),) = site.facts("key.created", "key.used")
    assert (kind, json.loads(body)) == ("key.created", {"vkey": vkey})
    other = signing.BoxKey(BOX, Ed25519PrivateKey.generate())
    site.key = other
    site.add(1)
    site.checkpoint()
    kind, body = site.facts("key.created", "key.used")[-1]
    assert (kind, json.loads(body)) == ("key.used", {"vkey": str(other.verifier), "previous": vkey})


def test_a_ledger_that_has_grown_extends_what_was_signed(site):
    site.fill(600)
    old = site.checkpoint()
    assert site.examine(old) is Verdict.SAME
    site.add(600)
    assert site.examine(old) is Verdict.EXTENDS
    assert site.examine(old, entries=False) is Verdict.EXTENDS
    site.checkpoint()
    assert site.examine(old) is Verdict.EXTENDS


@pytest.mark.parametrize("seq", [1, 256, 257, 601])
@pytest.mark.parametrize(
    "change",
    [
        "at_ms = at_ms + 1",
        "trust = 'HOLDOVER'",
        "kind = 'gap'",
        'body = \'{"camera":"cam2"}\'',
        "seq = 100000",
    ],
)
def test_h6_an_edit_is_found(site, seq, change):
    site.fill(600)
    old = site.checkpoint()
    site.tamper(f"UPDATE ledger SET {change} WHERE seq = {seq}")
    assert site.examine(old) in (Verdict.FORKED, Verdict.TRUNCATED)
    assert site.examine(old) is Verdict.FORKED


def test_h6_an_edit_is_found_by_the_keeper_itself_without_an_old_checkpoint(site):
    site.fill(2000)
    site.checkpoint()
    site.tamper("UPDATE ledger SET body = '{}' WHERE seq = 300")
    for _ in range(3):
        site.add(1)
        site.checkpoint()
    facts = [json.loads(body) for _, body in site.facts("tamper.ledger")]
    assert facts == [{"verdict": "edited", "from_seq": 257, "to_seq": 512}], "once"


def test_h6_a_cut_is_found(site):
    site.fill(600)
    old = site.checkpoint()
    site.tamper("DELETE FROM ledger WHERE seq > 500")
    assert site.examine(old) is Verdict.TRUNCATED
    # And when as many are put in the place of those that were cut off:
    site.fill(800)
    assert site.examine(old) is Verdict.FORKED
    assert site.examine(old, entries=False) is Verdict.FORKED


def test_h6_a_rollback_is_found(site):
    site.fill(600)
    site.checkpoint()
    yesterday = site.copy()
    site.fill(900)
    old = site.checkpoint()
    site.put_back(yesterday)
    assert site.examine(old) is Verdict.TRUNCATED
    site.fill(1200)
    assert site.examine(old) is Verdict.FORKED


def test_h6_a_fork_is_found(site):
    site.fill(600)
    site.checkpoint()
    copy = site.copy()
    site.add(100, "camera.connected")
    one = site.checkpoint()
    site.put_back(copy)
    site.add(100, "camera.restored")
    # Whoever has the box's key can sign another history: not with the old checkpoint in somebody's hands.
    site.tamper("DELETE FROM checkpoint WHERE size > 601")
    other = checkpoints.Checkpoint(
        note.Head(one.head.origin, site.size, merkle.root_of(hashes(site, site.size))), ""
    )
    assert other.size == one.size
    assert other.root != one.root
    assert site.examine(one) is Verdict.FORKED


@pytest.mark.parametrize("where", ["state", "vault", "catalogue"])
def test_h6_the_next_checkpoint_finds_what_contradicts_an_earlier_one(site, where):
    """Said in the ledger; the earlier one is kept; and never are two contradicting heads of one ledger signed."""
    site.fill(600)
    before = site.copy()
    site.fill(900)
    old = site.checkpoint()
    first = tree.identity(site.catalogue)
    row = site.catalogue.read("SELECT size, at_ms, root, note FROM checkpoint")[0]
    site.put_back(before)
    site.fill(1000)
    places = {"state": site.state, "vault": site.vaults[1].root}
    for name, place in [*places.items(), ("vault0", site.vaults[0].root)]:
        if name != where:
            (place / "CHECKPOINT").unlink()
    if where == "catalogue":
        site.tamper("INSERT INTO checkpoint (size, at_ms, root, note) VALUES (?, ?, ?, ?)", row)
    made = site.checkpoint()
    (kind, body), (began, reason) = site.facts("tamper.ledger", "ledger.began")
    assert (kind, began) == ("tamper.ledger", "ledger.began")
    told = json.loads(body)
    assert told["place"].startswith(where)
    assert (told["verdict"], told["size"], told["root"]) == ("forked", old.size, old.root.hex())
    assert json.loads(reason) == {
        "reason": "contradicted",
        "previous": first,
        "previous_size": 1000,
        "predecessors": [first],
    }
    assert made.ledger_id != first
    assert first in json.loads(site.catalogue.meta("predecessors"))
    assert old.text in [path.read_text() for path in checkpoints.witnesses(site.state)]
    assert site.examine(old) is Verdict.OTHER_LEDGER
    site.add(200)
    assert site.checkpoint().ledger_id == made.ledger_id
    assert len(site.facts("tamper.ledger")) == 1


def test_a_ledger_that_was_cut_while_the_keeper_runs_is_found_at_the_next_checkpoint(site):
    site.fill(600)
    site.checkpoint()
    site.tamper("DELETE FROM ledger WHERE seq > 590")
    made = site.advance()
    assert made is not None
    assert json.loads(site.facts("tamper.ledger")[0][1])["verdict"] == "truncated"


def test_b12_by_yesterdays_catalogue_nothing_is_signed(site):
    """B12: its ledger gets no new id, by which it would pass for new."""
    site.fill(600)
    site.checkpoint()
    before = site.catalogue.read("SELECT * FROM checkpoint"), site.catalogue.meta("ledger")
    site.fill(700)
    newer = site.checkpoint()
    site.tamper("DELETE FROM ledger WHERE seq > 650")
    site.tamper(f"DELETE FROM checkpoint WHERE size = {newer.size}")
    with pytest.raises(StorageFault) as raised:
        site.checkpoint()
    assert raised.value.code == "CATALOGUE_DAMAGED"
    assert (site.catalogue.read("SELECT * FROM checkpoint"), site.catalogue.meta("ledger")) == before
    assert site.facts("tamper.ledger") == []
    assert (site.vaults[0].root / "CHECKPOINT").read_text() == newer.text


def test_another_ledger_of_the_box_is_no_tampering_and_its_checkpoint_is_kept(site):
    site.fill(600)
    old = site.checkpoint()
    site.catalogue.set_meta("ledger", "0123456789abcdef")
    site.add(100)
    site.tamper("DELETE FROM checkpoint")
    made = site.checkpoint()
    assert site.facts("tamper.ledger") == []
    assert [path.read_text() for path in checkpoints.witnesses(site.state)] == [old.text]
    assert (site.vaults[0].root / "CHECKPOINT").read_text() == made.text


def test_a_checkpoint_of_another_box_says_nothing(site, tmp_path):
    site.fill(10)
    old = site.checkpoint()
    stranger = Site(tmp_path / "other")
    stranger.fill(10)
    theirs = stranger.checkpoint()
    stranger.catalogue.close()
    assert site.examine(theirs) is Verdict.BAD_SIGNATURE
    forged = replace(old, text=old.text.replace("\n11\n", "\n12\n"))
    assert site.examine(forged) is Verdict.BAD_SIGNATURE


def test_an_old_ledger_gets_its_tree_in_several_calls(site):
    site.fill(1400)
    assert site.advance(once=2) is None
    assert site.advance(once=2) is None
    assert site.advance(once=2).size == 1401
    site.fill(4000)
    made = site.advance(once=2, force=True)
    assert made.size == 4000
    assert made.root == merkle.root_of(hashes(site, 4000))


def test_few_checkpoints_are_kept(site):
    for _ in range(60):
        site.add(100)
        site.advance()
    kept = checkpoints.kept(site.catalogue)
    assert 32 < len(kept) < 50
    assert kept[-1].size == site.size
    assert all(site.examine(one).good for one in kept)


def test_a_vault_that_is_away_hinders_nothing_and_gets_nothing_b15(site):
    """B15: below an empty mount point nothing is written."""
    site.fill(10)
    gone = site.vaults[0].root
    shutil.rmtree(gone)
    gone.mkdir()
    made = site.checkpoint()
    assert list(gone.iterdir()) == []
    assert (site.vaults[1].root / "CHECKPOINT").read_text() == made.text


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"nonsense\n"])
def test_a_damaged_file_is_written_anew(site, content):
    site.fill(10)
    site.checkpoint()
    (site.vaults[0].root / "CHECKPOINT").write_bytes(content)
    site.add(100)
    made = site.checkpoint()
    assert (site.vaults[0].root / "CHECKPOINT").read_text() == made.text
    assert site.facts("tamper.ledger") == []


def test_a_row_that_is_no_note_is_passed_over(site):
    site.fill(10)
    site.checkpoint()
    site.tamper("UPDATE checkpoint SET note = 'x'")
    assert checkpoints.newest(site.catalogue) is None
    site.add(1)
    assert site.checkpoint().size == 12


def test_a_file_that_is_none_is_told(site):
    with pytest.raises(StorageFault):
        checkpoints.read(site.state / "nothing")
    (site.state / "bad").write_text("x")
    with pytest.raises(IntegrityFault, match="CHECKPOINT_INVALID"):
        checkpoints.read(site.state / "bad")


def test_a_disk_that_fails_anywhere_leaves_no_checkpoint_that_says_too_much(tmp_path):
    """Every n-th call failing: afterwards it goes on, and finds nothing that was not done by the disk."""
    number = 0
    while True:
        root = tmp_path / str(number)
        site = Site(root, vaults=2)
        site.fill(300)
        failing = FailingDisk(lambda count, _op, _path, stop=number: 5 if count == stop else None)
        site.vaults = [replace(vault, disk=failing) for vault in site.vaults]
        with contextlib.suppress(StorageFault):
            site.advance(force=True)
        if len(failing.calls) <= number:
            site.catalogue.close()
            break
        site.vaults = [replace(vault, disk=Disk()) for vault in site.vaults]
        site.add(1)
        made = site.checkpoint()
        assert site.facts("tamper.ledger") == []
        assert site.examine(made) is Verdict.SAME
        assert {(vault.root / "CHECKPOINT").read_text() for vault in site.vaults} == {made.text}
        site.catalogue.close()
        number += 1
    assert number > 10


def test_the_same_fact_for_two_processes_at_once(site):
    """The keeper and a command may both make one: the second finds that none is due, or makes the next."""
    site.fill(300)
    first = site.checkpoint()
    again = checkpoints.advance(
        site.catalogue, site.key, site.vaults, site.state, Instant(T0, Trust.SYNCED), force=True
    )
    assert again is None
    site.catalogue.write(lambda db: ledger.append(db, ledger.line(Fact("gap", site.now, {}))))
    assert site.checkpoint().size == first.size + 1
