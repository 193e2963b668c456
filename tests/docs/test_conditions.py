"""Every condition is raised somewhere, and nothing is raised that has no name."""

from __future__ import annotations

import ast

from agent.health import CONDITIONS
from tests.docs.codes import ROOT

TABLES = ROOT / "agent" / "health" / "tables"


def trees() -> list[ast.Module]:
    files = [file for file in sorted((ROOT / "agent").rglob("*.py")) if TABLES not in file.parents]
    return [ast.parse(file.read_text(encoding="utf-8")) for file in files]


def test_every_condition_is_raised_somewhere():
    texts = {
        node.value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(CONDITIONS) - texts == set()


def test_what_is_raised_has_an_entry():
    raised = {
        node.args[0].value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Raised"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(raised) > 40
    assert raised - set(CONDITIONS) == set()
