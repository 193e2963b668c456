"""All conditions by their codes, and one that holds now. docs/operations.md is generated from this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.health.tables.box import BOX
from agent.health.tables.camera import CAMERA
from agent.health.tables.catalogue import CATALOGUE
from agent.health.tables.clock import CLOCK
from agent.health.tables.command import COMMAND
from agent.health.tables.config import CONFIG
from agent.health.tables.disk import DISK
from agent.health.tables.export import EXPORT
from agent.health.tables.hold import HOLD
from agent.health.tables.process import PROCESS
from agent.health.tables.retention import RETENTION
from agent.health.tables.showing import SHOWING
from agent.health.tables.trigger import TRIGGER
from agent.health.tables.tunnel import TUNNEL
from agent.health.tables.update import UPDATE
from agent.health.tables.uplink import UPLINK
from agent.health.tables.vault import VAULT

if TYPE_CHECKING:
    from agent.health.condition import Condition

CONDITIONS: dict[str, Condition] = {
    **CLOCK,
    **RETENTION,
    **VAULT,
    **DISK,
    **CATALOGUE,
    **HOLD,
    **EXPORT,
    **CAMERA,
    **CONFIG,
    **BOX,
    **UPLINK,
    **TUNNEL,
    **SHOWING,
    **COMMAND,
    **TRIGGER,
    **UPDATE,
    **PROCESS,
}


@dataclass(frozen=True, slots=True)
class Raised:
    """A condition that holds now. `subject` tells two of one kind apart: a camera, a vault's path, a hold's id."""

    code: str
    subject: str = ""
    detail: str = ""

    @property
    def condition(self) -> Condition:
        """Return what its code says."""
        return CONDITIONS[self.code]
