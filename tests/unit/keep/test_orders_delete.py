"""Deletion for a subject: who may, what it takes, what forbids it, and what is told of it (Gangneung art. 29(1))."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from agent.command import deleting
from agent.command.keyring import Role
from agent.errors import StorageFault
from agent.model import Trust, utc_name
from agent.storage import progress
from agent.storage.keep import deletion, erase, orders_delete, orders_files, outgoing, quarantined
from agent.storage.keep.check import Check, Selection
from agent.storage.keep.check_findings import Finding, Level
from agent.storage.keep.hold import SALVAGED_REACH_MS
from agent.storage.keep.orders_carry import TRIES
from agent.storage.keep.orders_delete import LATE_MS
from agent.storage.layout import Kind, stem_of
from agent.storage.salvage import UNRECONCILED
from tests.unit.keep.handing import wanted
from tests.unit.keep.kept import DAY_MS, SEGMENT_MS
from tests.unit.keep.ordered import Ordered
from tests.unit.storage.box import T0, FailingDisk

COUNT = 100
HOUR_MS = 3_600_000
ACCESS = "a" * 32
OTHER = "b" * 32


@pytest.fixture
def box(tmp_path) -> Ordered:
    """A box with a hundred seconds of cam1, of an hour ago."""
    made = Ordered(tmp_path, disk=FailingDisk())
    made.record(count=COUNT)
    made.pass_time(HOUR_MS)
    made.turn()
    return made


def terms(first: int = 10, last: int = 12, **more: Any) -> dict[str, Any]:
    """Return an order's arguments: segments from one number to another, the last one not among them."""
    values = {
        "camera": "cam1",
        "from_ms": T0 + first * SEGMENT_MS,
        "to_ms": T0 + last * SEGMENT_MS,
        "ground": "erasure-request",
        "request": "2027-열람-17",
    }
    return values | more


def order(box: Ordered, **more: Any) -> str:
    return box.send_two("officer 1", "privacy 1", "delete.subject", terms(**more))


def answer(box: Ordered, name: str) -> dict[str, Any]:
    """Let the keeper do it; return the last reply."""
    box.turn(3)
    return [reply for reply in box.replies() if reply["id"] == name][-1]


def delete(box: Ordered, **more: Any) -> dict[str, Any]:
    return answer(box, order(box, **more))


def keep(box: Ordered, name: str = ACCESS, first: int = 10, last: int = 12, **more: Any) -> None:
    """Place a hold, and let its links be made."""
    arguments = {
        "cameras": ["cam1"],
        "from_ms": T0 + first * SEGMENT_MS,
        "to_ms": T0 + last * SEGMENT_MS,
        "ground": "access-request",
        "authority": "열람 2027-17",
        "review": "2027-02-10",
    }
    assert box.ask("officer 2", "hold.place", arguments | more, id=name)["status"] == "done"
    box.turn(2)
    box.replies()


def gone(box: Ordered) -> list[int]:
    """Return the numbers of the segments that are erased, and make sure that each has one tombstone, and no file."""
    with box.catalogue() as catalogue:
        rows = catalogue.read("SELECT path, start_ms FROM segment WHERE state = 'GONE' ORDER BY start_ms, id")
    assert sorted(body["path"] for body in box.erased()) == sorted(path for path, _ in rows)
    assert not any((box.vault_path / path).exists() for path, _ in rows)
    return [(start_ms - T0) // SEGMENT_MS for _, start_ms in rows]


def untouched(box: Ordered, count: int = COUNT) -> None:
    """Make sure that nothing of the box was begun, and nothing is gone."""
    assert box.bodies("deletion.begun") == box.bodies("deletion.ended") == box.erased() == []
    assert set(box.states().values()) <= {"COMMITTED", "SALVAGED", "LOST"}
    assert len(box.states()) == count
    whole = [path for path, state in box.states().items() if state != "LOST"]
    assert all((box.vault_path / path).read_bytes().startswith(b"age-encryption.org/v1") for path in whole)


def refused(box: Ordered, code: str, reason: str | None = None, **more: Any) -> None:
    """Make sure that an order is refused as a whole."""
    held = box.links()
    released = box.bodies("hold.released")
    reply = delete(box, **more)
    assert (reply["status"], reply["code"]) == ("refused", code)
    if reason is not None:
        assert reply["detail"]["reason"] == reason
    assert box.links() == held
    assert box.bodies("hold.released") == released
    untouched(box, len(box.states()))


def test_art_29_1_a_span_is_deleted_for_its_subject_by_two_signatures(box) -> None:
    name = order(box)
    box.tick()
    first, *_ = box.replies()
    assert (first["status"], first["detail"]["left"]) == ("accepted", 2)
    box.turn(2)
    reply = box.replies()[-1]
    assert (reply["status"], reply["code"]) == ("done", "")
    detail = reply["detail"]
    assert detail["deletion"] == name
    assert (detail["start_ms"], detail["end_ms"]) == (T0 + 10_000, T0 + 12_000)
    assert (detail["segments"], detail["erased"], detail["left"], detail["kept"]) == (2, 2, 0, 0)
    assert (detail["missing"], detail["unshredded"]) == (0, 0)
    assert detail["sealed_bytes"] == sum(body["sealed_bytes"] for body in box.erased())
    assert gone(box) == [10, 11]
    assert {body["cause"] for body in box.erased()} == {"REQUESTED"}
    assert all(body["shredded"] for body in box.erased())


def test_the_ledger_says_who_by_which_request_and_what(box) -> None:
    name = order(box, ground="consent-withdrawn")
    answer(box, name)
    (begun,), (ended,) = box.bodies("deletion.begun"), box.bodies("deletion.ended")
    kids = [box.city.signers[who].kid for who in ("officer 1", "privacy 1")]
    for body in (begun, ended):
        assert body["kids"] == kids
        assert (body["deletion"], body["request"]) == (name, "2027-열람-17")
        assert (body["ground"], body["grounds"], body["hold"]) == ("consent-withdrawn", deleting.EDITION, "")
        assert (body["from_ms"], body["to_ms"]) == (T0 + 10_000, T0 + 12_000)
    assert (ended["segments"], ended["erased"]) == (2, 2)
    kinds = [kind for kind, _ in box.facts()]
    first = kinds.index("segment.erased")
    assert kinds.index("deletion.begun") < first < kinds.index("deletion.ended")


@pytest.mark.parametrize("ground", deleting.GROUNDS)
def test_every_ground_of_the_table_is_taken(box, ground) -> None:
    assert delete(box, ground=ground)["status"] == "done"


def test_no_other_ground(box) -> None:
    reply = delete(box, ground="curiosity")
    assert (reply["code"], reply["detail"]["reason"]) == ("COMMAND_ARGUMENT", "ground")


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "numbers"),
    [
        (10_000, 11_000, [10]),
        (9_999, 11_000, [9, 10]),
        (10_000, 11_001, [10, 11]),
        (10_999, 11_000, [10]),
        (10_999, 11_001, [10, 11]),
        (-5_000, 1, [0]),
        (COUNT * SEGMENT_MS - 1, COUNT * SEGMENT_MS + 60_000, [COUNT - 1]),
    ],
)
def test_segments_go_wholly_and_to_the_millisecond(box, from_ms, to_ms, numbers) -> None:
    reply = delete(box, from_ms=T0 + from_ms, to_ms=T0 + to_ms)
    assert reply["status"] == "done"
    assert gone(box) == numbers
    assert reply["detail"]["start_ms"] == T0 + numbers[0] * SEGMENT_MS
    assert reply["detail"]["end_ms"] == T0 + (numbers[-1] + 1) * SEGMENT_MS


