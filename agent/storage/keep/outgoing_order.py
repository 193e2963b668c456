"""Exports as values, and the rules for them. Pure.

Nothing that was recorded leaves the box but through one of these: who takes it, what for, on which ground, by whose
authority, until when (Gangneung regulation art. 28, 31(3); Standard Guideline art. 42(1); the study's section 5-2-3).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from agent.consignment import EXPORT_NAME, MQTT
from agent.errors import PasuError
from agent.language import say
from agent.model import Instant, Span, Trust, utc_day
from agent.storage.keep.hold import EDITION, GROUNDS, TEXT_LIMIT

FORM = "sealed segments: age v1 over fragmented MP4"
"""In which form it is handed out (art. 42(1) no. 6): nobody without the centre's key sees a picture."""
BY_HAND = "hand"
"""Where an export goes that somebody takes at the box itself, with `pasu ledger prove`."""
LIFE_MS = 72 * 3_600_000
"""A bundle that was not sent by then lapses: what it links stays no longer beyond its own time."""
_HTTPS = re.compile(r"https://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:]{2,39}\])(?::[0-9]{1,5})?/?\Z")
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""RFC 1918, RFC 4193: what a tunnel has. What the box reaches by itself is not among them, nor any other reserved."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


class ExportRefused(PasuError):
    """Whoever orders the export orders it differently. Exit status 2, as for what is mistyped."""

    who = "whoever types"
    exit_code = 2


class State(StrEnum):
    """What became of an export."""

    REQUESTED = "requested"  # its segments are being linked
    BUNDLED = "bundled"  # everything is there, and is being sent
    SENT = "sent"  # the centre has every byte, as whoever carries it says
    RECEIVED = "received"  # the centre has signed that it has it
    UNCONFIRMED = "unconfirmed"  # sent, and nobody signed that in time
    CANCELLED = "cancelled"
    EXPIRED = "expired"


OPEN = (State.REQUESTED, State.BUNDLED, State.SENT)
"""Of an export that still has its bundle."""


class Fate(StrEnum):
    """What is done with a link of an export that is over."""

    UNLINK = "unlink"  # the file has another name: a hold's, its own, another export's
    SHRED = "shred"  # it is the last name of what retention erased: now its header goes too
    RETURN = "return"  # it is the last name of what nobody erased: it gets its own name back
    KEEP = "keep"  # nobody can say yet


@dataclass(frozen=True, slots=True)
class Export:
    """An order to hand out a span of a camera.

    id         of the command that asks for it
    ground     a code of the table of grounds, and its edition
    recipient  who gets it, in words; authority: the office and the number of its letter
    due        UTC day by whose end the recipient must have destroyed it, YYYY-MM-DD
    to         "mqtt", the https address of the centre's receiver, or BY_HAND
    person     in charge: who signed the order, or takes it at the box
    emergency  approved afterwards: it may be taken back; then `case` names it
    """

    id: str
    camera: str
    span: Span
    ground: str
    purpose: str
    recipient: str
    authority: str
    due: str
    to: str
    person: str
    emergency: bool = False
    case: str = ""
    grounds: int = EDITION

    @property
    def over(self) -> str:
        """Return by which way it goes: an address is nobody's business but the uplink's."""
        return self.to if self.to in (MQTT, BY_HAND) else "https"

    def body(self) -> dict[str, Any]:
        """Return it as the body of a fact: the fields of art. 42(1), and what the guide adds."""
        span = {"camera": self.camera, "start_ms": self.span.start_ms, "end_ms": self.span.end_ms}
        return span | self.terms()

    def terms(self) -> dict[str, Any]:
        """Return of its body on which terms it is handed out: all but of what."""
        return {
            "export": self.id,
            "ground": self.ground,
            "grounds": self.grounds,
            "purpose": self.purpose,
            "recipient": self.recipient,
            "authority": self.authority,
            "due": self.due,
            "form": FORM,
            "person": self.person,
            "over": self.over,
            "emergency": self.emergency,
            "case": self.case,
        }


