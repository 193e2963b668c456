"""The interview about the disk: shown, refused with the reason, made anew only when that is typed, measured. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.errors import PasuError
from agent.field.doctor.judge_disk import UNKNOWN_KBIT_S
from agent.field.setup import fit
from agent.field.setup.answers import completed
from agent.field.setup.drives import Use, find, judge, listed
from agent.field.setup.interview import told, yes
from agent.field.setup.requests import Ask, Disks, Format, Keep, Measure, Rows, Tell, Tone
from agent.field.words import size
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from agent.field.setup.answers import Answers
    from agent.field.setup.drives import Drive, Verdict
    from agent.field.setup.fit import Cost
    from agent.field.setup.requests import Request, Talk

AGAIN, SYSTEM = "r", "s"
PAPERS = "/usr/share/doc/pasu-agent"
"""Where the package puts them (tools/deb)."""


def disk(answers: Answers, rates: Mapping[str, int]) -> Talk:
    """Ask for the disk, measure it, and propose what a power cut may cost. rates: kbit/s of cameras, by id."""
    yield Tell(say("영상 디스크", "The disk for recordings"), Tone.HEAD)
    while True:
        drive = yield from _choose(answers)
        try:
            cost = yield from _measured(answers, drive, rates)
        except PasuError as error:
            yield told(error)
            continue
        wish: dict[str, Any] = {"system_disk": True} if drive is None else {"device": drive.path}
        answers = {**answers, "disk": wish}
        yield from forecast(answers, cost, rates)
        answers = yield from _window(answers, cost)
        yield Keep(answers)
        return answers


def again(answers: Answers, rates: Mapping[str, int]) -> Talk:
    """Measure the disk of a box that is configured, and ask for the loss window. The disk stays."""
    yield Tell(say("영상 디스크", "The disk for recordings"), Tone.HEAD)
    folder = completed(answers)["storage"]["vault"]
    yield Tell(
        say(
            "디스크를 바꾸는 일은 여기서 하지 않습니다: 현장 기사 안내서 10의 '디스크 교체'를 보십시오. 이 박스와 "
            f"설치용 저장 장치에 있습니다: {PAPERS}/guide.ko.md",
            "The disk is not exchanged here: see 'A disk' in part 10 of the technician's guide, on this box and on "
            f"the stick: {PAPERS}/guide.md",
        )
    )
    load, _, count = planned(answers, rates)
    try:
        cost: Cost = yield Measure(None, folder if isinstance(folder, str) else folder[0], load, count)
    except PasuError as error:
        yield told(error)
        return answers
    yield from forecast(answers, cost, rates)
    return (yield from _window(answers, cost))


def _vault(answers: Answers) -> str:
    return str(completed(answers)["storage"]["vault"])


def _choose(answers: Answers) -> Generator[Request, Any, Drive | None]:
    """Ask until a disk can be used as it is; None is the system's disk, where there is no other."""
    box, vault = str(answers["box"]["id"]), _vault(answers)
    while True:
        there: tuple[Drive, ...] = yield Disks()
        choices = list(listed(there))
        verdicts = [judge(drive, whole, box, vault) for drive, whole in choices]
        yield _rows(choices, verdicts)
        can = [number for number, verdict in enumerate(verdicts, 1) if verdict.use is not Use.NEVER]
        if not can:
            yield Tell(
                say(
                    f"쓸 수 있는 디스크가 없습니다. 디스크를 달고 {AGAIN}을 적으십시오. 시스템 디스크뿐이면 {SYSTEM}.",
                    f"No disk can be used: put one in and type {AGAIN}; {SYSTEM} where there is the system's alone.",
                ),
                Tone.WARN,
            )
        while (answer := (yield from _answer(can))) != AGAIN:
            if answer == SYSTEM:
                if (yield from _system_alone(others=bool(can))):
                    return None
                continue
            chosen = yield from _named(answer, choices)
            if chosen is None:
                yield Tell(say("그런 디스크가 없습니다", "there is no such disk"), Tone.BAD)
            elif (yield from _usable(*chosen, judge(*chosen, box, vault))):
                return chosen[0]


def _answer(can: list[int]) -> Generator[Request, Any, str]:
    usual = str(can[0]) if len(can) == 1 else ""
    explain = say(f"번호나 경로, 다시 보려면 {AGAIN}", f"number or path, {AGAIN} to look again")
    title = say("어느 디스크에 녹화할까요", "which disk is for recordings")
    return str((yield Ask("disk.device", title, usual, explain))).strip() or usual


