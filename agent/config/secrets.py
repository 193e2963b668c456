"""Passwords of cameras and of the site's brokers: secrets.toml beside agent.toml, for its owner alone. Never shown."""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.config.load import ConfigProblems, Problem, parse_toml
from agent.config.rules import ID, is_address
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

EXAMPLE = """[camera.cam01]
username = "recorder"
password = "…"

[broker."10.0.0.5"]
username = "pasu"
password = "…"
"""
HEAD = (
    "# Users and passwords: for the agent alone, and never in agent.toml. `pasu secrets` writes this text.\n"
)
TABLES = ("camera", "broker")
LIMIT = 256


def quoted(text: str) -> str:
    """Write a TOML basic string. Source toml.io 1.0.0; of JSON's escapes all but that of DEL are the same."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


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

    def over(self, others: Secrets) -> Secrets:
        """Return these, and of others those that are not among them."""
        return Secrets({**others._logins, **self._logins}, {**others._brokers, **self._brokers})

    def of_brokers(self) -> Secrets:
        """Return those at brokers alone."""
        return Secrets({}, self._brokers)

    def with_one(self, table: str, name: str, login: Login | None) -> Secrets:
        """Return them with one changed.

        table, name  camera and its id, or broker and its address
        login        None takes it away
        """
        tables = {"camera": dict(self._logins), "broker": dict(self._brokers)}
        tables[table].pop(name, None)
        if login is not None:
            tables[table][name] = login
        return Secrets(tables["camera"], tables["broker"])

    def to_toml(self) -> bytes:
        """Write them as `parse_secrets` reads them."""
        tables = {"camera": self._logins, "broker": self._brokers}
        return (
            HEAD
            + "".join(
                f"\n[{kind}.{quoted(name)}]\nusername = {quoted(each.username)}\npassword = {quoted(each.password)}\n"
                for kind, logins in tables.items()
                for name, each in logins.items()
            )
        ).encode()

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


def read_secrets(path: Path | str) -> Secrets:
    """Read a secrets.toml that lies there in clear; `agent.log_ins` knows which file there is.

    Returns  no log-ins at all when there is no such file: a site may have open cameras only
    Raises   ConfigProblems when others than the owner may touch the file, or it is not as it should be;
             nothing of its content is in the message
    """
    return parse_secrets(secrets_text(Path(path)), Path(path))


def secrets_text(file: Path) -> bytes:
    """Return what stands in a secrets.toml in clear, nothing when there is none. Raises ConfigProblems."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)  # follows a link, as reading does
        content = b"" if mode & 0o077 else regular(file)
    except FileNotFoundError:
        return b""
    except OSError as error:
        allowed = say("읽을 수 있는 파일", "a file that can be read")
        problem = Problem("CONFIG_UNREADABLE", str(file), "", error.strerror or "", allowed, "")
        raise ConfigProblems(file, [problem]) from None
    if mode & 0o077:
        allowed = say("권한 0600: 소유자만 읽을 수 있어야 합니다", "mode 0600: for its owner alone")
        problem = Problem("CONFIG_SECRETS_MODE", str(file), "", f"{mode:04o}", allowed, f"chmod 600 {file}")
        raise ConfigProblems(file, [problem])
    return content


def regular(file: Path) -> bytes:
    """Return the content of a regular file. A pipe is not waited for, nor a device opened. Raises OSError."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as opened:
        return opened.read()


def parse_secrets(text: bytes, file: Path) -> Secrets:
    """Read log-ins.

    text    a secrets.toml; file: where it is said to stand
    Raises  ConfigProblems, in which nothing of the text is
    """
    problems: list[Problem] = []

    def add(code: str, key: str, found: str, korean: str, english: str, example: str = EXAMPLE) -> None:  # noqa: PLR0917 - two texts and their example
        problems.append(Problem(code, str(file), key, found, say(korean, english), example))

    content = parse_toml(text, file)
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
