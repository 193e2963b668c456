"""Players read the clips, and age the identity files, that the centre's part writes."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest

from agent.centre.keys import keygen, read_identities
from agent.centre.opening import open_segments
from tests.peer import need
from tests.unit.centre.footage import chunk_place, cut, datas, packets, put, segment, tail, video
from tests.unit.envelope.keys import ALICE, plaintext, sealed


def check(path, wanted: list[bytes]) -> None:
    """ffprobe must see exactly these pictures, and ffmpeg decode them all, without a word."""
    command = [need("ffprobe"), "-v", "error", "-show_streams", "-show_packets", "-show_data_hash", "MD5"]
    done = subprocess.run([*command, "-of", "json", str(path)], capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    seen = json.loads(done.stdout)
    assert [stream["codec_type"] for stream in seen["streams"]] == ["video"]
    hashes = [packet["data_hash"] for packet in seen["packets"]]
    assert hashes == ["MD5:" + hashlib.md5(data).hexdigest() for data in wanted]
    done = subprocess.run(
        [need("ffmpeg"), "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-f", "framehash", "-"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == b""
    assert sum(not line.startswith(b"#") for line in done.stdout.splitlines()) == len(wanted)


def test_a_clip_of_whole_segments(tmp_path):
    open_segments([segment(tmp_path, at, 4) for at in (0, 4, 8)], [ALICE], None, tmp_path / "clip.mp4")
    check(tmp_path / "clip.mp4", datas(0, 12))


@pytest.mark.parametrize("number", range(1, 8))
def test_a_clip_around_a_damaged_chunk_decodes_without_complaint(tmp_path, number):
    sources = [segment(tmp_path, at, 4) for at in (0, 4, 8)]
    file = bytearray(sources[1].path.read_bytes())
    file[chunk_place(bytes(file), number)] ^= 1
    sources[1].path.write_bytes(file)
    report = open_segments(sources, [ALICE], None, tmp_path / "clip.mp4")
    every = datas(0, 12)
    got = [data for _, _, data in packets(tmp_path / "clip.mp4")]
    assert len(got) == report.frames
    assert 140 < len(got) < 180
    assert [data for data in every if data in set(got)] == got
    check(tmp_path / "clip.mp4", got)


def test_a_clip_with_a_tail_a_gap_and_two_formats(tmp_path):
    plain = video(0, 4)
    (tmp_path / "20261121T100500.000Z.salvaged.mp4.age.tail").write_bytes(tail(plain, 5 * 65536, 6 * 65536))
    salvaged = put(tmp_path, cut(sealed(plain), 5), 0, suffix=".salvaged.mp4.age")
    sources = [
        salvaged,
        segment(tmp_path, 8, 4),
        segment(tmp_path, 4, 2, at_s=20, shift_ms=16_000, bframes=0),
    ]
    report = open_segments(sources, [ALICE], None, tmp_path / "clip.mp4")
    assert not report.damages
    before = report.outputs[0].frames - 60
    assert 30 < before < 60
    check(tmp_path / "clip.mp4", datas(0, 4)[:before] + datas(8, 12))
    check(tmp_path / "clip-2.mp4", datas(4, 6, bframes=0))


def test_age_takes_our_identity_file_and_we_take_its(tmp_path):
    need("age")  # its package brings age-keygen too
    ours = tmp_path / "ours.txt"
    recipient = keygen(ours)
    done = subprocess.run(
        ["age-keygen", "-y", str(ours)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{recipient}\n"
    data = plaintext(1000)
    (identity,) = read_identities(ours)
    done = subprocess.run(
        [need("age"), "-d", "-i", str(ours)],
        input=sealed(data, identity),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == data
    theirs = tmp_path / "theirs.txt"
    subprocess.run(["age-keygen", "-o", str(theirs)], capture_output=True, check=True, timeout=60)
    (identity,) = read_identities(theirs)
    lines = theirs.read_text().splitlines()
    assert lines[1] == f"# public key: {identity.recipient()}"
    # Same form, line by line; ours tells the time in UTC, theirs in the machine's zone.
    assert [len(line) for line in ours.read_text().splitlines()][1:] == [len(line) for line in lines][1:]
    assert oct(ours.stat().st_mode) == oct(theirs.stat().st_mode)
