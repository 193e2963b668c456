"""What is written into agent.toml and secrets.toml for a camera that was chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.config.secrets import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True, slots=True)
class Addition:
    """One camera to add.

    url, sub_url  without log-in; sub_url is "" when there is none
    allow_basic   whether the password may go out in clear, which somebody has waived
    waived        findings that somebody has put up with; they are written beside it
    username      "" when the camera wants no log-in
    view          what it looks at, for the notice board; "" when nobody has said it yet
    """

    id: str
    name: str
    url: str
    sub_url: str
    purpose: str
    legal_basis: str
    allow_basic: bool = False
    waived: tuple[str, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    view: str = ""


# What usually allows a camera of this purpose; where the law names no one paragraph, nothing is proposed.
# Source Personal Information Protection Act art. 25(1); names as agent.config.values.Purpose
_ACT = "개인정보 보호법 제25조제1항제{}호"
BASES = {
    "crime-prevention": _ACT.format(2),
    "parking-management": _ACT.format(3),
    "fire-prevention": _ACT.format(3),
    "facility-management": _ACT.format(3),
    "illegal-parking": _ACT.format(4),
    "traffic-information": _ACT.format(5),
}


def next_id(taken: Collection[str]) -> str:
    """Propose the first free of cam01, cam02, ..."""
    number = 1
    while f"cam{number:02d}" in taken:
        number += 1
    return f"cam{number:02d}"


def camera_tables(additions: Sequence[Addition]) -> str:
    """Write the [[camera]] tables, each after an empty line."""
    parts = []
    for each in additions:
        lines = [
            "",
            "[[camera]]",
            *(f"# waived when it was added: {code}" for code in each.waived),
            f"id = {quoted(each.id)}",
            f"name = {quoted(each.name)}",
            f"url = {quoted(each.url)}",
        ]
        if each.sub_url:
            lines.append(f"sub_url = {quoted(each.sub_url)}")
        lines += [f"purpose = {quoted(each.purpose)}", f"legal_basis = {quoted(each.legal_basis)}"]
        if each.view:
            lines.append(f"view = {quoted(each.view)}")
        if each.username:
            lines.append(f"allow_basic_auth = {str(each.allow_basic).lower()}")
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def log_in_tables(additions: Sequence[Addition]) -> str:
    """Write the [camera.ID] tables of those that have a log-in, each after an empty line."""
    return "".join(
        f"\n[camera.{each.id}]\nusername = {quoted(each.username)}\npassword = {quoted(each.password)}\n"
        for each in additions
        if each.username
    )


def appended(content: bytes, tables: str) -> bytes:
    """Add tables at the end of a file, and touch nothing else in it: comments and order stay."""
    ended = content if not content or content.endswith(b"\n") else content + b"\n"
    return ended + (tables if content else tables.lstrip("\n")).encode()
