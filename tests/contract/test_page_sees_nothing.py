"""From the page's process no file of vault, catalogue, keys or live streams can be opened: tried by its user, not assumed.

Without the unit, which hides all of it besides: by owner and mode of the files alone, as the agent makes them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import tempfile
import traceback
from pathlib import Path

import pytest

from agent.capture.live import LiveSocket
from agent.field.page import life
from agent.field.page.app import App
from agent.field.page.door import Door, clock
from agent.health import write_health
from agent.storage import exchange, passbook
from agent.storage.files import Disk
from agent.storage.proof import signing
from tests.page_lab import VAULT, ask, enter, said, site, wait_for
from tests.unit.keep.kept import Kept

AGENT, PAGE = 61_001, 61_002
"""The users `pasu` and `pasu-page`, each with a group of its own."""
DENIED = (errno.EACCES, errno.EPERM)


def become(uid: int) -> None:
    """Be another user for good, without any other group."""
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    os.umask(0o077)


def as_user(uid: int, work):
    """Return what a child of that user comes to. It has all modules already: their files may be another's."""
    "".encode("utf-16-be")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            become(uid)
            os.write(writing, json.dumps(work()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return json.loads(text)


@pytest.fixture
def place():
    """A box as the agent's user leaves it, under the umask of its units; the page's folder as tmpfiles.d makes it."""
    assert os.geteuid() == 0, "run as root: two other users are needed"
    # Not below pytest's own folder, which lets in nobody but root.
    with tempfile.TemporaryDirectory(prefix="pasu-page-") as folder:
        Path(folder).chmod(0o755)
        yield from _place(Path(folder))


def _place(top: Path):
    umask = os.umask(0o077)
    try:
        root = top / "box"
        root.mkdir(mode=0o755)
        root.chmod(0o755)
        box = site(root)
        live = LiveSocket(str(box.run), "cam01.main", select.epoll())
        exchange.make(root / "state", Disk())
        signing.load_or_create(root / "state", "gn-0007", Disk())
        footage = Kept(root / "footage")
        footage.record(count=3)
        for process, more in (("record", {}), ("keep", {"vaults": [VAULT]}), ("tunnel", {})):
            write_health(box.run, process, said(process, **more))
        _, code = box.issue()
    finally:
        os.umask(umask)
    # Folders that people and tmpfiles.d make are open; what the agent makes below them must be closed by itself.
    for folder in (box.run, root / "vault", root / "state", footage.root, footage.vault_path, footage.state):
        folder.chmod(0o755)
    for path in [root, *root.rglob("*")]:
        os.chown(path, AGENT, AGENT, follow_symlinks=False)
    page = box.folder
    for name, mode, owner, group in (
        ("", 0o755, 0, 0),
        (passbook.PASSES, 0o2750, AGENT, PAGE),
        (passbook.VISITS, 0o2770, AGENT, PAGE),
        (passbook.OWN, 0o700, PAGE, PAGE),
    ):
        os.chown(page / name, owner, group)
        (page / name).chmod(mode)
    for path in (page / passbook.PASSES).iterdir():
        os.chown(path, AGENT, PAGE)
    (box.run / "page").mkdir(mode=0o755)
    (box.run / "page").chmod(0o755)
    os.chown(box.run / "page", PAGE, PAGE)
    yield box, code
    live.close()


def footage_of(box) -> list[str]:
    """Return every file and socket of footage, catalogue, keys, exchange and live streams."""
    roots = [box.root / "footage", box.root / "state", box.root / "vault", box.run / "live"]
    found = [path for root in roots for path in sorted(root.rglob("*")) if not path.is_dir()]
    for kind in (".mp4.age", "catalogue.db", ".sock", "VAULT"):
        assert any(path.name.endswith(kind) for path in found), (kind, found)
    assert any("keys" in path.parts for path in found)
    return [str(path) for path in found]


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(path)


def reached(paths: list[str], ways: list[str], free: str) -> list[str]:
    """Return which of them could be reached, and how: by whoever asks."""
    work = {
        "read": lambda path: os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK)),
        "write": lambda path: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)),
        "connect": connect,
        "unlink": os.unlink,
        "move": lambda path: os.rename(path, path + "x"),
        "link": lambda path: os.link(path, f"{free}/linked"),
    }
    found = []
    for path in paths:
        for way in ways:
            try:
                work[way](path)
            except OSError as error:
                if error.errno in DENIED:
                    continue
            found.append(f"{way} {path}")
    return found


