"""Our own ONVIF cameras in a thread of their own, for tests of those who ask them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Self

from agent.demo.onvif import OnvifCamera, OnvifSpec, Responder
from tests.peer import need
from tests.tunnel_lab import inside

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

LO = "127.0.0.1"


@contextlib.contextmanager
def own_loopback(name: str) -> Iterator[None]:
    """Be where no other test's cameras answer, and every port is free: threads and programs begun meanwhile are too.

    name  of this module's network namespace, beside the process's number
    """
    need("ip")
    namespace = f"pasud-{os.getpid()}-{name}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
        with inside(namespace):
            yield
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=False)


class Cameras:
    """Cameras that answer while the block lasts.

    with Cameras([OnvifSpec(...)], search=LO) as cameras:
        cameras[0].service

    search     address of the interface on which they hear searches; "" hears none
    namespace  network namespace that they are in, by name
    """

    def __init__(self, specs: Sequence[OnvifSpec], *, search: str = "", namespace: str = "") -> None:
        self._cameras = [OnvifCamera(spec) for spec in specs]
        self._responder = Responder(self._cameras)
        self._search = search
        self._namespace = namespace
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def searches(self) -> int:
        """How many searches they heard."""
        return self._responder.searches

    def _serve(self) -> None:
        with inside(self._namespace) if self._namespace else contextlib.nullcontext():
            self._loop.run_forever()

    def __getitem__(self, number: int) -> OnvifCamera:
        return self._cameras[number]

    def __enter__(self) -> Self:
        self._thread.start()
        for camera in self._cameras:
            self._run(camera.start())
        if self._search:
            self._run(self._responder.start(self._search))
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._responder.stop)
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _stop(self) -> None:
        """Cut what still hangs, then stop listening."""
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for camera in self._cameras:
            await camera.stop()

    def _run(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


def spec(name: str = "cam", url: str = "rtsp://127.0.0.1:9/main", **change: object) -> OnvifSpec:
    """Describe one; its stream is where nobody listens, unless a test says otherwise."""
    return OnvifSpec(name, [(url, "h264", 640, 360, 15)], **change)  # type: ignore[arg-type]
