"""`pasu hold`: keep a span from being erased, let it go again, and list what is held."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, add_span, load_for_state, user
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from agent.config import Config
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.vault import Vault

PART_STATUS = 3
ALL = "all"


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser(
        "hold", help=say("구간을 삭제하지 않도록 보존합니다", "keep a span from being erased")
    )
    group.description = say(
        "수사, 재판, 열람 요청 등으로 필요한 구간을 보관 기간이 지나도 삭제하지 않게 합니다. 보존은 저절로 끝나지 "
        "않으며, 재검토일부터 날마다 알립니다. `pasu keep`이 돌지 않아도, 시각을 믿을 수 없어도 됩니다.",
        "Keep what an investigation, a trial or a request for access needs beyond its time. A hold never ends by "
        "itself; from its review date on it reminds daily. It works without `pasu keep`, and by any clock.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_place(actions)
    _add_release(actions)
    _add_list(actions)


def _add_place(actions: Any) -> None:
    from agent.storage.keep.hold import GROUNDS, REVIEW_DAYS

    parser = actions.add_parser("place", help=say("구간을 보존합니다", "hold a span"))
    grounds = "\n".join(f"  {code}: {say(one.korean, one.english)}" for code, one in GROUNDS.items())
    parser.description = say(
        "구간을 보존합니다. 끝 시각은 앞날이어도 되며, 그때까지 녹화되는 대로 보존합니다. 조건을 바꾸려면 새로 "
        "명한 다음 앞의 것을 해제하십시오. 끝 상태: 0 보존함, 3 보존하나 없거나 거부한 디스크가 있음.\n\n"
        f"근거:\n{grounds}\n\n"
        "예:\n  pasu hold place --camera cam01 \\\n"
        "      --from 2026-11-21T10:00 --to 2026-11-21T11:00 \\\n"
        '      --ground investigation --authority "강릉경찰서 2026-1234" \\\n      --review 2027-01-15\n'
        "  pasu hold place --camera all --from -2h --to +6h \\\n"
        '      --ground disaster --authority "재난안전상황실 2026-56" --review +30d',
        "Hold a span. It may reach into the future: what is recorded then is held as it comes. To change the terms, "
        "place a new hold and release the former. Exit status: 0 held, 3 held, but a disk is not there or refused."
        f"\n\ngrounds:\n{grounds}\n\n"
        "examples:\n  pasu hold place --camera cam01 \\\n"
        "      --from 2026-11-21T10:00 --to 2026-11-21T11:00 \\\n"
        '      --ground investigation --authority "Gangneung police 2026-1234" \\\n      --review 2027-01-15\n'
        "  pasu hold place --camera all --from -2h --to +6h \\\n"
        '      --ground disaster --authority "situation room 2026-56" --review +30d',
    )
    parser.add_argument(
        "--camera",
        required=True,
        metavar="CAMERA",
        help=say(
            f"카메라 id, 여럿은 쉼표로. {ALL}은 모든 카메라 (나중에 더하는 것도)",
            f"camera ids, separated by commas; {ALL} for every camera, also one that is added later",
        ),
    )
    add_span(parser, None, None, required=True)
    parser.add_argument(
        "--ground", required=True, metavar="GROUND", help=say("보존 근거 (위의 표)", "why: a code from above")
    )
    parser.add_argument(
        "--authority",
        required=True,
        metavar="TEXT",
        help=say("누가 명했는지: 기관과 문서번호", "who orders it: the office, and the number of its letter"),
    )
    parser.add_argument(
        "--review",
        required=True,
        metavar="DATE",
        help=say(
            f'재검토일, {REVIEW_DAYS}일 안: "2027-01-15", "+30d"',
            f'when it must be reviewed, within {REVIEW_DAYS} days: "2027-01-15", "+30d"',
        ),
    )
    parser.add_argument(
        "--id",
        metavar="ID",
        help=say(
            "보존 id (기본: 새로 지음). 같은 id로 다시 하면 끊긴 것을 마칩니다",
            "the hold's id (default: a new one); given again it finishes one that was cut off",
        ),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run_place)


def _add_release(actions: Any) -> None:
    parser = actions.add_parser("release", help=say("보존을 해제합니다", "release a hold"))
    parser.description = say(
        "보존을 해제합니다. 보관 기간이 이미 지난 구간은 `pasu keep`이 곧 삭제합니다. 되돌릴 수 없습니다.\n\n"
        '예:\n  pasu hold release h20261121T101500-1a2b --reason "수사 종결"',
        "Release a hold. What is older than the retention is then erased by `pasu keep`, within its next rounds. "
        "This cannot be taken back.\n\n"
        'examples:\n  pasu hold release h20261121T101500-1a2b --reason "case closed"',
    )
    parser.add_argument("id", metavar="ID", help=say("보존 id", "the hold's id"))
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help=say("해제하는 까닭", "why it is not needed any more")
    )
    add_config(parser)
    parser.set_defaults(run=run_release)


def _add_list(actions: Any) -> None:
    parser = actions.add_parser("list", help=say("보존을 보입니다", "list the holds"))
    parser.description = say(
        "무엇이 보존되고 있는지, 언제 재검토해야 하는지 보입니다.",
        "Show what is held, and when it must be reviewed.",
    )
    parser.add_argument(
        "--all", action="store_true", help=say("해제된 것도 보입니다", "also those that were released")
    )
    parser.add_argument(
        "--utc",
        action="store_true",
        help=say("시각을 UTC로 보입니다", "show times as UTC instead of local time"),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run_list)


def run_place(args: argparse.Namespace) -> int:
    """Place a hold, and say what it has and what it has not."""
    from agent.cli import held, times
    from agent.model import utc_name
    from agent.storage.keep import holds
    from agent.storage.keep.hold import Hold

    zone = UTC if args.utc else None
    with _opened(args) as (config, catalogue, vaults, at):
        order = Hold(
            id=args.id or f"h{utc_name(at.utc_ms)[:15]}-{secrets.token_hex(2)}",
            cameras=_cameras(args.camera, config, catalogue),
            span=times.parse_span(args.start, args.end, at.utc_ms, zone),
            ground=args.ground,
            authority=args.authority,
            review_ms=times.parse_time(args.review, at.utc_ms, zone),
            placed_ms=at.utc_ms,
            trust=at.trust.value,
            placed_by=user(),
        )
        placed = holds.place(catalogue, vaults, config.storage.state, order, at)
    if args.json:
        print(json.dumps(held.placed_json(placed), ensure_ascii=False, indent=1))
    else:
        held.show_placed(placed, zone)
    return PART_STATUS if placed.unfinished or placed.faults else 0


def run_release(args: argparse.Namespace) -> int:
    """Release a hold."""
    from agent.cli import held
    from agent.cli.show import size
    from agent.storage.keep import holds

    with _opened(args) as (config, catalogue, vaults, at):
        done = holds.release(
            catalogue, vaults, config.storage.state, args.id, at, reason=args.reason, by=user()
        )
    kept = size(done.sealed_bytes)
    print(
        say(
            f"{args.id}: 해제했습니다 (조각 {done.segments}개, {kept}). 보관 기간이 지난 것은 곧 삭제됩니다.",
            f"{args.id}: released ({done.segments} segments, {kept}). What is older than the retention goes soon.",
        )
    )
    held.show_unfinished(done.unfinished, len(done.faults))
    return PART_STATUS if done.unfinished or done.faults else 0


def run_list(args: argparse.Namespace) -> int:
    """List holds."""
    from agent.cli import held
    from agent.clock import SystemClock
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep import hold_rows

    state = load_for_state(args.config).storage.state
    at = SystemClock(state).now()
    catalogue = Catalogue.open(state, read_only=True)
    try:
        found = [
            (hold, *hold_rows.totals(catalogue, hold.id))
            for hold in hold_rows.holds(catalogue, released=args.all)
        ]
    finally:
        catalogue.close()
    if args.json:
        items = [
            {
                **hold.body(),
                "placed_ms": hold.placed_ms,
                "trust": hold.trust,
                "released_ms": hold.released_ms,
                "release_reason": hold.release_reason,
                "answer_left_ms": hold.answer_left_ms(at.utc_ms),
                "review_due": hold.is_active and hold.is_due(at.utc_ms),
                "segments": count,
                "sealed_bytes": sealed,
            }
            for hold, count, sealed in found
        ]
        print(json.dumps(items, ensure_ascii=False, indent=1))
    elif not found:
        print(say("보존이 없습니다.", "Nothing is held."))
    else:
        held.show_list(found, at.utc_ms, UTC if args.utc else None)
    return 0


@contextmanager
def _opened(
    args: argparse.Namespace,
) -> Iterator[tuple[Config, Catalogue, dict[str, Vault], Instant]]:
    """Open what holding needs: the catalogue, and the vaults that are there."""
    from agent.clock import SystemClock
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.keep import disks

    config = load_for_state(args.config)
    catalogue = Catalogue.open(config.storage.state)
    try:
        there = disks.look(catalogue, config.storage.vaults, Disk())
        yield config, catalogue, there.vaults, SystemClock(config.storage.state).now()
    finally:
        catalogue.close()


def _cameras(text: str, config: Config, catalogue: Catalogue) -> tuple[str, ...]:
    """Read --camera. Raises UsageError CAMERA_UNKNOWN."""
    from agent.cli.segments import unknown_camera
    from agent.storage.keep.hold import EVERY

    names = {name.strip() for name in text.split(",") if name.strip()}
    if names == {ALL}:
        return (EVERY,)
    known = [*catalogue.cameras(), *(camera.id for camera in config.cameras)]
    for name in sorted(names or {text}):
        if name not in known:
            raise unknown_camera(name, known)
    return tuple(sorted(names))
