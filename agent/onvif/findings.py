"""What is wrong with a camera that was found, by name: the pure part of every warning."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.language import say
from agent.onvif.model import LogIn

if TYPE_CHECKING:
    from agent.onvif.model import Camera, Stream

FLOOR_FPS = 15  # statutory technical standard, as agent.capture.vitals; fault row D8
FLOOR_LONG, FLOOR_SHORT = 320, 240
CLOCK_MS = 5000


class Severity(StrEnum):
    """How bad a finding is. ALARM keeps a camera from being added, unless it is waived."""

    ALARM = "alarm"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with a few figures that go into its sentence."""

    code: str
    severity: Severity
    figures: str = ""

    @property
    def text(self) -> str:
        """Say it in the reader's language."""
        sentence = say(*TEXTS[self.code][:2])
        return f"{sentence} ({self.figures})" if self.figures else sentence

    @property
    def remedy(self) -> str:
        """Say what to do, in the reader's language."""
        return say(*TEXTS[self.code][2:])


# By code: what is wrong, and what to do, in Korean and English. docs/discover.md has them all.
TEXTS: dict[str, tuple[str, str, str, str]] = {
    "factory-password": (
        "공장 출하 비밀번호를 받아들입니다",
        "it accepts a factory password",
        "카메라의 비밀번호를 바꾸고 다시 찾으십시오. 알고도 넣으려면 --waive factory-password",
        "set a password of its own in the camera and discover again; --waive factory-password adds it all the same",
    ),
    "basic-only": (
        "비밀번호를 암호화하지 않고 보내라고 합니다 (Basic)",
        "it wants the password in clear (Basic)",
        "카메라의 인증을 Digest로 바꾸십시오. 알고도 넣으려면 --waive basic-only",
        "set the camera's authentication to Digest; --waive basic-only sends the password all the same",
    ),
    "no-stream": (
        "녹화할 수 있는 영상 주소가 없습니다",
        "it has no stream that can be recorded",
        "로그인을 확인하고, 카메라에서 RTSP와 H.264나 H.265를 켜십시오",
        "check the log-in, and turn on RTSP with H.264 or H.265 in the camera",
    ),
    "foreign-address": (
        "다른 장치의 주소를 자기 것이라고 합니다. 그 주소는 쓰지 않습니다",
        "it names another device's address as its own, which is not used",
        "카메라의 네트워크 설정(주소, 포트 전달)을 확인하십시오. 아니라면 조작된 카메라일 수 있습니다",
        "check the camera's network settings; where they are right, the camera may have been tampered with",
    ),
    "log-in-needed": (
        "로그인이 필요합니다",
        "it wants a log-in",
        "다시 찾을 때 계정과 비밀번호를 입력하십시오",
        "type user and password when asked",
    ),
    "log-in-refused": (
        "계정이나 비밀번호가 틀렸습니다",
        "it refuses user or password",
        "비밀번호를 확인하십시오. 여러 번 틀리면 카메라가 잠깁니다",
        "check the password; a camera locks itself after a few wrong ones",
    ),
    "no-log-in": (
        "로그인 없이 영상을 보여 줍니다",
        "it shows its pictures without a log-in",
        "카메라에 비밀번호를 정하십시오",
        "set a password in the camera",
    ),
    "telnet-open": (
        "Telnet(23번 포트)이 열려 있습니다",
        "Telnet (port 23) is open",
        "카메라 설정에서 Telnet을 끄십시오",
        "turn Telnet off in the camera",
    ),
    "audio-on": (
        "소리를 내보냅니다",
        "it offers sound",
        "pasu는 소리를 청하지 않습니다. 카메라에서도 끄려면 --audio-off",
        "Pasu never asks for it; --audio-off turns it off in the camera as well",
    ),
    "below-floor": (
        "화질이나 초당 장수가 기준(320x240, 15장)보다 낮습니다",
        "it is below the floor of 320x240 and 15 pictures a second",
        "카메라에서 해상도와 프레임 수를 올리십시오",
        "raise size and rate in the camera",
    ),
    "clock-off": (
        "카메라의 시계가 5초 넘게 어긋납니다",
        "its clock is more than 5 s off",
        "카메라에 NTP를 정하십시오",
        "give the camera an NTP server",
    ),
    "plain-http": (
        "설정 화면이 암호화되지 않습니다 (HTTP)",
        "its settings are reached by HTTP only",
        "카메라에서 HTTPS를 켜십시오. 비밀번호는 어느 쪽이든 해시로만 보냅니다",
        "turn on HTTPS in the camera; the password goes out hashed either way",
    ),
    "odd-answers": (
        "이상하게 대답하여 다 묻지 못했습니다",
        "its answers were refused, and not all was learned",
        "카메라를 다시 켜고 펌웨어를 확인하십시오",
        "restart the camera and check its firmware",
    ),
}
WAIVABLE = ("factory-password", "basic-only")


