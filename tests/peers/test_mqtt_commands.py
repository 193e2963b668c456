"""E1 to E7, E9, E13, E15 over real mosquitto: the city's signed commands, and everything else that could come as one.

One box lives through all of it: keeper and uplink are the real processes. What must not be done is proven by what the
ledger says was done.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from agent.centre import rings
from agent.command import strict
from agent.command.keyring import Role
from tests.broker import Authority, Mosquitto
from tests.lab import wait_for
from tests.living import BOX, Ear, Hand, LiveBox, now_ms, settled
from tests.procedure.keep_scenario import plant
from tests.town import Town

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_MS = 86_400_000


class Scene:
    """A city with its people, a box, and what the box answers."""

    def __init__(self, folder: Any) -> None:
        self.town = Town(folder)
        hired = {
            "kim": Role.OFFICER, "lee": Role.DEPARTMENT, "park": Role.OFFICER, "choi": Role.TECHNICIAN,
            "jung": Role.DEPARTMENT, "victim": Role.OFFICER, "hostile": Role.OFFICER, "late": Role.OFFICER,
            "shin": Role.OFFICER, "yoon": Role.OFFICER, "gong": Role.OFFICER,
        }  # fmt: skip
        self.people = {name: Hand(self.town, role, name) for name, role in hired.items()}
        self.old_ring = rings.text(self.town.city)
        self.people["kang"] = Hand(self.town, Role.OFFICER, "kang")
        # Last: the next edition of the ring leaves out who has lapsed.
        grant = rings.Grant(Role.OFFICER, "han", days=1)
        _, self.lapsed_kid = rings.add_key(self.town.city, self.town.root_key(), grant, now_ms() - 3 * DAY_MS)
        self.box = LiveBox(self.town)
        # What is stored: ten days old.
        plant(self.box, ["cam1"], now_ms() - 10 * DAY_MS, now_ms() - 10 * DAY_MS + 40_000, 1000)
        self.town.start()
        self.ear = Ear(self.town, "reply", "health")

    def sign(self, who: str, *more: Any, **changed: Any) -> tuple[str, str]:
        return self.people[who].sign(*more, **changed)

    def ask(self, who: str, *more: Any, **changed: Any) -> dict[str, Any]:
        """Send, and wait for the last answer."""
        own, text = self.sign(who, *more, **changed)
        self.ear.send(text)
        return self.ear.wait_reply(own, "done", "failed", "refused", "delayed")

    def ask_two(self, first: str, second: str, *more: Any, **changed: Any) -> dict[str, Any]:
        _, inner = self.sign(first, *more, **changed)
        return self.ask(second, "countersign", {"order": inner})

    def refusals(self) -> list[str]:
        return [str(body["code"]) for _, _, body in self.box.facts("command.refused")]

    def done(self) -> list[str]:
        return [str(body["id"]) for _, _, body in self.box.facts("command.accepted")]

    def wait_refused(self, code: str) -> None:
        """Wait until the ledger, or the count of the minute, shows that a code was given."""
        wait_for(code, lambda: code in self.refusals(), 120)

    def restart(self) -> None:
        """Kill keeper and uplink, and start them again."""
        for each in (self.box.uplink, self.box.keep):
            each.kill()
        for each in (self.box.keep, self.box.uplink):
            each.start()
        self.box.wait_up()

    def reconnect(self) -> None:
        """Begin a new uplink, which knows of no pause: this one's may have grown to a minute."""
        self.box.uplink.kill()
        self.box.uplink.start()
        self.box.wait_up()

    def idle(self) -> None:
        """Return when what was sent before has been judged: a command behind it was answered."""
        assert self.ask("park", "inspect")["status"] == "done"

    def end(self) -> None:
        self.ear.close()
        self.box.end()
        self.town.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("scene"))
    with settled(made):
        made.box.begin()
        yield made


def hold(**more: Any) -> dict[str, Any]:
    begin = now_ms() - 10 * DAY_MS
    return {
        "cameras": ["cam1"],
        "from_ms": begin,
        "to_ms": begin + 2000,
        "ground": "investigation",
        "authority": "강릉경찰서 2026-1",
        "review": time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86_400)),
    } | more


