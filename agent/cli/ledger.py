"""`pasu ledger`: read the box's ledger, go through it, and hand out segments with what proves them."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli import prove
from agent.cli.common import add_config, add_span, load_for_state
from agent.cli.parser import UsageError
from agent.errors import IntegrityFault, StorageFault
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from datetime import tzinfo

    from agent.storage.catalogue import Catalogue
    from agent.storage.proof.checkpoints import Checkpoint

DEFAULT_LAST = 50
WRONG_STATUS = 1


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser(
        "ledger", help=say("원장을 보고, 확인하고, 증거를 냅니다", "read, verify and prove the ledger")
    )
    group.description = say(
        "박스의 원장: 일어난 일이 차례로 적혀 있고, 아무도 모르게 고칠 수 없습니다.",
        "The box's ledger: what happened, in order, and not to be changed unnoticed.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_show(actions)
    _add_verify(actions)
    prove.add(actions)


def _add_show(actions: Any) -> None:
    parser = actions.add_parser("show", help=say("기록을 보입니다", "show entries"))
    parser.description = say(
        "기록을 오래된 것부터 보입니다.\n\n"
        "예:\n  pasu ledger show\n  pasu ledger show --kind hold --from -7d\n  pasu ledger show --after 1200 --json",
        "Show entries, newest last.\n\n"
        "examples:\n  pasu ledger show\n  pasu ledger show --kind hold --from -7d\n"
        "  pasu ledger show --after 1200 --json",
    )
    parser.add_argument(
        "--after", type=int, metavar="SEQ", help=say("이 번호 다음부터", "only entries after this number")
    )
    parser.add_argument(
        "--last",
        type=int,
        default=DEFAULT_LAST,
        metavar="N",
        help=say(
            f"많아야 이만큼 (기본 {DEFAULT_LAST}). 0이면 모두",
            f"at most so many (default {DEFAULT_LAST}); 0 for all",
        ),
    )
    parser.add_argument(
        "--kind",
        metavar="KIND",
        help=say(
            '종류: "gap", "segment.erased", 또는 "hold"처럼 앞부분', 'a kind, or its first part: "hold"'
        ),
    )
    parser.add_argument("--camera", metavar="CAMERA", help=say("이 카메라만", "only about this camera"))
    add_span(parser, None, None)
    parser.add_argument(
        "--json", action="store_true", help=say("한 줄에 하나씩 JSON으로", "write JSON, one a line")
    )
    add_config(parser)
    parser.set_defaults(run=show)


def _add_verify(actions: Any) -> None:
    parser = actions.add_parser(
        "verify", help=say("원장이 고쳐지지 않았는지 확인합니다", "verify that nothing was changed")
    )
    parser.description = say(
        "모든 기록의 해시를 다시 계산하여, 박스와 저장소에 있는 검증점과 지정한 검증점에 견줍니다. "
        "끝 상태: 0 모두 맞음, 1 맞지 않는 것이 있음.\n\n"
        "예:\n  pasu ledger verify\n  pasu ledger verify --checkpoint gn-0007.checkpoint",
        "Hash every entry again and compare with the checkpoints of the box and its vaults, and with those that are "
        "named. Exit status: 0 all agrees, 1 something does not.\n\n"
        "examples:\n  pasu ledger verify\n  pasu ledger verify --checkpoint gn-0007.checkpoint",
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=say(
            "관제센터 등이 보관한 검증점. 여러 번 쓸 수 있습니다",
            "a checkpoint that the centre kept; may be given more than once",
        ),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=verify)


def show(args: argparse.Namespace) -> int:
    """Show entries."""
    from agent.cli import entries
    from agent.storage.catalogue import Catalogue

    zone = UTC if args.utc else None
    where, values = _where(args, zone)
    catalogue = Catalogue.open(load_for_state(args.config).storage.state, read_only=True)
    limit = args.last if args.last > 0 else -1
    order = "DESC" if args.after is None else ""
    try:
        rows = catalogue.read(
            "SELECT seq, at_ms, trust, kind, CAST(body AS BLOB) FROM ledger"  # noqa: S608 - own words
            f" WHERE {where} ORDER BY seq {order} LIMIT ?",
            (*values, limit),
        )
    finally:
        catalogue.close()
    rows = [(*row[:4], _body(row[4])) for row in sorted(rows)]
    if args.json:
        for seq, at_ms, trust, kind, body in rows:
            entry = {"seq": seq, "at_ms": at_ms, "trust": trust, "kind": kind, "body": body}
            print(json.dumps(entry, ensure_ascii=False))
    else:
        entries.show(rows, zone)
    return 0


def _body(text: bytes) -> dict[str, Any]:
    """Read an entry's body; one that a flipped bit spoiled is shown as it is."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"damaged": text.decode("utf-8", "replace")}


