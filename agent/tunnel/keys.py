"""The box's key pairs of the tunnel, and the centre's terms for one of them, on the box's disk.

<state>/tunnel/<name>.key    a private key as `wg` reads it, mode 0600; made here, never shown, never leaves
<state>/tunnel/tunnel.json   the terms, as the bundle had them, the authority's certificate that signed them, and
                             `gone`: the key that was in use before, empty without one

Which key is in use, tunnel.json says: taking in other terms is one rename. A key that it does not name is one that was
asked for and not answered yet; the one that is gone is never asked for again, also when the power was cut before its
file was away. The key in use is found by its name, so that no other file can take it away.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.errors import ConfigError, IntegrityFault
from agent.language import say
from agent.model import canonical_json
from agent.storage import files
from agent.tunnel import terms as written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.storage.files import Disk
    from agent.tunnel.terms import Terms

FOLDER = "tunnel"
FILE = "tunnel.json"
MOST_BYTES = 16 << 10
KEY_FILE_BYTES = 45
"""44 letters and the end of the line."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A key pair, of which only the public half is ever shown."""

    public: str
    private: str
    path: Path

    def __repr__(self) -> str:
        """Say which pair, and no more."""
        return f"Pair({self.public!r})"


def new_private() -> tuple[str, str]:
    """Make a pair; return private and public half in base64."""
    key = X25519PrivateKey.generate()
    return _base64(key.private_bytes_raw()), _base64(key.public_key().public_bytes_raw())


def public_of(private: str) -> str:
    """Return the public half of a private key. Raises ValueError."""
    data = base64.b64decode(private, validate=True)
    return _base64(X25519PrivateKey.from_private_bytes(data).public_key().public_bytes_raw())


def _pair(path: Path) -> Pair | None:
    """Read a pair; None when the file is damaged, or not there. Raises StorageFault."""
    try:
        private = files.read_small(path, KEY_FILE_BYTES).decode("ascii").strip()
        return Pair(public_of(private), private, path)
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise files.fault("read", path, error) from error


def _path(state: Path, public: str) -> Path:
    return state / FOLDER / f"{hashlib.sha256(public.encode()).hexdigest()[:16]}.key"


def in_use(state: Path) -> tuple[Terms, Pair] | None:
    """Return the terms that hold and the key they are for; None when the centre has sent none.

    Raises  IntegrityFault TUNNEL_TERMS_DAMAGED, TUNNEL_KEY_DAMAGED, StorageFault
    """
    terms = load(state)
    if terms is None:
        return None
    pair = _pair(_path(state, terms.key))
    if pair is None or pair.public != terms.key:
        raise _damaged(_path(state, terms.key))
    return terms, pair


def load(state: Path) -> Terms | None:
    """Return the terms that hold, verified; None when there are none. Raises IntegrityFault TUNNEL_TERMS_DAMAGED."""
    return _load(state)[0]


