from __future__ import annotations

import hashlib
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from agent.centre.clip import Draft
from agent.centre.opening import OpenReport, open_segments
from agent.centre.segments import SegmentFile
from agent.errors import ConfigError, StorageFault
from agent.model import Span
from agent.mp4.fragment import Sample, fragment
from agent.mp4.init import init_segment
from tests.unit.centre.footage import (
    FPS,
    HEIGHT,
    HZ,
    START_MS,
    TICKS,
    WIDTH,
    chunk_count,
    chunk_place,
    cut,
    datas,
    packets,
    pictures,
    put,
    segment,
    shown_first_ms,
    tail,
    video,
)
from tests.unit.envelope.keys import ALICE, BOB, sealed

FRAME_MS = 1000 / FPS


def opening(tmp_path: Path, sources, span=None, name="clip.mp4", **options) -> OpenReport:
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    report = open_segments(sources, [ALICE], span, out / name, **options)
    # Whatever was written is what the report says, and nothing else is there.
    assert sorted(out.iterdir()) == sorted(output.path for output in report.outputs)
    for output in report.outputs:
        data = output.path.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (output.size_bytes, output.sha256)
        assert stat.S_IMODE(output.path.stat().st_mode) == 0o600
        assert data.index(b"moov") < data.index(b"mdat")
    assert report.whole == (not report.damages and not report.missing)
    return report


def span(start_s: float, end_s: float) -> Span:
    first = shown_first_ms()
    return Span(round(first + start_s * 1000), round(first + end_s * 1000))


def data_of(report: OpenReport, number: int = 0) -> list[bytes]:
    return [data for _, _, data in packets(report.outputs[number].path)]


def test_segments_become_one_clip(tmp_path):
    sources = [segment(tmp_path, 8, 4), segment(tmp_path, 0, 4), segment(tmp_path, 4, 4)]
    told: list[tuple[int, int]] = []
    report = opening(tmp_path, [*sources, sources[0]], progress=lambda *both: told.append(both))
    assert report.whole
    assert data_of(report) == datas(0, 12)
    times = [at for at, _, _ in packets(report.outputs[0].path)]
    assert sorted(times) == [times[0] + TICKS * i for i in range(12 * FPS)]
    (output,) = report.outputs
    assert (output.codec, output.width, output.height, output.camera) == ("h264", WIDTH, HEIGHT, "cam01")
    assert (output.frames, report.frames) == (180, 180)
    assert output.span.start_ms == shown_first_ms()
    assert abs(output.span.length_ms - 12_000) <= 2
    assert report.segments == tuple(sorted(source.path for source in sources))
    total = sum(source.path.stat().st_size for source in sources)
    assert told == sorted(told)
    assert told[-1] == (total, total)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (0, 12, 0, 12),
        (3.5, 8.5, 3, 8.5),
        (4, 8, 4, 8),
        (3.95, 4.05, 3, 4.05),
        (2.2, 2.3, 2, 2.3),
        (11.5, 11.9, 11, 11.9),
    ],
)
def test_a_span_is_cut_at_keyframes(tmp_path, start, end, first, last):
    sources = [segment(tmp_path, at, 4) for at in (0, 4, 8)]
    report = opening(tmp_path, sources, span(start, end))
    assert report.whole
    got = data_of(report)
    assert packets(report.outputs[0].path)[0][1]
    start_at = first * FPS
    assert got == datas(first, 12)[: len(got)]
    # Every picture shown before the end is there, and of those after it only such as others wait for.
    shown = [i + (s.offset - pictures()[1][0].offset) / TICKS for i, s in enumerate(pictures()[1])]
    wanted = [i for i in range(start_at, 180) if shown[i] < round(last * 1000) / FRAME_MS - 0.01]
    assert set(wanted) <= set(range(start_at, start_at + len(got)))
    assert len(got) - len(wanted) <= 3


def test_progress_is_told_within_a_long_file(tmp_path):
    told: list[tuple[int, int]] = []
    source = segment(tmp_path, 0, 12)
    opening(tmp_path, [source], progress=lambda *both: told.append(both))
    size = source.path.stat().st_size
    assert [total for _, total in told] == [size, size]
    assert 1 << 20 <= told[0][0] < told[1][0] == size


