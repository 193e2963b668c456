"""Why the time is trusted or not, and what to do about it, in the reader's language."""

from __future__ import annotations

from agent.trust import Reason

_SYNC = (
    "시각 동기(chrony, systemd-timesyncd)를 켜십시오. 표시된 시각이 맞으면 `pasu clock confirm`으로 확인하십시오",
    "turn on a time service (chrony, systemd-timesyncd); if the time shown is right, say so with `pasu clock confirm`",
)
_BOTH = (
    "시각 동기가 되어야 하고, 사람이 `pasu clock confirm`으로 확인도 해야 합니다",
    "two words are needed: a time service must synchronise, and a person must `pasu clock confirm`",
)
_NONE = ("", "")
WORDS: dict[Reason, tuple[tuple[str, str], tuple[str, str]]] = {
    Reason.NEW_BOOT: (("방금 켜졌습니다", "the box has just started"), _SYNC),
    Reason.SYNCED: (("시각이 동기되어 있습니다", "the clock is synchronised"), _NONE),
    Reason.FIRST_SYNC: (
        ("시각이 처음으로 동기되었습니다", "the clock is synchronised, for the first time"),
        _NONE,
    ),
    Reason.BACK_SYNCED: (
        ("다시 켜진 뒤 시각이 동기되었습니다", "the clock is synchronised after a restart"),
        _NONE,
    ),
    Reason.HOLDOVER: (
        (
            "동기는 없으나 맞던 시각이 이어지고 있습니다",
            "not synchronised now, but it goes on from a time that was right",
        ),
        (
            "시각 동기(chrony, systemd-timesyncd)를 확인하십시오",
            "look after the time service (chrony, systemd-timesyncd)",
        ),
    ),
    Reason.NAMED: (("사람이 시각을 확인했습니다", "the time was confirmed"), _NONE),
    Reason.UNSYNCED: (
        (
            "켜진 뒤로 아무도 시각을 알려 주지 않았습니다",
            "since the box started nobody has said what time it is",
        ),
        _SYNC,
    ),
    Reason.STEPPED: (
        ("누군가 시계를 바꾸었습니다", "somebody has set the clock"),
        (
            "바뀐 시각이 맞으면 `pasu clock confirm`, 틀리면 시계를 되돌리십시오",
            "if the new time is right, `pasu clock confirm`; if not, set the clock back",
        ),
    ),
    Reason.SPENT: (
        ("닷새 동안 아무도 시각을 확인하지 않았습니다", "for five days nobody has confirmed the time"),
        _SYNC,
    ),
    Reason.SLEPT: (
        (
            "절전에서 깨어난 뒤 아무도 시각을 확인하지 않았습니다",
            "the box was suspended, and nobody has confirmed the time since",
        ),
        (
            "표시된 시각이 맞으면 `pasu clock confirm`으로 확인하고, 박스의 절전을 끄십시오",
            "if the time shown is right, `pasu clock confirm`; turn suspending off on this box",
        ),
    ),
    Reason.ABSENT: (
        ("사흘 넘게 시각을 모르고 있었습니다", "for more than three days the time was not known"),
        _BOTH,
    ),
    Reason.BACKWARD: (
        (
            "마지막으로 알던 시각이나 앞서 믿지 않은 시각보다 이릅니다",
            "the clock shows a time before the last that was known, or before one that was not believed",
        ),
        _BOTH,
    ),
    Reason.IMPLAUSIBLE: (
        ("있을 수 없는 시각입니다", "the clock shows a time that cannot be"),
        ("시계를 맞춘 뒤 `pasu clock confirm`으로 확인하십시오", "set the clock, then `pasu clock confirm`"),
    ),
}
