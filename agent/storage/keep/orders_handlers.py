"""Which handler carries out which command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.storage.keep import (
    orders_cancel,
    orders_config,
    orders_delete,
    orders_disaster,
    orders_erasure,
    orders_export,
    orders_hold,
    orders_inspect,
    orders_keys,
    orders_ledger,
    orders_locate,
    orders_pass,
    orders_stream,
)
from agent.storage.keep.orders_run import Handler

if TYPE_CHECKING:
    from collections.abc import Mapping

HANDLERS: Mapping[str, Handler] = {
    "hold.place": Handler(orders_hold.place, orders_hold.weigh_place),
    "hold.release": Handler(orders_hold.release, orders_hold.weigh_release),
    "delete.subject": Handler(orders_delete.delete, orders_delete.weigh),
    "segments.locate": Handler(orders_locate.locate, orders_locate.weigh),
    "export.request": Handler(orders_export.request, orders_export.weigh_request),
    "export.cancel": Handler(orders_export.cancel, orders_export.weigh_cancel),
    "export.received": Handler(orders_export.received, orders_export.weigh_received),
    "stream.grant": Handler(orders_stream.grant, orders_stream.weigh_grant),
    "stream.revoke": Handler(orders_stream.revoke, orders_stream.weigh_revoke),
    "disaster.start": Handler(orders_disaster.start, orders_disaster.weigh_start),
    "disaster.stop": Handler(orders_disaster.stop, orders_disaster.weigh_stop),
    "streams": Handler(orders_stream.streams_now),
    "config.propose": Handler(orders_config.propose, orders_config.weigh),
    "pass.issue": Handler(orders_pass.issue, orders_pass.weigh_issue),
    "pass.revoke": Handler(orders_pass.revoke, orders_pass.weigh_revoke),
    # A moment later it is another time: after a crash it must be confirmed anew.
    "time.confirm": Handler(orders_ledger.confirm_time, again=False),
    "key.revoke": Handler(orders_keys.revoke, orders_keys.weigh_revoke),
    "ring.replace": Handler(orders_keys.replace, orders_keys.weigh_replace),
    "lockdown": Handler(orders_keys.lockdown, orders_keys.weigh_lockdown),
    "erasure.confirm": Handler(orders_erasure.confirm, orders_erasure.weigh),
    "inspect": Handler(orders_inspect.inspect),
    "ledger.acknowledge": Handler(orders_ledger.acknowledge),
    "facts.resend": Handler(orders_ledger.resend),
    "command.cancel": Handler(orders_cancel.cancel, orders_cancel.weigh),
}
