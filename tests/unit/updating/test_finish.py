"""An update from its journal to its end, whatever is cut off, and whatever the new version does."""

from __future__ import annotations

import random

import pytest

from agent.field.updating import plan
from agent.field.updating.finish import Finisher, why_text
from agent.field.updating.plan import Journal, Outcome, Package, Phase
from agent.field.updating.store import Store, digests
from agent.storage.files import Disk
from tests.fakes.machine import MadeUp, PowerCut, Version, package

CAMERAS = ("cam01", "cam02")


class Box:
    """A box in the middle of an update, from 1.0.0 to 1.1.0."""

    def __init__(self, root, *, way_back=True, **versions):
        self.store = Store(root / "update", Disk())
        self.store.make()
        self.machine = MadeUp(
            versions={"1.0.0": versions.get("old", Version()), "1.1.0": versions.get("new", Version())},
            version="1.0.0",
        )
        self.old, self.new = self.put("1.0.0"), self.put("1.1.0")
        if way_back:
            self.store.disk.atomic_replace(
                self.store.private / "kept.json", plan.encode_package(self.old), sync=False
            )
        self.journal = Journal(
            "0123456789abcdef", Phase.INSTALL, self.new, self.old if way_back else None, "1.0.0", "kim", 1, CAMERAS,
            True, self.machine.active(plan.UNITS), "/state", "/run", ("/vault",),
        )  # fmt: skip
        self.store.put_journal(self.journal)
        self.steps = []

    def put(self, version: str) -> Package:
        place = package(self.store.incoming, version)
        found = plan.read_fields(self.machine.fields(place), digests(place)[0], "KID")
        self.store.accept(found)
        return found

    def finish(self, step=lambda _: None):
        """Do as pasu-update.service: go on from the journal, if there is one."""
        journal = self.store.journal()
        if journal is None:
            self.machine.ready()  # the unit is passed over: nothing waits for it
            return None
        return Finisher(
            self.store, self.machine, step=lambda name: (self.steps.append(name), step(name))
        ).run(journal)

    def finish_over_cuts(self, cut, step=lambda _: None):
        """Go on over power cuts until it is over."""
        self.machine.cut = cut
        for _ in range(100):
            try:
                self.finish(step)
            except PowerCut:
                self.machine.reboot()
            else:
                return
        raise AssertionError("it never ends")

    @property
    def outcome(self):
        return self.store.last()["outcome"]

    def ends_well(self, version):
        """One whole version is there, its package is kept and no other, units run, and nothing is left to do."""
        assert self.machine.is_whole
        assert self.machine.version == version
        assert self.store.kept().version == version
        assert [place.name for place in self.store.packages.iterdir()] == [self.store.kept().file]
        assert self.machine.running == set(plan.UNITS)
        assert self.machine.is_ready
        assert self.store.journal() is None


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


def test_a_version_that_records_stays(box):
    assert box.finish().outcome is Outcome.APPLIED
    assert box.steps == ["U4", "U5", "U6", "U9", "U10"]
    box.ends_well("1.1.0")
    told = box.store.last()
    assert (told["outcome"], told["version"], told["before"]) == ("applied", "1.1.0", "1.0.0")
    assert (told["sha256"], told["before_sha256"], told["signed_by"]) == (
        box.new.sha256,
        box.old.sha256,
        "KID",
    )


def test_what_erases_and_talks_is_stopped_meanwhile_and_recording_is_not(box):
    box.finish()
    assert box.machine.stops == list(plan.QUIET)


def test_a_unit_that_did_not_run_is_not_started(tmp_path):
    box = Box(tmp_path)
    box.machine.running.discard("pasu-page.service")
    box.store.put_journal(plan.replace(box.journal, units=box.machine.active(plan.UNITS)))
    box.finish()
    assert "pasu-page.service" not in box.machine.running


BAD = {
    "silent": (Version(silent=True), "silent", CAMERAS),
    "one camera": (Version(cameras=frozenset({"cam01"})), "cameras", ("cam02",)),
    "deaf": (Version(deaf=True), "cameras", CAMERAS),
    "all rest": (Version(rests=True), "cameras", CAMERAS),
    "no keeper": (Version(keeps=False), "keep", ()),
    "not installable": (Version(breaks=9), "install", ()),
}


