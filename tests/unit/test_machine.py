"""What is sealed to the machine: opened again before it counts, and every refusal said."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import pytest

from agent import machine
from agent.errors import ConfigError
from agent.machine import Key, Machine, key_of
from tests.sealing import HOST, NOTHING, TPM, FakeCreds

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b'[camera.cam01]\nusername = "u"\npassword = "Gwangan-77"\n'


@pytest.fixture
def creds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCreds:
    return FakeCreds(tmp_path / "creds", monkeypatch)


def test_what_is_sealed_opens_on_this_machine_alone(creds: FakeCreds) -> None:
    here = Machine()
    assert here.can_seal()
    sealed = here.seal(TEXT)
    assert TEXT not in sealed
    assert here.opened(sealed) == TEXT
    creds.exchange_board()
    with pytest.raises(ConfigError, match="does not open") as caught:
        here.opened(sealed)
    assert (caught.value.code, caught.value.context["reason"]) == ("MACHINE_OPEN", "sealed to another board")


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("encrypt: no TPM", "encrypt: no TPM"),
        ("decrypt: bank", "decrypt: bank"),  # systemd 252 seals to no register of a TPM, and cannot open that
        ("spoilt", "it opens as another text"),
    ],
)
def test_what_does_not_open_again_was_not_sealed(creds: FakeCreds, says: str, reason: str) -> None:
    creds.says(says)
    with pytest.raises(ConfigError) as caught:
        Machine().seal(TEXT)
    assert (caught.value.code, caught.value.context["reason"]) == ("MACHINE_SEAL", reason)


def test_sealed_to_nothing_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCreds(tmp_path / "creds", monkeypatch, key=NOTHING)
    with pytest.raises(ConfigError) as caught:
        Machine().seal(TEXT)
    assert caught.value.context["reason"] == "no key"


def test_a_program_that_is_missing_or_hangs(
    creds: FakeCreds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(machine, "PROGRAM", str(slow))
    monkeypatch.setattr(machine, "LIMIT_S", 0.2)
    with pytest.raises(ConfigError) as caught:
        Machine().opened(b"x")
    assert caught.value.context["reason"] == "0.2 s"
    monkeypatch.setattr(machine, "PROGRAM", str(tmp_path / "none"))
    assert not Machine().can_seal()
    with pytest.raises(ConfigError) as caught:
        Machine().opened(b"x")
    assert caught.value.context["reason"] == "No such file or directory"


def test_root_alone_seals(creds: FakeCreds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not Machine().can_seal()


@pytest.mark.parametrize(
    ("start", "key"), [(HOST, Key.HOST), (TPM, Key.TPM), (NOTHING, Key.NONE), ("00" * 16, Key.UNKNOWN)]
)
def test_what_opens_it_is_written_at_its_start(start: str, key: Key) -> None:
    assert key_of(base64.encodebytes(bytes.fromhex(start) + bytes(80))) is key


def test_no_base64_no_key() -> None:
    assert key_of(b"\xff=") is Key.UNKNOWN
    assert key_of(b"x") is Key.UNKNOWN
