"""Judgements of cameras: what came of each while one looked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.field.doctor.check import Result, fail, ok, skip, warn
from agent.field.words import camera_state
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.field.picture import Measures, Verdict

FLOOR_FPS_TENTHS = 150
FLOOR_LONG, FLOOR_SHORT = 320, 240
RARE_MS, LONG_MS = 15_000, 5_000
"""Between two keyframes: the first costs too much at each break, the second is more than needed."""
MISSING_PERMILLE = 100
"""Of the pictures that should have come, so many may be missing where one looks for half a minute."""


def frames(
    camera: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, s: float
) -> Result:
    """Judge whether pictures kept coming.

    before, after  what record said of the camera at the beginning and at the end; None: nothing
    s              seconds between the two, by what record wrote
    """
    if not after or not before:
        return fail("camera.frames", say("녹화가 말하지 않습니다", "recording says nothing of it"), camera)
    if after.get("state") not in ("recording", "resting"):
        why = " ".join(filter(None, [camera_state(str(after.get("state"))), str(after.get("cause") or "")]))
        return fail("camera.frames", why, camera)
    came = int(after.get("frames") or 0) - int(before.get("frames") or 0)
    runs = int(after.get("runs") or 0) - int(before.get("runs") or 0)
    rate = came / s if s > 0 else 0.0
    text = say(f"{s:.0f}초에 {came}장", f"{came} pictures in {s:.0f} s") + f" ({rate:.1f}/s)"
    numbers = {"pictures": came, "seconds": round(s), "sessions": runs}
    if came <= 0:
        return fail("camera.frames", text, camera, **numbers)
    if runs > 0:
        again = say(f"{text}, 그사이 {runs}번 새로 이음", f"{text}, connected anew {runs} times")
        return warn("camera.frames", again, camera, **numbers)
    if after.get("state") == "resting":
        rests = say(
            f"{text}, 녹화 시간 밖이라 저장하지 않음", f"{text}, outside of its hours: none is stored"
        )
        return ok("camera.frames", rests, camera, **numbers)
    due = int(after.get("fps_tenths") or 0) * s / 10
    if due and came * 1000 < due * (1000 - MISSING_PERMILLE):
        return warn("camera.frames", text, camera, **numbers)
    return ok("camera.frames", text, camera, **numbers)


def floor(camera: str, told: Mapping[str, Any] | None) -> Result:
    """Judge size and rate. told: what record says of the camera."""
    width, height = int((told or {}).get("width") or 0), int((told or {}).get("height") or 0)
    tenths = (told or {}).get("fps_tenths")
    if not width or tenths is None:
        return _unknown("camera.floor", camera, told)
    text = f"{width}x{height} {tenths // 10}.{tenths % 10}/s"
    numbers = {"width": width, "height": height, "fps_tenths": tenths}
    small = max(width, height) < FLOOR_LONG or min(width, height) < FLOOR_SHORT
    make = fail if small or tenths < FLOOR_FPS_TENTHS else ok
    return make("camera.floor", text, camera, **numbers)


def keyframes(camera: str, told: Mapping[str, Any] | None) -> Result:
    """Judge the time from keyframe to keyframe."""
    apart = (told or {}).get("keyframe_ms")
    if apart is None:
        return _unknown("camera.keyframes", camera, told)
    text = say(f"{apart / 1000:.1f}초마다", f"every {apart / 1000:.1f} s")
    make = fail if apart >= RARE_MS else warn if apart > LONG_MS else ok
    return make("camera.keyframes", text, camera, keyframe_ms=apart)


def _unknown(check: str, camera: str, told: Mapping[str, Any] | None) -> Result:
    """Say that something is not known: of a camera that sends, no reason to take it for well."""
    make = warn if (told or {}).get("state") == "recording" else skip
    return make(check, say("아직 모릅니다", "not known yet"), camera)


def picture(camera: str, measures: Measures | None, verdict: Verdict | None, why: str = "") -> Result:
    """Judge what the camera sees. measures: of the whole look, with what they say; None: there are none, why."""
    if measures is None or verdict is None:
        return fail("camera.picture", why, camera)
    text = f"{verdict.word} · {measures.text}"
    make = ok if verdict.good else warn if verdict.unsure else fail
    return make("camera.picture", text, camera, verdict=str(verdict), **measures.numbers())


def password(camera: str, has_login: bool, is_factory: bool) -> Result:
    """Judge a camera's log-in, of which only this is known here."""
    if not has_login:
        return warn("camera.password", say("비밀번호가 없습니다", "it has no password"), camera)
    if is_factory:
        return fail("camera.password", say("공장 출하 비밀번호", "a factory password"), camera)
    return ok("camera.password", say("공장 출하 비밀번호가 아님", "not a factory password"), camera)


def sound(camera: str, told: Mapping[str, Any] | None, uninvited: int) -> Result:
    """Judge whether a camera offers sound. uninvited: how often it sent what was not asked for."""
    if uninvited:
        text = say(
            f"청하지 않은 것을 {uninvited}번 보냄 (버렸음)",
            f"sent {uninvited} times what was not asked for (thrown away)",
        )
        return fail("audio.offered", text, camera, uninvited=uninvited)
    if (told or {}).get("audio_offered") is None:
        return skip("audio.offered", say("아직 모릅니다", "not known yet"), camera)
    offered = [str(each) for each in (told or {})["audio_offered"]]
    if offered:
        text = say(
            f"카메라가 제안함, 청하지 않음: {' '.join(offered)}",
            f"offered, never asked for: {' '.join(offered)}",
        )
        return warn("audio.offered", text, camera, offered=offered)
    return ok("audio.offered", say("제안하지 않음", "not offered"), camera)


def wire(seen: Mapping[str, int], audio: Sequence[str], unheard: Sequence[str]) -> Result:
    """Judge what was on the wire.

    seen     packets by payload type, as text
    audio    which of these are of sound, or of more than one kind where there should be one
    unheard  cameras of which there was nothing
    """
    total = sum(seen.values())
    if audio:
        text = say(f"소리 패킷: {', '.join(audio)}", f"packets of sound: {', '.join(audio)}")
        return fail("audio.wire", text, packets=total, audio=list(audio))
    if unheard:
        text = say(f"RTP가 들리지 않음: {', '.join(unheard)}", f"no RTP was heard of: {', '.join(unheard)}")
        return warn("audio.wire", text, packets=total, unheard=list(unheard))
    text = say(f"RTP {total}개, 소리 0개", f"{total} RTP packets, none of sound")
    return ok("audio.wire", text, packets=total)
