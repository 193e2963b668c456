"""`pasu pass`: let somebody see the page for some hours, see who may, and take it back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from agent.cli import pass_shown
from agent.cli.common import add_config, load_for_state, user
from agent.cli.pass_shown import Shown
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.config import Config


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser(
        "pass", help=say("상태 페이지의 출입증을 다룹니다", "let somebody see the health page")
    )
    group.description = say(
        "상태 페이지(`pasu page`)의 출입증을 발급하고, 보이고, 취소합니다. 출입증은 한 사람이 한 기기에서 한 번 쓰며, "
        "정한 시간이 지나면 끝납니다. 발급과 방문은 원장에 남습니다.",
        "Issue, list and revoke passes to the health page (`pasu page`). A pass is for one person and one device, "
        "once, and ends after its hours. Issues and visits are in the ledger.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_issue(actions)
    _add_list(actions)
    _add_revoke(actions)


def _add_issue(actions: Any) -> None:
    parser = actions.add_parser("issue", help=say("출입증을 발급합니다", "issue a pass"))
    parser.description = say(
        "출입증을 발급하고 QR 코드와 코드를 보입니다. 코드는 다시 볼 수 없습니다. QR 코드를 휴대전화로 찍으면 "
        "페이지가 열리고, 브라우저의 경고에서 인증서의 지문을 확인한 다음 들어갑니다.\n\n"
        "예:\n  pasu pass issue --for 김정비 --company 한빛보안 --hours 4",
        "Issue a pass, and show it as a QR code and as a code; the code cannot be shown again. Photographed with a "
        "telephone the QR code opens the page; compare the certificate's fingerprint at the browser's warning, and "
        "enter.\n\n"
        'examples:\n  pasu pass issue --for "Kim Jeongbi" --company Hanbit --hours 4',
    )
    pass_shown.add_wanted(parser)
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run_issue)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser("list", help=say("출입증을 보입니다", "list passes"))
    parser.description = say(
        '출입증을 새것부터 보입니다. 끝난 것도 30일 동안 보입니다. "쓰였음"은 그 코드로 이미 들어왔다는 뜻입니다: '
        "코드는 다시 열지 못하지만, 들어온 사람은 기간이 끝나거나 취소될 때까지 볼 수 있습니다.",
        "List passes, the newest first; those that are over for 30 days more. Of one that is used the code opens "
        "nothing any more, but whoever came in by it may look until it ends or is revoked.",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run_list)


def _add_revoke(actions: Any) -> None:
    parser = actions.add_parser("revoke", help=say("출입증을 취소합니다", "revoke a pass"))
    parser.description = say(
        "출입증을 취소합니다. 들어와 있던 사람도 곧바로 볼 수 없게 됩니다.\n\n"
        '예:\n  pasu pass revoke 1a2b3c4d --reason "작업 마침"',
        "Revoke a pass. Whoever is in by it sees nothing more from then on.\n\n"
        'examples:\n  pasu pass revoke 1a2b3c4d --reason "work is done"',
    )
    pass_shown.add_revoked(parser)
    add_config(parser)
    parser.set_defaults(run=run_revoke)


def run_issue(args: argparse.Namespace) -> int:
    """Issue one."""
    from agent import passes
    from agent.clock import SystemClock
    from agent.field import issuing
    from agent.field.page.door import clock
    from agent.field.page.life import require
    from agent.storage.files import Disk

    with pass_shown.made(args.qr) as file:
        config, by = _load(args)
        page = require(config)
        one, code = issuing.issue(
            config.storage.state,
            page.folder,
            Disk(),
            at=SystemClock(config.storage.state).now(),
            times=clock(),
            chance=os.urandom(passes.CODE_BYTES + 4),
            name=args.person,
            company=args.company,
            hours=args.hours,
            by=by,
        )
        shown = Shown(
            one.id,
            f"{one.name} · {one.company}",
            code,
            passes.address_of(page.listen[0], page.port),
            one.until_ms,
            fingerprint(config),
        )
        pass_shown.show(shown, file, args.qr, as_json=args.json)
    return 0


def fingerprint(config: Config) -> str:
    """Return what the page says is its certificate's; "" while it says nothing."""
    from agent.health import read_health

    return str((read_health(config.storage.run, "page") or {}).get("fingerprint", ""))


def run_list(args: argparse.Namespace) -> int:
    """List them."""
    from agent.cli.show import console, table
    from agent.cli.times import show_time
    from agent.field import issuing
    from agent.field.page.door import clock
    from agent.field.page.life import require
    from agent.passes import Standing
    from agent.storage import passbook

    config, _ = _load(args)
    # As the page's door sees it, which goes by whether the time is trusted.
    page, now, used = require(config), clock(config.storage.run), issuing.used(config.storage.state)
    listed = []
    for one in passbook.listed(page.folder):
        standing = one.standing(now.utc_ms, now.boot, now.boot_ms, trusted=now.trusted)
        is_used = standing is Standing.GOOD and one.id in used
        listed.append((one, "used" if is_used else str(standing)))
    if args.json:
        said = [
            {
                "id": one.id,
                "name": one.name,
                "company": one.company,
                "by": one.by,
                "issued_ms": one.issued_ms,
                "until_ms": one.until_ms,
                "standing": standing,
            }
            for one, standing in listed
        ]
        print(json.dumps(said, ensure_ascii=False))
        return 0
    if not listed:
        print(say("출입증이 없습니다.", "There are no passes."))
        return 0
    words = {
        "good": say("유효", "good"),
        "used": say("쓰였음", "used"),
        "expired": say("기간 지남", "expired"),
        "revoked": say("취소됨", "revoked"),
    }
    heads = (
        "id",
        say("누구", "for"),
        say("회사", "company"),
        say("언제까지", "until"),
        say("상태", "standing"),
        say("발급", "by"),
    )
    rows = [
        (one.id, one.name, one.company, show_time(one.until_ms, None), words[standing], one.by)
        for one, standing in listed
    ]
    console().print(table(heads, rows, folding=(1, 2)))
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    """Revoke one."""
    from agent.clock import SystemClock
    from agent.field import issuing
    from agent.field.page.life import require
    from agent.storage.files import Disk

    config, by = _load(args)
    page = require(config)
    at = SystemClock(config.storage.state).now()
    one = issuing.revoke(config.storage.state, page.folder, Disk(), at, args.id, by=by, reason=args.reason)
    print(say(f"취소했습니다: {one.id} ({one.name})", f"revoked: {one.id} ({one.name})"))
    return 0


def _load(args: argparse.Namespace) -> tuple[Config, str]:
    """Read the configuration, and who asks, before root becomes the state directory's owner."""
    by = user()
    return load_for_state(args.config), by