def test_another_cameras_segments_stay(box) -> None:
    box.record("cam2", count=3)
    delete(box, first=0, last=3)
    assert {body["camera"] for body in box.erased()} == {"cam1"}
    assert len(box.erased()) == 3


# --- Who may


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OFFICER])
def test_nobody_but_an_officer_orders_it(box, role) -> None:
    assert box.ask(f"{role} 1", "delete.subject", terms())["code"] == "COMMAND_ROLE"
    untouched(box)


def test_one_signature_is_not_enough_and_the_order_can_still_be_countersigned(box) -> None:
    text = box.sign("officer 1", "delete.subject", terms())
    box.put(text)
    box.tick()
    assert [reply["code"] for reply in box.replies()] == ["COMMAND_SECOND"]
    untouched(box)
    name = box.send("privacy 1", "countersign", {"order": text})
    assert answer(box, name)["status"] == "done"


@pytest.mark.parametrize("second", ["officer 2", "department 1", "service 1", "operator 1", "technician 1"])
def test_nobody_but_a_privacy_officer_signs_second(box, second) -> None:
    name = box.send_two("officer 1", second, "delete.subject", terms())
    assert answer(box, name)["code"] == "COMMAND_ROLE"
    untouched(box)


def test_one_person_with_both_keys_is_one_person(box) -> None:
    box.city.add("officer  1 ", Role.PRIVACY)
    box.city.entries[-1]["holder"] = "officer 1"
    (box.state / "centre/ring.jws").write_text(box.city.ring())
    box.restart()
    name = box.send_two("officer 1", "officer  1 ", "delete.subject", terms())
    assert answer(box, name)["code"] == "COMMAND_SAME_SIGNER"
    untouched(box)


@pytest.mark.parametrize("how", ["none", "revoked", "lapsed", "elsewhere"])
def test_a_city_without_a_privacy_officer_is_told_what_to_do(box, how) -> None:
    (entry,) = (each for each in box.city.entries if each["role"] == "privacy")
    if how == "none":
        box.city.entries.remove(entry)
    elif how == "revoked":
        box.city.revoked.append(entry["kid"])
    elif how == "lapsed":
        entry["until_ms"] = box.clock.utc_ms
    else:
        entry["boxes"] = ["box-9"]
    (box.state / "centre/ring.jws").write_text(box.city.ring())
    box.restart()
    assert box.ask("officer 1", "delete.subject", terms())["code"] == "DELETION_NO_PRIVACY"
    untouched(box)


def test_a_privacy_officers_key_is_revoked_by_two(box) -> None:
    """Else one officer could keep every request from being done."""
    arguments = {"kid": box.city.signers["privacy 1"].kid}
    assert box.ask("officer 1", "key.revoke", arguments)["code"] == "COMMAND_SECOND"


def test_a_key_for_other_cameras_is_refused(box) -> None:
    box.city.add("privacy 9", Role.PRIVACY, cameras=["cam2"])
    (box.state / "centre/ring.jws").write_text(box.city.ring())
    box.restart()
    name = box.send_two("officer 1", "privacy 9", "delete.subject", terms())
    assert answer(box, name)["code"] == "COMMAND_CAMERA"
    untouched(box)


