"""The uplink's side of live streams: which grants there are, and what it says of them."""

from __future__ import annotations

import contextlib
import logging
from itertools import islice
from typing import TYPE_CHECKING

from agent import grants
from agent.errors import StorageFault
from agent.grants import GRANT_NAME, LIMIT_BYTES, MOST_FILES, Unreadable
from agent.storage import files
from agent.storage.files import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from agent.grants import Grant, Report

GRANTS = "grants"
REPORTS = "streams"
ENDING = ".json"
MOST_LISTED = 8 * MOST_FILES

log = logging.getLogger("pasu.uplink")


class Granted:
    """Reads grants, writes reports."""

    def __init__(self, state: Path, disk: Disk | None = None) -> None:
        """Look at nothing yet."""
        self._disk = disk or Disk()
        self._grants = state / "exchange" / GRANTS
        self._reports = state / "exchange" / REPORTS
        self._parsed: dict[str, tuple[tuple[int, int], Grant]] = {}

    def grants(self) -> dict[str, Grant]:
        """Return the grants that there are, oldest first. One that cannot be read gives nothing to anybody."""
        found: dict[str, tuple[tuple[int, int], Grant]] = {}
        for path in listed(self._grants)[:MOST_FILES]:
            with contextlib.suppress(OSError, StorageFault, Unreadable):
                status = path.stat()
                mark = status.st_mtime_ns, status.st_ino
                known = self._parsed.get(path.stem)
                if known is None or known[0] != mark:
                    known = mark, grants.parse_grant(read(self._disk, path))
                if known[1].grant == path.stem:
                    found[path.stem] = known
        self._parsed = found
        return {name: grant for name, (_, grant) in sorted(found.items(), key=lambda item: item[1][0])}

    def reports(self) -> dict[str, Report]:
        """Return what was said in an earlier life of this process."""
        found: dict[str, Report] = {}
        for path in listed(self._reports):
            with contextlib.suppress(StorageFault, Unreadable):
                found[path.stem] = grants.parse_report(read(self._disk, path))
        return found

    def put(self, report: Report) -> None:
        """Tell keep. No sync: what a power cut takes ends by the next boot."""
        place = self._reports / (report.grant + ENDING)
        try:
            self._disk.atomic_replace(place, grants.encode_report(report), sync=False)
        except StorageFault as fault:
            log.warning("%s", fault)


def listed(root: Path) -> list[Path]:
    """Return the files of a form in a folder; none where it cannot be listed: then nothing is granted.

    Of more than MOST_LISTED some: whoever fills a folder keeps nobody longer than that from his work.
    """
    try:
        return [
            path
            for path in sorted(islice(root.iterdir(), MOST_LISTED))
            if path.suffix == ENDING and GRANT_NAME.match(path.stem) and files.is_regular(path)
        ]
    except OSError:
        return []


def read(disk: Disk, path: Path) -> bytes:
    """Return what is in a small file. Raises StorageFault."""
    fd = disk.open_reading(path)
    try:
        return disk.read_at(fd, path, LIMIT_BYTES + 1, 0)
    finally:
        disk.close(fd)
