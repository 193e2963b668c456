"""The documents in docs/ say what the program does."""

from __future__ import annotations

import re
import tomllib

import pytest

from agent.cli.codes import CODES, WHO
from agent.cli.document import documents, example, main
from agent.config import load
from agent.config.keys import BY_TABLE
from tests.docs.codes import ROOT, used
from tests.unit.config.samples import KEYS


@pytest.mark.parametrize("name", sorted(documents()))
def test_a_generated_document_is_current(name):
    current = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert current == documents()[name], "run: python -m agent.cli.document"


def test_every_code_in_the_sources_has_an_entry():
    missing = {code: place for code, place in used().items() if code not in CODES}
    assert missing == {}, "each needs an entry in agent/cli/codes"


def test_the_search_for_codes_finds_them_where_they_hide():
    found = used()
    for hidden in (
        "CONFIG_INVALID",
        "CONFIG_VALUE",
        "CONFIG_PASSWORD_IN_URL",
        "DISK_FULL",
        "CHUNK_DAMAGED",
        "TIME_UNREADABLE",
    ):
        assert hidden in found


def test_no_entry_is_left_over():
    assert set(CODES) - set(used()) == set()


@pytest.mark.parametrize("name", sorted(CODES))
def test_every_entry_says_what_and_what_next_in_both_languages(name):
    code = CODES[name]
    assert code.who in WHO
    for korean in (code.what_korean, code.next_korean):
        assert re.search("[가-힣]", korean)
    for english in (code.what_english, code.next_english):
        assert english.isascii()
        assert len(english) > 3


def test_the_example_file_is_right_once_it_has_real_keys(tmp_path):
    file = tmp_path / "agent.toml"
    recipients = f'["{KEYS[0]}", "{KEYS[1]}"]'
    file.write_text(example().replace('["age1...", "age1..."]', recipients), encoding="utf-8")
    assert load(file).warnings == ()


def test_the_example_file_names_every_key():
    shown = example()
    bare = tomllib.loads(re.sub(r"(?m)^# ", "", shown))
    for table, keys in BY_TABLE.items():
        values = bare[table][0] if isinstance(bare[table], list) else bare[table]
        assert set(values) == set(keys)


@pytest.mark.parametrize("locale", [None, "ko_KR.UTF-8"])
def test_the_documents_are_the_same_whatever_the_writer_speaks(tmp_path, monkeypatch, locale):
    monkeypatch.delenv("LC_ALL", raising=False)
    if locale:
        monkeypatch.setenv("LC_ALL", locale)
    assert main([str(tmp_path / "docs")]) == 0
    for name, text in documents().items():
        assert (tmp_path / "docs" / name).read_text(encoding="utf-8") == text


def test_names_keep_their_letters_at_the_beginning_of_a_sentence():
    """A path or an option that begins a sentence has to be typed as it is: docs/formats.md, expires_ms, root."""
    shown = documents()["operations.md"]
    for code in CODES.values():
        assert code.what_korean in shown
        assert code.next_korean in shown
    assert "Docs/" not in shown
    assert "Nothing was changed; use an editor" in shown
