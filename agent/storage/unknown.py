"""The row of a stored file of which no progress file tells: by the two witnesses that a rebuilding has, too.

A catalogue that was moved aside is asked first: a link of a hold brings a file back whose day was done, say. Else the
file speaks, by one rule everywhere (keep/reborn.py): the name alone would make what a slow clock labelled too old.
"""

from __future__ import annotations

import os
import stat
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.model import Trust
from agent.storage.catalogue import Segment
from agent.storage.keep import reborn
from agent.storage.keep.reborn import Stored
from agent.storage.keep.stamps import marked

if TYPE_CHECKING:
    from agent.model import Instant
    from agent.storage.layout import Kind, Stem
    from agent.storage.old import Asides
    from agent.storage.vault import Vault

_FIELDS = tuple(field.name for field in fields(Segment))
_FLAGS = ("keyframe_start", "has_tail")


class Row(NamedTuple):
    """A row, and its `kept_from_ms` and `relabelled_from_ms`, None where these follow from it."""

    segment: Segment
    label: tuple[int | None, int | None] | None


class Unknown:
    """Speaks for the files of one vault."""

    def __init__(self, vault: Vault, now: Instant, asides: Asides) -> None:
        """Take who is asked; nothing is opened yet."""
        self._vault = vault
        self._now = now
        self._asides = asides

    def is_told(self, stem: Stem, kind: Kind) -> bool:
        """Tell whether an old catalogue has a row that agrees with a file as it is. Raises OSError."""
        return self._old(self._stored(stem, kind, has_tail=False, header=0)) is not None

    def row(self, stem: Stem, kind: Kind, *, has_tail: bool, header: int, sha256: str) -> Row:
        """Return the row of a file.

        header  length of its age header and nonce; sha256: of the file, hexadecimal
        Raises  OSError
        """
        file = self._stored(stem, kind, has_tail=has_tail, header=header)
        old = self._old(file)
        if old is not None:
            return _row(old)
        now_ms = self._now.utc_ms
        row = reborn.from_file(file, self._vault.created_ms, now_ms)
        row["sha256"] = sha256
        if row["relabelled_from_ms"] is None:
            row["end_ms"] = _end_ms(file, now_ms)
        if self._now.trust is Trust.UNTRUSTED:
            row |= {"trust": Trust.UNTRUSTED.value, "kept_from_ms": None}
        return _row(row)

    def _old(self, file: Stored) -> dict[str, Any] | None:
        told = self._asides.told(file.vault, file.stem.directory).get(file.path, [])
        rows = (reborn.from_old(old, file) for old in told)
        return next((row for row in rows if row is not None), None)

    def _stored(self, stem: Stem, kind: Kind, *, has_tail: bool, header: int) -> Stored:
        status = os.lstat(self._vault.at(stem.path(kind)))
        return stored(self._vault.uuid, stem, kind, status, has_tail=has_tail, header=header)


def stored(
    vault: str, stem: Stem, kind: Kind, status: os.stat_result, *, has_tail: bool = False, header: int = 0
) -> Stored:
    """Describe a file by what the file system says of it."""
    last_ns = status.st_mtime_ns
    return Stored(
        vault,
        stem,
        kind,
        status.st_size,
        last_ns // 1_000_000,
        has_tail,
        header=header,
        regular=stat.S_ISREG(status.st_mode),
        told=marked(last_ns),
    )


def _end_ms(file: Stored, now_ms: int) -> int:
    """Take the time of the last write as the end, as far as that can be: a gap begins there."""
    start_ms = file.stem.start_ms
    last_ms = min(file.last_ms, max(now_ms, start_ms))
    return max(start_ms + 1, min(last_ms, start_ms + reborn.LONGEST_MS))


def _row(told: dict[str, Any]) -> Row:
    values: dict[str, Any] = {name: bool(told[name]) if name in _FLAGS else told[name] for name in _FIELDS}
    return Row(Segment(**values), (told["kept_from_ms"], told["relabelled_from_ms"]))
