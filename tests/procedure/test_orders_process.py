"""Commands with the real processes: the files that the uplink writes, a keeper, and a recorder that takes up or refuses."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent.command import jws
from agent.config import load
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.health import read_health
from agent.storage import exchange
from agent.storage.files import Disk
from agent.storage.proof import note
from tests.city import City
from tests.lab import Site, wait_for
from tests.procedure.keep_scenario import plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Commanded:
    """A box that records one camera under `pasu run`, its city, and the uplink's side of the exchange."""

    def __init__(self, folder: Path, cameras: CameraProcess) -> None:
        self.urls = cameras.urls
        self.site = Site(folder, {"cam01": cameras.urls[1]}, segment_s=5, command=("run",))
        self.site.state.mkdir()
        self.box = load(self.site.config).box.id
        self.city = City(now_ms=time.time_ns() // 1_000_000)
        self.city.staff()
        self.city.recipients = [*load(self.site.config).storage.recipients]
        self.city.enrol(self.site.state)
        exchange.make(self.site.state, Disk())
        self.uplink = exchange.UplinkSide(self.site.state)
        self.heard: list[dict[str, Any]] = []

    def keeper(self) -> dict[str, Any]:
        return read_health(self.site.run, "keep") or {}

    def recorder(self) -> dict[str, Any]:
        return read_health(self.site.run, "record") or {}

    def is_recording(self, camera: str = "cam01") -> bool:
        return self.recorder().get("cameras", {}).get(camera, {}).get("state") == "recording"

    def send(self, signer: str, command: str, arguments: dict[str, Any]) -> str:
        now_ms = time.time_ns() // 1_000_000
        # The machine of a test may have no synchronised clock: with the challenge that does not matter.
        challenge = self.keeper()["challenge"]
        text = self.city.order(
            signer,
            command,
            arguments,
            box=self.box,
            issued_ms=now_ms,
            challenge=challenge,
            id=f"{now_ms:032x}",
        )
        assert self.uplink.put_order(text, now_ms, retained=False)
        return str(jws.peek(text)[1]["id"])

    def last(self, name: str) -> dict[str, Any]:
        """Take the replies that are there, as the uplink does; return the last one to a command."""
        for file, text in self.uplink.replies(100):
            self.heard.append(json.loads(text))
            self.uplink.drop_reply(file)
        return next((each for each in reversed(self.heard) if each["id"] == name), {})

    def answer(self, name: str, seconds: float = 180) -> dict[str, Any]:
        wait_for("an answer", lambda: self.last(name).get("status") in ("done", "failed", "refused"), seconds)
        return self.last(name)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Commanded]:
    with CameraProcess([CameraSpec(1, gop=15, codec="h264"), CameraSpec(2, gop=15, codec="h264")]) as cameras:
        found = Commanded(tmp_path / "site", cameras)
        found.site.start()
        try:
            wait_for("recording", lambda: found.is_recording() and found.keeper().get("challenge"), 60)
            yield found
        finally:
            found.site.kill()


def test_hold_locate_and_inspect(box: Commanded) -> None:
    wait_for("a segment", lambda: box.site.committed("cam01", 1), 60)
    now_ms = time.time_ns() // 1_000_000
    span = {"from_ms": now_ms - 60_000, "to_ms": now_ms + 60_000}
    place = {"cameras": ["cam01"], **span, "ground": "investigation", "authority": "강릉경찰서 2026-1"}
    review = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86_400))
    hold = box.answer(box.send("officer 1", "hold.place", place | {"review": review}))
    assert hold["status"] == "done"
    wait_for("links", lambda: list((box.site.vault / "holds" / hold["id"]).rglob("*.age")), 60)
    located = box.answer(box.send("operator 1", "segments.locate", {"camera": "cam01", **span}))
    assert located["detail"]["stored"]
    report = box.answer(box.send("technician 1", "inspect", {}))
    ledger = report["detail"]["inspection"]["7_measures"]["ledger"]
    # The head stands for all of it, the order itself included: nobody has to wait for the next one.
    head = note.parse_head(note.parse_note(ledger["checkpoint"].encode()).text)
    assert head.size == ledger["entries"]
    text = json.dumps(report, ensure_ascii=False)
    assert report["detail"]["inspection"]["3_devices"]["cameras"][0]["id"] == "cam01"
    assert "rtsp" not in text
    assert "127.0.0.1" not in text


