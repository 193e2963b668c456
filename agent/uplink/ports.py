"""What the uplink needs of the box around it. `agent.reporting` joins the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.model import Instant
    from agent.uplink.carrying import Carrying
    from agent.uplink.courier import Cursor
    from agent.uplink.payloads import Birth, Checkpoint, Health


class Entry(Protocol):
    """An entry of the ledger; `body` is JSON already."""

    @property
    def seq(self) -> int: ...  # noqa: D102 - as in the ledger
    @property
    def at_ms(self) -> int: ...  # noqa: D102
    @property
    def trust(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def body(self) -> str: ...  # noqa: D102


class Ledger(Protocol):
    """The ledger, to be read. Any call may raise a PasuError: the catalogue is busy or away, and is asked again."""

    def look(self) -> tuple[str, int, int]:
        """Return the ledger's id, its newest seq, and up to where the centre has acknowledged it."""
        ...

    def entries(self, ledger: str, after: int, limit: int, most_bytes: int) -> Sequence[Entry]:
        """Return entries after a seq, in order: at most `limit`, at most `most_bytes` of bodies, but one at least.

        ledger  its id: of another one, which has taken its place, there is nothing
        """
        ...

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest signed head."""
        ...


class Exchange(Protocol):
    """Where the uplink meets keep. What fails there raises a PasuError."""

    def put_order(self, jws: str, *, retained: bool) -> bool:
        """Hand a command to keep; false when too many wait there."""
        ...

    def replies(self, limit: int) -> list[tuple[str, bytes]]:
        """Return keep's oldest replies: a name for each, and the JSON to send."""
        ...

    def drop_reply(self, name: str) -> None:
        """Remove a reply that the broker has acknowledged."""
        ...


class Notebook(Protocol):
    """What the uplink remembers over a restart. What cannot be written is forgotten: it only saves sending twice."""

    def cursor(self) -> Cursor | None:
        """Return where the courier was."""
        ...

    def set_cursor(self, cursor: Cursor) -> None:
        """Write that down."""
        ...

    def history(self) -> list[str]:
        """Return the lines of health that wait to be told."""
        ...

    def add_history(self, line: str) -> None:
        """Append one."""
        ...

    def set_history(self, lines: Sequence[str]) -> None:
        """Replace them all."""
        ...


class Reports(Protocol):
    """How the box is."""

    def birth(self, n: int) -> Birth:
        """Return who the box is, in full."""
        ...

    def health(self, n: int, backlog: int, seq: int | None) -> Health:
        """Return how it is now; backlog and seq are of the ledger, as agent.uplink.payloads has them."""
        ...


@dataclass(frozen=True, slots=True)
class Box:
    """What a post joins. `chance` returns numbers from 0 to 1; `carrying` is None where nothing is handed out."""

    id: str
    session: str
    ledger: Ledger
    exchange: Exchange
    notebook: Notebook
    reports: Reports
    now: Callable[[], Instant]
    chance: Callable[[], float]
    carrying: Carrying | None = None
