"""The end in the guest of tests.vm_lab's port: one command at a time. It runs where Python has no more than its core."""

from __future__ import annotations

import ast
import base64
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = "/dev/virtio-ports/pasu.lab"


def say(port: int, value: Any) -> None:
    data = repr(value).encode() + b"\n"
    while data:
        data = data[os.write(port, data) :]


def lines(port: int) -> Iterator[bytes]:
    held = b""
    while True:
        if not (part := os.read(port, 65536)):
            time.sleep(0.05)  # nobody is at the other end
        held += part
        while b"\n" in held:
            line, _, held = held.partition(b"\n")
            yield line


def carry_out(asked: dict[str, Any]) -> tuple[int, bytes, bytes]:
    try:
        done = subprocess.run(
            asked["run"],
            input=base64.b64decode(asked["input"]),
            capture_output=True,
            timeout=asked["seconds"],
        )
    except subprocess.TimeoutExpired as late:
        return 124, late.stdout or b"", late.stderr or b""
    except OSError as error:
        return 127, b"", str(error).encode()
    return done.returncode, done.stdout, done.stderr


def main() -> None:
    port = os.open(PORT, os.O_RDWR)
    say(port, {"up": Path("/proc/sys/kernel/random/boot_id").read_text().strip()})
    for line in lines(port):
        asked = ast.literal_eval(line.decode())
        status, out, err = carry_out(asked)
        said = {"out": base64.b64encode(out).decode(), "err": base64.b64encode(err).decode()}
        say(port, {"id": asked["id"], "status": status, **said})


if __name__ == "__main__":
    main()
