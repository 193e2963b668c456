"""Release keys, signatures and small packages, made for tests."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from pathlib import Path


class Release:
    """A release key, and what it signs, in minisign's form."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._id = os.urandom(8)
        self.kid = f"{int.from_bytes(self._id, 'little'):016X}"
        body = b"Ed" + self._id + self._key.public_key().public_bytes_raw()
        self.public = f"untrusted comment: release key\n{base64.b64encode(body).decode()}\n"

    def sign(self, data: bytes, comment: str, *, algorithm: bytes = b"ED") -> bytes:
        of_file = self._key.sign(hashlib.blake2b(data).digest())
        of_all = self._key.sign(of_file + comment.encode())
        body = base64.b64encode(algorithm + self._id + of_file).decode()
        lines = [
            "untrusted comment: signature",
            body,
            f"trusted comment: {comment}",
            base64.b64encode(of_all).decode(),
        ]
        return "\n".join(lines).encode() + b"\n"

    def sign_file(self, place: Path, comment: str) -> Path:
        signature = place.with_name(place.name + ".minisig")
        signature.write_bytes(self.sign(place.read_bytes(), comment))
        return signature


def deb(
    place: Path,
    version: str,
    *,
    name: str = "pasu-agent",
    preinst: str = "",
    catalogue: int = 5,
    **files: str,
) -> Path:
    """Build a small package with dpkg-deb; `files`: texts, by their names in /opt/pasu. Return its place."""
    tree = place.with_name(f"{place.name}.tree")
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "opt/pasu").mkdir(parents=True)
    fields = {
        "Package": name, "Version": version, "Architecture": architecture(), "Maintainer": "Pasu <pasu@localhost>",
        "Installed-Size": "64", "Description": "for tests", "Pasu-Catalogue": str(catalogue),
        "Pasu-Built": "2026-11-22T00:00:00Z",
    }  # fmt: skip
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    if preinst:
        (tree / "DEBIAN/preinst").write_text(preinst)
        (tree / "DEBIAN/preinst").chmod(0o755)
    for each, text in files.items():
        (tree / "opt/pasu" / each).write_text(text)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tree, place], check=True, capture_output=True
    )
    shutil.rmtree(tree)
    return place


def architecture() -> str:
    return subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()


def root_of_its_own(folder: Path) -> dict[str, str]:
    """Make a root directory with a dpkg of its own, and a systemctl that starts what lies there.

    Returns  the environment in which `dpkg`, `dpkg-query` and `systemctl` are those: <folder>/root is the root,
             <folder>/units has a file for each unit that runs, <folder>/told what systemctl was told
    """
    root = folder / "root"
    for name in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "opt", "usr"):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (folder / "units").mkdir()
    (folder / "bin").mkdir()
    programs = {
        "dpkg": f'exec /usr/bin/dpkg --root="{root}" "$@"',
        "dpkg-query": f'exec /usr/bin/dpkg-query --admindir="{root}/var/lib/dpkg" "$@"',
        "systemctl": f"""
            echo "$*" >> "{folder}/told"
            units="{folder}/units"
            case "$*" in
            "show "*) for unit; do :; done; [ -e "$units/$unit" ] && echo active || echo inactive ;;
            "stop "*) shift; for unit; do
                [ -s "$units/$unit" ] && kill "$(cat "$units/$unit")"; rm -f "$units/$unit"; done ;;
            *"restart "*) for unit; do :; done
                [ -s "$units/$unit" ] && kill "$(cat "$units/$unit")"
                : > "$units/$unit"
                if [ -e "{root}/opt/pasu/$unit" ]; then
                    python3 "{root}/opt/pasu/$unit" "{folder}" </dev/null >/dev/null 2>&1 &
                    echo $! > "$units/$unit"
                fi ;;
            esac""",
    }
    for name, text in programs.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "bin" / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "LC_ALL": "C"}


RUNS = """
import json, os, pathlib, sys, time
name, camera, folder = {name!r}, {camera!r}, pathlib.Path(sys.argv[1])
day = folder / "vault/segments" / (camera or "none") / "2026-11-22"
day.mkdir(parents=True, exist_ok=True)
while True:
    said = {{"pid": os.getpid(), "boot_ms": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)}}
    if camera:
        said["cameras"] = {{camera: {{"state": "recording"}}}}
        with (day / f"{{os.getpid()}}.mp4.age.part").open("ab") as file:
            file.write(b"x" * 100)
    (folder / f".{{name}}").write_text(json.dumps(said))
    os.replace(folder / f".{{name}}", folder / f"{{name}}.json")
    time.sleep(0.2)
"""
"""What such a package runs in the place of record, with a camera, and of keep."""


def version(place: Path, number: str, **more: str) -> Path:
    """Build a package that records cam01."""
    runs = {
        "pasu-record.service": RUNS.format(name="record", camera="cam01"),
        "pasu-keep.service": RUNS.format(name="keep", camera=""),
    }
    return deb(place, number, **runs, **more)
