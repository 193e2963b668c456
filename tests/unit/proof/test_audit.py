"""`pasu ledger verify`: exactly what is wrong, and from which entry on. H6, S10."""

from __future__ import annotations

import pytest

from agent.model import Fact, Instant, Trust
from agent.storage.proof import audit, checkpoints, prune
from agent.storage.proof.audit import EDITED, MISSING, TREE, Finding
from agent.storage.proof.checkpoints import Verdict
from tests.unit.proof.ledgers import Site


@pytest.fixture
def site(tmp_path):
    """A ledger of 1500 entries with checkpoints at 301, 700 and 1500."""
    made = Site(tmp_path)
    made.fill(300)
    made.checkpoint()
    for size in (700, 1500):
        made.fill(size)
        made.checkpoint()
    yield made
    made.catalogue.close()


def look(site, *more, verifier=True):
    named = [(f"at {one.size}", one) for one in [*checkpoints.kept(site.catalogue), *more]]
    steps = []
    found = audit.audit(
        site.catalogue, named, site.key.verifier if verifier else None, lambda *step: steps.append(step)
    )
    assert steps[-1:] == ([(found.size, found.size)] if found.size else [])
    return found


def verdicts(found):
    return [(one.checkpoint.size, one.verdict, one.from_seq) for one in found.opinions]


def test_a_ledger_that_is_as_it_was(site):
    found = look(site)
    assert found.good
    assert (found.size, found.entries, found.let_go) == (1500, 1500, 0)
    assert found.root == checkpoints.newest(site.catalogue).root
    assert verdicts(found) == [(301, Verdict.EXTENDS, 0), (700, Verdict.EXTENDS, 0), (1500, Verdict.SAME, 0)]
    assert look(site, verifier=False).good


def test_an_empty_ledger(tmp_path):
    site = Site(tmp_path / "new")
    found = look(site)
    assert found.good
    assert found.size == 0
    site.catalogue.close()


@pytest.mark.parametrize(
    ("seq", "block"), [(1, (1, 256)), (256, (1, 256)), (257, (257, 512)), (1280, (1025, 1280))]
)
def test_h6_an_edit_is_placed_in_its_block(site, seq, block):
    site.tamper("UPDATE ledger SET body = '{}' WHERE seq = ?", (seq,))
    found = look(site)
    assert not found.good
    assert found.findings == (Finding(EDITED, *block),)
    for size, verdict, first in verdicts(found):
        assert verdict is (Verdict.FORKED if seq <= size else Verdict.EXTENDS)
        if verdict is Verdict.FORKED:
            assert first <= seq
            assert first >= block[0]


def test_h6_an_edit_in_the_last_block_lies_behind_the_last_checkpoint_that_agrees(site):
    site.tamper("UPDATE ledger SET body = '{}' WHERE seq = 1400")
    found = look(site)
    assert found.findings == ()
    assert verdicts(found)[-1] == (1500, Verdict.FORKED, 701)
    assert not found.good


def test_h6_a_whole_history_made_anew_is_found_by_the_old_heads(site):
    """Entries, kept hashes and rows of checkpoints all changed: what somebody else kept still shows it."""
    old = checkpoints.kept(site.catalogue)
    site.tamper("UPDATE ledger SET body = '{}' WHERE seq = 500")
    site.tamper("DELETE FROM tree")
    site.tamper("DELETE FROM checkpoint")
    site.catalogue.close()
    site.catalogue = type(site.catalogue).open(site.state)
    from agent.storage.proof import tree

    tree.grow(site.catalogue)
    found = look(site, *old)
    assert found.findings == ()
    assert verdicts(found) == [
        (301, Verdict.EXTENDS, 0),
        (700, Verdict.FORKED, 302),
        (1500, Verdict.FORKED, 302),
    ]


def test_h6_a_cut_says_from_where(site):
    site.tamper("DELETE FROM ledger WHERE seq > 650")
    found = look(site)
    assert verdicts(found) == [
        (301, Verdict.EXTENDS, 0),
        (700, Verdict.TRUNCATED, 651),
        (1500, Verdict.TRUNCATED, 651),
    ]
    assert not found.good


