"""All processes of the agent in the foreground: the life of `pasu run`.

`pasu record` is this process itself; it does not load what only this needs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agent import minding, reporting
from agent.app import record
from agent.errors import StorageFault

if TYPE_CHECKING:
    from agent.config import Config, Secrets


def run(config: Config, secrets: Secrets) -> int:
    """Start them, as a first look or while developing; return the recorder's exit status. Raises as `record`."""
    minders = [minding.Minder("keep", "agent.keeping", config)]
    if config.uplink is not None:
        minders.append(minding.Minder("uplink", "agent.reporting", config, partial(_is_enrolled, config)))
    if config.page is not None:
        minders.append(minding.Minder("page", "agent.field.page.life", config))

    def beside() -> None:
        for minder in minders:
            minder.turn()

    try:
        return record(config, secrets, beside=beside)
    finally:
        for minder in reversed(minders):
            minder.stop()


def _is_enrolled(config: Config) -> bool:
    """Tell whether reporting has what it needs; what cannot be seen ends no recording."""
    try:
        return reporting.is_enrolled(config)
    except StorageFault:
        return False