def test_sent_again_it_is_not_done_again(box) -> None:
    inner = box.sign("officer 1", "delete.subject", terms())
    outer = box.sign("privacy 1", "countersign", {"order": inner})
    box.put(outer)
    box.turn(2)
    box.record(at_ms=T0 + 10_500, count=1)  # of the span, and it came later
    box.put(outer)
    box.put(inner)
    box.turn(2)
    codes = [reply["code"] for reply in box.replies() if reply["status"] == "refused"]
    assert codes == ["COMMAND_REPLAYED", "COMMAND_REPLAYED"]
    assert len(box.bodies("deletion.begun")) == 1
    assert len(gone(box)) == 2


def test_in_a_lockdown_nothing_is_deleted(box) -> None:
    assert box.ask("officer 1", "lockdown", {"on": True})["status"] == "done"
    assert delete(box)["code"] == "COMMAND_LOCKDOWN"
    untouched(box)


# --- What forbids it


def test_what_another_hold_keeps_forbids_the_whole(box) -> None:
    keep(box, OTHER, 11, 12, ground="investigation")
    refused(box, "DELETION_HELD", OTHER)
    refused(box, "DELETION_HELD", OTHER, first=11, last=30)


def test_another_persons_request_forbids_it_too(box) -> None:
    keep(box)
    keep(box, OTHER)
    refused(box, "DELETION_HELD", OTHER, hold=ACCESS)
    refused(box, "DELETION_HELD")


def test_a_hold_that_begins_where_the_span_ends_does_not(box) -> None:
    keep(box, OTHER, 12, 14, ground="investigation")
    assert delete(box)["status"] == "done"
    assert gone(box) == [10, 11]
    assert len(box.links()) == 2


def test_a_link_of_what_was_relabelled_since_is_a_hold_too(box) -> None:
    """A hold keeps what it has linked, also where its span does not reach any more."""
    keep(box, OTHER, 10, 11, ground="trial")
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE hold SET from_ms = 0, to_ms = 1"))
    refused(box, "DELETION_HELD", OTHER)


def test_a_link_of_a_hold_that_has_no_row_is_one(box) -> None:
    """The catalogue may have been lost: the disk knows."""
    path = next(row.path for row in box.rows() if row.start_ms == T0 + 10_000)
    link = box.vault_path / "holds" / "stray" / path.removeprefix("segments/")
    link.parent.mkdir(parents=True)
    os.link(box.vault_path / path, link)
    refused(box, "DELETION_HELD", "stray")
    refused(box, "DELETION_HELD", "stray", first=50, last=52)


def test_a_link_that_its_hold_does_not_know_of_is_one(box) -> None:
    keep(box, OTHER, 50, 51, ground="trial")
    path = next(row.path for row in box.rows() if row.start_ms == T0 + 10_000)
    link = box.vault_path / "holds" / OTHER / path.removeprefix("segments/")
    os.link(box.vault_path / path, link)
    refused(box, "DELETION_HELD", OTHER)


def test_a_hold_that_has_no_row_forbids_any(box) -> None:
    """Its placing was cut off, or its file cannot be read: nobody knows what it covers."""
    (box.vault_path / "holds" / OTHER).mkdir(parents=True)
    (box.vault_path / "holds" / OTHER / "HOLD").write_text("?")
    refused(box, "DELETION_HELD", OTHER)


def test_the_requests_own_hold_is_released_with_it(box) -> None:
    keep(box)
    assert len(box.links()) == 2
    reply = delete(box, hold=ACCESS)
    assert (reply["status"], reply["detail"]["unshredded"]) == ("done", 0)
    assert gone(box) == [10, 11]
    assert (box.links(), box.linked_rows()) == ([], [])
    (released,) = box.bodies("hold.released")
    assert (released["hold"], released["reason"], released["segments"]) == (ACCESS, "2027-열람-17", 2)
    assert box.city.signers["privacy 1"].kid in released["released_by"]
    assert not (box.vault_path / "holds" / ACCESS).exists()


@pytest.mark.parametrize(
    "more",
    [
        {"cameras": ["*"], "last": 30},
        {"cameras": ["*"]},
        {"cameras": ["cam1", "cam2"]},
        {"first": 9},
        {"last": 13},
        {"to_ms": T0 + 12_001},
    ],
)
def test_a_hold_that_keeps_more_is_not_released_with_it(box, more) -> None:
    """What it alone keeps would expire: it is released by an order of its own."""
    box.record("cam2", count=40)
    keep(box, **more)
    refused(box, "DELETION_HOLD", ACCESS, hold=ACCESS)
    refused(box, "DELETION_HELD", ACCESS)


def test_nor_one_that_has_a_link_of_something_else(box) -> None:
    keep(box, last=13)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("UPDATE hold SET to_ms = ?", (T0 + 12_000,)))
    refused(box, "DELETION_HOLD", ACCESS, hold=ACCESS)
    assert delete(box, last=13, hold=ACCESS)["status"] == "done"


def test_a_wide_hold_is_released_first(box) -> None:
    keep(box, last=20)
    name = box.send_two("officer 1", "department 1", "hold.release", {"hold": ACCESS, "reason": "삭제"})
    assert answer(box, name)["status"] == "done"
    assert delete(box)["status"] == "done"
    assert gone(box) == [10, 11]


