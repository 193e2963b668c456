"""The live socket of a camera: what listeners get, and that recording does not notice them."""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.capture.live import FOLDER, LISTENERS
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.lab import wait_for
from tests.live import Ear, Running

if TYPE_CHECKING:
    from pathlib import Path

    from agent.rtsp.media import AccessUnit


def assert_same(heard: list[AccessUnit], recorded: list[AccessUnit]) -> None:
    """What was heard is what was recorded, access unit for access unit, and begins with a keyframe."""
    assert heard[0].keyframe
    assert not any(unit.damaged or unit.lost for unit in heard)
    base = heard[0].timestamp & 0xFFFFFFFF
    (first,) = [place for place, unit in enumerate(recorded) if unit.timestamp & 0xFFFFFFFF == base]
    pairs = list(zip(heard, recorded[first:], strict=False))
    assert len(pairs) == len(heard)
    assert all(one.data == other.data and one.keyframe == other.keyframe for one, other in pairs)


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg", "mpeg4"])
def test_units_heard_are_the_units_recorded_bit_for_bit(codec: str, tmp_path: Path) -> None:
    specs = [CameraSpec(1, codec=codec, gop=15, bitrate=0 if codec == "mjpeg" else 1_000_000)]
    with CameraProcess(specs) as cameras, Running(tmp_path, {"cam01": cameras.urls[1]}) as running:
        wait_for("pictures", lambda: len(running.units("cam01")) > 20)
        ear = Ear(tmp_path, "cam01")
        heard = ear.hear(40)
        wait_for("the recording", lambda: len(running.units("cam01")) > 0)
        time.sleep(0.3)
        assert_same(heard, running.units("cam01"))
        again = Ear(tmp_path, "cam01")
        assert_same(again.hear(5), running.units("cam01"))
        ear.close()
        again.close()
        assert heard[0].format == running.units("cam01")[-1].format
        text = ear.description.decode()
        assert "127.0.0.1" not in text
        assert "audio" not in text.lower()
        assert "cam01" not in text


def test_over_udp_too(tmp_path: Path) -> None:
    specs = [CameraSpec(1, gop=15, bitrate=500_000)]
    with (
        CameraProcess(specs) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}, transport="udp") as running,
    ):
        wait_for("pictures", lambda: len(running.units("cam01")) > 20)
        ear = Ear(tmp_path, "cam01")
        assert_same(ear.hear(30), running.units("cam01"))
        ear.close()


def test_f11_who_does_not_read_costs_nobody_a_picture_and_comes_back_at_a_keyframe(tmp_path: Path) -> None:
    """F11: a listener that stops reading."""
    specs = [CameraSpec(1, gop=10, fps=25, bitrate=8_000_000, prepared=True)]
    with CameraProcess(specs) as cameras, Running(tmp_path, {"cam01": cameras.urls[1]}) as running:
        wait_for("pictures", lambda: len(running.units("cam01")) > 10)
        deaf, good = Ear(tmp_path, "cam01"), Ear(tmp_path, "cam01")
        (live,) = [running.cameras["cam01"]._live]
        assert live is not None
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                good.read(0.1)

        thread = threading.Thread(target=listen)
        thread.start()
        wait_for("an overflow", lambda: any(one.dropped for one in live._listeners))
        deaf.hear(200)  # what was kept for it, a hole, and whole GOPs again
        stop.set()
        thread.join()
        assert deaf.lost > 0
        holes = [unit for unit in deaf.units if unit.lost]
        assert holes
        assert all(unit.keyframe and not unit.damaged for unit in holes)
        assert_same(good.units, running.units("cam01"))
        assert not running.recorder.gaps
        deaf.close()
        good.close()


def test_only_so_many_may_listen_and_only_the_group_may_come(tmp_path: Path) -> None:
    with CameraProcess([CameraSpec(1)]) as cameras, Running(tmp_path, {"cam01": cameras.urls[1]}) as running:
        path = tmp_path / FOLDER / "cam01.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o007 == 0
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        ears = [Ear(tmp_path, "cam01") for _ in range(LISTENERS)]
        for ear in ears:
            ear.hear(1)
        more = Ear(tmp_path, "cam01")
        wait_for("the refusal", lambda: more.read() or more.over)
        ears.pop().close()
        wait_for("a place", lambda: len(running.cameras["cam01"]._live._listeners) < LISTENERS)
        again = Ear(tmp_path, "cam01")
        again.hear(1)
        for ear in (*ears, more, again):
            ear.close()
        wait_for("nobody", lambda: not running.cameras["cam01"]._live.wanted)
    assert not path.exists()


def test_a_camera_that_goes_hangs_up_and_who_comes_again_is_served(tmp_path: Path) -> None:
    with (
        CameraProcess([CameraSpec(1, gop=10)]) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}) as running,
    ):
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        ear = Ear(tmp_path, "cam01")
        ear.hear(5)
        cameras.command("drop_clients", camera=1)
        wait_for("the end", lambda: ear.read() or ear.over)
        ear.close()
        again = Ear(tmp_path, "cam01")
        assert_same(again.hear(10), running.units("cam01"))
        again.close()


def test_the_second_stream_is_asked_for_only_while_somebody_listens(tmp_path: Path) -> None:
    specs = [CameraSpec(1, gop=10), CameraSpec(2, gop=10, width=320, height=180)]
    with (
        CameraProcess(specs) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}, {"cam01": cameras.urls[2]}) as running,
    ):
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        sub = running.cameras["cam01"]._sub
        assert sub is not None
        assert sub._connection is None
        ear = Ear(tmp_path, "cam01.sub")
        units = ear.hear(20)
        assert units[0].keyframe
        assert units[0].format is not None
        assert (units[0].format.width, units[0].format.height) == (320, 180)
        ear.close()
        wait_for("the end of the second session", lambda: sub._connection is None)
        assert not running.recorder.gaps
        assert os.path.exists(tmp_path / FOLDER / "cam01.sub.sock")


def test_a_bug_in_handing_out_costs_the_recording_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        CameraProcess([CameraSpec(1, gop=10)]) as cameras,
        Running(tmp_path, {"cam01": cameras.urls[1]}) as running,
    ):
        wait_for("pictures", lambda: len(running.units("cam01")) > 5)
        live = running.cameras["cam01"]._live
        assert live is not None

        def broken() -> bytes:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(live, "_begin", broken)
        ear = Ear(tmp_path, "cam01")
        wait_for("the end", lambda: ear.read() or ear.over)
        before = len(running.units("cam01"))
        wait_for("more pictures", lambda: len(running.units("cam01")) > before + 20)
        assert running.cameras["cam01"].reconnects == 0
        assert not running.recorder.gaps
        ear.close()
