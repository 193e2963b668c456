"""What the page's application does by itself: its visitor is answered in one language, its log is in another."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agent.errors import StorageFault
from agent.field.page.app import App
from agent.field.page.door import Door
from agent.language import say
from tests.unit.cli.test_init_end import config

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Open(Door):
    """Lets everybody in."""

    def __init__(self) -> None:
        """Know nothing of passes."""

    def who(self, cookie: str) -> Any:
        """Be content with anything."""
        return cookie


def broken() -> dict[str, Any]:
    raise StorageFault("DISK_DENIED", say("읽을 수 없습니다", "may not be read"), path="/run/pasu/keep.json")


def test_a_fault_is_told_to_the_visitor_in_his_language_and_to_the_log_in_english(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(config(tmp_path, '[page]\nlisten = "127.0.0.1"'), Open(), broken)
    told: list[str] = []
    with caplog.at_level(logging.INFO):
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_COOKIE": "pasu=1; language=ko"}
        (body,) = app(asked, lambda status, _: told.append(status))  # type: ignore[arg-type,return-value]
    assert told == ["503 Service Unavailable"]
    assert "박스에 문제가 있어" in body.decode()
    assert caplog.messages == ["DISK_DENIED path=/run/pasu/keep.json"]
