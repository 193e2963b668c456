"""Log-ins written as a secrets.toml. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.onvif.proposal import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.secrets import Login, Secrets

HEAD = (
    "# Users and passwords: for the agent alone, and never in agent.toml. `pasu secrets` writes this text.\n"
)


def changed(secrets: Secrets, table: str, name: str, login: Login | None) -> bytes:
    """Return the text of log-ins of which one is another.

    table, name  camera and its id, or broker and its address
    login        None takes it away
    """
    tables: dict[str, dict[str, Login | None]] = {
        "camera": {each: secrets.login(each) for each in secrets.cameras()},
        "broker": {each: secrets.broker(each) for each in secrets.brokers()},
    }
    tables[table][name] = login
    return (HEAD + "".join(_tables(kind, logins) for kind, logins in tables.items())).encode()


def _tables(kind: str, logins: Mapping[str, Login | None]) -> str:
    return "".join(
        f"\n[{kind}.{quoted(name)}]\nusername = {quoted(each.username)}\npassword = {quoted(each.password)}\n"
        for name, each in logins.items()
        if each is not None
    )
