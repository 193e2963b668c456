"""JSON from strangers, read strictly: one meaning for each text, and bounded work. Pure."""

from __future__ import annotations

import base64
import json
import unicodedata
from typing import Any, NoReturn

MOST_BYTES = 64 << 10
MOST_DEPTH = 16
MOST_INTEGER = (1 << 53) - 1
"""What every JSON reader takes exactly (RFC 8259, section 6)."""


def read(data: bytes) -> dict[str, Any]:
    """Read one JSON object.

    data    UTF-8, at most MOST_BYTES
    Raises  ValueError for anything else: a member twice, a number that is no whole one or beyond MOST_INTEGER, NaN,
            more than MOST_DEPTH levels, a text that is not Unicode, something before or behind
    """
    if len(data) > MOST_BYTES:
        raise ValueError("too long")
    try:
        found = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_once,
            parse_float=_no_number,
            parse_constant=_no_number,
            parse_int=integer,
        )
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for all that is wrong
    _check(found, 1)
    return found


def unbase64url(text: str) -> bytes:
    """Decode base64url without padding, of the one right form only (RFC 7515, section 2). Raises ValueError."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64url(data) != text:
        raise ValueError("not base64url")
    return data


def base64url(data: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def is_name(value: object, most: int = 64) -> bool:
    """Tell whether a value is one line of text that can be shown, of 1 to `most` characters."""
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable() and bool(value.strip())


def folded(name: str) -> str:
    """Return the form of a name by which it is compared: Hangul can be written in two ways that look the same."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def is_number(value: object, least: int = 0, most: int = MOST_INTEGER) -> bool:
    """Tell whether a value is a whole number within bounds; true and false are none."""
    return type(value) is int and least <= value <= most


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"not a whole number: {text[:20]}")


def integer(text: str) -> int:
    """Read a whole number as JSON writes it. Raises ValueError for one beyond MOST_INTEGER."""
    if len(text) > 17:  # before it is computed: that takes the square of its length
        raise ValueError("a number that is too large")
    value = int(text)
    if abs(value) > MOST_INTEGER:
        raise ValueError("a number that is too large")
    return value


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair: UnicodeEncodeError is a ValueError
        return
    if not isinstance(value, (dict, list)):
        return
    if depth > MOST_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, dict):
        for key in value:
            _check(key, depth)
    for item in value.values() if isinstance(value, dict) else value:
        _check(item, depth + 1)
