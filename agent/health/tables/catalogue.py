"""Catalogue, ledger and the state directory."""

from __future__ import annotations

from agent.health.condition import Severity, condition

CATALOGUE = {
    "catalogue.unavailable": condition(
        Severity.CRITICAL,
        ("목록 데이터베이스를 쓸 수 없습니다", "the catalogue cannot be used"),
        ("상태 폴더의 디스크를 점검하십시오", "check the state directory's disk"),
    ),
    "catalogue.busy": condition(
        Severity.WARNING,
        ("목록 데이터베이스가 오래 잠겨 있습니다", "the catalogue is locked by another process"),
        (
            "저절로 다시 시도합니다. 계속되면 누가 쥐고 있는지 찾으십시오",
            "it is tried again; find who holds it if it stays",
        ),
    ),
    "catalogue.reconciling": condition(
        Severity.WARNING,
        (
            "잃어버린 목록을 저장소에서 다시 만드는 중이며, 그동안 아무것도 지우지 않습니다",
            "a lost catalogue is being made again from the vault; nothing is erased meanwhile",
        ),
        ("기다리십시오. 저절로 끝납니다", "wait; it ends by itself"),
    ),
    "catalogue.odd_rows": condition(
        Severity.ALARM,
        (
            "목록에 있을 수 없는 값이 있어 그 조각은 지우지 않습니다",
            "rows of the catalogue cannot be true; their segments are left alone",
        ),
        ("`pasu check`로 찾아 담당자에게 알리십시오", "find them with `pasu check` and call for support"),
    ),
    "state.short": condition(
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
    "ledger.broken": condition(
        Severity.CRITICAL,
        ("원장이 서명된 검증점과 맞지 않습니다", "the ledger disagrees with its own signed checkpoint"),
        ("아무것도 바꾸지 말고 조사 담당자에게 알리십시오", "change nothing, and call an investigator"),
    ),
    "ledger.unsigned": condition(
        Severity.ALARM,
        ("원장의 검증점을 만들 수 없습니다", "no checkpoint of the ledger can be made"),
        (
            "상태 폴더의 디스크와 키의 권한을 확인하십시오",
            "check the state directory's disk and the key's mode",
        ),
    ),
}