def findings(camera: Camera) -> tuple[Finding, ...]:
    """Judge a camera. Alarms come first, then warnings, then notices."""
    found = [*_of_log_in(camera), *_of_streams(camera)]
    if camera.telnet:
        found.append(Finding("telnet-open", Severity.WARNING))
    if camera.clock_ms is not None and abs(camera.clock_ms) > CLOCK_MS:
        found.append(Finding("clock-off", Severity.WARNING, f"{camera.clock_ms / 1000:+.0f} s"))
    if camera.faults:
        found.append(Finding("odd-answers", Severity.WARNING, ", ".join(camera.faults)))
    if camera.service.startswith("http:"):
        found.append(Finding("plain-http", Severity.NOTICE))
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _of_log_in(camera: Camera) -> list[Finding]:
    ways = _ways(camera)
    found = []
    if camera.factory:
        found.append(Finding("factory-password", Severity.ALARM))
    if camera.basic or LogIn.BASIC in ways:
        found.append(Finding("basic-only", Severity.ALARM))
    if LogIn.REFUSED in ways:
        found.append(Finding("log-in-refused", Severity.ALARM))
    if LogIn.NEEDED in ways:
        found.append(Finding("log-in-needed", Severity.ALARM))
    if any(stream.shown and stream.log_in is LogIn.OPEN for stream in camera.streams):
        found.append(Finding("no-log-in", Severity.WARNING))
    return found


def _ways(camera: Camera) -> set[LogIn]:
    return {camera.log_in, *(stream.log_in for stream in camera.streams)}


def _of_streams(camera: Camera) -> list[Finding]:
    found = []
    foreign = camera.foreign or next((stream.foreign for stream in camera.streams if stream.foreign), "")
    if foreign:
        found.append(Finding("foreign-address", Severity.WARNING, foreign))
    main = camera.main
    if main is None and not _ways(camera) & {LogIn.NEEDED, LogIn.REFUSED, LogIn.BASIC}:
        found.append(Finding("no-stream", Severity.ALARM))
    elif main is not None and _below_floor(main):
        figures = (
            f"{main.width or '?'}x{main.height or '?'}, {'?' if main.fps is None else f'{main.fps:g}'}/s"
        )
        found.append(Finding("below-floor", Severity.WARNING, figures))
    sound = sorted({encoding for stream in camera.streams for encoding in stream.audio})
    if sound:
        found.append(Finding("audio-on", Severity.WARNING, ", ".join(sound)))
    return found


def _below_floor(stream: Stream) -> bool:
    if stream.fps is not None and stream.fps < FLOOR_FPS:
        return True
    if stream.width is None or stream.height is None:
        return False
    long, short = max(stream.width, stream.height), min(stream.width, stream.height)
    return long < FLOOR_LONG or short < FLOOR_SHORT


def obstacles(camera: Camera, waived: tuple[str, ...]) -> tuple[Finding, ...]:
    """Return what keeps a camera from being added: alarms that nobody has waived. Fault row D12."""
    return tuple(
        finding
        for finding in findings(camera)
        if finding.severity is Severity.ALARM and finding.code not in waived
    )
