"""Key wrapping with X25519: the recipient "age1..." and the identity "AGE-SECRET-KEY-1...".

Source: age-encryption.org/v1 (C2SP age.md), "The X25519 recipient type".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from agent.errors import ConfigError
from agent.storage.envelope import bech32
from agent.storage.envelope.errors import header_damaged
from agent.storage.envelope.header import FILE_KEY_BYTES, Stanza, decode_base64, encode_base64
from agent.storage.envelope.kdf import hkdf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KIND = "X25519"
_KEY_BYTES = 32
_BODY_BYTES = FILE_KEY_BYTES + 16
_NONCE = bytes(12)
_INFO = b"age-encryption.org/v1/X25519"
_PUBLIC_PREFIX = "age"
_PRIVATE_PREFIX = "age-secret-key-"


class X25519Recipient:
    """A public key that files are sealed to."""

    def __init__(self, public: bytes, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """Take a public key.

        public   32 bytes
        entropy  gives n bytes from a cryptographic source; each wrapping draws a new 32-byte secret from it
        Raises   ValueError for a point of low order: everybody would know what is "shared" with it
        """
        self._public = X25519PublicKey.from_public_bytes(public)
        X25519PrivateKey.from_private_bytes(bytes(_KEY_BYTES)).exchange(self._public)
        self._bytes = public
        self._entropy = entropy

    @classmethod
    def parse(cls, text: str, *, entropy: Callable[[int], bytes] = os.urandom) -> Self:
        """Read "age1...". Raises ConfigError RECIPIENT_INVALID."""
        try:
            return cls(_decode_key(text, _PUBLIC_PREFIX, str.lower), entropy=entropy)
        except ValueError as error:
            # A private key pasted here by mistake must not travel on in a message.
            shown = text if text.lower().startswith("age1") and len(text) < 100 else "not shown"
            raise ConfigError(
                "RECIPIENT_INVALID",
                f"not a recipient: {error}",
                hint="a recipient is what pasu centre keygen or age-keygen prints after 'public key:', "
                "such as age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
                recipient=shown,
            ) from None

    def wrap(self, file_key: bytes) -> Stanza:
        """Wrap the file key with a secret used this once."""
        secret = X25519PrivateKey.from_private_bytes(self._entropy(_KEY_BYTES))
        share = secret.public_key().public_bytes_raw()
        key = hkdf(secret.exchange(self._public), share + self._bytes, _INFO)
        return Stanza((_KIND, encode_base64(share)), ChaCha20Poly1305(key).encrypt(_NONCE, file_key, None))

    def __str__(self) -> str:
        return bech32.encode(_PUBLIC_PREFIX, self._bytes)

    def __repr__(self) -> str:
        return f"X25519Recipient({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, X25519Recipient) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)


class X25519Identity:
    """A private key that opens files. It shows itself only when `secret` is called."""

    def __init__(self, private: bytes) -> None:
        """Take a private key of 32 bytes."""
        self._private = X25519PrivateKey.from_private_bytes(private)
        self._public = self._private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, *, entropy: Callable[[int], bytes] = os.urandom) -> Self:
        """Make a new identity from 32 bytes of entropy."""
        return cls(entropy(_KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "AGE-SECRET-KEY-1...". Raises ConfigError IDENTITY_INVALID, which never repeats the text."""
        try:
            return cls(_decode_key(text, _PRIVATE_PREFIX, str.upper))
        except ValueError as error:
            raise ConfigError(
                "IDENTITY_INVALID",
                f"not an identity: {error}",
                hint="an identity is the line AGE-SECRET-KEY-1... in the file that pasu centre keygen wrote",
            ) from None

    def recipient(self) -> X25519Recipient:
        """Return the public key that belongs to it."""
        return X25519Recipient(self._public)

    def secret(self) -> str:
        """Write the private key as it stands in an identity file. For that file only."""
        return bech32.encode(_PRIVATE_PREFIX, self._private.private_bytes_raw()).upper()

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first X25519 stanza that opens, None when none does.

        Raises IntegrityFault HEADER_DAMAGED for an X25519 stanza that breaks the rules.
        """
        for stanza in stanzas:
            if stanza.arguments[0] != _KIND:
                continue
            if len(stanza.arguments) != 2:
                raise header_damaged("an X25519 stanza with other than two arguments")
            share = decode_base64(stanza.arguments[1].encode())
            if share is None or len(share) != _KEY_BYTES:
                raise header_damaged("an X25519 share that is not 32 bytes of canonical base64")
            if (
                len(stanza.body) != _BODY_BYTES
            ):  # before decrypting: a longer one could serve several keys at once
                raise header_damaged("an X25519 stanza that does not hold a 16-byte file key")
            try:
                shared = self._private.exchange(X25519PublicKey.from_public_bytes(share))
            except ValueError:
                raise header_damaged("an X25519 share of low order") from None
            try:
                key = hkdf(shared, share + self._public, _INFO)
                return ChaCha20Poly1305(key).decrypt(_NONCE, stanza.body, None)
            except InvalidTag:
                continue
        return None

    def __repr__(self) -> str:
        return f"X25519Identity(of {self.recipient()})"


def _decode_key(text: str, prefix: str, case: Callable[[str], str]) -> bytes:
    """Read a key of this prefix, all in this case. Raises ValueError, which never repeats the text."""
    found, key = bech32.decode(text)
    if found != prefix or text != case(text) or len(key) != _KEY_BYTES:
        raise ValueError("another kind of key or text")
    return key
