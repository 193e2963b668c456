"""An export over MQTT: its list of files is one message, and no broker takes one that is too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent import consignment
from agent.centre import brokers
from agent.consignment import Manifest
from agent.storage.keep import outgoing_make
from agent.storage.keep.outgoing import ExportRefused
from tests.unit.keep.handing import ID, OTHER, Handing, wanted
from tests.unit.storage.box import T0

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path) -> Handing:
    made = Handing(tmp_path)
    made.record(count=3)
    made.clock.utc_ms = T0 + 60_000
    return made


def test_i6_more_files_than_a_message_lists_are_asked_for_in_parts(
    box: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing_make, "MOST_MANIFEST_BYTES", 400)
    with pytest.raises(ExportRefused) as refused:
        box.request(wanted())
    assert refused.value.code == "EXPORT_TOO_LARGE"
    assert box.request(wanted(OTHER, to="https://10.77.0.1:8443")).segments == 3


def test_i6_what_is_counted_is_no_less_than_what_is_sent(
    box: Handing, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.request()
    box.hand()
    order = box.order()
    assert order is not None
    segments = [part for part in order.parts if "/" in part.name]
    assert len(segments) == 3
    whole = len(consignment.encode_manifest(Manifest("b" * 32, ID, order.parts)))
    counted = sum(len(part.name) + outgoing_make._LISTED_BYTES for part in segments)
    assert whole - counted < 1024  # the box's name, the export's, three papers
    assert outgoing_make.MOST_MANIFEST_BYTES + 1024 < brokers.MOST_BYTES
