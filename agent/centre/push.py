"""Send one command to many boxes, and gather their answers: the newest key ring, for one."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from agent.centre import rings, sender
from agent.centre.counters import FILE, Counters
from agent.centre.wire import Wire
from agent.uplink import payloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.centre.city import City
    from agent.centre.rings import Signer

CONNECT_S = 15.0
HEAR_S = 2.0


def push(city: City, signer: Signer, boxes: Sequence[str], within_s: float) -> dict[str, dict[str, Any]]:
    """Send the newest ring to boxes.

    Returns  the last reply of each that answered
    Raises   UplinkFault BROKER_*, StorageFault, ConfigError
    """
    ring = rings.text(city)
    wire = Wire(
        city, f"centre-push-{os.urandom(4).hex()}", ["pasu/v1/+/reply", "pasu/v1/+/health"], keep=False
    )
    counters = Counters(city.at(FILE))
    try:
        wire.open(CONNECT_S)
        challenges = _in_doubt(wire, HEAR_S)
        numbers = counters.take_all(signer.key.kid, boxes)
        letters = {}
        for box in boxes:
            sealed = sender.seal(
                city,
                signer,
                box,
                "ring.replace",
                {"ring": ring},
                counter=numbers[box],
                now_ms=time.time_ns() // 1_000_000,
                life_ms=86_400_000,  # a box that is away gets it when it comes back
                challenge=challenges.get(box),
            )
            sender.post(wire, sealed)
            letters[sealed.id] = box
        return _gather(wire, letters, within_s)
    finally:
        counters.close()
        wire.close()


def _in_doubt(wire: Wire, within_s: float) -> dict[str, str]:
    """Return the challenges of boxes that do not rely on their time, by what the broker kept."""
    found: dict[str, str] = {}
    until = time.monotonic() + within_s
    while (left := until - time.monotonic()) > 0:
        message = wire.get(left)
        if message is None:
            break
        wire.acknowledge(message)
        with contextlib.suppress(ValueError):
            is_told = message.part == "health" and sender.own_word(wire, message)
            body = payloads.read(message.payload) if is_told else {}
            if body.get("trust") == "UNTRUSTED" and isinstance(body.get("challenge"), str):
                found[message.box] = body["challenge"]
    return found


def _gather(wire: Wire, letters: dict[str, str], within_s: float) -> dict[str, dict[str, Any]]:
    answers: dict[str, dict[str, Any]] = {}
    final: set[str] = set()
    until = time.monotonic() + within_s
    while len(final) < len(letters) and (left := until - time.monotonic()) > 0:
        message = wire.get(left)
        if message is None:
            break
        wire.acknowledge(message)
        try:
            reply = payloads.read(message.payload)
        except ValueError:
            continue
        box = letters.get(str(reply.get("id"))) if message.part == "reply" else None
        if box is None or box != message.box or not sender.own_word(wire, message):
            continue
        if isinstance(reply.get("status"), str):
            answers[box] = reply
            if reply["status"] in sender.FINAL:
                final.add(box)
    return answers
