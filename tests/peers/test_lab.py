"""The laboratory itself: a checker that finds nothing, or a server that lies, would make every other test green."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests import nal
from tests.checker import Frame, GapRow, Picture, Segment, check, pictures
from tests.lab import GstCameras, prepared_clip, wait_for
from tests.peer import need


def shown(number: int) -> tuple[Frame, Picture]:
    data = nal.sample([nal.stamp(1, number), bytes((nal.IDR, number & 255))])
    return Frame(number, 1_000_000 + number * 100, True, nal.digest(data), True), Picture(0, True, data)


LEDGER = [shown(number)[0] for number in range(100)]
SEGMENT = Segment("cam", Path("a"), 1_000_000, 1_010_000, "COMMITTED", 100)


def stored(*numbers: int) -> list[tuple[Segment, list[Picture]]]:
    return [(SEGMENT, [shown(number)[1] for number in numbers])]


def test_the_checker_passes_what_is_whole():
    verdict = check(LEDGER, stored(*range(10, 90)), [])
    verdict.clean()
    assert [frame.number for frame in verdict.stored] == list(range(10, 90))


def test_the_checker_finds_one_lost_frame():
    verdict = check(LEDGER, stored(*range(10, 50), *range(51, 90)), [])
    assert [frame.number for frame in verdict.unexplained] == [50]
    with pytest.raises(AssertionError, match="lost without a gap"):
        verdict.clean()


def test_a_gap_excuses_its_span_and_no_more():
    gaps = [GapRow(1_003_000, 1_004_000, "camera_silent")]
    verdict = check(LEDGER, stored(*range(10, 30), *range(41, 90)), gaps)
    assert [cause for _, cause in verdict.excused] == ["camera_silent"] * 11
    verdict.clean()
    verdict = check(LEDGER, stored(*range(10, 30), *range(46, 90)), gaps)
    assert [frame.number for frame in verdict.unexplained] == [44, 45]


def test_the_checker_finds_doubled_foreign_and_misplaced_pictures():
    assert check(LEDGER, stored(*range(10, 90), 20), []).doubled
    assert check(LEDGER, stored(*range(10, 90), 4000), []).foreign == 1
    late = Segment("cam", Path("b"), 1_006_000, 1_010_000, "COMMITTED", 10)
    verdict = check(LEDGER, [(late, [shown(number)[1] for number in range(50, 90)])], [])
    assert [frame.number for frame, _ in verdict.misplaced] == [50, 51, 52, 53, 54]


def test_the_time_before_a_kill_that_is_missing():
    verdict = check(
        LEDGER, stored(*range(10, 50), *range(60, 90)), [GapRow(1_005_000, 1_006_000, "agent_killed")]
    )
    assert verdict.lost_before(1_005_700) == 800


def test_every_frame_the_gstreamer_camera_notes_reaches_a_stock_client(tmp_path):
    """ffmpeg as the recorder: what it stored must equal the ledger, or the ledger is no witness."""
    clip = prepared_clip(640, 360, 30, 500, 10, 1)
    with GstCameras(tmp_path / "cameras", "--clip", str(clip), "--cameras", "2") as cameras:
        out = tmp_path / "out.mp4"
        subprocess.run(
            [
                need("ffmpeg"),
                "-v",
                "error",
                "-nostdin",
                "-rtsp_transport",
                "tcp",
                "-i",
                cameras.url(1),
                "-t",
                "12",
                "-c",
                "copy",
                "-movflags",
                "empty_moov+frag_keyframe+default_base_moof",
                str(out),
            ],
            check=True,
            timeout=60,
        )
    found = pictures(out.read_bytes())
    assert len(found) > 300, "twelve seconds, the clip's seam at ten among them"
    now_ms = time.time_ns() // 1_000_000
    segment = Segment("cam1", out, now_ms - 60_000, now_ms, "", len(found))
    verdict = check(cameras.ledger(1), [(segment, found)], [])
    verdict.clean()
    assert len(verdict.stored) == len(found)


def test_the_live_gstreamer_camera_offers_sound_and_notes_its_frames(tmp_path):
    with GstCameras(tmp_path, "--live", "1") as cameras:
        probe = [
            need("ffprobe"),
            "-v",
            "error",
            "-rtsp_transport",
            "tcp",
            "-show_entries",
            "stream=codec_name",
        ]
        done = subprocess.run(
            [*probe, "-of", "csv=p=0", cameras.url(0)], capture_output=True, text=True, check=True, timeout=60
        )
        assert sorted(done.stdout.split()) == ["aac", "h264"]
        wait_for("a flushed ledger", lambda: cameras.ledger(0))
    frames = cameras.ledger(0)
    assert len({frame.digest for frame in frames}) == len(frames)
