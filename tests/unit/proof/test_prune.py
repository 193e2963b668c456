"""Entries about rights are kept five years; the rest only goes when it was acknowledged. Issue 3, S10."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from agent.model import Fact, Trust
from agent.storage.keep import daily
from agent.storage.proof import prune, tree
from agent.storage.proof.prune import FIVE_YEARS_MS, Pruned, about_rights
from tests.unit.proof.ledgers import T0, Site


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.catalogue.close()


def acknowledged(site, seq):
    site.catalogue.set_meta(prune.ACKNOWLEDGED, str(seq))
    tree.grow(site.catalogue)


def seqs(site):
    return [row[0] for row in site.catalogue.read("SELECT seq FROM ledger ORDER BY seq")]


def test_nothing_goes_before_the_centre_has_it(site):
    site.fill(1000)
    tree.grow(site.catalogue)
    assert prune.prune(site.catalogue, site.now) == Pruned(0, 0)
    acknowledged(site, 600)
    assert prune.prune(site.catalogue, site.now) == Pruned(512, 2)
    assert seqs(site) == list(range(513, 1002))
    fact = json.loads(site.facts("ledger.pruned")[0][1])
    assert fact == {"from_seq": 1, "to_seq": 512, "entries": 512}


def test_seqs_go_on_where_they_were(site):
    """The newest block stays whatever happens: the next seq counts from it."""
    site.fill(512)
    acknowledged(site, 512)
    prune.prune(site.catalogue, site.now)
    assert seqs(site) == [*range(257, 513), 513]
    site.add(1)
    assert site.size == 514


def test_whole_blocks_a_few_at_a_time_oldest_first(site):
    site.fill(1500)
    acknowledged(site, 1500)
    assert [prune.prune(site.catalogue, site.now, most=2).blocks for _ in range(4)] == [2, 2, 1, 0]
    assert seqs(site)[0] == 1281


@pytest.mark.parametrize(
    "kind",
    ["hold.placed", "hold.released", "key.created", "command.accepted", "export.bundled", "stream.started",
     "clock.confirmed", "tamper.ledger", "config.applied", "ledger.began", "box.started"],
)  # fmt: skip
def test_rights_and_access_stay_five_years_and_then_may_go(site, kind):
    assert about_rights(kind)
    site.fill(100)
    site.add(10, kind)
    site.fill(600)
    acknowledged(site, 600)
    assert prune.prune(site.catalogue, site.now).entries == 502
    assert seqs(site)[:10] == list(range(101, 111))
    for ms, left in ((FIVE_YEARS_MS, 10), (FIVE_YEARS_MS + 1, 0)):
        site.now = replace(site.now, utc_ms=T0 + ms)
        for _ in range(2):  # one call may only find that it has come to the end
            prune.prune(site.catalogue, site.now)
        assert len([seq for seq in seqs(site) if seq <= 512]) == left


@pytest.mark.parametrize("kind", ["gap", "segment.committed", "camera.lost", "clock.step", "boxes.x", "box"])
def test_the_rest_is_not_about_rights(kind):
    assert not about_rights(kind)


def test_a_time_that_is_not_to_be_relied_on_makes_nothing_five_years_old(site):
    site.now = replace(site.now, utc_ms=1000, trust=Trust.UNTRUSTED)
    site.add(5, "hold.placed")
    site.now = replace(site.now, utc_ms=T0, trust=Trust.SYNCED)
    site.add(5, "hold.placed")
    site.fill(600)
    acknowledged(site, 600)
    site.now = replace(site.now, utc_ms=T0 + 2 * FIVE_YEARS_MS, trust=Trust.UNTRUSTED)
    prune.prune(site.catalogue, site.now)
    assert seqs(site)[:10] == list(range(1, 11))
    site.now = replace(site.now, trust=Trust.SYNCED)
    prune.prune(site.catalogue, site.now)
    prune.prune(site.catalogue, site.now)
    assert seqs(site)[:6] == [1, 2, 3, 4, 5, 513]


def test_entries_that_prove_a_held_segment_stay(site):
    for number in range(3):
        body = {"camera": "cam1", "path": f"segments/cam1/2026-11-21/{number}.mp4.age", "sha256": "00"}
        site.catalogue.add_fact(Fact("segment.committed", site.now, body))
    site.catalogue.write(_hold)
    site.fill(600)
    acknowledged(site, 600)
    prune.prune(site.catalogue, site.now)
    assert seqs(site)[:2] == [2, 513]


def _hold(db):
    columns = [row[1] for row in db.execute("PRAGMA table_info(segment)") if row[3]]
    values = dict.fromkeys(columns, 0) | {
        "vault": "uuid-0", "camera": "cam1", "path": "segments/cam1/2026-11-21/1.mp4.age", "state": "COMMITTED",
    }  # fmt: skip
    db.execute("INSERT INTO camera (id, first_seen_ms) VALUES ('cam1', 0)")
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO segment ({', '.join(values)}) VALUES ({marks})", list(values.values()))
    columns = {row[1]: 0 for row in db.execute("PRAGMA table_info(hold)") if row[3]} | {"id": "h1"}
    db.execute(
        f"INSERT INTO hold ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        list(columns.values()),
    )
    db.execute("INSERT INTO hold_segment (hold, segment, path) VALUES ('h1', 1, 'x')")


def test_a_block_that_was_changed_is_evidence_and_stays(site):
    site.fill(1000)
    acknowledged(site, 1000)
    site.tamper("UPDATE ledger SET body = '{}' WHERE seq = 300")
    assert prune.prune(site.catalogue, site.now) == Pruned(512, 2)
    assert seqs(site)[:256] == list(range(257, 513))


def test_a_transaction_that_fails_lets_nothing_go(site):
    site.fill(600)
    acknowledged(site, 600)
    site.tamper("CREATE TRIGGER stop BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        prune.prune(site.catalogue, site.now)
    assert seqs(site) == list(range(1, 601))
    assert tree.kept_leaves(site.catalogue, 0) == []
    site.tamper("DROP TRIGGER stop")
    assert prune.prune(site.catalogue, site.now).entries == 512


MIB = 1 << 20


@pytest.mark.parametrize(
    ("mib", "free_mib", "is_short"),
    [
        (4000, 256, False),
        (4000, 255, True),
        (100_000, 5000, False),
        (100_000, 4999, True),
        (500, 100, False),
        (500, 99, True),
        (0, 0, False),
    ],
)
def test_what_counts_as_short(tmp_path, monkeypatch, mib, free_mib, is_short):
    """Of a disk of 256 MiB that is empty nobody wants to hear that it is short."""

    def statvfs(_):
        return os.statvfs_result((4096, MIB, mib, free_mib, free_mib, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert prune.short(tmp_path) == (free_mib * MIB if is_short else None)


def test_unknown_is_not_short(tmp_path):
    assert prune.short(tmp_path / "away") is None


def test_a_short_state_lets_a_few_blocks_go_and_never_what_the_centre_has_not(site, monkeypatch):
    """A part of keeping, turn by turn; not before it is known what holds keep."""
    site.fill(2000)
    acknowledged(site, 1400)

    def spare(*, holds_known=True):
        return daily.spare_state(site.catalogue, site.state, site.now, holds_known=holds_known)

    assert spare() == []
    monkeypatch.setattr(prune, "short", lambda _: 1000)
    (told,) = spare(holds_known=False)
    assert (told.code, told.detail) == ("state.short", "1000 bytes free")
    site.catalogue.set_meta("reconcile", "lost")
    assert len(spare()) == 1
    assert seqs(site)[0] == 1
    site.catalogue.set_meta("reconcile", None)
    spare()
    assert seqs(site)[0] == 1025
    for _ in range(5):
        spare()
    assert seqs(site)[0] == 1281  # five whole blocks of what was acknowledged
