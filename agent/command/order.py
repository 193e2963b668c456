"""An order: a command that was read, with those who signed it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.command import jws, keyring, strict
from agent.command.errors import CommandRefused
from agent.command.keyring import Role
from agent.command.table import COMMANDS, COUNTERSIGN, is_command_id, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agent.command.keyring import Key

TYP = "pasu-command+jws"
MOST_LIFE_MS = 86_400_000
_MEMBERS = {
    "v",
    "city",
    "box",
    "id",
    "counter",
    "issued_ms",
    "expires_ms",
    "role",
    "command",
    "arguments",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """What somebody signed, as it was read: of the right form, and nothing more is known of it.

    id          32 hexadecimal digits
    counter     grows by one for each command of a key to a box, from 1
    issued_ms, expires_ms  UTC ms, by the signer's clock
    challenge   of the box, or None
    """

    kid: str
    city: str
    box: str
    id: str
    counter: int
    issued_ms: int
    expires_ms: int
    role: str
    command: str
    arguments: dict[str, Any]
    challenge: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A command that may be carried out.

    id        of what was sent: of the second signature where there are two
    signers   who signed it, first the one whose order it is
    jws       as it came
    """

    id: str
    letter: Letter
    signers: tuple[Key, ...]
    jws: str

    @property
    def command(self) -> str:
        """Return what is ordered."""
        return self.letter.command

    @property
    def arguments(self) -> dict[str, Any]:
        """Return its arguments."""
        return self.letter.arguments

    @property
    def by(self) -> str:
        """Return who ordered it, for people: holder and key of each signature."""
        return ", ".join(f"{key.holder} ({key.kid})" for key in self.signers)

    def sees(self, cameras: tuple[str, ...]) -> bool:
        """Tell whether every signer's key is for these cameras."""
        return all(key.sees(camera) for key in self.signers for camera in cameras)

    def body(self) -> dict[str, Any]:
        """Return it as the body of a fact."""
        first, *others = self.signers
        return {
            "id": self.id,
            "order": self.letter.id,
            "command": self.command,
            "counter": self.letter.counter,
            "kid": first.kid,
            "holder": first.holder,
            "role": str(first.role),
            "seconds": [{"kid": key.kid, "holder": key.holder, "role": str(key.role)} for key in others],
            "arguments": told(COMMANDS[self.command], self.arguments),
        }


def read(header: dict[str, Any], body: dict[str, Any]) -> Letter:
    """Read what `jws.peek` returned.

    Raises  CommandRefused COMMAND_MEMBERS
    """
    wrong = CommandRefused("COMMAND_MEMBERS", "a member is missing, unknown, or not what it should be")
    if body.keys() - {"challenge"} != _MEMBERS or body["v"] != 1 or type(body["v"]) is not int:
        raise wrong
    numbers = (body["issued_ms"], body["expires_ms"])
    if not strict.is_number(body["counter"], 1) or not all(map(strict.is_number, numbers)):
        raise wrong
    texts = [body["city"], body["box"], body["command"], body.get("challenge", "-")]
    if not all(map(strict.is_name, texts)) or not is_command_id(body["id"]) or body["role"] not in [*Role]:
        raise wrong
    if not isinstance(body["arguments"], dict):
        raise wrong
    return Letter(
        header["kid"],
        body["city"],
        body["box"],
        body["id"],
        body["counter"],
        body["issued_ms"],
        body["expires_ms"],
        body["role"],
        body["command"],
        body["arguments"],
        body.get("challenge"),
    )


def restore(order_id: str, text: str, signers: Sequence[dict[str, Any]]) -> Order:
    """Return an order that was accepted before, from what was written down of it.

    signers  what `keyring.encode_key` made of each
    Raises   ValueError when it is not what was written down
    """
    try:
        letter = read(*jws.peek(text))
        if is_countersign(letter):
            letter = read(*jws.peek(letter.arguments["order"]))
        return Order(order_id, letter, tuple(keyring.decode_key(each) for each in signers), text)
    except CommandRefused as refused:
        raise ValueError(f"not an order: {refused.code}") from None


def is_countersign(letter: Letter) -> bool:
    """Tell whether it carries somebody else's order."""
    return letter.command == COUNTERSIGN


def sign(
    key: Ed25519PrivateKey,
    *,
    city: str,
    box: str,
    id: str,  # noqa: A002 - the format's word
    counter: int,
    issued_ms: int,
    expires_ms: int,
    role: Role,
    command: str,
    arguments: dict[str, Any],
    challenge: str | None = None,
) -> str:
    """Sign a command; return the compact JWS. For the centre.

    Raises  CommandRefused JWS_LARGE
    """
    body: dict[str, Any] = {
        "v": 1,
        "city": city,
        "box": box,
        "id": id,
        "counter": counter,
        "issued_ms": issued_ms,
        "expires_ms": expires_ms,
        "role": str(role),
        "command": command,
        "arguments": arguments,
    }
    if challenge is not None:
        body["challenge"] = challenge
    return jws.sign(body, key, jws.kid_of(key.public_key().public_bytes_raw()), TYP)
