"""Bech32, in which age writes its keys: a readable prefix, the data in 32 letters, and a checksum.

Source: BIP 173, without its length limit, as the age specification asks (age-encryption.org/v1, conventions).
"""

from __future__ import annotations

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {letter: value for value, letter in enumerate(_LETTERS)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)  # BIP 173, "Checksum"
_CHECKSUM_LETTERS = 6


def encode(prefix: str, data: bytes) -> str:
    """Write data as Bech32, all in lower case.

    prefix   human-readable part in lower case, such as "age"
    Returns  prefix, "1", the data, and six letters of checksum
    """
    values = _regroup(data, 8, 5, pad=True)
    return prefix + "1" + "".join(_LETTERS[value] for value in values + _checksum(prefix, values))


def decode(text: str) -> tuple[str, bytes]:
    """Read a Bech32 string of one case.

    Returns  the prefix in lower case, and the data
    Raises   ValueError, which never repeats the text: it may be a private key
    """
    if not text.isascii() or text not in (text.lower(), text.upper()):
        raise ValueError("letters of both cases, or foreign ones")
    lower = text.lower()
    prefix, separator, rest = lower.rpartition("1")
    if not separator or not prefix or not all(33 <= ord(letter) <= 126 for letter in prefix):
        raise ValueError("no readable prefix")
    if len(rest) < _CHECKSUM_LETTERS or any(letter not in _VALUES for letter in rest):
        raise ValueError("a letter that Bech32 does not use, or too few of them")
    values = [_VALUES[letter] for letter in rest]
    body = values[:-_CHECKSUM_LETTERS]
    if _checksum(prefix, body) != values[-_CHECKSUM_LETTERS:]:
        raise ValueError("the checksum does not agree: mistyped or cut off")
    return prefix, bytes(_regroup(body, 5, 8, pad=False))


def _checksum(prefix: str, values: list[int]) -> list[int]:
    """Compute the six values that make the polynomial over prefix and data come to 1."""
    expanded = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    state = 1
    for value in expanded + values + [0] * _CHECKSUM_LETTERS:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                state ^= generator
    state ^= 1
    return [state >> 5 * (_CHECKSUM_LETTERS - 1 - place) & 31 for place in range(_CHECKSUM_LETTERS)]


def _regroup(values: bytes | list[int], width: int, wanted: int, *, pad: bool) -> list[int]:
    """Cut a row of `width`-bit values into `wanted`-bit ones.

    Without padding, the bits that are left over must be fewer than one value, and zero.
    """
    held = bits = 0
    out = []
    for value in values:
        held = held << width | value
        bits += width
        while bits >= wanted:
            bits -= wanted
            out.append(held >> bits)
            held &= (1 << bits) - 1
    if pad:
        if bits:
            out.append(held << wanted - bits)
    elif bits >= width or held:
        raise ValueError("spare bits at the end")
    return out
