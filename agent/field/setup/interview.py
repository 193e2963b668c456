"""The interview: which question comes next, what is refused, and why. Pure: a state machine that somebody drives.

Each function is a generator. It yields what it wants from the world (`requests`), is sent the answer, and returns what
is known then. An answer that is not allowed is told why, and asked for again. What the world could not do is thrown in
as a PasuError; it is told, and the question comes again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agent.config.keys import BY_TABLE
from agent.config.rules import Refused
from agent.config.values import Purpose
from agent.errors import PasuError
from agent.field.setup.answers import right_password, right_user
from agent.field.setup.requests import Ask, Keep, ReadText, Rows, Search, Tell, Tone
from agent.language import say
from agent.onvif.factory import is_factory
from agent.onvif.proposal import BASES, next_id

if TYPE_CHECKING:
    from collections.abc import Generator

    from agent.config.rules import Rule
    from agent.field.setup.answers import Answers
    from agent.field.setup.requests import Request, Talk

NONE = "-"
"""Typed for "none" where an empty answer would mean what is shown in brackets."""
RECIPIENT = re.compile(r"age1[0-9a-z]+")


def checked(
    key: str, title: str, usual: str = "", explain: str = "", *, needed: bool = True
) -> Generator[Request, Any, str]:
    """Ask for a value of agent.toml until its rule allows it. needed: there has to be one, else "" comes back."""
    table, name = key.split(".")
    rule: Rule = BY_TABLE[table][name].rule
    while True:
        answer = str((yield Ask(key, title, usual, explain))).strip() or usual
        if not needed and answer in ("", NONE):
            return ""
        try:
            rule.accept(answer)
        except Refused as refused:
            yield Tell(say(refused.korean, refused.english) or rule.allowed, Tone.BAD)
        else:
            return answer


def yes(key: str, title: str, *, usual: bool, explain: str = "") -> Generator[Request, Any, bool]:
    """Ask a question that is answered by yes or no."""
    while True:
        answer = (
            str((yield Ask(key, title, say("예", "yes") if usual else say("아니요", "no"), explain)))
            .strip()
            .lower()
        )
        if not answer:
            return usual
        if answer in ("y", "yes", "예", "네", "ㅇ"):
            return True
        if answer in ("n", "no", "아니요", "아니오", "ㄴ"):
            return False
        yield Tell(say("예 또는 아니요 (y, n)", "yes or no (y, n)"), Tone.BAD)


def box(answers: Answers) -> Talk:
    """Ask who and where the box is."""
    known = answers.get("box", {})
    yield Tell(say("박스: 이름, 장소, 책임", "The box: name, place, who answers for it"), Tone.HEAD)
    made: dict[str, str] = {}
    for name, title, help_ in (
        (
            "id",
            say("박스 이름", "name of the box"),
            say(
                "보고와 원장에 쓰이는 이름, 예: gn-0007. 한 번 정하면 바꾸지 않습니다",
                "in reports and in the ledger, as gn-0007; never changed once chosen",
            ),
        ),
        (
            "site",
            say("설치 장소", "where it stands"),
            say("예: 경포해변 3지점", "for example: Gyeongpo beach, point 3"),
        ),
        (
            "operator",
            say("운영 기관과 부서", "municipality and department"),
            say("예: 강릉시 정보산업과", "for example: Gangneung City, Information Industry Division"),
        ),
        (
            "contact",
            say("관리책임자와 연락처", "responsible officer and contact"),
            say(
                "안내판에 적힙니다, 예: 정보산업과장 033-000-0000",
                "stands on the notice board, as: Head of Division, 033-000-0000",
            ),
        ),
    ):
        made[name] = yield from checked(f"box.{name}", title, str(known.get(name, "")), help_)
    contractor = yield from checked(
        "box.contractor",
        say("유지보수 수탁자와 연락처", "contractor and contact"),
        str(known.get("contractor", NONE)),
        say(f"없으면 {NONE}", f"{NONE} for none"),
        needed=False,
    )
    if contractor:
        made["contractor"] = contractor
    answers = {**answers, "box": {**{k: v for k, v in known.items() if k != "contractor"}, **made}}
    yield Keep(answers)
    return answers


def keys(answers: Answers) -> Talk:
    """Ask for the centre's public keys, and where reports go."""
    yield Tell(say("관제센터", "The control centre"), Tone.HEAD)
    yield Tell(
        say(
            "영상은 관제센터의 공개키(age1…)로 봉인됩니다. 이 박스는 열 수 없습니다.\n"
            "키를 하나씩 붙여 넣거나, 키가 적힌 파일의 경로를 적으십시오. 둘 이상을 권합니다.",
            "Recordings are sealed to the centre's public keys (age1...); this box cannot open them.\n"
            "Paste them one by one, or name a file that holds them. Two or more are advised.",
        )
    )
    storage = answers.get("storage", {})
    found: list[str] = list(storage.get("recipients", []))
    while True:
        for number, key in enumerate(found, 1):
            yield Tell(f"  {number}. {key}")
        title = say("공개키 또는 파일", "public key or file")
        end = say("Enter: 이것으로 충분합니다", "Enter when these are all") if found else ""
        answer = str((yield Ask("storage.recipients", title, "", end))).strip()
        if not answer and found:
            if len(found) > 1 or (yield from _one_key_only()):
                break
            continue
        found = (yield from _more_keys(answer, found)) or found
    answers = {**answers, "storage": {**storage, "recipients": found}}
    yield Keep(answers)
    answers = yield from _uplink(answers)
    yield Keep(answers)
    return answers


