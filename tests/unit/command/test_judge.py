from dataclasses import replace
from typing import Any

import pytest

from agent.command import jws, keyring, order
from agent.command.counters import Counter, Take, after
from agent.command.errors import CommandRefused
from agent.command.judge import Accept, Refuse, Wait, Weight, World, before_second, judge, still_allowed
from agent.command.keyring import Role
from agent.command.order import Order
from agent.model import UTC_DAY_MS, Instant, Trust
from tests.city import BOX, NOW_MS, City, Signer, private

CHALLENGE = "ab" * 16
PLACE = {
    "cameras": ["cam01"],
    "from_ms": NOW_MS - 3_600_000,
    "to_ms": NOW_MS,
    "ground": "investigation",
    "authority": "강릉경찰서 2026-1234",
    "review": "2027-02-01",
}
RELEASE = {"hold": "h1", "reason": "수사 종결"}


@pytest.fixture
def city() -> City:
    city = City()
    city.staff()
    return city


def light(_: Order) -> Weight:
    return Weight()


def world(city: City, **more: Any) -> World:
    ring = keyring.parse(city.ring(), city.root)
    values = {
        "box": BOX,
        "ring": ring,
        "counters": {},
        "now": Instant(NOW_MS, Trust.SYNCED),
        "floor_ms": NOW_MS - UTC_DAY_MS,
        "challenges": frozenset({CHALLENGE}),
    }
    return World(**(values | more))


def second(city: City, signer: str, inner: str, **more: Any) -> str:
    return city.order(signer, "countersign", {"order": inner}, **more)


def refused(text: str, where: World, **more: Any) -> Refuse:
    verdict = judge(text, where, more.pop("weigh", light), **more)
    assert isinstance(verdict, Refuse), verdict
    return verdict


def accepted(text: str, where: World, **more: Any) -> Accept:
    verdict = judge(text, where, more.pop("weigh", light), **more)
    assert isinstance(verdict, Accept), verdict
    return verdict


def test_an_order_is_read_and_accepted(city: City) -> None:
    text = city.order("officer 1", "hold.place", PLACE)
    verdict = accepted(text, world(city))
    wanted = verdict.order
    kid = city.signers["officer 1"].kid
    assert verdict.takes == (Take(kid, 1),)
    assert not verdict.delayed
    assert (wanted.id, wanted.command, wanted.arguments) == (f"{1:032x}", "hold.place", PLACE)
    assert wanted.by == f"officer 1 ({kid})"
    assert wanted.body() == {
        "id": wanted.id,
        "order": wanted.id,
        "command": "hold.place",
        "counter": 1,
        "kid": kid,
        "holder": "officer 1",
        "role": "officer",
        "seconds": [],
        "arguments": PLACE,
    }


def test_long_arguments_are_told_by_their_hash(city: City) -> None:
    wanted = accepted(city.order("officer 1", "ring.replace", {"ring": "a.b.c"}), world(city)).order
    told = wanted.body()["arguments"]["ring"]
    assert told.keys() == {"sha256"}


def test_an_accepted_order_comes_back_from_what_is_written_down(city: City) -> None:
    inner = city.order("officer 1", "hold.release", RELEASE)
    for text in (city.order("officer 2", "hold.place", PLACE), second(city, "department 1", inner)):
        wanted = accepted(text, world(city)).order
        signers = [keyring.encode_key(key) for key in wanted.signers]
        assert order.restore(wanted.id, wanted.jws, signers) == wanted
        with pytest.raises(ValueError, match="RING_CONTENT"):
            order.restore(wanted.id, wanted.jws, [{}])


def test_e2_what_the_broker_kept_is_dropped(city: City) -> None:
    text = city.order("officer 1", "hold.place", PLACE)
    assert refused(text, world(city), retained=True) == Refuse("COMMAND_RETAINED")


@pytest.mark.parametrize("text", ["", "a.b.c", "x" * (jws.MOST_BYTES + 1), "é"])
def test_garbage_gets_no_answer(city: City, text: str) -> None:
    verdict = refused(text, world(city))
    assert verdict.code in ("JWS_MALFORMED", "JWS_LARGE")
    assert (verdict.id, verdict.kid, verdict.takes) == ("", "", ())