def _where(args: argparse.Namespace, zone: tzinfo | None) -> tuple[str, list[object]]:
    from agent.cli import times

    now_ms = time.time_ns() // 1_000_000
    terms, values = ["1"], list[object]()
    if args.after is not None:
        terms.append("seq > ?")
        values.append(args.after)
    if args.kind:
        terms.append("(kind = ? OR substr(kind, 1, ?) = ?)")
        values += [args.kind, len(args.kind) + 1, args.kind + "."]
    if args.camera:
        # Canonical JSON has one way of writing it.
        terms.append("instr(body, ?)")
        values.append(f'"camera":{json.dumps(args.camera)}')
    if args.start is not None:
        terms.append("at_ms >= ?")
        values.append(times.parse_time(args.start, now_ms, zone))
    if args.end is not None:
        terms.append("at_ms < ?")
        values.append(times.parse_time(args.end, now_ms, zone))
    return " AND ".join(terms), values


def verify(args: argparse.Namespace) -> int:
    """Go through the ledger."""
    from agent.cli import audited
    from agent.cli.bar import Bar
    from agent.storage.catalogue import Catalogue
    from agent.storage.proof import audit, checkpoints, signing

    state = load_for_state(args.config).storage.state
    catalogue = Catalogue.open(state, read_only=True)
    try:
        named = list(_checkpoints(catalogue, state, args.checkpoint))
        with Bar(say("확인 중", "verifying")) as bar:
            found = audit.audit(catalogue, named, signing.load_verifier(state), bar.show)
    finally:
        catalogue.close()
    # Who names a checkpoint asks for what it signed: that it is another ledger's is no answer to be content with.
    given = {str(path) for path in args.checkpoint}
    good = found.good and not any(
        one.verdict is checkpoints.Verdict.OTHER_LEDGER and one.name in given for one in found.opinions
    )
    if args.json:
        print(json.dumps(audited.as_json(found, good=good), ensure_ascii=False, indent=1))
    else:
        audited.show(found, good=good)
    return 0 if good else WRONG_STATUS


def _checkpoints(catalogue: Catalogue, state: Path, given: list[Path]) -> Iterable[tuple[str, Checkpoint]]:
    """Yield every checkpoint at hand, with where it is; one that was named has to be readable."""
    from agent.cli import audited
    from agent.storage.proof import checkpoints

    for checkpoint in checkpoints.kept(catalogue):
        yield audited.CATALOGUE, checkpoint
    places = [state / checkpoints.FILE, *checkpoints.witnesses(state)]
    places += [Path(path) / checkpoints.FILE for path in catalogue.vaults().values()]
    for place in places:
        if place.exists():
            with contextlib.suppress(StorageFault, IntegrityFault):
                yield str(place), checkpoints.read(place)
    for path in given:
        yield str(path), read_checkpoint(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file that somebody named. Raises UsageError FILE_UNREADABLE; IntegrityFault CHECKPOINT_INVALID."""
    from agent.storage.proof import checkpoints

    try:
        return checkpoints.read(path.resolve())  # a link that a person names is meant
    except StorageFault as fault:
        raise UsageError(
            "FILE_UNREADABLE",
            say(f"파일을 읽을 수 없습니다: {path}", f"cannot read the file: {path}"),
            hint=say("이름과 권한을 확인하십시오", "check its name and mode"),
            reason=str(fault.context.get("errno", "")),
        ) from None
