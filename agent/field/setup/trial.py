"""A camera that was typed is tried before it is accepted: what its answer means, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.config.secrets import Login
from agent.field.setup.requests import Tell, Tone, Trial, Try
from agent.language import say
from agent.onvif.model import LogIn
from agent.rtsp.errors import RtspError
from agent.rtsp.url import parse_url

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from agent.field.setup.requests import Request
    from agent.onvif.model import Stream

# By the code of agent.rtsp.errors: what is wrong, and what to do, in Korean and English.
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "auth_missing": (
        "로그인이 필요합니다",
        "it wants a log-in",
        "카메라의 계정과 비밀번호를 적으십시오",
        "type the camera's user and password",
    ),
    "auth_failed": (
        "계정이나 비밀번호가 틀렸습니다",
        "it refuses user or password",
        "확인하고 다시 적으십시오. 여러 번 틀리면 카메라가 잠깁니다",
        "check them and type them again; a camera locks itself after a few wrong ones",
    ),
    "auth_basic": (
        "비밀번호를 암호화하지 않고 보내라고 합니다 (Basic). 보내지 않았습니다",
        "it wants the password in clear (Basic), which was not sent",
        "카메라의 인증을 Digest로 바꾸십시오. 그대로는 녹화되지 않습니다",
        "set the camera's authentication to Digest; as it is nothing is recorded",
    ),
    "auth_unsupported": (
        "파수가 모르는 방식으로 로그인하라고 합니다",
        "it wants a kind of log-in that Pasu does not know",
        "카메라의 인증을 Digest로 바꾸십시오",
        "set the camera's authentication to Digest",
    ),
    "timeout": (
        "대답이 없습니다",
        "it does not answer",
        "주소, 카메라의 전원과 케이블, 박스가 같은 망에 있는지 확인하십시오",
        "check the address, its power and cable, and whether the box is on its network",
    ),
    "closed": (
        "연결되지 않습니다",
        "no connection can be made, or it is closed at once",
        "주소와 포트, 카메라에 RTSP가 켜져 있는지, 박스가 같은 망에 있는지 확인하십시오",
        "check address and port, whether RTSP is on in the camera, and whether the box is on its network",
    ),
    "status": (
        "카메라는 대답하지만 이 주소에는 영상이 없습니다",
        "it answers, but has no stream at this address",
        "주소에서 IP 뒤의 경로를 카메라 설명서에서 확인하십시오",
        "look up the path behind its IP address in the camera's manual",
    ),
    "no_video": (
        "영상이 없습니다",
        "there is no video in it",
        "주소의 경로를 확인하고, 카메라에서 영상 스트림을 켜십시오",
        "check the path of the address, and turn on a video stream in the camera",
    ),
    "unsupported_encoding": (
        "녹화할 수 없는 형식의 영상입니다",
        "its video is of a kind that cannot be recorded",
        "카메라에서 H.264나 H.265로 바꾸십시오",
        "set the camera to H.264 or H.265",
    ),
}
ODD = (
    "이상하게 대답합니다",
    "it answers oddly",
    "주소가 카메라의 것인지 확인하고, 카메라를 다시 켜 보십시오",
    "check whether the address is the camera's, and restart it",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trial has shown.

    good    it shows video that can be recorded
    log_in  it is the log-in that has to be typed again, and not the address
    text    says it, with what to do
    """

    good: bool
    log_in: bool
    tone: Tone
    text: str


def can_try(url: str) -> bool:
    """Tell whether an address is one that can be tried: others have no log-in, or are asked by recording alone."""
    return url.partition(":")[0].lower() in ("rtsp", "rtsps")


def place(url: str) -> tuple[str, int]:
    """Return host and port of an address that can be tried, ("", 0) for any other: whom a trial asks."""
    try:
        found = parse_url(url)
    except RtspError:
        return "", 0
    return found.host, found.port


def of(camera: dict[str, Any], *, basic: bool = False) -> Trial:
    """Return how a camera's table is tried. basic: whether its password may go out in clear where nothing is said."""
    user = camera.get("username")
    login = Login(user, camera.get("password", "")) if user else None
    return Trial(camera["url"], login, bool(camera.get("allow_basic_auth", basic)))


def judge(stream: Stream) -> Verdict:
    """Say what a camera's answer means."""
    if not stream.shown:
        code = "auth_basic" if stream.log_in is LogIn.BASIC else stream.fault
        texts = FAULTS.get(code, ODD)
        odd = "" if code in FAULTS else f" ({code})"
        text = f"{say(*texts[:2])}{odd}\n{say(*texts[2:])}"
        return Verdict(good=False, log_in=code.startswith("auth_"), tone=Tone.WARN, text=text)
    size = f"{stream.width}x{stream.height}" if stream.width and stream.height else ""
    rate = say(f"초당 {stream.fps:g}장", f"{stream.fps:g} pictures a second") if stream.fps else ""
    shows = ", ".join(filter(None, (stream.codec.upper(), size, rate)))
    text = say(f"영상이 나옵니다: {shows}", f"it shows video: {shows}")
    if stream.log_in is not LogIn.OPEN:
        return Verdict(good=True, log_in=False, tone=Tone.GOOD, text=text)
    text += "\n" + say(
        "로그인 없이 영상을 보여 줍니다: 카메라에 비밀번호를 정하십시오",
        "It shows it without a log-in: set a password in the camera",
    )
    return Verdict(good=True, log_in=False, tone=Tone.WARN, text=text)


def report(cameras: Sequence[dict[str, Any]]) -> Generator[Request, Any, None]:
    """Try cameras where nobody is asked, and tell of each what came of it."""
    chosen = [each for each in cameras if can_try(each["url"])]
    if not chosen:
        return
    yield asking(len(chosen))
    streams: tuple[Stream, ...] = yield Try(tuple(of(each) for each in chosen))
    for camera, stream in zip(chosen, streams, strict=True):
        verdict = judge(stream)
        yield Tell(f"{camera['id']}: {verdict.text}", verdict.tone)


def asking(count: int = 1) -> Tell:
    """Say that it may take a moment."""
    return Tell(
        say(
            f"카메라 {count}대에 물어보는 중입니다…",
            f"Asking {count} camera{'s' * (count != 1)} for video...",
        )
    )
