"""What the sheets show, as plain texts in the reader's language, for their templates. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.config.hours import parse
from agent.config.values import PURPOSE_TITLES
from agent.field import words
from agent.field.doctor.registry import CHECKS
from agent.field.reports.texts import clean, scrub
from agent.health import CONDITIONS
from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agent.config import Camera, Config
    from agent.field.reports.rows import Entry

STATES = {
    "ok": ("정상", "ok"),
    "warning": ("주의", "warning"),
    "failure": ("실패", "failure"),
    "n/a": ("해당 없음", "n/a"),
}


def purpose(camera: Camera) -> str:
    """Return what a camera is there for."""
    return say(*PURPOSE_TITLES[camera.purpose])


def site(config: Config) -> list[tuple[str, str]]:
    """Say whose box it is, and where."""
    box = config.box
    return [
        (say("박스", "box"), box.id),
        (say("장소", "site"), box.site),
        (say("운영 부서", "operated by"), box.operator),
        (say("관리책임자 연락처", "responsible, contact"), box.contact),
        (say("수탁자", "contractor"), box.contractor or say("없음 (설정에 적히지 않음)", "none named")),
    ]


@dataclass(frozen=True, slots=True)
class Line:
    """A camera in the commissioning report."""

    id: str
    name: str
    purpose: str
    basis: str
    view: str
    days: int
    hours: str
    state: str
    good: bool
    picture: str
    rate: str
    line: str


def cameras(config: Config, record: Mapping[str, Any]) -> Iterator[Line]:
    """Say what each camera is, and what is received of it now; nothing of where it is."""
    told = record.get("cameras", {})
    for camera in config.cameras:
        state = told.get(camera.id, {})
        codec = clean(str(state.get("codec", ""))).upper()
        recording = state.get("state") == "recording"
        yield Line(
            camera.id,
            camera.name,
            purpose(camera),
            camera.legal_basis,
            camera.view or "–",
            camera.retention_days,
            words.hours(camera.hours),
            words.camera_state(clean(str(state.get("state", "")))) or say("소식 없음", "no word"),
            recording or state.get("state") == "resting",
            f"{codec} {state.get('width', 0)}×{state.get('height', 0)}" if codec else "–",
            f"{state.get('fps', 0):.1f} fps, {state.get('kbit_s', 0) / 1000:.1f} Mbit/s"
            if recording
            else "–",
            in_clear(camera),
        )


def in_clear(camera: Camera) -> str:
    """Say whether its pictures come over the line in clear: by art. 47 a finding."""
    kind = camera.url.partition(":")[0].lower()
    if kind in ("rtsps", "https"):
        return say("암호화", "encrypted")
    if kind in ("rtsp", "http", "udp"):
        return say("암호화 안 됨 (망 분리 필요)", "in clear (needs a network of its own)")
    return say("박스 안", "in the box")


def doctor(found: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return the lines of what `pasu doctor` found, addresses left out; empty without it."""
    lines = []
    for check in (found or {}).get("checks", ()):
        if not isinstance(check, dict):
            continue
        said = {name: scrub(value) for name, value in check.items() if isinstance(value, str)}
        state = said.get("state", "")
        known = CHECKS.get(said.get("check", ""))
        lines.append(
            {
                "state": state if state in STATES else "n/a",
                "word": say(*STATES[state]) if state in STATES else state or "?",
                "what": known.title if known else said.get("title") or said.get("check", ""),
                "subject": said.get("subject", ""),
                "measured": said.get("measured", ""),
                "next": (known.then if known else said.get("then", ""))
                if state in ("warning", "failure")
                else "",
            }
        )
    return lines


def examined(entry: Entry | None, moment: Callable[[int], str]) -> tuple[str, str]:
    """Say whether the ledger knows of the examination whose result was given: "ok" or "warning", and the words.

    entry  the `box.examined` that has the digest of this result
    """
    if entry is None:
        return "warning", say(
            "원장에 이 결과의 점검 기록이 없습니다: 바뀌었거나, 끝까지 하지 않은 점검입니다. "
            "`pasu doctor --json`을 다시 하십시오.",
            "The ledger has no examination with this result: it was changed, or broken off. "
            "Do `pasu doctor --json` again.",
        )
    by, when = clean(str(entry.body.get("by", ""))), moment(entry.at_ms)
    return "ok", say(
        f"원장 {entry.seq}번에 적힌 점검: {when}, {by}",
        f"as entry {entry.seq} of the ledger says: {when}, {by}",
    )


