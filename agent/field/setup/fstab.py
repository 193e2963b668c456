"""The line of /etc/fstab by which the vault's disk is mounted. Pure.

A box whose vault disk is dead has to boot, and to say so: nothing waits for the disk for longer than WAIT_S, and
recording, which begins after it where it is there, begins without it. A disk that comes later, because it was slow to
spin up or was pulled and put back, is mounted when it comes.
"""

from __future__ import annotations

WAIT_S = 20
OPTIONS = ",".join(
    (
        "defaults,nodev,nosuid,noexec,noatime",
        "errors=remount-ro",  # a file system that found itself damaged takes no more writes
        f"nofail,x-systemd.device-timeout={WAIT_S}s",
        "x-systemd.before=pasu-record.service,x-systemd.before=pasu-keep.service",
    )
)
REMARK = "# Pasu: the disk for recordings. Written by `pasu init`."


def options(kind: str) -> str:
    """Return the options for a kind of file system; only ext4 knows what to do about errors."""
    return OPTIONS if kind == "ext4" else OPTIONS.replace("errors=remount-ro,", "")


def wanted_by(uuid: str) -> str:
    """Return the options by which a disk is mounted at the start, and when it comes later."""
    device = "dev-disk-by\\x2duuid-" + uuid.replace("-", "\\x2d") + ".device"  # systemd.unit(5), escaping
    return f"x-systemd.wanted-by=local-fs.target,x-systemd.wanted-by={device}"


def with_vault(text: str, uuid: str, folder: str, kind: str) -> str | None:
    """Return fstab with the vault's line.

    Returns  the same text where the line is there already; None where another line has the same folder, which a
             person has to decide about
    """
    source = f"UUID={uuid}"
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) > 1 and words[1].rstrip("/") == folder:
            return text if words[0].replace('"', "").lower() == source.lower() else None
    ended = text if not text or text.endswith("\n") else text + "\n"
    return f"{ended}{REMARK}\n{source} {folder} {kind} {options(kind)},{wanted_by(uuid)} 0 2\n"