def _named(
    answer: str, choices: list[tuple[Drive, Drive]]
) -> Generator[Request, Any, tuple[Drive, Drive] | None]:
    """Return what a number or a path means; what is not in the list is looked at now."""
    if answer.isascii() and answer.isdigit() and len(answer) < 4:
        return choices[int(answer) - 1] if 1 <= int(answer) <= len(choices) else None
    if not answer.startswith("/dev/"):
        return None
    return find((yield Disks(answer)), answer)


def _rows(choices: list[tuple[Drive, Drive]], verdicts: list[Verdict]) -> Rows:
    heads = say("번호|디스크|크기|모델|쓸 수 있는지", "no.|disk|size|model|can it be used").split("|")
    rows = []
    for number, ((drive, whole), verdict) in enumerate(zip(choices, verdicts, strict=True), 1):
        name = drive.path if drive is whole else f"  {drive.path}"
        model = (
            " ".join(filter(None, (drive.model, drive.serial, drive.bus.upper()))) if drive is whole else ""
        )
        mark = {Use.NEVER: "✗", Use.FORMAT: "△"}.get(verdict.use, "○")
        rows.append((str(number), name, size(drive.size_bytes), model, f"{mark} {verdict.text}"))
    return Rows(tuple(heads), tuple(rows), right=(0, 2), folding=(3, 4))


def _usable(drive: Drive, whole: Drive, verdict: Verdict) -> Generator[Request, Any, bool]:
    """Refuse it, take it, or have it typed that it may be made anew."""
    if verdict.use is Use.NEVER:
        yield Tell(f"{drive.path}: {verdict.text}  [{verdict.code}]\n{verdict.then}", Tone.BAD)
        return False
    if verdict.use is not Use.FORMAT:
        yield Tell(f"{drive.path}: {verdict.text}", Tone.GOOD)
        return True
    model = " ".join(filter(None, (drive.path, size(drive.size_bytes), whole.model)))
    yield Tell(f"{model}: {verdict.text}", Tone.WARN)
    yield Tell(
        say(
            "포맷하면 이 디스크에 있는 것은 모두 사라지고, 되돌릴 수 없습니다.",
            "Formatting destroys everything on this disk, for good.",
        ),
        Tone.WARN,
    )
    kind = say("일련번호", "serial number") if drive.serial else say("바이트 크기", "size in bytes")
    title = say(
        f"포맷하려면 {kind} {drive.phrase}를 그대로 적으십시오",
        f"to format it, type its {kind} {drive.phrase}",
    )
    answer = str(
        (yield Ask("disk.format", title, "", say("Enter: 포맷하지 않음", "Enter: leave it alone")))
    ).strip()
    if answer != drive.phrase:
        other = say(f"{kind}가 다릅니다. ", f"Another {kind}. ") if answer else ""
        yield Tell(other + say("포맷하지 않았습니다.", "Not formatted."), Tone.PLAIN)
        return False
    try:
        yield Format(drive, answer)
    except PasuError as error:
        yield told(error)
        return False
    yield Tell(say("포맷했습니다.", "Formatted."), Tone.GOOD)
    return True


def _system_alone(*, others: bool) -> Generator[Request, Any, bool]:
    if others:
        yield Tell(not_alone(), Tone.BAD)
        return False
    yield Tell(meaning(), Tone.WARN)
    title = say("시스템 디스크에 녹화할까요?", "Record to the system's disk?")
    return (yield from yes("disk.system_disk", title, usual=False))


def not_alone() -> str:
    """Say why the system's disk is refused where there is another."""
    return say(
        "쓸 수 있는 다른 디스크가 있습니다. 시스템 디스크에는 녹화하지 않습니다.",
        "There is another disk that can be used: recordings do not go to the system's.",
    )


def meaning() -> str:
    """Say what recording to the system's disk means."""
    return say(
        "시스템 디스크에 녹화하면: 영상이 차면 시스템도 느려지고, 디스크 하나가 고장 나면 시스템과 영상과 원장을 함께 "
        "잃으며, 시스템을 다시 설치하면 영상이 지워집니다. `pasu doctor`는 이것을 실패로 봅니다.",
        "Recording to the system's disk means: writing slows the system, one dead disk takes system, recordings and "
        "ledger at once, and installing the system anew destroys what was recorded. `pasu doctor` calls it a failure.",
    )


