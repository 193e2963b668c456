"""The first bytes of a segment's file: the age header, without which nobody can open the rest. Pure."""

from __future__ import annotations

import re

from agent.errors import IntegrityFault
from agent.storage.envelope import MAX_HEADER_BYTES, shred_span

MAGIC = b"age-encryption.org/"
HEAD_BYTES = 4096
"""What is read of a file: the header of forty recipients. Of a longer one as much is overwritten as it can have."""
_VERSION_LINE_BYTES = 22
_MAC_LINE = b"\n--- "
_KEY = re.compile(rb"[A-Za-z0-9+/]{43}\n[A-Za-z0-9+/]{43}\n")
"""What of an X25519 stanza cannot be guessed."""
_MAC_LINE_BYTES = len(_MAC_LINE) + 43 + 1  # 32 bytes in base64 without padding, end of line


def header_length(start: bytes, size: int) -> int:
    """Return how many bytes of a file of ours to overwrite: its header, or as much as one can have where that cannot
    be told.

    start  its first bytes
    size   of the file, bytes
    """
    try:
        return shred_span(start)
    except IntegrityFault:
        return min(size, MAX_HEADER_BYTES)


def shred_length(start: bytes, size: int, stored: int | None, *, damaged: bool = False) -> int | None:
    """Return how many bytes to overwrite, so that a file cannot be opened any more.

    start    its first bytes
    size     of the file, bytes
    stored   what its size was when it was stored; None when nobody knows
    damaged  one of the stored size is ours, though its first line is not an age file's
    Returns  the header's length; as much as a header can have where its end is not found in `start`, and where the file
             has the stored size and zeros at its start: it was overwritten before, and what is read now need not be
             what the disk has, nor all that was overwritten. None for a file that is not like one of ours
    """
    if start.startswith(MAGIC):
        return header_length(start, size)
    if size == 0:
        return 0
    zeros = len(start) - len(start.lstrip(b"\0"))
    if (zeros < _VERSION_LINE_BYTES and not (damaged and stored == size)) or stored not in (size, None):
        return None
    return min(size, MAX_HEADER_BYTES)


def is_age(start: bytes) -> bool:
    """Tell whether a file, be it damaged, begins as age files do: its first line is whole, or a key stands in it."""
    return start.startswith(MAGIC) or _KEY.search(start) is not None


def is_whole(start: bytes) -> bool:
    """Tell whether a header is still there: nobody has begun to overwrite it.

    One that is damaged otherwise counts as there, in its first line too. Overwriting leaves zeros, of which a header
    has none: also when power was lost after one of its sectors.
    """
    try:
        shred_span(start)
    except IntegrityFault:
        end = start.find(_MAC_LINE)
        return end > 0 and b"\0" not in start[: end + _MAC_LINE_BYTES]
    return True
