"""`pasu secrets`: what it says and does, and that it never says a password."""

from __future__ import annotations

import getpass
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agent import log_ins
from agent.cli.log_ins_view import where_they_lie
from agent.cli.main import main
from agent.config import Login
from agent.log_ins import LogIns, beside
from tests.sealing import HOST, NOTHING, TPM, FakeCreds
from tests.unit.config.samples import RIGHT

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "Gwangan-77"


class Keyboard(io.StringIO):
    """A terminal at which these lines are typed."""

    def isatty(self) -> bool:
        return True


class Pasu:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = folder / "agent.toml"
        self.config.write_text(RIGHT, encoding="utf-8")
        self.beside = LogIns(self.config)
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str, given: str | io.StringIO = "") -> int:
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(given) if isinstance(given, str) else given)
        return main(["secrets", *words, "--config", str(self.config)])


@pytest.fixture
def creds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCreds:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return FakeCreds(tmp_path / "creds", monkeypatch)


@pytest.fixture
def pasu(tmp_path: Path, creds: FakeCreds, monkeypatch: pytest.MonkeyPatch) -> Pasu:
    (tmp_path / "etc").mkdir()
    return Pasu(tmp_path / "etc", monkeypatch)


def test_set_from_the_input_seals_and_shows_nothing(pasu: Pasu, capsys: pytest.CaptureFixture[str]) -> None:
    assert pasu("set", "cam01", "--user", "recorder", given=f"{PASSWORD}\n") == 0
    said = capsys.readouterr()
    assert said.out == f"cam01: written: {pasu.beside.sealed} (sealed to this system disk's key)\n"
    login = pasu.beside.read().login("cam01")
    assert login is not None
    assert (login.username, login.password) == ("recorder", PASSWORD)
    assert not pasu.beside.clear.exists()
    assert pasu("show") == 0
    said = capsys.readouterr()
    assert PASSWORD not in said.out + said.err
    assert "cam01" in said.out


def test_set_asks_at_a_terminal_without_showing(
    pasu: Pasu, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: asked.append(prompt) or PASSWORD)
    assert pasu("set", "--broker", "10.0.0.5", given=Keyboard("site\n")) == 0
    said = capsys.readouterr()
    assert (asked, "user: " in said.err, PASSWORD in said.out + said.err) == (["password: "], True, False)
    login = pasu.beside.read().broker("10.0.0.5")
    assert login is not None
    assert (login.username, login.password) == ("site", PASSWORD)
    assert pasu("show", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "form": "sealed", "key": "host", "leftover": False, "cameras": {"cam01": False}, "brokers": ["10.0.0.5"],
    }  # fmt: skip


@pytest.mark.parametrize("given", ["", io.StringIO("")])
def test_the_end_of_the_input_is_no_password(
    pasu: Pasu, capsys: pytest.CaptureFixture[str], given: str | io.StringIO
) -> None:
    assert pasu("set", "cam01", "--user", "u", given=f"{PASSWORD}\n") == 0
    assert pasu("set", "cam01", "--user", "u", given=given) == 2
    assert "[SECRETS_PASSWORD]" in capsys.readouterr().err
    assert pasu.beside.read().login("cam01") == Login("u", PASSWORD)
    assert pasu("set", "cam01", "--user", "u", given="\n") == 0  # somebody says that there is none
    assert pasu.beside.read().login("cam01") == Login("u", "")


