"""What bare `pasu` shows: the commands by who uses them, on one screen of 24 lines and 80 columns."""

from __future__ import annotations

import argparse
import locale
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.cli.parser import columns
from agent.language import language, say

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Group:
    """Commands of one kind of people. told: each on a line of its own, with what it does."""

    korean: str
    english: str
    commands: tuple[str, ...]
    told: bool = False


GROUPS = (
    Group(
        "박스를 설치할 때",
        "Install a box",
        ("init", "discover", "aim", "doctor", "enrol", "report"),
        told=True,
    ),
    Group(
        "설치된 박스를 볼 때",
        "Look after a box",
        ("status", "health", "segments", "camera", "update"),
        told=True,
    ),
    Group(
        "저장된 것과 책임",
        "What is stored, and who answers for it",
        ("check", "rebuild", "clock", "hold", "export", "ledger", "pass", "config", "secrets"),
    ),
    Group("관제센터에서", "At the control centre", ("centre", "open")),
    Group(
        "systemd가 실행하는 것",
        "Run by systemd",
        ("record", "keep", "uplink", "tunnel", "fence", "page", "disks"),
    ),
    Group("한 번에 해 보기", "To try it", ("demo", "run")),
)


def screen(parser: argparse.ArgumentParser) -> str:
    """Return the screen, in the reader's language."""
    return "\n".join(_lines(_about(parser)))


def _about(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return what each command does, by its name."""
    return {
        str(each.dest): str(each.help)
        for action in parser._actions  # noqa: SLF001 - argparse has no public list
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - nor a public name for these
        for each in action._choices_actions  # noqa: SLF001 - nor for what is said of each
    }


def _lines(about: dict[str, str]) -> Iterator[str]:
    yield say("쓰는 법: pasu 명령 …", "usage: pasu COMMAND ...")
    width = max(len(name) for group in GROUPS if group.told for name in group.commands)
    for group in GROUPS:
        title, names = say(group.korean, group.english), "  ".join(group.commands)
        if group.told:
            yield f"{title}:"
            yield from (f"  {name:<{width}}  {about[name]}" for name in group.commands)
        elif columns(f"{title}: {names}") <= WIDTH:
            yield f"{title}: {names}"
        else:
            yield f"{title}:"
            yield f"  {names}"
    yield say("모든 명령: pasu --help", "all commands: pasu --help")
    yield say("명령 하나: pasu help 명령", "one of them: pasu help COMMAND")
    yield say(f"설명서: {_manual()}", f"manual: {_manual()}")


def _manual() -> str:
    """Return how the manual page is read: man asks the C library for Korean, and on most boxes that has none."""
    if language() == "ko" and not _installed():
        return "LC_ALL=C.UTF-8 man -L ko pasu"
    return "man pasu"


def _installed() -> bool:
    """Tell whether the C library has the locale that the reader has asked for."""
    before = locale.setlocale(locale.LC_MESSAGES)
    try:
        locale.setlocale(locale.LC_MESSAGES, "")
    except locale.Error:
        return False
    locale.setlocale(locale.LC_MESSAGES, before)
    return True
