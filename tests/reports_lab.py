"""A small box with a past: what was recorded, handed out, shown, held and erased; with names that attack."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from typing import TYPE_CHECKING

from agent.health import Raised
from agent.model import Fact, Gap, GapCause, Instant, Span, Trust
from agent.storage.catalogue import COMMITTED, Catalogue, Segment
from agent.storage.files import Disk
from agent.storage.proof import checkpoints, signing
from tests.page_lab import CAMERAS, Site, site

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3_600_000
DAYS = 3
EXPORT, GRANT = "0123456789abcdef" * 2, "aa" * 16
EVIL = "<script>alert(1)</script>"
FORMULA = "=cmd|' /C calc'!A0"
REPORTS = ("commissioning", "selfcheck", "ledger", "notice")
PASSWORD = "geheim77"


def past(root: Path, *, signed: bool = True) -> Site:
    """Make it. signed: the newest entries but the last have a checkpoint."""
    box = site(root)
    text = box.config.file.read_text(encoding="utf-8")
    text = text.replace('name = "놀이터 정문"', f'name = "{EVIL}"\nview = "놀이터 정문과 앞길 30 m"')
    text = text.replace(
        'contact = "033-000-0000"', 'contact = "033-000-0000"\ncontractor = "한빛보안, 033-111-2222"'
    )
    box.config.file.write_text(text, encoding="utf-8")
    speak(box)
    now = time.time_ns() // 1_000_000
    at = Instant(now, Trust.SYNCED)
    state = box.config.storage.state
    with contextlib.closing(Catalogue.open(state)) as catalogue:
        catalogue.add_vault("v1", str(root / "vault"), now - DAYS * 24 * HOUR)
        catalogue.add_cameras([camera for camera, _ in CAMERAS], now - DAYS * 24 * HOUR)
        for camera, _ in CAMERAS:
            for hour in range(DAYS * 24):
                if camera != "cam02" or not 40 < hour < 52:
                    catalogue.commit_segment(_segment(camera, now - (DAYS * 24 - hour) * HOUR, hour), at)
        catalogue.add_gap(Gap("cam02", Span(now - 31 * HOUR, now - 20 * HOUR), GapCause.CAMERA_SILENT), at)
        for kind, body in _facts(now):
            catalogue.add_fact(Fact(kind, at, body))
        if signed:
            key = signing.load_or_create(state, box.config.box.id, Disk())
            checkpoints.advance(catalogue, key, [], state, at, force=True)
        catalogue.add_fact(
            Fact("page.visited", at, {"name": "최정비", "company": "한빛", "source": "192.168.77.20"})
        )
    return box


def speak(box: Site) -> None:
    """Have its processes say how they are: what they said a minute ago counts for nothing."""
    box.is_well(
        Raised("camera.refused", "cam02", f"401 rtsp://admin:{PASSWORD}@10.0.0.12/x"),
        Raised("box.hot", detail="cpu: 90 C"),
    )


def _segment(camera: str, start: int, hour: int) -> Segment:
    return Segment(
        "v1", camera, "r1", f"segments/{camera}/{hour}.mp4.age", start, start + HOUR, "SYNCED", "h264", 1920, 1080, 90_000,
        10, 10, 10, "0" * 64, True, COMMITTED, False,
    )  # fmt: skip


def _facts(now: int) -> list[tuple[str, dict[str, object]]]:
    span = {"camera": "cam01", "start_ms": now - 2 * HOUR, "end_ms": now - HOUR}
    return [
        ("export.requested", {
            "export": EXPORT, **span, "ground": "investigation", "grounds": 1, "purpose": "crime-prevention",
            "recipient": "강릉경찰서 형사과", "authority": "강릉경찰서 2026-1234", "due": "2027-01-01", "person": FORMULA,
            "over": "https", "emergency": False, "case": "", "segments": 1, "sealed_bytes": 10,
        }),
        ("export.received", {"export": EXPORT, "files": 1, "bytes": 10, "gone_bytes": 10, "by": "centre", "good": True}),
        ("stream.granted", {
            "grant": GRANT, "kind": "order", "camera": "cam02", "centre": "", "operator": "김관제", "minutes": 10,
            "purpose": "crime-prevention", "ground": "monitoring", "grounds": 1, "until_ms": now + 600_000, "person": "이운영",
        }),
        ("hold.placed", {
            "hold": "h1", "cameras": ["cam01"], "from_ms": now - 2 * HOUR, "to_ms": now, "ground": "access-request",
            "grounds": 1, "authority": "열람청구 2026-55", "review_ms": now + HOUR, "placed_by": "kim", "spared": 0, "late": 0,
        }),
        ("segment.erased", {
            **span, "path": "segments/cam01/old.mp4.age", "cause": "EXPIRED", "responsible": "강릉시 정보산업과",
        }),
        ("retention.confirmed", {
            "day": "2026-11-22", "from_ms": now - 24 * HOUR, "to_ms": now, "erased": {"EXPIRED": 1}, "cycle_s": 60,
            "oldest_ms": None, "overdue_ms": 0, "responsible": "강릉시 정보산업과",
        }),
        ("box.examined", {"by": "kim", "ok": 1, "warnings": 0, "failures": 1, "failed": ["new.check"],
                          "sha256": hashlib.sha256(examination().encode()).hexdigest()}),
        ("page.visited", {"name": "김정비", "company": EVIL, "source": "192.168.77.20", "count": 1}),
    ]  # fmt: skip


def examination() -> str:
    """Return what `pasu doctor --json` may have written."""
    checks = [
        {"check": "disk.sync", "state": "ok", "title": "what doctor said", "measured": "fsync 99 % 12 ms"},
        {"check": "new.check", "state": "failure", "title": EVIL, "subject": "cam02", "then": "케이블을 확인하십시오",
         "measured": f"10.0.0.12:554 refused, rtsp://admin:{PASSWORD}@10.0.0.12/x"},
    ]  # fmt: skip
    return json.dumps({"box": "gn-0007", "checks": checks}, ensure_ascii=False)


def doctor(root: Path, text: str | None = None) -> Path:
    """Write that into a file, or another text."""
    file = root / "doctor.json"
    file.write_text((text or examination()) + "\n", encoding="utf-8")
    return file
