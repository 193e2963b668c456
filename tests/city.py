"""A city that signs: root key, key ring, commands. For tests of everything that a centre can send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.command import jws, strict
from agent.command.keyring import Role, Root, kid_of
from agent.model import UTC_DAY_MS, canonical_json

if TYPE_CHECKING:
    from pathlib import Path

NAME = "gangneung"
BOX = "gn-0007"
NOW_MS = 1_800_000_000_000
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
OTHER_RECIPIENT = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"


def private(seed: int | str) -> Ed25519PrivateKey:
    """Make the key of a seed: the same in each run."""
    import hashlib

    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"test {seed}".encode()).digest())


@dataclass
class Signer:
    """Somebody with a key."""

    holder: str
    role: Role
    key: Ed25519PrivateKey
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def kid(self) -> str:
        return kid_of(self.key.public_key().public_bytes_raw())

    def next(self, box: str) -> int:
        self.counters[box] = self.counters.get(box, 0) + 1
        return self.counters[box]


class City:
    """A root key, signers, and the ring they stand in."""

    def __init__(self, name: str = NAME, now_ms: int = NOW_MS) -> None:
        self.name = name
        self.now_ms = now_ms
        self.root_key = private(f"root of {name}")
        self.root = Root(name, self.root_key.public_key().public_bytes_raw())
        self.epoch = 1
        self.revoked: list[str] = []
        self.recipients = [RECIPIENT]
        self.entries: list[dict[str, Any]] = []
        self.signers: dict[str, Signer] = {}
        self.ids = 0

    def add(self, holder: str, role: Role, /, **more: Any) -> Signer:
        """List a new key; `more` replaces members of its entry."""
        signer = Signer(holder, role, private(f"{self.name} {holder} {role} {len(self.entries)}"))
        days = 30 if role is Role.TECHNICIAN else 400
        from_ms = more.pop("from_ms", self.now_ms - UTC_DAY_MS)
        entry = {
            "kid": signer.kid,
            "key": strict.base64url(signer.key.public_key().public_bytes_raw()),
            "role": str(role),
            "holder": holder,
            "from_ms": from_ms,
            "until_ms": from_ms + days * UTC_DAY_MS,
            "boxes": ["*"],
            "cameras": ["*"],
        }
        self.entries.append(entry | more)
        self.signers[holder] = signer
        return signer

    def staff(self) -> None:
        """Add one of each role, and a second officer and department."""
        for role in Role:
            self.add(f"{role} 1", role)
        self.add("officer 2", Role.OFFICER)
        self.add("department 2", Role.DEPARTMENT)

    def ring_body(self, **more: Any) -> dict[str, Any]:
        return {
            "v": 1,
            "city": self.name,
            "epoch": self.epoch,
            "issued_ms": self.now_ms,
            "keys": self.entries,
            "revoked": self.revoked,
            "recipients": self.recipients,
        } | more

    def ring(self, **more: Any) -> str:
        """Sign the ring."""
        return jws.sign(self.ring_body(**more), self.root_key, self.root.kid, "pasu-ring+jws")

    def root_json(self) -> str:
        key = strict.base64url(self.root.public)
        return canonical_json({"city": self.name, "kid": self.root.kid, "key": key})

    def enrol(self, state: Path) -> None:
        """Write what an enrolled box has."""
        folder = state / "centre"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "root.json").write_text(self.root_json())
        (folder / "ring.jws").write_text(self.ring())

    def new_id(self) -> str:
        self.ids += 1
        return f"{self.ids:032x}"

    def body(self, signer: Signer, command: str, arguments: dict[str, Any], /, **more: Any) -> dict[str, Any]:
        """Return a command's payload; `more` replaces members, None removes one."""
        box = more.get("box", BOX)
        issued_ms = more.get("issued_ms", self.now_ms)
        body = {
            "v": 1,
            "city": self.name,
            "box": box,
            "id": more["id"] if "id" in more else self.new_id(),
            "counter": more["counter"] if "counter" in more else signer.next(box),
            "issued_ms": issued_ms,
            "expires_ms": issued_ms + 3_600_000,
            "role": str(signer.role),
            "command": command,
            "arguments": arguments,
        } | more
        return {name: value for name, value in body.items() if value is not None}

    def order(self, signer: Signer | str, command: str, arguments: dict[str, Any], /, **more: Any) -> str:
        """Sign a command."""
        who = self.signers[signer] if isinstance(signer, str) else signer
        return jws.sign(self.body(who, command, arguments, **more), who.key, who.kid, "pasu-command+jws")
