"""One box, one file, one error of a disk, a broker that comes and goes: the watch goes on for all the others (E9, E7)."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agent.centre import registry, rings
from agent.centre.witness import MOST_PROVEN, Witness
from agent.cli import broker_line, centre_watch
from agent.cli.main import main
from agent.command.keyring import Role
from agent.enrolment import box as enrolled
from agent.enrolment import form
from agent.errors import StorageFault
from agent.storage.files import Disk
from tests.centre_scene import BOX, Centre
from tests.contract.test_centre_watch import stored
from tests.town import FakeBox, Town, configured, no_passphrase, wait_until

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "gn-0002"


def told(centre: Centre, box: FakeBox, **more) -> None:
    """Have a box tell its health, and the centre hear it."""
    box.send_health(**more)
    centre.until(lambda: centre.watch._boxes[box.box].newest_said.health == box.said, "its health")


def looked(centre: Centre) -> None:
    """Let the centre look at everything that is due."""
    centre.clock.ahead_s += 6
    tick_s = centre.watch._tick_s
    centre.until(lambda: centre.watch._tick_s > tick_s, "a tick")


def spoil(town: Town, name: str, **more) -> Path:
    """Damage a box's file, as an editor or a disk does; the folder changes with it."""
    path = town.city.at("boxes", f"{name}.json")
    body = json.dumps(json.loads(path.read_bytes()) | more) if more else "{"
    path.write_text(body)
    path.with_suffix(".tmp").write_text("")
    path.with_suffix(".tmp").unlink()
    return path


@pytest.mark.parametrize(
    "damage",
    [{}, {"tls": "AAAA"}, {"tls": 7}, {"vkey": "none"}, {"box": OTHER}, {"earlier": [1]}, {"serial": "x"}],
    ids=lambda damage: "-".join(damage) or "cut",
)
def test_e9_a_file_that_cannot_be_read_is_that_boxs_trouble_alone(town, box, centre, damage):
    """E9: it is said once, its box is watched as before, and new ones are taken up."""
    told(centre, box)
    path = town.city.at("boxes", f"{BOX}.json")
    good = path.read_bytes()
    spoil(town, BOX, **damage)
    looked(centre)
    centre.alarmed("damaged")
    box.write(5)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(5)
    told(centre, box, backlog=3)
    assert centre.row().standing.backlog == 3
    town.enrol(OTHER)
    looked(centre)
    centre.until(lambda: len(centre.watch.rows()) == 2, "the other")
    path.write_bytes(good)  # in its place: the folder does not change
    looked(centre)
    centre.until(lambda: not centre.watch._unreadable, "the file that was mended")
    assert centre.found == [(BOX, "damaged")]


def test_e9_a_city_with_a_file_that_cannot_be_read_is_watched(town, box):
    town.enrol(OTHER)
    spoil(town, OTHER)
    centre = Centre(town)
    try:
        told(centre, box)
        centre.alarmed("damaged", OTHER)
        assert [row.standing.box for row in centre.watch.rows()] == [BOX]
    finally:
        centre.close()
    assert main(["centre", "watch", "--once", "--within", "0", "--city", str(town.city.folder)]) == 3


def test_e9_a_folder_of_boxes_that_is_gone_is_no_city_without_boxes(town, box, centre):
    told(centre, box)
    folder = town.city.at("boxes")
    folder.rename(folder.with_name("elsewhere"))
    looked(centre)
    centre.alarmed("folder", "")
    told(centre, box)
    looked(centre)
    folder.with_name("elsewhere").rename(folder)
    looked(centre)
    assert [row.standing.box for row in centre.watch.rows()] == [BOX]
    assert centre.found == [("", "folder")]


def test_e9_a_disk_that_fails_under_an_export_costs_that_chunk(town, box):
    """E9: the broker does not hand it out again, and the ledger is kept."""
    tried = []

    def chunk(*said: object) -> None:
        tried.append(said)
        raise OSError(5, "Input/output error")

    centre = Centre(town, chunk=chunk)
    try:
        topic = f"pasu/v1/{BOX}/export/{'1' * 32}/1"
        assert box.client.publish(topic, b"{}\nxyz")
        box.write(5)
        box.send_facts()
        box.send_checkpoint()
        centre.verified(5)
        centre.alarmed("passed_over")
        assert len(tried) == 1
        centre.close()
        centre = Centre(town, chunk=chunk)
        box.write(1)
        box.send_facts(6)
        centre.until(lambda: centre.row().size == 6)
        assert len(tried) == 1
    finally:
        centre.close()


