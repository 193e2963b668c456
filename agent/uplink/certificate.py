"""How long the box's certificate lasts (E13). Its expiry never stops recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.health import Raised
from agent.model import UTC_DAY_MS, Trust

if TYPE_CHECKING:
    from pathlib import Path

    from agent.model import Instant

THRESHOLDS = (
    (1, "certificate.ends_in_1_day"),
    (7, "certificate.ends_in_7_days"),
    (14, "certificate.ends_in_14_days"),
    (30, "certificate.ends_in_30_days"),
)
"""Each a condition of its own: on the wire a condition is its code, and the centre must see the next one begin."""


def not_after_ms(file: Path) -> int | None:
    """Return when the first certificate of a PEM file ends, UTC ms; None when it cannot be read."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return None
    return int(certificate.not_valid_after_utc.timestamp()) * 1000


def days_left(ends_ms: int | None, now: Instant) -> int | None:
    """Return whole days until the end, negative after it; None when neither the end nor the time is known."""
    if ends_ms is None or now.trust is Trust.UNTRUSTED:
        return None
    return (ends_ms - now.utc_ms) // UTC_DAY_MS


def raised(days: int | None) -> list[Raised]:
    """Return the condition that this calls for: of the shortest span that the certificate ends within."""
    if days is None:
        return []
    if days < 0:
        return [Raised("certificate.expired")]
    return [Raised(code, detail=str(days)) for within, code in THRESHOLDS if days < within][:1]
