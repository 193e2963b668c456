"""Rows for tests that need no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.model import Instant, Trust
from agent.storage.catalogue import COMMITTED, Catalogue, Segment
from agent.storage.layout import Kind, stem_of

if TYPE_CHECKING:
    from pathlib import Path

VAULT = "vault-1"


def catalogue(state: Path, *vaults: str) -> Catalogue:
    state.mkdir(exist_ok=True)
    made = Catalogue.prepare(state)
    for vault in vaults or (VAULT,):
        made.add_vault(vault, f"/nowhere/{vault}", 0)
    return made


def row(camera: str, start_ms: int, **more: Any) -> Segment:
    values = {
        "vault": VAULT,
        "camera": camera,
        "run": "run-1",
        "path": stem_of(camera, start_ms).path(Kind.FINAL),
        "start_ms": start_ms,
        "end_ms": start_ms + 60_000,
        "trust": "SYNCED",
        "codec": "h264",
        "width": 1280,
        "height": 720,
        "time_base_hz": 90_000,
        "frames": 900,
        "plain_bytes": 1000,
        "sealed_bytes": 1000,
        "sha256": "00",
        "keyframe_start": True,
        "state": COMMITTED,
        "has_tail": False,
    }
    return Segment(**{**values, **more})


def plant(made: Catalogue, camera: str, start_ms: int, **more: Any) -> int:
    """Commit a row; columns that only the keeper writes may be given too."""
    later = {
        key: more.pop(key)
        for key in ("kept_from_ms", "cause", "condemned_ms", "gone_ms", "end")
        if key in more
    }
    state = more.pop("state", COMMITTED)
    assert made.commit_segment(row(camera, start_ms, **more), Instant(start_ms, Trust.SYNCED))
    number = made.read("SELECT MAX(id) FROM segment")[0][0]
    if state != COMMITTED:
        later["state"] = state
    for column, value in later.items():
        made.write(
            lambda db, c=column, v=value: db.execute(f"UPDATE segment SET {c} = ? WHERE id = ?", (v, number))
        )
    return number


def hold(made: Catalogue, name: str, cameras: list[str], from_ms: int, to_ms: int) -> None:
    """Place a hold as rows alone."""

    def insert(db: Any) -> None:
        values = {
            "id": name,
            "from_ms": from_ms,
            "to_ms": to_ms,
            "ground": "investigation",
            "grounds": 1,
            "authority": "test",
            "review_ms": to_ms,
            "placed_ms": 0,
            "trust": "SYNCED",
            "placed_by": "",
        }
        marks = ", ".join("?" * len(values))
        db.execute(f"INSERT INTO hold ({', '.join(values)}) VALUES ({marks})", [*values.values()])
        db.executemany(
            "INSERT INTO hold_camera (hold, camera) VALUES (?, ?)", [(name, each) for each in cameras]
        )

    made.write(insert)


def release(made: Catalogue, name: str, at_ms: int) -> None:
    made.write(lambda db: db.execute("UPDATE hold SET released_ms = ? WHERE id = ?", (at_ms, name)))