def test_h10_the_pages_user_opens_connects_moves_and_removes_nothing_of_it(place):
    """H10: all files there are, each in every way: what a contractor is given is no way to footage."""
    box, _ = place
    free = box.root.parent / "free"
    free.mkdir()
    free.chmod(0o777)
    paths = footage_of(box)
    sockets = [path for path in paths if path.endswith(".sock")]
    assert as_user(PAGE, lambda: reached(paths, ["read", "write", "unlink", "move", "link"], str(free))) == []
    assert as_user(PAGE, lambda: reached(sockets, ["connect"], "")) == []
    assert [path for path in paths if not os.path.lexists(path)] == []


def test_the_attempts_succeed_for_whom_they_may(place):
    """Else they would show nothing: the agent's own user opens every file and connects to every socket."""
    box, _ = place
    paths = footage_of(box)
    sockets = [path for path in paths if path.endswith(".sock")]
    files = [path for path in paths if path not in sockets]
    assert as_user(AGENT, lambda: reached(files, ["read"], "")) == [f"read {path}" for path in files]
    assert as_user(AGENT, lambda: reached(sockets, ["connect"], "")) == [
        f"connect {path}" for path in sockets
    ]


def test_and_yet_the_page_works(place):
    """Health and passes it reads; keep, as the agent's user, hears of the visit and takes the word away."""
    box, code = place
    # What is imported and decoded once is there for the child, whose user may not be let into our Python.
    App(box.config, Door(box.folder, clock), dict)
    "".encode("idna")
    pid = os.fork()
    if pid == 0:
        try:
            become(PAGE)
            os._exit(life.serve(box.config))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    try:
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == 0 and answers(box))
        assert os.stat(f"/proc/{pid}").st_uid == PAGE
        cookie = enter(box, code).cookie
        text = ask(box, Cookie=cookie, Accept_Language="en").text
        assert "38.4 days" in text
        assert "김정비" in text
    finally:
        os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (box.run / "page" / "page.json").stat().st_uid == PAGE

    def heard() -> list[str]:
        told = []
        for name in passbook.words(box.folder):
            told.append(str(passbook.read_word(box.folder, name).what))
            passbook.drop_word(box.folder, name, Disk())
        return told

    assert as_user(AGENT, heard) == ["visited"]
    assert passbook.words(box.folder) == []


def answers(box) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection((box.config.page.listen[0], box.config.page.port), 1).close()
        return True
    return False


def test_the_page_can_put_nothing_in_the_place_of_what_the_agent_writes(place):
    """Taken over, it writes no pass, and no link where keep writes as another user."""
    box, _ = place
    page = box.folder

    def tried() -> list[str]:
        works = {
            "write": lambda: (page / "passes" / "ffffffff.json").write_text("x"),
            "change": lambda: next((page / "passes").iterdir()).write_text("x"),
            "unlink": lambda: next((page / "passes").iterdir()).unlink(),
            "move": lambda: (page / "passes").rename(page / "gone"),
            "move visits": lambda: (page / "visits").rename(page / "gone"),
            "link": lambda: (page / "new").symlink_to("/etc"),
            "health": lambda: (box.run / "keep.json").write_text("{}"),
            "new health": lambda: (box.run / "other.json").write_text("{}"),
        }
        done = []
        for name, work in works.items():
            with contextlib.suppress(PermissionError):
                work()
                done.append(name)
        return done

    assert as_user(PAGE, tried) == []
