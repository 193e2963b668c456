"""What an update asks of a box: one suite for the made-up one, and for dpkg in a root directory of its own."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path

import pytest

from agent.field.updating import plan
from agent.field.updating.machine import Debian
from agent.field.updating.plan import Heard
from tests.fakes import machine as fakes
from tests.releases import architecture, deb, root_of_its_own

RECORD, KEEP = "pasu-record.service", "pasu-keep.service"


class Made:
    def __init__(self, folder):
        self.machine, self.folder = fakes.MadeUp(running={RECORD, KEEP}), folder
        self.architecture = "amd64"

    def package(self, name, version, **more):
        return fakes.package(self.folder / name, version, **more)


class Real:
    def __init__(self, folder, monkeypatch):
        for name, value in root_of_its_own(folder).items():
            monkeypatch.setenv(name, value)
        self.machine, self.folder = Debian(), folder
        self.architecture = architecture()
        for unit in (RECORD, KEEP):
            (folder / "units" / unit).touch()

    def package(self, name, version, **more):
        return deb(self.folder / name, version, **more)


@pytest.fixture(params=["made up", "dpkg"])
def box(request, tmp_path, monkeypatch):
    return Made(tmp_path) if request.param == "made up" else Real(tmp_path, monkeypatch)


def test_what_a_package_says_of_itself(box):
    fields = box.machine.fields(box.package("one.deb", "1.2.3", catalogue=7))
    package = plan.read_fields(fields, "0" * 64, "KID")
    assert (package.version, package.architecture, package.catalogue) == ("1.2.3", box.architecture, 7)
    assert package.built == "2026-11-22T00:00:00Z"
    assert fields["Installed-Size"].isdigit()


def test_what_is_no_package_says_nothing(box):
    place = box.folder / "none.deb"
    place.write_bytes(b"!<arch>\n")
    assert box.machine.fields(place) == {}
    assert box.machine.install(place) != ""
    assert box.machine.installed() == ""


def test_versions_follow_one_another_there_and_back(box):
    first, second = box.package("one.deb", "1.9.0"), box.package("two.deb", "1.10.0")
    assert box.machine.install(first) == ""
    assert box.machine.installed() == "1.9.0"
    assert box.machine.install(second) == ""
    assert box.machine.install(second) == ""
    assert box.machine.installed() == "1.10.0"
    assert box.machine.install(first) == ""
    assert box.machine.installed() == "1.9.0"


def test_which_version_is_older(box):
    order = box.machine.order
    assert (order("1.9.0", "1.10.0"), order("1.10.0", "1.10.0"), order("2.0.0", "1.10.0")) == (-1, 0, 1)


def test_units_stop_and_start(box):
    assert box.machine.active(plan.UNITS) == (RECORD, KEEP)
    box.machine.stop([KEEP])
    assert box.machine.active(plan.UNITS) == (RECORD,)
    box.machine.stop([])
    box.machine.start([RECORD, KEEP])
    assert box.machine.active(plan.UNITS) == (RECORD, KEEP)


def test_the_rest_is_as_on_any_box(box):
    assert box.machine.architecture() == box.architecture
    assert box.machine.free(Path("/usr")) > 0
    before_s = box.machine.boot_s()
    box.machine.sleep(0.05)
    assert box.machine.boot_s() > before_s
    assert box.machine.boot() == box.machine.boot() != ""
    assert box.machine.utc_ms() > 1_700_000_000_000
    box.machine.ready()


@pytest.fixture
def real(tmp_path, monkeypatch):
    return Real(tmp_path, monkeypatch)


def boot_ms() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)


def test_recording_is_started_first_and_nobody_is_waited_for(real):
    real.machine.start(real.machine.active(plan.UNITS))
    told = (real.folder / "told").read_text().splitlines()
    assert told[-3:] == ["daemon-reload", f"--no-block restart {RECORD}", f"--no-block restart {KEEP}"]


def test_the_packages_scripts_are_told_to_start_nothing(real, monkeypatch):
    """They have PASU_UPDATE then: packaging/postinst asks for it."""
    program = real.folder / "bin/dpkg"
    program.write_text(f'#!/bin/sh\nenv > "{real.folder}/environment"\n')
    assert real.machine.install(Path("any.deb")) == ""
    assert "PASU_UPDATE=1" in (real.folder / "environment").read_text().splitlines()
    assert "$PASU_UPDATE" in (Path(__file__).parents[2] / "packaging/postinst").read_text()


def test_another_dpkg_is_waited_for(real, monkeypatch):
    """J1: that of a finisher that was killed goes on."""
    program, slept = real.folder / "bin/dpkg", []
    program.write_text(
        f'#!/bin/sh\nif [ -e "{real.folder}/free" ]; then exit 0; fi\n'
        'echo "dpkg: error: dpkg frontend lock was locked by another process with pid 7" >&2; exit 2\n'
    )

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 4:
            (real.folder / "free").touch()

    monkeypatch.setattr(real.machine, "sleep", sleep)
    assert real.machine.install(Path("any.deb")) == ""
    assert len(slept) == 4


def test_what_dpkg_says_last_is_told(real):
    real.machine.install(real.package("one.deb", "1.0.0"))
    wrong = real.machine.install(real.package("two.deb", "2.0.0", preinst="#!/nowhere\n"))
    assert "preinst" in wrong
    assert real.machine.installed() == "1.0.0"


def test_a_program_that_is_missing_has_failed(real, monkeypatch):
    monkeypatch.setenv("PATH", str(real.folder / "nowhere"))
    assert real.machine.install(Path("any.deb")).startswith("dpkg: ")
    assert real.machine.installed() == ""


def test_who_speaks_is_heard_and_who_did_a_while_ago_is_not(real):
    run = real.folder
    assert real.machine.heard(str(run)) == Heard(0, 0, frozenset())
    cameras = {
        "cam01": {"state": "recording"},
        "cam02": {"state": "lost"},
        "cam03": None,
        "cam04": {"state": "resting"},
    }
    said = {"pid": 7, "boot_ms": boot_ms(), "cameras": cameras}
    (run / "record.json").write_text(json.dumps(said))
    (run / "keep.json").write_text(json.dumps({"pid": 8, "boot_ms": boot_ms()}))
    assert real.machine.heard(str(run)) == Heard(7, 8, frozenset({"cam01"}), frozenset({"cam04"}))
    for boot in (boot_ms() - 60_000, boot_ms() + 60_000, "now", None):
        (run / "record.json").write_text(json.dumps(said | {"boot_ms": boot}))
        assert real.machine.heard(str(run)) == Heard(0, 8, frozenset())
    for text in ("[1]", "{", f'{{"boot_ms": {boot_ms()}, "pid": true, "cameras": 3}}'):
        (run / "record.json").write_text(text)
        assert real.machine.heard(str(run)) == Heard(0, 8, frozenset())


def test_footage_that_grows_is_seen_and_footage_that_does_not_is_not(real):
    vault = real.folder / "vault"
    day = vault / "segments/cam01/2026-11-22"
    day.mkdir(parents=True)
    (day / "a.mp4.age.part").write_bytes(b"x")

    def marks():
        return real.machine.marks([str(vault), "/nowhere"], ["cam01", "cam02"])

    before = marks()
    assert marks() == before
    with (day / "a.mp4.age.part").open("ab") as file:
        file.write(b"y")
    after = marks()
    assert after["cam01"] != before["cam01"]
    assert after["cam02"] == before["cam02"]
    (vault / "segments/cam01/2026-11-23").mkdir()
    (vault / "segments/cam01/2026-11-23/b.mp4.age.part").touch()
    assert marks()["cam01"] != after["cam01"]


def test_the_catalogue_is_asked_as_its_owner_who_can_open_what_is_made_beside_it(real):
    state = real.folder / "state"
    state.mkdir()
    assert real.machine.catalogue(str(state)) is None
    db = sqlite3.connect(state / "catalogue.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA user_version=9")
    owner = 12345
    for place in (real.folder, *real.folder.parents):  # wherever the runner puts it
        if not place.stat().st_mode & 0o001:
            place.chmod(0o755)
    for place in (state, *state.iterdir()):
        os.chown(place, owner, owner)
    assert real.machine.catalogue(str(state)) == 9  # it stands in the log of changes, not yet in the file
    db.close()
    (state / "catalogue.db").chmod(0o600)
    assert real.machine.catalogue(str(state)) == 9
    assert {place.stat().st_uid for place in state.iterdir()} == {owner}
    (state / "catalogue.db").write_bytes(b"no database at all, but long enough to be read as one" * 100)
    assert real.machine.catalogue(str(state)) is None
