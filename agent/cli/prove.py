"""`pasu ledger prove`: hand out sealed segments at the box itself, on named terms, with what proves them."""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, add_span, load_for_state, user
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from datetime import tzinfo

    from agent.config import Config
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.outgoing_order import Export
    from agent.storage.proof.export import Exported
    from agent.storage.vault import Vault

PARTLY_STATUS = 3


def add(actions: Any) -> None:
    """Describe the command."""
    from agent.config.values import PURPOSE_TITLES
    from agent.storage.keep.hold import GROUNDS

    grounds = "\n".join(f"  {code}: {say(one.korean, one.english)}" for code, one in GROUNDS.items())
    purposes = "\n".join(f"  {code}: {say(*title)}" for code, title in PURPOSE_TITLES.items())
    parser = actions.add_parser(
        "prove", help=say("봉인된 조각을 증명과 함께 냅니다", "hand out sealed segments with their proofs")
    )
    parser.description = say(
        "카메라 한 대의 구간에 든 봉인된 조각을 그대로 복사하고, 서명된 원장에서 나온 증명을 붙입니다. 영상은 "
        "열리지 않습니다. 누구에게, 무슨 목적과 근거로, 언제까지 내어 주는지가 원장에 남고, 파기 결과를 적을 때까지 "
        "`pasu export list`에 나옵니다. 박스가 잠겨 있으면 내지 않습니다. "
        "관제센터는 `pasu centre verify`로 확인합니다. 먼저 `pasu hold place`로 보존하십시오. "
        "끝 상태: 0 온전함, 3 빠지거나 증명할 수 없는 것이 있음.\n\n"
        f"목적:\n{purposes}\n\n근거:\n{grounds}\n\n"
        "예:\n  pasu ledger prove --camera cam01 --from 2026-11-21T10:00 --to 2026-11-21T11:00 \\\n"
        "      --purpose crime-prevention --ground investigation \\\n"
        '      --recipient 강릉경찰서 --authority "강릉경찰서 2026-1234" \\\n'
        "      --due +30d --out /media/usb/bundle --by 김기사",
        "Copy the sealed segments of a camera's span as they are, with proofs from the signed ledger. No video is "
        "opened. The ledger says who gets it, for what, on which ground and until when, and `pasu export list` shows "
        "it until its destruction is noted. Nothing is handed out while the box is locked down. The centre checks it "
        "with `pasu centre verify`. Place a hold before. Exit status: 0 whole, 3 something is missing or cannot be "
        f"proven.\n\npurposes:\n{purposes}\n\ngrounds:\n{grounds}\n\n"
        "examples:\n  pasu ledger prove --camera cam01 --from 2026-11-21T10:00 --to 2026-11-21T11:00 \\\n"
        "      --purpose crime-prevention --ground investigation \\\n"
        '      --recipient "Gangneung police" --authority "Gangneung police 2026-1234" \\\n'
        "      --due +30d --out /media/usb/bundle --by kim",
    )
    parser.add_argument("--camera", required=True, metavar="CAMERA", help=say("카메라 id", "a camera's id"))
    add_span(parser, None, None, required=True)
    _add_terms(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help=say("만들 폴더. 비어 있어야 합니다", "directory to make; an existing one must be empty"),
    )
    parser.add_argument(
        "--since",
        type=Path,
        metavar="CHECKPOINT",
        help=say(
            "관제센터가 보관한 검증점: 그때부터 이어진다는 증명을 더합니다",
            "a checkpoint that the centre kept: adds the proof that the ledger goes on from it",
        ),
    )
    parser.add_argument(
        "--by",
        metavar="NAME",
        help=say("가져가는 사람 (기본: 로그인 이름)", "who takes it (default: the login name)"),
    )
    add_config(parser)
    parser.set_defaults(run=prove)


def _add_terms(parser: argparse.ArgumentParser) -> None:
    """Add what an order of the centre has to name too (regulation art. 28, 31(3); guideline art. 42(1))."""
    from agent.config.values import Purpose

    parser.add_argument(
        "--purpose",
        required=True,
        choices=[str(purpose) for purpose in Purpose],
        metavar="PURPOSE",
        help=say("무엇에 쓰는지 (위의 표)", "what it serves: a code from above"),
    )
    parser.add_argument(
        "--ground",
        required=True,
        metavar="GROUND",
        help=say("내어 주는 근거 (위의 표)", "why: a code from above"),
    )
    parser.add_argument("--recipient", required=True, metavar="TEXT", help=say("받는 곳", "who gets it"))
    parser.add_argument(
        "--authority",
        required=True,
        metavar="TEXT",
        help=say("누가 명했는지: 기관과 문서번호", "who orders it: the office, and the number of its letter"),
    )
    parser.add_argument(
        "--due",
        required=True,
        metavar="DATE",
        help=say(
            '받은 곳이 파기할 날: "2027-01-15", "+30d"',
            'by when the recipient destroys it: "2027-01-15", "+30d"',
        ),
    )
    parser.add_argument(
        "--second",
        default="",
        metavar="NAME",
        help=say(
            "카메라의 목적과 다른 데 쓸 때: 승인한 다른 사람",
            "where it serves another purpose than the camera's: who else agreed to it",
        ),
    )


