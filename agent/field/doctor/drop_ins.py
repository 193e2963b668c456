"""Drop-ins by which somebody hands recording its log-ins otherwise than the package does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.field.doctor.check import Result, warn
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDERS = tuple(
    Path(place) / "pasu-record.service.d"
    for place in ("/etc/systemd/system", "/run/systemd/system", "/etc/systemd/system.control")
)
SETS = ("LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted")


def handing(folders: Iterable[Path] = FOLDERS) -> list[Path]:
    """Return those that set a credential, in the order of systemd; one that cannot be read is none."""
    found = sorted(path for folder in folders for path in folder.glob("*.conf"))
    return [path for path in found if _sets(path)]


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
