"""`pasu tunnel`: the box's end of the tunnel to the centre, and the guard around it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_for_state
from agent.errors import ConfigError, PasuError, StorageFault
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def add(commands: Any) -> None:
    """Describe the commands."""
    group = commands.add_parser("tunnel", help=say("센터로 가는 터널", "the tunnel to the centre"))
    group.description = say(
        "센터로 가는 WireGuard 터널입니다. 키는 여기서 만들어져 여기 남고, 주소는 센터의 묶음(`pasu enrol accept`)에서 "
        "옵니다. 터널이 없으면 아무것도 나가지 않습니다.",
        "The WireGuard tunnel to the centre. Its key is made here and stays here; addresses come with the centre's "
        "bundle (`pasu enrol accept`). Without the tunnel nothing leaves.",
    )
    actions = group.add_subparsers(
        dest="action", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add(
        actions,
        "up",
        up,
        say("터널을 올립니다", "bring the tunnel up"),
        say(
            "밖으로 나가는 다른 길을 모두 막은 다음 터널을 올립니다. 커널의 WireGuard가 없으면 wireguard-go를 "
            "씁니다. 이미 올라와 있으면 센터가 준 대로 고칩니다. root로 합니다.",
            "Bar every other way out, then bring the tunnel up: by the kernel's WireGuard, else by wireguard-go. "
            "One that is up is made what the centre's terms say. As root.",
        ),
    )
    _add(
        actions,
        "down",
        down,
        say("터널을 내립니다", "take the tunnel down"),
        say(
            "터널을 내립니다. 다른 길은 계속 막혀 있습니다: 알릴 것은 박스에서 기다립니다. root로 합니다.",
            "Take the tunnel down. Other ways stay barred, and reports wait on the box. As root.",
        ),
    )
    _add(
        actions,
        "watch",
        watch,
        say("터널을 올리고 지켜봅니다", "bring the tunnel up and see to it"),
        say(
            "터널을 올리고, 없어지면 다시 올리고, 막은 길이 열리면 다시 막고, 상태를 알립니다. 멈출 때까지 "
            "앞에서 돌며, 멈추어도 터널은 그대로입니다. root로 합니다.",
            "Bring the tunnel up, bring it back when it goes, bar again what somebody opened, and say how it is. "
            "Runs in the foreground; the tunnel stays when it ends. As root.",
        ),
    )
    _add(
        actions,
        "rotate",
        rotate,
        say("터널의 새 키를 만듭니다", "make another key for the tunnel"),
        say(
            "새 키를 지금 키 옆에 만듭니다. 그다음 `pasu enrol request`로 신청하여 받은 묶음을 "
            "`pasu enrol accept`로 넣으면 새 키로 바뀝니다. 그때까지 지금 키를 씁니다. 녹화는 멈추지 않습니다.",
            "Make a key beside the one in use. Ask with `pasu enrol request`, take the bundle in with "
            "`pasu enrol accept`: from then on the new one counts, until then the present one. Recording goes on.",
        ),
    )
    parser = _add(
        actions,
        "status",
        status,
        say("터널의 상태를 보입니다", "show how the tunnel is"),
        say(
            "터널이 올라와 있는지, 마지막 악수가 언제인지, 다른 길이 막혀 있는지 보입니다. root로 합니다.",
            "Show whether the tunnel is up, how old its handshake is, and whether other ways are barred. As root.",
        ),
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    parser = _add(
        actions,
        "install",
        install,
        say("systemd와 커널의 설정을 씁니다", "write what systemd and the kernel are told"),
        say(
            "길을 막는 규칙, pasu-uplink의 추가 설정, 커널 설정을 씁니다. 터널의 주소나 agent.toml의 [tunnel]이 바뀌면 "
            "다시 하십시오. root로 합니다.",
            "Write the rules that bar other ways, a drop-in for pasu-uplink, and settings of the kernel. Do it again "
            "when the tunnel's addresses or [tunnel] in agent.toml change. As root.",
        ),
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="DIR",
        help=say("이 폴더 아래에 씁니다 (기본 /)", "write below this folder (default /)"),
    )


def _add(
    actions: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    short: str,
    text: str,
) -> Any:
    parser = actions.add_parser(name, help=short)
    parser.description = text
    add_config(parser)
    parser.set_defaults(run=run)
    return parser


def up(args: argparse.Namespace) -> int:
    """Bring the tunnel up."""
    from agent.config import load
    from agent.tunnel import link
    from agent.tunnel.watch import wanted

    config = load(args.config)
    _as_root(config)
    want = wanted(config)
    link.refuse_conflicts(want.terms, want.interface, want.rules.line, want.cameras)
    link.up(want.terms, want.pair, want.interface, want.rules)
    print(say(f"{want.interface}이(가) 올라왔습니다.", f"{want.interface} is up."))
    return 0


def down(args: argparse.Namespace) -> int:
    """Take the tunnel down."""
    from agent.config import load
    from agent.tunnel import link
    from agent.tunnel.watch import require_table

    config = load(args.config)
    interface = require_table(config).interface
    _as_root(config)
    link.down(interface)
    print(
        say(
            f"{interface}을(를) 내렸습니다. 다른 길은 막혀 있습니다.",
            f"{interface} is down; other ways stay barred.",
        )
    )
    if _is_watched(config):
        print(
            say(
                "그러나 `pasu tunnel watch`가 돌고 있어 곧 다시 올립니다. 내려 두려면: systemctl stop pasu-tunnel",
                "But `pasu tunnel watch` runs, and brings it up again. To keep it down: systemctl stop pasu-tunnel",
            )
        )
    return 0


def watch(args: argparse.Namespace) -> int:
    """See to the tunnel until told to stop."""
    from agent.config import load
    from agent.tunnel.watch import watch

    config = load(args.config)
    _as_root(config)
    return watch(config)


def rotate(args: argparse.Namespace) -> int:
    """Make another key."""
    from agent.storage.files import Disk
    from agent.tunnel import keys
    from agent.tunnel.watch import require_table

    config = load_for_state(args.config)
    require_table(config)
    terms, _ = keys.require(config.storage.state)
    pair = keys.asking(config.storage.state, Disk(), new=True)
    print(say("지금 쓰는 공개키:", "the public key in use:"), terms.key)
    print(say("새 공개키:", "the new public key:"), pair.public)
    print(
        say(
            "그때까지 지금 키를 계속 씁니다. 다음: pasu enrol request, 관제센터의 답을 pasu enrol accept",
            "Until then the present key stays in use. Next: pasu enrol request, and pasu enrol accept with the answer",
        )
    )
    return 0


def install(args: argparse.Namespace) -> int:
    """Write the files of systemd and the kernel."""
    from agent.config import load
    from agent.tunnel import conf, link, ruleset, units
    from agent.tunnel.watch import beyond, wanted

    config = load(args.config)
    _as_root(config)
    want = wanted(config)
    assert config.tunnel is not None
    link.refuse_conflicts(want.terms, want.interface, want.rules.line, want.cameras)
    found = {
        **units.files(want.rules, ruleset.text(want.rules), config.tunnel.group),
        f"etc/wireguard/{want.interface}.conf": conf.box(want.terms, str(want.pair.path.absolute())),
    }
    for name, text in found.items():
        path = args.root / name
        _install(path, text)
        print(path)
    if want.interface != "pasu0":
        print(
            say(
                f"pasu-uplink.service의 장치 이름 pasu0을 {want.interface}(으)로 고치십시오.",
                f"Change the device's name pasu0 in pasu-uplink.service to {want.interface}.",
            )
        )
    _show_beyond(beyond(config, want.terms))
    print(
        say(
            "다음: systemctl daemon-reload, systemctl enable pasu-egress pasu-tunnel pasu-uplink, "
            "systemctl restart pasu-egress pasu-tunnel pasu-uplink, pasu tunnel status",
            "Next: systemctl daemon-reload, systemctl enable pasu-egress pasu-tunnel pasu-uplink, "
            "systemctl restart pasu-egress pasu-tunnel pasu-uplink, pasu tunnel status",
        )
    )
    return 0


def _install(path: Path, text: str) -> None:
    """Write a file that others read, whole at every moment: half of the rules would bar nothing at the next boot."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        with temporary.open("x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageFault(
            "OUTPUT_UNWRITABLE",
            say("파일을 쓸 수 없습니다", "the file cannot be written"),
            hint=say("root로 하십시오", "do it as root"),
            path=str(path),
            reason=error.strerror or "",
        ) from None


