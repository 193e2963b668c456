"""What shows cameras live, with everything around it made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.grants import Grant, Report, Stage
from agent.uplink.showing import LOOK_S, STALLED_S, Showing
from agent.uplink.streams import LINE, Flow, Want

if TYPE_CHECKING:
    from agent.uplink.share import Key

CAM01 = ("cam01", "")
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
        self.wanted: list[dict[Key, Want]] = []
        self.flow: dict[Key, Flow] = {}
        self.closed = False

    def want(self, wanted: Any) -> None:
        self.wanted.append(dict(wanted))

    def flows(self) -> dict[Key, Flow]:
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
    assert relays.wanted == [{CAM01: Want(60.0, True)}]
    relays.flow = {CAM01: Flow(True, "", 100)}
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
    relays.flow = {CAM01: Flow(False, "timeout")}
    showing.turn(1.0 + STALLED_S)
    (raised,) = showing.raised(1.0 + STALLED_S)
    assert (raised.code, raised.subject, raised.detail) == ("stream.stalled", "cam01", "timeout")
    relays.flow = {CAM01: Flow(True)}
    showing.turn(20.0)
    assert showing.raised(40.0) == []


def test_of_a_camera_that_stalls_at_a_centre_its_name_is_told_and_of_one_that_waits_for_its_turn_nothing() -> (
    None
):
    granted, relays = Granted(), Relays()
    other = Grant("2" * 32, "cam02", "b0", 60_000, centre="disaster")
    granted.there = {ONE.grant: ONE, other.grant: other}
    showing = Showing(granted, relays, "b0")
    showing.turn(1.0)
    relays.flow = {CAM01: Flow(False, LINE), ("cam02", "disaster"): Flow(False, "timeout")}
    showing.turn(1.0 + STALLED_S)
    (raised,) = showing.raised(1.0 + STALLED_S)
    assert (raised.subject, raised.detail) == ("cam02", "disaster: timeout")
