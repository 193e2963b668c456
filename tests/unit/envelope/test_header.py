from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import IntegrityFault
from agent.storage.envelope import MAX_HEADER_BYTES, Stanza, parse_header, shred_span
from agent.storage.envelope.header import check_mac, decode_base64, encode_base64, write_header
from tests.unit.envelope.keys import ALICE, BOB, EVE, Drops, opened, plaintext, sealed

KEY = bytes(range(16))
FILE = sealed(plaintext(100), ALICE, BOB)
SPAN = shred_span(FILE)
HEADER = FILE[:SPAN]
LINES = HEADER.split(b"\n")


def refused(data: bytes, code: str = "HEADER_DAMAGED") -> IntegrityFault:
    with pytest.raises(IntegrityFault) as caught:
        opened(data)
    assert caught.value.code == code
    return caught.value


def test_the_shape_of_a_header():
    assert re.fullmatch(
        rb"age-encryption\.org/v1\n(-> X25519 [A-Za-z0-9+/]{43}\n[A-Za-z0-9+/]{43}\n){2}--- [A-Za-z0-9+/]{43}\n",
        HEADER,
    )
    assert len(FILE) == SPAN + 16 + 100 + 16


def test_the_shred_span_is_known_from_the_start_of_the_file_alone():
    assert shred_span(HEADER) == shred_span(FILE + bytes(100_000)) == len(HEADER)
    with pytest.raises(IntegrityFault):
        shred_span(HEADER[:-1])
    with pytest.raises(IntegrityFault) as caught:
        shred_span(bytes(100))
    assert caught.value.code == "NOT_AGE_FILE"


def test_each_recipient_opens_it_and_others_do_not():
    assert (
        opened(FILE, ALICE).read()
        == opened(FILE, BOB).read()
        == opened(FILE, EVE, BOB).read()
        == plaintext(100)
    )
    with pytest.raises(IntegrityFault) as caught:
        opened(FILE, EVE)
    assert caught.value.code == "NO_MATCHING_IDENTITY"


def test_every_cut_within_the_header_is_found():
    for length in range(SPAN + 16):
        fault = refused(FILE[:length], "NOT_AGE_FILE" if length < 19 else "HEADER_DAMAGED")
        assert fault.hint


def changed(number: int, line: bytes) -> bytes:
    return b"\n".join([*LINES[:number], line, *LINES[number + 1 :]]) + FILE[SPAN:]


@pytest.mark.parametrize(
    ("data", "at"),
    [
        (changed(0, b"age-encryption.org/v2"), 0),
        (changed(0, b"age-encryption.org/v1\r"), 0),
        (changed(0, b"age-encryption.org/v1 "), 0),
        (changed(1, b"->" + LINES[1][3:]), 22),
        (changed(1, b"->  X25519 " + LINES[1][10:]), 22),
        (changed(1, LINES[1] + b" "), 22),
        (changed(1, LINES[1] + b"\r"), 22),
        (changed(1, b"-> "), 22),
        (changed(1, b"-> \xc3\xa9"), 22),
        (changed(1, b"-> a\tb"), 22),
        (changed(2, LINES[2] + b"="), 22 + len(LINES[1]) + 1),
        (changed(2, LINES[2] + b"\r"), 22 + len(LINES[1]) + 1),
        (changed(2, LINES[2] + b" "), 22 + len(LINES[1]) + 1),
        (changed(2, b"A" * 65), 22 + len(LINES[1]) + 1),
        (changed(2, b"A" * 68), 22 + len(LINES[1]) + 1),
        (changed(2, b"A" * 64), 22 + len(LINES[1]) + 1 + 65),
        (changed(2, b"AB"), 22 + len(LINES[1]) + 1),
        (changed(2, b"A"), 22 + len(LINES[1]) + 1),
        (changed(2, b"A-_A"), 22 + len(LINES[1]) + 1),
        (LINES[0] + b"\n" + LINES[5] + b"\n" + FILE[SPAN:], 22),
        (changed(5, b"---" + LINES[5][4:]), SPAN - 48),
        (changed(5, b"---  " + LINES[5][4:]), SPAN - 48),
        (changed(5, b"-- " + LINES[5][4:]), SPAN - 48),
        (changed(5, LINES[5] + b" "), SPAN - 48),
        (changed(5, LINES[5] + b"="), SPAN - 48),
        (changed(5, LINES[5][:-2]), SPAN - 48),
        (changed(5, b"--- " + encode_base64(bytes(32)).encode()), SPAN - 45),
    ],
)
def test_each_rule_of_the_grammar(data, at):
    assert refused(data).context["offset"] == at


