"""Grants, and the relays that serve them."""

from __future__ import annotations

from dataclasses import replace

from agent.grants import Grant, Most, Report, Stage
from agent.uplink.streams import AGAIN_MS, FULL, LAST_MS, MOST_RELAYS, Flow, Streams, Want

BOOT = "b0"
CAM01 = ("cam01", "")


def grant(
    number: int, camera: str = "cam01", until_ms: int = 60_000, *, boot: str = BOOT, sub: bool = False
) -> Grant:
    return Grant(f"{number:032x}", camera, boot, until_ms, sub)


def by_name(*grants: Grant) -> dict[str, Grant]:
    return {one.grant: one for one in grants}


def test_a_grant_from_its_begin_to_its_end() -> None:
    streams, one = Streams(BOOT), grant(1)
    wanted, said = streams.look(by_name(one), 1000, {CAM01: Flow(sent_bytes=500)})
    assert wanted == {CAM01: Want(60.0, False)}
    assert said == [Report(one.grant, Stage.WAITING)]
    wanted, said = streams.look(by_name(one), 1500, {CAM01: Flow(True, "", 700)})
    assert said == [Report(one.grant, Stage.FLOWING, flowed=True, sent_bytes=200)]
    _, said = streams.look(by_name(one), 2000, {CAM01: Flow(True, "", 900)})
    assert said == []
    _, said = streams.look(by_name(one), 1500 + AGAIN_MS, {CAM01: Flow(True, "", 1900, 4)})
    assert said == [Report(one.grant, Stage.FLOWING, flowed=True, sent_bytes=1400, left_out=4)]
    wanted, said = streams.look({}, 20_000, {CAM01: Flow(True, "", 2000)})
    assert (wanted, said) == ({}, [])
    _, said = streams.look({}, 20_000 + LAST_MS, {CAM01: Flow(False, "revoked", 2100)})
    assert said == [Report(one.grant, Stage.OVER, flowed=True, reason="revoked", sent_bytes=1600)]
    assert streams.look({}, 30_000, {}) == ({}, [])


def test_f12_it_ends_by_itself_and_does_not_begin_again() -> None:
    """F12: nobody says a word."""
    streams, one = Streams(BOOT), grant(1, until_ms=5000)
    assert streams.look(by_name(one), 4999, {})[0] == {CAM01: Want(5.0, False)}
    assert streams.look(by_name(one), 5000, {})[0] == {}
    _, said = streams.look(by_name(one), 5000 + LAST_MS, {})
    assert said == [Report(one.grant, Stage.OVER, reason="expired")]
    assert streams.look(by_name(one), 9000, {}) == ({}, [])
    assert streams.look({}, 9500, {}) == ({}, [])


def test_a_grant_of_another_boot_gives_nothing() -> None:
    streams, one = Streams(BOOT), grant(1, boot="b1")
    assert streams.look(by_name(one), 0, {})[0] == {}
    assert streams.look(by_name(one), LAST_MS, {})[1] == [Report(one.grant, Stage.OVER, reason="expired")]


def test_two_who_watch_one_camera_share_its_relay() -> None:
    streams, one, other = Streams(BOOT), grant(1, until_ms=5000, sub=True), grant(2, until_ms=9000)
    streams.look(by_name(one), 0, {CAM01: Flow(True)})
    assert streams.look(by_name(one, other), 1000, {CAM01: Flow(True, "", 100)})[0] == {
        CAM01: Want(9.0, True)
    }
    assert streams.look(by_name(one, other), 5000, {CAM01: Flow(True, "", 500)})[0] == {
        CAM01: Want(9.0, False)
    }
    _, said = streams.look(by_name(other), 5000 + LAST_MS, {CAM01: Flow(True, "", 600)})
    assert said == [Report(one.grant, Stage.OVER, flowed=True, reason="expired", sent_bytes=600)]
    _, said = streams.look({}, 8000, {CAM01: Flow(True, "", 700)})
    _, said = streams.look({}, 8000 + LAST_MS, {CAM01: Flow(False, "", 700)})
    assert said[0].sent_bytes == 600


def test_why_nothing_flows_is_said() -> None:
    streams, one = Streams(BOOT), grant(1)
    streams.look(by_name(one), 0, {})
    _, said = streams.look(by_name(one), 500, {CAM01: Flow(False, "auth_failed")})
    assert said == [Report(one.grant, Stage.WAITING, reason="auth_failed")]


def test_f11_no_more_than_so_many_cameras_first_come_first_served() -> None:
    """F11: a hundred grants."""
    streams = Streams(BOOT)
    many = by_name(*(grant(number, f"cam{number}") for number in range(1, 101)))
    wanted, said = streams.look(many, 0, {})
    assert [report.reason for report in said] == [""] * MOST_RELAYS + [FULL] * (100 - MOST_RELAYS)
    assert list(wanted) == [(f"cam{number}", "") for number in range(1, MOST_RELAYS + 1)]
    first = next(iter(many))
    left = {name: one for name, one in many.items() if name != first}
    wanted, _ = streams.look(left, 500, {})
    assert list(wanted) == [(f"cam{number}", "") for number in range(2, MOST_RELAYS + 2)]
    urgent = replace(grant(101, "cam101"), rank=0)
    wanted, _ = streams.look({**left, urgent.grant: urgent}, 1000, {})
    assert [*wanted][:2] == [("cam101", ""), ("cam2", "")]
    assert len(wanted) == MOST_RELAYS


