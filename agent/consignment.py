"""What the keeper, the uplink and the centre tell each other of an export on its way: the formats. Pure.

order     keeper to uplink, <state>/exchange/outgoing/<export>.json: what to send, and where to
word      uplink to keeper, <state>/exchange/carried/<export>.json: how far it has come
manifest  box to centre: which files there are, how long they are, and their digests
receipt   centre to box: how far it has come, and what was found at the end
chunk     one message over MQTT: a line of JSON, then bytes of one file

A bundle is sent file by file, each from its beginning, in the order of its manifest. So how far it has come is one
number, and whoever was interrupted asks for it and goes on there: nothing is kept about the way (I6).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.model import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXPORT_NAME = re.compile(r"[0-9a-f]{32}\Z")
"""The id of an export: that of the command that asked for it."""
SUMS = "SHA256SUMS"
"""Digests of all other files, in the form that `sha256sum -c` reads."""
MQTT = "mqtt"
CHUNK_BYTES = 256 << 10
"""Over MQTT: a broker's usual limits are larger, and a line of 1 Mbit/s carries one in two seconds."""
MOST_FILES = 4000
"""Of one export: two days of minutes. A longer span is asked for in parts."""
MOST_BYTES = 1 << 42
LIMIT_BYTES = 4 << 20
"""What is longer is no message of ours."""
VERSION = 1
MISPLACED = "misplaced"
"""Code of a receipt for bytes that do not follow on what the centre has: the box goes back to there."""
NO_ROOM = "no_room"
TOO_LARGE = "too_large"
NOT_WANTED = "not_wanted"
NOT_PROVEN = "not_proven"
"""Code of a receipt for a recall of what is whole, while the box's signed ledger does not say so too."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_MOST_NAME = 200
_MOST_HEAD = 1024


class Unreadable(ValueError):
    """Not what it should be, or not of this version."""


class Where(StrEnum):
    """How far an export has come on its way."""

    WAITING = "waiting"  # nothing can be sent now: `code` says why; it is tried again
    SENDING = "sending"
    SENT = "sent"  # the centre has every byte, and looks at them
    RECEIVED = "received"  # the centre has it, and found nothing wrong
    DAMAGED = "damaged"  # the centre has it, and something in it is not what the ledger says
    RECALLED = "recalled"  # taken back: the centre takes no more of it
    REFUSED = "refused"  # the centre does not want it, whatever is sent


OVER = frozenset({Where.RECEIVED, Where.DAMAGED, Where.RECALLED, Where.REFUSED})
"""After these nothing more is sent."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a bundle.

    name    in the bundle
    size    bytes
    sha256  hexadecimal
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Order:
    """What the keeper asks the uplink to send.

    to          "mqtt", or the address of the centre's receiver, https://host:port
    roots       directories in which the parts lie; a part is looked for in each, in this order
    expires_ms  UTC; nothing is sent afterwards
    recalled    it is taken back: nothing more is sent, and the centre is told
    """

    export: str
    to: str
    roots: tuple[str, ...]
    parts: tuple[Part, ...]
    expires_ms: int
    recalled: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """What the uplink says of an order.

    files, bytes  that the centre has, as far as it said so
    gone          bytes that left the box, those that the centre did not confirm among them
    code          why it waits, or was refused
    """

    export: str
    where: Where
    files: int = 0
    bytes: int = 0
    gone: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the box says that it will send."""

    box: str
    export: str
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the centre says of an export.

    have      bytes that it has, counted over the files in the order of the manifest
    where     SENDING, SENT, RECEIVED, DAMAGED, RECALLED, REFUSED; WAITING when it has no room
    problems  names of files that are not what they should be
    """

    export: str
    where: Where
    have: int = 0
    code: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one file: what is sent at a time."""

    part: Part
    offset: int
    size: int


def piece_at(parts: Sequence[Part], have: int, most: int) -> Piece | None:
    """Return what comes after `have` bytes of all files; None when that is all. Empty files need not be sent."""
    for part in parts:
        if have < part.size:
            return Piece(part, have, min(most, part.size - have))
        have -= part.size
    return None


def number_of(parts: Sequence[Part], have: int, most: int) -> int:
    """Return the number of the piece that comes after `have` bytes, from 1."""
    number = 1
    for part in parts:
        if have < part.size:
            return number + have // most
        have -= part.size
        number += -(-part.size // most)
    return number


def files_within(parts: Sequence[Part], have: int) -> int:
    """Return how many files are whole in the first `have` bytes."""
    count = 0
    for part in parts:
        have -= part.size
        if have < 0:
            break
        count += 1
    return count


def sums(parts: Sequence[Part]) -> bytes:
    """Write SHA256SUMS: `sha256sum -c` reads it."""
    return "".join(f"{part.sha256}  {part.name}\n" for part in parts).encode()


def parse_sums(data: bytes) -> dict[str, str]:
    """Read SHA256SUMS: digest by name. Raises Unreadable."""
    found: dict[str, str] = {}
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise Unreadable("no text") from None
    for line in lines:
        digest, blank, name = line[:64], line[64:66], line[66:]
        if not _SHA256.match(digest) or blank != "  " or not name or name in found:
            raise Unreadable("a line that is none of sha256sum")
        found[name] = digest
    return found


def encode_order(order: Order) -> bytes:
    """Write an order."""
    return _line(
        {
            "v": VERSION,
            "export": order.export,
            "to": order.to,
            "roots": list(order.roots),
            "parts": _parts_json(order.parts),
            "expires_ms": order.expires_ms,
            "recalled": order.recalled,
        }
    )


def parse_order(data: bytes) -> Order:
    """Read an order. Raises Unreadable."""
    with _reading():
        body = _body(data)
        return Order(
            _export(body["export"]),
            _text(body["to"]),
            tuple(_text(root) for root in _is(body["roots"], list)),
            _parts(body["parts"]),
            _is(body["expires_ms"], int),
            _is(body["recalled"], bool),
        )


def encode_word(word: Word) -> bytes:
    """Write the uplink's word."""
    return _line(
        {
            "v": VERSION,
            "export": word.export,
            "where": str(word.where),
            "files": word.files,
            "bytes": word.bytes,
            "gone": word.gone,
            "code": word.code,
        }
    )