def test_a_hold_may_begin_and_end_within_the_segments_that_go(box) -> None:
    keep(box, from_ms=T0 + 10_001, to_ms=T0 + 11_001)
    reply = delete(box, from_ms=T0 + 10_500, to_ms=T0 + 11_999, hold=ACCESS)
    assert (reply["status"], gone(box)) == ("done", [10, 11])
    (begun,) = box.bodies("deletion.begun")
    assert (begun["hold"], begun["hold_segments"]) == (ACCESS, 2)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"ground": "investigation"}, "DELETION_HOLD"),
        ({"cameras": ["cam2"]}, "DELETION_HOLD"),
        ({"to_ms": T0 + 10_000, "from_ms": T0}, "DELETION_HOLD"),
    ],
)
def test_the_hold_that_is_named_must_be_the_requests(box, more, code) -> None:
    keep(box, **more)
    refused(box, code, ACCESS, hold=ACCESS)


def test_a_hold_that_nobody_knows_or_that_is_over_is_not_named(box) -> None:
    refused(box, "HOLD_UNKNOWN", hold=ACCESS)
    keep(box)
    name = box.send_two("officer 1", "department 1", "hold.release", {"hold": ACCESS, "reason": "철회"})
    assert answer(box, name)["status"] == "done"
    refused(box, "HOLD_RELEASED", hold=ACCESS)
    assert delete(box)["status"] == "done"


def export(box: Ordered, name: str = OTHER) -> None:
    with box.catalogue() as catalogue:
        outgoing.request(catalogue, box.vaults, wanted(name), box.at())


def test_what_an_export_has_forbids_it(box) -> None:
    export(box)
    refused(box, "DELETION_EXPORTED", OTHER, first=0, last=2)
    assert delete(box, first=50, last=52)["status"] == "done"


@pytest.mark.parametrize("place", ["outgoing/" + "c" * 32, "mine"])
def test_another_name_of_a_file_forbids_it(box, place) -> None:
    """A copy that stays is no deletion, whoever made it."""
    path = next(row.path for row in box.rows() if row.start_ms == T0 + 11_000)
    link = box.vault_path / place / path
    link.parent.mkdir(parents=True)
    os.link(box.vault_path / path, link)
    if place == "mine":
        refused(box, "DELETION_LINKED", path)
    else:
        refused(box, "DELETION_EXPORTED", "c" * 32)


def test_what_is_no_file_in_a_segments_place_forbids_it(box) -> None:
    path = next(row.path for row in box.rows() if row.start_ms == T0 + 11_000)
    (box.vault_path / path).rename(box.vault_path / "aside")
    (box.vault_path / path).symlink_to(box.vault_path / "aside")
    reply = delete(box)
    assert (reply["code"], reply["detail"]["reason"]) == ("DELETION_LINKED", path)
    assert box.erased() == []


def test_a_place_that_cannot_be_looked_at_forbids_it(box) -> None:
    path = next(row.path for row in box.rows() if row.start_ms == T0 + 11_000)
    name = "x" * 300  # longer than any name may be: lstat fails, and not for its absence
    with pytest.raises(StorageFault, match="DISK_FAILED"):
        deletion._alone(box.vault, path, path + name, set())


def test_a_file_that_is_gone_already_is_told_as_missing(box) -> None:
    path = next(row.path for row in box.rows() if row.start_ms == T0 + 11_000)
    (box.vault_path / path).unlink()
    reply = delete(box)
    assert (reply["status"], reply["detail"]["erased"], reply["detail"]["missing"]) == ("done", 2, 1)


def test_a_span_with_nothing_in_it_is_said_so(box) -> None:
    refused(box, "DELETION_EMPTY", first=COUNT + 60, last=COUNT + 70)
    delete(box)
    reply = delete(box)
    assert (reply["status"], reply["code"]) == ("refused", "DELETION_EMPTY")


def test_a_span_of_two_days_is_looked_for_in_both(box) -> None:
    midnight = T0 - T0 % DAY_MS
    refused(box, "DELETION_EMPTY", from_ms=midnight - HOUR_MS, to_ms=midnight + HOUR_MS)
    stem = stem_of("cam1", midnight - 30_000)
    place = box.vault_path / stem.path(Kind.PART)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"")
    reply = delete(box, from_ms=midnight, to_ms=midnight + HOUR_MS)
    assert reply["code"] == "DELETION_OPEN", "begun before midnight, it may reach over it"


def test_a_camera_that_nobody_knows(box) -> None:
    refused(box, "CAMERA_UNKNOWN", camera="cam9")


def test_a_span_that_is_too_long_is_ordered_in_parts(box) -> None:
    refused(box, "DELETION_SPAN", from_ms=T0 - deleting.MOST_SPAN_MS, to_ms=T0 + 1)
    whole = {"from_ms": T0 + 1 - deleting.MOST_SPAN_MS, "to_ms": T0 + 1}
    assert delete(box, **whole)["status"] == "done"


def test_a_span_that_is_not_over_is_refused_with_when_it_can_be_asked_again(box) -> None:
    end_ms = box.clock.utc_ms + 60_000
    again = f"from {utc_name(end_ms + deleting.SETTLED_MS)}"
    refused(box, "DELETION_FUTURE", again, from_ms=end_ms - 120_000, to_ms=end_ms)


@pytest.mark.parametrize("kind", [Kind.PART, Kind.FINAL, Kind.SALVAGED])
def test_a_segment_that_has_no_row_yet_forbids_it(box, kind) -> None:
    """It is being recorded, or was when its recorder was killed: nobody knows where it ends."""
    start_ms = T0 + 8_123
    place = box.vault_path / stem_of("cam1", start_ms).path(kind)
    place.write_bytes(b"age-encryption.org/v1\n")
    refused(box, "DELETION_OPEN", stem_of("cam1", start_ms).path(kind))
    assert delete(box, first=3, last=5)["status"] == "done", "what begins after the span is not of it"


