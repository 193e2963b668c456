"""Where log-ins are read and written: in clear, sealed, handed over, and the way from one to the other."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agent import links, log_ins
from agent.config import ConfigProblems, Login, Secrets
from agent.errors import ConfigError
from agent.log_ins import Form, LogIns, Standing
from agent.machine import Key
from tests.sealing import FakeCreds

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_h1_what_is_in_clear_is_whose_who_writes_it(beside: LogIns, creds: FakeCreds) -> None:
    """H1: root's, where root writes it, whosever the configuration is, or a file that somebody else put there."""
    theirs = 1234 if beside.config.stat().st_uid == 0 else beside.config.stat().st_uid
    os.chown(beside.config, theirs, -1)
    creds.says("encrypt: no")
    beside.put(TEXT)
    ours = os.stat(beside.config.parent).st_uid
    assert beside.clear.stat().st_uid == ours
    os.chown(beside.clear, theirs, -1)
    beside.put(OTHER)
    assert {each.stat().st_uid for each in beside.config.parent.glob("secrets*")} == {ours}
    creds.says("")
    beside.seal()
    beside.open()
    assert beside.clear.stat().st_uid == ours


BROKER = TEXT.replace(b"camera.cam01", b'broker."10.0.0.5"')


@pytest.mark.parametrize("form", Form)
def test_what_a_box_had_that_is_set_up_again_stays_beside_and_brokers_keep_their_log_ins(
    beside: LogIns, creds: FakeCreds, form: Form
) -> None:
    """Of brokers the interview does not ask; and who set it up again may want what was."""
    (beside.put if form is Form.SEALED else in_clear_of(beside))(TEXT + BROKER)
    if form is Form.ABSENT:
        creds.says("encrypt: no")
    beside.put(OTHER, fresh=True)
    now = beside.read()
    assert ([*now.cameras()], [*now.brokers()]) == (["cam02"], ["10.0.0.5"])
    kept = beside.counts().with_name(beside.counts().name + ".bak")
    was = kept.read_bytes() if form is Form.ABSENT else beside.machine.opened(kept.read_bytes())
    assert was == TEXT + BROKER
    assert len(names(beside)) == 2


def in_clear_of(beside: LogIns) -> Callable[[bytes], None]:
    return lambda text: in_clear(beside, text)


@pytest.mark.parametrize(("text", "mode"), [(TEXT, 0o644), (b"[nonsense", 0o600)])
def test_what_it_had_that_is_not_right_stays_beside_too(beside: LogIns, text: bytes, mode: int) -> None:
    in_clear(beside, text, mode)
    assert beside.put(OTHER, fresh=True) is Form.SEALED
    assert (beside.text(), names(beside)) == (OTHER, ["secrets.sealed", "secrets.sealed.bak"])
    assert beside.machine.opened(beside.sealed.with_name("secrets.sealed.bak").read_bytes()) == text


def test_in_the_place_of_what_cannot_be_read_a_new_box_has_its_own(beside: LogIns) -> None:
    os.mkfifo(beside.clear, 0o600)
    for attempt in (beside.read, beside.seal, lambda: beside.put(OTHER)):
        with pytest.raises(ConfigProblems) as caught:
            attempt()  # and nobody waits for the other end
        assert code(caught) == "CONFIG_UNREADABLE"
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


def planted(beside: LogIns, how: str, name: Path, other: Path) -> None:
    """Put what user pasu may put there under a name."""
    if how == "link":
        name.symlink_to(other)
    elif how == "loop":
        name.symlink_to(name)
    elif how == "hard link":
        os.link(other, name)
    elif how == "pipe":
        os.mkfifo(name)
    else:
        name.mkdir()


@pytest.mark.parametrize("ending", [".gone", ".bak", ".new", ".tmp"])
@pytest.mark.parametrize("how", ["link", "loop", "hard link", "pipe", "folder"])
def test_h1_what_is_planted_beside_makes_nobody_lose_another_file(
    beside: LogIns, tmp_path: Path, how: str, ending: str
) -> None:
    """H1: the folder is also the agent's, who is not root: what root overwrites is never what it chose."""
    other = tmp_path / "shadow"
    other.write_bytes(TEXT)
    beside.put(TEXT)
    in_clear(beside)
    name = beside.clear.with_name(f"secrets.toml{ending}")
    planted(beside, how, name, other)
    beside.put(OTHER)
    left = [name.name] if how == "folder" else []
    assert names(beside) == ["secrets.sealed", "secrets.sealed.bak", *left]
    assert (other.read_bytes(), beside.text()) == (TEXT, OTHER)


