"""What the interview wants from the world: questions, and things to look at. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

    from agent.config.secrets import Login
    from agent.field.setup.answers import Answers
    from agent.field.setup.drives import Drive


class Tone(StrEnum):
    """How something is told."""

    HEAD = "head"
    PLAIN = "plain"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question of one line; the answer is a text.

    key     which question it is, as in the answers file
    usual   what an empty answer means, "" for nothing
    explain a line below the title: what it is for, or what is allowed
    secret  it is not shown while it is typed, and kept in no draft
    """

    key: str
    title: str
    usual: str = ""
    explain: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """Something to be read. The answer is None."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Rows:
    """A table to be read. right: numbers of columns that are aligned to the right; folding: that may be broken."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    folding: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Disks:
    """Look at all disks. named: a path that is wanted besides. The answer is a tuple of `Drive`, looked at."""

    named: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """Make a disk anew; phrase: what the person typed for it. The answer is None."""

    drive: Drive
    phrase: str


@dataclass(frozen=True, slots=True)
class Measure:
    """Measure a disk, or a folder where drive is None. load: bytes in a second. The answer is a `fit.Cost`."""

    drive: Drive | None
    folder: str
    load: int
    cameras: int


@dataclass(frozen=True, slots=True)
class Search:
    """Find cameras, and have some chosen. The answer is a list of (camera table, kbit/s or None).

    taken  ids in use
    where  addresses and networks; none: the camera network
    """

    taken: frozenset[str]
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """A camera to be tried. login: None without; basic: whether its password may go out in clear."""

    url: str
    login: Login | None = field(default=None, repr=False)
    basic: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """Ask cameras what they show; nothing is played. The answer is a tuple of `agent.onvif.model.Stream`, one each."""

    trials: tuple[Trial, ...]


@dataclass(frozen=True, slots=True)
class ReadText:
    """Read a small text file that a person named. The answer is its text, or None when it cannot be read."""

    path: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep what has been answered so far, so that it can be gone on with. The answer is None."""

    answers: Answers = field(repr=False)


class Stopped(Exception):
    """Nobody is there to answer any more, or the person has said that it is enough."""


Request = Ask | Tell | Rows | Disks | Format | Measure | Search | Try | ReadText | Keep
if TYPE_CHECKING:
    Talk = Generator[Request, Any, Answers]
