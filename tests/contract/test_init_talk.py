"""`pasu init` as somebody at a terminal sees it, in Korean and in English."""

from __future__ import annotations

import os
import re
import signal
import time
import tomllib

import pytest

from agent.cli.parser import columns
from agent.demo.server import CameraProcess
from agent.demo.spec import CameraSpec
from tests.init_lab import COLUMNS, KEYS, PASSWORD, Box, Talk, box
from tests.onvif import own_loopback

__all__ = ["box"]

SIZE = 4 << 30
KOREAN = {
    "id": "박스 이름: ",
    "site": "설치 장소: ",
    "operator": "운영 기관과 부서: ",
    "contact": "관리책임자와 연락처: ",
    "contractor": "유지보수 수탁자와 연락처 [-]: ",
    "key": "공개키 또는 파일: ",
    "broker": "보고를 받는 MQTT 서버 [-]: ",
    "page": "정비용 포트의 IP 주소 [-]: ",
    "cameras": "어떻게 할까요 [1]: ",
    "more": "어떻게 할까요 [3]: ",
    "url": "영상 주소: ",
    "name": "이름: ",
    "camera": "카메라 id [cam01]: ",
    "purpose": "설치 목적 (운영 규정 제6조): ",
    "basis": "법적 근거 [개인정보 보호법 제25조제1항제2호]: ",
    "view": "촬영 범위 [-]: ",
    "user": "계정 [-]: ",
    "password": "비밀번호: ",
    "silent": "어떻게 할까요 [1]: ",
    "disk": "어느 디스크에 녹화할까요",
    "format": f"포맷하려면 바이트 크기 {SIZE}를 그대로 적으십시오: ",
    "window": "정전 때 잃어도 되는 시간(초) [",
    "review": "고칠 번호, 쓰려면 Enter, 그만두려면 q: ",
    "enrol": "나중에 하려면 n [예]: ",
    "draft": "이어서 할까요? [예]: ",
    "again": "고칠 번호, Enter: 끝냅니다, 버리려면 q: ",
}
ENGLISH = {
    "id": "name of the box: ",
    "site": "where it stands: ",
    "operator": "municipality and department: ",
    "contact": "responsible officer and contact: ",
    "contractor": "contractor and contact [-]: ",
    "key": "public key or file: ",
    "broker": "MQTT broker that takes reports [-]: ",
    "page": "IP address of the maintenance port [-]: ",
    "cameras": "how [1]: ",
    "more": "how [3]: ",
    "url": "address of the stream: ",
    "name": "name: ",
    "camera": "camera id [cam01]: ",
    "purpose": "purpose (regulation art. 6): ",
    "basis": "legal basis [개인정보 보호법 제25조제1항제2호]: ",
    "view": "what it looks at [-]: ",
    "user": "user [-]: ",
    "password": "password: ",
    "silent": "how [1]: ",
    "disk": "which disk is for recordings",
    "format": f"to format it, type its size in bytes {SIZE}: ",
    "window": "what a power cut may cost, seconds [",
    "review": "a number to change it, Enter to write, q to stop: ",
    "enrol": "n to do it later [yes]: ",
    "draft": "Go on with it? [yes]: ",
    "again": "a number to change it, Enter to end, q to drop changes: ",
}
WORDS = {"ko": KOREAN, "en": ENGLISH}


def tell_box(talk: Talk, words: dict[str, str]) -> None:
    talk.answer(words["id"], "GN 7")  # refused, and asked for again
    talk.answer(words["id"], "gn-0007")
    talk.answer(words["site"], "경포해변 3지점")
    talk.answer(words["operator"], "강릉시 정보산업과")
    talk.answer(words["contact"], "정보산업과장 033-000-0000")
    talk.answer(words["contractor"])


def tell_centre(talk: Talk, words: dict[str, str]) -> None:
    talk.answer(words["key"], KEYS[0])
    talk.answer(words["key"], KEYS[1])
    talk.answer(words["key"])
    talk.answer(words["broker"])
    talk.answer(words["page"])


