"""The configuration and the recipients' keys, as a running recorder follows them. Raised by `agent/adopt.py`."""

from __future__ import annotations

from agent.health.condition import Severity, condition

CONFIG = {
    "config.invalid": condition(
        Severity.WARNING,
        (
            "설정 파일이 잘못되어, 전의 설정대로 녹화합니다",
            "the configuration file is wrong; recording goes on as it was configured before",
        ),
        ("`pasu config check`로 찾아 고치십시오", "find what is wrong with `pasu config check`, and mend it"),
    ),
    "config.secrets_shut": condition(
        Severity.ALARM,
        (
            "봉인된 카메라 계정이 이 기계에서 열리지 않습니다",
            "the cameras' log-ins are sealed, and this machine does not open them",
        ),
        (
            (
                "먼저 `systemctl start pasu-log-ins`: 되면 TPM이 늦었던 것이니 `systemctl restart pasu-record`. "
                "안 되면 봉인한 메인보드와 디스크를 되돌리거나, "
                "카메라마다 `pasu secrets set --anew 카메라`로 다시 적으십시오"
            ),
            (
                "first `systemctl start pasu-log-ins`: if it succeeds the TPM was late: "
                "`systemctl restart pasu-record`. Else put back board and disk that sealed them, "
                "or give each log-in again: `pasu secrets set --anew CAMERA`"
            ),
        ),
    ),
    "config.needs_restart": condition(
        Severity.WARNING,
        (
            "설정의 일부는 다시 시작해야 바뀝니다",
            "a part of the configuration takes effect at the next start only",
        ),
        (
            "때를 골라 `systemctl restart pasu-record pasu-keep`을 하십시오",
            "choose a moment, and `systemctl restart pasu-record pasu-keep`",
        ),
    ),
    "recipients.unverified": condition(
        Severity.ALARM,
        (
            "도시가 서명한 키 목록을 믿을 수 없어, 전의 수신자에게 봉인합니다",
            "the key ring that the city signed cannot be relied on; segments are sealed to whom they were before",
        ),
        (
            "다시 시작하지 말고 누가 고쳤는지 조사하십시오. 등록 묶음을 다시 받아 `pasu enrol accept`를 하십시오",
            "do not restart; find out who edited it, get the enrolment bundle again, and `pasu enrol accept` it",
        ),
    ),
    "recipients.differ": condition(
        Severity.WARNING,
        (
            "agent.toml의 수신자가 도시가 서명한 것과 다릅니다. 서명된 수신자에게 봉인합니다",
            "agent.toml names other recipients than the city signed; segments are sealed to those that are signed",
        ),
        (
            "agent.toml의 storage.recipients를 서명된 것과 같게 하십시오",
            "make storage.recipients in agent.toml the same as those that are signed",
        ),
    ),
}
