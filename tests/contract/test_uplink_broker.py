"""The uplink against a real mosquitto over mutual TLS. The clock is moved by hand where a test would have to wait."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.model import Trust
from agent.uplink.client import KEEPALIVE_S
from agent.uplink.inbound import BURST, Verdict
from agent.uplink.payloads import SIGNED, dump
from agent.uplink.seal import is_signed
from tests.broker import Authority, Listener, Mosquitto
from tests.unit.uplink.samples import LEDGER
from tests.uplink_box import Memory, Wire, check_schemas

JWS = "eyJhbGciOiJFZERTQSJ9.eyJ2IjoxfQ.c2ln"


@pytest.fixture
def broker(tmp_path):
    made = Mosquitto(tmp_path / "broker")
    yield made
    with contextlib.suppress(ProcessLookupError):
        os.kill(made.pid, signal.SIGCONT)
    made.stop()


@pytest.fixture
def listener(broker):
    made = Listener(broker)
    yield made
    made.close()


@pytest.fixture
def wire(broker):
    made = Wire(broker)
    yield made
    made.stop()


def seqs(listener: Listener) -> list[int]:
    return [each["seq"] for batch in listener.of("facts") for each in batch["entries"]]


def test_a_box_introduces_itself_and_says_goodbye(wire, listener):
    wire.memory.size = 3
    wire.memory.note = "note\n"
    wire.up()
    wire.until("all of it", lambda: len(listener.of("facts")) and len(listener.of("checkpoint")))
    wire.until("health", lambda: listener.of("health"))
    assert wire.post.protocol == 5
    assert listener.of("birth")[0]["site"] == "site"
    assert seqs(listener) == [1, 2, 3]
    assert listener.of("checkpoint")[0]["note"] == "note\n"
    wire.stop()
    listener.wait("the goodbye", lambda: len(listener.of("state")) == 2)
    assert [each["online"] for each in listener.of("state")] == [True, False]
    assert [each["connection"] for each in listener.of("state")] == [1, 1]
    check_schemas(listener)
    key = load_pem_private_key(wire.endpoint.key.read_bytes(), None).public_key()
    for topic, data, _ in listener.messages:
        assert is_signed(topic, data, [key]) is (topic.rpartition("/")[2] in SIGNED), topic


def test_what_is_retained_tells_who_comes_later(wire, broker):
    wire.memory.note = "note\n"
    wire.up()
    wire.until("the note", lambda: wire.post._note)
    late = Listener(broker, name="late")
    late.wait("what is retained", lambda: len({topic for topic, _, _ in late.messages}) == 4)
    assert all(retained for _, _, retained in late.messages)
    assert {topic.rsplit("/", 1)[1] for topic, _, _ in late.messages} == {
        "birth",
        "state",
        "health",
        "checkpoint",
    }
    late.close()


def test_a_box_that_goes_without_a_word_has_a_will(wire, listener):
    wire.up()
    wire.until("its state", lambda: listener.of("state"))
    wire.post._session._pipe._connection.close()
    listener.wait("the will", lambda: [each["online"] for each in listener.of("state")] == [True, False])


def test_health_goes_every_thirty_seconds_and_at_once_when_it_matters(wire, listener):
    wire.memory.size = 5
    wire.up()
    wire.until("the first", lambda: listener.of("health"))
    wire.pass_time(61)
    listener.wait("two more", lambda: len(listener.of("health")) == 3)
    wire.memory.conditions = [("vault.missing", "/v", 1)]
    wire.pass_time(3)
    listener.wait("the alarm", lambda: len(listener.of("health")) == 4)
    assert [each["n"] for each in listener.of("health")] == [0, 1, 2, 3]
    assert [each.get("seq") for each in listener.of("health")] == [5, None, None, None]


def test_a_birth_is_said_again_when_the_box_changed(wire, listener):
    wire.up()
    wire.until("the first", lambda: listener.of("birth"))
    wire.memory.site = "elsewhere"
    wire.pass_time(3)
    listener.wait("the second", lambda: len(listener.of("birth")) == 2)
    assert listener.of("birth")[1]["site"] == "elsewhere"


def test_checkpoints_go_when_they_are_new_every_ten_minutes(wire, listener):
    wire.memory.note = "one"
    wire.up()
    wire.until("the first", lambda: listener.of("checkpoint"))
    wire.memory.note = "two"
    wire.pass_time(480, 10)  # in few steps: the real time that they take counts too
    assert len(listener.of("checkpoint")) == 1
    wire.pass_time(130, 10)
    listener.wait("the second", lambda: len(listener.of("checkpoint")) == 2)
    wire.pass_time(700, 10)
    assert [each["note"] for each in listener.of("checkpoint")] == ["one", "two"]


def test_e10_a_week_offline_drains_in_order(wire, listener):
    """E10: 161,000 entries; the rate is bounded by our clock, which a test may move on."""
    wire.memory.size, wire.memory.kind = 161_000, "segment.committed"
    began_s = wire.now_s
    wire.up()
    wire.until("all of it", lambda: not wire.post.backlog, 120)
    assert 30 < wire.now_s - began_s < 60
    listener.wait("the last of it", lambda: len(seqs(listener)) == 161_000)
    assert seqs(listener) == list(range(1, 161_001))
    assert wire.memory.kept_cursor.seq == 161_000


def test_e10_health_of_the_time_without_a_line_is_told_afterwards(broker, listener):
    """E10: thinned, marked, after the facts."""
    broker.kill()
    wire = Wire(broker)
    wire.pass_time(1500, step_s=5)
    assert "uplink.offline" in wire.raised()
    assert 4 <= len(wire.memory.kept_history) <= 6
    wire.memory.size = 5
    broker.start()
    assert listener.is_up.wait(60)
    wire.ahead_s += 61
    wire.up()
    wire.until("the past", lambda: not wire.memory.kept_history)
    listener.wait("it", lambda: len([each for each in listener.of("health") if each.get("historical")]) >= 4)
    kinds = [topic.rsplit("/", 1)[1] for topic, _, _ in listener.messages]
    past = [n for n, (_, data, _) in enumerate(listener.messages) if b"historical" in data]
    assert seqs(listener) == [1, 2, 3, 4, 5]
    assert not past or kinds.index("facts") < past[0]
    check_schemas(listener)
    wire.stop()


def test_e11_a_broker_that_lost_its_store_is_told_everything_again(wire, broker):
    """E11: what it retained is said anew; what it had acknowledged and lost goes again when the centre asks."""
    wire.memory.size, wire.memory.note = 20, "note"
    first = Listener(broker, name="first")
    wire.up()
    wire.until("the facts", lambda: wire.post.backlog == 0)
    first.close()
    broker.restart(lose_store=True)
    second = Listener(broker, name="second")
    wire.until("its end", lambda: not wire.post.is_up)
    wire.ahead_s += 61
    wire.up()
    wire.until("the retained", lambda: second.of("birth") and second.of("state") and second.of("health"))
    wire.until("the note", lambda: second.of("checkpoint"))
    assert second.of("facts") == []
    wire.memory.answers["0000000000000001.json"] = dump(
        {
            "v": 1, "box": "gn-0007", "id": "1" * 32, "command": "facts.resend", "status": "done", "code": "",
            "at_ms": 1, "trust": "SYNCED", "detail": {"resend": {"ledger": LEDGER, "from_seq": 6}},
        }
    ).encode()  # fmt: skip
    wire.until("the facts again", lambda: seqs(second) == list(range(6, 21)))
    wire.until("the reply's end", lambda: not wire.memory.answers)
    assert [each["command"] for each in second.of("reply")] == ["facts.resend"]
    assert wire.post.backlog == 0
    check_schemas(second)
    second.close()


def test_commands_reach_keep_and_those_sent_meanwhile_too(wire, listener):
    wire.up()
    listener.publish("pasu/v1/gn-0007/command", JWS, qos=1)
    listener.publish("pasu/v1/gn-0008/command", JWS, qos=1)
    wire.until("it", lambda: wire.memory.orders == [(JWS, False)])
    wire.stop()
    listener.publish("pasu/v1/gn-0007/command", JWS + "2", qos=1)
    again = Wire(wire.post and listener.broker, memory=wire.memory).up()
    again.until("the other", lambda: wire.memory.orders == [(JWS, False), (JWS + "2", False)])
    again.stop()


def test_e2_a_retained_command_comes_as_such_and_once(wire, listener):
    """E2: at every connection it is there again."""
    listener.publish("pasu/v1/gn-0007/command", JWS, qos=1, retain=True)
    wire.up()
    wire.until("it", lambda: wire.memory.orders)
    for _ in range(3):
        wire.post._session._pipe._connection.close()
        wire.until("the end", lambda: not wire.post.is_up)
        wire.ahead_s += 61
        wire.up()
        seen = wire.post.inbound.counts.get(Verdict.AGAIN, 0)
        wire.until("it again", lambda seen=seen: wire.post.inbound.counts.get(Verdict.AGAIN, 0) > seen)
    assert wire.memory.orders == [(JWS, True)]
    assert wire.raised()["broker.suspect"] == "retained"


def test_e14_a_flood_is_cut_and_facts_go_on(wire, listener):
    """E14: as many as the line carries, for a few seconds."""
    wire.up()
    for n in range(3000):
        listener.client.publish("pasu/v1/gn-0007/command", f"{JWS}{n}", qos=0)
    wire.memory.size = 50
    wire.until("the facts", lambda: wire.post.backlog == 0)
    wire.until("the flood's end", lambda: sum(wire.post.inbound.counts.values()) == 3000)
    assert len(wire.memory.orders) <= BURST + 10 * 60
    assert wire.post.inbound.dropped == 3000 - len(wire.memory.orders)
    assert "uplink.flooded" in wire.raised()


def test_commands_for_which_keep_has_no_room_are_counted(wire, listener):
    wire.memory.room = 1
    wire.up()
    for n in range(3):
        listener.publish("pasu/v1/gn-0007/command", f"{JWS}{n}", qos=1)
    wire.until("the count", lambda: wire.post.inbound.dropped == 2)
    assert "uplink.flooded" in wire.raised()


def test_replies_go_in_order_and_are_removed_when_the_broker_has_them(wire, listener):
    for n in range(25):
        body = {
            "v": 1, "box": "gn-0007", "id": f"{n:032x}", "command": "inspect", "status": "done", "code": "",
            "at_ms": n, "trust": "SYNCED", "detail": {},
        }  # fmt: skip
        wire.memory.answers[f"{n:016d}.json"] = dump(body).encode()
    wire.up()
    wire.until("all", lambda: not wire.memory.answers)
    listener.wait("them", lambda: len(listener.of("reply")) == 25)
    assert [each["at_ms"] for each in listener.of("reply")] == list(range(25))
    check_schemas(listener)


def test_e8_a_second_client_of_our_name_makes_no_storm(wire, broker):
    """E8: each throws the other out; we wait, five seconds at least, and longer each time."""
    wire.up()
    other = Wire(broker)
    waits = []
    for _ in range(4):
        other.up()
        wire.until("being thrown out", lambda: not wire.post.is_up)
        waits.append(wire.post._open_s - wire.now_s)
        wire.ahead_s += 61
        wire.up()
        other.until("being thrown out", lambda: not other.post.is_up)
        other.ahead_s += 61
    assert min(waits) > 4.5
    assert "uplink.taken_over" in wire.raised()
    wire.pass_time(301)
    assert "uplink.taken_over" not in wire.raised()
    other.stop()


@pytest.mark.parametrize("after_s", [3, 17, 29])
@pytest.mark.parametrize("facts", [0, 1], ids=["quiet", "with facts"])
def test_e12_a_broker_that_says_nothing_any_more_is_noticed(wire, broker, facts, after_s):
    """E12: 45 s at most, whenever it stops and whether or not something waits for its acknowledgement."""
    wire.up()
    wire.until("health and its answer", lambda: wire.post._health_n and not wire.post._tokens)
    wire.pass_time(after_s, 0.5)
    os.kill(broker.pid, signal.SIGSTOP)  # TCP is alive, for the kernel acknowledges
    wire.memory.size += facts
    began_s = wire.now_s
    while wire.post.is_up:
        assert wire.now_s - began_s <= 45
        wire.ahead_s += min(wire.turn(), 0.25)
        time.sleep(0.002)
    assert wire.now_s - began_s > 10
    assert "nothing for" in wire.post.reason
    os.kill(broker.pid, signal.SIGCONT)
    wire.ahead_s += 61
    wire.up()


def test_a_quiet_line_stays_up(wire):
    """An hour of a box of which nothing comes but health: the broker's answers keep the line."""
    wire.up()
    wire.pass_time(3600, step_s=5)
    assert wire.post.is_up


