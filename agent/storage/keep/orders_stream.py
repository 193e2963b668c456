"""The commands about live streams: who may see which camera, for how long (duties: art. 20, 28, section 5-2-2; H9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.command.errors import CommandRefused
from agent.command.judge import Weight
from agent.command.keyring import Role
from agent.config.values import SourceKind
from agent.grants import MONITORING, may_be_added
from agent.model import Fact
from agent.storage.keep import orders_rows, orders_weight, streams
from agent.storage.keep.hold import EDITION, GROUNDS
from agent.storage.keep.orders_run import Outcome

if TYPE_CHECKING:
    from agent.command.order import Order
    from agent.config import Config
    from agent.storage.keep.orders_rows import Row
    from agent.storage.keep.orders_run import Context


def weigh_grant(context: Context, order: Order) -> Weight:
    """Refuse a grant that cannot stand; another purpose than the camera's needs a second signature (art. 26(3)).

    An operator grants to nobody but himself; that his key is for the camera was asked before (H9).
    Raises  CommandRefused STREAM_NOT_CONFIGURED, CAMERA_UNKNOWN, STREAM_SOURCE, COMMAND_ROLE, STREAM_GROUND,
            STREAM_BUSY
    """
    wanted = order.arguments
    config = _config(context)
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
    if not may_be_added((_camera(row) for row in _open(context)), wanted["camera"]):
        raise CommandRefused("STREAM_BUSY", "as many cameras are shown as may be at a time")
    return orders_weight.LIGHT if same else Weight(2)


def grant(context: Context, order: Order) -> Outcome:
    """Do V1; the keeper's turns do the rest. The second time the row knows: nothing is granted for longer."""
    wanted, note = order.arguments, context.note
    if note is None:
        camera = _config(context).camera(wanted["camera"])
        minutes_ms = wanted["minutes"] * 60_000
        until_boot_ms = int(context.mono_s * 1000) + minutes_ms
        note = {
            "camera": wanted["camera"],
            "boot": context.clock.boot_id,
            "until_boot_ms": until_boot_ms,
            "until_ms": context.now.utc_ms + minutes_ms,
            "has_sub": camera is not None and camera.sub_url is not None,
            "started": False,
            "ended": "",
            "ended_boot_ms": 0,
            "over": False,
        }
        fact = Fact("stream.granted", context.now, _body(order, note))
        context.remember(order, note, fact)
        context.step("V1")
    return Outcome(detail={"grant": order.id, "camera": note["camera"], "until_ms": note["until_ms"]})


def weigh_revoke(context: Context, order: Order) -> Weight:
    """Refuse what is no grant, or not of a camera of the key's.

    Raises  CommandRefused STREAM_UNKNOWN, COMMAND_CAMERA
    """
    row = _find(context, order.arguments["grant"])
    if row is None:
        raise CommandRefused("STREAM_UNKNOWN", "no such grant, or it is over")
    if not order.sees((_camera(row),)):
        raise CommandRefused("COMMAND_CAMERA", "the key is not for this camera")
    return orders_weight.LIGHT


def revoke(context: Context, order: Order) -> Outcome:
    """Do V4 for one grant, and say how many bytes had left (art. 28(2)). The fact of its end comes with V5."""
    name = order.arguments["grant"]
    row = _find(context, name)
    detail: dict[str, Any] = {"grant": name, "sent_bytes": 0}
    if row is not None:
        report = streams.report_of(context.state, context.disk, name)
        detail["sent_bytes"] = report.sent_bytes if report is not None else 0
        if not (row.note or {})["ended"]:
            body = {
                "grant": name,
                "camera": _camera(row),
                "by": order.by,
                "reason": order.arguments["reason"],
            }
            note = streams.revoked(row, int(context.mono_s * 1000))
            orders_rows.change(
                context.catalogue, name, [Fact("stream.revoked", context.now, body)], note=note
            )
    streams.take_back(context.state, context.disk, name)
    context.step("V4")
    return Outcome(detail=detail)


def streams_now(context: Context, order: Order) -> Outcome:
    """Say which grants are in force, of the cameras that the key is for."""
    found = []
    for row in _open(context):
        camera, wanted = _camera(row), row.order.arguments
        if not order.sees((camera,)):
            continue
        report = streams.report_of(context.state, context.disk, row.order.id)
        found.append(
            {
                "grant": row.order.id,
                "camera": camera,
                "operator": wanted["operator"],
                "purpose": wanted["purpose"],
                "ground": wanted["ground"],
                "by": row.order.by,
                "until_ms": (row.note or {})["until_ms"],
                "stage": str(report.stage) if report is not None else "waiting",
                "reason": report.reason if report is not None else "",
                "sent_bytes": report.sent_bytes if report is not None else 0,
            }
        )
    return Outcome(detail={"streams": found})


def _config(context: Context) -> Config:
    """Return the configuration of a box that shows cameras live. Raises CommandRefused STREAM_NOT_CONFIGURED."""
    config = context.config() if context.config_file is not None else None
    if config is None or config.uplink is None or config.uplink.media is None:
        raise CommandRefused("STREAM_NOT_CONFIGURED", "the box has no media server")
    return config


def _open(context: Context) -> list[Row]:
    """Return the grants that are in force."""
    return [row for row in orders_rows.shown(context.catalogue) if not (row.note or {})["ended"]]


def _find(context: Context, name: str) -> Row | None:
    """Return a grant that is not over, by its id or that of the order that was countersigned."""
    rows = orders_rows.shown(context.catalogue)
    return next((row for row in rows if row.order.id == name), None)


def _camera(row: Row) -> str:
    return str((row.note or {})["camera"])


def _body(order: Order, note: dict[str, Any]) -> dict[str, Any]:
    wanted = order.arguments
    return {
        "grant": order.id,
        "camera": wanted["camera"],
        "operator": wanted["operator"],
        "purpose": wanted["purpose"],
        "ground": wanted["ground"],
        "grounds": EDITION,
        "minutes": wanted["minutes"],
        "until_ms": note["until_ms"],
        "person": order.by,
    }
