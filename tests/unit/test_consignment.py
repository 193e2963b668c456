"""What the ends of an export tell each other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import consignment
from agent.consignment import (
    LIMIT_BYTES,
    Manifest,
    Order,
    Part,
    Piece,
    Receipt,
    Unreadable,
    Where,
    Word,
    files_within,
    number_of,
    piece_at,
)

ID = "0123456789abcdef" * 2
SHA = "ab" * 32
PARTS = (Part("SHA256SUMS", 5, SHA), Part("empty", 0, SHA), Part("segments/c/2027-01-15/x", 10, SHA))
ORDER = Order(ID, "mqtt", ("/v/outgoing",), PARTS, 7)
WORD = Word(ID, Where.SENDING, 1, 2, 3, "x")
MANIFEST = Manifest("box-1", ID, PARTS)
RECEIPT = Receipt(ID, Where.DAMAGED, 15, "", ("a", "b"))

ALL = [
    (consignment.encode_order(ORDER), consignment.parse_order, ORDER),
    (consignment.encode_word(WORD), consignment.parse_word, WORD),
    (consignment.encode_manifest(MANIFEST), consignment.parse_manifest, MANIFEST),
    (consignment.encode_receipt("box-1", RECEIPT), consignment.parse_receipt, RECEIPT),
    (
        consignment.encode_chunk("box-1", ID, 5, b"data\n"),
        consignment.parse_chunk,
        ("box-1", ID, 5, b"data\n"),
    ),
]


@pytest.mark.parametrize(("data", "parse", "value"), ALL)
def test_what_is_written_is_read(data, parse, value):
    assert parse(data) == value


@pytest.mark.parametrize(("data", "parse", "value"), ALL)
def test_whatever_is_damaged_is_unreadable_or_something_else(data, parse, value):
    for at in range(len(data)):
        for other in (b"", b"\0", b"9", b'"', b"[", b"{"):
            changed = data[:at] + other + data[at + 1 :]
            try:
                parse(changed)
            except Unreadable:
                continue


@pytest.mark.parametrize(("data", "parse", "value"), ALL)
@given(noise=st.binary(max_size=300))
def test_noise_is_unreadable(data, parse, value, noise):
    with pytest.raises(Unreadable):
        parse(noise)


@pytest.mark.parametrize("code", ["x" * 65, "a b", "한", "\ud800", "a\n", 1])
@pytest.mark.parametrize(
    ("write", "parse"),
    [
        (consignment.encode_word(WORD), consignment.parse_word),
        (consignment.encode_receipt("b", RECEIPT), consignment.parse_receipt),
    ],
)
def test_a_code_is_a_short_word(write, parse, code):
    """It goes into the ledger, and comes from whoever carries."""
    body = json.loads(write)
    assert parse(json.dumps(body | {"code": "http_507"}).encode()).code == "http_507"
    with pytest.raises(Unreadable):
        parse(json.dumps(body | {"code": code}).encode())


@pytest.mark.parametrize(("data", "parse", "value"), ALL)
def test_what_has_another_form_is_unreadable(data, parse, value):
    head, line, rest = data.partition(b"\n")
    body = json.loads(head)
    for key, was in body.items():
        wrong = [None, [], {}, "x" * 33, -1, 1.5, True, 1 << 60] if key != "box" else [None, 1, []]
        for other in wrong:
            if (
                other == was
                or (key in ("to", "code") and isinstance(other, str))
                or (key == "recalled" and other is True)
            ):
                continue
            if (key, other) in (("roots", []), ("parts", []), ("problems", [])) or (
                key == "expires_ms" and type(other) is int
            ):
                continue
            with pytest.raises(Unreadable):
                parse(json.dumps(body | {key: other}).encode() + line + rest)
        with pytest.raises(Unreadable):
            parse(
                json.dumps({k: v for k, v in body.items() if k != key}).encode() + line + rest
                if key != "sha256"
                else b"{}\n"
            )


@pytest.mark.parametrize(
    "parts",
    [
        [["a", 1, SHA], ["a", 1, SHA]],
        [["", 1, SHA]],
        [["a" * 201, 1, SHA]],
        [["a", -1, SHA]],
        [["a", 1, "AB" * 32]],
        [["a", 1]],
        [["a", 1, SHA, 1]],
        [[f"{n}", 1, SHA] for n in range(2 * consignment.MOST_FILES + 4)],
    ],
)
def test_a_manifest_names_each_file_once_and_not_too_many(parts):
    data = json.dumps({"v": 1, "box": "b", "export": ID, "parts": parts}).encode()
    with pytest.raises(Unreadable):
        consignment.parse_manifest(data)


def test_what_is_too_long_is_not_read():
    with pytest.raises(Unreadable, match="too long"):
        consignment.parse_word(b" " * (LIMIT_BYTES + 1))
    with pytest.raises(Unreadable):
        consignment.parse_chunk(b"{" * 2000 + b"\n")
    assert consignment.parse_chunk(consignment.encode_chunk("b", ID, 0, b""))[3] == b""


def test_a_chunk_that_was_changed_on_the_way_is_unreadable():
    data = consignment.encode_chunk("b", ID, 0, b"abc")
    with pytest.raises(Unreadable, match="changed"):
        consignment.parse_chunk(data[:-1] + b"d")


def test_a_recall_names_box_and_export():
    written = consignment.encode_recall("b", ID)
    assert json.loads(written) == {"v": 1, "box": "b", "export": ID}
    assert consignment.parse_recall(written) == ("b", ID)
    for wrong in (b"", b"no recall", written.replace(ID.encode(), b"x"), b'{"v":1,"box":"b"}'):
        with pytest.raises(Unreadable):
            consignment.parse_recall(wrong)


def test_sums_are_read_back_and_nothing_else_is():
    assert consignment.parse_sums(consignment.sums(PARTS)) == {part.name: SHA for part in PARTS}
    for wrong in (
        b"\xff",
        SHA.encode(),
        f"{SHA}  \n".encode(),
        f"{SHA} *a\n".encode(),
        2 * f"{SHA}  a\n".encode(),
    ):
        with pytest.raises(Unreadable):
            consignment.parse_sums(wrong)


def test_what_comes_next_never_spans_two_files():
    assert MANIFEST.bytes == 15
    assert piece_at(PARTS, 0, 3) == Piece(PARTS[0], 0, 3)
    assert piece_at(PARTS, 3, 3) == Piece(PARTS[0], 3, 2)
    assert piece_at(PARTS, 5, 100) == Piece(PARTS[2], 0, 10)
    assert piece_at(PARTS, 15, 100) is None
    assert [files_within(PARTS, have) for have in (0, 4, 5, 14, 15)] == [0, 0, 2, 2, 3]


@given(sizes=st.lists(st.integers(0, 50), max_size=8), most=st.integers(1, 20))
def test_pieces_are_numbered_one_after_the_other_and_cover_every_byte(sizes, most):
    parts = [Part(str(number), size, SHA) for number, size in enumerate(sizes)]
    have, number = 0, 0
    while (piece := piece_at(parts, have, most)) is not None:
        number += 1
        assert number_of(parts, have, most) == number
        assert 0 < piece.size <= most
        have += piece.size
    assert have == sum(sizes)
    assert number_of(parts, have, most) == number + 1
