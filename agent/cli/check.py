"""`pasu check`: is everything there that should be, and is it what was written? No video is opened."""

from __future__ import annotations

import contextlib
import json
import os
import time
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, add_span, load_for_state
from agent.cli.parser import UsageError
from agent.errors import StorageFault
from agent.language import say
from agent.storage.keep.check_findings import MENDED, Done, Level, What

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from datetime import tzinfo

    from agent.model import Span
    from agent.storage.keep.check import Check
    from agent.storage.keep.check_findings import Finding
    from agent.storage.vault import Vault

DAMAGE_STATUS = 1
LOCK = "check.lock"
_LISTED = 100
LEVELS = {
    Level.PRESENCE: ("행마다 파일이, 파일마다 행이 있는지", "each row has its file, each file its row"),
    Level.SIZES: ("크기도 그대로인지", "and it is as long as it was"),
    Level.DIGESTS: ("모든 바이트가 쓴 그대로인지", "and each byte is what was written"),
}
WHATS = {
    What.MISSING: ("파일이 없음", "the file is gone"),
    What.NOT_A_FILE: ("파일이 아닌 것이 그 이름을 씀", "something that is no file bears its name"),
    What.SIZE: ("크기가 다름", "another size"),
    What.HEADER: ("봉인 머리가 손상됨", "the sealed header is damaged"),
    What.DIGEST: ("내용이 쓴 것과 다름", "not the bytes that were written"),
    What.UNREADABLE: ("디스크가 읽지 못함", "the disk cannot read it"),
    What.TAIL: ("꼬리 파일이 없거나 손상됨", "its tail is gone or damaged"),
    What.ORPHAN: ("목록에 없는 파일", "a file that is not in the catalogue"),
    What.BAD_ROW: ("목록의 행이 올바르지 않음", "a row that names no place of ours"),
    What.STRANGE: ("파수가 쓰지 않은 이름", "a name that Pasu does not write"),
    What.UNJUDGED: ("읽을 수 없어 판단하지 않음", "cannot be read, and is not judged"),
}
DONES = {
    Done.NOTHING: ("", ""),
    Done.LOST: ("잃음으로 적음", "written down as lost"),
    Done.QUARANTINED: ("격리함", "moved to quarantine"),
    Done.RESTORED: ("보존 링크에서 되돌림", "restored from a hold"),
    Done.ADOPTED: ("목록에 넣음", "taken into the catalogue"),
    Done.HELD: ("보존 중이라 그대로 둠", "held: left where it is"),
    Done.OVERTAKEN: ("그 사이 해결됨", "settled meanwhile"),
    Done.FAILED: ("디스크가 거부함", "the disk refused"),
}


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "check", help=say("저장된 것이 온전한지 봅니다", "check whether what is stored is whole")
    )
    parser.description = say(
        "저장된 조각이 모두 있고 온전한지 봅니다. 영상은 열지 않으며, 아무것도 지우지 않습니다. 녹화 중에도 쓸 수 "
        "있습니다. 멈춘 검사는 같은 명령으로 이어집니다. 끝 상태: 0 모두 온전함, 1 빠지거나 손상됨.\n\n"
        "예:\n  pasu check\n  pasu check --level digests --max-duration 30m\n"
        "  pasu check --camera cam01 --from -1d --repair",
        "Check whether every stored segment is there and whole. No video is opened, nothing is erased, and "
        "recording may go on. A check that was stopped goes on with the same command. Exit status: 0 all is whole, "
        "1 something is missing or damaged.\n\n"
        "examples:\n  pasu check\n  pasu check --level digests --max-duration 30m\n"
        "  pasu check --camera cam01 --from -1d --repair",
    )
    levels = "; ".join(f"{level.value}: {say(*words)}" for level, words in LEVELS.items())
    parser.add_argument(
        "--level",
        choices=[level.value for level in Level],
        default=Level.SIZES.value,
        metavar="LEVEL",
        help=say(f"얼마나 자세히 (기본 sizes). {levels}", f"how closely (default sizes). {levels}"),
    )
    parser.add_argument("--camera", metavar="CAMERA", help=say("이 카메라만", "only this camera"))
    add_span(parser, None, None)
    parser.add_argument(
        "--max-duration",
        metavar="TIME",
        help=say(
            '이만큼만 하고 멈춥니다: "30m", "2h". 다음에 이어집니다',
            'stop after this long: "30m", "2h"; the next call goes on there',
        ),
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help=say(
            "손상된 파일을 격리하고, 잃은 조각을 적고, 목록에 없는 파일을 넣습니다. 지우지는 않습니다",
            "move damaged files to quarantine, write down what is lost, take in files without a row; never erases",
        ),
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help=say(
            "멈춘 곳이 아니라 처음부터 합니다", "begin at the beginning, not where the last one stopped"
        ),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, show how far it is, and say what was found."""
    from agent.cli import times
    from agent.cli.bar import Bar
    from agent.cli.segments import unknown_camera
    from agent.clock import SystemClock
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.keep.check import Check, Selection

    zone = UTC if args.utc else None
    seconds = None if args.max_duration is None else times.parse_length(args.max_duration)
    span = _span(args, zone)
    state = load_for_state(args.config).storage.state
    clock = SystemClock(state)
    catalogue = Catalogue.open(state, read_only=not args.repair)
    try:
        with _alone(state):
            if args.camera and args.camera not in catalogue.cameras():
                raise unknown_camera(args.camera, catalogue.cameras())
            vaults, away = _vaults(catalogue.vaults())
            name = " ".join([args.level, args.camera or "-", args.start or "-", args.end or "-"])
            selection = Selection(name, Level(args.level), args.camera, span)
            check = Check(
                catalogue,
                vaults,
                state,
                selection,
                clock.now,
                disk=Disk(),
                repair=args.repair,
                restart=args.restart,
            )
            until = None if seconds is None else clock.monotonic() + seconds
            with Bar(say("검사 중", "checking")) as bar:
                finished = check.run(
                    lambda: until is None or clock.monotonic() < until,
                    lambda: bar.show(check.at, check.total, _done(check)),
                )
    finally:
        catalogue.close()
    if args.json:
        print(json.dumps(as_json(check, away, finished=finished), ensure_ascii=False, indent=1))
    else:
        _print(check, away, zone, finished=finished, repair=args.repair)
    return DAMAGE_STATUS if check.tally.still or away else 0


def _span(args: argparse.Namespace, zone: tzinfo | None) -> Span | None:
    from agent.cli import times

    if args.start is None and args.end is None:
        return None
    now_ms = time.time_ns() // 1_000_000
    return times.parse_span(args.start or "1970-01-01T00:00Z", args.end or "now", now_ms, zone)


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Keep two checks from losing each other's place. Raises UsageError CHECK_RUNNING; StorageFault."""
    from agent.storage import files

    try:
        fd = os.open(state / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise files.fault("open", state / LOCK, error) from error
    try:
        if not files.try_lock(fd):
            raise UsageError(
                "CHECK_RUNNING",
                say("이미 검사하고 있습니다", "a check is running already"),
                hint=say("그 검사를 기다리거나 멈추십시오", "wait for it, or stop it"),
            )
        yield
    finally:
        os.close(fd)


def _vaults(known: dict[str, str]) -> tuple[dict[str, Vault], dict[str, StorageFault]]:
    """Open the vaults that are there; return them by uuid, and by path why the others cannot be judged."""
    from agent.storage.vault import Vault

    vaults, away = {}, {}
    for uuid, path in known.items():
        try:
            vaults[uuid] = Vault.open(Path(path), uuid)
        except StorageFault as fault:
            away[path] = fault
    return vaults, away


def _done(check: Check) -> str:
    from agent.cli.show import size

    tally = check.tally
    read = f", {size(tally.bytes)}" if tally.bytes else ""
    return say(f"파일 {tally.files:,}개{read}", f"{tally.files:,} files{read}")


def as_json(check: Check, away: dict[str, StorageFault], *, finished: bool) -> dict[str, Any]:
    """Return the answer for programs."""
    tally = check.tally
    values = tally.as_json()
    return {
        "finished": finished,
        "resumed": check.resumed,
        "days": tally.days,
        "days_in_all": check.total,
        "files": tally.files,
        "read_bytes": tally.bytes,
        "counts": values["counts"],
        "still": tally.still,
        "findings": values["findings"],
        "vaults_away": {path: fault.code for path, fault in away.items()},
    }


def _print(
    check: Check, away: dict[str, StorageFault], zone: tzinfo | None, *, finished: bool, repair: bool
) -> None:
    from agent.cli.show import console, table

    tally = check.tally
    if check.resumed:
        print(say("멈춘 곳에서 이어 했습니다.", "Went on where the last check stopped."))
    heads = say("카메라|구간|무엇|자세히|한 일|파일", "camera|span|what|detail|done|file").split("|")
    lines = [
        (
            finding.camera,
            _when(finding, zone),
            say(*WHATS[finding.what]),
            _detail(finding),
            say(*DONES[finding.done]),
            finding.path,
        )
        for finding in tally.findings[:_LISTED]
    ]
    if lines:
        console().print(table(heads, lines, folding=(1, 2, 3, 4, 5)))
        more = sum(tally.counts.values()) - len(lines)
        if more > 0:
            print(say(f"... 그리고 {more:,}건 더", f"... and {more:,} more"))
        print()
    for path, fault in away.items():
        print(
            say(
                f"판단하지 않은 저장소: {path}  {fault.message}", f"vault not judged: {path}  {fault.message}"
            )
        )
    days = f"{tally.days:,} / {check.total:,}"
    print(say(f"카메라·날 {days}, {_done(check)}", f"camera-days {days}, {_done(check)}"))
    if not finished:
        print(
            say(
                "시간이 다 되어 멈췄습니다. 같은 명령으로 이어집니다.",
                "Stopped, as the time was over. The same command goes on here.",
            )
        )
    if tally.still:
        print(say(f"온전하지 않은 것: {tally.still:,}건", f"not whole: {tally.still:,}"))
        if not repair:
            print(
                say(
                    "처리하려면: pasu check --repair (격리하고 적을 뿐, 지우지 않습니다)",
                    "to put it in order: pasu check --repair (quarantines and writes down, never erases)",
                )
            )
    elif finished and not away:
        print(
            say("처리했습니다. 남은 것은 모두 온전합니다.", "Put in order; what is left is whole.")
            if any(finding.done in MENDED for finding in tally.findings)
            else say("모두 온전합니다.", "All is whole.")
        )


def _when(finding: Finding, zone: tzinfo | None) -> str:
    from agent.cli import times

    span = finding.span
    return times.show_span(span.start_ms, span.end_ms, zone) if span else ""


def _detail(finding: Finding) -> str:
    """Say what was expected and found, and where the damage is, as far as that is known."""
    parts = []
    if finding.what is What.SIZE:
        parts.append(
            say(
                f"{finding.expected}바이트여야 하나 {finding.found}",
                f"{finding.found} instead of {finding.expected} bytes",
            )
        )
    elif finding.what in (What.UNREADABLE, What.UNJUDGED, What.TAIL) and finding.found:
        parts.append(finding.found)
    for how, (ko, en) in {"unreadable": ("읽지 못함", "unreadable"), "zeros": ("0뿐임", "zeros")}.items():
        chunks = [place.chunk for place in finding.places if place.how == how]
        if chunks:
            named = ", ".join("?" if chunk is None else str(chunk) for chunk in chunks[:8])
            named += ", ..." if len(chunks) > 8 else ""
            parts.append(say(f"{named}번 덩이 {ko}", f"chunk {named} {en}"))
    if finding.what is What.DIGEST and not finding.places:
        parts.append(say("자리는 `pasu open`이 압니다", "`pasu open` names the place"))
    return "; ".join(parts)