def test_e4_for_another_box_or_city_is_refused_and_not_answered(city: City) -> None:
    officer = city.signers["officer 1"]
    for wrong, code in (({"box": "gn-0008"}, "COMMAND_BOX"), ({"city": "sokcho"}, "COMMAND_CITY")):
        verdict = refused(city.order(officer, "inspect", {}, **wrong), world(city))
        assert (verdict.code, verdict.id, verdict.takes) == (code, "", ())
    ring_as_command = city.ring()
    assert refused(ring_as_command, world(city)).code == "JWS_TYPE"
    other = City("sokcho")
    other.staff()
    assert refused(other.order("officer 1", "inspect", {}), world(city)).code == "COMMAND_CITY"
    # Signed by the other city's officer, though it says ours: no key of the ring.
    text = other.order("officer 1", "inspect", {}, city="gangneung")
    assert refused(text, world(city)).code == "COMMAND_KEY"


def test_an_unknown_key_is_answered(city: City) -> None:
    stranger = Signer("stranger", Role.OFFICER, private("stranger"))
    verdict = refused(city.order(stranger, "inspect", {}, id="c" * 32), world(city))
    assert (verdict.code, verdict.id, verdict.command, verdict.kid) == (
        "COMMAND_KEY",
        "c" * 32,
        "inspect",
        "",
    )
    strange = refused(city.order(stranger, "made.up", {}, id="nothing"), world(city))
    assert (strange.id, strange.command) == ("", "")


def test_e7_a_forged_signature_is_told_apart(city: City) -> None:
    officer, other = city.signers["officer 1"], city.signers["operator 1"]
    forged = jws.sign(city.body(officer, "inspect", {}), other.key, other.kid, order.TYP)
    # An operator that says it is an officer is refused by the role of its key.
    assert refused(forged, world(city)).code == "COMMAND_ROLE"
    head, _, signature = city.order(officer, "inspect", {}).split(".")
    body = city.order(officer, "lockdown", {"on": True}).split(".")[1]
    verdict = refused(f"{head}.{body}.{signature}", world(city))
    assert (verdict.code, verdict.forged, verdict.kid, verdict.takes) == (
        "JWS_SIGNATURE",
        True,
        officer.kid,
        (),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"v": 2},
        {"v": True},
        {"more": 1},
        {"counter": 0},
        {"counter": "1"},
        {"issued_ms": -1, "expires_ms": 5},
        {"expires_ms": "x"},
        {"id": "ABC"},
        {"role": "mayor"},
        {"role": ["officer"]},
        {"challenge": 7},
        {"command": 3},
        {"command": ""},
    ],
)
def test_members_that_are_not_what_they_should_be(city: City, wrong: dict[str, Any]) -> None:
    assert refused(city.order("officer 1", "inspect", {}, **wrong), world(city)).code == "COMMAND_MEMBERS"


def test_arguments_are_an_object(city: City) -> None:
    assert refused(city.order("officer 1", "inspect", []), world(city)).code == "COMMAND_MEMBERS"  # type: ignore[arg-type]


def test_table_2_12_a_revoked_key_is_not_obeyed(city: City) -> None:
    officer = city.signers["officer 1"]
    city.revoked = [officer.kid]
    verdict = refused(city.order(officer, "inspect", {}), world(city))
    assert (verdict.code, verdict.id != "") == ("COMMAND_REVOKED", True)


def test_art_12_an_expired_key_is_refused_to_the_millisecond(city: City) -> None:
    technician = city.signers["technician 1"]
    until_ms = NOW_MS + 29 * UTC_DAY_MS  # it counts since a day ago
    for now_ms, fine in ((until_ms - 1, True), (until_ms, False)):
        text = city.order(technician, "inspect", {}, issued_ms=now_ms - 1000, counter=1)
        verdict = judge(text, world(city, now=Instant(now_ms, Trust.HOLDOVER)), light)
        assert isinstance(verdict, Accept) is fine
    late = city.add("operator 9", Role.OPERATOR, from_ms=NOW_MS + 1)
    assert refused(city.order(late, "inspect", {}), world(city)).code == "COMMAND_LAPSED"


def test_a_key_for_other_boxes(city: City) -> None:
    other = city.add("operator 9", Role.OPERATOR, boxes=["gn-0008"])
    assert refused(city.order(other, "inspect", {}), world(city)).code == "COMMAND_KEY_BOX"


