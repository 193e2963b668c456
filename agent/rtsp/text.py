"""Small readers for text that a stranger wrote: numbers with bounds, and text fit to be shown."""

from __future__ import annotations

_SHOWN = 80  # characters of a stranger's text that an error carries


def shown(text: str) -> str:
    """Make a stranger's text fit for a log or a terminal: printable ASCII, at most 80 characters.

    Control characters and everything outside ASCII are written as escapes, so that no terminal obeys them.
    """
    safe = text[:_SHOWN].encode("unicode_escape", "backslashreplace").decode("ascii")
    return safe[:_SHOWN] + "..." if len(safe) > _SHOWN or len(text) > _SHOWN else safe


def bounded_int(text: str, low: int, high: int) -> int | None:
    """Read a decimal number of at most ten ASCII digits within low..high, else None.

    The bound on digits comes before `int`, whose work grows with the square of the length.
    """
    text = text.strip(" \t")
    if not text or len(text) > 10 or not (text.isascii() and text.isdigit()):
        return None
    value = int(text)
    return value if low <= value <= high else None
