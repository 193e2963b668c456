"""Is the guard in force now? An edge: asks the kernel.

Whoever may list the rules compares them with what they should be. The uplink may not; it tries, with a packet that
would never leave the box: only while the guard is there, and counts this very process to its group, is it refused.
"""

from __future__ import annotations

import errno
import grp
import json
import os
import pwd
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError, UplinkFault
from agent.health.files import read_health
from agent.health.gather import silent_s
from agent.language import say
from agent.tunnel import ruleset, tools
from agent.tunnel.ruleset import CANARY, TABLE, Guard

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import Config

SAID_S = 15.0
"""What `pasu tunnel watch` said of the rules counts for so long; it says so every two seconds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the kernel keeps the uplink inside the tunnel now; `lacks` says why not."""

    lacks: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Return the yes or no."""
        return not self.lacks


def group_id(group: str) -> int:
    """Return the id of the uplink's group. Raises ConfigError TUNNEL_GROUP."""
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            "TUNNEL_GROUP",
            say("터널을 쓰는 그룹이 이 박스에 없습니다", "the group of the uplink is not on this box"),
            hint=f"systemd-sysusers, or: groupadd --system {group}",
            group=group,
        ) from None


def refuse_recording(group: int, state: Path) -> None:
    """Refuse a group of recording itself: the rules would bar it from its cameras.

    state   folder of the agent's state, whose owner records, with the first of that user's groups
    Raises  ConfigError TUNNEL_GROUP_RECORDS
    """
    try:
        own = {0, pwd.getpwuid(state.stat().st_uid).pw_gid}
    except (OSError, KeyError):
        own = {0}  # a state that is not there, and a user without a name, are told elsewhere
    if group in own:
        raise ConfigError(
            "TUNNEL_GROUP_RECORDS",
            say(
                "[tunnel] group이 녹화가 쓰는 그룹입니다. 규칙이 녹화를 카메라에서 끊게 됩니다",
                "[tunnel] group is a group of recording itself: the rules would cut it off from its cameras",
            ),
            hint=say(
                'uplink만의 그룹을 적으십시오. 예: group = "pasu-uplink"',
                'name a group that is the uplink\'s alone, as group = "pasu-uplink"',
            ),
            group=group,
        )


def load(guard: Guard) -> None:
    """Put the rules in force, those before them out of it, in one step. Raises UplinkFault."""
    tools.call("nft", "-f", "-", given=ruleset.text(guard))


def listed(guard: Guard) -> Verdict:
    """Compare the kernel's rules with what they should be; this takes root. Raises UplinkFault."""
    try:
        text = tools.call("nft", "-j", "list", "table", "inet", TABLE)
    except UplinkFault as fault:
        if "No such file or directory" not in str(fault.context.get("reason")):
            raise  # who may not look, or has an nft without JSON, has not seen that there are none
        return Verdict(("the kernel has no such rules",))
    try:
        found: Any = json.loads(text)
    except ValueError:
        return Verdict(("the rules cannot be read",))
    return Verdict(tuple(ruleset.lacks(found, guard)))


def refused() -> bool:
    """Tell whether the guard counts this process to its group: the packet that is tried never leaves the box."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.sendto(b"", CANARY)
    except OSError as error:
        # The unit's own filter (IPAddressAllow=localhost) lets it pass; EPERM is the guard's.
        return error.errno == errno.EPERM
    return False


def of_this_process(config: Config, boot_s: float) -> Verdict:
    """Say whether this process, the uplink, is kept inside the tunnel now.

    boot_s  seconds since boot
    Where no [tunnel] is configured nothing is asked for, and nothing lacks.
    """
    if config.tunnel is None:
        return Verdict(())
    lacks = []
    try:
        group = group_id(config.tunnel.group)
    except ConfigError:
        lacks.append(f"there is no group {config.tunnel.group}")
    else:
        if os.getegid() != group:
            lacks.append(f"this process is not of the group {config.tunnel.group}")
    if not refused():
        lacks.append("the kernel does not refuse what it should")
    if not has_interface(config.tunnel.interface):
        lacks.append(f"there is no interface {config.tunnel.interface}")
    return Verdict((*lacks, *_said(config.storage.run, boot_s)))


def has_interface(name: str) -> bool:
    """Tell whether there is a network interface of this name."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _said(run: Path, boot_s: float) -> list[str]:
    """Return what the watch, which may list the rules, finds lacking."""
    said = read_health(run, "tunnel")
    silent = silent_s(said, boot_s)
    if said is None or silent is None or silent > SAID_S:
        return ["`pasu tunnel watch` does not run"]
    lacks = said.get("lacks")
    return (
        [str(each) for each in lacks]
        if isinstance(lacks, list)
        else ["`pasu tunnel watch` says nothing of the rules"]
    )
