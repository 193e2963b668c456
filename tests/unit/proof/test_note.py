"""Signed notes and checkpoints: the published examples, and what must be refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.storage.proof import note
from agent.storage.proof.merkle import EMPTY
from agent.storage.proof.note import Head, NoteError, Verifier

# The example of golang.org/x/mod/sumdb/note, which C2SP signed-note took its format from.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The example in the text of C2SP signed-note: its note text has an empty line of its own.
POEM = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""
# The example in the text of C2SP tlog-checkpoint.
HEAD = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"""


def test_the_published_note_verifies_and_signing_gives_the_same_bytes():
    verifier = Verifier.parse(VKEY)
    assert str(verifier) == VKEY
    parsed = note.parse_note(NOTE.encode())
    assert parsed.text == TEXT
    parsed.verify(verifier)
    assert note.sign(TEXT, "PeterNeumann", Ed25519PrivateKey.from_private_bytes(SEED)) == NOTE


def test_the_example_of_the_specification_is_taken_apart():
    parsed = note.parse_note(POEM.encode())
    assert parsed.text.endswith("raggio di sole:\n\ned è subito sera.\n")
    (only,) = parsed.signatures
    assert only.name == "quasimodo.example/salvatore"
    assert only.key_id.hex() == "367ba04b"
    assert len(only.signature) == 64


def test_the_example_checkpoint_is_read_and_written():
    head = note.parse_head(HEAD)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert note.write_head(head) == HEAD
    assert note.parse_head(HEAD + "an extension\n") == head


KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ME = Verifier("pasu/gn-0007", KEY.public_key().public_bytes_raw())
SIGNED = note.sign("hello\n", ME.name, KEY)


def test_signatures_of_others_are_passed_over_and_one_of_mine_must_be_right():
    parsed = note.parse_note((SIGNED + "— other/log " + base64.b64encode(bytes(68)).decode() + "\n").encode())
    parsed.verify(ME)
    with pytest.raises(NoteError, match="not signed by"):
        note.parse_note(SIGNED.encode()).verify(Verifier.parse(VKEY))
    wrong = base64.b64encode(ME.key_id + bytes(64)).decode()
    with pytest.raises(NoteError, match="wrong"):
        note.parse_note((SIGNED + f"— {ME.name} {wrong}\n").encode()).verify(ME)


@given(st.integers(0, len(SIGNED.encode()) - 1), st.integers(0, 7))
def test_no_changed_bit_passes(place, bit):
    """H6: a note is as it was signed, or is refused."""
    raw = bytearray(SIGNED.encode())
    raw[place] ^= 1 << bit
    with pytest.raises(NoteError):
        note.parse_note(bytes(raw)).verify(ME)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\n",
        b"hello\n\n",
        SIGNED.encode()[:-1],
        SIGNED.replace("— ", "- ").encode(),
        SIGNED.replace("hello", "hel\tlo").encode(),
        SIGNED.encode() + b"\xff\n",
        SIGNED.encode() + b"trailing\n",
        ("hello\n\n— a " + base64.b64encode(b"1234").decode() + "\n").encode(),
        ("hello\n\n— a AAAAAA\n").encode(),
        ("hello\n\n" + SIGNED.split("\n\n")[1] * (note.MOST_SIGNATURES + 1)).encode(),
        b"a" * (note.MOST_BYTES + 1),
    ],
)
def test_what_is_no_note_is_refused(data):
    with pytest.raises(NoteError):
        note.parse_note(data)


@pytest.mark.parametrize(
    ("text", "name"), [("no newline", "a"), ("a\tb\n", "a"), ("a\n", ""), ("a\n", "a b"), ("a\n", "a+b")]
)
def test_what_cannot_be_signed_is_refused(text, name):
    with pytest.raises(NoteError):
        note.sign(text, name, KEY)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "a+b",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("Peter", "Petra"),
        VKEY[:-4],
        VKEY.replace("+AR", "+BR"),
        VKEY.replace("PeterNeumann", "Peter Neumann"),
        "a+00000000+?",
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey):
    with pytest.raises(NoteError):
        Verifier.parse(vkey)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        HEAD.replace("20852163", "020852163"),
        HEAD.replace("20852163", "-1"),
        HEAD.replace("20852163", "９"),
        HEAD.replace("20852163", "9" * 20),
        HEAD.replace("CsUY", "Cs"),
        HEAD.replace("q2I=", "q2J="),  # base64 that decodes, but is not how it is written
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        HEAD + "\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteError):
        note.parse_head(text)


@pytest.mark.parametrize("origin", ["", "two\nlines"])
def test_an_origin_is_a_line(origin):
    with pytest.raises(NoteError):
        note.write_head(Head(origin, 0, EMPTY))
