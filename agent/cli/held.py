"""What `pasu hold` says of holds, in words and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.language import say

if TYPE_CHECKING:
    from datetime import tzinfo

    from agent.model import Span
    from agent.storage.keep.hold import Hold
    from agent.storage.keep.holds import Placed
    from agent.storage.keep.stored import Stored

_LISTED = 20


def placed_json(placed: Placed) -> dict[str, Any]:
    """Return the answer for programs; points in time are UTC milliseconds."""

    def spans(rows: list[Stored]) -> list[dict[str, Any]]:
        return [
            {"camera": row.camera, "start_ms": row.start_ms, "end_ms": row.end_ms, "erased_ms": row.gone_ms}
            for row in rows
        ]

    future = placed.future
    return {
        **placed.hold.body(),
        "segments": placed.segments,
        "sealed_bytes": placed.sealed_bytes,
        "spared": spans(placed.spared),
        "too_late": spans(placed.late),
        "undecided": spans(placed.undecided),
        "lost": spans(placed.lost),
        "missing": [
            {"camera": camera, "start_ms": hole.start_ms, "end_ms": hole.end_ms}
            for camera, hole in placed.holes
        ],
        "recording": [
            {"camera": camera, "start_ms": part.start_ms, "end_ms": part.end_ms}
            for camera, part in placed.open
        ],
        "future": {"start_ms": future.start_ms, "end_ms": future.end_ms} if future else None,
        "unfinished": sorted(placed.unfinished),
        "faults": [fault.code for fault in placed.faults],
    }


def show_placed(placed: Placed, zone: tzinfo | None) -> None:
    """Print what a hold has, what it has not, and what it will have."""
    from agent.cli import times
    from agent.cli.show import size

    held = size(placed.sealed_bytes)
    print(
        say(
            f"{placed.hold.id}: 보존합니다. 조각 {placed.segments}개, {held}",
            f"{placed.hold.id}: held, {placed.segments} segments, {held}",
        )
    )
    if placed.spared:
        print(
            say(
                f"삭제하려던 {len(placed.spared)}개를 되살렸습니다.",
                f"{len(placed.spared)} of these were about to be erased, and stay.",
            )
        )

    def several(head: str, spans: list[tuple[str, Span]]) -> None:
        if spans:
            print(head)
        for camera, span in spans[:_LISTED]:
            print(f"  {camera}  {times.show_span(span.start_ms, span.end_ms, zone)}")
        if len(spans) > _LISTED:
            rest = len(spans) - _LISTED
            print(say(f"  … {rest}개 더 (--json에 모두)", f"  ... and {rest} more (all with --json)"))

    late = [(row.camera, row.span) for row in placed.late]
    several(say("너무 늦었습니다. 이미 삭제되었습니다:", "Too late; these are erased already:"), late)
    several(
        say(
            "디스크가 없어 볼 수 없습니다. 돌아오면 보존됩니다:",
            "Not to be seen now; held when their disk is back:",
        ),
        [(row.camera, row.span) for row in placed.undecided],
    )
    several(
        say("파일이 사라졌습니다:", "Their files are gone:"), [(row.camera, row.span) for row in placed.lost]
    )
    several(
        say("지금 녹화 중이며, 저장되는 대로 보존합니다:", "Being recorded; held as soon as it is stored:"),
        placed.open,
    )
    several(say("녹화가 없는 구간:", "Nothing is recorded of:"), placed.holes)
    if placed.future:
        until = times.show_time(placed.future.end_ms, zone)
        print(
            say(
                f"{until}까지는 녹화되는 대로 보존합니다.",
                f"What is recorded until {until} is held as it comes.",
            )
        )
    print(
        say(
            f"재검토: {times.show_time(placed.hold.review_ms, zone)}",
            f"review: {times.show_time(placed.hold.review_ms, zone)}",
        )
    )
    show_unfinished(placed.unfinished, len(placed.faults))


def show_unfinished(vaults: set[str], faults: int) -> None:
    """Say that a part is left to the keeper, if one is."""
    if vaults or faults:
        print(
            say(
                "아직 끝나지 않았습니다: 디스크가 없거나 거부했습니다. `pasu keep`이 다시 시도합니다.",
                "Not finished yet: a disk is not there, or refused. `pasu keep` tries again.",
            )
        )


def show_list(found: list[tuple[Hold, int, int]], now_ms: int, zone: tzinfo | None) -> None:
    """Print each hold as a block: eight columns fit no terminal."""
    from agent.cli import times
    from agent.cli.fields import print_fields
    from agent.cli.show import size
    from agent.storage.keep.hold import EVERY, GROUNDS

    for number, (hold, count, sealed) in enumerate(found):
        known = GROUNDS.get(hold.ground)
        review = times.show_time(hold.review_ms, zone)
        if hold.is_active and hold.is_due(now_ms):
            review += say(" (지남)", " (due)")
        rows = [
            (
                say("카메라", "cameras"),
                say("모두", "all") if EVERY in hold.cameras else ", ".join(hold.cameras),
            ),
            (say("구간", "span"), times.show_span(hold.span.start_ms, hold.span.end_ms, zone)),
            (say("근거", "ground"), say(known.korean, known.english) if known else hold.ground),
            (say("명한 곳", "authority"), hold.authority),
            (say("재검토", "review"), review),
            (
                say("보존됨", "held"),
                say(f"조각 {count}개, {size(sealed)}", f"{count} segments, {size(sealed)}"),
            ),
        ]
        if hold.released_ms is not None:
            when = times.show_time(hold.released_ms, zone)
            rows[4:] = [(say("해제", "released"), f"{when}: {hold.release_reason}")]
        if (left_ms := hold.answer_left_ms(now_ms)) is not None:
            until = times.show_time(now_ms + left_ms, zone) if left_ms > 0 else say("지남", "over")
            rows.append((say("답할 기한", "answer until"), until))
        if number:
            print()
        print(hold.id)
        print_fields(rows, indent=3)