def test_a_track_that_no_clip_can_hold(tmp_path):
    # A reader has no reason to refuse an empty decoder configuration; a clip with one would play nowhere.
    plain = bytearray(video(0, 1))
    at = plain.index(b"avcC") - 4
    rest = int.from_bytes(plain[at : at + 4], "big") - 8
    plain[at : at + 4] = (8).to_bytes(4, "big")
    plain[at + 8 : at + 16] = rest.to_bytes(4, "big") + b"free"
    source = put(tmp_path, sealed(bytes(plain)), 0)
    report = opening(tmp_path, [source])
    assert not report.outputs
    assert {(lost.code, lost.path) for lost in report.damages} == {("VIDEO_DAMAGED", source.path)}


def test_what_lies_wholly_outside_a_span_is_not_there(tmp_path):
    report = opening(tmp_path, [segment(tmp_path, 0, 4)], span(100, 110))
    assert not report.outputs
    assert [(hole.camera, hole.span) for hole in report.missing] == [("cam01", span(100, 110))]
    late = SegmentFile(tmp_path / "never read", camera="cam01", start_ms=START_MS + 200_000)
    report = opening(tmp_path, [late], span(100, 110))
    assert not report.outputs
    assert not report.damages


def test_no_sources_at_all(tmp_path):
    report = opening(tmp_path, [], span(0, 1))
    assert (report.outputs, report.frames, report.segments) == ((), 0, ())


def test_only_the_last_segments_before_a_span_are_read(tmp_path):
    broken = [
        SegmentFile(tmp_path / f"{i}", camera="cam01", start_ms=START_MS - 1000 * i) for i in range(3, 20)
    ]
    sources = [segment(tmp_path, at, 4) for at in (0, 4, 8)]
    report = opening(tmp_path, [*broken, *sources], span(9, 11))
    assert report.whole
    assert report.segments == (sources[2].path,)


def test_a_gap_stays_as_long_as_it_was(tmp_path):
    report = opening(tmp_path, [segment(tmp_path, 0, 3), segment(tmp_path, 8, 4)])
    assert data_of(report) == datas(0, 3) + datas(8, 12)
    times = sorted(at for at, _, _ in packets(report.outputs[0].path))
    assert max(b - a for a, b in pairwise(times)) == 5 * HZ + TICKS
    ((camera, hole),) = [(one.camera, one.span) for one in report.missing]
    assert camera == "cam01"
    assert abs(hole.start_ms - span(3, 8).start_ms) <= 1
    assert abs(hole.end_ms - span(3, 8).end_ms) <= 1
    assert not report.damages


def test_what_ends_before_a_span_does_not_lead_into_it(tmp_path):
    sources = [segment(tmp_path, 0, 3), segment(tmp_path, 8, 4)]
    report = opening(tmp_path, sources, span(5, 10))
    assert data_of(report)[: FPS * 2] == datas(8, 10)
    assert report.segments == (sources[1].path,)
    (hole,) = report.missing
    assert abs(hole.span.length_ms - 3000) <= 1


def test_a_change_of_format_begins_another_clip(tmp_path):
    sources = [segment(tmp_path, 0, 4), segment(tmp_path, 4, 4, width=320), segment(tmp_path, 8, 4)]
    report = opening(tmp_path, sources)
    assert report.whole
    assert [output.path.name for output in report.outputs] == ["clip.mp4", "clip-2.mp4", "clip-3.mp4"]
    assert [output.width for output in report.outputs] == [176, 320, 176]
    assert [output.frames for output in report.outputs] == [60, 60, 60]
    assert data_of(report, 2) == datas(8, 12)


@pytest.mark.parametrize(("start_s", "until"), [(4, 6), (8, 9)])
def test_a_format_that_ended_before_the_span_makes_no_clip(tmp_path, start_s, until):
    sources = [segment(tmp_path, 0, 4, width=320), segment(tmp_path, start_s, 4)]
    report = opening(tmp_path, sources, span(5, until))
    assert [output.width for output in report.outputs] == [176]
    assert report.segments == (sources[1].path,)


