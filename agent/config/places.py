"""Whom a camera's pictures are asked of, and so whom its log-in is offered to. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

Place = tuple[str, str, int | None]
"""Scheme, host (lower case) and port; None where the scheme has no usual one."""


def places(*urls: str | None) -> list[Place]:
    """Return the place of each address, in their order; None, as of a second stream that is not there, has none.

    An address that cannot be read is a place of its own: ("", the address, None).
    """
    return [_place(url) for url in urls if url is not None]


def _place(url: str) -> Place:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme)
    except ValueError:  # brackets that are never closed, a port that is no number
        return "", url, None
