"""Cameras at addresses that are not private: the unit that records is told to let them pass, and the person is told."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import DEFAULT_CONFIG
from agent.language import say

if TYPE_CHECKING:
    from agent.config import Config

RUNNING = Path("/run/systemd/system")
RECORD = "pasu-record.service"


def let_pass(config: Config, file: Path) -> None:
    """Have the drop-in be what the box's own agent.toml needs, and systemd know of it. Raises StorageFault.

    file  agent.toml as it was named
    A configuration at another place is nobody's service, and changes nothing. Recording that runs is started anew, a
    second's gap: what its unit lets pass is settled when it starts.
    """
    from agent.field.setup import drop_in

    if file.absolute() != DEFAULT_CONFIG:
        return
    passing = drop_in.put(config)
    if passing.changed and RUNNING.is_dir():
        subprocess.run(["systemctl", "daemon-reload"], check=False)
        subprocess.run(["systemctl", "try-restart", RECORD], check=False)
    for line in told(passing.addresses, passing.names, changed=passing.changed):
        print(line)


def told(addresses: tuple[str, ...], names: tuple[str, ...], *, changed: bool) -> list[str]:
    """Say which addresses recording may reach besides private ones, and which hosts it may not reach."""
    from agent.field.setup.drop_in import FILE

    lines = []
    if addresses:
        each = ", ".join(addresses)
        lines.append(
            say(
                f"! 사설이 아닌 카메라 주소입니다. 녹화가 이 주소에만 닿게 했습니다: {each} ({FILE})",
                f"! Cameras whose addresses are not private: recording may reach these and no others: {each} ({FILE})",
            )
        )
    elif changed:
        lines.append(
            say(
                f"사설이 아닌 카메라 주소가 이제 없어 예외를 지웠습니다 ({FILE})",
                f"No camera has an address that is not private any more: the exception is gone ({FILE})",
            )
        )
    if names:
        each = ", ".join(names)
        lines.append(
            say(
                f"! 이름으로 된 카메라 주소입니다: {each}. 사설 주소가 아니면 녹화가 닿지 못하니 IP 주소로 적으십시오.",
                f"! Cameras by name: {each}. Recording reaches private addresses only; write others as IP addresses.",
            )
        )
    return lines
