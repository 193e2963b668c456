"""A box walker of the tests' own, so that writer and reader cannot be wrong together."""

from __future__ import annotations

import struct

CONTAINERS = {"moov", "trak", "edts", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"}


def walk(data: bytes, at: int = 0, until: int | None = None, path: str = "") -> dict[str, bytes]:
    """Map "moov/trak/tkhd" to that box's body."""
    found: dict[str, bytes] = {}
    until = len(data) if until is None else until
    while at < until:
        size, kind = struct.unpack_from(">I4s", data, at)
        name = path + kind.decode()
        assert name not in found
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if name == "mdat":  # of a progressive file only the header is there
            found[name] = data[at + head : at + size]
            found["mdat size"] = str(size).encode()
            at = max(at + head, min(at + size, until))
            continue
        assert size >= 8
        assert at + size <= until
        found[name] = data[at + 8 : at + size]
        if kind.decode() in CONTAINERS:
            found |= walk(data, at + 8, at + size, name + "/")
        at += size
    assert at == until
    return found


def words(body: bytes) -> list[int]:
    """Read a body as 32-bit numbers."""
    return list(struct.unpack(f">{len(body) // 4}I", body[: len(body) // 4 * 4]))
