"""How long the box's certificate lasts (E13). Its expiry never stops recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.health import Raised
from agent.model import UTC_DAY_MS, Trust

if TYPE_CHECKING:
    from pathlib import Path

    from agent.model import Instant

EXPIRING_DAYS = 30
SOON_DAYS = 7


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
    """Return the condition that this calls for."""
    if days is None or days >= EXPIRING_DAYS:
        return []
    if days < 0:
        return [Raised("certificate.expired")]
    return [
        Raised("certificate.expires_soon" if days < SOON_DAYS else "certificate.expiring", detail=str(days))
    ]
