"""A box in a town whose keeper and uplink are real processes, and the centre's `watch` as one. For tests that kill them.

Nothing is faked between a fact in the box's catalogue and the row at the centre's witness: enrolment, keys, broker's
configuration and programs are those that a city has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.centre import registry
from agent.centre.witness import FILE as WITNESS
from agent.command import order
from agent.config import load
from agent.enrolment import box as enrolled
from agent.enrolment import form
from agent.health import read_health
from agent.model import Fact, Instant, Trust
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from agent.storage.keep.time import begin_boot, mark_boot
from agent.storage.prepare import prepare
from agent.storage.proof import leaf, merkle, note
from tests.lab import Site, wait_for
from tests.town import no_passphrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.centre.rings import Signer
    from agent.command.keyring import Role
    from tests.town import Client, Town

PASU = Path(sys.executable).parent / "pasu"
BOX = "gn-0007"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Running:
    """A `pasu` command as a process, started again as often as wished. `within`: a program that starts it."""

    def __init__(self, log: Path, *arguments: str, within: Sequence[str] = ()) -> None:
        self.log = log
        self.arguments = arguments
        self.within = within
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.alive():
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, str(PASU), *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "LANG": "C.UTF-8"},
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)
                os.kill(self.pid, signal.SIGKILL)
            self.process.wait(60)

    def stop(self) -> int:
        """End it in order."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


class LiveBox(Site):
    """A box that is enrolled in a town. Its catalogue is there; `keep` and `uplink` are to be started."""

    def __init__(
        self,
        town: Town,
        box: str = BOX,
        cameras: dict[str, str] | None = None,
        *,
        clone_of: LiveBox | None = None,
        **more: Any,
    ) -> None:
        """Enrol it. `clone_of`: it has the id and every key of another instead, and a vault and ledger of its own."""
        folder = town.folder / "boxes" / (f"{box}-clone" if clone_of else box)
        super().__init__(folder, cameras or {"cam1": "rtsp://127.0.0.1:1/"}, segment_s=5, **more)
        self.town, self.box = town, box
        self.key = town.city.at("recordings", "operation.key")  # to whom an enrolled box seals
        text = self.config.read_text().replace('"lab-1"', f'"{box}"')
        self.config.write_text(f'{text}[uplink]\nbroker = "mqtts://{town.host}:{town.port}"\n')
        self.state.mkdir(mode=0o700)
        if clone_of is None:
            self.enrol()
            town.boxes[box] = self.state
        else:
            for name in ("keys", "centre", "uplink"):
                shutil.copytree(clone_of.state / name, self.state / name)
        config = load(self.config)
        now = begin_boot(self.state, config.storage.vaults)
        prepare(
            config.storage.vaults, self.state, self.cameras, now, box=box, new_uuid=lambda: str(uuid.uuid4())
        )
        self.catalogue = Catalogue.open(self.state)
        mark_boot(self.catalogue)
        self.keep = Running(self.folder / "keep.log", "keep", "--config", str(self.config))
        self.uplink = Running(self.folder / "uplink.log", "uplink", "--config", str(self.config))

    def enrol(self, days: int = 90) -> None:
        """Ask, be enrolled, accept; a second time it is a renewal."""
        config = load(self.config)
        asked = enrolled.request(config, Disk(), now_ms())
        text = registry.enrol(self.town.city, asked, days, datetime.now(UTC), no_passphrase)
        enrolled.accept(config, form.read_bundle(text.encode()), Disk())

    def run_command(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(PASU), *arguments, "--config", str(self.config)],
            capture_output=True,
            timeout=120,
            env={**os.environ, "LANG": "C.UTF-8"},
        )

    def confirm_clock(self) -> None:
        done = self.run_command("clock", "confirm", "--yes", "--by", "kim")
        assert done.returncode == 0, done

    def begin(self, *, trusted: bool = True) -> None:
        """Start both, and wait until they are there."""
        self.keep.start()
        wait_for("the keeper", lambda: self.said("keep").get("pid") == self.keep.pid, 120)
        if trusted:
            self.confirm_clock()
            wait_for("trusted time", lambda: self.said("keep").get("trust") in ("SYNCED", "HOLDOVER"), 120)
        self.uplink.start()
        self.wait_up()

    def wait_up(self) -> None:
        wait_for("the connection", lambda: self.uplink_says().get("connected"), 120)

    def uplink_says(self) -> dict[str, Any]:
        """Return what the uplink that runs says; what a predecessor left is nothing."""
        said = self.said("uplink")
        return said if self.uplink.alive() and said.get("pid") == self.uplink.pid else {}

    def said(self, process: str) -> dict[str, Any]:
        return read_health(self.run, process) or {}

    def conditions(self, process: str) -> dict[str, str]:
        return {each["code"]: each.get("detail", "") for each in self.said(process).get("conditions", [])}

    def write(self, count: int = 1, kind: str = "gap", **body: Any) -> None:
        """Write facts as a recorder does, in one transaction."""
        from agent.storage import ledger

        at = Instant(now_ms(), Trust.HOLDOVER)
        lines = [ledger.line(Fact(kind, at, {"camera": "cam1", "n": n, **body})) for n in range(count)]
        self.catalogue.write(lambda db: [ledger.append(db, line) for line in lines])

    def ledger_rows(self) -> list[tuple[Any, ...]]:
        return self.rows("select seq, at_ms, trust, kind, body from ledger order by seq")

    def accepted(self, own: str) -> int:
        """Return how often a command was carried out."""
        return sum(body.get("id") == own for _, _, body in self.facts("command.accepted"))

    def end(self) -> None:
        for each in (self.uplink, self.keep):
            each.kill()
        self.kill()
        self.catalogue.close()


