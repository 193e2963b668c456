"""What a running recorder says of its cameras: frozen (D3), below the floor (D8), another device (D13), gone (D1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.lab import Site, wait_for

if TYPE_CHECKING:
    from pathlib import Path


def conditions(site: Site, camera: str) -> dict[str, str]:
    found = site.health().get("conditions", [])
    return {each["code"]: each["detail"] for each in found if each["subject"] == camera}


def test_d1_d3_d8_what_is_wrong_with_a_camera_is_said_by_name(tmp_path: Path) -> None:
    specs = [
        CameraSpec(1, gop=15),
        CameraSpec(2, gop=15, quirks="frozen_picture@5"),
        CameraSpec(3, gop=10, fps=10.0),
        CameraSpec(4, gop=15, width=160, height=120),
        CameraSpec(5, gop=15),
    ]
    with CameraProcess(specs[:4], tmp_path / "cameras") as cameras, CameraProcess([specs[4]]) as silent:
        urls = {f"cam{number:02d}": url for number, url in cameras.urls.items()}
        with Site(tmp_path / "site", {**urls, "cam05": silent.urls[5]}, segment_s=10) as site:
            site.wait_recording()
            silent.command("silence")
            wait_for("the silent camera", lambda: "camera.silent" in conditions(site, "cam05"), 60)
            wait_for(
                "the small one", lambda: conditions(site, "cam04").get("camera.below_floor") == "160x120", 60
            )
            wait_for(
                "the slow one", lambda: conditions(site, "cam03").get("camera.below_floor") == "10.0/s", 90
            )
            wait_for("the frozen one", lambda: "camera.frozen" in conditions(site, "cam02"), 120)
            assert set(conditions(site, "cam01")) == {"camera.plaintext_leg", "camera.audio_offered"}
            assert site.states()["cam03"] == "recording", "it is stored anyway"
            state = site.health()["cameras"]["cam03"]
            assert (state["fps_tenths"], state["keyframe_ms"], state["hurt_permille"]) == (100, 1000, 0)
            silent.command("speak")
            wait_for("it to speak", lambda: "camera.silent" not in conditions(site, "cam05"), 60)
            assert site.stop() == 0
    told = [
        (str(kind), body["code"], body["subject"])
        for kind, text in site.rows(
            "select kind, body from ledger where kind like 'condition.%' order by seq"
        )
        if (body := json.loads(str(text)))
    ]
    for code, camera in (
        ("camera.silent", "cam05"),
        ("camera.below_floor", "cam03"),
        ("camera.below_floor", "cam04"),
        ("camera.frozen", "cam02"),
    ):
        assert ("condition.raised", code, camera) in told
    assert ("condition.cleared", "camera.silent", "cam05") in told
    everything = (site.run / "record.json").read_text() + json.dumps(told)
    assert "127.0.0.1" not in everything, "no address in what is shown and told"
    assert "rtsp:" not in everything


def test_d13_another_device_at_the_same_address_is_told_and_recorded(tmp_path: Path) -> None:
    first = CameraSpec(1, gop=15, username="u", password="p")
    with CameraProcess([first]) as cameras:
        url = cameras.urls[1]
        site = Site(tmp_path / "site", {"cam01": url}, segment_s=5, secrets={"cam01": ("u", "p")})
        site.start()
        site.wait_recording()
        wait_for("it to be remembered", lambda: (site.state / "cameras.json").exists())
        assert "camera.identity_changed" not in conditions(site, "cam01")
    try:
        port = int(url.rpartition(":")[2].partition("/")[0])
        with CameraProcess([first.__class__(1, gop=15, username="u", password="p", port=port)]):
            site.wait_recording()
            count = len(site.segments("cam01"))
            wait_for("another segment", lambda: site.committed("cam01", count + 1), 60)
            assert "camera.identity_changed" not in conditions(site, "cam01"), "the same one came back"
        other = CameraSpec(
            1, gop=15, codec="h265", width=320, height=240, username="u", password="p", port=port
        )
        with CameraProcess([other]):
            site.wait_recording()
            wait_for("the alarm", lambda: "camera.identity_changed" in conditions(site, "cam01"), 60)
            assert "formats" in conditions(site, "cam01")["camera.identity_changed"]
            count = len(site.segments("cam01"))
            wait_for("recording to go on", lambda: site.committed("cam01", count + 1), 60)
            assert site.stop() == 0
            site.start()
            site.wait_recording()
            wait_for(
                "the alarm after a restart",
                lambda: "camera.identity_changed" in conditions(site, "cam01"),
                60,
            )
            site.config.write_text(site.config.read_text().replace(f'"{url}"', f'"{url}-2"'))
            wait_for("the other path", lambda: site.facts("config.applied"), 60)
            count = len(site.segments("cam01"))
            wait_for("two segments of it", lambda: site.committed("cam01", count + 2), 60)
            assert site.health()["cameras"]["cam01"]["runs"] > 0
            assert "formats" in conditions(site, "cam01")["camera.identity_changed"], "a path is no excuse"
    finally:
        site.kill()
