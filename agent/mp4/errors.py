"""The one error that agent.mp4 raises."""

from __future__ import annotations


class Mp4Error(Exception):
    """Bytes that are not a file of ours, or values that no file of ours can hold.

    code     stable, lower case: what is wrong
    context  plain values that say where
    """

    def __init__(self, code: str, message: str, **context: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.context = context

    def __str__(self) -> str:
        where = " ".join(f"{key}={value}" for key, value in self.context.items())
        return f"{self.code}: {self.message}" + (f" ({where})" if where else "")
