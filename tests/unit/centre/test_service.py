"""The key with which the centre's programs sign: renewed, ended and gone while they run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.centre import founding, rings
from agent.centre.city import RING, read_signing_key
from agent.centre.service import EARLY_DAYS, Service
from agent.command.keyring import Role
from agent.errors import ConfigError
from agent.model import UTC_DAY_MS


def unlocked(path):
    raise AssertionError(f"nobody locked {path.name}")


@pytest.fixture
def city(tmp_path):
    plan = founding.Plan("gangneung", "강릉시", "127.0.0.1:1", "127.0.0.1:2")
    return founding.found(tmp_path / "city", plan, datetime.now(UTC), None)


@pytest.fixture
def now_ms():
    return int(datetime.now(UTC).timestamp() * 1000)


def hire(city, now_ms, **more):
    root = read_signing_key(city.at("root", "root.pem"), city.root.kid, unlocked)
    lock = {"passphrase": more.pop("passphrase", None)}
    return rings.add_key(
        city, root, rings.Grant(Role.SERVICE, rings.SERVICE), now_ms, renew=True, **lock, **more
    )[1]


def test_a_key_that_was_renewed_is_taken_up_when_the_other_ends(city, now_ms):
    service = Service(city, unlocked, now_ms)
    before = service.signer.key.kid
    assert service.look(now_ms) is None
    kid = hire(city, now_ms)
    assert service.look(now_ms + 1) is None
    assert service.signer.key.kid == before
    assert service.look(now_ms + UTC_DAY_MS) is None
    assert service.signer.key.kid == kid != before


def test_that_it_ends_is_told_two_weeks_before_and_that_it_has_too(city, now_ms):
    service = Service(city, unlocked, now_ms)
    until_ms = service.signer.key.until_ms
    assert service.look(until_ms - EARLY_DAYS * UTC_DAY_MS) is None
    assert service.look(until_ms - 3 * UTC_DAY_MS - 1) == {"days": 3}
    assert service.signer is not None
    assert service.look(until_ms) == {"code": "SIGNER_UNKNOWN"}
    assert service.signer is None
    assert service.look(until_ms + 1) == {"code": "SIGNER_UNKNOWN"}


def test_a_key_that_was_revoked_signs_nothing_more(city, now_ms):
    service = Service(city, unlocked, now_ms)
    root = read_signing_key(city.at("root", "root.pem"), city.root.kid, unlocked)
    rings.revoke(city, root, service.signer.key.kid, now_ms)
    assert service.look(now_ms) == {"code": "SIGNER_UNKNOWN"}
    assert service.signer is None


def test_a_ring_that_cannot_be_read_ends_nothing_while_the_key_lasts(city, now_ms):
    service = Service(city, unlocked, now_ms)
    ring = city.at(RING).read_bytes()
    city.at(RING).write_bytes(b"{")
    assert service.look(now_ms) == {"code": "CITY_DAMAGED"}
    assert service.look(now_ms) == {"code": "CITY_DAMAGED"}
    assert service.signer is not None
    assert service.look(service.signer.key.until_ms) == {"code": "CITY_DAMAGED"}
    assert service.signer is None
    city.at(RING).unlink()
    assert service.look(now_ms) == {"code": "CITY_DAMAGED"}
    city.at(RING).write_bytes(ring)
    assert service.look(now_ms) is None
    assert service.signer is not None


def test_a_key_whose_file_is_not_here_is_told(city, now_ms):
    service = Service(city, unlocked, now_ms)
    kid = hire(city, now_ms)
    city.at("keys", f"{kid}.pem").unlink()
    assert service.look(now_ms + UTC_DAY_MS) == {"code": "CITY_KEY_MISSING"}
    assert service.signer is None
    later = Service(city, unlocked, now_ms + UTC_DAY_MS)
    assert later.signer is None
    assert later.look(now_ms + UTC_DAY_MS) == {"code": "CITY_KEY_MISSING"}
    assert later.look(now_ms) is None
    assert later.signer is not None


def test_a_passphrase_is_asked_for_once_and_never_while_boxes_are_watched(city, now_ms):
    asked = []

    def unlock(path):
        asked.append(path.name)
        return b"first"

    first = hire(city, now_ms, passphrase=b"first")
    late_ms = now_ms + UTC_DAY_MS
    service = Service(city, unlock, late_ms)
    assert asked == [f"{first}.pem"]
    second = hire(city, late_ms, passphrase=b"first")
    assert service.look(late_ms + UTC_DAY_MS) is None
    assert service.signer.key.kid == second
    hire(city, late_ms + UTC_DAY_MS, passphrase=b"other")
    assert service.look(late_ms + 2 * UTC_DAY_MS) == {"code": "CITY_PASSPHRASE"}
    assert len(asked) == 1
    with pytest.raises(ConfigError, match="CITY_PASSPHRASE"):
        Service(city, unlock, late_ms + 2 * UTC_DAY_MS)
