"""What is sealed to the machine, by systemd's own program; the unit tests run a small one through the same."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent import machine
from agent.errors import ConfigError
from agent.machine import Key, Machine, key_of
from tests.lab import wait_for
from tests.peer import need
from tests.sealing import FakeCreds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = '[camera.cam01]\nusername = "u"\npassword = "Gwangan-77 가"\n'.encode()


@pytest.fixture(params=["fake", "real"])
def exchange_board(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Have a machine, and return what gives it another board."""
    if request.param == "fake":
        return FakeCreds(tmp_path / "creds", monkeypatch).exchange_board
    need(machine.PROGRAM)
    if os.geteuid() != 0:
        pytest.fail("needs root") if os.environ.get("CI") else pytest.skip("needs root")
    monkeypatch.setenv("SYSTEMD_CREDENTIAL_SECRET", str(tmp_path / "first.secret"))
    return lambda: monkeypatch.setenv("SYSTEMD_CREDENTIAL_SECRET", str(tmp_path / "second.secret"))


def test_h1_what_is_sealed_opens_again_and_on_no_other_machine(exchange_board) -> None:
    """H1, L Safety 7(1)."""
    here = Machine(key="host")
    assert here.can_seal()
    sealed = here.seal(TEXT)
    assert b"Gwangan" not in sealed
    assert key_of(sealed) is Key.HOST
    assert here.opened(sealed) == TEXT
    exchange_board()
    here.seal(b"")  # which has a key by now
    with pytest.raises(ConfigError) as caught:
        here.opened(sealed)
    assert caught.value.code == "MACHINE_OPEN"
    assert "Gwangan" not in str(caught.value.context)


@pytest.mark.parametrize("broken", [b"", b"x", b"AAAA" * 100])
def test_what_is_nothing_opens_nowhere(exchange_board, broken: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        Machine().opened(broken)
    assert caught.value.code == "MACHINE_OPEN"


class Tpm:
    """A TPM in software, asked as systemd asks one; each question is a boot of its own, as nobody flushes its sessions."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.port = 20_000 + os.getpid() % 20_000
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        self.halt()
        where = [f"type=tcp,port={self.port + at},bindaddr=127.0.0.1" for at in (0, 1)]
        command = [need("swtpm"), "socket", "--tpm2", f"--tpmstate=dir={self._folder}", "--server", where[0]]
        self._process = subprocess.Popen(
            [*command, "--ctrl", where[1], "--flags", "startup-clear,not-need-init"]
        )
        listening = ["ss", "-Hltn", f"sport = :{self.port}"]
        wait_for("the TPM", lambda: subprocess.run(listening, capture_output=True, timeout=9).stdout, 20)

    def halt(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def clear(self) -> None:
        self.halt()
        for each in self._folder.iterdir():
            each.unlink()


@pytest.fixture
def tpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tpm]:
    need(machine.PROGRAM)
    need("swtpm")
    found = Tpm(tmp_path / "tpm")
    monkeypatch.setenv("SYSTEMD_TPM2_DEVICE", f"swtpm:host=127.0.0.1,port={found.port}")
    monkeypatch.setenv("SYSTEMD_CREDENTIAL_SECRET", str(tmp_path / "credential.secret"))
    yield found
    found.halt()


def test_h1_a_tpm_opens_it_after_a_boot_and_not_when_it_was_cleared(tpm: Tpm, tmp_path: Path) -> None:
    """H1: with the system disk's key at hand, as a thief of the disk has it."""
    here = Machine(key="host+tpm2")
    tpm.boot()
    sealed = here.seal(TEXT)
    assert key_of(sealed) is Key.TPM
    tpm.boot()
    assert here.opened(sealed) == TEXT
    tpm.clear()
    tpm.boot()
    with pytest.raises(ConfigError):
        here.opened(sealed)
    tpm.halt()
    with pytest.raises(ConfigError):
        here.opened(sealed)
    assert (tmp_path / "credential.secret").exists()
