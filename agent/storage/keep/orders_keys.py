"""The commands about rights: a new ring, a revoked key, the lockdown. Each change is a fact, kept for five years.

Source  safety standard art. 5(2)-(3); table 2-12 of the Seoul study, 2-2, 2-3, 5-1
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agent.command import ring as rings
from agent.command.errors import CommandRefused
from agent.command.judge import Weight
from agent.errors import StorageFault
from agent.health import Raised
from agent.model import UTC_DAY_MS, Fact
from agent.storage.keep import orders_files, orders_weight, outgoing
from agent.storage.keep.orders_run import Outcome

if TYPE_CHECKING:
    from agent.command.order import Order
    from agent.command.ring import Key, Ring
    from agent.storage.keep.orders_run import Context


DECIDING = (rings.Role.OFFICER, rings.Role.DEPARTMENT)
GUARDED = (*DECIDING, rings.Role.PRIVACY)
"""Whose key no single person revokes: else one officer could keep every subject's request from being done."""
EXPIRING_MS = 7 * UTC_DAY_MS


def weigh_replace(context: Context, order: Order) -> Weight:
    """Refuse what is no ring of this city, or none that is newer. Raises CommandRefused."""
    found = _offered(context, order)
    if found.epoch <= context.ring.epoch:
        raise CommandRefused("RING_EPOCH", "the ring is not newer than the one the box has")
    return orders_weight.LIGHT


def replace(context: Context, order: Order) -> Outcome:
    """Take a new ring. From here on its keys are obeyed, and what is recorded is sealed to its recipients.

    A newer one that was put in place since this was accepted stays: the box goes back to no ring.
    """
    path = context.state / rings.DIRECTORY / rings.FILE
    if context.note is None:
        context.remember(order, {"before": path.read_text(encoding="ascii")})
    assert context.note is not None
    root = rings.load_root(context.state)
    assert root is not None, "a box with a ring has a root"
    before, after = rings.parse(context.note["before"].strip(), root), _offered(context, order)
    there = rings.load(context.state)
    if there is None or there.epoch < after.epoch:
        context.disk.atomic_replace(path, order.arguments["ring"].encode() + b"\n", sync=True)
    else:
        after = there
    revoked = orders_files.read_revoked(context.state)
    # What was revoked here stays so for as long as the city's ring lists it.
    orders_files.write_revoked(context.state, revoked & {key.kid for key in after.keys}, context.disk)
    rights = changes(before, after)
    told = {
        "epoch": after.epoch,
        "added": sum(change["change"] == "granted" for change in rights),
        "removed": sum(change["change"] in ("withdrawn", "revoked") for change in rights),
        "recipients": [recipient_id(each) for each in after.recipients],
    }
    facts = [Fact("key.ring", context.now, told | {"by": order.id})]
    facts += [Fact("rights.changed", context.now, change | {"by": order.id}) for change in rights]
    return Outcome(detail=told, facts=tuple(facts))


def changes(before: Ring, after: Ring) -> list[dict[str, Any]]:
    """Return what a new ring changes in rights, one entry a key: granted, changed, withdrawn, revoked."""
    old = {key.kid: key for key in before.keys if key.kid not in before.revoked}
    new = {key.kid: key for key in after.keys if key.kid not in after.revoked}
    found = [_change("granted", key) for kid, key in new.items() if kid not in old]
    found += [_change("changed", key) for kid, key in new.items() if kid in old and old[kid] != key]
    gone = [key for kid, key in old.items() if kid not in new]
    return found + [_change("revoked" if key.kid in after.revoked else "withdrawn", key) for key in gone]


def recipient_id(recipient: str) -> str:
    """Return how facts name a recipient: the first 16 hexadecimal digits of the SHA-256 of its text."""
    return hashlib.sha256(recipient.encode()).hexdigest()[:16]


def weigh_revoke(context: Context, order: Order) -> Weight:
    """Ask for two signatures where somebody who decides is to be silenced: by one stolen key the others could be.

    A key that is not known may be one of the next ring, which came past whoever holds it back.
    """
    key = context.ring.find(order.arguments["kid"])
    return Weight(2) if key is None or key.role in GUARDED else orders_weight.LIGHT


def revoke(context: Context, order: Order) -> Outcome:
    """Obey a key no more, from the next command on, whether or not a ring lists it."""
    kid = order.arguments["kid"]
    revoked = orders_files.read_revoked(context.state)
    orders_files.write_revoked(context.state, revoked | {kid}, context.disk)
    key = context.ring.find(kid)
    change = _change("revoked", key) if key else {"change": "revoked", "kid": kid}
    fact = Fact("rights.changed", context.now, change | {"by": order.id})
    return Outcome(detail={"kid": kid, "known": key is not None}, facts=(fact,))


def weigh_lockdown(context: Context, order: Order) -> Weight:  # noqa: ARG001 - the form of all that weigh
    """Ask for two signatures to lift it."""
    return Weight(1 if order.arguments["on"] else 2)


def lockdown(context: Context, order: Order) -> Outcome:
    """Lock the box down, or lift that."""
    on = order.arguments["on"]
    if on:
        body = {"v": 1, "since_ms": context.now.utc_ms, "by": order.by}
        orders_files.lock_down(context.state, body, context.disk)
        with suppress(StorageFault):  # the turns try it again
            outgoing.stop_sending(context.catalogue, context.state, context.disk)
    else:
        orders_files.lift(context.state, context.disk)
    fact = Fact("lockdown.changed", context.now, {"on": on, "by": order.id})
    return Outcome(detail={"on": on}, facts=(fact,))


def about_keys(held: Ring, box: str, now_ms: int) -> list[Raised]:
    """Return what is wrong with the keys of those who decide: none is valid, or the last of a role ends soon."""
    keys = [key for key in held.keys if key.kid not in held.revoked and key.serves(box)]
    found = []
    for role in (*GUARDED, rings.Role.SERVICE):
        ends = [key.until_ms for key in keys if key.role is role and key.is_valid(now_ms)]
        later = any(key.role is role and key.until_ms > now_ms + EXPIRING_MS for key in keys)
        if ends and not later:
            found.append(Raised("key.expiring", str(role), f"{(max(ends) - now_ms) // UTC_DAY_MS} d"))
    if not any(key.is_valid(now_ms) and key.role in DECIDING for key in keys):
        found.append(Raised("ring.old", detail=f"epoch {held.epoch}"))
    return found


def _offered(context: Context, order: Order) -> Ring:
    root = rings.load_root(context.state)
    assert root is not None, "a box with a ring has a root"
    return rings.parse(order.arguments["ring"].strip(), root)


def _change(what: str, key: Key) -> dict[str, Any]:
    return {
        "change": what,
        "kid": key.kid,
        "holder": key.holder,
        "role": str(key.role),
        "from_ms": key.from_ms,
        "until_ms": key.until_ms,
        "boxes": [*key.boxes],
        "cameras": [*key.cameras],
    }
