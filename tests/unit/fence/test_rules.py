"""The fence on the cameras' side: which interfaces are theirs, and what the kernel is told (D14)."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from agent.fence import rules
from agent.fence.rules import Fence, Link, fence
from tests.peer import need

LO = Link("lo", ("127.0.0.1",), gateways=False)
OUT = Link("eth0", ("192.0.2.2",), gateways=True)
CAMS = Link("eth1", ("10.0.0.1",), gateways=False)
CARE = Link("eth2", ("192.168.77.1",), gateways=False)
CAMERA = "10.0.0.11"


def made(*links: Link, ways: dict[str, str] | None = None, **more: tuple[str, ...]) -> Fence:
    given = {"others": (), "page": (), "ports": (), **more}
    return fence(links, {CAMERA: "eth1"} if ways is None else ways, **given)  # type: ignore[arg-type]


def test_d14_an_interface_of_cameras_alone_is_barred_as_a_whole() -> None:
    assert made(LO, OUT, CAMS) == Fence(("eth1",), (CAMERA,))


@pytest.mark.parametrize(
    ("links", "more"),
    [
        ((LO, CAMS), {}),  # the only one there is
        ((LO, CAMS, Link("eth0", (), gateways=False)), {}),  # no way in by the other
        ((LO, OUT, Link("eth1", ("10.0.0.1",), gateways=True)), {}),  # others are behind a gateway there
        ((LO, OUT, CAMS), {"page": ("10.0.0.1",)}),  # the maintenance port
        (
            (LO, CAMS, Link("pasu0", ("10.77.1.0",), gateways=False)),
            {"others": ("pasu0",)},
        ),  # nobody comes by the tunnel
        ((LO, OUT, CAMS), {"others": ("eth1",)}),  # the line outside
    ],
)
def test_d14_whoever_looks_after_the_box_is_never_locked_out(links, more) -> None:
    """Of an interface that is shared, cameras' addresses are barred, and nobody else's."""
    assert made(*links, **more) == Fence((), (CAMERA,))


def test_cameras_without_a_way_or_on_the_box_itself_are_no_reason_for_a_rule() -> None:
    found = made(
        LO, OUT, CAMS, CARE, ways={CAMERA: "", "10.0.0.12": "lo", "fd00::5": "eth1"}, ports=(5000, 5000)
    )
    assert found == Fence(("eth1",), ("fd00::5",), (5000,))


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
    assert rules.lacks(json.loads(listing), Fence((), FULL.cameras, FULL.ports)) == [
        "rules of chain input were changed"
    ]


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
