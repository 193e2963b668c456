"""C1, C2, C3 with whole processes: a camera is recorded, and kept, while somebody sets the box's clock."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from agent.demo.ledger import read_frames
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.false_clock import TimedSite
from tests.lab import wait_for

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SPEC = CameraSpec(1, width=320, height=240, fps=15, gop=15)
JOIN_MS = 300  # neighbouring segments of two runs join within a few pictures
ROWS = "select start_ms, end_ms, trust, relabelled_from_ms, kept_from_ms, path from segment order by id"


@pytest.fixture
def cameras(tmp_path):
    with CameraProcess([SPEC], tmp_path / "frames") as made:
        yield made


def site_at(tmp_path, cameras, off_ms: int) -> TimedSite:
    return TimedSite(tmp_path / "site", {SPEC.name: cameras.urls[1]}, off_ms, segment_s=5)


def committed(site: TimedSite, more: int) -> list[tuple]:
    """Wait for so many more segments."""
    enough = len(site.rows(ROWS)) + more
    return site.wait_rows(f"{enough} segments", ROWS, lambda rows: len(rows) >= enough)


def confirmed(site: TimedSite) -> None:
    assert "Confirmed by lab." in site.clock("confirm", "--yes", "--by", "lab")
    site.wait_trust("HOLDOVER")
    site.wait_rows("settled rows", ROWS, lambda rows: rows and all(row[4] is not None for row in rows[:-1]))


def joined(rows: list[tuple]) -> None:
    """Each segment begins where the one before ended: labels go on."""
    apart = [one[0] - other[1] for other, one in itertools.pairwise(rows)]
    assert all(abs(each) <= JOIN_MS for each in apart), (apart, rows)


def digests(site: TimedSite) -> dict[str, str]:
    segments = site.vault / "segments"
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in segments.rglob("*.mp4.age")
        if not file.name.endswith(".part")
    }


def nothing_is_lost(site: TimedSite, cameras: CameraProcess, tmp_path, before: dict[str, str]) -> None:
    """Every file that ever was is there as it was, each has its own row, and no picture in between is missing."""
    after = digests(site)
    assert {name: after[name] for name in before} == before
    rows = site.rows(ROWS)
    assert sorted(row[5].rpartition("/")[2] for row in rows) == sorted(after)
    assert site.rows("select count(*) from segment where state not in ('COMMITTED', 'SALVAGED')") == [(0,)]
    assert [kind for kind, _, _ in site.facts() if kind.startswith("segment.erased")] == []
    cameras.stop()  # so that it has written down all that it offered
    by_path = {segment.path: pictures for segment, pictures in site.stored(SPEC.name)}
    in_order = [picture for row in rows for picture in by_path[site.vault / row[5]]]
    stored = [hashlib.sha256(picture.data).hexdigest() for picture in in_order]
    offered = [frame.sha256 for frame in read_frames(tmp_path / "frames" / f"{SPEC.name}.frames.jsonl")]
    first, last = offered.index(stored[0]), len(offered) - 1 - offered[::-1].index(stored[-1])
    assert stored == offered[first : last + 1]


def test_c2_forty_days_forward_and_back(tmp_path, cameras):
    """The recorder goes on under the old label, the keeper tells within its tick, and nothing is erased."""
    with site_at(tmp_path, cameras, 0) as site:
        site.wait_recording(bound_s=60)
        committed(site, 1)
        confirmed(site)
        wait_for("a segment in trusted time", lambda: committed(site, 1)[-1][2] == "HOLDOVER", 60)
        before = digests(site)
        site.set_clock(40 * DAY_MS)
        wait_for("the step", lambda: site.facts("clock.step"))
        ((_, at_ms, step),) = site.facts("clock.step")
        assert abs(step["delta_ms"] - 40 * DAY_MS) < 1000
        assert abs(at_ms - step["from_ms"]) < 1000, "told under the old label"
        site.wait_trust("UNTRUSTED")
        rows = committed(site, 3)
        assert rows[-1][2] == "UNTRUSTED"
        joined(rows)
        assert site.trust()["reason"] == "stepped"
        site.set_clock(0)
        site.wait_trust("HOLDOVER")
        committed(site, 2)
        rows = site.wait_rows("settled rows", ROWS, lambda rows: all(row[4] is not None for row in rows))
        joined(rows)
        assert all(row[4] == row[0] for row in rows)
        assert site.stop() == 0
        nothing_is_lost(site, cameras, tmp_path, before)
        assert [fact["shift_ms"] for _, _, fact in site.facts("time.relabelled")][1:] == [0] * (
            len(site.facts("time.relabelled")) - 1
        )
        assert len(site.facts("clock.step")) == 2


def test_c3_an_hour_back_confirmed(tmp_path, cameras):
    """Names come again that were used an hour ago: nothing is overwritten, and every row is its own."""
    with site_at(tmp_path, cameras, 400 * DAY_MS) as site:
        site.wait_recording(bound_s=60)
        committed(site, 1)
        confirmed(site)
        committed(site, 1)
        # What was begun before the word is settled by it; else by the next one, which says another hour.
        site.wait_rows("settled rows", ROWS, lambda rows: all(row[4] is not None for row in rows))
        before = digests(site)
        site.set_clock(400 * DAY_MS - HOUR_MS)
        site.wait_trust("UNTRUSTED")
        rows = committed(site, 2)
        joined(rows)
        confirmed(site)
        committed(site, 2)
        rows = site.wait_rows("settled rows", ROWS, lambda rows: all(row[4] is not None for row in rows[:-1]))
        moved = [row for row in rows if row[3] is not None and row[3] != row[0]]
        assert moved
        assert all(abs(row[0] - row[3] + HOUR_MS) < 1000 for row in moved)
        starts = [row[0] for row in rows]
        steps = [one for other, one in itertools.pairwise(starts) if one < other]
        assert len(steps) == 1, "labels go back once, where the clock did"
        assert site.stop() == 0
        nothing_is_lost(site, cameras, tmp_path, before)


def test_c3_a_year_back_unconfirmed(tmp_path, cameras):
    with site_at(tmp_path, cameras, 400 * DAY_MS) as site:
        site.wait_recording(bound_s=60)
        committed(site, 1)
        confirmed(site)
        before = digests(site)
        site.set_clock(35 * DAY_MS)
        site.wait_trust("UNTRUSTED")
        joined(committed(site, 2))
        assert site.stop() == 0
        nothing_is_lost(site, cameras, tmp_path, before)


def test_c1_a_box_that_starts_in_1970(tmp_path, cameras):
    """It records at once; when somebody sets and confirms the clock, what was recorded gets its time."""
    with site_at(tmp_path, cameras, -20_760 * DAY_MS) as site:
        site.wait_recording(bound_s=60)
        rows = committed(site, 2)
        assert all(row[2:5] == ("UNTRUSTED", None, None) for row in rows)
        assert all(row[5].split("/")[2].startswith("1970-") for row in rows)
        site.wait_trust("UNTRUSTED")
        assert site.trust()["reason"] == "implausible"
        before = digests(site)
        site.set_clock(0)
        wait_for("the step", lambda: site.facts("clock.step"))
        confirmed(site)
        committed(site, 2)
        site.wait_rows("settled rows", ROWS, lambda rows: all(row[4] is not None for row in rows))
        assert site.stop() == 0
        rows = site.rows(ROWS)
        joined(rows)
        old = [row for row in rows if row[5].split("/")[2].startswith("1970-")]
        assert len(old) >= 2
        assert all(abs(row[0] - row[3] - 20_760 * DAY_MS) < 2000 and row[4] == row[0] for row in old)
        assert all(row[2] == "HOLDOVER" for row in rows)
        relabelled = site.facts("time.relabelled")
        assert relabelled[0][2]["segments"] >= 1
        nothing_is_lost(site, cameras, tmp_path, before)
