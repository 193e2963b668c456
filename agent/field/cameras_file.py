"""Cameras added to agent.toml, and their log-ins: checked before anything is written, the old files kept beside.

1. The new agent.toml is checked as `pasu config check` does, without being written.
2. The new log-ins are checked, and sealed where the others are; nothing is in its place yet.
3. What they were is kept beside them, and the new ones are in place (`agent.log_ins`): a log-in without a camera
   harms nothing, a camera without its log-in could not be recorded.
4. The old agent.toml is kept as agent.toml.bak, and the new one takes its name: the cameras are added.

Killed after any of them, both files are whole, old or new, and doing it again does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.config import Login, parse_secrets
from agent.config.load import load_text
from agent.log_ins import LogIns
from agent.machine import Machine
from agent.onvif.proposal import appended, camera_tables, log_in_tables
from agent.storage.files import Disk
from agent.storage.links import content, followed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.config import Config
    from agent.onvif.proposal import Addition

BACKUP = ".bak"
STEPS = {"1": "2", "3": "3"}
"""Steps of `LogIns.put`, as they are counted here."""


def add_cameras(
    file: Path,
    additions: Sequence[Addition],
    *,
    disk: Disk | None = None,
    machine: Machine | None = None,
    step: Callable[[str], None] = lambda _: None,
) -> Config:
    """Add cameras at the end of a configuration; what stands there already is not touched.

    machine  what log-ins are sealed to; None: this one
    step     told the number of each step when it is done
    Returns  the configuration as it is now
    Raises   ConfigProblems when it would not be right, ConfigError CONFIG_LINK: nothing is changed then; StorageFault
    """
    hidden = LogIns(file, machine or Machine(), disk or Disk())
    with hidden.changing():
        return _add(hidden, additions, step)


def _add(hidden: LogIns, additions: Sequence[Addition], step: Callable[[str], None]) -> Config:
    disk, file = hidden.disk, followed(hidden.config)
    old, status = content(file)
    new = appended(old, camera_tables(additions))
    config = load_text(new, file)
    step("1")
    before = hidden.text()
    known = parse_secrets(before, hidden.clear)
    # What an attempt that was killed after step 3 has left is not written twice.
    tables = log_in_tables(
        [each for each in additions if known.login(each.id) != Login(each.username, each.password)]
    )
    if tables:
        hidden.put(appended(before, tables), step=lambda done: step(STEPS[done]) if done in STEPS else None)
    owner, mode = (status.st_uid, status.st_gid), status.st_mode & 0o777
    disk.atomic_replace(file.with_name(file.name + BACKUP), old, sync=True, mode=mode, owner=owner)
    disk.atomic_replace(file, new, sync=True, mode=mode, owner=owner)
    step("4")
    return config
