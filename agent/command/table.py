"""What can be ordered, by whom, with how many signatures and which arguments. Pure.

docs/signed-commands.md is generated from this. What each command does is agent/storage/keep/orders/'s to say.

Source  Gangneung regulation art. 4, 5, 12, 26(3), 28; table 2-8 of the Seoul study; safety standard art. 5(1), 12(1)
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.command import strict
from agent.command.deleting import GROUNDS as DELETION_GROUNDS
from agent.command.errors import CommandRefused
from agent.command.jws import is_kid
from agent.command.keyring import ANY, Role, is_id
from agent.config.values import Purpose
from agent.grants import MOST_MINUTES
from agent.model import parse_utc_name
from agent.passes import MOST_HOURS, MOST_TEXT, is_digest, is_pass_id, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COUNTERSIGN = "countersign"
MOST_CAMERAS = 64
MOST_MODE_MINUTES = 720
MOST_SPAN_MS = 366 * 86_400_000
_HOLD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_CODE = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_HTTPS = re.compile(r"https://[A-Za-z0-9.:\[\]-]{1,253}(/[A-Za-z0-9._~/-]{0,200})?\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of argument: `accepts` tells whether a value is one."""

    accepts: Callable[[Any], bool]
    korean: str
    english: str


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command. `shown` is false for what is long: the ledger gets its SHA-256."""

    name: str
    kind: Kind
    optional: bool = False
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    roles       who may order it alone, or first
    signatures  how many it needs always; what the box has stored may ask for more
    seconds     who may countersign it; the same roles, unless it says others
    whole_box   it concerns every camera, and asks for a key that sees all of them
    challenge   it needs the box's challenge also while the time is trusted
    locked      it is obeyed in a lockdown too
    """

    name: str
    korean: str
    english: str
    roles: frozenset[Role]
    arguments: tuple[Argument, ...] = ()
    signatures: int = 1
    seconds: frozenset[Role] = frozenset()
    whole_box: bool = False
    challenge: bool = False
    locked: bool = False

    def may_second(self, role: Role) -> bool:
        """Tell whether somebody may countersign it."""
        return role in (self.seconds or self.roles)


def day_ms(text: str) -> int:
    """Return when a day begins, UTC ms. Raises ValueError for what is no day, as 2026-02-30."""
    match = _DAY.match(text)
    if match is None:
        raise ValueError("not a day")
    return parse_utc_name("".join(match.groups()) + "T000000.000Z")


