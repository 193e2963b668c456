"""The processes themselves."""

from __future__ import annotations

from agent.health.condition import Severity, condition

PROCESS = {
    "keeper.trouble": condition(
        Severity.ALARM,
        (
            "보관 일의 일부가 실패했습니다. 저절로 다시 시도합니다",
            "a part of keeping failed; it is tried again by itself",
        ),
        ("계속되면 `pasu keep`의 기록을 보십시오", "if it stays, read the log of `pasu keep`"),
    ),
    "process.silent": condition(
        Severity.CRITICAL,
        (
            "파수의 프로세스가 응답하지 않습니다 (record: 녹화, keep: 보관, uplink: 보고, tunnel: 터널)",
            "a process of Pasu does not answer (record: recording, keep: keeping, uplink: reporting, tunnel)",
        ),
        (
            "`systemctl status pasu-record pasu-keep pasu-uplink pasu-tunnel`로 보고 다시 시작하십시오",
            "see `systemctl status pasu-record pasu-keep pasu-uplink pasu-tunnel`, and start it again",
        ),
    ),
    "worker.lost": condition(
        Severity.WARNING,
        (
            "녹화 프로세스가 죽거나 멈추어 새로 시작했습니다. 그동안의 공백은 기록되었습니다",
            "a recording process died or hung and was started again; the gap is on record",
        ),
        (
            "되풀이되면 `pasu record`의 기록을 담당자에게 보내십시오",
            "if it happens again, send the log of `pasu record` to support",
        ),
    ),
}
