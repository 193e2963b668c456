"""What `pasu open` says about what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from agent.centre.segments import Lost
    from agent.model import Span


@dataclass(frozen=True, slots=True)
class Output:
    """A clip that was written.

    span   UTC from its first picture to the end of its last; holes in it are in the report's `missing`
    sha256 of the file, lower-case hex
    """

    path: Path
    camera: str
    span: Span
    frames: int
    codec: str
    width: int
    height: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of the span asked for (without one: of what the segments span) that has no pictures."""

    camera: str
    span: Span


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What was opened, and what could not be.

    segments  files whose pictures are in the outputs, in order
    damages   in the order in which they were met; also those that cost no picture of the span
    """

    outputs: tuple[Output, ...]
    segments: tuple[Path, ...]
    damages: tuple[Lost, ...]
    missing: tuple[Missing, ...]

    @property
    def frames(self) -> int:
        """Pictures in all outputs."""
        return sum(output.frames for output in self.outputs)

    @property
    def whole(self) -> bool:
        """Tell whether nothing is damaged or missing."""
        return not self.damages and not self.missing
