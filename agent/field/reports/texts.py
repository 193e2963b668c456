"""Texts that strangers may have written, made fit for a sheet of paper. Pure."""

from __future__ import annotations

import re

from agent.config.rules import mask

MOST = 500
ADDRESS = re.compile(
    r"(?i)\b[a-z][a-z0-9+.-]{1,9}://\S+"
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5}|/\d{1,2})?(?![\w.]*\d)"
    r"|(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}(?![\w:])"
)


def clean(text: str) -> str:
    """Replace what cannot be printed, such as letters that turn the direction of a line, and cut what is too long."""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: MOST + 1])
    return shown if len(shown) <= MOST else shown[:MOST] + "…"


def scrub(text: str) -> str:
    """Clean a text of measurements, and leave addresses and passwords out of it: a report is handed on."""
    return ADDRESS.sub("***", mask(clean(text)))
