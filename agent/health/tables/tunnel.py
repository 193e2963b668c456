"""The tunnel to the centre. Raised by `pasu tunnel watch`, and by the uplink."""

from __future__ import annotations

from agent.health.condition import Severity, condition

TUNNEL = {
    "tunnel.down": condition(
        Severity.ALARM,
        (
            "센터로 가는 터널이 없습니다. 아무것도 나가지 않으며, 녹화는 그대로 하고 알릴 것은 모아 둡니다",
            "there is no tunnel to the centre: nothing leaves, recording goes on, and reports wait",
        ),
        (
            "`pasu tunnel status`를 보고, 이유가 말하는 것을 고치십시오",
            "see `pasu tunnel status`, and mend what it names",
        ),
        visible_s=10,
    ),
    "tunnel.stale": condition(
        Severity.ALARM,
        (
            "터널의 반대쪽이 3분 넘게 답하지 않습니다. 녹화는 그대로 하고 알릴 것은 모아 둡니다",
            "the other end of the tunnel has not answered for three minutes; recording goes on, and reports wait",
        ),
        (
            "회선과 모뎀, 그다음 센터의 터널 서버를 차례로 확인하십시오",
            "check the line and the modem, then the centre's end of the tunnel",
        ),
    ),
    "tunnel.trouble": condition(
        Severity.ALARM,
        (
            "터널은 올라와 있지만 바로잡을 것이 있습니다. 그대로 두면 다음에 올라오지 않거나 카메라를 잃을 수 있습니다",
            "the tunnel is up, and something is to be put right: else it may not come up again, or cost a camera",
        ),
        (
            "`pasu tunnel status`를 보고, 이유가 말하는 것을 고치십시오",
            "see `pasu tunnel status`, and mend what it names",
        ),
        visible_s=10,
    ),
    "tunnel.unguarded": condition(
        Severity.ALARM,
        (
            "터널 밖으로 나가는 길을 막는 규칙이 제대로 서 있지 않습니다. 실시간 영상은 내보내지 않습니다",
            "the rules that bar every way past the tunnel are not in force as they should be; no live picture is sent",
        ),
        (
            "`pasu tunnel status`로 이유를 보고, 누가 규칙을 바꾸었는지 찾으십시오",
            "see why with `pasu tunnel status`, and find out who changed them",
        ),
        visible_s=10,
    ),
}
