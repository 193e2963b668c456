"""E7: the city's own broker, taken over, speaks in a box's name. What the centre knows of the box stays the box's word."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from agent.centre import registry
from agent.centre.sender import fresh_challenge
from agent.centre.wire import Wire as CentreWire
from agent.enrolment import box as enrolled
from agent.enrolment import form
from agent.model import Trust
from agent.storage.files import Disk
from agent.uplink import payloads
from agent.uplink.seal import Seal
from tests.centre_scene import Centre
from tests.town import FakeBox, Town, configured, no_passphrase, wait_until
from tests.uplink_box import Wire

BOX, OTHER = "gn-0001", "gn-0002"
TOPIC = f"pasu/v1/{BOX}"
BAD = [["camera.lost", "cam02", 5]]


@pytest.fixture
def town(tmp_path):
    """A city whose broker lets one program say anything in anybody's name."""
    town = Town(tmp_path)
    town.enrol(BOX)
    town.enrol(OTHER)
    town.start()
    town.kill()
    for name in ("boxes.acl", "centre.acl"):
        with (town.broker_folder / name).open("a") as file:
            file.write("\nuser centre\ntopic readwrite #\n")
    town._run()
    yield town
    town.stop()


class Rogue:
    """Hears everything of a box, keeps it, and says what it likes."""

    def __init__(self, town: Town) -> None:
        self.client = town.connect("centre", client_id="rogue", topics=(f"{TOPIC}/#",))
        self.kept: list[tuple[str, bytes]] = []

    def hear(self, part: str, count: int) -> list[bytes]:
        """Wait until so many of a kind came; return all of the kind."""

        def came() -> bool:
            while not self.client.heard.empty():
                message = self.client.heard.get()
                self.kept.append((message.topic.removeprefix(f"{TOPIC}/"), message.payload))
            return len([1 for kind, _ in self.kept if kind == part]) >= count

        wait_until(came, f"{count} of {part}, not {[kind for kind, _ in self.kept]}")
        return [data for kind, data in self.kept if kind == part]

    def say(self, part: str, data: bytes, **more) -> None:
        assert self.client.publish(f"{TOPIC}/{part}", data, **more)


@pytest.fixture
def rogue(town):
    rogue = Rogue(town)
    yield rogue
    rogue.client.close()


def passed(centre: Centre, box: FakeBox) -> None:
    """See to it that the centre has handled all that was sent until now."""
    box.write(1)
    box.send_facts(len(box.entries))
    centre.until(lambda: centre.row().size == len(box.entries), "the marker")


def known(centre: Centre) -> tuple:
    standing = centre.row().standing
    return (
        standing.online, standing.trust, standing.challenge, standing.version, standing.backlog,
        standing.conditions, standing.cameras, standing.vaults, centre.row().alarms,
    )  # fmt: skip


def forgeries(town: Town, part: str, real: bytes) -> list[bytes]:
    """What can be made of a real report without the box's key."""
    body = payloads.read(real)
    plain = {key: value for key, value in body.items() if key != "sig"}
    newer = plain | {"session": "ffffffffffff", "n": 10**6, "connection": 10**6, "online": False}
    newer |= {"conditions": [], "versions": {"pasu": "9.9"}, "trust": "UNTRUSTED", "challenge": "66" * 16}
    text = payloads.dump(newer).encode()
    other = Seal((town.boxes[OTHER] / "uplink" / "box.key").read_bytes())
    return [
        text,
        text[:-1] + real[-96:],
        payloads.dump(newer | {"sig": body["sig"]}).encode(),
        other.put(f"{TOPIC}/{part}", text),
        other.put(f"pasu/v1/{OTHER}/{part}", text),
        real.replace(b'"box"', b'"bux"'),
        payloads.pack("x" * 1000),
        b"",
    ]


