"""The key ring that this box obeys, as it lies in the state directory.

<state>/centre/root.json   the city's root key, pinned when the box was enrolled
<state>/centre/ring.jws    the newest ring that was accepted, as the city signed it

Both are read anew by whoever needs them, and verified each time: what somebody edited on the disk is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command.errors import CommandRefused
from agent.command.keyring import ANY, TYP, Key, Ring, Role, Root, kid_of, parse, parse_root
from agent.errors import IntegrityFault
from agent.language import say

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ANY",
    "DIRECTORY",
    "FILE",
    "ROOT_FILE",
    "TYP",
    "Key",
    "Ring",
    "Role",
    "Root",
    "kid_of",
    "load",
    "load_root",
    "parse",
    "parse_root",
]

DIRECTORY = "centre"
ROOT_FILE = "root.json"
FILE = "ring.jws"
_MOST_BYTES = 1 << 17


def load_root(state: Path) -> Root | None:
    """Read the pinned root key; None for a box that was never enrolled.

    Raises  IntegrityFault RING_DAMAGED when it cannot be read, or is gone while a ring is there
    """
    folder = state / DIRECTORY
    path = folder / ROOT_FILE
    data = _read(path)
    if data is None:
        if _read(folder / FILE) is None:
            return None
        # Whoever removes the root shall not thereby make the box take recipients that nobody signed.
        raise _damaged(path, "the root key is gone")
    try:
        return parse_root(data)
    except (ValueError, KeyError) as error:
        raise _damaged(path, str(error)) from None


def load(state: Path) -> Ring | None:
    """Read and verify the ring; None for a box that was never enrolled.

    Raises  IntegrityFault RING_DAMAGED when root or ring are gone, edited, or cannot be read
    """
    root = load_root(state)
    if root is None:
        return None
    path = state / DIRECTORY / FILE
    data = _read(path)
    if data is None:
        raise _damaged(path, "the ring is gone")
    try:
        return parse(data.decode("ascii").strip(), root)
    except (CommandRefused, UnicodeDecodeError) as error:
        reason = (
            f"{error.code} {error.context.get('reason', '')}"
            if isinstance(error, CommandRefused)
            else "not text"
        )
        raise _damaged(path, reason.strip()) from None


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path, error.strerror or "cannot be read") from error


def _damaged(path: Path, reason: str) -> IntegrityFault:
    return IntegrityFault(
        "RING_DAMAGED",
        say("도시가 서명한 키 목록을 쓸 수 없습니다", "the key ring that the city signed cannot be used"),
        hint=say(
            "관제센터에서 등록 묶음을 다시 받아 `pasu enrol accept`를 하십시오",
            "get the enrolment bundle from the centre again, and `pasu enrol accept` it",
        ),
        path=str(path),
        reason=reason,
    )
