"""Where `pasu discover` searches, on real networks: the cameras' is asked, the way outside and the tunnel are not.

box  br0 10.99.0.1 ----- 10.99.0.11 gate
         |-------------- 10.99.0.66 babbler
     up0 192.0.2.2 ----- 192.0.2.1  outside (default route)
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.field.discovering import Known, Request, find, interfaces, places
from agent.onvif.search import search
from tests.lab import wait_for
from tests.onvif import Cameras, spec
from tests.peer import need
from tests.tunnel_lab import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.config import Login
    from agent.onvif.model import Camera

WIRES = (("gate", "10.99.0.11/24"), ("babbler", "10.99.0.66/24"), ("outside", "192.0.2.1/24"))


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def nets() -> Iterator[dict[str, str]]:
    """Make the networks; return the namespaces by what they are."""
    need("ip")
    name = {each: f"pasud-{os.getpid()}-{each[0]}" for each in ("box", "gate", "hub", "outside")}
    name["babbler"] = name.pop("hub")
    for namespace in name.values():
        ip("netns", "add", namespace)
    try:
        box = name["box"]
        ip("-n", box, "link", "set", "lo", "up")
        ip("-n", box, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        for at, (there, address) in enumerate(WIRES):
            near = "up0" if there == "outside" else f"port{at}"
            ip("-n", box, "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", name[there])
            ip("-n", name[there], "addr", "add", address, "dev", "eth0")
            ip("-n", name[there], "link", "set", "eth0", "up")
            if there != "outside":
                ip("-n", box, "link", "set", near, "master", "br0")
            ip("-n", box, "link", "set", near, "up")
        ip("-n", box, "addr", "add", "10.99.0.1/24", "dev", "br0")
        ip("-n", box, "link", "set", "br0", "up")
        ip("-n", box, "addr", "add", "192.0.2.2/24", "dev", "up0")
        ip("-n", box, "route", "add", "default", "via", "192.0.2.1")
        # A bridge has a carrier when its ports have one, which the kernel takes its time to see.
        with inside(box):
            wait_for("the interfaces", lambda: {"br0", "up0"} <= {each.name for each in interfaces()})
        yield name
    finally:
        for namespace in name.values():
            subprocess.run(["ip", "netns", "del", namespace], check=False)


async def nobody(_camera: Camera) -> Login | None:
    return None


def test_d14_only_the_cameras_network_is_searched_and_no_camera_drowns_another(nets: dict[str, str]) -> None:
    gate = Cameras([spec("gate", host="10.99.0.11")], search="10.99.0.11", namespace=nets["gate"])
    babbler = Cameras(
        [spec("babbler", host="10.99.0.66", quirks={"babbles": 10_000})],
        search="10.99.0.66",
        namespace=nets["babbler"],
    )
    outside = Cameras([spec("outside", host="192.0.2.1")], search="192.0.2.1", namespace=nets["outside"])
    with gate, babbler, outside, inside(nets["box"]):
        where = places([], None)
        assert [each.name for each in where.chosen] == ["br0"]
        assert {(each.name, why) for each, why in where.left_out} == {("lo", "loopback"), ("up0", "route")}
        found = asyncio.run(find(Request(where.chosen, seconds=4.0), Known(), nobody))
        assert {each.camera.name for each in found} == {"gate", "babbler"}
        assert gate.searches > 0
        assert outside.searches == 0
        # It can be asked, if somebody says so.
        assert [each.name for each in asyncio.run(search(places(["up0"], None).chosen, 1.0))] == ["outside"]


def test_the_tunnel_is_never_searched(nets: dict[str, str]) -> None:
    with inside(nets["box"]):
        where = places([], "br0")
        assert [each.name for each in where.chosen] == ["up0"]
        assert ("br0", "tunnel") in {(each.name, why) for each, why in where.left_out}
