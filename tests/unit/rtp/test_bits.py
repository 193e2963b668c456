import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rtsp.bits import (
    BitReader,
    annexb_to_sample,
    base64_nals,
    bounded,
    checked_size,
    sample,
    split_sample,
    split_start_codes,
    unescape,
)
from agent.rtsp.errors import RtspError
from tests.unit.rtp.build import Bits, escape

NAL = st.binary(min_size=1, max_size=40).map(lambda body: escape(b"\x65" + body + b"\x80"))


def test_error_says_where():
    assert str(RtspError("limit", "too much")) == "limit: too much"
    assert str(RtspError("limit", "too much", length=3, at=7)) == "limit: too much (length=3 at=7)"


@given(st.lists(st.tuples(st.sampled_from(["u", "ue", "se"]), st.integers(0, 2**32 - 2))))
def test_reader_reads_what_was_written(items):
    bits = Bits()
    for kind, value in items:
        if kind == "u":
            bits.u(32, value)
        elif kind == "ue":
            bits.ue(value)
        else:
            bits.se(value // 2 * (-1) ** value)
    reader = BitReader(bits.bytes())
    for kind, value in items:
        if kind == "u":
            assert reader.bits(32) == value
        elif kind == "ue":
            assert reader.ue() == value
        else:
            assert reader.se() == value // 2 * (-1) ** value
    assert reader.flag()  # the stop bit
    assert reader.left < 8


@pytest.mark.parametrize("data", [b"", b"\x00" * 4, b"\x00" * 20, b"\x01"])
def test_reader_refuses_what_is_not_there(data):
    with pytest.raises(RtspError) as caught:
        BitReader(data).ue()
    assert caught.value.code == "malformed_parameter_sets"


@given(st.binary(max_size=200))
def test_unescape_undoes_escape(rbsp):
    assert unescape(escape(rbsp)) == rbsp


@given(st.lists(NAL, min_size=1), st.lists(st.integers(3, 7), min_size=1))
def test_start_codes_of_any_length_become_lengths(nals, codes):
    stream = b"".join(bytes(codes[index % len(codes)] - 1) + b"\x01" + nal for index, nal in enumerate(nals))
    assert split_start_codes(stream + b"\x00\x00") == nals
    assert annexb_to_sample(stream) == sample(nals)
    assert split_sample(sample(nals)) == nals


def test_bytes_before_the_first_start_code_are_a_nal_unit():
    assert split_start_codes(b"\x67\x42\x00\x00\x00\x01\x68\xce") == [b"\x67\x42", b"\x68\xce"]
    assert split_start_codes(b"\x00\x00\x00\x01\x00\x00\x01") == []


@pytest.mark.parametrize(
    "data", [b"\x00\x00\x00\x00", b"\x00\x00\x00\x02\x65", b"\x00\x00", b"\x00\x00\x00\x01"]
)
def test_sample_with_wrong_lengths_is_refused(data):
    with pytest.raises(RtspError, match="malformed_unit"):
        split_sample(data)


def test_bounds():
    assert bounded(3, 3, "x") == 3
    with pytest.raises(RtspError, match="x is out of range"):
        bounded(4, 3, "x")
    assert checked_size(16384, 1) == (16384, 1)
    for size in ((0, 1), (1, 0), (16385, 1), (1, 16385), (-16, 16)):
        with pytest.raises(RtspError):
            checked_size(*size)


def test_base64_parameter_sets_leave_out_what_is_none():
    good = base64.b64encode(b"\x67\x42\x00\x1f").decode()
    with_start_code = base64.b64encode(b"\x00\x00\x00\x01\x68\xce\x38\x80").decode()
    assert base64_nals(f"{good}, {with_start_code},,A,é,====") == [b"\x67\x42\x00\x1f", b"\x68\xce\x38\x80"]
    assert base64_nals("") == []
