"""E13: what the centre sees of a certificate that comes to its end, and that recording does not mind.

A real recorder with a virtual camera runs through all of it, while the uplink beside it gets one certificate after the
other from the city's authority; the camera's own ledger tells whether a frame is missing.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.centre import registry
from agent.config import load
from agent.demo.ledger import read_frames
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.enrolment import box as enrolled
from agent.enrolment import form
from agent.storage.files import Disk
from tests.checker import Frame, Verdict, check
from tests.lab import wait_for
from tests.living import Ear, LiveBox, now_ms, settled
from tests.town import Town, no_passphrase

if TYPE_CHECKING:
    from pathlib import Path

CAMERA = CameraSpec(1, width=320, height=240, fps=15, gop=15)
LASTS_S = 20.0
"""For so long the certificate that ends in the test is good."""


def stored(folder: Path, box: LiveBox) -> Verdict:
    """Return what became of every frame that the camera offered."""
    offered = [
        Frame(each.frame, each.utc_ms, each.keyframe, each.sha256, each.sessions > 0)
        for each in read_frames(folder / f"{CAMERA.name}.frames.jsonl")
    ]
    return check(offered, box.stored(CAMERA.name), box.gaps(CAMERA.name), digest=by_bits)


def by_bits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def certify(box: LiveBox, lasts: timedelta) -> None:
    """Renew the certificate: the new one is good for so long from now."""
    config = load(box.config)
    asked = enrolled.request(config, Disk(), now_ms())
    at = datetime.now(UTC) + lasts - timedelta(days=365)
    text = registry.enrol(box.town.city, asked, 365, at, no_passphrase)
    enrolled.accept(config, form.read_bundle(text.encode()), Disk())


def told(ear: Ear) -> list[str]:
    """Return what the newest health on the wire says of the certificate."""
    healths = [said for said in ear.hear() if "backlog" in said and not said.get("historical")]
    return certificate_codes([row[0] for row in healths[-1]["conditions"]]) if healths else []


def certificate_codes(codes: Any) -> list[str]:
    return [code for code in codes if code.startswith("certificate.")]


def reconnect(box: LiveBox) -> None:
    """Begin a new uplink, which reads the certificate at once and not within a minute."""
    assert box.uplink.stop() == 0
    box.uplink.start()
    box.wait_up()


def test_e13_the_last_days_of_a_certificate_are_told_at_the_centre_and_recording_goes_on(tmp_path):
    """E13: at 30, 14, 7 and 1 days on the wire; renewed beside a recorder, ended beside it: no frame is lost."""
    town = Town(tmp_path / "town")
    with CameraProcess([CAMERA], tmp_path / "ledger") as cameras:
        box = LiveBox(town, cameras={CAMERA.name: cameras.urls[1]})
        town.start()
        ear = Ear(town, "health")
        with settled(town, box, ear):
            box.start()
            box.wait_recording(bound_s=60)
            recorder = box.process.pid
            box.begin()
            certify(box, timedelta(days=31))
            reconnect(box)
            wait_for("a health", lambda: box.uplink_says().get("certificate_days") == 30, 60)
            assert told(ear) == []
            for days, left, code in (
                (30, 29, "certificate.ends_in_30_days"), (14, 13, "certificate.ends_in_14_days"),
                (7, 6, "certificate.ends_in_7_days"), (1, 0, "certificate.ends_in_1_day"),
            ):  # fmt: skip
                certify(box, timedelta(days=days))
                reconnect(box)
                wait_for(f"{code} at the centre", lambda code=code: told(ear) == [code], 90)
                assert box.uplink_says()["certificate_days"] == left

            # The last one ends while the connection stands; then the broker goes, and the box cannot come back.
            certify(box, timedelta(seconds=LASTS_S))
            reconnect(box)
            wait_for("the end, at the centre", lambda: told(ear) == ["certificate.expired"], 120)
            ear.close()
            town.kill()
            town.start()
            refusal = wait_for(
                "the broker's refusal", lambda: "expired" in box.uplink_says().get("reason", ""), 120
            )
            assert refusal
            assert certificate_codes(box.conditions("uplink")) == ["certificate.expired"]
            assert box.states() == {CAMERA.name: "recording"}
            dark_ms = now_ms()
            time.sleep(2)  # of nothing but recording

            certify(box, timedelta(days=90))
            uplink = box.uplink.pid
            box.wait_up()
            assert box.uplink.pid == uplink
            ear = Ear(town, "health")
            reconnect(box)
            wait_for("all well, at the centre", lambda: ear.hear() and told(ear) == [], 120)
            ear.close()
            assert box.uplink_says()["certificate_days"] == 89
            assert box.process.pid == recorder
            assert box.stop() == 0
    verdict = stored(tmp_path / "ledger", box)
    print(verdict.summary())
    verdict.clean()
    assert not verdict.excused, verdict.summary()
    assert verdict.stored[-1].utc_ms > dark_ms
