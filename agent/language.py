"""Korean or English, as `LANG` says.

Every text that a person reads is written as a pair at the place where it is used, so that none can exist in
one language only: ``say("영상 없음", "no picture")``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Language = Literal["ko", "en"]

_logging = False
_asked: ContextVar[Language | None] = ContextVar("asked", default=None)


def language() -> Language:
    """Return "ko" when the first of LC_ALL, LC_MESSAGES and LANG that is set starts with "ko", else "en"; in `english`
    always that, and in `speaking` what it says.
    """
    asked = _asked.get()
    if asked is not None:
        return asked
    if _logging:
        return "en"
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"


def say(korean: str, english: str) -> str:
    """Return the text for the person who reads it now."""
    return korean if language() == "ko" else english


@contextmanager
def speaking(asked: Language) -> Iterator[None]:
    """Say everything in one language meanwhile, in this thread: to a visitor of the page, say."""
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def english() -> Iterator[None]:
    """Say everything in English meanwhile, in all threads: what is said now goes to nobody but a log."""
    global _logging  # noqa: PLW0603 - as the environment, of which it is a part, it is the whole process's
    before, _logging = _logging, True
    try:
        yield
    finally:
        _logging = before
