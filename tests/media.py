"""Media servers for the relay's far end, and a line between that can be made slow."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from tests.lab import ROOT, SYSTEM_PYTHON, need_gstreamer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class GstMedia:
    """GStreamer's RTSP server in RECORD mode (tests/peers/gst_media.py). `within`: a program that starts it."""

    def __init__(
        self,
        folder: Path,
        *paths: str,
        port: int = 0,
        decode: bool = False,
        user: str = "",
        address: str = "127.0.0.1",
        within: Sequence[str] = (),
    ) -> None:
        self.folder, self.paths, self.port = folder, paths, port
        self._within = within
        self._more = ["--address", address] + ["--decode"] * decode + (["--user", user] if user else [])
        self.said: list[dict[str, Any]] = []
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        need_gstreamer()
        self.folder.mkdir(parents=True, exist_ok=True)
        more = [word for path in self.paths for word in ("--path", path)] + self._more
        common = ["--ledger", str(self.folder)]
        with (self.folder / "media.log").open("a") as log:
            self.process = subprocess.Popen(
                [
                    *self._within,
                    SYSTEM_PYTHON,
                    str(ROOT / "tests/peers/gst_media.py"),
                    "--port",
                    str(self.port),
                    *common,
                    *more,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the media server did not start: {(self.folder / 'media.log').read_text()}"
        self.port = json.loads(line)["port"]
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            if kill:
                self.process.kill()
            with contextlib.suppress(BrokenPipeError):
                self.process.communicate(timeout=20)
            self.process = None

    def units(self, path: str) -> list[dict[str, Any]]:
        """Return the access units that have come on a path."""
        file = self.folder / (path.strip("/").replace("/", "_") + ".jsonl")
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def heard(self, what: str) -> list[dict[str, Any]]:
        """Return what the server said of publishers: begin, shown, end."""
        return [each for each in list(self.said) if what in each]

    def _listen(self, pipe: Any) -> None:
        with contextlib.suppress(ValueError):
            for line in pipe:
                self.said.append(json.loads(line))


class Line:
    """A TCP relay between us and a server: as fast, as slow or as dead as it is told to be.

    rate  bytes a second towards the server; None for as fast as it goes, 0 for not at all
    """

    def __init__(self, port: int, *, rate: float | None = None) -> None:
        self.rate = rate
        self.carried = 0
        self.last_s = 0.0
        self._to = port
        self._door = socket.create_server(("127.0.0.1", 0))
        # Little is to lie in the kernels: a slow line is one whose sender notices.
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        self.port = self._door.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._door.close()

    def _run(self) -> None:
        pairs: dict[socket.socket, tuple[socket.socket, bool]] = {}
        allowance, last = 0.0, time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            rate = self.rate
            if rate is not None:
                allowance = min(allowance + (now - last) * rate, max(4096.0, rate * 0.1))
            last = now
            watched = [sock for sock, (_, up) in pairs.items() if not up or rate is None or allowance >= 1]
            ready = select.select([self._door, *watched], [], [], 0.01)[0]
            for sock in ready:
                if sock is self._door:
                    near = self._door.accept()[0]
                    try:
                        far = socket.create_connection(("127.0.0.1", self._to), timeout=5)
                    except OSError:
                        near.close()
                        continue
                    pairs[near], pairs[far] = (far, True), (near, False)
                    continue
                if sock not in pairs:
                    continue
                other, up = pairs[sock]
                data = b""
                with contextlib.suppress(OSError):
                    data = sock.recv(min(65536, int(allowance)) if up and rate is not None else 65536)
                if up:
                    allowance -= len(data)
                    self.carried += len(data)
                    self.last_s = time.clock_gettime(time.CLOCK_BOOTTIME) if data else self.last_s
                try:
                    if not data:
                        raise OSError
                    other.sendall(data)
                except OSError:
                    for each in (sock, other):
                        pairs.pop(each, None)
                        each.close()
        for sock in pairs:
            sock.close()
