from __future__ import annotations

import contextlib
import gzip
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.uplink import payloads
from agent.uplink.courier import Courier, Cursor
from agent.uplink.payloads import KINDS, FullCondition, pack, parse_topic, read, topic, write
from agent.uplink.post import SEQ_HEALTHS
from agent.uplink.seal import SIGNATURE_BYTES
from tests.unit.uplink.samples import LEDGER, T0, erased, health, segment


def test_a_message_is_json_and_a_batch_the_same_packed():
    said = write(health())
    assert json.loads(said) == read(said) == json.loads(json.dumps(health().to_json()))
    small = pack("{}")
    assert small == b"{}"
    assert read(small) == {}
    text = json.dumps({"a": "b" * 100})
    assert gzip.decompress(pack(text)).decode() == text
    assert read(pack(text)) == json.loads(text)


WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20) | WHOLE | st.booleans(), max_size=8))
def test_what_is_packed_is_read_again(value):
    assert read(pack(payloads.dump(value))) == value


@given(st.binary(max_size=200))
def test_e9_anything_else_is_a_value_error(data):
    """E9, at the centre's end."""
    for tried in (data, b"\x1f\x8b\x08" + data, b"{" + data, gzip.compress(b'{"a":1}') + data):
        with contextlib.suppress(ValueError):
            assert isinstance(read(tried), dict)


@pytest.mark.parametrize("data", [b"[]", b"1", b"", b"[" * 100_000, b'{"a":' * 100_000, b"\xff"])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(ValueError):
        read(data)


@pytest.mark.parametrize("number", [2**53, -(2**53), 10**30, 10**5000], ids=range(4))
def test_e9_a_number_that_no_store_takes_is_refused(number):
    """E9: one such number in a checkpoint ended the watch for a whole city."""
    with pytest.raises(ValueError, match="too large"):
        read(b'{"a":[{"at_ms":%s}]}' % (b"9" * 5000 if number == 10**5000 else str(number).encode()))


def test_e9_a_bomb_is_not_unpacked():
    """E9: a megabyte that would become a gigabyte."""
    bomb = gzip.compress(b'{"a":"' + b"a" * (1 << 24))
    with pytest.raises(ValueError, match="too long"):
        read(bomb)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pasu/v1/gn-0007/health", ("gn-0007", "health")),
        ("pasu/v1/gn-0007/export/x/3", ("gn-0007", "export/x/3")),
        ("pasu/v1/gn-0007/", None),
        ("pasu/v1//health", None),
        ("pasu/v2/gn-0007/health", None),
        ("pasu/v1/gn-0007", None),
        ("", None),
    ],
)
def test_topics_are_read(name, found):
    assert parse_topic(name) == found
    assert found is None or topic(*found) == name


def test_every_kind_has_its_own_topic():
    names = [kind.KIND for kind in KINDS]
    assert len(set(names)) == len(names)


def test_what_is_none_by_choice_stays_and_what_is_none_by_default_goes():
    said = health(vaults=[(None, None)]).to_json()
    assert said["vaults"] == [[None, None]]
    assert "historical" not in said
    assert said["v"] == 1
    condition = FullCondition(code="a", severity="info", subject="", detail="", since_ms=1, trust="SYNCED")
    assert payloads._plain(condition)["code"] == "a"


def test_a_health_of_sixteen_cameras_is_small():
    """Report, point 5: at most 500 bytes."""
    assert len(payloads.dump(health().to_json()).encode()) <= 500


IP_TCP = 52  # IPv4 20, TCP 20 and its timestamps 12
RECORD = 22  # TLS 1.3: header 5, tag 16, type 1
MQTT = 34  # fixed header, topic, packet id, property length
MTU = 1448


def on_the_wire(size: int, *, records: int = 1) -> int:
    """Bytes of a message and of the acknowledgement that TCP sends for it."""
    whole = size + MQTT + RECORD * records
    packets = -(-whole // MTU)
    return whole + packets * IP_TCP + IP_TCP


def day(*, erasing: bool) -> dict[str, int]:
    """Add up a day of 16 cameras, from payloads as they are written."""
    chance = random.Random(7)
    facts = 0
    minutes = 60
    courier = Courier("gn-0007", "a1b2c3d4", Cursor(LEDGER, 0))
    seq = 0
    courier.ledger_is(LEDGER, 0)
    courier.connected(0.0, 0.0)
    for minute in range(minutes):
        entries = []
        for camera in range(16):
            at_ms = T0 + minute * 60_000 + camera * 3_750 + chance.randrange(40)
            seq += 1
            entries.append(segment(chance, seq, camera, at_ms))
            if erasing:
                seq += 1
                entries.append(erased(chance, seq, camera, at_ms))
        courier.ledger_is(LEDGER, seq)
        courier.read(entries, minute * 60.0)
        courier.hurry(minute * 60.0 + 56)
        data = courier.batch(minute * 60.0 + 56)
        courier.sent(minute, len(data))
        courier.acknowledged(minute)
        # It goes with a health, in one burst; PUBACK comes back with TCP's acknowledgement, and is acknowledged.
        facts += on_the_wire(len(data), records=0) + 4 + RECORD + IP_TCP
    healths = sum(
        on_the_wire(len(write(health(n, cameras=busy(chance), seq=length(n)))) + SIGNATURE_BYTES)
        for n in range(2 * minutes)
    )
    # Every second health has no facts beside it that the broker would acknowledge: it asks (PINGREQ, PINGRESP).
    pings = minutes * (2 + 2 + RECORD + IP_TCP)
    note = 24 * 6 * (on_the_wire(420 + SIGNATURE_BYTES) + 4 + RECORD + IP_TCP)
    return {"facts": facts * 24, "health": healths * 24, "pings": pings * 24, "checkpoints": note}


def length(n: int) -> int | None:
    """Return what a health says of the ledger, of a box that has recorded for a year."""
    return None if n % SEQ_HEALTHS else 8_409_600


def busy(chance: random.Random) -> list[tuple[int, int, int]]:
    return [(4, chance.randrange(147, 153), chance.randrange(3700, 4300)) for _ in range(16)]


def test_a_day_of_sixteen_cameras_costs_less_than_five_megabytes(capsys):
    """Issue 4, point 5: 5 MB a day at most. 23,040 segments, 2,880 healths, with what TLS and TCP add."""
    recording, with_tombstones = day(erasing=False), day(erasing=True)
    with capsys.disabled():
        for name, costs in (("recording", recording), ("and erasing", with_tombstones)):
            print(f"\n{name}: {sum(costs.values()) / 1e6:.2f} MB a day", costs, end="")
    assert sum(recording.values()) < 5_000_000
    assert sum(with_tombstones.values()) < 7_200_000
