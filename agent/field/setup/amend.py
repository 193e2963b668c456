"""Change single values in an agent.toml that somebody wrote: its comments and its order stay. Pure."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from agent.config.keys import BY_TABLE, TABLES
from agent.field.setup.answers import bare, value

if TYPE_CHECKING:
    from agent.field.setup.answers import Answers

HEADING = re.compile(r"\s*\[+\s*([A-Za-z0-9_-]+)\s*\]+\s*(?:#.*)?\Z")
GONE = object()
"""Stands for a key that is to be taken out."""


def changes(old: Answers, new: Answers) -> list[tuple[str, str, Any]]:
    """Return the keys of single tables that differ: table, key, value (GONE: none any more)."""
    found: list[tuple[str, str, Any]] = []
    for table in (each.name for each in TABLES if not each.many):
        before, after = old.get(table, {}), new.get(table, {})
        found += [
            (table, key, after.get(key, GONE)) for key in BY_TABLE[table] if before.get(key) != after.get(key)
        ]
    return found


def amended(text: str, wanted: list[tuple[str, str, Any]]) -> str:
    """Return a file with these keys changed; a table that is not there is added at the end, one without keys goes."""
    for table, key, what in wanted:
        text = _one(text, table, key, what)
    return text


def _one(text: str, table: str, key: str, what: Any) -> str:
    lines = text.splitlines(keepends=True)
    begin = next((number for number, line in enumerate(lines) if _names(line, table)), None)
    if begin is None:
        if what is GONE:
            return text
        ended = text if not text or text.endswith("\n") else text + "\n"
        return f"{ended}\n[{table}]\n{bare(key)} = {value(what)}\n"
    end = next(
        (number for number in range(begin + 1, len(lines)) if HEADING.match(lines[number].rstrip("\r\n"))),
        len(lines),
    )
    found = _place(lines, begin + 1, end, key)
    if found is None:
        if what is not GONE:
            lines.insert(begin + 1, f"{bare(key)} = {value(what)}\n")
        return "".join(lines)
    first, last = found
    if what is not GONE:
        lines[first:last] = [f"{bare(key)} = {value(what)}{_remark(lines[last - 1])}\n"]
        return "".join(lines)
    del lines[first:last]
    left = tomllib.loads("".join(lines)).get(table)
    if left == {}:
        lines = [line for line in lines if not _names(line, table)]
    return "".join(lines)


def _names(line: str, table: str) -> bool:
    match = HEADING.match(line.rstrip("\r\n"))
    return match is not None and match[1] == table


def _place(lines: list[str], begin: int, end: int, key: str) -> tuple[int, int] | None:
    """Return the lines that a key and its value take; a list may go over several."""
    number = begin
    while number < end:
        last = number + 1
        while last <= end:
            try:
                told = tomllib.loads("".join(lines[number:last]))
            except tomllib.TOMLDecodeError:
                last += 1
                continue
            if key in told:
                return number, last
            break
        number = min(last, end)
    return None


def _remark(line: str) -> str:
    """Return the comment behind a value, if it is sure to be one."""
    head, mark, rest = line.rstrip("\r\n").rpartition("#")
    if not mark:
        return ""
    try:
        whole = tomllib.loads(head)
    except tomllib.TOMLDecodeError:
        return ""
    return f"  #{rest}" if whole else ""
