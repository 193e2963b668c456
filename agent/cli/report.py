"""`pasu report`: sheets to print: commissioning, self-inspection, the ledger of personal images, notice boards."""

from __future__ import annotations

import contextlib
import sys
import time
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, add_span, load_for_state
from agent.cli.out_file import made
from agent.language import language, say, speaking

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from agent.field.reports.make import Desk

DAYS = 7
MOST_DAYS = 31
PRINTING = (
    "HTML 한 장으로 나오며 바깥의 것을 불러오지 않습니다. 브라우저로 열어 인쇄하거나 PDF로 저장하십시오.",
    "It is one HTML file that fetches nothing. Open it in a browser, and print it or save it as PDF.",
)


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser("report", help=say("인쇄할 보고서를 만듭니다", "make reports to print"))
    group.description = say(
        "인쇄할 보고서를 만듭니다. 모든 보고서는 어느 원장 검증점에서 나왔는지 적으며, 영상과 카메라 주소는 "
        "들어가지 않습니다.",
        "Make reports to print. Each names the checkpoint of the ledger that it was made from; none holds a "
        "picture or the address of a camera.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_commissioning(actions)
    _add_selfcheck(actions)
    _add_ledger(actions)
    _add_notice(actions)


def _one(actions: Any, name: str, short: tuple[str, str], about: tuple[str, str], example: str) -> Any:
    parser = actions.add_parser(name, help=say(*short))
    parser.description = f"{say(*about)} {say(*PRINTING)}\n\n{say('예', 'example')}:\n  pasu report {example}"
    return parser


def _add_common(parser: Any, run: Any) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=say("새로 만들 파일 (기본: 표준 출력)", "file to make, a new one (default: standard output)"),
    )
    parser.add_argument(
        "--lang",
        choices=("ko", "en"),
        help=say("보고서의 언어 (기본: LANG)", "language of the report (default: that of LANG)"),
    )
    add_config(parser)
    parser.set_defaults(run=run)


def _add_utc(parser: Any) -> None:
    parser.add_argument(
        "--utc",
        action="store_true",
        help=say("시각을 UTC로 보입니다", "show times as UTC instead of local time"),
    )


def _add_commissioning(actions: Any) -> None:
    parser = _one(
        actions,
        "commissioning",
        ("준공 점검표", "the commissioning report"),
        (
            (
                "준공 점검표: 박스, 장소, 카메라, 디스크, 판, 최근 며칠의 녹화와 보관 예상. "
                "`pasu doctor --json`의 결과를 함께 넣습니다."
            ),
            (
                "The commissioning report: box, site, cameras, disks, versions, what was recorded in the last days and "
                "how long the disks hold; with what `pasu doctor --json` found."
            ),
        ),
        "commissioning --doctor doctor.json --out report.html",
    )
    parser.add_argument(
        "--doctor",
        type=Path,
        metavar="FILE",
        help=say("`pasu doctor --json`의 결과", "what `pasu doctor --json` wrote"),
    )
    parser.add_argument(
        "--days",
        type=int,
        default=DAYS,
        choices=range(1, MOST_DAYS + 1),
        metavar="N",
        help=say(f"그래프의 날수 (기본 {DAYS})", f"days in the graphs (default {DAYS})"),
    )
    _add_utc(parser)
    _add_common(parser, commissioning)


def _add_selfcheck(actions: Any) -> None:
    parser = _one(
        actions,
        "selfcheck",
        ("자체점검표 (운영 규정 제13조)", "the self-inspection (regulation art. 13)"),
        (
            "자체점검표: 표준지침 제48조의 여덟 항목. 박스가 아는 것은 채우고, 나머지는 손으로 적을 자리를 둡니다.",
            (
                "The self-inspection: the eight items of art. 48 of the Standard Guideline. What the box knows is "
                "filled in; for the rest there is room to write."
            ),
        ),
        "selfcheck --out selfcheck.html",
    )
    _add_utc(parser)
    _add_common(parser, selfcheck)


def _add_ledger(actions: Any) -> None:
    parser = _one(
        actions,
        "ledger",
        ("개인영상정보 관리대장", "the ledger of personal images"),
        (
            (
                "개인영상정보 관리대장: 이용, 제공, 열람, 파기를 별지 제3호서식의 열두 칸으로. --csv는 Excel에서 "
                "열리는 CSV를 만들고, 그 옆에 검증점 파일(.checkpoint)을 둡니다."
            ),
            (
                "The ledger of use, provision, viewing and destruction, in the twelve columns of annex form 3. With "
                "--csv a file for Excel, and beside it the checkpoint it was made from (.checkpoint)."
            ),
        ),
        "ledger --from 2026-11-01 --to 2026-12-01 --csv --out ledger.csv",
    )
    add_span(parser, "-30d", "now")
    parser.add_argument(
        "--csv", action="store_true", help=say("HTML 대신 CSV (UTF-8, BOM)", "CSV (UTF-8, BOM), not HTML")
    )
    parser.add_argument(
        "--each-file",
        action="store_true",
        help=say(
            "삭제한 파일을 하나씩 (기본: 하루의 확인으로 묶음)",
            "list every erased file (default: summed up by day)",
        ),
    )
    _add_common(parser, ledger)