def test_e1_a_captured_command_runs_once(scene):
    """E1: now, and after the processes that knew of it were killed."""
    own, text = scene.sign("kim", "inspect")
    scene.ear.send(text)
    assert scene.ear.wait_reply(own)["status"] == "done"
    for _ in range(3):
        scene.ear.send(text)
    scene.idle()
    scene.restart()
    scene.ear.send(text)
    scene.idle()
    assert scene.box.accepted(own) == 1
    assert {reply["code"] for reply in scene.ear.replies(own)} == {"", "COMMAND_REPLAYED"}


def test_e2_a_retained_command_never_runs(scene):
    """E2: it was at the broker before the box had a session there, and comes at each of four connections."""
    scene.box.uplink.kill()
    scene.ear.close()
    scene.town.kill(forget=True)
    scene.town.start()
    scene.ear = Ear(scene.town, "reply", "health")
    own, text = scene.sign("late", "inspect")
    scene.ear.send(text, retain=True)
    try:
        for _ in range(4):
            scene.box.uplink.kill()
            scene.box.uplink.start()
            scene.box.wait_up()
            wait_for("it", lambda: scene.box.uplink_says()["dropped"].get("retained") == 1, 60)
        scene.idle()
    finally:
        scene.ear.send(b"", retain=True)
    assert scene.box.accepted(own) == 0
    assert scene.refusals().count("COMMAND_RETAINED") == 1, "told once, counted then"
    assert scene.box.conditions("uplink")["broker.suspect"] == "retained"


def test_e3_doubles_and_wrong_order_come_right(scene):
    """E3: a hold and its release, the release first, each twice."""
    placed, first = scene.sign("lee", "hold.place", hold())
    _, inner = scene.sign("kim", "hold.release", {"hold": placed, "reason": "끝남"})
    released, second = scene.sign("lee", "countersign", {"order": inner})
    for text in (second, second, first, first):
        scene.ear.send(text)
    assert scene.ear.wait_reply(released, "done", "refused", "failed")["status"] == "done"
    assert scene.ear.wait_reply(placed, "done")["status"] == "done"
    order = [
        str(body["hold"]) for kind, _, body in scene.box.facts() if kind in ("hold.placed", "hold.released")
    ]
    kinds = [kind for kind, _, body in scene.box.facts() if body.get("hold") == placed]
    assert order.count(placed) == 2
    assert [kind for kind in kinds if kind in ("hold.placed", "hold.released")] == [
        "hold.placed",
        "hold.released",
    ]
    scene.idle()
    assert scene.box.accepted(placed) == scene.box.accepted(released) == 1


def test_e3_what_the_broker_lost_is_asked_for_and_runs_in_its_place(scene):
    """E3: a number is missing; the box asks for it, and runs both in order when it comes."""
    missing, first = scene.sign("gong", "hold.place", hold())
    late, second = scene.sign("gong", "inspect")
    scene.ear.send(second)
    asked = scene.ear.wait_reply(late, "waiting")
    assert (asked["code"], asked["detail"]["expects"]) == ("COMMAND_GAP", 1)
    assert scene.box.accepted(late) == 0
    scene.ear.send(first)
    assert scene.ear.wait_reply(late)["status"] == "done"
    done = [own for own in scene.done() if own in (missing, late)]
    assert done == [missing, late]


def test_e4_of_another_box_city_or_epoch_nothing_is_done(scene, tmp_path):
    """E4: valid signatures, for somebody else; a ring of before."""
    before = scene.done()
    elsewhere = Town(tmp_path / "elsewhere")
    stranger = Hand(elsewhere, Role.OFFICER, "kim")
    for text in (
        scene.sign("kang", "inspect", box="gn-0008", counter=1)[1],
        scene.sign("kang", "inspect", city="pohang", counter=1)[1],
        stranger.sign("inspect")[1],
        stranger.sign("inspect", city=scene.town.city.id)[1],
    ):
        scene.ear.send(text)
    for code in ("COMMAND_BOX", "COMMAND_CITY", "COMMAND_KEY"):
        scene.wait_refused(code)
    ring_before = (scene.box.state / "centre" / "ring.jws").read_text()
    reply = scene.ask("kim", "ring.replace", {"ring": scene.old_ring})
    assert reply["code"] == "RING_EPOCH"
    foreign = scene.ask("kim", "ring.replace", {"ring": rings.text(elsewhere.city)})
    assert foreign["status"] in ("refused", "failed")
    assert (scene.box.state / "centre" / "ring.jws").read_text() == ring_before
    own = {reply["id"], foreign["id"]}  # orders of kim's, which then failed
    assert {*scene.done()} - {*before} <= own