@pytest.mark.parametrize("what", ["another's", "no log-ins", "a link to itself", "too many"])
def test_h1_only_roots_own_link_to_log_ins_is_followed(
    beside: LogIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """H1."""
    beside.put(TEXT)
    other = tmp_path / "other"
    other.write_bytes(b"[box]\n" if what == "no log-ins" else TEXT)
    other.chmod(0o600)
    beside.clear.symlink_to(other)
    if what == "another's":
        os.lchown(beside.clear, 1234, -1) if os.getuid() == 0 else monkeypatch.setattr(
            os, "geteuid", lambda: 77
        )
    if what == "a link to itself":
        other.unlink()
        other.symlink_to(other)
    before = other.lstat().st_mtime_ns
    if what == "a link to itself":
        with pytest.raises(ConfigProblems):
            beside.put(OTHER)
        beside.put(OTHER, fresh=True)
    elif what == "no log-ins":
        beside.put(OTHER, fresh=True)
    elif what == "too many":
        monkeypatch.setattr(links, "LINKS", 0)
        beside.put(OTHER)
    else:
        beside.put(OTHER)
    assert other.lstat().st_mtime_ns == before
    assert (files_exist(beside.clear), beside.text()) == (False, OTHER)


def files_exist(path: Path) -> bool:
    return os.path.lexists(path)


def test_what_a_kill_left_where_a_link_led_goes_too(beside: LogIns, tmp_path: Path) -> None:
    beside.put(TEXT)
    beside.clear.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere.gone").write_bytes(bytes(9) + TEXT[9:])
    beside.seal()
    assert (names(beside), (tmp_path / "elsewhere.gone").exists()) == (
        ["secrets.sealed", "secrets.sealed.bak"],
        False,
    )


def test_an_empty_file_in_clear_is_the_same_as_none(beside: LogIns) -> None:
    beside.put(TEXT)
    before = beside.sealed.read_bytes()
    in_clear(beside, b"")
    assert (beside.text(), beside.counts()) == (TEXT, beside.sealed)
    assert beside.standing() == Standing(Form.SEALED, Key.HOST, leftover=True)
    beside.seal()
    assert (names(beside), beside.sealed.read_bytes()) == (["secrets.sealed"], before)


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
    for text in (OTHER, OTHER + TEXT, TEXT):  # camera by camera, as they are given anew
        beside.put(text, anew=True)
    assert beside.text() == TEXT
    assert names(beside) == ["secrets.sealed", "secrets.sealed.bak", "secrets.sealed.shut"]
    assert beside.sealed.with_name("secrets.sealed.shut").read_bytes() == before
    former = beside.sealed.with_name("secrets.sealed.bak").read_bytes()
    assert beside.machine.opened(former) == OTHER + TEXT


def test_each_board_that_fails_leaves_its_file(beside: LogIns, creds: FakeCreds) -> None:
    beside.put(TEXT)
    first = beside.sealed.read_bytes()
    beside.sealed.with_name("secrets.sealed.shut").mkdir()  # whatever has the name
    creds.exchange_board()
    beside.put(OTHER, anew=True)
    assert beside.sealed.with_name("secrets.sealed.shut.2").read_bytes() == first
    beside.sealed.write_bytes(first)  # as if killed before the last step
    beside.put(OTHER, anew=True)
    assert names(beside) == ["secrets.sealed", "secrets.sealed.shut", "secrets.sealed.shut.2"]


def test_a_new_box_on_a_disk_of_another_board(beside: LogIns, creds: FakeCreds) -> None:
    beside.put(TEXT)
    before = beside.sealed.read_bytes()
    creds.exchange_board()
    assert beside.put(OTHER, fresh=True) is Form.SEALED
    assert beside.sealed.with_name("secrets.sealed.shut").read_bytes() == before


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
    before = beside.sealed.read_bytes()
    assert beside.put(OTHER, anew=True) is Form.CLEAR
    assert (beside.text(), names(beside)) == (OTHER, ["secrets.sealed.shut", "secrets.toml"])
    assert beside.sealed.with_name("secrets.sealed.shut").read_bytes() == before


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


def test_it_is_told_that_those_that_are_sealed_were_not_handed_over(
    beside: LogIns, handed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(beside)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert not log_ins.is_shut(config)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    assert not log_ins.is_shut(config)  # nothing is handed over by anybody
    for name in ("secrets.toml", "secrets.plain"):
        (handed / name).write_bytes(b"#none")
    assert not log_ins.is_shut(config)  # and there are none
    beside.put(TEXT)
    assert log_ins.is_shut(config)
    assert log_ins.read(config) == Secrets()
    for opened in (TEXT, b""):  # nobody has one, and that is what was opened
        (handed / "secrets.toml").write_bytes(opened)
        assert not log_ins.is_shut(config)


@pytest.mark.parametrize("seal", [lambda it: it.put(b""), lambda it: in_clear(it, b"") or it.seal()])
def test_no_log_in_at_all_is_sealed_as_a_text_that_is_not_empty(beside: LogIns, seal: Any) -> None:
    seal(beside)
    assert (beside.read(), beside.standing().form) == (Secrets(), Form.SEALED)
    assert beside.text().strip()


def test_no_password_is_what_a_unit_without_a_file_is_handed() -> None:
    for name in ("record", "secrets"):
        unit = (Path(__file__).parents[2] / "systemd" / f"pasu-{name}.service").read_text()
        given = [line.split("=", 1)[1] for line in unit.splitlines() if line.startswith("SetCredential=")]
        assert given == [f"{each}:{log_ins.NOTHING.decode()}" for each in ("secrets.toml", "secrets.plain")]
