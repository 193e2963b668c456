"""`pasu init` and cameras that are there: tried with their log-in, changed and removed on a configured box."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from agent.config.secrets import Login
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from agent.field.setup.requests import Trial
from agent.field.setup.trying import try_cameras
from agent.onvif.model import LogIn
from tests.contract.test_init_talk import ENGLISH, KOREAN, SIZE, tell_box, tell_centre
from tests.init_lab import PASSWORD, Box, box
from tests.onvif import own_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["box"]

HOST, URL = "127.0.9.1", "rtsp://127.0.9.1/cam01/main"


@pytest.fixture
def camera() -> Iterator[CameraProcess]:
    with (
        own_loopback("init"),
        CameraProcess([CameraSpec(1, host=HOST, port=554, username="viewer", password=PASSWORD)]) as process,
    ):
        yield process


def ready(box: Box, *more: tuple[str, str]) -> str:
    """Make a box ready by a file; return what was said."""
    device = box.disk()
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"', *more)))
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.stdout


def test_each_camera_is_asked_and_a_host_that_refused_is_not_sent_the_same_again(
    camera: CameraProcess,
) -> None:
    good, wrong = Login("viewer", PASSWORD), Login("viewer", "Wrong-Word-1")
    found = try_cameras(
        [
            Trial(camera.urls[1], good),
            Trial(camera.urls[1], wrong),
            Trial(f"rtsp://{HOST}/nothing", wrong),
            Trial(f"rtsp://{HOST}/nothing", good),
            Trial(f"rtsp://{HOST}:555/main", good),
            Trial(f"rtsp://{HOST}:555/sub"),
            Trial("rtsp://"),
        ]
    )
    assert (found[0].shown, found[0].log_in, found[0].codec) == (True, LogIn.GOOD, "h264")
    assert [each.fault for each in found] == [
        "",
        "auth_failed",
        "auth_failed",  # what was refused already: not asked
        "",
        "closed",
        "closed",  # where nobody answers: not waited for again
        "malformed_url",
    ]
    assert found[2].url == f"rtsp://{HOST}/nothing"
    assert try_cameras([]) == ()


@pytest.mark.parametrize("words", [KOREAN, ENGLISH], ids=["ko", "en"])
def test_a_typed_camera_is_tried_and_its_log_in_and_address_are_typed_again(
    box: Box, camera: CameraProcess, words: dict[str, str]
) -> None:
    with box.talk(language="ko" if words is KOREAN else "en") as talk:
        tell_box(talk, words)
        tell_centre(talk, words)
        talk.answer(words["cameras"], "2")
        talk.answer(words["url"], f"rtsp://{HOST}:555/main")  # where nobody listens
        talk.answer(words["name"], "정문")
        talk.answer(words["camera"])
        talk.answer(words["purpose"], "1")
        talk.answer(words["basis"])
        talk.answer(words["view"])
        talk.answer(words["user"], "viewer")
        talk.answer(words["password"], PASSWORD)
        closed = talk.answer(words["silent"], "1")
        assert ("연결되지 않습니다" if words is KOREAN else "no connection can be made") in closed
        talk.answer(f"[rtsp://{HOST}:555/main]: ", camera.urls[1])
        talk.answer("[viewer]: ")
        talk.answer(words["password"], "Wrong-Word-1")  # another port is another device: typed, and not kept
        refused = talk.answer(words["silent"], "1")
        assert ("비밀번호가 틀렸습니다" if words is KOREAN else "refuses user or password") in refused
        talk.answer("[viewer]: ")
        talk.answer(words["password"], PASSWORD)
        shown = talk.answer(words["more"])
        assert ("영상이 나옵니다: H264" if words is KOREAN else "it shows video: H264") in shown
        talk.wait(words["disk"])
    assert PASSWORD not in talk.screen
    assert "Wrong-Word-1" not in talk.screen
    assert tomllib.loads(box.read("/etc/pasu/agent.toml.draft"))["camera"][0]["url"] == camera.urls[1]


def test_a_file_is_told_what_its_cameras_show(box: Box, camera: CameraProcess) -> None:
    wrong = (PASSWORD, "Wrong-Word-1"), ("rtsp://10.0.0.11/main", camera.urls[1]), ("recorder", "viewer")
    said = ready(box, *wrong)
    assert "! cam01: it refuses user or password" in said
    assert "Wrong-Word-1" not in said


def test_a_camera_of_a_configured_box_is_changed_another_removed_and_the_rest_stays_as_it_was_written(
    box: Box, camera: CameraProcess
) -> None:
    ready(box)
    hand = f"""
