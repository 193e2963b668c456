"""The box's signing key: made at first use, never shown, never made anew where one was.

<state>/keys/box.key   the private key, one line in the form of signed notes, mode 0600
<state>/keys/box.vkey  the public key, for the centre
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.errors import IntegrityFault
from agent.language import say
from agent.storage import files
from agent.storage.locks import held
from agent.storage.proof import note
from agent.storage.proof.note import Verifier

if TYPE_CHECKING:
    from pathlib import Path

    from agent.storage.files import Disk

DIRECTORY = "keys"
PRIVATE = "box.key"
PUBLIC = "box.vkey"
LOCK = "lock"
_PREFIX = "PRIVATE+KEY"
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class BoxKey:
    """The key that signs this box's checkpoints.

    box      the box's id
    created  it was made by this very call
    """

    box: str
    private: Ed25519PrivateKey
    created: bool = False

    @property
    def verifier(self) -> Verifier:
        """The public half, under the name `pasu/<box>`."""
        return Verifier(key_name(self.box), self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Sign a text; return the note."""
        return note.sign(text, key_name(self.box), self.private)


def key_name(box: str) -> str:
    """Return the name of a box's key."""
    return f"pasu/{box}"


def load_or_create(state: Path, box: str, disk: Disk) -> BoxKey:
    """Read the box's key; at first use make it.

    Raises  IntegrityFault KEY_DAMAGED when it cannot be read, bears another box's name, or is gone while its public
            half is there; StorageFault
    """
    folder = state / DIRECTORY
    disk.make_directory(folder)
    with held(folder / LOCK):  # so that two never make two
        private, public = folder / PRIVATE, folder / PUBLIC
        created = not files.exists(private)
        if created:
            if files.exists(public):
                # Whoever removes a key shall not thereby get the box a new one.
                raise _damaged(private, say("개인키가 없어졌습니다", "the private key is gone"))
            secret = Ed25519PrivateKey.generate()
            disk.atomic_replace(private, _write(box, secret).encode(), sync=True)
        key = BoxKey(box, _read(private, box), created)
        line = f"{key.verifier}\n".encode()
        if not files.exists(public) or public.read_bytes() != line:
            disk.atomic_replace(public, line, sync=True)
    return key


def load_verifier(state: Path) -> Verifier | None:
    """Return the box's public key as it stands beside the private one; None when there is none yet.

    Raises  IntegrityFault KEY_DAMAGED; StorageFault
    """
    path = state / DIRECTORY / PUBLIC
    if not files.exists(path):
        return None
    try:
        return Verifier.parse(path.read_bytes()[:_MOST_BYTES].decode())
    except OSError as error:
        raise files.fault("read", path, error) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def _write(box: str, private: Ed25519PrivateKey) -> str:
    """Write a private key as programs for signed notes do: PRIVATE+KEY+name+id+base64(type, seed)."""
    verifier = Verifier(key_name(box), private.public_key().public_bytes_raw())
    raw = base64.b64encode(note.ED25519 + private.private_bytes_raw()).decode()
    return f"{_PREFIX}+{verifier.name}+{verifier.key_id.hex()}+{raw}\n"


def _read(path: Path, box: str) -> Ed25519PrivateKey:
    """Read a private key. What it says is never part of an error."""
    try:
        text = path.read_bytes()[:_MOST_BYTES].decode()
        fields = text.strip().removeprefix(_PREFIX + "+").split("+", 2)
        raw = base64.b64decode(fields[2], validate=True) if len(fields) == 3 else b""
    except OSError as error:
        raise files.fault("read", path, error) from error
    except (UnicodeDecodeError, binascii.Error):
        raw, text, fields = b"", "", []
    if not text.startswith(_PREFIX + "+") or raw[:1] != note.ED25519 or len(raw) != 33:
        raise _damaged(path, say("키 파일이 손상되었습니다", "the key file is damaged"))
    private = Ed25519PrivateKey.from_private_bytes(raw[1:])
    if _write(box, private).strip() != text.strip():
        raise _damaged(path, say("다른 박스의 키입니다", "it is the key of another box"))
    return private


def _damaged(path: Path, reason: str) -> IntegrityFault:
    return IntegrityFault(
        "KEY_DAMAGED",
        say("박스의 서명 키를 쓸 수 없습니다", "the box's signing key cannot be used"),
        hint=say(
            "백업에서 되돌리십시오. 새 키로 시작하려면 keys 폴더를 옮기고 관제센터에 알리십시오",
            "restore it from a backup; to begin with a new one move the keys folder away and tell the centre",
        ),
        path=str(path),
        reason=reason,
    )