def test_a_quiet_line_is_asked_with_a_health_and_never_apart_from_it(wire):
    """Report, point 5: a question of its own is three packets more, half a megabyte a day."""
    wire.up()
    wire.until("the first health and its answer", lambda: wire.post._health_n and not wire.post._tokens)
    wire.pass_time(3, 0.5)
    healths, bursts, received = wire.post._health_n, 0, wire.post.traffic[1]
    end_s, spoke_s, pauses = wire.now_s + 600, wire.now_s, []
    while wire.now_s < end_s:
        sent = wire.post.traffic[0]
        due_s = wire.turn()
        if wire.post.traffic[0] > sent:
            bursts += 1
            pauses.append(wire.now_s - spoke_s)
            spoke_s = wire.now_s
        wire.ahead_s += min(due_s, 1.003)  # a little late each time, as a process is
        time.sleep(0.005)
    assert wire.post._health_n - healths >= 19
    assert bursts == wire.post._health_n - healths
    assert wire.post.traffic[1] - received == 2 * bursts, "an answer to each, and nothing else"
    assert max(pauses) < 1.5 * KEEPALIVE_S, "the broker may hang up then"


def test_a_broker_that_comes_back_finds_us(wire, broker):
    wire.up()
    broker.kill()
    wire.until("its end", lambda: not wire.post.is_up)
    wire.memory.size = 10
    broker.start()
    wire.ahead_s += 5
    wire.up()
    wire.until("the facts", lambda: wire.post.backlog == 0)


