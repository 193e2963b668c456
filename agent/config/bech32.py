"""Check an age public key by its checksum, so that a slip of the keyboard is found before anything is sealed.

Only the check is here, and not the key: sealing has its own reader (`agent.storage.envelope`), which
configuration may not import.
Source: BIP 173 (bech32, constant 1); age-encryption.org/v1, "The X25519 recipient type".
"""

from __future__ import annotations

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
KEY_BITS = 256
CHECKSUM_SYMBOLS = 6
KEY_SYMBOLS = -(-KEY_BITS // 5)  # 52 symbols of five bits, of which the last four bits are padding
PADDING = KEY_SYMBOLS * 5 - KEY_BITS


def flaw(key: str) -> str:
    """Name what is wrong with an X25519 age recipient; an empty text when nothing is.

    key      as written, expected "age1" and 58 symbols, all in lower case
    Returns  "", "prefix", "length", "symbol", "padding" or "checksum"
    """
    prefix = "age1"
    if not key.startswith(prefix):
        return "prefix"
    symbols = [ALPHABET.find(letter) for letter in key[len(prefix) :]]
    if -1 in symbols:
        return "symbol"
    if len(symbols) != KEY_SYMBOLS + CHECKSUM_SYMBOLS:
        return "length"
    if _polymod([*_expand("age"), *symbols]) != 1:
        return "checksum"
    if symbols[KEY_SYMBOLS - 1] & ((1 << PADDING) - 1):
        return "padding"
    return ""


def _expand(human: str) -> list[int]:
    """Spread the human-readable part as BIP 173 has it enter the checksum."""
    return [ord(letter) >> 5 for letter in human] + [0] + [ord(letter) & 31 for letter in human]


def _polymod(values: list[int]) -> int:
    """Compute the BCH remainder of BIP 173."""
    remainder = 1
    for value in values:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(GENERATORS):
            if top >> bit & 1:
                remainder ^= generator
    return remainder