def test_what_is_being_recorded_can_be_ordered_when_it_is_stored(box) -> None:
    start_ms = box.clock.utc_ms - 60_000
    place = box.vault_path / stem_of("cam1", start_ms).path(Kind.PART)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")
    again = f"from {utc_name(start_ms + deleting.SETTLED_MS)}"
    refused(box, "DELETION_OPEN", again, from_ms=start_ms, to_ms=start_ms + 1000)


def test_what_began_long_before_the_span_is_not_of_it(box) -> None:
    stem = stem_of("cam1", T0 - 600_000)
    place = box.vault_path / stem.path(Kind.PART)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")
    (place.parent / "README").write_text("not ours")
    assert delete(box, first=0, last=2)["status"] == "done"


def test_a_damaged_file_in_quarantine_forbids_it(box) -> None:
    """Its pictures are not gone by deleting the others. By its row where it has one, else by its name."""
    row = next(row for row in box.rows() if row.start_ms == T0 + 11_000)
    names = {}
    for one in (row, *(other for other in box.rows() if other.start_ms == T0 + 90_000)):
        names[one.path] = one.path.removeprefix("segments/").replace("/", ".")
        (box.vault_path / one.path).rename(box.vault_path / quarantined.PLACE / names[one.path])
        with box.catalogue() as catalogue:
            query = "UPDATE segment SET state = 'LOST', cause = 'DAMAGED' WHERE path = ?"
            catalogue.write(lambda db, path=one.path: db.execute(query, (path,)))
    refused(box, "DELETION_QUARANTINED", names[row.path])
    assert delete(box, first=30, last=32)["status"] == "done"


@pytest.mark.parametrize(
    ("camera", "start_ms", "code"), [("cam1", 9_000, "DELETION_QUARANTINED"), ("cam2", 9_000, "")]
)
def test_a_file_in_quarantine_that_has_no_row_counts_by_its_name(box, camera, start_ms, code) -> None:
    path = stem_of(camera, T0 + start_ms).path(Kind.SALVAGED)
    name = path.removeprefix("segments/").replace("/", ".")
    (box.vault_path / quarantined.PLACE / name).write_bytes(b"age-encryption.org/v1\n")
    (box.vault_path / quarantined.PLACE / "whatever").write_bytes(b"")
    assert delete(box)["code"] == code


def test_while_the_time_is_not_trusted_nothing_is_deleted(box) -> None:
    box.source.synced = False
    box.source.step(3 * DAY_MS)
    box.clock.utc_ms = box.source.utc
    box.tick()
    assert box.keeper._clock.now().trust is Trust.UNTRUSTED
    challenge = box.health["challenge"]
    inner = box.sign("officer 1", "delete.subject", terms(), challenge=challenge)
    name = box.send("privacy 1", "countersign", {"order": inner}, challenge=challenge)
    reply = answer(box, name)
    assert (reply["status"], reply["code"]) == ("refused", "TIME_UNTRUSTED")
    untouched(box)


def change(box: Ordered, sets: str, number: int = 11) -> str:
    """Change a row; return its path."""
    with box.catalogue() as catalogue:
        at = T0 + number * SEGMENT_MS
        ((path,),) = catalogue.read("SELECT path FROM segment WHERE start_ms = ?", (at,))
        catalogue.write(lambda db: db.execute(f"UPDATE segment SET {sets} WHERE path = ?", (path,)))
    return str(path)


@pytest.mark.parametrize("trust", ["UNTRUSTED", "HOLDOVER"])
def test_what_nobody_knows_when_it_was_recorded_forbids_it(box, trust) -> None:
    """Nor what was made again from its file's name, whose time is a guess."""
    path = change(box, f"trust = '{trust}', kept_from_ms = kept_from_ms + 5000")
    refused(box, "DELETION_UNSETTLED", path)
    assert delete(box, first=20, last=21)["status"] == "done"


def test_while_a_time_is_still_to_be_settled_any_span_of_the_camera_waits(box, monkeypatch) -> None:
    path = change(box, "trust = 'UNTRUSTED', kept_from_ms = NULL", 90)
    box.keeper._clock.settle = lambda *_, **__: 0  # as while a vault's files refuse
    refused(box, "DELETION_UNSETTLED", path)


def test_a_disk_that_is_away_forbids_it(box) -> None:
    with box.catalogue() as catalogue:
        catalogue.add_vault("uuid-9", "/nowhere", T0)
    path = change(box, "vault = 'uuid-9'")
    (box.vault_path / path).unlink()
    reply = delete(box)
    assert (reply["code"], reply["detail"]["reason"]) == ("DELETION_AWAY", "uuid-9")
    assert box.erased() == box.bodies("deletion.begun") == []


@pytest.mark.parametrize(("end_ms", "code"), [(8_000, "DELETION_AWAY"), (0, "")])
def test_a_damaged_file_on_a_disk_that_is_away_forbids_it(box, end_ms, code) -> None:
    with box.catalogue() as catalogue:
        catalogue.add_vault("uuid-9", "/nowhere", T0)
    sets = f"vault = 'uuid-9', state = 'LOST', cause = 'DAMAGED', start_ms = start_ms - 6000, end_ms = {T0 + end_ms}"
    (box.vault_path / change(box, sets, 5)).unlink()
    reply = delete(box)
    assert reply["code"] == code
    assert reply["detail"].get("reason", "") == ("uuid-9" if code else "")
    assert bool(box.bodies("deletion.begun")) is not bool(code)


