"""Change single values in a TOML file that somebody wrote: its comments and its order stay. Pure."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from agent.config.keys import BY_TABLE, TABLES
from agent.field.setup.answers import bare, value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.config.secrets import Login
    from agent.field.setup.answers import Answers

Path = tuple[str, ...]
"""A heading's words: ("camera", "cam01") for [camera.cam01], ("camera",) for [[camera]]."""
GONE = object()
"""Stands for a key that is to be taken out."""


def changes(old: Answers, new: Answers) -> list[tuple[str, str, Any]]:
    """Return the keys of single tables that differ: table, key, value (GONE: none any more)."""
    return [
        (table.name, key, what)
        for table in TABLES
        if not table.many
        for key, what in _differing(table.name, old.get(table.name, {}), new.get(table.name, {}))
    ]


def _differing(table: str, before: Answers, after: Answers) -> list[tuple[str, Any]]:
    return [(key, after.get(key, GONE)) for key in BY_TABLE[table] if before.get(key) != after.get(key)]


def amended(text: str, wanted: list[tuple[str, str, Any]]) -> str:
    """Return a file with these keys changed; a table that is not there is added at the end, one without keys goes."""
    for table, key, what in wanted:
        text = _one(text, (table,), 0, key, what)
    return text


def amended_cameras(text: str, old: Sequence[Answers], new: Sequence[Answers]) -> str:
    """Return agent.toml with its cameras changed, and without those that are gone. New ones are not added here.

    old, new  [[camera]] tables, those of the file in its order, and as they should be; they are told by their id
    """
    wanted = {each["id"]: each for each in new}
    for number in reversed(range(len(old))):  # from the end, so that those before it keep their numbers
        before = old[number]
        after = wanted.get(before["id"])
        if after is None:
            text = _without(text, ("camera",), number)
            continue
        for key, what in _differing("camera", before, after):
            text = _one(text, ("camera",), number, key, what)
    return text


def amended_log_ins(text: str, wanted: Mapping[str, Login | None]) -> str:
    """Return the text of log-ins with those of cameras changed, added at its end, or taken out (None)."""
    for camera, login in wanted.items():
        table = ("camera", camera)
        if login is None:
            text = _without(text, table, 0)
            continue
        text = _one(text, table, 0, "username", login.username)
        text = _one(text, table, 0, "password", login.password)
    return text


def secrets_wanted(text: str, wanted: Mapping[str, Login | None]) -> Answers:
    """Return the tables that the log-ins have to have then, whatever way it is written; empty ones say nothing."""
    tables = tomllib.loads(text)
    cameras = {name: table for name, table in tables.get("camera", {}).items() if name not in wanted}
    for name, login in wanted.items():
        if login is not None:
            cameras[name] = {"username": login.username, "password": login.password}
    return {name: table for name, table in {**tables, "camera": cameras}.items() if table}


def _one(text: str, table: Path, number: int, key: str, what: Any) -> str:
    lines = text.splitlines(keepends=True)
    begin = _find(lines, table, number)
    if begin is None:
        if what is GONE:
            return text
        ended = text if not text or text.endswith("\n") else text + "\n"
        return f"{ended}\n[{'.'.join(map(bare, table))}]\n{bare(key)} = {value(what)}\n"
    end = _end(lines, begin)
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
    if len(table) == 1 and tomllib.loads("".join(lines)).get(table[0]) == {}:
        del lines[begin]
    return "".join(lines)


def _without(text: str, table: Path, number: int) -> str:
    """Take a table out, with the comments right above its heading, and one of the empty lines around it.

    What stands right above the next heading belongs to that one, and stays.
    """
    lines = text.splitlines(keepends=True)
    begin = _find(lines, table, number)
    if begin is None:
        return text
    end = _end(lines, begin)
    while end < len(lines) and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    while lines[end - 1].isspace():
        end -= 1
    above = begin
    while above and lines[above - 1].lstrip().startswith("#"):
        above -= 1
    if above and lines[above - 1].isspace():  # a block of its own, and not the end of what stands before
        begin = above - 1
    return "".join(lines[:begin] + lines[end:])


def _find(lines: list[str], table: Path, number: int) -> int | None:
    """Return the line of a table's heading, of the number-th where there are several."""
    found = [at for at, line in enumerate(lines) if _heading(line) == table]
    return found[number] if number < len(found) else None


def _end(lines: list[str], begin: int) -> int:
    """Return the line of the next heading, or the number of lines."""
    return next((at for at in range(begin + 1, len(lines)) if _heading(lines[at])), len(lines))


def _heading(line: str) -> Path | None:
    """Return what a line is the heading of; None when it is none."""
    if not line.lstrip().startswith("["):
        return None
    try:
        told: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    words: list[str] = []
    while told not in ({}, [{}]):
        ((word, told),) = told.items()  # a heading alone nests one table in another
        words.append(word)
    return tuple(words)


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
