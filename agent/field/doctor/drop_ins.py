"""Drop-ins: those that hand recording its log-ins otherwise than the package does, and those that a vault wants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.field.doctor.check import Result, fail, warn
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACES = tuple(map(Path, ("/etc/systemd/system", "/run/systemd/system", "/etc/systemd/system.control")))
FOLDERS = tuple(place / "pasu-record.service.d" for place in PLACES)
UPLINK_FOLDERS = tuple(place / "pasu-uplink.service.d" for place in PLACES)
HOME = Path("/var/lib/pasu")
STATE = HOME / "state"
ELSEWHERE = tuple(map(Path, ("/mnt", "/media", "/srv", "/var/lib/pasu-page", "/home", "/root", "/run/user")))
"""What the package's pasu-uplink.service has out of sight besides all of HOME but the state."""
SETS = ("LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted")


def handing(folders: Iterable[Path] = FOLDERS) -> list[Path]:
    """Return those that set a credential, in the order of systemd; one that cannot be read is none."""
    found = sorted(path for folder in folders for path in folder.glob("*.conf"))
    return [path for path in found if _sets(path)]


def in_sight(vaults: Iterable[Path], folders: Iterable[Path] = UPLINK_FOLDERS) -> list[Path]:
    """Return the vaults that reporting, which talks outside, is not barred from by unit or drop-in."""
    barred = [place for folder in folders for path in sorted(folder.glob("*.conf")) for place in _bars(path)]

    def is_barred(vault: Path) -> bool:
        own = vault.is_relative_to(HOME) and not vault.is_relative_to(STATE)
        return own or any(vault.is_relative_to(place) for place in (*ELSEWHERE, *barred))

    return [vault for vault in vaults if not is_barred(vault)]


def _bars(path: Path) -> list[Path]:
    """Return what a drop-in hides; one that cannot be read hides nothing."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for name, _, value in (line.partition("=") for line in lines):
        if name.strip() in ("TemporaryFileSystem", "InaccessiblePaths"):
            found += [Path(word.lstrip("-+").partition(":")[0]) for word in value.split()]
    return found


def judge_sight(vaults: Iterable[Path]) -> list[Result]:
    """Judge the vaults that `in_sight` returned."""
    return [
        fail(
            "hardening.unit",
            say(
                "보고 프로세스가 이 저장소를 봅니다: pasu-uplink.service의 드롭인에 "
                f"`TemporaryFileSystem={vault}:ro`와 `BindReadOnlyPaths=-{vault}/outgoing`을 적으십시오",
                f"reporting sees this vault: write `TemporaryFileSystem={vault}:ro` and "
                f"`BindReadOnlyPaths=-{vault}/outgoing` into a drop-in of pasu-uplink.service",
            ),
            str(vault),
        )
        for vault in vaults
    ]


def _sets(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(name.strip() in SETS for name, sign, _ in (line.partition("=") for line in lines) if sign)


def judge(found: Iterable[Path]) -> list[Result]:
    """Judge them: each takes the place of the unit's own lines, and where nothing opens recording does not start."""
    text = say(
        "녹화에 계정을 따로 건넵니다. 봉인이 열리지 않으면 녹화가 시작되지 않습니다: LoadCredential= 줄을 지우고 "
        "`systemctl daemon-reload`",
        "it hands recording log-ins in its own way, and where they do not open nothing is recorded: take out its lines "
        "of LoadCredential=, then `systemctl daemon-reload`",
    )
    return [warn("hardening.unit", text, str(path)) for path in found]
