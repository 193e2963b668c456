"""The checksum of age public keys, against keys that another implementation made."""

from __future__ import annotations

import pytest

from agent.config.bech32 import ALPHABET, flaw
from tests.unit.config.samples import KEYS


def test_keys_of_another_implementation_have_no_flaw():
    pyrage = pytest.importorskip("pyrage")
    for _ in range(20):
        assert flaw(str(pyrage.x25519.Identity.generate().to_public())) == ""


def test_every_single_slip_is_found():
    key = KEYS[0]
    for place in range(4, len(key)):
        for letter in ALPHABET:
            if letter != key[place]:
                assert flaw(key[:place] + letter + key[place + 1 :]) == "checksum"


def test_every_swap_of_neighbours_is_found():
    for key in KEYS:
        for place in range(4, len(key) - 1):
            swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
            assert (flaw(swapped) == "") == (swapped == key)


def test_the_other_flaws():
    assert flaw("") == "prefix"
    assert flaw(KEYS[0][:-1]) == "length"
    assert flaw(KEYS[0] + "q") == "length"
    assert flaw("age1" + KEYS[0][4:].upper()) == "symbol"


def test_padding_that_is_not_zero():
    from agent.config.bech32 import _expand, _polymod

    symbols = [1] * 52
    checksum = _polymod([*_expand("age"), *symbols, *[0] * 6]) ^ 1
    symbols += [checksum >> 5 * (5 - place) & 31 for place in range(6)]
    assert flaw("age1" + "".join(ALPHABET[symbol] for symbol in symbols)) == "padding"
