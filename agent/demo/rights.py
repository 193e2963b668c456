"""What each name may write and read at a broker, as agent.centre.brokers writes it down for mosquitto. Pure."""

from __future__ import annotations

from agent.centre.brokers import CENTRE, COMMAND, RECEIPT, WRITES

TOPIC = ["pasu", "v1"]


def may(name: str, topic: str, *, writes: bool) -> bool:
    """Tell whether a name may write, or read, a topic or filter."""
    levels = topic.split("/")
    if levels[:2] != TOPIC or len(levels) < 3 or not name:
        return False
    if name == CENTRE:
        return not writes or levels[3:] in ([COMMAND], [RECEIPT])
    if levels[2] != name or len(levels) < 4:
        return False
    if not writes:
        return levels[3:] in ([COMMAND], [RECEIPT])
    return levels[3] in WRITES and (len(levels) == 4 or levels[3] == "export")