def is_command_id(value: object) -> bool:
    """Tell whether a value has the form of a command's id."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def _is_day(value: Any) -> bool:
    try:
        return isinstance(value, str) and day_ms(value) >= 0
    except ValueError:
        return False


def _is_cameras(value: Any) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_CAMERAS:
        return False
    return value == [ANY] or (all(map(is_id, value)) and len({*value}) == len(value))


def _long_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


CAMERA = Kind(is_id, "카메라 id", "a camera's id")
CAMERAS = Kind(
    _is_cameras,
    f'카메라 id 목록, {MOST_CAMERAS}대까지; ["*"]는 모두',
    f'list of at most {MOST_CAMERAS} camera ids, or ["*"] for every one',
)
MS = Kind(strict.is_number, "UTC 밀리초", "UTC milliseconds")
TEXT = Kind(
    lambda value: strict.is_name(value, 500), "한 줄, 500자까지", "one line of at most 500 characters"
)
DAY = Kind(_is_day, '날짜 "2027-01-15" (UTC)', 'a day, "2027-01-15" (UTC)')
CODE = Kind(
    lambda value: isinstance(value, str) and _CODE.match(value) is not None,
    "근거 코드 (`pasu hold place --help`)",
    "a ground's code (`pasu hold place --help`)",
)
DELETION_GROUND = Kind(
    lambda value: isinstance(value, str) and value in DELETION_GROUNDS,
    "삭제 근거의 코드: " + "; ".join(f"`{code}` {one.korean}" for code, one in DELETION_GROUNDS.items()),
    "a ground's code: " + "; ".join(f"`{code}` {one.english}" for code, one in DELETION_GROUNDS.items()),
)
PURPOSE = Kind(lambda value: value in [*Purpose], "설치 목적의 코드", "the code of a purpose")
HOLD = Kind(lambda value: isinstance(value, str) and _HOLD.match(value) is not None, "보존 id", "a hold's id")
ID = Kind(is_command_id, "명령의 id: 16진수 32자", "a command's id: 32 hexadecimal digits")
KID = Kind(is_kid, "키 id: 16진수 16자", "a key's id: 16 hexadecimal digits")
JWS = Kind(_long_text, "compact JWS", "compact JWS")
TOML = Kind(_long_text, "agent.toml의 새 내용 전체", "the whole new text of agent.toml")
BOOL = Kind(lambda value: isinstance(value, bool), "true, false", "true or false")
SEQ = Kind(lambda value: strict.is_number(value, 1), "원장의 번호, 1부터", "a number in the ledger, from 1")
LEDGER = Kind(is_kid, "원장 id: 16진수 16자", "the ledger's id: 16 hexadecimal digits")
ROOT = Kind(
    lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None,
    "그 크기의 머클 루트: 16진수 64자",
    "Merkle root at that size: 64 hexadecimal digits",
)
MINUTES = Kind(
    lambda value: strict.is_number(value, 1) and value <= MOST_MINUTES,
    f"분, 1부터 {MOST_MINUTES}까지",
    f"minutes, from 1 to {MOST_MINUTES}",
)
MODE_MINUTES = Kind(
    lambda value: strict.is_number(value, 1) and value <= MOST_MODE_MINUTES,
    f"분, 1부터 {MOST_MODE_MINUTES}까지",
    f"minutes, from 1 to {MOST_MODE_MINUTES}",
)
CENTRE = Kind(
    lambda value: value == "" or is_id(value),
    '[[centre]]의 이름, 또는 ""이면 [uplink]의 미디어 서버',
    'the name of a [[centre]], or "" for the media server of [uplink]',
)
HOURS = Kind(
    lambda value: strict.is_number(value, 1) and value <= MOST_HOURS,
    f"시간, 1부터 {MOST_HOURS}까지",
    f"hours, from 1 to {MOST_HOURS}",
)
PERSON = Kind(
    lambda value: isinstance(value, str) and is_text(value),
    f"한 줄, {MOST_TEXT}자까지",
    f"one line of at most {MOST_TEXT} characters",
)
PASS = Kind(is_pass_id, "출입증 id: 16진수 8자", "a pass's id: 8 hexadecimal digits")
DIGEST = Kind(
    is_digest,
    "출입증 코드의 SHA-256 (docs/formats.md): 16진수 64자",
    "SHA-256 of the pass's code (docs/formats.md): 64 hexadecimal digits",
)
DESTINATION = Kind(
    lambda value: value == "mqtt" or (isinstance(value, str) and _HTTPS.match(value) is not None),
    '"mqtt" 또는 터널 안의 https 주소',
    '"mqtt", or an https address inside the tunnel',
)

_ALL = frozenset(Role) - {Role.PRIVACY}
_DECIDE = frozenset({Role.OFFICER, Role.DEPARTMENT})
_ASK = frozenset({Role.OFFICER, Role.DEPARTMENT, Role.OPERATOR, Role.SERVICE})
_SPAN = (Argument("from_ms", MS), Argument("to_ms", MS))

_TABLE = (
    Command(
        "hold.place",
        "구간을 보존합니다. 보존의 id는 명령의 id입니다",
        "hold a span; the hold's id is the command's",
        _DECIDE,
        (
            Argument("cameras", CAMERAS),
            *_SPAN,
            Argument("ground", CODE),
            Argument("authority", TEXT),
            Argument("review", DAY),
        ),
        locked=True,
    ),
    Command(
        "hold.release",
        "보존을 해제합니다",
        "release a hold",
        _DECIDE,
        (Argument("hold", HOLD), Argument("reason", TEXT)),
        signatures=2,
    ),
    Command(
        "delete.subject",
        "한 카메라의 한 구간을 정보주체를 위해, 조각 단위로 지웁니다. 개인정보 보호책임자가 두 번째로 서명합니다",
        "delete a span of one camera for its subject, in whole segments; the privacy officer signs second",
        frozenset({Role.OFFICER}),
        (
            Argument("camera", CAMERA),
            *_SPAN,
            Argument("ground", DELETION_GROUND),
            Argument("request", TEXT),
            Argument("hold", HOLD, optional=True),
        ),
        signatures=2,
        seconds=frozenset({Role.PRIVACY}),
    ),
    Command(
        "segments.locate",
        "무엇이 저장되어 있는지 알립니다 (존재확인). 영상은 열지 않습니다. 정보주체가 물었으면 requester에 적습니다",
        "say what of a span is stored; nothing is opened. Where the person in the picture asks, requester names them",
        _ASK,
        (Argument("camera", CAMERA), *_SPAN, Argument("requester", TEXT, optional=True)),
        locked=True,
    ),
    Command(
        "export.request",
        "구간을 봉인된 채로 센터에 보냅니다. 운영책임자는 긴급할 때 사건 번호와 함께만",
        "send a span to the centre, still sealed; an officer only in an emergency, with its case",
        _DECIDE,
        (
            Argument("camera", CAMERA),
            *_SPAN,
            Argument("ground", CODE),
            Argument("purpose", PURPOSE),
            Argument("recipient", TEXT),
            Argument("authority", TEXT),
            Argument("due", DAY),
            Argument("to", DESTINATION),
            Argument("emergency", BOOL, optional=True),
            Argument("case", TEXT, optional=True),
        ),
        seconds=frozenset({Role.DEPARTMENT}),
    ),
    Command(
        "export.cancel",
        "보내기를 멈춥니다",
        "stop an export",
        _DECIDE,
        (Argument("export", ID),),
        locked=True,
    ),
    Command(
        "export.received",
        "보낸 것을 모두 받았음을 알립니다. 서명된 이 말이 있어야 박스가 수령을 적습니다",
        "say that an export is here, all of it: only this, signed, makes the box write that it was received",
        _DECIDE | {Role.SERVICE},  # it may be the last copy that is let go of then
        (Argument("export", ID), Argument("good", BOOL)),
        locked=True,
    ),
    Command(
        "stream.grant",
        "카메라 한 대의 실시간 영상을 한 사람이 길어도 15분 보게 합니다. 더 보려면 다시 명합니다. 카메라의 목적과 "
        "다르면 두 서명이 듭니다",
        "let one person see one camera live for 15 minutes at most; longer is asked for again. Two signatures for "
        "another purpose than the camera's",
        frozenset({Role.OFFICER, Role.OPERATOR}),
        (
            Argument("camera", CAMERA),
            Argument("operator", TEXT),
            Argument("purpose", PURPOSE),
            Argument("ground", CODE),
            Argument("minutes", MINUTES),
        ),
        seconds=_DECIDE,
    ),
    Command(
        "stream.revoke",
        "실시간 영상을 멈추고, 그때까지 나간 바이트를 알립니다",
        "stop a live stream, and say how many bytes had left",
        _ASK,
        (Argument("grant", ID), Argument("reason", TEXT)),
        locked=True,
    ),
    Command(
        "disaster.start",
        "재난 때 박스의 모든 RTSP 카메라를 한꺼번에 한 센터에 보입니다. 카메라의 priority 차례로. 다시 명하면 그때부터",
        "in a disaster, show all RTSP cameras of the box at once to one centre, by their priority. Ordered again, it"
        " goes on from then",
        frozenset({Role.OFFICER}),
        (
            Argument("reason", TEXT),
            Argument("ground", CODE),
            Argument("centre", CENTRE, optional=True),
            Argument("minutes", MODE_MINUTES),
        ),
        whole_box=True,
    ),
    Command(
        "disaster.stop",
        "재난 모드를 끝내고, 그때까지 나간 바이트를 알립니다",
        "end the disaster mode, and say how many bytes had left",
        frozenset({Role.OFFICER}),
        (Argument("reason", TEXT),),
        whole_box=True,
        locked=True,
    ),
    Command(
        "streams",
        "지금 어느 카메라의 실시간 영상이 누구의 명령으로, 또는 왜 나가는지 알립니다",
        "say which camera is shown live now, by whose order, or why else",
        _ASK,
        locked=True,
    ),
    Command(
        "config.propose",
        "설정을 바꿉니다. 녹화하던 카메라가 녹화하지 않으면 되돌립니다. 유지보수자는 같은 호스트의 경로 같은 것만. "
        "카메라의 목적을 바꾸려면 의견수렴 공고(notice)가 있어야 합니다",
        "replace agent.toml; taken back when cameras that recorded do not. A technician changes paths and the like, "
        "on the same hosts. Another purpose of a camera takes the public notice by which opinions were heard",
        frozenset({Role.OFFICER, Role.TECHNICIAN}),
        (
            Argument("toml", TOML, shown=False),
            Argument("consultation", TEXT),
            Argument("notice", TEXT, optional=True),
        ),
        seconds=_DECIDE,
        whole_box=True,
    ),
    Command(
        "pass.issue",
        "상태 페이지의 출입증을 발급합니다. 코드는 명령에 없고 그 해시만 있습니다",
        "issue a pass to the health page; the command holds the hash of its code, and not the code",
        _DECIDE,
        (
            Argument("name", PERSON),
            Argument("company", PERSON),
            Argument("hours", HOURS),
            Argument("digest", DIGEST),
        ),
    ),
    Command(
        "pass.revoke",
        "출입증을 취소합니다. 들어와 있던 사람도 곧바로 볼 수 없게 됩니다",
        "revoke a pass; whoever is in by it sees nothing more",
        _DECIDE,
        (Argument("pass", PASS), Argument("reason", PERSON)),
        locked=True,
    ),
    Command(
        "time.confirm",
        "박스의 시각이 맞음을 확인합니다",
        "confirm that the box's time is right",
        frozenset({Role.SERVICE, Role.OFFICER}),
        (Argument("utc_ms", MS),),
        challenge=True,
        locked=True,
    ),
    Command(
        "key.revoke",
        "키 하나를 더는 따르지 않게 합니다. 결정하는 이의 키이거나 모르는 키이면 두 서명이 듭니다",
        "obey a key no more; two signatures for a key of those who decide, or one the box does not know",
        _DECIDE,
        (Argument("kid", KID),),
        whole_box=True,
        locked=True,
    ),
    Command(
        "ring.replace",
        "도시의 루트 키가 서명한 새 키 목록을 받습니다",
        "take a new key ring, which the city's root key signed",
        _ALL,
        (Argument("ring", JWS, shown=False),),
        locked=True,
    ),
    Command(
        "lockdown",
        "잠급니다: 영상이 나가지 않고, 권한은 루트 키로만 늘어납니다. 녹화는 계속합니다. 푸는 데는 두 서명이 듭니다",
        "lock down: no footage leaves, only the root key grants rights, recording goes on. Lifting it takes two "
        "signatures",
        _DECIDE,
        (Argument("on", BOOL),),
        whole_box=True,
        locked=True,
    ),
    Command(
        "inspect",
        "자체점검 항목 가운데 박스가 아는 것을 서명하여 알립니다 (표준지침 제48조)",
        "tell, signed, what the box knows of the self-inspection (Standard Guideline art. 48)",
        _ALL,
        locked=True,
    ),
    Command(
        "erasure.confirm",
        "이 날까지의 자동 삭제 결과를 확인하고 서명합니다 (표준지침 제10조제4항). 답에 지운 수가 있습니다",
        "confirm, by signature, what automatic erasure did up to a day (Standard Guideline art. 10(4)); the answer "
        "says how much was erased",
        _DECIDE | {Role.PRIVACY},  # whom the guideline names; the others by delegation
        (Argument("day", DAY),),
        whole_box=True,
        locked=True,
    ),
    Command(
        "ledger.acknowledge",
        "원장을 여기까지 받았음을 알립니다. 그 뒤에야 오래된 것을 내보냅니다",
        "say that the centre has the ledger up to here; only then may old entries go",
        frozenset({Role.SERVICE}),
        (Argument("ledger", LEDGER), Argument("size", SEQ), Argument("root", ROOT)),
        locked=True,
    ),
    Command(
        "facts.resend",
        "원장을 이 번호부터 다시 보내게 합니다",
        "have the ledger sent again from a number on",
        frozenset({Role.SERVICE}),
        (Argument("ledger", LEDGER), Argument("from_seq", SEQ)),
        locked=True,
    ),
    Command(
        "command.cancel",
        "24시간을 기다리는 명령을 그만둡니다",
        "give up a command that waits for its 24 hours",
        _DECIDE,
        (Argument("id", ID),),
        whole_box=True,
        locked=True,
    ),
)

COMMANDS: Mapping[str, Command] = {command.name: command for command in _TABLE}
COUNTERSIGNING = Command(
    COUNTERSIGN,
    "다른 사람이 서명한 명령에 두 번째로 서명합니다",
    "sign an order that somebody else has signed, as the second",
    frozenset(Role),
    (Argument("order", JWS, shown=False),),
    locked=True,
)
"""Carries an order and is none by itself: who may do it is the order's to say."""


