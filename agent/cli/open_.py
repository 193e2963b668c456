"""`pasu open`: at the centre, open sealed segments with a private key and join them into a clip."""

from __future__ import annotations

import time
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_identity, add_span
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from datetime import tzinfo

    from agent.centre.opening import OpenReport
    from agent.centre.segments import Lost, SegmentFile
    from agent.model import Gap, Span

PARTLY = 3  # exit status: something was written, and something is damaged or missing


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "open", help=say("봉인된 영상을 엽니다 (관제센터)", "open sealed video (control centre)")
    )
    parser.description = say(
        "봉인된 조각을 개인키로 열어 다시 부호화하지 않고 하나의 MP4로 잇습니다. 손상되거나 빠진 곳은 "
        "모두 보고합니다. "
        "끝 상태: 0 온전함, 3 빠지거나 손상된 곳이 있음.\n\n"
        "예:\n  pasu open --identity centre.key --vault /media/copy cam01 --from 2026-11-21T10:00 --to "
        "2026-11-21T10:05 -o clip.mp4\n"
        "  pasu open --identity centre.key 20261121T010000.000Z.mp4.age -o clip.mp4",
        "Open sealed segments with a private key and join them into one MP4, without encoding them "
        "again. Everything "
        "damaged or missing is reported. Exit status: 0 whole, 3 something is missing or damaged.\n\n"
        "examples:\n  pasu open --identity centre.key --vault /media/copy cam01 --from "
        "2026-11-21T10:00 --to 2026-11-21T10:05 -o clip.mp4\n"
        "  pasu open --identity centre.key 20261121T010000.000Z.mp4.age -o clip.mp4",
    )
    parser.add_argument(
        "what",
        nargs="+",
        metavar="CAMERA | FILE",
        help=say(
            "카메라 id 하나(--vault나 --config와 함께), 또는 조각 파일들",
            "one camera's id (with --vault or --config), or segment files",
        ),
    )
    add_identity(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="CLIP.mp4",
        help=say("만들 파일. 있는 파일은 덮어쓰지 않습니다", "file to write; never over another"),
    )
    add_span(parser, None, None)
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--vault",
        type=Path,
        metavar="DIR",
        help=say("저장소 폴더(사본도 됩니다)", "folder of a vault, or of a copy of one"),
    )
    place.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=say(
            "설정 파일: 그 박스의 목록에서 찾습니다",
            "configuration file: find segments by that box's catalogue",
        ),
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find, open, report."""
    from agent.centre import keys, opening
    from agent.cli.bar import Bar

    zone = UTC if args.utc else None
    span = _span(args, zone)
    sources, gaps = _sources(args, span)
    identities = [identity for file in args.identity for identity in keys.read_identities(file)]
    with Bar(say("여는 중", "opening"), "bytes") as progress:
        report = opening.open_segments(sources, identities, span, args.output, progress.show)
    _print(report, gaps, zone)
    return 0 if report.whole and report.outputs else PARTLY


def _span(args: argparse.Namespace, zone: tzinfo | None) -> Span | None:
    """Read the span; a camera needs both ends, files need neither."""
    from agent.cli import times

    now_ms = time.time_ns() // 1_000_000
    by_camera = args.vault is not None or args.config is not None
    if by_camera and (args.start is None or args.end is None):
        raise UsageError(
            "SPAN_MISSING",
            say("카메라로 찾으려면 구간이 필요합니다", "to find a camera's segments a span is needed"),
            hint=say("--from과 --to를 주십시오", "give --from and --to"),
        )
    if args.start is None and args.end is None:
        return None
    return times.parse_span(args.start or "1970-01-01T00:00Z", args.end or "now", now_ms, zone)


def _sources(args: argparse.Namespace, span: Span | None) -> tuple[Sequence[SegmentFile], Sequence[Gap]]:
    """Return the files to open, and the gaps that are known in the span."""
    from agent.cli import sources
    from agent.config import load

    if args.vault is None and args.config is None:
        return sources.by_files(Path(name) for name in args.what), ()
    assert span is not None
    if len(args.what) != 1:
        raise UsageError(
            "CAMERA_ONE",
            say("한 번에 카메라 하나만 열 수 있습니다", "one camera at a time"),
            hint=say("카메라마다 따로 실행하십시오", "run it once for each camera"),
        )
    (camera,) = args.what
    gaps: Sequence[Gap] = ()
    if args.vault is not None:
        found = sources.by_names(args.vault, camera, span)
    else:
        found, gaps = sources.by_catalogue(load(args.config), camera, span)
    if not found:
        raise UsageError(
            "NOTHING_STORED",
            say(
                f"{camera}의 이 구간에는 저장된 조각이 없습니다",
                f"nothing of {camera} is stored in this span",
            ),
            hint=say(
                "`pasu segments`로 언제 저장되었는지 보십시오",
                "`pasu segments` shows when there is something",
            ),
        )
    return found, gaps


def _print(report: OpenReport, gaps: Sequence[Gap], zone: tzinfo | None) -> None:
    """Say what was written, what is missing, and what is damaged and where."""
    from agent.cli.segments import CAUSES
    from agent.cli.show import console, size, table

    if report.outputs:
        heads = say("파일|카메라|구간|프레임|영상|크기", "file|camera|span|frames|video|size").split("|")
        lines = [
            (
                str(clip.path),
                clip.camera,
                _between(clip.span.start_ms, clip.span.end_ms, zone),
                str(clip.frames),
                f"{clip.codec} {clip.width}x{clip.height}",
                size(clip.size_bytes),
            )
            for clip in report.outputs
        ]
        console().print(table(heads, lines, right=(3, 5), folding=(0, 2)))
        print()
        for clip in report.outputs:
            print(f"sha256 {clip.sha256}  {clip.path}")
    else:
        print(
            say(
                "쓸 수 있는 영상이 없어 파일을 만들지 않았습니다.", "No usable pictures: no file was written."
            )
        )
    print(say(f"쓴 조각: {len(report.segments)}개", f"segments used: {len(report.segments)}"))
    for hole in report.missing:
        causes = sorted({say(*CAUSES[gap.cause]) for gap in gaps if gap.span.overlaps(hole.span)})
        where = _between(hole.span.start_ms, hole.span.end_ms, zone)
        why = f"  ({', '.join(causes)})" if causes else ""
        print(say(f"빠진 곳: {hole.camera}  {where}{why}", f"missing: {hole.camera}  {where}{why}"))
    for damage in report.damages:
        _print_damage(damage, zone)
    if report.whole and report.outputs:
        print(say("빠지거나 손상된 곳이 없습니다.", "Nothing is missing or damaged."))


def _print_damage(damage: Lost, zone: tzinfo | None) -> None:
    """Say which file is damaged, how and where, and between which times pictures are lost."""
    from agent.cli.codes import CODES

    what = CODES[damage.code].what if damage.code in CODES else damage.detail
    print(say(f"손상: {damage.path}", f"damaged: {damage.path}"))
    print(f"   {what}  [{damage.code}]")
    if damage.chunk is not None:
        last = damage.chunk + max(damage.chunks, 1) - 1
        chunks = f"{damage.chunk}" if last == damage.chunk else f"{damage.chunk}-{last}"
        print(say(f"   자리: {chunks}번 덩이", f"   where: chunk {chunks}"), end="")
        print(
            ""
            if damage.offset is None
            else say(f", {damage.offset}바이트부터", f", from byte {damage.offset}")
        )
    elif damage.offset is not None:
        print(say(f"   자리: {damage.offset}바이트부터", f"   where: from byte {damage.offset}"))
    if damage.from_ms is not None or damage.to_ms is not None:
        lost = _between(damage.from_ms, damage.to_ms, zone)
        print(say(f"   잃은 영상은 이 사이: {lost}", f"   pictures are lost between: {lost}"))


def _between(start_ms: int | None, end_ms: int | None, zone: tzinfo | None) -> str:
    """Write two times, of which one may be unknown, and the length between them."""
    from agent.cli import times

    if start_ms is not None and end_ms is not None:
        return f"{times.show_span(start_ms, end_ms, zone)}  {times.show_length(end_ms - start_ms)}"
    unknown = say("알 수 없음", "unknown")
    start = unknown if start_ms is None else times.show_time(start_ms, zone)
    end = unknown if end_ms is None else times.show_time(end_ms, zone)
    return f"{start} - {end}"