def test_e9_numbers_that_cannot_be_used_keep_nobody_from_watching(town, box, centre, monkeypatch):
    def take_all(*_: object) -> dict[str, int]:
        raise StorageFault("COUNTERS_UNUSABLE", "the numbers cannot be used")

    with monkeypatch.context() as broken:
        broken.setattr(centre.counters, "take_all", take_all)
        box.write(1200)
        box.send_facts()
        box.send_checkpoint()
        box.send_health()
        centre.alarmed("counters", "")
        centre.verified(1200)
        assert box.orders == []
    centre.clock.ahead_s += 31
    box.send_health()
    centre.until(lambda: box.ordered("ledger.acknowledge"), "asked when they can be used again")


def test_e9_a_disk_that_fails_under_the_witness_costs_nothing(town, box, monkeypatch, capsys):
    """E9: the command begins anew, and what was not on the disk comes again from the broker."""
    centre = Centre(town)
    centre.close()  # the broker keeps what comes from now on
    box.write(30)
    box.send_facts()
    box.send_checkpoint()
    real, failed = Witness.commit, []

    def commit(self: Witness) -> None:
        if self._busy and self._read("SELECT 1 FROM fact LIMIT 1") and not failed:
            failed.append(1)
            raise self._fault(sqlite3.OperationalError("disk I/O error"))
        real(self)

    def forever(_args, _city, watching, _wire) -> int:
        def verified() -> bool:
            watching.turn(0.02)
            return watching.rows()[0].verified == 30

        wait_until(verified)
        watching.commit()
        return 0

    monkeypatch.setattr(Witness, "commit", commit)
    monkeypatch.setattr(centre_watch, "_forever", forever)
    monkeypatch.setattr(broker_line, "AGAIN_S", 0.1)
    assert main(["centre", "watch", "--only-look", "--city", str(town.city.folder)]) == 0
    assert failed
    assert capsys.readouterr().err.count("WITNESS_UNUSABLE") == 1
    again = Centre(town)
    try:
        assert stored(again) == list(range(1, 31))
        assert again.row().verified == 30
    finally:
        again.close()


class Away:
    """Says that the broker has been away for long enough to be told."""

    def turn(self, _now_s: float, *, connected: bool) -> str:
        return "" if connected else broker_line.AWAY


def test_while_the_broker_is_away_no_box_is_said_to_be_silent(town, box, centre):
    """Silence counts from its return."""
    told(centre, box)
    town.kill()
    centre.until(lambda: not centre.wire.connected, "that it is gone")
    for _ in range(3):
        centre.clock.ahead_s += 100
        looked(centre)
    assert centre.found == []
    (alarm,) = centre_watch._turned(centre.watch, centre.wire, Away())
    assert (alarm.box, alarm.what) == ("", broker_line.AWAY)
    assert [(box, what) for _, box, what, _ in centre.witness.alarms()] == [("", broker_line.AWAY)]
    town._run()
    centre.until(lambda: centre.wire.connected, "that it is back")
    looked(centre)
    # And two looks of 6 s: it may be known to be back before the first of them, or with it.
    centre.clock.ahead_s += 40
    looked(centre)
    assert centre.found == []
    centre.clock.ahead_s += 15
    centre.alarmed("silent")
    assert centre.found == [(BOX, "silent")]


def test_whoever_spoke_while_the_centre_stood_still_is_not_silent(town, box, centre):
    """A disk that stands still for a minute holds everything up; what was said meanwhile waits."""
    told(centre, box)
    box.write(60)
    box.send_facts(size=1)
    box.send_health()
    wait_until(lambda: centre.wire._incoming.qsize() == 61, "all of it")
    centre.clock.ahead_s += 61
    centre.until(lambda: centre.watch._boxes[BOX].newest_said.health == box.said, "its health")
    looked(centre)
    assert centre.found == []