def prove(args: argparse.Namespace) -> int:
    """Make a bundle."""
    from agent.cli.bar import Bar
    from agent.cli.ledger import read_checkpoint
    from agent.cli.segments import unknown_camera
    from agent.clock import SystemClock
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.proof import signing
    from agent.storage.proof.export import Request, Site, export

    zone = UTC if args.utc else None
    config = load_for_state(args.config)
    state, disk = config.storage.state, Disk()
    now = SystemClock(state).now()
    order = _order(args, config, now, zone)
    since = read_checkpoint(args.since) if args.since else None
    catalogue = Catalogue.open(state)
    try:
        if args.camera not in catalogue.cameras():
            raise unknown_camera(args.camera, catalogue.cameras())
        site = Site(
            catalogue,
            signing.load_or_create(state, config.box.id, disk),
            {vault.uuid: vault for vault in _vaults(catalogue)},
            state,
            disk,
        )
        request = Request(order, args.out.absolute(), args.second, since)
        with Bar(say("복사 중", "copying"), "bytes") as bar:
            done = export(site, request, now, bar.show)
    finally:
        catalogue.close()
    _show(args.out, done, order, zone)
    key = state / signing.DIRECTORY / signing.PUBLIC
    print(
        say(
            f"관제센터에서 확인할 때: pasu centre verify {args.out.name} --key {key.name} (이 박스의 {key})",
            f"to check it at the centre: pasu centre verify {args.out.name} --key {key.name} (this box's {key})",
        )
    )
    return 0 if done.whole else PARTLY_STATUS


def _order(args: argparse.Namespace, config: Config, now: Instant, zone: tzinfo | None) -> Export:
    """Read the terms. Raises UsageError for a time; ExportRefused EXPORT_PURPOSE, EXPORT_TEXT."""
    from agent.cli import times
    from agent.model import utc_day
    from agent.storage.keep.outgoing_order import BY_HAND, Export, ExportRefused, check_text

    order = Export(
        id=secrets.token_hex(16),
        camera=args.camera,
        span=times.parse_span(args.start, args.end, now.utc_ms, zone),
        ground=args.ground,
        purpose=args.purpose,
        recipient=args.recipient,
        authority=args.authority,
        due=utc_day(times.parse_time(args.due, now.utc_ms, zone)),
        to=BY_HAND,
        person=args.by or user(),
    )
    own = {camera.id: str(camera.purpose) for camera in config.cameras}.get(order.camera)
    if args.second:
        check_text("second", args.second)
    if own != order.purpose and args.second in ("", order.person):
        raise ExportRefused(
            "EXPORT_PURPOSE",
            say(
                f"카메라의 목적({own or '설정에 없음'})과 다른 데 쓰려면 다른 한 사람의 승인이 있어야 합니다",
                f"another purpose than the camera's ({own or 'not configured'}) takes somebody else's consent",
            ),
            hint=say("승인한 사람을 --second로 적으십시오", "name who agreed with --second"),
        )
    return order


def _show(out: Path, done: Exported, order: Export, zone: tzinfo | None) -> None:
    from agent.cli import audited, times

    print(say(f"묶음: {out}", f"bundle: {out}"))
    print(
        say(
            f"반출 {order.id}, 파기 예정일 {order.due}. 파기하면 `pasu export destroyed {order.id}`",
            f"export {order.id}, to be destroyed by {order.due}; then `pasu export destroyed {order.id}`",
        )
    )
    print(
        say(
            f"조각 {done.files}개, 검증점 {done.checkpoint.size}번까지",
            f"segments: {done.files}, checkpoint up to entry {done.checkpoint.size}",
        )
    )
    for hole in done.missing:
        where = times.show_span(hole.start_ms, hole.end_ms, zone)
        print(say(f"저장된 것도 까닭도 없는 구간: {where}", f"neither stored nor explained: {where}"))
    for file in done.unproven:
        print(say(f"원장에 없어 증명할 수 없음: {file}", f"not in this ledger, cannot be proven: {file}"))
    for file, code in done.damaged:
        print(_damage_text(file, code))
    if done.tampered:
        print(audited.tampered_text(done.tampered))


def _damage_text(file: str, code: str) -> str:
    from agent.cli.codes import CODES

    what = CODES[code].what if code in CODES else code
    return say(f"손상: {file}: {what}  [{code}]", f"damaged: {file}: {what}  [{code}]")


def _vaults(catalogue: Catalogue) -> Iterable[Vault]:
    """Yield the vaults that are there and are who they should be."""
    from agent.errors import StorageFault
    from agent.storage.vault import Vault

    for uuid, path in catalogue.vaults().items():
        with contextlib.suppress(StorageFault):
            yield Vault.open(Path(path), uuid)
