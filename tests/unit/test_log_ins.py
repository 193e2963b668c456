"""Where log-ins are read and written: in clear, sealed, handed over, and the way from one to the other."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent import log_ins
from agent.config import ConfigProblems, Login, Secrets
from agent.errors import ConfigError
from agent.log_ins import Form, LogIns, Standing
from agent.machine import Key
from tests.sealing import FakeCreds

PASSWORD = "Gwangan-77"
TEXT = f'# ours\n[camera.cam01]\nusername = "recorder"\npassword = "{PASSWORD}"\n'.encode()
OTHER = TEXT.replace(b"cam01", b"cam02")


@pytest.fixture
def creds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCreds:
    return FakeCreds(tmp_path / "creds", monkeypatch)


@pytest.fixture
def beside(tmp_path: Path, creds: FakeCreds) -> LogIns:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "agent.toml").write_text("")
    return LogIns(folder / "agent.toml")


def in_clear(beside: LogIns, text: bytes = TEXT, mode: int = 0o600) -> None:
    beside.clear.touch(mode=0o600)
    beside.clear.write_bytes(text)
    beside.clear.chmod(mode)


def names(beside: LogIns) -> list[str]:
    return sorted(each.name for each in beside.config.parent.iterdir() if each.name != "agent.toml")


def lie_in_clear(beside: LogIns) -> list[str]:
    return [each.name for each in beside.config.parent.iterdir() if PASSWORD.encode() in each.read_bytes()]


def code(caught: pytest.ExceptionInfo[ConfigProblems]) -> str:
    return caught.value.problems[0].code


def test_nothing_is_there(beside: LogIns) -> None:
    assert (beside.read(), beside.text(), beside.standing()) == (Secrets(), b"", Standing(Form.ABSENT))


def test_those_of_a_new_box_are_sealed_from_the_beginning(beside: LogIns) -> None:
    assert beside.put(TEXT, fresh=True) is Form.SEALED
    assert names(beside) == ["secrets.sealed"]
    assert lie_in_clear(beside) == []
    assert stat.S_IMODE(beside.sealed.stat().st_mode) == 0o600
    assert beside.read().login("cam01") == Login("recorder", PASSWORD)
    assert beside.text() == TEXT
    assert beside.standing() == Standing(Form.SEALED, Key.HOST)


def test_those_that_are_sealed_stay_so_and_what_was_stays_beside(beside: LogIns) -> None:
    told: list[str] = []
    beside.put(TEXT)
    before = beside.sealed.read_bytes()
    assert beside.put(OTHER, step=told.append) is Form.SEALED
    assert told == ["1", "2", "3", "4"]
    assert (beside.text(), names(beside)) == (OTHER, ["secrets.sealed", "secrets.sealed.bak"])
    assert beside.sealed.with_name("secrets.sealed.bak").read_bytes() == before


def test_those_in_clear_stay_so_until_somebody_seals_them(beside: LogIns) -> None:
    """A box of an older version: nothing is sealed without being asked for."""
    in_clear(beside)
    assert beside.put(OTHER) is Form.CLEAR
    assert (beside.text(), names(beside)) == (OTHER, ["secrets.toml", "secrets.toml.bak"])
    assert stat.S_IMODE(beside.clear.stat().st_mode) == 0o600
    assert beside.standing() == Standing(Form.CLEAR)
    assert beside.seal() is Key.HOST
    assert (beside.text(), names(beside), lie_in_clear(beside)) == (OTHER, ["secrets.sealed"], [])


def test_a_file_of_another_user_stays_that_users(beside: LogIns) -> None:
    in_clear(beside)
    theirs = 1234 if beside.clear.stat().st_uid == 0 else beside.clear.stat().st_uid
    os.chown(beside.clear, theirs, -1)
    beside.put(OTHER)
    assert beside.clear.stat().st_uid == theirs


def test_what_a_new_box_had_before_is_wiped(beside: LogIns) -> None:
    in_clear(beside, mode=0o644)  # which nobody reads
    assert beside.put(OTHER, fresh=True) is Form.SEALED
    assert (beside.text(), names(beside)) == (OTHER, ["secrets.sealed"])


def test_the_file_is_overwritten_before_its_name_goes(
    beside: LogIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_clear(beside)
    with beside.clear.open("rb") as kept:
        beside.seal()
        assert kept.read() == bytes(len(TEXT))


def test_what_has_another_name_loses_this_one(beside: LogIns, tmp_path: Path) -> None:
    in_clear(beside)
    os.link(beside.clear, tmp_path / "kept")
    beside.seal()
    assert (names(beside), (tmp_path / "kept").read_bytes()) == (["secrets.sealed"], TEXT)


def test_a_link_goes_with_what_it_leads_to(beside: LogIns, tmp_path: Path) -> None:
    in_clear(beside)
    beside.clear.rename(tmp_path / "elsewhere")
    beside.clear.symlink_to(tmp_path / "elsewhere")
    beside.seal()
    assert (names(beside), (tmp_path / "elsewhere").exists(), beside.text()) == (
        ["secrets.sealed"],
        False,
        TEXT,
    )


def test_what_an_editor_or_a_kill_left_goes_too(beside: LogIns) -> None:
    in_clear(beside)
    for ending in (".bak", ".new", ".tmp", ".gone"):
        beside.clear.with_name(f"secrets.toml{ending}").write_bytes(TEXT)
    beside.seal()
    assert names(beside) == ["secrets.sealed"]
    beside.clear.with_name("secrets.toml.gone").write_bytes(TEXT)
    assert beside.standing() == Standing(Form.SEALED, Key.HOST, leftover=True)
    beside.seal()
    assert names(beside) == ["secrets.sealed"]


def test_both_forms(beside: LogIns) -> None:
    """What somebody put there in clear counts, and takes no other camera's log-in away; sealing seals all of them."""
    beside.put(OTHER.replace(b"recorder", b"sealed") + TEXT.replace(b"recorder", b"old"))
    before = beside.sealed.read_bytes()
    in_clear(beside)
    both = {"cam01": Login("recorder", PASSWORD), "cam02": Login("sealed", PASSWORD)}
    assert {name: beside.read().login(name) for name in beside.read().cameras()} == both
    assert beside.standing() == Standing(Form.CLEAR, Key.HOST, leftover=True)
    beside.seal()
    assert {name: beside.read().login(name) for name in beside.read().cameras()} == both
    assert names(beside) == ["secrets.sealed", "secrets.sealed.bak"]
    assert beside.sealed.with_name("secrets.sealed.bak").read_bytes() == before
    in_clear(beside)
    beside.put(OTHER)
    assert (beside.text(), names(beside)) == (OTHER, ["secrets.sealed", "secrets.sealed.bak"])
    beside.sealed.with_name("secrets.sealed.bak").rename(beside.sealed)
    assert {name: beside.read().login(name) for name in beside.read().cameras()} == both


