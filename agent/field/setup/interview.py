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
from agent.field.setup.requests import Ask, Keep, ReadText, Tell, Tone
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Generator

    from agent.config.rules import Rule
    from agent.errors import PasuError
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


def told(error: PasuError) -> Tell:
    """Say what the world could not do."""
    then = f"\n{error.hint}" if error.hint else ""
    why = " ".join(str(value) for key, value in error.context.items() if key in ("reason", "errno", "path"))
    return Tell(f"{error.message} {why}".rstrip() + f"  [{error.code}]" + then, Tone.BAD)
