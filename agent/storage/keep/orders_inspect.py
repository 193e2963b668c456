"""`inspect`: what the box knows of the yearly self-inspection, as one JSON that the box's key signs.

Items by the numbers of art. 48 of the Standard Guideline: 3 which devices run, 4 what was collected, provided and
destroyed, 5 contractors (their keys), 6 requests of persons in the pictures (holds on their ground), 7 technical
measures. Items 1, 2 and 8 are for people to answer. No address, no password and no picture is in it.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from agent import __version__
from agent.command.keyring import Role
from agent.config import ConfigProblems
from agent.errors import IntegrityFault, StorageFault
from agent.model import canonical_json
from agent.storage.catalogue import LIVE
from agent.storage.keep import hold_rows
from agent.storage.keep.orders_files import is_locked_down
from agent.storage.keep.orders_keys import recipient_id
from agent.storage.keep.orders_run import Outcome
from agent.storage.proof import checkpoints

if TYPE_CHECKING:
    from agent.command.order import Order
    from agent.config import Config
    from agent.storage.keep.orders_run import Context

MOST = 100
TITLE = "pasu-inspection"

log = logging.getLogger("pasu.keep")


def inspect(context: Context, order: Order) -> Outcome:  # noqa: ARG001 - the form of all handlers
    """Return the inspection and the note that signs it: title, box, SHA-256 of its canonical JSON."""
    _sign_head(context)
    body = inspection(context)
    digest = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    detail: dict[str, Any] = {"inspection": body}
    if context.key is not None:
        detail["note"] = context.key.sign(f"{TITLE}\n{context.box}\n{digest}\n")
    return Outcome(detail=detail)


def _sign_head(context: Context) -> None:
    """Let the ledger's signed head stand for all of it now: whoever inspects wants to see that it is whole.

    A ledger that cannot be signed is a condition of the keeper's, and part of what is inspected.
    """
    if context.key is None:
        return
    try:
        checkpoints.advance(
            context.catalogue, context.key, [*context.vaults.values()], context.state, context.now, force=True
        )
    except IntegrityFault as error:
        log.warning("the ledger is not signed: %s", error)
    except StorageFault as error:
        if error.code.startswith("CATALOGUE"):
            raise
        log.warning("the ledger is not signed: %s", error)


def inspection(context: Context) -> dict[str, Any]:
    """Gather it."""
    try:
        config = context.config() if context.config_file is not None else None
    except ConfigProblems:
        config = None
    status = context.clock.status()
    return {
        "v": 1,
        "box": context.box,
        "at_ms": context.now.utc_ms,
        "trust": str(context.now.trust),
        "version": __version__,
        "3_devices": _devices(config),
        "4_collected": _collected(context),
        "5_contractors": _keys(context, {Role.TECHNICIAN}),
        "6_requests": _holds(context, "access-request"),
        "7_measures": {
            "recipients": [recipient_id(each) for each in context.ring.recipients],
            "ring": {"epoch": context.ring.epoch, "issued_ms": context.ring.issued_ms},
            "keys": _keys(context, {*Role} - {Role.TECHNICIAN}),
            "ledger": _ledger(context),
            "clock": {"state": str(status.state), "reason": str(status.reason)},
            "lockdown": is_locked_down(context.state),
            "plaintext_cameras": _plaintext(config),
            "conditions": [[each.code, each.subject] for each in context.conditions][:MOST],
        },
    }


def _devices(config: Config | None) -> dict[str, Any] | None:
    """Name what a notice board names (art. 39): purpose, basis, who is responsible."""
    if config is None:
        return None
    cameras = [
        {
            "id": camera.id,
            "name": camera.name,
            "purpose": str(camera.purpose),
            "legal_basis": camera.legal_basis,
            "view": camera.view,
            "retention_days": camera.retention_days,
            "hours": [str(each) for each in camera.hours],
        }
        for camera in config.cameras[:MOST]
    ]
    return {
        "site": config.box.site,
        "operator": config.box.operator,
        "contact": config.box.contact,
        "contractor": config.box.contractor,
        "cameras": cameras,
    }


def _collected(context: Context) -> dict[str, Any]:
    catalogue = context.catalogue
    count, sealed, oldest_ms = catalogue.read(
        f"SELECT COUNT(*), COALESCE(SUM(sealed_bytes), 0), MIN(start_ms) FROM segment WHERE {LIVE}"  # noqa: S608 - constants
    )[0]
    confirmed = catalogue.read(
        "SELECT at_ms, body FROM ledger WHERE kind = 'retention.confirmed' ORDER BY seq DESC LIMIT 1"
    )
    exports = catalogue.read(
        "SELECT COUNT(*), SUM(destroyed_ms IS NULL) FROM export WHERE state IN ('received', 'unconfirmed')"
    )[0]
    return {
        "segments": count,
        "sealed_bytes": sealed,
        "oldest_ms": oldest_ms,
        "retention_confirmed": {"at_ms": confirmed[0][0], "body": confirmed[0][1]} if confirmed else None,
        "holds": _holds(context),
        "exports": exports[0],
        "exports_not_destroyed": exports[1] or 0,
    }


def _holds(context: Context, ground: str | None = None) -> dict[str, Any]:
    holds = [hold for hold in hold_rows.holds(context.catalogue) if ground in (None, hold.ground)]
    listed = [[hold.id, hold.ground, hold.review_ms] for hold in holds[:MOST]]
    return {"active": len(holds), "listed": listed}


def _keys(context: Context, roles: set[Role]) -> list[list[Any]]:
    """Return who may what now: holder, role, key, until when."""
    ring, now_ms = context.ring, context.now.utc_ms
    return [
        [key.holder, str(key.role), key.kid, key.until_ms]
        for key in ring.keys
        if key.role in roles and key.kid not in ring.revoked and key.until_ms > now_ms
    ][:MOST]


def _ledger(context: Context) -> dict[str, Any]:
    catalogue = context.catalogue
    newest = catalogue.read("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1")
    return {
        "id": catalogue.meta("ledger"),
        "entries": newest[0][0] if newest else 0,  # the head stands for these; recorders write on meanwhile
        "checkpoint": newest[0][1] if newest else None,
    }


def _plaintext(config: Config | None) -> list[str] | None:
    """Return cameras whose pictures come over the line unencrypted: a finding, by art. 47."""
    if config is None:
        return None
    return [
        camera.id
        for camera in config.cameras
        if camera.url.partition(":")[0].lower() in ("rtsp", "http", "udp")
    ][:MOST]