def check(export: Export, at: Instant) -> None:
    """Refuse an order that cannot stand.

    By an untrusted clock its dates cannot be judged, and are taken as they are.
    Raises  ExportRefused EXPORT_ID, EXPORT_GROUND, EXPORT_TEXT, EXPORT_SPAN, EXPORT_DUE, EXPORT_TO
    """
    if not EXPORT_NAME.match(export.id):
        raise ExportRefused(
            "EXPORT_ID",
            say("반출 id로 쓸 수 없습니다", "not an id for an export"),
            hint=say("32자리 16진수", "32 hexadecimal digits"),
        )
    check_terms(export, at)
    trusted = at.trust is not Trust.UNTRUSTED
    if not export.span.length_ms or (trusted and export.span.end_ms > at.utc_ms):
        raise ExportRefused(
            "EXPORT_SPAN",
            say("구간이 비었거나 아직 오지 않았습니다", "the span is empty, or still to come"),
            hint=say("이미 녹화된 구간을 주십시오", "name a span that is recorded already"),
        )
    if export.to != MQTT and not _HTTPS.match(export.to):
        raise _no_place()


def check_terms(export: Export, at: Instant) -> None:
    """Refuse terms on which nothing is handed out, be it ordered from afar or taken at the box.

    Raises  ExportRefused EXPORT_GROUND, EXPORT_TEXT, EXPORT_DUE
    """
    if export.ground not in GROUNDS:
        raise ExportRefused(
            "EXPORT_GROUND",
            say(f"이런 근거가 없습니다: {export.ground}", f"no such ground: {export.ground}"),
            hint=", ".join(GROUNDS),
        )
    for name in ("purpose", "recipient", "authority", "person"):
        check_text(name, getattr(export, name))
    if export.emergency or export.case:
        check_text("case", export.case)
    past = at.trust is not Trust.UNTRUSTED and export.due < utc_day(at.utc_ms)
    if not _DAY.match(export.due) or past:
        raise ExportRefused(
            "EXPORT_DUE",
            say("파기 예정일이 아니거나 지났습니다", "the day of its destruction is none, or is past"),
            hint=say("2027-01-15처럼 오늘이나 그 뒤의 날짜", "today or later, like 2027-01-15"),
        )


def check_inside(export: Export, broker: str | None) -> None:
    """Refuse a destination that is neither the broker's host nor an address of a private network.

    Names are looked up by whoever answers; so the broker's is the only one.
    broker  the uplink's, mqtts://host:port; None without one
    Raises  ExportRefused EXPORT_TO
    """
    if export.to == MQTT:
        return
    try:
        host = urlsplit(export.to).hostname or ""
        if broker is not None and host == urlsplit(broker).hostname:
            return
        address = ip_address(host)
    except ValueError:
        raise _no_place() from None
    if not any(address in network for network in _PRIVATE):
        raise _no_place()


def _no_place() -> ExportRefused:
    return ExportRefused(
        "EXPORT_TO",
        say("보낼 곳이 올바르지 않습니다", "no place to send it to"),
        hint=say(
            '"mqtt", 또는 터널 안의 https://주소:포트',
            '"mqtt", or https://address:port inside the tunnel',
        ),
    )


def check_text(name: str, text: str) -> None:
    """Refuse an empty text, a long one, and one that breaks lines. Raises ExportRefused EXPORT_TEXT."""
    if not text.strip() or len(text) > TEXT_LIMIT or not text.isprintable():
        raise ExportRefused(
            "EXPORT_TEXT",
            say(
                f"{name} 값이 비었거나 너무 깁니다", f"the text of {name} is empty, too long or not printable"
            ),
            hint=say(f"한 줄, {TEXT_LIMIT}자까지", f"one line of at most {TEXT_LIMIT} characters"),
        )


def fate_of(names: int, state: str | None, *, begun: bool, sure: bool, over_age: bool, held: bool) -> Fate:
    """Decide what is done with a link of an export that is over, or of which nobody knows.

    names     how many the file has, this one included
    state     of its segment's row; None without one, or where it is not certain whose it is
    begun     its header is overwritten already, in part at least
    sure      the time is trusted: by it `over_age` was judged
    over_age  its retention is over by its name
    held      an active hold covers it, or may
    A segment that retention erased (GONE) was judged then, when no hold covered it; it only waited for this link.
    """
    if names > 1:
        return Fate.UNLINK
    if state == "GONE" or (begun and state is None):
        return Fate.SHRED
    if state is None and not held:
        if not sure:
            return Fate.KEEP
        if over_age:
            return Fate.SHRED
    return Fate.RETURN