def test_e7_a_box_that_is_heard_and_whose_ledger_is_held_back_is_told(town, box, centre):
    """E7: the broker lets health through, and drops facts and checkpoints."""
    box.write(10)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(10)
    rounds = 0
    while not centre.found:
        box.write(16)
        told(centre, box)
        centre.clock.ahead_s += 45
        looked(centre)
        rounds += 1
        assert rounds < 40
    assert centre.found == [(BOX, "withheld")]
    assert rounds * 52 >= 1800
    box.send_facts(11)
    box.send_checkpoint(at_ms=2)
    centre.verified(len(box.entries))
    told(centre, box)
    looked(centre)
    assert not centre.row().standing.withheld


def test_e7_a_box_that_lost_its_numbers_is_heard_again_with_a_new_key(town, box, centre):
    """E7: its state disk and its clock were replaced; what it said before stays of the past, whoever shows it."""
    box.session = 1000
    told(centre, box, backlog=1)
    old = [
        (part, box.written(part, {"v": 1, "box": BOX, **box.place(), "session": session, "online": True}))
        for part in ("health", "birth", "state")
        for session in (f"{1000:012x}", f"{2000:012x}")
    ]
    box.session = 7
    box.send_health(backlog=2)
    centre.clock.ahead_s += 61
    centre.alarmed("silent")
    box.send_health(backlog=2)
    centre.alarmed("stale")
    config = configured(town.folder / "boxes" / BOX, BOX)
    asked = enrolled.request(config, Disk(), time.time_ns() // 1_000_000, new_key=True)
    bundle = registry.enrol(town.city, asked, 90, datetime.now(UTC), no_passphrase)
    enrolled.accept(config, form.read_bundle(bundle.encode()), Disk())
    told(centre, box, backlog=3)
    centre.alarmed("back")

    def replayed(seen: Centre) -> None:
        for part, data in old:
            assert box.client.publish(f"pasu/v1/{BOX}/{part}", data)
        box.write(1)
        box.send_facts(len(box.entries))
        seen.until(lambda: seen.row().size == len(box.entries), "the marker")
        assert seen.watch._boxes[BOX].newest_said.session == 7

    replayed(centre)
    assert centre.row().standing.backlog == 3
    centre.close()
    again = Centre(town)
    try:
        replayed(again)
        assert again.row().standing.heard_s is None
        told(again, box, backlog=4)
        assert again.row().standing.backlog == 4
    finally:
        again.close()


def refused(box: FakeBox, code: str) -> None:
    order = box.orders[-1]
    box.say("reply", id=order["id"], command=order["command"], status="refused", code=code, detail={})


def test_that_a_box_refuses_what_the_centre_asks_is_told_until_it_does_not(town, box, centre):
    """The service key was renewed, and the ring was not pushed: no box of the city is acknowledged any more."""
    box.answer = False
    centre.watch._confirm_time = lambda: True
    for number in range(1, 4):
        told(centre, box, trust="UNTRUSTED", challenge="cd" * 16)
        centre.until(lambda number=number: len(box.ordered("time.confirm")) == number, "asked")
        refused(box, "COMMAND_KEY")
        centre.until(lambda: not centre.watch._asking.open, "answered")
        centre.clock.ahead_s += 55
        told(centre, box, trust="SYNCED")
        looked(centre)
    assert centre.found == [(BOX, "refused")]
    box.answer = True
    told(centre, box, trust="UNTRUSTED", challenge="cd" * 16)
    centre.until(lambda: not centre.watch._boxes[BOX].refusals, "that it does it again")


def test_a_box_that_lost_its_numbers_is_shown_its_challenge(town, box, centre):
    """E1: it obeys each key again that shows once that it is now."""
    box.answer = False
    box.write(1200)
    box.send_facts()
    box.send_checkpoint()
    box.send_health()
    centre.until(lambda: len(box.ordered("ledger.acknowledge")) == 1, "asked")
    assert "challenge" not in box.orders[-1]
    refused(box, "COMMAND_CHALLENGE")
    centre.until(lambda: not centre.watch._asking.open, "answered")
    box.answer = True
    centre.clock.ahead_s += 31
    box.send_health()
    centre.until(lambda: len(box.ordered("ledger.acknowledge")) == 2, "asked again")
    assert box.orders[-1]["challenge"] == "ab" * 16
    centre.until(lambda: centre.watch._boxes[BOX].current.acknowledged == 1200, "done")
    assert centre.found == []


def test_a_service_key_that_was_revoked_is_told_and_a_new_one_signs(town, box, centre):
    before = town.service().key.kid
    rings.revoke(town.city, town.root_key(), before, time.time_ns() // 1_000_000)
    looked(centre)
    centre.alarmed("service_key", "")
    box.write(1200)
    box.send_facts()
    box.send_checkpoint()
    told(centre, box)
    centre.verified(1200)
    looked(centre)
    assert box.orders == []
    grant = rings.Grant(Role.SERVICE, rings.SERVICE)
    _, kid = rings.add_key(town.city, town.root_key(), grant, time.time_ns() // 1_000_000)
    looked(centre)
    centre.clock.ahead_s += 31
    box.send_health()
    centre.until(lambda: box.ordered("ledger.acknowledge"), "asked with the new key")
    assert kid in box.counters
    assert before not in box.counters


def test_ledgers_that_a_box_begins_without_end_are_not_all_followed(town, box, centre):
    """Whoever has a box's key may sign heads of as many as it likes; an old one goes on where it was all the same."""
    ledgers = [f"{number:016x}" for number in range(1, MOST_PROVEN + 4)]
    kept = {}
    for ledger in ledgers:
        box.ledger, box.entries = ledger, []
        box.write(3, ledger=ledger)
        box.send_facts()
        box.send_checkpoint()
        kept[ledger] = box.entries
        centre.until(lambda ledger=ledger: centre.watch._boxes[BOX].newest == ledger, ledger)
        centre.verified(3)
    watched = centre.watch._boxes[BOX]
    assert list(watched.kept) == ledgers[-MOST_PROVEN:]
    box.ledger, box.entries = ledgers[0], kept[ledgers[0]]
    box.write(2, ledger=ledgers[0])
    box.send_facts()
    box.send_checkpoint(at_ms=2)
    box.ledger, box.entries = ledgers[-1], kept[ledgers[-1]]
    box.write(1, ledger=ledgers[-1])
    box.send_facts()
    box.send_checkpoint(at_ms=2)
    centre.verified(4)
    assert list(watched.kept) == ledgers[-MOST_PROVEN:]
    old = centre.witness.take_up(BOX, ledgers[0], watched.verifier)
    assert old.following.verified.size == 5
    assert {what for _, what in centre.found} == {"new_ledger"}


def test_e9_what_a_box_begins_its_ledger_with_moves_no_cursor(town, box, centre):
    box.write(1, "ledger.began", reason="\x1b[2J\x9b31m\u202e")
    box.send_facts()
    centre.alarmed("new_ledger")
    ((_, _, _, detail),) = list(centre.witness.alarms(BOX))
    assert all(letter.isprintable() for letter in detail["body"])


def test_e9_what_the_broker_was_made_to_keep_is_not_taken_at_each_start(town, box):
    """E9: facts and chunks are never retained by a box that is right."""
    tried = []
    box.write(5)
    box.say("facts", ledger=box.ledger, first=1, entries=box.entries, retain=True)
    assert box.client.publish(f"pasu/v1/{BOX}/export/{'1' * 32}/1", b"{}\nxyz", retain=True)
    centre = Centre(town, chunk=lambda *said: tried.append(said))
    try:
        told(centre, box)
        assert (centre.row().size, tried) == (0, [])
    finally:
        centre.close()


def test_e9_a_flood_of_one_box_leaves_the_others_heard(town, box, centre):
    """E9: half a megabyte with each health, as fast as the line goes, and nobody repeats what is dropped."""
    town.enrol(OTHER)
    other = FakeBox(town, OTHER)
    other.connect()
    try:
        for _ in range(60):
            box.client.client.publish(f"pasu/v1/{BOX}/health", os.urandom(500_000), qos=0)
        wait_until(lambda: centre.wire._dropped[BOX], "more than is let wait")
        assert centre.wire._held_bytes < 2 << 20
        looked(centre)
        centre.alarmed("flood")
        told(centre, other)
    finally:
        other.close()
