"""Programs no one here wrote, that tests run against."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {
    "age": "age",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "tcpdump": "tcpdump",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "systemd-creds": "systemd",
    "swtpm": "swtpm libtss2-tcti-swtpm0",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "rabbitmq-server": "rabbitmq-server",
    "smartctl": "smartmontools",
    "unshare": "util-linux",
    "ip": "iproute2",
    "nft": "nftables",
    "wg": "wireguard-tools",
    "wg-quick": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "gcc": "gcc linux-libc-dev",
    "gst-launch-1.0": "gstreamer1.0-tools",
    "chromium": "chromium",
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "qemu-system-x86_64": "qemu-system-x86",
    "e2fsck": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "minisign": "minisign",
    "man": "man-db",
    "visudo": "sudo",
    "lexgrog": "man-db",
}


def need(program: str) -> str:
    """Return the program's path; without it fail in CI, and skip elsewhere saying what to install."""
    path = shutil.which(program)
    if path:
        return path
    reason = f"{program} is missing: apt install {PACKAGES.get(program, program)}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
    raise AssertionError
