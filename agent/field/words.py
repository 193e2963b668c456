"""Words for what health files say, in the reader's language: for the terminal and for the page. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.config.hours import DAYS
from agent.health import CONDITIONS, Severity, silent_s
from agent.health.gather import STALE_S
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent.config import Config
    from agent.config.hours import Hours
    from agent.health import Condition

NAMED = 3
"""Of more cameras than these that have the same condition, only the ids are shown."""
OFF = "z"
"""A slot that is none of the camera's hours; `agent.storage.keep.day` writes it."""
AGES = ((86_400, "일", "d"), (3600, "시간", "h"), (60, "분", "min"), (1, "초", "s"))


def age(seconds: float) -> str:
    """Write a length of time in its largest unit: "5 min"."""
    for length, korean, english in AGES:
        if seconds >= length:
            count = int(seconds // length)
            return say(f"{count}{korean}", f"{count} {english}")
    return say("0초", "0 s")


def size(count: int) -> str:
    """Write a number of bytes for people: 312 B, 4.2 MB. Decimal units, as disks are sold."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


@dataclass(frozen=True, slots=True)
class Wrong:
    """One condition, with all that has it.

    subjects  cameras with their names, where these are few; "" for the whole box
    since     how long the oldest of them has held
    details   what is known more, each once
    """

    code: str
    condition: Condition
    subjects: str
    since: str
    details: tuple[str, ...]

    @property
    def word(self) -> str:
        """Return what its severity is called."""
        return severity_word(self.condition.severity)


def heard(found: dict[str, Any], process: str) -> dict[str, Any]:
    """Return what a process says of itself now; nothing of one that has been silent for too long.

    Its file outlives it, and says for ever that every camera is recorded. found: as `agent.overview` read it
    """
    health: dict[str, Any] = found["processes"].get(process) or {}
    silent = silent_s(health, found["boot_ms"] / 1000)
    return health if silent is not None and silent <= STALE_S else {}


def wrong(config: Config, found: dict[str, Any]) -> list[Wrong]:
    """Return what is wrong, the worst first, each condition once. found: as `agent.overview` read it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in found["conditions"]:
        groups.setdefault(each["code"], []).append(each)
    return [
        Wrong(
            code,
            CONDITIONS[code],
            ", ".join(filter(None, _subjects(config, several))),
            age((found["at_ms"] - min(each["since_ms"] for each in several)) / 1000),
            tuple(filter(None, dict.fromkeys(each["detail"] for each in several))),
        )
        for code, several in groups.items()
    ]


def _subjects(config: Config, several: list[dict[str, Any]]) -> Iterator[str]:
    for each in several:
        camera = config.camera(each["subject"]) if len(several) <= NAMED else None
        yield f"{each['subject']} ({camera.name})" if camera else each["subject"]


def severity_word(severity: Severity) -> str:
    """Return what a severity is called."""
    return {
        Severity.CRITICAL: say("위급", "critical"),
        Severity.ALARM: say("경보", "alarm"),
        Severity.WARNING: say("주의", "warning"),
        Severity.INFO: say("알림", "info"),
    }[severity]


def camera_state(word: str) -> str:
    """Return what a camera's state is called."""
    return {
        "recording": say("녹화 중", "recording"),
        "resting": say("녹화 시간 밖", "off hours"),
        "playing": say("첫 키프레임 대기", "awaiting keyframe"),
        "connecting": say("연결 중", "connecting"),
        "lost": say("끊김", "lost"),
        "waiting": say("대기", "waiting"),
        "stopped": say("정지", "stopped"),
    }.get(word, word)


KOREAN_DAYS = "월화수목금토일"


def hours(listed: Iterable[Hours]) -> str:
    """Write the hours in which a camera is recorded; "" for one that always is, and has none."""
    return ", ".join(map(_hours, listed))


def _hours(each: Hours) -> str:
    begin, end = each.times
    korean = [KOREAN_DAYS[run[0]] + (f"~{KOREAN_DAYS[run[-1]]}" if len(run) > 1 else "") for run in each.runs]
    english = [
        DAYS[run[0]].title() + (f"-{DAYS[run[-1]].title()}" if len(run) > 1 else "") for run in each.runs
    ]
    return say(
        f"{','.join(korean) or '매일'} {begin}~{end}", f"{', '.join(english) or 'every day'} {begin}-{end}"
    )


def vital_fields(vitals: dict[str, Any], trust: str) -> Iterator[tuple[str, str]]:
    """Say how the machine is; what it does not tell is left out."""
    cpu, hottest = vitals["cpu_percent"], vitals["hottest"]
    loads = " ".join(f"{load / 100:.2f}" for load in vitals["load_hundredths"])
    busy = "" if cpu is None else f"{cpu} %, "
    yield say("프로세서", "processor"), busy + say(f"부하 {loads}", f"load {loads}")
    swap = vitals["swap_percent"]
    swapped = say(f", 스왑 {swap} %", f", swap {swap} %") if swap else ""
    yield say("메모리", "memory"), f"{vitals['memory_percent']} %{swapped}"
    if hottest:
        sensor, limit = hottest["sensor"], hottest["limit_celsius"]
        text = say(f"한도 {limit} °C, {sensor}", f"limit {limit} °C, {sensor}")
        yield say("온도", "heat"), f"{hottest['celsius']} °C ({text})"
    power = []
    if vitals["low_voltage"] is not None:
        low = vitals["low_voltage"]
        power.append(say("전압 낮음", "voltage low") if low else say("전압 정상", "voltage good"))
    if vitals["on_battery"] is not None:
        away = vitals["on_battery"]
        power.append(say("외부 전원 끊김", "mains gone") if away else say("외부 전원", "mains"))
        power.append(say(f"배터리 {vitals['battery_percent']} %", f"battery {vitals['battery_percent']} %"))
    yield say("전원", "power"), ", ".join(power)
    yield say("가동", "up"), age(vitals["uptime_s"])
    yield say("시각", "time"), trust_word(trust)


def trust_word(trust: str) -> str:
    """Say how far the time can be relied on."""
    return {
        "SYNCED": say("신뢰할 수 있음, 동기됨", "trusted, synchronised"),
        "HOLDOVER": say("신뢰할 수 있음, 동기 없이 이어짐", "trusted, goes on without synchronisation"),
    }.get(trust, say("신뢰할 수 없음", "not trusted"))


def uplink_fields(uplink: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Say how the connection is."""
    state = say("연결됨", "connected") if uplink.get("connected") else say("끊김", "not connected")
    protocol = {5: "MQTT 5", 4: "MQTT 3.1.1"}.get(uplink.get("protocol", 0), "")
    more = [protocol, uplink.get("reason", ""), uplink.get("trouble", "")]
    yield say("상태", "state"), " · ".join(filter(None, [state, *more]))
    if (backlog := uplink.get("backlog")) is not None:
        yield say("보낼 기록", "entries to send"), str(backlog)
    if (days := uplink.get("certificate_days")) is not None:
        yield say("인증서", "certificate"), say(f"{days}일 남음", f"{days} days left")
    if streams := uplink.get("streams"):
        yield say("실시간", "live"), ", ".join(_live(streams))


def _live(streams: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say how many streams go out as what."""
    names = {
        "main": say("주 영상", "main"),
        "sub": say("보조 영상", "second stream"),
        "keyframes": say("키프레임만", "keyframes alone"),
        "paused": say("회선이 좁아 쉼", "paused for the line"),
    }
    for step, name in names.items():
        if count := sum(
            stream["as"] == step and (stream["flowing"] or step == "paused") for stream in streams
        ):
            yield f"{name} {count}"
    if away := sum(not stream["flowing"] and stream["as"] != "paused" for stream in streams):
        yield say(f"나가지 않음 {away}", f"not flowing {away}")


def tunnel_fields(tunnel: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Say how the tunnel is."""
    yield (
        say("상태", "state"),
        say("연결됨", "up") if tunnel.get("up") else say("연결되지 않음", "not up"),
    )
    since = tunnel.get("handshake_s")
    yield (
        say("마지막 응답", "handshake"),
        "–" if since is None else say(f"{age(since)} 전", f"{age(since)} ago"),
    )
    barred = say("차단됨", "barred") if not tunnel.get("lacks") else say("열려 있음", "open")
    yield say("터널 밖 통신", "other ways"), barred


def process_word(process: str) -> str:
    """Return what a process does."""
    words = {
        "record": say("녹화", "recording"),
        "keep": say("보관", "keeping"),
        "uplink": say("보고", "reporting"),
        "tunnel": say("터널", "tunnel"),
        "page": say("페이지", "page"),
    }
    return words.get(process, process)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring slots of a camera's last day that are alike: where they begin, how many, and how they are."""

    at: int
    slots: int
    state: str  # full, part, none, off: outside of its hours, before


@dataclass(frozen=True, slots=True)
class LastDay:
    """What was stored of a camera in the last 24 hours.

    permille   of what is expected; None when nothing is
    off_s      about, of which nothing is expected for its hours
    missing_s  about, from tenths of slots
    """

    begin_ms: int
    slot_s: int
    stretches: tuple[Stretch, ...]
    permille: int | None
    missing_s: int
    off_s: int = 0


def last_day(keep: dict[str, Any] | None, camera: str) -> LastDay | None:
    """Read a camera's last day from keep's health file; None where it says nothing of that camera."""
    day = (keep or {}).get("day") or {}
    known = day.get("cameras", {}).get(camera)
    if known is None:
        return None
    letters: str = known["slots"]
    stretches: list[Stretch] = []
    for at, letter in enumerate(letters):
        state = {"-": "before", OFF: "off", "9": "full", "0": "none"}.get(letter, "part")
        if stretches and stretches[-1].state == state:
            last = stretches.pop()
            stretches.append(Stretch(last.at, last.slots + 1, state))
        else:
            stretches.append(Stretch(at, 1, state))
    tenths = [10 if letter == "9" else int(letter) for letter in letters if letter not in ("-", OFF)]
    share = sum(tenths) * 100 // len(tenths) if tenths else None
    missing_s = sum(10 - each for each in tenths) * day["slot_s"] // 10
    off_s = letters.count(OFF) * day["slot_s"]
    return LastDay(known["begin_ms"], day["slot_s"], tuple(stretches), share, missing_s, off_s)


def share(day: LastDay | None) -> str:
    """Write how much of the last day is stored; what is not whole never reads 100 %."""
    if day is None or day.permille is None:
        return "–"
    return "100 %" if day.permille == 1000 else f"{day.permille / 10:.1f} %"
