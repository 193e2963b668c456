"""Passes to the health page: what one is, its code, whether it lets in now; and the page's word of who came. Pure.

A pass is for one person, for some hours, and opens one session: its code is worth nothing once it was used. What is
stored of the code is its SHA-256: with 100 bits of chance there is nothing to guess and nothing to slow down.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections import OrderedDict
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter looks like another, and what is misread is known."""
CODE_LETTERS = 20
CODE_BYTES = 13  # 104 bits, of which the last four are left
GROUP = 5
MOST_HOURS = 24 * 7
HOUR_MS = 3_600_000
MOST_TEXT = 60
MOST_PASSES = 200
LIMIT_BYTES = 4096  # of a pass or a word
KEPT_MS = 30 * 86_400_000
"""A pass that is over is listed for so long; its facts stay."""
MOST_COUNT = 1_000_000

_NAME = re.compile(r"[0-9a-f]{8}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MISREAD = str.maketrans("OIL", "011")


class Standing(StrEnum):
    """Whether a pass lets anybody in."""

    GOOD = "good"
    EXPIRED = "expired"
    REVOKED = "revoked"


class What(StrEnum):
    """What the page has to tell."""

    VISITED = "visited"
    REFUSED = "refused"
    LOCKED = "locked"


class Why(StrEnum):
    """Why a code opened nothing."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED = "used"
    LOCKED = "locked"


class Unreadable(ValueError):
    """Bytes that are no pass, or no word."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass.

    id             8 hexadecimal digits; it opens nothing
    digest         of its code
    name, company  of the person
    by             who issued it
    issued_ms, until_ms  by CLOCK_REALTIME, both of the same moment
    boot, until_boot_ms  the same end by CLOCK_BOOTTIME of the boot in which it was issued, so that a clock that is
                         set back does not make it last longer
    """

    id: str
    digest: str
    name: str
    company: str
    by: str
    issued_ms: int
    until_ms: int
    boot: str
    until_boot_ms: int
    revoked_ms: int | None = None

    def standing(self, now_ms: int, boot: str, boot_ms: int, *, trusted: bool = True) -> Standing:
        """Return whether it lets anybody in now.

        trusted  whether the box relies on its clock. In another boot than the pass's only the clock tells how long it
                 has been, and a box whose battery is empty begins again in the past
        """
        if self.revoked_ms is not None:
            return Standing.REVOKED
        if boot and boot == self.boot:
            over = boot_ms >= self.until_boot_ms
        else:
            over = not trusted or now_ms < self.issued_ms
        return Standing.EXPIRED if over or now_ms >= self.until_ms else Standing.GOOD


@dataclass(frozen=True, slots=True)
class Word:
    """What the page says has happened at its door.

    id      of the pass, "" where there is none
    why     of a refusal
    count   how often, for what was put together
    source  the visitor's address
    """

    what: What
    id: str
    why: Why | None
    count: int
    source: str


def new_code(chance: bytes) -> str:
    """Write CODE_BYTES of chance as a code of CODE_LETTERS letters, in groups: "7KQ4M-0Z8..."."""
    number = int.from_bytes(chance[:CODE_BYTES]) >> (8 * CODE_BYTES - 5 * CODE_LETTERS)
    letters = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(CODE_LETTERS)))
    return "-".join(letters[at : at + GROUP] for at in range(0, CODE_LETTERS, GROUP))


def digest_of(typed: str) -> str | None:
    """Return what is stored of a code that somebody typed, in whatever case and grouping; None for what is none."""
    letters = re.sub(r"[\s-]", "", typed[: 4 * CODE_LETTERS]).upper().translate(_MISREAD)
    if len(letters) != CODE_LETTERS or not set(letters) <= set(ALPHABET):
        return None
    return hashlib.sha256(b"pasu-pass\0" + letters.encode()).hexdigest()


def new_pass(
    own: str,
    digest: str,
    *,
    name: str,
    company: str,
    by: str,
    hours: int,
    utc_ms: int,
    boot: str,
    boot_ms: int,
) -> Pass:
    """Make a pass that counts from now on. utc_ms: CLOCK_REALTIME; boot_ms: CLOCK_BOOTTIME of `boot`."""
    life_ms = hours * HOUR_MS
    return Pass(own, digest, name, company, by, utc_ms, utc_ms + life_ms, boot, boot_ms + life_ms)


def is_pass_id(text: object) -> bool:
    """Tell whether something has the form of a pass's id."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_digest(text: object) -> bool:
    """Tell whether something has the form of what is stored of a code."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def told(one: Pass) -> dict[str, Any]:
    """Return what a fact says of a pass that is issued."""
    return {
        "id": one.id,
        "name": one.name,
        "company": one.company,
        "by": one.by,
        "until_ms": one.until_ms,
    }


def is_text(text: str) -> bool:
    """Tell whether a name or a company can be one."""
    return 0 < len(text) <= MOST_TEXT and text.isprintable() and text == text.strip()


def address_of(host: str, port: int) -> str:
    """Return the address of the page's entrance. A code is put behind it after #, which no browser sends."""
    return f"https://{f'[{host}]' if ':' in host else host}:{port}/enter"


def encode(one: Pass) -> bytes:
    """Write a pass down."""
    return json.dumps({"v": 1, **asdict(one)}, ensure_ascii=False).encode()


def parse(data: bytes) -> Pass:
    """Read a pass. Raises Unreadable."""
    found = _object(data)
    try:
        texts: dict[str, Any] = {
            name: str(found[name]) for name in ("id", "digest", "name", "company", "by", "boot")
        }
        numbers = {name: _count(found[name]) for name in ("issued_ms", "until_ms", "until_boot_ms")}
        revoked = found["revoked_ms"]
        one = Pass(**{**texts, **numbers, "revoked_ms": None if revoked is None else _count(revoked)})
    except (LookupError, TypeError) as error:
        raise Unreadable("no pass") from error
    if not _NAME.fullmatch(one.id) or not _DIGEST.fullmatch(one.digest):
        raise Unreadable("no pass")
    return one


def encode_word(word: Word) -> bytes:
    """Write a word down."""
    return json.dumps({"v": 1, **asdict(word)}).encode()


def parse_word(data: bytes) -> Word:
    """Read a word, whatever its writer has become. Raises Unreadable."""
    found = _object(data)
    try:
        why = found["why"]
        word = Word(
            What(found["what"]),
            found["id"],
            None if why is None else Why(why),
            _count(found["count"]),
            str(ipaddress.ip_address(found["source"])),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable("no word") from error
    if not isinstance(word.id, str) or (word.id and not _NAME.fullmatch(word.id)) or word.count > MOST_COUNT:
        raise Unreadable("no word")
    return word


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data[: LIMIT_BYTES + 1])
    except (ValueError, RecursionError) as error:
        raise Unreadable("no JSON") from error
    if not isinstance(found, dict) or found.get("v") != 1:
        raise Unreadable("another version")
    return found


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("no number")
    return value


FAILURES = 5
WITHIN_S = 600.0
LOCKED_S = 600.0
FAILURES_OF_ALL = 50
MOST_SOURCES = 256


class Lock:
    """Who may try a code: not a source that failed often, and nobody while all together fail too often.

    Sessions that are open stay open. It remembers at most MOST_SOURCES sources; of more the oldest is forgotten, and
    the count of all goes on.
    """

    def __init__(self) -> None:
        """Know of no failure."""
        self._sources: OrderedDict[str, list[float]] = OrderedDict()
        self._all: list[float] = []

    def is_locked(self, source: str, now_s: float) -> bool:
        """Tell whether a source must wait. now_s: seconds since boot."""
        return self.all_locked(now_s) or _often(self._sources.get(_net(source), []), FAILURES, now_s)

    def all_locked(self, now_s: float) -> bool:
        """Tell whether everybody must wait."""
        return _often(self._all, FAILURES_OF_ALL, now_s)

    def failed(self, source: str, now_s: float) -> bool:
        """Count a failure; return whether it was the one that locked its source, or all."""
        was = self.is_locked(source, now_s)
        net = _net(source)
        mine = self._sources.pop(net, [])
        self._sources[net] = [*mine, now_s][-FAILURES:]
        while len(self._sources) > MOST_SOURCES:
            self._sources.popitem(last=False)
        self._all = [*self._all, now_s][-FAILURES_OF_ALL:]
        return self.is_locked(source, now_s) and not was


def _often(times: list[float], most: int, now_s: float) -> bool:
    """Tell whether the last failures came close together, and the last of them is not long ago."""
    return len(times) >= most and times[-1] - times[0] <= WITHIN_S and now_s - times[-1] < LOCKED_S


def _net(source: str) -> str:
    """Return what is locked out: an IPv4 address, or the network of an IPv6 one, which has many addresses."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
