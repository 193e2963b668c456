from __future__ import annotations

import collections
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import IntegrityFault
from agent.storage.envelope import (
    CHUNK_BYTES,
    SEALED_CHUNK_BYTES,
    Chunk,
    Damage,
    Opened,
    Sealer,
    seal_bytes,
    shred_span,
)
from tests.unit.envelope.keys import ALICE, BOB, Drops, opened, plaintext, sealed

SIZES = [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 200_000]
PLAIN = plaintext(4 * CHUNK_BYTES - 1000)  # three whole chunks and a shorter one
FILE = sealed(PLAIN)
PAYLOAD = shred_span(FILE) + 16


def place(number: int) -> int:
    return PAYLOAD + number * SEALED_CHUNK_BYTES


def first_fault(file: bytes) -> IntegrityFault:
    """Read in small steps until it fails; what came before must be right."""
    reader = opened(file)
    got = bytearray()
    with pytest.raises(IntegrityFault) as caught:
        collections.deque(map(got.extend, iter(lambda: reader.read(40_000), b"")), maxlen=0)
    fault = caught.value
    assert bytes(got) == PLAIN[: len(got)]
    assert len(got) == fault.context["plain_offset"]
    assert fault.context["offset"] == place(fault.context["chunk"])
    assert fault.context["plain_offset"] == fault.context["chunk"] * CHUNK_BYTES
    with pytest.raises(IntegrityFault) as whole:
        opened(file).read()
    assert (whole.value.code, whole.value.context) == (fault.code, fault.context)
    return fault