def test_e1_e3_each_number_once(city: City) -> None:
    kid = city.signers["officer 1"].kid
    text = city.order("officer 1", "inspect", {})
    first = accepted(text, world(city))
    used = after({}, first.takes)
    verdict = refused(text, world(city, counters=used))
    assert (verdict.code, verdict.takes) == ("COMMAND_REPLAYED", ())
    assert used == {kid: Counter(1)}


def test_e3_what_comes_too_early_waits_then_asks_then_goes_on(city: City) -> None:
    kid = city.signers["officer 1"].kid
    city.signers["officer 1"].counters[BOX] = 1
    text = city.order("officer 1", "inspect", {})
    for waited_s, ask in ((0.0, False), (7.9, False), (8.0, True), (59.9, True)):
        verdict = judge(text, world(city), light, waited_s=waited_s)
        assert verdict == Wait(f"{1:032x}", "inspect", kid, 2, 1, ask)
    verdict = accepted(text, world(city), waited_s=60.0)
    used = after({}, verdict.takes)
    assert used == {kid: Counter(2, (1,))}
    late = city.order("officer 1", "inspect", {}, counter=1)
    assert refused(late, world(city, counters=used)).code == "COMMAND_REPLAYED"


def test_safety_standard_5_6_what_is_forged_under_a_shut_key_is_not_answered_and_what_is_signed_is_heard(
    city: City,
) -> None:
    kid = city.signers["officer 1"].kid
    shut = world(city, shut=frozenset({kid}))
    text = city.order("officer 1", "inspect", {}, counter=1)
    forged = f"{text.rpartition('.')[0]}.{'A' * 86}"
    verdict = refused(forged, shut)
    assert (verdict.code, verdict.id, verdict.takes, verdict.forged) == ("COMMAND_SHUT", "", (), True)
    assert refused(forged, world(city)).code == "JWS_SIGNATURE"
    accepted(text, shut)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"issued_ms": NOW_MS + 120_001}, "COMMAND_FUTURE"),
        ({"issued_ms": NOW_MS - 10_000, "expires_ms": NOW_MS}, "COMMAND_EXPIRED"),
        ({"issued_ms": NOW_MS, "expires_ms": NOW_MS}, "COMMAND_LIFETIME"),
        ({"issued_ms": NOW_MS, "expires_ms": NOW_MS + UTC_DAY_MS + 1}, "COMMAND_LIFETIME"),
        ({"challenge": "cd" * 16}, "COMMAND_CHALLENGE"),
    ],
)
def test_e5_its_time(city: City, more: dict[str, Any], code: str) -> None:
    verdict = refused(city.order("officer 1", "inspect", {}, **more), world(city))
    assert (verdict.code, len(verdict.takes)) == (code, 1)


def test_e5_the_edges_of_its_time(city: City) -> None:
    for more in (
        {"issued_ms": NOW_MS + 120_000},
        {"issued_ms": NOW_MS - 10_000, "expires_ms": NOW_MS + 1},
        {"issued_ms": NOW_MS, "expires_ms": NOW_MS + UTC_DAY_MS},
        {"challenge": CHALLENGE},
    ):
        accepted(city.order("officer 1", "inspect", {}, counter=1, **more), world(city))


def test_e5_with_an_untrusted_clock_only_what_bears_the_challenge(city: City) -> None:
    lost = world(city, now=Instant(0, Trust.UNTRUSTED))
    assert refused(city.order("officer 1", "inspect", {}, counter=1), lost).code == "COMMAND_CHALLENGE"
    accepted(city.order("officer 1", "inspect", {}, counter=1, challenge=CHALLENGE), lost)
    stale = city.order("officer 1", "inspect", {}, counter=1, challenge="cd" * 16)
    assert refused(stale, lost).code == "COMMAND_CHALLENGE"


def test_e5_a_key_that_had_ended_by_the_last_known_time_ends_for_good(city: City) -> None:
    technician = city.signers["technician 1"]
    ended_ms = NOW_MS + 30 * UTC_DAY_MS
    lost = world(city, now=Instant(0, Trust.UNTRUSTED), floor_ms=ended_ms)
    honest = city.order(technician, "inspect", {}, counter=1, challenge=CHALLENGE, issued_ms=ended_ms)
    assert refused(honest, lost).code == "COMMAND_LAPSED"
    backdated = city.order(
        technician, "inspect", {}, counter=1, challenge=CHALLENGE, issued_ms=ended_ms - 120_001
    )
    assert refused(backdated, lost).code == "COMMAND_EXPIRED"


