"""After exports are over the raw device is searched for what the centre's own key could open (Act 21(2))."""

from __future__ import annotations

import os

from agent.model import Span
from tests.procedure.test_carving import STANZA, carve, device, header_of
from tests.unit.keep.handing import ID, OTHER, Handing, wanted
from tests.unit.keep.kept import DAY_MS, order
from tests.unit.storage.box import T0

__all__ = ["device"]


def test_nothing_that_was_erased_while_an_export_had_it_can_be_carved(device) -> None:
    """Act 21(2): on a real ext4: one export is sent, one lapses, a third is cancelled; a hold keeps its own."""
    box = Handing(device.place.parent)
    box.record("cam1", count=8, size=300_000)
    box.record_salvaged("cam2", at_ms=T0)
    box.clock.utc_ms = T0 + 60_000
    third = "9" * 32
    box.request(wanted(ID, span=Span(T0, T0 + 4000)))
    box.request(wanted(OTHER, span=Span(T0 + 2000, T0 + 6000)))
    box.request(wanted(third, "cam2", Span(T0, T0 + 10_000)))
    box.hand()
    box.place(order(span=Span(T0 + 3000, T0 + 4000)))
    os.sync()
    headers = {name: header_of(box.vault_path / name) for name in box.names()}
    held = box.links()[0].replace("holds/h1", "segments")
    assert set(headers.values()) <= set(carve(device.image))

    box.clock.utc_ms += 31 * DAY_MS
    box.condemn()
    report = box.finish()
    # Of the eight one is held, two are in no export; with cam2's, six wait for their links.
    assert (report.erased, report.outgoing, report.unshredded) == (8, 6, 0)
    box.received(ID)
    box.cancel(third)
    box.hand()
    assert box.outgoing() == []
    assert box.names() == [held]
    assert box.opens(held)
    device.unmount()

    found = carve(device.image)
    assert headers[held] in found
    assert not (set(headers.values()) - {headers[held]}) & set(found)
    raw = device.image.read_bytes()
    for name, header in headers.items():
        for stanza in STANZA.findall(header) if name != held else []:
            share, body = stanza.split()[2:4]
            assert share not in raw, f"the key of {name} is still on the device"
            assert body not in raw, f"the key of {name} is still on the device"
