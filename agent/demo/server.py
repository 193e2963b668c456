"""A process full of virtual cameras, driven by JSON lines; and the class that starts and stops one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from agent.demo.camera import VirtualCamera
from agent.demo.encoder import CODECS
from agent.demo.onvif import OnvifCamera, Responder, speaking
from agent.demo.quirks import describe
from agent.demo.spec import CameraSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START_S = 60.0  # encoders of many large cameras take their time on a small machine
REPLY_S = 30.0


class Fleet:
    """Cameras in this process's event loop."""

    def __init__(self, cameras: Sequence[VirtualCamera]) -> None:
        self.cameras = {camera.spec.number: camera for camera in cameras}
        self._speaking: list[OnvifCamera] = []
        self._responder: Responder | None = None

    @classmethod
    async def open(cls, specs: Sequence[CameraSpec], ledger_directory: Path | None = None) -> Fleet:
        """Make the cameras and start them all. Raises OSError when a port is taken."""
        if len({spec.number for spec in specs}) != len(specs):
            raise ValueError("two cameras with one number")
        cameras = [await asyncio.to_thread(VirtualCamera, spec, ledger_directory) for spec in specs]
        fleet = cls(cameras)
        for camera in cameras:
            await camera.start()
        await fleet.speak()
        return fleet

    async def speak(self) -> None:
        """Answer ONVIF, for the cameras that do; where the port of searches is taken, those are asked by address."""
        self._speaking += [speaking(camera) for camera in self.cameras.values() if camera.spec.onvif]
        for camera in self._speaking:
            await camera.start()
        if self._speaking:
            self._responder = Responder(self._speaking)
            with contextlib.suppress(OSError):
                await self._responder.start(self._speaking[0].spec.host)

    async def close(self) -> None:
        """Stop all cameras."""
        if self._responder is not None:
            self._responder.stop()
        for speaker in self._speaking:
            await speaker.stop()
        for camera in self.cameras.values():
            await camera.stop()

    def obey(self, command: Any) -> dict[str, Any]:
        """Carry out one command and say what came of it.

        command  {"do": ..., "camera": number or absent for all, "seconds": ...}; `do` is stall, silence,
                 speak, reboot, show (with "what"), drop_clients, flush or status
        Raises   ValueError for anything else
        """
        if not isinstance(command, dict):
            raise ValueError("a command is a JSON object")  # noqa: TRY004 - one error for all that does not fit
        do, number = command.get("do"), command.get("camera")
        if number is not None and number not in self.cameras:
            raise ValueError(f"no camera {number!r}")
        chosen = list(self.cameras.values()) if number is None else [self.cameras[number]]
        seconds = command.get("seconds", 0)
        if not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e6:
            raise ValueError("seconds must be a number from 0 on")
        if do == "status":
            return {"cameras": [_status(camera) for camera in chosen]}
        what = command.get("what", "frozen")
        if what not in ("scene", "frozen", "grey"):
            raise ValueError('what must be "scene", "frozen" or "grey"')
        actions: dict[Any, Callable[[VirtualCamera], None]] = {
            "stall": lambda camera: camera.stall(seconds),
            "silence": VirtualCamera.silence,
            "speak": VirtualCamera.speak,
            "reboot": lambda camera: camera.reboot(seconds),
            "show": lambda camera: camera.show(what),
            "drop_clients": VirtualCamera.drop_clients,
            "flush": lambda camera: camera.ledger.flush(),
        }
        action = actions.get(do) if isinstance(do, str) else None
        if action is None:
            raise ValueError(f"no such command: {do!r}; there are status, {', '.join(actions)}")
        for camera in chosen:
            action(camera)
        return {}


def _status(camera: VirtualCamera) -> dict[str, Any]:
    frames = camera.ledger.frames
    return {
        "number": camera.spec.number,
        "name": camera.spec.name,
        "url": camera.url,
        "port": camera.port,
        "sessions": camera.sessions,
        "frames": len(frames),
        "last": asdict(frames[-1]) if frames else None,
        "requests": len(camera.ledger.requests),
    }


