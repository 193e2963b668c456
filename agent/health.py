"""What each process says of itself: one small JSON file under the run directory, replaced as a whole.

Nothing in it shows pictures, passwords or addresses. A stale file is itself a sign, so each carries its time.

What is wrong has a name: a condition, with a severity, and what to do about it in both languages.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agent.model import Instant


class Severity(StrEnum):
    """How much a condition matters, worst first."""

    CRITICAL = "critical"  # footage is being lost, or will be within hours
    ALARM = "alarm"  # a duty is broken, or will be unless somebody acts
    WARNING = "warning"  # somebody should look within days
    INFO = "info"  # passes by itself


@dataclass(frozen=True, slots=True)
class Condition:
    """A named thing that can be wrong."""

    severity: Severity
    what_korean: str
    what_english: str
    next_korean: str
    next_english: str

    @property
    def what(self) -> str:
        """Return what is wrong in the reader's language."""
        return say(self.what_korean, self.what_english)

    @property
    def next(self) -> str:
        """Return what to do in the reader's language."""
        return say(self.next_korean, self.next_english)


def _condition(severity: Severity, what: tuple[str, str], then: tuple[str, str]) -> Condition:
    return Condition(severity, *what, *then)


CONDITIONS = {
    "time.untrusted": _condition(
        Severity.ALARM,
        ("시각을 믿을 수 없어 아무것도 지우지 않습니다", "the time cannot be relied on: nothing is erased"),
        (
            "`pasu clock`으로 까닭을 보고, 맞으면 확인하십시오",
            "see why with `pasu clock`; confirm the time there",
        ),
    ),
    "retention.lag": _condition(
        Severity.ALARM,
        (
            "보관 기간이 지난 영상이 30분 넘게 남아 있습니다",
            "recordings stay more than 30 minutes beyond their time",
        ),
        (
            "같이 나타난 다른 상태를 먼저 풀고, 그래도 남으면 `pasu keep`의 기록을 보십시오",
            "clear the other conditions first; if it stays, read the log of `pasu keep`",
        ),
    ),
    "vault.retention_short": _condition(
        Severity.ALARM,
        (
            "디스크가 보관 기간을 다 담지 못합니다. 차면 오래된 영상부터 일찍 지워집니다",
            "the disk does not hold the whole retention; when it is full the oldest recordings go early",
        ),
        (
            "디스크를 늘리거나 카메라의 화질을 낮추십시오",
            "put in a larger disk, or lower the cameras' bit rate",
        ),
    ),
    "vault.evicting": _condition(
        Severity.ALARM,
        (
            "디스크가 부족하여 기한 전의 영상을 지우고 있습니다",
            "the disk is short: recordings are erased before their time",
        ),
        (
            "디스크를 채우는 다른 파일이 있는지 보고, 디스크를 늘리십시오",
            "see whether other files fill the disk; put in a larger one",
        ),
    ),
    "vault.held_full": _condition(
        Severity.CRITICAL,
        (
            "보존 명령으로 묶인 영상이 디스크를 채워 더 지울 것이 없습니다",
            "holds fill the disk and nothing is left that may be erased",
        ),
        (
            "디스크를 더하거나, 필요 없게 된 보존 명령을 푸십시오: `pasu hold list`",
            "add a disk, or release holds that are not needed any more: `pasu hold list`",
        ),
    ),
    "vault.full": _condition(
        Severity.CRITICAL,
        (
            "디스크가 가득 찼고 지울 수 있는 것이 없습니다",
            "the disk is full, and nothing on it may be erased now",
        ),
        (
            "디스크를 채우는 다른 파일을 찾고, 같이 나타난 다른 상태를 먼저 푸십시오",
            "find what else fills the disk; clear the other conditions first",
        ),
    ),
    "vault.missing": _condition(
        Severity.CRITICAL,
        ("저장소 디스크가 없습니다", "a vault's disk is not there"),
        ("디스크의 연결과 마운트를 확인하십시오", "check that the disk is connected and mounted"),
    ),
    "vault.foreign": _condition(
        Severity.CRITICAL,
        ("저장소 자리에 다른 디스크가 있습니다", "another disk stands in the vault's place"),
        ("원래 디스크를 연결하십시오", "mount the disk that belongs to this box"),
    ),
    "vault.keeps_copies": _condition(
        Severity.WARNING,
        (
            "저장소의 파일 시스템이 지운 머리말의 사본을 남깁니다",
            "the vault's file system keeps copies of what is overwritten",
        ),
        (
            "저장소를 ext4(data=ordered) 또는 XFS로 옮기십시오",
            "move the vault to ext4 (data=ordered) or XFS",
        ),
    ),
    "vault.failing": _condition(
        Severity.CRITICAL,
        ("저장소 디스크가 오류를 냅니다", "a vault's disk gives errors"),
        (
            "케이블과 디스크를 점검하고 바꾸십시오 (smartctl -a)",
            "check cable and disk (smartctl -a); replace it",
        ),
    ),
    "vault.room_unknown": _condition(
        Severity.WARNING,
        ("디스크의 남은 공간을 알 수 없습니다", "how much room the disk has cannot be told"),
        ("디스크와 마운트를 점검하십시오", "check the disk and its mount"),
    ),
    "catalogue.unavailable": _condition(
        Severity.CRITICAL,
        ("목록 데이터베이스를 쓸 수 없습니다", "the catalogue cannot be used"),
        ("상태 폴더의 디스크를 점검하십시오", "check the state directory's disk"),
    ),
    "catalogue.busy": _condition(
        Severity.WARNING,
        ("목록 데이터베이스가 오래 잠겨 있습니다", "the catalogue is locked by another process"),
        (
            "저절로 다시 시도합니다. 계속되면 누가 쥐고 있는지 찾으십시오",
            "it is tried again; find who holds it if it stays",
        ),
    ),
    "catalogue.reconciling": _condition(
        Severity.WARNING,
        (
            "잃어버린 목록을 저장소에서 다시 만드는 중이며, 그동안 아무것도 지우지 않습니다",
            "a lost catalogue is being made again from the vault; nothing is erased meanwhile",
        ),
        ("기다리십시오. 저절로 끝납니다", "wait; it ends by itself"),
    ),
    "catalogue.odd_rows": _condition(
        Severity.ALARM,
        (
            "목록에 있을 수 없는 값이 있어 그 조각은 지우지 않습니다",
            "rows of the catalogue cannot be true; their segments are left alone",
        ),
        ("`pasu check`로 찾아 담당자에게 알리십시오", "find them with `pasu check` and call for support"),
    ),
    "state.short": _condition(
        Severity.ALARM,
        (
            "상태 폴더의 디스크가 부족합니다. 센터가 받은 오래된 원장 기록부터 정리합니다",
            "the state directory's disk is short; old entries of the ledger that the centre has are let go",
        ),
        (
            "디스크를 채우는 다른 파일을 치우거나 상태 폴더를 더 큰 디스크로 옮기십시오",
            "remove what else fills the disk, or move the state directory to a larger one",
        ),
    ),
    "ledger.broken": _condition(
        Severity.CRITICAL,
        ("원장이 서명된 검증점과 맞지 않습니다", "the ledger disagrees with its own signed checkpoint"),
        ("아무것도 바꾸지 말고 조사 담당자에게 알리십시오", "change nothing, and call an investigator"),
    ),
    "ledger.unsigned": _condition(
        Severity.ALARM,
        ("원장의 검증점을 만들 수 없습니다", "no checkpoint of the ledger can be made"),
        (
            "상태 폴더의 디스크와 키의 권한을 확인하십시오",
            "check the state directory's disk and the key's mode",
        ),
    ),
    "hold.review_due": _condition(
        Severity.ALARM,
        ("보존 명령의 재검토일이 지났습니다", "a hold's review date has come"),
        (
            "다시 검토하여 새로 명하거나 푸십시오: `pasu hold list`",
            "review it: place it anew or release it (`pasu hold list`)",
        ),
    ),
    "hold.review_soon": _condition(
        Severity.WARNING,
        ("보존 명령의 재검토일이 다가옵니다", "a hold's review date is near"),
        ("재검토를 준비하십시오: `pasu hold list`", "prepare its review (`pasu hold list`)"),
    ),
    "hold.incomplete": _condition(
        Severity.ALARM,
        ("보존 명령이 아직 모든 조각을 묶지 못했습니다", "a hold has not linked all of its segments"),
        (
            "저장소 디스크를 점검하십시오. 저절로 다시 시도합니다",
            "check the vault's disk; it is tried again by itself",
        ),
    ),
    "hold.unreadable": _condition(
        Severity.CRITICAL,
        (
            "보존 명령 파일을 읽을 수 없어 그 저장소에서는 아무것도 지우지 않습니다",
            "a hold's file cannot be read; nothing is erased on that vault",
        ),
        ("파일을 그대로 두고 담당자에게 알리십시오", "leave the file as it is and call for support"),
    ),
    "hold.foreign": _condition(
        Severity.WARNING,
        (
            "저장소의 holds 폴더에 보존 명령이 아닌 폴더가 있습니다. 지우지 않고 그대로 둡니다",
            "there is a folder among a vault's holds that is no hold; it is left as it is",
        ),
        ("누가 두었는지 확인하고 다른 곳으로 옮기십시오", "find out whose it is, and move it elsewhere"),
    ),
    "hold.lost": _condition(
        Severity.CRITICAL,
        ("보존 중인 조각의 파일이 없습니다", "the file of a held segment is nowhere"),
        (
            "아무것도 바꾸지 말고 조사 담당자에게 알리십시오. 디스크를 점검하십시오",
            "change nothing, call an investigator, and check the disk",
        ),
    ),
    "segment.damaged": _condition(
        Severity.ALARM,
        ("저장된 조각이 손상되었습니다", "stored segments are damaged"),
        ("`pasu check`로 자세히 보십시오", "see which with `pasu check`"),
    ),
    "erase.failing": _condition(
        Severity.ALARM,
        ("지우기로 한 조각을 지우지 못하고 있습니다", "segments that should be erased cannot be"),
        (
            "`pasu keep`의 기록에서 이름을 보고 저장소를 점검하십시오",
            "see their names in the log of `pasu keep`; check the vault",
        ),
    ),
    "erase.refused": _condition(
        Severity.ALARM,
        (
            "지우기로 한 조각의 자리에 다른 것이 있어 손대지 않았습니다",
            "something else lies in the place of a segment that should be erased; it was not touched",
        ),
        ("그 파일을 누가 놓았는지 보고 옮기십시오", "find who put it there, and move it away"),
    ),
    "erase.unshredded": _condition(
        Severity.WARNING,
        (
            "다른 링크가 남아 있어 머리를 지우지 않고 이름만 지운 조각이 있습니다",
            "segments were unlinked and not shredded, since another link to them is left",
        ),
        ("누가 링크를 만들었는지 찾으십시오", "find who made the other links"),
    ),
    "keeper.trouble": _condition(
        Severity.ALARM,
        (
            "보관 일의 일부가 실패했습니다. 저절로 다시 시도합니다",
            "a part of keeping failed; it is tried again by itself",
        ),
        ("계속되면 `pasu keep`의 기록을 보십시오", "if it stays, read the log of `pasu keep`"),
    ),
    "keeper.stale": _condition(
        Severity.CRITICAL,
        (
            "보관 프로세스가 응답하지 않습니다. 기한이 지나도 지워지지 않습니다",
            "the keeper does not answer: nothing is erased when its time comes",
        ),
        (
            "`pasu keep`이 돌고 있는지 보고 다시 시작하십시오",
            "see whether `pasu keep` runs, and start it again",
        ),
    ),
}
"""Every condition by its code. docs/operations.md is generated from this."""