def test_unsealed_for_an_editor(beside: LogIns) -> None:
    beside.put(TEXT)
    beside.open()
    assert (names(beside), beside.text()) == (["secrets.toml"], TEXT)
    assert stat.S_IMODE(beside.clear.stat().st_mode) == 0o600


def test_without_a_configuration_it_is_who_writes_that_owns_it(beside: LogIns, creds: FakeCreds) -> None:
    beside.config.unlink()
    creds.says("encrypt: no")
    assert beside.put(TEXT, fresh=True) is Form.CLEAR
    assert beside.clear.stat().st_uid == os.stat(beside.config.parent).st_uid


def test_h1_another_board_opens_nothing_and_takes_nothing_away(beside: LogIns, creds: FakeCreds) -> None:
    """H1."""
    beside.put(TEXT)
    before = beside.sealed.read_bytes()
    creds.exchange_board()
    for attempt in (beside.read, lambda: beside.put(OTHER), beside.seal, beside.open):
        with pytest.raises(ConfigProblems) as caught:
            attempt()
        assert code(caught) == "CONFIG_SECRETS_SHUT"
        assert caught.value.problems[0].found == "sealed to another board"
    assert (names(beside), beside.sealed.read_bytes()) == (["secrets.sealed"], before)
    beside.put(OTHER, anew=True)
    assert (beside.text(), names(beside)) == (OTHER, ["secrets.sealed", "secrets.sealed.bak"])
    assert beside.sealed.with_name("secrets.sealed.bak").read_bytes() == before


def test_a_new_box_on_a_disk_of_another_board(beside: LogIns, creds: FakeCreds) -> None:
    beside.put(TEXT)
    before = beside.sealed.read_bytes()
    creds.exchange_board()
    assert beside.put(OTHER, fresh=True) is Form.SEALED
    assert beside.sealed.with_name("secrets.sealed.bak").read_bytes() == before


