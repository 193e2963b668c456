"""The page's words become facts, whatever the page has become; each once, and never too many."""

from __future__ import annotations

import json
import os

import pytest

from agent import passes
from agent.model import Instant, Trust
from agent.passes import Pass, What, Why, Word
from agent.storage import passbook
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from agent.storage.keep.visitors import BURST, Visitors

NOW = Instant(1_790_000_000_000, Trust.SYNCED)
ONE = Pass("1a2b3c4d", "0" * 64, "김정비", "한빛보안", "officer", 1, 2, "b", 3)
VISIT = Word(What.VISITED, ONE.id, None, 1, "192.168.77.20")


@pytest.fixture
def box(tmp_path):
    (tmp_path / "state").mkdir()
    passbook.make(tmp_path / "page", Disk())
    passbook.put(tmp_path / "page", ONE, Disk())
    catalogue = Catalogue.prepare(tmp_path / "state")
    yield tmp_path / "page", catalogue
    catalogue.close()


def facts(catalogue):
    return [
        (entry.kind, json.loads(entry.body)) for entry in catalogue.ledger() if entry.kind.startswith("page.")
    ]


def tell(folder, *words, at_ms=1000):
    for number, word in enumerate(words):
        assert passbook.put_word(folder, word, at_ms + number, Disk())


def test_a_visit_is_a_fact_with_the_name_that_stands_in_the_pass(box):
    folder, catalogue = box
    tell(folder, VISIT, Word(What.REFUSED, "", Why.UNKNOWN, 4, "192.168.77.9"))
    Visitors(folder, Disk()).turn(catalogue, NOW, 0.0)
    assert facts(catalogue) == [
        ("page.visited", {"id": ONE.id, "name": "김정비", "company": "한빛보안", "why": "", "count": 1,
                          "source": "192.168.77.20"}),
        ("page.refused", {"id": "", "name": "", "company": "", "why": "unknown", "count": 4, "source": "192.168.77.9"}),
    ]  # fmt: skip
    assert passbook.words(folder) == []
    seen = passbook.seen(folder)
    assert [each["what"] for each in seen] == ["refused", "visited"]
    assert seen[1]["name"] == "김정비"


@pytest.mark.parametrize("dies", ["G1", "G2", "G3"])
def test_killed_after_each_step_each_word_is_one_fact(box, dies):
    folder, catalogue = box
    tell(folder, VISIT, VISIT)

    class Killed(BaseException):
        pass

    def die(step):
        if step == dies:
            raise Killed

    with pytest.raises(Killed):
        Visitors(folder, Disk(), die).turn(catalogue, NOW, 0.0)
    Visitors(folder, Disk()).turn(catalogue, NOW, 0.0)
    assert len(facts(catalogue)) == 2
    assert passbook.words(folder) == []


def test_a_page_that_was_taken_over_cannot_fill_the_ledger(box):
    """It writes as many words as it likes."""
    folder, catalogue = box
    visitors = Visitors(folder, Disk())
    for minute in range(10):
        for number in range(300):
            name = f"{minute * 1000 + number:016x}-{number:08x}.json"
            (folder / "visits" / name).write_bytes(passes.encode_word(VISIT))
        for second in range(60):
            visitors.turn(catalogue, NOW, minute * 60.0 + second)
    assert len(facts(catalogue)) <= BURST + 61


def test_what_is_no_word_makes_no_fact_and_stops_nothing(box):
    """Pipes, links, folders, bytes of any kind, another's pass."""
    folder, catalogue = box
    visits = folder / "visits"

    def name(number):
        return visits / f"{number:016x}-00000000.json"

    name(1).write_bytes(b"\xff" * 100_000)
    os.mkfifo(name(2))
    name(3).symlink_to(folder / "passes" / f"{ONE.id}.json")
    name(4).mkdir()
    (visits / "readme").write_text("x")
    name(5).write_bytes(passes.encode_word(Word(What.VISITED, "ffffffff", None, 1, "192.168.77.20")))
    visitors = Visitors(folder, Disk())
    visitors.turn(catalogue, NOW, 0.0)
    visitors.turn(catalogue, NOW, 1.0)
    ((kind, body),) = facts(catalogue)
    assert (kind, body["id"], body["name"]) == ("page.visited", "", "")
    assert (folder / "passes" / f"{ONE.id}.json").exists()
    assert sorted(each.name for each in visits.iterdir()) == [name(4).name, "readme"]


def test_a_folder_that_somebody_filled_is_not_read_to_its_end(box):
    folder, _ = box
    for number in range(5000):
        (folder / "visits" / f"junk{number}").touch()
    assert len(passbook.words(folder)) == 0
    assert passbook.MOST_LISTED * 2 < 5000


def test_without_a_folder_nothing_happens(box, tmp_path):
    _, catalogue = box
    Visitors(tmp_path / "none", Disk()).turn(catalogue, NOW, 0.0)
    assert facts(catalogue) == []


def test_only_the_pages_group_may_read_passes_whatever_the_umask(box):
    folder, _ = box
    before = os.umask(0o077)
    try:
        passbook.put(folder, ONE, Disk())
        tell(folder, VISIT)
    finally:
        os.umask(before)
    assert (folder / "passes" / f"{ONE.id}.json").stat().st_mode & 0o777 == 0o640
    (word,) = (folder / "visits").iterdir()
    assert word.stat().st_mode & 0o777 == 0o644  # in a folder that lets nobody else in
