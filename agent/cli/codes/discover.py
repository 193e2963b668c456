"""Codes of looking for cameras."""

from __future__ import annotations

from agent.cli.codes.code import code

DISCOVER = {
    "DISCOVER_HOST": code(
        "types",
        ("--host가 카메라의 IP 주소가 아닙니다", "--host is not the IP address of a camera"),
        (
            "10.0.0.11처럼 주소를 적으십시오. 이름은 쓰지 않습니다",
            "write an address, as 10.0.0.11; a name would have to be asked for elsewhere",
        ),
    ),
    "DISCOVER_NET": code(
        "types",
        ("--net이 훑을 수 있는 사설망이 아닙니다", "--net is not a private network that may be gone through"),
        (
            "10.0.0.0/24처럼 1024개 주소까지의 사설 IPv4 망을 적으십시오",
            "write a private IPv4 network of at most 1024 addresses, as 10.0.0.0/24",
        ),
    ),
    "DISCOVER_INTERFACE": code(
        "types",
        ("찾을 수 있는 인터페이스가 아닙니다", "that interface cannot be searched on"),
        (
            "IPv4 주소가 있고 켜진 인터페이스를 적으십시오. `ip -4 addr`로 볼 수 있습니다",
            "name an interface that is up and has an IPv4 address; `ip -4 addr` lists them",
        ),
    ),
    "DISCOVER_NOWHERE": code(
        "types",
        ("어느 인터페이스에서도 찾을 수 없습니다", "no interface can be searched on"),
        (
            "카메라 망의 케이블과 주소를 확인하거나 --host로 카메라의 주소를 적으십시오",
            "check cable and address of the camera network, or name a camera with --host",
        ),
    ),
}