def counts(lines: Iterable[Mapping[str, str]]) -> list[tuple[str, str, int]]:
    """Count the lines of what doctor found: state, word, how many."""
    states = [line["state"] for line in lines]
    return [(state, say(*word), states.count(state)) for state, word in STATES.items()]


def conditions(config: Config, found: dict[str, Any]) -> list[dict[str, str]]:
    """Say what is wrong now, addresses left out."""
    return [
        {
            "severity": str(each.condition.severity),
            "word": each.word,
            "what": each.condition.what,
            "subjects": each.subjects,
            "since": each.since,
            "details": " · ".join(map(scrub, each.details)),
            "next": each.condition.next,
        }
        for each in words.wrong(config, found)
    ]


@dataclass(frozen=True, slots=True)
class Item:
    """One of the eight items of the self-inspection (Standard Guideline art. 48).

    told    what the box knows of it; nothing for what people alone can answer
    unknown what the box cannot know, to be filled in by hand
    """

    number: int
    title: str
    told: list[tuple[str, str]]
    unknown: str


def _many(count: int, korean: str, english: str) -> str:
    return say(f"{count}{korean}", f"{count} {english}")


def items(body: Mapping[str, Any], moment: Callable[[int], str]) -> list[Item]:
    """Sort what `inspect` says of the box by the eight items.

    body    as `agent.storage.keep.orders_inspect.inspection` returns it
    moment  writes UTC ms for people
    """
    return [
        Item(
            1,
            say("운영ㆍ관리 방침에 열거된 사항", "What the operating policy lists"),
            [],
            say("방침의 수립과 공개", "that there is a policy, and that it is published"),
        ),
        Item(
            2,
            say("관리책임자의 업무 수행", "What the responsible person did"),
            [],
            say("관리책임자 지정과 수행 내역", "who was named, and what was done"),
        ),
        Item(
            3,
            say("설치와 운영 현황", "What is installed and operated"),
            _devices(body["3_devices"]),
            say(
                "안내판이 실제로 붙어 있는지 (`pasu report notice`와 비교)",
                "whether the notice boards hang there (compare `pasu report notice`)",
            ),
        ),
        Item(
            4,
            say("수집, 이용ㆍ제공, 파기 현황", "Collection, use, provision, destruction"),
            _collected(body["4_collected"], moment),
            say(
                "센터가 열어 본 영상과 받은 이의 파기 확인",
                "what the centre opened; that recipients destroyed their copies",
            ),
        ),
        Item(
            5,
            say("수탁자 관리ㆍ감독 현황", "Supervision of contractors"),
            [*_keys(body["5_contractors"], moment)]
            or [(say("유지보수자 키", "contractors' keys"), say("없음", "none"))],
            say("위탁 계약, 교육, 감독의 기록", "the contract, training and supervision"),
        ),
        Item(
            6,
            say("정보주체의 권리행사 조치", "Requests of persons in the pictures"),
            _holds(body["6_requests"], moment),
            say("청구의 접수, 통지, 거부 사유", "requests that came, notices, reasons of refusals"),
        ),
        Item(
            7,
            say("기술적ㆍ관리적ㆍ물리적 조치", "Technical, managerial and physical measures"),
            _measures(body["7_measures"], moment),
            say("시건장치, 출입통제, 내부 관리계획", "locks, access to rooms, the internal plan"),
        ),
        Item(
            8,
            say("설치ㆍ운영의 필요성이 계속되는지", "Whether it is still needed"),
            [],
            say("카메라마다의 검토", "a review of each camera"),
        ),
    ]


