"""Updates of Pasu itself. Raised by `agent/storage/keep/updates.py`."""

from __future__ import annotations

from agent.health.condition import Severity, condition

UPDATE = {
    "update.rolled_back": condition(
        Severity.WARNING,
        (
            "새 버전이 녹화하지 못하여 전의 버전으로 되돌렸습니다. 녹화는 전처럼 합니다",
            "a new version did not record and was taken back; the version before records as it did",
        ),
        (
            "`pasu update status`의 까닭을 담당자에게 보내고, 고친 버전을 기다리십시오",
            "send what `pasu update status` says to support, and wait for a version that mends it",
        ),
    ),
    "update.due": condition(
        Severity.WARNING,
        ("이 버전은 만든 지 반년이 넘었습니다", "this version was built more than half a year ago"),
        (
            "담당자에게 새 버전이 있는지 물어 `pasu update apply`로 설치하십시오",
            "ask support for a newer one, and install it with `pasu update apply`",
        ),
    ),
    "update.failed": condition(
        Severity.ALARM,
        (
            "새 버전이 녹화하지 못하는데 되돌아갈 길이 없습니다",
            "a new version does not record as it should, and there was no way back",
        ),
        (
            "`pasu update status`를 보고, 고친 패키지를 `pasu update apply --anyway`로 설치하십시오",
            "see `pasu update status`; install a package that mends it with `pasu update apply --anyway`",
        ),
    ),
}
