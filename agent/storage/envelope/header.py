"""The header of an age file: who may unwrap the file key, and a MAC over that.

It knows nothing of how a key is wrapped or how the payload is sealed.
Source: age-encryption.org/v1 (C2SP age.md), "Header" and its ABNF.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.errors import IntegrityFault
from agent.storage.envelope.errors import NOT_AGE_FILE, header_damaged
from agent.storage.envelope.kdf import hkdf

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILE_KEY_BYTES = 16
MAX_HEADER_BYTES = 65_536
"""Room for 600 X25519 stanzas, or 30 of the post-quantum kind; bounds what a hostile file can ask of us."""

_MAGIC = b"age-encryption.org/"
_VERSION_LINE = b"age-encryption.org/v1\n"
_STANZA_MARK = b"-> "
_END_MARK = b"---"
_COLUMNS = 64
_MAC_BYTES = 32
_ARGUMENT = re.compile(rb"[\x21-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class Stanza:
    """The file key, wrapped once: arguments (the first names the kind), and a body."""

    arguments: tuple[str, ...]
    body: bytes


class Recipient(Protocol):
    """What a file is sealed to."""

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap the 16-byte file key, each time anew."""
        ...


class Identity(Protocol):
    """What opens a file."""

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first stanza meant for this identity, None when there is none.

        Raises IntegrityFault for a stanza of its own kind that breaks the rules; other kinds are passed over.
        """
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header.

    covered  the bytes that the MAC speaks for
    length   of the whole header in bytes; the payload's nonce begins there
    """

    stanzas: tuple[Stanza, ...]
    mac: bytes
    covered: bytes
    length: int


def write_header(stanzas: Iterable[Stanza], file_key: bytes) -> bytes:
    """Write the header for these stanzas, with its MAC."""
    covered = _VERSION_LINE + b"".join(map(_write_stanza, stanzas)) + _END_MARK
    return covered + b" " + encode_base64(_mac(file_key, covered)).encode() + b"\n"


def parse_header(data: bytes) -> Header:
    """Read the header at the start of data, strictly.

    data    the file from its first byte, at least as far as the header reaches; more does no harm
    Raises  IntegrityFault NOT_AGE_FILE or HEADER_DAMAGED, the latter with the offset of the line in `offset`
    """
    if not data.startswith(_MAGIC):
        raise IntegrityFault(NOT_AGE_FILE, "this is not an age file", hint="check which file was meant")
    if not data.startswith(_VERSION_LINE):
        raise header_damaged("its version is not v1", offset=0)
    stanzas: list[Stanza] = []
    at = len(_VERSION_LINE)
    while data.startswith(_STANZA_MARK, at):
        stanza, at = _parse_stanza(data, at)
        stanzas.append(stanza)
    if not stanzas:
        raise header_damaged("no key stanza where one must begin", offset=at)
    if len(stanzas) > 1 and any(stanza.arguments[0] == "scrypt" for stanza in stanzas):
        raise header_damaged("a passphrase stanza beside others", offset=at)
    line, end = _line(data, at)
    if not line.startswith(_END_MARK + b" "):
        raise header_damaged("neither a key stanza nor the MAC where one must begin", offset=at)
    mac = decode_base64(line[len(_END_MARK) + 1 :])
    if mac is None or len(mac) != _MAC_BYTES:
        raise header_damaged("its MAC is not 32 bytes of canonical base64", offset=at)
    return Header(tuple(stanzas), mac, data[: at + len(_END_MARK)], end)


def check_mac(header: Header, file_key: bytes) -> None:
    """Check that the header is the one written with this file key.

    Raises IntegrityFault HEADER_DAMAGED.
    """
    if not hmac.compare_digest(header.mac, _mac(file_key, header.covered)):
        raise header_damaged("its MAC does not agree with it", offset=len(header.covered))


def encode_base64(data: bytes) -> str:
    """Write canonical base64 without padding."""
    return base64.b64encode(data).rstrip(b"=").decode()


def decode_base64(text: bytes) -> bytes | None:
    """Read canonical base64 without padding; None for anything else.

    Canonical means: written again, it is the same text. So spare bits are zero, and padding, white space and
    foreign letters, some of which the standard library would pass over, are refused.
    """
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return None
    return data if encode_base64(data).encode() == text else None


def _mac(file_key: bytes, covered: bytes) -> bytes:
    return hmac.digest(hkdf(file_key, b"", b"header"), covered, "sha256")


def _write_stanza(stanza: Stanza) -> bytes:
    body = encode_base64(stanza.body)
    # A body that fills its last line whole is followed by an empty one: only a short line ends a stanza.
    lines = [body[at : at + _COLUMNS] for at in range(0, len(body) + 1, _COLUMNS)]
    return ("-> " + " ".join(stanza.arguments) + "\n" + "\n".join(lines) + "\n").encode()


def _parse_stanza(data: bytes, at: int) -> tuple[Stanza, int]:
    line, after = _line(data, at)
    arguments = line[len(_STANZA_MARK) :].split(b" ")
    if not all(map(_ARGUMENT.match, arguments)):
        raise header_damaged("a key stanza with an empty or unprintable argument", offset=at)
    body = bytearray()
    while True:
        at = after
        line, after = _line(data, at)
        part = decode_base64(line)
        if part is None or len(line) > _COLUMNS:
            raise header_damaged(
                "a line of a key stanza is not canonical base64 of at most 64 columns", offset=at
            )
        body += part
        if len(line) < _COLUMNS:
            return Stanza(tuple(argument.decode() for argument in arguments), bytes(body)), after


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at, MAX_HEADER_BYTES)
    if end < 0:
        raise header_damaged("it is cut off, or longer than any that is written", offset=at)
    return data[at:end], end + 1