def _is_watched(config: Any) -> bool:
    from agent.health.files import read_health
    from agent.health.gather import silent_s
    from agent.tunnel.guard import SAID_S
    from agent.tunnel.watch import boot_s

    silent = silent_s(read_health(config.storage.run, "tunnel"), boot_s())
    return silent is not None and silent <= SAID_S


def _as_root(config: Any) -> None:
    """Refuse another user before anything is looked at: to that one it all looks as if it were not there."""
    if os.geteuid() != 0:
        raise ConfigError(
            "TUNNEL_NOT_ROOT",
            say("터널은 root만 다루고 볼 수 있습니다", "the tunnel is root's alone, to change and to see"),
            hint=say(
                "`sudo pasu tunnel ...`로 하십시오. 상태는 `pasu health`에도 있습니다",
                "do it with `sudo pasu tunnel ...`; how it is, `pasu health` says, too",
            ),
            interface=config.tunnel.interface if config.tunnel else "",
        )


def status(args: argparse.Namespace) -> int:
    """Show how the tunnel is. Exit status 0 when it is up, fresh, guarded and leads to the centre, 1 otherwise."""
    from agent.config import load

    config = load(args.config)
    _as_root(config)
    found = look(config)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        _show(found)
    sound = found["up"] and found["fresh"] and found["guarded"]
    return 0 if sound and not found["trouble"] and not found["beyond"] else 1


