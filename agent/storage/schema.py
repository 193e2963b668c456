"""The catalogue's tables, made and migrated by the short-lived process that runs before any recorder.

sqlite-utils is imported inside: it costs 25 MB, which a recorder does not carry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

APPLICATION_ID = 0x50415355
"""ASCII "PASU", in the database's header: says whose file it is, also to file(1)."""


PRESENT = "state NOT IN ('GONE', 'LOST')"
"""Of a segment whose file should be there. SQLite uses a partial index for a query that says just these words."""
COVERING = "cause != 'stream_damaged'"
"""Of a gap that covers its span; damage lies inside a segment, which may not have become durable."""
LISTED = (
    "end_ms", "state", "vault", "sealed_bytes", "run", "codec", "width", "height", "frames", "path"
)  # fmt: skip
"""Columns of a segment that lists show, beside camera and start. A day of one camera is then read from some 70 pages of
the index, and not from 1,440 of the table. Measured with 40 cameras and 12 days, the 99th percentile of a day's query:
12 ms instead of 171 where nothing was read before (0.3 MB from the disk instead of 21), else 5 instead of 8; for 164
bytes a row, a fifth of the file, and 4 % of the processor time of a commit."""
LONG_MS = 600_000
"""Longer is rare: a segment is cut before that, but an outage may last for days."""


def _first(db: Any) -> None:
    db["meta"].create({"key": str, "value": str}, pk="key", not_null={"value"})
    db["vault"].create(
        {"uuid": str, "path": str, "created_ms": int}, pk="uuid", not_null={"path", "created_ms"}
    )
    db["camera"].create({"id": str, "first_seen_ms": int}, pk="id", not_null={"first_seen_ms"})
    segment = {
        "id": int,
        "vault": str,
        "camera": str,
        "run": str,
        "path": str,
        "start_ms": int,
        "end_ms": int,
        "trust": str,
        "codec": str,
        "width": int,
        "height": int,
        "time_base_hz": int,
        "frames": int,
        "plain_bytes": int,
        "sealed_bytes": int,
        "sha256": str,
        "keyframe_start": int,
        "state": str,
        "has_tail": int,
    }
    db["segment"].create(
        segment,
        pk="id",
        not_null=set(segment) - {"id"},
        foreign_keys=[("vault", "vault", "uuid"), ("camera", "camera", "id")],
    )
    # Paths are relative to their vault, so two vaults may hold the same one. After the clock was set back a
    # new segment may bear the name of one that was erased.
    db.execute("CREATE UNIQUE INDEX idx_segment_vault_path ON segment (vault, path) WHERE state != 'GONE'")
    gap = {
        "id": int,
        "camera": str,
        "start_ms": int,
        "end_ms": int,
        "cause": str,
        "detail": str,
        "trust": str,
    }
    db["gap"].create(gap, pk="id", not_null=set(gap) - {"id"}, foreign_keys=[("camera", "camera", "id")])
    # The rows of a camera lie among those of all others, one to a page: what is listed of them stands in the index.
    listed = ["camera", "start_ms", *LISTED]
    db["segment"].create_index(listed, index_name="idx_segment_camera_start_ms")
    db["gap"].create_index(["camera", "start_ms"])
    for table in ("segment", "gap"):
        db[table].create_index(["camera", "end_ms"])
    ledger = {"seq": int, "at_ms": int, "trust": str, "kind": str, "body": str}
    db["ledger"].create(ledger, pk="seq", not_null=set(ledger) - {"seq"})
    db["ledger"].create_index(["kind", "seq"])


