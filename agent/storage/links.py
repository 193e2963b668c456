"""A configuration that root reads and writes in a folder that others may write too (`agent.links`), with its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent import links
from agent.errors import ConfigError
from agent.language import say
from agent.storage.files import fault

if TYPE_CHECKING:
    import os
    from pathlib import Path


def followed(file: Path) -> Path:
    """Return where a configuration lies that is to be written, so that a link to it stays one.

    Raises  ConfigError CONFIG_LINK for a link that is not to be trusted
    """
    found = links.led_to(file)
    if found is None:
        raise ConfigError(
            "CONFIG_LINK",
            say(
                f"{file}은 root가 만든 것이 아니거나 다른 사용자가 바꿀 수 있는 곳을 가리키는 링크입니다",
                f"{file} is a link that is not root's, or that leads where others may change the way",
            ),
            hint=say(
                f"`ls -l {file}`로 가리키는 곳을 확인하고, 링크 대신 파일 자체를 두십시오",
                f"see by `ls -l {file}` where it leads, and put the file itself there in its stead",
            ),
            file=str(file),
        )
    return found


def content(path: Path) -> tuple[bytes, os.stat_result]:
    """Return what is in a regular file, and whose that file is, as `agent.links.read`. Raises StorageFault."""
    try:
        return links.read(path)
    except OSError as error:
        raise fault("read", path, error) from error
