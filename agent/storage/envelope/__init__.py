"""The age v1 file format: what every segment is sealed in.

`Sealer` writes, `Opened` reads; `Recipient` and `Identity` are the two interfaces through which keys come in.
Source: age-encryption.org/v1, as published by C2SP.
"""

from agent.storage.envelope.header import MAX_HEADER_BYTES, Header, Identity, Recipient, Stanza, parse_header
from agent.storage.envelope.opened import Chunk, Damage, Opened, shred_span
from agent.storage.envelope.sealer import Sealer, seal_bytes
from agent.storage.envelope.stream import CHUNK_BYTES, NONCE_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from agent.storage.envelope.x25519 import X25519Identity, X25519Recipient

__all__ = [
    "CHUNK_BYTES",
    "MAX_HEADER_BYTES",
    "NONCE_BYTES",
    "SEALED_CHUNK_BYTES",
    "TAG_BYTES",
    "Chunk",
    "Damage",
    "Header",
    "Identity",
    "Opened",
    "Recipient",
    "Sealer",
    "Stanza",
    "X25519Identity",
    "X25519Recipient",
    "parse_header",
    "seal_bytes",
    "shred_span",
]
