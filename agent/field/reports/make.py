"""Make the reports: what `gather` read, in the words of `views`, through the templates. Shell.

All of them only read. What they show of the ledger is no older than the checkpoint that they name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent import __version__, overview
from agent.cli import times
from agent.cli.segments import CAUSES
from agent.field import words
from agent.field.page.view import moment, zone_mark
from agent.field.reports import figures, gather, machine, printing, rows, viewings, views
from agent.field.reports.texts import scrub
from agent.health import Raised
from agent.language import say
from agent.model import Span
from agent.storage.keep.day import LAG_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from agent.config import Config
    from agent.model import Instant
    from agent.storage.catalogue import Catalogue

WIDTHS = (4, 6, 8, 13, 7, 9, 10, 9, 8, 9, 9, 8)
"""Of the ledger's columns, in hundredths of the sheet."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What reports are made from.

    zone  of the times shown; None for the box's own
    """

    config: Config
    catalogue: Catalogue
    now: Instant
    zone: tzinfo | None

    def when(self, utc_ms: int) -> str:
        """Write a point in time."""
        return moment(utc_ms, self.zone) + zone_mark(utc_ms, self.zone)

    def frame(self) -> dict[str, Any]:
        """Return what every sheet shows: whose, when, and from which checkpoint."""
        proof = gather.proof(self.catalogue, self.config.storage.state)
        return {
            "box": self.config.box.id,
            "made": times.show_time(self.now.utc_ms, self.zone)
            + ("" if self.now.trust != "UNTRUSTED" else say(" (신뢰할 수 없는 시각)", " (time not trusted)")),
            "version": __version__,
            "proof": proof,
            "entries": gather.bounds(self.catalogue),
        }


def commissioning(
    desk: Desk,
    days: int,
    doctor: tuple[dict[str, Any], bytes] | None,
    show: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[str]:
    """Make the commissioning report (준공 점검표).

    doctor  as `gather.doctor` read it
    show    is called with the number of cameras read, and of all
    Raises  StorageFault, IntegrityFault
    """
    config, now_ms = desk.config, desk.now.utc_ms
    told, data = doctor or (None, b"")
    frame = desk.frame()
    found = overview.of_box(config)
    record, keep, uplink, tunnel = (
        words.heard(found, name) for name in ("record", "keep", "uplink", "tunnel")
    )
    lines = views.doctor(told)
    digest = hashlib.sha256(data.rstrip(b"\r\n")).hexdigest()
    begins = _days(now_ms, days, desk.zone)
    pasts = gather.pasts(desk.catalogue, config, Span(begins[0], now_ms), now_ms, show)
    yield from printing.pages(
        "commissioning",
        **frame,
        site=views.site(config),
        doctor=lines,
        doctor_sha256=digest,
        counts=views.counts(lines),
        examined=views.examined(gather.examined(desk.catalogue, digest), desk.when) if lines else ("", ""),
        conditions=views.conditions(config, found),
        cameras=[*views.cameras(config, record)],
        days=days,
        coverage=[_coverage(desk, past, begins) for past in pasts],
        outlooks=[*figures.outlooks(keep, config.storage.retention_days)],
        disks=[*_disks(keep)],
        machine=[*_machine(desk, found, keep, uplink, tunnel)],
        unknowns=[
            say(
                "사진과 화면: 저장된 영상은 이 박스에서 열 수 없으며, 이 보고서에는 그래프만 있습니다.",
                "Pictures: what is stored cannot be opened on this box; there are only graphs here.",
            ),
            say(
                "카메라의 설치 위치와 각도, 초점, 안내판이 붙어 있는지: 사람이 확인합니다.",
                "Where a camera hangs, how it is aimed and focused, whether notice boards are up: for people.",
            ),
            say(
                "카메라 주소와 비밀번호는 일부러 적지 않습니다.",
                "Addresses and passwords of cameras are left out on purpose.",
            ),
            say(
                "센터에서 영상이 열리는지: 센터가 시험 조각을 열어 확인합니다.",
                "Whether the centre can open what is sealed: the centre opens a test segment.",
            ),
        ],
    )


def _days(now_ms: int, days: int, zone: tzinfo | None) -> list[int]:
    """Return where the last days begin in a zone, newest last."""
    now = datetime.fromtimestamp(now_ms / 1000, zone).astimezone(zone)
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [int((begin - timedelta(days=back)).timestamp() * 1000) for back in range(days - 1, -1, -1)]


def _coverage(desk: Desk, past: figures.Past, begins: list[int]) -> dict[str, Any]:
    camera = desk.config.camera(past.camera)
    drawn = figures.day_rows(past, begins, desk.now.utc_ms - LAG_MS)
    share = figures.permille(drawn)
    gaps = ", ".join(f"{say(*CAUSES[cause])} {count}" for cause, count in sorted(past.gaps.items()))
    return {
        "id": past.camera,
        "name": camera.name if camera else "",
        "share": "–" if share is None else f"{share / 10:.1f} %" if share < 1000 else "100 %",
        "gaps": say(f"빠진 구간: {gaps}", f"gaps: {gaps}") if gaps else "",
        "rows": [
            {
                "label": desk.when(row.begin_ms)[:10],
                "share": words.share(row.day),
                "stretches": row.day.stretches,
            }
            for row in drawn
        ],
    }


def _disks(keep: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for disk in keep.get("disks") or []:
        counts = (
            (disk.get("reallocated"), say("다시 배치된 섹터", "reallocated sectors")),
            (disk.get("pending"), say("대기 섹터", "pending sectors")),
            (disk.get("uncorrectable"), say("복구하지 못한 섹터", "uncorrectable sectors")),
            (disk.get("hours"), say("사용 시간", "hours in use")),
            (disk.get("celsius"), say("온도(°C)", "heat in °C")),
        )
        state = {True: say("정상", "passed"), False: say("나쁨", "failing")}.get(
            disk.get("passed"), say("알 수 없음", "not known")
        )
        told = ", ".join([state, *(f"{name} {count}" for count, name in counts if count is not None)])
        yield f"{disk.get('device', '')} {disk.get('model', '')}", told


def _machine(
    desk: Desk, found: dict[str, Any], keep: dict[str, Any], uplink: dict[str, Any], tunnel: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    box = machine.told()
    yield say("기기", "model"), box["model"] or say("알 수 없음", "not known")
    yield say("운영체제", "system"), box["system"]
    yield say("구조", "architecture"), box["machine"]
    if keep.get("vitals"):
        yield from words.vital_fields(keep["vitals"], found["trust"])
    else:
        yield say("시각", "time"), words.trust_word(found["trust"])
    several = desk.config.storage.recipients
    yield (
        say("영상을 여는 키", "keys that open video"),
        say(f"{len(several)}개", str(len(several))) + ": " + ", ".join(f"…{each[-8:]}" for each in several),
    )
    for name, fields in (
        (say("센터 연결", "centre"), words.uplink_fields(uplink) if uplink else ()),
        (say("터널", "tunnel"), words.tunnel_fields(tunnel) if tunnel else ()),
    ):
        for what, text in fields:
            yield f"{name}: {what}", scrub(text)
    for process, health in found["processes"].items():
        version = (health or {}).get("version")
        yield f"pasu {process}", str(version) if version else say("소식 없음", "silent")


def selfcheck(desk: Desk) -> Iterator[str]:
    """Make the self-inspection (자체점검). Raises StorageFault, IntegrityFault."""
    frame = desk.frame()
    found = overview.of_box(desk.config)
    wrong = [Raised(each["code"], each["subject"], each["detail"]) for each in found["conditions"]]
    body = gather.inspected(desk.config, desk.catalogue, desk.now, wrong)
    yield from printing.pages(
        "selfcheck",
        **frame,
        site=views.site(desk.config),
        items=views.items(body, desk.when),
        unknowns=[
            say(
                "이 점검표는 서명되지 않았습니다. 박스가 서명한 같은 내용은 센터가 `inspect` 명령으로 받습니다.",
                "This sheet is not signed. The centre gets the same, signed by the box, by the command `inspect`.",
            ),
            say(
                "센터에서 한 열람과 제공, 사람과 문서에 관한 항목은 박스가 모릅니다.",
                "What the centre viewed and provided, and what is about people and papers, the box does not know.",
            ),
        ],
    )


def sheet(
    desk: Desk,
    span: Span,
    *,
    each_file: bool,
    show: Callable[[int, int], None] = lambda *_: None,
    counted: viewings.Viewings | None = None,
) -> tuple[Iterator[rows.Row], gather.Proof | None, gather.Entries]:
    """Return the lines of the ledger of personal images, as they come, and what proves them.

    counted  takes who watched what, while the lines come
    Raises   StorageFault
    """
    proof = gather.proof(desk.catalogue, desk.config.storage.state)
    there = gather.bounds(desk.catalogue)

    def made() -> Iterator[rows.Row]:
        for entry in gather.entries(desk.catalogue, there, rows.kinds(each_file=each_file), span, show):
            if counted is not None:
                counted.take(entry.kind, entry.at_ms, entry.body)
            row = rows.row_of(entry, desk.when)
            if row is not None:
                yield row

    return made(), proof, there


def ledger_csv(lines: Iterable[rows.Row]) -> Iterator[str]:
    """Write the ledger of personal images for a spreadsheet: UTF-8 with a byte order mark, twelve columns."""
    yield "\ufeff" + rows.csv_line(rows.heads())
    for row in lines:
        yield rows.csv_line(row.cells)


def ledger(
    desk: Desk, span: Span, *, each_file: bool, show: Callable[[int, int], None] = lambda *_: None
) -> Iterator[str]:
    """Make the ledger of personal images as a sheet. Raises StorageFault, IntegrityFault."""
    counted = viewings.Viewings()
    lines, proof, there = sheet(desk, span, each_file=each_file, show=show, counted=counted)
    frame = desk.frame() | {"proof": proof, "entries": there}
    kept_from = gather.kept_from(desk.catalogue)
    unknowns = [
        say(
            "센터가 영상을 열어 보거나 제3자에게 다시 넘긴 일은 박스가 모릅니다. 그것은 센터의 관리대장에 적습니다.",
            "What the centre viewed or passed on, the box does not know: that is for the centre's own ledger.",
        ),
        say(
            "박스가 파일을 하나씩 삭제한 기록은 하루의 확인으로 묶여 있습니다. 모두 보려면 --each-file을 붙이십시오."
            if not each_file
            else "파일을 하나씩 삭제한 기록이 모두 들어 있습니다.",
            "Files that were erased are summed up day by day; with --each-file each one is listed."
            if not each_file
            else "Every erased file is listed.",
        ),
    ]
    if kept_from is not None and kept_from > span.start_ms:
        since = desk.when(kept_from)
        unknowns.append(
            say(
                f"이 박스의 원장은 {since}부터 있습니다. 그 앞의 일은 여기에 없습니다.",
                f"The ledger of this box goes back to {since}; of what was before, nothing is here.",
            )
        )
    if gather.was_pruned(desk.catalogue):
        unknowns.append(
            say(
                "자리가 모자라 오래된 기록을 내보낸 적이 있습니다. 그 가운데 있던 삭제와 방문은 센터에만 있습니다.",
                "Old entries were let go for room; erasures and visits among them are at the centre only.",
            )
        )
    yield from printing.pages(
        "ledger",
        **frame,
        where=desk.config.box.site,
        period=f"{desk.when(span.start_ms)} – {desk.when(span.end_ms)}",
        heads=rows.heads(),
        widths=WIDTHS,
        rows=lines,
        viewing_heads=viewings.heads(),
        # Asked for behind the lines, when all of them have been counted.
        viewings=lambda: [row.cells(desk.when) for row in counted.rows()],
        signed=proof.size if proof else 0,
        unknowns=unknowns,
    )


def notice(desk: Desk, only: Iterable[str]) -> Iterator[str]:
    """Make the notice boards' texts, one sheet per camera. Raises StorageFault, IntegrityFault."""
    yield from printing.pages("notice", **desk.frame(), notices=views.notices(desk.config, only))