def header_of(*stanzas: Stanza) -> bytes:
    return write_header(stanzas, KEY) + bytes(16)


def good() -> Stanza:
    return ALICE.recipient().wrap(KEY)


def test_foreign_stanzas_are_passed_over():
    foreign = [
        Stanza(("scripto", "!~", "-> "[:2]), plaintext(100)),
        Stanza(("x25519", encode_base64(bytes(32))), bytes(32)),
        Stanza(("empty",), b""),
        Stanza(("whole-line",), plaintext(48)),
        Stanza(("whole-lines",), plaintext(96)),
    ]
    header = parse_header(header_of(*foreign, good()))
    assert header.stanzas[:-1] == tuple(foreign)
    assert ALICE.unwrap(header.stanzas) == KEY
    check_mac(header, KEY)


@pytest.mark.parametrize(
    "stanza",
    [
        Stanza(("X25519",), bytes(32)),
        Stanza((*good().arguments, "x"), good().body),
        Stanza(("X25519", encode_base64(bytes(range(31)))), bytes(32)),
        Stanza(("X25519", encode_base64(bytes(range(33)))), bytes(32)),
        Stanza(("X25519", encode_base64(bytes(range(32))) + "="), bytes(32)),
        Stanza(("X25519", encode_base64(bytes(range(32)))[:-1] + "9"), bytes(32)),
        Stanza(("X25519", encode_base64(bytes(32))), bytes(32)),
        Stanza(("X25519", encode_base64((1).to_bytes(32, "little"))), bytes(32)),
        Stanza(good().arguments, bytes(31)),
        Stanza(good().arguments, bytes(33)),
        Stanza(good().arguments, b""),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_a_broken_x25519_stanza_spoils_the_header(stanza, before):
    other = Stanza(("other",), b"")
    refused(header_of(stanza, good()) if before else header_of(other, stanza))


def test_a_passphrase_stands_alone():
    scrypt = Stanza(("scrypt", "c2FsdHNhbHRzYWx0c2FsdA", "10"), bytes(32))
    refused(header_of(scrypt), "NO_MATCHING_IDENTITY")
    refused(header_of(scrypt, good()))
    refused(header_of(good(), scrypt))


def test_a_header_without_end_is_refused_in_bounded_time():
    start = LINES[0] + b"\n-> x\n"
    assert refused(start + (b"A" * 64 + b"\n") * 10_000).context["offset"] > MAX_HEADER_BYTES - 100
    refused(LINES[0] + b"\n-> " + b"x" * 200_000)
    refused(LINES[0] + b"\n" + b"-> x\n\n" * 20_000)


def test_as_many_recipients_as_there_is_room_for():
    many = [ALICE.recipient()] * 600
    from agent.storage.envelope import seal_bytes

    assert opened(seal_bytes(many, b"x", entropy=Drops("many"))).read() == b"x"


@pytest.mark.parametrize(
    "text", [b"A", b"AB", b"ABC=", b"AA==", b"AB==", b"A A", b"AA\n", b"\nAA", b"A\xc3", b"AAA-"]
)
def test_base64_that_is_not_canonical(text):
    assert decode_base64(text) is None


@given(st.binary(max_size=200))
def test_base64_round_trip(data):
    text = encode_base64(data).encode()
    assert b"=" not in text
    assert decode_base64(text) == data


WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
STANZAS = st.builds(
    Stanza,
    st.lists(WORDS, min_size=1, max_size=4).map(tuple).filter(lambda arguments: arguments[0] != "scrypt"),
    st.binary(max_size=200),
)


@given(st.lists(STANZAS, min_size=1, max_size=5), st.binary(max_size=50))
def test_headers_round_trip(stanzas, after):
    written = write_header(stanzas, KEY)
    header = parse_header(written + after)
    assert header.stanzas == tuple(stanzas)
    assert header.length == len(written)
    check_mac(header, KEY)
    with pytest.raises(IntegrityFault):
        check_mac(header, bytes(16))
