"""The catalogue: which segments and gaps there are, and the ledger, in one SQLite file.

WAL, synchronous=FULL: what a transaction said is on the disk. Each thing that happens is one short
transaction that writes its row and its fact together. Several recorders, the keeper and readers use it at
once.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from agent.errors import StorageFault
from agent.language import say
from agent.model import Fact, Gap, GapCause, Instant, Span, Trust, canonical_json
from agent.storage import ledger, locks, reserve, schema
from agent.storage.files import Disk, read_small
from agent.storage.layout import DAMAGED, MARKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

FILE = "catalogue.db"
COMMITTED = "COMMITTED"
SALVAGED = "SALVAGED"
BUSY_S = 5.0
"""How long a process that may wait does so; the recorder waits far less, and tries again later."""

_MARK_BYTES = 65_536
_CACHE_KIB = 512  # a recorder's transactions touch a few pages; SQLite would take 2 MB


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment, as its row says.

    path            relative to its vault
    state           COMMITTED or SALVAGED here; the keeper knows more
    frames          pictures that are certainly whole; plain_bytes and sealed_bytes as in the file (without
                    the tail)
    sha256          of the file, hexadecimal
    keyframe_start  false when it begins in the middle of a GOP
    has_tail        a `.tail` file continues it
    """

    vault: str
    camera: str
    run: str
    path: str
    start_ms: int
    end_ms: int
    trust: str
    codec: str
    width: int
    height: int
    time_base_hz: int
    frames: int
    plain_bytes: int
    sealed_bytes: int
    sha256: str
    keyframe_start: bool
    state: str
    has_tail: bool

    @property
    def span(self) -> Span:
        """The span it covers."""
        return Span(self.start_ms, self.end_ms)


class Listed(NamedTuple):
    """What is listed of a stored segment, and where it lies. The fields are those of Segment.

    Its index holds all of these (schema.LISTED), and a tuple is made in an eighth of the time of a Segment: a day of a
    camera is 1,440.
    """

    vault: str
    run: str
    path: str
    start_ms: int
    end_ms: int
    codec: str
    width: int
    height: int
    frames: int
    sealed_bytes: int
    state: str

    @property
    def span(self) -> Span:
        """The span it covers."""
        return Span(self.start_ms, self.end_ms)


_FIELDS = tuple(column.name for column in fields(Segment))
_COLUMNS = ", ".join(_FIELDS)
_PLACES = ", ".join("?" * len(_FIELDS))
_FLAGS = tuple(_FIELDS.index(name) for name in ("keyframe_start", "has_tail"))
LIVE = "state IN ('COMMITTED', 'SALVAGED')"
"""Of a segment that is stored and stays. SQLite uses a partial index for a query that says just these words."""


def overlapping(table: str, columns: str, condition: str = "1") -> str:
    """Write the query for a camera's rows that overlap a span, oldest first: `:camera`, `:from_ms`, `:to_ms`.

    table, columns, condition  SQL, of the caller's own making; the row's id comes as the last column
    What overlaps and is short begins near the span; what is long has its own index. So however long the history
    is, only rows near the span are looked at, and the few long ones that end after it begins.
    """
    where = f"camera = :camera AND start_ms < :to_ms AND end_ms > :from_ms AND {condition}"
    limit = schema.LONG_MS
    return (
        f"SELECT {columns}, id FROM {table} INDEXED BY idx_{table}_camera_start_ms WHERE {where}"  # noqa: S608 - constants
        f" AND start_ms > :from_ms - {limit} AND end_ms - start_ms <= {limit}"
        f" UNION ALL SELECT {columns}, id FROM {table} INDEXED BY idx_{table}_long WHERE {where}"
        f" AND end_ms - start_ms > {limit} ORDER BY start_ms, id"
    )


SEGMENTS = overlapping("segment", _COLUMNS, LIVE)
LISTED = overlapping("segment", ", ".join(Listed._fields), LIVE)
GAPS = overlapping("gap", "start_ms, end_ms, cause, detail")
"""The queries of `segments` and of `coverage`."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is known of a camera's span: oldest first, everything that overlaps it."""

    segments: list[Listed]
    gaps: list[Gap]


