"""Which rows the files of a camera's day are to have, after a catalogue was lost: step R1 of keep/rebuild.py."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import IntegrityFault, StorageFault
from agent.model import Instant, parse_utc_name
from agent.storage import files, held, progress
from agent.storage.envelope import NONCE_BYTES, shred_span
from agent.storage.keep import reborn
from agent.storage.keep.reborn import Stored
from agent.storage.layout import CAMERA_NAME, DAY_NAME, Kind, Stem, classify
from agent.storage.old import Asides
from agent.storage.orphans import Orphans, names_in, orphans
from agent.storage.salvage import Report, Salvage
from agent.storage.sealed import header_bytes
from agent.storage.unknown import stored

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from agent.storage.catalogue import Catalogue
    from agent.storage.old import OldCatalogue
    from agent.storage.vault import Vault

_HEADER_READ_BYTES = 4096  # fits twenty recipients; a longer one is read again


@dataclass(slots=True)
class Refiled:
    """What became of a day.

    rows      to be written, columns of `agent.storage.old.COLUMNS`; `imported` of them an old catalogue told
    settled   segments that were put in order as at a start, and have their rows
    left      what its recorder, the next start or a check does
    listed    its names could be read; of the files of a day that could not be, none has a row
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    imported: int = 0
    settled: int = 0
    left: int = 0
    quarantined: int = 0
    listed: bool = True


class Refiler:
    """Looks at one day after the other."""

    def __init__(
        self,
        catalogue: Catalogue,
        state: Path,
        olds: Sequence[OldCatalogue],
        at: Instant,
        *,
        began_ms: int | None,
        latest_ms: int | None,
    ) -> None:
        """Take what all days have in common.

        olds       catalogues that were moved aside, newest first
        began_ms   what was written later has its row from whoever wrote it; None when no time tells that
        latest_ms  no start is believed that is later; None while that cannot be known
        """
        self._catalogue = catalogue
        self._state = state
        self._asides = Asides(lambda: olds)
        self._at = at
        self._began_ms = began_ms
        self._latest_ms = latest_ms

    def day(self, vault: Vault, camera: str, day: str, next_day: str | None) -> Refiled:
        """Put a day's files in order, and say what rows they are to have.

        next_day  the camera's next one: the last segment may reach to its first
        Raises    StorageFault when the vault is not there any more, or the catalogue cannot be used
        """
        done = Refiled()
        try:
            self._day(done, vault, camera, day, next_day)
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            # One directory that its disk does not give must not keep all others from having rows.
            vault.verify()
            done.listed = False
        return done

    def _day(self, done: Refiled, vault: Vault, camera: str, day: str, next_day: str | None) -> None:
        inside, root = f"segments/{camera}/{day}", str(vault.root)
        # Before the names: what is told to be open there may have its name a moment later.
        known = {
            path: one for (uuid, path), one in progress.read_all(self._state).items() if uuid == vault.uuid
        }
        found = orphans(vault, self._catalogue, camera, day)
        salvage = Salvage(vault, self._catalogue, known, self._at, asides=self._asides, report=Report())
        plain: list[Stored] = []
        odd: dict[Stem, set[Kind]] = {}
        for stem, kinds in found.stems.items():
            finished = sorted((kinds & {Kind.FINAL, Kind.SALVAGED}), key=lambda kind: kind.value)
            if stem.path(Kind.FINAL) in known:
                done.left += 1  # its recorder's, or the next start's, which know more of it
            elif kinds - {*finished, Kind.SALVAGED_TAIL} or not finished:
                odd[stem] = kinds
            else:
                lacking = [kind for kind in finished if stem.path(kind) not in found.rows]
                for kind in lacking:
                    try:
                        plain.append(_stored(root, vault.uuid, stem, kind, kinds))
                    except StorageFault:
                        vault.verify()
                        done.left += 1
        told = self._asides.told(vault.uuid, inside) if plain else {}
        following = _following(found, _stems_of(vault, camera, next_day) if next_day else [])
        for file in plain:
            try:
                row = self._row(done, vault, file, told.get(file.path, []), salvage)
            except StorageFault as fault:
                if fault.code.startswith("CATALOGUE"):
                    raise
                vault.verify()
                done.left += 1
                continue
            if isinstance(row, Stored):
                after = following.get(file.stem.start)
                whole = replace(row, next_ms=parse_utc_name(after) if after else None)
                if reborn.is_cut(whole) and not held.is_held(vault, file.path):
                    odd[file.stem] = {file.kind}
                else:
                    done.rows.append(reborn.from_file(whole, vault.created_ms, self._latest_ms))
            elif row is not None:
                done.rows.append(row)
        for stem, kinds in list(odd.items()):
            if any(self._is_later(_last_ms(vault.at(stem.path(kind)))) for kind in kinds):
                del odd[stem]
                done.left += 1
        found.stems = odd
        salvage.settle(camera, day, found)
        report = salvage.report
        done.left += len(report.faults) + report.live
        done.settled = report.salvaged + report.adopted
        done.quarantined = report.quarantined

    def _row(
        self, done: Refiled, vault: Vault, file: Stored, told: list[dict[str, Any]], salvage: Salvage
    ) -> dict[str, Any] | Stored | None:
        """Return the row that an old catalogue has of a file, or the file with its header where none has.

        Returns  None for one that is not to have a row from here
        """
        for old in told:
            row = reborn.from_old(old, file)
            if row is not None:
                done.imported += 1
                return row
        if self._is_later(file.last_ms):
            done.left += 1
            return None
        header = _header_bytes(f"{vault.root}/{file.path}") if file.regular else None
        if header is None and file.regular and held.is_held(vault, file.path):
            header = 0  # what is held stays where it is, and a check says what it is worth
        if header is None:
            reason = "header unreadable" if file.regular else "not a file that belongs here"
            salvage.quarantine(vault.at(file.path), reason)
            if file.has_tail:
                salvage.quarantine(vault.at(file.stem.path(Kind.SALVAGED_TAIL)), "a tail without its segment")
            return None
        return replace(file, header=header)

    def _is_later(self, last_ms: int) -> bool:
        """Tell whether a file was written after this catalogue began: then it gets its row from whoever did."""
        return self._began_ms is not None and last_ms >= self._began_ms


