"""Judgements of sealing, and of the ways to the centre. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.config.hours import rests
from agent.field.doctor.check import Result, fail, ok, skip, warn
from agent.field.words import age
from agent.language import say
from agent.model import Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.config.hours import Hours

BACKLOG = 1000
DAYS = 30
COMMAND_S = 86_400
"""A command that came longer ago says nothing of today."""
REPLY_S = 60
"""While the broker is there an answer leaves within seconds."""
HANDSHAKE_S = 180
STORED_S = 120
"""Besides the segment that is being written and one that waits for its keyframe, committing may take so long."""


@dataclass(frozen=True, slots=True)
class StoredLook:
    """What was seen of a camera's newest stored segment.

    path      in its vault; "" when there is none
    stanzas   keys that its header names
    wrong     code of what is wrong with it, "" when nothing
    end_ms    when it ends, UTC ms
    """

    path: str
    stanzas: int
    wrong: str
    end_ms: int


def recipients(configured: Sequence[str], record: Mapping[str, Any] | None) -> Result:
    """Judge whom is sealed to. configured: fingerprints of the recipients in the file."""
    said = (record or {}).get("sealing") or {}
    used = [str(each) for each in said.get("recipients") or ()]
    if not used:
        return fail("sealing.recipients", say("녹화가 말하지 않습니다", "recording says nothing"))
    text = ", ".join(used)
    if said.get("signed"):
        return ok("sealing.recipients", say(f"센터가 서명함: {text}", f"signed by the centre: {text}"))
    if sorted(used) != sorted(configured):
        return fail("sealing.recipients", say(f"설정과 다름: {text}", f"not those of the file: {text}"))
    if len(used) < 2:
        one = say(f"하나뿐이라 그 키를 잃으면 끝입니다: {text}", f"one alone, and lost with it: {text}")
        return warn("sealing.recipients", one)
    return ok("sealing.recipients", text)


def stored(  # noqa: PLR0917 - a segment, and what it should be
    camera: str,
    look: StoredLook,
    recipients: int,
    now_ms: int,
    segment_s: int,
    hours: Sequence[Hours] = (),
) -> Result:
    """Judge a camera's newest segment.

    recipients  how many keys it should be sealed to
    segment_s   how long segments are
    hours       outside of which none is expected
    """
    rested_ms = (
        sum(rest.length_ms for rest in rests(hours, Span(min(look.end_ms, now_ms), now_ms)))
        if look.path
        else 0
    )
    if not look.path and rests(hours, Span(now_ms, now_ms + 1)):
        return skip("sealing.segment", say("녹화 시간 밖", "outside of its hours"), camera)
    if not look.path:
        return warn("sealing.segment", say("아직 저장된 조각이 없습니다", "no segment is stored yet"), camera)
    if look.wrong:
        return fail("sealing.segment", f"{look.wrong} {look.path}", camera)
    since_s = max(0, (now_ms - look.end_ms - rested_ms) // 1000)
    if since_s > 2 * segment_s + STORED_S:
        text = say(f"{age(since_s)} 전부터 저장되지 않음", f"nothing stored for {age(since_s)}")
        return fail("sealing.segment", text, camera, since_s=since_s)
    text = say(f"키 {look.stanzas}개로 봉인: {look.path}", f"sealed to {look.stanzas} keys: {look.path}")
    return (ok if look.stanzas == recipients else fail)("sealing.segment", text, camera, stanzas=look.stanzas)


def no_key(found: Sequence[str], looked: int) -> Result:
    """Judge whether a private key lies about. found: files with one; looked: how many were read."""
    if found:
        return fail("sealing.no_key", say("개인키가 있습니다", "there is a private key"), ", ".join(found))
    return ok("sealing.no_key", say(f"파일 {looked}개에 없음", f"none in {looked} files"), files=looked)


def canary(state: str, at: str = "") -> Result:
    """Judge the canary. state: "" not tried, "waits" for its word, "right", "wrong", "unknown" file."""
    if state == "right":
        return ok("sealing.canary", say("센터가 열었습니다", "the centre opened it"))
    if state == "wrong":
        return fail("sealing.canary", say("낱말이 다릅니다", "another word than was sealed"), at)
    if state == "waits":
        return warn("sealing.canary", say("낱말을 기다립니다", "its word is waited for"), at)
    return skip("sealing.canary", say("해 보지 않았습니다 (--canary)", "not tried (--canary)"))


def tunnel(configured: bool, told: Mapping[str, Any] | None) -> Result:
    """Judge the tunnel. told: its health file."""
    if not configured:
        return skip("tunnel", say("[tunnel]이 없습니다", "there is no [tunnel]"))
    if not told or not told.get("up"):
        return fail("tunnel", say("연결되지 않음", "not up"))
    if lacks := [str(each) for each in told.get("lacks") or ()]:
        return fail("tunnel", say("터널 밖 통신이 열려 있음: ", "other ways are open: ") + ", ".join(lacks))
    since = told.get("handshake_s")
    if since is None or since > HANDSHAKE_S:
        text = say("센터의 응답이 없습니다", "no handshake with the centre")
        return fail("tunnel", text)
    return ok("tunnel", say(f"마지막 응답 {age(since)} 전", f"handshake {age(since)} ago"), handshake_s=since)


def broker(configured: bool, enrolled: bool, told: Mapping[str, Any] | None) -> list[Result]:
    """Judge the connection to the broker, and its certificate. told: the uplink's health file."""
    if not configured:
        why = say("[uplink]가 없습니다", "there is no [uplink]")
        return [skip("broker", why), skip("broker.certificate", why)]
    if not enrolled or told is None:
        why = (
            say("등록되지 않았습니다", "not enrolled")
            if not enrolled
            else say("보고하는 프로세스가 말하지 않습니다", "the uplink says nothing")
        )
        return [fail("broker", why), skip("broker.certificate", why)]
    return [_connection(told), _certificate(told.get("certificate_days"))]