def test_e5_expired_and_future_commands_are_refused(scene):
    """E5."""
    past = scene.ask("kim", "inspect", issued_ms=now_ms() - 7_200_000)
    assert (past["status"], past["code"]) == ("refused", "COMMAND_EXPIRED")
    ahead = scene.ask("kim", "inspect", issued_ms=now_ms() + 600_000, expires_ms=now_ms() + 900_000)
    assert (ahead["status"], ahead["code"]) == ("refused", "COMMAND_FUTURE")


def test_e6_one_signature_is_not_two(scene):
    """E6: by one alone, by one twice, by one whose key has lapsed, by a role that may not."""
    placed = scene.ask("shin", "hold.place", hold())
    assert placed["status"] == "done"
    order = {"hold": placed["id"], "reason": "끝남"}
    assert scene.ask("shin", "hold.release", order)["code"] == "COMMAND_SECOND"
    assert scene.ask_two("shin", "choi", "hold.release", order)["code"] == "COMMAND_ROLE"
    # The number of the order within is the later one: else the box would wait for the other to come by itself.
    _, inner = scene.sign("yoon", "hold.release", order, counter=2)
    assert scene.ask("yoon", "countersign", {"order": inner}, counter=1)["code"] == "COMMAND_SAME_SIGNER"
    lapsed = object.__new__(Hand)
    lapsed.town, lapsed.box, lapsed.counter = scene.town, BOX, 0
    entry = next(key for key in rings.newest(scene.town.city).keys if key.kid == scene.lapsed_kid)
    lapsed.signer = rings.signer(scene.town.city, entry, lambda path: pytest.fail(f"{path} is locked"))
    scene.people["han"] = lapsed
    assert scene.ask_two("shin", "han", "hold.release", order)["code"] == "COMMAND_LAPSED"
    assert not any(body["hold"] == placed["id"] for _, _, body in scene.box.facts("hold.released"))


def test_e5_while_the_time_is_not_trusted_only_a_fresh_challenge_counts(tmp_path):
    """E5: a box whose clock nobody has confirmed."""
    town = Town(tmp_path)
    hand = Hand(town, Role.OFFICER, "kim")
    box = LiveBox(town)
    town.start()
    ear = Ear(town, "reply", "health")
    with settled(town, box, ear):
        box.begin(trusted=False)
        own, text = hand.sign("inspect")
        ear.send(text)
        assert ear.wait_reply(own)["code"] == "COMMAND_CHALLENGE"
        own, text = hand.sign("inspect", challenge="ab" * 16)
        ear.send(text)
        assert ear.wait_reply(own)["code"] == "COMMAND_CHALLENGE"
        wait_for("a challenge", lambda: [said for said in ear.hear() if said.get("challenge")], 60)
        fresh = [said["challenge"] for said in ear.hear() if said.get("challenge")][-1]
        own, text = hand.sign("inspect", challenge=fresh)
        ear.send(text)
        assert ear.wait_reply(own)["status"] == "done"
        assert len(box.facts("command.accepted")) == 1


def raw(hand: Hand, payload: bytes, header: bytes | None = None) -> str:
    """Sign bytes that are no command, under a key that is obeyed."""
    kid = hand.signer.key.kid
    head = (
        header
        or json.dumps({"alg": "EdDSA", "kid": kid, "typ": "pasu-command+jws"}, separators=(",", ":")).encode()
    )
    signed = f"{strict.base64url(head)}.{strict.base64url(payload)}"
    return f"{signed}.{strict.base64url(hand.signer.private.sign(signed.encode()))}"


