"""An update for real: dpkg in a root of its own, packages that record, the rescue as a process that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.cli import update
from agent.cli.main import main
from agent.field.updating import rescue, stage
from agent.field.updating.machine import Debian
from agent.field.updating.plan import Phase
from agent.field.updating.store import Store
from agent.storage import updated
from agent.storage.files import Disk
from tests.releases import Release, architecture, deb, root_of_its_own, version
from tests.unit.config.samples import RIGHT

LONG_S = 400.0


class Site:
    """A box that runs 1.0.0, which is kept."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.environment = root_of_its_own(folder)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        self.release = Release()
        (folder / "keys").mkdir()
        (folder / "keys/release.pub").write_text(self.release.public)
        self.store, self.machine = Store(folder / "update", Disk()), Debian()
        self.store.make()
        storage = SimpleNamespace(run=folder, state=folder / "state", vaults=[folder / "vault"])
        self.config = SimpleNamespace(storage=storage, cameras=())
        first = self.signed(version(folder / "first.deb", "1.0.0"), "1.0.0")
        assert self.machine.install(first) == ""
        self.machine.start(["pasu-record.service", "pasu-keep.service"])
        wait(lambda: self.machine.heard(str(folder)).recording and self.machine.heard(str(folder)).keep)
        stage.keep(first, self.store, self.machine, keys=folder / "keys")

    def signed(self, place: Path, number: str) -> Path:
        name = f"pasu-agent_{number}_{architecture()}.deb"
        self.release.sign_file(place, f"file:{name}\tversion:{number}\tarch:{architecture()}")
        return place

    def stage(self, place: Path, **more):
        return stage.apply(
            place,
            self.store,
            self.machine,
            self.config,
            keys=self.folder / "keys",
            by="kim",
            name="0" * 16,
            **more,
        )

    def rescue(self) -> subprocess.Popen[bytes]:
        """Start it as pasu-update.service does: nothing of this virtual environment is there for it."""
        return subprocess.Popen(
            rescue.command(self.store),
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )

    def stop(self):
        for unit in (self.folder / "units").iterdir():
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(unit.read_text()), signal.SIGKILL)


def wait(so):
    until_s = time.monotonic() + LONG_S
    while not (found := so()):
        assert time.monotonic() < until_s
        time.sleep(0.05)
    return found


@pytest.fixture
def site(tmp_path, monkeypatch):
    made = Site(tmp_path, monkeypatch)
    yield made
    made.stop()


