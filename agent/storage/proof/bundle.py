"""A bundle: sealed segments of one camera's span, with what proves them. The format, and nothing else. Pure.

CHECKPOINT    the signed head that every proof leads to
proofs.json   the rest, one canonical line
segments/...  the sealed files, as they lie in the vault; nobody without the centre's key sees a picture
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from agent.model import Span, canonical_json
from agent.storage.layout import CAMERA_NAME, DAY_NAME, Kind, classify
from agent.storage.proof.merkle import HASH_BYTES

CHECKPOINT = "CHECKPOINT"
PROOFS = "proofs.json"
MAGIC = "pasu-bundle"
VERSION = 1
MOST_BYTES = 1 << 30  # proofs.json of a year of a camera's minutes has about half of that
_TOP = re.compile(r"segments(?:-[1-9][0-9]{0,3})?\Z")
_MOST_PROOF = 128  # a proof has at most two hashes for each of 64 levels

CLAIM = "export.bundled"
STORED = ("segment.committed", "segment.salvaged")
ERASED = "segment.erased"
RELABELLED = "time.relabelled"
TOLD = (*STORED, ERASED, "segment.lost", "gap")
NEARLY_MS = 100
"""Less between two segments is the rounding of frame times, no hole."""
"""Kinds of facts about a span of a camera that a bundle brings."""


class BundleError(ValueError):
    """Not a bundle, or not one of this version."""


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry of the ledger with the proof that it is in it.

    entry  at_ms, body, kind, seq, trust
    file   of a segment's fact: where its file is in the bundle
    span   of a segment: what it covers, as the catalogue has it; the fact says otherwise when it was relabelled
    """

    entry: dict[str, Any]
    proof: tuple[bytes, ...]
    file: str = ""
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Since:
    """A proof that the ledger begins with what an earlier checkpoint signed."""

    size: int
    root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What proofs.json says; nothing of it is believed before it is checked."""

    box: str
    camera: str
    span: Span
    entries: tuple[Proven, ...]
    unproven: tuple[str, ...] = ()
    since: Since | None = None


def digest(files: list[tuple[str, str]]) -> str:
    """Return the digest under which a claim names its files: SHA-256 over what `sha256sum` would print, sorted.

    files  SHA-256 in hexadecimal, and path in the bundle
    """
    lines = sorted(f"{sha256}  {path}\n" for sha256, path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_segment_path(path: str) -> bool:
    """Tell whether a path is that of a sealed segment below the bundle, and leads nowhere else."""
    parts = path.split("/")
    if len(parts) != 4 or not _TOP.match(parts[0]) or not CAMERA_NAME.match(parts[1]):
        return False
    if not DAY_NAME.match(parts[2]):
        return False
    known = classify(parts[1], parts[2], parts[3])
    return known is not None and known[1] in (Kind.FINAL, Kind.SALVAGED)


def encode(bundle: Bundle) -> bytes:
    """Write proofs.json."""
    since = bundle.since and {
        "size": bundle.since.size,
        "root": _text(bundle.since.root),
        "proof": [_text(one) for one in bundle.since.proof],
    }
    entries: list[dict[str, Any]] = []
    for one in bundle.entries:
        item: dict[str, Any] = {"entry": one.entry, "proof": [_text(node) for node in one.proof]}
        if one.file:
            item["file"] = one.file
        if one.span:
            item["span"] = [one.span.start_ms, one.span.end_ms]
        entries.append(item)
    whole = {
        "magic": MAGIC,
        "version": VERSION,
        "box": bundle.box,
        "camera": bundle.camera,
        "span": [bundle.span.start_ms, bundle.span.end_ms],
        "entries": entries,
        "unproven": list(bundle.unproven),
        "since": since,
    }
    return canonical_json(whole).encode() + b"\n"


def parse(data: bytes) -> Bundle:
    """Read proofs.json. Raises BundleError."""
    try:
        return _bundle(json.loads(data))
    except BundleError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"not a bundle: {type(error).__name__}") from None


def _bundle(whole: dict[str, Any]) -> Bundle:
    if whole["magic"] != MAGIC or type(whole["version"]) is not int:
        raise BundleError("not a bundle")
    if whole["version"] != VERSION:
        raise BundleError(f"a bundle of version {whole['version']}: this program reads {VERSION}")
    since = whole["since"]
    return Bundle(
        _is(whole["box"], str),
        _is(whole["camera"], str),
        _span(whole["span"]),
        tuple(_proven(item) for item in _is(whole["entries"], list)),
        tuple(_is(path, str) for path in _is(whole["unproven"], list)),
        Since(_is(since["size"], int), _hash(since["root"]), _proof(since["proof"])) if since else None,
    )


def _proven(item: dict[str, Any]) -> Proven:
    entry = _is(item["entry"], dict)
    return Proven(
        entry,
        _proof(item["proof"]),
        _is(item.get("file", ""), str),
        _span(item["span"]) if "span" in item else None,
    )


def _is(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise BundleError(f"not a bundle: {kind.__name__} expected")
    return value


def _span(value: Any) -> Span:
    start, end = _is(value, list)
    return Span(_is(start, int), _is(end, int))


def _proof(value: Any) -> tuple[bytes, ...]:
    hashes = _is(value, list)
    if len(hashes) > _MOST_PROOF:
        raise BundleError("a proof is too long")
    return tuple(_hash(one) for one in hashes)


def _hash(value: Any) -> bytes:
    try:
        raw = base64.b64decode(_is(value, str), validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != HASH_BYTES:
        raise BundleError("a hash has not 32 bytes")
    return raw


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
