"""`pasu centre enrol`, `boxes`, `turn-out`, `broker`: which boxes belong, and what the broker lets them do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.city import add_city, add_passphrase, confirmed, open_city, passphrase, signer
from agent.errors import ConfigError
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.centre.city import City, Unlock
    from agent.enrolment.form import Request

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
BROKERS = ("mosquitto", "rabbitmq")


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    _add_enrol(actions)
    parser = actions.add_parser(
        "boxes", help=say("등록된 박스를 보입니다", "show the boxes that are enrolled")
    )
    parser.description = say("등록된 박스를 보입니다.", "Show the boxes that are enrolled.")
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_city(parser)
    parser.set_defaults(run=boxes)
    parser = actions.add_parser(
        "turn-out", help=say("박스를 내보냅니다", "turn a box out: stolen, or given up")
    )
    parser.description = say(
        "박스의 인증서를 모두 폐지합니다. 도난이나 폐기 때 씁니다. 브로커의 crl.pem을 새것으로 바꾸고 브로커를 "
        "다시 시작하십시오: SIGHUP으로는 이미 열린 연결이 끊기지 않습니다.",
        "Revoke every certificate of a box, when it was stolen or is given up. Then give the broker the new "
        "crl.pem and restart it: on SIGHUP a connection that is open stays open.",
    )
    parser.add_argument("box", metavar="BOX", help=say("박스 id", "the box's id"))
    add_city(parser)
    add_passphrase(parser)
    parser.set_defaults(run=turn_out)
    _add_broker(actions)


def _add_enrol(actions: Any) -> None:
    parser = actions.add_parser("enrol", help=say("박스를 등록합니다", "enrol a box"))
    parser.description = say(
        "박스가 `pasu enrol request`로 만든 요청(파일이나 QR 사진)을 확인하고, 박스가 받아들일 묶음을 "
        "만듭니다. "
        "지문을 현장 기사와 전화로 맞춰 보십시오. 같은 박스의 갱신은 그대로 하고, 키가 다른 박스가 같은 "
        "id를 쓰려면 "
        "책임자 두 사람이 서명합니다.\n\n"
        "예:\n  pasu centre enrol request.json -o bundle.json\n"
        "  pasu centre enrol photo.png -o bundle.json --again --as 김OO --as 이OO",
        "Check a request that a box made with `pasu enrol request` (a file, or a picture of its QR "
        "code), and make the "
        "bundle for the box to accept. Compare the fingerprint with the technician by telephone. A box "
        "renews as it is; "
        "for a box with other keys under the same id two people in charge sign.\n\n"
        "examples:\n  pasu centre enrol request.json -o bundle.json\n"
        "  pasu centre enrol photo.png -o bundle.json --again --as kim --as lee",
    )
    parser.add_argument(
        "request",
        type=Path,
        metavar="REQUEST",
        help=say("요청 파일이나 QR 사진", "the request, or a picture of it"),
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help=say("묶음 파일", "file for the bundle"),
    )
    parser.add_argument(
        "--days",
        type=int,
        default=825,
        metavar="N",
        help=say("인증서의 일수 (기본 825)", "days of the certificate (default 825)"),
    )
    parser.add_argument(
        "--yes", action="store_true", help=say("지문을 이미 맞춰 보았습니다", "the fingerprint was compared")
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help=say("키가 다른 박스가 이 id를 이어받습니다", "a box with other keys takes over this id"),
    )
    parser.add_argument(
        "--as",
        dest="holders",
        action="append",
        default=[],
        metavar="NAME",
        help=say("--again에 서명하는 책임자. 두 번 씁니다", "who signs --again: give two"),
    )
    add_city(parser)
    add_passphrase(parser)
    parser.set_defaults(run=enrol)


def enrol(args: argparse.Namespace) -> int:
    """Enrol a box."""
    from agent.centre import registry
    from agent.centre.authority import CA_DAYS
    from agent.centre.city import create
    from agent.cli import centre_tunnel
    from agent.cli.parser import UsageError
    from agent.cli.times import show_time
    from agent.enrolment import form

    if not 0 < args.days <= CA_DAYS:
        raise UsageError(
            "NUMBER_OUT_OF_RANGE",
            say(f"--days {args.days}일은 쓸 수 없습니다", f"no certificate has --days {args.days}"),
            hint=say(f"1에서 {CA_DAYS} 사이의 일수를 주십시오", f"give a number of days from 1 to {CA_DAYS}"),
        )
    city = open_city(args)
    request = read_request(args.request)
    known = registry.find(city, request.box)
    print(f"{request.box}  {request.site}  {request.operator}")
    print(say("요청한 때:", "asked at:"), show_time(request.made_ms, None))
    print(say("박스의 지문:", "fingerprint of the box:"), request.fingerprint)
    if known is not None and registry.is_renewal(known, request):
        print(
            say(
                "등록된 박스의 갱신입니다: 같은 박스 키로 서명되었습니다.",
                "A renewal: the box that is known signed it.",
            )
        )
    elif known is not None:
        print(
            say(
                "주의: 이 id의 박스가 다른 키로 등록되어 있습니다.",
                "Beware: a box of this id is enrolled with other keys.",
            )
        )
    if args.output.exists():
        raise ConfigError(
            "OUTPUT_EXISTS",
            say("이미 있는 파일은 덮어쓰지 않습니다", "a file that is there is not written over"),
            hint=say("-o로 다른 이름을 주십시오", "name another with -o"),
            path=str(args.output),
        )
    question = say("현장에서 읽어 준 지문과 같습니까?", "Is it what the technician reads from the box?")
    if not confirmed(question, yes=args.yes):
        raise unconfirmed()
    agreed = [signer(args, city, who) for who in args.holders] if args.again else []
    bundle = registry.enrol(city, request, args.days, datetime.now(UTC), _unlock(args), agreed=agreed)
    create(args.output, bundle.encode())
    _write_again(city)
    print(
        say(
            f"등록했습니다. 박스로 가져갈 묶음: {args.output}", f"Enrolled. Bundle for the box: {args.output}"
        )
    )
    if request.tunnel:
        print(
            say(
                "터널을 달라고 했습니다. 박스가 묶음을 받아들이기 전에 허브가 설정을 다시 읽게 하십시오.",
                "It asks for a tunnel: have the hub read its configuration anew before the box takes the bundle in.",
            )
        )
        centre_tunnel.remind(city)
    print(
        say("도시의 지문 (박스에서 맞춰 볼 것):", "fingerprint of the city, to compare at the box:"), end=" "
    )
    print(form.city_fingerprint(city.root))
    return 0


def read_request(path: Path) -> Request:
    """Read a request from its file, or from a picture of its code. Raises ConfigError ENROL_REQUEST."""
    from agent.enrolment import form, qr

    try:
        data = qr.read_image(path) if path.suffix.lower() in PICTURES else path.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(
            "ENROL_REQUEST",
            say("등록 요청을 읽을 수 없습니다", "the enrolment request cannot be read"),
            hint=say(
                "QR이면 화면 가득, 흔들리지 않게, 곧게 다시 찍으십시오",
                "if it is a QR code, take the picture again: straight, sharp, filling the frame",
            ),
            path=str(path),
            reason=(error.strerror or "") if isinstance(error, OSError) else str(error),
        ) from None
    return form.read_request(data)


def unconfirmed() -> ConfigError:
    """Say that nobody confirmed a fingerprint."""
    return ConfigError(
        "ENROL_UNCONFIRMED",
        say(
            "지문을 확인하지 않아 아무것도 하지 않았습니다",
            "the fingerprint was not confirmed: nothing was done",
        ),
        hint=say(
            "전화로 숫자를 서로 읽어 맞춰 보고 --yes로 하십시오",
            "read the digits to each other by telephone, then do it with --yes",
        ),
    )


def boxes(args: argparse.Namespace) -> int:
    """Show the boxes."""
    from agent.centre import registry
    from agent.cli.times import show_time

    found = list(registry.boxes(open_city(args)))
    if args.json:
        rows = [
            {
                "box": box.id,
                "site": box.site,
                "operator": box.operator,
                "vkey": box.vkey,
                "until_ms": box.until_ms,
                "enrolled_ms": box.enrolled_ms,
                "out_ms": box.out_ms,
            }
            for box in found
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    for box in found:
        until = show_time(box.until_ms, None)
        state = say(f"인증서 {until}까지", f"certificate until {until}")
        if box.out_ms is not None:
            state = say(f"내보냄 {show_time(box.out_ms, None)}", f"turned out {show_time(box.out_ms, None)}")
        print(f"{box.id}  {box.site}  {state}")
    if not found:
        print(say("등록된 박스가 없습니다.", "No box is enrolled."))
    return 0


def turn_out(args: argparse.Namespace) -> int:
    """Turn a box out."""
    from agent.centre import registry
    from agent.cli import centre_tunnel

    city = open_city(args)
    box = registry.turn_out(city, args.box, datetime.now(UTC), _unlock(args))
    _write_again(city)
    print(
        say(
            f"{box.id}의 인증서를 모두 폐지했습니다. 브로커에 새 {city.at('ca', 'crl.pem')}을 주고 브로커를 다시 "
            "시작하십시오. SIGHUP만으로는 이 박스의 열린 연결이 끊기지 않습니다.",
            f"Revoked every certificate of {box.id}. Give the broker the new {city.at('ca', 'crl.pem')} and "
            "restart it: on SIGHUP alone a connection that this box has open stays open.",
        )
    )
    centre_tunnel.remind(city)
    return 0


def _add_broker(actions: Any) -> None:
    parser = actions.add_parser(
        "broker", help=say("브로커의 설정을 씁니다", "write a broker's configuration")
    )
    parser.description = say(
        "브로커의 설정과 권한, 인증서를 한 폴더에 씁니다. 박스는 제 이름의 주제에만 쓰고 제 명령만 읽습니다. "
        "폴더를 브로커 서버로 옮겨 쓰려면 --at으로 그곳의 경로를 주십시오.\n\n"
        "예:\n  pasu centre broker mosquitto\n  pasu centre broker rabbitmq -o rabbit --at /etc/rabbitmq/pasu",
        "Write configuration, permissions and certificates of a broker into one folder. A box writes its "
        "own topics "
        "and reads its own commands. To use the folder on another machine, give its path there with --at.\n\n"
        "examples:\n  pasu centre broker mosquitto\n  pasu centre broker rabbitmq -o rabbit --at "
        "/etc/rabbitmq/pasu",
    )
    parser.add_argument("kind", choices=BROKERS, help=say("어느 브로커", "which broker"))
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help=say("폴더 (기본: 도시 폴더의 broker/<이름>)", "folder (default: broker/<name> in the city's)"),
    )
    parser.add_argument(
        "--at", metavar="PATH", help=say("브로커가 보는 그 폴더의 경로", "path of that folder for the broker")
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NODE",
        help=say(
            "RabbitMQ 클러스터의 노드, rabbit@이름. 세 번 이상",
            "a node of a RabbitMQ cluster, rabbit@HOST; three or more",
        ),
    )
    add_city(parser)
    parser.set_defaults(run=broker)


def broker(args: argparse.Namespace) -> int:
    """Write a broker's configuration."""
    from agent.centre import broker_files

    city = open_city(args)
    folder = args.output or city.at("broker", args.kind)
    broker_files.write(city, args.kind, folder, args.at or str(folder.absolute()), args.peer)
    print(say(f"{args.kind}의 설정: {folder}", f"configuration of {args.kind}: {folder}"))
    if args.kind == "mosquitto":
        print(f"  mosquitto -c {args.at or folder.absolute()}/mosquitto.conf")
    print(
        say(
            "박스를 등록하거나 내보낸 다음에는 다시 쓰고, 브로커가 다시 읽게 하십시오. 박스를 내보냈으면 브로커를 다시 "
            "시작하십시오: 열린 연결은 그래야 끊깁니다.",
            "After enrolling or turning out boxes write it again, and have the broker read it again. After turning "
            "one out, restart the broker: a connection that is open ends only so.",
        )
    )
    return 0


def _write_again(city: City) -> None:
    """Write again the configurations that lie in the city's own folder: of the brokers, and of the tunnel's hub."""
    from agent.centre import broker_files
    from agent.cli import centre_tunnel

    for kind in BROKERS:
        broker_files.refresh(city, kind)
    centre_tunnel.refresh(city)
    definitions = city.at("broker", "rabbitmq", "definitions.json")
    if definitions.exists():
        print(
            say(
                f"RabbitMQ에 알리십시오: rabbitmqctl import_definitions {definitions}",
                f"Tell RabbitMQ: rabbitmqctl import_definitions {definitions}",
            )
        )


def _unlock(args: argparse.Namespace) -> Unlock:
    def unlock(path: Path) -> bytes:
        return passphrase(args.passphrase_file, path)

    return unlock
