"""`pasu secrets`: the log-ins of cameras and brokers, sealed to the machine. Passwords are never shown."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config
from agent.cli.parser import UsageError
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.config import Config, Login, Secrets
    from agent.log_ins import LogIns


def add(commands: Any) -> None:
    """Describe the commands."""
    parser = commands.add_parser(
        "secrets",
        help=say("카메라의 계정과 비밀번호를 다룹니다", "log-ins of the cameras, sealed to this machine"),
    )
    parser.description = say(
        "카메라와 현장 서버의 계정은 이 기계에 봉인된 /etc/pasu/secrets.sealed에 있습니다. TPM이 있으면 TPM과 시스템 "
        "디스크의 키가 함께 있어야, 없으면 시스템 디스크의 키만으로 열립니다. 비밀번호는 보이지 않습니다. "
        "root로 실행합니다.\n\n"
        "예:\n  sudo pasu secrets show\n  sudo pasu secrets set cam01",
        "Log-ins of cameras and of the site's brokers lie in /etc/pasu/secrets.sealed, sealed to this machine: where "
        "there is a TPM, it and the system disk's key open them together, else that key does. Passwords are never "
        "shown. Run it as root.\n\nexamples:\n  sudo pasu secrets show\n  sudo pasu secrets set cam01",
    )
    actions = parser.add_subparsers(
        dest="action", required=True, title=say("명령", "commands"), metavar=say("명령", "COMMAND")
    )
    _add_show(actions)
    _add_set(actions)
    _add_forget(actions)
    _add_forms(actions)


def _add_show(actions: Any) -> None:
    parser = actions.add_parser(
        "show", help=say("어느 카메라에 계정이 있고 어떻게 있는지", "which cameras have one, and how it lies")
    )
    parser.description = say(
        "어느 카메라와 서버에 계정이 있는지, 무엇에 봉인되었는지 보입니다.",
        "Show which cameras and brokers have a log-in, and what they are sealed to.",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=show)


def _add_set(actions: Any) -> None:
    parser = actions.add_parser("set", help=say("계정을 적거나 바꿉니다", "give a camera its log-in"))
    parser.description = say(
        "카메라 하나(또는 --broker 서버 하나)의 계정을 적습니다. 비밀번호는 보이지 않게 묻거나, 터미널이 아니면 표준 "
        "입력의 첫 줄에서 읽습니다. 녹화는 새 계정으로 다시 시작합니다. 파일의 주석은 남지 않습니다.",
        "Give one camera, or one broker with --broker, its log-in. The password is asked for without being shown, or "
        "is the first line of the standard input where that is no terminal. Recording begins anew with it. Comments in "
        "the file are not kept.",
    )
    _whose(parser)
    parser.add_argument(
        "--user", metavar="NAME", help=say("계정 (없으면 묻습니다)", "its user (else asked for)")
    )
    parser.add_argument(
        "--anew",
        action="store_true",
        help=say(
            "봉인된 것이 더는 열리지 않을 때: 처음부터 다시 적습니다. 전의 것은 .shut으로 남습니다",
            "when what is sealed opens no more: begin anew; what was stays beside as .shut",
        ),
    )
    add_config(parser)
    parser.set_defaults(run=set_)


def _add_forget(actions: Any) -> None:
    parser = actions.add_parser("forget", help=say("계정을 지웁니다", "take a log-in away"))
    parser.description = say(
        "카메라 하나(또는 --broker 서버 하나)의 계정을 지웁니다.",
        "Take away the log-in of one camera, or of one broker with --broker.",
    )
    _whose(parser)
    add_config(parser)
    parser.set_defaults(run=forget)


def _add_forms(actions: Any) -> None:
    parser = actions.add_parser("seal", help=say("secrets.toml을 이 기계에 봉인합니다", "seal secrets.toml"))
    parser.description = say(
        "secrets.toml을 이 기계에 봉인하고, 다시 열어 견준 다음, 읽을 수 있던 파일을 덮어쓰고 지웁니다.",
        "Seal secrets.toml to this machine, open that again and compare it, then overwrite and remove the file that "
        "could be read.",
    )
    add_config(parser)
    parser.set_defaults(run=seal)
    parser = actions.add_parser(
        "open", help=say("봉인을 풀어 secrets.toml로 되돌립니다", "unseal into a secrets.toml")
    )
    parser.description = say(
        "봉인을 풀어 편집기로 고칠 수 있는 secrets.toml(0600)로 되돌립니다. 비밀번호가 그대로 디스크에 놓입니다. "
        "고친 뒤에 `pasu secrets seal`을 하십시오.",
        "Unseal into a secrets.toml (0600) for an editor. The passwords then lie on the disk in clear: `pasu secrets "
        "seal` afterwards.",
    )
    parser.add_argument("--yes", action="store_true", help=say("묻지 않습니다", "do not ask"))
    add_config(parser)
    parser.set_defaults(run=open_)


def _whose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("camera", nargs="?", metavar="ID", help=say("카메라 이름", "the camera's id"))
    parser.add_argument(
        "--broker", metavar="ADDRESS", help=say("현장 MQTT 서버의 주소", "address of a broker of the site")
    )


def show(args: argparse.Namespace) -> int:
    """Show."""
    import json

    from agent.cli.log_ins_view import where_they_lie
    from agent.cli.show import console, table

    config, beside = _beside(args)
    secrets, standing = beside.read(), beside.standing()
    cameras = {each.id: secrets.login(each.id) is not None for each in config.cameras}
    cameras |= dict.fromkeys(secrets.cameras(), True)  # also those that are configured no more
    brokers = sorted(secrets.brokers())
    if args.json:
        body = {"form": standing.form, "key": standing.key, "leftover": standing.leftover}
        print(json.dumps({**body, "cameras": cameras, "brokers": brokers}, ensure_ascii=False, indent=1))
        return 0
    print(where_they_lie(beside))
    if standing.leftover:
        print(
            say(
                "봉인되지 않은 파일도 남아 있습니다: `sudo pasu secrets seal`",
                "something is left in clear besides: `sudo pasu secrets seal`",
            )
        )
    rows = [(each, say("있음", "yes") if has else "–") for each, has in cameras.items()]
    rows += [(each, say("있음", "yes")) for each in brokers]
    heads = (say("카메라·서버", "camera or broker"), say("계정", "log-in"))
    console().print(table(heads, rows))
    return 0


def set_(args: argparse.Namespace) -> int:
    """Give a log-in."""
    from agent.config import Login

    config, beside = _beside(args)
    where = _target(args, {each.id for each in config.cameras})
    known = _known(beside, anew=args.anew)
    before = known.login(where[1]) if where[0] == "camera" else known.broker(where[1])
    login = Login(*_asked(args.user, before))
    with beside.changing():  # not while somebody is asked
        _put(beside, _known(beside, anew=args.anew), where, login, anew=args.anew)
    return 0


def _known(beside: LogIns, *, anew: bool) -> Secrets:
    """Return the log-ins that there are. anew: where those that are sealed open no more, the others."""
    from agent.config import ConfigProblems

    try:
        return beside.read()
    except ConfigProblems as problems:
        if not anew or problems.problems[0].code != "CONFIG_SECRETS_SHUT":
            raise
        return beside.in_clear()


def forget(args: argparse.Namespace) -> int:
    """Take a log-in away."""
    config, beside = _beside(args)
    with beside.changing():
        secrets = beside.read()
        # Also of a camera that is configured no more: nothing else takes its log-in out of what is sealed.
        where = _target(args, {each.id for each in config.cameras} | {*secrets.cameras()})
        _put(beside, secrets, where, None)
    return 0


def seal(args: argparse.Namespace) -> int:
    """Seal."""
    from agent.cli.log_ins_view import where_they_lie
    from agent.log_ins import Form

    _, beside = _beside(args)
    if beside.standing().form is Form.ABSENT:
        raise UsageError(
            "SECRETS_NONE",
            say(f"봉인할 것이 없습니다: {beside.clear}", f"there is nothing to seal: {beside.clear}"),
            hint=say(
                "계정을 적으십시오: `pasu secrets set 카메라`", "give a log-in: `pasu secrets set CAMERA`"
            ),
        )
    with beside.changing():
        beside.seal()
    print(where_they_lie(beside))
    return 0


def open_(args: argparse.Namespace) -> int:
    """Unseal."""
    from agent.cli.log_ins_view import where_they_lie
    from agent.log_ins import Form

    _, beside = _beside(args)
    if beside.standing().form is Form.SEALED:
        print(
            say(
                f"비밀번호가 {beside.clear}에 그대로 놓입니다.",
                f"The passwords will lie in {beside.clear} in clear.",
            ),
            file=sys.stderr,
        )
        if not args.yes and _typed(say("계속합니까? [y/N] ", "Go on? [y/N] ")).lower() not in (
            "y",
            "yes",
            "예",
        ):
            print(say("그대로 두었습니다.", "Left as it is."), file=sys.stderr)
            return 1
        with beside.changing():
            beside.open()
    print(where_they_lie(beside))
    return 0


def _beside(args: argparse.Namespace) -> tuple[Config, LogIns]:
    from agent.config import load
    from agent.log_ins import LogIns

    config = load(args.config)
    return config, LogIns(config.file)


def _target(args: argparse.Namespace, known: set[str]) -> tuple[str, str]:
    """Return whose log-in it is: kind and name. known: the cameras that may be meant."""
    from agent.cli.segments import unknown_camera

    if (args.camera is None) == (args.broker is None):
        raise UsageError(
            "SECRETS_WHOSE",
            say("카메라 이름이나 --broker 주소, 둘 가운데 하나", "either a camera's id or --broker ADDRESS"),
            hint="pasu secrets set cam01",
        )
    if args.broker is not None:
        return "broker", args.broker
    if args.camera not in known:
        raise unknown_camera(args.camera, sorted(known))
    return "camera", args.camera


def _put(
    beside: LogIns, secrets: Secrets, where: tuple[str, str], login: Login | None, *, anew: bool = False
) -> None:
    from agent.cli.log_ins_view import where_they_lie

    beside.put(secrets.with_one(*where, login).to_toml(), anew=anew)
    done = say("적었습니다", "written") if login is not None else say("지웠습니다", "taken away")
    print(f"{where[1]}: {done}: {where_they_lie(beside)}")


def _asked(user: str | None, known: Login | None) -> tuple[str, str]:
    """Ask for user and password; without a terminal the password is the first line of the input, be it empty.

    At a terminal an empty one is the one that is known of that user: it may be a slip of the hand.
    """
    if not sys.stdin.isatty():
        if user is None:
            raise UsageError(
                "SECRETS_USER",
                say("--user로 계정을 적으십시오", "name the user with --user"),
                hint="pasu secrets set cam01 --user recorder < FILE",
            )
        line = sys.stdin.readline()
        if not line:
            raise _no_password()
        return user, line.rstrip("\r\n")
    name = user or _typed(say("계정: ", "user: "))
    while True:
        try:
            password = getpass.getpass(say("비밀번호: ", "password: "))
        except EOFError:
            raise _no_password() from None
        if password:
            return name, password
        if known is not None and known.username == name:
            print(say("전의 비밀번호를 둡니다.", "The password that is known stays."), file=sys.stderr)
            return name, known.password
        print(
            say(
                "비밀번호가 비었습니다. 카메라에 비밀번호가 없으면 Ctrl-C 다음: echo | pasu secrets set …",
                "It is empty. Where the camera has none: Ctrl-C, then `echo | pasu secrets set ...`",
            ),
            file=sys.stderr,
        )


def _no_password() -> UsageError:
    return UsageError(
        "SECRETS_PASSWORD",
        say("비밀번호가 오지 않았습니다. 전의 것을 둡니다", "no password came; what there was stays"),
        hint="pasu secrets set cam01 --user recorder < FILE",
    )


def _typed(prompt: str) -> str:
    """Ask for a line; the end of the input is an empty one."""
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