def _devices(devices: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if devices is None:
        return [(say("설정", "configuration"), say("읽을 수 없음", "cannot be read"))]
    return [
        (
            f"{camera['id']} ({camera['name']})",
            " · ".join(
                (
                    say(*PURPOSE_TITLES[camera["purpose"]]),
                    camera["legal_basis"],
                    _many(camera["retention_days"], "일 보관", "days kept"),
                    words.hours(map(parse, camera["hours"])) or say("24시간", "24 hours"),
                )
            ),
        )
        for camera in devices["cameras"]
    ]


def _collected(told: Mapping[str, Any], moment: Callable[[int], str]) -> list[tuple[str, str]]:
    oldest, checked = told["oldest_ms"], told["retention_confirmed"]
    return [
        (
            say("저장된 영상", "stored"),
            _many(told["segments"], "개 조각, ", "segments, ") + words.size(told["sealed_bytes"]),
        ),
        (
            say("가장 오래된 영상", "oldest"),
            moment(oldest) if oldest is not None else say("없음", "none"),
        ),
        (
            say("자동 삭제의 마지막 확인", "erasure last checked"),
            moment(checked["at_ms"]) if checked else say("아직 없음", "not yet"),
        ),
        (say("보존 중 (삭제하지 않음)", "on hold"), str(told["holds"]["active"])),
        (say("반출 (전체)", "exports, all"), str(told["exports"])),
        (
            say("파기 결과를 듣지 못한 반출", "exports not known to be destroyed"),
            str(told["exports_not_destroyed"]),
        ),
    ]


def _keys(keys: Iterable[Iterable[Any]], moment: Callable[[int], str]) -> Iterator[tuple[str, str]]:
    for holder, role, kid, until_ms in keys:
        until = moment(until_ms)
        yield clean(holder), f"{role} · {kid} · " + say(f"{until}까지", f"until {until}")


def _holds(told: Mapping[str, Any], moment: Callable[[int], str]) -> list[tuple[str, str]]:
    rows = [(say("열람 청구로 보존 중", "held for requests"), str(told["active"]))]
    for name, _, review_ms in told["listed"]:
        rows.append((name, say(f"재검토 {moment(review_ms)}", f"review {moment(review_ms)}")))
    return rows


def _measures(told: Mapping[str, Any], moment: Callable[[int], str]) -> list[tuple[str, str]]:
    plain = told["plaintext_cameras"]
    return [
        (
            say("저장 영상의 암호화", "stored video sealed to"),
            _many(len(told["recipients"]), "개 키: ", "keys: ") + ", ".join(told["recipients"]),
        ),
        (
            say("암호화되지 않은 카메라 회선", "cameras whose line is in clear"),
            say("알 수 없음", "not known") if plain is None else ", ".join(plain) or say("없음", "none"),
        ),
        (say("권한 목록의 판", "edition of the key ring"), str(told["ring"]["epoch"] or "–")),
        *_keys(told["keys"], moment),
        (say("시각", "time"), words.trust_word(told["clock"]["state"])),
        (say("잠금", "lockdown"), say("예", "yes") if told["lockdown"] else say("아니요", "no")),
        (
            say("지금의 이상", "conditions now"),
            " / ".join(_condition(*each) for each in told["conditions"]) or say("없음", "none"),
        ),
    ]


def _condition(code: str, subject: str) -> str:
    what = CONDITIONS[code].what if code in CONDITIONS else code
    return f"{what} ({subject})" if subject else what


def notices(config: Config, only: Iterable[str]) -> list[dict[str, str]]:
    """Return the text of a notice board for each camera, the four items of art. 10; "" is to be written by hand.

    only  ids of cameras; none means all
    """
    wanted = set(only)
    return [
        {
            "id": camera.id,
            "purpose": purpose(camera),
            "basis": camera.legal_basis,
            "place": f"{config.box.site} ({camera.name})",
            "hours": say(
                f"{words.hours(camera.hours) or '24시간 연속 촬영'} (영상 보관 {camera.retention_days}일)",
                f"{words.hours(camera.hours) or '24 hours, every day'} (kept {camera.retention_days} days)",
            ),
            "range": camera.view or "",
            "officer": config.box.operator,
            "contact": config.box.contact,
            "contractor": config.box.contractor or "",
        }
        for camera in config.cameras
        if not wanted or camera.id in wanted
    ]
