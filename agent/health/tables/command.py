"""Signed commands of the control centre, and the keys behind them. Raised by the keeper."""

from __future__ import annotations

from agent.health.condition import Severity, condition

COMMAND = {
    "command.delayed": condition(
        Severity.ALARM,
        (
            "영상을 기한 전에 많이 지우게 할 명령이 24시간 뒤를 기다립니다",
            "a command that would let much footage go early waits for 24 hours to pass",
        ),
        (
            "뜻한 명령인지 확인하고, 아니면 센터에서 취소하십시오 (command.cancel)",
            "make sure that it is meant; if not, have the centre cancel it (command.cancel)",
        ),
    ),
    "command.refused_often": condition(
        Severity.ALARM,
        ("잘못된 명령이 거듭 와서 거절했습니다", "commands that are not right come again and again"),
        (
            "센터에서 서명 키와 프로그램을 확인하십시오. 모르는 일이면 보안 담당자에게 알리십시오",
            "have the centre check its keys and programs; if nobody knows of it, tell who answers for security",
        ),
    ),
    "key.expiring": condition(
        Severity.WARNING,
        ("센터의 서명 키가 곧 만료됩니다", "a signing key of the centre ends soon"),
        (
            "센터에서 새 키를 넣은 키 묶음을 보내십시오 (ring.replace)",
            "have the centre send a ring with a new key (ring.replace)",
        ),
    ),
    "ring.old": condition(
        Severity.WARNING,
        (
            "센터의 키 묶음이 오래되어 쓸 수 있는 서명 키가 없습니다",
            "the centre's key ring is old and holds no signing key that is valid now",
        ),
        (
            "센터에서 새 키 묶음을 보내십시오 (ring.replace)",
            "have the centre send a new ring (ring.replace)",
        ),
    ),
    "ring.damaged": condition(
        Severity.ALARM,
        (
            "센터의 키 묶음이 손상되어 아무 명령도 따르지 않습니다",
            "the centre's key ring is damaged: no command is obeyed",
        ),
        (
            "누가 고쳤는지 조사하고, 등록 묶음을 다시 받으십시오: `pasu enrol accept`",
            "find out who edited it, and take the enrolment bundle again: `pasu enrol accept`",
        ),
    ),
    "lockdown.on": condition(
        Severity.WARNING,
        (
            "잠금 상태입니다: 영상이 박스 밖으로 나가지 않습니다",
            "the box is locked down: no footage leaves it",
        ),
        (
            "끝나면 두 사람의 서명으로 푸십시오 (lockdown)",
            "when it is over, lift it with two signatures (lockdown)",
        ),
    ),
}