def test_after_a_restart_bytes_go_on_from_what_was_said() -> None:
    one, over = grant(1), grant(2, "cam02", until_ms=500)
    before = {
        one.grant: Report(one.grant, Stage.FLOWING, flowed=True, sent_bytes=5000, left_out=7),
        over.grant: Report(over.grant, Stage.OVER, flowed=True, reason="expired", sent_bytes=9),
    }
    streams = Streams(BOOT, before)
    wanted, said = streams.look(by_name(one, over), 600, {CAM01: Flow(True)})
    assert wanted == {CAM01: Want(60.0, False)}
    assert said == [Report(one.grant, Stage.FLOWING, flowed=True, sent_bytes=5000, left_out=7)]
    _, said = streams.look(by_name(one, over), 600 + AGAIN_MS, {CAM01: Flow(True, "", 10)})
    assert said[0].sent_bytes == 5010


def test_what_is_lent_again_and_again_goes_on() -> None:
    streams, one = Streams(BOOT), grant(1, until_ms=5000)
    streams.look(by_name(one), 0, {CAM01: Flow(True)})
    longer = replace(one, until_boot_ms=9000)
    wanted, said = streams.look(by_name(longer), 3000, {CAM01: Flow(True, "", 100)})
    assert (wanted, said) == ({CAM01: Want(9.0, False)}, [])
    assert streams.look(by_name(longer), 6000, {CAM01: Flow(True, "", 200)})[0] == wanted
    shorter = replace(one, until_boot_ms=7000)
    assert streams.look(by_name(shorter), 6500, {CAM01: Flow(True, "", 200)})[0] == {CAM01: Want(7.0, False)}
    assert streams.look(by_name(shorter), 7000, {CAM01: Flow(True, "", 300)})[0] == {}
    _, said = streams.look(by_name(shorter), 7000 + LAST_MS, {CAM01: Flow(False, "", 300)})
    assert said == [Report(one.grant, Stage.OVER, flowed=True, reason="expired", sent_bytes=300)]
    # Lent again too late, by a keeper that was away: it begins anew, and its bytes go on.
    late = replace(one, until_boot_ms=20_000)
    wanted, said = streams.look(by_name(late), 10_000, {CAM01: Flow(False, "", 300)})
    assert wanted == {CAM01: Want(20.0, False)}
    assert said == [Report(one.grant, Stage.WAITING, flowed=True, sent_bytes=300)]
    streams.look({}, 11_000, {CAM01: Flow(True, "", 310)})
    assert streams.look({}, 11_000 + LAST_MS, {CAM01: Flow(True, "", 320)})[1][0].sent_bytes == 320


def test_a_grant_that_could_not_be_seen_for_a_moment_is_not_taken_back_for_good() -> None:
    """A folder that cannot be listed, while all descriptors are in use."""
    streams, one = Streams(BOOT), grant(1)
    wanted, _ = streams.look(by_name(one), 0, {})
    assert streams.look({}, 250, {})[0] == {}
    assert streams.look(by_name(one), 500, {})[0] == wanted
    assert streams.look({}, 1000, {})[0] == {}
    assert streams.look({}, 1000 + LAST_MS, {})[1][0].stage is Stage.OVER
    assert streams.look(by_name(one), 5000, {})[0] == wanted


def test_a_grant_does_not_become_one_of_another_camera() -> None:
    streams, one = Streams(BOOT), grant(1, until_ms=5000)
    streams.look(by_name(one), 0, {})
    other = replace(one, camera="cam02", until_boot_ms=90_000)
    assert list(streams.look(by_name(other), 1000, {})[0]) == [CAM01]
    assert streams.look(by_name(other), 5000, {})[0] == {}


def test_counts_that_went_back_are_never_less_than_nothing() -> None:
    streams, one = Streams(BOOT), grant(1)
    streams.look(by_name(one), 0, {CAM01: Flow(True, "", 100, 9)})
    _, said = streams.look(by_name(one), AGAIN_MS, {CAM01: Flow(True, "", 200, 5)})
    assert said[0].left_out == 0


def test_one_camera_at_two_centres_is_two_relays() -> None:
    streams, one = Streams(BOOT), grant(1)
    other = replace(grant(2), centre="disaster")
    away = ("cam01", "disaster")
    wanted, _ = streams.look(by_name(one, other), 0, {CAM01: Flow(True, "", 5)})
    assert list(wanted) == [CAM01, away]
    flows = {CAM01: Flow(True, "", 105), away: Flow(False, "timeout")}
    _, said = streams.look(by_name(one, other), AGAIN_MS, flows)
    assert said == [
        Report(one.grant, Stage.FLOWING, flowed=True, sent_bytes=100),
        Report(other.grant, Stage.WAITING, reason="timeout"),
    ]


def test_a_relay_does_what_the_best_of_its_grants_may() -> None:
    streams = Streams(BOOT)
    quiet = replace(grant(1), rank=35, most=Most.SUB)
    assert streams.look(by_name(quiet), 0, {})[0] == {CAM01: Want(60.0, False, 35, Most.SUB)}
    urgent = replace(grant(2), rank=15, before_s=10)
    wanted, _ = streams.look(by_name(quiet, urgent), 500, {})
    assert wanted == {CAM01: Want(60.0, False, 15, Most.MAIN, 10)}
