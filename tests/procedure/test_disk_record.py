"""`pasu record` with real cameras on a real disk that is taken away and brought back; and a power supply that gives up."""

from __future__ import annotations

import hashlib
import os
import signal
import time

from tests.checker import check
from tests.lab import GstCameras, Site, prepared_clip, wait_for
from tests.procedure.loop import loop_disk

CAMERAS = 2


def cameras(folder):
    clip = str(prepared_clip(320, 240, 15, 256, 20, 1))
    return GstCameras(folder / "cameras", "--clip", clip, "--cameras", str(CAMERAS), "--fps", "15")


def agree(site: Site) -> None:
    rows = site.rows(
        "select path, sealed_bytes, sha256 from segment where state in ('COMMITTED', 'SALVAGED')"
    )
    for path, size, digest in rows:
        data = (site.vault / str(path)).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest), path
    named = {str(path) for path, *_ in rows}
    found = {
        path.relative_to(site.vault).as_posix()
        for path in (site.vault / "segments").rglob("*")
        if path.is_file() and not path.name.endswith(".tail")
    }
    assert found == named


def test_b15_the_disk_is_taken_away_for_a_while_under_the_recorder(tmp_path) -> None:
    """B15, B9: no frame is lost, nothing is written in its place, the health file says it, nobody is needed."""
    site_folder = tmp_path / "site"
    with loop_disk(tmp_path / "disk.img", site_folder / "vault") as disk:
        with cameras(tmp_path) as served:
            urls = {f"cam{number}": served.url(number) for number in range(CAMERAS)}
            site = Site(site_folder, urls, segment_s=5)
            with site:
                site.wait_recording()
                wait_for("a first segment", lambda: all(site.committed(camera) for camera in urls), 60)
                disk.take_away()
                wait_for("the alarm", lambda: "VAULT_MISSING" in str(site.health().get("storage")), 30)
                time.sleep(8)
                assert os.listdir(disk.place) == []
                disk.mount()
                wait_for("recovery", lambda: site.health().get("storage") == {}, 60)
                had = {camera: len(site.segments(camera)) for camera in urls}
                wait_for("more segments", lambda: all(site.committed(one, had[one] + 2) for one in urls), 60)
                assert site.stop() == 0, site.log[-3000:]
        # The cameras' own ledgers are whole when they have ended.
        for number, camera in enumerate(urls):
            verdict = check(served.ledger(number), site.stored(camera), site.gaps(camera))
            print(f"{camera}: {verdict.summary()}")
            verdict.clean()
            assert not [gap for gap in site.gaps(camera) if gap.cause.startswith("storage")]
        assert len(site.facts("storage.failed")) == len(site.facts("storage.recovered")) == 1
        assert "VAULT_MISSING" in site.log
        agree(site)


def test_a9_the_power_supply_says_that_it_will_not_last(tmp_path) -> None:
    """A9: SIGPWR: every segment is committed within five seconds, and the log says "clean"."""
    with cameras(tmp_path) as served:
        urls = {f"cam{number}": served.url(number) for number in range(CAMERAS)}
        with Site(tmp_path / "site", urls, segment_s=60) as site:
            site.wait_recording()
            time.sleep(3)
            assert site.process is not None
            asked = time.monotonic()
            site.process.send_signal(signal.SIGPWR)
            status = site.process.wait(30)
            took_s = time.monotonic() - asked
            site.process = None
            print(f"SIGPWR: {took_s:.2f} s")
            assert status == 0
            assert took_s < 5
            assert "clean: " in site.log
            assert "not clean" not in site.log
            for camera in urls:
                (segment,) = site.segments(camera)
                assert segment.state == "COMMITTED"
            assert not list(site.vault.rglob("*.part"))
            assert len(site.facts("box.stopped")) == 1
            agree(site)