@pytest.mark.parametrize("how", BAD)
def test_j3_a_version_that_does_not_record_goes_within_180_s(tmp_path, how):
    """J3: also one that says it records while nothing grows on the disk."""
    new, why, missing = BAD[how]
    box = Box(tmp_path, new=new)
    begun_s = box.machine.now_s
    over = box.finish()
    assert over.outcome is Outcome.ROLLED_BACK
    assert (over.why, over.missing) == (why, missing)
    assert box.machine.now_s - begun_s <= plan.WATCH_S + 1
    assert box.steps[-4:] == ["U7", "U8", "U9", "U10"]
    box.ends_well("1.0.0")
    assert box.store.last()["missing"] == list(missing)


def test_j3_one_whose_cameras_rest_stays_where_their_hours_say_so(tmp_path):
    """J3: and goes where they do for one camera alone."""
    for name, cameras, outcome in (("both", CAMERAS, "applied"), ("one", CAMERAS[:1], "rolled_back")):
        (tmp_path / name).mkdir()
        box = Box(tmp_path / name, new=Version(rests=True))
        rests = tuple((camera, box.journal.at_ms, box.journal.at_ms + plan.WEEK_MS) for camera in cameras)
        box.store.put_journal(plan.replace(box.journal, rests=rests))
        box.finish()
        assert box.outcome == outcome
        assert box.store.last()["missing"] == [camera for camera in CAMERAS if camera not in cameras]


def test_one_that_records_at_first_and_then_stops_is_seen(tmp_path):
    box = Box(tmp_path)

    def stops(what):
        if what == "watching" and box.machine.now_s - box.machine.started_s > 10:
            box.machine.versions["1.1.0"] = Version(cameras=frozenset())

    box.machine.cut = stops
    assert box.finish().outcome is Outcome.ROLLED_BACK
    box.ends_well("1.0.0")


@pytest.mark.parametrize("new", [Version(), Version(silent=True)], ids=["good", "bad"])
@pytest.mark.parametrize("dies", ["U4", "U5", "U6", "U7", "U8", "U9", "U10"])
def test_a2_j1_killed_after_each_step_it_comes_to_the_same_end(tmp_path, new, dies):
    """A2, J1: by a kill, and by a power cut."""
    for reboots in (False, True):
        (tmp_path / str(reboots)).mkdir()
        box = Box(tmp_path / str(reboots), new=Version(silent=new.silent))
        dead = []

        def die(name, dead=dead):
            if name == dies and not dead:
                dead.append(name)
                raise PowerCut

        try:
            box.finish(die)
        except PowerCut:
            if reboots:
                box.machine.reboot()
            box.finish()
        assert box.store.last()["outcome"] == ("rolled_back" if new.silent else "applied")
        box.ends_well("1.0.0" if new.silent else "1.1.0")


@pytest.mark.parametrize("new", [Version(), Version(silent=True)], ids=["good", "bad"])
@pytest.mark.parametrize("at", ["before dpkg", "in dpkg", "still in dpkg", "after dpkg", "stopped pasu-keep.service",
                                "started pasu-record.service", "started pasu-page.service"])  # fmt: skip
@pytest.mark.parametrize("which", [0, 1])
def test_j1_the_power_goes_in_dpkg_and_between_units(tmp_path, new, at, which):
    """J1: what is half installed never stays; after the reboot it is whole before anything runs."""
    box = Box(tmp_path, new=new)
    seen = []

    def cut(what):
        if what == at:
            seen.append(what)
            if len(seen) == which + 1:
                raise PowerCut

    box.finish_over_cuts(cut)
    assert box.outcome == ("rolled_back" if new.silent else "applied")
    box.ends_well("1.0.0" if new.silent else "1.1.0")


@pytest.mark.parametrize("hundred", range(5))
def test_j1_r19_five_hundred_random_cuts_leave_no_brick(tmp_path, hundred):
    """J1: 500 updates, each cut off a few times wherever it happens, each in the end one whole version that records."""
    for seed in range(100 * hundred, 100 * hundred + 100):
        (tmp_path / str(seed)).mkdir()
        update_over_cuts(tmp_path / str(seed), random.Random(seed))


def update_over_cuts(root, chance):
    new = chance.choice([Version(), Version(), Version(silent=True), Version(deaf=True), Version(breaks=9)])
    good = new == Version()
    box = Box(root, new=new)
    left = [chance.randrange(1, 6)]

    def cut(what):
        often = 0.003 if what == "watching" else 0.15
        if left[0] and chance.random() < often:
            left[0] -= 1
            raise PowerCut

    box.finish_over_cuts(cut, step=cut)
    assert box.outcome in (("applied", "rolled_back") if good else ("rolled_back",))
    box.ends_well("1.1.0" if box.outcome == "applied" else "1.0.0")