def _load(state: Path) -> tuple[Terms | None, str]:
    """Return the terms that hold, and the key that is gone. Raises as `load`."""
    path = state / FOLDER / FILE
    if not files.exists(path):
        return None, ""
    try:
        body = json.loads(files.read_small(path, MOST_BYTES))
        return written.read(body["terms"], body["authority"]), str(body["gone"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityFault(
            "TUNNEL_TERMS_DAMAGED",
            say("터널의 설정 파일을 쓸 수 없습니다", "the tunnel's terms cannot be used"),
            hint=say(
                "관제센터의 묶음을 `pasu enrol accept`로 다시 넣으십시오. 묶음이 없으면 `pasu enrol request`로 다시 "
                "신청하십시오. 녹화는 계속됩니다",
                "take the centre's bundle in again with `pasu enrol accept`, or ask for another with "
                "`pasu enrol request`; recording goes on",
            ),
            path=str(path),
            reason=str(error) or type(error).__name__,
        ) from None


def asking(state: Path, disk: Disk, *, new: bool = False) -> Pair:
    """Return the pair for which the box asks the centre: one that waits for an answer, else the one in use.

    new     make another where none waits: the one in use serves until the answer is here
    Raises  IntegrityFault TUNNEL_KEY_DAMAGED, StorageFault
    A waiting key that is damaged counts for nothing; terms that are do not keep the box from asking for others.
    """
    folder = state / FOLDER
    disk.make_directory(folder)
    try:
        terms, gone = _load(state)
    except IntegrityFault:
        terms, gone = None, ""
    own = _path(state, terms.key) if terms is not None else None
    for path in sorted(folder.glob("*.key")):
        pair = _pair(path) if path not in (own, _path(state, gone)) else None
        if pair is not None and path == _path(state, pair.public):
            return pair
    if terms is not None and own is not None and not new:
        pair = _pair(own)
        if pair is None or pair.public != terms.key:
            raise _damaged(own)
        return pair
    private, public = new_private()
    path = _path(state, public)
    disk.atomic_replace(path, f"{private}\n".encode(), sync=True)
    return Pair(public, private, path)


def has(state: Path, terms: Terms) -> bool:
    """Tell whether the box has the key that terms are for. Raises StorageFault."""
    pair = _pair(_path(state, terms.key))
    return pair is not None and pair.public == terms.key


def is_older(state: Path, terms: Terms) -> bool:
    """Tell whether terms are older than those that hold: they may name an endpoint that is somebody else's by now."""
    try:
        present = load(state)
    except IntegrityFault:
        return False  # the hint of that error asks for any bundle that there is
    return present is not None and terms.issued_ms < present.issued_ms


def take(
    state: Path, terms: Terms, authority: str, disk: Disk, step: Callable[[str], None] = lambda _: None
) -> None:
    """Put terms in force, whose key the box has.

    N6  tunnel.json, by one rename: from here on the other key counts
    N7  the key that was in use before is gone

    Raises  StorageFault, IntegrityFault
    """
    folder = state / FOLDER
    try:
        before, gone = _load(state)
    except IntegrityFault:
        before, gone = None, ""  # the hint of that error asks for what is done here
    if before is not None and before.key != terms.key:
        gone = before.key
    elif gone == terms.key:
        gone = ""
    body = {"terms": written.to_json(terms), "authority": authority, "gone": gone}
    disk.atomic_replace(folder / FILE, canonical_json(body).encode() + b"\n", sync=True)
    step("N6")
    if gone and files.exists(_path(state, gone)):
        disk.unlink(_path(state, gone))
        disk.fsync_directory(folder)
    step("N7")


def require(state: Path) -> tuple[Terms, Pair]:
    """Return what `in_use` does. Raises ConfigError TUNNEL_NOT_ENROLLED where the centre has sent no terms."""
    found = in_use(state)
    if found is None:
        raise ConfigError(
            "TUNNEL_NOT_ENROLLED",
            say("센터가 이 박스에 터널을 주지 않았습니다", "the centre has given this box no tunnel"),
            hint=say(
                "agent.toml에 [tunnel]을 적고 `pasu enrol request`로 다시 신청하여, 받은 묶음을 "
                "`pasu enrol accept`로 넣으십시오",
                "with [tunnel] in agent.toml make a request with `pasu enrol request`, and take the centre's bundle "
                "in with `pasu enrol accept`",
            ),
            state=str(state),
        )
    return found


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _damaged(path: Path) -> IntegrityFault:
    return IntegrityFault(
        "TUNNEL_KEY_DAMAGED",
        say("터널의 개인키가 없거나 손상되었습니다", "a private key of the tunnel is gone or damaged"),
        hint=say(
            "상태 폴더의 tunnel을 옮기고 `pasu enrol request`로 다시 신청하십시오. 녹화는 계속됩니다",
            "move `tunnel` out of the state folder and ask anew with `pasu enrol request`; recording goes on",
        ),
        path=str(path),
    )
