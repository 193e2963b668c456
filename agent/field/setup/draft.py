"""Answers of an installation that was begun and not ended, kept beside the configuration that is to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent import links
from agent.config.load import parse_toml
from agent.errors import ConfigError
from agent.field.setup import folders
from agent.field.setup.answers import draft_text
from agent.language import say
from agent.storage.files import Disk, exists
from agent.storage.links import content

if TYPE_CHECKING:
    from agent.field.setup.answers import Answers
    from agent.field.setup.place import Places


def keep(places: Places, answers: Answers, disk: Disk | None = None) -> None:
    """Keep what has been answered so far. Raises StorageFault."""
    disk = disk or Disk()
    folders.config_folder(places, disk)
    disk.atomic_replace(places.draft, draft_text(answers).encode(), sync=True)


def read(places: Places) -> Answers | None:
    """Return what was answered before; None when nothing was.

    The folder is the agent's too, who is not to say where root puts what: a draft is taken from root alone, or from who
    runs this.

    Raises  ConfigError INIT_DRAFT for a draft that is not to be taken; ConfigProblems for one that cannot be read
    """
    if not exists(places.draft):
        return None
    text, status = content(places.draft)
    if not links.is_ours(status):
        raise ConfigError(
            "INIT_DRAFT",
            say(
                f"{places.draft}은 root가 쓴 것이 아니므로 쓰지 않습니다",
                f"{places.draft} was not written by root, and is not taken",
            ),
            hint=say("처음부터 다시 묻습니다", "everything is asked anew"),
            file=str(places.draft),
            uid=status.st_uid,
        )
    return parse_toml(text, places.draft)


def drop(places: Places, disk: Disk | None = None) -> None:
    """Remove the draft of a box that is configured. Raises StorageFault."""
    disk = disk or Disk()
    disk.unlink(places.draft)
    disk.fsync_directory(places.draft.parent)
