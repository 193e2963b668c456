"""The fence on the cameras' side: which interfaces are theirs, and what the kernel is told (D14)."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fence import rules
from agent.fence.rules import SETTLED_S, Before, Fence, Link, barred, fence
from tests.peer import need

LO = Link("lo", ("127.0.0.1",), gateways=False)
OUT = Link("eth0", ("192.0.2.2",), gateways=True)
CAMS = Link("eth1", ("10.0.0.1",), gateways=False)
CARE = Link("eth2", ("192.168.77.1",), gateways=False)
CAMERA = "10.0.0.11"


HERE = Before(frozenset({"eth1"}))
"""Of a box on which eth1 was barred."""


def made(*links: Link, ways: dict[str, str] | None = None, **more: object) -> Fence:
    given = {"others": (), "page": (), "ports": (), **more}
    return fence(links, {CAMERA: "eth1"} if ways is None else ways, **given)  # type: ignore[arg-type]


def test_d14_an_interface_of_cameras_alone_is_barred_as_a_whole() -> None:
    assert made(LO, OUT, CAMS) == Fence(("eth1",), (CAMERA,))


LOCKED_OUT = [
    ((LO, CAMS), {}),  # the only one there is
    ((LO, CAMS, Link("eth0", (), gateways=False)), {}),  # no way in by the other
    ((LO, OUT, Link("eth1", ("10.0.0.1",), gateways=True)), {}),  # others are behind a gateway there
    ((LO, OUT, CAMS), {"page": ("10.0.0.1",)}),  # the maintenance port
    (
        (LO, CAMS, Link("pasu0", ("10.77.1.0",), gateways=False)),
        {"others": ("pasu0",)},
    ),  # nobody comes by that
    ((LO, OUT, CAMS), {"others": ("eth1",)}),  # the line outside
]


@pytest.mark.parametrize("before", [Before(), HERE])
@pytest.mark.parametrize(("links", "more"), LOCKED_OUT)
def test_d14_whoever_looks_after_the_box_is_never_locked_out(links, more, before) -> None:
    """Of an interface that is shared, or becomes that, cameras' addresses are barred, and nobody else's."""
    assert made(*links, **more, before=before) == Fence((), (CAMERA,))


@pytest.mark.parametrize("barred", [(), ("eth1",), ("eth1", "eth2")])
def test_d14_two_interfaces_of_cameras_and_no_other_lock_nobody_out(barred: tuple[str, ...]) -> None:
    """Each is no way in for the other: both would be barred."""
    ways = {CAMERA: "eth1", "192.168.77.5": "eth2"}
    assert made(LO, CAMS, CARE, ways=ways, before=Before(frozenset(barred))).interfaces == ()
    assert made(LO, CAMS, CARE, OUT, ways=ways).interfaces == ("eth1", "eth2")


@pytest.mark.parametrize(
    ("links", "way"),
    [
        ((LO, OUT, Link("eth1", (), gateways=False)), ""),  # carrier lost, and with it the address
        (
            (LO, OUT, Link("eth1", (), gateways=False)),
            "eth0",
        ),  # the same, with a way outside for all the rest
        ((LO, OUT, CAMS), ""),  # the route alone was taken away
        ((LO, OUT, CAMS), "eth0"),
        ((LO, OUT), "eth0"),  # a VLAN that comes up after the look
    ],
)
def test_d14_an_interface_that_was_barred_stays_so_while_its_address_or_way_is_missing(links, way) -> None:
    assert made(*links, ways={CAMERA: way}, before=HERE) == Fence(("eth1",), (CAMERA,))
    assert made(*links, ways={CAMERA: way}) == Fence((), (CAMERA,))


def test_d14_after_a_power_cut_the_way_in_may_be_slower_than_the_box() -> None:
    """An office's router takes minutes: what was barred stays; a box that goes on without that way is opened."""
    slow = (LO, CAMS, Link("eth0", (), gateways=False))
    for up_s, found in ((10.0, ("eth1",)), (SETTLED_S - 1, ("eth1",)), (SETTLED_S, ())):
        assert made(*slow, before=Before(HERE.barred, up_s)).interfaces == found
        assert made(*slow, before=Before(up_s=up_s)).interfaces == ()
    page = {"page": ("10.0.0.1",), "before": Before(HERE.barred, 10.0)}
    assert made(*slow, **page).interfaces == ()  # what was moved there is no matter of time


def test_d14_a_maintenance_port_without_a_cable_is_a_way_in() -> None:
    """It has no address before the technician comes; the page's own is then on no interface."""
    waiting, page = Link("eth2", (), gateways=False), {"page": ("192.168.77.1",)}
    assert made(LO, CAMS, waiting, **page, before=HERE).interfaces == ("eth1",)
    assert made(LO, CAMS, waiting, **page).interfaces == ()  # it was never barred
    assert made(LO, CAMS, waiting, before=HERE).interfaces == ()  # the page is nowhere
    assert made(LO, CAMS, **page, before=HERE).interfaces == ()  # no such port
    assert (
        made(LO, CAMS, waiting, **page, others=("eth2",), before=HERE).interfaces == ()
    )  # nobody comes by it
    shared = Link("eth1", ("10.0.0.1", "192.168.77.1"), gateways=False)
    assert made(LO, shared, waiting, **page, before=HERE).interfaces == ()


