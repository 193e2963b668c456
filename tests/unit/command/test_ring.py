from pathlib import Path
from typing import Any

import pytest
from pyrage.x25519 import Identity

from agent.command import ring
from agent.command.errors import CommandRefused
from agent.command.keyring import Role
from agent.command.strict import base64url
from agent.errors import IntegrityFault
from agent.model import UTC_DAY_MS
from tests.city import NOW_MS, OTHER_RECIPIENT, RECIPIENT, City


@pytest.fixture
def city() -> City:
    city = City()
    city.staff()
    return city


def why(signed: City, /, **more: Any) -> str:
    with pytest.raises(CommandRefused) as caught:
        ring.parse(signed.ring(**more), signed.root)
    return f"{caught.value.code} {caught.value.context.get('reason', '')}".strip()


def test_a_ring_says_who_may_what(city: City) -> None:
    city.revoked = [city.signers["officer 2"].kid]
    city.recipients = [RECIPIENT, OTHER_RECIPIENT]
    found = ring.parse(city.ring(), city.root)
    assert (found.city, found.epoch, found.recipients) == (
        "gangneung",
        1,
        (RECIPIENT, OTHER_RECIPIENT),
    )
    assert found.revoked == {city.signers["officer 2"].kid}
    signer = city.signers["technician 1"]
    key = found.find(signer.kid)
    assert key is not None
    assert key.public_key.public_bytes_raw() == signer.key.public_key().public_bytes_raw()
    assert (key.role, key.holder, key.person) == (Role.TECHNICIAN, "technician 1", "technician 1")
    assert key.is_valid(key.from_ms)
    assert not key.is_valid(key.from_ms - 1)
    assert key.is_valid(key.until_ms - 1)
    assert not key.is_valid(key.until_ms)  # 0 s tolerance
    assert found.find("0" * 16) is None
    assert found.without(frozenset({"0" * 16})).revoked == {city.signers["officer 2"].kid, "0" * 16}


def test_keys_are_for_boxes_and_cameras(city: City) -> None:
    signer = city.add("operator 2", Role.OPERATOR, boxes=["gn-0007"], cameras=["cam01", "cam02"])
    key = ring.parse(city.ring(), city.root).find(signer.kid)
    assert key is not None
    assert key.serves("gn-0007")
    assert not key.serves("gn-0008")
    assert key.sees("cam02")
    assert not key.sees("cam03")
    assert not key.sees("*")


def test_g3_a_ring_is_the_citys_or_nothing(city: City) -> None:
    other = City("sokcho")
    other.staff()
    with pytest.raises(CommandRefused) as caught:
        ring.parse(other.ring(), city.root)
    assert caught.value.code == "JWS_SIGNATURE"
    assert why(city, city="sokcho") == "RING_CITY"
    for wrong in ({"v": 2}, {"more": 1}):
        assert why(city, **wrong) == "RING_CONTENT members"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"epoch": 0}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"issued_ms": -1}, "issued_ms"),
        ({"revoked": "a"}, "revoked"),
        ({"revoked": ["A" * 16]}, "revoked"),
        ({"recipients": []}, "recipients"),
        ({"recipients": RECIPIENT}, "recipients"),
        ({"recipients": [RECIPIENT, RECIPIENT]}, "recipients"),
        ({"recipients": [RECIPIENT[:-1] + "q"]}, "recipients"),
        ({"recipients": [7]}, "recipients"),
        ({"keys": {}}, "keys"),
        ({"keys": [1]}, "members of a key"),
    ],
)
def test_what_a_ring_may_not_say(city: City, wrong: dict[str, Any], reason: str) -> None:
    assert why(city, **wrong) == f"RING_CONTENT {reason}"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"more": 1}, "members of a key"),
        ({"key": "A" * 42}, "key"),
        ({"key": "A" * 42 + "B"}, "key"),
        ({"key": 7}, "key"),
        ({"key": "é" * 43}, "key"),
        ({"kid": "0" * 16}, "kid"),
        ({"role": "mayor"}, "role"),
        ({"role": []}, "role"),
        ({"holder": " "}, "holder"),
        ({"until_ms": "x"}, "from_ms, until_ms"),
        ({"until_ms": NOW_MS - UTC_DAY_MS}, "technician: more than 31 days"),
        ({"until_ms": NOW_MS + 30 * UTC_DAY_MS + 1}, "technician: more than 31 days"),
        ({"role": "operator", "until_ms": NOW_MS + 399 * UTC_DAY_MS + 1}, "operator: more than 400 days"),
        ({"boxes": []}, "boxes"),
        ({"boxes": ["../x"]}, "boxes"),
        ({"cameras": ["a", "a"]}, "cameras"),
        ({"cameras": "*"}, "cameras"),
    ],
)
def test_what_a_key_may_not_say(wrong: dict[str, Any], reason: str) -> None:
    city = City()
    city.add("김하나", Role.TECHNICIAN, **wrong)
    assert why(city) == f"RING_CONTENT {reason}"


