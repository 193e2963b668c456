"""What carries a command out: a handler, what it is given, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.command.judge import Weight
from agent.storage.keep import orders_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.command.order import Order
    from agent.command.ring import Ring
    from agent.config import Config
    from agent.health import Raised
    from agent.model import Fact, Instant
    from agent.storage.catalogue import Catalogue
    from agent.storage.files import Disk
    from agent.storage.keep.rollover import Rules
    from agent.storage.keep.time import TimeKeeper
    from agent.storage.proof.signing import BoxKey
    from agent.storage.vault import Vault

DONE = "done"
FAILED = "failed"
PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command, or has come so far.

    status  done, failed, or progress: the handler is called again in the next turn
    detail  goes into the reply; plain values, of at most 60 KiB as JSON
    facts   of what was done; they are durable together with the outcome
    """

    status: str = DONE
    code: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a desk works, and with what.

    config_file  agent.toml, None for a keeper that was started without one
    run          where the health files are
    step         told each numbered step
    """

    box: str
    state: Path
    rules: Rules
    clock: TimeKeeper
    disk: Disk
    monotonic: Callable[[], float]
    step: Callable[[str], None]
    config_file: Path | None = None
    run: Path | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn works on."""

    catalogue: Catalogue
    vaults: Mapping[str, Vault]
    now: Instant
    key: BoxKey | None = None
    conditions: Sequence[Raised] = ()


@dataclass(slots=True)
class Context:
    """What handlers work with.

    config_file  agent.toml; None where nobody configured the keeper by one
    run          where the health files are, None when there are none
    mono_s       seconds since boot
    conditions   what is wrong now
    note         what the handler wrote down for itself before, None the first time
    last         it is not called again: whatever it was waiting for, it decides now
    """

    box: str
    state: Path
    config_file: Path | None
    run: Path | None
    rules: Rules
    catalogue: Catalogue
    vaults: Mapping[str, Vault]
    clock: TimeKeeper
    now: Instant
    mono_s: float
    ring: Ring
    key: BoxKey | None
    disk: Disk
    step: Callable[[str], None]
    conditions: Sequence[Raised] = ()
    note: dict[str, Any] | None = None
    last: bool = False

    @classmethod
    def of(cls, place: Place, turn: Turn, held: Ring) -> Context:
        """Put it together for one turn."""
        return cls(
            place.box,
            place.state,
            place.config_file,
            place.run,
            place.rules,
            turn.catalogue,
            turn.vaults,
            place.clock,
            turn.now,
            place.monotonic(),
            held,
            turn.key,
            place.disk,
            place.step,
            turn.conditions,
        )

    def remember(self, order: Order, note: dict[str, Any], *facts: Fact) -> None:
        """Write something down that the handler must know when it is called again, with facts. Raises StorageFault."""
        orders_rows.change(self.catalogue, order.id, facts, note=note)
        self.note = note

    def config(self) -> Config:
        """Read agent.toml as it is now. Raises ConfigProblems."""
        from agent.config import load

        assert self.config_file is not None, "a keeper that takes commands has a configuration"
        return load(self.config_file)


def light(context: Context, order: Order) -> Weight:  # noqa: ARG001 - the form of all that weigh
    """Weigh an order that asks for no more than the table does."""
    return Weight()


@dataclass(frozen=True, slots=True)
class Handler:
    """How a command is carried out.

    run    called again after a crash, or while it says progress, so that the second time comes to the same; errors of
           Pasu's become a failed outcome, but those of the catalogue: then it is called again
    weigh  asked before it is accepted; may raise CommandRefused
    again  false for one that must not run twice: after a crash it failed
    """

    run: Callable[[Context, Order], Outcome]
    weigh: Callable[[Context, Order], Weight] = light
    again: bool = True