def test_e9_what_is_signed_and_no_command_is_refused(scene):
    """E9: by a key that is obeyed: deep, doubled, NaN, floats, no UTF-8, no object; nothing stops."""
    hand = scene.people["hostile"]
    base = {
        "v": 1, "city": scene.town.city.id, "box": BOX, "id": "f" * 32, "counter": 1, "issued_ms": now_ms(),
        "expires_ms": now_ms() + 60_000, "role": "officer", "command": "inspect", "arguments": {},
    }  # fmt: skip
    good = json.dumps(base)[1:-1]
    payloads = [
        b"{" + good.encode() + b',"box":"gn-0007"}',
        b"{" + good.encode().replace(b'"counter": 1', b'"counter": NaN') + b"}",
        b"{" + good.encode().replace(b'"counter": 1', b'"counter": 1.0') + b"}",
        b"{" + good.encode().replace(b'"counter": 1', b'"counter": 1e400') + b"}",
        b"{" + good.encode().replace(b'"arguments": {}', b'"arguments": ' + b'{"a":' * 9000 + b"1" + b"}" * 9000) + b"}",
        b"{" + good.encode().replace(b'"arguments": {}', b'"arguments": ' + b"[" * 20_000 + b"]" * 20_000) + b"}",
        b"{" + good.encode() + b',"role":"\xff\xfe"}',
        b"{" + good.encode().replace(b"officer", b"\\ud800") + b"}",
        b"{" + good.encode() + b',"more":1}',
        b"[]", b"null", b"0" * 40_000, b"", b"\x00" * 1000, b"9" * 30_000,
    ]  # fmt: skip
    keep, uplink = scene.box.keep.pid, scene.box.uplink.pid
    before = scene.done()
    for number, payload in enumerate(payloads):
        scene.ear.send(raw(hand, payload))
        if number % 5 == 4:
            time.sleep(1)  # a box takes ten a second
    for header in (b'{"alg":"none","kid":"0000000000000000","typ":"pasu-command+jws"}', b"{}", b"[]"):
        scene.ear.send(raw(hand, json.dumps(base).encode(), header))
    for garbage in (b"\xff" * 100, b"{}", b"a" * 60_000, b"..", b"a.b.c"):
        scene.ear.send(garbage)
    time.sleep(1)
    scene.idle()
    assert (scene.box.keep.pid, scene.box.uplink.pid) == (keep, uplink)
    assert scene.box.keep.alive()
    assert scene.box.uplink.alive()
    assert len(scene.done()) == len(before) + 1, "the one behind it all"


def test_e9_a_large_message_is_not_even_received(scene):
    """E9: 400 KiB, as much as the city's broker takes; a larger one it refuses by itself."""
    received = scene.box.uplink_says()["received_bytes"]
    scene.ear.send(b"A" * (400 << 10))
    scene.idle()
    assert scene.box.uplink_says()["received_bytes"] - received < 64 << 10


def test_e15_what_would_let_much_go_needs_two_and_a_day(scene):
    """E15: a shorter retention, through the wire; seen at the centre, and given up by one."""
    text = scene.box.config.read_text().replace("segment_s", "retention_days = 5\nsegment_s", 1)
    order = {"toml": text, "consultation": "협의 2026-11"}
    assert scene.ask("kim", "config.propose", order)["code"] == "COMMAND_SECOND"
    reply = scene.ask_two("kim", "lee", "config.propose", order)
    assert reply["status"] == "delayed", reply
    assert 23 * 3_600_000 < reply["detail"]["due_ms"] - now_ms() <= DAY_MS
    assert scene.box.config.read_text() != text

    def shown(*, there: bool) -> bool:
        healths = [said for said in scene.ear.hear() if "cameras" in said and "conditions" in said]
        return (
            any(row[0] == "command.delayed" for row in healths[-1]["conditions"]) is there
            if healths
            else False
        )

    wait_for("it at the centre", lambda: shown(there=True), 90)
    assert scene.ask("jung", "command.cancel", {"id": reply["id"]})["status"] == "done"
    wait_for("it gone from the centre", lambda: shown(there=False), 90)
    assert "retention_days" not in scene.box.config.read_text()
    assert not any(state == "GONE" for (state,) in scene.box.rows("select state from segment"))


def test_e13_a_certificate_is_renewed_beside_a_running_uplink_and_nothing_is_lost(scene):
    """E13: renewing waits for nobody, and the next connection comes about with it."""
    certificate = scene.box.state / "uplink" / "box.pem"
    old = certificate.read_bytes()
    scene.box.enrol(days=60)  # beside an uplink that runs
    assert certificate.read_bytes() != old
    uplink = scene.box.uplink.pid
    scene.ear.close()
    scene.town.kill()
    scene.box.write(20)
    wait_for("the end", lambda: scene.box.uplink_says().get("connected") is False, 60)
    scene.town.start()
    scene.ear = Ear(scene.town, "reply", "health")
    scene.box.wait_up()
    assert scene.box.uplink.pid == uplink
    scene.idle()
    # All but the ordinary ones of the last minute.
    wait_for("the backlog", lambda: scene.box.uplink_says().get("backlog", 99) < 5, 120)


