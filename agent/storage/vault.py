"""The vault: a directory tree on one disk, with an identity file.

    VAULT        who this is: {"magic":"pasu-vault","version":1,"uuid":...,"box":...,"created_ms":...}
    VAULTS       every vault of the box it was last used in, uuid to path: so that a disk that is not there is known
                 to be missing also when the box's own memory is lost
    CHECKPOINT   the newest signed tree head of the box's ledger
    TIME         when time was last known to be right (keep/witness.py)
    segments/    <camera>/<day>/<start>.mp4.age
    holds/       legal holds
    outgoing/    what is being handed out: links of segments, and what proves them
    quarantine/  what was found and not understood; of it only what was a segment is erased, when its time has come

Absence is never emptiness: a vault that is known and has no identity file is a disk that is not there. It is
refused, and never made anew in its place.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import StorageFault
from agent.language import say
from agent.model import canonical_json
from agent.storage import files
from agent.storage.files import Disk
from agent.storage.layout import Kind, Stem, stem_of

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = "VAULT"
SIBLINGS = "VAULTS"
HEAD_FILE = "CHECKPOINT"
MAGIC = "pasu-vault"
VERSION = 1
OUTGOING = "outgoing"
DIRECTORIES = ("segments", "holds", "quarantine")
# A vault without the last is whole: it is made when something is handed out.
_EVERY = (*DIRECTORIES, OUTGOING)
_IDENTITY_LIMIT_BYTES = 4096
_KNOWN_LIMIT_BYTES = 65_536
_NAMES_TRIED = 10_000
"""How far a start is moved on, 1 ms each, to find a free name: 10 s of a clock that stepped back onto
itself.
"""


@dataclass(frozen=True, slots=True)
class Vault:
    """An opened vault, whose identity was checked.

    box  id of the box that made it
    """

    root: Path
    uuid: str
    created_ms: int
    disk: Disk = field(default_factory=Disk, compare=False)
    box: str = ""

    @classmethod
    def create(
        cls, path: Path, uuid: str, *, created_ms: int, box: str = "", disk: Disk | None = None
    ) -> Vault:
        """Make a new vault in a directory that is missing, or empty but for `lost+found`.

        uuid    its identity from now on
        box     id of the box that it will belong to
        Raises  StorageFault VAULT_NOT_EMPTY, or what the disk says. Can be repeated after an interruption:
                the identity file comes last
        """
        disk = disk or Disk()
        disk.make_directory(path)
        try:
            found = {entry.name for entry in path.iterdir()} - {"lost+found", IDENTITY + files.TEMPORARY}
        except OSError as error:
            raise files.fault("list", path, error) from error
        strange = found - set(_EVERY)
        if strange or any(any((path / name).iterdir()) for name in found):
            raise StorageFault(
                "VAULT_NOT_EMPTY",
                say("새 저장소로 쓸 폴더가 비어 있지 않습니다", "the directory for a new vault is not empty"),
                hint=say(
                    "다른 폴더를 지정하십시오", "name another directory, or look at what is in this one"
                ),
                path=str(path),
            )
        for name in _EVERY:
            disk.make_directory(path / name)
        identity = {"magic": MAGIC, "version": VERSION, "uuid": uuid, "box": box, "created_ms": created_ms}
        disk.atomic_replace(path / IDENTITY, canonical_json(identity).encode() + b"\n", sync=True)
        return cls(path, uuid, created_ms, disk, box)

    @classmethod
    def open(cls, path: Path, expected_uuid: str | None = None, *, disk: Disk | None = None) -> Vault:
        """Open a vault and check who it is.

        expected_uuid  the identity that the catalogue knows for it; None takes any
        Raises         StorageFault VAULT_MISSING, VAULT_DAMAGED or VAULT_FOREIGN
        """
        uuid, created_ms, box = _read_identity(path)
        if expected_uuid is not None and uuid != expected_uuid:
            raise foreign(path, uuid, expected_uuid)
        disk = disk or Disk()
        for name in DIRECTORIES:
            if not files.is_directory(path / name):
                raise missing(path / name)
        return cls(path, uuid, created_ms, disk, box)

    def verify(self) -> None:
        """Check that the disk is still the one that was opened. Raises StorageFault as `open` does."""
        Vault.open(self.root, self.uuid)

    def at(self, relative: str) -> Path:
        """Return the full path of what is named relative to the vault."""
        return self.root / relative

    def new_stem(self, camera: str, start_ms: int) -> Stem:
        """Choose the name of a new segment, and make its directory.

        A name that any file of a segment bears already is left alone: after the clock stepped back the name
        is moved on by 1 ms until it is free.
        Raises  StorageFault NAME_TAKEN, or what the disk says
        """
        for step in range(_NAMES_TRIED):
            stem = stem_of(camera, start_ms + step)
            if not any(files.exists(self.at(stem.path(kind))) for kind in Kind):
                break
        else:
            raise files.fault("create", self.at(stem.path(Kind.PART)), FileExistsError(17, "taken"))
        directory = self.at(stem.directory)
        if not files.is_directory(directory):
            self.disk.make_directory(directory.parent)
            self.disk.make_directory(directory)
        return stem

    def quarantine(self, path: Path) -> str:
        """Move something that is not understood out of the way, as it is; links are moved, not followed.

        Returns  where it is now, relative to the vault: its former path in one name, numbered if that is
                 taken
        Raises   StorageFault
        """
        former = path.relative_to(self.root / "segments")
        # In bytes, since the limit of a name (255) is; the end of the name tells more than its beginning.
        base = "quarantine/" + os.fsdecode(os.fsencode(".".join(former.parts))[-200:])
        name, number = base, 0
        while files.exists(self.at(name)):
            number += 1
            name = f"{base}.{number}"
        self.disk.rename(path, self.at(name))
        self.disk.fsync_directory(self.at("quarantine"))
        self.disk.fsync_directory(path.parent)
        return name


def is_vault(path: Path) -> bool:
    """Tell whether a directory bears an identity file, be it a damaged one."""
    return files.exists(path / IDENTITY)


def is_there(path: Path, uuid: str) -> bool:
    """Tell whether a vault lies at a path, as it should be."""
    try:
        Vault.open(path, uuid)
    except StorageFault:
        return False
    return True


def holds_anything(path: Path) -> bool:
    """Tell whether a vault has any file or folder besides those it was made with. Raises StorageFault."""
    try:
        return any(any((path / name).iterdir()) for name in _EVERY if files.exists(path / name))
    except OSError as error:
        raise files.fault("list", path, error) from error


def may_hold_anything(path: Path) -> bool:
    """Tell the same; what cannot be listed may hold something, since absence is never emptiness (I6)."""
    try:
        return holds_anything(path)
    except StorageFault:
        return True


def read_known(place: Path) -> dict[str, str]:
    """Read a list of vaults (`VAULTS`, or the state directory's copy): uuid to path; empty when it tells nothing."""
    try:
        known = json.loads(files.read_small(place, _KNOWN_LIMIT_BYTES))["vaults"]
        return {str(uuid): str(path) for uuid, path in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write_known(disk: Disk, place: Path, known: dict[str, str]) -> None:
    """Write such a list, if it says anything new. Raises StorageFault."""
    if read_known(place) != known:
        text = canonical_json({"vaults": known, "version": 1})
        disk.atomic_replace(place, text.encode() + b"\n", sync=True)


def foreign(path: Path, found: str, expected: str) -> StorageFault:
    """Say that a vault is not the one that belongs here, or not this box's."""
    return StorageFault(
        "VAULT_FOREIGN",
        say("다른 박스의 저장소입니다", "this is another vault than the one that belongs here"),
        hint=say(
            "원래 디스크를 연결하십시오. 이 디스크는 건드리지 않았습니다",
            "mount the disk that belongs to this box; nothing was written to this one",
        ),
        path=str(path),
        found=found,
        expected=expected,
    )


def _read_identity(path: Path) -> tuple[str, int, str]:
    place = path / IDENTITY
    try:
        raw = files.read_small(place, _IDENTITY_LIMIT_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(place) from error
    except OSError as error:
        raise files.fault("read", place, error) from error
    try:
        identity = json.loads(raw)
        known = identity["magic"] == MAGIC and identity["version"] == VERSION
        uuid, created_ms, box = identity["uuid"], identity["created_ms"], identity.get("box", "")
    except (ValueError, KeyError, TypeError, RecursionError):
        known, uuid, created_ms, box = False, "", 0, ""
    if (
        not known
        or not isinstance(uuid, str)
        or not uuid
        or type(created_ms) is not int
        or not isinstance(box, str)
    ):
        raise StorageFault(
            "VAULT_DAMAGED",
            say(
                "저장소 식별 파일이 손상되었습니다",
                "the vault's identity file is damaged, or of a newer version",
            ),
            hint=say(
                "디스크를 점검하고, 백업에서 VAULT 파일을 되돌리십시오",
                "check the disk; restore the VAULT file from a backup",
            ),
            path=str(place),
        )
    return uuid, created_ms, box


def missing(place: Path) -> StorageFault:
    """Say that a vault, or a part of it, is not there."""
    return StorageFault(
        "VAULT_MISSING",
        say("저장소가 없습니다", "the vault is not there"),
        hint=say(
            "디스크가 연결(마운트)되어 있는지 확인하십시오. 새로 만들지 않습니다",
            "check that its disk is mounted; it is never made anew in its place",
        ),
        path=str(place),
    )
