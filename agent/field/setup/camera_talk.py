"""The interview about cameras: found on the network or typed, tried, changed, removed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.config.places import places
from agent.config.values import Purpose
from agent.errors import PasuError
from agent.field.setup import trial
from agent.field.setup.answers import LOG_IN, right_password, right_user
from agent.field.setup.interview import NONE, checked, told, yes
from agent.field.setup.requests import Ask, Keep, Rows, Search, Tell, Tone, Try
from agent.language import say
from agent.onvif.factory import is_factory
from agent.onvif.proposal import BASES, next_id

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from agent.field.setup.answers import Answers
    from agent.field.setup.requests import Request, Talk
    from agent.onvif.model import Stream

    Table = dict[str, Any]
    Step = Generator[Request, Any, list[Table]]


def cameras(answers: Answers, rates: dict[str, int], recorded: Collection[str] = ()) -> Talk:
    """Ask for cameras: found on the network, or typed; those that are there may be changed and removed.

    rates     takes the kbit/s of those that say so, by id
    recorded  ids that agent.toml has: there may be recordings of them, so that no other camera gets such an id
    """
    yield Tell(say("카메라", "Cameras"), Tone.HEAD)
    made: list[Table] = list(answers.get("camera", []))
    while True:
        if made:
            yield _rows(made)
        choices = (
            say("카메라 망에서 찾기", "search the camera network"),
            say("주소를 직접 입력", "type an address"),
            say("이것으로 충분함", "these are all"),
            say(
                "카메라 하나를 고치기: 주소, 이름, 촬영 범위, 로그인",
                "change one: address, name, range, log-in",
            ),
            say("카메라 하나를 빼기", "remove one"),
        )
        usual = "3" if made else "1"
        for number, choice in enumerate(choices if made else choices[:2], 1):
            yield Tell(f"  {number}. {choice}")
        answer = str((yield Ask("camera", say("어떻게 할까요", "how"), usual))).strip() or usual
        taken = {str(each.get("id")) for each in made} | set(recorded)
        if answer == "1":
            made += yield from _found(taken, rates)
        elif answer == "2":
            made += yield from _typed(taken, made[-1] if made else None)
        elif answer == "3" and made:
            return answers
        elif answer == "4" and made:
            made = yield from _change(made, rates, recorded)
        elif answer == "5" and made:
            made = yield from _remove(made, answers, recorded)
        else:
            yield Tell(say("목록의 번호를 적으십시오", "a number of the list"), Tone.BAD)
        if made or "camera" in answers:
            answers = {**answers, "camera": made}
            yield Keep(answers)


def _found(taken: set[str], rates: dict[str, int]) -> Step:
    """Search, and have some chosen."""
    title = say("찾을 곳", "where")
    explain = say(
        "Enter: 카메라 망 전체. 또는 카메라의 IP 주소나 망, 예: 10.0.0.11 10.0.0.0/24",
        "Enter for the camera network; or addresses of cameras, or a network, as 10.0.0.11 10.0.0.0/24",
    )
    where = str((yield Ask("discover", title, "", explain))).replace(",", " ").split()
    try:
        found: list[tuple[Table, int | None]] = yield Search(frozenset(taken), tuple(where))
    except PasuError as error:
        yield told(error)
        return []
    rates |= {table["id"]: kbit_s for table, kbit_s in found if kbit_s}
    return [table for table, _ in found]


def _rows(made: list[Table]) -> Rows:
    heads = say("카메라|이름|주소|목적|로그인", "camera|name|address|purpose|log-in").split("|")
    return Rows(
        tuple(heads),
        tuple(
            (
                str(each["id"]),
                str(each["name"]),
                str(each["url"]),
                Purpose(each["purpose"]).title,
                str(each.get("username", "-")),
            )
            for each in made
        ),
        folding=(1, 2, 3),
    )


def _typed(taken: set[str], before: Table | None) -> Step:
    """Ask for one camera, and try it; none comes back when it is left out."""
    url = yield from _url("", needed=False)
    if not url:
        return []
    name = yield from _name("")
    while (
        identity := (yield from checked("camera.id", say("카메라 id", "camera id"), next_id(taken)))
    ) in taken:
        yield Tell(say("이미 쓰는 id입니다", "that id is taken"), Tone.BAD)
    purpose = yield from _purpose(str(before["purpose"]) if before else "")
    basis = yield from checked(
        "camera.legal_basis",
        say("법적 근거", "legal basis"),
        BASES.get(purpose, ""),
        say("없으면 녹화할 수 없습니다 (운영 규정 제3조)", "nothing is recorded without (regulation art. 3)"),
    )
    made = {"id": identity, "name": name, "url": url, "purpose": purpose, "legal_basis": basis}
    if view := (yield from _view(NONE)):
        made["view"] = view
    made |= yield from _log_in(url)
    proved = yield from _proved(made, say("이 카메라를 넣지 않기", "leave this camera out"))
    return [proved] if proved is not None else []


def _url(usual: str, *, needed: bool = True) -> Generator[Request, Any, str]:
    """Ask for an address. needed: else Enter leaves the camera out, and "" comes back."""
    back = "" if needed else say(". 넣지 않으려면 Enter", "; Enter for none")
    return (
        yield from checked(
            "camera.url",
            say("영상 주소", "address of the stream"),
            usual,
            say(
                f"예: rtsp://10.0.0.11/main. 계정과 비밀번호는 따로 묻습니다{back}",
                f"as rtsp://10.0.0.11/main; user and password are asked for apart{back}",
            ),
            needed=needed,
        )
    )


def _name(usual: str) -> Generator[Request, Any, str]:
    return (
        yield from checked(
            "camera.name",
            say("이름", "name"),
            usual,
            say("예: 주차장 입구", "for example: car park entrance"),
        )
    )


def _view(usual: str) -> Generator[Request, Any, str]:
    return (
        yield from checked(
            "camera.view",
            say("촬영 범위", "what it looks at"),
            usual,
            say(
                f"안내판에 적힙니다. 나중에 정하려면 {NONE}", f"for the notice board; {NONE} to say it later"
            ),
            needed=False,
        )
    )


def _purpose(before: str) -> Generator[Request, Any, str]:
    purposes = list(Purpose)
    for number, purpose in enumerate(purposes, 1):
        yield Tell(f"  {number}. {purpose.title}")
    usual = str(purposes.index(Purpose(before)) + 1) if before else ""
    while True:
        title = say("설치 목적 (운영 규정 제6조)", "purpose (regulation art. 6)")
        answer = str((yield Ask("camera.purpose", title, usual))).strip() or usual
        if answer.isascii() and answer.isdigit() and len(answer) < 3 and 1 <= int(answer) <= len(purposes):
            return purposes[int(answer) - 1].value
        yield Tell(say(f"1부터 {len(purposes)}까지", f"1 to {len(purposes)}"), Tone.BAD)


def _log_in(
    url: str, known: Table | None = None, *, elsewhere: bool = False, tried: bool = False
) -> Generator[Request, Any, Table]:
    """Ask for user and password. known: the camera's table as it is.

    elsewhere  as `_is_elsewhere`: the password that is known is not sent there, it is typed
    tried      the one that is known was refused a moment ago
    """
    if url.partition(":")[0].lower() not in ("rtsp", "rtsps", "http", "https"):
        return {}
    user_now = str((known or {}).get("username", NONE))
    help_ = say(f"로그인이 없으면 {NONE}", f"{NONE} when it wants no log-in")
    while True:
        user = str((yield Ask("camera.username", say("계정", "user"), user_now, help_))).strip() or user_now
        if user == NONE:
            return {}
        if not right_user(user):
            yield Tell(say("':'이 없는 한 줄의 글", "one line of text without ':'"), Tone.BAD)
            continue
        keep = known is not None and "password" in known and user == user_now and not elsewhere
        explain = say("Enter: 지금 비밀번호 그대로", "Enter keeps the password that is known") if keep else ""
        if keep and tried:
            explain = say(
                "Enter: 방금 거절된 비밀번호로 한 번 더 (거듭 틀리면 카메라가 잠깁니다)",
                "Enter tries the password that was refused just now once more; a camera may lock itself",
            )
        if elsewhere and known is not None and "password" in known:
            explain = say(
                "다른 곳의 주소입니다: 알고 있는 비밀번호를 그곳에 보내지 않으니 다시 적으십시오",
                "an address elsewhere: the password that is known is not sent there; type it again",
            )
        title = say("비밀번호", "password")
        word = str((yield Ask("camera.password", title, explain=explain, secret=True)))
        if keep and not word and known is not None:
            word = str(known["password"])
        if not right_password(word):
            yield Tell(say("한 줄의 글", "one line of text"), Tone.BAD)
            continue
        if is_factory(user, word):
            yield Tell(
                say(
                    "공장 출하 비밀번호입니다. 누구나 아는 비밀번호이니 카메라에서 먼저 바꾸십시오.",
                    "This is a factory password, which everybody knows: change it in the camera first.",
                ),
                Tone.WARN,
            )
            title = say("그래도 이대로 넣을까요?", "Add it as it is all the same?")
            if not (yield from yes("factory_password", title, usual=False)):
                continue
        return {"username": user, "password": word}


def _proved(camera: Table, leave: str, *, basic: bool = False) -> Generator[Request, Any, Table | None]:
    """Try a camera until it shows video, or somebody has it kept as it is; None: it is to be left.

    leave  what leaving it means, in words; basic: as `trial.of`
    """
    while trial.can_try(camera["url"]):
        yield trial.asking()
        streams: tuple[Stream, ...] = yield Try((trial.of(camera, basic=basic),))
        verdict = trial.judge(streams[0])
        yield Tell(verdict.text, verdict.tone)
        if verdict.good:
            break
        again = say("로그인을 다시 적기", "type the log-in again")
        if not verdict.log_in:
            again = say("주소를 다시 적기", "type the address again")
        for number, choice in enumerate((again, say("이대로 두기", "keep it as it is"), leave), 1):
            yield Tell(f"  {number}. {choice}")
        while True:  # nothing is sent again before somebody has chosen: cameras lock
            answer = str((yield Ask("camera.trial", say("어떻게 할까요", "how"), "1"))).strip() or "1"
            if answer in ("1", "2", "3"):
                break
            yield Tell(say("목록의 번호를 적으십시오", "a number of the list"), Tone.BAD)
        if answer == "2":
            break
        if answer == "3":
            return None
        camera = yield from (_log_in_again(camera) if verdict.log_in else _address_again(camera))
    return camera


def _log_in_again(camera: Table) -> Generator[Request, Any, Table]:
    return _with_log_in(camera, (yield from _log_in(camera["url"], camera, tried=True)))


def _address_again(camera: Table) -> Generator[Request, Any, Table]:
    """Ask for the address, and for the log-in where it is another device's now."""
    url = yield from _url(camera["url"])
    new = {**camera, "url": url}
    if not _is_elsewhere(camera, new):
        return new
    return _with_log_in(new, (yield from _log_in(url, camera, elsewhere=True)))


