"""An order that somebody else has signed, looked at before it is signed as the second. Pure.

A box refuses what is not in order; whoever signs as the second shall know it, and what is ordered, before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.command import jws, order, table
from agent.command.errors import CommandRefused

if TYPE_CHECKING:
    from agent.command.keyring import Key, Ring
    from agent.command.order import Letter


@dataclass(frozen=True, slots=True)
class First:
    """Somebody's order: what is ordered, and by whom."""

    letter: Letter
    key: Key

    @property
    def command(self) -> table.Command:
        """Return what it orders."""
        return table.COMMANDS[self.letter.command]


def read_first(text: str, ring: Ring, box: str, second: Key, now_ms: int) -> First:
    """Read an order that is to be signed by a second person.

    text    compact JWS
    box     for which the second signature is made
    second  who is to sign it
    now_ms  UTC ms
    Raises  CommandRefused JWS_LARGE, JWS_MALFORMED, JWS_TYPE, JWS_SIGNATURE, COMMAND_MEMBERS, COMMAND_BOX,
            COMMAND_CITY, COMMAND_KEY, COMMAND_UNKNOWN, COMMAND_ARGUMENT, COMMAND_EXPIRED, COMMAND_ROLE,
            COMMAND_SAME_SIGNER
    """
    header, _ = jws.peek(text)
    key = ring.find(header["kid"])
    if key is None:
        raise CommandRefused("COMMAND_KEY", "no key of the ring", found=header["kid"])
    letter = order.read(header, jws.verify(text, key.public_key, order.TYP))
    if letter.box != box:
        raise CommandRefused("COMMAND_BOX", "for another box", found=letter.box, expected=box)
    if letter.city != ring.city:
        raise CommandRefused("COMMAND_CITY", "of another city", found=letter.city)
    if order.is_countersign(letter):
        raise CommandRefused("COMMAND_ARGUMENT", "two persons have signed it", reason="order")
    command = table.COMMANDS.get(letter.command)
    if command is None:
        raise CommandRefused("COMMAND_UNKNOWN", "no such command", found=letter.command)
    table.check_arguments(command, letter.arguments)
    if now_ms >= letter.expires_ms:
        raise CommandRefused("COMMAND_EXPIRED", "its time is over")
    if key.person == second.person:
        raise CommandRefused("COMMAND_SAME_SIGNER", "both signatures are of one person")
    if not command.may_second(second.role):
        raise CommandRefused("COMMAND_ROLE", "the role has no right to this", found=str(second.role))
    return First(letter, key)
