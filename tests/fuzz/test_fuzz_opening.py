"""Opening hostile segments: clips and a report, or the declared errors; never a leftover, never an endless run.

Anybody who knows the public key can seal bytes, so what is inside a segment is no more trusted than a file.
"""

from __future__ import annotations

import random

from agent.centre.opening import open_segments
from agent.centre.segments import SegmentFile
from agent.model import Span
from tests.unit.centre.footage import START_MS, datas, packets, put, video
from tests.unit.envelope.keys import ALICE, sealed


def test_segments_with_changed_contents(tmp_path):
    chance = random.Random(1)
    plain = video(0, 1)
    marks = [
        plain.index(mark) for mark in (b"moov", b"mvhd", b"stsd", b"avcC", b"prft", b"moof", b"tfdt", b"trun")
    ]
    out = tmp_path / "out"
    out.mkdir()
    clips = damages = 0
    for _ in range(2_000):
        changed = bytearray(plain)
        for _ in range(chance.randint(1, 4)):
            near = chance.choice(marks) + chance.randrange(-8, 120)
            at = chance.choice((near, near, chance.randrange(len(plain))))
            changed[at : at + chance.choice((1, 1, 1, 0, 2))] = chance.randbytes(
                chance.choice((1, 1, 1, 0, 4))
            )
        source = put(tmp_path, sealed(bytes(changed[: chance.choice((None, None, 40_000))])), 0)
        span = chance.choice((None, Span(START_MS + 200, START_MS + 700)))
        report = open_segments([source], [ALICE], span, out / "clip.mp4")
        assert sorted(out.iterdir()) == sorted(output.path for output in report.outputs)
        clips += len(report.outputs)
        damages += len(report.damages)
        for output in report.outputs:
            output.path.unlink()
    assert clips > 500
    assert damages > 500


def test_sealed_files_with_changed_bytes_show_only_true_pictures(tmp_path):
    chance = random.Random(2)
    file = sealed(video(0, 4))
    every = datas(0, 4)
    genuine = set(every)
    out = tmp_path / "clip.mp4"
    path = tmp_path / "20261121T100500.000Z.mp4.age"
    for _ in range(300):
        changed = bytearray(file)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(file))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed[: chance.choice((len(file), len(file), chance.randrange(len(file))))])
        report = open_segments([SegmentFile.at(path)], [ALICE], None, out)
        assert report.damages
        if report.outputs:
            got = [data for _, _, data in packets(out)]
            assert set(got) <= genuine
            assert got == [data for data in every if data in set(got)]
            out.unlink()
