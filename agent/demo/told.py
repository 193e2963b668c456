"""What the demo says of the control centre: the city, the boxes, the command, and the centre's table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.cli import board
from agent.cli.alarms import ALARMS
from agent.cli.centre_command import STATUSES, show_code
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.centre.watched import Alarm, Row
    from agent.demo.site import Site
    from agent.demo.town import Ordered, Town


def founded(town: Town) -> str:
    """Say that there is a city, and what carries its messages."""
    return say(
        f"{town.city.name}의 키와 인증 기관을 만들고 MQTT 브로커를 켰습니다 ({town.broker.name}, 상호 TLS).",
        f"Made the keys and certificates of {town.city.name}, and started its MQTT broker "
        f"({town.broker.name}, mutual TLS).",
    )


def enrolled(sites: Sequence[Site]) -> str:
    """Say which boxes were enrolled."""
    names = ", ".join(site.box for site in sites)
    return say(
        f"박스 {len(sites)}대를 등록했습니다: {names}. 개인키는 오가지 않습니다.",
        f"Enrolled {len(sites)} boxes: {names}. No private key travelled.",
    )


def line(rows: Sequence[Row], hold: Ordered | None) -> str:
    """Say in a line what the centre knows now."""
    told = board.summary(rows)
    return f"{told}\n{_hold(hold)}" if hold is not None else told


def _hold(hold: Ordered) -> str:
    if not hold.reply:
        return say("서명된 보존 명령을 보냈습니다…", "A signed order to hold was sent…")
    status = hold.reply["status"]
    said = say(*STATUSES[status]) if status in STATUSES else status
    return say(f"서명된 보존 명령의 답: {said}", f"Answer to the signed order to hold: {said}")


def command(hold: Ordered | None, town: Town) -> str:
    """Say what was ordered, by whom, and what came of it."""
    assert hold is not None
    who, box = town.officer.key.holder, hold.sealed.box
    if not hold.reply:
        return say(
            f"서명된 명령: {box}가 답하지 않았습니다.", f"Signed command: {box} did not answer in time."
        )
    status = hold.reply["status"]
    said = say(*STATUSES[status]) if status in STATUSES else status
    why = f" ({show_code(hold.reply)})" if hold.reply.get("code") else ""
    return say(
        f"서명된 명령: 운영책임자 {who}가 {box}의 최근 영상을 법적 보존하게 했습니다. "
        f"박스의 답: {said}{why}, {hold.took_s:.1f}초 뒤.",
        f"Signed command: officer {who} put the latest footage of {box} under a legal hold. "
        f"Answer: {said}{why}, after {hold.took_s:.1f} s.",
    )


def time_given() -> str:
    """Say that the boxes rely on a time that the centre signed."""
    return say(
        "시각: 이 컴퓨터의 시계는 동기되지 않았습니다. 박스들은 시연용 관제센터가 서명해 보낸 시각을 씁니다.",
        "Time: nothing keeps this computer's clock right. The boxes go by the time that the demo's centre signed.",
    )


def alarm(found: Alarm) -> str:
    """Say what the witness found."""
    return f"!! {found.box}: {say(*ALARMS[found.what]) if found.what in ALARMS else found.what}"


def table(city: str, rows: Sequence[Row]) -> None:
    """Print the centre's table."""
    title = say(
        f"{city} 관제센터의 표 (pasu centre watch), 박스를 멈추기 직전",
        f"The centre of {city} (pasu centre watch), just before the boxes were stopped",
    )
    board.show(title, rows)