@pytest.mark.parametrize(
    ("camera", "vault", "start_ms", "code"),
    [
        ("cam1", "uuid-9", 8_000, "DELETION_AWAY"),
        ("cam1", "uuid-9", 12_000, ""),
        ("cam2", "uuid-9", 8_000, ""),
        ("cam1", "uuid-7", 8_000, ""),
    ],
)
def test_what_was_open_on_a_disk_that_is_away_forbids_it(box, camera, vault, start_ms, code) -> None:
    with box.catalogue() as catalogue:
        catalogue.add_vault("uuid-9", "/nowhere", T0)
    mark = progress.Mark(1, T0 + start_ms + 500, 12)
    path = stem_of(camera, T0 + start_ms).path(Kind.FINAL)
    one = progress.Open(
        vault, path, camera, "r", T0 + start_ms, "SYNCED", "h264", 1, 1, 90_000, True, mark, mark, None
    )
    (box.state / progress.DIRECTORY).mkdir(exist_ok=True)
    progress.write(box.disk, box.state / progress.DIRECTORY / "w9.json", [one], sync=True)
    assert one in progress.read_all(box.state).values()
    assert delete(box)["code"] == code


@pytest.mark.parametrize("kind", [Kind.TAIL_OLD, Kind.TAIL_TEMPORARY, Kind.SALVAGED_TAIL])
def test_a_tail_that_would_stay_forbids_it(box, kind) -> None:
    path = stem_of("cam1", T0 + 11_000).path(kind)
    (box.vault_path / path).write_bytes(b"PASUTAIL")
    refused(box, "DELETION_LINKED", path)


def test_while_the_catalogue_is_made_again_nothing_is_deleted(box) -> None:
    with box.catalogue() as catalogue:
        catalogue.set_meta(UNRECONCILED, json.dumps(["uuid-9"]))
    refused(box, "DELETION_UNREADY")


# --- Salvaged segments


def test_a_salvaged_segment_goes_where_any_of_its_pictures_may_be_of_the_span(box) -> None:
    """Its row claims what is certain; its file may hold some seconds more."""
    at_ms = T0 + 500_000
    box.record_salvaged(at_ms=at_ms)
    (row,) = (row for row in box.rows() if row.start_ms == at_ms)
    assert row.path.endswith(".salvaged.mp4.age")
    beyond = row.end_ms + SALVAGED_REACH_MS
    refused(box, "DELETION_EMPTY", from_ms=beyond, to_ms=beyond + 1000)
    reply = delete(box, from_ms=beyond - 1, to_ms=beyond + 1000)
    assert (reply["status"], reply["detail"]["segments"]) == ("done", 1)
    assert not list(box.vault_path.rglob(f"{row.path.rpartition('/')[2]}*")), "nor is its tail left"


def test_a_salvaged_segment_that_may_reach_into_a_hold_forbids_it(box) -> None:
    at_ms = T0 + 500_000
    box.record_salvaged(at_ms=at_ms)
    (row,) = (row for row in box.rows() if row.start_ms == at_ms)
    begin = row.end_ms + 5_000
    keep(box, OTHER, ground="trial", from_ms=begin, to_ms=begin + 1000)
    refused(box, "DELETION_HELD", OTHER, from_ms=at_ms, to_ms=at_ms + 1000)


# --- How it goes on


def test_what_is_condemned_already_is_waited_for_and_keeps_its_cause(box) -> None:
    with box.catalogue() as catalogue:
        ids = [row[0] for row in catalogue.read("SELECT id FROM segment WHERE start_ms = ?", (T0 + 10_000,))]
    assert box.condemn(ids) == ids
    reply = delete(box)
    assert (reply["status"], reply["detail"]["segments"], reply["detail"]["erased"]) == ("done", 2, 2)
    assert sorted(body["cause"] for body in box.erased()) == ["EXPIRED", "REQUESTED"]


def test_a_hold_that_comes_before_the_header_is_overwritten_wins_and_it_is_told(box) -> None:
    name = order(box)
    box.tick()
    assert list(box.states().values()).count("CONDEMNED") == 2
    arguments = {
        "cameras": ["cam1"],
        "from_ms": T0 + 11_000,
        "to_ms": T0 + 12_000,
        "ground": "investigation",
        "authority": "강릉경찰서 2027-3",
        "review": "2027-02-10",
    }
    assert box.ask("officer 2", "hold.place", arguments)["status"] == "done"
    reply = answer(box, name)
    assert (reply["status"], reply["code"]) == ("failed", "DELETION_PARTLY")
    assert (reply["detail"]["erased"], reply["detail"]["kept"]) == (1, 1)
    assert gone(box) == [10]
    (ended,) = box.bodies("deletion.ended")
    assert (ended["erased"], ended["kept"]) == (1, 1)


def test_a_name_that_somebody_gives_a_file_meanwhile_is_told(box) -> None:
    name = order(box)
    box.tick()
    path = next(path for path, state in box.states().items() if state == "CONDEMNED")
    os.link(box.vault_path / path, box.vault_path / "mine")
    reply = answer(box, name)
    assert (reply["code"], reply["detail"]["erased"], reply["detail"]["unshredded"]) == (
        "DELETION_PARTLY",
        2,
        1,
    )


