"""What a box says on the wire: one frozen value for each kind of message. The published schemas come from these. Pure.

A payload is JSON in UTF-8. A batch of facts, and nothing else, is packed with gzip (RFC 1952) where that is shorter
(ADR 0011): JSON begins with "{", gzip with 0x1f 0x8b.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Literal

from agent.command.strict import integer

VERSION = 1
TOPICS = "pasu/v1"
MOST_PLAIN_BYTES = 4 << 20
"""A reader unpacks no more than this, whatever a stream promises."""

_GZIP = b"\x1f\x8b"
Trusted = Literal["SYNCED", "HOLDOVER", "UNTRUSTED"]

CAMERA_STATES = ("unknown", "waiting", "connecting", "playing", "recording", "lost", "stopped", "resting")
"""Words of `record.json`; in `health` a state is its place in this list."""


def topic(box: str, kind: str) -> str:
    """Name the topic of one kind of message of one box."""
    return f"{TOPICS}/{box}/{kind}"


def parse_topic(name: str) -> tuple[str, str] | None:
    """Return box and kind of a topic, None for one that is not ours. Of a chunk the kind is "export/<id>/<n>"."""
    parts = name.split("/", 3)
    if len(parts) != 4 or f"{parts[0]}/{parts[1]}" != TOPICS or not parts[2] or not parts[3]:
        return None
    return parts[2], parts[3]


def about(text: str, **more: Any) -> Any:
    """Describe a field for the schema. `places` names the places of an array that is a record."""
    return field(metadata={"about": text, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What all messages carry."""

    KIND: ClassVar[str]
    SIGNED: ClassVar[bool] = False
    """Whether the box signs it (agent.uplink.seal); what it says in facts is proven by the ledger's own heads."""

    box: str = about("the box's id, as in the topic")

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the version first; what is None by default is left out."""
        plain: dict[str, Any] = _plain(self)
        return {"v": VERSION} | plain


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPlate:
    """A camera as a register knows it; never its address."""

    id: str = about("camera id")
    name: str = about("name for people")
    purpose: str = about("what it is installed for, a code of the regulation's article 6")
    legal_basis: str = about("statute that allows it")
    owner: str = about("department that answers for it")
    retention_days: int = about("days its recordings are kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class FullCondition:
    """A condition in full."""

    code: str = about("which; the registry is in the schema")
    severity: Literal["critical", "alarm", "warning", "info"] = about("how much it matters")
    subject: str = about("what of the box: a camera, a vault, a process; empty for the box as a whole")
    detail: str = about("more, for people")
    since_ms: int = about("since when, UTC ms by the box's clock")
    trust: Trusted = about("of that time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth(Payload):
    """Retained. Who the box is, in full: at each connection, and when it changes."""

    KIND: ClassVar[str] = "birth"
    SIGNED: ClassVar[bool] = True

    session: str = about(
        "names the life of this uplink process, 12 hexadecimal digits; a later one is higher"
    )
    n: int = about("grows by one with each birth of this session")
    at_ms: int = about("now, UTC ms by the box's clock")
    trust: Trusted = about("of that time")
    boot_ms: int = about("milliseconds since the box booted")
    boot: str = about("the kernel's name for this boot; empty where it has none")
    versions: dict[str, str] = about("of software: pasu, python, system")
    site: str = about("where it stands")
    operator: str = about("department that operates it")
    retention_days: int = about("days that recordings are kept")
    cameras: list[CameraPlate] = about("in the order of the configuration")
    recipients: list[str] = about(
        "ids of the keys that recordings are sealed to, as in the fact key.recipients; empty while record is silent"
    )
    ledger: str = about("id of the ledger, 16 hexadecimal digits; empty while there is none")
    vkey: str = about("public key that signs checkpoints, as a C2SP verifier key; empty while there is none")
    challenge: str = about(
        "for commands that must be fresh, 32 hexadecimal digits; empty while keep is silent"
    )
    conditions: list[FullCondition] = about("what is wrong now, the worst first")


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Payload):
    """Retained, and the last will: whether the box is there."""

    KIND: ClassVar[str] = "state"
    SIGNED: ClassVar[bool] = True

    online: bool = about("false when it said goodbye, or the broker lost it")
    session: str = about("of the uplink process that said so")
    connection: int = about("which of this session's connections it is said of; a later one is higher")
    at_ms: int = about("when it said so; of a will: when it connected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health(Payload):
    """Retained, every 30 s, and at once when something grave changes: how the box is, in few bytes."""

    KIND: ClassVar[str] = "health"
    SIGNED: ClassVar[bool] = True

    session: str = about("of the uplink process")
    n: int = about("grows by one with each health of this session")
    at_ms: int = about("UTC ms by the box's clock")
    trust: Trusted = about("of that time")
    challenge: str = about("as in birth")
    cameras: list[tuple[int, int, int]] = about(
        "in the order of birth's; the state is a place in " + ", ".join(CAMERA_STATES),
        places=("state", "tenths of pictures per second", "kbit/s"),
    )
    conditions: list[tuple[str, str, int]] = about(
        "but those that are only for information (birth has them), the worst first; texts are in the registry",
        places=("code", "subject", "since, UTC ms"),
    )
    vaults: list[tuple[int | None, int | None]] = about(
        "in the order of the configuration",
        places=("free, thousandths", "tenths of days until it is full at today's rate"),
    )
    box_vitals: tuple[int | None, int | None, int | None, int | None] = about(
        "null where it cannot be told",
        places=("processor, %", "memory, %", "hottest, °C", "load, hundredths"),
    )
    backlog: int = about("entries of the ledger that the broker has not acknowledged")
    seq: int | None = field(
        default=None,
        metadata={"about": "the newest entry of the ledger, 0 while there is none; in one health of ten"},
    )
    historical: bool | None = field(
        default=None, metadata={"about": "true for what is told afterwards, of a time without a connection"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FactEntry:
    """An entry of the ledger; its leaf in the Merkle tree is over the canonical JSON of these five."""

    seq: int = about("from 1, by one")
    at_ms: int = about("UTC ms by the box's clock")
    trust: str = about("of that time")
    kind: str = about("what happened; the kinds are in formats.md")
    body: dict[str, Any] = about("more, by kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Payload):
    """Entries of the ledger, in order. What is in no batch was let go, and then `let_go` says so."""

    KIND: ClassVar[str] = "facts"

    ledger: str = about("id of the ledger; another one begins at 1 again")
    session: str = about("of the uplink process")
    first: int = about(
        "where the batch begins: one after the end of the batch before, unless told to begin again"
    )
    entries: list[FactEntry] = about("at most 500; none twice")
    let_go: list[tuple[int, int]] | None = field(
        default=None,
        metadata={"about": "seqs that the ledger has no more", "places": ("from", "to, itself among them")},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Payload):
    """Retained. The newest signed head of the ledger."""

    KIND: ClassVar[str] = "checkpoint"
    SIGNED: ClassVar[bool] = True

    ledger: str = about("id of the ledger")
    note: str = about("C2SP signed note with a tlog-checkpoint in it")
    at_ms: int = about("when it was signed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Payload):
    """What became of a command. One to each that names this box, and more while it goes on."""

    KIND: ClassVar[str] = "reply"
    SIGNED: ClassVar[bool] = True

    id: str = about("of the command")
    command: str = about("its name; empty where it could not be read")
    status: Literal["accepted", "refused", "waiting", "delayed", "progress", "done", "failed"] = about(
        "so far"
    )
    code: str = about("why it was refused or failed; else empty")
    at_ms: int = about("UTC ms by the box's clock")
    trust: Trusted = about("of that time")
    detail: dict[str, Any] = about("more, by command")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkHeader(Payload):
    """First line of a chunk of an export, on topic export/<id>/<n>; a line feed and the bytes follow it."""

    KIND: ClassVar[str] = "export"

    export: str = about("id of the export")
    have: int = about(
        "bytes of all files that come before, in the order of the manifest, which is export/<id>/0"
    )
    sha256: str = about("of the bytes that follow, hexadecimal")


KINDS: tuple[type[Payload], ...] = (Birth, State, Health, Facts, Checkpoint, Reply, ChunkHeader)
SIGNED = frozenset(kind.KIND for kind in KINDS if kind.SIGNED)


def pack(text: str) -> bytes:
    """Return a batch of facts as it goes on the wire: as it is, or packed where that is shorter."""
    plain = text.encode("utf-8", "surrogatepass")
    return min(plain, gzip.compress(plain, mtime=0), key=len)


def write(payload: Payload) -> bytes:
    """Return any other payload as it goes on the wire."""
    return dump(payload.to_json()).encode("utf-8", "surrogatepass")


def dump(value: object) -> str:
    """Write JSON without a needless byte."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read(data: bytes) -> dict[str, Any]:
    """Return what a message says. For who receives: the centre, and tests.

    Raises  ValueError for anything but one JSON object, for one that unpacks to more than MOST_PLAIN_BYTES, and for
            a number beyond what every JSON reader takes exactly (RFC 8259, section 6): no store takes it
    """
    if data[:2] == _GZIP:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            plain = unpacker.decompress(data, MOST_PLAIN_BYTES)
        except zlib.error as error:
            raise ValueError(f"not a message: {error}") from None
        if not unpacker.eof or unpacker.unused_data:
            raise ValueError("not a message: too long, cut off, or more behind it")
    else:
        plain = data
    try:
        value = json.loads(plain, parse_int=integer)
    except RecursionError:
        raise ValueError("not a message: too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not a message: no object")  # noqa: TRY004 - what came is wrong, and not our type
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: _plain(got)
            for each in fields(value)
            if (got := getattr(value, each.name)) is not None or each.default is not None
        }
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
