"""What shows cameras live, with everything around it made up."""

from __future__ import annotations

from typing import Any

from agent.grants import Grant, Report, Stage
from agent.uplink.showing import LOOK_S, STALLED_S, Showing
from agent.uplink.streams import Flow

ONE = Grant("1" * 32, "cam01", "b0", 60_000, has_sub=True)


class Granted:
    def __init__(self) -> None:
        self.there: dict[str, Grant] = {}
        self.said: list[Report] = []

    def grants(self) -> dict[str, Grant]:
        return self.there

    def reports(self) -> dict[str, Report]:
        return {}

    def put(self, report: Report) -> None:
        self.said.append(report)


class Relays:
    def __init__(self) -> None:
        self.wanted: list[dict[str, tuple[float, bool]]] = []
        self.flow: dict[str, Flow] = {}
        self.closed = False

    def want(self, cameras: Any) -> None:
        self.wanted.append(dict(cameras))

    def flows(self) -> dict[str, Flow]:
        return self.flow

    def state(self) -> list[dict[str, Any]]:
        return [{"camera": "cam01"}]

    def close(self) -> None:
        self.closed = True


def test_grants_become_relays_and_what_they_do_becomes_reports() -> None:
    granted, relays = Granted(), Relays()
    showing = Showing(granted, relays, "b0")
    assert showing.turn(1.0) == LOOK_S
    assert relays.wanted == []
    granted.there = {ONE.grant: ONE}
    assert 0 < showing.turn(1.1) < LOOK_S
    showing.turn(2.0)
    assert relays.wanted == [{"cam01": (60.0, True)}]
    relays.flow = {"cam01": Flow(True, "", 100)}
    showing.turn(3.0)
    assert [report.stage for report in granted.said] == [Stage.WAITING, Stage.FLOWING]
    assert len(relays.wanted) == 1
    granted.there = {}
    showing.turn(4.0)
    assert relays.wanted[-1] == {}
    showing.turn(9.0)
    assert granted.said[-1].stage is Stage.OVER
    assert showing.to_json() == [{"camera": "cam01"}]
    showing.close()
    assert relays.closed


def test_a_stream_that_does_not_flow_is_told_after_a_while() -> None:
    granted, relays = Granted(), Relays()
    granted.there = {ONE.grant: ONE}
    showing = Showing(granted, relays, "b0")
    showing.turn(1.0)
    assert showing.raised(STALLED_S) == []
    relays.flow = {"cam01": Flow(False, "timeout")}
    showing.turn(1.0 + STALLED_S)
    (raised,) = showing.raised(1.0 + STALLED_S)
    assert (raised.code, raised.subject, raised.detail) == ("stream.stalled", "cam01", "timeout")
    relays.flow = {"cam01": Flow(True)}
    showing.turn(20.0)
    assert showing.raised(40.0) == []
