"""A `systemd-creds` that needs neither root nor systemd; the contract suite runs the real one through the same tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from agent import machine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HOST, TPM = "5a1c6a86df9d4096b1d5a65e0862f19a", "93a894094874449090caf2fc93cab553"
NOTHING = "058469daf6f54324800549da0f8ea2fb"
_PROGRAM = """#!{python} -I
import base64, pathlib, sys
folder = pathlib.Path({folder!r})
verb, options, given = sys.argv[1], sys.argv[2:], sys.stdin.buffer.read()
assert "--name=secrets.toml" in options and options[-2:] == ["-", "-"], options
said = (folder / "says").read_text() if (folder / "says").exists() else ""
start = bytes.fromhex((folder / "key").read_text()) + (folder / "board").read_bytes()
if said.startswith(verb):
    sys.exit(said)
if verb == "encrypt":
    sys.stdout.write(base64.encodebytes(start + bytes(byte ^ 0x5A for byte in given)).decode())
else:
    whole = base64.b64decode(given)
    if not whole.startswith(start):
        sys.exit("sealed to another board")
    text = bytes(byte ^ 0x5A for byte in whole[len(start):])
    sys.stdout.buffer.write(text + (b" " if said == "spoilt" else b""))
"""


class FakeCreds:
    """The program, and the board that it seals to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, key: str = HOST) -> None:
        """Put it in the place of the real one, for whoever looks like root."""
        folder.mkdir()
        self._folder = folder
        program = folder / "systemd-creds"
        program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
        program.chmod(0o755)
        (folder / "key").write_text(key)
        (folder / "board").write_text("board-01")
        monkeypatch.setattr(machine, "PROGRAM", str(program))
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def exchange_board(self) -> None:
        """Give the machine another mainboard."""
        (self._folder / "board").write_text("board-02")

    def says(self, what: str) -> None:
        """Have the next calls fail: "encrypt …", "decrypt …" with these words, or "spoilt": opened, it is another text."""
        (self._folder / "says").write_text(what)
