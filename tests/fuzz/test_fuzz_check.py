"""B10: bits that turn on the disk. The check names the segment, opening names the chunk, and all else is fine."""

from __future__ import annotations

import hashlib
import io
import random

import pytest

from agent.errors import IntegrityFault
from agent.storage.envelope import (
    CHUNK_BYTES,
    SEALED_CHUNK_BYTES,
    Damage,
    Opened,
    X25519Identity,
    seal_bytes,
    shred_span,
)
from agent.storage.keep import check_file
from agent.storage.keep.check_findings import Level, Row, What
from agent.storage.vault import Vault
from tests.unit.storage.box import pattern

PATH = "segments/cam1/2027-01-15/20270115T080000.000Z.mp4.age"
PLAIN_BYTES = CHUNK_BYTES + 5000
SAMPLE, CAMPAIGN = 2000, 100_000


def flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def each_bit(vault: Vault, count: int, seed: int) -> None:
    chance = random.Random(seed)
    identity = X25519Identity.generate()
    plain = pattern(PLAIN_BYTES, 1)
    content = seal_bytes([identity.recipient()], plain)
    header = shred_span(content)
    place = vault.at(PATH)
    place.parent.mkdir(parents=True)
    row = Row(
        1, "cam1", PATH, 0, 60_000, len(content), hashlib.sha256(content).hexdigest(), "COMMITTED", False
    )
    place.write_bytes(content)
    assert check_file.judge(vault, row, Level.DIGESTS) == ([], len(content))
    neighbour = vault.at(PATH.replace("0800", "0801"))
    neighbour.write_bytes(content)
    for turn in range(count):
        # Every second one in the header, which is small, and where all depends on each bit.
        bit = chance.randrange(8 * (header + 16 if turn % 2 else len(content)))
        changed = flip(content, bit)
        with place.open("r+b") as file:
            file.seek(bit // 8)
            file.write(changed[bit // 8 : bit // 8 + 1])
        found, _ = check_file.judge(vault, row, Level.DIGESTS)
        assert [(finding.path, finding.what) for finding in found] in (
            [(PATH, What.DIGEST)],
            [(PATH, What.HEADER)],
        ), bit
        if bit // 8 >= header + 16:
            number = (bit // 8 - header - 16) // SEALED_CHUNK_BYTES
            got = list(Opened(io.BytesIO(changed), [identity]).chunks())
            assert [piece.chunk for piece in got if isinstance(piece, Damage)] == [number], bit
            fine = [piece for piece in got if not isinstance(piece, Damage)]
            assert all(
                piece.data == plain[piece.plain_offset : piece.plain_offset + CHUNK_BYTES] for piece in fine
            )
            assert len(fine) == 1
        elif bit // 8 < header:
            with pytest.raises(IntegrityFault):
                Opened(io.BytesIO(changed), [identity])
        with place.open("r+b") as file:
            file.seek(bit // 8)
            file.write(content[bit // 8 : bit // 8 + 1])
    assert check_file.judge(vault, row, Level.DIGESTS)[0] == []
    assert neighbour.read_bytes() == content


def test_a_sample_of_turned_bits_is_found(tmp_path) -> None:
    """B10."""
    each_bit(Vault.create(tmp_path / "vault", "uuid-1", created_ms=0), SAMPLE, 1)


@pytest.mark.campaign
def test_a_hundred_thousand_turned_bits_are_found(tmp_path) -> None:
    """B10."""
    each_bit(Vault.create(tmp_path / "vault", "uuid-1", created_ms=0), CAMPAIGN, 2)
