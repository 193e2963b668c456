"""Erasing, and what is stored."""

from __future__ import annotations

from agent.health.condition import Severity, condition

RETENTION = {
    "retention.lag": condition(
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
    "retention.unsigned": condition(
        Severity.WARNING,
        (
            "자동 삭제의 결과를 7일 넘게 아무도 확인하지 않았습니다",
            "nobody has confirmed what automatic erasure did, for more than seven days",
        ),
        (
            "보호책임자가 서명합니다: `pasu centre command 박스 erasure.confirm day=2026-11-21 --as 이름`",
            "the privacy officer signs: `pasu centre command BOX erasure.confirm day=2026-11-21 --as NAME`",
        ),
    ),
    "segment.damaged": condition(
        Severity.ALARM,
        ("저장된 조각이 손상되었습니다", "stored segments are damaged"),
        ("`pasu check`로 자세히 보십시오", "see which with `pasu check`"),
    ),
    "erase.failing": condition(
        Severity.ALARM,
        ("지우기로 한 조각을 지우지 못하고 있습니다", "segments that should be erased cannot be"),
        (
            "`pasu keep`의 기록에서 이름을 보고 저장소를 점검하십시오",
            "see their names in the log of `pasu keep`; check the vault",
        ),
    ),
    "erase.refused": condition(
        Severity.ALARM,
        (
            "지우기로 한 조각의 자리에 다른 것이 있어 손대지 않았습니다",
            "something else lies in the place of a segment that should be erased; it was not touched",
        ),
        ("그 파일을 누가 놓았는지 보고 옮기십시오", "find who put it there, and move it away"),
    ),
    "erase.unshredded": condition(
        Severity.WARNING,
        (
            "다른 링크가 남아 있어 머리를 지우지 않고 이름만 지운 조각이 있습니다",
            "segments were unlinked and not shredded, since another link to them is left",
        ),
        ("누가 링크를 만들었는지 찾으십시오", "find who made the other links"),
    ),
}
