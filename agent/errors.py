"""Errors, named by who must act.

Each has a stable `code` (upper case, the key of its entry in docs/operations.md), a `context` of plain values
that say where it happened, and a `hint`: what that person does next. No context ever holds a password or an address
with credentials; whoever raises is answerable for that.
"""

from __future__ import annotations

from typing import ClassVar


class PasuError(Exception):
    """Base of every error that Pasu raises on purpose; anything else is a bug."""

    who: ClassVar[str] = "nobody"
    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, message: str, *, hint: str = "", **context: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.context = context

    def __str__(self) -> str:
        where = " ".join(f"{key}={value}" for key, value in self.context.items())
        text = f"{self.code}: {self.message}"
        if where:
            text += f" ({where})"
        if self.hint:
            text += f" -> {self.hint}"
        return text


class ConfigError(PasuError):
    """The installer must change the configuration. Exit status 78 (EX_CONFIG of sysexits.h)."""

    who = "installer"
    exit_code = 78


class CameraFault(PasuError):
    """The camera or its line misbehaves: back off, note a gap, raise a condition."""

    who = "camera"


class StorageFault(PasuError):
    """The disk misbehaves: stop writing there, note a gap, alarm the site."""

    who = "site"


class IntegrityFault(PasuError):
    """Stored bytes are not what was written: quarantine, never erase, never retry; an investigator looks."""

    who = "investigator"


class UplinkFault(PasuError):
    """The network to the centre misbehaves: buffer, never touch recording."""

    who = "network"


class TimeUntrusted(PasuError):
    """The time of day cannot be relied on: record on, erase nothing; an operator confirms the time."""

    who = "operator"