def test_e7_a_broker_that_was_taken_over_commands_nothing(scene):
    """E7: the real broker obeys somebody else: it replays, forges, edits, keeps back and invents. It cannot command."""
    captured, text = scene.sign("kim", "inspect")
    scene.ear.send(text)
    assert scene.ear.wait_reply(captured)["status"] == "done"
    ring, config = (scene.box.state / "centre" / "ring.jws").read_text(), scene.box.config.read_text()
    before = scene.done()
    scene.ear.close()
    scene.town.kill()
    for name in ("boxes.acl", "centre.acl"):
        # What the programs at the centre may do, everybody may do now.
        with (scene.town.broker_folder / name).open("a") as file:
            file.write("topic readwrite #\nuser centre\ntopic readwrite #\n")
    wait_for("the end", lambda: scene.box.uplink_says().get("connected") is False, 60)
    scene.town._run()
    evil = Ear(scene.town, "reply", "health")
    scene.reconnect()
    try:
        victim = scene.people["victim"]
        _, wanted = victim.sign("lockdown", {"on": True})
        head, body, signature = wanted.split(".")
        forged = strict.base64url(os.urandom(64))
        flipped = signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")
        edited = strict.base64url(json.dumps({"v": 1, "box": BOX, "city": scene.town.city.id}).encode())
        attacks: list[bytes] = [
            text.encode(),
            text.encode(),
            f"{head}.{body}.{flipped}".encode(),
            f"{head}.{edited}.{signature}".encode(),
            f"{head}.{body}.{forged}".encode(),
            b'{"command":"lockdown"}',
            b"\xff\x00 not even text",
            b"x" * 70_000,
        ]
        for attack in attacks:
            evil.send(attack)
        evil.send(text, retain=True)
        evil.send(b"", retain=True)
        # It speaks in the box's own name too; the box does not listen to itself.
        evil.client.publish(f"pasu/v1/{BOX}/reply", b'{"v":1,"id":"x"}')
        wait_for("the suspicion", lambda: "broker.suspect" in scene.box.conditions("uplink"), 60)
        wait_for("the forgeries' refusal", lambda: scene.box.said("keep")["orders"]["waiting"] == 0, 60)
        time.sleep(2)
        assert scene.done() == before
        assert not (scene.box.state / "centre" / "lockdown").exists()
        assert (scene.box.state / "centre" / "ring.jws").read_text() == ring
        assert scene.box.config.read_text() == config
        assert scene.box.keep.alive()
        assert scene.box.uplink.alive()
    finally:
        evil.close()
        scene.town.kill()
        scene.town.start()
        scene.ear = Ear(scene.town, "reply", "health")
        scene.reconnect()
    scene.idle()  # whom the attack did not name goes on as before


def test_e7_a_broker_of_another_authority_hears_nothing(scene, tmp_path):
    """E7: at the same address, with a certificate that looks right and is signed by somebody else."""
    scene.ear.close()
    scene.town.kill()
    wait_for("the end", lambda: scene.box.uplink_says().get("connected") is False, 60)
    before = scene.box.uplink_says()["received_bytes"], scene.box.uplink_says()["sent_bytes"]
    rogue = Mosquitto(tmp_path / "rogue", Authority(tmp_path / "other"), port=scene.town.port)
    try:
        wait_for(
            "the suspicion", lambda: "verify" in scene.box.uplink_says().get("reason", "")
            or "certificate" in scene.box.uplink_says().get("reason", ""), 90,
        )  # fmt: skip
        assert "broker.suspect" in scene.box.conditions("uplink")
        assert (scene.box.uplink_says()["received_bytes"], scene.box.uplink_says()["sent_bytes"]) == before
    finally:
        rogue.stop()
        scene.town.start()
        scene.ear = Ear(scene.town, "reply", "health")
    scene.reconnect()
    scene.idle()
