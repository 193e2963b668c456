"""Signed notes and checkpoints, as C2SP defines them (signed-note, tlog-checkpoint). Pure.

A note is a text that ends in a newline, an empty line, and signature lines. A checkpoint is a note whose text is the
log's origin, the number of leaves, the root in base64, and perhaps more lines, which we never write and pass over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.storage.proof.merkle import HASH_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519 = b"\x01"
"""The signature type in key ids and verifier keys."""
MOST_BYTES = 1 << 20
MOST_SIGNATURES = 100
_KEY_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+\Z")
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})\Z")
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z", re.ASCII)


class NoteError(ValueError):
    """Not a note, not a checkpoint, not a key, or not signed by the key."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before each of its signatures: they choose the key and prove nothing."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        """Write it as others exchange it: name+id+base64."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read a verifier key. Raises NoteError."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = _decode(encoded)
        if not _KEY_NAME.match(name) or raw[:1] != ED25519 or len(raw) != 33:
            raise NoteError("not an Ed25519 verifier key (name+id+base64)")
        verifier = cls(name, raw[1:])
        if verifier.key_id.hex() != key_id:
            raise NoteError("the verifier key's id does not fit its name and key: mistyped or changed")
        return verifier


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line: whose it says it is, and what."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note, whose signatures are not yet verified."""

    text: str
    signatures: tuple[Signature, ...]

    def verify(self, verifier: Verifier) -> None:
        """Check that this key signed it; signatures of other keys are passed over. Raises NoteError."""
        mine = [one for one in self.signatures if (one.name, one.key_id) == (verifier.name, verifier.key_id)]
        if not mine:
            raise NoteError(f"not signed by {verifier.name}")
        key = Ed25519PublicKey.from_public_bytes(verifier.public)
        for one in mine:
            try:
                key.verify(one.signature, self.text.encode())
            except InvalidSignature:
                raise NoteError(f"the signature of {verifier.name} is wrong") from None


@dataclass(frozen=True, slots=True)
class Head:
    """What a checkpoint says: the root over the first `size` entries of the log `origin`."""

    origin: str
    size: int
    root: bytes


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Sign a text that ends in a newline; return the note. Raises NoteError for a text or name that cannot be."""
    if not text.endswith("\n") or any(letter < " " and letter != "\n" for letter in text):
        raise NoteError("a note's text ends in a newline and holds no control characters")
    if not _KEY_NAME.match(name):
        raise NoteError("a key's name holds no space and no plus")
    verifier = Verifier(name, key.public_key().public_bytes_raw())
    return f"{text}\n— {name} {_encode(verifier.key_id + key.sign(text.encode()))}\n"


def parse_note(data: bytes) -> Note:
    """Take a note apart. Raises NoteError."""
    if len(data) > MOST_BYTES:
        raise NoteError("too long for a note")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise NoteError("a note is UTF-8") from None
    if any(letter < " " and letter != "\n" for letter in whole):
        raise NoteError("a note holds no control characters")
    text, gap, rest = whole.rpartition("\n\n")
    if not gap or not rest.endswith("\n"):
        raise NoteError("not a signed note")
    lines = rest[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteError("too many signatures")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    match = _SIGNATURE.match(line)
    raw = _decode(match[2]) if match else b""
    if match is None or len(raw) < 5:
        raise NoteError("not a signature line")
    return Signature(match[1], raw[:4], raw[4:])


def write_head(head: Head) -> str:
    """Write a checkpoint's text, to be signed. Raises NoteError for an origin that is no line of text."""
    if not head.origin or any(letter < " " for letter in head.origin):
        raise NoteError("an origin is a line of text")
    return f"{head.origin}\n{head.size}\n{_encode(head.root)}\n"


def parse_head(text: str) -> Head:
    """Read a checkpoint's text. Raises NoteError."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise NoteError("not a checkpoint: origin, size, root")
    root = _decode(lines[2])
    if not _SIZE.match(lines[1]) or len(root) != HASH_BYTES:
        raise NoteError("not a checkpoint: size or root cannot be read")
    return Head(lines[0], int(lines[1]), root)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    """Decode strict base64; what is not gives nothing, which is never long enough."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    # Only the one right way of writing it: two notes with one meaning would be two pieces of evidence.
    return raw if _encode(raw) == text else b""
