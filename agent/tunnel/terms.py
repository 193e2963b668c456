"""What the centre says of a box's tunnel: peer, addresses, what may be reached. Pure.

The city's certificate authority signs it for one box and one key of that box; it travels in the enrolment bundle. Only
addresses are taken, never names (F3), and only the centre's few: a tunnel is no way to anywhere else (F10, and the
Gangneung regulation's art. 25). See docs/formats.md, "Tunnel", and ADR 0017.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from agent.model import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

    Network = IPv4Network | IPv6Network

MAGIC = "pasu-tunnel"
KEY_BYTES = 32
MOST_ALLOWED = 16
MTU = 1200
"""Inside a path of 1280 bytes, the least that IPv6 promises, whatever the outer header (60 or 80 bytes): nothing then
depends on ICMP messages that a firewall on the way may drop (F5). It costs 1 % of the line against 1420."""
LEAST_MTU, LEAST_MTU_6, MOST_MTU = 576, 1280, 1420
KEEPALIVE_S = 25
LEAST_KEEPALIVE_S, MOST_KEEPALIVE_S = 5, 60
"""Never off: a box behind NAT is reached only while it speaks, and only so do handshakes come by. A handshake is begun
with the first packet after 120 s: with more than 60 s between packets a sound tunnel would look stale (`STALE_S`)."""
LEAST_PREFIX = {4: 24, 6: 64}
"""Of what is allowed. The halves of everything (0.0.0.0/1 and 128.0.0.0/1) are everything, too."""

_MEMBERS = {
    "magic", "v", "box", "key", "addresses", "peer", "endpoint", "allowed", "mtu", "keepalive_s", "issued_ms",
    "signature",
}  # fmt: skip
_BOX = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
_ENDPOINT = re.compile(r"(?:\[([0-9a-f:]+)\]|([0-9.]+)):([1-9][0-9]{0,4})\Z")


@dataclass(frozen=True, slots=True)
class Terms:
    """The tunnel of one box.

    key        the box's public key, base64, for which this holds
    addresses  of the box inside, each for itself alone: "10.77.1.7/32"
    peer       the hub's public key, base64
    endpoint   ADDRESS:PORT of the hub outside, an IPv6 address in brackets
    allowed    the centre's addresses inside; nothing else is taken out of the tunnel or put into it
    mtu        bytes of a packet inside
    signature  base64 of an ECDSA signature (DER, SHA-256) by the city's authority over `signed_text`
    """

    box: str
    key: str
    addresses: tuple[str, ...]
    peer: str
    endpoint: str
    allowed: tuple[str, ...]
    mtu: int
    keepalive_s: int
    issued_ms: int
    signature: str = ""

    @property
    def host(self) -> str:
        """Return the endpoint's address, without brackets."""
        return str(split_endpoint(self.endpoint)[0])

    @property
    def port(self) -> int:
        """Return the endpoint's port."""
        return split_endpoint(self.endpoint)[1]

    @property
    def wants_ipv6(self) -> bool:
        """Whether the box has an IPv6 address inside."""
        return any(":" in address for address in self.addresses)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the box's addresses inside, without their prefix lengths."""
        return tuple(address.partition("/")[0] for address in self.addresses)


def to_json(terms: Terms) -> dict[str, Any]:
    """Return what stands in a bundle."""
    return {
        "magic": MAGIC,
        "v": 1,
        **asdict(terms),
        "addresses": [*terms.addresses],
        "allowed": [*terms.allowed],
    }


def signed_text(terms: Terms) -> bytes:
    """Return what the authority signs. Its first line keeps it from being taken for anything else."""
    body = to_json(terms)
    del body["signature"]
    return f"{MAGIC}\n{canonical_json(body)}\n".encode()


def signed(terms: Terms, key: ec.EllipticCurvePrivateKey) -> Terms:
    """Return terms with the authority's signature."""
    made = key.sign(signed_text(terms), ec.ECDSA(SHA256()))
    return replace(terms, signature=base64.b64encode(made).decode())


def read(body: Any, authority: str) -> Terms:
    """Read terms that an authority (PEM) signed; what no tunnel may be is refused. Raises ValueError with why."""
    terms = parse(body)
    public = x509.load_pem_x509_certificate(authority.encode()).public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ValueError("an authority of another kind of key")  # noqa: TRY004 - one error for all that is wrong
    try:
        public.verify(
            base64.b64decode(terms.signature, validate=True), signed_text(terms), ec.ECDSA(SHA256())
        )
    except (InvalidSignature, binascii.Error):
        raise ValueError("the tunnel is not signed by this authority") from None
    return terms


