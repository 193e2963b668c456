"""The machine itself. Judged by `agent/health/vitals.py`."""

from __future__ import annotations

from agent.health.condition import Severity, condition

BOX = {
    "box.hot": condition(
        Severity.ALARM,
        (
            "박스가 뜨겁습니다. 더 뜨거워지면 느려지거나 꺼집니다",
            "the box is hot: hotter, it will slow down or switch itself off",
        ),
        (
            "함체의 환기구, 팬, 먼지를 점검하십시오",
            "check the cabinet's vents, its fan, and for dust",
        ),
        visible_s=60,
    ),
    "box.throttled": condition(
        Severity.WARNING,
        (
            "열이나 전원 때문에 박스가 스스로 느려지고 있습니다",
            "the box slows itself down because of heat or power",
        ),
        ("환기와 전원 어댑터를 점검하십시오", "check ventilation and power supply"),
        depends_on=("box.hot", "box.power_low"),
        visible_s=60,
    ),
    "box.power_low": condition(
        Severity.ALARM,
        (
            "전원의 전압이 낮습니다. 언제든 꺼질 수 있습니다",
            "the supply's voltage is low: the box may go off at any time",
        ),
        (
            "전원 어댑터와 배선을 점검하고 바꾸십시오",
            "check the power adapter and the wiring, and replace them",
        ),
    ),
    "box.on_battery": condition(
        Severity.ALARM,
        (
            "외부 전원이 끊겨 배터리로 돌고 있습니다",
            "the mains is gone and the box runs on its battery",
        ),
        ("현장의 전원을 확인하십시오", "see to the site's power"),
    ),
    "box.power_flapping": condition(
        Severity.ALARM,
        (
            "전원이 자주 끊겼다 들어옵니다 (10분에 5번 이상 다시 시작)",
            "power comes and goes: five starts or more within ten minutes",
        ),
        (
            "차단기, 콘센트, 전원 어댑터를 점검하고 무정전 전원을 생각하십시오",
            "check breaker, socket and power adapter; think of an uninterruptible supply",
        ),
    ),
    "box.memory_short": condition(
        Severity.WARNING,
        ("박스의 메모리가 거의 찼습니다", "the box's memory is nearly full"),
        (
            "파수 밖의 프로그램이 메모리를 쓰는지 보십시오 (`top`)",
            "see whether programs other than Pasu take it (`top`)",
        ),
        visible_s=60,
    ),
    "box.processor_busy": condition(
        Severity.WARNING,
        ("박스의 프로세서가 쉬지 못합니다", "the box's processor has no rest"),
        (
            "파수 밖의 프로그램이 도는지 보고(`top`), 카메라 수를 나누십시오",
            "see whether programs other than Pasu run (`top`); share the cameras out over more boxes",
        ),
        depends_on=("box.throttled",),
        visible_s=300,
    ),
}
