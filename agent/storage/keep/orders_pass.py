"""The commands about passes to the health page: a person at the centre lets a contractor see it (regulation art. 12).

    W1  one transaction: the fact `pass.issued`, and the pass in the command's row
    W2  the pass is a file that the page reads; from here on its code opens a session
    R1  the pass's file says that it is revoked
    R2  the fact `pass.revoked`, with the outcome

The code is made at the centre and never sent: what comes is what is stored of it. So who reads the broker's traffic can
enter nowhere, and a code that was issued once is issued to nobody again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent import passes
from agent.command.errors import CommandRefused
from agent.health import read_health
from agent.model import Fact
from agent.storage import passbook
from agent.storage.keep import orders_weight
from agent.storage.keep.orders_run import Outcome

if TYPE_CHECKING:
    from agent.command.judge import Weight
    from agent.command.order import Order
    from agent.config.values import Page
    from agent.passes import Pass
    from agent.storage.keep.orders_run import Context

ID_DIGITS = 8


def weigh_issue(context: Context, order: Order) -> Weight:
    """Refuse a pass that cannot be. Raises CommandRefused PASS_NO_PAGE, PASS_KNOWN, PASS_MANY."""
    page = _page(context)
    known = passbook.listed(page.folder)
    if any(one.id == _id_of(order) for one in known):
        raise CommandRefused("PASS_KNOWN", "a pass with this code was issued before")
    if len(known) >= passes.MOST_PASSES:
        passbook.make_room(page.folder, context.clock.kernel_ms, context.disk)
    return orders_weight.LIGHT


def issue(context: Context, order: Order) -> Outcome:
    """Do W1 and W2. The second time the row has the pass: it lasts no longer, and one that was revoked stays so."""
    page, wanted, note = _page(context), order.arguments, context.note
    if note is None:
        one = passes.new_pass(
            _id_of(order),
            wanted["digest"],
            name=wanted["name"],
            company=wanted["company"],
            by=order.signers[0].holder,
            hours=wanted["hours"],
            utc_ms=context.clock.kernel_ms,
            boot=context.clock.boot_id,
            boot_ms=int(context.mono_s * 1000),
        )
        note = json.loads(passes.encode(one))
        body = passes.told(one) | {"order": order.id}
        context.remember(order, note, Fact("pass.issued", context.now, body))
        context.step("W1")
    one = passes.parse(json.dumps(note).encode())
    if find(page, one.id) is None:
        passbook.make(page.folder, context.disk)
        passbook.put(page.folder, one, context.disk)
        context.step("W2")
    return Outcome(detail={"pass": one.id, "until_ms": one.until_ms, **_entrance(context, page)})


def weigh_revoke(context: Context, order: Order) -> Weight:
    """Refuse what is no pass. Raises CommandRefused PASS_NO_PAGE, PASS_UNKNOWN."""
    if find(_page(context), order.arguments["pass"]) is None:
        raise CommandRefused("PASS_UNKNOWN", "there is no such pass")
    return orders_weight.LIGHT


def revoke(context: Context, order: Order) -> Outcome:
    """Do R1 and R2."""
    page = _page(context)
    one = find(page, order.arguments["pass"])
    if one is None:
        raise CommandRefused("PASS_UNKNOWN", "there is no such pass")
    if one.revoked_ms is None:
        one = replace(one, revoked_ms=context.clock.kernel_ms)
        passbook.put(page.folder, one, context.disk)
    context.step("R1")
    body = {
        "id": one.id,
        "name": one.name,
        "company": one.company,
        "by": order.signers[0].holder,
        "reason": order.arguments["reason"],
        "order": order.id,
    }
    return Outcome(detail={"pass": one.id}, facts=(Fact("pass.revoked", context.now, body),))


def find(page: Page, name: str) -> Pass | None:
    """Return a pass."""
    return next((one for one in passbook.listed(page.folder) if one.id == name), None)


def _id_of(order: Order) -> str:
    """Name a pass by its code: the same code is the same pass, whoever sends it again."""
    digest: str = order.arguments["digest"]
    return digest[:ID_DIGITS]


def _page(context: Context) -> Page:
    config = context.config() if context.config_file is not None else None
    if config is None or config.page is None:
        raise CommandRefused("PASS_NO_PAGE", "this box has no page")
    return config.page


def _entrance(context: Context, page: Page) -> dict[str, Any]:
    """Return where whoever has the code goes, and what the browser must show there."""
    said = (read_health(context.run, "page") if context.run else None) or {}
    return {
        "address": passes.address_of(page.listen[0], page.port),
        "fingerprint": said.get("fingerprint", ""),
    }
