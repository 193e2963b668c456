"""Figures of the campaign, written into a file of docs/evidence section by section: each test has one of its own."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tests.lab import ROOT, machine

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_section(name: str, head: str, section: str, lines: Sequence[str]) -> None:
    """Put a section into docs/evidence/<name>, in the place of the one before; what others wrote stays.

    head  what stands before all sections, for a file that is not there yet
    """
    file = ROOT / "docs" / "evidence" / name
    text = file.read_text(encoding="utf-8") if file.exists() else head.strip() + "\n"
    before, *sections = text.split("\n## ")
    kept = {part.partition("\n")[0]: part for part in sections}
    load = os.getloadavg()[1]
    dated = f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())}; {machine()}; load of the machine {load:.1f}."
    kept[section] = "\n".join((section, "", dated, "", *lines, ""))
    file.write_text("\n## ".join((before, *(part for _, part in sorted(kept.items())))), encoding="utf-8")
