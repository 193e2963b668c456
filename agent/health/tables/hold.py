"""Legal holds."""

from __future__ import annotations

from agent.health.condition import Severity, condition

HOLD = {
    "hold.review_due": condition(
        Severity.ALARM,
        ("보존 명령의 재검토일이 지났습니다", "a hold's review date has come"),
        (
            "다시 검토하여 새로 명하거나 푸십시오: `pasu hold list`",
            "review it: place it anew or release it (`pasu hold list`)",
        ),
    ),
    "hold.review_soon": condition(
        Severity.WARNING,
        ("보존 명령의 재검토일이 다가옵니다", "a hold's review date is near"),
        ("재검토를 준비하십시오: `pasu hold list`", "prepare its review (`pasu hold list`)"),
    ),
    "hold.answer_due": condition(
        Severity.ALARM,
        (
            "열람 청구를 받은 지 10일이 지났습니다",
            "a request to see a recording was not settled within ten days",
        ),
        (
            "열람하게 하거나, 미루거나 거절하는 까닭을 청구인에게 알리고 보존을 푸십시오: `pasu hold list`",
            "let the person see it, or give the reasons for delay or refusal; then release the hold (`pasu hold list`)",
        ),
    ),
    "hold.answer_soon": condition(
        Severity.WARNING,
        (
            "열람 청구에 답할 기한(10일)이 다가옵니다",
            "the ten days to answer a request to see a recording are nearly over",
        ),
        (
            "청구인에게 답하고, 마치면 보존을 푸십시오: `pasu hold list`",
            "answer the person; release the hold when it is settled (`pasu hold list`)",
        ),
    ),
    "hold.incomplete": condition(
        Severity.ALARM,
        ("보존 명령이 아직 모든 조각을 묶지 못했습니다", "a hold has not linked all of its segments"),
        (
            "저장소 디스크를 점검하십시오. 저절로 다시 시도합니다",
            "check the vault's disk; it is tried again by itself",
        ),
    ),
    "hold.unreadable": condition(
        Severity.CRITICAL,
        (
            "보존 명령 파일을 읽을 수 없어 그 저장소에서는 아무것도 지우지 않습니다",
            "a hold's file cannot be read; nothing is erased on that vault",
        ),
        ("파일을 그대로 두고 담당자에게 알리십시오", "leave the file as it is and call for support"),
    ),
    "hold.foreign": condition(
        Severity.WARNING,
        (
            "저장소의 holds 폴더에 보존 명령이 아닌 폴더가 있습니다. 지우지 않고 그대로 둡니다",
            "there is a folder among a vault's holds that is no hold; it is left as it is",
        ),
        ("누가 두었는지 확인하고 다른 곳으로 옮기십시오", "find out whose it is, and move it elsewhere"),
    ),
    "hold.lost": condition(
        Severity.CRITICAL,
        ("보존 중인 조각의 파일이 없습니다", "the file of a held segment is nowhere"),
        (
            "아무것도 바꾸지 말고 조사 담당자에게 알리십시오. 디스크를 점검하십시오",
            "change nothing, call an investigator, and check the disk",
        ),
    ),
}
