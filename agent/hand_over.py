"""Log-ins in clear, put where recording is handed them from: pasu-log-ins.service does so before each start.

systemd's own LoadCredential= follows links as root, and /etc/pasu is also the user `pasu`'s folder: a link there would
hand it any file of the box. So what is handed is a copy in root's memory, of what is a file there, through no link but
root's. Whosever that file is and whoever may read it: what `pasu` can put there it knows, and a slip of a hand in owner
or mode ends no recording.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent import links

CLEAR = Path("/etc/pasu/secrets.toml")
COPY = Path("/run/pasu-log-ins/secrets.plain")
REFUSED_STATUS = 1


def hand_over(clear: Path, copy: Path) -> None:
    """Copy log-ins, where there are any; a copy that was there goes first. Raises OSError."""
    copy.unlink(missing_ok=True)
    found = links.led_to(clear)
    if found is None:
        raise PermissionError("a link that is not root's, or that leads where others may change the way")
    try:
        text, _ = links.read(found)
    except FileNotFoundError:
        return
    fresh = copy.with_name(copy.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(text)
    fresh.replace(copy)


def main(clear: Path = CLEAR, copy: Path = COPY) -> int:
    """Do it, and return the exit status; what is refused is said to the journal."""
    try:
        hand_over(clear, copy)
    except OSError as error:
        print(f"<3>{clear} is not handed to recording: {error}", file=sys.stderr)
        return REFUSED_STATUS
    return 0


if __name__ == "__main__":
    sys.exit(main())