async def run_cameras(
    specs: Sequence[CameraSpec], ledger_directory: Path | None = None, *, stay: bool = False
) -> None:
    """Host cameras until SIGINT or SIGTERM, printing a JSON line when they listen and one for each command.

    stay  go on when standard input ends; otherwise its end is the end, so that no orphan is left
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, done.set)
    fleet = await Fleet.open(specs, ledger_directory)
    print(json.dumps({"event": "listening", **fleet.obey({"do": "status"})}), flush=True)
    listener = asyncio.create_task(_listen(fleet, done, stay=stay))
    await done.wait()
    listener.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listener
    await fleet.close()


async def _listen(fleet: Fleet, done: asyncio.Event, *, stay: bool) -> None:
    reader = asyncio.StreamReader()
    try:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
    except (ValueError, OSError):  # a plain file or /dev/null cannot be waited for
        if not stay:
            done.set()
        return
    while line := await reader.readline():
        try:
            answer = {"event": "done", **fleet.obey(json.loads(line))}
        except ValueError as error:
            answer = {"event": "error", "message": str(error)}
        print(json.dumps(answer), flush=True)
    if not stay:
        done.set()


class CameraProcess:
    """Virtual cameras in a process of their own, for tests and `pasu demo`.

    with CameraProcess([CameraSpec(1), CameraSpec(2, codec="h265")]) as cameras:
        cameras.urls[1]
        cameras.command("stall", camera=1, seconds=5)
    """

    def __init__(self, specs: Sequence[CameraSpec], ledger_directory: Path | None = None) -> None:
        self.urls: dict[int, str] = {}
        self.pid = 0
        self._specs = list(specs)
        self._directory = ledger_directory
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def start(self) -> None:
        """Start the process and wait until every camera listens. Raises RuntimeError when that fails."""
        arguments = [sys.executable, "-m", "agent.demo.server", "--specs-on-stdin"]
        if self._directory:
            arguments += ["--ledger", str(self._directory)]
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        # Passwords travel by the pipe and never in arguments, which everybody can read.
        self._say([spec.to_json() for spec in self._specs])
        listening = self._next(START_S)
        self.urls = {camera["number"]: camera["url"] for camera in listening["cameras"]}

    def command(self, do: str, **words: Any) -> dict[str, Any]:
        """Give a command (see `Fleet.obey`) and return the answer. Raises RuntimeError when it is refused."""
        self._say({"do": do, **words})
        return self._next(REPLY_S)

    def stop(self) -> None:
        """End the process, and wait for it; a second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _say(self, value: Any) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the cameras are not running")
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise RuntimeError("the cameras have gone away") from None

    def _read(self, pipe: IO[str]) -> None:
        for line in pipe:
            self._lines.put(line)
        self._lines.put("")

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise RuntimeError(f"the cameras did not answer within {seconds:g} s") from None
        if not line:
            raise RuntimeError("the cameras have gone away; their last words are on standard error")
        answer: dict[str, Any] = json.loads(line)
        if answer["event"] == "error":
            raise RuntimeError(answer["message"])
        return answer


def specs_from(arguments: argparse.Namespace) -> list[CameraSpec]:
    """Make the cameras that the command line asks for. Raises ValueError for what does not fit."""
    width, _, height = arguments.size.partition("x")
    return [
        CameraSpec(
            number,
            codec=arguments.codec,
            width=int(width),
            height=int(height),
            fps=arguments.fps,
            gop=arguments.gop,
            bitrate=arguments.bitrate,
            host=arguments.host,
            port=arguments.port + number - 1 if arguments.port else 0,
            quirks=arguments.quirks,
            prepared=arguments.prepared,
            audio=arguments.audio,
            onvif=arguments.onvif,
        )
        for number in range(1, arguments.cameras + 1)
    ]


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    made = argparse.ArgumentParser(
        prog="python -m agent.demo.server",
        description="Virtual cameras. Commands are JSON lines on standard input.",
        epilog=f"quirks, by row of the table of camera quirks:\n{describe()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--cameras", type=int, default=1, help="how many alike")
    made.add_argument("--codec", choices=CODECS, default="h264")
    made.add_argument("--size", default="640x360", help="WIDTHxHEIGHT")
    made.add_argument("--fps", type=float, default=15.0)
    made.add_argument("--gop", type=int, default=30, help="frames from keyframe to keyframe")
    made.add_argument("--bitrate", type=int, default=0, help="bits per second, made up with filler")
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=0, help="of the first camera; 0 takes free ones")
    made.add_argument("--quirks", default="", help="name, name=value, name=value@seconds; divided by commas")
    made.add_argument("--prepared", action="store_true", help="play one encoded GOP over and over")
    made.add_argument("--audio", choices=("pcmu", "aac", "none"), default="pcmu")
    made.add_argument("--onvif", action="store_true", help="answer searches, and say by ONVIF what they are")
    made.add_argument("--ledger", type=Path, help="directory for ledgers as JSON lines")
    made.add_argument("--specs-on-stdin", action="store_true", help="first line: JSON list of cameras")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run cameras from the command line."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.specs_on_stdin:
            specs = [CameraSpec.from_json(value) for value in json.loads(_first_line())]
        else:
            specs = specs_from(arguments)
        asyncio.run(run_cameras(specs, arguments.ledger, stay=not arguments.specs_on_stdin))
    except (ValueError, OSError) as error:
        print(json.dumps({"event": "error", "message": str(error)}), flush=True)
        return 1
    return 0


def _first_line() -> str:
    """Read one line, and not a byte more: what follows is for the event loop."""
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) and byte != b"\n":
        line += byte
    return line.decode()


if __name__ == "__main__":
    sys.exit(main())
