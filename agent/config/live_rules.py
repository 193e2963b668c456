"""What single values of the tables about live streams may be: rules as those of `rules`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from agent.config import hours, sources
from agent.config.rules import Refused, Rule, identifier, is_address, url

HOURS_LIMIT = 16


def media() -> Rule:
    """Allow a media server inside the tunnel: rtsp://, which the tunnel encrypts, at an address, never looked up."""
    plain = url(
        ("rtsp",), "rtsp://주소:포트 (이름이 아닌 IP 주소)", "rtsp://ADDRESS:PORT, an IP address and no name"
    )

    def accept(value: Any) -> str:
        if isinstance(value, str) and value.startswith("rtsps:"):
            raise Refused(
                "CONFIG_MEDIA",
                "rtsps가 아닌 rtsp: 터널이 암호화합니다",
                "rtsp, not rtsps: the tunnel encrypts",
            )
        address = str(plain.accept(value))
        if not is_address(urlsplit(address).hostname or ""):
            raise Refused(
                "CONFIG_MEDIA",
                "이름이 아니라 터널 안의 IP 주소: 이름은 물어보지 않습니다",
                "an IP address inside the tunnel, not a name: nothing is looked up",
            )
        return address

    return Rule(plain.korean, plain.english, accept)


def cameras(most: int) -> Rule:
    """Allow a list of camera ids, which may be empty, none of them twice. A tuple comes back."""
    one = identifier()

    def accept(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise Refused
        found = tuple(one.accept(each) for each in value)
        if len({*found}) < len(found):
            raise Refused("CONFIG_DUPLICATE")
        return found

    return Rule(
        f"서로 다른 카메라 id의 목록, {most}대까지; 비어 있으면 기록만 합니다",
        f"a list of camera ids that differ, at most {most}; with none it is only noted",
        accept,
    )


def schedule() -> Rule:
    """Allow a list of hours; a tuple of Hours comes back."""

    def accept(value: Any) -> tuple[hours.Hours, ...]:
        if not isinstance(value, list) or not 0 < len(value) <= HOURS_LIMIT:
            raise Refused
        if not all(isinstance(each, str) for each in value):
            raise Refused
        try:
            return tuple(hours.parse(each) for each in value)
        except ValueError:
            raise Refused from None

    return Rule(
        f'"mon-fri 08:00-20:00" 같은 시간의 목록, {HOURS_LIMIT}개까지 (한국 시각; 요일: mon tue wed thu fri sat sun)',
        f'a list of hours as "mon-fri 08:00-20:00", at most {HOURS_LIMIT}, Korean time (mon tue wed thu fri sat sun)',
        accept,
    )


def source() -> Rule:
    """Allow where a trigger comes from; a Source comes back."""

    def accept(value: Any) -> sources.MqttSource | sources.GpioSource:
        if not isinstance(value, str):
            raise Refused
        try:
            return sources.parse(value)
        except ValueError:
            raise Refused from None

    return Rule(
        "mqtt://주소:포트/주제 (이름이 아닌 IP 주소, +와 # 없이), 또는 gpio://gpiochipN/선?edge=falling|rising|both",
        "mqtt://ADDRESS:PORT/topic (an IP address and no name, without + and #), or"
        " gpio://gpiochipN/LINE?edge=falling|rising|both",
        accept,
    )
