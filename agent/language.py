"""Korean or English, as `LANG` says.

Every text that a person reads is written as a pair at the place where it is used, so that none can exist in
one language only: ``say("영상 없음", "no picture")``.
"""

from __future__ import annotations

import os
from typing import Literal

Language = Literal["ko", "en"]


def language() -> Language:
    """Return "ko" when the first of LC_ALL, LC_MESSAGES and LANG that is set starts with "ko", else "en"."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"


def say(korean: str, english: str) -> str:
    """Return the text for the person who reads it now."""
    return korean if language() == "ko" else english