def look(config: Any) -> dict[str, Any]:
    """Look at everything. Raises ConfigError, IntegrityFault, UplinkFault."""
    from agent.tunnel import guard, link, tools
    from agent.tunnel.dump import STALE_S
    from agent.tunnel.watch import beyond, wanted

    want = wanted(config)
    tools.find("wg")  # without it an interface looks as if it were none of WireGuard's
    device = link.observe(want.interface)
    peer = device.peers[0] if device and device.peers else None
    age_s = max(0, int(time.time()) - peer.handshake_s) if peer and peer.handshake_s else None
    trouble = ""
    address, by = link.own_way(want.terms.endpoint)
    try:
        link.refuse_conflicts(want.terms, want.interface, want.rules.line, want.cameras)
        link.refuse_other_line(want.rules.line, by)
    except PasuError as error:
        trouble = error.code
    lacks = guard.listed(want.rules).lacks
    return {
        "interface": want.interface,
        "up": device is not None and link.fits(device, want.terms, want.interface),
        "there": device is not None,
        "kernel": link.is_kernels(want.interface) if device else None,
        "addresses": [*want.terms.addresses],
        "endpoint": peer.endpoint if peer and peer.endpoint else want.terms.endpoint,
        "from": address,
        "by": by,
        "key": want.terms.key,
        "peer": want.terms.peer,
        "handshake_s": age_s,
        "fresh": age_s is not None and age_s <= STALE_S,
        "received_bytes": peer.received_bytes if peer else 0,
        "sent_bytes": peer.sent_bytes if peer else 0,
        "keepalive_s": peer.keepalive_s if peer else 0,
        "mtu": want.terms.mtu,
        "guarded": not lacks,
        "lacks": [*lacks],
        "beyond": [*beyond(config, want.terms)],
        "trouble": trouble,
    }


def _show(found: dict[str, Any]) -> None:
    from agent.cli.codes import CODES

    state = say("올라와 있음", "up") if found["up"] else say("올라와 있지 않음", "not up")
    by = (
        ""
        if found["kernel"] is None
        else say(" (커널)", " (kernel)")
        if found["kernel"]
        else " (wireguard-go)"
    )
    print(f"{found['interface']}  {state}{by}")
    print(say("안의 주소:", "address inside:"), ", ".join(found["addresses"]))
    print(say("센터:", "centre:"), found["endpoint"], say("에서", "from"), found["from"] or "-", found["by"])
    age = found["handshake_s"]
    print(say("마지막 악수:", "handshake:"), "-" if age is None else say(f"{age}초 전", f"{age} s ago"))
    print(say("받음/보냄:", "received/sent:"), found["received_bytes"], "/", found["sent_bytes"])
    barred = (
        say("막혀 있음", "barred")
        if found["guarded"]
        else say("열려 있음", "OPEN") + ": " + "; ".join(found["lacks"])
    )
    print(say("다른 길:", "other ways:"), barred)
    _show_beyond(found["beyond"])
    if found["trouble"]:
        known = CODES[found["trouble"]]
        print(say("문제:", "trouble:"), f"{known.what}  [{found['trouble']}]")
        print("  " + known.next)


def _show_beyond(hosts: Sequence[str]) -> None:
    if hosts:
        print(
            say("터널로 닿지 않는 센터 주소:", "addresses of the centre to which the tunnel does not lead:"),
            ", ".join(hosts),
        )
        print(
            say(
                "  agent.toml을 고치거나, 센터에서 --allow에 더해 다시 계획하고 이 박스를 다시 등록하십시오.",
                "  Mend agent.toml, or have the centre plan anew with another --allow, and enrol this box anew.",
            )
        )
