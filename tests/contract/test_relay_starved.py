"""A relay that waits for a keyframe in vain: cameras whose keyframes cannot be told from their packets."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from agent.grants import Most
from agent.rtsp.announce import announce
from agent.uplink.relaying import Relays, media_url
from agent.uplink.streams import Want
from tests.contract.test_relay_rogue import DESCRIPTION, KEY, OTHER, Cameras, Rogue, now_s, packet
from tests.lab import wait_for

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    import pytest


class Once(Cameras):
    """Begins with a keyframe, as every live socket does, and shows no other."""

    def _tell(self, ear: socket.socket) -> None:
        with contextlib.suppress(OSError), ear:
            ear.sendall(announce("*", DESCRIPTION) + packet(0, 0, KEY, self._size))
            number = 0
            while not self._stop.wait(0.04):
                number += 1
                ear.sendall(packet(number, number * 3600, OTHER, self._size))


def test_where_no_keyframe_comes_it_begins_anew_at_the_one_that_the_recording_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.uplink.relay.STARVED_S", 1.0)
    cameras = Once(tmp_path, "cam02")
    with Rogue(lambda _: None) as rogue:
        found = Relays({"": media_url(f"rtsp://127.0.0.1:{rogue.port}")}, "gn-1", str(tmp_path), now_s)
        try:
            found.want(
                {("cam02", ""): Want(now_s() + 600, most=Most.SUB)}
            )  # and there is none: keyframes alone
            wait_for("the first keyframe", lambda: rogue.carried > 500)
            (relay,) = found._relays.values()
            wait_for("the third", lambda: relay.connections >= 3 and rogue.carried > 1500)
            assert relay.skipped > 10
        finally:
            found.close()
            cameras.close()
