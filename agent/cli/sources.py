"""Find the segment files of a camera's span: by the catalogue, by a vault's file names, or as named."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.centre.segments import SegmentFile
from agent.cli.parser import UsageError
from agent.cli.segments import unknown_camera
from agent.language import say
from agent.model import UTC_DAY_MS, Span, utc_day
from agent.storage.catalogue import Catalogue
from agent.storage.layout import DAY_NAME, Kind, classify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.config import Config
    from agent.model import Gap

LONGEST_MS = 3_600_000  # six times what configuration allows: nothing that began earlier reaches into a span
LOOK_BACK = 3  # segments before a span: its first pictures may need a keyframe in one of them


def by_catalogue(config: Config, camera: str, span: Span) -> tuple[list[SegmentFile], list[Gap]]:
    """Ask the box's catalogue which files cover a span, and which gaps it knows there.

    A file that the catalogue knows and the disk has not is returned too: opening it reports the loss.
    Returns  files, none of them when nothing was stored in the span; gaps
    Raises   StorageFault; UsageError CAMERA_UNKNOWN
    """
    catalogue = Catalogue.open(config.storage.state, read_only=True)
    try:
        seen = catalogue.cameras()
        if camera not in seen:
            raise unknown_camera(camera, seen)
        known = catalogue.coverage(camera, span)
        reach = Span(max(span.start_ms - LONGEST_MS, 0), span.start_ms)
        earlier = catalogue.coverage(camera, reach).segments
        before = [segment for segment in earlier if segment not in known.segments][-LOOK_BACK:]
        roots = {uuid: Path(path) for uuid, path in catalogue.vaults().items()}
    finally:
        catalogue.close()
    if not known.segments:
        return [], known.gaps
    found = []
    for segment in [*before, *known.segments]:
        path = roots.get(segment.vault, config.storage.vaults[0]) / segment.path
        found.append(replace(SegmentFile.at(path, camera), start_ms=segment.start_ms))
    return found, known.gaps


def by_names(vault: Path, camera: str, span: Span) -> list[SegmentFile]:
    """Choose from a vault's file names what may reach into a span: for a copy without its catalogue.

    vault   the vault, or its `segments` folder
    Raises  UsageError VAULT_UNREADABLE or CAMERA_UNKNOWN
    """
    root = vault / "segments" if (vault / "segments").is_dir() else vault
    first_day = max(span.start_ms - LONGEST_MS, 0) // UTC_DAY_MS * UTC_DAY_MS
    found: list[SegmentFile] = []
    try:
        cameras = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        if camera not in cameras:
            raise unknown_camera(camera, cameras)
        for day_ms in range(first_day, span.end_ms, UTC_DAY_MS):
            day = root / camera / utc_day(day_ms)
            if day.is_dir():
                found += [SegmentFile.at(path, camera) for path in day.iterdir() if _is_segment(path)]
    except OSError as error:
        raise UsageError(
            "VAULT_UNREADABLE",
            say(f"저장소를 읽을 수 없습니다: {vault}", f"cannot read the vault: {vault}"),
            hint=say("--vault와 읽을 권한을 확인하십시오", "check --vault, and that you may read it"),
            reason=error.strerror or str(error),
        ) from None
    return _reaching(found, span)


def by_files(paths: Iterable[Path]) -> list[SegmentFile]:
    """Take the files that were named; one that lies in a vault says by its folder of which camera it is.

    Raises  UsageError FILE_UNREADABLE for what is no readable file
    """
    found = []
    for path in paths:
        reason = ""
        try:
            if not stat.S_ISREG(path.stat().st_mode) or not os.access(path, os.R_OK):
                reason = say("읽을 수 있는 파일이 아닙니다", "not a file that can be read")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or str(error)
        if reason:
            raise UsageError(
                "FILE_UNREADABLE",
                say(f"파일을 읽을 수 없습니다: {path}", f"cannot read the file: {path}"),
                hint=say(
                    "이름을 확인하십시오. 카메라 id라면 --vault나 --config를 더하십시오",
                    "check the name; for a camera's id add --vault or --config",
                ),
                reason=reason,
            )
        day = path.absolute().parent
        found.append(SegmentFile.at(path, day.parent.name if DAY_NAME.match(day.name) else None))
    return found


def _is_segment(path: Path) -> bool:
    """Tell a stored segment from tails, open parts and strange files."""
    known = classify(path.parent.parent.name, path.parent.name, path.name)
    return known is not None and known[1] in (Kind.FINAL, Kind.SALVAGED)


def _reaching(found: list[SegmentFile], span: Span) -> list[SegmentFile]:
    """Keep what starts inside the span, and those before it that may reach in or hold its first keyframe."""
    ordered = sorted(found, key=lambda file: (file.start_ms or 0, file.path))
    within = [file for file in ordered if span.start_ms < (file.start_ms or 0) < span.end_ms]
    oldest = span.start_ms - LONGEST_MS
    before = [file for file in ordered if oldest <= (file.start_ms or 0) <= span.start_ms]
    return before[-LOOK_BACK:] + within