def test_e1_numbers_that_were_lost_need_the_challenge_once(city: City) -> None:
    kid = city.signers["officer 1"].kid
    lost = world(city, forgotten=True)
    verdict = refused(city.order("officer 1", "inspect", {}, counter=1), lost)
    # Not used up: else those between it and what was really used would seem to be new.
    assert (verdict.code, verdict.takes) == ("COMMAND_CHALLENGE", ())
    accepted(city.order("officer 1", "inspect", {}, counter=1, challenge=CHALLENGE), lost)
    inner = city.order("officer 1", "hold.release", RELEASE, counter=1)
    around = second(city, "officer 2", inner, counter=1, challenge=CHALLENGE)
    assert refused(around, lost).code == "COMMAND_CHALLENGE"
    known = replace(lost, counters={kid: Counter(1)})
    accepted(city.order("officer 1", "inspect", {}, counter=2), known)


def test_time_is_confirmed_with_the_challenge_only(city: City) -> None:
    service = city.signers["service 1"]
    text = city.order(service, "time.confirm", {"utc_ms": NOW_MS}, counter=1)
    assert refused(text, world(city)).code == "COMMAND_CHALLENGE"
    accepted(
        city.order(service, "time.confirm", {"utc_ms": NOW_MS}, counter=1, challenge=CHALLENGE), world(city)
    )


def test_what_is_asked_for(city: City) -> None:
    assert refused(city.order("officer 1", "made.up", {}, counter=1), world(city)).code == "COMMAND_UNKNOWN"
    verdict = refused(city.order("operator 1", "hold.place", PLACE, counter=1), world(city))
    assert (verdict.code, verdict.reason) == ("COMMAND_ROLE", "hold.place")
    verdict = refused(city.order("officer 1", "inspect", {"deep": 1}, counter=1), world(city))
    assert (verdict.code, verdict.reason) == ("COMMAND_ARGUMENT", "unknown")


def test_table_2_12_keys_see_their_cameras_only(city: City) -> None:
    some = city.add("operator 9", Role.OPERATOR, cameras=["cam02"])
    ask = {"camera": "cam01", "from_ms": 0, "to_ms": 10}
    assert refused(city.order(some, "segments.locate", ask, counter=1), world(city)).code == "COMMAND_CAMERA"
    accepted(city.order(some, "segments.locate", ask | {"camera": "cam02"}, counter=1), world(city))
    part = city.add("officer 9", Role.OFFICER, cameras=["cam01", "cam02"])
    accepted(city.order(part, "hold.place", PLACE, counter=1), world(city))
    every = PLACE | {"cameras": ["*"]}
    assert refused(city.order(part, "hold.place", every, counter=1), world(city)).code == "COMMAND_CAMERA"
    whole = {"toml": "x", "consultation": "협의 2026-3"}
    assert refused(city.order(part, "config.propose", whole, counter=1), world(city)).code == "COMMAND_CAMERA"


def test_table_5_1_in_a_lockdown_nothing_leaves_and_no_right_changes(city: City) -> None:
    locked = world(city, locked_down=True)
    accepted(city.order("officer 1", "hold.place", PLACE, counter=1), locked)
    accepted(city.order("officer 1", "key.revoke", {"kid": "0" * 16}, counter=1), locked)
    accepted(city.order("officer 1", "lockdown", {"on": False}, counter=1), locked)
    accepted(city.order("officer 1", "ring.replace", {"ring": "x"}, counter=1), locked)
    for command, arguments in (("config.propose", {"toml": "x", "consultation": "1"}),):
        assert (
            refused(city.order("officer 1", command, arguments, counter=1), locked).code == "COMMAND_LOCKDOWN"
        )