def _add_notice(actions: Any) -> None:
    parser = _one(
        actions,
        "notice",
        ("안내판 (운영 규정 제10조)", "notice boards (regulation art. 10)"),
        (
            "안내판에 적을 글을 카메라마다 한 장씩. 설정에서 나오며, 없는 항목은 손으로 적을 자리를 둡니다.",
            (
                "The text of the notice board, one sheet per camera, from the configuration; where something is not "
                "there, there is room to write."
            ),
        ),
        "notice --camera cam01 --out notice.html",
    )
    parser.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="CAMERA",
        help=say("이 카메라만. 여러 번 쓸 수 있습니다", "only this camera; may be given more than once"),
    )
    parser.set_defaults(utc=False)
    _add_common(parser, notice)


def commissioning(args: argparse.Namespace) -> int:
    """Make the commissioning report."""
    from agent.cli.bar import Bar
    from agent.config import load
    from agent.field.reports import gather, make

    # Before the command becomes the service's user, who may not be let in where this file lies.
    doctor = gather.doctor(args.doctor, load(args.config).box.id) if args.doctor else None
    with (
        _desk(args) as (desk, out),
        Bar(say("카메라별 녹화를 읽는 중", "reading what each camera recorded")) as bar,
    ):
        _write(out, make.commissioning(desk, args.days, doctor, bar.show))
    return 0


def selfcheck(args: argparse.Namespace) -> int:
    """Make the self-inspection."""
    from agent.field.reports import make

    with _desk(args) as (desk, out):
        _write(out, make.selfcheck(desk))
    return 0


def ledger(args: argparse.Namespace) -> int:
    """Make the ledger of personal images."""
    from agent.cli import times
    from agent.cli.bar import Bar
    from agent.field.reports import make

    now_ms = time.time_ns() // 1_000_000
    span = times.parse_span(args.start, args.end, now_ms, UTC if args.utc else None)
    beside = args.out.with_name(args.out.name + ".checkpoint") if args.csv and args.out else None
    with (
        made(beside) as note,
        _desk(args) as (desk, out),
        Bar(say("원장을 읽는 중", "reading the ledger")) as bar,
    ):
        if not args.csv:
            _write(out, make.ledger(desk, span, each_file=args.each_file, show=bar.show))
            return 0
        lines, proof, _ = make.sheet(desk, span, each_file=args.each_file, show=bar.show)
        _write(out, make.ledger_csv(lines))
        if beside:
            note.write(proof.note if proof else "")
    said = say("검증점 없음", "no checkpoint")
    if proof:
        said = f"{proof.origin}, {say('크기', 'size')} {proof.size}, {say('루트', 'root')} {proof.root}, {proof.key}"
    print(say(f"검증점: {said}", f"checkpoint: {said}"), file=sys.stderr)
    return 0


def notice(args: argparse.Namespace) -> int:
    """Make the notice boards."""
    from agent.cli.parser import UsageError
    from agent.config import load
    from agent.field.reports import make

    known = [camera.id for camera in load(args.config).cameras]
    if strange := [camera for camera in args.camera if camera not in known]:
        raise UsageError(
            "CAMERA_UNKNOWN",
            say(f"그런 카메라가 없습니다: {strange[0]}", f"no such camera: {strange[0]}"),
            hint=say(f"있는 카메라: {', '.join(known)}", f"there are: {', '.join(known)}"),
        )
    with _desk(args) as (desk, out):
        _write(out, make.notice(desk, args.camera))
    return 0


@contextlib.contextmanager
def _desk(args: argparse.Namespace) -> Iterator[tuple[Desk, TextIO]]:
    """Open what is written to, then what is read: as the service's user one may not write where the caller can."""
    from agent.clock import SystemClock
    from agent.config import load
    from agent.field.reports.make import Desk
    from agent.storage.catalogue import Catalogue

    load(args.config)  # before a file is made: a configuration that is wrong is said first
    with speaking(args.lang or language()), made(args.out) as out:
        config = load_for_state(args.config)
        catalogue = Catalogue.open(config.storage.state, read_only=True)
        try:
            now = SystemClock(config.storage.state).now()
            yield Desk(config, catalogue, now, UTC if args.utc else None), out
        finally:
            catalogue.close()
    if args.out is not None:
        then = say("브라우저로 열어 인쇄하십시오", "open it in a browser and print it")
        if getattr(args, "csv", False):
            then = say("표 계산 프로그램에서 여십시오", "open it in a spreadsheet")
        print(
            say(f"보고서를 썼습니다: {args.out} · {then}", f"written: {args.out} · {then}"), file=sys.stderr
        )


def _write(out: TextIO, parts: Iterable[str]) -> None:
    """Write it; on standard output in UTF-8 whatever the terminal speaks, since the file says that it is."""
    if out is sys.stdout and hasattr(out, "reconfigure"):
        out.reconfigure(encoding="utf-8", newline="")
    out.writelines(parts)