def _one_key_only() -> Generator[Request, Any, bool]:
    yield Tell(
        say(
            "키가 하나뿐이면, 그 개인키를 잃을 때 모든 영상을 영영 열 수 없습니다.",
            "With one key only, no recording can ever be opened again once its private key is lost.",
        ),
        Tone.WARN,
    )
    return (
        yield from yes(
            "one_recipient", say("그래도 하나로 할까요?", "Go on with one all the same?"), usual=False
        )
    )


def _more_keys(answer: str, found: list[str]) -> Generator[Request, Any, list[str] | None]:
    text: str | None = answer
    if "/" in answer:
        text = yield ReadText(answer)
        if text is None:
            yield Tell(say(f"읽을 수 없는 파일입니다: {answer}", f"cannot read the file: {answer}"), Tone.BAD)
            return None
    named = list(dict.fromkeys([*found, *RECIPIENT.findall(text or "")]))
    rule = BY_TABLE["storage"]["recipients"].rule
    try:
        rule.accept(named)
    except Refused as refused:
        yield Tell(say(refused.korean, refused.english) or rule.allowed, Tone.BAD)
        return None
    if named == found:
        yield Tell(say("새 공개키(age1…)가 없습니다", "there is no new public key (age1...) in it"), Tone.BAD)
        return None
    return named


def _uplink(answers: Answers) -> Talk:
    known = answers.get("uplink", {}), answers.get("tunnel", {})
    rest = {name: table for name, table in answers.items() if name not in ("uplink", "tunnel")}
    broker = yield from checked(
        "uplink.broker",
        say("보고를 받는 MQTT 서버", "MQTT broker that takes reports"),
        str(known[0].get("broker", NONE)),
        say(
            f"관제센터가 알려 줍니다, 예: mqtts://10.77.0.1:8883. 아직 모르면 {NONE}",
            f"the centre says which, as mqtts://10.77.0.1:8883; {NONE} while it is not known",
        ),
        needed=False,
    )
    if not broker:
        return rest
    rest["uplink"] = {**{key: what for key, what in known[0].items() if key != "media"}, "broker": broker}
    media = yield from checked(
        "uplink.media",
        say("실시간 영상을 받는 미디어 서버", "media server that takes live streams"),
        str(known[0].get("media", NONE)),
        say(
            f"관제센터가 알려 줍니다, 예: rtsp://10.77.0.1:8554. 없으면 {NONE}",
            f"the centre says which, as rtsp://10.77.0.1:8554; {NONE} for none",
        ),
        needed=False,
    )
    if media:
        rest["uplink"]["media"] = media
    tunnel = yield from checked(
        "tunnel.interface",
        say("관제센터와 잇는 터널의 이름", "name of the tunnel to the centre"),
        str(known[1].get("interface", "pasu0")),
        say(f"터널이 없으면 {NONE}", f"{NONE} without a tunnel"),
        needed=False,
    )
    if tunnel:
        rest["tunnel"] = {**known[1], "interface": tunnel}
    return rest


def page(answers: Answers) -> Talk:
    """Ask where the health page is served."""
    known = answers.get("page", {})
    yield Tell(say("상태 페이지", "The health page"), Tone.HEAD)
    listen = known.get("listen", NONE)
    if isinstance(listen, list):
        yield Tell(", ".join(listen))  # several are written by hand, and left as they are
        return answers
    listen = yield from checked(
        "page.listen",
        say("정비용 포트의 IP 주소", "IP address of the maintenance port"),
        listen,
        say(
            f"기사가 휴대전화로 볼 상태 페이지, 예: 192.168.77.1. 열지 않으면 {NONE}",
            f"a page that technicians see on the telephone, as 192.168.77.1; {NONE} for none",
        ),
        needed=False,
    )
    rest = {name: table for name, table in answers.items() if name != "page"}
    if listen:
        rest["page"] = {**known, "listen": listen}
    yield Keep(rest)
    return rest


