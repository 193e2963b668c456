"""Whatever bytes come, the reader accepts them or raises Mp4Error, in bounded time and memory."""

from __future__ import annotations

import random
import tracemalloc

from agent.mp4.boxes import DESCRIPTION_LIMIT, HEADER
from agent.mp4.errors import Mp4Error
from agent.mp4.fragment import Sample, fragment
from agent.mp4.init import init_segment
from agent.mp4.join import Joiner
from agent.mp4.progressive import Index
from agent.mp4.reader import Fragment, Init, Reader

CASES = 100_000
NAMES = [
    b"moov",
    b"trak",
    b"stsd",
    b"esds",
    b"avcC",
    b"moof",
    b"traf",
    b"tfhd",
    b"tfdt",
    b"trun",
    b"mdat",
    b"prft",
]
NUMBERS = [
    bytes(4),
    b"\xff" * 4,
    b"\x80\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\1",
    b"\0\0\0\x08",
    b"\0\0\0\x10",
]


def seeds() -> list[bytes]:
    """Two small files; between them they have every box and every variant of it."""
    rng = random.Random(1)
    files = []
    for codec, config, offset in (("h264", b"record", 0), ("mpeg4", b"headers", 3000)):
        parts = [init_segment(codec, 64, 48, 90_000, config, b"{}")]
        for number in range(2):
            samples = [Sample(rng.randbytes(6), 3000, i % 2 * offset, i == 0) for i in range(3)]
            parts.append(fragment(number, number * 9000, samples, 1_795_255_500_000 + 100 * number))
        files.append(b"".join(parts))
    return files


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Break a file in one to three ways."""
    broken = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        way, at = rng.randrange(8), rng.randrange(len(broken))
        if way == 0:
            broken[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            broken[at : at + 4] = rng.choice(NUMBERS)
        elif way == 2:
            del broken[at : at + rng.randint(1, 40)]
        elif way == 3:
            broken[at:at] = broken[at : at + rng.randint(1, 40)]
        elif way == 4:
            broken[at:at] = rng.randbytes(rng.randint(1, 12))
        elif way == 5:
            name = broken.find(rng.choice(NAMES))
            broken[max(name - 4, 0) : name] = HEADER.pack(rng.randrange(200), b"")[:4]
        elif way == 6:
            name = broken.find(rng.choice(NAMES))
            broken[max(name, 0) : name + 4] = rng.choice(NAMES)
        else:
            del broken[at:]
        broken = broken or bytearray(b"\0")
    return bytes(broken)


def read(reader: Reader, data: bytes, cut: int) -> list[Init | Fragment]:
    """Read in two pieces, going on after each error as the centre does; only Mp4Error may come."""
    found = []
    for piece in (data[:cut], data[cut:], b""):
        while True:
            try:
                found += reader.feed(piece)
                break
            except Mp4Error:
                reader.rest()
                reader.resync()
                piece = b""
    reader.rest()
    return found


def test_mutated_files_are_read_or_refused():
    rng = random.Random(20261121)
    files = seeds()
    accepted = refused = 0
    for case in range(CASES):
        data = mutate(rng, files[case & 1])
        reader = Reader()
        try:
            found = reader.feed(data)
            reader.feed(b"")
            accepted += 1
        except Mp4Error:
            refused += 1
            found = []
        samples = [sample for value in found if isinstance(value, Fragment) for sample in value.samples]
        # No count or size in the file makes more than the file holds.
        assert sum(len(sample.data) for sample in samples) <= len(data)
        assert len(samples) * 12 <= len(data)
        assert reader.pending_bytes <= len(data)
    assert accepted > CASES // 20
    assert refused > CASES // 4


def test_whatever_is_read_can_be_joined_and_indexed_or_is_refused():
    """As `pasu open` does it: resync after damage, join, index."""
    rng = random.Random(7)
    files = seeds()
    clips = 0
    for case in range(CASES):
        whole = files[case & 1]
        data = mutate(rng, whole) + whole
        init = None
        joiner, parts = None, []
        try:
            for value in read(Reader(), data, rng.randrange(len(data))):
                if isinstance(value, Init):
                    if init is None:
                        init, joiner = value, Joiner(value)
                    joiner.begin(value)
                elif joiner:
                    parts.append(joiner.add(value))
            if joiner is None:
                continue
            parts.append(joiner.finish())
            index = Index()
            for part in filter(None, parts):
                for sample in part.samples:
                    index.add(len(sample.data), sample.duration, sample.offset, sample.keyframe)
            header = index.header(init, 0)
            clips += 1
        except Mp4Error:
            continue
        assert len(header) < 2000
    assert clips > CASES // 4


def test_random_bytes_are_refused():
    rng = random.Random(3)
    for _ in range(CASES):
        data = rng.randbytes(rng.randint(8, 100))
        read(Reader(), data, rng.randrange(len(data)))


def test_promises_cost_nothing():
    """A box, a run of 2**32 samples or one sample of 4 GiB, promised, allocates nothing before its bytes come."""
    whole = seeds()[0]
    at = whole.index(b"trun") + 8
    tracemalloc.start()
    try:
        reader = Reader()
        reader.feed(whole + HEADER.pack(DESCRIPTION_LIMIT, b"free"))
        assert reader.pending_bytes == 8
        for count in (0xFFFF_FFFF, 0x5555_5556, 0x1000_0000):
            lie = whole[:at] + count.to_bytes(4, "big") + whole[at + 4 :]
            reader = Reader()
            reader.feed(lie)
            assert reader.pending_bytes
        reader = Reader()
        reader.feed(whole[: at + 12] + b"\xff" * 4 + whole[at + 16 :])
        assert reader.pending_bytes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
