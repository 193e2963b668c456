"""Passwords of cameras and of the site's brokers: secrets.toml beside agent.toml, for its owner alone. Never shown."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.load import ConfigProblems, Problem, read_toml
from agent.config.rules import ID, is_address
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent.config.values import Config

EXAMPLE = """[camera.cam01]
username = "recorder"
password = "…"

[broker."10.0.0.5"]
username = "pasu"
password = "…"
"""
HANDED = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what LoadCredential= names: copies that this unit alone can read, and that never change."""
TABLES = ("camera", "broker")
LIMIT = 256


@dataclass(frozen=True, slots=True)
class Login:
    """User and password at one camera or broker; neither appears in its repr."""

    username: str = field(repr=False)
    password: str = field(repr=False)


class Secrets:
    """All log-ins: by camera, and by address of a broker that triggers come from.

    By address, not by trigger: whoever may say from afar where a trigger comes from has no password sent there.
    """

    __slots__ = ("_brokers", "_logins")

    def __init__(
        self, logins: Mapping[str, Login] | None = None, brokers: Mapping[str, Login] | None = None
    ) -> None:
        self._logins = dict(logins or {})
        self._brokers = dict(brokers or {})

    def broker(self, address: str) -> Login | None:
        """Return the log-in at the broker of an address, None when it has none."""
        return self._brokers.get(address)

    def login(self, camera: str) -> Login | None:
        """Return a camera's log-in, None when it has none."""
        return self._logins.get(camera)

    def cameras(self) -> Iterator[str]:
        """Yield the cameras that have a log-in."""
        return iter(self._logins)

    def brokers(self) -> Iterator[str]:
        """Yield the addresses of brokers that have a log-in."""
        return iter(self._brokers)

    def to_json(self, cameras: Iterable[str]) -> dict[str, list[str]]:
        """Return the log-ins of these cameras alone, for the pipe to the worker that needs them."""
        wanted = set(cameras)
        chosen = ((camera, login) for camera, login in self._logins.items() if camera in wanted)
        return {camera: [login.username, login.password] for camera, login in chosen}

    @classmethod
    def from_json(cls, values: Mapping[str, list[str]]) -> Secrets:
        """Read back what `to_json` wrote."""
        return cls({camera: Login(*pair) for camera, pair in values.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secrets) and (self._logins, self._brokers) == (other._logins, other._brokers)

    __hash__ = None  # type: ignore[assignment]  # holds a dictionary

    def __repr__(self) -> str:
        return f"<Secrets for {len(self._logins)} cameras and {len(self._brokers)} brokers>"


def secrets_of(config: Config) -> Path:
    """Return where this process reads passwords: what systemd handed it, else secrets.toml beside the configuration."""
    handed = _handed(config.secrets_file.name)
    return handed if handed is not None and handed.exists() else config.secrets_file


def _handed(name: str) -> Path | None:
    folder = os.environ.get(HANDED)
    return Path(folder) / name if folder else None


def read_secrets(path: Path | str) -> Secrets:
    """Read secrets.toml.

    Returns  no log-ins at all when there is no such file: a site may have open cameras only
    Raises   ConfigProblems when others than the owner may touch the file, or it is not as it should be;
             nothing of its content is in the message
    """
    file = Path(path)
    problems: list[Problem] = []

    def add(code: str, key: str, found: str, korean: str, english: str, example: str = EXAMPLE) -> None:  # noqa: PLR0917 - two texts and their example
        problems.append(Problem(code, str(file), key, found, say(korean, english), example))

    try:
        mode = stat.S_IMODE(os.stat(file).st_mode)  # noqa: PTH116 - follows a link, as reading does
    except FileNotFoundError:
        return Secrets()
    except OSError as error:
        add("CONFIG_UNREADABLE", "", error.strerror or "", "읽을 수 있는 파일", "a file that can be read", "")
        raise ConfigProblems(file, problems) from None
    if mode & 0o077 and file != _handed(file.name):  # there it may be an ACL that shows so
        add(
            "CONFIG_SECRETS_MODE",
            "",
            f"{mode:04o}",
            "권한 0600: 소유자만 읽을 수 있어야 합니다",
            "mode 0600: for its owner alone",
            f"chmod 600 {file}",
        )
        raise ConfigProblems(file, problems)
    content = read_toml(file)
    for name in content:
        if name not in TABLES:
            allowed = (
                '[camera.카메라id]와 [broker."주소"]만 둡니다',
                'only [camera.ID] and [broker."ADDRESS"] tables',
            )
            add("CONFIG_KEY_UNKNOWN", name, "", *allowed)
    found = {name: _logins(name, content.get(name, {}), add) for name in TABLES}
    if problems:
        raise ConfigProblems(file, problems)
    return Secrets(found["camera"], found["broker"])


def _logins(table: str, tables: Any, add: Any) -> dict[str, Login]:
    """Check all of one kind; what is wrong is added."""
    if not isinstance(tables, dict):
        add("CONFIG_TABLE", table, "", *_ALLOWED[table])
        return {}
    found = {name: _login(table, name, values, add) for name, values in tables.items()}
    return {name: login for name, login in found.items() if login is not None}


_ALLOWED = {
    "camera": ("[camera.카메라id]", "[camera.ID]"),
    "broker": ('[broker."주소"]', '[broker."ADDRESS"]'),
}


def _login(table: str, of: str, values: Any, add: Any) -> Login | None:
    """Check one table; what is wrong is added, and None comes back."""
    where = f"{table}.{of}"
    named = is_address(of) if table == "broker" else ID.fullmatch(of)
    if not named or not isinstance(values, dict):
        add("CONFIG_TABLE", where, "", *_ALLOWED[table])
        return None
    good = True
    for name in values:
        if name not in ("username", "password"):
            add("CONFIG_KEY_UNKNOWN", f"{where}.{name}", "", "username, password", "username, password")
            good = False
    for name in ("username", "password"):
        value = values.get(name)
        if value is None:
            add("CONFIG_KEY_MISSING", f"{where}.{name}", "", "글", "a text")
        elif not isinstance(value, str) or len(value) > LIMIT or not (value.isprintable() or not value):
            allowed = f"한 줄의 글, {LIMIT}자까지", f"one line of text, at most {LIMIT} characters"
            add("CONFIG_VALUE", f"{where}.{name}", "", *allowed)
        elif name == "username" and (not value or ":" in value):
            allowed = "비어 있지 않고 ':'이 없는 글", "a text that is not empty and holds no ':'"
            add("CONFIG_VALUE", f"{where}.{name}", "", *allowed)
        else:
            continue
        good = False
    return Login(values["username"], values["password"]) if good else None