class Hand:
    """Somebody of the city with a key: signs commands, numbered as they should be unless a test says otherwise."""

    def __init__(self, town: Town, role: Role, holder: str, box: str = BOX, **more: Any) -> None:
        self.town, self.box = town, box
        self.signer: Signer = town.hire(role, holder, **more)
        self.counter = 0

    def sign(self, command: str, arguments: dict[str, Any] | None = None, **more: Any) -> tuple[str, str]:
        """Return the command's id and its JWS; `more` replaces members."""
        if "counter" not in more:
            self.counter += 1
        at = more.pop("issued_ms", now_ms())
        body = {
            "city": self.town.city.id,
            "box": self.box,
            "id": os.urandom(16).hex(),
            "counter": self.counter,
            "issued_ms": at,
            "expires_ms": at + 3_600_000,
            "role": self.signer.key.role,
            "command": command,
            "arguments": arguments or {},
            "challenge": None,
        } | more
        return body["id"], order.sign(self.signer.private, **body)


class Ear:
    """What the boxes say, heard by the centre's certificate beside its `watch`."""

    def __init__(self, town: Town, *parts: str, client_id: str = "centre-ear", **more: Any) -> None:
        topics = tuple(f"pasu/v1/+/{part}" for part in parts or ("reply",))
        self.client: Client = town.connect("centre", client_id=client_id, topics=topics, **more)
        self.messages: list[tuple[str, bytes]] = []

    def send(self, text: str | bytes, box: str = BOX, **more: Any) -> None:
        data = text.encode() if isinstance(text, str) else text
        assert self.client.publish(f"pasu/v1/{box}/command", data, **more)

    def hear(self) -> list[dict[str, Any]]:
        """Return everything so far, read: but for commands, and for what is handed out."""
        from agent.uplink import payloads

        while not self.client.heard.empty():
            message = self.client.heard.get()
            self.messages.append((message.topic, message.payload))
        return [
            payloads.read(data)
            for topic, data in self.messages
            if topic.split("/")[3] not in ("command", "receipt", "export")
        ]

    def replies(self, own: str) -> list[dict[str, Any]]:
        return [said for said in self.hear() if said.get("id") == own]

    def wait_reply(self, own: str, *statuses: str) -> dict[str, Any]:
        wanted = statuses or ("done", "failed", "refused")

        def found() -> Any:
            return [each for each in self.replies(own) if each["status"] in wanted]

        return wait_for(f"{wanted} of {own}", found, 120)[0]  # type: ignore[index]

    def close(self) -> None:
        self.client.close()


class Centre:
    """`pasu centre watch` as a process, and the file in which it keeps what came."""

    def __init__(self, town: Town, *more: str) -> None:
        self.town = town
        self.watch = Running(
            town.folder / "watch.log", "centre", "watch", "--json", "--city", str(town.city.folder), *more
        )

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        place = self.town.city.at(WITNESS)
        if not place.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=30)) as witness:
            try:
                return witness.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def entries(self, box: str = BOX) -> list[tuple[Any, ...]]:
        return self.rows(
            "select f.seq, f.at_ms, f.trust, f.kind, f.body from fact f join ledger l on l.id = f.ledger"
            " where l.box = ? order by l.id, f.seq",
            box,
        )

    def size(self, box: str = BOX) -> int:
        return int(self.rows("select coalesce(max(size), 0) from ledger where box = ?", box)[0][0] or 0)

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return what a person would be told: box, what, detail. That a box was silent, or the broker away, is none."""
        return [
            row
            for row in self.rows("select box, what, detail from alarm order by id")
            if row[1] not in ("silent", "back", "broker_away", "broker_back")
        ]


def root_of(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Compute the tree over entries (seq, at_ms, trust, kind, body) anew."""
    return merkle.root_of(
        [
            leaf.object_hash(
                {"seq": seq, "at_ms": at_ms, "trust": trust, "kind": kind, "body": json.loads(body)}
            )
            for seq, at_ms, trust, kind, body in rows
        ]
    )


def checkpoint_of(box: LiveBox) -> tuple[int, bytes]:
    """Return size and root of the newest head that the box has signed."""
    ((text,),) = box.rows("select note from checkpoint order by size desc limit 1")
    head = note.parse_head(note.parse_note(str(text).encode()).text)
    return head.size, head.root


@contextlib.contextmanager
def settled(*things: Any) -> Iterator[None]:
    """End what was begun, whatever happens."""
    try:
        yield
    finally:
        for thing in things:
            getattr(thing, "end", getattr(thing, "close", getattr(thing, "stop", None)))()