def _keep(db: Any) -> None:
    """What keeping needs: when a segment's retention begins, why it goes, holds, and the tree over the ledger."""
    # kept_from_ms: the age of a segment counts from here. NULL while its time is not to be relied on: such a
    # segment is too old for nobody. A label from a clock that was wrong must never erase.
    db["segment"].add_column("kept_from_ms", int)
    db["segment"].add_column("relabelled_from_ms", int)  # the start it was first recorded under
    db["segment"].add_column(
        "cause", str, not_null_default=""
    )  # EXPIRED, EVICTED, REQUESTED; why it is condemned
    db["segment"].add_column("condemned_ms", int)
    db["segment"].add_column("gone_ms", int)
    db["gap"].add_column("relabelled_from_ms", int)
    db.execute("UPDATE segment SET kept_from_ms = start_ms WHERE trust != 'UNTRUSTED'")
    live = "WHERE state IN ('COMMITTED', 'SALVAGED')"
    # Both by vault: a disk that is short, or away, is a matter of its own.
    db.execute(f"CREATE INDEX idx_segment_kept ON segment (vault, camera, kept_from_ms) {live}")
    late = f"{live} AND kept_from_ms != start_ms"
    db.execute(f"CREATE INDEX idx_segment_kept_late ON segment (vault, camera, kept_from_ms) {late}")
    db.execute(f"CREATE INDEX idx_segment_unsettled ON segment (id) {live} AND kept_from_ms IS NULL")
    db.execute(
        "CREATE INDEX idx_gap_unsettled ON gap (id) WHERE trust = 'UNTRUSTED' AND relabelled_from_ms IS NULL"
    )
    db.execute("CREATE INDEX idx_segment_condemned ON segment (id) WHERE state = 'CONDEMNED'")
    db.execute("CREATE INDEX idx_segment_gone_ms ON segment (gone_ms) WHERE state = 'GONE'")
    # The file of a lost segment is gone, or in quarantine: its name is as free as that of an erased one.
    db.execute("DROP INDEX idx_segment_vault_path")
    db.execute(f"CREATE UNIQUE INDEX idx_segment_vault_path ON segment (vault, path) WHERE {PRESENT}")
    # What overlaps a span begins within it, or less than LONG_MS before it, or is one of these few.
    for table in ("segment", "gap"):
        db.execute(
            f"CREATE INDEX idx_{table}_long ON {table} (camera, end_ms, start_ms) WHERE end_ms - start_ms > {LONG_MS}"
        )
    db.execute("CREATE INDEX idx_segment_lost ON segment (vault, path) WHERE state = 'LOST'")
    # How far a camera is covered; see Catalogue.covered_until.
    db.execute("DROP INDEX idx_gap_camera_end_ms")
    db.execute(f"CREATE INDEX idx_gap_covering ON gap (camera, end_ms) WHERE {COVERING}")
    hold = {
        "id": str,
        "from_ms": int,
        "to_ms": int,
        "ground": str,
        "grounds": int,  # which edition of the table of grounds names it
        "authority": str,
        "review_ms": int,
        "placed_ms": int,
        "trust": str,
        "placed_by": str,
        "released_ms": int,
        "release_reason": str,
        "linked_id": int,  # every segment up to here that it covers has its link; NULL: look at all of them
        "reminded_day": str,
    }
    optional = {"id", "released_ms", "release_reason", "linked_id", "reminded_day"}
    db["hold"].create(hold, pk="id", not_null=set(hold) - optional)
    db["hold_camera"].create(
        {"hold": str, "camera": str}, pk=("hold", "camera"), foreign_keys=[("hold", "hold", "id")]
    )
    db["hold_camera"].create_index(["camera"])
    db["hold_segment"].create(
        {"hold": str, "segment": int, "path": str},  # path: of the link, relative to the vault
        pk=("hold", "segment"),
        not_null={"path"},
        foreign_keys=[("hold", "hold", "id"), ("segment", "segment", "id")],
    )
    db["hold_segment"].create_index(["segment"])
    # One row for each complete block of 256 entries of the ledger. nodes: the RFC 6962 hashes of the complete
    # subtrees that end with it, its own first; leaves: its leaf hashes, once entries of it were let go.
    db["tree"].create({"block": int, "nodes": bytes, "leaves": bytes}, pk="block", not_null={"nodes"})
    db["checkpoint"].create(
        {"size": int, "at_ms": int, "root": bytes, "note": str},
        pk="size",
        not_null={"at_ms", "root", "note"},
    )
    # Names this ledger: one that is begun anew after a catalogue was lost is another one.
    db.execute("INSERT INTO meta (key, value) VALUES ('ledger', lower(hex(randomblob(8))))")


