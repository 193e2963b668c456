"""The disks that footage lies on, as the keeper finds them."""

from __future__ import annotations

from agent.health.condition import Severity, condition

VAULT = {
    "vault.retention_short": condition(
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
    "vault.evicting": condition(
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
    "vault.held_full": condition(
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
    "vault.full": condition(
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
    "vault.missing": condition(
        Severity.CRITICAL,
        ("저장소 디스크가 없습니다", "a vault's disk is not there"),
        ("디스크의 연결과 마운트를 확인하십시오", "check that the disk is connected and mounted"),
    ),
    "vault.foreign": condition(
        Severity.CRITICAL,
        ("저장소 자리에 다른 디스크가 있습니다", "another disk stands in the vault's place"),
        ("원래 디스크를 연결하십시오", "mount the disk that belongs to this box"),
    ),
    "vault.keeps_copies": condition(
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
    "vault.failing": condition(
        Severity.CRITICAL,
        ("저장소 디스크가 오류를 냅니다", "a vault's disk gives errors"),
        (
            "케이블과 디스크를 점검하고 바꾸십시오 (smartctl -a)",
            "check cable and disk (smartctl -a); replace it",
        ),
    ),
    "vault.room_unknown": condition(
        Severity.WARNING,
        ("디스크의 남은 공간을 알 수 없습니다", "how much room the disk has cannot be told"),
        ("디스크와 마운트를 점검하십시오", "check the disk and its mount"),
    ),
    "vault.slow": condition(
        Severity.WARNING,
        (
            "저장소 디스크가 느립니다. 정전 때 잃는 영상이 늘 수 있습니다",
            "a vault's disk is slow: a power cut may cost more footage than it should",
        ),
        (
            "다른 프로그램이 그 디스크를 쓰는지 보고, 아니면 디스크를 점검하십시오 (SMART)",
            "see whether other programs use that disk; if not, check it (SMART)",
        ),
        visible_s=60,
    ),
    "storage.trouble": condition(
        Severity.CRITICAL,
        (
            "녹화를 디스크에 쓰지 못하고 있습니다. 얼마 동안은 메모리에 둡니다",
            "recordings cannot be stored; memory holds them for a while",
        ),
        (
            "디스크, 케이블, 마운트를 점검하십시오. 아래 코드의 설명을 보십시오",
            "check disk, cable and mount; look up the code that is shown",
        ),
        visible_s=2,
    ),
}
