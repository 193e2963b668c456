"""A box with a past, for tests that kill it: what it must erase, what it must hold, and an oracle for both.

The past is planted: small sealed segments of cameras `old0`, `old1`, ..., recorded thirty days ago, some of which are too
old already while the others come of age one after the other. So the keeper has something to erase all the time. The oracle
trusts neither recorder nor keeper: it reads the catalogue by plain sqlite3, the files, the cameras' own frame ledgers, and
computes the tree over the ledger anew.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage

from agent.model import Instant, Trust
from agent.storage.catalogue import Catalogue, Segment
from tests.checker import check
from tests.lab import GstCameras, Site, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DAY_MS = 86_400_000
RETENTION_MS = 30 * DAY_MS
LENGTH_MS = 1000
ERASE_BOUND_S = 180.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def stamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S.") + f"{at_ms % 1000:03d}Z"


def plaintext(camera: str, start_ms: int) -> bytes:
    """Return what a planted segment holds: the same for the same segment, and long enough to be told from others."""
    return random.Random(f"{camera} {start_ms}").randbytes(200)


def plant(site: Site, cameras: Sequence[str], from_ms: int, to_ms: int, every_ms: int) -> int:
    """Put segments of a second each into the vault and the catalogue, as a recorder would have then; return how many.

    The site must have been started once. Cameras take turns: one segment every `every_ms`.
    """
    recipient = pyrage.x25519.Recipient.from_str(
        next(line for line in site.key.read_text().splitlines() if line.startswith("# public key:"))
        .split(":")[1]
        .strip()
    )
    catalogue = Catalogue.open(site.state)
    ((vault, *_),) = site.rows("select uuid from vault")
    planted = 0
    for number, start_ms in enumerate(range(from_ms, to_ms, every_ms)):
        camera = cameras[number % len(cameras)]
        path = f"segments/{camera}/{iso(start_ms)[:10]}/{stamp(start_ms)}.mp4.age"
        plain = plaintext(camera, start_ms)
        sealed = pyrage.encrypt(plain, [recipient])
        place = site.vault / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.parent.chmod(0o700)
        place.parent.parent.chmod(0o700)
        place.write_bytes(sealed)
        place.chmod(0o600)
        segment = Segment(
            vault=str(vault),
            camera=camera,
            run="planted",
            path=path,
            start_ms=start_ms,
            end_ms=start_ms + LENGTH_MS,
            trust=Trust.SYNCED.value,
            codec="h264",
            width=320,
            height=240,
            time_base_hz=90_000,
            frames=25,
            plain_bytes=len(plain),
            sealed_bytes=len(sealed),
            sha256=hashlib.sha256(sealed).hexdigest(),
            keyframe_start=True,
            state="COMMITTED",
            has_tail=False,
        )
        assert catalogue.commit_segment(segment, Instant(start_ms + LENGTH_MS, Trust.SYNCED))
        planted += 1
    catalogue.close()
    os.sync()
    return planted


class Program:
    """A `pasu` command of a site as a process: started, killed, waited for."""

    def __init__(self, site: Site, *arguments: str) -> None:
        self.arguments = arguments
        self.log = site.folder / f"{arguments[0]}.log"
        self.output = site.folder / f"{arguments[0]}.out"
        with self.log.open("ab") as log, self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).parent / "pasu"),
                    *arguments,
                    "--config",
                    str(site.config),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "LANG": "C.UTF-8"},
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(30)

    def wait(self, bound_s: float = 60.0) -> int:
        return self.process.wait(bound_s)

    def stop(self) -> int:
        self.process.terminate()
        return self.wait()

    def said(self) -> str:
        return self.output.read_text(errors="replace") + self.log.read_text(errors="replace")[-2000:]


def run(site: Site, *arguments: str) -> str:
    """Run a command to its end, which must be a good one; return what it printed."""
    program = Program(site, *arguments)
    assert program.wait() == 0, program.said()
    return program.output.read_text()


@dataclass
class Holds:
    """What was promised: from the answer to `place` until `release` begins, each of these files stays.

    promised  hold -> paths of segments
    """

    promised: dict[str, set[str]] = field(default_factory=dict)

    def placed(self, site: Site, hold: str) -> None:
        rows = site.rows(
            "select segment.path from segment, hold, hold_camera on hold_camera.hold = hold.id"
            " where hold.id = ? and hold_camera.camera in (segment.camera, '*')"
            " and segment.start_ms < hold.to_ms and segment.end_ms > hold.from_ms"
            " and segment.state in ('COMMITTED', 'SALVAGED')",
            hold,
        )
        self.promised[hold] = {str(path) for (path,) in rows}

    def lost(self, site: Site, hold: str) -> list[str]:
        """Return what of a hold is not there any more: file, link, or row."""
        live = {
            str(path)
            for (path,) in site.rows("select path from segment where state in ('COMMITTED', 'SALVAGED')")
        }
        lost = []
        for path in self.promised[hold]:
            file, link = site.vault / path, site.vault / "holds" / hold / path.removeprefix("segments/")
            if path not in live or not file.is_file():
                lost.append(path)
            elif not (link.is_file() and os.path.samefile(file, link)):
                lost.append(f"{path} (link)")
        return lost


@dataclass
class Audit:
    """What the oracle found; all of it should be empty or zero, but for the counts."""

    lost: list[str] = field(default_factory=list)
    held_lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    too_early: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    erased: int = 0
    live: int = 0
    held: int = 0
    facts: int = 0

    def clean(self) -> None:
        for name in ("lost", "held_lost", "doubled", "too_early", "wrong"):
            found = getattr(self, name)
            assert not found, f"{name}: {len(found)}, {found[:8]}"


def audit(site: Site, holds: Holds) -> Audit:
    """Compare ledger, rows and files of a site that is at rest."""
    result = Audit()
    ((answer,),) = site.rows("pragma integrity_check")
    if answer != "ok":
        result.wrong.append(f"the catalogue: {answer}")
    numbers = [row[0] for row in site.rows("select seq from ledger order by seq")]
    if numbers != list(range(1, len(numbers) + 1)):
        result.wrong.append("the ledger has a hole")
    result.facts = len(numbers)

    written = Counter(
        str(body["path"])
        for kind in ("segment.committed", "segment.salvaged")
        for _, _, body in site.facts(kind)
    )
    erased: Counter[str] = Counter()
    for _, _, body in site.facts("segment.erased"):
        path = str(body["path"])
        erased[path] += 1
        if int(str(body["condemned_ms"])) - int(str(body["start_ms"])) < RETENTION_MS:
            result.too_early.append(path)
        if body["cause"] != "EXPIRED":
            result.wrong.append(f"{path}: erased because of {body['cause']}")
        if body.get("missing"):
            result.wrong.append(f"{path}: erased by nobody knows whom")
    result.doubled += [path for path, count in (written + Counter()).items() if count > 1]
    result.doubled += [path for path, count in erased.items() if count > 1]
    result.erased = len(erased)

    rows = {
        str(path): (str(state), size, digest)
        for path, state, size, digest in site.rows(
            "select path, state, sealed_bytes, sha256 from segment order by id"
        )
    }
    for path in written:
        state, size, digest = rows.get(path, ("no row", 0, ""))
        file = site.vault / path
        if path in erased:
            if state != "GONE" or file.exists():
                result.wrong.append(f"{path}: told as erased, but {state}, file {file.exists()}")
        elif state not in ("COMMITTED", "SALVAGED") or not file.is_file():
            result.lost.append(f"{path}: {state}")
        else:
            result.live += 1
            data = file.read_bytes()
            if (len(data), hashlib.sha256(data).hexdigest()) != (size, digest):
                result.lost.append(f"{path}: not what was committed")
    result.wrong += [f"{path}: a row without a fact" for path in rows if path not in written]
    files = {
        path.relative_to(site.vault).as_posix()
        for path in (site.vault / "segments").rglob("*")
        if path.is_file()
    }
    known = {path for path in rows if path not in erased}
    result.wrong += [
        f"{path}: a file without a row"
        for path in files - known
        if not (path.endswith(".salvaged.mp4.age.tail") and path.removesuffix(".tail") in known)
    ]
    # A recorder killed at C1 leaves a file without a whole chunk; nothing else may be strange.
    result.wrong += [
        f"quarantined: {body['path']}: {body['reason']}"
        for _, _, body in site.facts("segment.quarantined")
        if body["reason"] not in ("header unreadable", "not one whole chunk")
    ]

    for hold in holds.promised:
        result.held_lost += [f"{hold}: {each}" for each in holds.lost(site, hold)]
        result.held += len(holds.promised[hold])
    _links_agree(site, result)
    _planted_open(site, known, result)
    return result


def _links_agree(site: Site, result: Audit) -> None:
    """Each active hold has its file and the links its rows name, and no other directory is there."""
    active = {str(hold) for (hold,) in site.rows("select id from hold where released_ms is null")}
    there = {path.name for path in (site.vault / "holds").iterdir()}
    if active != there:
        result.wrong.append(f"holds in force {sorted(active)}, on the disk {sorted(there)}")
    for hold in active & there:
        named = {str(path) for (path,) in site.rows("select path from hold_segment where hold = ?", hold)}
        links = {
            path.relative_to(site.vault).as_posix()
            for path in (site.vault / "holds" / hold).rglob("*.mp4.age")
        }
        if named != links:
            result.wrong.append(f"hold {hold}: rows and links differ: {sorted(named ^ links)[:4]}")
        if not (site.vault / "holds" / hold / "HOLD").is_file():
            result.wrong.append(f"hold {hold} has no file")


def _planted_open(site: Site, known: set[str], result: Audit) -> None:
    """Each planted segment that is left opens with the centre's key, and is what was planted."""
    secret = next(line for line in site.key.read_text().splitlines() if line.startswith("AGE-SECRET-KEY"))
    identity = pyrage.x25519.Identity.from_str(secret)
    for camera, path, start_ms in site.rows(
        "select camera, path, start_ms from segment where run = 'planted'"
    ):
        if path in known:
            try:
                plain = pyrage.decrypt((site.vault / str(path)).read_bytes(), [identity])
            except (pyrage.DecryptError, OSError) as error:
                result.lost.append(f"{path}: {error}")
                continue
            if plain != plaintext(str(camera), int(str(start_ms))):
                result.lost.append(f"{path}: other pictures")


