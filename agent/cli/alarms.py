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
    "stale": (
        "응답 없는 박스의 지난 보고가 다시 옵니다: 브로커를 확인하고, 박스가 켜져 있으면 새 키로 갱신하십시오",
        "is silent, and reports of its past come: look at the broker; if it runs, renew it with --new-key",
    ),
    "withheld": (
        "상태는 오는데 원장이 30분째 오지 않습니다: 브로커와 박스를 확인하십시오",
        "tells its health, and its ledger has not come for 30 minutes: look at the broker, and at the box",
    ),
    "refused": (
        "관제센터의 요청을 거절합니다",
        "refuses what the centre asks of it",
    ),
    "flood": (
        "감당할 수 없이 많이 보내 일부를 버렸습니다",
        "sends more than can be handled: some was dropped",
    ),
    "damaged": (
        "등록 파일을 읽을 수 없습니다. 백업에서 되돌리십시오. 그때까지는 이전 내용으로 지켜봅니다",
        "its file in boxes/ cannot be read: restore it from a backup; until then it is watched as before",
    ),
    "passed_over": (
        "여기의 오류로 처리하지 못하고 넘긴 것이 있습니다",
        "something about it could not be handled here, and was passed over",
    ),
    "service_key": (
        "서비스 키가 곧 끝나거나 쓸 수 없습니다: `pasu centre key add --renew` 후 `pasu centre ring push`",
        "its service key ends soon or cannot be used: `pasu centre key add --renew`, then `ring push`",
    ),
    "counters": (
        "counters.db를 쓸 수 없어 박스에 아무것도 요청하지 못합니다",
        "counters.db cannot be used: nothing is asked of any box",
    ),
    "folder": (
        "boxes 폴더를 읽을 수 없어 박스를 이전 내용으로 지켜봅니다",
        "the folder of the boxes cannot be read: they are watched as before",
    ),
}
_BROKERS = (broker_line.AWAY, broker_line.BACK)


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

    nobody = say("브로커", "the broker") if alarm.what in _BROKERS else say("관제센터", "the centre")
    box = alarm.box or nobody
    what = say(*ALARMS[alarm.what]) if alarm.what in ALARMS else alarm.what
    shown = {key: value for key, value in alarm.detail.items() if key != "note" and value not in ("", None)}
    detail = " ".join(f"{key}={value}" for key, value in shown.items())
    return plain(f"!! {show_time(alarm.at_ms, None)}  {box}: {what}" + (f"  ({detail})" if detail else ""))