def _is_elsewhere(before: Table, after: Table) -> bool:
    """Tell whether a camera's log-in would be offered where it is not offered now, by either of its streams."""
    now, then = ({*places(each["url"], each.get("sub_url"))} for each in (before, after))
    return not then <= now


def _with_log_in(camera: Table, log_in: Table) -> Table:
    """Give a camera another log-in; of one that had none the password goes out hashed, unless that is said (D15)."""
    rest = {key: what for key, what in camera.items() if key not in LOG_IN}
    if log_in and "username" not in camera:
        rest = {"allow_basic_auth": False, **rest}
    return {**rest, **log_in}


def _which(made: list[Table]) -> Generator[Request, Any, int | None]:
    """Ask which camera is meant, by its number or its id; None for none."""
    for number, each in enumerate(made, 1):
        yield Tell(f"  {number}. {each['id']} {each['name']}")
    names = [str(each["id"]) for each in made]
    title = say("어느 카메라 (번호나 id)", "which camera (number or id)")
    while True:
        answer = str(
            (yield Ask("camera.which", title, "", say("Enter: 아무것도 아님", "Enter for none")))
        ).strip()
        if not answer:
            return None
        if answer in names:
            return names.index(answer)
        if answer.isascii() and answer.isdigit() and len(answer) < 5 and 1 <= int(answer) <= len(made):
            return int(answer) - 1
        yield Tell(say("그런 카메라가 없습니다", "there is no such camera"), Tone.BAD)


