"""The whole interview: of a box that is new, and of one that has its configuration already. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.field.setup import camera_talk, disk_talk, interview, trial
from agent.field.setup.answers import STATE, completed, config_tables
from agent.field.setup.interview import yes
from agent.field.setup.requests import Ask, Keep, Rows, Stopped, Tell, Tone
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from agent.field.setup.answers import Answers
    from agent.field.setup.requests import Request, Talk

BOX_KEYS = ("id", "site", "operator", "contact")


def first(draft: Answers | None) -> Talk:
    """Ask everything that a new box needs. draft: what was answered when somebody last began, None: nothing.

    Raises  Stopped when the person would rather not
    """
    answers: Answers = {}
    if draft:
        yield Tell(say("지난번에 하다 만 설치가 있습니다.", "An installation was begun before."), Tone.HEAD)
        yield overview(draft)
        if (yield from yes("draft", say("이어서 할까요?", "Go on with it?"), usual=True)):
            answers = yield from _passwords(draft)
    rates: dict[str, int] = {}
    for number in range(len(PIECES)):
        if not _complete(number, answers):
            answers = yield from _piece(number, answers, rates)
    return (yield from review(answers, rates))


def review(answers: Answers, rates: dict[str, int]) -> Talk:
    """Show everything, and change pieces until it is to be written. Raises Stopped."""
    while True:
        yield Tell(say("이렇게 쓰겠습니다", "This is what will be written"), Tone.HEAD)
        yield overview(answers)
        yield from _menu(answers)
        title = say(
            "고칠 번호, 쓰려면 Enter, 그만두려면 q", "a number to change it, Enter to write, q to stop"
        )
        answer = str((yield Ask("review", title))).strip()
        if not answer:
            return answers
        if answer == "q":
            raise Stopped
        chosen = _number(answer)
        if chosen is None:
            yield Tell(say("목록의 번호를 적으십시오", "a number of the list"), Tone.BAD)
        else:
            answers = yield from _piece(chosen, answers, rates)


def again(before: Answers, wanted: Answers | None = None) -> Talk:
    """Show what a box has, and change the pieces that are named; an empty answer changes nothing more.

    before  the tables of its agent.toml, each camera with its log-in
    wanted  what they should be, when that was said already and could not be used; None: nothing was said yet
    """
    rates: dict[str, int] = {}
    answers = before if wanted is None else wanted
    recorded = tuple(str(each["id"]) for each in before["camera"])
    yield Tell(say("이 박스는 설정되어 있습니다", "This box is configured"), Tone.HEAD)
    while True:
        yield overview(answers)
        yield from _menu(answers)
        done = (
            say("Enter: 쓰고 끝냅니다", "Enter to write")
            if answers != before
            else say("Enter: 끝냅니다", "Enter to end")
        )
        title = say(f"고칠 번호, {done}, 버리려면 q", f"a number to change it, {done}, q to drop changes")
        answer = str((yield Ask("piece", title))).strip()
        if not answer:
            return answers
        if answer == "q":
            raise Stopped
        number = _number(answer)
        if number is None:
            yield Tell(say("목록의 번호를 적으십시오", "a number of the list"), Tone.BAD)
        elif PIECES[number] == "disk":
            answers = yield from disk_talk.again(answers, rates)
        else:
            changed = yield from _piece(number, answers, rates, recorded)
            if changed["box"]["id"] != before["box"]["id"]:
                yield Tell(fixed_id(), Tone.BAD)
                changed = {**changed, "box": {**changed["box"], "id": before["box"]["id"]}}
            answers = changed


def fixed_id() -> str:
    """Say why the name of a box stays."""
    return say(
        "박스 이름은 바꾸지 않습니다: 저장소와 원장과 인증서가 그 이름으로 되어 있습니다.",
        "The box keeps its name: vault, ledger and certificate bear it.",
    )


PIECES = ("box", "keys", "page", "cameras", "disk")


def _titles() -> tuple[str, ...]:
    return (
        say("박스: 이름, 장소, 책임", "box: name, place, who answers for it"),
        say("관제센터: 공개키, 보고, 터널", "control centre: public keys, reports, tunnel"),
        say("상태 페이지", "health page"),
        say("카메라: 더하기, 고치기, 빼기", "cameras: add, change, remove"),
        say("영상 디스크", "disk for recordings"),
    )


def _menu(_: Answers) -> Generator[Request, Any, None]:
    for number, title in enumerate(_titles(), 1):
        yield Tell(f"  {number}. {title}")


def _number(answer: str) -> int | None:
    good = answer.isascii() and answer.isdigit() and len(answer) < 3 and 1 <= int(answer) <= len(PIECES)
    return int(answer) - 1 if good else None


def _piece(number: int, answers: Answers, rates: dict[str, int], recorded: Collection[str] = ()) -> Talk:
    piece = PIECES[number]
    if piece == "cameras":
        return (yield from camera_talk.cameras(answers, rates, recorded))
    if piece == "disk":
        return (yield from disk_talk.disk(answers, rates))
    talk = {"box": interview.box, "keys": interview.keys, "page": interview.page}[piece]
    return (yield from talk(answers))


def _complete(number: int, answers: Answers) -> bool:
    storage = answers.get("storage", {})
    return {
        "box": all(key in answers.get("box", {}) for key in BOX_KEYS),
        "keys": bool(storage.get("recipients")),
        "page": "page" in answers or bool(answers.get("camera")),
        "cameras": bool(answers.get("camera")),
        "disk": "disk" in answers and "loss_window_s" in storage,
    }[PIECES[number]]


def _passwords(draft: Answers) -> Talk:
    """Ask again for the passwords that no draft keeps."""
    made = []
    for each in draft.get("camera", []):
        camera = each
        if each.get("username"):
            # Where it will be sent, for a password that is typed here goes there.
            where = f"{each['id']} ({each['username']}, {_where(each)})"
            title = say(f"{where} 비밀번호", f"password of {where}")
            camera = {**each, "password": str((yield Ask("camera.password", title, secret=True)))}
        made.append(camera)
    answers = {**draft, "camera": made} if made else draft
    yield Keep(answers)
    yield from trial.report(made)
    return answers


def _where(camera: Answers) -> str:
    """Return a camera's address, without a log-in that somebody may have written into it."""
    return re.sub(r"://[^/?#]*@", "://", str(camera.get("url", "-")))


