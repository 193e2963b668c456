"""Configuration: agent.toml becomes one frozen `Config`, or one error that holds every problem at once.

`values` are what the rest of Pasu reads; `keys` is the one table of keys, rules and defaults, from which
the document is generated too; `rules` decide about single values; `load` joins them; `secrets` reads
passwords.
"""

from agent.config.load import ConfigProblems, ConfigWarning, Problem, load
from agent.config.secrets import Login, Secrets, parse_secrets, read_secrets
from agent.config.values import (
    Box,
    Camera,
    Centre,
    Config,
    Page,
    Purpose,
    SourceKind,
    Storage,
    Stream,
    Trigger,
    Tunnel,
    Uplink,
)

__all__ = [
    "Box",
    "Camera",
    "Centre",
    "Config",
    "ConfigProblems",
    "ConfigWarning",
    "Login",
    "Page",
    "Problem",
    "Purpose",
    "Secrets",
    "SourceKind",
    "Storage",
    "Stream",
    "Trigger",
    "Tunnel",
    "Uplink",
    "load",
    "parse_secrets",
    "read_secrets",
]
