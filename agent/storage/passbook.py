"""Where keep, the page and whoever issues passes meet: a folder with three folders, each with one writer.

    <page>/passes/<8 hex>.json   written by `pasu pass`, as the user of the state directory; the page reads
    <page>/passes/visits.json    by keep: who came last, for the page to show
    <page>/visits/<16 hex time>-<8 hex>.json   by the page, a word each; removed by keep
    <page>/own/                  the page's alone: its certificate, and which passes were used

A file appears whole, by a rename. What else lies there is left alone.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from typing import TYPE_CHECKING, Any

from agent import passes
from agent.errors import StorageFault
from agent.language import say
from agent.passes import What
from agent.storage.files import Disk, exists, read_small

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.passes import Pass, Word

PASSES, VISITS, OWN = "passes", "visits", "own"
SEEN = "visits.json"
READ_MODE = 0o640
"""Of what the page's group reads; the folder hands its group on (docs/formats.md)."""
WORD_MODE = 0o644
"""Of a word: the folder lets nobody in but its owner, who is keep, and the page's group."""
MOST_WORDS = 200
MOST_REFUSALS = 150
"""Words of refusals that may wait: what strangers type leaves room for the visits."""
MOST_LISTED = 1000
MOST_SEEN = 50
_SEEN_BYTES = 1 << 16

_PASS = re.compile(r"[0-9a-f]{8}\.json")
_WORD = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\.json")


def make(folder: Path, disk: Disk) -> None:
    """Make the folders where they are missing; the parent of the first must be there. Raises StorageFault."""
    for place in (folder, *(folder / name for name in (PASSES, VISITS, OWN))):
        if not exists(place):
            disk.make_directory(place)


def listed(folder: Path) -> list[Pass]:
    """Return all passes, the newest first; one that cannot be read lets nobody in."""
    found = []
    for name in _names(folder / PASSES, _PASS, passes.MOST_PASSES):
        with contextlib.suppress(OSError, passes.Unreadable):
            found.append(passes.parse(read_small(folder / PASSES / name, passes.LIMIT_BYTES)))
    return sorted(found, key=lambda one: -one.issued_ms)


def make_room(folder: Path, utc_ms: int, disk: Disk) -> None:
    """Drop passes that have long been over. Raises StorageFault, among them PASS_MANY when there are too many still."""
    known = listed(folder)
    for old in known:
        if old.until_ms < utc_ms - passes.KEPT_MS:
            drop(folder, old, disk)
    if sum(old.until_ms >= utc_ms - passes.KEPT_MS for old in known) >= passes.MOST_PASSES:
        raise StorageFault("PASS_MANY", say("출입증이 너무 많습니다", "too many passes"))


def put(folder: Path, one: Pass, disk: Disk) -> None:
    """Write a pass, or that it is revoked. Raises StorageFault."""
    place = folder / PASSES / f"{one.id}.json"
    disk.atomic_replace(place, passes.encode(one), sync=True, mode=READ_MODE)


def drop(folder: Path, one: Pass, disk: Disk) -> None:
    """Remove a pass that has long been over. Raises StorageFault."""
    disk.unlink(folder / PASSES / f"{one.id}.json")


def is_gone(folder: Path, name: str) -> bool:
    """Tell whether there is surely no pass of this id; one that cannot be read now is there."""
    try:
        os.lstat(folder / PASSES / f"{name}.json")
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def put_word(folder: Path, word: Word, at_ms: int, disk: Disk) -> bool:
    """Tell keep what happened; false when too many words wait already. Raises StorageFault."""
    most = MOST_WORDS if word.what is What.VISITED else MOST_REFUSALS
    if len(_names(folder / VISITS, _WORD, MOST_WORDS)) >= most:
        return False
    place = folder / VISITS / f"{max(0, at_ms):016x}-{os.urandom(4).hex()}.json"
    disk.atomic_replace(place, passes.encode_word(word), sync=False, mode=WORD_MODE)
    return True


def words(folder: Path) -> list[str]:
    """Return the names of the words that wait, the oldest first, of the first MOST_LISTED that are found."""
    return sorted(_names(folder / VISITS, _WORD, MOST_LISTED))


def read_word(folder: Path, name: str) -> Word:
    """Read one. Raises OSError, passes.Unreadable."""
    return passes.parse_word(read_small(folder / VISITS / name, passes.LIMIT_BYTES + 1))


def drop_word(folder: Path, name: str, disk: Disk) -> None:
    """Remove one. Raises StorageFault; what is no file stays."""
    disk.unlink(folder / VISITS / name)


def seen(folder: Path) -> list[dict[str, Any]]:
    """Return who came last: `at_ms`, `what`, `id`, `name`, `company`, `why`, `count`, `source`; the newest first."""
    try:
        found = json.loads(read_small(folder / PASSES / SEEN, _SEEN_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def write_seen(folder: Path, lately: Sequence[dict[str, Any]], disk: Disk) -> None:
    """Replace that. Raises StorageFault."""
    data = json.dumps(lately[:MOST_SEEN], ensure_ascii=False).encode()
    disk.atomic_replace(folder / PASSES / SEEN, data, sync=False, mode=READ_MODE)


def _names(folder: Path, form: re.Pattern[str], most: int) -> list[str]:
    """Return names of a form, at most `most`; none where there is no such folder."""
    try:
        with os.scandir(folder) as found:
            near = itertools.islice(
                found, 2 * most
            )  # of a folder that somebody filled, the rest is passed over
            return [*itertools.islice((each.name for each in near if form.fullmatch(each.name)), most)]
    except OSError:
        return []
