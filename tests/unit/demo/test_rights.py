"""The demo's broker in Python lets each name do what mosquitto's lists say."""

from __future__ import annotations

import pytest
from paho.mqtt.client import topic_matches_sub

from agent.centre import brokers
from agent.demo.rights import may

BOX = "gn-0007"
PARTS = (
    *brokers.WRITES,
    "command",
    "receipt",
    "export/e1/0",
    "export/e1",
    "birth/x",
    "command/x",
    "other",
    "",
)
TOPICS = [
    *(f"pasu/v1/{box}/{part}" for box in (BOX, "gn-0008", "centre") for part in PARTS),
    "pasu/v2/gn-0007/birth",
    "pasu/v1/gn-0007",
    "other",
    "",
]


def listed(name: str, topic: str, *, writes: bool) -> bool:
    """Judge by the lists that are written for mosquitto."""
    files = brokers.mosquitto("/etc", "10.0.0.1:8883", "127.0.0.1:8884")
    text = files["centre.acl" if name == brokers.CENTRE else "boxes.acl"]
    rules = [line.split() for line in text.splitlines() if line.split()[0] in ("pattern", "topic")]
    wanted = "write" if writes else "read"
    return any(
        way == wanted and topic_matches_sub(pattern.replace("%u", name), topic) for _, way, pattern in rules
    )


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("name", [BOX, brokers.CENTRE])
def test_as_mosquitto_does(name: str, writes: bool) -> None:
    for topic in TOPICS:
        if topic.endswith("/export"):
            continue  # export/# stands for export itself too; nothing is ever sent there
        assert may(name, topic, writes=writes) == listed(name, topic, writes=writes), topic


def test_a_box_reads_nobody_elses() -> None:
    for wanted in ("#", "pasu/#", "pasu/v1/#", "pasu/v1/+/command", "pasu/v1/gn-0008/command", "+/+/+/+"):
        assert not may(BOX, wanted, writes=False)
    assert may(brokers.CENTRE, "pasu/v1/+/birth", writes=False)


def test_who_has_no_name_may_nothing() -> None:
    assert not may("", "pasu/v1//command", writes=False)
    assert not may("", "pasu/v1//birth", writes=True)
