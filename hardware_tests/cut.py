"""What a power cut cost a box: judged from what it said before, and what its catalogue says afterwards.

Pure, but for `look`.

For the drill with a real plug (pull_the_plug.py), and for whoever else takes a box's power away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LOST_S = 2.0
"""A4: what a cut may cost a camera."""
BOOT_S = 20.0
"""A4: from power to the first picture."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera over a cut. lost_ms: before the cut; away_ms: from the boot to the first picture."""

    id: str
    lost_ms: int
    away_ms: int | None
    is_told: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a cut. wrong: in words, empty when all is as it should be."""

    cameras: list[Camera]
    wrong: list[str] = field(default_factory=list)


def judge(
    cut_ms: int,
    boot_ms: int,
    segments: Mapping[str, Sequence[tuple[int, int]]],
    gaps: Mapping[str, Sequence[tuple[int, int]]],
    *,
    lost_s: float = LOST_S,
    boot_s: float = BOOT_S,
    slack_ms: int = 500,
) -> Verdict:
    """Say what a cut cost.

    cut_ms, boot_ms  UTC of the last sign of life, and of the kernel's start after it
    segments, gaps   by camera: begin and end, UTC ms, whether cut off and salvaged or not
    slack_ms         by which a gap may begin late or end early
    """
    cameras, wrong = [], []
    for camera, spans in sorted(segments.items()):
        before = max((min(end, cut_ms) for begin, end in spans if begin <= cut_ms), default=None)
        after = min((begin for begin, _ in spans if begin > cut_ms), default=None)
        if before is None:
            wrong.append(f"{camera}: nothing is stored of before the cut")
            continue
        told = after is not None and any(
            begin <= before + slack_ms and end >= after - slack_ms for begin, end in gaps.get(camera, ())
        )
        found = Camera(camera, cut_ms - before, None if after is None else after - boot_ms, told)
        cameras.append(found)
        if found.lost_ms > lost_s * 1000:
            wrong.append(f"{camera}: {found.lost_ms} ms were lost before the cut")
        if found.away_ms is None:
            wrong.append(f"{camera}: nothing is recorded since")
        elif found.away_ms > boot_s * 1000:
            wrong.append(f"{camera}: the first picture came {found.away_ms} ms after the boot")
        if after is not None and not told:
            wrong.append(f"{camera}: no gap says that {before} to {after} is missing")
    if not segments:
        wrong.append("no camera has anything stored")
    return Verdict(cameras, wrong)


def untold(
    cameras: Iterable[str],
    segments: Mapping[str, Sequence[tuple[int, int]]],
    gaps: Mapping[str, Sequence[tuple[int, int]]],
    from_ms: int,
    to_ms: int,
    *,
    slack_ms: int = 500,
) -> list[str]:
    """Say, of each camera, which parts of a span are neither stored nor a gap, in words.

    segments, gaps  by camera: begin and end, UTC ms
    from_ms, to_ms  the span
    slack_ms        a hole that is not longer counts as none
    """
    wrong = []
    for camera in sorted(cameras):
        at_ms = from_ms
        for begin, end in sorted([*segments.get(camera, ()), *gaps.get(camera, ()), (to_ms, to_ms)]):
            if min(begin, to_ms) - at_ms > slack_ms:
                wrong.append(f"{camera}: nothing says why {at_ms} to {min(begin, to_ms)} is missing")
            at_ms = max(at_ms, end)
    return wrong


def look(
    state: Path, from_ms: int
) -> tuple[dict[str, list[tuple[int, int]]], dict[str, list[tuple[int, int]]]]:
    """Return segments and gaps, by camera, that end after a moment."""
    from bench import ask

    found: list[dict[str, list[Any]]] = [{}, {}]
    for number, query in enumerate((
        "select camera, start_ms, end_ms from segment where end_ms > ?",
        "select camera, start_ms, end_ms from gap where end_ms > ?",
    )):  # fmt: skip
        for camera, start, end in ask(state, query, from_ms):
            found[number].setdefault(camera, []).append((start, end))
    return found[0], found[1]