def tree_agrees(site: Site) -> int:
    """Compute the root over the ledger as RFC 6962 says, and compare it with the vault's checkpoint; return its size."""
    origin, size, root = (site.vault / "CHECKPOINT").read_text().splitlines()[:3]
    assert origin.startswith("pasu/v1/lab-1/")
    rows = site.rows(
        "select seq, at_ms, trust, kind, body from ledger where seq <= ? order by seq", int(size)
    )
    assert len(rows) == int(size), "the checkpoint is ahead of the ledger"
    leaves = [
        hashlib.sha256(
            b"\0"
            + json.dumps(
                {"at_ms": at_ms, "body": json.loads(str(body)), "kind": kind, "seq": seq, "trust": trust},
                ensure_ascii=False,
                separators=(",", ":"),
                sort_keys=True,
            ).encode()
        ).digest()
        for seq, at_ms, trust, kind, body in rows
    ]
    assert base64.b64encode(_root(leaves)).decode() == root, "the ledger is not what the checkpoint signed"
    return int(size)


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256().digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(leaves[:half]) + _root(leaves[half:])).digest()


def erased_all_that_is_due(site: Site, due_before_ms: int) -> bool:
    """Tell whether nothing is left that came of age before a moment, but for what is held."""
    ((left,),) = site.rows(
        "select count(*) from segment where state = 'CONDEMNED' or (state in ('COMMITTED', 'SALVAGED')"
        " and kept_from_ms < ? and not exists (select 1 from hold, hold_camera on hold_camera.hold = hold.id"
        " where hold.released_ms is null and hold_camera.camera in (segment.camera, '*')"
        " and segment.start_ms < hold.to_ms and segment.end_ms > hold.from_ms))",
        due_before_ms - RETENTION_MS,
    )
    return left == 0


def frames_accounted_for(site: Site, cameras: GstCameras, names: dict[str, int]) -> dict[str, str]:
    """Let the checker read each camera's own ledger; nothing may be missing without a gap."""
    said = {}
    for camera, number in names.items():
        verdict = check(cameras.ledger(number), site.stored(camera), site.gaps(camera))
        verdict.clean()
        said[camera] = verdict.summary()
    return said


def until(what: str, ready: Callable[[], object], bound_s: float = ERASE_BOUND_S) -> None:
    wait_for(what, ready, bound_s)
