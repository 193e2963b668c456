"""What all processes of a box say, put together: for `pasu health`, `pasu status`, the page and /metrics. Edge.

It reads health files and the folder of the page, and nothing of footage, catalogue or keys.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.health import Raised, gather, read_health
from agent.health.files import folder_of
from agent.storage import passbook

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import Config
    from agent.model import Instant


def read(config: Config, now: Instant, *, enrolled: bool) -> dict[str, Any]:
    """Read the files.

    enrolled  whether the uplink should be heard: the centre knows this box
    Returns   box, site, at_ms, trust, boot_ms; conditions (as `health.gather`); processes: each one's own words, by the
              name of its file, None for one that is silent; visits (as `passbook.seen`) where there is a page
    Raises    StorageFault for a file that is there and may not be read: else its process would look silent
    """
    run = config.storage.run
    also = [Raised("uplink.not_enrolled")] if config.uplink and not enrolled else []
    names = ["record", "keep", *(["uplink"] if enrolled else []), *(["tunnel"] if config.tunnel else [])]
    healths = {}
    for process in names:
        if process != "uplink":  # whose file may be anything: it is read with care, or taken for silent
            _check(run / f"{process}.json")
        healths[process] = read_health(run, process)
    boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    found: dict[str, Any] = {
        "box": config.box.id,
        "site": config.box.site,
        "at_ms": now.utc_ms,
        "trust": str(now.trust),
        "boot_ms": int(boot_s * 1000),
        "conditions": gather(healths, boot_s, now, also=also),
        "processes": healths,
    }
    if config.page:
        # Nothing depends on the page: that it is silent is shown, and is no condition (ADR 0024, 13).
        healths["page"] = read_health(run, "page")
        found["visits"] = passbook.seen(config.page.folder)
    return found


def of_box(config: Config) -> dict[str, Any]:
    """Read them for a command, which may ask the state directory for the time and for the enrolment.

    Raises  StorageFault, as `read`; ENROLMENT_UNSEEN where nothing says whether the centre knows this box
    """
    from agent.clock import SystemClock
    from agent.reporting import is_enrolled

    try:
        enrolled = config.uplink is not None and is_enrolled(config)
    except StorageFault:
        if not (enrolled := is_reporting(config)):
            raise
    return read(config, SystemClock(config.storage.state).now(), enrolled=enrolled)


def is_reporting(config: Config) -> bool:
    """Tell whether the uplink was ever started: its unit does so, and makes its folder, once the box is enrolled."""
    return config.uplink is not None and folder_of(config.storage.run, "uplink").is_dir()


def _check(file: Path) -> None:
    """Make sure that a file which is there may be read. Raises StorageFault."""
    from agent.storage.files import Disk

    try:
        Disk().close(Disk().open_reading(file))
    except StorageFault as fault:
        if fault.code != "DISK_MISSING":
            raise
