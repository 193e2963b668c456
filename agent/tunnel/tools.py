"""The programs that the tunnel needs, each called by a list of words: `ip`, `wg`, `nft`, `wireguard-go`. An edge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

from agent.errors import UplinkFault
from agent.language import say

TIMEOUT_S = 20.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = {"ip": "iproute2", "wg": "wireguard-tools", "nft": "nftables", "wireguard-go": "wireguard-go"}


def find(program: str) -> str:
    """Return where a program is. Raises UplinkFault TUNNEL_TOOL_MISSING."""
    found = shutil.which(program, path=PATH)
    if found is None:
        raise UplinkFault(
            "TUNNEL_TOOL_MISSING",
            say("터널에 필요한 프로그램이 없습니다", "a program that the tunnel needs is missing"),
            hint=f"apt-get install {PACKAGES[program]}",
            program=program,
        )
    return found


def call(*words: str, given: str = "") -> str:
    """Run a program and return what it printed.

    given   its input: where a secret goes in, it is by this pipe and never among the words
    Raises  UplinkFault TUNNEL_TOOL_MISSING, TUNNEL_COMMAND
    """
    program = find(words[0])
    try:
        done = subprocess.run(
            [program, *words[1:]],
            input=given,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env=dict(os.environ, LC_ALL="C"),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(words, str(error)) from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise _failed(words, said[0] if said else str(done.returncode))
    return done.stdout


def listed(*words: str) -> list[dict[str, Any]]:
    """Run a program that prints a list in JSON. Raises as `call`."""
    text = call(*words)
    try:
        found = json.loads(text or "[]")
    except ValueError as error:
        raise _failed(words, str(error)) from None
    return [each for each in found if isinstance(each, dict) and each]


def spawn(*words: str) -> None:
    """Start a program that goes into the background by itself. Raises as `call`."""
    program = find(words[0])
    try:
        status = subprocess.run(
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            env=dict(os.environ, LOG_LEVEL="error"),
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(words, str(error)) from None
    if status != 0:
        raise _failed(words, str(status))


def _failed(words: tuple[str, ...], reason: str) -> UplinkFault:
    return UplinkFault(
        "TUNNEL_COMMAND",
        say("터널을 다루는 명령이 실패했습니다", "a command about the tunnel failed"),
        hint=say(
            "root로 했는지, 리눅스 커널에 TUN 장치와 nftables가 있는지 보십시오",
            "see that root calls it, and that the kernel has TUN devices and nftables",
        ),
        command=" ".join(words),
        reason=reason,
    )
