"""The city's folder at the centre: what is where, and making it. Nothing in it is ever written over.

city.json          who the city is, and where its broker is
city.jws           the same, signed by the root key, for the boxes
root/root.pem      the root key: signs rings and city.jws              away from every network
ca/                certificate authority: ca.key, ca.pem, crl.pem      away from every network
escrow/escrow.key  second key that opens recordings                    another place, sealed
recordings/operation.key   the key that opens recordings, for `pasu open`
keys/<kid>.pem     keys that sign commands
broker/            broker.key, broker.pem, and the brokers' configurations
tunnel/            hub.json, hub.key: the centre's end of the tunnel; hub/ its configuration
client/            centre.key, centre.pem: the centre's programs at the broker
ring.jws, rings/<epoch>.jws   the newest key ring, and all that were
boxes/<id>.json    the boxes that are enrolled
counters.db, witness.db    see agent.centre.counters, agent.centre.witness
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from agent.command import keyring, strict
from agent.command.keyring import Root, kid_of
from agent.errors import ConfigError
from agent.language import say
from agent.model import canonical_json
from agent.storage import files
from agent.storage.files import Disk
from agent.storage.locks import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Unlock = Callable[[Path], bytes]
    """Asks somebody for the passphrase of a key file."""

FILE = "city.json"
STATEMENT = "city.jws"
RING = "ring.jws"
MAGIC = "pasu-city"
FOLDERS = ("root", "ca", "escrow", "recordings", "keys", "broker", "client", "tunnel", "rings", "boxes")
CENTRE = "centre"
"""CN of the centre's own certificate; no box may have this id."""


@dataclass(frozen=True, slots=True)
class City:
    """A city's folder.

    broker  HOST:PORT where boxes reach the broker
    inside  HOST:PORT where the centre's programs do
    """

    folder: Path
    name: str
    broker: str
    inside: str
    root: Root

    @property
    def id(self) -> str:
        """Return the city's id, which every command names."""
        return self.root.city

    def at(self, *names: str) -> Path:
        """Return a path in the folder."""
        return self.folder.joinpath(*names)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep others from changing rings and boxes meanwhile."""
        with held(self.at("lock")):
            yield


def load(folder: Path) -> City:
    """Open a city's folder. Raises ConfigError CITY_MISSING, CITY_DAMAGED."""
    path = folder / FILE
    try:
        body = strict.read(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            "CITY_MISSING",
            say("도시 폴더가 아닙니다", "not the folder of a city"),
            hint=say(
                "--city로 `pasu centre init`이 만든 폴더를 주십시오",
                "name with --city the folder that `pasu centre init` made",
            ),
            path=str(path),
            reason=error.strerror or "",
        ) from None
    except ValueError as error:
        raise damaged(path, str(error)) from None
    try:
        if body["magic"] != MAGIC or body["version"] != 1:
            raise damaged(path, "magic, version")
        root = keyring.parse_root(canonical_json(body["root"]).encode())
        return City(folder, str(body["name"]), str(body["broker"]), str(body["inside"]), root)
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(path, str(error)) from None


@contextmanager
def forming(folder: Path) -> Iterator[Path]:
    """Make a folder whose name appears when it is whole; nothing stays when making it fails.

    Yields  the folder to fill, with its subfolders
    Raises  ConfigError CITY_EXISTS, StorageFault
    """
    if files.exists(folder) and not (files.is_directory(folder) and not any(folder.iterdir())):
        raise ConfigError(
            "CITY_EXISTS",
            say(
                "이미 무언가 있는 폴더이며, 그대로 두었습니다",
                "there is something already, and it was left as it is",
            ),
            hint=say(
                "새 폴더를 주십시오. 도시의 키는 결코 덮어쓰지 않습니다",
                "name a new folder: a city's keys are never written over",
            ),
            path=str(folder),
        )
    disk = Disk()
    # A name of its own: what an attempt that was killed left behind is somebody's to look at.
    temporary = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}.forming")
    disk.make_directory(temporary)
    try:
        for name in FOLDERS:
            disk.make_directory(temporary / name)
        yield temporary
        for top in (*FOLDERS, ""):
            disk.fsync_directory(temporary / top)
        disk.rename(temporary, folder)
        disk.fsync_directory(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def describe(name: str, broker: str, inside: str, root: Root) -> bytes:
    """Write city.json."""
    body = {
        "magic": MAGIC,
        "version": 1,
        "name": name,
        "broker": broker,
        "inside": inside,
        "root": {"city": root.city, "kid": root.kid, "key": strict.base64url(root.public)},
    }
    return (json.dumps(body, ensure_ascii=False, indent=1) + "\n").encode()


def create(path: Path, data: bytes) -> None:
    """Write a new file, 0600, durable. Raises StorageFault NAME_TAKEN when there is one."""
    disk = Disk()
    fd = disk.create_excl(path)
    try:
        os.fchmod(fd, files.FILE_MODE)
        disk.write_all(fd, path, data)
        disk.fsync(fd, path)
    finally:
        disk.close(fd)
    disk.fsync_directory(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Give a file new content, durable, whole at every moment."""
    Disk().atomic_replace(path, data, sync=True)


def write_key(path: Path, key: Any, passphrase: bytes | None) -> None:
    """Write a private key as PKCS #8 in PEM, under a passphrase where one is given."""
    lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))


def read_key(path: Path, unlock: Unlock) -> Any:
    """Read a private key. Nothing of it is ever part of an error.

    unlock  asked for the passphrase when there is one
    Raises  ConfigError CITY_KEY_MISSING, CITY_PASSPHRASE, CITY_DAMAGED
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "CITY_KEY_MISSING",
            say("키 파일을 읽을 수 없습니다", "the key file cannot be read"),
            hint=say(
                "잠가 둔 키를 이 일을 하는 동안만 제자리에 두십시오",
                "put the key that is locked away in its place for as long as this takes",
            ),
            path=str(path),
            reason=error.strerror or "",
        ) from None
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        pass  # there is a passphrase
    except ValueError:
        raise damaged(path, "not a private key") from None
    try:
        return load_pem_private_key(data, unlock(path))
    except (ValueError, TypeError):
        raise ConfigError(
            "CITY_PASSPHRASE",
            say("암호가 맞지 않습니다", "the passphrase is not right"),
            hint=say("다시 입력하십시오", "type it again"),
            path=str(path),
        ) from None


def read_signing_key(path: Path, kid: str, unlock: Unlock) -> Ed25519PrivateKey:
    """Read an Ed25519 key and see that it is the one that is meant. Raises as `read_key`."""
    key = read_key(path, unlock)
    if not isinstance(key, Ed25519PrivateKey) or kid_of(key.public_key().public_bytes_raw()) != kid:
        raise damaged(path, "another key than its name says")
    return key


def damaged(path: Path, reason: str) -> ConfigError:
    """Say that a file of the city's folder cannot be used."""
    return ConfigError(
        "CITY_DAMAGED",
        say("도시 폴더의 파일을 쓸 수 없습니다", "a file of the city's folder cannot be used"),
        hint=say("백업에서 되돌리십시오", "restore it from a backup"),
        path=str(path),
        reason=reason,
    )