def test_j1_a_version_that_brings_the_box_down_is_gone_with_the_third_boot(tmp_path):
    """J1, J3, R19: it was watched twice, and the box went down each time."""
    box = Box(tmp_path, new=Version(cuts=15.0))
    box.finish_over_cuts(None)
    assert box.machine.boots == 3
    assert box.store.last()["why"] == "restarts"
    box.ends_well("1.0.0")


def test_after_a_boot_the_numbers_of_processes_begin_anew(tmp_path):
    """One of the new version may have the number that one of the old version had."""
    box = Box(tmp_path)
    with pytest.raises(PowerCut):
        box.finish(lambda name: (_ for _ in ()).throw(PowerCut) if name == "U5" else None)
    journal = box.store.journal()
    box.store.put_journal(
        journal.to(Phase.WATCH, pids=(box.machine.record_pid + 100, 12), boot=box.machine.boot())
    )
    box.machine.reboot()
    assert box.finish().outcome is Outcome.APPLIED


def test_j5_a_catalogue_that_the_old_version_cannot_read_keeps_the_new_one(tmp_path):
    """J5: the old one would refuse it and record nothing; nobody moves it aside, and nothing is begun anew."""
    box = Box(tmp_path, new=Version(cameras=frozenset({"cam01"}), catalogue=6))
    over = box.finish()
    assert (over.outcome, over.why, over.missing) == (Outcome.FAILED, "cameras catalogue", ("cam02",))
    assert box.machine.installs == ["1.1.0"]
    assert box.machine.stops == list(plan.QUIET)  # recording was not stopped for it
    box.ends_well("1.1.0")


def test_j5_also_when_it_is_changed_while_the_new_version_is_stopped(tmp_path):
    """J5."""
    box = Box(tmp_path, new=Version(silent=True))

    def late(what):
        if what == "stopped pasu-record.service":
            box.machine.catalogue_now = 6

    box.machine.cut = late
    assert box.finish().why == "silent catalogue"
    box.ends_well("1.1.0")


def test_a_box_without_a_catalogue_yet_goes_back(tmp_path):
    box = Box(tmp_path, new=Version(silent=True))
    box.machine.catalogue_now = None
    assert box.finish().outcome is Outcome.ROLLED_BACK


@pytest.mark.parametrize("new", [Version(silent=True), Version(breaks=9)])
def test_without_a_way_back_it_says_so_and_leaves_what_records(tmp_path, new):
    box = Box(tmp_path, new=new, way_back=False)
    over = box.finish()
    assert over.outcome is Outcome.FAILED
    assert box.store.last()["before_sha256"] == ""
    assert box.machine.running == set(plan.UNITS)
    assert "pasu-record.service" not in box.machine.stops


def test_an_old_package_that_cannot_be_installed_leaves_the_new_one_whole(tmp_path):
    box = Box(tmp_path, old=Version(breaks=9), new=Version(silent=True))
    over = box.finish()
    assert (over.outcome, over.why) == (Outcome.FAILED, "silent back")
    assert box.machine.installs == ["1.1.0", *["1.0.0"] * plan.MOST_TRIES, "1.1.0"]
    box.ends_well("1.1.0")


def test_a_package_that_is_not_what_it_was_is_not_installed(tmp_path):
    box = Box(tmp_path)
    box.store.path(box.new).write_text("{}")
    over = box.finish()
    assert (over.outcome, over.why) == (Outcome.ROLLED_BACK, "install")
    assert box.machine.installs == ["1.0.0"]
    box.ends_well("1.0.0")


def test_power_cuts_while_going_back_do_not_use_up_its_tries(tmp_path):
    """J1."""
    box = Box(tmp_path, new=Version(silent=True))
    left = [10]

    def cut(what):
        if what == "in dpkg" and box.machine.installs[-1] == "1.0.0" and left[0]:
            left[0] -= 1
            raise PowerCut

    box.finish_over_cuts(cut)
    assert left == [0]
    box.ends_well("1.0.0")


def test_with_nothing_that_recorded_before_it_is_enough_that_it_speaks(tmp_path):
    box = Box(tmp_path, new=Version(cameras=frozenset()))
    box.store.put_journal(plan.replace(box.journal, cameras=(), keeping=False))
    assert box.finish().outcome is Outcome.APPLIED


@pytest.mark.parametrize("why", ["install", "silent", "cameras", "keep", "restarts", "catalogue", "back"])
def test_each_reason_is_said_in_words(monkeypatch, why):
    for language in ("ko", "en"):
        monkeypatch.setenv("LC_ALL", language)
        assert why_text(why, ["cam02"]) != why
    assert "cam02" in why_text("cameras catalogue", ["cam02"])
