"""The page in Chromium: on a telephone and on a desk, in Korean and in English; with its own style and no complaint."""

from __future__ import annotations

import pytest

from agent.health import CONDITIONS, Raised
from tests.browser import DESKTOP, PHONE, Browser
from tests.page_lab import Site, serving, site, wait_for
from tests.peer import need


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    need("chromium")
    root = tmp_path_factory.mktemp("page")
    box = site(root)
    box.is_well(Raised("camera.refused", "cam02", "401"), Raised("box.hot", detail="cpu: 90 C"))
    with serving(box):
        browser = Browser(root / "profile")
        try:
            yield box, browser
        finally:
            browser.close()


def go_in(box: Site, browser: Browser) -> None:
    """Open what the QR code of a new pass says, and press the button."""
    _, code = box.issue()
    browser.call("Network.clearBrowserCookies")
    browser.go(f"https://127.0.0.1:{box.config.page.port}/enter#{code}")
    browser.wait_for(f"document.getElementById('code').value == '{code}'")
    assert browser.run("location.href").endswith(
        "/enter"
    )  # the code is neither in the address nor in the history
    browser.run("document.querySelector('button').click()")
    browser.wait_for("document.querySelector('.banner') != null")


@pytest.mark.parametrize("accepts", ["ko", "en"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_on_every_screen(place, size, accepts, dark):
    box, browser = place
    box.is_well(Raised("camera.refused", "cam02", "401"), Raised("box.hot", detail="cpu: 90 C"))
    browser.screen(size, accepts=accepts, dark=dark)
    go_in(box, browser)
    browser.wait_for("document.querySelectorAll('.conditions li').length == 2")
    text = browser.text
    condition = CONDITIONS["camera.refused"]
    assert {"ko": condition.what_korean, "en": condition.what_english}[accepts] in text
    assert {"ko": "누가 언제 보았는지", "en": "Who looked, and when"}[accepts] in text
    assert browser.run("document.documentElement.scrollWidth") <= size[0]  # nothing to be pushed sideways
    assert browser.run("getComputedStyle(document.querySelector('.banner')).color") == "rgb(255, 255, 255)"
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(16, 19, 23)" if dark else "rgb(245, 246, 248)")
    assert browser.run("document.querySelectorAll('svg rect.none').length") == 2
    assert (
        browser.run(
            "Math.min(...[...document.querySelectorAll('p, dd, td, li')].map(each => parseFloat(getComputedStyle(each).fontSize)))"
        )
        >= 12
    )
    assert browser.complaints() == []


def test_texts_stand_out_from_their_ground(place):
    """WCAG 2: 4.5 to 1, light and dark, of every text that is there."""
    box, browser = place
    each = {condition.severity: code for code, condition in CONDITIONS.items() if not condition.depends_on}
    box.is_well(*(Raised(code, "x") for code in each.values()))
    for dark in (False, True):
        browser.screen(DESKTOP, accepts="en", dark=dark)
        go_in(box, browser)
        browser.wait_for("document.querySelectorAll('.conditions li').length == 4")
        weak = browser.run(CONTRAST)
        assert weak == [], (dark, weak)


CONTRAST = """(() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const ground = one => { for (; one; one = one.parentElement) {
    const color = parts(getComputedStyle(one).backgroundColor); if (color.length < 4 || color[3] > 0) return color; } };
  const weak = [];
  for (const one of document.querySelectorAll('body *')) {
    if (![...one.childNodes].some(node => node.nodeType == 3 && node.textContent.trim())) continue;
    if (['SCRIPT', 'STYLE', 'PROGRESS'].includes(one.tagName)) continue;
    const [a, b] = [light(parts(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) weak.push(one.className + ' ' + one.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  return weak;
})()"""


def test_it_renews_itself_without_a_script(place):
    box, browser = place
    box.is_well()
    browser.screen(PHONE, accepts="en")
    go_in(box, browser)
    box.is_well(Raised("box.hot"))
    browser.wait_for(f"document.body.innerText.includes({CONDITIONS['box.hot'].what_english!r})", 90)
    assert browser.run("document.scripts.length") == 0


def test_no_script_of_another_runs_there(place):
    """What somebody manages to put into the page is not run: the policy says so, and Chromium obeys."""
    box, browser = place
    browser.screen(DESKTOP, accepts="en")
    go_in(box, browser)
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">');"
        "const made = document.createElement('script'); made.textContent = 'window.ran = 2'; document.body.append(made)"
    )
    wait_for(lambda: len(browser.complaints()) >= 2)
    assert browser.run("window.ran") is None


def test_a_used_code_is_refused_in_words(place):
    box, browser = place
    _, code = box.issue()
    browser.screen(PHONE, accepts="ko")
    for times in range(2):
        browser.call("Network.clearBrowserCookies")
        browser.go(f"https://127.0.0.1:{box.config.page.port}/enter?{times}#{code}")
        browser.wait_for("document.getElementById('code').value != ''")
        browser.run("document.querySelector('button').click()")
        browser.wait_for(f"document.querySelector('{'.refusal' if times else '.banner'}') != null")
    assert "이미 쓴 출입증입니다" in browser.text
