"""The registry of conditions: texts, and what hides what."""

from __future__ import annotations

import pytest

from agent.health import CONDITIONS, Raised


@pytest.mark.parametrize("code", CONDITIONS)
def test_every_condition_speaks_both_languages_and_says_what_to_do(code, monkeypatch):
    condition = CONDITIONS[code]
    texts = set()
    for locale in ("ko_KR.UTF-8", "C"):
        monkeypatch.setenv("LC_ALL", locale)
        texts |= {condition.what, condition.next}
    assert len(texts) == 4
    assert all(texts)
    for korean in (condition.what_korean, condition.next_korean):
        assert any("가" <= letter <= "힣" for letter in korean)
    assert condition.what_english.isascii()
    assert condition.next_english.isascii()


@pytest.mark.parametrize("code", CONDITIONS)
def test_a_cause_is_seen_no_later_than_what_it_hides_and_never_in_a_circle(code):
    """Else a reader would see first what comes of it, or nothing at all."""
    above = list(CONDITIONS[code].depends_on)
    while above:
        cause = above.pop()
        assert cause != code
        assert CONDITIONS[cause].visible_s <= CONDITIONS[code].visible_s
        above += CONDITIONS[cause].depends_on


def test_what_holds_knows_what_its_code_says():
    assert Raised("vault.missing", "/a").condition is CONDITIONS["vault.missing"]
