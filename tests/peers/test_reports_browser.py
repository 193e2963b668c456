"""Reports in Chromium: they print to A4, fetch nothing, run nothing, and nothing is cut off at the side."""

from __future__ import annotations

import base64
import re

import pytest

from agent.cli.main import main
from tests.browser import PHONE, Browser
from tests.peer import need
from tests.reports_lab import EVIL, REPORTS, doctor, past

A4_POINTS = (595, 842)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    need("chromium")
    root = tmp_path_factory.mktemp("reports")
    box = past(root)
    browser = Browser(root / "profile")
    try:
        yield box, browser
    finally:
        browser.close()


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("name", REPORTS)
def test_it_prints_on_a4_and_fetches_nothing(place, tmp_path, name, language):
    box, browser = place
    file = tmp_path / "report.html"
    more = ["--doctor", str(doctor(tmp_path))] if name == "commissioning" else []
    assert (
        main(
            ["report", name, "--lang", language, *more, "--out", str(file), "--config", str(box.config.file)]
        )
        == 0
    )
    browser.events.clear()
    browser.go(file.as_uri())
    browser.wait_for("document.readyState == 'complete'")
    assert EVIL in browser.text  # as it is written, and not run
    assert browser.run("document.scripts.length") == 0
    heading = {"ko": r"[가-힣]", "en": r"^[A-Z]"}[language]
    assert re.search(heading, browser.run("document.querySelector('h1').textContent"))
    assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    printed = base64.b64decode(
        browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
    )
    size = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed)
    assert size is not None
    points = tuple(round(float(each)) for each in size.groups())
    assert points == (A4_POINTS[::-1] if name == "ledger" else A4_POINTS)
    pages = len(re.findall(rb"/Type /Page\b", printed))
    assert 1 <= pages <= 4
    asked = [each for each in browser.events if each.get("method") == "Network.requestWillBeSent"]
    assert {each["params"]["request"]["url"] for each in asked} == {file.as_uri()}
    assert not [each for each in browser.events if each.get("method") == "Page.javascriptDialogOpening"]
    assert not [each for each in browser.events if each.get("method") == "Log.entryAdded"]


def test_a_commissioning_report_can_be_read_on_a_telephone(place, tmp_path):
    box, browser = place
    file = tmp_path / "report.html"
    assert main(["report", "commissioning", "--out", str(file), "--config", str(box.config.file)]) == 0
    browser.screen(PHONE, accepts="ko")
    browser.go(file.as_uri())
    browser.wait_for("document.readyState == 'complete'")
    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]
