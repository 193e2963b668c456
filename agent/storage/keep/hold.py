"""Holds as values, and the rules for them. Pure.

A hold keeps what some cameras recorded in a span from being erased, on a ground, by somebody's authority, until it
is released. It never lapses: from its review date on it reminds daily (regulation art. 29, 31; Act 21(3)).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from agent.errors import PasuError
from agent.language import say
from agent.model import UTC_DAY_MS, Instant, Span, Trust, canonical_json, utc_day

HOLD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
EVERY = "*"
"""Among the cameras of a hold: every camera, also one that is added later."""
MAGIC = "pasu-hold"
VERSION = 1
REVIEW_DAYS = 90
WARN_DAYS = 7
ACCESS = "access-request"
ANSWER_DAYS = 10
"""So soon the person who asked to see the picture is answered (Act 35, Decree 41(4); Standard Guideline 44(4))."""
ANSWER_WARN_DAYS = 3
TEXT_LIMIT = 500
SALVAGED = ".salvaged.mp4.age"
SALVAGED_REACH_MS = 10_000
"""A salvaged segment's row claims what is certain; its file may hold more, a loss window and a fragment. The hold
of a span that begins there covers it too."""
EDITION = 1
"""Of the table of grounds. A hold names it, so that an old code is read as it was meant."""


class HoldRefused(PasuError):
    """Whoever orders the hold orders it differently. Exit status 2, as for what is mistyped."""

    who = "whoever types"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Ground:
    """Why something may be held: its title in both languages, and the articles that name it.

    gangneung  item of art. 28(1) of the Gangneung regulation, or another article of it
    guideline  item of art. 40(1) of the Standard Guideline
    """

    korean: str
    english: str
    gangneung: str
    guideline: str


GROUNDS = {
    ACCESS: Ground("정보주체의 열람 등 요청", "request of the person in the picture", "29(1)", "44(1)"),
    "consent": Ground("정보주체의 동의", "consent of the person in the picture", "28(1)1", "40(1)1"),
    "statute": Ground("다른 법률의 특별한 규정", "another statute says so", "28(1)2", "40(1)2"),
    "vital-interest": Ground("급박한 생명ㆍ신체ㆍ재산의 이익", "urgent interest of life or property", "", "40(1)3"),
    "statistics": Ground("통계작성ㆍ학술연구 (식별 불가)", "research, nobody recognisable", "28(1)5", "40(1)4"),
    "commission": Ground("보호위원회의 심의ㆍ의결", "decision of the protection commission", "", "40(1)5"),
    "treaty": Ground("조약ㆍ국제협정의 이행", "treaty or international agreement", "", "40(1)6"),
    "investigation": Ground("범죄의 수사와 공소", "investigation and prosecution of a crime", "28(1)3", "40(1)7"),
    "trial": Ground("법원의 재판업무", "work of a court", "28(1)4", "40(1)8"),
    "sentence": Ground("형ㆍ감호ㆍ보호처분의 집행", "execution of a sentence or protective order", "", "40(1)9"),
    "disaster": Ground("재난상황, 피해자 구호", "disaster, relief of victims", "28(1)6", ""),
    "public-safety": Ground("공공의 안전을 위한 긴급한 필요", "urgent need of public safety", "", "40(1)10"),
}  # fmt: skip
"""Gangneung regulation art. 28(1) (six) and 29(1); Standard Guideline art. 40(1) (ten, in force 2025-04-11)."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold.

    cameras         ids, sorted; EVERY for all
    span            what was recorded in it is held; it may reach into the future
    ground,grounds  code, and the edition of the table it is from
    review_ms       when somebody must look whether it is still needed
    placed_ms,trust when it was placed, by the box's clock
    released_ms     None while it holds
    """

    id: str
    cameras: tuple[str, ...]
    span: Span
    ground: str
    authority: str
    review_ms: int
    placed_ms: int
    trust: str
    placed_by: str = ""
    grounds: int = EDITION
    released_ms: int | None = None
    release_reason: str | None = None

    @property
    def is_active(self) -> bool:
        """Tell whether it holds."""
        return self.released_ms is None

    def answer_left_ms(self, now_ms: int) -> int | None:
        """Return how long there is to answer the request that it is placed for; None where it is for no such.

        0 or less when the time is over, and also when it was placed by a clock that was wrong: nobody knows then.
        It counts until the hold is released: an answer is at the centre, and the box hears of it by that alone.
        """
        if self.ground != ACCESS or not self.is_active:
            return None
        left_ms = self.placed_ms + ANSWER_DAYS * UTC_DAY_MS - now_ms
        return left_ms if left_ms <= ANSWER_DAYS * UTC_DAY_MS else 0

    def covers(self, camera: str, span: Span, path: str = "") -> bool:
        """Tell whether a segment is held by it, be it by a millisecond.

        path  of the segment; one that was salvaged reaches further than its row claims
        """
        reach = SALVAGED_REACH_MS if path.endswith(SALVAGED) else 0
        wanted = camera in self.cameras or EVERY in self.cameras
        return wanted and span.start_ms < self.span.end_ms and span.end_ms + reach > self.span.start_ms

    def is_due(self, now_ms: int) -> bool:
        """Tell whether somebody must review it: its date has come.

        Also when the date is further off than any may be: it was placed by a clock that was wrong.
        """
        return now_ms >= self.review_ms or self.review_ms > latest_review(now_ms)

    def is_soon(self, now_ms: int) -> bool:
        """Tell whether its review comes within WARN_DAYS."""
        return not self.is_due(now_ms) and now_ms >= self.review_ms - WARN_DAYS * UTC_DAY_MS

    def released(self, at_ms: int, reason: str) -> Hold:
        """Return it as released."""
        return replace(self, released_ms=at_ms, release_reason=reason)

    def terms(self) -> tuple[object, ...]:
        """Return what was ordered: two orders with the same terms are one order, given twice."""
        return self.cameras, self.span, self.ground, self.authority, self.review_ms

    def body(self) -> dict[str, Any]:
        """Return it as the body of a fact."""
        return {
            "hold": self.id,
            "cameras": list(self.cameras),
            "from_ms": self.span.start_ms,
            "to_ms": self.span.end_ms,
            "ground": self.ground,
            "grounds": self.grounds,
            "authority": self.authority,
            "review_ms": self.review_ms,
            "placed_by": self.placed_by,
        }


def latest_review(now_ms: int) -> int:
    """Return how far off a review may be, UTC ms."""
    return now_ms + REVIEW_DAYS * UTC_DAY_MS


def check_order(hold: Hold, now: Instant) -> None:
    """Refuse an order that cannot stand.

    By an untrusted clock the review date cannot be judged, and is taken as it is: `is_due` judges it later.
    Raises  HoldRefused HOLD_ID, HOLD_GROUND, HOLD_TEXT, HOLD_REVIEW, HOLD_SPAN
    """
    if not HOLD_NAME.match(hold.id):
        raise HoldRefused(
            "HOLD_ID",
            say(f"보존 id로 쓸 수 없습니다: {hold.id!r}", f"not an id for a hold: {hold.id!r}"),
            hint=say("영문자, 숫자, '.', '_', '-'로 64자까지", "letters, digits, '.', '_', '-', at most 64"),
        )
    if hold.ground not in GROUNDS:
        raise HoldRefused(
            "HOLD_GROUND",
            say(f"이런 보존 근거가 없습니다: {hold.ground}", f"no such ground for a hold: {hold.ground}"),
            hint="\n".join(
                f"{code}: {say(ground.korean, ground.english)}" for code, ground in GROUNDS.items()
            ),
        )
    check_text("--authority", hold.authority)
    if not hold.cameras or not hold.span.length_ms:
        raise HoldRefused(
            "HOLD_SPAN",
            say("카메라나 구간이 비어 있습니다", "no camera, or an empty span"),
            hint=say("--camera와 --from, --to를 확인하십시오", "check --camera, --from and --to"),
        )
    if now.trust != Trust.UNTRUSTED and not now.utc_ms < hold.review_ms <= latest_review(now.utc_ms):
        first, last = utc_day(now.utc_ms + UTC_DAY_MS), utc_day(latest_review(now.utc_ms))
        raise HoldRefused(
            "HOLD_REVIEW",
            say(
                f"재검토일은 내일부터 {REVIEW_DAYS}일 안이어야 합니다",
                f"the review must be between tomorrow and {REVIEW_DAYS} days from now",
            ),
            hint=say(f"{first}부터 {last}까지", f"from {first} to {last}"),
        )


def check_text(name: str, text: str) -> None:
    """Refuse an empty text, a long one, and one that breaks lines. Raises HoldRefused HOLD_TEXT."""
    if not text.strip() or len(text) > TEXT_LIMIT or not text.isprintable():
        raise HoldRefused(
            "HOLD_TEXT",
            say(
                f"{name} 값이 비었거나 너무 깁니다", f"the text of {name} is empty, too long or not printable"
            ),
            hint=say(f"한 줄, {TEXT_LIMIT}자까지", f"one line of at most {TEXT_LIMIT} characters"),
        )


def write(hold: Hold) -> bytes:
    """Write the HOLD file: one line of canonical JSON."""
    more = {
        "magic": MAGIC,
        "version": VERSION,
        "placed_ms": hold.placed_ms,
        "trust": hold.trust,
        "released_ms": hold.released_ms,
        "release_reason": hold.release_reason,
    }
    return canonical_json(hold.body() | more).encode() + b"\n"


def read(name: str, data: bytes) -> Hold | None:
    """Read a HOLD file; None for anything but what `write` wrote for the hold of this name."""
    try:
        body = json.loads(data)
        hold = Hold(
            id=body["hold"],
            cameras=tuple(body["cameras"]),
            span=Span(body["from_ms"], body["to_ms"]),
            ground=body["ground"],
            authority=body["authority"],
            review_ms=body["review_ms"],
            placed_ms=body["placed_ms"],
            trust=body["trust"],
            placed_by=body["placed_by"],
            grounds=body["grounds"],
            released_ms=body["released_ms"],
            release_reason=body["release_reason"],
        )
        # Written again it is the same: so no field is of another type, missing or unknown.
        same = hold.id == name and write(hold) == data and _is_typed(hold)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return hold if same else None


def _is_typed(hold: Hold) -> bool:
    numbers = (hold.span.start_ms, hold.span.end_ms, hold.review_ms, hold.placed_ms, hold.grounds)
    texts = (*hold.cameras, hold.ground, hold.authority, hold.trust, hold.placed_by)
    return (
        all(type(number) is int for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and (hold.released_ms is None or type(hold.released_ms) is int)
        and (hold.release_reason is None or isinstance(hold.release_reason, str))
        and bool(hold.cameras)
    )


def merged(one: Hold, other: Hold) -> Hold:
    """Join what two disks tell of one hold, where they differ: what either holds is held.

    Happens when a box loses its catalogue between writing to the one and the other.
    """
    active = next((each for each in (one, other) if each.is_active), one)
    return replace(
        active,
        cameras=tuple(sorted({*one.cameras, *other.cameras})),
        span=Span(min(one.span.start_ms, other.span.start_ms), max(one.span.end_ms, other.span.end_ms)),
        review_ms=min(one.review_ms, other.review_ms),
    )
