"""The time of day."""

from __future__ import annotations

from agent.health.condition import Severity, condition

CLOCK = {
    "time.untrusted": condition(
        Severity.ALARM,
        ("시각을 믿을 수 없어 아무것도 지우지 않습니다", "the time cannot be relied on: nothing is erased"),
        (
            "`pasu clock`으로 까닭을 보고, 맞으면 확인하십시오",
            "see why with `pasu clock`; confirm the time there",
        ),
    ),
}
