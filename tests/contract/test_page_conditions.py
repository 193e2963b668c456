"""Every condition that a box can have is shown on the page, in both languages, with what to do; nothing is taken for markup."""

from __future__ import annotations

import html
import re
import time

import pytest

from agent import overview
from agent.field.page import metrics
from agent.field.page.app import App, typed
from agent.field.page.door import Door, clock
from agent.health import CONDITIONS, Raised
from agent.model import Instant, Trust
from agent.passes import Why
from agent.storage import passbook
from agent.storage.files import Disk
from tests.page_lab import CAMERAS, VITALS, Site, site, slots

LANGUAGES = ("ko", "en")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    box = site(tmp_path_factory.mktemp("page"))
    passbook.make(box.folder, Disk())
    door = Door(box.folder, clock)
    _, code = box.issue()
    return box, door, door.enter(code, "127.0.0.1").cookie


def shown(place, language: str) -> str:
    """Return the page, as the application answers a request for it."""
    box, door, cookie = place

    def read():
        return overview.read(box.config, Instant(time.time_ns() // 1_000_000, Trust.SYNCED), enrolled=True)

    told: list[str] = []
    body = App(box.config, door, read)(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_COOKIE": f"pasu={cookie}; language={language}"},
        lambda status, headers: told.append(status),
    )
    assert told == ["200 OK"]
    return b"".join(body).decode()


def read_aloud(text: str) -> str:
    """Return what a person reads of it."""
    return html.unescape(re.sub(r"<[^>]*>", "", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(CONDITIONS))
def test_every_condition_has_its_sentence_and_what_to_do(place, code, language):
    box: Site = place[0]
    box.is_well(Raised(code, "cam02" if code.startswith("camera.") else "", "a detail"))
    text = read_aloud(shown(place, language))
    condition = CONDITIONS[code]
    what, then, other = (
        (condition.what_korean, condition.next_korean, condition.what_english)
        if language == "ko"
        else (condition.what_english, condition.next_english, condition.what_korean)
    )
    assert what.replace("`", "") in text
    assert then.replace("`", "") in text
    assert other not in text
    assert code in text
    assert "a detail" in text
    if code.startswith("camera."):
        assert "cam02 (놀이터 정문)" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_of_them_at_once_stand_with_the_worst_first(place, language):
    place[0].is_well(*(Raised(code, "x") for code in CONDITIONS))
    severities = re.findall(r'<li class="(critical|alarm|warning|info)">', shown(place, language))
    assert len(severities) > 60
    order = ["critical", "alarm", "warning", "info"]
    assert severities == sorted(severities, key=order.index)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_box_that_is_well_says_so(place, language):
    place[0].is_well()
    text = read_aloud(shown(place, language))
    assert {"ko": "이상이 없습니다", "en": "Nothing is wrong"}[language] in text
    for _, name in CAMERAS:
        assert name in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_box_whose_processes_say_nothing_is_shown_too(place, language):
    box = place[0]
    for name in ("record", "keep", "tunnel"):
        (box.run / f"{name}.json").unlink(missing_ok=True)
    text = read_aloud(shown(place, language))
    assert (
        CONDITIONS["process.silent"].what_korean in text or CONDITIONS["process.silent"].what_english in text
    )
    assert "cam03" in text


@pytest.mark.parametrize(("language", "off"), [("ko", "녹화 시간 밖입니다"), ("en", "all of it off hours")])
def test_a_camera_that_rested_all_day_is_not_one_of_which_nothing_is_known(place, language, off):
    """A Sunday of a camera with hours from Monday to Friday; what began today has nothing to tell yet."""
    box = place[0]
    now_ms = time.time_ns() // 1_000_000
    unknown = {"ko": "아는 것이 없습니다", "en": "nothing is known"}[language]
    for letter, said, not_said in (("z", off, unknown), ("-", unknown, off)):
        box.is_well()
        days = {name: slots(now_ms, (0, 288, letter)) for name, _ in CAMERAS}
        box.write("keep", vaults=[], vitals=VITALS, disks=[], day={"slot_s": 300, "cameras": days})
        text = read_aloud(shown(place, language))
        assert text.count(said) == len(CAMERAS)
        assert not_said not in text


def test_what_was_said_long_ago_is_not_how_it_is(place):
    """A dead recorder's file says for ever that all is recorded, a dead keeper's that nothing is missing."""
    box = place[0]
    box.is_well()
    box.falls_silent("record", "keep", "uplink", "tunnel")
    for language, now in (
        ("ko", ("녹화 중", "연결됨", "100 %")),
        ("en", ("recording", "100 %", "MQTT 5", "up")),
    ):
        text = shown(place, language)
        assert 'class="state on"' not in text
        assert "<svg" not in text
        spoken = re.split(
            r"\W+",
            read_aloud(re.sub(r"(?s)<section aria-labelledby=.h-(what|processes).*?</section>", "", text)),
        )
        assert not [each for each in now if each in spoken]
    figures = b"".join(
        metrics.application(lambda: overview.read(box.config, Instant(1, Trust.SYNCED), enrolled=True))(
            {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET"}, lambda *_: None
        )
    ).decode()
    assert "pasu_process_silent_seconds{" in figures
    for name in (
        "pasu_camera_recording{",
        "pasu_uplink_connected ",
        "pasu_vault_free_bytes{",
        "pasu_camera_day_ratio{",
    ):
        assert f"\n{name}" not in figures


def test_what_processes_and_files_say_is_no_markup(place):
    """A camera's name for itself, a process that was taken over, a pass's name."""
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    box = place[0]
    box.is_well(Raised("box.hot", evil, evil))
    box.write("record", cameras={"cam01": {"state": evil, "codec": evil, "width": evil, "height": 1}})
    box.write("uplink", connected=True, reason=evil, trouble=evil)
    visit = {
        "at_ms": evil,
        "what": evil,
        "name": evil,
        "company": evil,
        "why": evil,
        "source": evil,
        "count": evil,
    }
    passbook.write_seen(box.folder, [visit], Disk())
    text = shown(place, "en")
    passbook.write_seen(box.folder, [], Disk())
    assert "&lt;img" in text
    assert "<img" not in text
    assert text.lower().count("<script>") == 0


def test_what_is_to_be_typed_is_set_apart_and_no_markup():
    assert str(typed("see `pasu <x>` & go")) == "see <code>pasu &lt;x&gt;</code> &amp; go"


def test_every_refusal_is_said_in_both_languages():
    from agent.field.page.app import refusal
    from agent.language import speaking

    said = set()
    for language in LANGUAGES:
        with speaking(language):
            said |= {refusal(why) for why in Why}
    assert len(said) == 2 * len(Why)
