"""`pasu centre verify`: check a bundle from a box, without the box."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from datetime import tzinfo

    from agent.centre.verify import Problem, Report

WRONG_STATUS = 1
WORDS = {
    "signature": ("검증점의 서명이 이 키의 것이 아닙니다", "the checkpoint is not signed by this key"),
    "box": ("다른 박스의 검증점입니다", "the checkpoint is another box's"),
    "entry": ("서명된 원장이 증명하지 않는 기록입니다", "an entry that the signed ledger does not prove"),
    "claim": (
        "박스가 내어 준 것으로 적은 묶음과 다릅니다",
        "not the bundle that the box wrote down when it handed it out",
    ),
    "file_missing": ("파일이 없습니다", "file missing"),
    "file_changed": ("파일이 원장과 다릅니다", "file is not what the ledger says"),
    "file_strange": ("묶음에 속하지 않는 파일입니다", "file that does not belong to the bundle"),
    "unproven": ("원장에 없어 증명되지 않은 파일입니다", "file without an entry in the ledger"),
    "relabelled": ("시각이 원장의 기록과 다릅니다", "another time than its entry's"),
    "unexplained": ("영상도 까닭도 없는 구간", "neither picture nor reason"),
    "witness": ("보관한 검증점에서 이어지지 않습니다", "does not go on from the kept checkpoint"),
}


def add(actions: Any) -> None:
    """Describe the command, below `pasu centre`."""
    parser = actions.add_parser(
        "verify", help=say("박스가 낸 증거 묶음을 확인합니다", "check a bundle of evidence from a box")
    )
    parser.description = say(
        "`pasu ledger prove`가 만든 묶음을 박스 없이 확인합니다: 서명, 기록마다의 증명, 파일마다의 내용, 빠진 구간. "
        "끝 상태: 0 모두 옳음, 1 옳지 않은 것이 있음.\n\n"
        "예:\n  pasu centre verify bundle --key gn-0007.vkey --witness gn-0007.checkpoint",
        "Check what `pasu ledger prove` made, without the box: the signature, a proof for each entry, the content of "
        "each file, what is missing. Exit status: 0 all is right, 1 something is not.\n\n"
        "examples:\n  pasu centre verify bundle --key gn-0007.vkey --witness gn-0007.checkpoint",
    )
    parser.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help=say("묶음 폴더", "the bundle's directory")
    )
    parser.add_argument(
        "--key",
        required=True,
        metavar="VKEY|FILE",
        help=say("박스의 공개키, 또는 그것이 든 파일", "the box's public key, or a file with it"),
    )
    parser.add_argument(
        "--witness",
        type=Path,
        metavar="CHECKPOINT",
        help=say(
            "관제센터가 보관한 이 박스의 이전 검증점",
            "an earlier checkpoint of this box that the centre kept",
        ),
    )
    parser.add_argument(
        "--utc",
        action="store_true",
        help=say("시각을 UTC로 보입니다", "show times as UTC instead of local time"),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, and say what was found."""
    from agent.centre import verify
    from agent.cli.bar import Bar

    key = (
        args.key
        if args.key.startswith("pasu/") and "+" in args.key
        else _read(Path(args.key)).decode("utf-8", "replace")
    )
    verifier = verify.read_key(key)
    witness = _read(args.witness) if args.witness else None
    with Bar(say("확인 중", "verifying"), "bytes") as bar:
        report = verify.verify(args.bundle, verifier, witness, bar.show)
    if args.json:
        print(json.dumps(as_json(report), ensure_ascii=False, indent=1))
    else:
        _print(report, UTC if args.utc else None)
    return 0 if report.good else WRONG_STATUS


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 20)
    except (OSError, ValueError) as error:
        raise UsageError(
            "FILE_UNREADABLE",
            say(f"파일을 읽을 수 없습니다: {path}", f"cannot read the file: {path}"),
            hint=say("이름과 권한을 확인하십시오", "check its name and mode"),
            reason=getattr(error, "strerror", "") or str(error),
        ) from None


def as_json(report: Report) -> dict[str, Any]:
    """Return what was found, for programs."""
    return {
        "good": report.good,
        "box": report.box,
        "camera": report.camera,
        "start_ms": report.span.start_ms,
        "end_ms": report.span.end_ms,
        "ledger": report.ledger,
        "size": report.size,
        "continues": report.continues,
        "proven": report.proven,
        "tails": report.tails,
        "missing": [
            {"start_ms": one.span.start_ms, "end_ms": one.span.end_ms, "kind": one.kind, "cause": one.cause}
            for one in report.told
        ],
        "problems": [{"what": one.what, "where": one.where, "detail": one.detail} for one in report.problems],
    }


def _print(report: Report, zone: tzinfo | None) -> None:
    from agent.cli import times
    from agent.cli.kinds import kind_name
    from agent.cli.segments import CAUSES
    from agent.model import GapCause

    span = times.show_span(report.span.start_ms, report.span.end_ms, zone)
    print(f"{report.box}  {report.camera}  {span}")
    print(
        say(
            f"서명된 원장 {report.ledger or '-'}, 기록 {report.size}건까지",
            f"signed ledger {report.ledger or '-'}, {report.size} entries",
        )
    )
    print(say(f"증명된 파일: {len(report.proven)}개", f"files proven: {len(report.proven)}"))
    if report.continues is not None:
        print(
            say(
                f"보관한 검증점({report.continues}번)에서 이어집니다.",
                f"goes on from the kept checkpoint (entry {report.continues}).",
            )
        )
    for one in report.told:
        cause = say(*CAUSES[GapCause(one.cause)]) if one.cause in set(GapCause) else one.cause
        where = times.show_span(one.span.start_ms, one.span.end_ms, zone)
        print(f"{kind_name(one.kind)}: {where}" + (f"  ({cause})" if cause else ""))
    for tail in report.tails:
        print(say(f"꼬리 파일은 증명되지 않음: {tail}", f"the tail is not covered by the ledger: {tail}"))
    for problem in report.problems:
        print(_problem_text(problem, zone))
    if report.good:
        print(say("모두 옳습니다.", "Everything is right."))
    else:
        count = len(report.problems)
        print(say(f"옳지 않은 것: {count}건", f"not right: {count}"))


def _problem_text(problem: Problem, zone: tzinfo | None) -> str:
    from agent.cli import times

    where = problem.where
    if problem.what == "unexplained" and problem.span:
        where = times.show_span(problem.span.start_ms, problem.span.end_ms, zone)
    if problem.what == "relabelled" and problem.span:
        where += "  " + times.show_span(problem.span.start_ms, problem.span.end_ms, zone)
    detail = f" ({problem.detail})" if problem.detail else ""
    return say("문제: ", "problem: ") + f"{say(*WORDS[problem.what])}: {where}{detail}"