def test_what_is_put_in_a_files_place_meanwhile_is_told(box) -> None:
    name = order(box)
    box.tick()
    path = next(path for path, state in box.states().items() if state == "CONDEMNED")
    (box.vault_path / path).rename(box.vault_path / "mine")
    (box.vault_path / path).write_bytes(b"something else")
    reply = answer(box, name)
    assert [body.get("replaced", False) for body in box.erased()].count(True) == 1
    assert (reply["status"], reply["code"]) == ("failed", "DELETION_PARTLY")
    detail = reply["detail"]
    assert (detail["erased"], detail["missing"], detail["unshredded"]) == (2, 0, 1)


def test_what_cannot_be_erased_is_answered_within_the_hour_and_goes_when_it_can(box) -> None:
    name = order(box)
    box.tick()
    path = next(path for path, state in box.states().items() if state == "CONDEMNED")
    whole = (box.vault_path / path).read_bytes()
    box.disk.plan = lambda _, op, place: 5 if op == "open" and place.name == path.rpartition("/")[2] else None
    box.turn(2)
    (first, *_), last = (replies := box.replies()), replies[-1]
    assert first["status"] == "accepted"
    assert (last["status"], last["detail"]["left"]) == ("progress", 1)
    box.pass_time(LATE_MS)
    reply = answer(box, name)
    assert (reply["status"], reply["code"]) == ("failed", "DELETION_UNFINISHED")
    assert (reply["detail"]["erased"], reply["detail"]["left"]) == (1, 1)
    assert (box.vault_path / path).read_bytes() == whole
    box.disk.plan = lambda *_: None
    box.turn(2)
    assert gone(box) == [10, 11]


def test_while_the_time_is_not_trusted_what_was_begun_waits(box) -> None:
    name = order(box)
    box.tick()
    box.source.synced = False
    box.source.step(3 * DAY_MS)
    box.turn(2)
    assert [reply["status"] for reply in box.replies()] == ["accepted"]
    assert box.erased() == []
    box.source.step(-3 * DAY_MS)
    box.source.synced = True
    box.turn(3)
    assert [reply["status"] for reply in box.replies() if reply["id"] == name][-1] == "done"


def test_what_comes_between_looking_and_condemning_forbids_it(box, monkeypatch) -> None:
    real = deletion.touched
    with monkeypatch.context() as patch:
        patch.setattr(
            deletion,
            "touched",
            lambda read, *rest: real(read, *rest)[: 2 if "Catalogue" in repr(read) else 1],
        )
        reply = delete(box)
    assert (reply["status"], reply["code"]) == ("failed", "DELETION_UNREADY")
    untouched(box)


def test_what_may_not_be_condemned_forbids_it(box, monkeypatch) -> None:
    keep(box)
    with monkeypatch.context() as patch:
        patch.setattr(erase, "mark", lambda *_: [])
        reply = delete(box, hold=ACCESS)
    assert (reply["status"], reply["code"]) == ("failed", "DELETION_UNREADY")
    assert (box.bodies("hold.released"), len(box.links())) == ([], 2), "nor is its hold released"
    untouched(box)


def test_much_at_once_waits_for_a_day_and_can_be_given_up(box) -> None:
    """E15: two stolen keys empty no box in an hour."""
    name = order(box, first=0, last=20)
    reply = answer(box, name)
    assert (reply["status"], reply["code"]) == ("delayed", "COMMAND_DELAYED")
    assert reply["detail"]["erasable_ms"] == 20_000
    untouched(box)
    box.pass_time(DAY_MS)
    box.turn(3)
    assert [each["status"] for each in box.replies() if each["id"] == name][-1] == "done"
    assert gone(box) == [*range(20)]


def test_a_delayed_one_is_looked_at_again_when_its_day_is_over(box) -> None:
    name = order(box, first=0, last=20)
    answer(box, name)
    keep(box, OTHER, 3, 4, ground="investigation")
    box.pass_time(DAY_MS)
    reply = answer(box, name)
    assert (reply["status"], reply["code"], reply["detail"]["reason"]) == ("failed", "DELETION_HELD", OTHER)
    untouched(box)


def test_what_a_hold_had_kept_over_its_time_counts_against_the_day_once(box) -> None:
    keep(box, first=0, last=6)
    box.pass_time(31 * DAY_MS)
    box.record(at_ms=box.clock.utc_ms - 300_000, count=200)
    box.turn(2)
    assert len(box.rows()) == 206, "only what is held is older"
    reply = answer(box, order(box, first=0, last=6, hold=ACCESS))
    assert reply["status"] == "done", "six seconds of two hundred: not twice"
    assert gone(box)[:6] == [*range(6)]
    with box.catalogue() as catalogue:
        ((weight,),) = catalogue.read("SELECT erasable_ms FROM command WHERE command = 'delete.subject'")
    assert weight == 6_000


