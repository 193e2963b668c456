"""`pasu centre tunnel`: the centre's end of the boxes' tunnels."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.city import add_city, open_city
from agent.errors import ConfigError
from agent.language import say

if TYPE_CHECKING:
    import argparse

    from agent.centre.city import City
    from agent.centre.tunnels import Hub, Place


def add(actions: Any) -> None:
    """Describe the commands, below `pasu centre`."""
    group = actions.add_parser(
        "tunnel", help=say("박스들의 터널이 모이는 곳", "the end of the boxes' tunnels at the centre")
    )
    group.description = say(
        "박스의 터널(WireGuard)이 모이는 허브를 계획하고 설정을 씁니다. 박스마다 주소 하나를 주며, 박스는 센터의 "
        "주소에만 닿습니다.",
        "Plan the hub in which the boxes' tunnels (WireGuard) end, and write its configuration. Each box has one "
        "address, and reaches the centre's addresses only.",
    )
    below = group.add_subparsers(
        dest="what", title=say("명령", "commands"), metavar=say("명령", "COMMAND"), required=True
    )
    _add_init(below)
    parser = below.add_parser("write", help=say("허브의 설정을 씁니다", "write the hub's configuration"))
    parser.description = say(
        "허브의 wg-quick 설정과 규칙을 한 폴더에 씁니다. 개인키가 들어 있으니 허브로만 옮기십시오. 도시 폴더에 쓴 "
        "것은 등록할 때마다 저절로 다시 씁니다.\n\n"
        "예:\n  pasu centre tunnel write\n  pasu centre tunnel write -o hub --at /etc/wireguard",
        "Write the hub's wg-quick configuration and rules into one folder. The private key is in it: take it to the "
        "hub and nowhere else. What is written into the city's own folder is written again at each enrolment.\n\n"
        "examples:\n  pasu centre tunnel write\n  pasu centre tunnel write -o hub --at /etc/wireguard",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help=say("폴더 (기본: 도시 폴더의 tunnel/hub)", "folder (default: tunnel/hub in the city's)"),
    )
    parser.add_argument(
        "--at", metavar="PATH", help=say("허브가 보는 그 폴더의 경로", "path of that folder on the hub")
    )
    parser.add_argument(
        "--interface",
        default="pasuhub",
        metavar="NAME",
        help=say("허브의 인터페이스 (기본 pasuhub)", "the hub's interface (default pasuhub)"),
    )
    add_city(parser)
    parser.set_defaults(run=write)
    parser = below.add_parser("show", help=say("계획과 박스들의 주소", "the plan, and the boxes' addresses"))
    parser.description = say(
        "터널의 계획과 박스마다의 주소를 보입니다.", "Show the plan and each box's address."
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_city(parser)
    parser.set_defaults(run=show)
    parser = below.add_parser(
        "retire", help=say("박스의 옛 터널 키를 끝냅니다", "end a box's key before its newest")
    )
    parser.description = say(
        "키를 바꾼 박스가 새 키로 연결되는 것을 본 다음, 옛 키의 자리를 없앱니다. 허브의 설정을 다시 읽게 하십시오.",
        "Once a box that changed its key was seen with the new one, take the place of the old one away. Then have the "
        "hub read its configuration anew.",
    )
    parser.add_argument("box", metavar="BOX", help=say("박스 id", "the box's id"))
    add_city(parser)
    parser.set_defaults(run=retire)


def _add_init(below: Any) -> None:
    parser = below.add_parser("init", help=say("터널을 계획합니다", "plan the tunnel"))
    parser.description = say(
        "허브의 키를 만들고 주소를 계획합니다. 그다음 등록하거나 갱신하는 박스가 묶음에서 터널을 받습니다.\n\n"
        "예:\n  pasu centre tunnel init --endpoint 203.0.113.5:51820 --network 10.77.0.0/16",
        "Make the hub's key and plan addresses. A box that is enrolled or renewed from then on gets its tunnel with "
        "the bundle.\n\nexamples:\n  pasu centre tunnel init --endpoint 203.0.113.5:51820 --network 10.77.0.0/16",
    )
    parser.add_argument(
        "--endpoint",
        required=True,
        metavar="ADDRESS:PORT",
        help=say("박스가 닿는 허브의 바깥 주소. 이름은 안 됩니다", "where boxes reach the hub; not a name"),
    )
    parser.add_argument(
        "--network",
        required=True,
        metavar="NET",
        help=say("도시 전체의 터널 안 대역", "the city's network inside"),
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        help=say("허브의 터널 안 주소 (기본: 첫 주소)", "the hub's inside (default: the first)"),
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NET",
        help=say(
            "박스가 닿아도 되는 센터의 주소. 여러 번 (기본: 허브의 주소)",
            "addresses of the centre that boxes may reach; repeat it (default: the hub's)",
        ),
    )
    parser.add_argument(
        "--mtu", type=int, metavar="BYTES", help=say("터널 안 MTU (기본 1200)", "MTU inside (default 1200)")
    )
    parser.add_argument(
        "--keepalive",
        type=int,
        default=25,
        metavar="S",
        help=say("살아 있음을 알리는 간격 (기본 25초)", "keepalive (default 25 s)"),
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help=say(
            "있는 계획을 바꿉니다. 키는 그대로이며, 박스마다 다시 등록해야 따라옵니다",
            "change the plan that is there; the key stays, and each box follows when it is enrolled anew",
        ),
    )
    add_city(parser)
    parser.set_defaults(run=init)


def init(args: argparse.Namespace) -> int:
    """Plan the tunnel."""
    from agent.centre import tunnels
    from agent.tunnel import keys
    from agent.tunnel.terms import LEAST_MTU_6, MTU

    city = open_city(args)
    private, public = _kept(city) or keys.new_private()
    address = args.address or _first(args.network)
    allowed = tuple(_network(each) for each in args.allow or [address])
    mtu = args.mtu or (LEAST_MTU_6 if ":" in args.network else MTU)
    hub = tunnels.Hub(args.endpoint, args.network, address, allowed, mtu, args.keepalive, public)
    with city.changing():
        tunnels.found(city, hub, private, again=args.again)
    print(say(f"허브의 공개키: {public}", f"the hub's public key: {public}"))
    print(
        say(
            "다음: pasu centre tunnel write, 그리고 박스마다 pasu enrol request",
            "Next: pasu centre tunnel write, and of each box pasu enrol request",
        )
    )
    return 0


def write(args: argparse.Namespace) -> int:
    """Write the hub's configuration."""
    from agent.centre import tunnels

    city = open_city(args)
    hub = _hub(city)
    folder = args.output or city.at("tunnel", tunnels.FOLDER)
    at = args.at or str(folder.absolute())
    with city.changing():
        tunnels.write(city, hub, places(city), folder, at=at, interface=args.interface)
    print(say(f"허브의 설정: {folder}", f"configuration of the hub: {folder}"))
    print(say("처음:", "at first:"), f"wg-quick up {at}/{args.interface}.conf")
    print(
        say("그다음부터, 끊김 없이:", "from then on, without a break:"),
        f"wg syncconf {args.interface} <(wg-quick strip {at}/{args.interface}.conf)",
    )
    return 0


