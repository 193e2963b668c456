"""Values that tests of the uplink share."""

from __future__ import annotations

import hashlib
import json
import random

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.model import canonical_json, utc_day, utc_name
from agent.storage.ledger import Entry
from agent.uplink.payloads import Health
from agent.uplink.seal import Seal

T0 = 1_800_000_000_000
LEDGER = "0123456789abcdef"
KEY = ec.generate_private_key(ec.SECP256R1())
SEAL = Seal(
    KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
)


def entry(seq: int, kind: str = "segment.committed", **body) -> Entry:
    return Entry(seq, T0 + seq, "SYNCED", kind, canonical_json(body))


def segment(chance: random.Random, seq: int, camera: int, start_ms: int) -> Entry:
    """A segment's fact as the catalogue writes it, with chance where it is."""
    body = {
        "camera": f"cam{camera + 1:02d}",
        "run": f"20270110T0500{camera:02d}.{camera * 37:03d}Z-{900_000 + camera * 7919:x}",
        "path": f"segments/cam{camera + 1:02d}/{utc_day(start_ms)}/{utc_name(start_ms)}.mp4.age",
        "start_ms": start_ms,
        "end_ms": start_ms + 60_000 + chance.randrange(-40, 40),
        "codec": "h264",
        "frames": 1500 + chance.randrange(-3, 4),
        "sealed_bytes": 30_000_000 + chance.randrange(-500_000, 500_000),
        "sha256": hashlib.sha256(chance.randbytes(8)).hexdigest(),
    }
    return Entry(seq, body["end_ms"] + 150, "SYNCED", "segment.committed", canonical_json(body))


def erased(chance: random.Random, seq: int, camera: int, at_ms: int) -> Entry:
    """The tombstone of a segment of thirty days ago."""
    start_ms = at_ms - 30 * 86_400_000
    body = {
        "camera": f"cam{camera + 1:02d}",
        "path": f"segments/cam{camera + 1:02d}/{utc_day(start_ms)}/{utc_name(start_ms)}.mp4.age",
        "start_ms": start_ms,
        "end_ms": start_ms + 60_000 + chance.randrange(-40, 40),
        "sha256": hashlib.sha256(chance.randbytes(8)).hexdigest(),
        "sealed_bytes": 30_000_000 + chance.randrange(-500_000, 500_000),
        "cause": "EXPIRED",
        "condemned_ms": at_ms - 500,
        "cycle_s": 10,
        "responsible": "강릉시 정보산업과",
        "shredded": True,
    }
    return Entry(seq, at_ms, "SYNCED", "segment.erased", canonical_json(body))


def health(n: int = 1, **more) -> Health:
    values = {
        "box": "gn-0007",
        "session": "a1b2c3d4",
        "n": n,
        "at_ms": T0 + n * 30_000,
        "trust": "SYNCED",
        "challenge": random.Random(n).randbytes(16).hex(),
        "cameras": [(4, 150, 4000)] * 16,
        "conditions": [],
        "vaults": [(123, 305)],
        "box_vitals": (12, 34, 51, 20),
        "backlog": 16,
    }
    return Health(**values | more)


def plain(data: object) -> object:
    return json.loads(json.dumps(data))
