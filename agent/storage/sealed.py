"""What a sealed file tells without a key: how long its header is, how many chunks are whole, and its hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agent.errors import IntegrityFault
from agent.storage.envelope import MAX_HEADER_BYTES, NONCE_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES, shred_span

if TYPE_CHECKING:
    from pathlib import Path

_READ_BYTES = 1 << 20


def header_bytes(place: Path) -> int | None:
    """Return the length of the age header and nonce at the start of a file; None if they are not whole."""
    with place.open("rb") as file:
        start = file.read(MAX_HEADER_BYTES + NONCE_BYTES)
    try:
        length = shred_span(start) + NONCE_BYTES
    except IntegrityFault:
        return None
    return length if length <= len(start) else None


def whole_chunks(place: Path, size: int, header: int, promised: int) -> int:
    """Count the whole chunks in a file.

    Behind those that were promised, chunks whose tag is all zero are not counted: after a loss of power some
    file systems show zeros where data never arrived. A real tag is zero once in 2^128.
    """
    chunks = max(0, size - header) // SEALED_CHUNK_BYTES
    with place.open("rb") as file:
        while chunks > promised:
            file.seek(header + chunks * SEALED_CHUNK_BYTES - TAG_BYTES)
            if file.read(TAG_BYTES).strip(b"\0"):
                break
            chunks -= 1
    return chunks


def sha256(place: Path) -> str:
    """Hash a file, hexadecimal."""
    digest = hashlib.sha256()
    with place.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
