"""What of a ledger's entry is hashed: the canonical JSON (RFC 8785) of its five fields. Pure.

The leaf of entry `seq` has the index `seq - 1` in the tree.
"""

from __future__ import annotations

import json
from functools import lru_cache

from agent.model import canonical_json
from agent.storage.proof.merkle import leaf_hash

FIELDS = ("at_ms", "body", "kind", "seq", "trust")


@lru_cache(maxsize=256)
def _text(value: str) -> str:
    """Write a string as JSON; there are few kinds and three words of trust."""
    return json.dumps(value, ensure_ascii=False)


def data(seq: int, at_ms: int, trust: str, kind: str, body: str) -> bytes:
    """Return the bytes of an entry as it stands in the ledger, whose body is canonical already.

    Joined and not parsed: two million bodies are hashed in a verification. The form stays unambiguous whatever the
    columns hold, since what follows the body can be read from the end. Text that is not Unicode is hashed as it is.
    """
    line = f'{{"at_ms":{at_ms},"body":{body},"kind":{_text(kind)},"seq":{seq},"trust":{_text(trust)}}}'
    return line.encode("utf-8", "surrogatepass")


def entry_hash(seq: int, at_ms: int, trust: str, kind: str, body: str) -> bytes:
    """Return the leaf hash of an entry as it stands in the ledger."""
    return leaf_hash(data(seq, at_ms, trust, kind, body))


def object_hash(entry: dict[str, object]) -> bytes:
    """Return the leaf hash of an entry that came as a JSON object, as in a bundle.

    Raises  ValueError for one that is no entry: other fields, other types, a number that is no integer
    """
    kinds = {"at_ms": int, "body": dict, "kind": str, "seq": int, "trust": str}
    if set(entry) != set(FIELDS) or any(type(entry[name]) is not kind for name, kind in kinds.items()):
        raise ValueError("not an entry of a ledger")
    try:
        return leaf_hash(canonical_json(entry).encode())
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not an entry of a ledger: {error}") from None