def _change(made: list[Table], rates: dict[str, int], recorded: Collection[str]) -> Step:
    """Ask for the address, the name, the range and the log-in of a camera that is there, and try it."""
    at = yield from _which(made)
    if at is None:
        return made
    old = made[at]
    url = yield from _url(str(old["url"]))
    new = {**old, "url": url}
    if "sub_url" in old:
        sub = yield from checked(
            "camera.sub_url",
            say("작은 영상 주소", "address of the smaller stream"),
            _moved(str(old["sub_url"]), str(old["url"]), url),
            say(f"없애려면 {NONE}", f"{NONE} for none"),
            needed=False,
        )
        new = {key: what for key, what in new.items() if key != "sub_url"} | ({"sub_url": sub} if sub else {})
    new["name"] = yield from _name(str(old["name"]))
    view = yield from _view(str(old.get("view", NONE)))
    new = {key: what for key, what in new.items() if key != "view"} | ({"view": view} if view else {})
    new = _with_log_in(new, (yield from _log_in(url, old, elsewhere=_is_elsewhere(old, new))))
    # Of a camera in agent.toml a password may go out in clear unless that is forbidden; of one just typed it may not.
    basic = str(old["id"]) in recorded
    proved = yield from _proved(
        new, say("고치지 않고 전대로 두기", "leave the camera as it was"), basic=basic
    )
    if proved is None:
        return made
    if proved["url"] != old["url"]:
        rates.pop(str(old["id"]), None)
    return [*made[:at], proved, *made[at + 1 :]]


