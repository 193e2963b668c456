"""How it is said where log-ins lie, and what opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.language import say
from agent.log_ins import Form
from agent.machine import Key

if TYPE_CHECKING:
    from agent.log_ins import LogIns


def key_word(key: Key | None) -> str:
    """Return what opens log-ins that are sealed, in the reader's language."""
    return {
        Key.TPM: say("이 기계의 TPM에 봉인", "sealed to this machine's TPM"),
        Key.HOST: say("이 시스템 디스크의 키에 봉인", "sealed to this system disk's key"),
        Key.NONE: say("봉인되지 않음", "sealed to nothing"),
    }.get(key or Key.UNKNOWN, say("봉인, 무엇에인지 알 수 없음", "sealed, to what cannot be told"))


def where_they_lie(beside: LogIns) -> str:
    """Return the file, and what protects it. Raises ConfigProblems."""
    standing = beside.standing()
    if standing.form is Form.SEALED:
        return f"{beside.sealed} ({key_word(standing.key)})"
    plain = say("봉인되지 않음, 0600", "not sealed, 0600")
    return f"{beside.clear} ({plain})"
