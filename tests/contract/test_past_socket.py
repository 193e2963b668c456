"""The past socket of a camera: the last seconds first, then what comes, and what that costs the recording."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.capture.live import FOLDER, LISTENER_BYTES, Live
from agent.capture.past import PAST_BYTES
from agent.capture.past_live import Both, PastLive, keeping, most_bytes
from agent.clock import SystemClock
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.contract.test_live_socket import assert_same
from tests.lab import wait_for
from tests.live import Ear, Running

if TYPE_CHECKING:
    from pathlib import Path

KEEP_S = 4.0
CLOCK = SystemClock()


def keep(running: Running, name: str, keep_s: float = KEEP_S, most: int = PAST_BYTES) -> PastLive:
    """As the worker does between two turns."""
    camera = running.cameras[name]
    assert camera.live is not None
    camera.hand_out(keeping(camera.live, str(running.folder), name, running.loop.poller, keep_s, most))
    assert isinstance(camera.live, Both)
    return camera.live.past


def age_s(running: Running, past: PastLive) -> float:
    mark = past.past.oldest
    return running.loop._turned - mark.arrival if mark is not None else 0.0


def assert_continuous(ear: Ear) -> None:
    """Sequence numbers without a hole and in order, also where the past becomes the present."""
    numbers = [int.from_bytes(packet[2:4], "big") for packet in ear.packets]
    assert all((two - one) & 0xFFFF == 1 for one, two in itertools.pairwise(numbers))
    assert not ear.lost


@pytest.mark.parametrize(
    ("codec", "transport"),
    [("h264", "tcp"), ("h265", "tcp"), ("mjpeg", "tcp"), ("mpeg4", "tcp"), ("h264", "udp")],
)
def test_the_last_seconds_are_the_units_recorded_bit_for_bit(
    codec: str, transport: str, tmp_path: Path
) -> None:
    specs = [CameraSpec(1, codec=codec, gop=15, bitrate=0 if codec == "mjpeg" else 600_000)]
    with (
        CameraProcess(specs) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}, transport=transport) as running,
    ):
        past = keep(running, "cam01")
        wait_for("seconds", lambda: age_s(running, past) > KEEP_S, 60)
        count, asked_s = len(running.units("cam01")), CLOCK.monotonic()
        ear = Ear(tmp_path, "cam01.past")
        heard = ear.hear(1)
        begun_s = CLOCK.monotonic()
        ear.hear(int(KEEP_S * 10) + 30)  # of fifteen a second at least: the past, and then of the present
        wait_for("the recording", lambda: len(running.units("cam01")) >= count + 30)
        time.sleep(0.3)
        recorded = running.units("cam01")
        assert_same(heard, recorded)
        assert_continuous(ear)
        base = heard[0].timestamp & 0xFFFFFFFF
        (first,) = [place for place, unit in enumerate(recorded) if unit.timestamp & 0xFFFFFFFF == base]
        # From the keyframe that was the last one so many seconds ago, neither later nor another picture group earlier.
        assert asked_s - KEEP_S - 1.5 <= recorded[first].arrival <= begun_s - KEEP_S + 0.2
        assert not running.recorder.gaps
        text = ear.description.decode()
        assert "127.0.0.1" not in text
        assert "audio" not in text.lower()
        ear.close()


def test_the_first_second_comes_before_the_session_is_as_old_as_that(tmp_path: Path) -> None:
    with (
        CameraProcess([CameraSpec(1, gop=10)]) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}) as running,
    ):
        keep(running, "cam01", 30.0)
        wait_for("pictures", lambda: len(running.units("cam01")) > 20)
        ear = Ear(tmp_path, "cam01.past")
        assert_same(ear.hear(25), running.units("cam01"))
        ear.close()


def test_f11_who_does_not_read_costs_nobody_a_picture_and_comes_back_at_a_keyframe(tmp_path: Path) -> None:
    """F11: a listener at the past socket that stops reading; what waits for it is bounded."""
    specs = [CameraSpec(1, gop=10, fps=25, bitrate=8_000_000, prepared=True)]
    with CameraProcess(specs) as cameras, Running(tmp_path, {"cam01": cameras.urls[1]}) as running:
        past = keep(running, "cam01", 2.0)
        wait_for("pictures", lambda: len(running.units("cam01")) > 10)
        deaf, good = Ear(tmp_path, "cam01.past"), Ear(tmp_path, "cam01.past")
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                good.read(0.1)

        thread = threading.Thread(target=listen)
        thread.start()
        wait_for("an overflow", lambda: any(one.dropped for one in past._listeners))
        # Of what it did not read no more was copied than a piece, beside what its socket holds.
        assert max(one._bytes for one in past._listeners) < LISTENER_BYTES
        deaf.hear(200)
        stop.set()
        thread.join()
        assert deaf.lost > 0
        holes = [unit for unit in deaf.units if unit.lost]
        assert holes
        assert all(unit.keyframe for unit in holes)
        assert_same(good.units, running.units("cam01"))
        assert not running.recorder.gaps
        deaf.close()
        good.close()


def test_a_camera_that_goes_hangs_up_and_the_past_begins_anew(tmp_path: Path) -> None:
    with (
        CameraProcess([CameraSpec(1, gop=10)]) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}) as running,
    ):
        past = keep(running, "cam01", 30.0)
        wait_for("pictures", lambda: len(running.units("cam01")) > 20)
        ear = Ear(tmp_path, "cam01.past")
        ear.hear(5)
        cameras.command("drop_clients", camera=1)
        wait_for("the end", lambda: ear.read() or ear.over)
        ear.close()
        wait_for("a keyframe", lambda: past.past.oldest is not None)
        again = Ear(tmp_path, "cam01.past")
        assert_same(again.hear(10), running.units("cam01"))
        again.close()


def test_seconds_are_kept_and_let_go_of_without_a_picture_less(tmp_path: Path) -> None:
    """A trigger is configured, changed and taken out while the camera records: its session goes on."""
    with (
        CameraProcess([CameraSpec(1, gop=10)]) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}) as running,
    ):
        wait_for("pictures", lambda: len(running.units("cam01")) > 10)
        camera = running.cameras["cam01"]
        past = keep(running, "cam01", 30.0)
        wait_for("a keyframe", lambda: past.past.oldest is not None)
        assert keep(running, "cam01", 5.0, 1 << 20) is past
        assert (past.past.keep_s, past.past.most_bytes) == (5.0, 1 << 20)
        ear = Ear(tmp_path, "cam01.past")
        assert_same(ear.hear(5), running.units("cam01"))
        live = camera.live
        assert isinstance(live, Both)
        camera.hand_out(keeping(live, str(tmp_path), "cam01", running.loop.poller, 0.0, 0))
        assert camera.live is live.live
        wait_for("the end", lambda: ear.read() or ear.over)
        assert not (tmp_path / FOLDER / "cam01.past.sock").exists()
        ear.close()
        still = Ear(tmp_path, "cam01")
        assert_same(still.hear(5), running.units("cam01"))
        still.close()
        assert camera.reconnects == 0
        assert not running.recorder.gaps


def test_a_bug_in_the_past_costs_the_recording_and_the_live_socket_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        CameraProcess([CameraSpec(1, gop=10)]) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}) as running,
    ):
        past = keep(running, "cam01")
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)

        def broken(_listener: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(past, "_way", broken)
        ear = Ear(tmp_path, "cam01.past")
        wait_for("the end", lambda: ear.read() or ear.over)
        live = Ear(tmp_path, "cam01")
        assert_same(live.hear(20), running.units("cam01"))
        assert past.past.kept_bytes == 0
        assert running.cameras["cam01"].reconnects == 0
        assert not running.recorder.gaps
        ear.close()
        live.close()


def test_a_camera_without_a_trigger_takes_the_way_it_took_before(tmp_path: Path) -> None:
    """Recording's hot path is the same object, the same methods, and no second socket."""
    with CameraProcess([CameraSpec(1)]) as cameras, Running(tmp_path, {"cam01": cameras.urls[1]}) as running:
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        camera = running.cameras["cam01"]
        live = camera.live
        assert type(live) is Live
        assert keeping(live, str(tmp_path), "cam01", running.loop.poller, 0.0, PAST_BYTES) is live
        assert not (tmp_path / FOLDER / "cam01.past.sock").exists()
        with pytest.raises(FileNotFoundError), socket.socket(socket.AF_UNIX) as ear:
            ear.connect(str(tmp_path / FOLDER / "cam01.past.sock"))


def test_all_together_hold_no_more_than_a_share_of_the_machine() -> None:
    assert most_bytes(16 << 30, 1) == PAST_BYTES
    assert most_bytes(2 << 30, 16) == 8 << 20
    assert 16 * most_bytes(2 << 30, 16) <= (2 << 30) // 16
    assert most_bytes(16 << 30, 0) == PAST_BYTES
