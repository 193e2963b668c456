"""Lines of the ledger of personal images (개인영상정보 관리대장), made from entries of the box's ledger. Pure.

Source: Standard Guideline art. 42, 44(5), 45 and annex form 3. Where the form writes two things into one cell, as
"file name/form", they are two columns here: a spreadsheet can sort and count them.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.command.deleting import GROUNDS as GROUNDS_OF_DELETION
from agent.config.values import PURPOSE_TITLES, Purpose
from agent.field.reports.texts import clean
from agent.language import say
from agent.storage.keep.hold import GROUNDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

HEADS = (
    ("번호", "No."),
    ("구분", "Kind"),
    ("일시", "Date and time"),
    ("파일명", "File name"),
    ("형태", "Form of file"),
    ("담당자", "Person in charge"),
    ("목적ㆍ사유", "Purpose, reason"),
    ("이용ㆍ제공받는 제3자", "Third party"),
    ("열람 등 요구자", "Requester of viewing"),
    ("이용ㆍ제공 근거", "Ground"),
    ("이용ㆍ제공 형태", "Form of use or provision"),
    ("기간", "Period"),
)
USE, PROVISION, VIEWING, DESTRUCTION = "use", "provision", "viewing", "destruction"
KINDS = {
    USE: ("이용", "use"),
    PROVISION: ("제공", "provision"),
    VIEWING: ("열람", "viewing"),
    DESTRUCTION: ("파기", "destruction"),
}
ACCESS = "access-request"
"""The ground of a request by the person in the picture (art. 44)."""
FORMULA = "=+-@\t\r\n＝＋－＠"
"""What a spreadsheet takes for a formula where a cell begins with it."""
DONE_EACH = ("segment.erased", "segment.shredded")
"""Kinds of which there is one per file: in the sheet only when asked for, as the daily confirmation counts them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: twelve texts. `number` is the entry's own in the box's ledger, so that each line can be proven."""

    number: str
    kind: str
    at: str
    file: str = ""
    form: str = ""
    person: str = ""
    purpose: str = ""
    recipient: str = ""
    requester: str = ""
    ground: str = ""
    manner: str = ""
    period: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Return its columns, in the order of HEADS."""
        return astuple(self)


class Entry(NamedTuple):
    """An entry of the box's ledger."""

    seq: int
    at_ms: int
    trust: str
    kind: str
    body: Mapping[str, Any]


def heads() -> tuple[str, ...]:
    """Return what the columns are called."""
    return tuple(say(*head) for head in HEADS)


def row_of(entry: Entry, moment: Callable[[int], str]) -> Row | None:
    """Make the line of an entry; None for one that is no use, provision, viewing or destruction of images.

    moment  writes UTC ms for people
    """
    made = MAKERS.get(entry.kind)
    if made is None:
        return None
    told = made(_Told(entry.body, moment))
    if told is None:
        return None
    doubt = say(" (시각 불확실)", " (time uncertain)") if entry.trust == "UNTRUSTED" else ""
    kind = say(*KINDS[told.pop("kind")])
    return Row(str(entry.seq), kind, moment(entry.at_ms) + doubt, **told)


def kinds(*, each_file: bool) -> tuple[str, ...]:
    """Return the kinds of entries that become lines. each_file: also the erasure of every single file."""
    return tuple(sorted(kind for kind in MAKERS if each_file or kind not in DONE_EACH))


def csv_line(cells: Iterable[str]) -> str:
    """Write a line of a CSV file (RFC 4180). No cell is taken for a formula by a spreadsheet."""
    return ",".join('"' + _harmless(cell).replace('"', '""') + '"' for cell in cells) + "\r\n"


def _harmless(cell: str) -> str:
    return "'" + cell if cell.lstrip(" ")[:1] in FORMULA and cell.strip() else cell


REASONS = {
    "expired": ("시간이 다 됨", "its time was over"),
    "revoked": ("취소됨", "taken back"),
    "lockdown": ("박스 잠금", "lockdown"),
    "key_revoked": ("키가 취소됨", "key revoked"),
    "restarted": ("다시 시작함", "restarted"),
    "unconfigured": ("설정에서 빠짐", "not configured any more"),
    "hours": ("정한 시간이 끝남", "its hours were over"),
    "stopped": ("멈춤", "stopped"),
    "renewed": ("새 명령으로 이어짐", "renewed"),
}


