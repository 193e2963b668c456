"""Which live socket a relay connects to: the past seconds' where they are wanted, once, and of the whole stream alone."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agent.grants import Most
from agent.uplink.relaying import Relays, media_url
from agent.uplink.streams import Want
from tests.contract.test_relay_rogue import Cameras, Rogue, now_s
from tests.lab import wait_for

if TYPE_CHECKING:
    import socket


class Told(Cameras):
    """Tells which of its sockets somebody came to, in order."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.came: list[str] = []
        super().__init__(folder, *names)

    def _serve(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                ear = door.accept()[0]
                self.came.append(Path(door.getsockname()).stem)
                threading.Thread(target=self._tell, args=(ear,), daemon=True).start()


def test_a_bell_at_a_camera_of_which_the_second_stream_was_shown(tmp_path: Path) -> None:
    """Its past seconds come with the whole stream; when that session breaks they are not shown a second time."""
    cameras = Told(tmp_path, "cam02", "cam02.sub", "cam02.past")
    key, until = ("cam02", ""), now_s() + 600
    with Rogue(lambda _: None) as rogue:
        found = Relays({"": media_url(f"rtsp://127.0.0.1:{rogue.port}")}, "gn-1", str(tmp_path), now_s)
        try:
            found.want({key: Want(until, has_sub=True, most=Most.SUB)})
            wait_for("the second stream", lambda: found.flows()[key].flowing)
            found.want({key: Want(until, has_sub=True, before_s=5)})
            wait_for("the past", lambda: "cam02.past" in cameras.came and found.flows()[key].flowing)
            sink = found._relays[key]._sink
            assert sink is not None
            sink._socket.shutdown(2)
            wait_for("another session", lambda: len(cameras.came) > 2 and found.flows()[key].flowing)
            assert cameras.came == ["cam02.sub", "cam02.past", "cam02"]
        finally:
            found.close()
            cameras.close()


def test_where_nothing_is_kept_it_begins_with_the_last_keyframe(tmp_path: Path) -> None:
    cameras = Told(tmp_path, "cam02")
    key = ("cam02", "")
    with Rogue(lambda _: None) as rogue:
        found = Relays({"": media_url(f"rtsp://127.0.0.1:{rogue.port}")}, "gn-1", str(tmp_path), now_s)
        try:
            found.want({key: Want(now_s() + 600, before_s=5)})
            wait_for("pictures", lambda: rogue.carried > 10_000)
            assert cameras.came == ["cam02"]
        finally:
            found.close()
            cameras.close()
