"""What `pasu centre watch` tells people, in words."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from agent.cli import broker_line
from agent.cli.fields import plain
from agent.language import say

if TYPE_CHECKING:
    from agent.centre.watched import Alarm

ALARMS = {
    "silent": ("응답이 없습니다", "says nothing any more"),
    "back": ("다시 응답합니다", "is back"),
    "new_ledger": ("원장이 새로 시작되었습니다", "its ledger began anew"),
    "other_key": ("등록된 것과 다른 키를 씁니다", "uses another key than it was enrolled with"),
    "unknown_box": ("등록되지 않은 박스입니다", "is not enrolled"),
    "edited": ("원장의 기록이 이전과 다릅니다", "sends an entry of its ledger changed"),
    "forked": ("원장이 갈라졌습니다", "its ledger has forked"),
    "doubted": (
        "서로 맞지 않는 기록이 와서 버리고 다시 요청합니다",
        "entries came that do not fit together: dropped, and asked for again",
    ),
    "rolled_back": ("원장이 되돌려졌습니다", "its ledger was set back"),
    "forged": (
        "브로커가 이 박스의 이름으로 서명 없는 보고를 전합니다: 브로커를 확인하십시오",
        "the broker brings reports in its name that it did not sign: look at the broker",
    ),
    "unsigned": ("박스의 키로 서명되지 않은 검증점입니다", "a checkpoint that its key did not sign"),
    "invalid": ("올바르지 않은 내용을 보냈습니다", "sends what is no message"),
    broker_line.AWAY: (
        "연결이 끊겼습니다. 그동안은 어느 박스의 말도 들을 수 없습니다",
        "is gone: nothing can be heard of any box until it is back",
    ),
    broker_line.BACK: ("다시 연결되었습니다", "is back"),
    "let_go": ("원장의 일부가 오기 전에 없어졌습니다", "let entries go that never came here"),
}


def say_alarm(alarm: Alarm, *, as_json: bool) -> None:
    """Say it at once: as JSON for programs, else beside what is shown."""
    if as_json:
        line = {"at_ms": alarm.at_ms, "box": alarm.box, "alarm": alarm.what, "detail": alarm.detail}
        print(json.dumps(line, ensure_ascii=False), flush=True)
    else:
        print(show_alarm(alarm), file=sys.stderr, flush=True)


def show_alarm(alarm: Alarm) -> str:
    """Write it in a line."""
    from agent.cli.times import show_time

    box = alarm.box or say("브로커", "the broker")
    what = say(*ALARMS[alarm.what]) if alarm.what in ALARMS else alarm.what
    shown = {key: value for key, value in alarm.detail.items() if key != "note" and value not in ("", None)}
    detail = " ".join(f"{key}={value}" for key, value in shown.items())
    return plain(f"!! {show_time(alarm.at_ms, None)}  {box}: {what}" + (f"  ({detail})" if detail else ""))
