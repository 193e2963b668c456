"""The canary: a word sealed as recordings are, which only the centre can read, and a person types back. Edge.

Beside the sealed file lies what tells whether a word is the right one, without telling the word.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from agent.errors import ConfigError, IntegrityFault
from agent.language import say
from agent.storage.envelope import X25519Recipient, seal_bytes
from agent.storage.envelope.opened import Opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.storage.envelope.header import Identity

MAGIC = "pasu-canary"
WORD_BYTES = 5
SALT_BYTES = 16
MOST_BYTES = 4096
SEALED_MODE = 0o644
"""The technician's own user copies it to the centre; who reads it on the way learns nothing."""
CHECK_MODE = 0o600


def check_file(file: Path) -> Path:
    """Return where it is kept what the right word is."""
    return file.with_name(f"{file.name}.check")


def make(file: Path, box: str, recipients: Sequence[str]) -> None:
    """Seal a new word into a file that must not be there. Raises ConfigError CANARY_FILE."""
    word = base64.b32encode(os.urandom(WORD_BYTES)).decode()
    salt = os.urandom(SALT_BYTES)
    text = json.dumps({"kind": MAGIC, "box": box, "word": word})
    sealed = seal_bytes([X25519Recipient.parse(key) for key in recipients], text.encode())
    check = json.dumps({"kind": MAGIC, "salt": salt.hex(), "digest": _digest(word, salt).hex()})
    try:
        _write(file, sealed, SEALED_MODE)
        _write(check_file(file), check.encode(), CHECK_MODE)
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from None


def is_right(file: Path, word: str) -> bool:
    """Tell whether a word is the one that was sealed. Raises ConfigError CANARY_FILE."""
    try:
        said: Any = json.loads(check_file(file).read_bytes()[:MOST_BYTES])
        salt, digest = bytes.fromhex(said["salt"]), bytes.fromhex(said["digest"])
    except OSError as error:
        raise _unusable(check_file(file), error.strerror or str(error)) from None
    except (ValueError, LookupError, TypeError):
        raise _unusable(check_file(file), "not a canary") from None
    return hmac.compare_digest(_digest(word.strip().upper(), salt), digest)


def read(file: BinaryIO, identities: Sequence[Identity]) -> tuple[str, str]:
    """Return box and word of a sealed canary. Raises IntegrityFault, among them CANARY_OTHER."""
    try:
        said: Any = json.loads(Opened(file, identities).read(MOST_BYTES))
        if said["kind"] == MAGIC:
            return str(said["box"]), str(said["word"])
    except (ValueError, LookupError, TypeError):
        pass
    raise IntegrityFault("CANARY_OTHER", say("카나리아 파일이 아닙니다", "this file is no canary"))


def _digest(word: str, salt: bytes) -> bytes:
    return hashlib.scrypt(word.encode(), salt=salt, n=1 << 14, r=8, p=1)


def _write(file: Path, data: bytes, mode: int) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, CHECK_MODE)
    with open(fd, "wb") as made:  # noqa: PTH123 - a descriptor has no path
        os.fchmod(fd, mode)  # whatever root's umask is
        made.write(data)
        made.flush()
        os.fsync(fd)


def _unusable(file: Path, reason: str) -> ConfigError:
    return ConfigError(
        "CANARY_FILE",
        say("카나리아 파일을 쓸 수 없습니다", "the canary's file cannot be used"),
        file=str(file),
        reason=reason,
    )
