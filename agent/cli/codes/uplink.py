"""Codes of reporting to the centre."""

from __future__ import annotations

from agent.cli.codes.code import code

UPLINK = {
    "UPLINK_NOT_CONFIGURED": code(
        "installer",
        ("설정에 [uplink]가 없습니다", "the configuration has no [uplink]"),
        (
            'agent.toml에 [uplink] broker = "mqtts://…"를 적으십시오',
            'write [uplink] broker = "mqtts://..." into agent.toml',
        ),
    ),
    "UPLINK_NOT_ENROLLED": code(
        "installer",
        ("이 박스는 아직 센터에 등록되지 않았습니다", "this box is not enrolled with a centre yet"),
        (
            "`pasu enrol request`로 신청서를 만들어 센터에 전하고, 답을 `pasu enrol accept`로 넣으십시오",
            "make a request with `pasu enrol request` and take the centre's answer with `pasu enrol accept`",
        ),
    ),
    "ENROLMENT_UNSEEN": code(
        "types",
        ("등록되었는지 여기서는 볼 수 없습니다", "whether this box is enrolled cannot be seen"),
        (
            "root로 하십시오: `sudo pasu …`. 그래도 그러면 상태 폴더가 있는 디스크를 보십시오",
            "do it as root: `sudo pasu ...`; if it stays so, look at the disk with the state directory",
        ),
    ),
    "REPORTING_ALREADY": code(
        "site",
        ("이미 다른 프로세스가 보고하고 있습니다", "another process reports for this box already"),
        ("실행 중인 `pasu uplink`를 그대로 두십시오", "leave the `pasu uplink` that runs to its work"),
    ),
    "DEMO_BROKER_MISSING": code(
        "types",
        ("시연에 쓸 MQTT 브로커가 없습니다", "there is no MQTT broker for the demo"),
        (
            "mosquitto를 설치하거나(apt-get install mosquitto) pip install 'pasu-agent[demo]'를 하십시오",
            "install mosquitto (apt-get install mosquitto), or pip install 'pasu-agent[demo]'",
        ),
    ),
}
