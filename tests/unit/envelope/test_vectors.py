"""The community's vectors for age: tests/vectors/age, source in its README."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path

import pytest

from agent.errors import IntegrityFault
from agent.storage.envelope import Damage, Opened, X25519Identity
from tests.unit.envelope.keys import EVE

FOLDER = Path(__file__).parents[2] / "vectors" / "age"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.name != "README.md")
HEADER_CODES = {"NOT_AGE_FILE", "HEADER_DAMAGED"}
PAYLOAD_CODES = {"CHUNK_DAMAGED", "CHUNK_AFTER_END", "TRUNCATED"}


def load(name: str) -> tuple[dict[str, str], list[X25519Identity], bytes]:
    head, _, file = (FOLDER / name).read_bytes().partition(b"\n\n")
    pairs = [line.split(": ", 1) for line in head.decode().splitlines()]
    fields = dict(pairs)
    keys = [value for key, value in pairs if key == "identity" and not value.startswith("AGE-SECRET-KEY-PQ-")]
    if fields.get("compressed") == "zlib":
        file = zlib.decompress(file)
    expect = fields["expect"]
    if not keys and expect == "success":
        fields["expect"] = "no match"  # sealed to kinds of keys that Pasu does not have
    return fields, [X25519Identity.parse(key) for key in keys] or [EVE], file


def test_the_vectors_are_there():
    assert len(NAMES) >= 70


@pytest.mark.parametrize("name", NAMES)
def test_vector(name):
    fields, identities, file = load(name)
    released = hashlib.sha256()
    code = "success"
    try:
        opened = Opened(io.BytesIO(file), identities)
        while piece := opened.read(10_000):
            released.update(piece)
        assert opened.size == opened.tell()
    except IntegrityFault as fault:
        code = fault.code
    expected = {
        "success": {"success"},
        "no match": {"NO_MATCHING_IDENTITY"},
        "HMAC failure": {"HEADER_DAMAGED"},
        "header failure": HEADER_CODES,
        "payload failure": PAYLOAD_CODES,
    }[fields["expect"]]
    assert code in expected
    if code in PAYLOAD_CODES | {"success"}:
        assert released.hexdigest() == fields["payload"]


@pytest.mark.parametrize("name", [name for name in NAMES if "payload failure" in load(name)[0]["expect"]])
def test_damaged_vectors_read_as_chunks_hold_a_damage(name):
    fields, identities, file = load(name)
    items = list(Opened(io.BytesIO(file), identities).chunks())
    first = next(i for i, item in enumerate(items) if isinstance(item, Damage))
    before = b"".join(item.data for item in items[:first])
    assert hashlib.sha256(before).hexdigest() == fields["payload"]
