"""The commands about live streams: who may see which camera, for how long (duties: art. 20, 28, section 5-2-2; H9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.command.errors import CommandRefused
from agent.command.judge import Weight
from agent.command.keyring import Role
from agent.config.values import SourceKind
from agent.errors import ConfigError
from agent.grants import MONITORING, Kind, may_be_added
from agent.model import Fact
from agent.storage.keep import orders_weight, shown_rows, standing, streams
from agent.storage.keep.hold import EDITION, GROUNDS
from agent.storage.keep.orders_run import Outcome

if TYPE_CHECKING:
    from agent.command.order import Order
    from agent.config import Config
    from agent.storage.keep.orders_run import Context
    from agent.storage.keep.shown_rows import Shown

MOST_TOLD = 120
"""Of what is shown in one reply, which is short of 60 KiB by that."""


def weigh_grant(context: Context, order: Order) -> Weight:
    """Refuse a grant that cannot stand; another purpose than the camera's needs a second signature (art. 26(3)).

    An operator grants to nobody but himself; that his key is for the camera was asked before (H9).
    Raises  CommandRefused STREAM_NOT_CONFIGURED, CAMERA_UNKNOWN, STREAM_SOURCE, COMMAND_ROLE, STREAM_GROUND,
            STREAM_BUSY
    """
    wanted = order.arguments
    config = config_of(context)
    camera = config.camera(wanted["camera"])
    if camera is None:
        raise CommandRefused("CAMERA_UNKNOWN", "no such camera")
    if camera.kind is not SourceKind.RTSP:
        raise CommandRefused("STREAM_SOURCE", "only RTSP cameras can be shown live")
    first = order.signers[0]
    if first.role is Role.OPERATOR and wanted["operator"] != first.holder:
        raise CommandRefused("COMMAND_ROLE", "an operator grants to himself alone", reason="operator")
    same = str(camera.purpose) == wanted["purpose"]
    if wanted["ground"] not in GROUNDS and not (wanted["ground"] == MONITORING and same):
        raise CommandRefused("STREAM_GROUND", "no such ground for this purpose")
    open_ = [
        row.camera
        for row in shown_rows.open_rows(context.catalogue)
        if row.order is not None and row.is_in_force
    ]
    if not may_be_added(open_, wanted["camera"]):
        raise CommandRefused("STREAM_BUSY", "as many cameras are shown as may be at a time")
    return orders_weight.LIGHT if same else Weight(2)


def grant(context: Context, order: Order) -> Outcome:
    """Do V1; the keeper's turns do the rest. The second time the row knows: nothing is granted for longer."""
    wanted, note = order.arguments, context.note
    if note is None:
        camera = config_of(context).camera(wanted["camera"])
        if camera is None:
            raise CommandRefused("CAMERA_UNKNOWN", "no such camera")
        minutes_ms, now_boot_ms = wanted["minutes"] * 60_000, int(context.mono_s * 1000)
        note = shown_rows.note_of(
            Kind.ORDER,
            camera,
            context.clock.boot_id,
            now_boot_ms,
            now_boot_ms + minutes_ms,
            until_ms=context.now.utc_ms + minutes_ms,
        )
        fact = Fact("stream.granted", context.now, _body(order, note))
        context.remember(order, note, fact)
        context.step("V1")
    return Outcome(detail={"grant": order.id, "camera": note["camera"], "until_ms": note["until_ms"]})


def weigh_revoke(context: Context, order: Order) -> Weight:
    """Refuse what is no grant, or not of a camera of the key's.

    Raises  CommandRefused STREAM_UNKNOWN, COMMAND_CAMERA
    """
    row = shown_rows.find(context.catalogue, order.arguments["grant"])
    if row is None:
        raise CommandRefused("STREAM_UNKNOWN", "no such grant, or it is over")
    if not order.sees((row.camera,)):
        raise CommandRefused("COMMAND_CAMERA", "the key is not for this camera")
    return orders_weight.LIGHT


def revoke(context: Context, order: Order) -> Outcome:
    """Do V4 for one grant, and say how many bytes had left (art. 28(2)). The fact of its end comes with V5.

    One that the configuration selects stays off until its table changes, or its next hours begin, or the next Korean
    day where it has none; one of a trigger for as long as it would have been shown; one of a disaster while that lasts.
    """
    name = order.arguments["grant"]
    row = shown_rows.find(context.catalogue, name)
    if row is not None and row.is_in_force:
        body = {
            "grant": name,
            "camera": row.camera,
            "by": order.by,
            "reason": order.arguments["reason"],
        }
        row.note.update(ended="revoked", ended_boot_ms=int(context.mono_s * 1000))
        if row.kind is Kind.CONFIGURATION:
            row.note["window_ms"] = _window_ms(context, row)
        shown_rows.change(context.catalogue, row, [Fact("stream.revoked", context.now, body)])
    streams.take_back(context.state, context.disk, name)
    context.step("V4")
    report = streams.report_of(context.state, context.disk, name)
    return Outcome(detail={"grant": name, "sent_bytes": report.sent_bytes if report is not None else 0})


def _window_ms(context: Context, row: Shown) -> int | None:
    """Return when the hours began in which a selected camera is revoked; None: nobody knows the time."""
    try:
        wanted = standing.selected(context.config(), context.now)[0].get(row.source)
    except ConfigError:  # one that cannot be read keeps nobody from revoking
        wanted = None
    return wanted.window_ms if wanted is not None else row.note["window_ms"]


def streams_now(context: Context, order: Order) -> Outcome:
    """Say what is shown, of the cameras that the key is for: by whose order, or why else."""
    rows = [
        row
        for row in shown_rows.open_rows(context.catalogue)
        if row.is_in_force and order.sees((row.camera,))
    ]
    detail: dict[str, Any] = {"streams": [_told(context, row) for row in rows[:MOST_TOLD]]}
    if len(rows) > MOST_TOLD:
        detail["more"] = len(rows) - MOST_TOLD
    return Outcome(detail=detail)


def _told(context: Context, row: Shown) -> dict[str, Any]:
    report = streams.report_of(context.state, context.disk, row.id)
    wanted = row.order.arguments if row.order is not None else {}
    return {
        "grant": row.id,
        "kind": str(row.kind),
        "source": row.source,
        "camera": row.camera,
        "centre": row.note["centre"],
        "operator": wanted.get("operator", ""),
        "purpose": wanted.get("purpose", ""),
        "ground": wanted.get("ground", ""),
        "by": row.order.by if row.order is not None else "",
        "until_ms": row.note["until_ms"],
        "stage": str(report.stage) if report is not None else "waiting",
        "reason": report.reason if report is not None else "",
        "sent_bytes": report.sent_bytes if report is not None else 0,
    }


def config_of(context: Context) -> Config:
    """Return the configuration of a box that shows cameras live. Raises CommandRefused STREAM_NOT_CONFIGURED."""
    config = context.config() if context.config_file is not None else None
    if config is None or config.uplink is None or config.uplink.media is None:
        raise CommandRefused("STREAM_NOT_CONFIGURED", "the box has no media server")
    return config


def _body(order: Order, note: dict[str, Any]) -> dict[str, Any]:
    wanted = order.arguments
    return {
        "grant": order.id,
        "kind": str(Kind.ORDER),
        "camera": wanted["camera"],
        "centre": note["centre"],
        "operator": wanted["operator"],
        "purpose": wanted["purpose"],
        "ground": wanted["ground"],
        "grounds": EDITION,
        "minutes": wanted["minutes"],
        "until_ms": note["until_ms"],
        "person": order.by,
    }
