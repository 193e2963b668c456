"""`pasu segments`: what is stored of a camera's span, and what is missing and why. Nothing is opened."""

from __future__ import annotations

import json
import time
from datetime import UTC
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, add_span
from agent.cli.parser import UsageError
from agent.language import say
from agent.model import GapCause, Span

if TYPE_CHECKING:
    import argparse
    from datetime import tzinfo

    from agent.cli.coverage import Row

BAR_CELLS = 60
UNKNOWN = "unknown"  # as keep/reborn.py writes it
STATES = {
    "COMMITTED": ("저장됨", "stored"),
    "SALVAGED": ("건져냄", "salvaged"),
    "OPEN": ("녹화 중", "recording"),
    "CONDEMNED": ("삭제 예정", "to be erased"),
    "GONE": ("삭제됨", "erased"),
    "LOST": ("잃음", "lost"),
    "GAP": ("빠짐", "gap"),
    "OFF": ("시간 밖", "off hours"),
    "UNKNOWN": ("기록 없음", "no entry"),
}
CAUSES = {
    GapCause.CAMERA_UNREACHABLE: ("카메라에 닿지 않음", "camera unreachable"),
    GapCause.CAMERA_REFUSED: ("카메라가 거절함", "camera refused"),
    GapCause.CAMERA_SILENT: ("카메라가 보내지 않음", "camera sent nothing"),
    GapCause.CAMERA_CLOSED: ("카메라가 끊음", "camera closed the session"),
    GapCause.STREAM_INVALID: ("규격에 맞지 않는 영상", "stream invalid"),
    GapCause.STREAM_DAMAGED: ("오는 길에 패킷 손실", "packets lost on the way"),
    GapCause.CLOCK_JUMP: ("시계가 뜀", "clock jumped"),
    GapCause.PARAMETERS_CHANGED: ("영상 형식이 바뀜", "picture format changed"),
    GapCause.STORAGE_SLOW: ("디스크가 느림", "disk too slow"),
    GapCause.STORAGE_FAILED: ("디스크 고장", "disk failed"),
    GapCause.SESSION_ERROR: ("파수의 오류", "error in Pasu"),
    GapCause.WORKER_LOST: ("녹화 프로세스가 죽음", "recording process lost"),
    GapCause.RECORD_LOST: ("까닭이 적힌 목록을 잃음", "why was lost with the catalogue"),
    GapCause.SEGMENT_LOST: ("저장한 조각을 잃음", "stored segment was lost"),
    GapCause.OFF_HOURS: ("녹화 시간 밖", "outside of its hours"),
    GapCause.RECONFIGURED: ("설정을 바꿈", "configuration changed"),
    GapCause.BOX_ASLEEP: ("박스가 잠들어 있었음", "the box was asleep"),
    GapCause.AGENT_STOPPED: ("파수를 멈춤", "Pasu was stopped"),
    GapCause.AGENT_KILLED: ("정전 또는 강제 종료", "power cut or kill"),
}


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "segments",
        help=say("무엇이 저장되었고 무엇이 빠졌는지 보입니다", "show what is stored and what is missing"),
    )
    parser.description = say(
        "카메라 한 대의 구간에서 저장된 조각과 빠진 곳을 까닭과 함께 보입니다. 영상은 열지 않습니다.\n\n"
        "예:\n  pasu segments cam01 --from 10:00 --to 11:00\n  pasu segments cam01 --from -1d --json",
        "Show which segments of a camera are stored in a span, and what is missing and why. No video "
        "is opened.\n\n"
        "examples:\n  pasu segments cam01 --from 10:00 --to 11:00\n  pasu segments cam01 --from -1d --json",
    )
    parser.add_argument("camera", metavar="CAMERA", help=say("카메라 id", "a camera's id"))
    add_span(parser, "-1h", "now")
    parser.add_argument(
        "--each",
        action="store_true",
        help=say(
            "이어진 조각을 묶지 않고 하나씩 보입니다", "list every segment instead of joining neighbours"
        ),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask the catalogue, and print."""
    from agent.cli import coverage, times
    from agent.config import load
    from agent.storage import progress
    from agent.storage.catalogue import Catalogue

    zone = UTC if args.utc else None
    now_ms = time.time_ns() // 1_000_000
    span = times.parse_span(args.start, args.end, now_ms, zone)
    config = load(args.config)
    # Before the catalogue: what is committed in between is then found twice, and not never.
    opened = [one for one in progress.read_all(config.storage.state).values() if one.camera == args.camera]
    catalogue = Catalogue.open(config.storage.state, read_only=True)
    try:
        seen = catalogue.cameras()
        if args.camera not in seen and config.camera(args.camera) is None:
            raise unknown_camera(args.camera, [*seen, *(camera.id for camera in config.cameras)])
        known = catalogue.coverage(args.camera, span)
    finally:
        catalogue.close()
    past = coverage.looked_at(span, now_ms, opened)
    rows = coverage.rows(known.segments, known.gaps, past, opened)
    if args.json:
        print(json.dumps(as_json(args.camera, rows, past), ensure_ascii=False, indent=1))
    else:
        _print(args, rows, past, zone)
    return 0


def unknown_camera(name: str, known: list[str]) -> UsageError:
    """Say that there is no such camera, and which there are."""
    ids = ", ".join(dict.fromkeys(known)) or "-"
    return UsageError(
        "CAMERA_UNKNOWN",
        say(f"이런 카메라가 없습니다: {name}", f"no such camera: {name}"),
        hint=say(f"있는 카메라: {ids}", f"cameras: {ids}"),
    )


def as_json(camera: str, rows: list[Row], span: Span) -> dict[str, Any]:
    """Return the answer for programs: times both as ISO UTC and as UTC milliseconds."""
    from agent.cli import coverage, times

    def place(part: Span) -> dict[str, Any]:
        return {
            "start": times.iso_utc(part.start_ms),
            "end": times.iso_utc(part.end_ms),
            "start_ms": part.start_ms,
            "end_ms": part.end_ms,
            "length_ms": part.length_ms,
        }

    items: list[dict[str, Any]] = []
    for row in rows:
        item = {"state": row.state, **place(row.span)}
        if row.segments:
            item |= {
                "run": row.run,
                "codec": row.codec,
                "width": row.width,
                "height": row.height,
                "frames": row.frames,
                "sealed_bytes": row.sealed_bytes,
                "path": row.path,
            }
        elif row.cause:
            item |= {"cause": row.cause, "detail": row.detail}
        items.append(item)
    return {
        "camera": camera,
        "span": place(span),
        "stored_ms": coverage.stored_ms(rows, span),
        "off_ms": coverage.off_ms(rows, span),
        "missing": [place(hole) for hole in coverage.holes(rows, span)],
        "rows": items,
    }


def _print(args: argparse.Namespace, rows: list[Row], span: Span, zone: tzinfo | None) -> None:
    from agent.cli import coverage, times
    from agent.cli.show import console, size, table

    joined = coverage.joined(rows)
    listed = rows if args.each else joined
    shifts = times.offsets((edge for row in listed for edge in (row.span.start_ms, row.span.end_ms)), zone)
    shift = f" ({next(iter(shifts))})" if len(shifts) == 1 else ""
    heads = say("시작|끝|길이|상태|내용|조각|봉인 크기", "start|end|length|state|what|segments|sealed").split(
        "|"
    )
    heads[0] += shift

    def line(row: Row) -> tuple[str, ...]:
        start, end = row.span.start_ms, row.span.end_ms
        return (
            times.show_bare(start, zone) if shift else times.show_time(start, zone),
            times.show_bare(end, zone, beside_ms=start) if shift else times.show_time(end, zone),
            times.show_length(row.span.length_ms),
            say(*STATES[row.state]) if row.state in STATES else row.state,
            _what(row) if row.segments else _cause(row),
            str(row.segments) if row.segments else "",
            size(row.sealed_bytes) if row.sealed_bytes else "",
        )

    console().print(table(heads, [line(row) for row in listed], right=(2, 5, 6), folding=(4,)))
    stored, wanted = coverage.stored_ms(joined, span), span.length_ms - coverage.off_ms(joined, span)
    missing = coverage.holes(joined, span)
    print()
    print(f"{args.camera}  {coverage.bar(joined, span, BAR_CELLS)}  {_percent(stored, wanted)}")
    edge = " " * (len(args.camera) + 2)
    print(edge + times.show_span(span.start_ms, span.end_ms, zone))
    places = "1 place" if len(missing) == 1 else f"{len(missing)} places"
    lost = times.show_length(sum(hole.length_ms for hole in missing))
    of = f"{times.show_length(stored)} / {times.show_length(wanted)}"
    print(
        edge
        + say(
            f"저장 {of}, 빠진 곳 {len(missing)}군데 {lost}",
            f"stored {of}, missing {lost} in {places}",
        )
        if missing
        else edge + say(f"저장 {of}, 빠진 곳 없음", f"stored {of}, nothing missing")
    )


def _percent(part: int, whole: int) -> str:
    """Write a share, rounded down: what is not whole never reads 100 %."""
    if whole == 0:
        return "-"
    hundredths = part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def _what(row: Row) -> str:
    """Say what was recorded; of a segment whose row was made again from the file alone nobody knows it."""
    if row.codec == UNKNOWN:
        return say("형식은 열어야 압니다", "format unknown until opened")
    return f"{row.codec} {row.width}x{row.height}"


def _cause(row: Row) -> str:
    """Say why a span was missed; empty when nothing is written down."""
    cause = say(*CAUSES[GapCause(row.cause)]) if row.cause in set(GapCause) else row.cause
    return f"{cause} ({row.detail})" if row.detail else cause
