"""H11: passwords, camera addresses and private keys are planted; then nothing that leaves the box, or lies about, has them.

Everything runs and much goes wrong: a log-in that fails, a camera that is not there, a configuration that is invalid,
processes that die with a traceback, commands that are refused, an export. What is searched: every log, every message on
the wire, health files as they came and went, the ledger, the catalogue's commands, what the commands say, those for who
installs and looks after a box among them, the page and its figures, reports, and of each process its arguments and
environment.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import threading
import time
import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from agent.command.keyring import Role
from agent.config import load
from agent.storage import passbook
from agent.storage.files import Disk
from agent.uplink import payloads
from tests.lab import GstCameras, prepared_clip, tree, wait_for
from tests.living import BOX, Centre, Ear, Hand, LiveBox, Running, settled
from tests.page_lab import Site, ask, enter, free_port
from tests.town import Town

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable

RIGHT, WRONG, IN_URL = "Gh0stRiver7q", "Wr0ngHarbour9w", "Url3Lantern5k"
BUG = """
import signal


def _bug(*_):
    raise RuntimeError("a bug that a test asked for")


signal.signal(signal.SIGUSR1, _bug)
"""
ANSWERS = """
[box]
id = "gn-0007"
[storage]
recipients = ["age1nobody"]
[disk]
system_disk = true
[[camera]]
id = "cam01"
url = "{url}"
username = "operator"
password = "{password}"
"""
"""An installation that is refused: nothing of the machine is touched."""
AWAY = "10.231.77.5"
PATH = "adresse-qzx7"


def forms(secret: str) -> set[bytes]:
    """Return how a text may look where it should not be."""
    found = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.encode().hex()}
    for before in ("", "operator:", "operator:".ljust(9)):
        whole = base64.b64encode(f"{before}{secret}".encode()).decode().rstrip("=")
        found.add(whole[:-1])  # what stands behind it changes the last letter
    return {each.encode() for each in found}


class Observer:
    """Looks at processes and health files all the time, and keeps what it saw."""

    def __init__(self, box: LiveBox, centre: Centre) -> None:
        self.seen: dict[str, set[bytes]] = {}
        self._box, self._centre = box, centre
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)

    def _look(self) -> None:
        while not self._ended.wait(0.2):
            roots = [each.pid for each in (self._box.keep, self._box.uplink) if each.alive()]
            if self._box.process is not None:
                roots.append(self._box.process.pid)
            for root in roots:
                for pid in tree(root):
                    for name in ("cmdline", "environ"):
                        self._keep(f"processes: {name}", Path(f"/proc/{pid}/{name}"))
            for path in self._box.run.rglob("*.json"):
                self._keep(f"health: {path.name}", path)
            for path in (self._box.state / "exchange").rglob("*.json"):
                if path.parent.name != "orders":  # those are what the centre sent, on its way to the keeper
                    self._keep(f"exchange: {path.parent.name}", path)

    def _keep(self, where: str, path: Path) -> None:
        with contextlib.suppress(OSError):
            self.seen.setdefault(where, set()).add(path.read_bytes())


def private_keys(box: LiveBox) -> set[bytes]:
    """Return pieces of the box's private keys: of the certificate's (PKCS #8, bytes 36 to 67), and of the ledger's."""
    first, second = (box.state / "uplink" / "box.key").read_bytes().splitlines()[1:3]
    signing = (box.state / "keys" / "box.key").read_bytes().strip()
    *_, encoded = signing.split(b"+", 4)  # PRIVATE+KEY+name+id+base64, and base64 has pluses too
    secret = base64.b64decode(encoded)[1:]
    return {first[48:64], second[:24], signing[-32:], secret.hex().encode(), base64.b64encode(secret)[:32]}


def look_at_the_page(box: LiveBox, folder: Path) -> list[bytes]:
    """Return what a visitor with a pass is shown, what nobody with one is, and the figures for machines."""
    box.config.write_text(
        f'{box.config.read_text()}[page]\nlisten = "127.0.0.1"\nport = {free_port()}\nfolder = "{folder}/page"\n'
        f'metrics = "127.0.0.1"\nmetrics_port = {free_port()}\n'
    )
    passbook.make(folder / "page", Disk())
    issued = box.run_command("pass", "issue", "--for", "kim", "--company", "hanbit", "--json")
    assert issued.returncode == 0, issued
    code = json.loads(issued.stdout)["code"]
    config = load(box.config)
    place = Site(folder, config)
    page = Running(box.folder / "page.log", "page", "--config", str(box.config))
    page.start()
    try:
        wait_for(
            "the page", lambda: (place.folder / "own" / "cert.pem").exists() and answers(config.page.port), 60
        )
        entered = enter(place, code)
        assert entered.status == 303, entered
        texts = [ask(place, path=path, Cookie=entered.cookie).text for path in ("/", "/?lang=en")]
        texts += [enter(place, "WRONG").text, ask(place).text]
        with urllib.request.urlopen(
            f"http://127.0.0.1:{config.page.metrics_port}/metrics", timeout=30
        ) as got:
            texts.append(got.read().decode())
    finally:
        page.kill()
    assert code not in (box.folder / "page.log").read_text()
    return [text.encode() for text in texts]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def search(corpus: dict[str, Iterable[bytes]], wanted: set[bytes]) -> list[str]:
    return [
        f"{each!r} in {where}"
        for where, texts in corpus.items()
        for text in texts
        for each in wanted
        if each in text
    ]


def _died(process: subprocess.Popen[bytes]) -> bool:
    """Have a process meet a bug; tell whether it is over."""
    if process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
    return process.poll() is not None


def test_h11_no_secret_leaves_its_place(tmp_path, monkeypatch):
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(BUG)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "python"))
    town = Town(tmp_path / "town")
    officer, department, technician = (
        Hand(town, role, str(role)) for role in (Role.OFFICER, Role.DEPARTMENT, Role.TECHNICIAN)
    )
    clip = prepared_clip(320, 240, 15, 256, 10, 1)
    asked = ("--clip", str(clip), "--fps", "15", "--cameras", "2", "--user", f"operator:{RIGHT}")
    with GstCameras(tmp_path / "cameras", *asked) as cameras:
        urls = {
            "cam1": cameras.url(0),
            "cam2": cameras.url(1),
            "cam3": f"rtsp://{AWAY}:5541/{PATH}/main",
        }
        logins = {"cam1": ("operator", RIGHT), "cam2": ("operator", WRONG), "cam3": ("operator", RIGHT)}
        box, centre = LiveBox(town, cameras=urls, secrets=logins), Centre(town)
        town.start()
        ear = Ear(town, "#")
        observer = Observer(box, centre)
        said: list[bytes] = []
        refused: list[bytes] = []
        installing: list[bytes] = []
        shown: list[bytes] = []

        def run(into: list[bytes], *arguments: str) -> None:
            done = box.run_command(*arguments)
            into.append(done.stdout + done.stderr)

        with settled(town, centre.watch, box, ear, observer):
            box.start()
            centre.watch.start()
            box.begin()
            box.wait_recording("cam1")
            wait_for("the log-in that fails", lambda: box.states().get("cam2") not in (None, "recording"), 60)
            wait_for("recordings", lambda: len(box.segments("cam1")) >= 2, 90)

            # Commands that are refused, and one that brings a configuration which is none.
            config = box.config.read_text()
            spoilt = config.replace(f"{PATH}/main", f"{PATH}/main\nbroken = ").replace(
                "segment_s", "segment_ss"
            )
            for hand, command, arguments in (
                (technician, "hold.release", {"hold": "h1", "reason": "x"}),
                (technician, "config.propose", {"toml": spoilt, "consultation": "협의 1"}),
                (officer, "config.propose", {"toml": spoilt, "consultation": "협의 1"}),
                (officer, "inspect", {}),
            ):
                own, text = hand.sign(command, arguments)
                ear.send(text)
                ear.wait_reply(own)

            # An export, all the way to the centre.
            (first, *_) = box.segments("cam1")
            own, text = department.sign(
                "export.request",
                {
                    "camera": "cam1", "from_ms": first.start_ms, "to_ms": first.start_ms + 1000,
                    "ground": "investigation", "purpose": "crime-prevention", "recipient": "강릉경찰서",
                    "authority": "2026-1", "due": time.strftime("%Y-%m-%d", time.gmtime(time.time() + 864_000)),
                    "to": "mqtt",
                },
            )  # fmt: skip
            ear.send(text)
            assert ear.wait_reply(own)["status"] == "done"
            wait_for(
                "the export on its way",
                lambda: ear.hear() and [topic for topic, _ in ear.messages if "/export/" in topic],
                90,
            )

            # A configuration that is invalid, with a password where none may be, under a running recorder.
            wrong = config.replace(f"rtsp://{AWAY}:5541", f"rtsp://operator:{IN_URL}@{AWAY}:5541")
            box.config.write_text(wrong)
            wait_for(
                "its refusal",
                lambda: box.health().get("config", {}).get("state") not in (None, "applied"),
                60,
            )
            for arguments in (("keep",), ("uplink",), ("record",), ("hold", "list")):
                run(refused, *arguments)
            box.config.write_text(config)

            # Processes that die with a traceback.
            for pid in box.workers().values():
                os.kill(pid, signal.SIGUSR1)
            for one in (box.keep, box.uplink):
                # Python shows, and forgets, what is raised while it clears an object away: then it is asked again.
                wait_for("the end by a bug", partial(_died, one.process), 120)
            box.keep.start()
            box.uplink.start()
            box.wait_up()
            box.wait_recording("cam1", bound_s=90)

            for arguments in (
                ("health",), ("health", "--json"), ("segments", "cam1"), ("hold", "list"), ("enrol", "show"),
                ("ledger", "verify"), ("clock",), ("export", "list"), ("disks",),
            ):  # fmt: skip
                run(said, *arguments)
            answers = tmp_path / "answers.toml"
            answers.touch(0o600)
            answers.write_text(ANSWERS.format(password=RIGHT, url=f"rtsp://operator:{IN_URL}@{AWAY}/x"))
            (tmp_path / "no.deb").write_bytes(b"no package")
            for arguments in (
                ("status", "--once"), ("status", "--json"), ("report", "selfcheck"), ("report", "ledger"),
                ("report", "ledger", "--csv"), ("report", "notice"), ("report", "commissioning"),
            ):  # fmt: skip
                run(said, *arguments)
            # These speak to whoever installs the box, and name the cameras' addresses to him; no log-in all the same.
            looked = ("--seconds", "5")
            for arguments in (
                ("doctor", *looked, "--wire-seconds", "0"), ("doctor", *looked, "--wire-seconds", "0", "--json"),
                ("discover", "--host", "127.0.0.1", "--list"), ("discover", "--host", "127.0.0.1", "--json"),
                ("discover", "--host", "127.0.0.1", "--json", "--try-factory-passwords"),
                ("init", "--answers", str(answers), "--no-start"), ("config", "check"), ("secrets", "show"), ("tunnel", "show"),
                ("update", "apply", str(tmp_path / "no.deb")), ("update", "status"), ("aim", "cam2"),
            ):  # fmt: skip
                run(installing, *arguments)
            shown += look_at_the_page(box, tmp_path)
            own, text = officer.sign("inspect")
            ear.send(text)
            ear.wait_reply(own)
            wait_for("the facts at the centre", lambda: centre.size() > 20, 120)
            ear.hear()
            observer.close()
            assert box.stop() == 0

        corpus: dict[str, Iterable[bytes]] = {
            **observer.seen,
            "logs of the box": [path.read_bytes() for path in box.folder.glob("*.log")],
            "logs of the centre": [path.read_bytes() for path in town.folder.glob("*.log")],
            "the wire": [data for topic, data in ear.messages if not topic.endswith("/command")],
            "the wire, read": [payloads.dump(read).encode() for read in ear.hear()],
            "the ledger": [str(row).encode() for row in box.ledger_rows()],
            "what commands said": said,
            "the page": shown,
            "the centre's witness": [str(row).encode() for row in centre.entries()],
        }
        # Each place has something of this box, so that a search in it can find something.
        for where, mark in (
            ("logs of the box", b"cam1"), ("logs of the centre", BOX.encode()), ("the wire, read", b"cam1"), ("the ledger", b"cam1"),
            ("what commands said", b"cam1"), ("the centre's witness", b"cam1"), ("processes: cmdline", b"agent.toml"),
            ("processes: environ", b"LANG"), ("health: record.json", b"cam1"), ("health: keep.json", BOX.encode()),
            ("health: uplink.json", BOX.encode()), ("exchange: replies", BOX.encode()), ("the page", b"cam1"),
        ):  # fmt: skip
            assert search({where: corpus[where]}, {mark}), f"nothing was seen: {where}"
        for name in ("record.log", "keep.log", "uplink.log"):
            text = (box.folder / name).read_bytes()
            assert b"Traceback" in text, name
            assert b"a bug that a test asked for" in text, name
        assert all(b"CONFIG_PASSWORD_IN_URL" in text for text in refused)
        wanted = set[bytes]().union(*(forms(secret) for secret in (RIGHT, WRONG, IN_URL)))
        assert search({"secrets": [(box.folder / "secrets.toml").read_bytes()]}, wanted)
        keys = private_keys(box)
        everything = {**corpus, "what is refused": refused, "what is said to who installs": installing}
        assert search(everything, wanted) == []
        assert search(everything, keys) == []
        assert all(installing)
        for mark in (b"cam2", b"CONFIG_", b"recipients"):
            assert search({"x": installing}, {mark}), mark
        addresses = (
            forms(AWAY) | forms(PATH) | {f":{cameras.port}/".encode(), f"127.0.0.1:{cameras.port}".encode()}
        )
        # What is refused in agent.toml is shown to whoever started the command, with the address and without the login.
        assert all(b"agent.toml" in text for text in refused if search({"x": [text]}, addresses))
        assert search(corpus, addresses) == []


def test_the_search_finds_what_is_there():
    """A search that finds nothing anywhere proves nothing."""
    for text in (
        RIGHT,
        quote(RIGHT),
        base64.b64encode(f"operator:{RIGHT}".encode()).decode(),
        RIGHT.encode().hex(),
    ):
        assert search({"x": [f"so {text} it is".encode()]}, forms(RIGHT)), text
