"""docs/compliance.md answers every duty of the box: how, by which tests that exist, or why not."""

from __future__ import annotations

import re

import pytest

from tests.docs.codes import ROOT
from tests.docs.test_fault_rows import read_tests

TEXT = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if re.match(r"\| [GSL] ", line)
]
NAMED = [
    (row[0], file, name) for row in ROWS for file, name in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", row[4])
]
LIMITED = "done*"
STATES = ("done", LIMITED, "open", "exempt")
ASKED = {
    "G": """
        1-2; 3; 4, 5; 6; 7(1); 7(2)-(3), 8, 19; 9; 10; 11(1); 11(2); 12(1); 12(2)-(3); 13; 14; 18(1); 24(3); 26(1); 26(2);
        26(3); 26(4); 27; 28(1); 28(2); 29(1); 30(1); 30(2); 30(3); 31(1); 31(3); 32
    """,
    "S": """
        2-5 note 6; 2-8; 2-11; 2-12 1-1; 2-12 1-2; 2-12 2-1; 2-12 2-2; 2-12 2-3; 2-12 2-4; 2-12 2-5; 2-12 3; 2-12 4-1;
        2-12 5-1; 2-3-2(2); 2-14 general; 2-14 storage; 2-14 network; 2-14 security 1; 2-14 security 2; 2-14 security 4;
        2-14 security 5; 2-14 security 6; 2-14 security 7; 4-13; 4-21; 4-22; 5-1-4-2; 5-2-2; 5-2-3; 5-6
    """,
    "L": """
        Act 21(1); Act 21(2); Act 21(3); Act 25(5); Act 26(5)-(8); Act 28-8; Act 34(2); Act 35; Decree 30(1); Decree 30-2;
        Guideline 10(1), 41(1); Guideline 10(3)-(4); Guideline 11(1); Guideline 26, 28; Guideline 39; Guideline 40;
        Guideline 41(2)-(3); Guideline 42(1); Guideline 42(2); Guideline 43(3); Guideline 44; Guideline 45;
        Guideline 44(3), 46; Guideline 47; Guideline 48; Guide #49; Safety 5(1)-(3); Safety 5(4), (6); Safety 6(1);
        Safety 6(2); Safety 6(4); Safety 7(1); Safety 7(4); Safety 7(6); Safety 8; Safety 9; Safety 10(3); Safety 11;
        Safety 12(1); Safety 13; Safety 14-18; Cryptography; Product schemes
    """,
}


def test_every_duty_of_the_box_has_its_row_once():
    asked = [f"{table} {' '.join(each.split())}" for table, text in ASKED.items() for each in text.split(";")]
    assert sorted(row[0] for row in ROWS) == sorted(asked)


def test_no_row_is_of_another_form():
    assert all(len(row) == 5 for row in ROWS)
    assert TEXT.count("\n| ") == len(ROWS) + 2 * 3
    assert len(NAMED) == TEXT.count(".py::") + TEXT.count(".py`") - TEXT.count(
        "`tests/docs/test_compliance.py`"
    )


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_row_says_how_or_why_not(row):
    name, duty, state, how, tests = row
    assert state in STATES
    assert duty
    assert how
    if state in ("done", LIMITED):
        assert tests, f"{name} is done by no test"
    is_limited = re.search(r"\bLimits?\b", how) is not None or name == "G 26(1)"
    assert is_limited == (state == LIMITED), (
        f"{name} names a limit, or does not, and its state says otherwise"
    )


def test_art_26_1_law_is_obeyed_when_each_of_its_rows_is():
    """G 26(1) is as the rows of the other two tables are: open when one of them is, and limited when one is."""
    states = {row[2] for row in ROWS if row[0][0] in "SL"}
    (state,) = (row[2] for row in ROWS if row[0] == "G 26(1)")
    assert state == next(each for each in ("open", LIMITED, "done") if each in states)


@pytest.mark.parametrize(("row", "file", "name"), NAMED)
def test_each_test_that_is_named_is_there_and_runs_in_ci(row, file, name):
    found = read_tests(file)
    assert name in found, row
    assert not found[name][1]
