"""How values look in TOML, for whoever reads what is wrong with a file. Pure."""

from __future__ import annotations

from typing import Any


def as_toml(value: Any) -> str:
    """Show a value much as it stands in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = (letter if letter.isprintable() else f"\\u{ord(letter):04X}" for letter in value)
        return '"' + "".join(shown) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    return str(value)