_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Raised:
    """A condition that holds now. `subject` tells two of one kind apart: a vault's path, a hold's id."""

    code: str
    subject: str = ""
    detail: str = ""

    @property
    def condition(self) -> Condition:
        """Return what its code says."""
        return CONDITIONS[self.code]


@dataclass(frozen=True, slots=True)
class Change:
    """A condition that came or went."""

    raised: Raised
    came: bool


class Tracker:
    """Knows which conditions hold, and since when. Pure: time is handed in."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self._since: dict[tuple[str, str], tuple[Raised, Instant]] = {}

    def update(self, raised: Iterable[Raised], at: Instant) -> list[Change]:
        """Take what holds now, all of it; return what came and what went."""
        now = {(each.code, each.subject): each for each in raised}
        gone = [self._since.pop(key)[0] for key in [*self._since] if key not in now]
        changes = [Change(each, came=False) for each in gone]
        for key, each in now.items():
            since = self._since.get(key)
            if since is None:
                changes.append(Change(each, came=True))
            self._since[key] = (each, since[1] if since else at)
        return changes

    def to_json(self) -> list[dict[str, Any]]:
        """Return what holds, the worst first: code, severity, subject, detail, since_ms, trust."""
        found = [
            {
                "code": each.code,
                "severity": str(each.condition.severity),
                "subject": each.subject,
                "detail": each.detail,
                "since_ms": since.utc_ms,
                "trust": str(since.trust),
            }
            for each, since in self._since.values()
        ]
        return sorted(found, key=lambda each: _ORDER.index(Severity(each["severity"])))


def write_health(run: Path, process: str, body: dict[str, Any]) -> None:
    """Replace <run>/<process>.json. No sync: the directory is in memory, and a restart makes the file anew.

    Raises  OSError; the caller records on
    """
    place = run / f"{process}.json"
    part = run / f".{process}.json.part"
    part.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
    os.replace(part, place)  # noqa: PTH105 - as short as its Path form, and the Path form hides that it is atomic


def read_health(run: Path, process: str) -> dict[str, Any] | None:
    """Return what a process said last, None when it has said nothing that can be read."""
    try:
        body = json.loads((run / f"{process}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def silent_s(health: dict[str, Any] | None, boot_s: float) -> float | None:
    """Return for how long a process has said nothing, by the clock since boot that it writes as `boot_ms`.

    boot_s   now, seconds since boot, sleep included
    Returns  None when it never spoke in this boot: a clock that starts anew is behind what an earlier boot wrote
    """
    said = health.get("boot_ms") if health else None
    if type(said) is not int or said / 1000 > boot_s:
        return None
    return boot_s - said / 1000