def test_e6_one_signature_is_not_two(city: City) -> None:
    kid = city.signers["officer 1"].kid
    inner = city.order("officer 1", "hold.release", RELEASE)
    verdict = refused(inner, world(city))
    assert (verdict.code, verdict.takes) == ("COMMAND_SECOND", (Take(kid, 1, ran=False),))
    used = after({}, verdict.takes)
    # It never runs by itself, and still may inside a second signature.
    assert refused(inner, world(city, counters=used)).code == "COMMAND_REPLAYED"
    verdict = accepted(second(city, "department 1", inner, id="d" * 32), world(city, counters=used))
    assert [key.holder for key in verdict.order.signers] == ["officer 1", "department 1"]
    assert (verdict.order.id, verdict.order.letter.id) == ("d" * 32, f"{1:032x}")
    body = verdict.order.body()
    assert [each["holder"] for each in body["seconds"]] == ["department 1"]
    used = after(used, verdict.takes)
    assert used == {kid: Counter(1), city.signers["department 1"].kid: Counter(1)}
    again = second(city, "officer 2", inner)
    assert (refused(again, world(city, counters=used)).code) == "COMMAND_REPLAYED"


def test_e6_the_same_signer_twice(city: City) -> None:
    inner = city.order("officer 1", "hold.release", RELEASE)
    assert (
        refused(second(city, "officer 1", inner, counter=2), world(city), waited_s=60).code
        == "COMMAND_SAME_SIGNER"
    )
    city.add("Officer  1", Role.DEPARTMENT)  # another key of the same person
    assert refused(second(city, "Officer  1", inner, counter=1), world(city)).code == "COMMAND_SAME_SIGNER"


def test_e6_a_second_signature_must_be_of_somebody_who_may(city: City) -> None:
    inner = city.order("officer 1", "hold.release", RELEASE)
    for who, code in (("operator 1", "COMMAND_ROLE"), ("technician 1", "COMMAND_ROLE")):
        verdict = refused(second(city, who, inner, counter=1), world(city))
        assert verdict.code == code
        assert [take.kid for take in verdict.takes] == [city.signers[who].kid]  # the order is not used up
    city.revoked = [city.signers["officer 2"].kid]
    assert refused(second(city, "officer 2", inner, counter=1), world(city)).code == "COMMAND_REVOKED"
    city.revoked = [city.signers["officer 1"].kid]
    assert refused(second(city, "officer 2", inner, counter=1), world(city)).code == "COMMAND_REVOKED"
    city.revoked = []
    ended = city.add("officer 9", Role.OFFICER, until_ms=NOW_MS)
    assert refused(second(city, "officer 9", inner, counter=1), world(city)).code == "COMMAND_LAPSED"
    late = city.order(ended, "hold.release", RELEASE, counter=1)
    assert refused(second(city, "officer 2", late, counter=1), world(city)).code == "COMMAND_LAPSED"


def test_e6_the_order_inside_is_judged_as_any(city: City) -> None:
    for inner, code in (
        (city.order("officer 1", "hold.release", RELEASE, box="gn-0008"), "COMMAND_BOX"),
        (city.order("officer 1", "hold.release", RELEASE, issued_ms=NOW_MS - UTC_DAY_MS), "COMMAND_EXPIRED"),
        (city.order("officer 1", "hold.release", {"hold": "h1"}, counter=1), "COMMAND_ARGUMENT"),
        (city.ring(), "JWS_TYPE"),
        ("x", "JWS_MALFORMED"),
        (second(city, "officer 1", "x"), "COMMAND_ARGUMENT"),
    ):
        verdict = refused(second(city, "officer 2", inner, counter=1), world(city))
        assert verdict.code == code
        assert verdict.kid == city.signers["officer 2"].kid
    assert (
        refused(city.order("officer 1", "countersign", {}, counter=1), world(city)).code == "COMMAND_ARGUMENT"
    )


def test_e6_with_an_untrusted_clock_the_second_signature_bears_the_challenge(city: City) -> None:
    lost = world(city, now=Instant(0, Trust.UNTRUSTED))
    inner = city.order("officer 1", "hold.release", RELEASE)
    assert refused(second(city, "officer 2", inner, counter=1), lost).code == "COMMAND_CHALLENGE"
    accepted(second(city, "officer 2", inner, counter=1, challenge=CHALLENGE), lost)


