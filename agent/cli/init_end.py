"""The end of `pasu init`: the units are started, and the person is told where the page is and what comes next."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.common import DEFAULT_CONFIG
from agent.cli.let_pass import let_pass
from agent.language import say

if TYPE_CHECKING:
    from agent.config import Config

PART_STATUS = 3
RUNNING = Path("/run/systemd/system")
TARGET, DISKS, PAGE = "pasu.target", "pasu-disks.service", "pasu-page.service"
WITH_TUNNEL = ("pasu-uplink", "pasu-tunnel", "pasu-egress")


def finish(config: Config, file: Path, *, start: bool) -> int:
    """Start the units where systemd runs, and say what comes next; return the exit status.

    file  agent.toml as it was named
    """
    status = 0
    let_pass(config, file)
    if start and file == DEFAULT_CONFIG and RUNNING.is_dir():
        from agent.field.doctor.look import unit_names

        subprocess.run(["systemctl", "daemon-reload"], check=False)
        # What waits for the tunnel begins with it: `pasu tunnel install`, after enrolment.
        units = [TARGET, *(unit for unit in unit_names(config) if not unit.startswith(WITH_TUNNEL))]
        done = subprocess.run(["systemctl", "start", *units], check=False)
        # Its timer lets two minutes go by after a boot; doctor is asked before.
        subprocess.run(["systemctl", "start", "--no-block", DISKS], check=False)
        if done.returncode:
            status = PART_STATUS
            print(
                say(
                    "! 시작하지 못한 것이 있습니다: systemctl status 'pasu-*'",
                    "! Not all was started: systemctl status 'pasu-*'",
                )
            )
        else:
            works = " ".join(unit.removesuffix(".service") for unit in units if unit.endswith(".service"))
            print(say(f"시작했습니다: {works}", f"started: {works}"))
    else:
        print(say(f"시작하려면: systemctl start {TARGET}", f"to start it: systemctl start {TARGET}"))
    for line in page_lines(config):
        print(line)
    print(say("다음: sudo pasu doctor (현장 검사)", "next: sudo pasu doctor (acceptance of the site)"))
    return status


def page_anew(config: Config) -> None:
    """Have the page be what agent.toml says since it was changed: begun, begun anew, or ended; and say where it is.

    It is handed a copy of the file when it starts, and its unit does not start without [page]. A path unit has a page
    that runs follow each change; one that was not there before begins here.
    """
    if config.file == DEFAULT_CONFIG and RUNNING.is_dir():
        subprocess.run(["systemctl", "restart", PAGE], check=False)
    for line in page_lines(config):
        print(line)


def page_lines(config: Config) -> list[str]:
    """Say where the page is, as it is typed, and what its certificate must show; nothing where there is none."""
    from agent.errors import PasuError
    from agent.field.page import tls

    page = config.page
    if page is None:
        return []
    hosts = (f"[{address}]" if ":" in address else address for address in page.listen)
    where = " ".join(f"https://{host}:{page.port}" for host in hosts)
    try:
        known = tls.fingerprint(page.folder)
    except PasuError:  # the page makes it when it begins
        known = say(
            "아직 없음, 페이지가 열리면 `pasu status`에", "none yet; `pasu status` says it once it is served"
        )
    enter = "sudo pasu pass issue"
    return [
        say(f"상태 페이지: {where} (출입증: {enter})", f"health page: {where} (to enter: {enter})"),
        say(f"  인증서 지문(SHA-256): {known}", f"  its certificate's fingerprint (SHA-256): {known}"),
    ]
