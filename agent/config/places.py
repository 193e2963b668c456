"""Whom a camera's pictures are asked of, so whom its log-in is offered to, and which addresses are one view. Pure."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

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


def view(url: str) -> tuple[str, int | None, str, str]:
    """Return what two addresses of one view have in common, however they are written: host, port, path and query.

    The usual port of a scheme counts as none, so that the same camera over TLS is the same. That a name stands for a
    number, and that two paths show the same, only the camera knows.
    """
    _, host, port = _place(url)
    if host == url:
        return url, None, "", ""
    parts = urlsplit(url)
    usual = port == PORTS.get(parts.scheme)
    return host.rstrip("."), None if usual else port, unquote(parts.path).strip("/"), unquote(parts.query)