def _connection(told: Mapping[str, Any]) -> Result:
    if not told.get("connected"):
        why = f"{told.get('reason', '')} {told.get('trouble', '')}".strip()
        return fail("broker", say(f"끊김 {why}", f"not connected {why}").strip())
    backlog = int(told.get("backlog") or 0)
    text = say(f"연결됨, 보낼 기록 {backlog}건", f"connected, {backlog} entries to send")
    return (warn if backlog > BACKLOG else ok)("broker", text, backlog=backlog)


def _certificate(days: int | None) -> Result:
    if days is None:
        return skip("broker.certificate", say("아직 모릅니다", "not known yet"))
    text = say(f"{days}일 남음", f"{days} days left")
    make = fail if days < 0 else warn if days < DAYS else ok
    return make("broker.certificate", text, days=days)


def command(
    configured: bool,
    since_s: int | None,
    orders: Mapping[str, Any],
    waits_s: int | None = None,
    *,
    connected: bool = False,
) -> Result:
    """Judge whether commands come through, and answers go.

    since_s    since the last that was accepted; None: none ever was
    orders     what keep says
    waits_s    for how long the oldest answer waits to be sent; None: none does
    connected  whether the broker is there: else it is that which is wrong, and answers may wait
    """
    if not configured:
        return skip("command", say("[uplink]가 없습니다", "there is no [uplink]"))
    if orders.get("ring_epoch") is None:
        return fail("command", say("센터의 키 목록이 없습니다", "there is no key ring of the centre"))
    if connected and waits_s is not None and waits_s > REPLY_S:
        text = say(f"답이 {age(waits_s)} 동안 나가지 못함", f"an answer has not left for {age(waits_s)}")
        return fail("command", text, waits_s=waits_s)
    if since_s is None:
        return warn("command", say("아직 온 명령이 없습니다", "no command has come yet"))
    text = say(f"마지막 명령 {age(since_s)} 전", f"last command {age(since_s)} ago")
    return (warn if since_s > COMMAND_S else ok)("command", text, since_s=since_s)
