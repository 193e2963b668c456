"""From the centre's command line to the page in the contractor's hand, over real mosquitto: keeper, uplink and page are
the real processes."""

from __future__ import annotations

import json

import pytest

from agent.cli.main import main
from agent.command.keyring import Role
from agent.config import load
from agent.storage import passbook
from agent.storage.files import Disk
from tests.lab import wait_for
from tests.living import BOX, LiveBox, settled
from tests.page_lab import Site, ask, enter, free_port, serving
from tests.town import Town


class Scene:
    def __init__(self, folder):
        self.town = Town(folder)
        for role, holder in ((Role.OFFICER, "kim"), (Role.OPERATOR, "choi")):
            self.town.hire(role, holder)
        self.box = LiveBox(self.town)
        page = f'[page]\nlisten = "127.0.0.1"\nport = {free_port()}\nfolder = "{folder}/page"\n'
        self.box.config.write_text(self.box.config.read_text() + page)
        self.site = Site(folder, load(self.box.config))
        passbook.make(self.site.folder, Disk())
        self.town.start()

    def end(self):
        self.box.end()
        self.town.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    made = Scene(tmp_path_factory.mktemp("scene"))
    with settled(made):
        made.box.begin()
        with serving(made.site):
            wait_for("the page's word", lambda: made.box.said("page").get("fingerprint"), 120)
            yield made


@pytest.fixture
def typed(scene, capsys, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")

    def run(*words, status=0, who="kim"):
        more = ["--as", who, "--city", str(scene.town.city.folder), "--wait", "100"]
        assert main(["centre", "pass", *words, *more]) == status
        return capsys.readouterr().out

    return run


ISSUE = ("issue", BOX, "--for", "김정비", "--company", "한빛보안", "--hours", "4")


def test_whoever_has_the_code_sees_the_page_and_it_never_left_the_centre(scene, typed, tmp_path):
    said = json.loads(typed(*ISSUE, "--json", "--qr", str(tmp_path / "pass.svg")))
    assert said["address"] == f"https://127.0.0.1:{scene.site.config.page.port}/enter"
    assert said["fingerprint"] == scene.box.said("page")["fingerprint"]
    assert (tmp_path / "pass.svg").stat().st_size > 1000
    answer = enter(scene.site, said["code"])
    assert answer.status == 303
    assert ask(scene.site, Cookie=answer.cookie).status == 200
    for place in (scene.box.folder, scene.site.folder):
        for path in (each for each in place.rglob("*") if each.is_file()):
            assert said["code"].encode() not in path.read_bytes()
    (body,) = [body for _, _, body in scene.box.facts("pass.issued")]
    assert (body["id"], body["by"]) == (said["id"], "kim")

    typed("revoke", BOX, said["id"], "--reason", "작업 마침")
    assert ask(scene.site, Cookie=answer.cookie).status == 303
    assert scene.box.facts("pass.revoked")


def test_it_is_shown_for_people(scene, typed):
    shown = typed(*ISSUE)
    assert "김정비 · 한빛보안" in shown
    assert "/enter" in shown
    (code,) = [line.split()[-1] for line in shown.splitlines() if line.startswith("code ")]
    assert enter(scene.site, code).status == 303


def test_who_may_not_is_refused_and_no_qr_code_is_left(scene, typed, tmp_path):
    before = len(passbook.listed(scene.site.folder))
    shown = typed(*ISSUE, "--qr", str(tmp_path / "pass.png"), who="choi", status=1)
    assert "COMMAND_ROLE" in shown
    assert not (tmp_path / "pass.png").exists()
    assert len(passbook.listed(scene.site.folder)) == before


@pytest.mark.parametrize("words", [("--hours", "0"), ("--hours", "169"), ("--for", " x")])
def test_what_can_be_no_pass_is_not_sent(typed, words):
    typed(*ISSUE, *words, status=2)
