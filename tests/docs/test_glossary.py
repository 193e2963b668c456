"""The glossary's Korean words are those that people read on the screen."""

from __future__ import annotations

import re

from tests.docs.codes import ROOT


def test_every_korean_word_is_one_that_the_program_says():
    said = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "agent").rglob("*.py"))
    rows = re.findall(
        r"(?m)^\| [^|]+ \| ([^|]+) \| ", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    )
    words = [row for row in rows if re.search("[가-힣]", row) and row != "한국어"]
    assert len(words) > 15
    assert [word for word in words if word not in said] == []