def parse(body: Any) -> Terms:
    """Read terms, whoever signed them. Raises ValueError with the reason."""
    if not isinstance(body, dict) or body.keys() != _MEMBERS or body["magic"] != MAGIC or body["v"] != 1:
        raise ValueError("members of the tunnel")
    texts = all(isinstance(body[name], str) for name in ("box", "key", "peer", "endpoint", "signature"))
    if not texts or not _BOX.match(body["box"]):
        raise ValueError("texts of the tunnel")
    if not is_key(body["key"]) or not is_key(body["peer"]) or body["key"] == body["peer"]:
        raise ValueError("keys of the tunnel")
    host, _ = split_endpoint(body["endpoint"])
    if not _is_number(body["issued_ms"], 0, 1 << 53):
        raise ValueError("issued_ms of the tunnel")
    addresses = [_own(each) for each in _texts(body["addresses"], 2)]
    allowed = [_allowed(each) for each in _texts(body["allowed"], MOST_ALLOWED)]
    if len({address.version for address in addresses}) != len(addresses):
        raise ValueError("two addresses of one kind")
    for network in allowed:
        if any(address.version == network.version and address.ip in network for address in addresses):
            raise ValueError("the box's own address is among the allowed")
        if host.version == network.version and host in network:
            raise ValueError("the endpoint is inside its own tunnel")
    least = LEAST_MTU_6 if any(address.version == 6 for address in addresses) else LEAST_MTU
    if not _is_number(body["mtu"], least, MOST_MTU):
        raise ValueError(f"an MTU that is not from {least} to {MOST_MTU}")
    if not _is_number(body["keepalive_s"], LEAST_KEEPALIVE_S, MOST_KEEPALIVE_S):
        raise ValueError("keepalive_s of the tunnel")
    return Terms(
        body["box"],
        body["key"],
        tuple(str(each) for each in addresses),
        body["peer"],
        body["endpoint"],
        tuple(str(each) for each in allowed),
        body["mtu"],
        body["keepalive_s"],
        body["issued_ms"],
        body["signature"],
    )


def split_endpoint(text: str) -> tuple[Any, int]:
    """Return address and port of an endpoint. Raises ValueError: a name is none, since it must be asked for."""
    found = _ENDPOINT.match(text)
    if found is None or int(found[3]) > 65535:
        raise ValueError("the endpoint is not ADDRESS:PORT")
    host = ipaddress.ip_address(found[1] or found[2])
    if (found[1] is None) != (host.version == 4) or _is_odd(host):
        raise ValueError("the endpoint is not the address of a host")
    return host, int(found[3])


def overlaps(networks: Sequence[str], others: Iterable[str]) -> list[str]:
    """Return which of `others` (addresses or networks) share one with `networks`; what is neither is passed over."""
    own = [ipaddress.ip_network(each) for each in networks]
    found = []
    for other in others:
        try:
            network = ipaddress.ip_network(other, strict=False)
        except ValueError:
            continue
        if any(each.version == network.version and _share(each, network) for each in own):
            found.append(other)
    return found


def is_key(value: object) -> bool:
    """Tell whether a value is a WireGuard key: 32 bytes in base64."""
    if not isinstance(value, str):
        return False
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(data) == KEY_BYTES and base64.b64encode(data).decode() == value


def allowed_network(text: str) -> str:
    """Return one entry of `allowed` as it is written. Raises ValueError with the reason."""
    return str(_allowed(text))


def _share(one: Any, other: Any) -> bool:
    return bool(one.overlaps(other))


def _texts(value: Any, most: int) -> list[str]:
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= most
        or not all(isinstance(each, str) for each in value)
    ):
        raise ValueError("addresses of the tunnel")
    return value


def _own(text: str) -> IPv4Interface | IPv6Interface:
    address = ipaddress.ip_interface(text)
    if address.network.prefixlen != address.max_prefixlen or _is_odd(address.ip):
        raise ValueError("an address of the box that is not one host's")
    return address


def _allowed(text: str) -> Network:
    network = ipaddress.ip_network(text)
    if network.prefixlen < LEAST_PREFIX[network.version]:
        raise ValueError(f"more than the centre is allowed: {network}")
    if _is_odd(network.network_address):
        raise ValueError(f"no network of a centre: {network}")
    return network


def _is_odd(address: Any) -> bool:
    """Whether an address is none of one host: multicast, loopback, link-local, unspecified, reserved."""
    odd = address.is_multicast or address.is_loopback or address.is_link_local or address.is_unspecified
    mapped = address.version == 6 and address.ipv4_mapped is not None
    return bool(odd or mapped or (address.version == 4 and address.is_reserved))


def _is_number(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
