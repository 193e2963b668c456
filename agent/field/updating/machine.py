"""dpkg, systemd, health files and the vaults' folders, as an update sees them. Edge.

The standard library alone, since it runs when /opt/pasu may be anything.

What record and keep say is read here anew and not by agent.health: by whichever version, it stands where formats.md
says.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent import notify
from agent.field.updating import plan
from agent.field.updating.plan import Heard
from agent.storage import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DPKG_S = 1800.0
SYSTEMCTL_S = 120.0
LOOK_S = 60.0
LOCKED_S = 2.0
MOST_TRIES = 2
_LOCKED = "locked by another process"
MOST_BYTES = 1 << 20
CATALOGUE = "catalogue.db"
_UNKNOWN = 255


class Machine(Protocol):
    """What an update does to a box; tests have one of their own beside the real one."""

    def fields(self, package: Path) -> dict[str, str]:
        """Return a package's control fields, those of plan.FIELDS; none of what is no package."""
        ...

    def installed(self) -> str:
        """Return the version that is installed, "" for none."""
        ...

    def architecture(self) -> str:
        """Return what packages must be for."""
        ...

    def order(self, one: str, other: str) -> int:
        """Return -1, 0 or 1: a version is older than another, the same, or newer."""
        ...

    def free(self, place: Path) -> int:
        """Return how many bytes there is room for in a folder."""
        ...

    def install(self, package: Path) -> str:
        """Install a package over what is there, whatever state that is in; return what went wrong, "" for nothing."""
        ...

    def active(self, units: Sequence[str]) -> tuple[str, ...]:
        """Return those of the units that run, or are to."""
        ...

    def stop(self, units: Sequence[str]) -> None:
        """Stop units, and wait until they have."""
        ...

    def start(self, units: Sequence[str]) -> None:
        """Have units start again, by what lies there now; wait for none."""
        ...

    def heard(self, run: str) -> Heard:
        """Return what record and keep say."""
        ...

    def marks(self, vaults: Sequence[str], cameras: Sequence[str]) -> dict[str, str]:
        """Return what there is of each camera's newest footage: another text when there is more of it."""
        ...

    def catalogue(self, state: str) -> int | None:
        """Return the version of the catalogue; None where there is none, or it cannot be told."""
        ...

    def boot(self) -> str:
        """Return the kernel's name for this boot."""
        ...

    def boot_s(self) -> float:
        """Return seconds since boot, sleep included."""
        ...

    def utc_ms(self) -> int:
        """Return the time of day."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def ready(self) -> None:
        """Say that the other units may start."""
        ...


class Debian:
    """A box that runs Debian and systemd."""

    def __init__(self) -> None:
        """Look at nothing yet. Programs are found by PATH."""
        self._notifier = notify.take()

    def fields(self, package: Path) -> dict[str, str]:
        """Ask dpkg-deb."""
        done = _run(("dpkg-deb", "--field", str(package), *plan.FIELDS), LOOK_S)
        if done.returncode != 0:
            return {}
        pairs = (line.partition(": ") for line in done.stdout.splitlines() if line[:1] not in (" ", "\t"))
        return {name: value for name, colon, value in pairs if colon}

    def installed(self) -> str:
        """Ask dpkg."""
        done = _run(("dpkg-query", "--show", "--showformat=${Version}", plan.PACKAGE), LOOK_S)
        return done.stdout.strip() if done.returncode == 0 else ""

    def architecture(self) -> str:
        """Ask dpkg."""
        return _run(("dpkg", "--print-architecture"), LOOK_S).stdout.strip()

    def order(self, one: str, other: str) -> int:
        """Ask dpkg."""
        if _run(("dpkg", "--compare-versions", one, "eq", other), LOOK_S).returncode == 0:
            return 0
        return 1 if _run(("dpkg", "--compare-versions", one, "gt", other), LOOK_S).returncode == 0 else -1

    def free(self, place: Path) -> int:
        """Ask its file system."""
        return shutil.disk_usage(place).free

    def install(self, package: Path) -> str:
        """Do as `dpkg --install`; again where the first time left something that the second puts in order."""
        # The package's scripts start nothing then: this does, in its order.
        environment = {"DEBIAN_FRONTEND": "noninteractive", "PASU_UPDATE": "1"}
        command = ("dpkg", "--force-confdef", "--force-confold", "--install", str(package))
        until_s, tries = self.boot_s() + DPKG_S, 0
        while True:
            done = _run(command, DPKG_S, environment)
            said = (done.stderr or done.stdout).strip()
            if done.returncode == 0:
                return ""
            if _LOCKED in said and self.boot_s() < until_s:
                # Another dpkg; it may be the one of a finisher that was killed.
                self.sleep(LOCKED_S)
                continue
            tries += 1
            if tries == MOST_TRIES:
                return said[-500:] or f"dpkg: {done.returncode}"

    def active(self, units: Sequence[str]) -> tuple[str, ...]:
        """Ask systemd. One that fails and is tried again is to run."""
        said = {}
        for unit in units:
            shown = _run(("systemctl", "show", "--property=ActiveState", "--value", unit), LOOK_S)
            said[unit] = shown.stdout.strip()
        return tuple(unit for unit in units if said[unit] in ("active", "activating", "reloading"))

    def stop(self, units: Sequence[str]) -> None:
        """Tell systemd."""
        if units:
            _run(("systemctl", "stop", *units), SYSTEMCTL_S)

    def start(self, units: Sequence[str]) -> None:
        """Tell systemd."""
        _run(("systemctl", "daemon-reload"), SYSTEMCTL_S)
        for unit in units:
            _run(("systemctl", "--no-block", "restart", unit), SYSTEMCTL_S)

    def heard(self, run: str) -> Heard:
        """Read their health files."""
        record, keep = self._said(run, "record"), self._said(run, "keep")
        return Heard(_pid(record), _pid(keep), _those(record, "recording"), _those(record, "resting"))

    def _said(self, run: str, process: str) -> Mapping[str, object]:
        """Return what a process said within plan.FRESH_S."""
        try:
            body = json.loads(files.read_small(Path(run) / f"{process}.json", MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        at = body.get("boot_ms") if isinstance(body, dict) else None
        if type(at) is not int or not 0 <= self.boot_s() - at / 1000 <= plan.FRESH_S:
            return {}
        return body  # type: ignore[no-any-return]  # a dict, or it had no boot_ms

    def marks(self, vaults: Sequence[str], cameras: Sequence[str]) -> dict[str, str]:
        """List the newest day of each camera in each vault: names and sizes."""
        return {
            camera: "|".join(each for vault in vaults for each in _newest(Path(vault) / "segments" / camera))
            for camera in cameras
        }

    def catalogue(self, state: str) -> int | None:
        """Ask SQLite, as the owner of the state: what root would make beside a database, its owner could not open."""
        try:
            owner = (Path(state) / CATALOGUE).stat()
        except OSError:
            return None
        child = os.fork()
        if child == 0:
            os._exit(_ask_as(owner, Path(state) / CATALOGUE))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status if 0 <= status < _UNKNOWN else None

    def boot(self) -> str:
        """Read /proc."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def boot_s(self) -> float:
        """Read CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def utc_ms(self) -> int:
        """Read CLOCK_REALTIME."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def ready(self) -> None:
        """Tell systemd, where it asked (sd_notify(3))."""
        self._notifier.ready()


