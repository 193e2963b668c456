"""argparse, speaking the reader's language and counting Hangul as two columns wide."""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, NoReturn

from agent.errors import PasuError
from agent.language import language, say

if TYPE_CHECKING:
    from collections.abc import Iterable

USAGE_STATUS = 2
MAX_HELP_WIDTH = 100

# What argparse of Python 3.11 to 3.13 says, and the same in Korean.
KOREAN = (
    (r"the following arguments are required: (.*)", r"빠진 인자: \1"),
    (r"unrecognized arguments: (.*)", r"알 수 없는 인자: \1"),
    (r"argument (.*?): (.*)", r"\1: \2"),
    (r"expected one argument", r"값 하나가 필요합니다"),
    (r"expected at least one argument", r"값이 하나 이상 필요합니다"),
    (r"expected (\d+) arguments?", r"값 \1개가 필요합니다"),
    (r"invalid choice: (.*) \(choose from (.*)\)", r"\1은(는) 쓸 수 없습니다 (쓸 수 있는 값: \2)"),
    (r"invalid \w+ value: (.*)", r"쓸 수 없는 값: \1"),
    (r"not allowed with argument (.*)", r"\1와(과) 함께 쓸 수 없습니다"),
    (r"one of the arguments (.*) is required", r"\1 가운데 하나가 필요합니다"),
    (r"ignored explicit argument (.*)", r"값을 받지 않습니다: \1"),
)


class UsageError(PasuError):
    """Whoever typed the command types it differently. Exit status 2, as for argparse's own errors."""

    who = "whoever types"
    exit_code = USAGE_STATUS


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: Hangul two each, combining marks none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def wrap(text: str, width: int) -> list[str]:
    """Break a text at its spaces into lines of at most `width` columns; a longer word stays whole."""
    lines: list[str] = []
    for word in text.split():
        if lines and columns(lines[-1]) + 1 + columns(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


class HelpFormatter(argparse.HelpFormatter):
    """Help texts, wrapped by columns and not by characters."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, MAX_HELP_WIDTH) - 2
        super().__init__(prog, max_help_position=30, width=width)

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Begin with "usage" in the reader's language; argparse asks for an empty prefix to build a name."""
        super().add_usage(usage, actions, groups, say("쓰는 법: ", "usage: ") if prefix is None else prefix)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Wrap a description; paragraphs and indented lines (examples) stay as they are."""
        lines: list[str] = []
        for line in text.splitlines():
            lines += [line] if line.startswith(" ") or not line else wrap(line, width - len(indent))
        return "\n".join(indent + line for line in lines)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose fixed words and errors exist in Korean too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=HelpFormatter, add_help=False, allow_abbrev=False)
        self._positionals.title = say("인자", "arguments")
        self._optionals.title = say("선택", "options")
        self.add_argument("-h", "--help", action="help", help=say("이 도움말을 보입니다", "show this help"))

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and where its help is; leave with status 2."""
        print(f"{self.prog}: {_near(message) if language() == 'en' else _korean(message)}", file=sys.stderr)
        print(say(f"도움말: {self.prog} --help", f"help: {self.prog} --help"), file=sys.stderr)
        raise SystemExit(USAGE_STATUS)


def _korean(message: str) -> str:
    """Translate what argparse says; what it does not know stays English."""
    for pattern, korean in KOREAN:
        match = re.fullmatch(pattern, message, re.DOTALL)
        if match and pattern.startswith("argument "):
            name, rest = match.groups()
            return f"{name}: {_korean(rest)}"
        if match:
            return _near(message, match.expand(korean))
    return message


def _near(message: str, shown: str = "") -> str:
    """Add "did you mean" to a mistyped choice."""
    match = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL)
    near = difflib.get_close_matches(match[1], re.findall(r"[\w-]+", match[2]), n=1) if match else []
    return (shown or message) + (say(f": 혹시 {near[0]}?", f": did you mean {near[0]}?") if near else "")
