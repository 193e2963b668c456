from __future__ import annotations

import struct

import pytest

from agent.mp4.boxes import box, children, full_box, only, unpack
from agent.mp4.errors import Mp4Error


def test_box_has_size_name_and_parts_in_order():
    assert box(b"abcd", b"12", b"3") == b"\0\0\0\x0babcd123"
    assert full_box(b"abcd", 1, 0x020304, b"x") == b"\0\0\0\x0dabcd\1\2\3\4x"


def test_children_are_found_in_order():
    data = b"--" + box(b"aaaa", b"1") + box(b"bbbb") + b"--"
    assert list(children(data, 2, len(data) - 2)) == [(b"aaaa", 10, 11), (b"bbbb", 19, 19)]


@pytest.mark.parametrize(
    "bad", [b"\0\0\0\x07abcd", b"\0\0\0\x09abcd", b"\0\0\0", b"\0\0\0\0abcd", b"\xff" * 8]
)
def test_child_outside_its_parent_is_refused(bad):
    with pytest.raises(Mp4Error, match="box_size"):
        list(children(bad, 0, len(bad)))


def test_only_descends_and_counts():
    data = box(b"aaaa", box(b"bbbb", b"1"), box(b"cccc"), box(b"cccc"))
    assert data[slice(*only(data, 0, len(data), b"aaaa", b"bbbb"))] == b"1"
    for kind, found in ((b"cccc", 2), (b"dddd", 0)):
        with pytest.raises(Mp4Error) as error:
            only(data, 0, len(data), b"aaaa", kind)
        assert error.value.code == "box_count"
        assert error.value.context == {"kind": kind.decode(), "found": found}


def test_unpack_stays_inside():
    layout = struct.Struct(">I")
    assert unpack(layout, b"\0\0\0\1\2", 0, 4) == (1,)
    with pytest.raises(Mp4Error, match="box_short"):
        unpack(layout, b"\0\0\0\1\2", 2, 5)


def test_error_says_what_and_where():
    assert str(Mp4Error("code", "what is wrong")) == "code: what is wrong"
    assert str(Mp4Error("code", "what is wrong", at=3, size=9)) == "code: what is wrong (at=3 size=9)"