def _run(
    command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; one that is not there, or does not end, has failed."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            **more,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error}")


def _ask_as(owner: os.stat_result, place: Path) -> int:
    """Return a catalogue's version, or _UNKNOWN; for a fork, which becomes its owner."""
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)
        db = sqlite3.connect(f"{place.absolute().as_uri()}?mode=ro", uri=True)
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        db.close()
    except (OSError, sqlite3.Error):
        return _UNKNOWN
    return version if 0 <= version < _UNKNOWN else _UNKNOWN


def _those(said: Mapping[str, object], state: str) -> frozenset[str]:
    """Return the cameras that a recorder says are in a state."""
    cameras = said.get("cameras")
    return frozenset(
        name
        for name, each in (cameras.items() if isinstance(cameras, dict) else ())
        if isinstance(each, dict) and each.get("state") == state
    )


def _pid(said: Mapping[str, object]) -> int:
    pid = said.get("pid")
    return pid if type(pid) is int else 0


def _newest(camera: Path) -> list[str]:
    """Return the files of a camera's newest day, with their sizes; of a clock that was wrong, so be it."""
    try:
        days = sorted(entry.name for entry in os.scandir(camera))[-2:]
        found = [entry for day in days for entry in os.scandir(camera / day)]
        return sorted(f"{entry.name}:{entry.stat(follow_symlinks=False).st_size}" for entry in found)
    except OSError:
        return []
