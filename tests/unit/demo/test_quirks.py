import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.demo.quirks import KINDS, Quirks, describe, parse


def test_several_with_values_and_times():
    quirks = parse("no_marker, timestamp_jump=-3600@5 ,stall=12")
    assert quirks.played == {"no_marker": (0.0, 0.0), "timestamp_jump": (-3600.0, 5.0), "stall": (12.0, 3.0)}
    assert "no_marker" in quirks
    assert "reboot" not in quirks
    assert quirks.value("timestamp_jump") == -3600.0
    assert quirks.value("reboot") == 0.0
    assert quirks.after("stall") == 3.0
    assert quirks.after("reboot") == math.inf


@pytest.mark.parametrize("text", ["", " ", ", ,"])
def test_none(text):
    assert parse(text) == Quirks()


@pytest.mark.parametrize(
    "text",
    [
        "nosuch",
        "no_marker=1",
        "no_marker@1",
        "stall=x",
        "stall@",
        "stall=",
        "stall=nan",
        "stall=inf",
        "stall=1e99",
    ],
)
def test_what_is_refused(text):
    with pytest.raises(ValueError, match=r"no such quirk|takes no|not a number|out of bounds"):
        parse(text)


def test_asking_for_an_unknown_quirk_is_a_bug_that_shows():
    with pytest.raises(KeyError):
        _ = "no_such_quirk" in parse("no_marker")


@given(st.sets(st.sampled_from(sorted(KINDS))), st.integers(-1000, 1000), st.integers(0, 1000))
def test_text_round_trip(names, value, after):
    played = {
        name: (
            float(value) if KINDS[name].value is not None else 0.0,
            float(after) if KINDS[name].after is not None else 0.0,
        )
        for name in names
    }
    assert parse(str(Quirks(played))) == Quirks(played)


def test_every_quirk_is_described_with_its_row():
    text = describe()
    for name, kind in KINDS.items():
        assert re.search(
            rf"^ *{kind.number or '-'}  {name}\b.*{re.escape(kind.meaning)}$", text, re.MULTILINE
        )
