"""The centre watches real connections: nothing lost, nothing doubled, and no history rewritten unnoticed (H6, E11, E1)."""

from __future__ import annotations

import json
import threading
import time

import pytest

from agent import consignment
from agent.centre import rings
from agent.centre.following import Following
from agent.cli.main import main
from agent.command.keyring import Role
from agent.consignment import Receipt, Where
from agent.storage.proof import merkle
from tests.centre_scene import BOX, Centre
from tests.town import FakeBox, edited, wait_until

FACT = 1_800_000_000_000


class Speaker:
    """Has a box say its health again and again."""

    def __init__(self, box: FakeBox, **health) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._speak, args=(box, health))
        self._thread.start()

    def _speak(self, box: FakeBox, health) -> None:
        while not self._done.wait(0.1):
            box.send_health(**health)

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def stored(centre: Centre, box: str = BOX) -> list[int]:
    return [fact.seq for fact in centre.witness.facts(box, "", 0, 1 << 60, 0)]


def test_what_came_is_verified_kept_and_acknowledged(town, box, centre):
    box.write(1300)
    box.send_facts()
    box.send_checkpoint()
    box.send_health()
    centre.verified(1300)
    assert stored(centre) == list(range(1, 1301))
    centre.until(lambda: box.ordered("ledger.acknowledge"), "acknowledged")
    (order,) = box.ordered("ledger.acknowledge")
    root = merkle.root_of([bytes.fromhex(one) for one in leaves(box)])
    assert order["arguments"] == {"ledger": box.ledger, "size": 1300, "root": root.hex()}
    centre.until(lambda: centre.watch._boxes[BOX].current.acknowledged == 1300, "the box's word for it")
    fact = centre.witness.facts(BOX, "segment", 0, 1 << 60, 1)[0]
    assert (fact.seq, fact.kind, fact.body) == (1300, "segment.committed", {"camera": "cam01", "n": 1300})
    assert centre.found == []


def leaves(box: FakeBox) -> list[str]:
    from agent.storage.proof import leaf

    return [leaf.object_hash(entry).hex() for entry in box.entries]


def test_e11_doubles_are_kept_once_and_holes_are_asked_for(town, box, centre):
    """E11: the broker lost a part; the centre asks for it, and nothing is doubled."""
    box.write(600)
    box.send_health()
    box.send_facts(1, 200)
    box.send_facts(1, 200)
    box.send_facts(301, 600)
    box.send_checkpoint()
    centre.until(lambda: centre.row().size == 200)
    centre.until(lambda: centre.watch._boxes[BOX].current.following.hole)
    assert box.ordered("facts.resend") == []
    centre.clock.ahead_s = 7
    centre.until(lambda: box.ordered("facts.resend"), "asked")
    assert box.ordered("facts.resend")[0]["arguments"] == {"ledger": box.ledger, "from_seq": 201}
    box.send_facts(201, 600)
    centre.verified(600)
    assert stored(centre) == list(range(1, 601))
    assert centre.found == []


def test_e11_a_broker_that_lost_its_store_costs_nothing(town, box, centre):
    """E11: what it had taken and not handed on is asked for again."""
    box.write(300)
    box.send_health()
    box.send_facts(1, 100)
    centre.until(lambda: centre.row().size == 100)
    centre.wire.close()
    box.send_facts(101, 200)  # waits at the broker, which is then robbed of it
    box.close()
    town.kill(forget=True)
    town.start()
    box.connect()
    centre.wire.open(30)
    box.send_health()
    box.send_facts(201, 300)
    box.send_checkpoint()
    centre.until(lambda: centre.watch._boxes[BOX].current.following.hole)
    centre.clock.ahead_s += 7
    centre.until(lambda: box.ordered("facts.resend"), "asked")
    box.send_facts(box.ordered("facts.resend")[0]["arguments"]["from_seq"])
    centre.verified(300)
    assert stored(centre) == list(range(1, 301))


def test_killed_before_a_commit_everything_comes_again(town, box):
    """Entries are on the disk before the broker may forget them."""
    box.write(500)
    first = Centre(town)
    first.watch._commit_s = float("inf")  # the transaction is never closed
    box.send_health()
    box.send_facts()
    wait_until(lambda: first.watch.turn(0.02) or first.row().size == 500)
    first.kill()
    again = Centre(town)
    try:
        assert stored(again) == []
        again.until(lambda: again.row().size == 500)
        box.send_checkpoint()
        again.verified(500)
        assert stored(again) == list(range(1, 501))
        assert again.found == []
    finally:
        again.close()