def parse_word(data: bytes) -> Word:
    """Read the uplink's word. Raises Unreadable."""
    with _reading():
        body = _body(data)
        return Word(
            _export(body["export"]),
            Where(body["where"]),
            _count(body["files"]),
            _count(body["bytes"]),
            _count(body["gone"]),
            _code(body["code"]),
        )


def encode_manifest(manifest: Manifest) -> bytes:
    """Write a manifest."""
    return _line(
        {
            "v": VERSION,
            "box": manifest.box,
            "export": manifest.export,
            "parts": _parts_json(manifest.parts),
        }
    )


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest. Raises Unreadable."""
    with _reading():
        body = _body(data)
        return Manifest(_text(body["box"]), _export(body["export"]), _parts(body["parts"]))


def encode_receipt(box: str, receipt: Receipt) -> bytes:
    """Write a receipt."""
    return _line(
        {
            "v": VERSION,
            "box": box,
            "export": receipt.export,
            "where": str(receipt.where),
            "have": receipt.have,
            "code": receipt.code,
            "problems": list(receipt.problems),
        }
    )


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt. Raises Unreadable."""
    with _reading():
        body = _body(data)
        _text(body["box"])
        return Receipt(
            _export(body["export"]),
            Where(body["where"]),
            _count(body["have"]),
            _code(body["code"]),
            tuple(_text(each) for each in _is(body["problems"], list)),
        )


def encode_recall(box: str, export: str) -> bytes:
    """Write that an export is taken back."""
    return _line({"v": VERSION, "box": box, "export": export})


def parse_recall(payload: bytes) -> tuple[str, str]:
    """Read which box takes back which export. Raises Unreadable."""
    with _reading():
        body = _body(payload)
        return _text(body["box"]), _export(body["export"])


def encode_chunk(box: str, export: str, have: int, data: bytes) -> bytes:
    """Write a chunk: what it is, one line; then the bytes.

    have  bytes of all files that come before
    """
    digest = hashlib.sha256(data).hexdigest()
    head = {"v": VERSION, "box": box, "export": export, "have": have, "sha256": digest}
    return _line(head) + data


def parse_chunk(payload: bytes) -> tuple[str, str, int, bytes]:
    """Read a chunk: box, export, the bytes before it, and its own. Raises Unreadable, also when a byte was changed."""
    head, line, data = payload.partition(b"\n")
    if not line or len(head) > _MOST_HEAD:
        raise Unreadable("no chunk")
    with _reading():
        body = _body(head)
        if hashlib.sha256(data).hexdigest() != body["sha256"]:
            raise Unreadable("changed on the way")
        return _text(body["box"]), _export(body["export"]), _count(body["have"]), data


def _line(body: dict[str, Any]) -> bytes:
    return canonical_json(body).encode() + b"\n"


def _body(data: bytes) -> dict[str, Any]:
    if len(data) > LIMIT_BYTES:
        raise Unreadable("too long")
    body = _is(json.loads(data), dict)
    if body["v"] != VERSION or type(body["v"]) is not int:
        raise Unreadable("of another version")
    found: dict[str, Any] = body
    return found


class _reading:  # noqa: N801 - used as a statement
    """Turns whatever goes wrong while a message is read into Unreadable."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Raise Unreadable for what a message of another form makes go wrong."""
        wrong = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
        if isinstance(error, wrong) and not isinstance(error, Unreadable):
            raise Unreadable(f"not a message of ours: {type(error).__name__}") from None


def _is(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise Unreadable(f"{kind.__name__} expected")
    return value


def _text(value: Any) -> str:
    found: str = _is(value, str)
    return found


def _code(value: Any) -> str:
    """Take a short word of letters: it goes into the ledger, and comes from whoever carries."""
    if not _CODE.match(_text(value)):
        raise Unreadable("not a code")
    return str(value)


def _export(value: Any) -> str:
    if not EXPORT_NAME.match(_text(value)):
        raise Unreadable("not the id of an export")
    return str(value)


def _count(value: Any) -> int:
    if not 0 <= _is(value, int) <= MOST_BYTES:
        raise Unreadable("not a count")
    return int(value)


def _parts_json(parts: Sequence[Part]) -> list[list[Any]]:
    return [[part.name, part.size, part.sha256] for part in parts]


def _parts(value: Any) -> tuple[Part, ...]:
    found = tuple(_each(_is(value, list)))
    names = {part.name for part in found}
    # Besides its segments, each perhaps with a tail, a bundle has three files.
    if len(names) != len(found) or len(found) > 2 * MOST_FILES + 3:
        raise Unreadable("the same name twice, or too many")
    return found


def _each(values: list[Any]) -> Iterator[Part]:
    for name, size, sha256 in values:
        if not 0 < len(_text(name)) <= _MOST_NAME or not _SHA256.match(_text(sha256)):
            raise Unreadable("not a file")
        yield Part(name, _count(size), sha256)