def test_each_camera_has_its_clip(tmp_path):
    (tmp_path / "b").mkdir()
    sources = [
        segment(tmp_path, 0, 4),
        segment(tmp_path / "b", 0, 4, camera="cam02"),
        segment(tmp_path, 4, 4),
    ]
    report = opening(tmp_path, sources, span(0, 9))
    assert [(output.camera, output.frames) for output in report.outputs] == [("cam01", 120), ("cam02", 60)]
    assert [hole.camera for hole in report.missing] == ["cam01", "cam02"]


def test_a_segment_says_itself_of_which_camera_it_is(tmp_path):
    moved = put(tmp_path, sealed(video(4, 4, camera="cam02")), 4, camera="cam01")
    report = opening(tmp_path, [segment(tmp_path, 0, 4), moved])
    assert [(output.camera, output.frames) for output in report.outputs] == [("cam01", 60), ("cam02", 60)]
    assert [(lost.code, lost.path) for lost in report.damages] == [("CAMERA_DIFFERS", moved.path)]


def test_a_camera_that_nobody_named_is_named_by_the_segment(tmp_path):
    report = opening(tmp_path, [put(tmp_path, sealed(video(0, 4)), 20, camera=None)])
    assert report.outputs[0].camera == "cam01"
    assert report.whole


@pytest.mark.parametrize("number", range(8))
def test_a_damaged_chunk_is_named_and_the_rest_is_used(tmp_path, number):
    sources = [segment(tmp_path, at, 4) for at in (0, 4, 8)]
    file = bytearray(sources[1].path.read_bytes())
    assert chunk_count(bytes(file)) == 8
    file[chunk_place(bytes(file), number) + 77] ^= 4
    sources[1].path.write_bytes(file)
    report = opening(tmp_path, sources)
    lost = report.damages[0]
    assert (lost.code, lost.path, lost.chunk, lost.offset) == (
        "CHUNK_DAMAGED",
        sources[1].path,
        number,
        chunk_place(bytes(file), number),
    )
    got = packets(report.outputs[0].path)
    every = datas(0, 12)
    places = [every.index(data) for _, _, data in got]
    assert places == sorted(places)
    missing = sorted(set(range(180)) - set(places))
    assert missing == list(range(missing[0], missing[-1] + 1))
    assert missing[0] >= 60
    assert missing[-1] < 120
    # What comes back begins with a keyframe, and at its own time.
    back = places.index(missing[-1] + 1)
    assert got[back][1]
    assert abs((got[back][0] - got[0][0]) - (missing[-1] + 1) * TICKS) <= HZ / 1000 * 2
    # The lost pictures lie between the two times that are named.
    assert lost.from_ms <= shown_first_ms() + missing[0] * FRAME_MS + 2
    assert abs(lost.to_ms - (shown_first_ms() + (missing[-1] + 1) * FRAME_MS)) < 2
    (hole,) = report.missing
    assert abs(hole.span.end_ms - lost.to_ms) <= 2
    assert len(report.segments) == 3
    codes = [one.code for one in report.damages]
    assert codes == (["CHUNK_DAMAGED", "INIT_LOST"] if number == 0 else ["CHUNK_DAMAGED"])


def test_a_first_segment_without_its_description_is_lost(tmp_path):
    sources = [segment(tmp_path, 0, 4), segment(tmp_path, 4, 4)]
    file = bytearray(sources[0].path.read_bytes())
    file[chunk_place(bytes(file), 0)] ^= 1
    sources[0].path.write_bytes(file)
    report = opening(tmp_path, sources)
    assert [lost.code for lost in report.damages] == ["CHUNK_DAMAGED", "INIT_LOST"]
    assert data_of(report) == datas(4, 8)
    assert report.damages[0].from_ms == START_MS
    assert abs(report.damages[0].to_ms - span(4, 5).start_ms) <= 1


