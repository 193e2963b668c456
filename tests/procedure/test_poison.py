"""A8: a camera whose bytes crash the worker that reads them, in the whole program: found, restricted, and harmless to others.

There is no such input that we know of, so the worker here has the bug put in: it dies at a pattern of bytes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.lab import Site, wait_for
from tests.procedure.test_faulty_cameras import Liar, answer_until_play, good_cameras, verdict_of

if TYPE_CHECKING:
    import socket

POISON = b"\x24\x00\x00\x20" + b"poison to this parser alone" + b"\0" * 5

WORKER = f"""
import os, signal, sys
from agent import worker
from agent.rtsp.client import ClientSession

sound = ClientSession.receive

def receive(self, data, now):
    if {POISON!r} in data:
        os.kill(os.getpid(), signal.SIGSEGV)
    return sound(self, data, now)

ClientSession.receive = receive
sys.exit(worker.work(int(sys.argv[1]), int(sys.argv[2])))
"""

PARENT = """
import sys
from agent import app
from agent.cli.main import main

app.WORKER = (sys.executable, "-P", sys.argv.pop(1))
sys.exit(main(sys.argv[1:]))
"""


class FragileSite(Site):
    """`pasu record` with workers that have a bug."""

    def start(self) -> None:
        worker, parent = self.folder / "worker.py", self.folder / "parent.py"
        worker.write_text(WORKER)
        parent.write_text(PARENT)
        with (self.folder / "record.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(parent), str(worker), "record", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "LANG": "C.UTF-8"},
            )


class Noting:
    """A connection that remembers what it sent."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.sent = b""

    def recv(self, count: int) -> bytes:
        return self._connection.recv(count)

    def sendall(self, data: bytes) -> None:
        self.sent += data
        self._connection.sendall(data)


def test_a8_poison_restricts_its_camera_and_costs_the_others_one_restart(tmp_path):
    sessions: list[Noting] = []

    def poison(_number: int, connection: socket.socket) -> None:
        noting = Noting(connection)
        answer_until_play(noting)  # type: ignore[arg-type]
        noting.sendall(POISON)
        sessions.append(noting)
        connection.recv(1 << 16)

    with (
        good_cameras(tmp_path / "good") as good,
        Liar(poison) as bad,
        FragileSite(
            tmp_path / "site",
            {"good0": good.url(0), "bad": f"rtsp://127.0.0.1:{bad.port}/x", "good1": good.url(1)},
            segment_s=5,
        ) as site,
    ):
        wait_for("the quarantine", lambda: site.facts("camera.poisoned"), 60)
        site.wait_recording("good0", "good1")
        (steady,) = [pid for name, pid in site.workers().items() if name == "rtsp-0"]
        wait_for("the health to say so", lambda: site.health()["cameras"]["bad"].get("restricted"))
        tried = len(sessions)
        wait_for("a try in spite of it", lambda: len(sessions) > tried, 60)
        wait_for("the loss of that one", lambda: len(site.facts("worker.lost")) > tried, 60)
        assert site.workers()["rtsp-0"] == steady
        assert site.stop() == 0, site.log[-3000:]

    ((_, _, told),) = site.facts("camera.poisoned")
    assert (told["camera"], told["how"], told["crashes"]) == ("bad", "SIGSEGV", 3)
    assert (told["bytes"], told["sha256"]) in {
        (len(session.sent), hashlib.sha256(session.sent).hexdigest()) for session in sessions
    }
    workers = [body["worker"] for _, _, body in site.facts("worker.lost")]
    assert workers[0] == "rtsp-0"
    assert set(workers[1:]) == {"alone-bad"}
    assert not site.segments("bad")
    stored = b"".join(path.read_bytes() for path in site.folder.rglob("*") if path.is_file())
    assert POISON not in stored.replace(WORKER.encode(), b""), (
        "what crashed us is video: its hash is kept alone"
    )
    for number in range(2):
        verdict = verdict_of(site, f"good{number}", good, number)
        verdict.clean()
        assert {cause for _, cause in verdict.excused} <= {"worker_lost"}
        assert [gap.cause for gap in site.gaps(f"good{number}")].count("worker_lost") <= 1