def test_the_store_goes_on_after_a_restart(town, box):
    first = Centre(town)
    box.write(700)
    box.send_facts(1, 400)
    box.send_checkpoint(400)
    first.verified(400)
    first.close()
    again = Centre(town)
    try:
        assert again.row().verified == 400
        box.send_facts(401, 700)
        box.send_checkpoint(300, at_ms=0)  # an old one that lay somewhere
        box.send_checkpoint(700, at_ms=2)
        again.verified(700)
        assert stored(again) == list(range(1, 701))
        assert again.found == []
    finally:
        again.close()


@pytest.mark.parametrize(
    ("code", "following"), [("COMMAND_REPLAYED", 1002), ("COMMAND_GAP", 2), ("COMMAND_ROLE", 2)]
)
def test_e1_no_reply_moves_the_centres_numbers_out_of_reach(town, box, code, following):
    """E1: a broker that answers for the box may cost some numbers, and never the key."""
    centre = Centre(town)
    try:
        box.answer = False
        box.send_health(trust="UNTRUSTED", challenge="cd" * 16)
        centre.watch._confirm_time = lambda: True
        centre.until(lambda: box.ordered("time.confirm"), "asked")
        (order,) = box.orders
        detail = {"expects": 2**53 - 1}
        box.say("reply", id=order["id"], command="time.confirm", status="refused", code=code, detail=detail)
        centre.until(lambda: not centre.watch._asking.open, "answered")
        assert order["counter"] == 1
        assert centre.counters.take(town.service().key.kid, BOX) == following
    finally:
        centre.close()


def test_h6_an_edited_entry_is_told(town, box, centre):
    """H6, edited: what came once cannot come otherwise."""
    box.write(300)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(300)
    box.entries[9] = edited(box.entries[9], kind="gap")
    box.send_facts(1, 100)
    centre.alarmed("edited")


def test_h6_a_fork_is_told(town, box, centre):
    """H6, forked: a head over another history than the one that came."""
    box.write(300)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(300)
    box.entries[9] = edited(box.entries[9], body={"camera": "cam02"})
    box.send_checkpoint(200, at_ms=5)
    centre.alarmed("forked")


def test_h6_a_fork_ahead_of_its_entries_is_told(town, box, centre):
    """H6, forked: the head came first, its entries do not lead to it."""
    box.write(300)
    real = list(box.entries)
    box.entries[150] = edited(box.entries[150], kind="gap")
    box.send_checkpoint(300)
    centre.until(lambda: centre.watch._boxes[BOX].current is not None)
    box.entries = real
    box.send_facts()
    centre.alarmed("doubted")  # so far the wire may have done it
    box.send_facts()
    centre.alarmed("forked")


def test_h6_a_forged_entry_of_the_wire_does_not_blind_the_witness(town, box, centre):
    """H6: the real ones are had again, also from the file."""
    box.write(300)
    box.send_facts(1, 100)
    box.send_checkpoint(100)
    centre.verified(100)
    real = list(box.entries)
    box.entries[100:] = [edited(entry, kind="forged") for entry in box.entries[100:]]
    box.send_facts(101)
    centre.until(lambda: centre.row().size == 300)
    box.entries = real
    box.send_facts(101)
    box.send_checkpoint(at_ms=2)
    centre.verified(300)
    assert centre.found == [(BOX, "doubted")]
    assert {fact.kind for fact in centre.witness.facts(BOX, "", 0, 1 << 60, 0)} == {"segment.committed"}
    assert stored(centre) == list(range(1, 301))
    centre.close()
    again = Centre(town)
    try:
        assert again.row().verified == 300
        assert again.watch._boxes[BOX].current.following.root(300) == merkle.root_of(
            [bytes.fromhex(one) for one in leaves(box)]
        )
    finally:
        again.close()


