"""What the checks of the state directory and the vault look at, by the user that owns them. Edge; it judges nothing."""

from __future__ import annotations

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agent.clock import SystemSource
from agent.command import ring
from agent.errors import IntegrityFault, StorageFault
from agent.field.doctor.judge_way import StoredLook
from agent.forks import as_owner
from agent.model import Trust
from agent.storage import exchange
from agent.storage.catalogue import LIVE, Catalogue
from agent.storage.envelope.header import parse_header
from agent.storage.files import Disk
from agent.storage.keep.time import published
from agent.trust import HOLDOVER_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config import Config
    from agent.model import Fact

HEADER_BYTES = 64 << 10
DAY_MS = 86_400_000


def ledger(config: Config, now_ms: int) -> dict[str, Any]:
    """Ask the catalogue what the checks need of it.

    Returns  uninvited: by camera, how often in a day it sent what was not asked for; command_ms: when the last command
             was accepted, None for never; reply_ms: when the oldest answer was given that waits to be sent, None for
             none; stored: by camera, of its newest segment, as `StoredLook`
    Raises   StorageFault
    """
    with closing(Catalogue.open(config.storage.state, read_only=True)) as catalogue:
        counts = catalogue.read(
            "SELECT json_extract(body, '$.camera'), count(*) FROM ledger"
            " WHERE kind = 'camera.uninvited_data' AND at_ms > ? GROUP BY 1",
            (now_ms - DAY_MS,),
        )
        ((command_ms,),) = catalogue.read("SELECT max(at_ms) FROM ledger WHERE kind = 'command.accepted'")
        newest = {
            camera.id: catalogue.read(
                f"SELECT vault, path, end_ms FROM segment WHERE camera = ? AND {LIVE}"  # noqa: S608 - a constant
                " ORDER BY start_ms DESC LIMIT 1",
                (camera.id,),
            )
            for camera in config.cameras
        }
        known = catalogue.vaults()
    stored = {}
    for camera, rows in newest.items():
        stored[camera] = ["", 0, "", 0]
        for vault, path, end_ms in rows:
            stored[camera] = [path, *_sealed(config, known.get(vault, ""), path), end_ms]
    reply_ms = exchange.oldest_reply_ms(config.storage.state)
    return {"uninvited": dict(counts), "command_ms": command_ms, "reply_ms": reply_ms, "stored": stored}


def stored_look(said: list[Any]) -> StoredLook:
    """Read back what `ledger` says of a camera's newest segment."""
    return StoredLook(str(said[0]), int(said[1]), str(said[2]), int(said[3]))


def _sealed(config: Config, vault: str, path: str) -> tuple[int, str]:
    """Return how many keys a segment's header names, and the code of what is wrong with it."""
    disk = Disk()
    place = next((each for each in config.storage.vaults if str(each.absolute()) == vault), None)
    if place is None:
        return 0, "DISK_MISSING"
    file = place / path
    try:
        fd = disk.open_reading(file)
        try:
            start = disk.read_at(fd, file, HEADER_BYTES, 0)
        finally:
            disk.close(fd)
        return len(parse_header(start).stanzas), ""
    except (StorageFault, IntegrityFault) as fault:
        return 0, fault.code


def word_until(config: Config) -> int | None:
    """Return until when the time is trusted by somebody's word, UTC ms; None where it does not stand by one.

    It is of this boot: a start ends it.
    """
    belief = published(config.storage.state)
    if belief is None or belief.state is Trust.UNTRUSTED or belief.anchor is None:
        return None
    anchor = belief.anchor
    if anchor.source != "named" or anchor.boot_id != SystemSource().boot_id():
        return None
    return anchor.utc_ms + HOLDOVER_MS


def recipients(config: Config) -> list[str]:
    """Return the fingerprints of the recipients in the configuration, as the recorder writes them."""
    return [sha256(each.encode()).hexdigest()[:16] for each in config.storage.recipients]


def sealed_to(config: Config) -> list[str]:
    """Return the keys that recordings are sealed to: the centre's ring of a box that is enrolled, else the file's.

    Raises  IntegrityFault
    """
    found = ring.load(config.storage.state)
    return list(found.recipients if found is not None else config.storage.recipients)


def tell(config: Config, fact: Callable[[], Fact]) -> bool:
    """Write a fact into the ledger; tell whether there was one. Raises StorageFault."""

    def write() -> bool:
        try:
            with closing(Catalogue.open(config.storage.state)) as catalogue:
                catalogue.add_fact(fact())
        except StorageFault as fault:
            if fault.code == "CATALOGUE_MISSING":
                return False
            raise
        return True

    return bool(as_owner(config.storage.state, write))