def test_e6_with_an_untrusted_clock_what_is_seconded_is_judged_by_the_time_of_the_second_signature(
    city: City,
) -> None:
    lost = world(city, now=Instant(0, Trust.UNTRUSTED), floor_ms=NOW_MS - 40 * UTC_DAY_MS)
    old = city.order("officer 1", "hold.release", RELEASE, issued_ms=NOW_MS - 20 * UTC_DAY_MS)
    around = second(city, "officer 2", old, counter=1, challenge=CHALLENGE)
    assert refused(around, lost).code == "COMMAND_EXPIRED"
    end_ms = NOW_MS + 30 * UTC_DAY_MS  # of the technician's key
    inner = city.order("technician 1", "hold.release", RELEASE, issued_ms=end_ms - 60_000)
    around = second(city, "officer 2", inner, counter=1, challenge=CHALLENGE, issued_ms=end_ms)
    assert refused(around, lost).code == "COMMAND_LAPSED"
    ahead = city.order("officer 1", "hold.release", RELEASE, issued_ms=NOW_MS + 3_600_000)
    assert refused(second(city, "officer 2", ahead, counter=1, challenge=CHALLENGE), lost).code == (
        "COMMAND_FUTURE"
    )


def test_art_26_3_an_export_is_seconded_by_a_department(city: City) -> None:
    wanted = {
        "camera": "cam01",
        "from_ms": 0,
        "to_ms": 10,
        "ground": "investigation",
        "purpose": "crime-prevention",
        "recipient": "강릉경찰서",
        "authority": "2026-1",
        "due": "2027-01-01",
        "to": "mqtt",
    }
    inner = city.order("department 1", "export.request", wanted, counter=1)
    assert refused(second(city, "officer 1", inner, counter=1), world(city)).code == "COMMAND_ROLE"
    accepted(second(city, "department 2", inner, counter=1), world(city))


def test_e15_what_is_heavy_needs_two_and_waits(city: City) -> None:
    heavy = Weight(2, 10, delayed=True)
    inner = city.order("officer 1", "config.propose", {"toml": "x", "consultation": "1"})
    assert refused(inner, world(city), weigh=lambda _: heavy).code == "COMMAND_SECOND"
    verdict = accepted(second(city, "officer 2", inner), world(city), weigh=lambda _: heavy)
    assert verdict.delayed
    assert verdict.weight == heavy


def test_who_weighs_may_refuse(city: City) -> None:
    def weigh(_: Order) -> Weight:
        raise CommandRefused("COMMAND_CAMERA", "no")

    verdict = refused(city.order("officer 1", "inspect", {}), world(city), weigh=weigh)
    assert (verdict.code, len(verdict.takes)) == ("COMMAND_CAMERA", 1)


def test_a_delayed_order_lapses_with_its_signers(city: City) -> None:
    inner = city.order("officer 1", "hold.release", RELEASE)
    wanted = accepted(second(city, "officer 2", inner), world(city)).order
    now = Instant(NOW_MS + UTC_DAY_MS, Trust.SYNCED)

    def why(**more: Any) -> str:
        ring = keyring.parse(city.ring(**more), city.root)
        return still_allowed(wanted, ring, BOX, now)

    assert why() == ""
    kid = city.signers["officer 2"].kid
    assert why(revoked=[kid]) == "COMMAND_REVOKED"
    without = [entry for entry in city.entries if entry["kid"] != kid]
    assert why(keys=without) == "COMMAND_REVOKED"
    entry = next(entry for entry in city.entries if entry["kid"] == kid)
    assert why(keys=[*without, entry | {"until_ms": NOW_MS + 1}]) == "COMMAND_LAPSED"
    assert why(keys=[*without, entry | {"role": "operator"}]) == "COMMAND_REVOKED"
    assert why(keys=[*without, entry | {"boxes": ["gn-0008"]}]) == "COMMAND_REVOKED"


def test_a_centre_signs_what_a_box_reads(city: City) -> None:
    officer = city.signers["officer 1"]
    for challenge in (None, CHALLENGE):
        text = order.sign(
            officer.key,
            city="gangneung",
            box=BOX,
            id="e" * 32,
            counter=1,
            issued_ms=NOW_MS,
            expires_ms=NOW_MS + 60_000,
            role=Role.OFFICER,
            command="inspect",
            arguments={},
            challenge=challenge,
        )
        assert accepted(text, world(city)).order.letter.challenge == challenge