def test_a_damage_whose_end_lies_past_the_span(tmp_path):
    sources = [segment(tmp_path, at, 4) for at in (0, 4)]
    file = bytearray(sources[0].path.read_bytes())
    file[chunk_place(bytes(file), 5)] ^= 1
    sources[0].path.write_bytes(file)
    report = opening(tmp_path, sources, span(0, 3))
    (lost,) = report.damages
    assert lost.to_ms >= span(0, 3).end_ms
    (hole,) = report.missing
    assert hole.span.end_ms == span(0, 3).end_ms


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda data: b"no age file", "NOT_AGE_FILE"),
        (lambda data: data[:100], "HEADER_DAMAGED"),
        (lambda data: sealed(video(4, 4), BOB), "NO_MATCHING_IDENTITY"),
        (None, "UNREADABLE"),
    ],
)
def test_a_segment_that_does_not_open_is_passed_over(tmp_path, spoil, code):
    sources = [segment(tmp_path, at, 4) for at in (0, 4, 8)]
    data = sources[1].path.read_bytes()
    sources[1].path.unlink()
    if spoil:
        sources[1].path.write_bytes(spoil(data))
    report = opening(tmp_path, sources)
    (lost,) = report.damages
    assert (lost.code, lost.path) == (code, sources[1].path)
    assert abs(lost.from_ms - span(4, 8).start_ms) <= 2
    assert abs(lost.to_ms - span(4, 8).end_ms) <= 2
    assert data_of(report) == datas(0, 4) + datas(8, 12)
    assert len(report.missing) == 1


def test_nothing_opens(tmp_path):
    report = opening(tmp_path, [put(tmp_path, sealed(video(0, 4), BOB), 0)], span(0, 4))
    assert not report.outputs
    assert [lost.code for lost in report.damages] == ["NO_MATCHING_IDENTITY"]
    assert [hole.span for hole in report.missing] == [span(0, 4)]
    assert (report.damages[0].from_ms, report.damages[0].to_ms) == (START_MS, None)


def test_a_salvaged_segment_is_joined_with_its_tail_and_with_what_follows(tmp_path):
    plain = video(0, 4)
    file = cut(sealed(plain), 7)
    (tmp_path / "20261121T100500.000Z.salvaged.mp4.age.tail").write_bytes(tail(plain, 7 * 65536))
    sources = [put(tmp_path, file, 0, suffix=".salvaged.mp4.age"), segment(tmp_path, 4, 4)]
    report = opening(tmp_path, sources)
    assert report.whole
    assert data_of(report) == datas(0, 8)


def test_a_segment_whose_gop_began_in_one_that_is_not_there(tmp_path):
    sources = [segment(tmp_path, 0, 4), segment(tmp_path, 4, 4, first=5)]
    report = opening(tmp_path, sources)
    # They are missing here, so nothing is shown that needs them.
    assert data_of(report) == datas(0, 4) + datas(5, 8)
    assert len(report.missing) == 1


def test_a_gop_across_two_segments_stays_whole(tmp_path):
    config, samples = pictures()
    init = init_segment("h264", WIDTH, HEIGHT, HZ, config)

    def part(first: int, stop: int) -> bytes:
        utc_ms = START_MS + (first * TICKS + samples[first].offset) * 1000 // HZ
        return init + fragment(1, 0, samples[first:stop], utc_ms)

    sources = [put(tmp_path, sealed(part(0, 37)), 0), put(tmp_path, sealed(part(37, 60)), 2)]
    report = opening(tmp_path, sources)
    assert report.whole
    assert data_of(report) == datas(0, 4)


def test_after_a_damage_nothing_is_shown_before_a_keyframe(tmp_path):
    config, samples = pictures()
    init = init_segment("h264", WIDTH, HEIGHT, HZ, config)

    def part(first: int, stop: int) -> bytes:
        utc_ms = START_MS + (first * TICKS + samples[first].offset) * 1000 // HZ
        return fragment(1, 0, samples[first:stop], utc_ms)

    # One picture is cut off at the end of the first segment, and the second goes on within the GOP.
    sources = [
        put(tmp_path, sealed(init + part(0, 37)[:-10]), 0),
        put(tmp_path, sealed(init + part(37, 60)), 2),
        put(tmp_path, sealed(init + part(60, 65)), 4),
    ]
    report = opening(tmp_path, sources)
    assert [lost.code for lost in report.damages] == ["VIDEO_DAMAGED"]
    assert data_of(report) == [s.data for s in (*samples[:36], *samples[45:65])]