def tell_camera(talk: Talk, words: dict[str, str]) -> None:
    talk.answer(words["cameras"], "2")
    talk.answer(words["url"], "rtsp://10.0.0.11/main")
    talk.answer(words["name"], "주차장 입구")
    talk.answer(words["camera"])
    talk.answer(words["purpose"], "1")
    talk.answer(words["basis"])
    talk.answer(words["view"])
    talk.answer(words["user"], "recorder")
    talk.answer(words["password"], PASSWORD)
    talk.answer(words["silent"], "2")  # no camera is there: kept as it is
    talk.answer(words["more"], "3")


def tell_disk(talk: Talk, words: dict[str, str], device: str) -> None:
    talk.answer(words["disk"], device)
    talk.answer(words["format"], "1")  # not what it is: left alone
    talk.answer(words["disk"], device)
    talk.answer(words["format"], str(SIZE))
    talk.answer(words["window"])


def aligned(screen: str, first: str) -> bool:
    """Tell whether the rows of a table begin their second column at one column of the terminal, rule and heads too."""
    lines = screen.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(first))
    rows = lines[at : at + 3]
    starts = [columns(re.match(r"\S+ {2,}", row)[0]) for row in (rows[0], rows[2])]
    return starts[0] == starts[1] and set(rows[1]) == {"─"}


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_box_is_made_ready_by_somebody_at_a_terminal(box: Box, language: str) -> None:
    words, device = WORDS[language], box.disk()
    with box.talk(language=language) as talk:
        tell_box(talk, words)
        tell_centre(talk, words)
        tell_camera(talk, words)
        tell_disk(talk, words, device)
        talk.answer(words["review"])
        talk.answer(words["enrol"], "n")
        assert talk.rest() == 0
    screen = talk.screen.replace("\r", "")
    assert PASSWORD not in screen
    assert aligned(screen, "카메라  " if language == "ko" else "camera  ")
    drawn = [line for line in screen.splitlines() if "━" not in line and not line.startswith("age1")]
    assert max(map(columns, drawn)) <= COLUMNS + 1
    config = tomllib.loads(box.read("/etc/pasu/agent.toml"))
    assert config["box"] == {
        "id": "gn-0007",
        "site": "경포해변 3지점",
        "operator": "강릉시 정보산업과",
        "contact": "정보산업과장 033-000-0000",
    }
    assert config["storage"]["recipients"] == list(KEYS)
    assert config["camera"][0]["name"] == "주차장 입구"
    assert box.log_ins()["camera"]["cam01"]["password"] == PASSWORD
    assert box.pasu("config", "check").returncode == 0

    before = box.read("/etc/pasu/agent.toml")
    with box.talk(language=language) as talk:  # again: shows what there is, changes nothing unasked
        assert "경포해변 3지점" in talk.answer(words["again"])
        assert talk.rest() == 0
    assert box.read("/etc/pasu/agent.toml") == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a2_stopped_in_the_middle_it_is_gone_on_with_and_no_password_was_kept(
    box: Box, how: signal.Signals
) -> None:
    """A2: killed, or Ctrl-C, after some answers: nothing is configured, and the answers are there."""
    device = box.disk()
    with box.talk() as talk:
        tell_box(talk, ENGLISH)
        tell_centre(talk, ENGLISH)
        tell_camera(talk, ENGLISH)
        talk.wait(ENGLISH["disk"])
        status = talk.stop(how)
    assert status in (130, -how)
    assert not box.has("/etc/pasu/agent.toml")
    assert not box.has("/var/lib/pasu")
    draft = box.read("/etc/pasu/agent.toml.draft")
    assert "경포해변" in draft
    assert PASSWORD not in draft
    assert box.run("stat", "-c", "%a", "/etc/pasu/agent.toml.draft").stdout.strip() == "600"
    if how == signal.SIGINT:
        assert "To go on: pasu init" in talk.screen
    with box.talk() as talk:
        talk.answer(ENGLISH["draft"])
        talk.answer("password of cam01 (recorder, rtsp://", PASSWORD)
        tell_disk(talk, ENGLISH, device)
        talk.answer(ENGLISH["review"])
        talk.answer(ENGLISH["enrol"], "n")
        assert talk.rest() == 0
    assert box.log_ins()["camera"]["cam01"]["password"] == PASSWORD
    assert not box.has("/etc/pasu/agent.toml.draft")


