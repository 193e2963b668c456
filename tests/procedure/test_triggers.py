"""Bells and sensors under a running `pasu record`: what they leave in the ledger, and that recording does not notice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.bells import PASSWORD, USER, Bell, SiteBroker
from tests.lab import Site, wait_for
from tests.live import Ear
from tests.procedure.test_faulty_cameras import good_cameras, lost_nothing
from tests.procedure.test_reload import codes, facts, rewrite

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(
    name: str, source: str, *, cameras: Sequence[str] = (), before_s: int = 0, payload: str = ""
) -> str:
    more = f'payload = "{payload}"\n' if payload else ""
    return (
        f'[[trigger]]\nid = "{name}"\nname = "비상벨 {name}"\nsource = "{source}"\n{more}'
        f"cameras = {json.dumps([*cameras])}\nminutes = 5\nbefore_s = {before_s}\n"
    )


UPLINK = '[uplink]\nbroker = "mqtts://10.77.0.1:8883"\nmedia = "rtsp://10.77.0.1:8554"\n'


def showing(site: Site) -> Site:
    """Give it a media server, without which no trigger may name cameras; nobody is there."""
    site.config.write_text(site.config.read_text() + UPLINK)
    return site


def listener(site: Site) -> int | None:
    number = site.health().get("triggers", {}).get("pid")
    return number if isinstance(number, int) else None


def events(site: Site, name: str) -> list[dict[str, object]]:
    return [body for body in facts(site, "event.triggered") if body["trigger"] == name]


def total(site: Site, name: str) -> int:
    return sum(int(str(body["count"])) for body in events(site, name))


def is_heard(site: Site, broker: SiteBroker) -> None:
    wait_for("the subscription", lambda: "SUBACK" in broker.log() and listener(site), 60)


def test_a_flood_of_ten_thousand_is_few_facts_and_costs_no_picture(tmp_path: Path) -> None:
    with (
        SiteBroker(tmp_path / "broker") as broker,
        good_cameras(tmp_path / "good") as good,
        showing(Site(tmp_path / "site", {"good0": good.url(0), "good1": good.url(1)}, segment_s=5)) as site,
    ):
        site.wait_recording()
        assert listener(site) is None  # nothing listens where nothing is asked for
        workers = site.workers()
        text = site.config.read_text() + table(
            "bell01", broker.topic("site/bell01"), cameras=["good0"], before_s=5, payload="on"
        )
        rewrite(site, text)
        is_heard(site, broker)
        with Bell(broker) as bell:
            bell.ring("site/bell01", "off", times=5)
            bell.ring("site/bell01", "on")
            wait_for("the first", lambda: events(site, "bell01"))
            assert events(site, "bell01") == [
                {"trigger": "bell01", "count": 1, "source": "mqtt", "cameras": ["good0"]}
            ]
            begun = time.monotonic()
            bell.ring("site/bell01", "on", times=10_000)
        wait_for("all", lambda: total(site, "bell01") == 10_001, 120)
        assert len(events(site, "bell01")) <= 2 + (time.monotonic() - begun) / 10
        counts = [int(str(body["count"])) for body in events(site, "bell01")]
        assert counts[0] == 1
        assert site.workers() == workers
        # Without triggers there is no process for them.
        pid = listener(site)
        rewrite(site, text.split("[[trigger]]")[0])
        wait_for("its end", lambda: listener(site) is None and not Path(f"/proc/{pid}").exists())
        assert site.stop() == 0
    for number, camera in enumerate(("good0", "good1")):
        lost_nothing(site, good, camera, number)


def test_the_process_is_replaced_and_its_death_costs_no_picture(tmp_path: Path) -> None:
    with (
        SiteBroker(tmp_path / "broker") as broker,
        good_cameras(tmp_path / "good", 1) as good,
        Site(tmp_path / "site", {"good0": good.url(0)}, segment_s=5) as site,
    ):
        site.wait_recording()
        rewrite(site, site.config.read_text() + table("bell01", broker.topic("site/bell01")))
        is_heard(site, broker)
        before = site.workers()
        for times, sent in enumerate((signal.SIGKILL, signal.SIGSTOP), 1):
            wait_for("it listens", lambda times=times: site.log.count("bell01: listening") == times, 60)
            pid = listener(site)
            assert pid is not None
            os.kill(pid, sent)
            wait_for("another", lambda old=pid: listener(site) not in (None, old), 60)
        wait_for("it listens", lambda: site.log.count("bell01: listening") == 3, 60)
        with Bell(broker) as bell:
            bell.ring("site/bell01")
            wait_for("the fact", lambda: total(site, "bell01") == 1)
        assert site.workers() == before
        assert site.stop() == 0
    lost_nothing(site, good, "good0", 0)


def test_what_was_not_told_yet_is_told_at_the_end(tmp_path: Path) -> None:
    with (
        SiteBroker(tmp_path / "broker") as broker,
        CameraProcess([CameraSpec(1)], tmp_path / "cameras") as cameras,
        Site(tmp_path / "site", {"cam01": cameras.urls[1]}) as site,
    ):
        site.wait_recording()
        rewrite(site, site.config.read_text() + table("bell01", broker.topic("site/bell01")))
        is_heard(site, broker)
        with Bell(broker) as bell:
            bell.ring("site/bell01")
            wait_for("the first", lambda: events(site, "bell01"))
            bell.ring("site/bell01", times=3)
            wait_for("the rest", lambda: site.health()["triggers"]["heard"].get("bell01") == 4)
        assert site.stop() == 0
        assert [body["count"] for body in events(site, "bell01")] == [1, 3]
        assert facts(site, "box.stopped")


def test_a_ledger_that_is_locked_gets_the_fact_later_and_with_its_time(tmp_path: Path) -> None:
    with (
        SiteBroker(tmp_path / "broker") as broker,
        CameraProcess([CameraSpec(1)], tmp_path / "cameras") as cameras,
        Site(tmp_path / "site", {"cam01": cameras.urls[1]}) as site,
    ):
        site.wait_recording()
        rewrite(site, site.config.read_text() + table("bell01", broker.topic("site/bell01")))
        is_heard(site, broker)
        pid = listener(site)
        with contextlib.closing(sqlite3.connect(site.state / "catalogue.db", timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            rung_ms = time.time_ns() // 1_000_000
            with Bell(broker) as bell:
                bell.ring("site/bell01")
            wait_for("the count", lambda: site.health()["triggers"]["heard"].get("bell01") == 1)
            counted_ms = time.time_ns() // 1_000_000
            time.sleep(4)
            assert not events(site, "bell01")
            other.execute("ROLLBACK")
        wait_for("the fact", lambda: events(site, "bell01"))
        ((_, at_ms, _),) = site.facts("event.triggered")
        assert rung_ms - 50 <= at_ms <= counted_ms + 50
        assert listener(site) == pid
        assert site.stop() == 0


def test_a_parent_that_is_killed_leaves_nobody_listening(tmp_path: Path) -> None:
    """A1: who records next is not kept waiting, and hears the bell."""
    with (
        SiteBroker(tmp_path / "broker") as broker,
        CameraProcess([CameraSpec(1)], tmp_path / "cameras") as cameras,
        Site(tmp_path / "site", {"cam01": cameras.urls[1]}) as site,
    ):
        site.wait_recording()
        rewrite(site, site.config.read_text() + table("bell01", broker.topic("site/bell01")))
        is_heard(site, broker)
        pid = listener(site)
        assert pid is not None
        assert site.process is not None
        os.kill(site.process.pid, signal.SIGKILL)
        site.process.wait(30)
        wait_for("its end", lambda: not Path(f"/proc/{pid}").exists())
        site.start()
        wait_for("another", lambda: listener(site) not in (None, pid), 60)
        wait_for("it listens", lambda: site.log.count("bell01: listening") == 2, 60)
        with Bell(broker) as bell:
            bell.ring("site/bell01")
            wait_for("the fact", lambda: total(site, "bell01") == 1)
        assert site.stop() == 0


def test_a_trigger_that_is_away_is_a_condition_until_it_is_back(tmp_path: Path) -> None:
    with (
        SiteBroker(tmp_path / "broker", login=True) as broker,
        CameraProcess([CameraSpec(1)], tmp_path / "cameras") as cameras,
    ):
        site = Site(tmp_path / "site", {"cam01": cameras.urls[1]})
        site.config.write_text(
            site.config.read_text()
            + table("bell01", broker.topic("site/bell01"))
            + table("door", "gpio://gpiochip99/3?edge=rising")
        )
        with site:
            site.wait_recording()

            def away() -> dict[str, str]:
                return {
                    each["subject"]: each["detail"]
                    for each in site.health().get("conditions", [])
                    if each["code"] == "trigger.away"
                }

            wait_for("both", lambda: len(away()) == 2, 60)
            assert away()["bell01"].startswith("refused")
            assert away()["door"] == "no such chip"
            with (tmp_path / "site" / "secrets.toml").open("a") as file:
                file.write(f'[broker."127.0.0.1"]\nusername = "{USER}"\npassword = "{PASSWORD}"\n')
            wait_for("the bell", lambda: set(away()) == {"door"}, 60)
            assert "process.silent" not in codes(site)
            wait_for("the fact", lambda: facts(site, "condition.cleared"))
            assert [body["subject"] for body in facts(site, "condition.cleared")] == ["bell01"]
            pid = listener(site)
            told = site.log + json.dumps(site.health()) + json.dumps(site.facts())
            told += Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
            assert PASSWORD not in told
            assert site.stop() == 0
            assert PASSWORD not in site.log + (site.run / "record.json").read_text()


def test_seconds_before_are_kept_while_a_trigger_asks_for_them(tmp_path: Path) -> None:
    with (
        SiteBroker(tmp_path / "broker") as broker,
        CameraProcess([CameraSpec(1, gop=15), CameraSpec(2, gop=15)], tmp_path / "cameras") as cameras,
    ):
        site = showing(Site(tmp_path / "site", {"cam01": cameras.urls[1], "cam02": cameras.urls[2]}))
        text = site.config.read_text()
        with site:
            site.wait_recording()
            workers = site.workers()
            past = site.run / "live" / "cam01.past.sock"
            assert not past.exists()
            bell = table("bell01", broker.topic("site/bell01"), cameras=["cam01"], before_s=5)
            rewrite(site, text + bell)
            wait_for("the socket", past.exists)
            assert not (site.run / "live" / "cam02.past.sock").exists()
            time.sleep(6)
            ear = Ear(site.run, "cam01.past")
            units = ear.hear(60)  # four seconds of fifteen a second, at once
            assert units[0].keyframe
            assert not ear.lost
            rewrite(site, text)
            wait_for("its end", lambda: ear.read() or ear.over)
            ear.close()
            wait_for("no socket", lambda: not past.exists())
            assert site.workers() == workers
            assert site.stop() == 0
            for camera in ("cam01", "cam02"):
                assert [gap.cause for gap in site.gaps(camera)] == []