def test_segments_without_known_starts_stay_in_their_order(tmp_path):
    paths = []
    for name, at in (("b", 0), ("a", 4)):
        path = tmp_path / f"{name}.mp4.age"
        path.write_bytes(sealed(video(at, 4)))
        paths.append(SegmentFile.at(path))
    report = opening(tmp_path, paths)
    assert data_of(report) == datas(0, 8)
    assert report.outputs[0].camera == "cam01"


def test_fragments_without_a_time_take_it_from_the_segment(tmp_path):
    known = segment(tmp_path, 0, 4, timed=False)
    report = opening(tmp_path, [known], Span(START_MS + 1000, START_MS + 2500))
    assert report.whole
    assert data_of(report)[:15] == datas(1, 2)
    (tmp_path / "out" / "clip.mp4").unlink()
    report = opening(tmp_path, [SegmentFile(known.path)])
    assert [lost.code for lost in report.damages] == ["TIME_UNKNOWN"]
    assert not report.outputs


def test_pictures_with_impossible_times_are_left_out(tmp_path):
    config, samples = pictures()
    init = init_segment("h264", WIDTH, HEIGHT, HZ, config)
    bad = [
        fragment(1, 0, [samples[0], samples[1]._replace(duration=0xFFFF_FFFF)], START_MS),
        fragment(1, 0, [samples[0]._replace(offset=-0x8000_0000)], START_MS),
    ]
    sources = [put(tmp_path, sealed(init + one), at) for at, one in enumerate(bad)]
    report = opening(tmp_path, [*sources, segment(tmp_path, 4, 4)])
    assert [lost.code for lost in report.damages] == ["VIDEO_DAMAGED", "VIDEO_DAMAGED"]
    assert data_of(report) == datas(4, 8)


def test_years_between_two_segments_make_two_clips(tmp_path):
    far = put(tmp_path, sealed(video(4, 4, shift_ms=86_400_000 * 800)), 4)
    report = opening(tmp_path, [segment(tmp_path, 0, 4), far])
    assert [output.frames for output in report.outputs] == [60, 60]
    assert len(report.missing) == 1


def test_a_leap_of_the_media_clock_within_a_segment_makes_two_clips(tmp_path):
    config, samples = pictures()
    init = init_segment("h264", WIDTH, HEIGHT, HZ, config)
    plain = (
        init + fragment(1, 0, samples[:15], START_MS) + fragment(2, 1 << 40, samples[15:30], START_MS + 1000)
    )
    report = opening(tmp_path, [put(tmp_path, sealed(plain), 0)])
    assert [output.frames for output in report.outputs] == [15, 15]


def test_no_keyframe_no_clip(tmp_path):
    config, samples = pictures()
    init = init_segment("h264", WIDTH, HEIGHT, HZ, config)
    plain = init + fragment(1, 0, samples[1:10], START_MS)
    report = opening(tmp_path, [put(tmp_path, sealed(plain), 0)])
    assert not report.outputs


def test_a_flood_of_false_fragments_does_not_fill_the_report(tmp_path):
    config, _ = pictures()
    init = init_segment("h264", WIDTH, HEIGHT, HZ, config)
    false = struct.pack(">I4sII", 32, b"prft", 1 << 24 | 24, 1)
    report = opening(tmp_path, [put(tmp_path, sealed(init + false * 20_000), 0)])
    assert [lost.code for lost in report.damages] == ["VIDEO_DAMAGED"]


@pytest.mark.parametrize("about", [b"", b"x", b"[]", b'{"camera": 7}', b'{"camera": "cam01"}'])
def test_whatever_a_segment_says_about_itself(tmp_path, about):
    config, samples = pictures()
    plain = init_segment("h264", WIDTH, HEIGHT, HZ, config, about) + fragment(1, 0, samples[:15], START_MS)
    report = opening(tmp_path, [put(tmp_path, sealed(plain), 0)])
    assert report.whole
    assert report.outputs[0].camera == "cam01"