def test_e7_a_rogue_brokers_word_for_a_box_changes_nothing(town, box, centre, rogue):
    """E7: forged births, states and healths are told of as the broker's doing, and nothing is known from them."""
    box.send_birth()
    box.send_health(conditions=BAD)
    centre.until(lambda: centre.row().standing.told_s is not None and centre.row().standing.version)
    before = known(centre)
    assert before[0] is True
    reals = {part: rogue.hear(part, 1)[0] for part in ("birth", "state", "health")}
    for part, real in reals.items():
        for number, forged in enumerate(forgeries(town, part, real)):
            rogue.say(part, forged, retain=bool(number % 2))
        for kind in reals.keys() - {part}:
            rogue.say(kind, real)
    passed(centre, box)
    assert known(centre) == before
    assert set(centre.found) == {(BOX, "forged")}
    wire = CentreWire(town.city, "centre-command-x", [f"{TOPIC}/birth", f"{TOPIC}/health"], keep=False)
    try:
        wire.open(30)
        rogue.say("health", forgeries(town, "health", reals["health"])[0])
        assert fresh_challenge(wire, BOX, 2) is None  # what the broker keeps by now is not the box's
    finally:
        wire.close()


@pytest.mark.parametrize("again", [False, True], ids=["while it runs", "after a restart"])
def test_e7_a_box_that_is_gone_is_not_kept_alive(town, box, rogue, again):
    """E7: what it said when it was there, shown again, is no sign of life; also to a centre that begins anew."""
    centre = Centre(town)
    try:
        box.send_birth()
        for _ in range(3):
            box.send_health()
        healths = rogue.hear("health", 3)
        centre.until(lambda: centre.watch._boxes[BOX].newest_said.health == box.said)
        if again:
            centre.close()
            centre = Centre(town)
        centre.clock.ahead_s += 61
        centre.alarmed("silent")
        reports = [("health", data) for data in healths]
        reports += [(part, rogue.hear(part, 1)[0]) for part in ("birth", "state")]
        for part, data in reports:
            rogue.say(part, data)
        passed(centre, box)
        assert centre.row().standing.silent
        assert set(centre.found) - {(OTHER, "silent")} == {(BOX, "silent"), (BOX, "stale")}
        box.send_health()
        centre.alarmed("back")
    finally:
        centre.close()


def test_e7_an_older_life_of_a_box_is_not_shown_for_the_present_one(town, box, centre, rogue):
    """E7: birth, health and will of an earlier session change nothing; one of this connection, until it speaks again."""
    box.send_birth(versions={"pasu": "0.0.9"})
    box.send_health()
    rogue.hear("health", 1)
    rogue.hear("birth", 1)
    old_will = box.written("state", box.place() | {"v": 1, "box": BOX, "online": False})
    box.session, box.said = box.session + 1, 0
    own_will = box.written("state", box.place() | {"v": 1, "box": BOX, "online": False})
    box.send_state()
    box.send_birth()
    box.send_health(conditions=BAD)
    centre.until(lambda: centre.row().standing.conditions)
    before = known(centre)
    rogue.kept += [("state", old_will)]
    for part, data in rogue.kept[:]:
        rogue.say(part, data, retain=True)
    passed(centre, box)
    assert known(centre) == before
    rogue.say("state", own_will)
    centre.until(lambda: centre.row().standing.online is False)
    box.send_health(conditions=BAD)
    centre.until(lambda: centre.row().standing.online is True)
    rogue.say("state", own_will, retain=True)
    box.connections += 1
    box.send_state()
    rogue.say("state", own_will)
    passed(centre, box)
    assert known(centre) == before
    assert centre.found == []


