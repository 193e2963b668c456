"""The centre's end of the tunnel: its key, the city's plan of addresses, the hub's configuration.

Each key of a box has an address of its own, one host's; the hub takes from that key nothing that bears another (F10).
A box whose key changes has two places until the new one is in use: neither hub nor box must be quicker than the other.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.centre import city
from agent.errors import ConfigError
from agent.language import say
from agent.model import canonical_json
from agent.storage.files import Disk, exists
from agent.tunnel import conf, keys
from agent.tunnel import terms as written
from agent.tunnel.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from agent.centre.city import City

FILE, KEY, FOLDER = "hub.json", "hub.key", "hub"
MAGIC = "pasu-hub"
INTERFACE = "pasuhub"
MOST_TRIED = 1 << 17
_HOW = "written.json"


@dataclass(frozen=True, slots=True)
class Place:
    """A key of a box in the tunnel, and its address there, without a prefix length."""

    key: str
    address: str


@dataclass(frozen=True, slots=True)
class Hub:
    """The centre's end.

    endpoint  ADDRESS:PORT outside
    network   of the whole city inside; address the hub's own in it
    allowed   what boxes may reach inside
    """

    endpoint: str
    network: str
    address: str
    allowed: tuple[str, ...]
    mtu: int
    keepalive_s: int
    public: str

    def to_json(self) -> dict[str, Any]:
        """Return the plan, as its file and `show` have it."""
        return {
            "endpoint": self.endpoint,
            "network": self.network,
            "address": self.address,
            "allowed": [*self.allowed],
            "mtu": self.mtu,
            "keepalive_s": self.keepalive_s,
            "public": self.public,
        }


def found(where: City, hub: Hub, private: str, *, again: bool = False) -> None:
    """Make the centre's end, or, again, another plan for it, with the key it has.

    Raises  ConfigError HUB_EXISTS, HUB_PLAN; StorageFault
    A box goes by the plan before until it is enrolled anew.
    """
    check(hub)
    path = where.at("tunnel", FILE)
    if exists(path) and not again:
        raise ConfigError(
            "HUB_EXISTS",
            say("이 도시에는 터널이 이미 있습니다", "this city has a tunnel already"),
            hint=say(
                "`pasu centre tunnel show`로 보십시오. 다르게 계획하려면 --again을 붙이고, 박스마다 다시 등록합니다",
                "see it with `pasu centre tunnel show`; to plan it anew add --again, and enrol each box anew",
            ),
            path=str(path),
        )
    key = where.at("tunnel", KEY)
    Disk().make_directory(where.at("tunnel"))
    if not exists(key):
        city.replace(key, f"{private}\n".encode())  # whole or not there, whenever the power is cut
    body = {"magic": MAGIC, "v": 1, **hub.to_json()}
    city.replace(path, canonical_json(body).encode() + b"\n")


def load(where: City) -> Hub | None:
    """Return the city's hub, None without one. Raises ConfigError CITY_DAMAGED."""
    path = where.at("tunnel", FILE)
    if not exists(path):
        return None
    try:
        body = json.loads(path.read_bytes())
        if (body["magic"], body["v"]) != (MAGIC, 1):
            raise city.damaged(path, "magic, v")
        return Hub(
            body["endpoint"],
            body["network"],
            body["address"],
            tuple(body["allowed"]),
            body["mtu"],
            body["keepalive_s"],
            body["public"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise city.damaged(path, str(error)) from None


def check(hub: Hub) -> None:
    """Refuse a plan that no box would take. Raises ConfigError HUB_PLAN with the reason."""
    try:
        network = ipaddress.ip_network(hub.network)
        address = ipaddress.ip_address(hub.address)
        host, _ = written.split_endpoint(hub.endpoint)
        for each in hub.allowed:
            written.allowed_network(each)
        if address not in network or (host.version == network.version and host in network):
            raise ValueError("the hub's address inside, or outside")  # noqa: TRY301 - one error for all that is wrong
        sample = Terms("x", hub.public, (str(_host(free(hub, ()))),), "", hub.endpoint, hub.allowed, 0, 0, 0)
        body = written.to_json(sample) | {
            "mtu": hub.mtu,
            "keepalive_s": hub.keepalive_s,
            "key": keys.new_private()[1],
            "peer": hub.public,
        }
        written.parse(body)
    except ValueError as error:
        raise ConfigError(
            "HUB_PLAN",
            say("터널의 계획에 쓸 수 없는 값이 있습니다", "the plan of the tunnel cannot be"),
            hint=say(
                "--endpoint 203.0.113.5:51820 --network 10.77.0.0/16처럼 쓰십시오. 이름은 쓸 수 없습니다",
                "write it like --endpoint 203.0.113.5:51820 --network 10.77.0.0/16; names cannot be used",
            ),
            reason=str(error),
        ) from None


def terms(hub: Hub, box: str, place: Place, now_ms: int) -> Terms:
    """Return what a box is told, unsigned."""
    return Terms(
        box,
        place.key,
        (str(_host(place.address)),),
        hub.public,
        hub.endpoint,
        hub.allowed,
        hub.mtu,
        hub.keepalive_s,
        now_ms,
    )


def is_in(hub: Hub, address: str) -> bool:
    """Tell whether an address is one of the hub's network, and none of the centre's own."""
    found = ipaddress.ip_address(address)
    centre = [ipaddress.ip_network(each) for each in hub.allowed]
    return found in ipaddress.ip_network(hub.network) and not any(found in each for each in centre)


def free(hub: Hub, taken: Iterable[str]) -> str:
    """Return the lowest address that no box has; the first of the network are the centre's.

    Raises  ConfigError HUB_FULL
    """
    network = ipaddress.ip_network(hub.network)
    kept = 256 if network.num_addresses > 1024 else 16
    used = {hub.address, *taken}
    centre = [ipaddress.ip_network(each) for each in hub.allowed]
    last = min(network.num_addresses - 1, kept + MOST_TRIED)
    for number in range(kept, last):
        address = network[number]
        # .0 and .255 are right, and refused by too much that lies on the way.
        odd = address.version == 4 and int(address) & 0xFF in (0, 255)
        if not odd and str(address) not in used and not any(address in each for each in centre):
            return str(address)
    raise ConfigError(
        "HUB_FULL",
        say("터널에 빈 주소가 없습니다", "there is no free address in the tunnel"),
        hint=say(
            "더 큰 대역으로 새로 계획하십시오: `pasu centre tunnel init --again`",
            "plan it anew in a larger network: `pasu centre tunnel init --again`",
        ),
        network=hub.network,
    )


def write(
    where: City,
    hub: Hub,
    boxes: Sequence[tuple[str, Sequence[Place]]],
    folder: Path,
    *,
    at: str,
    interface: str = INTERFACE,
) -> None:
    """Write the hub's configuration into a folder; what a person changed in it is written over.

    boxes   id and places of every box that belongs
    at      the folder's path on the hub
    Raises  ConfigError CITY_DAMAGED, StorageFault
    """
    disk = Disk()
    disk.make_directory(folder)
    path = where.at("tunnel", KEY)
    try:
        private = path.read_text(encoding="ascii").strip()
        if keys.public_of(private) != hub.public:
            raise city.damaged(path, "not the hub's key")
    except (OSError, ValueError) as error:
        raise city.damaged(path, str(error)) from None
    peers = [(name, place.key, [str(_host(place.address))]) for name, places in boxes for place in places]
    length = ipaddress.ip_network(hub.network).prefixlen
    _, port = written.split_endpoint(hub.endpoint)
    text = conf.hub(
        peers,
        addresses=[f"{hub.address}/{length}"],
        port=port,
        mtu=hub.mtu,
        private=private,
        rules_file=f"{at}/hub.nft",
    )
    city.replace(folder / "hub.nft", conf.hub_rules(interface, hub.allowed).encode())
    city.replace(folder / f"{interface}.conf", text.encode())
    how: dict[str, Any] = {"at": at, "interface": interface}
    city.replace(folder / _HOW, json.dumps(how).encode() + b"\n")


def refresh(where: City, boxes: Sequence[tuple[str, Sequence[Place]]]) -> None:
    """Write the configuration in the city's own folder again, the way it was written; nothing where there is none."""
    hub, how = load(where), _how(where)
    if hub is not None and how is not None:
        at, interface = how
        write(where, hub, boxes, where.at("tunnel", FOLDER), at=at, interface=interface)


def reloading(where: City) -> str:
    """Return what is to be typed at the hub after every change of boxes; empty where no configuration was written."""
    how = _how(where)
    return f"wg syncconf {how[1]} <(wg-quick strip {how[0]}/{how[1]}.conf)" if how is not None else ""


def _how(where: City) -> tuple[str, str] | None:
    """Return where the configuration in the city's own folder is for the hub, and its interface; None without one."""
    path = where.at("tunnel", FOLDER, _HOW)
    try:
        how = json.loads(path.read_bytes())
        return str(how["at"]), str(how["interface"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise city.damaged(path, str(error)) from None


def _host(address: str) -> Any:
    return ipaddress.ip_interface(address)
