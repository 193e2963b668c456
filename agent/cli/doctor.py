"""`pasu doctor`: prove that a site works, check by check."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, user
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.config import Config, Secrets
    from agent.field.doctor.check import Result

SECONDS, WIRE_S = 30, 10
MOST_SECONDS = 3600


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor", help=say("현장이 제대로 도는지 검사합니다", "prove that a site works")
    )
    parser.description = say(
        "현장의 인수 검사입니다. 설정, 프로세스, 디스크, 시각, 카메라, 봉인, 소리, 터널, 센터 연결, 권한, 유닛, 보관 "
        "일수를 하나씩 재고, 무엇을 쟀고 무엇을 하면 되는지 말합니다. 녹화를 건드리지 않고, 그림은 수로만 남습니다. "
        "모두 보려면 sudo로 하십시오. 검사했다는 기록이 원장에 남습니다.\n\n"
        "끝 상태: 0 정상, 1 실패가 있음, 3 주의만 있음.\n\n"
        "센터가 영상을 열 수 있는지도 보려면, 파일을 센터에 보내고 읽어 준 낱말을 적습니다:\n"
        "  sudo pasu doctor --canary canary.age\n"
        "  sudo pasu doctor --canary canary.age --word ABCDEFGH",
        "The acceptance of a site: configuration, processes, disks, time, cameras, sealing, sound, tunnel, the way to "
        "the centre, permissions, units, days of retention, one after another, with what was measured and what to do. "
        "Recording is not disturbed, and of pictures only numbers stay. Use sudo to see all of it. That a site was "
        "examined is a fact in the ledger.\n\n"
        "Exit status: 0 well, 1 a failure, 3 warnings alone.\n\n"
        "to see too whether the centre can open recordings, send it the file and type the word that it reads:\n"
        "  sudo pasu doctor --canary canary.age\n"
        "  sudo pasu doctor --canary canary.age --word ABCDEFGH",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS,
        metavar="N",
        help=say(f"카메라를 볼 초 (기본 {SECONDS})", f"seconds to look at the cameras (default {SECONDS})"),
    )
    parser.add_argument(
        "--wire-seconds",
        type=int,
        default=WIRE_S,
        metavar="N",
        help=say(
            f"선로를 들을 초 (기본 {WIRE_S}, 0은 듣지 않음)",
            f"seconds to listen to the wire (default {WIRE_S}, 0: not at all)",
        ),
    )
    parser.add_argument(
        "--canary",
        type=Path,
        metavar="FILE",
        help=say("센터가 열어 볼 봉인 파일", "a sealed file for the centre to open"),
    )
    parser.add_argument(
        "--word",
        metavar="WORD",
        help=say("센터가 --canary 파일에서 읽은 낱말", "the word that the centre read in the --canary file"),
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examine, show, and write that it was done."""
    from agent.cli.doctor_view import View
    from agent.config import load
    from agent.field.doctor.check import State, status
    from agent.field.doctor.rounds import Request, Rounds

    config = load(args.config)
    canary = _canary(args, config)
    request = Request(
        min(max(args.seconds, 1), MOST_SECONDS), min(max(args.wire_seconds, 0), MOST_SECONDS), canary
    )
    results: list[Result] = []
    finished = False
    try:
        with View(results=not args.json) as view:
            for result in Rounds(config, _secrets(config), request, view.busy).go():
                results.append(result)
                view.show(result)
        finished = True
    finally:  # also when it is broken off: cameras may have been looked at
        told = json.dumps(_body(config, results), ensure_ascii=False, indent=1)
        counts = {state: sum(each.state is state for each in results) for state in State}
        _tell(config, counts, results, sha256(told.encode()).hexdigest() if finished else "")
    if args.json:
        print(told)
    view.sum_up(results)
    return status(each.state for each in results)


def _secrets(config: Config) -> Secrets | None:
    from agent.errors import ConfigError
    from agent.log_ins import LogIns

    try:
        return LogIns(config.file).read()
    except ConfigError:
        return None


def _canary(args: argparse.Namespace, config: Config) -> tuple[str, str]:
    """Make the canary, or try its word; return what became of it, and which file."""
    if args.canary is None:
        return "", ""
    from agent.cli.parser import UsageError
    from agent.field.doctor import canary, look_state
    from agent.forks import as_owner

    file: Path = args.canary
    word: str | None = args.word
    if word is None and not file.exists():
        keys = as_owner(config.storage.state, lambda: look_state.sealed_to(config))
        canary.make(file, config.box.id, keys)
    if word is None and sys.stdin.isatty() and not args.json:
        print(
            say(
                f"{file}을(를) 센터에 보내고, `pasu centre canary`로 읽은 낱말을 물으십시오.",
                f"Send {file} to the centre, and ask for the word that `pasu centre canary` reads.",
            ),
            file=sys.stderr,
        )
        word = input(say("낱말 (없으면 Enter): ", "word (Enter for none): ")) or None
    if word is None:
        return "waits", str(file)
    if not word.isascii():
        raise UsageError("CANARY_WORD", say("낱말은 영문과 숫자입니다", "the word is of letters and digits"))
    return ("right" if canary.is_right(file, word) else "wrong"), str(file)


def _body(config: Config, results: list[Result]) -> dict[str, Any]:
    """Return everything, for programs."""
    from agent.field.doctor.check import worst
    from agent.field.doctor.registry import CHECKS

    return {
        "box": config.box.id,
        "site": config.box.site,
        "state": str(worst(each.state for each in results)),
        "checks": [
            {
                "check": each.check,
                "state": str(each.state),
                "subject": each.subject,
                "measured": each.measured,
                "numbers": each.numbers,
                "title": CHECKS[each.check].title,
                "then": CHECKS[each.check].then if each.state in ("failure", "warning") else "",
                "duties": list(CHECKS[each.check].duties),
            }
            for each in results
        ],
    }


def _tell(config: Config, counts: dict[Any, int], results: list[Result], digest: str) -> None:
    """Write into the ledger that the site was examined, by whom, and what failed. A catalogue that fails was told.

    digest  SHA-256 of what `--json` writes, without the end of its last line; "" when it was broken off
    """
    from agent.clock import SystemClock
    from agent.errors import StorageFault
    from agent.field.doctor import look_state
    from agent.field.doctor.check import State
    from agent.model import Fact

    failed = sorted({each.check for each in results if each.state is State.FAILURE})
    body = {
        "by": user(),
        "ok": counts[State.OK],
        "warnings": counts[State.WARNING],
        "failures": counts[State.FAILURE],
        "failed": failed,
        "sha256": digest,
    }
    try:
        look_state.tell(config, lambda: Fact("box.examined", SystemClock(config.storage.state).now(), body))
    except StorageFault as fault:
        print(
            say(f"원장에 적지 못했습니다: {fault.code}", f"not in the ledger: {fault.code}"), file=sys.stderr
        )
