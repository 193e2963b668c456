"""The questions of `pasu discover`: log-ins, which cameras to add, and what each is for."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any, TextIO

from agent.cli.discover_view import picture
from agent.config.keys import BY_TABLE
from agent.config.rules import Refused
from agent.config.secrets import LIMIT, Login
from agent.config.values import Purpose
from agent.language import say
from agent.onvif.findings import obstacles
from agent.onvif.proposal import BASES, Addition, next_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.field.discovering import Found, Known
    from agent.onvif.model import Camera

SAME = "="
NONE = "-"


class Talk:
    """Questions to a technician, one line each. An answer that is not allowed is asked for again."""

    def __init__(self, source: TextIO, out: TextIO, password: Callable[[str], str] | None = None) -> None:
        """source, out: where answers come from and questions go; password: asks for one without showing it."""
        self._source = source
        self._out = out
        self._password = password or (lambda prompt: getpass.getpass(prompt, out))
        self._before: Login | None = None

    def _ask(self, question: str) -> str:
        """Ask; the end of input is an empty answer."""
        self._out.write(question)
        self._out.flush()
        return self._source.readline().strip()

    def _tell(self, text: str) -> None:
        self._out.write(text + "\n")

    def log_in(self, camera: Camera) -> Login | None:
        """Ask for a camera's log-in. The one before is used again only when that is said, for this camera."""
        same = say(f", 앞과 같으면 {SAME}", f", {SAME} for the same as before") if self._before else ""
        question = say(
            f"{camera.host} ({camera.title}) 계정 (건너뛰려면 Enter{same}): ",
            f"{camera.host} ({camera.title}) user (Enter to skip{same}): ",
        )
        while True:
            user = self._ask(question)
            if not user:
                return None
            if user == SAME and self._before is not None:
                return self._before
            if ":" in user or len(user) > LIMIT or not user.isprintable():
                self._tell(say("':'이 없는 한 줄의 글", "one line of text without ':'"))
                continue
            try:
                word = self._password(say("비밀번호: ", "password: "))
            except EOFError:
                return None
            if len(word) > LIMIT or not (word.isprintable() or not word):
                self._tell(say(f"한 줄의 글, {LIMIT}자까지", f"one line of text, at most {LIMIT} characters"))
                continue
            self._before = Login(user, word)
            return self._before

    def additions(self, found: Sequence[Found], knows: Known, waived: tuple[str, ...]) -> list[Addition]:
        """Ask which cameras to add, and what a configuration wants to know of each."""
        free: dict[int, Found] = {}
        for number, each in enumerate(found, 1):
            if knows.id_of(each.camera):
                continue
            reasons = obstacles(each.camera, waived)
            if reasons:
                self._tell(
                    say(
                        f"{number}: 넣을 수 없습니다: {reasons[0].text}",
                        f"{number}: cannot be added: {reasons[0].text}",
                    )
                )
                continue
            free[number] = each
        if not free:
            return []
        taken = set(knows.ids)
        made: list[Addition] = []
        chosen = self._choose(free)
        if not chosen:
            self._tell(say("하나도 넣지 않았습니다", "none was added"))
        for number in chosen:
            addition = self._one(number, free[number], taken, made[-1] if made else None, waived)
            taken.add(addition.id)
            made.append(addition)
        return made

    def _choose(self, free: dict[int, Found]) -> list[int]:
        numbers = ", ".join(map(str, free))
        question = say(
            f"넣을 카메라 번호 ({numbers}; 모두는 a, 없으면 Enter): ",
            f"numbers of the cameras to add ({numbers}; a for all, Enter for none): ",
        )
        while True:
            answer = self._ask(question)
            if answer in ("a", "all"):
                return list(free)
            words = answer.replace(",", " ").split()
            if all(
                word.isascii() and word.isdigit() and len(word) < 6 and int(word) in free for word in words
            ):
                return list(dict.fromkeys(int(word) for word in words))
            self._tell(say(f"쓸 수 있는 번호: {numbers}", f"numbers there are: {numbers}"))

    def _one(
        self, number: int, found: Found, taken: set[str], before: Addition | None, waived: tuple[str, ...]
    ) -> Addition:
        camera, main, sub = found.camera, found.camera.main, found.camera.sub
        assert main is not None  # else it could not have been added
        self._tell(f"\n{number}: {camera.host} {camera.title}")
        for title, stream in ((say("영상", "picture"), main), (say("작은 영상", "sub"), sub)):
            if stream is not None:
                self._tell(f"   {title}: {' · '.join(filter(None, (stream.name, picture(stream))))}")
        name = self._value("name", say("이름", "name"), camera.title)
        while (identity := self._value("id", say("카메라 id", "camera id"), next_id(taken))) in taken:
            self._tell(say("이미 쓰는 id입니다", "that id is taken"))
        purpose = self._purpose(before.purpose if before else None)
        basis = BASES.get(purpose, "")
        legal = self._value("legal_basis", say("법적 근거", "legal basis"), basis)
        view = self._value(
            "view", say("촬영 범위 (안내판에 적힘)", "what it looks at, for the notice board"), NONE
        )
        login = found.login if camera.factory or _asks(camera) else None
        return Addition(
            identity,
            name,
            main.url,
            sub.url if sub else "",
            purpose,
            legal,
            allow_basic="basic-only" in waived and camera.basic,
            waived=tuple(finding.code for finding in obstacles(camera, ())),
            username=login.username if login else "",
            password=login.password if login else "",
            view="" if view == NONE else view,
        )

    def _purpose(self, before: str | None) -> str:
        purposes = list(Purpose)
        title = say("설치 목적 (운영 규정 제6조)", "purpose (regulation art. 6)")
        if before is None:
            self._tell(f"{title}:")
            for number, purpose in enumerate(purposes, 1):
                self._tell(f"  {number}. {purpose.title}")
        usual = purposes.index(Purpose(before)) + 1 if before else None
        shown = f" [{usual}]" if usual else ""
        while True:
            answer = self._ask(f"{title}{shown}: ") or str(usual or "")
            if (
                answer.isascii()
                and answer.isdigit()
                and len(answer) < 3
                and 1 <= int(answer) <= len(purposes)
            ):
                return purposes[int(answer) - 1].value
            if not answer and not self._more():
                raise KeyboardInterrupt  # nobody is there to say what the camera is for
            self._tell(say(f"1부터 {len(purposes)}까지", f"1 to {len(purposes)}"))

    def _value(self, key: str, title: str, usual: str) -> str:
        """Ask for a value that the configuration's own rule allows."""
        rule: Any = BY_TABLE["camera"][key].rule
        shown = f" [{usual}]" if usual else ""
        while True:
            answer = self._ask(f"{title}{shown}: ") or usual
            try:
                value: str = rule.accept(answer)
            except Refused:
                if not answer and not self._more():
                    raise KeyboardInterrupt from None  # as above
                self._tell(rule.allowed)
            else:
                return value

    def _more(self) -> bool:
        """Tell whether anybody can still answer: a terminal can, a file that has ended cannot."""
        return self._source.isatty()


def _asks(camera: Camera) -> bool:
    """Tell whether a camera's streams want the log-in; one that shows all without is recorded without."""
    return any(stream.log_in.value == "good" for stream in camera.streams) or not any(
        stream.shown for stream in camera.streams
    )