def _outgoing(db: Any) -> None:
    """What exports need: their terms and what became of them, and which segments they link."""
    export = {
        "id": str,
        "camera": str,
        "from_ms": int,
        "to_ms": int,
        "ground": str,
        "purpose": str,
        "recipient": str,
        "authority": str,
        "due": str,
        "destination": str,  # of a column, "to" would have to be quoted
        "person": str,
        "emergency": int,
        "case_name": str,
        "grounds": int,
        "state": str,
        "requested_ms": int,
        "trust": str,
        "claim": int,
        "bundled_ms": int,
        "expires_ms": int,
        "files": int,
        "bytes": int,
        "gone_bytes": int,
        "closed_ms": int,
        "code": str,
        "recalled": int,
        "cleared": int,
        "destroyed_ms": int,
    }
    optional = {"id", "claim", "bundled_ms", "closed_ms", "destroyed_ms"}
    db["export"].create(export, pk="id", not_null=set(export) - optional)
    # Not bound to `segment`: a bundle tells of its segments also when their rows are let go.
    segment = {
        "export": str,
        "segment": int,
        "vault": str,
        "path": str,
        "file": str,
        "start_ms": int,
        "end_ms": int,
        "sha256": str,
        "sealed_bytes": int,
        "has_tail": int,
        "has_link": int,
    }
    db["export_segment"].create(
        segment,
        pk=("export", "segment"),
        not_null=set(segment) - {"export", "segment"},
        foreign_keys=[("export", "export", "id")],
    )
    db["export_segment"].create_index(["segment"])


def _commands(db: Any) -> None:
    """What carrying out commands needs: each that was accepted, and which numbers of which key are used."""
    command = {
        "id": str,
        "order_id": str,  # of the first signature, where there are two
        "command": str,
        "jws": str,
        "signers": str,
        "state": str,  # DELAYED, RUNNING, ENDED (its reply is still to be written), ANSWERED
        "accepted_ms": int,
        "trust": str,
        "due_ms": int,  # when a delayed one runs
        "erasable_ms": int,  # stored time that it lets go early
        "told": int,  # its first reply is written
        "tries": int,  # starts of the keeper that took it up again
        "note": str,  # what its handler must know after a crash
        "outcome": str,
    }
    db["command"].create(command, pk="id", not_null=set(command) - {"id", "due_ms", "note", "outcome"})
    db.execute("CREATE INDEX idx_command_open ON command (state) WHERE state != 'ANSWERED'")
    db["command"].create_index(["accepted_ms"])
    db["command_counter"].create({"kid": str, "mark": int, "open": str}, pk="kid", not_null={"mark", "open"})


def _streams(db: Any) -> None:
    """What live streams need that no command grants one by one: see agent/storage/keep/shown_rows.py."""
    stream = {
        "id": str,
        "kind": str,
        "source": str,  # the order of the disaster mode, "camera@centre" of the configuration, the trigger's id
        "camera": str,
        "note": str,
        "over": int,
    }
    db["stream"].create(stream, pk="id", not_null=set(stream) - {"id"})
    db["stream"].create_index(["kind", "source", "camera"])
    db.execute("CREATE INDEX idx_stream_open ON stream (over) WHERE over = 0")
    # Live streams by order are looked for each second, among a week's acknowledgements.
    db["command"].create_index(["command"])


MIGRATIONS: tuple[Callable[[Any], None], ...] = (_first, _keep, _outgoing, _commands, _streams)
"""Each brings the schema from its place's number to the next; `PRAGMA user_version` counts those that were
done.
"""

VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables from `version` to VERSION, all or nothing.

    connection  in autocommit mode; Raises sqlite3.Error
    """
    import sqlite_utils

    db = sqlite_utils.Database(connection)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version:]:
            step(db)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