def test_h6_a_rollback_says_from_where(site):
    yesterday = site.copy()
    site.add(300)
    last = site.checkpoint()
    site.put_back(yesterday)
    assert verdicts(look(site, last))[-1] == (1800, Verdict.TRUNCATED, 1501)


def test_h6_a_fork_says_from_where(site):
    common = site.copy()
    site.add(300)
    last = site.checkpoint()
    site.put_back(common)
    site.add(400)
    assert verdicts(look(site, last))[-1] == (1800, Verdict.FORKED, 1501)


@pytest.mark.parametrize("column", ["trust", "kind", "body"])
def test_a_flipped_bit_that_leaves_no_text_is_an_edit_and_no_crash(site, column):
    site.tamper(f"UPDATE ledger SET {column} = CAST(x'ff' AS TEXT) WHERE seq = 3")
    site.tamper("UPDATE ledger SET at_ms = 'x' WHERE seq = 4")
    found = look(site)
    assert found.findings == (Finding(EDITED, 1, 256),)


def test_entries_that_are_gone_are_named_one_by_one(site):
    site.tamper("DELETE FROM ledger WHERE seq IN (400, 401, 402, 900)")
    found = look(site)
    assert found.findings == (Finding(MISSING, 400, 402), Finding(MISSING, 900, 900))
    assert found.entries == 1496
    assert [one.verdict for one in found.opinions] == [Verdict.EXTENDS, Verdict.FORKED, Verdict.FORKED]


def test_damaged_hashes_are_told_from_changed_entries(site):
    site.tamper("UPDATE tree SET nodes = substr(nodes, 1, 32) || zeroblob(32) WHERE block = 1")
    found = look(site)
    assert found.findings == (Finding(TREE, 257, 512),)
    assert all(one.verdict.good for one in found.opinions)


def test_what_was_let_go_is_counted_and_what_was_kept_is_still_checked(site):
    site.tamper(
        "UPDATE ledger SET kind = 'hold.placed' WHERE seq = 1500"
    )  # the newest block is let alone anyway
    site.tamper("UPDATE ledger SET kind = 'camera.lost' WHERE seq = 1500")
    site.catalogue.set_meta(prune.ACKNOWLEDGED, "1500")
    prune.prune(site.catalogue, site.now)
    found = look(site)
    assert found.good
    assert found.let_go == 1280 - 1  # key.created stays
    assert found.entries + found.let_go == found.size
    site.tamper("UPDATE ledger SET body = '{}' WHERE seq = 301")
    found = look(site)
    assert found.findings == (Finding(EDITED, 301, 301),), "exact, since its own hash was kept"


def test_checkpoints_of_others_are_named(site, tmp_path):
    stranger = Site(tmp_path / "other")
    stranger.fill(10)
    theirs = stranger.checkpoint()
    stranger.catalogue.close()
    found = look(site, theirs)
    assert verdicts(found)[0] == (11, Verdict.BAD_SIGNATURE, 0)
    assert not found.good


def test_a_ledger_before_this_one_is_another_ledger_only_if_the_entries_name_it(site):
    """H6: the id stands in no entry, so whoever edits entries may edit it too, and every head would be a stranger's."""
    old = checkpoints.newest(site.catalogue)
    site.catalogue.set_meta("ledger", "0" * 16)
    found = look(site, old)
    assert {one.verdict for one in found.opinions} == {Verdict.FORKED}
    assert not found.good
    began = {
        "previous": old.ledger_id,
        "previous_size": old.size,
        "reason": "lost",
        "predecessors": ["0" * 15 + "1"],
    }
    site.catalogue.add_fact(Fact("ledger.began", Instant(1_800_000_000_000, Trust.SYNCED), began))
    found = look(site, old)
    assert {one.verdict for one in found.opinions} == {Verdict.OTHER_LEDGER}
    assert found.good, "another ledger says nothing about this one"
    site.catalogue.write(lambda db: db.execute("UPDATE ledger SET body = '[1]' WHERE kind = 'ledger.began'"))
    assert {one.verdict for one in look(site, old).opinions} == {Verdict.FORKED}
