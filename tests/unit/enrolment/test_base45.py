from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enrolment import base45


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"AB", "BB8"),
        (b"Hello!!", "%69 VD92EX0"),
        (b"base-45", "UJCLQE7W581"),
        (b"ietf!", "QED8WEX0"),
        (b"", ""),
    ],
)
def test_the_examples_of_rfc_9285(data, text):
    assert base45.encode(data) == text
    assert base45.decode(text) == data


@given(st.binary(max_size=200))
def test_what_is_written_is_read(data):
    assert base45.decode(base45.encode(data)) == data


@pytest.mark.parametrize("text", ["GGW", "ZZ", "A", "ab8", "BB8 ", ":::"])
def test_what_is_not_base45_is_refused(text):
    with pytest.raises(ValueError, match="not base45"):
        base45.decode(text)
