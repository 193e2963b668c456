"""Whatever happens to a sealed file, it is noticed, and the place is named right."""

from __future__ import annotations

import io
import random
from collections import Counter

import pytest

from agent.errors import IntegrityFault
from agent.storage.envelope import (
    CHUNK_BYTES,
    NONCE_BYTES,
    SEALED_CHUNK_BYTES,
    Damage,
    Opened,
    parse_header,
    shred_span,
)
from tests.unit.envelope.keys import ALICE, BOB, plaintext, sealed

HEADER_CODES = {"NOT_AGE_FILE", "HEADER_DAMAGED", "NO_MATCHING_IDENTITY"}
PAYLOAD_CODES = {"CHUNK_DAMAGED", "CHUNK_AFTER_END", "TRUNCATED"}


def outcome(file: bytes, identity=ALICE) -> tuple[bytes, IntegrityFault | None]:
    """Read a file to its end; what was handed out, and the error if there was one."""
    got = b""
    try:
        reader = Opened(io.BytesIO(file), [identity])
        while piece := reader.read(100_000):
            got += piece
    except IntegrityFault as fault:
        return got, fault
    return got, None


def bent(data: bytes, chance: random.Random) -> bytes:
    """Change bytes for other bytes, put some in, or take some out; the result is never what it was."""
    while True:
        at = chance.randrange(len(data))
        what = chance.randrange(6)
        length = min(chance.choice((1, 1, 2, 5, 40)), len(data) - at)
        if what == 0:
            new = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        elif what == 1:
            new = data[:at] + chance.randbytes(length) + data[at + length :]
        elif what == 2:
            new = data[:at] + chance.randbytes(length) + data[at:]
        elif what == 3:
            new = data[:at] + data[at + length :]
        elif what == 4:
            new = data[: at + length] + data[at:]
        else:
            letter = chance.choice(b"\n\r =-> A/+19\x00\xff")
            new = data[:at] + bytes([letter]) + data[at + 1 :]
        if new != data:
            return new


def test_one_hundred_thousand_changed_headers():
    chance = random.Random(1)
    data = plaintext(50)
    file = sealed(data, BOB)
    span = shred_span(file)
    codes = Counter()
    for _ in range(103_000):
        header = bent(file[:span], chance)
        if header.startswith(file[:span]):
            continue  # added after the header: that is the payload's affair
        got, fault = outcome(header + file[span:], BOB)
        assert fault is not None
        assert got == b""
        assert fault.code in HEADER_CODES
        codes[fault.code] += 1
    assert sum(codes.values()) >= 100_000
    assert min(codes[code] for code in HEADER_CODES) > 100


def test_one_hundred_thousand_changed_payloads():
    chance = random.Random(2)
    data = plaintext(300)
    file = sealed(data)
    span = shred_span(file)
    codes = Counter()
    for _ in range(103_000):
        payload = bent(file[span:], chance)[: chance.choice((None, None, None, chance.randrange(400)))]
        if payload == file[span:]:
            continue
        got, fault = outcome(file[:span] + payload)
        assert fault is not None
        assert got == b""
        if len(payload) < NONCE_BYTES:
            assert (fault.code, fault.context["offset"]) == ("HEADER_DAMAGED", span)
        else:
            assert fault.code in PAYLOAD_CODES
            assert fault.context == {"chunk": 0, "offset": span + NONCE_BYTES, "plain_offset": 0}
        codes[fault.code] += 1
    assert sum(codes.values()) >= 100_000
    assert set(codes) == {"CHUNK_DAMAGED", "TRUNCATED", "HEADER_DAMAGED"}


def test_places_are_named_right_among_many_chunks():
    """Each round changes some chunks of a file: exactly these are named, and all others are handed out."""
    chance = random.Random(3)
    data = plaintext(5 * CHUNK_BYTES + 500)
    file = sealed(data)
    start = shred_span(file) + NONCE_BYTES
    for _ in range(3_000):
        changed = bytearray(file)
        hurt = set()
        for _ in range(chance.randint(1, 3)):
            number = chance.randrange(6)
            size = SEALED_CHUNK_BYTES if number < 5 else 516
            at = chance.choice((0, size - 1, chance.randrange(size)))
            if number not in hurt:
                changed[start + number * SEALED_CHUNK_BYTES + at] ^= 1 << chance.randrange(8)
                hurt.add(number)
        items = list(Opened(io.BytesIO(bytes(changed)), [ALICE]).chunks())
        assert {item.chunk for item in items if isinstance(item, Damage)} == hurt
        for number, item in enumerate(items):
            assert (item.chunk, item.offset) == (number, start + number * SEALED_CHUNK_BYTES)
            if number not in hurt:
                assert item.data == data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]


def test_every_cut_is_found():
    data = plaintext(2 * CHUNK_BYTES + 10)
    file = sealed(data)
    start = shred_span(file) + NONCE_BYTES
    chance = random.Random(4)
    edges = {start + n * SEALED_CHUNK_BYTES + d for n in range(3) for d in range(-20, 21)}
    cuts = {cut for cut in edges if start <= cut < len(file)} | {
        chance.randrange(start, len(file)) for _ in range(300)
    }
    for cut in sorted(cuts):
        got, fault = outcome(file[:cut])
        number, inside = divmod(cut - start, SEALED_CHUNK_BYTES)
        assert fault is not None
        assert got == data[: number * CHUNK_BYTES]
        assert fault.code == ("TRUNCATED" if inside < 16 else "CHUNK_DAMAGED")
        assert fault.context["chunk"] == number
        assert fault.context["offset"] == start + number * SEALED_CHUNK_BYTES


@pytest.mark.parametrize("seed", [5, 6])
def test_bytes_that_were_never_sealed(seed):
    """Fifty thousand texts made of the format's own parts, so that many reach deep into the parser."""
    chance = random.Random(seed)
    parts = [
        b"age-encryption.org/v1\n",
        b"-> X25519 ",
        b"-> x\n",
        b"AAAA\n",
        b"--- TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n",
        b"-> ",
        b"->",
        b"--- ",
        b"---",
        b"\n",
        b" ",
        b"x",
        b"A" * 43,
        b"A" * 64,
        b"TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc",
        b"=",
        b"\xff",
        b"scrypt",
    ]
    accepted = 0
    for _ in range(50_000):
        text = b"age-encryption.org/v1\n" + b"".join(chance.choices(parts, k=chance.randrange(14)))
        fault = header = None
        try:
            header = parse_header(text)
        except IntegrityFault as caught:
            fault = caught
        if fault:
            assert fault.code == "HEADER_DAMAGED"
            assert 0 <= fault.context["offset"] <= len(text)
        else:
            accepted += 1
            assert text[: header.length].startswith(header.covered + b" ")
    assert accepted > 5
