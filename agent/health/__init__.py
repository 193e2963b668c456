"""What is wrong, by name: conditions, who follows them, and the files in which processes say so."""

from agent.health.condition import Condition, Severity
from agent.health.files import folder_of, read_health, write_health
from agent.health.gather import STALE_S, gather, silences, silent_s
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
    "folder_of",
    "gather",
    "read_health",
    "silences",
    "silent_s",
    "write_health",
]