def test_e7_a_broker_of_another_city_is_not_spoken_to(broker, tmp_path):
    """E7: valid-looking, and signed by somebody else."""
    foreign = Authority(tmp_path / "foreign")
    wire = Wire(broker, authority=foreign)
    wire.until("the suspicion", lambda: "broker.suspect" in wire.raised())
    assert not wire.post.is_up
    wire.stop()


def test_a_broker_under_another_name_is_not_spoken_to(broker):
    broker.authority.issue("elsewhere", file="broker", names=("elsewhere.invalid",))
    broker.restart()
    wire = Wire(broker)
    wire.until("an answer", lambda: "broker.suspect" in wire.raised())
    assert "mismatch" in wire.raised()["broker.suspect"]
    assert not wire.post.is_up
    wire.stop()


def test_a_name_is_looked_up_without_waiting(broker):
    wire = Wire(broker, host="localhost")
    wire.up()
    wire.stop()
    wire = Wire(broker, host="no-such-host.invalid")
    wire.until("the answer", lambda: wire.post.reason)
    assert "127" not in wire.post.reason
    wire.stop()


def test_e13_an_expired_certificate_is_refused_and_said_to_be(broker):
    """E13."""
    wire = Wire(broker, days=(-10, -1))
    wire.until("the refusal", lambda: "uplink.refused" in wire.raised())
    assert "expired" in wire.raised()["uplink.refused"]
    wire.stop()


