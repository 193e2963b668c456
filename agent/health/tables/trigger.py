"""Bells and sensors at the site, each by its id. Raised by the recorder (`agent/capture/trigger_minder.py`)."""

from __future__ import annotations

from agent.health.condition import Severity, condition

TRIGGER = {
    "trigger.away": condition(
        Severity.ALARM,
        (
            "비상벨이나 센서의 신호를 받을 수 없습니다",
            "an emergency bell or a sensor is not listened to",
        ),
        (
            "MQTT면 현장 서버의 전원과 망, 적어 둔 계정(`pasu secrets`)을, GPIO면 선 번호와 권한을 확인하십시오",
            "for MQTT check the site's broker, its network and the log-in; for GPIO the line and the rights",
        ),
        visible_s=10,  # a broker that is started anew is back before
    ),
}