def ready(city: City, text: str, **more: Any) -> Order:
    """Look at an order before its second signature."""
    ring = keyring.parse(city.ring(), city.root)
    key = ring.find(city.signers[more.pop("second", "department 1")].kid)
    assert key is not None
    now = Instant(more.pop("now_ms", NOW_MS), Trust.SYNCED)
    return before_second(text, key, ring, more.pop("box", BOX), now)


def test_before_a_second_signature_one_knows_whose_order_it_is(city: City) -> None:
    challenged = city.order("officer 1", "hold.release", RELEASE, challenge=CHALLENGE)
    for text in (city.order("officer 1", "hold.release", RELEASE), challenged):
        first = ready(city, text, now_ms=NOW_MS + 3_599_999)
        assert (first.signers[0].holder, first.command, first.arguments) == (
            "officer 1",
            "hold.release",
            RELEASE,
        )


def test_whoever_is_to_sign_as_the_second_is_told_for_what_a_box_would_refuse_it(city: City) -> None:
    def code(text: str, **more: Any) -> str:
        with pytest.raises(CommandRefused) as refused:
            ready(city, text, **more)
        return refused.value.code

    city.add("gone", Role.OFFICER)
    city.add("late", Role.OFFICER, until_ms=NOW_MS - 1)
    city.add("elsewhere", Role.OFFICER, boxes=["gn-0008"])
    city.add("lee", Role.DEPARTMENT, boxes=["gn-0008"])
    city.add("gate", Role.OFFICER, cameras=["cam9"])
    city.revoked.append(city.signers["gone"].kid)
    stranger = City(city.name, NOW_MS)
    stranger.add("nobody", Role.OFFICER)
    order = city.order("officer 1", "hold.release", RELEASE)
    head, body, _ = order.split(".")
    span = {"camera": "cam1", "from_ms": 1, "to_ms": 2}
    assert {
        "no order": code("so"),
        "signature": code(f"{head}.{body}.{'A' * 86}"),
        "key": code(stranger.order("nobody", "hold.release", RELEASE)),
        "box": code(order, box="gn-0008"),
        "city": code(city.order("officer 1", "hold.release", RELEASE, city="jeju")),
        "two": code(city.order("officer 2", "countersign", {"order": order})),
        "unknown": code(city.order("officer 1", "explode", {})),
        "argument": code(city.order("officer 1", "hold.release", {"hold": "h1"})),
        "time": code(order, now_ms=NOW_MS + 3_600_000),
        "future": code(order, now_ms=NOW_MS - 3_600_000),
        "lifetime": code(city.order("officer 1", "hold.release", RELEASE, expires_ms=NOW_MS + 90_000_000)),
        "same": code(order, second="officer 1"),
        "second's role": code(order, second="operator 1"),
        "second's box": code(order, second="lee"),
        "first's role": code(city.order("operator 1", "hold.release", RELEASE)),
        "said role": code(city.order("officer 1", "hold.release", RELEASE, role="department")),
        "revoked": code(city.order("gone", "hold.release", RELEASE)),
        "lapsed": code(city.order("late", "hold.release", RELEASE)),
        "first's box": code(city.order("elsewhere", "hold.release", RELEASE)),
        "camera": code(city.order("gate", "segments.locate", span)),
    } == {
        "no order": "JWS_MALFORMED",
        "signature": "JWS_SIGNATURE",
        "key": "COMMAND_KEY",
        "box": "COMMAND_BOX",
        "city": "COMMAND_CITY",
        "two": "COMMAND_ARGUMENT",
        "unknown": "COMMAND_UNKNOWN",
        "argument": "COMMAND_ARGUMENT",
        "time": "COMMAND_EXPIRED",
        "future": "COMMAND_FUTURE",
        "lifetime": "COMMAND_LIFETIME",
        "same": "COMMAND_SAME_SIGNER",
        "second's role": "COMMAND_ROLE",
        "second's box": "COMMAND_KEY_BOX",
        "first's role": "COMMAND_ROLE",
        "said role": "COMMAND_ROLE",
        "revoked": "COMMAND_REVOKED",
        "lapsed": "COMMAND_LAPSED",
        "first's box": "COMMAND_KEY_BOX",
        "camera": "COMMAND_CAMERA",
    }
