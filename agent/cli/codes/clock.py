"""Codes about the clock."""

from __future__ import annotations

from agent.cli.codes.code import code

CLOCK = {
    "TIME_IMPLAUSIBLE": code(
        "operator",
        ("이 시각은 맞을 수 없습니다", "this time cannot be right"),
        (
            "`timedatectl set-time`으로 시계를 맞춘 뒤 다시 확인하십시오",
            "set the clock with `timedatectl set-time`, then confirm again",
        ),
    ),
}
