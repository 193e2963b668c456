"""Judgements of disks: where the vault lies, how fast it is, for how many days it does. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agent.field.doctor.check import Result, fail, ok, skip, warn
from agent.field.words import size
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.health import Raised

DAY_S = 86_400
SPARE = 3
"""A disk must write so many times faster than the cameras send: a new one is at its best."""
SLOW_MS, STUCK_MS = 200, 1000
"""One sync may take so long: above the first recordings wait, above the second the loss window is not kept."""
LEAST_BYTES = 128 << 20
"""With less free a disk is full, whoever keeps how much of it: there is not even room to try it."""
UNKNOWN_KBIT_S = 4000
"""What a camera is taken to send while it has not been seen."""


@dataclass(frozen=True, slots=True)
class DiskLook:
    """What was measured of one vault's disk.

    on_root     it is the disk of the root file system
    free_bytes  for the user that records; total_bytes likewise
    syncs_ms    how long each sync of a small write took, sorted; empty: it could not be written
    bytes_s     written and synced in a second, 0: not measured
    wrong       why it could not be measured, "" when it was
    """

    path: str
    on_root: bool
    total_bytes: int
    free_bytes: int
    syncs_ms: tuple[int, ...]
    bytes_s: int
    wrong: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the pipe from the one who measured."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DiskLook:
        """Read back what `to_json` wrote."""
        return cls(**{**values, "syncs_ms": tuple(values["syncs_ms"])})


def load_bytes_s(cameras: Sequence[str], record: Mapping[str, Any] | None) -> tuple[int, int]:
    """Return the bytes that all cameras send in a second, and of how many cameras that is a guess."""
    told = (record or {}).get("cameras") or {}
    rates = [int((told.get(camera) or {}).get("kbit_s") or 0) for camera in cameras]
    return sum(rate or UNKNOWN_KBIT_S for rate in rates) * 125, rates.count(0)


def disk(look: DiskLook, load: int, reserve_bytes: int) -> list[Result]:
    """Judge one vault's disk. load: bytes that are planned to be written in a second; reserve_bytes: kept free."""
    if look.wrong:
        return [fail("disk.mount", look.wrong, look.path)]
    if look.on_root:
        mount = fail("disk.mount", say("시스템 디스크에 있습니다", "on the system's own disk"), look.path)
    else:
        mount = ok("disk.mount", say("자기 디스크에 있습니다", "on a disk of its own"), look.path)
    spare = look.free_bytes - reserve_bytes // 2
    of = f"{size(look.free_bytes)} / {size(look.total_bytes)}"
    room = (
        ok("disk.room", say(f"{of} 남음", f"{of} free"), look.path, free_bytes=look.free_bytes)
        if spare > 0 and look.free_bytes >= LEAST_BYTES
        else fail("disk.room", say(f"{of}만 남음", f"only {of} free"), look.path, free_bytes=look.free_bytes)
    )
    return [mount, room, _speed(look, load)]


def _speed(look: DiskLook, load: int) -> Result:
    if not look.syncs_ms:
        return warn("disk.sync", say("재지 못했습니다", "not measured"), look.path)
    middle, slowest = look.syncs_ms[len(look.syncs_ms) // 2], look.syncs_ms[-1]
    text = say(
        f"동기화 {middle} ms (최대 {slowest} ms), {size(look.bytes_s)}/s, 필요 {size(load)}/s",
        f"sync {middle} ms (at most {slowest} ms), {size(look.bytes_s)}/s, needed {size(load)}/s",
    )
    numbers = {"median_ms": middle, "most_ms": slowest, "bytes_s": look.bytes_s, "needed_bytes_s": load}
    if middle >= STUCK_MS or look.bytes_s < load:
        return fail("disk.sync", text, look.path, **numbers)
    if middle >= SLOW_MS or slowest >= STUCK_MS or look.bytes_s < SPARE * load:
        return warn("disk.sync", text, look.path, **numbers)
    return ok("disk.sync", text, look.path, **numbers)


def smart(disks: Sequence[Mapping[str, Any]] | None, raised: Sequence[Raised]) -> list[Result]:
    """Judge what the disks say of themselves. disks: as in disks.json, None: nobody asked; raised: what is wrong."""
    if disks is None:
        why = say("아직 읽지 않았습니다 (pasu-disks)", "not read yet (pasu-disks)")
        return [warn("disk.smart", why)]
    found = [
        (fail if each.code == "disk.failing" else warn)(
            "disk.smart", f"{each.condition.what} {each.detail}".strip(), each.subject
        )
        for each in raised
    ]
    bad = {each.subject for each in raised}
    for known in disks:
        name = str(known["device"])
        if name in bad:
            continue
        if known["passed"] is None:
            why = known["unavailable"] or say("자가 진단이 없는 디스크", "a disk without self-assessment")
            found.append(skip("disk.smart", str(why), name))
        else:
            found.append(ok("disk.smart", str(known["model"] or name), name))
    return found


def retention(
    days: int,
    told_tenths: int | None,
    looks: Sequence[DiskLook],
    load: tuple[int, int],
    reserve_bytes: int,
) -> Result:
    """Judge for how many days the disks do.

    told_tenths    what keep forecasts from what was really recorded, tenths of days; None until it knows
    load           bytes in a second and how many cameras of it are a guess, as `load_bytes_s`
    reserve_bytes  what is kept free of all disks
    """
    if told_tenths is not None:
        tenths, how = told_tenths, say("녹화한 양으로", "by what was recorded")
    elif load[0] == 0 or not looks:
        return skip("retention.forecast", say("카메라나 디스크가 없습니다", "no camera, or no disk"))
    else:
        room = max(0, sum(look.total_bytes for look in looks) - reserve_bytes)
        tenths = room * 10 // (load[0] * DAY_S)
        how = (
            say(f"비트레이트로, {load[1]}대는 어림", f"by bit rates, {load[1]} of them guessed")
            if load[1]
            else say("지금의 비트레이트로", "by the bit rates of now")
        )
    text = say(
        f"{tenths // 10}.{tenths % 10}일 보관 가능 (기준 {days}일, {how})",
        f"holds {tenths // 10}.{tenths % 10} days (retention {days}, {how})",
    )
    if tenths < days * 10:
        return fail("retention.forecast", text, tenths_of_days=tenths)
    if tenths < days * 11:  # night noise and rain take a tenth more
        return warn("retention.forecast", text, tenths_of_days=tenths)
    return ok("retention.forecast", text, tenths_of_days=tenths)