def test_h6_a_head_of_the_future_hides_no_roll_back(town, box, centre):
    """H6: the time beside a checkpoint is not signed, and is believed no further than now."""
    box.write(300)
    box.send_facts()
    box.send_checkpoint(300, at_ms=2**53 - 1)
    centre.verified(300)
    centre.until(
        lambda: time.time_ns() // 1_000_000 > centre.watch._boxes[BOX].current.following.verified.at_ms
    )
    box.send_checkpoint(250, at_ms=time.time_ns() // 1_000_000 + 60_000)
    centre.alarmed("rolled_back")


def test_h6_a_word_of_what_was_let_go_is_not_taken(town, box, centre):
    """H6: the box lets go only what was acknowledged; the entries are asked for, and all is verified again."""
    box.write(300)
    box.send_facts(1, 100)
    box.send_checkpoint(100)
    centre.verified(100)
    box.say("facts", ledger=box.ledger, first=101, entries=[], let_go=[[101, 10**9]])
    centre.alarmed("let_go")
    real = list(box.entries)
    box.entries[149:] = [edited(entry, kind="forged") for entry in box.entries[149:]]
    box.send_facts(150)
    box.entries = real
    box.send_health()
    centre.until(lambda: len(stored(centre)) == 251)
    centre.until(lambda: centre.row().standing._stuck[0] == 100, "a tick")
    centre.clock.ahead_s += 91
    box.send_health()
    box.resends = True
    centre.until(lambda: box.ordered("facts.resend"), "asked")
    box.send_checkpoint(at_ms=2)
    centre.verified(300)
    assert stored(centre) == list(range(1, 301))
    assert {fact.kind for fact in centre.witness.facts(BOX, "", 0, 1 << 60, 0)} == {"segment.committed"}


def test_h6_a_cut_off_or_rolled_back_ledger_is_told(town, box, centre):
    """H6, truncated and rolled back: a newer head over fewer entries."""
    box.write(300)
    box.send_facts()
    box.send_checkpoint(300, at_ms=10)
    centre.verified(300)
    box.send_checkpoint(250, at_ms=20)
    centre.alarmed("rolled_back")


def test_h6_a_ledger_that_begins_anew_is_told(town, box, centre):
    """H6: another ledger in the place of the one that was."""
    box.write(50)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(50)
    box.ledger, box.entries = "ffeeddccbbaa0099", []
    box.write(20, "ledger.began", reason="missing")
    box.send_facts()
    box.send_checkpoint()
    centre.alarmed("new_ledger")
    centre.verified(20)
    assert len(stored(centre)) == 70


def test_h6_ledgers_that_are_made_up_turn_nobodys_eyes_away(town, box, centre):
    """H6: a name is anybody's; a ledger counts when there is a head that the box signed."""
    box.write(50)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(50)
    real, before = box.ledger, list(box.entries)
    for number in range(20):
        box.ledger = f"{number:016x}"
        box.send_facts(1, 10)
        box.say("checkpoint", ledger=box.ledger, note=box.note(ledger=real), at_ms=1)
    centre.alarmed("unsigned")
    centre.alarmed("invalid")
    box.ledger = real
    box.write(10)
    box.send_facts(51)
    box.send_checkpoint(at_ms=2)
    centre.verified(60)
    watched = centre.watch._boxes[BOX]
    assert (watched.newest, len(watched.kept)) == (real, 5)
    assert (BOX, "new_ledger") not in centre.found
    box.ledger, box.entries = "ffeeddccbbaa0099", before
    box.send_facts()  # there is no room for it yet
    box.send_checkpoint(at_ms=3)
    centre.alarmed("new_ledger")
    box.send_facts()
    centre.verified(50)
    box.say("checkpoint", ledger=real, note=box.note(ledger=real), at_ms=4)
    box.send_health()
    centre.until(lambda: centre.row().standing.told_s is not None)
    assert watched.newest == box.ledger
    centre.close()
    again = Centre(town)
    try:
        assert again.watch._boxes[BOX].newest == box.ledger
    finally:
        again.close()


def test_a_head_of_another_key_is_told(town, box, centre):
    from agent.storage.files import Disk
    from agent.storage.proof import signing

    box.write(10)
    box.send_facts()
    box.key = signing.load_or_create(town.folder, BOX, Disk())
    box.send_checkpoint()
    centre.alarmed("unsigned")


def test_a_box_that_is_not_enrolled_is_told_and_not_believed(town, box, centre):
    town.enrol("gn-0002")
    town.city.at("boxes", "gn-0002.json").unlink()
    stranger = FakeBox(town, "gn-0002")
    stranger.connect()
    stranger.write(10)
    stranger.send_facts()
    try:
        centre.alarmed("unknown_box", "gn-0002")
        assert stored(centre, "gn-0002") == []
    finally:
        stranger.close()


def test_a_box_that_was_enrolled_a_moment_ago_is_known(town, box, centre):
    town.enrol("gn-0002")
    new = FakeBox(town, "gn-0002")
    new.connect()
    new.write(10)
    new.send_facts()
    new.send_checkpoint()
    new.send_health()
    try:
        centre.until(
            lambda: {row.standing.box: row.verified for row in centre.watch.rows()}.get("gn-0002") == 10
        )
        assert centre.found == []
    finally:
        new.close()


def inspected(box: FakeBox, note: object, at_ms: int = 1, ledger: object = None) -> None:
    """Have a box answer an inspection that somebody else asked for."""
    found = {"id": ledger or box.ledger, "entries": len(box.entries), "checkpoint": note}
    inspection = {"at_ms": at_ms, "7_measures": {"ledger": found}}
    reply = {"id": "ab" * 16, "command": "inspect", "status": "done", "at_ms": 99, "detail": {}}
    box.say("reply", **reply | {"detail": {"inspection": inspection}})


def test_the_head_that_an_inspection_brings_is_verified(town, box, centre):
    box.write(30)
    box.send_facts(1, 20)
    inspected(box, box.note())
    box.send_checkpoint(5)
    centre.verified(5)  # the larger head waits for its entries
    box.send_facts(21, 30)
    centre.verified(30)
    inspected(box, box.note(20))  # one that was killed before it answered, and answers late
    box.write(1)
    box.send_facts(31)
    box.send_checkpoint(at_ms=2)
    centre.verified(31)
    assert centre.found == []


def test_a_head_of_an_inspection_is_believed_no_more_than_any(town, box, centre):
    box.write(10)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(10)
    for odd in ({"id": "x"}, [], "note"):
        inspected(box, "no note", ledger=odd)
    centre.alarmed("invalid")
    inspected(box, "no note")
    centre.alarmed("unsigned")
    box.entries[3]["body"]["camera"] = "cam99"
    inspected(box, box.note(), at_ms=5)
    centre.alarmed("forked")


def test_silence_is_told_once_and_that_it_is_over(town, box, centre):
    box.send_health()
    centre.until(lambda: centre.row().standing.heard_s is not None)
    assert centre.found == []
    centre.clock.ahead_s = 61
    centre.alarmed("silent")
    assert centre.row().standing.silent
    box.send_health()
    centre.alarmed("back")
    centre.until(lambda: not centre.row().standing.silent)
    assert centre.found == [(BOX, "silent"), (BOX, "back")]


def test_a_box_that_was_never_heard_is_told(town, centre):
    centre.clock.ahead_s = 61
    centre.alarmed("silent")


@pytest.mark.parametrize("confirm", [True, False])
def test_a_box_in_doubt_gets_the_time_from_a_centre_that_knows_it(town, box, confirm):
    centre = Centre(town, confirm_time=confirm)
    try:
        box.send_health(trust="UNTRUSTED", challenge="cd" * 16)
        if confirm:
            centre.until(lambda: box.ordered("time.confirm"), "confirmed")
            order = box.ordered("time.confirm")[0]
            assert order["challenge"] == "cd" * 16
            assert abs(order["arguments"]["utc_ms"] - time.time_ns() // 1_000_000) < 60_000
        else:
            centre.until(lambda: centre.row().standing.trust == "UNTRUSTED")
            centre.clock.ahead_s = 30
            centre.until(lambda: centre.watch._tick_s >= centre.clock.monotonic() - 1)
            assert box.ordered("time.confirm") == []
    finally:
        centre.close()


def test_i6_what_came_is_told_to_its_box_by_a_signed_order(town, box, centre):
    """I6, E7: a receipt on the wire is signed by nobody, so no box ends an export for one."""
    folder = town.city.at("received") / BOX
    folder.mkdir(parents=True)
    receipt = consignment.encode_receipt(BOX, Receipt("1" * 32, Where.RECEIVED, 7))
    (folder / f"{'1' * 32}.receipt").write_bytes(receipt)
    box.write(3)
    box.send_facts()
    box.send_checkpoint()
    box.send_health()
    wanted = {"export": "1" * 32, "good": True}

    def told() -> list[dict]:
        return [each for each in box.orders if each["command"] == "export.received"]

    centre.until(told, "the order")
    assert [each["arguments"] for each in told()] == [wanted]
    centre.until(lambda: not centre.watch._asking.open, "the answer")
    centre.clock.ahead_s += 2000
    box.send_health()
    for _ in range(20):
        centre.watch.turn(0.02)
    assert len(told()) == 1


def test_hostile_messages_are_told_and_nothing_breaks(town, box, centre):
    topic = f"pasu/v1/{BOX}"
    for payload in (
        b"",
        b"{",
        b"[]",
        b"\x1f\x8b\xff",
        b"\xff" * 1000,
        b'{"ledger":"../../etc"}',
        b"[" * 100_000,
    ):
        for part in ("facts", "checkpoint", "health", "birth", "reply", "state"):
            box.client.publish(f"{topic}/{part}", payload)
    box.say("facts", ledger=box.ledger, entries=[{"seq": 1}], let_go="x")
    box.say(
        "health",
        cameras={"c\x1b[2J": ["x"]},
        conditions=[["\x1b[31m", "a" * 10_000, 1]],
        vaults=[[None, None]],
    )
    box.say("reply", id=["x"], status=7)
    box.write(5)
    box.send_facts()
    box.send_checkpoint()
    centre.verified(5)
    assert (BOX, "invalid") in centre.found
    assert all(len(one.code) < 300 and one.code.isprintable() for one in centre.row().standing.conditions)


def test_e9_a_message_that_cannot_be_kept_is_passed_over_and_not_handed_out_again(town, box, monkeypatch):
    """E9: whatever one message breaks, all that came before and after it is kept."""
    first = Centre(town)
    real = Following.head
    box.write(30)
    try:
        box.say("checkpoint", ledger=box.ledger, note=box.note(), at_ms=10**30)
        first.alarmed("invalid")
        with monkeypatch.context() as broken:
            # What nobody has thought of yet: the entries are taken, and then the store cannot hold them.
            tried = []
            broken.setattr(
                Following, "head", lambda self, text, at_ms: tried.append(1) or real(self, text, 10**30)
            )
            box.send_facts(1, 20)
            box.send_checkpoint(20)
            first.until(lambda: tried, "the head")
        assert first.row().size == 20
        box.send_facts(21, 30)
        box.send_checkpoint(30)
        first.verified(30)
        assert stored(first) == list(range(1, 31))
    finally:
        first.close()
    again = Centre(town)
    try:
        box.write(1)
        box.send_facts(31)
        box.send_checkpoint()
        again.verified(31)
        assert again.found == []
    finally:
        again.close()


def test_a_command_is_sent_and_its_answer_shown(town, box, capsys):
    town.hire(Role.OFFICER, "김OO")
    town.hire(Role.DEPARTMENT, "이OO")
    base = ["--city", str(town.city.folder), "--json"]
    assert main(["centre", "command", BOX, "inspect", "--as", "김OO", *base]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "done"
    order = box.orders[-1]
    assert (order["command"], order["role"], order["counter"], order["arguments"]) == (
        "inspect",
        "officer",
        1,
        {},
    )
    words = ["hold=h1", "reason=끝남"]
    assert (
        main(["centre", "command", BOX, "hold.release", *words, "--as", "김OO", "--second", "이OO", *base])
        == 0
    )
    outer = box.orders[-1]
    assert (outer["command"], outer["role"], outer["counter"]) == ("countersign", "department", 1)
    from agent.command import jws

    _, inner = jws.peek(outer["arguments"]["order"])
    assert (inner["command"], inner["role"], inner["counter"]) == ("hold.release", "officer", 2)
    assert inner["arguments"] == {"hold": "h1", "reason": "끝남"}


def test_a_command_that_needs_it_bears_the_boxs_challenge(town, box, capsys):
    box.send_health(challenge="ef" * 16)  # the broker keeps it; it may be hours old
    wanted = [
        "centre",
        "command",
        BOX,
        "time.confirm",
        "utc_ms=now",
        "--city",
        str(town.city.folder),
        "--json",
    ]
    speaker = Speaker(box, challenge="12" * 16)
    try:
        assert main(wanted) == 0
    finally:
        speaker.stop()
    assert box.orders[-1]["challenge"] == "12" * 16


def test_a_silent_box_and_a_refusal_have_their_statuses(town, box, capsys):
    box.answer = False
    base = ["centre", "command", BOX, "inspect", "--city", str(town.city.folder)]
    assert main([*base, "--wait", "0.5"]) == 3
    assert main(["centre", "command", BOX, "no.such", "--city", str(town.city.folder)]) == 2
    assert (
        main(["centre", "command", BOX, "hold.place", "cameras=cam01", "--city", str(town.city.folder)]) == 2
    )
    assert main([*base, "--as", "아무개"]) == 78


def test_the_ring_reaches_every_box(town, box, capsys):
    town.hire(Role.OFFICER, "김OO")
    assert main(["centre", "ring", "push", "--city", str(town.city.folder)]) == 0
    order = box.orders[-1]
    assert order["command"] == "ring.replace"
    assert order["arguments"]["ring"] == rings.text(town.city)


def test_a_look_at_all_boxes(town, box, capsys, monkeypatch):
    """E11: also where no one ever listened before, all of the ledger is had."""
    monkeypatch.setenv("COLUMNS", "100")
    box.write(40)
    box.send_checkpoint()
    box.resends = True
    speaker = Speaker(box)
    base = ["centre", "watch", "--once", "--within", "60", "--city", str(town.city.folder)]
    try:
        assert main(base) == 0
    finally:
        speaker.stop()
    shown = capsys.readouterr().out
    assert "ledger verified: 40 entries" in shown
    assert BOX in shown
    assert "1/2" in shown
    assert (
        main(["centre", "watch", "--once", "--within", "1", "--city", str(town.city.folder), "--json"]) == 3
    )
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (row["box"], row["verified"], row["recording"], row["cameras"]) == (BOX, 40, 1, 2)
    assert not row["heard"]  # what the broker kept says what was
    facts = ["centre", "facts", BOX, "--city", str(town.city.folder)]
    assert main([*facts, "--last", "2", "--json", "--to", "2030-01-01"]) == 0
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [39, 40]
    assert main([*facts, "--checkpoint"]) == 0
    assert capsys.readouterr().out == box.note()
    assert main(["centre", "alarms", "--city", str(town.city.folder)]) == 0
    assert capsys.readouterr().out == ""


def test_h9_who_watched_which_camera_how_often_is_counted_at_the_centre(town, box, capsys, monkeypatch):
    """H9: from the boxes' ledgers, over all of them; what no head stands for yet is said to be so."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    granted = {
        "camera": "cam01",
        "operator": "김관제",
        "purpose": "crime-prevention",
        "minutes": 10,
    }
    for number in range(3):
        box.write(1, "stream.granted", grant=f"g{number}", **granted)
        box.entries[-1]["body"]["kind"] = "order"
        box.write(1, "stream.stopped", grant=f"g{number}", camera="cam01", reason="expired", sent_bytes=500)
    for name, kind in (("other", "order"), ("bell", "trigger")):
        box.write(1, "stream.granted", grant=name, **(granted | {"operator": "이관제"}))
        box.entries[-1]["body"]["kind"] = kind
    watch = Centre(town)
    try:
        box.send_facts()
        box.send_checkpoint(6)
        watch.verified(6)
    finally:
        watch.close()
    asked = [
        "centre",
        "viewings",
        "--city",
        str(town.city.folder),
        "--from",
        "2020-01-01",
        "--to",
        "2040-01-01",
    ]
    assert main([*asked, "--json"]) == 0
    said = capsys.readouterr()
    first, second = map(json.loads, said.out.splitlines())
    assert (first["camera"], first["operator"], first["grants"], first["sent_bytes"]) == (
        f"{BOX} cam01",
        "김관제",
        3,
        1500,
    )
    assert (second["operator"], second["grants"]) == ("이관제", 1)
    assert "2 of the entries" in said.err
    assert main([*asked, "gn-0009"]) == 0
    assert "Nothing was granted" in capsys.readouterr().err
    assert main([*asked, BOX]) == 0
    assert "crime prevention  3  1  30  1500" in capsys.readouterr().out