def test_e13_a_renewed_certificate_is_used_at_the_next_connection(broker):
    """E13."""
    wire = Wire(broker, days=(-10, -1))
    wire.until("the refusal", lambda: "uplink.refused" in wire.raised())
    certificate, key = broker.authority.issue("gn-0007", file="renewed")
    wire.endpoint.certificate.write_bytes(certificate.read_bytes())
    wire.endpoint.key.write_bytes(key.read_bytes())
    wire.ahead_s += 61
    wire.up()
    wire.stop()


def test_c10_a_box_that_cannot_tell_the_time_checks_all_but_dates(broker, tmp_path):
    """C10: the signed time comes over this connection. Names and chain are checked as ever."""
    _certificate, _key = broker.authority.issue("127.0.0.1", file="broker", days=(10, 20))
    broker.restart()
    wire = Wire(broker)
    wire.until("the refusal", lambda: "broker.suspect" in wire.raised())
    assert "not yet valid" in wire.raised()["broker.suspect"]
    wire.stop()
    doubting = Memory("gn-0007")
    doubting.trust = Trust.UNTRUSTED
    Wire(broker, memory=doubting).up().stop()
    foreign = Wire(broker, memory=doubting, authority=Authority(tmp_path / "foreign"))
    foreign.until("the refusal", lambda: "broker.suspect" in foreign.raised())
    foreign.stop()


