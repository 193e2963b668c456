"""`pasu centre incident`: what is known here of a box, in one folder, for whoever has 72 hours."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.centre_facts import PARTLY_STATUS, open_witness, say_nothing
from agent.cli.city import add_city, now_ms, open_city
from agent.cli.common import add_span
from agent.errors import ConfigError, StorageFault
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.centre.incident import Incident
    from agent.centre.witness import Witness

DAYS = "-7d"
GROUPS = (
    ("page", "상태 페이지 방문과 거절", "visits to the health page, and refusals"),
    ("stream", "실시간 영상", "live streams"),
    ("export", "반출", "exports"),
    ("command", "명령", "commands"),
    ("key", "키", "keys"),
    ("tamper", "원장이 고쳐진 흔적", "signs that the ledger was changed"),
)


def add(actions: Any) -> None:
    """Describe the command, below `pasu centre`."""
    parser = actions.add_parser(
        "incident",
        help=say(
            "유출이 있었거나 있을 수 있을 때, 박스에 관한 것을 한 폴더에 모읍니다",
            "gather what is known of a box, where there was a leak or may have been one",
        ),
    )
    parser.description = say(
        "센터가 받아 둔 것만으로 모으므로 박스가 꺼졌거나 없어졌어도 됩니다: 원장의 기록과 그것이 여기 온 시각, 알림, "
        "서명된 가장 새 검증점, 박스의 프로그램과 카메라와 봉인 수신자. 이미 있는 폴더에는 쓰지 않습니다. "
        "영상은 들어 있지 않습니다. 기간은 기본 7일이며, 박스의 시각이나 여기 온 시각이 그 안이면 듭니다.\n\n"
        "예:\n  pasu centre incident gn-0007 -o 사고-2026-11-22 --from 2026-11-20",
        "It is made of what the centre keeps, so the box may be off or gone: the entries of its ledger and when they "
        "came here, the alarms, the newest head that it signed, its program, its cameras, and to whom its recordings "
        "are sealed. No folder that is there is written into. There is no video in it. Of the last 7 days unless told "
        "otherwise; an entry counts by the box's time, or by when it came.\n\n"
        "example:\n  pasu centre incident gn-0007 -o incident-2026-11-22 --from 2026-11-20",
    )
    parser.add_argument("box", metavar="BOX", help=say("박스 id", "the box's id"))
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help=say("새로 만들 폴더", "a folder that is made for it"),
    )
    add_span(parser, DAYS, "now")
    add_city(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the folder, and say what is in it. Raises ConfigError OUTPUT_EXISTS, StorageFault."""
    from datetime import UTC

    from agent.centre.incident import HOURS, Incident
    from agent.cli.fields import print_fields
    from agent.cli.times import parse_span, show_time

    zone = UTC if args.utc else None
    moment = now_ms()
    span = parse_span(args.start, args.end, moment, zone)
    witness = open_witness(open_city(args))
    found = Incident(args.box, span)
    try:
        if not witness.newest_of(args.box, ""):
            say_nothing(args.box)
            return PARTLY_STATUS
        said = _write(args.output, witness, found, moment)
    finally:
        witness.close()
    counts = said["counts"]
    rows = [(say("기록", "entries"), f"{sum(counts.values()):,}")]
    for first, korean, english in GROUPS:
        number = sum(count for kind, count in counts.items() if kind.partition(".")[0] == first)
        rows.append((say(korean, english), f"{number:,}"))
    rows += [
        (say("알림", "alarms"), f"{said['alarms']:,}"),
        (say("서명이 아직 없는 기록", "entries that nothing signed stands for yet"), f"{found.unproven:,}"),
        (
            say("서명된 검증점", "signed head"),
            say("있음", "there") if said["checkpoint"] else say("없음", "none"),
        ),
    ]
    print(say(f"모았습니다: {args.output}", f"Gathered in {args.output}"))
    print_fields(rows, indent=2)
    until = show_time(moment + HOURS * 3_600_000, zone)
    print(
        say(
            f"지금 알게 되었다면 72시간은 {until}에 끝납니다. 차례는 runbook 3에 있습니다.",
            f"If it became known now, the 72 hours end at {until}. What to do when: runbook, section 3.",
        )
    )
    return 0


def _write(folder: Path, witness: Witness, found: Incident, moment: int) -> dict[str, Any]:
    """Write the files; return what the description says."""
    from agent.centre import incident

    box, span = found.box, found.span
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise ConfigError(
            "OUTPUT_EXISTS",
            say("이미 있는 폴더에는 쓰지 않습니다", "a folder that is there is not written into"),
            hint=say("-o로 다른 이름을 주십시오", "name another with -o"),
            file=str(folder),
        ) from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    alarms = [
        incident.alarm_line(at_ms, name, what, detail)
        for at_ms, name, what, detail in witness.alarms()
        if name in (box, "") and span.start_ms <= at_ms < span.end_ms
    ]
    head = witness.newest_head(box)
    try:
        with (folder / incident.ENTRIES).open("x", encoding="utf-8") as stream:
            for fact in witness.of_span(box, span.start_ms, span.end_ms):
                stream.write(found.line(fact))
        state = [each for kind in incident.STATE for each in witness.newest_of(box, kind)]
        said = found.describe(state, len(alarms), signed=head is not None, now_ms=moment)
        (folder / incident.ALARMS).write_text("".join(alarms), encoding="utf-8")
        if head is not None:
            (folder / incident.CHECKPOINT).write_text(head, encoding="utf-8")
        text = json.dumps(said, ensure_ascii=False, indent=1)
        (folder / incident.DESCRIPTION).write_text(f"{text}\n", encoding="utf-8")
        # Last: a folder without it is not whole.
        sums = "".join(f"{_digest(path)}  {path.name}\n" for path in sorted(folder.iterdir()))
        (folder / incident.SUMS).write_text(sums, encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return said


def _unwritable(folder: Path, error: OSError) -> StorageFault:
    """Make the fault for a folder that refuses."""
    return StorageFault(
        "OUTPUT_UNWRITABLE",
        say("폴더에 쓸 수 없습니다", "the folder cannot be written"),
        hint=say("자리와 권한이 있는 곳을 -o로 주십시오", "name a place with room, that is yours, with -o"),
        folder=str(folder),
        reason=error.strerror or "",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