class _Told:
    """What an entry's body says, as texts; what a stranger wrote there is shown as text or not at all."""

    def __init__(self, body: Mapping[str, Any], moment: Callable[[int], str]) -> None:
        self._body = body
        self._moment = moment

    def __getitem__(self, name: str) -> str:
        value = self._body.get(name)
        if isinstance(value, str):
            return clean(value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""

    def count(self, name: str) -> int:
        value = self._body.get(name)
        return value if isinstance(value, int) else 0

    def time(self, name: str) -> str:
        value = self._body.get(name)
        return self._moment(value) if isinstance(value, int) and value > 0 else ""

    def span(self, start: str = "start_ms", end: str = "end_ms") -> str:
        return " – ".join(filter(None, [self.time(start), self.time(end)]))

    def cameras(self) -> str:
        value = self._body.get("cameras")
        several = value if isinstance(value, list) else [self._body.get("camera")]
        names = [clean(each) for each in several if isinstance(each, str)]
        return say("모든 카메라", "all cameras") if names == ["*"] else ", ".join(names)

    def purpose(self) -> str:
        code = self["purpose"]
        return say(*PURPOSE_TITLES[Purpose(code)]) if code in [*Purpose] else code

    def reason(self) -> str:
        code = self["reason"]
        return say(*REASONS[code]) if code in REASONS else code

    def ground(self) -> str:
        code = self["ground"]
        known = GROUNDS.get(code)
        if known is None:
            return say("실시간 관제 (설치 목적)", "monitoring, own purpose") if code == "monitoring" else code
        article = f" ({say('지침', 'guideline')} {known.guideline})" if known.guideline else ""
        return say(known.korean, known.english) + article

    def inner(self, name: str) -> _Told:
        value = self._body.get(name)
        return _Told(value if isinstance(value, dict) else {}, self._moment)

    def erased(self) -> list[tuple[str, int]]:
        value = self._body.get("erased")
        counts = value.items() if isinstance(value, dict) else ()
        return [(clean(str(name)), count) for name, count in counts if isinstance(count, int)]


Words = dict[str, str] | None


def _export(told: _Told, manner: str, **more: str) -> dict[str, str]:
    access = told["ground"] == ACCESS
    who = {"requester" if access else "recipient": told["recipient"]} if told["recipient"] else {}
    return {
        "kind": VIEWING if access else PROVISION,
        "file": " ".join(filter(None, [told.cameras(), told.span(), told["export"][:8]])),
        "form": say("봉인된 영상 (age)", "sealed video (age)"),
        "manner": manner,
        **who,
        **more,
    }


def _requested(told: _Told) -> Words:
    urgent = say(" (긴급)", " (emergency)") if told["case"] else ""
    return _on_terms(told, say("반출 요청", "export asked for") + urgent)


def _bundled(told: _Told) -> Words:
    """What was taken at the box itself was asked for by no order: this entry alone has its terms."""
    if not told["ground"]:
        return _ending("증거 묶음을 만듦", "bundle made")(told)
    agreed = say(f" (승인 {told['second']})", f" (agreed: {told['second']})") if told["second"] else ""
    return _on_terms(told, say("박스에서 직접 내어 줌", "handed out at the box") + agreed)


def _on_terms(told: _Told, manner: str) -> dict[str, str]:
    return _export(
        told,
        manner,
        person=told["person"],
        purpose=" · ".join(filter(None, [told.purpose(), told["authority"], told["case"]])),
        ground=told.ground(),
        period=say(f"파기 예정 {told['due']}", f"to be destroyed by {told['due']}") if told["due"] else "",
    )


def _ending(korean: str, english: str) -> Callable[[_Told], Words]:
    def made(told: _Told) -> Words:
        size = told["gone_bytes"] or told["bytes"]
        return _export(
            told,
            say(korean, english) + (f", {size} B" if size else ""),
            person=told["by"],
            purpose=told["code"],
        )

    return made


def _destroyed(told: _Told) -> Words:
    return {
        "kind": DESTRUCTION,
        "file": say(f"반출본 {told['export'][:8]}", f"handed-out copy {told['export'][:8]}"),
        "person": told["by"],
        "recipient": told["recipient"],
        "purpose": say("제공한 사본의 파기 결과", "destruction of a copy, as reported"),
        "manner": told["how"],
        "period": told["due"],
    }


def _granted(told: _Told) -> Words:
    person = told["person"] or told["operator"]
    kind = told["kind"]
    why = {
        "trigger": say(f"비상벨ㆍ센서 {told['trigger']}", f"bell or sensor {told['trigger']}"),
        "configuration": say("상시 관제 (설정)", "always selected (configuration)"),
    }.get(kind, told["operator"])
    until = told.time("until_ms")
    return {
        "kind": USE,
        "file": told.cameras(),
        "form": say("실시간 영상", "live stream"),
        "person": person,
        "purpose": told.purpose(),
        "recipient": told["centre"],
        "ground": told.ground(),
        "manner": " · ".join(filter(None, [say("실시간 열람 허가", "live viewing granted"), why])),
        "period": say(f"{until}까지", f"until {until}") if until else "",
    }


def _stream(korean: str, english: str) -> Callable[[_Told], Words]:
    def made(told: _Told) -> Words:
        size = told["sent_bytes"]
        return {
            "kind": USE,
            "file": told.cameras(),
            "form": say("실시간 영상", "live stream"),
            "person": told["by"],
            "purpose": told.reason(),
            "manner": say(korean, english) + (f", {size} B" if size else ""),
        }

    return made


def _disaster(korean: str, english: str) -> Callable[[_Told], Words]:
    """All cameras shown at once (art. 28(1)6)."""

    def made(told: _Told) -> Words:
        size, until = told["sent_bytes"], told.time("until_ms")
        return {
            "kind": USE,
            "file": told.cameras() or say("모든 카메라", "all cameras"),
            "form": say("실시간 영상", "live stream"),
            "person": told["person"] or told["by"],
            "purpose": " · ".join(filter(None, [told.reason(), told["said"]])),
            "recipient": told["centre"],
            "ground": told.ground(),
            "manner": say(korean, english) + (f", {size} B" if size else ""),
            "period": say(f"{until}까지", f"until {until}") if until else "",
        }

    return made


def _held(korean: str, english: str) -> Callable[[_Told], Words]:
    def made(told: _Told) -> Words:
        access = told["ground"] == ACCESS
        review = told.time("review_ms")
        return {
            "kind": VIEWING if access else USE,
            "file": " ".join(filter(None, [told.cameras(), told.span("from_ms", "to_ms"), told["hold"]])),
            "form": say("봉인된 영상", "sealed video"),
            "person": told["placed_by"] or told["released_by"],
            "purpose": told["reason"] or ("" if access else told["authority"]),
            "requester": told["authority"] if access else "",
            "ground": told.ground(),
            "manner": say(korean, english),
            "period": say(f"재검토 {review}", f"review {review}") if review else "",
        }

    return made


def _asked(told: _Told) -> Words:
    """Whether something exists is an answer that art. 44 counts among the viewings."""
    if told["command"] != "segments.locate":
        return None
    arguments = told.inner("arguments")
    return {
        "kind": VIEWING,
        "file": " ".join(filter(None, [arguments.cameras(), arguments.span("from_ms", "to_ms")])),
        "person": told["holder"],
        "purpose": say("존재확인", "whether it exists"),
        "requester": arguments["requester"],
        "manner": say("영상 없이 구간만", "spans, no video"),
    }


def _confirmed(told: _Told) -> Words:
    causes = {
        "EXPIRED": say("기간 만료", "expired"),
        "EVICTED": say("용량 부족", "disk full"),
    }
    # What went for a subject was ordered, and has its own line: that of its deletion.
    counts = [(cause, count) for cause, count in told.erased() if cause != "REQUESTED"]
    files = sum(count for _, count in counts)
    why = ", ".join(f"{causes.get(cause, cause)} {count}" for cause, count in counts)
    cycle = told["cycle_s"]
    return {
        "kind": DESTRUCTION,
        "file": say(f"자동 삭제한 조각 {files}개", f"{files} segments erased automatically"),
        "form": say("봉인된 영상", "sealed video"),
        "person": told["responsible"],
        "purpose": why,
        "manner": say(f"자동 삭제, 주기 {cycle}초, 확인함", f"automatic, every {cycle} s, checked"),
        "period": told.span("from_ms", "to_ms"),
    }


def _signed(told: _Told) -> Words:
    days = told["days"]
    return {
        "kind": DESTRUCTION,
        "file": say(f"자동 삭제 확인 {days}일분", f"{days} daily checks of erasure"),
        "form": say("봉인된 영상", "sealed video"),
        "person": told["holder"],
        "purpose": say("파기 결과 확인", "confirmation of destruction"),
        "manner": say("서명함", "signed"),
        "period": told.span("from_ms", "to_ms"),
    }


def _erased(told: _Told) -> Words:
    causes = {
        "EXPIRED": say("보관 기간 만료", "retention over"),
        "EVICTED": say("저장 공간 부족", "disk full"),
        "REQUESTED": say("정보주체의 요구에 따른 삭제", "deletion for a subject"),
    }
    return {
        "kind": DESTRUCTION,
        "file": told["path"] or told["file"],
        "form": say("봉인된 영상", "sealed video"),
        "person": told["responsible"],
        "purpose": causes.get(told["cause"], told["cause"]),
        "manner": say("키 조각을 덮어쓰고 삭제", "header with its key overwritten, file removed"),
        "period": told.span(),
    }


def _deleted(told: _Told) -> Words:
    """What was overwritten is destroyed; what of the span was not is said beside it."""
    missing, unshredded = told.count("missing"), told.count("unshredded")
    erased = told.count("erased") - missing - unshredded
    if erased <= 0:
        return None
    ground = GROUNDS_OF_DELETION.get(told["ground"])
    others = (
        (missing, say("이미 없던 것", "missing before")),
        (unshredded, say("덮어쓰지 못한 것", "not overwritten")),
        (told.count("kept"), say("보존되어 남은 것", "kept by a hold")),
        (told.count("left"), say("아직 지우지 못한 것", "not erased yet")),
    )
    return {
        "kind": DESTRUCTION,
        "file": " ".join(filter(None, [told["camera"], told.span()])),
        "form": say("봉인된 영상", "sealed video"),
        "person": told["by"],
        "purpose": say("정보주체를 위한 삭제", "deletion for a subject"),
        "requester": told["request"],
        "ground": say(ground.korean, ground.english) if ground else told["ground"],
        "manner": " · ".join(
            [
                say(
                    f"조각 {erased}개의 키 조각을 덮어쓰고 삭제",
                    f"{erased} segments: header with its key overwritten, file removed",
                ),
                *(f"{what} {count}" for count, what in others if count),
            ]
        ),
        "period": told.span("from_ms", "to_ms"),
    }


def _visited(told: _Told) -> Words:
    return {
        "kind": USE,
        "file": say("해당 없음", "none"),
        "form": say("상태 페이지 (영상 없음)", "health page (no video)"),
        "person": " · ".join(filter(None, [told["name"], told["company"]])),
        "purpose": say("유지보수 점검", "maintenance"),
        "manner": say("상태 열람", "health looked at"),
    }


MAKERS: Mapping[str, Callable[[_Told], Words]] = {
    "export.requested": _requested,
    "export.bundled": _bundled,
    "export.sent": _ending("전송함", "sent"),
    "export.received": _ending("수령 확인됨", "receipt confirmed"),
    "export.unconfirmed": _ending("전송했으나 수령 확인 없음", "sent, receipt not confirmed"),
    "export.cancelled": _ending("취소함", "cancelled"),
    "export.recalled": _ending("회수함", "taken back"),
    "export.expired": _ending("보내지 못하고 기한이 지남", "lapsed"),
    "export.destroyed": _destroyed,
    "stream.granted": _granted,
    "stream.revoked": _stream("실시간 열람 허가 취소", "grant taken back"),
    "stream.stopped": _stream("실시간 열람 끝", "live viewing ended"),
    "stream.counted": _stream("실시간 영상의 하루 집계", "live viewing goes on, counted once a day"),
    "disaster.started": _disaster("재난 모드: 모두 실시간으로 보임", "disaster mode: all shown live"),
    "disaster.resumed": _disaster("재시작 뒤 재난 모드 계속", "disaster mode goes on after a restart"),
    "disaster.stopped": _disaster("재난 모드 끝", "disaster mode ended"),
    "hold.placed": _held("보존 시작", "held from erasure"),
    "hold.restored": _held("보존 되살림", "hold restored"),
    "hold.released": _held("보존 해제", "hold released"),
    "command.accepted": _asked,
    "retention.confirmed": _confirmed,
    "retention.signed": _signed,
    "deletion.ended": _deleted,
    "segment.erased": _erased,
    "segment.shredded": _erased,
    "page.visited": _visited,
}