def test_the_rescue_takes_nothing_but_debians_python():
    """J1: /opt/pasu may be anything then."""
    done = subprocess.run(
        [os.path.realpath(sys.executable), "-I", "-S", "-c",
         ("import sys; sys.path.insert(0, sys.argv[1]); import agent.field.updating.rescue as r;"
         "print(*(n for n, m in sys.modules.items() if (getattr(m, '__file__', '') or '').find('site-packages') > 0))"),
         str(Path(__file__).parents[2])],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    loaded = subprocess.run(
        [os.path.realpath(sys.executable), "-I", "-S", "-c",
         ("import sys; sys.path.insert(0, sys.argv[1]); import agent.field.updating.rescue;"
         "print(*sorted(n for n in sys.modules if n.split('.')[0] == 'agent'))"),
         str(Path(__file__).parents[2])],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert loaded.stdout.split() == sorted(rescue.MODULES)


def test_j1_a_new_version_is_installed_watched_and_kept_over_three_kills(site):
    """J1: wherever the first two come, and while it is watched."""
    new = site.signed(version(site.folder / "second.deb", "2.0.0"), "2.0.0")
    site.stage(new)
    assert not site.store.incoming.exists()
    for seen in (Phase.INSTALL, Phase.START, Phase.WATCH):
        working = site.rescue()
        if seen is Phase.WATCH:
            wait(lambda: site.store.journal().phase is Phase.WATCH)
        else:
            time.sleep(0.3)
        working.kill()
        working.wait()
        assert site.store.journal() is not None
    working = site.rescue()
    assert working.wait(LONG_S) == 0
    assert site.machine.installed() == "2.0.0"
    assert site.store.journal() is None
    assert site.store.kept().version == "2.0.0"
    last = site.store.last()
    assert (last["outcome"], last["version"], last["before"], last["by"]) == (
        "applied",
        "2.0.0",
        "1.0.0",
        "kim",
    )
    assert last["signed_by"] == site.release.kid
    assert (site.store.place / "last.json").stat().st_mode & 0o777 == 0o644
    assert site.store.private.stat().st_mode & 0o777 == 0o700
    assert site.machine.heard(str(site.folder)).recording == {"cam01"}
    assert json.loads((site.folder / "record.json").read_text())["pid"] > 0


def test_a_package_that_dpkg_cannot_install_is_taken_back(site):
    new = version(site.folder / "second.deb", "2.0.0", preinst="#!/nowhere\n")
    site.stage(site.signed(new, "2.0.0"))
    assert site.rescue().wait(LONG_S) == rescue.NOT_APPLIED
    assert site.machine.installed() == "1.0.0"
    assert (site.store.last()["outcome"], site.store.last()["why"]) == ("rolled_back", "install")
    wait(lambda: site.machine.heard(str(site.folder)).recording)


def test_only_one_is_at_it_and_without_a_journal_there_is_nothing_to_do(site):
    site.store.disk.atomic_replace(site.store.rescue, rescue.pack(), sync=False)
    assert site.rescue().wait(LONG_S) == 0
    lock = site.store.lock()
    assert site.store.lock() is None
    assert site.rescue().wait(LONG_S) == rescue.BUSY
    os.close(lock)
    (site.store.private / "journal.json").write_text("{}")
    assert site.rescue().wait(LONG_S) == 1


@pytest.fixture
def typed(site, monkeypatch, capfd):
    """What is typed on that box, in English."""
    monkeypatch.setattr(updated, "PLACE", site.store.place)
    monkeypatch.setattr(update, "KEYS", site.folder / "keys")
    text = RIGHT.replace("/var/lib/pasu", str(site.folder))
    text = text.replace("[storage]\n", f'[storage]\nrun = "{site.folder}"\n')
    (site.folder / "agent.toml").write_text(text)

    def run(*words, status=0):
        if words[0] == "apply":
            words = (*words, "--config", str(site.folder / "agent.toml"))
        assert main(["update", *words]) == status
        said = capfd.readouterr()
        return said.out + said.err

    return run


def test_whoever_types_it_is_told_what_happens_and_what_became_of_it(site, typed):
    assert "There is no update" in typed("resume")
    bad = site.signed(version(site.folder / "bad.deb", "2.0.0", preinst="#!/nowhere\n"), "2.0.0")
    said = typed("apply", str(bad), status=rescue.NOT_APPLIED)
    for part in (
        "1.0.0 -> 2.0.0",
        site.release.kid,
        "could not be installed",
        "Going back to 1.0.0",
        "UPDATE_ROLLED_BACK",
    ):
        assert part in said, said
    assert "taken back" in typed("status")
    wait(lambda: site.machine.heard(str(site.folder)).recording)
    good = site.signed(version(site.folder / "good.deb", "2.0.1"), "2.0.1")
    said = typed("apply", str(good))
    assert "Installed, and it records." in said
    status = json.loads(typed("status", "--json"))
    assert (status["installed"], status["kept"], status["phase"]) == ("2.0.1", "2.0.1", None)
    assert status["last"]["outcome"] == "applied"
    assert "2.0.1" in typed("keep", str(good))
    lock = site.store.lock()
    assert "UPDATE_BUSY" in typed("apply", str(good), status=1)
    os.close(lock)


def test_nobody_but_root_installs_anything(typed, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for words in (("apply", "x.deb"), ("keep", "x.deb"), ("resume",)):
        assert "UPDATE_ROOT" in typed(*words, status=1)
    assert "way back" not in typed("status")


def refused(call, *arguments, **more):
    with pytest.raises(stage.UpdateError) as caught:
        call(*arguments, **more)
    return caught.value.code


def test_j2_what_is_not_signed_for_this_box_is_refused_and_nothing_is_changed(site, monkeypatch):
    """J2: and not a word of it is read before the signature is known to be right."""
    asked = []
    fields = Debian.fields
    monkeypatch.setattr(
        Debian, "fields", lambda machine, place: asked.append(place) or fields(machine, place)
    )
    good = version(site.folder / "second.deb", "2.0.0")
    assert refused(site.stage, good) == "UPDATE_FILE"  # no signature
    assert refused(site.stage, site.folder / "nowhere.deb") == "UPDATE_FILE"
    Release().sign_file(good, "x")
    assert refused(site.stage, good) == "UPDATE_KEY"
    (site.folder / "second.deb.minisig").write_text("what")
    assert refused(site.stage, good) == "UPDATE_SIGNATURE"
    (site.folder / "second.deb.minisig").write_text("x" * 10_000)
    assert refused(site.stage, good) == "UPDATE_FILE"
    site.signed(good, "2.0.0")
    good.write_bytes(good.read_bytes() + b"x")
    assert refused(site.stage, good) == "UPDATE_FORGED"
    assert asked == []
    version(good, "2.0.0")
    site.signed(good, "2.0.1")
    assert refused(site.stage, good) == "UPDATE_COMMENT"
    other = deb(site.folder / "other.deb", "2.0.0", name="other")
    assert refused(site.stage, site.signed(other, "2.0.0")) == "UPDATE_PACKAGE"
    assert asked[-1] == site.store.incoming  # the copy, and not the file that others may change
    assert not site.store.incoming.exists()
    assert not site.store.incoming_signature.exists()
    assert site.store.journal() is None
    assert site.machine.installed() == "1.0.0"


def test_j2_an_older_version_takes_a_reason_and_the_same_is_nothing_to_do(site):
    """J2."""
    older = site.signed(version(site.folder / "older.deb", "0.9.0"), "0.9.0")
    assert refused(site.stage, older) == "UPDATE_OLDER"
    assert site.stage(older, older="2.0.0 counts wrongly").older == "2.0.0 counts wrongly"
    assert refused(site.stage, older, older="again") == "UPDATE_BUSY"
    site.store.drop_journal()
    assert (
        refused(site.stage, site.signed(version(site.folder / "same.deb", "1.0.0"), "1.0.0")) == "UPDATE_SAME"
    )


def test_without_keys_nothing_is_taken(site):
    good = site.signed(version(site.folder / "second.deb", "2.0.0"), "2.0.0")
    (site.folder / "keys/another.pub").write_text("no key")
    assert refused(site.stage, good) == "UPDATE_KEYS"
    for place in (site.folder / "keys").iterdir():
        place.unlink()
    assert refused(site.stage, good) == "UPDATE_KEYS"


def test_where_nothing_records_or_there_is_no_way_back_it_says_so(site):
    good = site.signed(version(site.folder / "second.deb", "2.0.0"), "2.0.0")
    (site.store.private / "kept.json").unlink()
    assert refused(site.stage, good) == "UPDATE_NO_WAY_BACK"
    assert site.stage(good, no_way_back=True).old is None
    site.store.drop_journal()
    site.stop()
    wait(lambda: not site.machine.heard(str(site.folder)).recording)
    assert refused(site.stage, good, no_way_back=True) == "UPDATE_NOT_RECORDING"
    assert site.stage(good, no_way_back=True, anyway=True).cameras == ()


def test_j4_where_there_is_no_room_nothing_is_begun(site, monkeypatch):
    """J4."""
    good = site.signed(version(site.folder / "second.deb", "2.0.0"), "2.0.0")
    monkeypatch.setattr(site.machine, "free", lambda _: 10_000)
    assert refused(site.stage, good) == "UPDATE_ROOM"
    monkeypatch.setattr(site.machine, "free", lambda place: 10_000 if place == Path("/usr") else 1 << 40)
    assert refused(site.stage, good) == "UPDATE_ROOM"
    assert site.store.journal() is None


def test_only_the_package_of_the_version_that_is_installed_is_kept(site):
    other = site.signed(version(site.folder / "second.deb", "2.0.0"), "2.0.0")
    assert refused(stage.keep, other, site.store, site.machine, keys=site.folder / "keys") == "UPDATE_OTHER"
    assert site.store.kept().version == "1.0.0"


@pytest.mark.parametrize("dies", ["U1", "U2", "U3"])
def test_a2_killed_before_the_journal_is_there_nothing_was_begun(site, dies):
    """A2, J1: with it, the rescue finishes."""
    good = site.signed(version(site.folder / "second.deb", "2.0.0"), "2.0.0")

    def die(name):
        if name == dies:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.stage(good, step=die)
    assert (site.store.journal() is not None) is (dies == "U3")
    if dies != "U3":
        assert site.stage(good).new.version == "2.0.0"
    assert site.machine.installed() == "1.0.0"
