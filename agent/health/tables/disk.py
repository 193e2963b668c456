"""The disks as devices, by name: what they say of themselves (SMART). Judged by `agent/health/smart.py`."""

from __future__ import annotations

from agent.health.condition import Severity, condition

DISK = {
    "disk.failing": condition(
        Severity.CRITICAL,
        (
            "디스크가 스스로 곧 고장 난다고 알립니다",
            "the disk says of itself that it is about to fail",
        ),
        (
            "지금 디스크를 바꾸십시오. 보존 명령이 있으면 먼저 그 영상을 내보내십시오",
            "replace the disk now; where there are holds, export them first",
        ),
    ),
    "disk.bad_sectors": condition(
        Severity.WARNING,
        (
            "디스크에 읽지 못하는 곳이 있습니다",
            "there are places on the disk that cannot be read",
        ),
        (
            "`pasu check`로 영상을 확인하고, 수가 늘면 디스크를 바꾸십시오",
            "look at the recordings with `pasu check`; replace the disk if their number grows",
        ),
        depends_on=("disk.failing",),
    ),
    "disk.worn": condition(
        Severity.WARNING,
        (
            "디스크의 쓰기 수명이 거의 다했습니다",
            "the disk has nearly used up what it may write in its life",
        ),
        ("몇 주 안에 디스크를 바꾸십시오", "replace the disk within weeks"),
        depends_on=("disk.failing",),
    ),
    "disk.hot": condition(
        Severity.WARNING,
        ("디스크가 뜨겁습니다", "the disk is hot"),
        ("함체의 환기구, 팬, 먼지를 점검하십시오", "check the cabinet's vents, its fan, and for dust"),
    ),
    "disk.unwatched": condition(
        Severity.WARNING,
        (
            "디스크의 자가 진단(SMART)을 오래 읽지 못했습니다",
            "what the disks say of themselves (SMART) has not been read for long",
        ),
        (
            "`systemctl status pasu-disks.timer pasu-disks.service`로 까닭을 보십시오",
            "see why with `systemctl status pasu-disks.timer pasu-disks.service`",
        ),
    ),
}
