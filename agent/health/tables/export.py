"""Exports: evidence that is handed out. Raised by the keeper."""

from __future__ import annotations

from agent.health.condition import Severity, condition

EXPORT = {
    "export.overdue": condition(
        Severity.ALARM,
        (
            "내어 준 영상의 파기 예정일이 지났는데 파기 결과가 없습니다",
            "a copy that was handed out should be destroyed by now, and nobody said that it is",
        ),
        (
            "받은 기관에 파기 결과를 확인하여 `pasu export destroyed`로 적으십시오. `pasu export list`에 있습니다",
            "ask the recipient for the result and note it (`pasu export destroyed`); `pasu export list` shows which",
        ),
    ),
    "export.stuck": condition(
        Severity.WARNING,
        (
            "반출 묶음을 만들거나 치우지 못하고 있습니다. 저절로 다시 시도합니다",
            "the bundle of an export cannot be made, or cleared away; it is tried again by itself",
        ),
        (
            "저장소의 outgoing 폴더와 디스크를 점검하십시오",
            "check the vault's disk, and what lies in its outgoing folder",
        ),
    ),
}
