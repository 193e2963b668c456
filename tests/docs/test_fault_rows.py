"""docs/evidence/fault-rows.md names tests that exist, bear the row's number, and run where it says."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.codes import ROOT

TEXT = (ROOT / "docs" / "evidence" / "fault-rows.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[2]
    for line in TEXT.splitlines()
    if re.match(r"\| [A-Z]\d+ \|", line) and (cells := [cell.strip() for cell in line.strip("|").split("|")])
}
NAMED = [
    (row, file, name, bool(star))
    for row, cell in ROWS.items()
    for star, file, name in re.findall(r"(\*?)`([\w/]+\.py)(?:::(\w+))?`", cell)
]
ASKED = "A1-A10 B1-B16 B18-B19 C1-C6 C8 C10-C11 D1 D3 D8 D12-D16 E1-E15 F1-F12 G3 G5 G7 H1-H6 H9-H11 I1-I9 J1-J6 K1-K3 K5"


def rows_of(text: str) -> set[str]:
    """Find the rows that a text names; a span from row to row names those between them."""
    found = set(re.findall(r"(?<![A-Za-z0-9])[A-Z]\d{1,2}(?!\d)", text))
    for letter, first, last in re.findall(r"([A-Z])(\d+)-\1(\d+)", text):
        found |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
    return found


@cache
def read_tests(file: str) -> dict[str, tuple[str, bool]]:
    """Return the tests of a file: what each says of itself, and whether only the campaign runs it. "" is the file."""
    module = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = {"": (ast.get_docstring(module) or "", False)}
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            words = node.name.removeprefix("test_").split("_")
            marks = [ast.unparse(each) for each in node.decorator_list]
            said = f"{' '.join(word.upper() for word in words)} {ast.get_docstring(node) or ''}"
            found[node.name] = (said, "pytest.mark.campaign" in marks)
    return found


def test_every_row_that_was_asked_for_is_there():
    assert rows_of(ASKED) == set(ROWS)
    assert {row for row, *_ in NAMED} == set(ROWS)
    assert len(NAMED) == TEXT.count(".py`") + TEXT.count("::") - TEXT.count("tests/docs/test_fault_rows.py")


@pytest.mark.parametrize(("row", "file", "name", "campaign"), NAMED)
def test_the_test_is_there_and_bears_the_row(row, file, name, campaign):
    found = read_tests(file)
    said, only_campaign = found[name]
    if name:
        assert row in rows_of(found[""][0] + " " + said)
        assert only_campaign == campaign
    else:
        assert row in rows_of(" ".join(said for said, _ in found.values()))