def cameras(answers: Answers, rates: dict[str, int]) -> Talk:
    """Ask for cameras: found on the network, or typed. rates: takes the kbit/s of those that say so, by id."""
    yield Tell(say("카메라", "Cameras"), Tone.HEAD)
    made: list[dict[str, Any]] = list(answers.get("camera", []))
    while True:
        if made:
            yield _camera_rows(made)
        choices = [
            say("카메라 망에서 찾기", "search the camera network"),
            say("주소를 직접 입력", "type an address"),
            say("이것으로 충분함", "these are all"),
        ]
        usual = "3" if made else "1"
        for number, choice in enumerate(choices if made else choices[:2], 1):
            yield Tell(f"  {number}. {choice}")
        answer = str((yield Ask("camera", say("어떻게 할까요", "how"), usual))).strip() or usual
        taken = {str(each.get("id")) for each in made}
        if answer == "1":
            made += yield from _found(taken, rates)
        elif answer == "2":
            made.append((yield from _typed(taken, made[-1] if made else None)))
        elif answer == "3" and made:
            return answers
        else:
            yield Tell(say("목록의 번호를 적으십시오", "a number of the list"), Tone.BAD)
        if made:
            answers = {**answers, "camera": made}
            yield Keep(answers)


def _found(taken: set[str], rates: dict[str, int]) -> Generator[Request, Any, list[dict[str, Any]]]:
    """Search, and have some chosen."""
    title = say("찾을 곳", "where")
    explain = say(
        "Enter: 카메라 망 전체. 또는 카메라의 IP 주소나 망, 예: 10.0.0.11 10.0.0.0/24",
        "Enter for the camera network; or addresses of cameras, or a network, as 10.0.0.11 10.0.0.0/24",
    )
    where = str((yield Ask("discover", title, "", explain))).replace(",", " ").split()
    try:
        found: list[tuple[dict[str, Any], int | None]] = yield Search(frozenset(taken), tuple(where))
    except PasuError as error:
        yield told(error)
        return []
    rates |= {table["id"]: kbit_s for table, kbit_s in found if kbit_s}
    return [table for table, _ in found]


def told(error: PasuError) -> Tell:
    """Say what the world could not do."""
    then = f"\n{error.hint}" if error.hint else ""
    why = " ".join(str(value) for key, value in error.context.items() if key in ("reason", "errno", "path"))
    return Tell(f"{error.message} {why}".rstrip() + f"  [{error.code}]" + then, Tone.BAD)


def _camera_rows(made: list[dict[str, Any]]) -> Rows:
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


def _typed(taken: set[str], before: dict[str, Any] | None) -> Generator[Request, Any, dict[str, Any]]:
    url = yield from checked(
        "camera.url",
        say("영상 주소", "address of the stream"),
        "",
        say(
            "예: rtsp://10.0.0.11/main. 계정과 비밀번호는 따로 묻습니다",
            "as rtsp://10.0.0.11/main; user and password are asked for apart",
        ),
    )
    name = yield from checked(
        "camera.name", say("이름", "name"), "", say("예: 주차장 입구", "for example: car park entrance")
    )
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
    view = yield from checked(
        "camera.view",
        say("촬영 범위", "what it looks at"),
        NONE,
        say(f"안내판에 적힙니다. 나중에 정하려면 {NONE}", f"for the notice board; {NONE} to say it later"),
        needed=False,
    )
    if view:
        made["view"] = view
    return {**made, **(yield from _log_in(url))}


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


def _log_in(url: str) -> Generator[Request, Any, dict[str, str]]:
    if url.partition(":")[0].lower() not in ("rtsp", "rtsps", "http", "https"):
        return {}
    help_ = say(f"로그인이 없으면 {NONE}", f"{NONE} when it wants no log-in")
    while True:
        user = str((yield Ask("camera.username", say("계정", "user"), NONE, help_))).strip() or NONE
        if user == NONE:
            return {}
        if not right_user(user):
            yield Tell(say("':'이 없는 한 줄의 글", "one line of text without ':'"), Tone.BAD)
            continue
        word = str((yield Ask("camera.password", say("비밀번호", "password"), secret=True)))
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
