"""Cameras by name: what /etc/hosts says, and no name server (D14)."""

from __future__ import annotations

import pytest

from agent.fence.names import addresses

HOSTS = """\
127.0.0.1\tlocalhost
127.0.1.1 box box.site
10.0.0.11  Gate.site gate # by the road
10.0.0.12 yard
fd00:0::12 yard
nonsense yard bin
# 10.0.0.13 shed
"""


@pytest.mark.parametrize(
    ("hosts", "found", "unknown"),
    [
        (["10.0.0.9", "10.0.0.8", "10.0.0.9"], ("10.0.0.8", "10.0.0.9"), ()),
        (["gate", "GATE.site", "yard"], ("10.0.0.11", "10.0.0.12", "fd00::12"), ()),
        (["shed", "bin", "cam.example", "10.0.0.9"], ("10.0.0.9",), ("bin", "cam.example", "shed")),
        (["localhost", "LOCALHOST", "box", "127.0.0.5", "::1"], (), ()),
        (["239.1.1.1", "0.0.0.0", "ff02::1"], (), ()),
        (["FD00:0:0::5", "fe80::1%eth1", "::ffff:10.0.0.7"], ("10.0.0.7", "fd00::5", "fe80::1"), ()),
    ],
)
def test_d14_where_a_camera_is(hosts: list[str], found: tuple[str, ...], unknown: tuple[str, ...]) -> None:
    assert addresses(hosts, HOSTS) == (found, unknown)


def test_the_box_itself_has_its_name_without_the_file() -> None:
    assert addresses(["localhost", "gate"], "") == ((), ("gate",))