def test_a_box_may_not_write_where_it_has_no_right_and_loses_nothing_for_it(tmp_path):
    """What the broker refuses stays in the ledger, and is told."""
    rights = "".join(f"pattern write pasu/v1/%u/{kind}\n" for kind in ("state", "birth", "health"))
    with contextlib.ExitStack() as ends:
        broker = Mosquitto(tmp_path / "broker", acl=f"{rights}pattern read pasu/v1/%u/command\n")
        ends.callback(broker.stop)
        wire = Wire(broker)
        wire.memory.size = 5
        wire.until("the refusal", lambda: "uplink.refused" in wire.raised())
        assert wire.post.backlog == 5
        assert wire.memory.kept_cursor is None or wire.memory.kept_cursor.seq == 0
        wire.stop()


def test_a_catalogue_that_is_away_for_a_while_costs_nothing(wire, listener):
    wire.memory.size, wire.memory.fault = 5, "CATALOGUE_BUSY"
    wire.up()
    wire.until("health", lambda: listener.of("health"))
    assert wire.post.trouble == "CATALOGUE_BUSY"
    wire.memory.fault = ""
    wire.until("the facts", lambda: seqs(listener) == [1, 2, 3, 4, 5])
    assert wire.post.trouble == ""


def test_another_ledger_is_told_from_its_beginning(wire, listener):
    """B11, as the centre sees it."""
    wire.memory.size = 5
    wire.up()
    wire.until("the first", lambda: wire.post.backlog == 0)
    wire.memory.ledger, wire.memory.size = "f" * 16, 3
    wire.until(
        "the other", lambda: len(listener.of("facts")) == 2 and listener.of("birth")[-1]["ledger"] == "f" * 16
    )
    assert listener.of("facts")[1]["ledger"] == "f" * 16
    assert seqs(listener) == [1, 2, 3, 4, 5, 1, 2, 3]


def test_k3_ten_thousand_connections_leave_nothing_open(broker):
    """K3, of the uplink: a sample."""
    wire = Wire(broker)
    wire.up()
    wire.post._session.close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        wire.post._open_s = 0.0
        wire.up()
        wire.post._session.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    wire.stop()
    time.sleep(0)