def _fault(code: str, path: Path, error: Exception) -> StorageFault:
    message, hint = {
        "CATALOGUE_BUSY": (
            say("목록 데이터베이스가 사용 중입니다", "the catalogue is locked by another process"),
            say(
                "잠시 후 자동으로 다시 시도합니다",
                "it is tried again by itself; find who holds it if this stays",
            ),
        ),
        "CATALOGUE_MISSING": (
            say("목록 데이터베이스가 없습니다", "the catalogue is not there"),
            say(
                "`pasu record`가 새로 만들고 저장된 것을 다시 적습니다. 계속되면 상태 폴더의 디스크를 확인하십시오",
                "`pasu record` begins a new one, and what is stored comes back into it; if this stays, check the state"
                " directory's disk",
            ),
        ),
        "CATALOGUE_DAMAGED": (
            say("목록 데이터베이스가 손상되었습니다", "the catalogue is damaged, or not a catalogue"),
            say(
                "`pasu record`가 파일을 따로 옮기고 다시 만듭니다. 영상은 그대로입니다",
                "`pasu record` moves it aside and begins a new one; the videos are intact",
            ),
        ),
        "CATALOGUE_VERSION": (
            say("목록 데이터베이스의 버전이 다릅니다", "the catalogue has another version"),
            say(
                "pasu를 최신 버전으로 설치하십시오",
                "install the version of pasu that wrote it, or a later one",
            ),
        ),
        "CATALOGUE_FAILED": (
            say("목록 데이터베이스에 쓸 수 없습니다", "the catalogue cannot be used"),
            say("상태 폴더의 디스크를 점검하십시오", "check the state directory's disk: space, mode, errors"),
        ),
    }[code]
    return StorageFault(code, message, hint=hint, path=str(path), error=str(error))


def identity(path: Path) -> tuple[int, int] | None:
    """Return which file lies at a path: device and inode; None when none does."""
    try:
        status = os.stat(path)  # noqa: PTH116 - once per transaction, and half the time of its Path form
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def mark_damaged(path: Path, inode: int) -> None:
    """Ask for a catalogue to be moved aside: who records does it (agent/storage/aside.py). That it fails is no fault.

    inode  of the damaged file: whoever found it may have had it open while another took its place
    """
    with contextlib.suppress(StorageFault), locks.held(path.parent / MARKING):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            marked = json.loads(read_small(path.parent / DAMAGED, _MARK_BYTES))
            if "aside" in marked or marked["inode"] == inode:
                return  # somebody else said so, or is in the middle of moving one, and must find where to
        text = canonical_json({"inode": inode, "reason": "damaged"})
        Disk().atomic_replace(path.parent / DAMAGED, text.encode() + b"\n", sync=True)