def days_of(vault: Vault) -> tuple[list[tuple[str, str]], list[str]]:
    """List the directories of cameras' days; whatever else lies there is the next start's.

    Returns  camera and day of each, in order; and the directories that could not be listed, relative to the vault
    """
    days: list[tuple[str, str]] = []
    unread: list[str] = []
    for camera in _inside(vault, "segments", CAMERA_NAME, unread):
        found = _inside(vault, f"segments/{camera}", DAY_NAME, unread)
        days += [(camera, day) for day in found]
    return days, unread


def _inside(vault: Vault, place: str, pattern: re.Pattern[str], unread: list[str]) -> list[str]:
    """List the directories in one that have such a name; what the disk does not give is added to `unread`."""
    try:
        names = [name for name in names_in(vault.at(place)) if pattern.match(name)]
    except StorageFault as fault:
        if place == "segments" or fault.context.get("errno") != "ENOENT":
            unread.append(place)
        return []
    found = []
    for name in names:
        try:
            if stat.S_ISDIR(os.lstat(vault.at(place) / name).st_mode):
                found.append(name)
        except FileNotFoundError:
            continue  # its last file was erased
        except OSError:
            unread.append(f"{place}/{name}")
    return found


def _stems_of(vault: Vault, camera: str, day: str) -> list[Stem]:
    """List the segments in a day's directory, by start; none of one that the disk does not give."""
    try:
        names = names_in(vault.at(f"segments/{camera}/{day}"))
    except StorageFault:
        return []
    named = (classify(camera, day, name) for name in names)
    return sorted({what[0] for what in named if what is not None}, key=lambda stem: stem.start)


def _following(found: Orphans, next_day: list[Stem]) -> dict[str, str]:
    """Return the start that follows each start of a day: also one that has its row, or lies in the next day."""
    starts = {stem.start for stem in found.stems}
    starts |= {
        path.rpartition("/")[2].partition(".salvaged")[0].removesuffix(Kind.FINAL.value)
        for path in found.rows
    }
    ordered = sorted(starts) + [stem.start for stem in next_day[:1]]
    return dict(pairwise(ordered))


def _stored(root: str, vault: str, stem: Stem, kind: Kind, kinds: set[Kind]) -> Stored:
    """Look at a file; strings and no Path here, since it is done some million times."""
    place = f"{root}/{stem.path(kind)}"
    try:
        status = os.lstat(place)
    except OSError as error:
        raise files.fault("stat", Path(place), error) from error
    has_tail = kind is Kind.SALVAGED and Kind.SALVAGED_TAIL in kinds
    return stored(vault, stem, kind, status, has_tail=has_tail)


def _last_ms(place: Path) -> int:
    try:
        return os.lstat(place).st_mtime_ns // 1_000_000
    except OSError:
        return 1 << 62  # renamed in between: somebody lives there


def _header_bytes(place: str) -> int | None:
    """Return what `sealed.header_bytes` does, with one short read for a header of the usual length."""
    try:
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            start = os.read(fd, _HEADER_READ_BYTES)
        finally:
            os.close(fd)
        try:
            length = shred_span(start) + NONCE_BYTES
        except IntegrityFault:
            return header_bytes(Path(place)) if len(start) == _HEADER_READ_BYTES else None
    except OSError as error:
        raise files.fault("read", Path(place), error) from error
    return length if length <= len(start) else None
