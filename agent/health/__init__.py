"""What is wrong, by name: conditions, who follows them, and the files in which processes say so."""

from agent.health.condition import Condition, Severity
from agent.health.files import STALE_S, read_health, silences, silent_s, write_health
from agent.health.registry import CONDITIONS, Raised
from agent.health.tracker import Change, Tracker

__all__ = [
    "CONDITIONS",
    "STALE_S",
    "Change",
    "Condition",
    "Raised",
    "Severity",
    "Tracker",
    "read_health",
    "silences",
    "silent_s",
    "write_health",
]
