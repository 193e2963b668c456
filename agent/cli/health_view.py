"""Draw what `pasu health` found: what is wrong first, the worst of it at the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.cli.show import size, table
from agent.cli.times import show_time
from agent.health import CONDITIONS, Severity, silent_s
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.config import Config

BAR_CELLS = 12
NAMED = 3
"""Of more cameras than these that have the same condition, only the ids are shown."""
STYLES = {
    Severity.CRITICAL: "bold white on red",
    Severity.ALARM: "bold red",
    Severity.WARNING: "bold yellow",
    Severity.INFO: "cyan",
}
AGES = ((86_400, "일", "d"), (3600, "시간", "h"), (60, "분", "min"), (1, "초", "s"))


def draw(config: Config, found: dict[str, Any]) -> RenderableType:
    """Draw all of it.

    found  as `agent.cli.health` read it
    """
    processes = found["processes"]
    record, keep, uplink = (processes.get(name) or {} for name in ("record", "keep", "uplink"))
    parts: list[RenderableType] = [_head(found), *_conditions(config, found)]
    if cameras := record.get("cameras"):
        parts += [_title("카메라", "Cameras"), camera_table(config, cameras)]
    if vaults := keep.get("vaults"):
        parts += [_title("저장소", "Vaults"), vault_table(vaults, config.storage.retention_days)]
    if disks := keep.get("disks"):
        parts += [_title("디스크", "Disks"), disk_table(disks)]
    if vitals := keep.get("vitals"):
        parts += [_title("박스", "Box"), _fields(vital_fields(vitals, found["trust"]))]
    if uplink:
        parts += [_title("센터 연결", "Connection to the centre"), _fields(uplink_fields(uplink))]
    if tunnel := processes.get("tunnel"):
        parts += [_title("터널", "Tunnel"), _fields(tunnel_fields(tunnel))]
    parts += [_title("프로세스", "Processes"), process_table(processes, found["boot_ms"] / 1000)]
    return Group(*parts)


def camera_table(config: Config, cameras: dict[str, dict[str, Any]]) -> Table:
    """Draw one line per camera."""
    heads = (
        say("카메라", "camera"),
        say("이름", "name"),
        say("상태", "state"),
        say("영상", "picture"),
        "fps",
        "Mbit/s",
        say("조각", "segments"),
        say("공백", "gaps"),
    )
    drawn = table(heads, (), right=(4, 5, 6, 7), folding=(1,))
    for name, state in cameras.items():
        known = config.camera(name)
        recording = state.get("state") == "recording"
        codec = str(state.get("codec", "")).upper()
        drawn.add_row(
            Text(name),
            Text(known.name if known else ""),
            Text(_state(str(state.get("state", ""))), style="green" if recording else "bold red"),
            Text(f"{codec} {state.get('width', 0)}x{state.get('height', 0)}" if codec else "–"),
            Text(f"{state.get('fps', 0):.1f}" if recording else "–"),
            Text(f"{state.get('kbit_s', 0) / 1000:.2f}" if recording else "–"),
            Text(str(state.get("segments", 0))),
            Text(str(state.get("gaps", 0))),
        )
    return drawn


def vault_table(vaults: list[dict[str, Any]], retention_days: int) -> Table:
    """Draw how full each vault is, and for how many days it will do."""
    heads = (
        say("저장소", "vault"),
        say("찬 정도", "in use"),
        "",
        say("남음", "free"),
        say("하루", "a day"),
        say(f"담는 날수 (보관 {retention_days}일)", f"holds (retention {retention_days} days)"),
    )
    drawn = table(heads, (), right=(2, 3, 4, 5), folding=(0,))
    for vault in vaults:
        total, free = vault["total_bytes"] or 0, vault["free_bytes"]
        used = None if free is None or not total else 1 - free / total
        tenths, rate = vault["forecast_tenths_of_days"], vault["bytes_per_day"]
        short = tenths is not None and tenths < retention_days * 10
        drawn.add_row(
            Text(vault["path"] or vault["uuid"]),
            Text("" if used is None else bar(used)),
            Text("?" if used is None else f"{100 * used:.0f} %"),
            Text("?" if free is None else f"{size(free)} / {size(total)}"),
            Text(size(rate) if rate else "–"),
            Text(
                "–" if tenths is None else say(f"{tenths / 10:.1f}일", f"{tenths / 10:.1f} days"),
                style="bold red" if short else "",
            ),
        )
    return drawn


def disk_table(disks: list[dict[str, Any]]) -> Table:
    """Draw what each disk says of itself."""
    heads = (
        say("디스크", "disk"),
        say("모델", "model"),
        say("일련번호", "serial"),
        say("크기", "size"),
        say("온도", "heat"),
        say("시간", "hours"),
        say("자가 진단", "self-assessment"),
        say("쓰임", "used for"),
    )
    drawn = table(heads, (), right=(3, 4, 5), folding=(1, 6, 7))
    for disk in disks:
        why = disk["unavailable"].removeprefix(f"/dev/{disk['device']}: ")
        word, style = {
            True: (say("좋음", "good"), "green"),
            False: (say("고장", "failing"), "bold red"),
        }.get(disk["passed"], (say("없음", "none") + (f" ({why})" if why else ""), ""))
        counts = [
            (disk["reallocated"], say("재할당", "reallocated")),
            (disk["pending"], say("읽기 보류", "pending")),
            (disk["uncorrectable"], say("읽지 못함", "uncorrectable")),
        ]
        bad = [f"{name} {count}" for count, name in counts if count]
        worn = disk["worn_percent"]
        bad += [say(f"마모 {worn} %", f"worn {worn} %")] if worn is not None else []
        drawn.add_row(
            Text(disk["device"]),
            Text(disk["model"] or "–"),
            Text(disk["serial"] or "–"),
            Text(size(disk["bytes"]) if disk["bytes"] else "–"),
            Text("–" if disk["celsius"] is None else f"{disk['celsius']} °C"),
            Text("–" if disk["hours"] is None else str(disk["hours"])),
            Text(", ".join([word, *bad]), style=style),
            Text(", ".join(disk["places"])),
        )
    return drawn


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
    trusts = {
        "SYNCED": say("믿음, 동기됨", "trusted, synchronised"),
        "HOLDOVER": say("믿음, 동기 없이 이어짐", "trusted, goes on without synchronisation"),
    }
    yield say("시각", "time"), trusts.get(trust, say("믿지 않음", "not trusted"))


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
        say("올라와 있음", "up") if tunnel.get("up") else say("올라와 있지 않음", "not up"),
    )
    since = tunnel.get("handshake_s")
    yield (
        say("마지막 악수", "handshake"),
        "–" if since is None else say(f"{age(since)} 전", f"{age(since)} ago"),
    )
    barred = say("막혀 있음", "barred") if not tunnel.get("lacks") else say("열려 있음", "open")
    yield say("다른 길", "other ways"), barred


def process_table(processes: dict[str, dict[str, Any] | None], boot_s: float) -> Table:
    """Draw who runs, in which version, and when each was heard last."""
    heads = (say("프로세스", "process"), say("버전", "version"), "pid", say("마지막 소식", "heard"))
    rows = []
    for name, health in processes.items():
        silent = silent_s(health, boot_s)
        heard = "–" if silent is None else say(f"{age(silent)} 전", f"{age(silent)} ago")
        said = health or {}
        rows.append((name, str(said.get("version", "–")), str(said.get("pid", "–")), heard))
    return table(heads, rows, right=(2,))


def bar(part: float) -> str:
    """Draw a part of 1."""
    full = min(max(round(part * BAR_CELLS), 0), BAR_CELLS)
    return "█" * full + "░" * (BAR_CELLS - full)


def age(seconds: float) -> str:
    """Write a length of time in its largest unit: "5 min"."""
    for length, korean, english in AGES:
        if seconds >= length:
            count = int(seconds // length)
            return say(f"{count}{korean}", f"{count} {english}")
    return say("0초", "0 s")


def _head(found: dict[str, Any]) -> Text:
    text = Text()
    text.append(f"{found['box']} · {found['site']}", style="bold")
    text.append(f"  {show_time(found['at_ms'], None)}", style="dim")
    return text


def _conditions(config: Config, found: dict[str, Any]) -> Iterator[RenderableType]:
    """Draw each with what to do, once for all that have it."""
    if not found["conditions"]:
        yield Padding(Text(say("이상이 없습니다.", "Nothing is wrong."), style="green"), (1, 0, 0, 0))
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    words = {
        Severity.CRITICAL: say("위급", "critical"),
        Severity.ALARM: say("경보", "alarm"),
        Severity.WARNING: say("주의", "warning"),
        Severity.INFO: say("알림", "info"),
    }
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in found["conditions"]:
        groups.setdefault(each["code"], []).append(each)
    for code, several in groups.items():
        condition = CONDITIONS[code]
        subjects = ", ".join(filter(None, _subjects(config, several)))
        what = Text()
        what.append(f"{subjects}: " if subjects else "", style="bold")
        what.append(condition.what, style="bold")
        since = age((found["at_ms"] - min(each["since_ms"] for each in several)) / 1000)
        details = dict.fromkeys(each["detail"] for each in several)
        more = [say(f"{since} 전부터", f"for {since}"), code, *details]
        what.append("\n" + " · ".join(filter(None, more)), style="dim")
        what.append(f"\n→ {condition.next}")
        style = STYLES[condition.severity]
        grid.add_row(Text(f" {words[condition.severity]} ", style=style), what)
    yield Padding(grid, (1, 0, 0, 0))


def _subjects(config: Config, several: list[dict[str, Any]]) -> Iterator[str]:
    """Name what has one condition: cameras with their names, where these are few."""
    for each in several:
        camera = config.camera(each["subject"]) if len(several) <= NAMED else None
        yield f"{each['subject']} ({camera.name})" if camera else each["subject"]


def _state(word: str) -> str:
    return {
        "recording": say("녹화 중", "recording"),
        "playing": say("첫 키프레임 대기", "awaiting keyframe"),
        "connecting": say("연결 중", "connecting"),
        "lost": say("끊김", "lost"),
        "waiting": say("대기", "waiting"),
        "stopped": say("정지", "stopped"),
    }.get(word, word)


def _title(korean: str, english: str) -> RenderableType:
    return Padding(Text(say(korean, english), style="bold underline"), (1, 0, 0, 0))


def _fields(rows: Iterator[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        if value:
            grid.add_row(Text(name, style="dim"), Text(value))
    return grid
