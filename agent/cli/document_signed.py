"""The pages of docs/signed-commands.md, from the table that the box judges by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.command.keyring import Role
from agent.command.table import COMMANDS, COUNTERSIGNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.command.table import Argument, Command

ROLES = {
    Role.OFFICER: ("운영책임자", "operating officer: practice, status, maintenance"),
    Role.DEPARTMENT: ("부서관리자", "department manager: decides on provision"),
    Role.OPERATOR: ("관제요원", "operator of the control centre"),
    Role.TECHNICIAN: ("유지보수 수탁자", "maintenance contractor; a key lives for 30 days at most"),
    Role.SERVICE: ("센터의 프로그램", "the centre's own programs"),
    Role.PRIVACY: (
        "개인정보 보호책임자",
        "privacy officer: confirms what was erased, signs second what is deleted for its subject, and nothing else",
    ),
}
ENGLISH = (
    "What a centre may order of a box, by whom, with which arguments. The form of what is sent stands in "
    "[formats.md](formats.md). ● may order it; ②: two persons must sign; ○ may sign second. What the box has "
    "stored may ask for a second signature where the table does not: an export for another purpose than the "
    "camera's or of a camera that is configured no more, a shorter retention, less hours of a camera, a "
    "configuration that leaves out a camera or goes another way to the centre, lifting a lockdown, and whatever "
    "would let more than 5 % of the stored time go early within a day, which then also waits for 24 hours."
)
KOREAN = (
    "센터가 박스에 무엇을 누구의 서명으로 명할 수 있는지의 표입니다. ● 명할 수 있음, ② 두 사람의 서명이 필요함, "
    "○ 두 번째로 서명할 수 있음. 카메라의 목적과 다르거나 설정에 없는 카메라의 제공, "
    "보관 기간의 단축, 녹화 시간의 단축, 카메라를 빼거나 센터로 가는 길을 바꾸는 설정, 잠금 해제에는 "
    "표에 없어도 두 서명이 필요하고, "
    "저장된 시간의 5 %가 넘게 하루 안에 일찍 지워지게 할 명령은 24시간을 더 기다립니다."
)


def lines(table: Callable[[Sequence[str], Iterable[Sequence[str]]], list[str]]) -> list[str]:
    """Return the document's lines. `table` writes a table of Markdown."""
    heads = ["command", *(str(role) for role in Role), "in a lockdown"]
    out = ["# Signed commands · 서명된 명령", "", ENGLISH, "", KOREAN, ""]
    out += [*table(("role", "한국어", ""), [(f"`{role}`", *ROLES[role]) for role in Role]), ""]
    out += [*table(heads, [_cells(command) for command in COMMANDS.values()]), ""]
    for command in [*COMMANDS.values(), COUNTERSIGNING]:
        out += [f"## {command.name}", "", f"{_sentence(command.english)} {_sentence(command.korean)}", ""]
        if command.challenge:
            out += ["Needs the box's challenge always. 언제나 박스의 challenge가 필요합니다.", ""]
        if command.arguments:
            out += [*table(("argument", "English", "한국어"), map(_argument, command.arguments)), ""]
    return out


def _cells(command: Command) -> list[str]:
    first = "②" if command.signatures > 1 else "●"
    cells = [first if role in command.roles else "○" if command.may_second(role) else "" for role in Role]
    return [f"`{command.name}`", *cells, "●" if command.locked else ""]


def _argument(argument: Argument) -> tuple[str, str, str]:
    more = ("; may be absent", "; 없어도 됨") if argument.optional else ("", "")
    return f"`{argument.name}`", argument.kind.english + more[0], argument.kind.korean + more[1]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
