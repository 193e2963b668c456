"""`pasu centre init` and `key`: found a city, and say whose commands count there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.city import add_city, add_passphrase, now_ms, open_city, passphrase
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agent.centre.city import City
    from agent.command.keyring import Ring

ROLES = {
    "officer": ("운영책임자", "officer"),
    "department": ("부서관리자", "department"),
    "operator": ("관제요원", "operator"),
    "technician": ("유지보수", "technician"),
    "service": ("관제 프로그램", "service"),
    "privacy": ("개인정보 보호책임자", "privacy officer"),
}


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    _add_init(actions)
    _add_key(actions)


def _add_init(actions: Any) -> None:
    parser = actions.add_parser(
        "init",
        help=say("도시의 키와 인증 기관을 만듭니다", "make a city's keys and certificate authority"),
    )
    parser.description = say(
        "도시 하나의 폴더를 만듭니다: 루트 키, 인증 기관, 브로커와 관제 프로그램의 인증서, 영상을 여는 "
        "키와 예비 키, "
        "첫 키 목록. 무엇을 어디에 잠가 둘지는 그 안의 README.md에 있습니다. 있는 것은 덮어쓰지 않습니다.\n\n"
        "예:\n  pasu centre init gangneung --city gangneung --name 강릉시 --broker 10.77.0.1:8883 --passphrase",
        "Make the folder of one city: root key, certificate authority, certificates for broker and "
        "centre, the key that "
        "opens recordings and one in escrow, the first key ring. README.md in it says what to lock away "
        "where. Nothing "
        "is ever written over.\n\n"
        "examples:\n  pasu centre init gangneung --city gangneung --broker 10.77.0.1:8883 --passphrase",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help=say("새 폴더", "a new folder"))
    parser.add_argument(
        "--city",
        required=True,
        metavar="ID",
        help=say("도시의 id: 영문 소문자, 숫자, '-'", "the city's id: lower-case letters, digits, '-'"),
    )
    parser.add_argument("--name", metavar="NAME", help=say("도시의 이름", "the city's name"))
    parser.add_argument(
        "--broker",
        required=True,
        metavar="HOST[:PORT]",
        help=say(
            "박스가 연결할 브로커 주소, 터널 안 (포트 기본 8883)",
            "the broker's address for boxes, inside the tunnel (default port 8883)",
        ),
    )
    parser.add_argument(
        "--inside",
        metavar="HOST[:PORT]",
        help=say(
            "관제 프로그램이 연결할 브로커 주소 (기본 127.0.0.1:8884)",
            "the broker's address for the centre's programs (default 127.0.0.1:8884)",
        ),
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="HOST",
        help=say("브로커 인증서에 더 넣을 이름이나 주소", "further names or addresses in its certificate"),
    )
    parser.add_argument(
        "--passphrase",
        action="store_true",
        help=say("루트 키와 인증 기관에 암호를 겁니다", "lock root key and authority with a passphrase"),
    )
    add_passphrase(parser)
    parser.set_defaults(run=init)


def init(args: argparse.Namespace) -> int:
    """Found a city."""
    from agent.centre import founding
    from agent.enrolment.form import city_fingerprint

    plan = founding.Plan(
        args.city,
        args.name or args.city,
        _with_port(args.broker, founding.PORT),
        _with_port(args.inside or "127.0.0.1", founding.INSIDE_PORT),
        tuple(args.host),
    )
    secret = _new_passphrase(args) if args.passphrase or args.passphrase_file else None
    city = founding.found(args.folder, plan, datetime.now(UTC), secret)
    print(
        say(
            f"{city.name}의 폴더를 만들었습니다: {city.folder}",
            f"made the folder of {city.name}: {city.folder}",
        )
    )
    print(say("루트 키 지문:", "fingerprint of the root key:"), city_fingerprint(city.root))
    print()
    print(
        say(
            f"먼저 {city.folder}/README.md를 읽고, 금고로 갈 키를 옮기십시오.\n"
            "다음: pasu centre key add, pasu centre broker mosquitto, pasu centre enrol",
            f"First read {city.folder}/README.md, and move the keys that belong in a safe.\n"
            "Next: pasu centre key add, pasu centre broker mosquitto, pasu centre enrol",
        )
    )
    return 0


def _new_passphrase(args: argparse.Namespace) -> bytes:
    name = Path("root.pem, ca.key")
    first = passphrase(args.passphrase_file, name)
    again = first if args.passphrase_file else passphrase(None, name)
    if not first or first != again:
        raise UsageError(
            "PASSPHRASE_DIFFERS",
            say("암호가 비었거나 두 번이 다릅니다", "the passphrase is empty, or not the same twice"),
            hint=say("다시 하십시오. 아무것도 만들지 않았습니다", "try again: nothing was made"),
        )
    return first


def _with_port(address: str, port: int) -> str:
    """Add the usual port; an IPv6 address has its brackets."""
    host, colon, number = address.rpartition(":")
    return (
        address
        if colon and number.isdigit() and (":" not in host or host.endswith("]"))
        else f"{address}:{port}"
    )


def _add_key(actions: Any) -> None:
    group = actions.add_parser(
        "key", help=say("명령에 서명하는 키를 만들고 없앱니다", "make and revoke keys that sign commands")
    )
    group.description = say(
        "사람마다 제 키로 명령에 서명합니다. 키 목록은 루트 키가 서명하고, `pasu centre ring push`가 "
        "박스에 보냅니다.",
        "Each person signs commands with a key of their own. The root key signs the list of them, the "
        "key ring; "
        "`pasu centre ring push` takes it to the boxes.",
    )
    below = group.add_subparsers(
        dest="what", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    parser = below.add_parser("add", help=say("키를 만들어 목록에 넣습니다", "make a key and list it"))
    parser.description = say(
        "키를 만들어 keys/<kid>.pem에 두고, 새 키 목록에 넣습니다. 그 사람에게 파일을 주고 여기서는 "
        "지우십시오.\n\n"
        "예:\n  pasu centre key add --role officer --holder 김OO\n"
        "  pasu centre key add --role technician --holder 박OO --days 14 --boxes gn-0007",
        "Make a key in keys/<kid>.pem, and list it in a new key ring. Hand the file to that person and "
        "remove it "
        "here.\n\n"
        "examples:\n  pasu centre key add --role officer --holder kim\n"
        "  pasu centre key add --role technician --holder park --days 14 --boxes gn-0007",
    )
    parser.add_argument(
        "--role",
        required=True,
        choices=[*ROLES],
        metavar="ROLE",
        help=say(f"역할: {', '.join(ROLES)}", f"role: {', '.join(ROLES)}"),
    )
    parser.add_argument(
        "--holder", required=True, metavar="NAME", help=say("한 사람의 이름", "the name of one person")
    )
    parser.add_argument(
        "--days",
        type=int,
        metavar="N",
        help=say(
            "유효 일수 (기본: 기사 30, 그 밖 400)", "days it counts (default: technician 30, others 400)"
        ),
    )
    for name, korean, english in (
        ("--boxes", "이 박스들만 (쉼표로)", "only these boxes, with commas"),
        ("--cameras", "이 카메라들만 (쉼표로)", "only these cameras, with commas"),
    ):
        parser.add_argument(name, default="", metavar="IDS", help=say(korean, english))
    parser.add_argument(
        "--renew",
        action="store_true",
        help=say(
            "이 사람의 지금 키를 하루 뒤 끝내고 그때부터 새 키를 씁니다",
            "end this holder's present key in a day, and begin the new one then",
        ),
    )
    parser.add_argument(
        "--lock",
        action="store_true",
        help=say("새 키 파일에 암호를 겁니다", "lock the new key's file with a passphrase"),
    )
    finish(parser, key_add)
    parser = below.add_parser("revoke", help=say("키를 더는 쓰지 못하게 합니다", "revoke a key"))
    parser.description = say(
        "키를 목록에서 빼고 폐지된 것으로 적습니다. `pasu centre ring push`로 박스에 보내십시오. 급하면 "
        "key.revoke 명령이 먼저 닿습니다.",
        "Take a key out of the ring and name it as revoked; take it to the boxes with `pasu centre ring "
        "push`. In a hurry "
        "the command key.revoke is there first.",
    )
    parser.add_argument("kid", metavar="KID", help=say("키의 id", "the key's id"))
    finish(parser, key_revoke)
    parser = below.add_parser("list", help=say("키를 보입니다", "show the keys"))
    parser.description = say("키 목록을 보입니다.", "Show the key ring.")
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_city(parser)
    parser.set_defaults(run=key_list)


def finish(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    """Add what every command has that needs a key, and what it calls."""
    add_city(parser)
    add_passphrase(parser)
    parser.set_defaults(run=run)


def key_add(args: argparse.Namespace) -> int:
    """Make a key."""
    from agent.centre import rings
    from agent.command.keyring import Role

    city = open_city(args)
    grant = rings.Grant(Role(args.role), args.holder, args.days, _ids(args.boxes), _ids(args.cameras))
    locked = passphrase(None, Path(f"{args.holder}.pem")) if args.lock else None
    ring, kid = rings.add_key(
        city, root_key(args, city), grant, now_ms(), renew=args.renew, passphrase=locked
    )
    print(f"{kid}  {say(*ROLES[args.role])}  {args.holder}")
    print(say(f"키 파일: {city.at('keys', kid)}.pem", f"key file: {city.at('keys', kid)}.pem"))
    push_hint(ring)
    return 0


def key_revoke(args: argparse.Namespace) -> int:
    """Revoke a key."""
    from agent.centre import rings
    from agent.command.jws import is_kid

    city = open_city(args)
    if not is_kid(args.kid):
        raise UsageError(
            "SIGNER_UNKNOWN",
            say("kid가 아닙니다", "not a kid"),
            hint=say(
                "`pasu centre key list`의 첫 칸을 쓰십시오", "use the first column of `pasu centre key list`"
            ),
            kid=args.kid,
        )
    ring = rings.revoke(city, root_key(args, city), args.kid, now_ms())
    print(say(f"{args.kid}을(를) 폐지했습니다.", f"revoked {args.kid}."))
    push_hint(ring)
    return 0


def push_hint(ring: Ring) -> None:
    """Say that an edition is of no use before the boxes have it."""
    print(
        say(
            f"키 목록 {ring.epoch}판이 되었습니다. 박스에 보내십시오: pasu centre ring push",
            f"the key ring is edition {ring.epoch} now; take it to the boxes: pasu centre ring push",
        )
    )


def key_list(args: argparse.Namespace) -> int:
    """Show the ring."""
    from agent.centre import rings
    from agent.cli.times import show_time

    city = open_city(args)
    ring = rings.newest(city)
    rows = [
        {
            "kid": key.kid,
            "role": str(key.role),
            "holder": key.holder,
            "from_ms": key.from_ms,
            "until_ms": key.until_ms,
            "boxes": list(key.boxes),
            "cameras": list(key.cameras),
            "here": city.at("keys", f"{key.kid}.pem").exists(),
        }
        for key in ring.keys
    ]
    if args.json:
        print(
            json.dumps(
                {
                    "epoch": ring.epoch,
                    "keys": rows,
                    "revoked": sorted(ring.revoked),
                    "recipients": ring.recipients,
                },
                ensure_ascii=False,
                indent=1,
            )
        )
        return 0
    print(say(f"키 목록 {ring.epoch}판", f"key ring, edition {ring.epoch}"))
    for key, row in zip(ring.keys, rows, strict=True):
        until = say(f"{show_time(key.until_ms, None)}까지", f"until {show_time(key.until_ms, None)}")
        scope = " ".join([*(f"box:{one}" for one in key.boxes), *(f"camera:{one}" for one in key.cameras)])
        here = say("키 파일 여기 있음", "key file is here") if row["here"] else ""
        print(f"{key.kid}  {say(*ROLES[key.role])}  {key.holder}  {until}  {scope}  {here}".rstrip())
    for kid in sorted(ring.revoked):
        print(f"{kid}  {say('폐지됨', 'revoked')}")
    return 0


def root_key(args: argparse.Namespace, city: City) -> Ed25519PrivateKey:
    """Read the root key, which is in its place for as long as this takes."""
    from agent.centre.city import read_signing_key

    return read_signing_key(
        city.at("root", "root.pem"), city.root.kid, lambda path: passphrase(args.passphrase_file, path)
    )


def _ids(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
