"""What is shown live without a hand: disaster mode, selected cameras, triggers. Raised by the keeper."""

from __future__ import annotations

from agent.health.condition import Severity, condition

SHOWING = {
    "disaster.on": condition(
        Severity.WARNING,
        (
            "재난 모드입니다: 박스의 모든 카메라를 센터에 보입니다",
            "disaster mode: all cameras of the box are shown to the centre",
        ),
        (
            "재난이 끝났으면 운영책임자가 끝내십시오 (disaster.stop). 정한 시간이 지나면 저절로 끝납니다",
            "when the disaster is over, have the officer end it (disaster.stop); it ends by itself in time",
        ),
    ),
    "disaster.suspended": condition(
        Severity.ALARM,
        (
            "재난 모드가 켜져 있는데, 다시 켜진 뒤 시각을 믿을 수 없어 보이지 않습니다",
            "disaster mode is on, but the box was restarted and nobody knows the time: nothing is shown",
        ),
        (
            "센터에서 시각을 확인하거나(time.confirm) 재난 모드를 다시 명하십시오 (disaster.start)",
            "have the centre confirm the time (time.confirm), or order the mode again (disaster.start)",
        ),
    ),
    "stream.unscheduled": condition(
        Severity.WARNING,
        (
            "시각을 믿을 수 없어, 시간을 정해 둔 실시간 영상을 보내지 않습니다",
            "the time is not trusted: a camera that is selected for certain hours is not shown",
        ),
        ("센터에서 시각을 확인하십시오 (time.confirm)", "have the centre confirm the time (time.confirm)"),
    ),
    "trigger.restless": condition(
        Severity.WARNING,
        (
            "비상벨이나 센서가 쉬지 않고 울려, 새 실시간 영상을 시작하지 않습니다",
            "a bell or sensor speaks without end: it starts no more live streams for an hour",
        ),
        (
            "벨이 눌린 채 걸렸는지, 누가 장난하는지 현장을 보십시오. 신호는 모두 원장에 있습니다",
            "look at the site whether it is jammed or played with; what it said is in the ledger",
        ),
    ),
}
