"""`pasu enrol`: the box asks to be enrolled in its city, and takes the answer in."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_for_state
from agent.errors import ConfigError, StorageFault
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.config import Config
    from agent.enrolment.form import Bundle

BELOW_CODE = 5
"""Lines that are written below a code, and are to be seen with it."""


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser(
        "enrol", help=say("박스를 관제센터에 등록합니다", "enrol the box at its control centre")
    )
    group.description = say(
        "박스와 관제센터가 서로의 공개키를 알게 합니다. 비밀은 오가지 않습니다: 개인키는 여기서 만들어져 "
        "여기 남습니다.",
        "Let box and control centre know each other's public keys. No secret travels: the private keys "
        "are made here and "
        "stay here.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_request(actions)
    parser = actions.add_parser(
        "accept", help=say("관제센터의 묶음을 받아들입니다", "take the centre's bundle in")
    )
    parser.description = say(
        "묶음을 확인하고 받아들입니다. 처음에는 도시의 지문을 관제센터와 맞춰 보십시오. 녹화는 멈추지 "
        "않습니다.\n\n"
        "예:\n  pasu enrol accept bundle.json",
        "Check a bundle and take it in. The first time, compare the city's fingerprint with the centre. "
        "Recording goes "
        "on.\n\nexamples:\n  pasu enrol accept bundle.json",
    )
    parser.add_argument(
        "bundle",
        type=Path,
        metavar="BUNDLE",
        help=say("`pasu centre enrol`이 만든 파일", "made by `pasu centre enrol`"),
    )
    parser.add_argument(
        "--yes", action="store_true", help=say("지문을 이미 맞춰 보았습니다", "the fingerprint was compared")
    )
    add_config(parser)
    parser.set_defaults(run=accept)
    parser = actions.add_parser("show", help=say("등록 상태를 보입니다", "show how the box is enrolled"))
    parser.description = say(
        "어느 도시에 등록되었는지, 인증서와 키 목록이 언제까지인지 보입니다.",
        "Show in which city the box is enrolled, and until when certificate and key ring count.",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=show)


def _add_request(actions: Any) -> None:
    parser = actions.add_parser("request", help=say("등록 요청을 만듭니다", "make a request"))
    parser.description = say(
        "등록 요청을 만들어 QR로 보입니다. 파일이나 QR 사진을 관제센터에 보내고, 지문을 전화로 맞춰 보십시오. "
        "인증서를 갱신할 때도 같습니다: 녹화와 보고가 계속되는 동안 할 수 있습니다.\n\n"
        "예:\n  pasu enrol request\n  pasu enrol request -o request.json\n  pasu enrol request --image "
        "request.png",
        "Make a request and show it as a QR code. Send the file, or a picture of the code, to the "
        "centre, and compare the "
        "fingerprint by telephone. A certificate is renewed the same way, while recording and reporting "
        "go on.\n\n"
        "examples:\n  pasu enrol request\n  pasu enrol request -o request.json\n  pasu enrol request "
        "--image request.png",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=say("요청을 파일로", "write the request")
    )
    parser.add_argument(
        "--image",
        type=Path,
        metavar="FILE",
        help=say("QR을 그림으로 (.png, .svg)", "write the code (.png, .svg)"),
    )
    parser.add_argument(
        "--new-key",
        action="store_true",
        help=say(
            "새 통신 키로 바꿉니다. 답이 올 때까지는 지금 키를 씁니다",
            "change the TLS key; the present one serves until then",
        ),
    )
    add_config(parser)
    parser.set_defaults(run=request)


def request(args: argparse.Namespace) -> int:
    """Make a request."""
    from agent.config import load
    from agent.enrolment import box, form, qr
    from agent.forks import as_owner
    from agent.storage.files import Disk

    config = load(args.config)

    def ask() -> str:
        now_ms = time.time_ns() // 1_000_000
        return form.request_json(box.request(config, Disk(), now_ms, new_key=args.new_key))

    # The keys are the service's; the file is written by who called, where the service may not write.
    text = str(as_owner(config.storage.state, ask))
    made = form.read_request(text.encode())
    try:
        if args.output:
            args.output.write_text(text, encoding="utf-8")
        if args.image:
            qr.save(text, args.image)
    except (OSError, ValueError) as error:
        raise StorageFault(
            "OUTPUT_UNWRITABLE",
            say("파일을 쓸 수 없습니다", "the file cannot be written"),
            hint=say(
                "다른 폴더나 .png, .svg 이름을 주십시오",
                "name another folder, or a name that ends in .png or .svg",
            ),
            reason=str(error),
        ) from None
    if not args.output and not args.image:
        _show_code(text)
    print(f"{made.box}  {made.site}")
    print(say("박스의 지문:", "fingerprint of this box:"), made.fingerprint)
    print(
        say(
            "관제센터에 요청을 보내고 지문을 전화로 읽어 주십시오.",
            "Send the request to the centre, and read the fingerprint to them by telephone.",
        )
    )
    return 0


def _show_code(text: str) -> None:
    from agent.enrolment import qr

    drawn, columns = qr.terminal(text)
    have = shutil.get_terminal_size()
    if have.columns < columns:
        print(
            say(
                f"화면이 {have.columns}칸입니다. {columns}칸으로 넓히거나 --image로 그림을 만드십시오.",
                f"The terminal has {have.columns} columns: make it {columns} wide, or a picture with --image.",
            )
        )
        return
    print(drawn)
    lines = len(drawn.splitlines()) + BELOW_CODE
    if have.lines < lines:
        print(
            say(
                f"화면이 {have.lines}줄이라 코드가 다 보이지 않으면 {lines}줄로 키우고 `sudo pasu enrol request`를 "
                "다시 하십시오.",
                f"Where the {have.lines} lines of this terminal do not show all of the code, make it {lines} high, and "
                "`sudo pasu enrol request` again.",
            )
        )


def accept(args: argparse.Namespace) -> int:
    """Take a bundle in."""
    from agent.cli.centre_enrol import unconfirmed
    from agent.cli.city import confirmed
    from agent.cli.parser import UsageError
    from agent.enrolment import box, form
    from agent.storage.files import Disk

    try:
        data = args.bundle.read_bytes()
    except OSError as error:
        raise UsageError(
            "FILE_UNREADABLE",
            say(f"파일을 읽을 수 없습니다: {args.bundle}", f"cannot read the file: {args.bundle}"),
            hint=say("이름과 권한을 확인하십시오", "check its name and mode"),
            reason=error.strerror or "",
        ) from None
    bundle = form.read_bundle(data)
    config = load_for_state(args.config)
    known = box.check(config, bundle)
    print(f"{bundle.city.name} ({bundle.root.city})")
    print(say("도시의 지문:", "fingerprint of the city:"), bundle.fingerprint)
    question = say("관제센터가 읽어 준 지문과 같습니까?", "Is it what the centre reads to you?")
    if not known and not confirmed(question, yes=args.yes):
        raise unconfirmed()
    box.accept(config, bundle, Disk())
    print(say("등록되었습니다.", "Enrolled."))
    _advise(config, bundle)
    return 0


def _advise(config: Config, bundle: Bundle) -> None:
    """Say what agent.toml does not say yet, and what is to be done about the tunnel."""
    broker, recipients = bundle.city.broker, bundle.ring.recipients
    if config.uplink is None or config.uplink.broker != broker:
        print(say("agent.toml에 적으십시오:", "Write into agent.toml:"))
        print(f'  [uplink]\n  broker = "{broker}"')
    if set(config.storage.recipients) != set(recipients):
        print(
            say(
                "이제부터 영상은 agent.toml이 아니라 도시가 서명한 키로 봉인됩니다.",
                "From now on recordings are sealed to the keys that the city signed, not to those of "
                "agent.toml.",
            )
        )
    if bundle.tunnel is not None:
        print(say("터널을 받았습니다. root로:", "There is a tunnel. As root:"), "pasu tunnel install")
    elif config.tunnel is not None:
        print(
            say(
                "묶음에 터널이 없습니다. 센터에서 `pasu centre tunnel init`으로 계획한 다음 다시 신청하십시오.",
                "The bundle has no tunnel: the centre plans one with `pasu centre tunnel init`; then ask again.",
            )
        )


def show(args: argparse.Namespace) -> int:
    """Show how the box is enrolled."""
    from agent.cli.times import show_time
    from agent.enrolment import box, form

    config = load_for_state(args.config)
    found = box.show(config.storage.state)
    if args.json:
        print(
            json.dumps(
                {
                    "box": config.box.id,
                    "fingerprint": found.fingerprint,
                    "city": found.root.city if found.root else None,
                    "city_fingerprint": form.city_fingerprint(found.root) if found.root else None,
                    "ring_epoch": found.ring.epoch if found.ring else None,
                    "certificate_until_ms": found.expires_ms,
                    "certificate_fits": found.fits,
                },
                ensure_ascii=False,
                indent=1,
            )
        )
        return 0
    print(f"{config.box.id}  {config.box.site}")
    print(say("박스의 지문:", "fingerprint of this box:"), found.fingerprint or "-")
    if found.root is None or found.ring is None:
        print(say("등록되지 않았습니다: `pasu enrol request`", "Not enrolled: `pasu enrol request`"))
        return 0
    print(say("도시:", "city:"), found.root.city, " ", form.city_fingerprint(found.root))
    print(say(f"키 목록 {found.ring.epoch}판", f"key ring, edition {found.ring.epoch}"))
    if found.expires_ms is not None:
        until = show_time(found.expires_ms, None)
        print(say(f"인증서 {until}까지", f"certificate until {until}"))
    if not found.fits:
        raise ConfigError(
            "ENROL_OTHER_KEY",
            say("인증서와 키가 맞지 않습니다", "certificate and key do not belong together"),
            hint=say(
                "같은 묶음으로 `pasu enrol accept`를 다시 하십시오",
                "accept the same bundle again with `pasu enrol accept`",
            ),
            box=config.box.id,
        )
    return 0
