"""What several commands share."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.language import say

if TYPE_CHECKING:
    from agent.config import Config, Secrets

DEFAULT_CONFIG = Path("/etc/pasu/agent.toml")


def add_config(parser: argparse.ArgumentParser, *, inherited: bool = False) -> None:
    """Add --config. inherited: it may stand before this command's own word too, so it has no default here."""
    parser.add_argument(
        "--config",
        type=Path,
        default=argparse.SUPPRESS if inherited else DEFAULT_CONFIG,
        metavar="FILE",
        help=say(f"설정 파일 (기본 {DEFAULT_CONFIG})", f"configuration file (default {DEFAULT_CONFIG})"),
    )


def add_span(
    parser: argparse.ArgumentParser, start: str | None, end: str | None, *, required: bool = False
) -> None:
    """Add --from, --to and --utc; a default is as one would type it."""
    forms = '"2026-11-21T10:00", "10:00", "-10m", "+2h", "now"'
    until = say(f" (기본 {start})", f" (default {start})") if start else ""
    parser.add_argument(
        "--from",
        dest="start",
        default=start,
        required=required,
        metavar="TIME",
        help=say(f"시작 시각: {forms}", f"start of the span: {forms}") + until,
    )
    until = say(f" (기본 {end})", f" (default {end})") if end else ""
    parser.add_argument(
        "--to",
        dest="end",
        default=end,
        required=required,
        metavar="TIME",
        help=say("끝 시각. 이 시각은 들지 않습니다", "end of the span, itself not part of it") + until,
    )
    parser.add_argument(
        "--utc",
        action="store_true",
        help=say("시각을 UTC로 읽고 보입니다", "read and show times as UTC instead of local time"),
    )


def add_identity(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the private keys of recordings."""
    parser.add_argument(
        "--identity",
        action="append",
        type=Path,
        required=True,
        metavar="KEY",
        help=say(
            "개인키 파일. 여러 번 쓸 수 있습니다", "file with the private key; may be given more than once"
        ),
    )


def load_with_secrets(file: Path) -> tuple[Config, Secrets]:
    """Read the configuration and its passwords; warnings go to stderr. Raises ConfigProblems."""
    from agent.cli.problem import show_warnings
    from agent.config import load
    from agent.log_ins import read

    config = load(file)
    show_warnings(config.warnings, sys.stderr)
    return config, read(config)


def load_for_state(file: Path) -> Config:
    """Read the configuration for a command that works in the state directory; warnings go to no one.

    Started by root, the command goes on as the owner of that directory: what root would make there, the service could
    not open.
    """
    from agent.config import load
    from agent.forks import become

    config = load(file)
    with contextlib.suppress(OSError):  # a state that is not there has no owner; the command says so
        owner = config.storage.state.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            become(owner)
    return config


def user() -> str:
    """Return who is logged in, also behind sudo: the ledger names who did what."""
    import getpass

    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