# by the contractor, 2026
[[camera]]
id = "cam02"  # the back
name = "뒷문"
url = "{camera.urls[1]}"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"

# two cameras and no more
[[trigger]]
id = "bell"
name = "비상벨"
source = "gpio://gpiochip0/4?edge=rising"
cameras = ["cam01"]

[uplink]
broker = "mqtts://10.77.0.1:8883"
media = "rtsp://10.77.0.1:8554"
"""
    log_in = f'[camera.cam02]\nusername = "viewer"\npassword = "{PASSWORD}"  # in the safe\n'
    box.pasu("secrets", "open", "--yes")
    for file, text in (("agent.toml", hand), ("secrets.toml", log_in)):
        box.run("sh", "-c", f"cat >> /etc/pasu/{file} <<'END'\n{text}END", check=True)
    assert box.pasu("secrets", "seal").returncode == 0
    assert box.pasu("config", "check").returncode == 0
    written = box.read("/etc/pasu/agent.toml")
    with box.talk() as talk:
        talk.answer(ENGLISH["again"], "4")
        talk.answer(ENGLISH["more"], "4")
        talk.answer("which camera (number or id): ", "cam02")
        talk.answer(f"[{camera.urls[1]}]: ")
        talk.answer("name [뒷문]: ", "새 뒷문")
        talk.answer(ENGLISH["view"], "뒷문 앞 5 m")
        talk.answer("user [viewer]: ")
        assert "keeps the password that is known" in talk.answer(ENGLISH["password"])
        assert "it shows video" in talk.answer(ENGLISH["more"], "5")
        talk.answer("which camera (number or id): ", "1")
        assert "not erased now" in talk.answer("Remove cam01 주차장 입구? [no]: ", "yes")
        talk.answer(ENGLISH["more"])
        talk.answer("Enter to write, q to drop changes: ")
        # a trigger still shows the camera that is gone: told, and nothing is written
        assert "trigger[1].cameras" in talk.answer("Enter to write, q to drop changes: ", "q")
        assert talk.rest() == 1
    assert box.read("/etc/pasu/agent.toml") == written
    box.run("sed", "-i", 's/cameras = \\["cam01"\\]/cameras = ["cam02"]/', "/etc/pasu/agent.toml", check=True)
    written = box.read("/etc/pasu/agent.toml")
    with box.talk() as talk:
        talk.answer(ENGLISH["again"], "4")
        talk.answer(ENGLISH["more"], "5")
        talk.answer("which camera (number or id): ", "cam01")
        talk.answer("Remove cam01 주차장 입구? [no]: ", "yes")
        talk.answer(ENGLISH["more"])
        talk.answer("Enter to write, q to drop changes: ")
        assert talk.rest() == 0
    text = box.read("/etc/pasu/agent.toml")
    assert (
        text == written[: written.index("\n[[camera]]")] + written[written.index("\n# by the contractor") :]
    )
    assert box.read("/etc/pasu/agent.toml.bak") == written
    assert box.log_ins()["camera"] == {"cam02": {"username": "viewer", "password": PASSWORD}}
    assert box.run("stat", "-c", "%a", "/etc/pasu/secrets.sealed").stdout.strip() == "600"
    assert box.pasu("config", "check").returncode == 0
    assert box.pasu("secrets", "open", "--yes").returncode == 0
    assert box.read("/etc/pasu/secrets.toml").endswith(log_in)