def test_a_bare_enter_at_a_terminal_takes_no_password_away(
    pasu: Pasu, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter([PASSWORD, "", "", "Other-1"])
    monkeypatch.setattr(getpass, "getpass", lambda _: next(typed))
    for of in (("cam01",), ("--broker", "10.0.0.5")):
        typed = iter([PASSWORD, "", "", "Other-1"])
        for user, password in (("u", PASSWORD), ("u", PASSWORD), ("v", "Other-1")):
            assert pasu("set", *of, "--user", user, given=Keyboard()) == 0
            secrets = pasu.beside.read()
            login = secrets.login("cam01") if of == ("cam01",) else secrets.broker("10.0.0.5")
            assert login == Login(user, password)
    said = capsys.readouterr().err
    assert (said.count("The password that is known stays."), said.count("It is empty.")) == (2, 2)

    def ended(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", ended)
    assert pasu("set", "cam01", "--user", "u", given=Keyboard()) == 2
    assert "[SECRETS_PASSWORD]" in capsys.readouterr().err


def test_what_somebody_else_changed_while_a_password_was_typed_stays(
    pasu: Pasu, monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(_: str) -> str:
        pasu.beside.put(pasu.beside.read().with_one("broker", "10.0.0.5", Login("b", "x")).to_toml())
        return PASSWORD

    monkeypatch.setattr(getpass, "getpass", typed)
    assert pasu("set", "cam01", "--user", "u", given=Keyboard()) == 0
    assert pasu.beside.read().broker("10.0.0.5") == Login("b", "x")
    assert pasu.beside.read().login("cam01") == Login("u", PASSWORD)


def test_whoever_is_changing_them_is_waited_for_and_named(
    pasu: Pasu, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_ins, "CHANGING_S", 0.3)
    for words in (("set", "cam01", "--user", "u"), ("forget", "cam01")):
        with pasu.beside.changing():
            assert pasu(*words, given="x\n") != 0
        said = capsys.readouterr().err
        assert "[FOLDER_BUSY]" in said
        assert str(os.getpid()) in said
    assert pasu("set", "cam01", "--user", "u", given="x\n") == 0


def test_two_at_once_lose_nothing(pasu: Pasu) -> None:
    """Each in a process of its own; in clear, as they are."""
    pasu.beside.clear.touch(mode=0o600)
    program = "from agent.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    names = [f"10.0.0.{number}" for number in range(1, 7)]
    words = [sys.executable, "-c", program, "secrets", "set", "--config", str(pasu.config), "--user", "u"]
    running = [
        subprocess.Popen([*words, "--broker", name], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for name in names
    ]
    for each in running:
        each.communicate(b"x\n", timeout=60)
    assert [each.returncode for each in running] == [0] * len(names)
    assert sorted(pasu.beside.read().brokers()) == names


def test_others_stay_and_one_is_forgotten(pasu: Pasu, capsys: pytest.CaptureFixture[str]) -> None:
    quoted = 'a"b\\c\x7f'  # as a TOML text it needs care
    pasu("set", "--broker", "10.0.0.5", "--user", "site", given="x\n")
    assert pasu("set", "cam01", "--user", "u", given=f"{PASSWORD}\n") == 0
    assert pasu.beside.read().broker("10.0.0.5") is not None
    assert pasu("set", "cam01", "--user", quoted[:5], given='"\\\n') == 0
    capsys.readouterr()
    assert pasu("forget", "cam01") == 0
    assert capsys.readouterr().out.startswith("cam01: taken away: ")
    assert [*pasu.beside.read().cameras()] == []
    assert [*pasu.beside.read().brokers()] == ["10.0.0.5"]


def test_of_a_camera_that_is_configured_no_more(pasu: Pasu, capsys: pytest.CaptureFixture[str]) -> None:
    """Its log-in is shown, and taken away: nobody else gets it out of what is sealed."""
    pasu.beside.put(b'[camera.cam09]\nusername = "u"\npassword = "x"\n')
    assert main(["config", "check", str(pasu.config)]) == 0
    assert "secrets.sealed: camera.cam09: there is no camera" in capsys.readouterr().out
    assert pasu("show", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cameras"] == {"cam01": False, "cam09": True}
    assert pasu("set", "cam09", "--user", "u", given="x\n") == 2
    assert pasu("forget", "cam09") == 0
    assert [*pasu.beside.read().cameras()] == []


def test_they_lie_beside_the_configuration_as_it_is_named(pasu: Pasu, tmp_path: Path) -> None:
    """Where agent.toml is a link: there everybody else looks for them, and systemd too."""
    kept = tmp_path / "kept"
    kept.mkdir()
    pasu.config.rename(kept / "agent.toml")
    pasu.config.symlink_to(kept / "agent.toml")
    assert pasu("set", "cam01", "--user", "u", given="x\n") == 0
    assert [each.name for each in kept.iterdir()] == ["agent.toml"]
    assert [*beside(pasu.config).cameras()] == ["cam01"]


def test_a_tpm_that_they_are_not_sealed_to_is_told_of(pasu: Pasu, tmp_path: Path) -> None:
    pasu.beside.put(b"")
    assert "a TPM, which was not used" not in where_they_lie(pasu.beside, tmp_path / "none")
    assert "a TPM, which was not used" in where_they_lie(pasu.beside, tmp_path)


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("set", "cam09", "--user", "u"), "CAMERA_UNKNOWN", 2),
        (("set", "--user", "u"), "SECRETS_WHOSE", 2),
        (("set", "cam01", "--broker", "10.0.0.5", "--user", "u"), "SECRETS_WHOSE", 2),
        (("set", "cam01"), "SECRETS_USER", 2),
        (("set", "--broker", "bells.local", "--user", "u"), "CONFIG_TABLE", 78),
        (("set", "cam01", "--user", "a:b"), "CONFIG_VALUE", 78),
        (("forget",), "SECRETS_WHOSE", 2),
        (("seal",), "SECRETS_NONE", 2),
    ],
)
def test_it_refuses(
    pasu: Pasu, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str, status: int
) -> None:
    assert pasu(*words, given=f"{PASSWORD}\n") == status
    said = capsys.readouterr()
    assert f"[{code}]" in said.err
    assert PASSWORD not in said.err + said.out
    assert not pasu.beside.sealed.exists()


def test_another_board_and_log_ins_given_anew(
    pasu: Pasu, creds: FakeCreds, capsys: pytest.CaptureFixture[str]
) -> None:
    pasu("set", "cam01", "--user", "old", given=f"{PASSWORD}\n")
    creds.exchange_board()
    for words in (("show",), ("set", "cam01", "--user", "u"), ("forget", "cam01"), ("open", "--yes")):
        capsys.readouterr()
        assert pasu(*words, given="x\n") == 78
        assert "[CONFIG_SECRETS_SHUT]" in capsys.readouterr().err
    assert pasu("set", "cam01", "--user", "new", "--anew", given=f"{PASSWORD}\n") == 0
    login = pasu.beside.read().login("cam01")
    assert login is not None
    assert login.username == "new"
    assert pasu.beside.sealed.with_name("secrets.sealed.shut").exists()
    # Where they open, nothing is thrown away by a word too many; what else is wrong is not got rid of by it.
    assert pasu("set", "--broker", "10.0.0.5", "--user", "b", "--anew", given="x\n") == 0
    assert pasu.beside.read().login("cam01") == login
    pasu.beside.clear.write_text('[broker."10.0.0.6"]\nusername = "c"\npassword = "x"\n')
    pasu.beside.clear.chmod(0o600)
    pasu.beside.sealed.write_bytes(b"another board's")
    assert pasu("set", "cam01", "--user", "u", "--anew", given="x\n") == 0
    assert [*pasu.beside.read().brokers()] == ["10.0.0.6"], "what is in clear is kept"
    pasu.beside.clear.write_text("[nonsense")
    pasu.beside.clear.chmod(0o600)
    assert pasu("set", "cam01", "--user", "u", "--anew", given="x\n") == 78


def test_sealed_and_opened_again(pasu: Pasu, capsys: pytest.CaptureFixture[str]) -> None:
    pasu.beside.clear.write_text(f'[camera.cam01]\nusername = "u"\npassword = "{PASSWORD}"\n')
    pasu.beside.clear.chmod(0o600)
    assert pasu("show") == 0
    assert f"{pasu.beside.clear} (not sealed, 0600)" in capsys.readouterr().out
    for _ in "twice":
        assert pasu("seal") == 0
    assert (pasu.beside.clear.exists(), pasu.beside.sealed.exists()) == (False, True)
    assert pasu("open", given="\n") == 1
    assert pasu.beside.sealed.exists()
    assert "Left as it is" in capsys.readouterr().err
    assert pasu("open", given="y\n") == 0
    assert (pasu.beside.clear.exists(), pasu.beside.sealed.exists()) == (True, False)
    assert pasu("open") == 0  # it is already
    said = capsys.readouterr()
    assert PASSWORD not in said.out + said.err


def test_both_forms_are_told_of(pasu: Pasu, capsys: pytest.CaptureFixture[str]) -> None:
    pasu("set", "cam01", "--user", "u", given="x\n")
    pasu.beside.clear.touch(mode=0o600)
    assert pasu("show") == 0
    assert "something is left in clear besides" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "said"),
    [(HOST, "to this system disk's key"), (TPM, "to this machine's TPM"), (NOTHING, "to nothing"), ("77" * 16, "cannot be told")],
)  # fmt: skip
def test_what_they_are_sealed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, said: str
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    FakeCreds(tmp_path / "creds", monkeypatch)
    pasu = Pasu(tmp_path, monkeypatch)
    pasu("set", "cam01", "--user", "u", given="x\n")
    whole = pasu.beside.machine.seal(b"")
    import base64

    start = len(base64.b64decode(whole))
    text = base64.b64decode(pasu.beside.sealed.read_bytes())[start:]
    (tmp_path / "creds" / "key").write_text(key)
    pasu.beside.sealed.write_bytes(base64.encodebytes(bytes.fromhex(key) + b"board-01" + text))
    capsys.readouterr()
    assert pasu("show") == 0
    assert said in capsys.readouterr().out