def check_arguments(command: Command, arguments: object) -> None:
    """Refuse arguments that are unknown, missing, or not what they should be.

    Raises  CommandRefused COMMAND_ARGUMENT, whose `reason` names the argument
    """
    if not isinstance(arguments, dict):
        raise _refused("arguments")
    known = {argument.name: argument for argument in command.arguments}
    if not arguments.keys() <= known.keys():
        raise _refused("unknown")  # its name is the sender's text
    for name, argument in known.items():
        if name not in arguments:
            if not argument.optional:
                raise _refused(name)
        elif not argument.kind.accepts(arguments[name]):
            raise _refused(name)
    if "to_ms" in known and not 0 < arguments["to_ms"] - arguments["from_ms"] <= MOST_SPAN_MS:
        raise _refused("to_ms")


def cameras_of(command: Command, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which cameras an order concerns, ANY for all; none for one that concerns no camera's pictures."""
    if command.whole_box:
        return (ANY,)
    if "camera" in arguments:
        return (arguments["camera"],)
    return tuple(arguments.get("cameras", ()))


def told(command: Command, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the ledger holds them: of a long one its SHA-256."""
    return {
        argument.name: arguments[argument.name]
        if argument.shown
        else {"sha256": hashlib.sha256(arguments[argument.name].encode()).hexdigest()}
        for argument in command.arguments
        if argument.name in arguments
    }


def _refused(name: str) -> CommandRefused:
    return CommandRefused(
        "COMMAND_ARGUMENT", "an argument is missing, unknown, or not what it should be", reason=name
    )