def networked(link: Link, *networks: str) -> Link:
    return Link(link.name, link.addresses, link.gateways, networks)


def test_d14_an_interface_that_all_cameras_have_left_is_opened() -> None:
    """They were moved to another port, and a technician uses this one."""
    left, there = networked(CAMS, "10.0.0.0/24"), networked(CARE, "192.168.77.0/24", "fd00::/64")
    moved = {"192.168.77.5": "eth2", "fd00::5": "eth2"}
    assert made(LO, OUT, left, there, ways=moved, before=HERE).interfaces == ("eth2",)
    # One is not seen elsewhere, a name might be anywhere, or the networks tell nothing: it stays.
    for ways, links, unknown in (
        ({**moved, CAMERA: "eth0"}, (left, there), False),
        (moved, (left, there), True),
        (moved, (CAMS, there), False),
        ({**moved, "172.16.0.9": "eth0"}, (left, there), False),
        ({CAMERA: "eth2"}, (left, networked(CARE, "10.0.0.0/16")), False),
    ):
        assert (
            "eth1" in made(LO, OUT, *links, ways=ways, before=Before(HERE.barred, unknown=unknown)).interfaces
        )


@given(
    present=st.sets(st.sampled_from(["eth0", "eth1", "eth2"])),
    addressed=st.sets(st.sampled_from(["eth0", "eth1", "eth2"])),
    gateways=st.sets(st.sampled_from(["eth0", "eth1", "eth2"])),
    way=st.sampled_from(["", "eth0", "eth1", "eth2"]),
    before=st.sets(st.sampled_from(["eth0", "eth1", "eth2"])),
    up_s=st.sampled_from([0.0, SETTLED_S]),
)
def test_d14_there_is_always_a_way_in_and_nothing_opens_without_a_reason(
    present, addressed, gateways, way, before, up_s
) -> None:
    links = [
        Link(name, (f"10.0.{name[-1]}.1",) if name in addressed else (), gateways=name in gateways)
        for name in sorted(present)
    ]
    found = {*made(*links, ways={CAMERA: way}, before=Before(frozenset(before), up_s)).interfaces}
    spare = present & addressed
    assert not found & gateways & present
    assert not found or spare - found or up_s < SETTLED_S
    assert found <= before or spare - found
    opened = before - found
    assert not opened or opened <= gateways & present or not spare - before - {way}


def test_a_camera_without_a_way_is_barred_too_and_the_box_itself_is_not() -> None:
    found = made(
        LO, OUT, CAMS, CARE, ways={CAMERA: "", "10.0.0.12": "lo", "fd00::5": "eth1"}, ports=(5000, 5000)
    )
    assert found == Fence(("eth1",), (CAMERA, "fd00::5"), (5000,))


FULL = Fence(("eth1", "eth2.5"), (CAMERA, "fd00::5"), (5000,))


def in_a_kernel(script: str) -> str:
    need("nft")
    need("unshare")
    if os.geteuid() != 0:
        pytest.fail("needs root") if os.environ.get("CI") else pytest.skip("needs root")
    done = subprocess.run(
        ["unshare", "--net", "sh", "-euc", script],
        input=rules.text(FULL),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_kernel_lists_what_was_written() -> None:
    listing = in_a_kernel(f"nft -f -; nft -j list table inet {rules.TABLE}")
    assert rules.lacks(json.loads(listing), FULL) == []
    # A system without /etc/protocols lists protocols by number.
    for name, number in (("tcp", 6), ("igmp", "2")):
        named = f'"right": "{name}"'
        assert named in listing
        listing = listing.replace(named, f'"right": {json.dumps(number)}')
    assert rules.lacks(json.loads(listing), FULL) == []
    assert rules.lacks(json.loads(listing.replace('"right": "2"', '"right": "3"')), FULL)
    odd = json.loads(listing)
    next(each["rule"] for each in odd["nftables"] if "rule" in each)["expr"][0] = "what no kernel says"
    assert rules.lacks(odd, FULL)
    assert rules.lacks(json.loads(listing), Fence((), FULL.cameras, FULL.ports)) == [
        "rules of chain input were changed"
    ]


def test_d14_what_is_barred_is_read_of_what_the_kernel_lists_and_of_what_is_kept() -> None:
    assert barred(rules.text(FULL)) == {"eth1", "eth2.5"}
    assert barred(in_a_kernel(f"nft -f -; nft list table inet {rules.TABLE}")) == {"eth1", "eth2.5"}
    assert barred("") == barred('# iifname "eth3" goto barred, once\n') == frozenset()


def test_d14_a_fence_that_somebody_changed_is_seen() -> None:
    changed = in_a_kernel(
        f"nft -f -; nft flush chain inet {rules.TABLE} forward; nft -j list table inet {rules.TABLE}"
    )
    assert rules.lacks(json.loads(changed), FULL) == ["rules of chain forward were changed"]
    assert rules.lacks({"nftables": []}, FULL) == ["no table"]


def test_the_ports_that_are_let_in_are_those_the_kernel_speaks_from() -> None:
    """Answers come to these; pasu.sysctl.conf sets what the rules say."""
    from pathlib import Path

    written = (Path(__file__).parents[3] / "systemd" / "90-pasu.sysctl.conf").read_text()
    assert f"net.ipv4.ip_local_port_range = {rules.OWN_PORTS[0]} {rules.OWN_PORTS[1]}\n" in written
