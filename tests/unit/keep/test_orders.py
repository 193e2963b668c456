"""Commands, from the uplink's file to the reply."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from agent.command import ring
from agent.model import Gap, GapCause, Instant, Span, Trust, canonical_json
from agent.storage.exchange import UplinkSide
from agent.storage.files import Disk
from agent.storage.keep import orders_files, orders_locate
from agent.storage.keep.orders import Desk
from agent.storage.keep.orders_handlers import HANDLERS
from agent.storage.keep.orders_run import PROGRESS, Handler, Outcome
from agent.storage.proof import note, tree
from agent.storage.proof.signing import load_verifier
from tests.city import OTHER_RECIPIENT, RECIPIENT, City
from tests.unit.keep.kept import DAY_MS
from tests.unit.keep.ordered import BOX, Ordered
from tests.unit.storage.box import T0, FailingDisk

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60_000


@pytest.fixture
def box(tmp_path: Path) -> Ordered:
    return Ordered(tmp_path)


class Died(BaseException):
    """The keeper was killed."""


def place(**more: Any) -> dict[str, Any]:
    return {
        "cameras": ["cam1"],
        "from_ms": T0 - MINUTE,
        "to_ms": T0 + MINUTE,
        "ground": "investigation",
        "authority": "강릉경찰서 2026-1234",
        "review": "2027-02-10",
    } | more


def test_a_hold_is_placed_by_its_command(box: Ordered) -> None:
    box.record(count=3)
    name = box.send("officer 1", "hold.place", place())
    reply = box.answer(name)
    assert reply == {
        "v": 1,
        "box": BOX,
        "id": name,
        "command": "hold.place",
        "status": "done",
        "code": "",
        "at_ms": box.clock.utc_ms,
        "trust": "SYNCED",
        "detail": {"hold": name, "spared": 0, "late": 0, "undecided": 0, "unfinished_vaults": []},
    }
    box.turn()
    assert len(box.linked_rows()) == 3  # what it covers is linked by the keeper's turns
    (accepted,) = box.bodies("command.accepted")
    assert (accepted["id"], accepted["holder"], accepted["role"]) == (name, "officer 1", "officer")
    assert accepted["arguments"]["authority"] == "강릉경찰서 2026-1234"
    (placed,) = box.bodies("hold.placed")
    assert (placed["hold"], placed["placed_by"]) == (name, f"officer 1 ({box.city.signers['officer 1'].kid})")
    assert box.waiting == []
    wanted = ["J1", "J2", "J3", "J4", "J5", "J6", "J7", "J8"]
    assert [step for step in box.steps if step.startswith("J")] == wanted


def test_a_hold_that_cannot_stand_is_refused(box: Ordered) -> None:
    box.record(count=1)
    for wrong, code in (
        ({"ground": "curiosity"}, "HOLD_GROUND"),
        ({"review": "2028-01-01"}, "HOLD_REVIEW"),
        ({"cameras": ["cam9"]}, "CAMERA_UNKNOWN"),
    ):
        reply = box.ask("officer 1", "hold.place", place(**wrong))
        assert (reply["status"], reply["code"]) == ("refused", code)
    assert box.bodies("hold.placed") == []


def test_b11_a_hold_on_a_camera_of_long_ago_is_placed_while_its_rows_are_missing(box: Ordered) -> None:
    """The catalogue was lost, and the disk that has its recordings is away: nobody can say that there are none."""
    wanted = place(cameras=["cam9"])
    assert box.ask("officer 1", "hold.place", wanted)["code"] == "CAMERA_UNKNOWN"
    with box.catalogue() as catalogue:
        catalogue.set_meta("unreconciled", '["uuid-away"]')
    assert box.ask("officer 1", "hold.place", wanted)["status"] == "done"


def test_a_hold_is_released_by_two(box: Ordered) -> None:
    box.record(count=3)
    hold = box.ask("officer 1", "hold.place", place())["id"]
    box.turn()
    alone = box.ask("officer 1", "hold.release", {"hold": hold, "reason": "수사 종결"})
    assert (alone["status"], alone["code"]) == ("refused", "COMMAND_SECOND")
    assert box.bodies("hold.released") == []
    name = box.send_two("officer 1", "department 1", "hold.release", {"hold": hold, "reason": "수사 종결"})
    reply = box.answer(name)
    assert (reply["status"], reply["command"]) == ("done", "hold.release")
    assert reply["detail"]["order"] == f"{box.city.ids - 1:032x}"
    box.turn()
    assert box.links() == box.linked_rows() == []
    (released,) = box.bodies("hold.released")
    assert "officer 1" in released["released_by"]
    assert "department 1" in released["released_by"]
    again = box.ask("officer 1", "inspect")
    assert again["status"] == "done"
    name = box.send_two("officer 1", "officer 2", "hold.release", {"hold": hold, "reason": "again"})
    assert box.answer(name)["code"] == "HOLD_RELEASED"
    name = box.send_two("officer 1", "officer 2", "hold.release", {"hold": "none", "reason": "again"})
    assert box.answer(name)["code"] == "HOLD_UNKNOWN"


def test_table_2_12_a_hold_is_released_by_those_who_see_its_cameras(box: Ordered) -> None:
    box.record(count=1)
    hold = box.ask("officer 1", "hold.place", place())["id"]
    box.city.add("officer 9", ring.Role.OFFICER, cameras=["cam2"])
    box.city.enrol(box.state)
    name = box.send_two("officer 9", "officer 1", "hold.release", {"hold": hold, "reason": "x"})
    assert box.answer(name)["code"] == "COMMAND_CAMERA"


def test_art_26_4_existence_is_answered_from_the_catalogue(box: Ordered) -> None:
    box.record(count=3)
    ask = {"camera": "cam1", "from_ms": T0 - 1000, "to_ms": T0 + 5000}
    box.pass_time(60_000)
    detail = box.ask("operator 1", "segments.locate", ask)["detail"]
    assert detail["stored"] == [[T0, T0 + 3000]]
    assert detail["missing"] == [[T0 - 1000, T0], [T0 + 3000, T0 + 5000]]
    assert (detail["stored_ms"], detail["gaps"], detail["recording"], detail["more"]) == (3000, [], [], False)
    (accepted,) = box.bodies("command.accepted")
    assert accepted["arguments"] == ask
    ahead = ask | {"to_ms": T0 + DAY_MS}
    assert box.ask("operator 1", "segments.locate", ahead)["detail"]["missing"][-1][1] < T0 + DAY_MS
    for wrong, code in (
        ({"camera": "cam9"}, "CAMERA_UNKNOWN"),
        ({"to_ms": T0 + 40 * DAY_MS}, "COMMAND_ARGUMENT"),
    ):
        assert box.ask("operator 1", "segments.locate", ask | wrong)["code"] == code


def test_what_lies_outside_of_the_hours_of_a_camera_is_not_said_to_be_missing(box: Ordered) -> None:
    box.record(count=3)
    with box.catalogue() as catalogue:
        for start_ms, cause in ((T0 + 3000, GapCause.OFF_HOURS), (T0 + 4000, GapCause.CAMERA_SILENT)):
            catalogue.add_gap(Gap("cam1", Span(start_ms, start_ms + 1000), cause), box.at())
    box.pass_time(60_000)
    ask = {"camera": "cam1", "from_ms": T0, "to_ms": T0 + 6000}
    detail = box.ask("operator 1", "segments.locate", ask)["detail"]
    assert detail["off_hours"] == [[T0 + 3000, T0 + 4000]]
    assert detail["missing"] == [[T0 + 4000, T0 + 6000]]
    assert detail["stored_ms"] == 3000
    assert [gap[2] for gap in detail["gaps"]] == ["off_hours", "camera_silent"]


@pytest.mark.parametrize(("rows", "kept"), [(0, 0), (600, 600), (700, 600)])
def test_each_list_of_an_answer_has_an_end(rows: int, kept: int) -> None:
    found = orders_locate.shortened({"stored": [[T0, T0 + 1]] * rows, "gaps": []})
    assert (len(found["stored"]), found["more"]) == (kept, rows > kept)


def test_an_answer_that_would_be_too_long_is_cut_and_says_so() -> None:
    lists = {name: [[T0, T0 + 1, "retention"]] * 600 for name in ("stored", "missing", "gaps", "erased")}
    assert len(canonical_json(lists)) > orders_files.REPLY_BYTES
    found = orders_locate.shortened(lists)
    assert found["more"]
    assert orders_files.REPLY_BYTES // 2 < len(canonical_json(found)) < orders_files.REPLY_BYTES - 1000


def test_a_new_ring_changes_who_is_obeyed_and_every_change_is_told(box: Ordered) -> None:
    city = box.city
    old = city.signers["technician 1"]
    city.epoch, city.recipients = 2, [RECIPIENT, OTHER_RECIPIENT]
    city.entries = [entry for entry in city.entries if entry["holder"] != "technician 1"]
    city.revoked = [city.signers["officer 2"].kid]
    city.add("technician 2", ring.Role.TECHNICIAN)
    changed = next(entry for entry in city.entries if entry["holder"] == "operator 1")
    changed["cameras"] = ["cam1"]
    reply = box.ask("service 1", "ring.replace", {"ring": city.ring()})
    assert reply["status"] == "done"
    assert (reply["detail"]["epoch"], reply["detail"]["added"], reply["detail"]["removed"]) == (2, 1, 2)
    found = ring.load(box.state)
    assert found is not None
    assert found.recipients == (RECIPIENT, OTHER_RECIPIENT)
    told = {(each["change"], each["holder"]) for each in box.bodies("rights.changed")}
    assert told == {
        ("granted", "technician 2"),
        ("withdrawn", "technician 1"),
        ("revoked", "officer 2"),
        ("changed", "operator 1"),
    }
    (fact,) = box.bodies("key.ring")
    assert (fact["epoch"], len(fact["recipients"])) == (2, 2)
    assert box.ask("technician 2", "inspect")["status"] == "done"
    city.signers["technician 1"] = old
    assert box.ask("technician 1", "inspect")["code"] == "COMMAND_KEY"
    assert box.ask("officer 2", "inspect")["code"] == "COMMAND_REVOKED"


def test_g3_a_ring_that_was_cut_off_does_not_replace_a_newer_one(box: Ordered) -> None:
    """Killed at J5; a bundle of the city puts ring 3 in place before the keeper is started again."""
    box.city.epoch = 2
    second = box.city.ring()

    def die(step: str) -> None:
        if step == "J5":
            raise Died

    box.restart(step=die)
    name = box.send("officer 1", "ring.replace", {"ring": second})
    with pytest.raises(Died):
        box.tick()
    box.city.epoch, box.city.revoked = 3, [box.city.signers["officer 2"].kid]
    (box.state / "centre/ring.jws").write_text(box.city.ring())
    box.restart()
    reply = box.answer(name)
    assert (reply["status"], reply["detail"]["epoch"]) == ("done", 3)
    found = ring.load(box.state)
    assert found is not None
    assert found.epoch == 3
    assert [(each["change"], each["holder"]) for each in box.bodies("rights.changed")] == [
        ("revoked", "officer 2")
    ]
    assert box.ask("officer 2", "inspect")["code"] == "COMMAND_REVOKED"


def test_g3_no_ring_but_a_newer_one_of_this_city(box: Ordered) -> None:
    same = box.city.ring()
    assert box.ask("officer 1", "ring.replace", {"ring": same})["code"] == "RING_EPOCH"
    other = City("sokcho")
    other.epoch = 9
    other.staff()
    assert box.ask("officer 1", "ring.replace", {"ring": other.ring()})["code"] == "JWS_SIGNATURE"
    assert box.ask("officer 1", "ring.replace", {"ring": "a.b.c"})["code"] == "JWS_MALFORMED"
    nobody = box.city.ring(epoch=2, recipients=[])
    assert box.ask("officer 1", "ring.replace", {"ring": nobody})["code"] == "RING_CONTENT"
    assert box.bodies("key.ring") == []


def test_g3_an_edited_ring_obeys_nobody(box: Ordered) -> None:
    (box.state / "centre/ring.jws").write_text(City("sokcho").ring())
    box.send("officer 1", "inspect")
    box.tick()
    assert box.replies() == []
    assert "ring.damaged" in box.conditions
    assert len(box.waiting) == 1
    box.city.enrol(box.state)
    box.tick()
    assert [reply["status"] for reply in box.replies()] == ["done"]
    assert "ring.damaged" not in box.conditions


def test_h3_an_edited_ring_is_told_for_as_long_as_it_is_there(box: Ordered) -> None:
    """H3: also when nobody sends a command, and between two looks at it."""
    box.tick()
    whole = (box.state / "centre/ring.jws").read_text()
    (box.state / "centre/ring.jws").write_text(City("sokcho").ring())
    box.tick(40)
    for _ in range(70):
        box.tick()
        assert "ring.damaged" in box.conditions
    (box.state / "centre/ring.jws").write_text(whole)
    box.tick(40)
    assert "ring.damaged" not in box.conditions


def test_table_2_12_a_revoked_key_is_not_obeyed_from_the_next_command_on(box: Ordered) -> None:
    kid = box.city.signers["officer 2"].kid
    box.send_two("department 1", "officer 1", "key.revoke", {"kid": kid})
    box.send("officer 2", "inspect")
    box.tick()
    assert [(reply["status"], reply["code"]) for reply in box.replies()] == [
        ("done", ""),
        ("refused", "COMMAND_REVOKED"),
    ]
    (change,) = box.bodies("rights.changed")
    assert (change["change"], change["holder"]) == ("revoked", "officer 2")
    box.restart()
    assert box.ask("officer 2", "inspect")["code"] == "COMMAND_REVOKED"
    # A ring that still lists it does not bring it back; it may be older than the revocation.
    box.city.epoch = 2
    assert box.ask("officer 1", "ring.replace", {"ring": box.city.ring()})["status"] == "done"
    assert box.ask("officer 2", "inspect")["code"] == "COMMAND_REVOKED"
    box.city.epoch = 3
    box.city.entries = [entry for entry in box.city.entries if entry["kid"] != kid]
    assert box.ask("officer 1", "ring.replace", {"ring": box.city.ring()})["status"] == "done"
    assert json.loads((box.state / "centre/revoked.json").read_text())["revoked"] == []


def test_a_damaged_list_of_revoked_keys_obeys_nobody(box: Ordered) -> None:
    (box.state / "centre/revoked.json").write_text("{}")
    box.send("officer 1", "inspect")
    box.tick()
    assert box.replies() == []
    assert "ring.damaged" in box.conditions


def test_table_2_12_5_1_a_lockdown_is_lifted_by_two(box: Ordered) -> None:
    box.record(count=1)
    assert box.ask("officer 1", "lockdown", {"on": True})["status"] == "done"
    assert "lockdown.on" in box.conditions
    assert box.health["orders"]["lockdown"] is True
    proposal = {"toml": "x", "consultation": "1"}
    assert box.ask("officer 2", "config.propose", proposal)["code"] == "COMMAND_LOCKDOWN"
    assert box.ask("officer 1", "hold.place", place())["status"] == "done"
    box.restart()
    assert box.ask("officer 1", "lockdown", {"on": False})["code"] == "COMMAND_SECOND"
    name = box.send_two("officer 1", "officer 2", "lockdown", {"on": False})
    assert box.answer(name)["status"] == "done"
    assert "lockdown.on" not in box.conditions
    assert [body["on"] for body in box.bodies("lockdown.changed")] == [True, False]


def test_a_lockdown_holds_from_the_very_next_command_on(box: Ordered) -> None:
    box.send("officer 1", "lockdown", {"on": True})
    box.send("officer 2", "config.propose", {"toml": "x", "consultation": "1"})
    box.tick()
    assert [reply["code"] for reply in box.replies()] == ["", "COMMAND_LOCKDOWN"]


def test_art_48_an_inspection_is_signed(box: Ordered) -> None:
    box.record(count=2)
    box.turn()
    detail = box.ask("technician 1", "inspect")["detail"]
    body = detail["inspection"]
    verifier = load_verifier(box.state)
    assert verifier is not None
    signed = note.parse_note(detail["note"].encode())
    signed.verify(verifier)
    digest = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    assert signed.text == f"pasu-inspection\n{BOX}\n{digest}\n"
    assert body["4_collected"]["segments"] == 2
    assert [row[0] for row in body["5_contractors"]] == ["technician 1"]
    assert len(body["7_measures"]["recipients"]) == 1
    assert body["7_measures"]["clock"]["state"] == "SYNCED"
    assert body["7_measures"]["ledger"]["entries"] > 0
    assert body["7_measures"]["ring"]["epoch"] == 1
    assert {row[0] for row in body["7_measures"]["keys"]} >= {"officer 1", "service 1"}


def test_the_centre_acknowledges_what_it_has(box: Ordered) -> None:
    box.record(count=3)
    with box.catalogue() as catalogue:
        own, size = catalogue.meta("ledger"), tree.size(catalogue)
        root = tree.Tree(catalogue).root(size).hex()
        before = tree.Tree(catalogue).root(2).hex()
    wanted = {"ledger": own, "size": size, "root": root}
    assert box.ask("service 1", "ledger.acknowledge", wanted)["status"] == "done"
    assert (
        box.ask("service 1", "ledger.acknowledge", wanted | {"size": 2, "root": before})["status"] == "done"
    )
    with box.catalogue() as catalogue:
        assert catalogue.meta("acknowledged_seq") == str(size)  # it never goes back
    other = box.ask("service 1", "ledger.acknowledge", wanted | {"ledger": "0" * 16})
    assert (other["status"], other["code"]) == ("failed", "LEDGER_OTHER")
    wrong = box.ask("service 1", "ledger.acknowledge", wanted | {"root": "0" * 64})
    assert (wrong["status"], wrong["code"], wrong["detail"]["own_root"]) == (
        "failed",
        "LEDGER_DISPUTED",
        root,
    )
    more = box.ask("service 1", "ledger.acknowledge", wanted | {"size": 10_000})
    assert more["code"] == "LEDGER_DISPUTED"
    assert [body["size"] for body in box.bodies("tamper.disputed")] == [size, 10_000]


def test_e11_the_centre_has_facts_sent_again(box: Ordered) -> None:
    with box.catalogue() as catalogue:
        own = catalogue.meta("ledger")
    reply = box.ask("service 1", "facts.resend", {"ledger": own, "from_seq": 2})
    assert reply["detail"]["resend"] == {"ledger": own, "from_seq": 2}
    far = box.ask("service 1", "facts.resend", {"ledger": own, "from_seq": 1 << 40})
    assert far["detail"]["resend"]["from_seq"] < 100
    assert box.ask("service 1", "facts.resend", {"ledger": "0" * 16, "from_seq": 1})["code"] == "LEDGER_OTHER"


def test_e5_time_is_confirmed_by_the_centre_with_the_challenge(tmp_path: Path) -> None:
    box = Ordered(tmp_path)
    box.source.reboot(5000)
    box.clock.utc_ms = box.source.utc
    box.restart()
    box.tick()
    assert box.keeper._clock.now().trust is Trust.UNTRUSTED
    challenge = box.health["challenge"]
    assert len(challenge) == 32
    refused = box.ask("service 1", "time.confirm", {"utc_ms": box.clock.utc_ms})
    assert refused["code"] == "COMMAND_CHALLENGE"
    wrong = box.ask("service 1", "time.confirm", {"utc_ms": box.clock.utc_ms + 60_000}, challenge=challenge)
    assert (wrong["status"], wrong["code"]) == ("failed", "TIME_DIFFERS")
    assert box.keeper._clock.now().trust is Trust.UNTRUSTED
    done = box.ask("service 1", "time.confirm", {"utc_ms": box.clock.utc_ms}, challenge=challenge)
    assert done["status"] == "done"
    box.tick()
    assert box.keeper._clock.now().trust is Trust.HOLDOVER
    assert box.bodies("clock.confirmed")[-1]["by"] == "centre"
    box.restart()
    box.tick()
    assert box.keeper._clock.now().trust is Trust.HOLDOVER  # it survives a restart


def test_e5_a_challenge_is_taken_for_three_minutes(box: Ordered) -> None:
    challenge = box.health["challenge"]
    box.tick(100)
    assert box.health["challenge"] != challenge
    assert box.ask("officer 1", "inspect", challenge=challenge)["status"] == "done"
    box.tick(100)
    assert box.ask("officer 1", "inspect", challenge=challenge)["code"] == "COMMAND_CHALLENGE"


def test_e2_what_the_broker_kept_is_dropped_and_told_once(box: Ordered) -> None:
    text = box.sign("officer 1", "lockdown", {"on": True})
    for _ in range(5):
        box.put(text, retained=True)
        box.tick()
    assert box.replies() == []
    assert [body["code"] for body in box.bodies("command.refused")] == ["COMMAND_RETAINED"]
    assert "lockdown.on" not in box.conditions
    # It was not used up: sent properly it counts.
    box.put(text)
    box.tick()
    assert [reply["status"] for reply in box.replies()] == ["done"]


def test_e3_doubles_run_once(box: Ordered) -> None:
    text = box.sign("officer 1", "lockdown", {"on": True})
    box.put(text)
    box.put(text)
    box.tick()
    assert [reply["status"] for reply in box.replies()] == ["done", "refused"]
    assert len(box.bodies("lockdown.changed")) == 1


def test_e3_a_gap_waits_then_asks_then_goes_on(box: Ordered) -> None:
    missing = box.sign("officer 1", "lockdown", {"on": True})
    late = box.send("officer 1", "inspect")
    box.tick(8)
    assert box.replies() == []
    assert box.health["orders"]["waiting"] == 1
    box.tick(2)  # within 10 s of its coming
    (asked,) = box.replies()
    assert (asked["id"], asked["status"], asked["code"]) == (late, "waiting", "COMMAND_GAP")
    assert asked["detail"]["expects"] == 1
    box.tick(30)
    assert box.replies() == []
    box.put(missing)
    box.tick(2)
    assert [reply["command"] for reply in box.replies()] == ["lockdown", "inspect"]
    # And when it does not come at all:
    box.sign("officer 1", "inspect")
    late = box.send("officer 1", "inspect")
    box.tick(62)
    assert [(reply["id"], reply["status"]) for reply in box.replies()] == [(late, "waiting"), (late, "done")]


def test_e3_hold_and_release_swapped_run_in_order(box: Ordered) -> None:
    box.record(count=1)
    hold = box.sign("officer 1", "hold.place", place())
    name = f"{box.city.ids:032x}"
    inner = box.sign("officer 2", "hold.release", {"hold": name, "reason": "x"})
    release = box.sign("officer 1", "countersign", {"order": inner})
    box.put(release)
    box.tick()
    box.put(hold)
    box.tick(2)
    assert [(reply["command"], reply["status"]) for reply in box.replies()] == [
        ("hold.place", "done"),
        ("hold.release", "done"),
    ]


def test_e4_of_another_box_or_city_nothing_is_answered(box: Ordered) -> None:
    box.put(box.sign("officer 1", "lockdown", {"on": True}, box="gn-0008"))
    box.put(box.sign("officer 1", "lockdown", {"on": True}, city="sokcho"))
    box.tick()
    assert box.replies() == []
    assert {body["code"] for body in box.bodies("command.refused")} == {"COMMAND_BOX", "COMMAND_CITY"}
    assert box.waiting == []


def test_e9_garbage_in_the_folder_costs_nothing(box: Ordered) -> None:
    folder = box.state / "exchange/orders"
    for number, content in enumerate(
        (
            b"",
            b"[]",
            b'{"jws":7,"retained":false}',
            b"\xff" * 300_000,
            b'{"jws":"' + b"[" * 60_000 + b'","retained":false}',
        )
    ):
        (folder / f"{number:016x}-{0:08x}.json").write_bytes(content)
    (folder / "README").write_text("left alone")
    (folder / f"{9:016x}-{9:08x}.json").symlink_to("/etc/passwd")
    box.tick()
    assert box.waiting == ["README"]
    assert box.replies() == []
    codes = {body["code"] for body in box.bodies("command.refused")}
    assert codes <= {"COMMAND_UNREADABLE", "JWS_MALFORMED", "JWS_LARGE"}


def test_e9_what_no_key_of_the_ring_signed_does_not_stay_where_no_reply_can_be_written(box: Ordered) -> None:
    stranger = City(now_ms=box.clock.utc_ms)
    stranger.add("nobody", ring.Role.OFFICER)
    replies = box.state / "exchange/replies"
    replies.write_text("in the way")
    box.put(stranger.order("nobody", "inspect", {}, box=BOX, issued_ms=box.clock.utc_ms))
    box.tick()
    assert box.waiting == []
    replies.unlink()
    assert box.ask("officer 1", "inspect")["status"] == "done"


def test_e9_where_no_reply_can_be_written_a_command_that_waits_stops_no_other(tmp_path: Path) -> None:
    """A hold that was ordered must hold, whatever else waits to be answered."""
    disk = FailingDisk()
    box = Ordered(tmp_path, disk=disk)
    box.record(count=20)
    large = box.send("officer 1", "hold.place", place())
    box.turn(2)
    box.pass_time(40 * DAY_MS)
    box.turn(2)
    box.replies()
    disk.plan = lambda _, op, path: errno.ENOSPC if "replies" in str(path) else None
    early = box.sign("officer 2", "inspect")
    box.send_two("officer 1", "department 1", "hold.release", {"hold": large, "reason": "수사 종결"})
    box.tick(2)
    assert [each["command"] for each in box.health["orders"]["delayed"]] == ["hold.release"]
    assert "keeper.trouble orders" in box.conditions
    box.put(box.sign("officer 2", "inspect"))  # waits for `early`, and is asked after
    box.tick(15)
    box.send("department 2", "hold.place", place(authority="법원", review="2027-03-20"))
    box.tick()
    assert len(box.bodies("hold.placed")) == 2
    disk.plan = lambda *_: None
    box.put(early)
    box.tick(3)
    said = {(reply["command"], reply["status"]) for reply in box.replies()}
    assert said == {
        ("hold.release", "delayed"),
        ("hold.place", "done"),
        ("inspect", "done"),
        ("inspect", "waiting"),
    }


def test_e9_a_directory_with_the_name_of_an_order_stops_nothing(box: Ordered) -> None:
    name = f"{0:016x}-{0:08x}.json"
    (box.state / "exchange/orders" / name).mkdir()
    assert box.ask("officer 1", "inspect")["status"] == "done"
    assert box.waiting == [name]
    assert "keeper.trouble orders" not in box.conditions


def test_e9_what_cannot_be_removed_is_judged_once_and_stops_nothing(tmp_path: Path) -> None:
    disk = FailingDisk()
    box = Ordered(tmp_path, disk=disk)
    text = box.sign("officer 1", "inspect")
    stays = box.put(text)
    disk.plan = lambda _, op, path: errno.EPERM if op == "unlink" and path == stays else None
    box.tick(3)
    assert [reply["status"] for reply in box.replies()] == ["done"]
    assert box.ask("officer 2", "inspect")["status"] == "done"
    assert box.bodies("command.refused") == []
    assert box.waiting == [stays.name]
    disk.plan = lambda *_: None
    box.tick()
    assert box.waiting == []


def test_e14_a_flood_of_refusals_is_counted_and_bounded(box: Ordered) -> None:
    for _ in range(100):
        box.put("garbage")
    box.tick()
    assert len(box.waiting) == 90  # ten a turn
    box.tick(9)
    assert box.waiting == []
    assert "command.refused_often" in box.conditions
    box.tick(60)
    told = [body for body in box.bodies("command.refused") if body["code"] == "JWS_MALFORMED"]
    assert [body["count"] for body in told] == [1, 99]
    box.tick(600)
    assert "command.refused_often" not in box.conditions


def test_safety_standard_5_6_after_five_bad_signatures_no_sixth_is_answered_and_no_signer_suffers(
    box: Ordered,
) -> None:
    head, _, signature = box.sign("officer 1", "inspect", {}, counter=1).split(".")

    def forge(count: int) -> set[str]:
        for number in range(count):
            more = {"counter": 1, "id": f"{number:032x}"}
            body = box.sign("officer 1", "lockdown", {"on": True}, **more).split(".")[1]
            box.put(f"{head}.{body}.{signature}")
        box.tick()
        return {reply["code"] for reply in box.replies()}

    assert forge(5) == {"JWS_SIGNATURE"}
    assert forge(5) == set()
    assert {body["code"] for body in box.bodies("command.refused")} == {"JWS_SIGNATURE", "COMMAND_SHUT"}
    assert box.ask("officer 1", "inspect", counter=1)["status"] == "done"
    box.tick(600)
    assert forge(1) == {"JWS_SIGNATURE"}


def test_e3_copies_of_a_letter_that_waits_leave_room_for_others(box: Ordered) -> None:
    """Somebody withholds the first letter and doubles the second: it waits for a minute, its copies do not."""
    uplink = UplinkSide(box.state)
    first, second = (box.sign("officer 1", "inspect") for _ in range(2))
    box.put(second)
    box.tick()
    while uplink.put_order(second, box.clock.utc_ms, retained=False):
        pass
    box.tick()
    assert len(box.waiting) == 1
    assert uplink.put_order(box.sign("department 1", "inspect"), box.clock.utc_ms, retained=False)
    box.tick()
    assert [reply["status"] for reply in box.replies()] == ["done"]
    box.put(first)
    box.tick(2)
    assert [reply["status"] for reply in box.replies()] == ["done", "done"]
    assert box.waiting == []


def test_e9_a_turn_looks_at_no_more_than_the_uplink_may_leave(box: Ordered) -> None:
    for _ in range(250):
        box.put("garbage")
    names = orders_files.Orders(box.state, Disk()).names()
    assert names == box.waiting[:200]


def test_replies_of_times_to_come_do_not_say_what_is_next(tmp_path: Path) -> None:
    """Else numbers would run out: neither side lists a name of seventeen digits."""
    folder = tmp_path / "exchange/replies"
    folder.mkdir(parents=True)
    for number in (9_999_999_999_999_999, T0 * 1000 + 1):
        (folder / f"{number:016d}.json").write_text("{}")
    replies = orders_files.Replies(tmp_path, Disk(), BOX)
    for _ in range(3):
        replies.say("a" * 32, "inspect", "done", Instant(T0, Trust.SYNCED))
    found = sorted(int(path.stem) - T0 * 1000 for path in folder.iterdir())
    assert found[:-1] == [0, 1, 2, 3]  # 1 was there, and is not overwritten
    assert (folder / f"{T0 * 1000 + 1:016d}.json").read_text() == "{}"
    assert {len(path.name) for path in folder.iterdir()} == {21}


def test_a_box_that_is_not_enrolled_takes_no_commands(box: Ordered) -> None:
    for path in (box.state / "centre").iterdir():
        path.unlink()
    box.restart()
    box.send("officer 1", "lockdown", {"on": True})
    box.tick()
    assert box.replies() == []
    assert box.health["challenge"] is None
    assert not (box.state / "centre/lockdown.json").exists()


def test_keys_that_end_soon_are_said(box: Ordered) -> None:
    box.tick()
    assert "key.expiring officer" not in box.conditions
    box.pass_time(395 * DAY_MS)
    box.tick(31)
    assert {
        "key.expiring officer",
        "key.expiring department",
        "key.expiring privacy",
        "key.expiring service",
    } <= box.conditions.keys()
    box.pass_time(10 * DAY_MS)
    box.tick(31)
    assert "ring.old" in box.conditions
    assert "key.expiring officer" not in box.conditions


def test_an_id_is_used_once(box: Ordered) -> None:
    first = box.ask("officer 1", "inspect")["id"]
    box.put(box.sign("officer 1", "lockdown", {"on": True}, id=first))
    box.tick()
    (reply,) = box.replies()
    assert (reply["status"], reply["code"]) == ("refused", "COMMAND_REPLAYED")


def test_replies_are_bounded_and_those_of_progress_go_first(tmp_path: Path) -> None:
    replies = orders_files.Replies(tmp_path, Disk(), BOX)
    now = Instant(T0, Trust.SYNCED)
    for number in range(1001):
        status = "progress" if number in (500, 501) else "done"
        replies.say(f"{number:032x}", "inspect", status, now)
    replies.say("a" * 32, "inspect", "done", Instant(0, Trust.UNTRUSTED), detail={"long": "x" * 70_000})
    files = sorted((tmp_path / "exchange/replies").iterdir())
    assert len(files) == 1000
    found = [json.loads(path.read_text()) for path in files]
    assert {f"{500:032x}", f"{501:032x}"} & {each["id"] for each in found} == set()
    assert found[0]["id"] == f"{0:032x}"
    # A clock that was set back gives no number twice.
    assert found[-1]["id"] == "a" * 32
    assert found[-1]["detail"] == {"too_long": True}
    replies.say("b" * 32, "inspect", "done", now)
    assert json.loads(min(sorted((tmp_path / "exchange/replies").iterdir())).read_text())["id"] == f"{1:032x}"


def test_e1_where_both_memories_are_gone_each_key_shows_once_that_it_is_now(box: Ordered) -> None:
    texts = [box.sign(who, "inspect") for who in ("officer 1", "officer 2")]
    for text in texts:
        box.put(text)
    box.tick()
    assert [reply["status"] for reply in box.replies()] == ["done", "done"]
    box.keeper.close()
    for path in [*box.state.glob("catalogue.db*"), box.state / "centre/counters.json"]:
        path.unlink()
    box.prepare()
    for _ in range(2):
        box.start()
        box.put(texts[0])
        box.tick()
        assert [reply["code"] for reply in box.replies()] == ["COMMAND_CHALLENGE"]
        box.keeper.close()
        for path in box.state.glob("catalogue.db*"):
            path.unlink()
        box.prepare()
    box.start()
    box.tick()
    fresh = {"challenge": box.health["challenge"], "counter": 7}
    name = box.send("officer 1", "inspect", **fresh)
    box.tick(62)
    assert box.replies()[-1]["id"] == name
    assert box.ask("officer 1", "inspect", counter=8)["status"] == "done"
    box.put(texts[0])
    box.tick()
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_REPLAYED"]
    assert box.ask("officer 2", "inspect", counter=1)["code"] == "COMMAND_CHALLENGE"


def test_e1_what_ran_before_both_memories_were_lost_does_not_run_inside_a_second_signature(
    box: Ordered,
) -> None:
    box.city.signers["officer 1"].counters[BOX] = 100
    old = box.sign("officer 1", "lockdown", {"on": True})
    box.put(old)
    box.tick(70)
    assert box.replies()[-1]["status"] == "done"
    box.send_two("officer 1", "officer 2", "lockdown", {"on": False})
    box.tick()
    box.keeper.close()
    for path in [*box.state.glob("catalogue.db*"), box.state / "centre/counters.json"]:
        path.unlink()
    box.prepare()
    box.start()
    box.tick(2)
    # The key shows once that it is now; the numbers below are none that never ran.
    box.send("officer 1", "inspect", challenge=box.health["challenge"])
    box.tick(70)
    assert box.replies()[-1]["status"] == "done"
    box.send("officer 2", "countersign", {"order": old}, challenge=box.health["challenge"])
    box.tick(70)
    again = box.replies()[-1]
    assert (again["status"], again["code"]) == ("refused", "COMMAND_REPLAYED")
    assert not (box.state / "centre/lockdown.json").exists()


@pytest.mark.parametrize("died", [False, True])
def test_e1_a_state_directory_that_was_put_back_does_not_know_what_ran_since(
    box: Ordered, tmp_path: Path, died: bool
) -> None:
    """B12: this morning's copy, as an installer puts one on a new card, and a broker that sends the day's letters."""
    box.record()
    box.turn(2)
    assert box.ask("officer 1", "inspect")["status"] == "done"
    box.keeper.close()
    copy = tmp_path / "copy"
    shutil.copytree(box.state, copy)
    box.start()
    text = box.sign("officer 1", "lockdown", {"on": True})
    box.put(text)
    box.tick()
    box.send_two("officer 1", "officer 2", "lockdown", {"on": False})
    box.turn(8)
    assert [reply["status"] for reply in box.replies()] == ["done", "done"]
    box.keeper.close()
    shutil.rmtree(box.state)
    shutil.copytree(copy, box.state)
    counters = box.state / "centre/counters.json"
    before = counters.read_bytes()
    box.start()
    box.turn(2)
    if died:  # before J3: the file is as it was put back
        box.keeper.close()
        counters.write_bytes(before)
        box.start()
    box.put(text)
    box.tick()
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_CHALLENGE"]
    assert not (box.state / "centre/lockdown.json").exists()
    box.send("officer 1", "inspect", challenge=box.health["challenge"])
    box.tick(62)
    assert box.replies()[-1]["status"] == "done"
    assert box.ask("officer 1", "inspect")["status"] == "done"
    box.put(text)
    box.tick()
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_REPLAYED"]


def test_e1_a_damaged_file_of_numbers_is_made_up_for_by_the_catalogue(box: Ordered) -> None:
    text = box.sign("officer 1", "inspect")
    box.put(text)
    box.tick()
    box.replies()
    (box.state / "centre/counters.json").write_text("{")
    box.restart()
    box.put(text)
    box.tick()
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_REPLAYED"]
    assert json.loads((box.state / "centre/counters.json").read_text())["forgotten"] is False
    assert box.ask("officer 2", "inspect")["status"] == "done"


@pytest.mark.parametrize("damage", ["unlink", "edit"])
def test_e1_a_catalogue_that_was_lost_learns_all_numbers_before_the_file_is_lost_too(
    box: Ordered, damage: str
) -> None:
    old = box.sign("department 1", "inspect")
    box.put(old)
    box.tick()
    box.keeper.close()
    for path in box.state.glob("catalogue.db*"):
        path.unlink()
    box.prepare()
    box.start()
    box.tick()
    assert box.ask("officer 1", "inspect")["status"] == "done"  # so it has a row of one key
    box.keeper.close()
    numbers = box.state / "centre/counters.json"
    numbers.unlink() if damage == "unlink" else numbers.write_text("x")
    box.start()
    box.put(old)
    box.tick()
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_REPLAYED"]
    assert box.ask("officer 2", "inspect")["status"] == "done"  # nothing was lost


def test_e1_that_numbers_were_lost_is_not_forgotten_when_a_key_has_spoken(box: Ordered) -> None:
    old = box.sign("department 1", "inspect")
    box.put(old)
    box.tick()
    box.replies()
    box.keeper.close()
    numbers = box.state / "centre/counters.json"
    for path in [*box.state.glob("catalogue.db*"), numbers]:
        path.unlink()
    box.prepare()
    box.start()
    box.tick()
    box.send("officer 1", "inspect", challenge=box.health["challenge"], counter=1)
    box.tick()
    assert [reply["status"] for reply in box.replies()] == ["done"]
    for lost in (False, True):
        box.keeper.close()
        if lost:
            numbers.unlink()
        box.start()
        box.put(old)
        box.tick()
        assert [reply["code"] for reply in box.replies()] == ["COMMAND_CHALLENGE"]


def test_b19_a_row_that_is_not_what_was_written_down_stops_no_other(box: Ordered) -> None:
    waiting = box.ask("officer 1", "config.propose", {"toml": "x", "consultation": "1"})
    assert waiting["code"].startswith("CONFIG")
    done = box.ask("officer 1", "inspect")["id"]
    with box.catalogue() as catalogue:
        for values in ("signers = 'x'", "jws = 'x'", "state = 'ODD'", "note = '{'"):
            catalogue.write(
                lambda db, v=values: db.execute(
                    f"UPDATE command SET state = 'RUNNING', {v} WHERE id = ?", (done,)
                )
            )
            assert box.ask("officer 1", "inspect")["status"] == "done"


def test_an_error_of_ours_ends_one_command_and_nothing_else(box: Ordered) -> None:
    def wrong(*_: object) -> Any:
        raise ZeroDivisionError

    handlers = dict(HANDLERS) | {"inspect": Handler(wrong), "lockdown": Handler(wrong, wrong)}
    box.keeper._desk = Desk(box.keeper._desk._place, handlers)
    for command, arguments, status in (("inspect", {}, "failed"), ("lockdown", {"on": True}, "refused")):
        reply = box.ask("officer 1", command, arguments)
        assert (reply["status"], reply["code"]) == (status, "COMMAND_FAILED")
    kid = box.city.signers["operator 1"].kid
    assert box.ask("officer 1", "key.revoke", {"kid": kid})["status"] == "done"
    assert [body["code"] for body in box.bodies("command.failed")] == ["COMMAND_FAILED"]


def test_a_command_that_this_version_does_not_know_any_more_is_given_up(box: Ordered) -> None:
    box.keeper._desk = Desk(box.keeper._desk._place, {"inspect": Handler(lambda *_: Outcome(PROGRESS))})
    name = box.send("officer 1", "inspect")
    box.tick()
    assert [reply["status"] for reply in box.replies()] == ["accepted"]
    box.keeper._desk = Desk(box.keeper._desk._place, {})
    box.tick()
    (reply,) = box.replies()
    assert (reply["id"], reply["code"]) == (name, "COMMAND_INTERRUPTED")
