"""How it is said where log-ins lie, and what opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.language import say
from agent.log_ins import Form
from agent.machine import TPM, Key

if TYPE_CHECKING:
    from pathlib import Path

    from agent.log_ins import LogIns


def key_word(key: Key | None) -> str:
    """Return what opens log-ins that are sealed, in the reader's language."""
    return {
        Key.TPM: say(
            "이 기계의 TPM과 시스템 디스크의 키에 봉인",
            "sealed to this machine's TPM and its system disk's key",
        ),
        Key.HOST: say("이 시스템 디스크의 키에 봉인", "sealed to this system disk's key"),
        Key.NONE: say("봉인되지 않음", "sealed to nothing"),
    }.get(key or Key.UNKNOWN, say("봉인, 무엇에인지 알 수 없음", "sealed, to what cannot be told"))


def where_they_lie(beside: LogIns, tpm: Path = TPM) -> str:
    """Return the file, and what protects it. tpm: the kernel's device. Raises ConfigProblems."""
    standing = beside.standing()
    if standing.form is Form.SEALED:
        unused = say(
            "; TPM이 있지만 쓰이지 않았습니다: libtss2 패키지를 설치하고 `sudo pasu secrets open --yes`, "
            "`sudo pasu secrets seal`",
            "; there is a TPM, which was not used: install the libtss2 packages, then `sudo pasu secrets open --yes` "
            "and `sudo pasu secrets seal`",
        )
        more = unused if standing.key is Key.HOST and tpm.exists() else ""
        return f"{beside.sealed} ({key_word(standing.key)}{more})"
    plain = say("봉인되지 않음, 0600", "not sealed, 0600")
    return f"{beside.clear} ({plain})"
