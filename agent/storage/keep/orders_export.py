"""The commands about exports: who may have what handed out, and taken back (Gangneung regulation art. 26(3), 28)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command.errors import CommandRefused
from agent.command.judge import Weight
from agent.command.keyring import Role
from agent.model import Span
from agent.storage.keep import orders_weight, outgoing, outgoing_order, outgoing_rows
from agent.storage.keep.orders_run import Outcome
from agent.storage.keep.outgoing_order import Export, ExportRefused, State

if TYPE_CHECKING:
    from agent.command.order import Order
    from agent.storage.keep.orders_run import Context
    from agent.storage.keep.outgoing_rows import Row

MOST_SPANS = 600
"""Of what is missing, in a reply."""


def weigh_request(context: Context, order: Order) -> Weight:
    """Refuse an order that cannot stand; another purpose than the camera's needs a second signature.

    So does a camera that is configured no more: what it was there for cannot be looked up.
    Provision is the department's (the study's table 2-8); an officer's only in an emergency that has a case.
    Raises  CommandRefused CAMERA_UNKNOWN, COMMAND_ROLE; ExportRefused
    """
    export = _export(order)
    outgoing_order.check(export, context.now)
    if export.camera not in context.catalogue.cameras():
        raise CommandRefused("CAMERA_UNKNOWN", "no such camera")
    departments = any(signer.role is Role.DEPARTMENT for signer in order.signers)
    if not departments and not (export.emergency and export.case):
        raise CommandRefused("COMMAND_ROLE", "an officer hands out only in an emergency, with its case")
    config = context.config() if context.config_file is not None else None
    uplink = config.uplink if config is not None else None
    outgoing_order.check_inside(export, uplink.broker if uplink is not None else None)
    purposes = {camera.id: str(camera.purpose) for camera in config.cameras} if config is not None else {}
    return orders_weight.LIGHT if purposes.get(export.camera) == export.purpose else Weight(2)


def request(context: Context, order: Order) -> Outcome:
    """Take the order: O1. The keeper's turns make the bundle, and the uplink sends it; facts tell of it."""
    taken = outgoing.request(
        context.catalogue, context.vaults, _export(order), context.now, step=context.step
    )
    detail = {
        "export": taken.export.id,
        "segments": taken.segments,
        "sealed_bytes": taken.sealed_bytes,
        "away": taken.away,
        "missing": [[span.start_ms, span.end_ms] for span in taken.missing[:MOST_SPANS]],
    }
    return Outcome(detail=detail)


def weigh_cancel(context: Context, order: Order) -> Weight:
    """Refuse what is no export, or not of a camera of the key's.

    Raises  CommandRefused COMMAND_CAMERA; ExportRefused EXPORT_UNKNOWN
    """
    _row(context, order)
    return orders_weight.LIGHT


def cancel(context: Context, order: Order) -> Outcome:
    """Take an export back, and say what had left: D1. Once the uplink has stopped `export.recalled` says it."""
    export = order.arguments["export"]
    done = outgoing.cancel(
        context.catalogue,
        context.state,
        export,
        context.now,
        by=order.by,
        disk=context.disk,
        step=context.step,
    )
    return Outcome(detail={"export": export, "bytes": done.bytes, "gone_bytes": done.gone_bytes})


def weigh_received(context: Context, order: Order) -> Weight:
    """Refuse what is no export, not of a camera of the key's, or has no bundle yet that could have arrived.

    Raises  CommandRefused COMMAND_CAMERA, EXPORT_NOT_SENT; ExportRefused EXPORT_UNKNOWN
    """
    if _row(context, order).state is State.REQUESTED:
        raise CommandRefused("EXPORT_NOT_SENT", "its bundle is not made yet")
    return orders_weight.LIGHT


def received(context: Context, order: Order) -> Outcome:
    """Note that the centre has an export: D1. The reply says how it stands, also where it was over before."""
    export = order.arguments["export"]
    state = outgoing.received(
        context.catalogue,
        export,
        context.now,
        by=order.by,
        good=order.arguments["good"],
        step=context.step,
    )
    return Outcome(detail={"export": export, "state": str(state)})


def _row(context: Context, order: Order) -> Row:
    row = outgoing_rows.find(context.catalogue, order.arguments["export"])
    if row is None:
        raise ExportRefused("EXPORT_UNKNOWN", "no such export")
    if not order.sees((row.export.camera,)):
        raise CommandRefused("COMMAND_CAMERA", "the key is not for this camera")
    return row


def _export(order: Order) -> Export:
    wanted = order.arguments
    return Export(
        id=order.id,
        camera=wanted["camera"],
        span=Span(wanted["from_ms"], wanted["to_ms"]),
        ground=wanted["ground"],
        purpose=wanted["purpose"],
        recipient=wanted["recipient"],
        authority=wanted["authority"],
        due=wanted["due"],
        to=wanted["to"],
        person=order.by,
        emergency=wanted.get("emergency", False),
        case=wanted.get("case", ""),
    )