def test_e7_an_old_checkpoint_shown_again_is_no_roll_back_and_a_roll_back_is_one(town, box, centre, rogue):
    """E7, H6: the box signs when its head was signed; who carries it cannot make an old one new."""
    box.write(300)
    box.send_facts()
    box.send_checkpoint(200, at_ms=10)
    box.send_checkpoint(300, at_ms=20)
    centre.verified(300)
    old = rogue.hear("checkpoint", 2)[0]
    rogue.say("checkpoint", old, retain=True)
    passed(centre, box)
    assert centre.found == []
    rogue.say("checkpoint", old.replace(b'"at_ms":10', b'"at_ms":30'))
    centre.alarmed("forged")
    inspection = {"at_ms": 30, "7_measures": {"ledger": {"id": box.ledger, "checkpoint": box.note(200)}}}
    reply = {"id": "ab" * 16, "status": "done", "detail": {"inspection": inspection}}
    rogue.say("reply", payloads.dump(reply).encode())
    passed(centre, box)
    assert (BOX, "rolled_back") not in centre.found
    box.send_checkpoint(250, at_ms=30)
    centre.alarmed("rolled_back")


def test_a_renewed_key_signs_and_the_one_before_until_then(town, box, centre):
    """E13: the centre knows a new key before the box has it, and takes it at once."""
    config = configured(town.folder / "boxes" / BOX, BOX)

    def renew() -> str:
        asked = enrolled.request(config, Disk(), time.time_ns() // 1_000_000, new_key=True)
        return registry.enrol(town.city, asked, 90, datetime.now(UTC), no_passphrase)

    first = Seal((town.boxes[BOX] / "uplink" / "box.key").read_bytes())
    for number in range(1, 3):
        bundle = renew()
        assert len(registry.known_box(town.city, BOX).report_keys) == 2
        box.send_health(backlog=10 * number)
        centre.until(lambda number=number: centre.row().standing.backlog == 10 * number)
        enrolled.accept(config, form.read_bundle(bundle.encode()), Disk())
        box.send_health(backlog=10 * number + 1)
        centre.until(lambda number=number: centre.row().standing.backlog == 10 * number + 1)
    assert centre.found == []
    body = payloads.dump({"v": 1, "box": BOX, **box.place()}).encode()
    assert box.client.publish(f"{TOPIC}/health", first.put(f"{TOPIC}/health", body))
    centre.alarmed("forged")


class Enrolled:
    """What a box of a town shows its broker, as `Wire` wants it."""

    def __init__(self, town: Town) -> None:
        self._folder = town.boxes[BOX] / "uplink"
        self.file = self._folder / "ca.pem"

    def issue(self, *_, **__):
        return self._folder / "box.pem", self._folder / "box.key"


def test_e7_what_the_real_uplink_says_is_believed_and_what_is_made_of_it_is_not(town, centre, rogue):
    """E7: the code that a box runs, with its will, over a broker that was taken over."""
    wire = Wire(None, BOX, authority=Enrolled(town), port=town.port)
    wire.memory.conditions = [("camera.lost", "cam02", 5)]

    def until(true, what: str) -> None:
        centre.until(lambda: [wire.turn(), true()][1], what)

    until(lambda: centre.row().standing.told_s is not None, "its health")
    until(lambda: centre.row().standing.online, "its state")
    before = known(centre)
    for part in ("birth", "state", "health"):
        for forged in forgeries(town, part, rogue.hear(part, 1)[0]):
            rogue.say(part, forged, retain=True)
    until(lambda: (BOX, "forged") in centre.found, "the alarm")
    assert known(centre) == before
    wire.memory.trust = Trust.HOLDOVER
    wire.ahead_s += 31
    until(lambda: centre.row().standing.trust == "HOLDOVER", "the next health")
    wire.post._session._pipe._connection.close()
    until(lambda: centre.row().standing.online is False, "the will, which the broker says for it")
    wire.ahead_s += 61
    until(lambda: centre.row().standing.online is True, "that it is back")
    assert set(centre.found) == {(BOX, "forged")}
    assert centre.row().alarms == 0
    wire.stop()
    until(lambda: centre.row().standing.online is False, "its goodbye")