@pytest.mark.parametrize(("role", "lives"), [(Role.TECHNICIAN, 30), (Role.OPERATOR, 31)])
def test_art_12_no_technicians_key_counts_on_the_31st_day(role: Role, lives: int) -> None:
    """Also one of a ring that an older centre made, which gave them 31."""
    city = City()
    from_ms = NOW_MS - UTC_DAY_MS
    signer = city.add("김하나", role, until_ms=from_ms + 31 * UTC_DAY_MS)
    key = ring.parse(city.ring(), city.root).find(signer.kid)
    assert key is not None
    assert key.is_valid(from_ms + lives * UTC_DAY_MS - 1)
    assert not key.is_valid(from_ms + lives * UTC_DAY_MS)


def test_recipients_are_not_without_number(city: City) -> None:
    many = [str(Identity.generate().to_public()) for _ in range(17)]
    assert why(city, recipients=many) == "RING_CONTENT recipients"
    assert len(ring.parse(city.ring(recipients=many[1:]), city.root).recipients) == 16


def test_one_key_for_one_person_in_one_role(city: City) -> None:
    again = dict(city.entries[0])
    assert why(city, keys=[again, again]) == "RING_CONTENT a key twice"
    city.add("Officer  1", Role.OFFICER)
    assert why(city) == "RING_CONTENT one holder, two keys of a role at a time"
    city.revoked = [city.entries[0]["kid"]]
    assert ring.parse(city.ring(), city.root)
    city.add("officer 1", Role.DEPARTMENT)  # another role is another key
    assert ring.parse(city.ring(), city.root)


def test_a_key_may_follow_another(city: City) -> None:
    city.add("officer 1", Role.OFFICER, from_ms=city.entries[0]["until_ms"])
    assert len(ring.parse(city.ring(), city.root).keys) == len(Role) + 3


def test_the_root_signs_no_commands(city: City) -> None:
    entry = dict(city.entries[0])
    entry |= {
        "kid": city.root.kid,
        "key": base64url(city.root.public),
    }
    assert why(city, keys=[entry]) == "RING_CONTENT the root key among the keys"


def test_a_box_that_was_never_enrolled_has_no_ring(tmp_path: Path) -> None:
    assert ring.load(tmp_path) is None
    assert ring.load_root(tmp_path) is None


def test_g3_what_is_edited_on_the_disk_is_refused(city: City, tmp_path: Path) -> None:
    city.enrol(tmp_path)
    found = ring.load(tmp_path)
    assert found is not None
    assert found.epoch == 1
    root, file = tmp_path / "centre/root.json", tmp_path / "centre/ring.jws"
    good_root, good = root.read_bytes(), file.read_bytes()

    def reason() -> object:
        with pytest.raises(IntegrityFault) as caught:
            ring.load(tmp_path)
        assert caught.value.code == "RING_DAMAGED"
        return caught.value.context["reason"]

    file.write_bytes(good.replace(b".", b".A", 1))
    assert str(reason()).startswith("JWS_")
    file.write_bytes(b"\xff")
    assert reason() == "not text"
    file.unlink()
    assert reason() == "the ring is gone"
    file.write_bytes(good)
    root.unlink()
    assert reason() == "the root key is gone"
    for wrong in (
        b"{}",
        b"",
        good_root.replace(b'"kid":"', b'"kid":"0'),
        good_root.replace(b'"city":', b'"City":'),
    ):
        root.write_bytes(wrong)
        reason()
    root.unlink()
    root.mkdir()
    reason()
    root.rmdir()
    root.write_bytes(good_root)
    assert ring.load(tmp_path) == found
