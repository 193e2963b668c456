"""Write a broker's configuration into a folder, with the certificates it needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.centre import brokers, city, registry
from agent.storage.files import Disk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.centre.city import City

_SOURCES = {
    "ca.pem": ("ca", "ca.pem"),
    "crl.pem": ("ca", "crl.pem"),
    "broker.pem": ("broker", "broker.pem"),
    "broker.key": ("broker", "broker.key"),
}
_HOW = "written.json"


def write(where: City, kind: str, folder: Path, at: str, peers: Sequence[str] = ()) -> None:
    """Write it. What a person changed in these files is written over; nothing else is touched.

    kind    "mosquitto" or "rabbitmq"
    at      the folder's path for the broker
    peers   nodes of a RabbitMQ cluster
    Raises  ConfigError CITY_DAMAGED, StorageFault
    """
    disk = Disk()
    disk.make_directory(folder)
    for name, place in _SOURCES.items():
        try:
            data = where.at(*place).read_bytes()
        except OSError as error:
            raise city.damaged(where.at(*place), error.strerror or "") from None
        city.replace(folder / name, data)
    if kind == "mosquitto":
        disk.make_directory(folder / "store")
        texts = brokers.mosquitto(at, where.broker, where.inside)
    else:
        members = [box.id for box in registry.boxes(where) if box.out_ms is None]
        texts = brokers.rabbitmq(at, where.broker, members, peers)
    for name, text in texts.items():
        city.replace(folder / name, text.encode())
    city.replace(folder / _HOW, json.dumps({"at": at, "peers": list(peers)}).encode() + b"\n")


def refresh(where: City, kind: str) -> None:
    """Write one in the city's own folder again, the way it was written; nothing happens when there is none."""
    folder = where.at("broker", kind)
    try:
        how = json.loads((folder / _HOW).read_bytes())
        at, peers = str(how["at"]), [str(peer) for peer in how["peers"]]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise city.damaged(folder / _HOW, str(error)) from None
    write(where, kind, folder, at, peers)
