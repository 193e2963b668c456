"""What the brokers are told. With real ones: tests/contract/test_centre_broker.py."""

from __future__ import annotations

import json
import re

from agent.centre import brokers


def test_mosquitto_has_two_listeners_that_ask_for_certificates():
    files = brokers.mosquitto("/srv/pasu", "10.77.0.1:8883", "[fd00::1]:8884")
    text = files["mosquitto.conf"]
    assert "listener 8883\n" in text
    assert "listener 8884 fd00::1\n" in text
    assert text.count("require_certificate true") == text.count("crlfile /srv/pasu/crl.pem") == 2
    assert text.count("use_username_as_clientid true") == 1
    assert "allow_anonymous true" not in text
    assert "pattern read pasu/v1/%u/command" in files["boxes.acl"]
    assert "pattern write pasu/v1/%u/command" not in files["boxes.acl"]


def allowed(entry: dict, name: str, way: str, topic: str) -> bool:
    pattern = entry[way].replace("{username}", name)
    return re.search(pattern, topic.replace("/", ".")) is not None


def test_rabbitmq_lets_a_box_write_its_own_topics_only():
    files = brokers.rabbitmq(
        "/etc/pasu", "10.77.0.1:8883", ["gn-0002", "gn-0001"], ["rabbit@a", "rabbit@b", "rabbit@c"]
    )
    given = json.loads(files["definitions.json"])
    assert [user["name"] for user in given["users"]] == ["centre", "gn-0001", "gn-0002"]
    assert all(user["password_hash"] == "" for user in given["users"])
    rights = {entry["user"]: entry for entry in given["topic_permissions"]}
    box = rights["gn-0001"]
    for part in brokers.WRITES:
        path = f"{part}/ab/0" if part == "export" else part
        assert allowed(box, "gn-0001", "write", f"pasu/v1/gn-0001/{path}")
        assert not allowed(box, "gn-0001", "write", f"pasu/v1/gn-0002/{path}")
        assert not allowed(box, "gn-0001", "read", f"pasu/v1/gn-0001/{path}")
    assert allowed(box, "gn-0001", "read", "pasu/v1/gn-0001/command")
    assert not allowed(box, "gn-0001", "write", "pasu/v1/gn-0001/command")
    for filter_ in ("pasu/v1/gn-0002/command", "pasu/v1/+/command", "#"):
        assert not allowed(box, "gn-0001", "read", filter_.replace("+", "*"))
    centre = rights["centre"]
    assert allowed(centre, "centre", "write", "pasu/v1/gn-0001/command")
    assert not allowed(centre, "centre", "write", "pasu/v1/gn-0001/facts")
    queues = next(entry for entry in given["permissions"] if entry["user"] == "gn-0001")
    assert re.search(queues["configure"], "mqtt-subscription-gn-0001qos1")
    assert not re.search(queues["read"], "mqtt-subscription-gn-0002qos1")
    text = files["rabbitmq.conf"]
    assert "cluster_formation.classic_config.nodes.3 = rabbit@c" in text
    assert "quorum" in text


def test_one_rabbitmq_alone_has_no_cluster():
    text = brokers.rabbitmq("/etc/pasu", "10.77.0.1:8883", [])["rabbitmq.conf"]
    assert "cluster" not in text
    assert "mqtt.allow_anonymous = false" in text
