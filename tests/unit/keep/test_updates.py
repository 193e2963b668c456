"""What became of an update is a fact, once, and kept five years; one that was taken back is seen."""

from __future__ import annotations

import json

import pytest

from agent.health import CONDITIONS
from agent.model import UTC_DAY_MS, Instant, Trust
from agent.storage import updated
from agent.storage.catalogue import Catalogue
from agent.storage.keep import updates
from agent.storage.proof.prune import about_rights

NOW = Instant(1_790_000_000_000, Trust.SYNCED)
TOLD = {
    "v": 1, "id": "0123456789abcdef", "outcome": "applied", "version": "1.1.0", "sha256": "1" * 64, "signed_by": "KID",
    "built": "", "before": "1.0.0", "before_sha256": "0" * 64, "by": "김정비", "older": "", "why": "", "missing": [],
    "begun_ms": 1, "at_ms": NOW.utc_ms,
}  # fmt: skip


@pytest.fixture
def box(tmp_path):
    (tmp_path / "state").mkdir()
    catalogue = Catalogue.prepare(tmp_path / "state")
    yield tmp_path, catalogue
    catalogue.close()


def tell(folder, **change):
    (folder / updated.FILE).write_text(json.dumps(TOLD | change))


def facts(catalogue):
    return [
        (entry.kind, json.loads(entry.body))
        for entry in catalogue.ledger()
        if entry.kind.startswith("update.")
    ]


def test_it_is_written_once_with_versions_digests_and_key(box):
    folder, catalogue = box
    assert updates.turn(catalogue, NOW, folder) == []
    tell(folder)
    for _ in range(3):
        assert updates.turn(catalogue, NOW, folder) == []
    body = {name: value for name, value in TOLD.items() if name not in ("v", "outcome", "begun_ms", "at_ms")}
    assert facts(catalogue) == [("update.applied", body)]


@pytest.mark.parametrize("outcome", ["rolled_back", "failed"])
def test_one_that_was_taken_back_is_seen(box, outcome):
    folder, catalogue = box
    tell(folder, outcome=outcome, why="cameras", missing=["cam02"])
    (raised,) = updates.turn(catalogue, NOW, folder)
    assert (raised.code, raised.detail) == (f"update.{outcome}", "1.1.0: cameras")
    assert raised.code in CONDITIONS
    assert facts(catalogue)[0][0] == f"update.{outcome}"
    assert facts(catalogue)[0][1]["missing"] == ["cam02"]
    later = Instant(NOW.utc_ms + 15 * UTC_DAY_MS, Trust.SYNCED)
    assert bool(updates.turn(catalogue, later, folder)) is (outcome == "failed")
    assert updates.turn(catalogue, Instant(later.utc_ms, Trust.UNTRUSTED), folder)
    tell(folder, id="another")
    assert updates.turn(catalogue, NOW, folder) == []
    assert [kind for kind, _ in facts(catalogue)] == [f"update.{outcome}", "update.applied"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"v": 1}', '{"v": 1, "outcome": "other"}'])
def test_what_tells_nothing(box, text):
    folder, catalogue = box
    (folder / updated.FILE).write_text(text)
    assert updates.turn(catalogue, NOW, folder) == []
    assert facts(catalogue) == []


def test_fields_of_another_kind_do_no_harm(box):
    folder, catalogue = box
    tell(folder, outcome="rolled_back", missing="cam01", at_ms="now", why=3)
    assert updates.turn(catalogue, NOW, folder)[0].detail == "1.1.0: 3"
    assert facts(catalogue)[0][1]["missing"] == []


@pytest.mark.parametrize(
    "kind",
    ["update.applied", "update.rolled_back", "update.failed", "pass.issued", "pass.revoked", "page.visited",
     "page.refused", "page.locked", "retention.confirmed", "retention.signed"],
)  # fmt: skip
def test_safety_standard_8_who_looked_and_what_runs_is_kept_five_years(kind):
    assert about_rights(kind)


def test_safety_standard_9_a_version_of_half_a_year_is_told(tmp_path):
    built = tmp_path / "built"
    assert updates.age(NOW, built) == []
    for text in ("", "yesterday", "2026-11-22"):
        built.write_text(text)
        assert updates.age(NOW, built) == []
    built.write_text("2026-04-01T12:00:00Z\n")
    days = (NOW.utc_ms - 1_775_044_800_000) // UTC_DAY_MS
    assert days < updates.DUE_DAYS
    assert updates.age(NOW, built) == []
    later = Instant(1_775_044_800_000 + updates.DUE_DAYS * UTC_DAY_MS, Trust.SYNCED)
    assert [(each.code, each.detail) for each in updates.age(later, built)] == [("update.due", "180 d")]
    assert updates.age(Instant(later.utc_ms, Trust.UNTRUSTED), built) == []
