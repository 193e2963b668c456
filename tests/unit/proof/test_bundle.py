from __future__ import annotations

import base64
import contextlib
import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model import Span
from agent.storage.proof import bundle
from agent.storage.proof.bundle import Bundle, BundleError, Proven, Since

HASH = bytes(range(32))
ENTRY = {"at_ms": 1, "body": {}, "kind": "gap", "seq": 1, "trust": "SYNCED"}
WHOLE = Bundle(
    "gn-0007",
    "cam1",
    Span(0, 10),
    (
        Proven(ENTRY, (HASH,), "segments/cam1/2026-11-21/20261121T101500.123Z.mp4.age", Span(1, 2)),
        Proven(ENTRY, ()),
    ),
    ("segments/cam1/2026-11-21/20261121T101600.123Z.mp4.age",),
    Since(5, HASH, (HASH, HASH)),
)


def test_what_is_written_is_read():
    assert bundle.parse(bundle.encode(WHOLE)) == WHOLE
    plain = Bundle("b", "c", Span(0, 0), ())
    assert bundle.parse(bundle.encode(plain)) == plain


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["magic"], "other"),
        (["version"], "1"),
        (["version"], 2),
        (["box"], 1),
        (["camera"], None),
        (["span"], [1]),
        (["span"], [1, True]),
        (["span"], [2, 1]),
        (["entries"], {}),
        (["entries", 0], []),
        (["entries", 0, "entry"], []),
        (["entries", 0, "proof"], None),
        (["entries", 0, "proof", 0], 1),
        (["entries", 0, "proof", 0], "AA=="),
        (["entries", 0, "proof", 0], "not base64"),
        (["entries", 0, "proof"], [base64.b64encode(HASH).decode()] * 129),
        (["entries", 0, "file"], 1),
        (["unproven"], "x"),
        (["unproven"], [1]),
        (["since"], [1]),
        (["since", "size"], "5"),
        (["since", "root"], ""),
    ],
)
def test_what_is_not_a_bundle_is_refused(where, value):
    whole = json.loads(bundle.encode(WHOLE))
    at = whole
    for name in where[:-1]:
        at = at[name]
    at[where[-1]] = value
    with pytest.raises(BundleError):
        bundle.parse(json.dumps(whole).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_not_json_of_ours_is_refused(data):
    with pytest.raises(BundleError):
        bundle.parse(data)


@given(st.data())
def test_any_other_json_is_refused_or_read_and_nothing_else(data):
    whole = json.loads(bundle.encode(WHOLE))
    changed = copy.deepcopy(whole)
    name = data.draw(st.sampled_from(sorted(whole)))
    anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    changed[name] = data.draw(
        st.recursive(anything, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
    )
    with contextlib.suppress(BundleError):
        bundle.parse(json.dumps(changed).encode())


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("segments/cam1/2026-11-21/20261121T101500.123Z.mp4.age", True),
        ("segments/cam1/2026-11-21/20261121T101500.123Z.salvaged.mp4.age", True),
        ("segments-1/cam1/2026-11-21/20261121T101500.123Z.mp4.age", True),
        ("segments-0/cam1/2026-11-21/20261121T101500.123Z.mp4.age", False),
        ("segments/cam1/2026-11-21/20261121T101500.123Z.mp4.age.tail", False),
        ("segments/cam1/2026-11-21/20261121T101500.123Z.mp4.age.part", False),
        ("segments/cam1/2026-11-21/x.mp4.age", False),
        ("segments/../2026-11-21/20261121T101500.123Z.mp4.age", False),
        ("segments/cam1/../20261121T101500.123Z.mp4.age", False),
        ("/segments/cam1/2026-11-21/20261121T101500.123Z.mp4.age", False),
        ("holds/cam1/2026-11-21/20261121T101500.123Z.mp4.age", False),
        ("proofs.json", False),
        ("", False),
    ],
)
def test_a_file_s_name_leads_nowhere_else(path, good):
    assert bundle.is_segment_path(path) is good


def test_the_digest_is_what_sha256sum_would_give():
    # printf 'aa  x\nbb  y\n' | sha256sum
    assert bundle.digest([("bb", "y"), ("aa", "x")]) == bundle.digest([("aa", "x"), ("bb", "y")])
    import hashlib

    assert bundle.digest([("bb", "y"), ("aa", "x")]) == hashlib.sha256(b"aa  x\nbb  y\n").hexdigest()
