from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import canonical_json
from agent.storage.proof import leaf, merkle

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
BODY = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner), max_leaves=4
    ),
)


@given(st.integers(1), st.integers(), TEXT, TEXT, BODY)
def test_both_ways_to_a_leaf_are_one(seq, at_ms, trust, kind, body):
    """The box joins texts, the centre serialises an object: the same bytes."""
    entry = {"seq": seq, "at_ms": at_ms, "trust": trust, "kind": kind, "body": body}
    text = canonical_json(body)
    data = leaf.data(seq, at_ms, trust, kind, text)
    assert data == canonical_json(entry).encode()
    assert (
        leaf.entry_hash(seq, at_ms, trust, kind, text)
        == leaf.object_hash(json.loads(data))
        == merkle.leaf_hash(data)
    )


GOOD = {"seq": 1, "at_ms": 2, "trust": "SYNCED", "kind": "gap", "body": {}}


@pytest.mark.parametrize(
    "change",
    [
        {"seq": True},
        {"seq": "1"},
        {"at_ms": 2.0},
        {"body": []},
        {"body": {"a": 0.5}},
        {"body": {"a": "\ud800"}},
        {"kind": None},
        {"more": 1},
    ],
)
def test_what_is_no_entry_is_refused(change):
    with pytest.raises(ValueError):
        leaf.object_hash(GOOD | change)


def test_a_body_that_is_nested_too_deeply_is_refused():
    body: dict[str, object] = {}
    for _ in range(100_000):
        body = {"a": body}
    with pytest.raises(ValueError):
        leaf.object_hash(GOOD | {"body": body})
    while body:  # let it go from the outside in: all at once would be as deep
        body = body["a"]


def test_text_that_is_not_unicode_is_hashed_and_not_refused():
    assert leaf.entry_hash(1, 2, "SYNCED", "\ud800", "{}") != leaf.entry_hash(1, 2, "SYNCED", "\ud801", "{}")