def test_a_machine_that_cannot_seal_any_more(beside: LogIns, creds: FakeCreds) -> None:
    creds.says("encrypt: no")
    assert beside.put(TEXT) is Form.CLEAR  # better than none
    with pytest.raises(ConfigError) as caught:
        beside.seal()
    assert (caught.value.code, beside.text()) == ("MACHINE_SEAL", TEXT)
    creds.says("")
    beside.seal()
    creds.says("encrypt: no")
    with pytest.raises(ConfigError) as caught:
        beside.put(OTHER)
    assert (caught.value.code, beside.text()) == ("MACHINE_SEAL", TEXT)
    assert beside.put(OTHER, anew=True) is Form.CLEAR
    assert beside.text() == OTHER


def test_what_is_wrong_is_not_written(beside: LogIns) -> None:
    beside.put(TEXT)
    before = beside.sealed.read_bytes()
    with pytest.raises(ConfigProblems) as caught:
        beside.put(b'[camera.cam01]\nusername = "a:b"\npassword = "x"\n')
    assert (code(caught), beside.sealed.read_bytes()) == ("CONFIG_VALUE", before)
    assert caught.value.problems[0].file == str(beside.sealed)


def test_what_may_not_be_seen_is_not_absent(beside: LogIns) -> None:
    beside.sealed.mkdir()  # as unreadable for root as a file of mode 0 is for others
    with pytest.raises(ConfigProblems) as caught:
        beside.read()
    assert code(caught) == "CONFIG_UNREADABLE"
    assert beside.standing() == Standing(Form.SEALED, None)


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def config_of(beside: LogIns) -> SimpleNamespace:
    return SimpleNamespace(file=beside.config)


def test_h1_what_systemd_hands_over_comes_before_the_files_that_are_roots(
    beside: LogIns, handed: Path
) -> None:
    """H1: a unit that is handed nothing of them looks beside the configuration."""
    config = config_of(beside)
    in_clear(beside, OTHER)
    assert [*log_ins.read(config).cameras()] == ["cam02"]
    assert log_ins.watched(config) == (beside.clear, beside.sealed)
    (handed / "secrets.toml").write_bytes(TEXT)
    (handed / "secrets.toml").chmod(0o440)  # as an ACL shows
    assert [*log_ins.read(config).cameras()] == ["cam01"]
    assert log_ins.watched(config) == ()
    (handed / "secrets.plain").write_bytes(b"#none")
    assert [*log_ins.read(config).cameras()] == ["cam01"]
    (handed / "secrets.plain").write_bytes(OTHER)
    assert {*log_ins.read(config).cameras()} == {"cam01", "cam02"}
    (handed / "secrets.toml").write_bytes(b"#none")
    assert [*log_ins.read(config).cameras()] == ["cam02"]


def test_what_cannot_be_read_of_it(beside: LogIns, handed: Path) -> None:
    (handed / "secrets.toml").mkdir()
    with pytest.raises(ConfigProblems) as caught:
        log_ins.read(config_of(beside))
    assert code(caught) == "CONFIG_UNREADABLE"


def test_it_is_told_that_those_that_are_sealed_were_not_handed_over(beside: LogIns, handed: Path) -> None:
    config = config_of(beside)
    assert not log_ins.is_shut(config)  # nothing is handed over by anybody
    for name in ("secrets.toml", "secrets.plain"):
        (handed / name).write_bytes(b"#none")
    assert not log_ins.is_shut(config)  # and there are none
    beside.put(TEXT)
    assert log_ins.is_shut(config)
    assert log_ins.read(config) == Secrets()
    (handed / "secrets.toml").write_bytes(TEXT)
    assert not log_ins.is_shut(config)


def test_no_password_is_what_a_unit_without_a_file_is_handed() -> None:
    for name in ("record", "secrets"):
        unit = (Path(__file__).parents[2] / "systemd" / f"pasu-{name}.service").read_text()
        given = [line.split("=", 1)[1] for line in unit.splitlines() if line.startswith("SetCredential=")]
        assert given == [f"{each}:{log_ins.NOTHING.decode()}" for each in ("secrets.toml", "secrets.plain")]