def translate(path: Path, error: sqlite3.Error, place: tuple[int, int] | None = None) -> StorageFault:
    """Turn SQLite's error into a StorageFault that says whether waiting helps; a damage is also marked, and where the
    disk may be full, the reserve is given back.

    place    which file it is about, None for the one that lies there now
    Returns  CATALOGUE_BUSY (wait), CATALOGUE_DAMAGED (`pasu record` moves it aside), CATALOGUE_FAILED (the disk)
    """
    code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _fault("CATALOGUE_BUSY", path, error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        place = place or identity(path)
        if place is not None:
            mark_damaged(path, place[1])
        return _fault("CATALOGUE_DAMAGED", path, error)
    # If it is that the disk is full, the next try finds room.
    reserve.release(path.parent, Disk())
    return _fault("CATALOGUE_FAILED", path, error)


class Catalogue:
    """A connection to the catalogue. One thread uses it.

    After any StorageFault but CATALOGUE_BUSY it is to be closed, and opened anew: another file may lie there.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, place: tuple[int, int] | None = None
    ) -> None:
        """Take an open connection; use `prepare` or `open`. `place`: which file lay there before it was opened."""
        self.path = path
        self._db = connection
        self._place = place or identity(path)
        self._wal = identity(_wal(path))

    @classmethod
    def prepare(cls, state: Path) -> Catalogue:
        """Open the catalogue, made or migrated to the present schema. For the process that runs before all
        others.

        Whether a missing one may be made is the caller's to know.
        Raises  StorageFault
        """
        path = state / FILE
        db = _connect(path, "rwc", BUSY_S)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > schema.VERSION:
                raise _fault("CATALOGUE_VERSION", path, ValueError(f"{version} > {schema.VERSION}"))
            if version < schema.VERSION:
                schema.migrate(db, version)
        except sqlite3.Error as error:
            db.close()
            raise translate(path, error) from error
        except StorageFault:
            db.close()
            raise
        path.chmod(0o600)
        return cls(path, db)

    @classmethod
    def open(cls, state: Path, *, read_only: bool = False, busy_s: float = BUSY_S) -> Catalogue:
        """Open the catalogue that `prepare` made.

        Raises  StorageFault CATALOGUE_MISSING, CATALOGUE_DAMAGED, CATALOGUE_VERSION, CATALOGUE_BUSY,
                CATALOGUE_FAILED
        """
        path = state / FILE
        place = identity(path)
        if place is None:
            raise _fault("CATALOGUE_MISSING", path, FileNotFoundError("no such file"))
        db = _connect(path, "ro" if read_only else "rw", busy_s)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            db.close()
            raise translate(path, error) from error
        if version == 0:  # cut to nothing, or never ours
            db.close()
            mark_damaged(path, place[1])
            raise _fault("CATALOGUE_DAMAGED", path, ValueError("no tables"))
        if version != schema.VERSION:
            db.close()
            raise _fault("CATALOGUE_VERSION", path, ValueError(f"{version} instead of {schema.VERSION}"))
        return cls(path, db, place)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def add_vault(self, uuid: str, path: str, created_ms: int) -> None:
        """Note a vault, or its new place."""
        self.write(
            lambda db: db.execute(
                "INSERT INTO vault (uuid, path, created_ms) VALUES (?, ?, ?)"
                " ON CONFLICT (uuid) DO UPDATE SET path = excluded.path",
                (uuid, path, created_ms),
            )
        )

    def vaults(self) -> dict[str, str]:
        """Return the known vaults: uuid to path."""
        return dict(self.read("SELECT uuid, path FROM vault"))

    def add_cameras(self, cameras: list[str], first_seen_ms: int) -> None:
        """Note cameras that are new."""

        def insert(db: sqlite3.Connection) -> None:
            for camera in cameras:
                _see(db, camera, first_seen_ms)

        self.write(insert)

    def cameras(self) -> list[str]:
        """Return every camera that was ever seen, by id."""
        return [row[0] for row in self.read("SELECT id FROM camera ORDER BY id")]

    def commit_segment(
        self,
        segment: Segment,
        at: Instant,
        *,
        label: tuple[int | None, int | None] | None = None,
        **more: int | str | bool,
    ) -> bool:
        """Write a segment's row and its fact: the commit point (C8).

        label    `kept_from_ms` and `relabelled_from_ms`, where they do not follow from start and trust
        more     goes into the fact's body
        Returns  False when the row was there already, and nothing was written
        Raises   StorageFault
        """
        body = {
            "camera": segment.camera,
            "run": segment.run,
            "path": segment.path,
            "start_ms": segment.start_ms,
            "end_ms": segment.end_ms,
            "codec": segment.codec,
            "frames": segment.frames,
            "sealed_bytes": segment.sealed_bytes,
            "sha256": segment.sha256,
            **more,
        }
        kind = "segment.committed" if segment.state == COMMITTED else "segment.salvaged"
        kept = label or (None if segment.trust == Trust.UNTRUSTED else segment.start_ms, None)
        line = ledger.line(Fact(kind, at, body))

        def insert(db: sqlite3.Connection) -> bool:
            _see(db, segment.camera, segment.start_ms)
            cursor = db.execute(
                f"INSERT INTO segment ({_COLUMNS}, kept_from_ms, relabelled_from_ms) VALUES ({_PLACES}, ?, ?)"  # noqa: S608 - constants
                " ON CONFLICT DO NOTHING",
                (*astuple(segment), *kept),
            )
            if cursor.rowcount:
                ledger.append(db, line)
            return bool(cursor.rowcount)

        return self.write(insert)

    def add_gap(self, gap: Gap, at: Instant) -> None:
        """Write a gap's row and its fact. Raises StorageFault."""
        line = gap_line(gap, at)
        self.write(lambda db: insert_gap(db, gap, line))

    def add_line(self, line: ledger.Line) -> int:
        """Append a fact that was written down before; return its seq. Raises StorageFault."""
        return self.write(lambda db: ledger.append(db, line))

    def add_fact(self, fact: Fact) -> int:
        """Append a fact; return its seq. Raises StorageFault; TypeError or ValueError for a body that cannot
        be.
        """
        return self.add_line(ledger.line(fact))

    def ledger(self, after: int = 0, limit: int = 1000) -> list[ledger.Entry]:
        """Return the ledger's entries after a seq, in order."""
        return self._guard(lambda: list(ledger.read(self._db, after, limit)))

    def last_fact(self, *kinds: str) -> str | None:
        """Return which of these kinds the ledger holds last, None when none."""
        # One kind at a time: each is the end of a range of the index, where a list of kinds would be sorted.
        query = "SELECT MAX(seq), kind FROM ledger WHERE kind = ?"
        found = [row for kind in kinds for row in self.read(query, (kind,)) if row[0] is not None]
        return max(found)[1] if found else None

    def coverage(self, camera: str, span: Span) -> Coverage:
        """Return the camera's segments and gaps that overlap a span, oldest first."""
        values = {"camera": camera, "from_ms": span.start_ms, "to_ms": span.end_ms}
        gaps = self.read(GAPS, values)
        return Coverage(
            [Listed._make(row[:-1]) for row in self.read(LISTED, values)],
            [Gap(camera, Span(row[0], row[1]), GapCause(row[2]), row[3]) for row in gaps],
        )

    def segments(self, camera: str, span: Span | None = None) -> Iterator[Segment]:
        """Yield a camera's stored segments, oldest first; with a span, those that overlap it."""
        span = span or Span(-(1 << 62), 1 << 62)
        for row in self.read(SEGMENTS, {"camera": camera, "from_ms": span.start_ms, "to_ms": span.end_ms}):
            yield segment_of(row)

    def paths(self, vault: str, directory: str) -> dict[str, str]:
        """Return path and state of every segment in a directory of a vault, both relative paths, but those
        erased and lost.
        """
        # "0" is the letter after "/", so this is a range on the index and no pattern.
        query = (
            f"SELECT path, state FROM segment WHERE vault = ? AND path > ? AND path < ? AND {schema.PRESENT}"  # noqa: S608 - constants
        )
        return dict(self.read(query, (vault, directory + "/", directory + "0")))

    def covered_until(self, camera: str, now_ms: int | None = None) -> int | None:
        """Return the end of the camera's newest segment or gap, UTC ms; None if there is none.

        now_ms  what ends later was labelled by a clock that was ahead, and says nothing
        A `stream_damaged` gap lies inside a segment that may not have become durable, so it does not count.
        """
        values = (camera, now_ms if now_ms is not None else 1 << 62)
        queries = (
            "SELECT MAX(end_ms) FROM segment WHERE camera = ? AND end_ms <= ?",
            f"SELECT MAX(end_ms) FROM gap WHERE camera = ? AND end_ms <= ? AND {schema.COVERING}",  # noqa: S608 - constants
        )
        ends = [self.read(query, values)[0][0] for query in queries]
        return max((end for end in ends if end is not None), default=None)

    def meta(self, key: str) -> str | None:
        """Return a value that belongs to the catalogue as a whole."""
        rows = self.read("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def set_meta(self, key: str, value: str | None) -> None:
        """Set such a value, or remove it. Raises StorageFault."""
        self.write(lambda db: set_meta(db, key, value))

    def damage(self, key: str) -> StorageFault:
        """Mark this catalogue as damaged, for a value of `meta` that cannot be, though SQLite reads it.

        Returns  the fault, for who cannot go on
        """
        if self._place is not None:
            mark_damaged(self.path, self._place[1])
        return _fault("CATALOGUE_DAMAGED", self.path, ValueError(f"meta: {key}"))

    def counts(self) -> dict[str, int]:
        """Return how many rows each table has."""
        tables = ("camera", "segment", "gap", "ledger")
        return {table: self.read(f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables}  # noqa: S608 - constants

    def read(self, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """Run a query; return its rows. For the modules of this package, each of which owns its tables.

        Raises  StorageFault
        """
        return self._guard(lambda: self._db.execute(query, values).fetchall())

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in one transaction, all of it or nothing, and return what it returned; durable then.

        Raises  StorageFault; what `work` raises, with nothing written
        """
        return self._guard(lambda: self._transaction(work))

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do all of the work or nothing. IMMEDIATE: the write lock is waited for at the start, where waiting
        is safe.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._db)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def _guard(self, work: Callable[[], T]) -> T:
        try:
            result = work()
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.InterfaceError):
            raise  # ours: waiting would not make it right
        except sqlite3.Error as error:
            raise translate(self.path, error, self._place) from error
        # Asked afterwards: what a file was told that still lay there is in it when it is moved aside, and what it was
        # told later is told to the next one again.
        if identity(self.path) != self._place:
            raise _fault("CATALOGUE_MISSING", self.path, FileNotFoundError("moved aside"))
        wal = identity(_wal(self.path))
        self._wal = self._wal or wal
        if self._place is not None and wal != self._wal:
            # While it is open SQLite neither removes it nor puts another in its place. What was told went to a file
            # that nobody will find again.
            mark_damaged(self.path, self._place[1])
            raise _fault("CATALOGUE_DAMAGED", self.path, FileNotFoundError("its WAL was removed"))
        return result


def segment_of(row: Sequence[Any]) -> Segment:
    """Put a segment together from its columns, in the order of the fields of Segment; what follows is left out."""
    # By place, which is twice as fast as by name.
    values = list(row[: len(_FIELDS)])
    for place in _FLAGS:
        values[place] = bool(values[place])
    return Segment(*values)


def insert_gap(db: sqlite3.Connection, gap: Gap, line: ledger.Line) -> None:
    """Write a gap's row and its fact (`gap_line`) inside the caller's transaction."""
    _see(db, gap.camera, gap.span.start_ms)
    db.execute(
        "INSERT INTO gap (camera, start_ms, end_ms, cause, detail, trust) VALUES (?, ?, ?, ?, ?, ?)",
        (gap.camera, gap.span.start_ms, gap.span.end_ms, gap.cause.value, gap.detail, line.at.trust.value),
    )
    ledger.append(db, line)


def gap_line(gap: Gap, at: Instant) -> ledger.Line:
    """Write down the fact of a gap. Raises ValueError for text that is not Unicode."""
    body = {
        "camera": gap.camera,
        "start_ms": gap.span.start_ms,
        "end_ms": gap.span.end_ms,
        "cause": gap.cause.value,
        "detail": gap.detail,
    }
    return ledger.line(Fact("gap", at, body))


def set_meta(db: sqlite3.Connection, key: str, value: str | None) -> None:
    """Set or remove a value of `meta` inside the caller's transaction."""
    if value is None:
        db.execute("DELETE FROM meta WHERE key = ?", (key,))
    else:
        db.execute(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )


def _see(db: sqlite3.Connection, camera: str, first_seen_ms: int) -> None:
    db.execute(
        "INSERT INTO camera (id, first_seen_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", (camera, first_seen_ms)
    )


def _connect(path: Path, mode: str, busy_s: float) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=busy_s, isolation_level=None
        )
    except sqlite3.Error as error:
        raise translate(path, error) from error
    # One row that is damaged must not keep all others from being read.
    db.text_factory = lambda text: text.decode(errors="backslashreplace")
    try:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    except sqlite3.Error as error:
        db.close()
        raise translate(path, error) from error
    return db
