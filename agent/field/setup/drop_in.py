"""The drop-in that lets recording reach cameras at addresses which are not private. Edge.

It is made of agent.toml alone, each time anew: an address that no camera has any more goes with it, and where none is
left the file goes. What somebody wrote into files of other names is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.field.setup import passing
from agent.storage.files import Disk, exists, fault, is_directory
from agent.tunnel.watch import camera_hosts

if TYPE_CHECKING:
    from agent.config import Config

FILE = Path("/etc/systemd/system/pasu-record.service.d/pasu-cameras.conf")
FOLDER_MODE, MODE = 0o755, 0o644


@dataclass(frozen=True, slots=True)
class Passing:
    """What is let pass now.

    addresses  of cameras and of bells' brokers, which are not private
    names      hosts that are names: whoever they are, only a private address of theirs is reached
    changed    whether the drop-in is another than before
    """

    addresses: tuple[str, ...]
    names: tuple[str, ...]
    changed: bool


def put(config: Config, file: Path = FILE, disk: Disk | None = None) -> Passing:
    """Have the drop-in be what agent.toml needs; done twice it changes nothing. Raises StorageFault."""
    disk = disk or Disk()
    hosts = camera_hosts(config)
    addresses = passing.outside(hosts)
    wanted = passing.text(addresses).encode()
    try:
        before = file.read_bytes() if exists(file) else b""
    except OSError as error:
        raise fault("read", file, error) from error
    if wanted == before:
        return Passing(addresses, passing.names(hosts), changed=False)
    if wanted:
        _folder(disk, file.parent)
        disk.atomic_replace(file, wanted, sync=True, mode=MODE)
    else:
        disk.unlink(file)
        disk.fsync_directory(file.parent)
    return Passing(addresses, passing.names(hosts), changed=True)


def _folder(disk: Disk, folder: Path) -> None:
    """Make a folder and those above it, which systemd and everybody may read."""
    if is_directory(folder):
        return
    _folder(disk, folder.parent)
    disk.make_directory(folder)
    try:
        disk.call("chmod", folder, folder.chmod, FOLDER_MODE)
    except OSError as error:
        raise fault("chmod", folder, error) from error
