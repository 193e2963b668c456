"""The way to the control centre: broker, certificate, backlog. Raised by the uplink."""

from __future__ import annotations

from agent.health.condition import Severity, condition

UPLINK = {
    "uplink.not_enrolled": condition(
        Severity.WARNING,
        ("이 박스는 아직 센터에 등록되지 않았습니다", "this box is not enrolled with the centre yet"),
        (
            "`pasu enrol request`로 신청서를 만들어 센터에 전하십시오",
            "make a request with `pasu enrol request` and give it to the centre",
        ),
    ),
    "uplink.offline": condition(
        Severity.ALARM,
        (
            "센터에 연결되지 않습니다. 녹화는 그대로 하고, 알릴 것은 모아 둡니다",
            "the centre cannot be reached; recording goes on, and reports wait",
        ),
        (
            "회선, 모뎀, 터널(VPN)을 차례로 확인하십시오",
            "check the line, the modem and the tunnel (VPN), in this order",
        ),
        depends_on=("uplink.not_enrolled", "uplink.refused", "certificate.expired"),
        visible_s=60,
    ),
    "uplink.refused": condition(
        Severity.ALARM,
        ("센터의 브로커가 이 박스를 거절합니다", "the centre's broker refuses this box"),
        (
            "센터에서 이 박스의 인증서와 권한(ACL)을 확인하십시오",
            "have the centre check this box's certificate and permissions (ACL)",
        ),
        depends_on=("uplink.not_enrolled", "certificate.expired"),
    ),
    "uplink.taken_over": condition(
        Severity.ALARM,
        (
            "다른 곳에서 이 박스의 이름으로 센터에 접속합니다",
            "somebody else connects to the centre under this box's name",
        ),
        (
            "인증서가 복사되었을 수 있습니다. 센터에 알려 이 박스의 인증서를 바꾸십시오",
            "its certificate may have been copied: tell the centre, and have it replaced",
        ),
    ),
    "uplink.flooded": condition(
        Severity.ALARM,
        (
            "센터 쪽에서 지나치게 많은 명령이 와서 일부를 버립니다",
            "far too many commands come from the centre's side; some are dropped",
        ),
        (
            "센터의 브로커에서 누가 보내는지 찾으십시오",
            "find out at the centre's broker who sends them",
        ),
    ),
    "uplink.backlog": condition(
        Severity.WARNING,
        (
            "센터에 보내지 못한 기록이 쌓여 있습니다",
            "entries of the ledger wait to be sent to the centre",
        ),
        (
            "회선이 느린지 보십시오. 잃는 것은 없고, 저절로 보냅니다",
            "see whether the line is slow; nothing is lost, and they are sent by themselves",
        ),
        depends_on=("uplink.not_enrolled", "uplink.refused", "uplink.offline"),
        visible_s=300,
    ),
    "broker.suspect": condition(
        Severity.ALARM,
        (
            "브로커의 행동이 앞뒤가 맞지 않습니다. 가로채였거나 기록을 잃었을 수 있습니다",
            "the broker does not behave as it should: it may have been taken over, or have lost its store",
        ),
        (
            "센터에 브로커의 점검을 요청하십시오. 박스의 영상과 기록은 안전합니다",
            "have the centre look at its broker; footage and ledger of the box are safe",
        ),
    ),
    "stream.stalled": condition(
        Severity.WARNING,
        (
            "허가된 실시간 영상이 센터에 닿지 않습니다. 녹화는 그대로 합니다",
            "a live stream that was granted does not reach the centre; recording goes on",
        ),
        (
            "센터의 미디어 서버와 터널을 확인하십시오. 카메라가 녹화되고 있는지도 보십시오",
            "check the centre's media server and the tunnel, and whether the camera is being recorded",
        ),
        depends_on=("tunnel.unguarded",),
        visible_s=10,
    ),
    "certificate.ends_in_30_days": condition(
        Severity.WARNING,
        ("박스의 인증서가 30일 안에 만료됩니다", "the box's certificate ends within 30 days"),
        ("센터에서 새 인증서를 받으십시오", "have the centre issue a new one"),
    ),
    "certificate.ends_in_14_days": condition(
        Severity.WARNING,
        ("박스의 인증서가 14일 안에 만료됩니다", "the box's certificate ends within 14 days"),
        ("센터에서 새 인증서를 받으십시오", "have the centre issue a new one"),
    ),
    "certificate.ends_in_7_days": condition(
        Severity.ALARM,
        ("박스의 인증서가 7일 안에 만료됩니다", "the box's certificate ends within 7 days"),
        (
            "지금 센터에서 새 인증서를 받으십시오. 만료되어도 녹화는 계속합니다",
            "have the centre issue a new one now; recording goes on when it ends",
        ),
    ),
    "certificate.ends_in_1_day": condition(
        Severity.ALARM,
        ("박스의 인증서가 하루 안에 만료됩니다", "the box's certificate ends within a day"),
        (
            "지금 센터에서 새 인증서를 받으십시오. 만료되어도 녹화는 계속합니다",
            "have the centre issue a new one now; recording goes on when it ends",
        ),
    ),
    "certificate.expired": condition(
        Severity.ALARM,
        (
            "박스의 인증서가 만료되어 센터에 접속할 수 없습니다. 녹화는 계속합니다",
            "the box's certificate has ended and the centre cannot be reached; recording goes on",
        ),
        (
            "센터에서 새 인증서를 받으십시오: `pasu enrol request`",
            "have the centre issue a new one: `pasu enrol request`",
        ),
    ),
}
