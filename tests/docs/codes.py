"""Find every error code in the sources, without running them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)*")
COMPOUND = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)+")
# Whose first argument is a code, besides PasuError and what descends from it; of Lost it is the second.
MAKERS = {"Refused", "Problem", "Wrong", "ConfigWarning", "Lost", "_never"}
# What looks like a code in a module that raises, and is something else.
NO_CODES = {
    *("COMMITTED", "SALVAGED", "PROBE"),
    *("SC_PAGE_SIZE", "SC_PHYS_PAGES", "LC_ALL", "OMP_NUM_THREADS", "CREDENTIALS_DIRECTORY"),
    *("SYSTEMD_CREDENTIAL_SECRET", "SYSTEMD_TPM2_DEVICE"),
}


def used() -> dict[str, str]:
    """Return every code, and one place that uses it.

    In a module that knows an error class, every text like THIS_ONE is taken for a code, wherever it stands: codes also
    come out of dictionaries and conditions. A single word is one where it is handed to an error class, or given a name
    of its own spelling.
    """
    modules = {
        path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "agent").rglob("*.py"))
    }
    classes = _error_classes(modules) | MAKERS
    constants = _constants(modules)
    found: dict[str, str] = {}
    for path, tree in modules.items():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        if not names & classes or path.name == "codes.py":
            continue
        exported = _exported(tree)
        for node in ast.walk(tree):
            texts = []
            if isinstance(node, ast.Constant) and node not in exported and isinstance(node.value, str):
                texts = [node.value] if COMPOUND.fullmatch(node.value) else []
            elif isinstance(node, ast.Call) and _called(node) in classes:
                texts = _first(node, constants)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                named = [target.id for target in node.targets if isinstance(target, ast.Name)]
                texts = [node.value.value] if node.value.value in named else []
            for text in texts:
                if text not in NO_CODES:
                    found.setdefault(text, f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def _error_classes(modules: dict[Path, ast.Module]) -> set[str]:
    """Return the names of PasuError and all that descend from it."""
    known = {"PasuError"}
    classes = [node for tree in modules.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    while True:
        more = {
            node.name
            for node in classes
            if {base.id for base in node.bases if isinstance(base, ast.Name)} & known
        }
        if more <= known:
            return known
        known |= more


def _constants(modules: dict[Path, ast.Module]) -> dict[str, str]:
    """Return module-level names that stand for one text."""
    found = {}
    for tree in modules.values():
        for node in tree.body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                found |= {
                    target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)
                }
    return found


def _exported(tree: ast.Module) -> list[ast.AST]:
    """Return what stands in `__all__`: names of constants, and no codes."""
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(getattr(target, "id", "") == "__all__" for target in node.targets)
    ]
    return [inner for value in lists for inner in ast.walk(value)]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _first(call: ast.Call, constants: dict[str, str]) -> list[str]:
    """Return what the argument of a call that is the code may be, as far as it is written down."""
    texts = []
    place = 1 if _called(call) == "Lost" else 0
    for value in call.args[place : place + 1]:
        for side in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
            text = constants.get(side.id, "") if isinstance(side, ast.Name) else getattr(side, "value", "")
            if isinstance(text, str) and CODE.fullmatch(text):
                texts.append(text)
    return texts
