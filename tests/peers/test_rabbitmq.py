"""E10, E11, E3: RabbitMQ with its MQTT plug-in, nodes of which one dies, as `pasu centre broker rabbitmq` configures it.

It speaks MQTT 3.1.1 only, so the box falls back to that. Three nodes go on without one of them. Of two, the one that is
left pauses (`pause_minority`): it cannot know which of them is cut off (ADR 0019). What it must not do is lose anything.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from agent.centre import broker_files
from agent.command.keyring import Role
from tests.lab import wait_for
from tests.living import BOX, Centre, Ear, Hand, LiveBox, checkpoint_of, root_of
from tests.rabbit import Rabbits
from tests.town import Town

V311 = MQTTProtocolVersion.MQTTv311


def ear(town: Town, *parts: str, client_id: str) -> Ear:
    """Listen; a cluster that has just begun, or lost a node, turns clients away for a moment."""

    def made() -> Ear | None:
        try:
            return Ear(town, *parts, client_id=client_id, version=V311)
        except (AssertionError, OSError):
            return None

    return wait_for("a place at the cluster", made, 180)  # type: ignore[return-value]


def retained(town: Town, port: int, name: str) -> set[str]:
    """Return the last levels of what a node hands to who comes late.

    RabbitMQ keeps it on the node alone to which it was said, and hands it out for whole topics, not for patterns.
    """
    topics = tuple(f"pasu/v1/{BOX}/{part}" for part in ("birth", "state", "health", "checkpoint"))
    client = town.connect("centre", port=port, client_id=name, topics=topics, version=V311)
    until, found = time.monotonic() + 2, set()
    while time.monotonic() < until:
        while not client.heard.empty():
            message = client.heard.get()
            found |= {message.topic.rsplit("/", 1)[1]} if message.retain else set()
        time.sleep(0.05)
    client.close()
    return found


@pytest.fixture
def cluster(tmp_path, request):
    made = Rabbits(tmp_path / "rabbits", request.param)
    yield made
    made.stop()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if made.mark.encode() in _read(path)]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("cluster", [3], indirect=True)
def test_e11_a_cluster_that_loses_a_node_loses_nothing(cluster, tmp_path):
    """E10, E11, E3: facts, commands, replies, and what is retained; the node dies that has the box's connection."""
    town = Town(tmp_path / "town", cluster.address.port)
    hand = Hand(town, Role.OFFICER, "kim")
    box, centre = LiveBox(town), Centre(town)
    town.enrol("gn-0008")
    written = tmp_path / "written"
    broker_files.write(town.city, "rabbitmq", written, str(written), cluster.names)
    first, *others = [node.port for node in cluster.nodes]
    heard = None
    try:
        cluster.start(written)
        cluster.address.ports = others
        wait_for("the watch", lambda: watches(centre, cluster), 240)
        heard = ear(town, "reply", client_id="centre-ear")

        cluster.address.ports = [first]
        box.begin()
        cluster.address.ports = others
        assert box.said("uplink")["protocol"] == 4
        assert retained(town, first, "centre-late") == {"birth", "state", "health"} | (
            {"checkpoint"} if box.rows("select 1 from checkpoint") else set()
        )
        box.write(300)
        own, text = hand.sign("inspect")
        heard.send(text)
        heard.send(text)
        assert heard.wait_reply(own)["status"] == "done"
        wait_for("the facts", lambda: centre.size() >= 300, 180)
        nobody_speaks_for_another(town, others[0], heard)

        box.write(200)
        cluster.nodes[0].kill()
        box.write(200)
        late, text = hand.sign("inspect")  # waits at the cluster, in the session of a box that is away
        heard.send(text)
        wait_for("another node", lambda: box.uplink_says().get("connected") is False, 60)
        box.wait_up()
        box.write(200)
        assert heard.wait_reply(late)["status"] == "done"
        assert any("birth" in retained(town, port, f"centre-late-{port}") for port in others)
        assert box.accepted(own) == box.accepted(late) == 1

        assert box.keep.stop() == 0
        whole = box.ledger_rows()
        wait_for("everything", lambda: centre.size() >= len(whole), 240)
        assert [tuple(row) for row in centre.entries()] == [tuple(row) for row in whole]
        size, root = checkpoint_of(box)
        assert root_of(whole[:size]) == root
        assert [alarm for alarm in centre.alarms() if alarm[0] == BOX] == []
    except AssertionError as error:
        error.add_note("\n".join((box.uplink.said(), centre.watch.said(), cluster.nodes[1].log())))
        raise
    finally:
        if heard is not None:
            heard.close()
        box.end()
        centre.watch.kill()


@pytest.mark.parametrize("cluster", [2], indirect=True)
def test_e11_two_nodes_stop_together_and_lose_nothing(cluster, tmp_path):
    """E10, E11: half of two is no majority. The box writes on alone, and all of it arrives when the other is back."""
    town = Town(tmp_path / "town", cluster.address.port)
    box, centre = LiveBox(town), Centre(town)
    written = tmp_path / "written"
    broker_files.write(town.city, "rabbitmq", written, str(written), cluster.names)
    try:
        cluster.start(written)
        wait_for("the watch", lambda: watches(centre, cluster), 240)
        box.begin()
        box.write(200)
        wait_for("the facts", lambda: centre.size() >= 200, 180)

        cluster.nodes[0].kill()
        box.write(200)
        wait_for("a box alone", lambda: box.uplink_says().get("connected") is False, 120)
        box.write(200)
        cluster.nodes[0].start()
        cluster.nodes[0].wait()
        box.wait_up()
        wait_for("the watch again", lambda: watches(centre, cluster), 240)
        box.write(100)

        assert box.keep.stop() == 0
        whole = box.ledger_rows()
        wait_for("everything", lambda: centre.size() >= len(whole), 240)
        assert [tuple(row) for row in centre.entries()] == [tuple(row) for row in whole]
        assert [alarm for alarm in centre.alarms() if alarm[0] == BOX] == []
    except AssertionError as error:
        error.add_note(
            "\n".join((box.uplink.said(), centre.watch.said(), *(node.log() for node in cluster.nodes)))
        )
        raise
    finally:
        box.end()
        centre.watch.kill()


def watches(centre: Centre, cluster: Rabbits) -> bool:
    """Tell whether the watch has its place at the cluster; one that was turned away ended, and is started again."""
    centre.watch.start()
    return "centre-watch" in cluster.ask("list_queues", "name")


def nobody_speaks_for_another(town: Town, port: int, heard: Ear) -> None:
    """Another box's reply in our box's name ends its connection, and reaches nobody."""
    thief = town.connect("gn-0008", port=port, version=V311)
    thief.client.publish(f"pasu/v1/{BOX}/reply", b'{"id":"stolen"}', qos=1)
    assert thief.gone.wait(60)
    thief.close()
    assert heard.replies("stolen") == []
