"""Found a city: make every key, certificate and file of its folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.centre import authority, city, rings
from agent.centre.keys import keygen
from agent.centre.readme import readme
from agent.centre.rings import SERVICE, Grant
from agent.command import jws, strict
from agent.command.keyring import Role, Root
from agent.enrolment import form
from agent.errors import ConfigError
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from agent.centre.city import City

PORT = 8883
INSIDE_PORT = 8884


@dataclass(frozen=True, slots=True)
class Plan:
    """What is chosen when a city is founded.

    id      as in commands, like a box's id; name for people
    broker  HOST:PORT for boxes; inside for the centre's programs
    hosts   further names and addresses of the broker, for its certificate
    """

    id: str
    name: str
    broker: str
    inside: str
    hosts: tuple[str, ...] = ()


def found(folder: Path, plan: Plan, now: datetime, passphrase: bytes | None) -> City:
    """Make a city's folder.

    passphrase  locks root key and authority; None leaves them to the file mode
    Raises      ConfigError CITY_EXISTS, CITY_NAME, CITY_BROKER; StorageFault
    """
    _check(plan)
    now_ms = int(now.timestamp() * 1000)
    with city.forming(folder) as into:
        root_key = Ed25519PrivateKey.generate()
        root = Root(plan.id, root_key.public_key().public_bytes_raw())
        city.write_key(into / "root" / "root.pem", root_key, passphrase)
        ca = _certificates(into, plan, now, passphrase)
        recipients = [
            str(keygen(into / "recordings" / "operation.key", created=now)),
            str(keygen(into / "escrow" / "escrow.key", created=now)),
        ]
        private, entry = rings.new_key(Grant(Role.SERVICE, SERVICE), now_ms - rings.EARLY_MS)
        city.write_key(into / "keys" / f"{entry['kid']}.pem", private, None)
        ring = rings.first(root, root_key, [entry], recipients, now_ms).encode() + b"\n"
        city.create(into / "rings" / "000001.jws", ring)
        city.create(into / city.RING, ring)
        said = form.city_payload(plan.id, plan.name, ca, f"mqtts://{plan.broker}", now_ms)
        city.create(into / city.STATEMENT, jws.sign(said, root_key, root.kid, form.CITY_TYP).encode() + b"\n")
        city.create(into / "README.md", readme(plan.name, locked=passphrase is not None).encode())
        city.create(into / city.FILE, city.describe(plan.name, plan.broker, plan.inside, root))
    return city.load(folder)


def host_of(address: str) -> str:
    """Return the host of HOST:PORT, without the brackets of an IPv6 address."""
    return address.rpartition(":")[0].strip("[]")


def _certificates(into: Path, plan: Plan, now: datetime, passphrase: bytes | None) -> str:
    """Make the authority, its empty list of revoked ones, the broker's and the centre's certificates."""
    key = authority.new_key()
    ca = authority.make_authority(key, plan.id, now)
    city.write_key(into / "ca" / "ca.key", key, passphrase)
    city.create(into / "ca" / "ca.pem", authority.pem(ca))
    city.create(into / "ca" / "crl.pem", authority.pem(authority.revoke(ca, key, None, (), now)))
    broker = authority.new_key()
    hosts: Sequence[str] = (host_of(plan.broker), host_of(plan.inside), *plan.hosts)
    city.write_key(into / "broker" / "broker.key", broker, None)
    city.create(
        into / "broker" / "broker.pem",
        authority.pem(authority.certify_server(ca, key, broker.public_key(), hosts)),
    )
    client = authority.new_key()
    city.write_key(into / "client" / "centre.key", client, None)
    end = now + timedelta(days=authority.CA_DAYS)
    own = authority.certify_client(ca, key, client.public_key(), city.CENTRE, end)
    city.create(into / "client" / "centre.pem", authority.pem(own))
    return authority.pem(ca).decode()


def _check(plan: Plan) -> None:
    if not form.is_box(plan.id) or not strict.is_name(plan.name, 100):
        raise ConfigError(
            "CITY_NAME",
            say("도시의 id나 이름으로 쓸 수 없습니다", "not an id or a name for a city"),
            hint=say(
                "id는 영문 소문자, 숫자, '-'로 32자까지, 이름은 한 줄로 100자까지입니다",
                "an id is lower-case letters, digits and '-', at most 32; a name one line of at most 100",
            ),
            city=plan.id,
        )
    for address in (plan.broker, plan.inside):
        if not form.is_broker(f"mqtts://{address}"):
            raise ConfigError(
                "CITY_BROKER",
                say("브로커 주소로 쓸 수 없습니다", "not an address of a broker"),
                hint=say("--broker 10.77.0.1:8883처럼 쓰십시오", "write it like --broker 10.77.0.1:8883"),
                broker=address,
            )
