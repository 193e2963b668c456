"""What finishes an update, in a file of its own: Python and its standard library are Debian's, and all else is in it.

`write` packs this very version of the modules that it takes; `main` is what the file runs.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import signal
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from agent.field.updating.finish import Finisher
from agent.field.updating.machine import Debian
from agent.field.updating.plan import Outcome, Unreadable
from agent.field.updating.store import Store
from agent.language import say
from agent.storage.files import Disk
from agent.storage.updated import PLACE

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = (
    "agent",
    "agent.errors",
    "agent.field",
    "agent.field.updating",
    "agent.field.updating.finish",
    "agent.field.updating.machine",
    "agent.field.updating.plan",
    "agent.field.updating.rescue",
    "agent.field.updating.store",
    "agent.language",
    "agent.notify",
    "agent.storage",
    "agent.storage.files",
    "agent.storage.updated",
)
_MAIN = "import sys\nfrom agent.field.updating.rescue import main\nsys.exit(main(sys.argv[1:]))\n"
_PACKED = (1980, 1, 1, 0, 0, 0)
NOT_APPLIED = 3
BUSY = 4


def pack() -> bytes:
    """Return the file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr(zipfile.ZipInfo("__main__.py", _PACKED), _MAIN)
        for name in MODULES:
            found = importlib.util.find_spec(name)
            assert found is not None
            assert found.origin is not None
            path = name.replace(".", "/") + ("/__init__.py" if found.submodule_search_locations else ".py")
            made.writestr(zipfile.ZipInfo(path, _PACKED), Path(found.origin).read_bytes())
    return packed.getvalue()


def command(store: Store) -> list[str]:
    """Return what runs it: Debian's Python, without anything of /opt/pasu or of the environment."""
    return [os.path.realpath(sys.executable), "-I", "-S", str(store.rescue), str(store.place)]


def main(arguments: Sequence[str]) -> int:
    """Finish what the journal says; return 0, NOT_APPLIED when it was taken back, or BUSY.

    arguments  the folder of updates; none: PLACE
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # whoever typed it may be gone by now
    store = Store(Path(arguments[0]) if arguments else PLACE, Disk())
    lock = store.lock()
    if lock is None:
        tell(say("다른 프로세스가 업데이트하고 있습니다.", "Another process is at it."))
        return BUSY
    try:
        journal = store.journal()
    except Unreadable as error:
        tell(f"{store.private}/journal.json: {error}")
        return 1
    if journal is None:
        tell(say("끝낼 업데이트가 없습니다.", "There is no update to finish."))
        return 0
    over = Finisher(store, Debian(), tell=tell).run(journal)
    os.close(lock)
    return 0 if over.outcome is Outcome.APPLIED else NOT_APPLIED


def tell(text: str) -> None:
    """Say what is going on, if anybody is still there to read it."""
    with contextlib.suppress(OSError):
        os.write(1, text.encode(errors="replace") + b"\n")
