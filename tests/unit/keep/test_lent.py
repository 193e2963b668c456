"""The keeper lends, the uplink relays: both sides of what lasts longer than one file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.grants import Kind, Stage
from agent.storage.keep.streams import LEASES_MS
from agent.uplink.streams import Flow, Streams
from tests.unit.keep.showing_box import Showing

if TYPE_CHECKING:
    from pathlib import Path

SELECTED = '[[stream]]\ncamera = "cam1"\n'
LEASE_S = LEASES_MS[Kind.CONFIGURATION] // 1000


class Both:
    """A box, and its uplink beside it, second by second."""

    def __init__(self, root: Path) -> None:
        self.box = Showing(root, SELECTED)
        self.sent = 0
        self.shown: list[bool] = []
        self.begin_uplink()

    def begin_uplink(self) -> None:
        self.streams = Streams(self.box.source.boot, self.box.uplink.reports())
        self.sent = 0

    def seconds(self, count: int, *, keeper: bool = True) -> None:
        for _ in range(count):
            if keeper:
                self.box.tick()
            else:
                self.box.pass_time(1000)
            is_shown = bool(self.shown and self.shown[-1])
            self.sent += 1000 * is_shown
            flow = {("cam1", ""): Flow(is_shown, "", self.sent)}
            wanted, said = self.streams.look(self.box.uplink.grants(), self.box.now_boot_ms, flow)
            for report in said:
                self.box.uplink.put(report)
            self.shown.append(bool(wanted))


@pytest.fixture
def both(tmp_path: Path) -> Both:
    made = Both(tmp_path / "box")
    made.seconds(5)
    assert made.shown[-1]
    made.shown.clear()
    return made


def test_a_selected_stream_goes_on_for_many_leases(both: Both) -> None:
    both.seconds(5 * LEASE_S)
    assert all(both.shown)
    assert len(both.box.bodies("stream.started")) == 1
    assert both.box.bodies("stream.stopped") == []


def test_it_goes_on_whoever_of_the_two_is_started_again(both: Both) -> None:
    both.seconds(LEASE_S // 2 - 10)
    both.box.restart()
    both.seconds(LEASE_S)
    both.begin_uplink()
    both.seconds(LEASE_S)
    assert all(both.shown)
    assert len(both.box.bodies("stream.started")) == 1


def test_f12_a_keeper_that_is_no_more_lets_nothing_run_on_and_one_that_comes_back_goes_on(both: Both) -> None:
    """F12."""
    both.seconds(2 * LEASE_S, keeper=False)
    assert not any(both.shown[LEASE_S:])
    (report,) = both.box.uplink.reports().values()
    assert report.stage is Stage.OVER
    both.shown.clear()
    both.seconds(10)
    assert both.shown[-1], "lent again, it begins again"
    assert both.box.bodies("stream.stopped") == []
    before = report.sent_bytes
    both.seconds(30)
    (report,) = both.box.uplink.reports().values()
    assert report.stage is Stage.FLOWING
    assert report.sent_bytes > before
