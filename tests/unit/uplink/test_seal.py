"""What a box signs, and what does not pass for it (E7)."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from agent.uplink.seal import SIGNATURE_BYTES, Seal, is_signed, public_key
from tests.unit.uplink.samples import KEY, SEAL

TOPIC = "pasu/v1/gn-0007/health"
PLAIN = '{"v":1,"box":"gn-0007","name":"강릉"}'.encode()
OWN = [KEY.public_key()]


def pem(key, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def spki(key) -> str:
    import base64

    return base64.b64encode(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()


@pytest.mark.parametrize("number", range(64))  # the numbers of a signature are shorter now and then
def test_what_is_signed_is_json_and_is_verified(number):
    plain = PLAIN[:-1] + b',"n":%d}' % number
    signed = SEAL.put(TOPIC, plain + b"\n")
    assert len(signed) == len(plain) + SIGNATURE_BYTES
    said = json.loads(signed)
    assert {key: value for key, value in said.items() if key != "sig"} == json.loads(plain)
    assert is_signed(TOPIC, signed, OWN)


def test_e7_nothing_else_is_verified():
    """E7: another box, another kind, another word, another key, no signature, or more behind it."""
    signed = SEAL.put(TOPIC, PLAIN)
    other = ec.generate_private_key(ec.SECP256R1())
    assert is_signed(TOPIC, signed, [other.public_key(), *OWN])
    assert not is_signed(TOPIC, signed, [other.public_key()])
    assert not is_signed(TOPIC, signed, [])
    for topic in ("pasu/v1/gn-0008/health", "pasu/v1/gn-0007/birth", ""):
        assert not is_signed(topic, signed, OWN)
    for made in (
        PLAIN,
        b"",
        signed + b"\n",
        signed + b"}",
        signed[1:],
        signed.replace(b"gn-0007", b"gn-0008"),
        signed[:-88] + b"A" * 86 + b'"}',
        signed[:-1] + b',"sig":"' + b"A" * 86 + b'"}',
        signed[:-1] + b',"n":1}',
    ):
        assert not is_signed(TOPIC, made, OWN)
    for place in range(len(signed)):
        if place != len(signed) - 3:  # of its last letter two bits are of no meaning
            changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
            assert not is_signed(TOPIC, changed, OWN), place


def test_only_a_p256_key_signs():
    for wrong in (
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(KEY, BestAvailableEncryption(b"secret")),
        b"",
    ):
        with pytest.raises(ValueError):
            Seal(wrong)


def test_only_a_p256_key_verifies():
    assert public_key(spki(KEY)) == KEY.public_key()
    for wrong in (
        "",
        "x",
        "AAAA",
        spki(ec.generate_private_key(ec.SECP384R1())),
        spki(ed25519.Ed25519PrivateKey.generate()),
    ):
        with pytest.raises(ValueError):
            public_key(wrong)