def test_nothing_is_overwritten(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "clip.mp4").write_text("evidence")
    with pytest.raises(ConfigError) as caught:
        open_segments([segment(tmp_path, 0, 4)], [ALICE], None, out / "clip.mp4")
    assert caught.value.code == "OUTPUT_EXISTS"
    (out / "clip.mp4").rename(out / "new-2.mp4")
    sources = [segment(tmp_path, 0, 4), segment(tmp_path, 4, 4, width=320)]
    with pytest.raises(ConfigError) as caught:
        open_segments(sources, [ALICE], None, out / "new.mp4")
    assert caught.value.code == "OUTPUT_EXISTS"
    assert [path.name for path in out.iterdir()] == ["new-2.mp4"]
    assert (out / "new-2.mp4").read_text() == "evidence"


def test_a_folder_that_refuses(tmp_path):
    with pytest.raises(StorageFault) as caught:
        open_segments([segment(tmp_path, 0, 4)], [ALICE], None, tmp_path / "missing" / "clip.mp4")
    assert (caught.value.code, caught.value.context["errno"]) == ("OUTPUT_UNWRITABLE", "ENOENT")


@pytest.mark.parametrize("lacking", [500_000, 200_000, 1])
def test_a_full_disk_leaves_nothing_behind(tmp_path, lacking):
    source = segment(tmp_path, 0, 4)
    report = opening(tmp_path, [source])
    report.outputs[0].path.unlink()
    room = report.outputs[0].size_bytes - lacking
    out = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(StorageFault) as caught:
            open_segments([source], [ALICE], None, out / "clip.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "OUTPUT_UNWRITABLE"
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("call", [1, 2, 3])
def test_ctrl_c_leaves_nothing_behind(tmp_path, call):
    sources = [segment(tmp_path, at, 4, width=width) for at, width in ((0, 176), (4, 320), (8, 176))]
    out = tmp_path / "out"
    out.mkdir()
    calls = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == call:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_segments(sources, [ALICE], None, out / "clip.mp4", progress)
    assert list(out.iterdir()) == []


def test_a_kill_leaves_nothing_behind(tmp_path):
    sources = [segment(tmp_path, at, 4) for at in (0, 4)]
    out = tmp_path / "out"
    out.mkdir()
    code = """
import os, signal, sys
from pathlib import Path
from agent.centre.opening import open_segments
from agent.centre.segments import SegmentFile
from agent.storage.envelope import X25519Identity
key, out, *paths = sys.argv[1:]
def progress(done, total):
    if done == total:
        os.kill(os.getpid(), signal.SIGKILL)
open_segments([SegmentFile.at(Path(p)) for p in paths], [X25519Identity.parse(key)], None, Path(out), progress)
"""
    paths = [str(source.path) for source in sources]
    done = subprocess.run(
        [sys.executable, "-c", code, ALICE.secret(), str(out / "clip.mp4"), *paths], timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert list(out.iterdir()) == []


def test_a_draft_where_files_need_names(tmp_path):
    draft = Draft(tmp_path, unnamed=False)
    assert len(list(tmp_path.iterdir())) == 1
    draft.file.write(b"pictures")
    draft.publish(tmp_path / "clip")
    draft.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert (tmp_path / "clip").read_bytes() == b"pictures"
    assert stat.S_IMODE((tmp_path / "clip").stat().st_mode) == 0o600
    other = Draft(tmp_path, unnamed=False)
    with pytest.raises(FileExistsError):
        other.publish(tmp_path / "clip")
    other.discard()
    other.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]
    assert (tmp_path / "clip").read_bytes() == b"pictures"


def test_a_draft_without_a_name_is_seen_by_nobody(tmp_path):
    draft = Draft(tmp_path)
    draft.file.write(b"pictures")
    draft.file.flush()
    assert os.listdir(tmp_path) == []
    draft.discard()
    for folder in (tmp_path / "missing", Path("/proc/self")):  # the latter knows no files without names
        with pytest.raises(OSError):
            Draft(folder)
    assert os.listdir(tmp_path) == []


def test_samples_of_nothing_but_a_keyframe(tmp_path):
    plain = init_segment("mjpeg", WIDTH, HEIGHT, HZ, b"") + fragment(
        1, 0, [Sample(b"", 0, 0, True)], START_MS
    )
    report = opening(tmp_path, [put(tmp_path, sealed(plain), 0)], Span(START_MS, START_MS + 10))
    assert report.frames == 1