def test_one_piece_of_a_configured_box_is_changed_and_comments_stay(box: Box) -> None:
    device = box.disk()
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert done.returncode == 0, done.stderr
    box.run("sh", "-c", "echo '# kept by hand' >> /etc/pasu/agent.toml", check=True)
    secrets = box.read("/etc/pasu/secrets.sealed")
    with box.talk() as talk:
        talk.answer(ENGLISH["again"], "1")
        talk.answer("name of the box [gn-0007]: ", "gn-0008")  # which it keeps
        talk.answer("where it stands [경포해변 3지점]: ", "경포해변 4지점")
        for _ in range(3):
            talk.answer("]: ")
        assert "keeps its name" in talk.answer("Enter to write, q to drop changes: ")
        assert talk.rest() == 0
    text = box.read("/etc/pasu/agent.toml")
    assert tomllib.loads(text)["box"]["site"] == "경포해변 4지점"
    assert tomllib.loads(text)["box"]["id"] == "gn-0007"
    assert text.endswith("# kept by hand\n")
    assert box.read("/etc/pasu/agent.toml.bak").endswith("# kept by hand\n")
    assert box.read("/etc/pasu/secrets.sealed") == secrets


def test_a_camera_is_added_to_a_configured_box_with_its_password(box: Box) -> None:
    device = box.disk()
    done = box.pasu("init", "--answers", str(box.answers(f'device = "{device}"\nformat = "{SIZE}"')))
    assert done.returncode == 0, done.stderr
    with box.talk() as talk:
        talk.answer(ENGLISH["again"], "4")
        talk.answer(ENGLISH["more"], "2")
        talk.answer(ENGLISH["url"], "rtsp://10.0.0.12/main")
        talk.answer(ENGLISH["name"], "back door")
        talk.answer("id [cam02]: ")
        talk.answer("purpose (regulation art. 6) [1]: ")
        talk.answer(ENGLISH["basis"])
        talk.answer(ENGLISH["view"], "the door and 5 m before it")
        talk.answer(ENGLISH["user"], "admin")
        talk.answer(ENGLISH["password"], "admin")  # D12: asked about
        talk.answer("Add it as it is all the same? [no]: ")
        talk.answer(ENGLISH["user"], "recorder")
        talk.answer(ENGLISH["password"], "Other-Word-19")
        talk.answer(ENGLISH["silent"], "2")
        talk.answer(ENGLISH["more"])
        talk.answer("Enter to write, q to drop changes: ")
        assert talk.rest() == 0
    cameras = tomllib.loads(box.read("/etc/pasu/agent.toml"))["camera"]
    assert [camera["id"] for camera in cameras] == ["cam01", "cam02"]
    assert cameras[1]["allow_basic_auth"] is False
    logins = box.log_ins()["camera"]
    assert (logins["cam01"]["password"], logins["cam02"]["password"]) == (PASSWORD, "Other-Word-19")
    assert box.pasu("config", "check").returncode == 0


def test_without_a_terminal_nothing_is_asked(box: Box) -> None:
    done = box.pasu("init")
    assert (done.returncode, "INIT_NO_TERMINAL" in done.stderr) == (2, True)