def test_art_29_1_a_request_of_day_29_9_is_kept_until_its_end_and_then_gone_within_the_hour(tmp_path) -> None:
    box = Ordered(tmp_path)
    box.record(count=4)
    box.pass_time(30 * DAY_MS - DAY_MS // 10)
    box.turn()
    review = {"from_ms": T0 + 1000, "to_ms": T0 + 3000, "review": "2027-04-01"}
    keep(box, **review)
    box.pass_time(10 * DAY_MS + DAY_MS // 10)
    box.record(at_ms=box.clock.utc_ms - 300_000, count=200)
    box.turn(3)
    assert gone(box) == [0, 3], "what nobody asked for went at its time"
    assert [row.start_ms for row in box.rows()[:2]] == [T0 + 1000, T0 + 2000], "still there on day 40"
    began = box.clock.utc_ms
    reply = delete(box, first=1, last=3, hold=ACCESS)
    assert reply["status"] == "done"
    assert gone(box) == [0, 1, 2, 3]
    assert box.clock.utc_ms - began <= 3_600_000
    assert not any(box.opens(name) for name in box.names() if "20270115T08" in name)


# --- After restarts


def test_given_up_by_its_last_start_it_was_never_begun(box, monkeypatch) -> None:
    name = order(box)

    def dies(*_: object) -> Any:
        raise StorageFault("CATALOGUE_FAILED", "as if the process had ended")

    with monkeypatch.context() as patch:
        patch.setattr(orders_delete, "_begin", dies)
        for _ in range(TRIES):
            box.tick()
            box.restart()
    reply = answer(box, name)
    assert (reply["status"], reply["code"]) == ("failed", "COMMAND_INTERRUPTED")
    untouched(box)


def test_begun_and_started_again_too_often_it_is_answered_and_goes_on(box) -> None:
    name = order(box)
    box.tick()
    path = next(path for path, state in box.states().items() if state == "CONDEMNED")
    box.disk.plan = lambda _, op, place: 5 if op == "open" and place.name == path.rpartition("/")[2] else None
    for _ in range(TRIES):
        box.restart()
        box.tick()
    replies = [reply for reply in box.replies() if reply["id"] == name]
    assert (replies[-1]["status"], replies[-1]["code"]) == ("failed", "DELETION_UNFINISHED")
    box.disk.plan = lambda *_: None
    box.turn(3)
    assert gone(box) == [10, 11]


@pytest.fixture
def cut_off(box, monkeypatch) -> str:
    """Return an order that was accepted, and whose keeper died before it was begun."""

    def dies(*_: object) -> Any:
        raise StorageFault("CATALOGUE_FAILED", "as if the process had ended")

    name = order(box)
    with monkeypatch.context() as patch:
        patch.setattr(orders_delete, "_begin", dies)
        box.tick()
    box.restart()
    return name


def test_begun_only_after_a_restart_it_is_done(box, cut_off) -> None:
    assert answer(box, cut_off)["status"] == "done"


def test_what_was_not_begun_before_a_lockdown_is_not_begun_in_it(box, cut_off) -> None:
    orders_files.lock_down(box.state, {"v": 1, "since_ms": 0, "by": "x"}, box.disk)
    reply = answer(box, cut_off)
    assert (reply["status"], reply["code"]) == ("failed", "COMMAND_LOCKDOWN")
    untouched(box)


def test_nor_after_a_signer_lost_the_key(box, cut_off) -> None:
    orders_files.write_revoked(box.state, frozenset({box.city.signers["privacy 1"].kid}), box.disk)
    box.restart()
    reply = answer(box, cut_off)
    assert (reply["status"], reply["code"]) == ("failed", "COMMAND_REVOKED")
    untouched(box)


def test_nor_after_a_key_ended(box, cut_off) -> None:
    box.pass_time(400 * DAY_MS)
    reply = answer(box, cut_off)
    assert (reply["status"], reply["code"]) == ("failed", "COMMAND_LAPSED")
    assert box.bodies("deletion.begun") == []


def test_nor_by_a_time_that_is_not_trusted(box, cut_off) -> None:
    box.source.synced = False
    box.source.step(3 * DAY_MS)
    reply = answer(box, cut_off)
    assert (reply["status"], reply["code"]) == ("failed", "TIME_UNTRUSTED")
    untouched(box)


def test_what_was_begun_goes_on_in_a_lockdown(box) -> None:
    name = order(box)
    box.tick()
    orders_files.lock_down(box.state, {"v": 1, "since_ms": 0, "by": "x"}, box.disk)
    assert answer(box, name)["status"] == "done"
    assert gone(box) == [10, 11]


# --- What others make of it


def check_all(box: Ordered) -> list[Finding]:
    """Let `pasu check` read every byte of what is left."""
    with box.catalogue() as catalogue:
        selection = Selection("all", Level.DIGESTS, None, None)
        check = Check(catalogue, box.vaults, box.state, selection, box.at, disk=box.disk)
        assert check.run(lambda: True)
        return [*check.tally.findings]


def test_it_is_no_gap_and_no_loss_and_is_told_as_what_it_was(box) -> None:
    delete(box)
    arguments = {"camera": "cam1", "from_ms": T0 + 9_000, "to_ms": T0 + 13_000}
    detail = box.ask("officer 1", "segments.locate", arguments)["detail"]
    assert detail["erased"] == [[T0 + 10_000, T0 + 12_000, "REQUESTED"]]
    assert detail["missing"] == [[T0 + 10_000, T0 + 12_000]]
    assert (detail["gaps"], box.gaps(), box.bodies("segment.lost")) == ([], [], [])
    assert check_all(box) == []


def test_a_catalogue_that_is_lost_afterwards_brings_nothing_of_it_back(box) -> None:
    keep(box)
    assert delete(box, hold=ACCESS)["status"] == "done"
    box.keeper.close()
    for path in box.state.glob("catalogue.db*"):
        path.unlink()
    box.prepare()
    box.start()
    box.turn(4)
    assert len(box.rows()) == COUNT - 2
    assert not {T0 + 10_000, T0 + 11_000} & {row.start_ms for row in box.rows()}
    assert (box.links(), box.erased()) == ([], [])
