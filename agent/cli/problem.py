"""Print errors for the person who must act: code, what, where, what to do next."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from agent.cli.codes import CODES
from agent.cli.fields import print_fields
from agent.language import language, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.config import ConfigProblems, ConfigWarning
    from agent.errors import PasuError

HANGUL = ("\uac00", "\ud7a3")
# Names that errors give their circumstances; one that is not here is shown as it stands in the log.
CONTEXT = {
    "camera": "카메라",
    "end": "끝",
    "errno": "오류 번호",
    "error": "오류",
    "expected": "있어야 할 것",
    "file": "파일",
    "folder": "폴더",
    "found": "있는 것",
    "line": "줄",
    "op": "하던 일",
    "path": "경로",
    "process": "프로세스",
    "reason": "까닭",
    "start": "시작",
}


def show_error(error: PasuError, stream: TextIO | None = None) -> None:
    """Print one error.

    What the raiser said comes first, since it knows the case; where that is English only and the reader reads
    Korean, the words of `codes` stand in.
    """
    from agent.config import ConfigProblems

    out = stream or sys.stderr
    if isinstance(error, ConfigProblems):
        show_problems(error, out)
        return
    code = CODES.get(error.code)
    what, then = error.message, error.hint
    if code is not None:
        what = what if _readable(what) else code.what
        then = then if then and _readable(then) else code.next
    print(say(f"오류: {what}  [{error.code}]", f"error: {what}  [{error.code}]"), file=out)
    context = [(say(CONTEXT.get(key, key), key), str(value)) for key, value in error.context.items()]
    print_fields([*context, (say("다음 할 일", "next"), then)], out, indent=3)


def show_problems(error: ConfigProblems, stream: TextIO) -> None:
    """Print every problem of a configuration, numbered."""
    count = len(error.problems)
    file = error.context["file"]
    head = say(
        f"설정을 쓸 수 없습니다: {file} (문제 {count}건)", f"configuration refused: {file} ({_many(count)})"
    )
    print(head, file=stream)
    for number, problem in enumerate(error.problems, 1):
        code = CODES[problem.code]
        print(
            f"\n{number}. {problem.key + ': ' if problem.key else ''}{code.what}  [{problem.code}]",
            file=stream,
        )
        of_file = not problem.key
        found = say("까닭", "reason") if of_file else say("있는 값", "found")
        allowed = say("할 일", "next") if of_file else say("쓸 수 있는 값", "allowed")
        fields = [(found, problem.found), (allowed, problem.allowed), (say("예", "example"), problem.example)]
        print_fields(fields, stream, indent=3)


def show_warnings(warnings: Iterable[ConfigWarning], stream: TextIO) -> None:
    """Print warnings, a line each."""
    for warning in warnings:
        word = say("주의", "warning")
        print(f"{word}: {warning.key}: {warning.text}  [{warning.code}]", file=stream)


def _readable(text: str) -> bool:
    """Tell whether a text is in the reader's language, as far as that shows."""
    return language() == "en" or any(HANGUL[0] <= letter <= HANGUL[1] for letter in text)


def _many(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"