@pytest.mark.parametrize("size", SIZES)
def test_round_trip_at_the_edges(size):
    data = plaintext(size)
    file = sealed(data, ALICE, BOB)
    for identity in (ALICE, BOB):
        reader = opened(file, identity)
        assert reader.read() == data
        assert reader.read() == reader.read(5) == b""
        assert reader.tell() == reader.size == size
    chunks = max(1, -(-size // CHUNK_BYTES))
    assert len(file) == shred_span(file) + 16 + size + 16 * chunks
    items = list(opened(file).chunks())
    assert [item.chunk for item in items] == list(range(chunks))
    assert b"".join(item.data for item in items) == data
    assert [item.last for item in items] == [False] * (chunks - 1) + [True]


def test_a_whole_chunk_is_held_back_until_more_follows():
    sealer = Sealer([ALICE.recipient()], entropy=Drops("held"))
    assert sealer.rest == b""
    assert sealer.seal() == b""
    assert sealer.seal(PLAIN[:1000], PLAIN[1000:CHUNK_BYTES]) == b""
    assert (sealer.chunks, sealer.plain_bytes, sealer.rest) == (0, CHUNK_BYTES, PLAIN[:CHUNK_BYTES])
    first = sealer.seal(PLAIN[CHUNK_BYTES : CHUNK_BYTES + 1])
    assert len(first) == SEALED_CHUNK_BYTES
    assert (sealer.chunks, sealer.plain_bytes) == (1, CHUNK_BYTES + 1)
    assert sealer.rest == PLAIN[CHUNK_BYTES : CHUNK_BYTES + 1]
    more = sealer.seal(PLAIN[CHUNK_BYTES + 1 :])
    assert len(more) == 2 * SEALED_CHUNK_BYTES
    assert sealer.chunks == 3
    last = sealer.finish()
    assert sealer.chunks == 4
    assert sealer.rest == b""
    assert opened(sealer.header + first + more + last).read() == PLAIN
    with pytest.raises(AssertionError):
        sealer.finish()
    with pytest.raises(AssertionError):
        sealer.seal(b"x")


def test_sealed_to_nobody_is_refused():
    with pytest.raises(ValueError, match="nobody"):
        Sealer([])


def test_the_same_plaintext_is_never_sealed_alike():
    assert seal_bytes([ALICE.recipient()], b"x") != seal_bytes([ALICE.recipient()], b"x")


PIECES = st.lists(st.integers(0, 70_000), max_size=12)


@given(PIECES, st.data())
def test_round_trip_in_random_pieces_with_random_seeks(sizes, choose):
    data = plaintext(sum(sizes))
    sealer = Sealer([ALICE.recipient()], entropy=Drops("pieces"))
    out = [sealer.header]
    at = 0
    while sizes:
        count = choose.draw(st.integers(1, len(sizes)), label="pieces at once")
        pieces = []
        for size in sizes[:count]:
            pieces.append(data[at : at + size])
            at += size
        sizes = sizes[count:]
        out.append(sealer.seal(*pieces))
        assert sealer.rest == data[sealer.chunks * CHUNK_BYTES : at]
        assert len(sealer.rest) <= CHUNK_BYTES
        assert sum(map(len, out[1:])) == sealer.chunks * SEALED_CHUNK_BYTES
    out.append(sealer.finish())
    file = b"".join(out)

    reader = opened(file)
    plain = io.BytesIO(data)
    for _ in range(choose.draw(st.integers(0, 8))):
        whence = choose.draw(st.sampled_from([0, 1, 2]))
        limit = len(data) + 70_000
        offset = choose.draw(st.integers(0 if whence == 0 else -limit, limit))
        base = (0, plain.tell(), len(data))[whence]
        if base + offset < 0:
            before = reader.tell()
            with pytest.raises(ValueError):
                reader.seek(offset, whence)
            assert reader.tell() == before
            continue
        assert reader.seek(offset, whence) == plain.seek(base + offset)
        size = choose.draw(st.integers(-1, 150_000))
        assert reader.read(size) == plain.read(size)
        assert reader.tell() == plain.tell()
    assert reader.size == len(data)


def test_an_unknown_whence_is_refused():
    with pytest.raises(ValueError, match="whence"):
        opened(FILE).seek(0, 3)


def test_a_file_cut_at_a_chunk_edge_ends_without_its_last_chunk():
    for number in range(1, 4):
        fault = first_fault(FILE[: place(number)])
        assert (fault.code, fault.context["chunk"]) == ("TRUNCATED", number)
        items = list(opened(FILE[: place(number)]).chunks())
        assert items[-1] == Damage("unfinished", number, place(number), number * CHUNK_BYTES, 0, True)
        assert b"".join(item.data for item in items[:-1]) == PLAIN[: number * CHUNK_BYTES]


def test_a_file_cut_right_after_its_nonce_holds_nothing():
    assert first_fault(FILE[:PAYLOAD]).code == "TRUNCATED"
    assert list(opened(FILE[:PAYLOAD]).chunks()) == [Damage("unfinished", 0, PAYLOAD, 0, 0, True)]


def test_a_file_cut_within_a_chunk():
    for number in range(4):
        for inside in (1, 15, 16, 17, 1000, 60_000):
            fault = first_fault(FILE[: place(number) + inside])
            assert fault.context["chunk"] == number
            assert fault.code == ("TRUNCATED" if inside < 16 else "CHUNK_DAMAGED")
            assert inside < 16 or "cut off" in fault.message
            items = list(opened(FILE[: place(number) + inside]).chunks())
            assert [type(item) for item in items] == [Chunk] * number + [Damage]
            assert (items[-1].chunk, items[-1].length, items[-1].at_end) == (number, inside, True)


def test_the_end_is_not_known_without_its_chunk():
    for damaged in (FILE[: place(3)], FILE[:-1], FILE[:-1] + bytes([FILE[-1] ^ 1])):
        reader = opened(damaged)
        assert reader.size is None
        with pytest.raises(IntegrityFault) as caught:
            reader.seek(0, io.SEEK_END)
        assert caught.value.context["chunk"] == 3
        assert reader.seek(10) == 10
        assert reader.read(10) == PLAIN[10:20]
        reader.seek(10_000_000)
        with pytest.raises(IntegrityFault):
            reader.read(1)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("at", [0, 1000, -1])
def test_a_flipped_bit_costs_its_chunk_and_no_other(number, at):
    end = min(place(number + 1), len(FILE))
    changed = bytearray(FILE)
    changed[place(number) + at if at >= 0 else end - 1] ^= 0x10
    fault = first_fault(bytes(changed))
    assert (fault.code, fault.context["chunk"]) == ("CHUNK_DAMAGED", number)
    assert ("cut off" in fault.message) == (number == 3)
    items = list(opened(bytes(changed)).chunks())
    assert [item.chunk for item in items] == [0, 1, 2, 3]
    for item in items:
        if item.chunk == number:
            assert isinstance(item, Damage)
            assert (item.kind, item.code, item.offset) == ("damaged", "CHUNK_DAMAGED", place(number))
            assert item.length == end - place(number)
        else:
            assert item.data == PLAIN[item.plain_offset : item.plain_offset + CHUNK_BYTES]


def test_a_chunk_beyond_a_damage_can_be_sought():
    changed = bytearray(FILE)
    changed[place(1)] ^= 1
    reader = opened(bytes(changed))
    reader.seek(2 * CHUNK_BYTES)
    assert reader.read() == PLAIN[2 * CHUNK_BYTES :]
    reader.seek(CHUNK_BYTES - 5)
    assert reader.read(50) == PLAIN[CHUNK_BYTES - 5 : CHUNK_BYTES]
    with pytest.raises(IntegrityFault):
        reader.read(50)
    assert reader.tell() == CHUNK_BYTES


def pieces(file: bytes = FILE) -> list[bytes]:
    return [file[at : at + SEALED_CHUNK_BYTES] for at in range(PAYLOAD, len(file), SEALED_CHUNK_BYTES)]


def joined(*chunks: bytes) -> bytes:
    return FILE[:PAYLOAD] + b"".join(chunks)


def test_chunks_swapped_missing_doubled_or_spliced():
    a, b, c, d = pieces()
    other = pieces(sealed(PLAIN, seed="other"))
    cases = [
        (joined(b, a, c, d), 0, [0, 1]),
        (joined(a, c, b, d), 1, [1, 2]),
        (joined(b, c, d), 0, [0, 1, 2]),
        (joined(a, c, d), 1, [1, 2]),
        (joined(a, b, d), 2, [2]),
        (joined(a, a, b, c, d), 1, [1, 2, 3, 4]),
        (joined(a, b, c, c, d), 3, [3, 4]),
        (joined(a, b, c, d, d), 3, [3, 4]),
        (joined(a, other[1], c, d), 1, [1]),
        (joined(a, b, *other[2:]), 2, [2, 3]),
        (joined(*other), 0, [0, 1, 2, 3]),
    ]
    for file, first, damaged in cases:
        assert first_fault(file).context["chunk"] == first
        items = list(opened(file).chunks())
        assert [item.chunk for item in items if isinstance(item, Damage)] == damaged


def test_bytes_after_a_whole_last_chunk():
    data = PLAIN[: 2 * CHUNK_BYTES]
    file = sealed(data)
    for more in (1, 16, 100, SEALED_CHUNK_BYTES, 3 * SEALED_CHUNK_BYTES + 7):
        reader = opened(file + bytes(more))
        assert reader.read(len(data)) == data
        with pytest.raises(IntegrityFault) as caught:
            reader.read(1)
        assert caught.value.code == "CHUNK_AFTER_END"
        assert caught.value.context == {"chunk": 2, "offset": len(file), "plain_offset": len(data)}
        assert reader.size is None
        *whole, last = opened(file + bytes(more)).chunks()
        assert b"".join(item.data for item in whole) == data
        assert last == Damage("after_end", 2, len(file), len(data), more, True)


def test_bytes_after_a_short_last_chunk_spoil_it():
    fault = first_fault(FILE + b"x")
    assert (fault.code, fault.context["chunk"]) == ("CHUNK_DAMAGED", 3)


def test_a_file_that_shrinks_while_it_is_read():
    file = io.BytesIO(FILE)
    reader = Opened(file, [ALICE])
    assert reader.read(10) == PLAIN[:10]
    file.truncate(place(1) + 10)
    reader.seek(CHUNK_BYTES)
    with pytest.raises(IntegrityFault) as caught:
        reader.read(1)
    assert caught.value.context["chunk"] == 1
