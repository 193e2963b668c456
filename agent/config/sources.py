"""Where a trigger comes from: a topic of a broker on the site's own network, or a line of a GPIO chip. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from agent.config.rules import is_address

MQTT_PORT = 1883
MOST_LINE = 1023
_CHIP = re.compile(r"gpiochip[0-9]{1,3}")
_TOPIC = re.compile(r"[!-~]{1,200}")
_LINE = re.compile(r"/(0|[1-9][0-9]{0,3})")
_EDGES = ("falling", "rising", "both")


@dataclass(frozen=True, slots=True)
class MqttSource:
    """A topic of a broker at the site, by its address: no name is looked up."""

    host: str
    port: int
    topic: str


@dataclass(frozen=True, slots=True)
class GpioSource:
    """A line of a GPIO chip, and which of its edges counts: "falling", "rising", "both"."""

    chip: str
    line: int
    edge: str


def parse(text: str) -> MqttSource | GpioSource:
    """Read "mqtt://10.0.0.5:1883/site/bell01" or "gpio://gpiochip0/17?edge=falling". Raises ValueError."""
    parts = urlsplit(text)
    if parts.fragment or "@" in parts.netloc:
        raise ValueError("no source")
    if parts.scheme == "mqtt":
        topic = text.split("/", 3)[3] if text.count("/") > 2 else ""
        host = parts.hostname or ""
        port = MQTT_PORT if parts.port is None else parts.port
        if not is_address(host) or not port or not _TOPIC.fullmatch(topic) or {*"+#"} & {*topic}:
            raise ValueError("no topic of a broker")
        return MqttSource(host, port, topic)
    line = _LINE.fullmatch(parts.path)
    asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    edge = asked[0][1] if asked else "falling"
    if (
        parts.scheme != "gpio"
        or line is None
        or int(line[1]) > MOST_LINE
        or not _CHIP.fullmatch(parts.netloc)
    ):
        raise ValueError("no line of a chip")
    if [*dict(asked)] not in ([], ["edge"]) or len(asked) > 1 or edge not in _EDGES:
        raise ValueError("no edge")
    return GpioSource(parts.netloc, int(line[1]), edge)
