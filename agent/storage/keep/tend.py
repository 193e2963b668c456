"""Check what is stored always, a little at a time: the keeper's part."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.clock import SystemSource
from agent.errors import StorageFault
from agent.storage.keep import position
from agent.storage.keep.check_day import Examiner, Unit, row_after, unjudged
from agent.storage.keep.check_findings import Finding, Level, What
from agent.storage.keep.check_mend import MENDABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault

FILE = "tend.json"
_DETAILS = 1000
_FRESH_DAYS = 2
_FRESH_FILES = 3
"""After a start: the newest files of a camera are those that a disk which lies about syncing has lost."""
_DIGEST_EVERY = 10
_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: its multiples spread evenly over any range (Knuth, TAOCP 3, section 6.4)."""


@dataclass(slots=True)
class Checked:
    """What one call of `tend` did.

    findings  what was found now, with what was done
    still     damage that was found now or before, and still is: a person looks at it
    """

    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    still: list[Finding] = field(default_factory=list)


def tend(
    catalogue: Catalogue,
    vaults: Mapping[str, Vault],
    state: Path,
    at: Instant,
    budget_s: float,
    *,
    boot: str | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Checked:
    """Check a little, for the keeper: names and sizes of one day of one camera, and now and then a file's bytes.

    After each boot the newest days come first, and there the newest files to their last byte. Done by itself is
    only what takes nothing away: a row whose file is gone, or has not one byte that could be opened, is said to be
    lost, with a gap; a file without a row gets one; a held one gets its name back. Other damage is told.
    vaults   those that are there, by uuid; nothing is said of the others
    budget_s after which no further file is begun
    boot     names the boot that the machine is in; asked of the kernel when None
    Raises   StorageFault when the catalogue cannot be used
    """
    if not vaults or catalogue.meta("reconcile") is not None:
        return Checked()
    until = monotonic() + budget_s
    disk = next(iter(vaults.values())).disk
    round_ = _Round.load(state / FILE, SystemSource().boot_id() if boot is None else boot)
    done = Checked()
    examiners = {
        uuid: Examiner(catalogue, vault, state, lambda: at, repair=_takes_nothing_away)
        for uuid, vault in sorted(vaults.items())
    }
    round_.turn += 1
    if round_.turn % _DIGEST_EVERY == 0:
        _tend_one(catalogue, examiners, round_.turn // _DIGEST_EVERY, done)
    else:
        _tend_day(examiners, round_, done, lambda: monotonic() < until)
    done.files += sum(examiner.files for examiner in examiners.values())
    done.bytes += sum(examiner.bytes for examiner in examiners.values())
    damaged = {(each.vault, each.path, each.what): each for each in round_.still + done.findings}
    round_.still = [
        each for each in damaged.values() if each.is_open and _still_there(catalogue, examiners, each)
    ][:_DETAILS]
    done.still = round_.still
    position.save(disk, state / FILE, round_.as_json())
    return done


@dataclass(slots=True)
class _Round:
    """Where the keeper's check is on its way around everything.

    fresh  whether it looks at the newest days first, after a boot
    """

    boot: str
    fresh: bool = True
    unit: Unit | None = None
    name: str | None = None
    turn: int = 0
    still: list[Finding] = field(default_factory=list)

    @classmethod
    def load(cls, place: Path, boot: str) -> _Round:
        values = position.load(place)
        try:
            unit = Unit(*values["unit"]) if values["unit"] else None
            still = [Finding.from_json(each) for each in values["still"]]
            turn, name = int(values["turn"]), values["name"]
            if values["boot"] == boot:
                return cls(boot, bool(values["fresh"]), unit, name, turn, still)
            return cls(boot, turn=turn, still=still)
        except (KeyError, TypeError, ValueError):
            return cls(boot)

    def as_json(self) -> dict[str, Any]:
        unit = self.unit
        return {
            "boot": self.boot,
            "fresh": self.fresh,
            "unit": [unit.vault, unit.camera, unit.day] if unit else None,
            "name": self.name,
            "turn": self.turn,
            "still": [finding.as_json() for finding in self.still],
        }


def _takes_nothing_away(finding: Finding) -> bool:
    """Tell whether the keeper does something about a finding without being asked."""
    if finding.what is What.SIZE:
        return finding.found == "0"
    return finding.what in (What.MISSING, What.ORPHAN)


def _tend_day(
    examiners: Mapping[str, Examiner], round_: _Round, done: Checked, go_on: Callable[[], bool]
) -> None:
    """Check one day, or what the time allows of it."""
    unit, newest_day = next(_after(examiners, round_, done), (None, False))
    if unit is None:
        round_.fresh, round_.unit, round_.name = False, None, None
        return
    examiner = examiners[unit.vault]
    begun = unit == round_.unit and round_.name is not None
    after = (round_.name or "") if begun else ""
    try:
        day, wrong = examiner.open(unit)
        done.findings += [] if begun else wrong
        newest = {row.id for row in day.there[-_FRESH_FILES:]} if newest_day else set()
        round_.unit, round_.name = unit, after
        for row in day.there:
            if row.name <= after:
                continue
            # One at least, or a slow disk would keep it where it is for ever.
            if round_.name != after and not go_on():
                return
            level = Level.DIGESTS if row.id in newest else Level.SIZES
            done.findings += examiner.content(row, level)
            round_.name = row.name
    except StorageFault as fault:
        if fault.code.startswith("CATALOGUE"):
            raise
        done.findings.append(unjudged(unit, fault))
    round_.unit, round_.name = unit, None


def _after(examiners: Mapping[str, Examiner], round_: _Round, done: Checked) -> Iterator[tuple[Unit, bool]]:
    """Yield the days behind the one that was last looked at, that one too when it was left in the middle.

    Beside each: whether its newest files are to be read, as the camera's newest of all.
    """
    last = round_.unit
    for uuid, examiner in examiners.items():
        if last is not None and uuid < last.vault:
            continue
        try:
            for camera in examiner.cameras():
                if last is not None and (uuid, camera) < (last.vault, last.camera):
                    continue
                units = list(examiner.units([camera]))
                for unit in units[-_FRESH_DAYS:] if round_.fresh else units:
                    if last is None or unit > last or (unit == last and round_.name is not None):
                        yield unit, round_.fresh and unit == units[-1]
        except StorageFault as fault:
            if fault.code.startswith("CATALOGUE"):
                raise
            done.findings.append(unjudged(Unit(uuid, "", ""), fault))


def _tend_one(catalogue: Catalogue, examiners: Mapping[str, Examiner], turn: int, done: Checked) -> None:
    """Read one file to its end; which one is spread evenly over all of them."""
    highest = catalogue.read("SELECT MAX(id) FROM segment")[0][0] or 0
    share = turn * _GOLDEN % (1 << 64)
    found = row_after(catalogue, 1 + (share * highest >> 64))
    if found is not None and found[0] in examiners:
        done.findings += examiners[found[0]].content(found[1], Level.DIGESTS)
        done.files += 1


def _still_there(catalogue: Catalogue, examiners: Mapping[str, Examiner], finding: Finding) -> bool:
    """Tell whether a finding is worth telling again: its segment is still stored, or its day still unread."""
    if finding.what not in MENDABLE | {What.UNREADABLE}:
        return finding.vault in examiners and finding.what is not What.UNJUDGED
    query = "SELECT 1 FROM segment WHERE vault = ? AND path = ? AND state IN ('COMMITTED', 'SALVAGED')"
    return bool(catalogue.read(query, (finding.vault, finding.path)))
