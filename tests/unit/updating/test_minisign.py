"""Keys and signatures in minisign's form. What minisign itself signs is tried in tests/peers/test_minisign.py."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.field.updating import minisign
from agent.field.updating.minisign import Key, Unsigned, parse_key, parse_signature, verify
from tests.releases import Release

FILE = b"a package"
DIGEST = hashlib.blake2b(FILE).digest()


@pytest.fixture
def release():
    return Release()


def refused(call, *arguments):
    with pytest.raises(Unsigned) as caught:
        call(*arguments)
    return caught.value.code


def test_what_was_signed_is_taken_and_the_key_is_named(release):
    key, signature = parse_key(release.public), parse_signature(release.sign(FILE, "pasu-agent 1 amd64"))
    assert verify(signature, [key], DIGEST) == key
    assert signature.comment == "pasu-agent 1 amd64"
    assert key.kid == release.kid == signature.kid


def test_the_key_may_be_any_of_those_that_count_also_of_two_with_one_id(release):
    key = parse_key(release.public)
    signature = parse_signature(release.sign(FILE, "x"))
    double = Key(key.kid, parse_key(Release().public).public)
    assert verify(signature, [parse_key(Release().public), double, key], DIGEST) == key
    assert refused(verify, signature, [double], DIGEST) == "UPDATE_FORGED"


def test_j2_another_key_other_bytes_and_another_comment_are_refused(release):
    """J2."""
    key = parse_key(release.public)
    text = release.sign(FILE, "pasu-agent 1 amd64")
    assert refused(verify, parse_signature(text), [], DIGEST) == "UPDATE_KEY"
    assert refused(verify, parse_signature(text), [parse_key(Release().public)], DIGEST) == "UPDATE_KEY"
    assert (
        refused(verify, parse_signature(text), [key], hashlib.blake2b(b"another").digest()) == "UPDATE_FORGED"
    )
    renamed = parse_signature(text.replace(b"agent 1", b"agent 2"))
    assert refused(verify, renamed, [key], DIGEST) == "UPDATE_FORGED"


def test_j2_every_flipped_bit_of_what_counts_is_refused(release):
    """J2: all but the untrusted comment, which is nobody's word."""
    key, text = parse_key(release.public), release.sign(FILE, "pasu-agent 1 amd64")
    begin = len("untrusted comment: ")
    free = range(begin, text.index(b"\n"))
    for at in range(len(text) * 8):
        if at // 8 in free:
            continue
        turned = bytearray(text)
        turned[at // 8] ^= 1 << at % 8
        with pytest.raises(Unsigned):
            verify(parse_signature(bytes(turned)), [key], DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\xff", b"untrusted comment: x\n", b"one\ntwo\nthree\nfour\n",
        b"untrusted comment: x\n%%\ntrusted comment: y\nAAAA\n",
        b"untrusted comment: x\nAAAA\ntrusted comment: y\nAAAA\n",
    ],
)  # fmt: skip
def test_what_is_no_signature(text):
    assert refused(parse_signature, text) == "UPDATE_SIGNATURE"


def test_the_older_form_is_not_taken(release):
    text = release.sign(FILE, "x", algorithm=b"Ed")
    assert refused(parse_signature, text) == "UPDATE_SIGNATURE"


@pytest.mark.parametrize(
    "text",
    ["", "untrusted comment: x\n", "x\nAAAA\n", "untrusted comment: x\n%%\n", "untrusted comment: x\nAAAA\n"],
)
def test_what_is_no_key(text):
    assert refused(parse_key, text) == "UPDATE_KEYS"


def test_a_key_of_another_algorithm_is_none():
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    text = f"untrusted comment: x\n{base64.b64encode(b'XX' + bytes(8) + public).decode()}\n"
    assert refused(parse_key, text) == "UPDATE_KEYS"


def test_base64_is_written_in_one_way_only(release):
    """Else a letter of the signature could be another."""
    head, body, *rest = release.sign(FILE, "x").split(b"\n")
    assert body.endswith(b"=")
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = body[:-2] + letters[letters.index(body[-2]) ^ 1 :][:1] + b"="
    assert base64.b64decode(other) == base64.b64decode(body)
    assert refused(parse_signature, b"\n".join([head, other, *rest])) == "UPDATE_SIGNATURE"
    assert minisign.LIMIT_BYTES == 4096
