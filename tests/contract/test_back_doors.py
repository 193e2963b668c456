"""H10: there is no back door. Nothing listens but the page where it is wanted, and no key is trusted but the city's.

What processes of a box listen to is read from the kernel's own tables, of every socket that they hold open; what is
trusted is every key and certificate in the state of an enrolled box, and in what is installed.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from agent.command.keyring import Role
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.storage import passbook
from agent.storage.files import Disk
from tests.lab import ROOT, tree, wait_for
from tests.living import LiveBox, Running, settled
from tests.page_lab import free_port
from tests.town import Town

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTENS = "0A"
"""TCP_LISTEN in the kernel's tables (include/net/tcp_states.h)."""
SPEC = CameraSpec(1, width=320, height=240, fps=15, gop=15)
BY_UDP = CameraSpec(2, width=320, height=240, fps=15, gop=15)
TRUSTED = {
    "centre/ring.jws": "who may order what, signed by the city's root key",
    "centre/root.json": "the city's root key",
    "keys/box.vkey": "its own public key, for reports",
    "uplink/box.pem": "its own certificate, from the city's authority",
    "uplink/ca.pem": "the city's authority, for the broker",
}
"""Whatever in a box's state says whom to believe: the golden list. A file more is a question to be asked."""
OWN = {"keys/box.key", "uplink/box.key"}
KEY = re.compile(
    rb"-----BEGIN (?!AGE ENCRYPTED FILE)[A-Z0-9 ]+-----|age1[0-9a-z]{58}|RW[A-Za-z0-9+/]{54}|ssh-(?:rsa|ed25519|ecdsa)"
    rb"|authorized_keys|sudoers|NOPASSWD"
)
SHIPPED = {
    "agent/storage/envelope/x25519.py": {
        b"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    },  # an example
    "packaging/pasu-care.sudoers": {
        b"sudoers"
    },  # another one, among the documents: it counts nowhere (test_care.py)
}
"""Keys, and words of log-ins, in what is installed. Public keys that releases are signed with lie in their own folder."""
RELEASE = "packaging/release-keys"


def sockets(pids: Iterable[int]) -> set[str]:
    """Return the inodes of sockets that processes hold open."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for each in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    link = os.readlink(f"/proc/{pid}/fd/{each}")
                    if link.startswith("socket:["):
                        found.add(link[8:-1])
    return found


def lines(table: str) -> list[list[str]]:
    path = Path("/proc/net", table)
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def doors(own: set[str]) -> set[tuple[str, object]]:
    """Return what strangers may knock at: listening TCP, UDP that hears everybody, raw and packet sockets, names."""
    found: set[tuple[str, object]] = set()
    for table in ("tcp", "tcp6"):
        found |= {
            (table, int(row[1].rpartition(":")[2], 16))
            for row in lines(table)
            if row[3] == LISTENS and row[9] in own
        }
    for table in ("udp", "udp6", "raw", "raw6"):
        heard = [row for row in lines(table) if row[9] in own and not row[2].strip("0:")]
        found |= {(table, int(row[1].rpartition(":")[2], 16)) for row in heard}
    found |= {("packet", row[4]) for row in lines("packet") if row[8] in own}
    for row in lines("unix"):
        # Flag 0x10000: it listens (__SO_ACCEPTCON); a name in the file system or an abstract one.
        if row[6] in own and int(row[3], 16) & 0x10000:
            found.add(("unix", Path(row[7]).name if len(row) > 7 else ""))
    return found


def hears_datagrams(own: set[str]) -> set[tuple[str, bool]]:
    """Return of UDP sockets the local address as the kernel writes it, and whether they hear one other end alone."""
    return {
        (row[1].partition(":")[0], bool(row[2].strip("0:")))
        for table in ("udp", "udp6")
        for row in lines(table)
        if row[9] in own
    }


def test_h10_nothing_of_a_box_listens_but_the_page_and_live_sockets(tmp_path: Path) -> None:
    """H10: recorder, keeper, uplink and page run, all that they can be is configured."""
    town = Town(tmp_path / "town")
    with CameraProcess([SPEC, BY_UDP]) as cameras:
        names = {SPEC.name: cameras.urls[1], BY_UDP.name: cameras.urls[2]}
        box = LiveBox(town, cameras=names, camera_options={BY_UDP.name: {"transport": "udp"}})
        port, numbers = free_port(), free_port()
        text = box.config.read_text()
        box.config.write_text(
            f'{text}media = "rtsp://127.0.0.1:{free_port()}"\n'
            f'[page]\nlisten = "127.0.0.1"\nport = {port}\nfolder = "{tmp_path}/page"\n'
            f'metrics = "127.0.0.1"\nmetrics_port = {numbers}\n'
            f'[[trigger]]\nid = "bell01"\nname = "bell"\nsource = "mqtt://127.0.0.1:{free_port()}/bell"\n'
            f'payload = "on"\ncameras = ["{SPEC.name}"]\nminutes = 5\nbefore_s = 5\n'
        )
        passbook.make(tmp_path / "page", Disk())
        page = Running(tmp_path / "page.log", "page", "--config", str(box.config))
        town.start()
        with settled(town, box), contextlib.closing(contextlib.ExitStack()) as ended:
            ended.callback(page.kill)
            box.start()
            box.begin()
            box.wait_recording(bound_s=120)
            page.start()
            served = {("tcp", port), ("tcp", numbers)}
            wait_for("the page", lambda: served <= doors(sockets([page.pid])), 120)
            wait_for("live sockets", lambda: (box.run / "live").is_dir(), 60)
            wait_for("what listens to bells", lambda: box.health().get("triggers"), 60)

            def recorder() -> set[str]:
                return sockets(tree(box.process.pid))

            assert {address for address, _ in hears_datagrams(recorder())} == {"0100007F"}, "not everywhere"
            wait_for(
                "both to be bound to the camera",
                lambda: hears_datagrams(recorder()) == {("0100007F", True)},
                60,
            )
            own = {
                "record": recorder(),
                "keep": sockets(tree(box.keep.pid)),
                "uplink": sockets(tree(box.uplink.pid)),
                "page": sockets(tree(page.pid)),
            }
            assert all(own[name] for name in ("record", "uplink", "page")), "the search sees their sockets"
            found = {name: doors(inodes) for name, inodes in own.items()}
    assert found["page"] == served
    assert found["keep"] == set()
    assert found["uplink"] == set()
    assert {kind for kind, _ in found["record"]} <= {"unix"}
    # The kernel remembers the name under which it was bound; it is put in its place by renaming.
    live = {f".{name}.sock.new" for name in names}
    assert {name for _, name in found["record"]} == {*live, f".{SPEC.name}.past.sock.new"}


def test_the_search_finds_every_kind_of_door(tmp_path: Path) -> None:
    """A search that finds nothing anywhere proves nothing."""
    with contextlib.ExitStack() as ended:
        made = [ended.enter_context(socket.socket(*kind)) for kind in (
            (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM),
        )]  # fmt: skip
        before = doors(sockets([os.getpid()]))
        made[0].bind(("127.0.0.1", 0))
        made[0].listen()
        made[1].bind(("127.0.0.1", 0))
        made[2].bind(str(tmp_path / "door.sock"))
        made[2].listen()
        found = doors(sockets([os.getpid()])) - before
    assert {kind for kind, _ in found} == {"tcp", "udp", "unix"}
    assert ("unix", "door.sock") in found


def test_h10_a_box_believes_the_citys_keys_and_no_other(tmp_path: Path) -> None:
    """H10: the trust store, file by file; each comes from the city alone."""
    town = Town(tmp_path / "town")
    town.hire(Role.OFFICER, "kim")
    box = LiveBox(town)
    box.catalogue.close()
    there = {str(path.relative_to(box.state)) for path in box.state.rglob("*") if path.is_file()}
    in_folders = {name for name in there if "/" in name and not name.endswith("lock")}
    assert in_folders == {*TRUSTED, *OWN}
    assert (box.state / "uplink" / "ca.pem").read_bytes() == town.city.at("ca", "ca.pem").read_bytes()
    root = (box.state / "centre" / "root.json").read_text()
    assert town.city.root.kid in root
    for name in there - in_folders:
        assert not KEY.search((box.state / name).read_bytes()), name


def test_h10_what_is_installed_brings_no_key_and_no_log_in() -> None:
    """H10: no vendor's key is trusted by the program, its units or its package, but for what releases are signed with."""
    found: dict[str, set[bytes]] = {}
    for folder in ("agent", "systemd", "packaging"):
        for path in (ROOT / folder).rglob("*"):
            name = str(path.relative_to(ROOT))
            if path.is_file() and "__pycache__" not in name and not name.startswith(f"{RELEASE}/"):
                hits = {match[0] for match in KEY.finditer(path.read_bytes())}
                if hits:
                    found[name] = hits
    assert {name: hits for name, hits in found.items() if not _templates(hits)} == SHIPPED
    assert {path.suffix for path in (ROOT / RELEASE).iterdir()} <= {".pub", ".md"}


def _templates(hits: set[bytes]) -> bool:
    """Tell whether they are only the first lines of what is made or read, without a key behind them."""
    return all(each.startswith(b"-----BEGIN") for each in hits)
