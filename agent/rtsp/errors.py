"""The one declared error of the protocol code."""

from __future__ import annotations


class RtspError(Exception):
    """Bytes, answers or silence of a peer that cannot be used, or a request to us that cannot be met.

    code     stable, lower case: malformed_message, malformed_sdp, malformed_rtp, malformed_parameter_sets,
             malformed_unit, unsupported_encoding, auth_failed, auth_unsupported, status, redirect_refused,
             no_video, timeout, limit, closed
    context  plain values that say where it happened; never a password or an address with credentials
    """

    def __init__(self, code: str, message: str, **context: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.context = context

    def __str__(self) -> str:
        where = " ".join(f"{key}={value}" for key, value in self.context.items())
        return f"{self.code}: {self.message} ({where})" if where else f"{self.code}: {self.message}"