def overview(answers: Answers) -> Rows:
    """Show what is known of a box in a few rows."""
    tables = config_tables(answers)
    box, storage = tables.get("box", {}), completed(tables)["storage"]
    disk = answers.get("disk", {})
    where = str(storage["vault"])
    if disk.get("device"):
        where = f"{disk['device']} → {where}"
    elif disk.get("system_disk"):
        where += say(" (시스템 디스크)", " (the system's disk)")
    rows = [
        (say("박스", "box"), f"{box.get('id', '-')}  {box.get('site', '')}".rstrip()),
        (
            say("책임", "answers for it"),
            ", ".join(str(box[key]) for key in ("operator", "contact") if key in box) or "-",
        ),
        (say("수탁자", "contractor"), str(box.get("contractor", "-"))),
        (say("공개키", "sealed to"), "\n".join(storage.get("recipients", [])) or "-"),
        (say("보고", "reports to"), str(tables.get("uplink", {}).get("broker", "-"))),
        (say("터널", "tunnel"), str(tables.get("tunnel", {}).get("interface", "-"))),
        (say("상태 페이지", "health page"), _text(tables.get("page", {}).get("listen", "-"))),
        (
            say("카메라", "cameras"),
            ", ".join(f"{each.get('id')} {each.get('name')}" for each in tables.get("camera", [])) or "-",
        ),
        (say("영상", "recordings"), where if disk or "box" in tables else "-"),
        (
            say("정전 손실", "power cut"),
            say(f"최대 {storage['loss_window_s']:g}초", f"costs at most {storage['loss_window_s']:g} s")
            if "loss_window_s" in storage
            else "-",
        ),
    ]
    if storage["state"] != STATE:
        rows.append((say("상태 폴더", "state folder"), str(storage["state"])))
    return Rows(("", ""), tuple(rows), folding=(1,))


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
