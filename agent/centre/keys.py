"""Identity files: the private keys of the control centre, in the form of age-keygen."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import ConfigError, StorageFault
from agent.storage.envelope import X25519Identity, X25519Recipient

_MAX_BYTES = 1 << 20
_ENCRYPTED = ("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----")


def keygen(path: Path | str, *, created: datetime | None = None) -> X25519Recipient:
    """Make an identity and write it to a new file that only its owner can read.

    path     must not exist; on success it is on the disk for good
    created  the time written into the file's first line; now by default
    Returns  the public key, for `recipients` in the box's configuration
    Raises   ConfigError IDENTITY_EXISTS: a key that opens recordings is never overwritten;
             StorageFault IDENTITY_UNWRITABLE, and nothing is left behind
    Source   age-keygen's form: two comments, then the key; mode 0600
    """
    path = Path(path)
    identity = X25519Identity.generate()
    recipient = identity.recipient()
    moment = (created or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"# created: {moment}\n# public key: {recipient}\n{identity.secret()}\n".encode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError(
            "IDENTITY_EXISTS",
            "this file exists already and is left as it is",
            hint="choose another name; without the old key, what was sealed to it cannot be opened",
            path=str(path),
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            # The umask may have taken from 0600; what was asked for is what it shall be.
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise
    return recipient


def read_identities(path: Path | str) -> list[X25519Identity]:
    """Read an identity file: a key in each line, comments and empty lines between.

    Raises  ConfigError IDENTITY_UNREADABLE, IDENTITY_ENCRYPTED, IDENTITY_INVALID (with the line's number and
            never its text), or IDENTITY_MISSING when there is no key in it
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigError(
            "IDENTITY_UNREADABLE",
            f"the identity file cannot be read: {reason}",
            hint="give the file that pasu centre keygen or age-keygen wrote",
            path=str(path),
        ) from None
    if text.startswith(_ENCRYPTED):
        raise ConfigError(
            "IDENTITY_ENCRYPTED",
            "the identity file is itself encrypted with a passphrase",
            hint="decrypt it first: age -d FILE > key.txt",
            path=str(path),
        )
    identities = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line and not line.startswith("#"):
            try:
                identities.append(X25519Identity.parse(line))
            except ConfigError as error:
                raise ConfigError(
                    error.code, error.message, hint=error.hint, path=str(path), line=number
                ) from None
    if not identities or len(data) > _MAX_BYTES:
        raise ConfigError(
            "IDENTITY_MISSING",
            "this is not an identity file, or there is no key in it",
            hint="an identity file has a line AGE-SECRET-KEY-1...",
            path=str(path),
        )
    return identities


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> StorageFault:
    return StorageFault(
        "IDENTITY_UNWRITABLE",
        f"the identity file cannot be written: {error.strerror}",
        hint="choose a folder that can be written, with room left",
        path=str(path),
    )