def test_cameras_are_found_on_the_network_with_their_log_ins(box: Box) -> None:
    """D15: the password that a camera was found with is sealed with the others, and is never shown."""
    with (
        own_loopback("init"),
        CameraProcess([CameraSpec(1, host="127.0.9.1", port=554, username="viewer", password=PASSWORD)]),
        box.talk() as talk,
    ):
        tell_box(talk, ENGLISH)
        tell_centre(talk, ENGLISH)
        talk.answer(ENGLISH["cameras"])
        talk.answer("where: ")  # this network has no interface to search on
        assert "DISCOVER_NOWHERE" in talk.answer(ENGLISH["cameras"], "1")
        talk.answer("where: ", "127.0.9.1")
        talk.answer("user (Enter to skip): ", "viewer")
        talk.answer("password: ", PASSWORD)
        talk.answer("a for all, Enter for none): ", "a")
        talk.answer("name [127.0.9.1]: ", "정문")
        talk.answer("id [cam01]: ")
        talk.answer("purpose (regulation art. 6): ", "1")
        talk.answer("legal basis [개인정보 보호법 제25조제1항제2호]: ")
        talk.answer("what it looks at, for the notice board [-]: ", "정문 앞 20 m")
        assert "정문" in talk.answer(ENGLISH["more"])
        talk.wait(ENGLISH["disk"])
        assert talk.stop(signal.SIGINT) == 130
    assert PASSWORD not in talk.screen
    draft = box.read("/etc/pasu/agent.toml.draft")
    assert PASSWORD not in draft
    (camera,) = tomllib.loads(draft)["camera"]
    assert camera["url"].startswith("rtsp://127.0.9.1/")
    assert camera["view"] == "정문 앞 20 m"


def test_answers_that_are_wrong_together_are_told_before_anything_is_written(box: Box) -> None:
    """With a tunnel, a broker has to have an address: each answer is right, and both are not."""
    device = box.disk()
    box.run("mkfs.ext4", "-q", "-F", device, check=True)
    with box.talk() as talk:
        tell_box(talk, ENGLISH)
        talk.answer(ENGLISH["key"], KEYS[0])
        talk.answer(ENGLISH["key"], KEYS[1])
        talk.answer(ENGLISH["key"])
        talk.answer(ENGLISH["broker"], "mqtts://broker.example:8883")
        talk.answer("media server that takes live streams [-]: ", "rtsp://10.77.0.1:8554")
        talk.answer("name of the tunnel to the centre [pasu0]: ")
        talk.answer(ENGLISH["page"])
        tell_camera(talk, ENGLISH)
        talk.answer(ENGLISH["disk"], device)
        talk.answer(ENGLISH["window"])
        talk.answer(ENGLISH["review"])
        assert "CONFIG_TUNNEL_NAME" in talk.answer(ENGLISH["review"], "2")
        assert not box.has("/etc/pasu/agent.toml")
        talk.answer(ENGLISH["key"])
        talk.answer("[mqtts://broker.example:8883]: ", "mqtts://10.77.0.1:8883")
        talk.answer("[rtsp://10.77.0.1:8554]: ")
        talk.answer("[pasu0]: ")
        talk.answer(ENGLISH["review"])
        talk.answer(ENGLISH["enrol"], "\x04")
        assert talk.rest() == 0
    assert tomllib.loads(box.read("/etc/pasu/agent.toml"))["uplink"]["broker"] == "mqtts://10.77.0.1:8883"


def test_a2_killed_while_it_measures_the_disk_is_let_go(box: Box) -> None:
    """A2: what measured ends too, and nothing of it is left on the disk or mounted."""
    device = box.disk()
    box.run("mkfs.ext4", "-q", "-F", device, check=True)
    with box.talk() as talk:
        tell_box(talk, ENGLISH)
        tell_centre(talk, ENGLISH)
        tell_camera(talk, ENGLISH)
        talk.answer(ENGLISH["disk"], device)
        talk.wait("measuring the disk")
        assert talk.stop(signal.SIGKILL) == -signal.SIGKILL
    until = time.monotonic() + 120
    while True:
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
        except OSError:  # whoever measured has not noticed yet
            assert time.monotonic() < until
            time.sleep(0.2)
        else:
            break
    with box.mounted(device) as place:
        assert [each.name for each in place.iterdir()] == ["lost+found"]
    assert box.run("findmnt", "--source", device).returncode == 1