def planned(answers: Answers, rates: Mapping[str, int]) -> tuple[int, int, int]:
    """Return bytes in a second of all cameras, how many of them are a guess, and how many cameras there are."""
    wanted = [rates.get(str(each.get("id"))) for each in answers.get("camera", [])] or [None]
    return *fit.load_bytes_s(wanted), len(wanted)


def _measured(
    answers: Answers, drive: Drive | None, rates: Mapping[str, int]
) -> Generator[Request, Any, Cost]:
    load, _, count = planned(answers, rates)
    cost: Cost = yield Measure(drive, _vault(answers), load, count)
    return cost


def forecast(answers: Answers, cost: Cost, rates: Mapping[str, int]) -> Generator[Request, Any, None]:
    """Say what was measured, and for how many days the disk does."""
    load, guessed, count = planned(answers, rates)
    yield Tell(
        say(
            f"{len(cost.took_us)}번 쟀습니다: 1초 분량({size(load)})을 쓰고 동기화하는 데 "
            f"보통 {cost.middle_ms:.0f} ms, 느릴 때(p99) {cost.slow_ms:.0f} ms",
            f"measured {len(cost.took_us)} times: to write a second of video ({size(load)}) and sync it takes "
            f"{cost.middle_ms:.0f} ms (p50), {cost.slow_ms:.0f} ms when slow (p99)",
        )
    )
    days = int(answers.get("storage", {}).get("retention_days", 30))
    tenths = fit.tenths_of_days(cost.total_bytes, load)
    how = say(
        f"카메라 {count}대, {load * 8 / 1e6:.1f} Mbit/s",
        f"{count} camera{'s' * (count != 1)}, {load * 8 / 1e6:.1f} Mbit/s",
    )
    if guessed:
        how += say(
            f"; {guessed}대는 비트레이트를 몰라 {UNKNOWN_KBIT_S / 1000:g} Mbit/s로 어림",
            f"; {guessed} of them taken as {UNKNOWN_KBIT_S / 1000:g} Mbit/s, since nobody says",
        )
    enough = tenths >= days * 10
    yield Tell(
        say(
            f"{tenths // 10}.{tenths % 10}일을 담습니다 (보관 {days}일; {how})",
            f"holds {tenths // 10}.{tenths % 10} days (kept for {days}; {how})",
        ),
        Tone.GOOD if enough else Tone.WARN,
    )
    if not enough:
        yield Tell(
            say(
                f"보관 {days}일을 채우지 못합니다: 오래된 영상부터 먼저 지워집니다. 더 큰 디스크를 달거나, 카메라의 "
                "비트레이트나 보관 일수를 줄이십시오.",
                f"It does not hold {days} days: the oldest recordings go early. Put in a larger disk, or lower the "
                "cameras' bit rates or the retention.",
            ),
            Tone.WARN,
        )


def _window(answers: Answers, cost: Cost) -> Talk:
    proposed = fit.window_s(cost)
    if proposed is None:
        yield Tell(too_slow(), Tone.WARN)
    usual = f"{proposed if proposed is not None else fit.WINDOWS_S[-1]:g}"
    while True:
        answer = yield from _seconds(usual)
        if answer is not None:
            return {**answers, "storage": {**answers.get("storage", {}), "loss_window_s": answer}}


def too_slow() -> str:
    """Say that a disk does not keep up."""
    return say(
        "이 디스크는 너무 느립니다: 10초로도 넉넉하지 않습니다. 다른 디스크를 권합니다.",
        "This disk is too slow: not even 10 s are enough. Another disk is advised.",
    )


def _seconds(usual: str) -> Generator[Request, Any, float | None]:
    title = say("정전 때 잃어도 되는 시간(초)", "what a power cut may cost, seconds")
    help_ = say("0.2부터 10까지. 잰 값으로 제안합니다", "0.2 to 10; proposed from what was measured")
    answer = str((yield Ask("storage.loss_window_s", title, usual, help_))).strip() or usual
    try:
        seconds = float(answer)
    except ValueError:
        seconds = 0.0
    if 0.2 <= seconds <= 10:
        return seconds
    yield Tell(say("0.2부터 10까지의 초", "seconds, from 0.2 to 10"), Tone.BAD)
    return None
