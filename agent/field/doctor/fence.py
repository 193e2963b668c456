"""Whether the fence on the cameras' side stands, and which cameras it leaves out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.errors import UplinkFault
from agent.fence import side
from agent.field.doctor.check import Result, fail, ok, skip, warn
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.config import Config
    from agent.fence.rules import Fence


def look(config: Config, file: Path = side.FILE) -> Iterator[Result]:
    """Look at the kernel's rules, and judge them. It takes root, and the programs that put the fence up."""
    addresses, unknown = side.cameras(config)
    if not (addresses or unknown or side.ports(config)):
        yield skip("fence", say("망으로 오는 카메라가 없습니다", "no camera comes by a network"))
        return
    if os.geteuid() != 0:
        yield skip("fence", say("볼 권한이 없습니다 (sudo)", "may not be seen (sudo)"))
        return
    try:
        made = side.wanted(config, file)
        lacks = side.lacks(made)
    except UplinkFault as fault:
        yield _unseen(fault)
        return
    yield from judge(made, lacks, side.unbarred(config))


def judge(made: Fence, lacks: Sequence[str], unbarred: Mapping[str, str]) -> Iterator[Result]:
    """Judge it.

    lacks     what keeps the kernel's rules from being the fence
    unbarred  cameras of which no address is known: by id, the name that is written
    """
    interfaces, count = [*made.interfaces], len(made.cameras)
    if lacks:
        wrong = say("커널의 규칙이 있어야 할 것과 다릅니다", "the kernel's rules are not as they should be")
        yield fail("fence", f"{wrong}: {'; '.join(lacks)}", interfaces=interfaces, cameras=count)
    else:
        addresses = say(f"카메라 주소 {count}개", f"{count} camera addresses")
        barred = ", ".join([*interfaces, addresses])
        text = say(f"막은 것: {barred}", f"barred: {barred}")
        yield ok("fence", text, interfaces=interfaces, cameras=count)
    for camera, host in unbarred.items():
        text = say(
            f"막지 못했습니다: {host}의 주소가 agent.toml에도 /etc/hosts에도 없습니다",
            f"not barred: the address of {host} is neither in agent.toml nor in /etc/hosts",
        )
        yield warn("fence", text, camera, host=host)


def _unseen(fault: UplinkFault) -> Result:
    if fault.code == "TUNNEL_TOOL_MISSING":
        missing = fault.context.get("program")
        return skip("fence", say(f"{missing} 프로그램이 없습니다", f"there is no program {missing}"))
    return warn("fence", say("규칙을 볼 수 없습니다", "the rules cannot be seen"), reason=fault.code)