def _moved(sub: str, old: str, new: str) -> str:
    """Propose where a second stream is now: at the host of the first one, if it was there before."""
    host = urlsplit(new).netloc
    if not host or urlsplit(sub).netloc != urlsplit(old).netloc:
        return sub
    return urlsplit(sub)._replace(netloc=host).geturl()


def _remove(made: list[Table], answers: Answers, recorded: Collection[str]) -> Step:
    """Ask which camera is to go, and say what becomes of what it has recorded."""
    at = yield from _which(made)
    if at is None:
        return made
    camera = made[at]
    if camera["id"] in recorded:
        yield Tell(_after(camera, int(answers.get("storage", {}).get("retention_days", 30))), Tone.WARN)
    title = say(f"{camera['id']} {camera['name']}: 뺄까요?", f"Remove {camera['id']} {camera['name']}?")
    if not (yield from yes("camera.remove", title, usual=False)):
        return made
    return [*made[:at], *made[at + 1 :]]


def _after(camera: Table, box_days: int) -> str:
    """Say what becomes of a camera's recordings: retention is the box's once its own table is gone."""
    text = say(
        f"{camera['id']}의 녹화가 끝납니다. 이미 녹화된 영상은 지워지지 않고, 박스의 보관 기간 {box_days}일이 지나면 "
        "스스로 지워집니다. 그때까지 이 id를 다른 카메라에 쓰지 마십시오.",
        f"{camera['id']} is not recorded any more. What it has recorded is not erased now: it goes by itself after the "
        f"box's {box_days} days. Until then give its id to no other camera.",
    )
    own = camera.get("retention_days")
    if own is not None and own != box_days:
        text += say(
            f" 이 카메라만의 보관 기간 {own}일은 설정과 함께 사라집니다.",
            f" The {own} days of this camera alone go with its configuration.",
        )
    return text