def test_art_29_1_a_span_is_deleted_for_its_subject_while_the_box_records(box: Commanded) -> None:
    """What is being recorded is refused with when it can be asked again; what is stored goes, and recording goes on."""
    now_ms = time.time_ns() // 1_000_000
    assert box.answer(box.send("service 1", "time.confirm", {"utc_ms": now_ms}))["status"] == "done"
    begin_ms = now_ms - 3_600_000
    assert plant(box.site, ["old0"], begin_ms, begin_ms + 100_000, 1000) == 100
    stem = begin_ms + 50_000

    def delete(camera: str, from_ms: int, to_ms: int) -> dict[str, Any]:
        order = {
            "camera": camera,
            "from_ms": from_ms,
            "to_ms": to_ms,
            "ground": "erasure-request",
            "request": "2026-17",
        }
        time.sleep(0.01)  # ids are milliseconds here
        inner = box.city.order(
            "officer 1", "delete.subject", order, box=box.box, issued_ms=time.time_ns() // 1_000_000
        )
        return box.answer(box.send("privacy 1", "countersign", {"order": inner}))

    done = delete("old0", stem, stem + 2000)
    assert (done["status"], done["code"], done["detail"]["erased"]) == ("done", "", 2)
    names = [path.name for path in (box.site.vault / "segments" / "old0").rglob("*.age")]
    assert len(names) == 98
    erased = [body for _, _, body in box.site.facts("segment.erased")]
    assert {(body["cause"], body["shredded"]) for body in erased} == {("REQUESTED", True)}
    wait_for("a segment", lambda: box.site.committed("cam01", 2), 60)
    growing = delete("cam01", time.time_ns() // 1_000_000 - 3000, time.time_ns() // 1_000_000)
    assert (growing["status"], growing["code"]) == ("refused", "DELETION_OPEN")
    assert growing["detail"]["reason"].startswith("from 20")
    count = len(list((box.site.vault / "segments" / "cam01").rglob("*.age")))
    wait_for("another segment", lambda: box.site.committed("cam01", count + 1), 60)


def test_a_configuration_on_trial(box: Commanded) -> None:
    old = box.site.config.read_text()
    second = old[old.index("[[camera]]") :].replace("cam01", "cam02").replace(box.urls[1], box.urls[2])
    wait_for("the recorder's own word on its configuration", lambda: "config" in box.recorder(), 30)
    done = box.answer(
        box.send("officer 1", "config.propose", {"toml": old + second, "consultation": "협의 1"}), 130
    )
    assert (done["status"], done["code"]) == ("done", "")
    wait_for("the new camera", lambda: box.is_recording("cam02"), 60)
    both = box.site.config.read_text()
    assert both == old + second
    # What the recorder could take up only after a restart is taken back.
    slower = both.replace("segment_s = 5", "segment_s = 30")
    back = box.answer(
        box.send("officer 1", "config.propose", {"toml": slower, "consultation": "협의 2"}), 130
    )
    assert (back["status"], back["code"]) == ("failed", "CONFIG_NOT_TAKEN")
    assert box.site.config.read_text() == both
    wait_for("both cameras", lambda: box.is_recording("cam01") and box.is_recording("cam02"), 60)


@pytest.mark.campaign
def test_a_camera_that_does_not_come_back_takes_the_configuration_back(box: Commanded) -> None:
    old = box.site.config.read_text()
    wrong = old.replace(box.urls[1], "rtsp://127.0.0.1:9/nowhere")
    back = box.answer(
        box.send("technician 1", "config.propose", {"toml": wrong, "consultation": "교체"}), 240
    )
    assert (back["code"], back["detail"]["missing"]) == ("CONFIG_CAMERAS_LOST", ["cam01"])
    assert box.site.config.read_text() == old
    wait_for("recording", lambda: box.is_recording(), 60)
