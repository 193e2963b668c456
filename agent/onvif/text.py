"""A stranger's words: made harmless for a terminal, and read out of answers of any shape."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 64  # characters of a camera's text that anybody is shown
_READ = 4096  # more than this of one text is not even looked at


def tame(value: object, limit: int = SHOWN) -> str:
    """Make a camera's text fit for a terminal, a page and a file: one line, NFC, at most `limit` characters.

    Korean stays as it is. What is not printable (control characters, escapes, marks that turn the direction of
    writing, halves of surrogates) is written as an escape, so that no terminal obeys it. What is no text is "".
    """
    if not isinstance(value, str):
        return ""
    text = unicodedata.normalize("NFC", value[:_READ].strip())
    safe = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def dig(value: Any, *names: str) -> Any:
    """Follow names into nested dictionaries; None where the way ends."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def items(value: Any, limit: int) -> Iterator[Any]:
    """Yield the first `limit` members of a list; what is no list has none."""
    yield from value[:limit] if isinstance(value, list) else ()


def number(value: Any, low: int, high: int) -> int | None:
    """Return a whole number within its bounds, ends included; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        return None
    return value