def show(args: argparse.Namespace) -> int:
    """Show the plan."""
    city = open_city(args)
    hub = _hub(city)
    if args.json:
        rows = [
            {"box": box, "tunnel": [{"key": place.key, "address": place.address} for place in given]}
            for box, given in places(city)
        ]
        print(json.dumps({**hub.to_json(), "boxes": rows}, ensure_ascii=False, indent=1))
        return 0
    print(f"{hub.endpoint}  {hub.network}  {hub.public}")
    for box, given in places(city):
        print(
            f"{box}  " + say("터널 없음", "no tunnel")
            if not given
            else f"{box}  {given[-1].address}  {given[-1].key}"
        )
        for place in given[:-1]:
            print("  " + say("옛 키:", "before:"), place.address, place.key)
    return 0


def retire(args: argparse.Namespace) -> int:
    """End the key before a box's newest."""
    from agent.centre import registry

    city = open_city(args)
    box = registry.retire(city, args.box)
    refresh(city)
    print(say(f"{box.id}의 옛 터널 키를 끝냈습니다.", f"ended the tunnel's earlier key of {box.id}."))
    remind(city)
    return 0


def places(city: City) -> list[tuple[str, tuple[Place, ...]]]:
    """Return every box that belongs, with its places."""
    from agent.centre import registry

    return [(box.id, box.tunnel) for box in registry.boxes(city) if box.out_ms is None]


def refresh(city: City) -> None:
    """Write again the hub's configuration that lies in the city's own folder."""
    from agent.centre import tunnels

    with city.changing():  # of two changes at once the later one must not be written over
        tunnels.refresh(city, places(city))


def remind(city: City) -> None:
    """Say what is to be done at the hub: until then it goes by what it read before."""
    from agent.centre import tunnels

    if tunnels.load(city) is None:
        return
    command = tunnels.reloading(city) or "pasu centre tunnel write, wg syncconf"
    print(
        say("허브에서 (그때까지 예전 그대로입니다):", "At the hub, which goes by the old until then:"),
        command,
    )


def _hub(city: City) -> Hub:
    from agent.centre import tunnels

    hub = tunnels.load(city)
    if hub is None:
        raise ConfigError(
            "HUB_MISSING",
            say("이 도시에는 터널이 없습니다", "this city has no tunnel"),
            hint=say("`pasu centre tunnel init`으로 계획하십시오", "plan it with `pasu centre tunnel init`"),
        )
    return hub


def _kept(city: City) -> tuple[str, str] | None:
    """Return the hub's pair where there is one already. Raises ConfigError CITY_DAMAGED."""
    from agent.centre import tunnels
    from agent.centre.city import damaged
    from agent.tunnel import keys

    path = city.at("tunnel", tunnels.KEY)
    if not path.exists():
        return None
    try:
        private = path.read_text(encoding="ascii").strip()
        return private, keys.public_of(private)
    except (OSError, ValueError) as error:
        raise damaged(path, str(error)) from None


def _first(network: str) -> str:
    try:
        return str(ipaddress.ip_network(network)[1])
    except (ValueError, IndexError):
        return ""


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        return text
