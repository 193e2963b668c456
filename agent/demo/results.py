"""What the demo recorded: every camera's footage opened with the city's key, a contact sheet, and what was found."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from agent.centre.keys import read_identities
from agent.centre.opening import open_segments
from agent.centre.segments import SegmentFile
from agent.cli.segments import CAUSES
from agent.cli.show import console, table
from agent.demo.ledger import read_requests
from agent.demo.sheet import Cell, write_sheet
from agent.language import say
from agent.model import GapCause, utc_name
from agent.storage.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.table import Table

    from agent.centre.report import OpenReport
    from agent.demo.site import Site
    from agent.demo.spec import CameraSpec
    from agent.demo.stamp import Image


@dataclass(slots=True)
class Opened:
    """What came out, by camera.

    gaps     their causes, for people
    offered  encodings of the sound that was offered
    setups   addresses of the tracks that the recorder asked the cameras for
    """

    reports: dict[str, OpenReport] = field(default_factory=dict)
    gaps: dict[str, list[str]] = field(default_factory=dict)
    offered: dict[str, list[str]] = field(default_factory=dict)
    setups: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every camera's footage could be opened, undamaged."""
        return all(report.outputs and not report.damages for report in self.reports.values())


def open_all(place: Path, output: Path, sites: Sequence[Site], key_file: Path) -> Opened:
    """Open everything, and draw the sheet.

    place   with the cameras' own record of what they were asked
    output  where clips and sheet go; what an earlier demo left of the same cameras is replaced
    """
    opened = Opened()
    identities = read_identities(key_file)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(), transient=True) as progress:
        for site in sites:
            catalogue = Catalogue.open(site.state, read_only=True)
            gaps = list(_facts(catalogue, "gap"))
            for spec in site.specs:
                task = progress.add_task(say(f"{spec.name} 여는 중", f"opening {spec.name}"), total=None)
                rows = list(catalogue.segments(spec.name))
                sources = [SegmentFile.at(site.vault / row.path, spec.name) for row in rows]
                clip = output / f"{spec.name}.mp4"
                for old in (clip, *(output / f"{spec.name}-{number}.mp4" for number in range(2, 10))):
                    old.unlink(missing_ok=True)
                opened.reports[spec.name] = open_segments(
                    sources,
                    identities,
                    None,
                    clip,
                    lambda done, total, task=task: progress.update(task, completed=done, total=total),  # type: ignore[misc]
                )
                opened.gaps[spec.name] = [
                    say(*CAUSES[GapCause(fact["cause"])]) for fact in gaps if fact["camera"] == spec.name
                ]
            for fact in _facts(catalogue, "camera.audio_offered"):
                opened.offered[fact["camera"]] = fact["encodings"]
            catalogue.close()
    specs = [spec for site in sites for spec in site.specs]
    opened.setups = [
        request.url
        for spec in specs
        for request in read_requests(place / "ledger" / f"{spec.name}.requests.jsonl")
        if request.method == "SETUP"
    ]
    heading = "Pasu: sealed on the box, opened at the centre"
    write_sheet(output / "contact-sheet.png", list(_cells(specs, opened.reports)), heading=heading)
    return opened


def report(opened: Opened, output: Path) -> Group:
    """Show what came out."""
    return Group(
        Text(say("\n관제센터의 키로 연 결과", "\nOpened with the control centre's key"), style="bold"),
        _clips(opened),
        "",
        Text(_statement(opened)),
        Text(say(f"클립과 사진: {output}/", f"Clips and contact sheet: {output}/")),
    )


def by_hand(opened: Opened, key_file: Path) -> str:
    """Say how to open a segment without this program."""
    sample = next(iter(opened.reports.values())).segments[0]
    return (
        say("봉인된 조각을 표준 도구로 직접 열어 보려면:", "To open a sealed segment with stock tools:")
        + f"\n  age -d -i {key_file} {sample} | ffprobe -v error -show_streams -"
    )


def _facts(catalogue: Catalogue, kind: str) -> Iterator[dict[str, Any]]:
    after = 0
    while entries := catalogue.ledger(after):
        for entry in entries:
            after = entry.seq
            if entry.kind == kind:
                yield json.loads(entry.body)


def _clips(opened: Opened) -> Table:
    rows: list[tuple[str, ...]] = []
    for name, found in opened.reports.items():
        rows.extend(
            (
                clip.path.name,
                f"{clip.codec.upper()} {clip.width}x{clip.height}",
                f"{clip.span.length_ms / 1000:.1f} s",
                str(clip.frames),
                str(len(found.segments)),
                ", ".join(opened.gaps[name]) or say("없음", "none"),
                say("없음", "none") if not found.damages else str(len(found.damages)),
            )
            for clip in found.outputs
        )
    heads = (
        say("클립", "clip"),
        say("영상", "video"),
        say("길이", "length"),
        say("프레임", "frames"),
        say("조각", "segments"),
        say("공백", "gaps"),
        say("손상", "damage"),
    )
    return table(heads, rows, right=(2, 3, 4), folding=(5,))


def _statement(opened: Opened) -> str:
    """Say what was offered and never asked for, by the cameras' own record of what they were asked."""
    audio = [url for url in opened.setups if "audio" in url]
    if audio:
        return say(f"음성이 요청되었습니다: {audio}", f"Sound was asked for: {audio}")
    what = ", ".join(sorted({encoding for encodings in opened.offered.values() for encoding in encodings}))
    return say(
        f"음성: 카메라 {len(opened.offered)}대가 제안했으나({what}) 한 번도 요청하지 않았습니다. "
        f"카메라가 받은 SETUP {len(opened.setups)}건은 모두 영상입니다.",
        f"Sound: offered by {len(opened.offered)} cameras ({what}), never asked for. "
        f"All {len(opened.setups)} SETUP requests that the cameras received were for video.",
    )


def _cells(specs: Sequence[CameraSpec], reports: dict[str, OpenReport]) -> Iterator[Cell]:
    for spec in specs:
        for clip in reports[spec.name].outputs:
            middle_ms = clip.span.start_ms + clip.span.length_ms // 2
            note = f"{utc_name(middle_ms)}  {clip.codec.upper()} {clip.width}x{clip.height}  {clip.frames} frames"
            yield Cell(_picture(clip.path), f"{spec.name}  {clip.path.name}", note)


def _picture(clip: Path) -> Image | None:
    """Decode one picture from the middle of a clip."""
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        if container.duration:
            container.seek(container.duration // 2)
        for frame in container.decode(stream):
            return frame.to_ndarray(format="bgr24").astype("uint8", copy=False)
    return None
