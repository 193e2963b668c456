"""Sign commands, send them, and hear what became of them."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.centre import registry
from agent.centre.wire import sent
from agent.command import order
from agent.command.table import COUNTERSIGN
from agent.errors import UplinkFault
from agent.language import say
from agent.uplink import payloads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.centre.city import City
    from agent.centre.rings import Signer
    from agent.centre.wire import Message, Wire

LIFE_MS = 3_600_000
"""A command counts for so long, unless it is said otherwise; the box takes a day at most."""
FINAL = frozenset({"refused", "done", "failed", "delayed"})
"""Statuses after which nothing more is waited for: a delayed command speaks again in a day."""
SENT_S = 10.0


@dataclass(frozen=True, slots=True)
class Sealed:
    """A signed command; `id` is what its replies will bear."""

    box: str
    id: str
    command: str
    text: str


def seal(
    city: City,
    signer: Signer,
    box: str,
    command: str,
    arguments: dict[str, Any],
    *,
    counter: int,
    now_ms: int,
    life_ms: int = LIFE_MS,
    challenge: str | None = None,
) -> Sealed:
    """Sign a command. Raises CommandRefused JWS_LARGE."""
    own = os.urandom(16).hex()
    text = order.sign(
        signer.private,
        city=city.id,
        box=box,
        id=own,
        counter=counter,
        issued_ms=now_ms,
        expires_ms=now_ms + life_ms,
        role=signer.key.role,
        command=command,
        arguments=arguments,
        challenge=challenge,
    )
    return Sealed(box, own, command, text)


def countersign(
    city: City,
    second: Signer,
    first: Sealed,
    *,
    counter: int,
    now_ms: int,
    life_ms: int = LIFE_MS,
    challenge: str | None = None,
) -> Sealed:
    """Sign somebody else's order as the second; that is what is sent then. Raises CommandRefused JWS_LARGE."""
    arguments = {"order": first.text}
    return seal(
        city,
        second,
        first.box,
        COUNTERSIGN,
        arguments,
        counter=counter,
        now_ms=now_ms,
        life_ms=life_ms,
        challenge=challenge,
    )


def post(wire: Wire, sealed: Sealed) -> None:
    """Hand a command to the broker. Raises UplinkFault BROKER_SILENT when it does not take it."""
    if not sent(wire.send(sealed.box, sealed.text), SENT_S):
        raise UplinkFault(
            "BROKER_SILENT",
            say("브로커가 명령을 받지 않았습니다", "the broker did not take the command"),
            hint=say(
                "브로커를 확인하십시오. 닿았는지는 박스의 원장(command.accepted)에 있습니다",
                "check the broker; whether it arrived, the box's ledger says (command.accepted)",
            ),
            box=sealed.box,
            id=sealed.id,
        )


def replies(wire: Wire, sealed: Sealed, within_s: float) -> Iterator[dict[str, Any]]:
    """Yield what the box says to a command, until it is done or the time is over.

    wire  subscribed to the box's replies since before the command was sent
    """
    until = time.monotonic() + within_s
    while (left := until - time.monotonic()) > 0:
        message = wire.get(left)
        if message is None:
            return
        wire.acknowledge(message)
        if message.part != "reply" or message.box != sealed.box or not own_word(wire, message):
            continue
        try:
            reply = payloads.read(message.payload)
        except ValueError:
            continue
        if reply.get("id") == sealed.id and isinstance(reply.get("status"), str):
            yield reply
            if reply["status"] in FINAL:
                return


def own_word(wire: Wire, message: Message) -> bool:
    """Tell whether the box itself says what came: the broker's word for it is nothing (E7)."""
    return registry.vouches(wire.city, message.box, message.part, message.payload)


def said_trust(wire: Wire, box: str, within_s: float) -> str:
    """Return how far the box relies on its time, by what the broker kept of it; empty when it keeps nothing.

    wire  subscribed to its health and birth
    """
    for _, body in _told(wire, box, within_s):
        return str(body.get("trust", ""))
    return ""


def fresh_challenge(wire: Wire, box: str, within_s: float) -> str | None:
    """Wait for the box's newest challenge, in its health or birth; None when it does not come.

    wire  subscribed to both
    """
    found: str | None = None
    for retained, body in _told(wire, box, within_s):
        said = body.get("challenge")
        if isinstance(said, str) and said:
            found = said
            if not retained:
                break  # what the broker kept comes at once and may be old; this is not
    return found


def _told(wire: Wire, box: str, within_s: float) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yield what a box tells of itself, and whether the broker had kept it."""
    until = time.monotonic() + within_s
    while (left := until - time.monotonic()) > 0:
        message = wire.get(left)
        if message is None:
            return
        wire.acknowledge(message)
        if message.box == box and message.part in ("health", "birth") and own_word(wire, message):
            with contextlib.suppress(ValueError):
                yield message.retained, payloads.read(message.payload)
