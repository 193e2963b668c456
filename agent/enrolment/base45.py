"""Base45 (RFC 9285): bytes in the 45 characters that a QR code packs tightest. Pure."""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES = {letter: value for value, letter in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """Write two bytes as three characters, a single last one as two."""
    text = []
    for place in range(0, len(data) - 1, 2):
        high, low = divmod(data[place] << 8 | data[place + 1], 45)
        text += [ALPHABET[low], ALPHABET[high % 45], ALPHABET[high // 45]]
    if len(data) % 2:
        high, low = divmod(data[-1], 45)
        text += [ALPHABET[low], ALPHABET[high]]
    return "".join(text)


def decode(text: str) -> bytes:
    """Read it back. Raises ValueError for what `encode` would not have written."""
    data = bytearray()
    for place in range(0, len(text), 3):
        group = text[place : place + 3]
        try:
            value = sum(_VALUES[letter] * 45**power for power, letter in enumerate(group))
        except KeyError:
            raise ValueError("not base45: a character that is none of the 45") from None
        size = len(group) - 1
        if size == 0 or value >= 1 << 8 * size:
            raise ValueError("not base45: a group that stands for no bytes")
        data += value.to_bytes(size, "big")
    return bytes(data)
