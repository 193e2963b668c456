"""What root gives to the agent when a box is made ready, and whose answers it takes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import ConfigError, StorageFault
from agent.field.setup import draft, folders
from agent.field.setup.place import Places
from agent.storage.files import Disk

AGENT = 54321
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(Places, "owner", lambda _: (AGENT, AGENT))
    (tmp_path / "etc").mkdir()
    return Places(tmp_path / "etc" / "agent.toml", tmp_path / "fstab")


def config(tmp_path: Path, **storage: Path) -> Any:
    state, vault = storage.get("state", tmp_path / "s" / "state"), storage.get("vault", tmp_path / "v")
    return SimpleNamespace(storage=SimpleNamespace(state=state, vaults=(vault,)))


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, stat.S_IMODE(status.st_mode)


def test_folders_are_made_and_given(places: Places, tmp_path: Path) -> None:
    folders.prepare(places, config(tmp_path), Disk(), mounted=False)
    assert owner(tmp_path / "s") == (AGENT, 0o750)
    assert owner(tmp_path / "s" / "state") == owner(tmp_path / "v") == (AGENT, 0o700)
    (tmp_path / "v" / "footage").touch()
    folders.prepare(places, config(tmp_path), Disk(), mounted=False)  # its own already, full or not
    folders.prepare(places, config(tmp_path, vault=tmp_path / "m"), Disk(), mounted=True)
    assert owner(tmp_path / "m") == (0, 0o755)


@pytest.mark.parametrize("which", ["state", "vault"])
def test_a_folder_with_something_in_it_that_is_not_the_agents_is_not_given(
    places: Places, tmp_path: Path, which: str
) -> None:
    theirs = tmp_path / "sudoers.d"
    theirs.mkdir(mode=0o750)
    (theirs / "README").touch()
    with pytest.raises(StorageFault) as caught:
        folders.prepare(places, config(tmp_path, **{which: theirs}), Disk(), mounted=False)
    assert caught.value.code == "INIT_FOLDER"
    assert owner(theirs) == (0, 0o750)


def test_an_empty_folder_is_given_unless_it_is_the_systems(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    (empty / "lost+found").mkdir(parents=True)
    folders.prepare(places, config(tmp_path, vault=empty), Disk(), mounted=False)
    assert owner(empty) == (AGENT, 0o700)
    monkeypatch.setattr(folders, "SYSTEM", (tmp_path.parts[1],))
    for name in ("cron.d", "link/cron.d"):  # by whatever name
        (tmp_path / "cron.d").mkdir(mode=0o755, exist_ok=True)
        if not (tmp_path / "link").exists():
            (tmp_path / "link").symlink_to(tmp_path)
        with pytest.raises(StorageFault):
            folders.prepare(places, config(tmp_path, vault=tmp_path / name), Disk(), mounted=False)
    assert owner(tmp_path / "cron.d") == (0, 0o755)
    folders.prepare(places, config(tmp_path, vault=tmp_path / "new"), Disk(), mounted=False)  # made for it


@pytest.mark.parametrize(
    ("where", "systems"),
    [
        ("/", True), ("/etc/cron.d", True), ("/usr", True), ("/var", True), ("/var/spool/cron", True),
        ("/var/lib/pasu/state", False), ("/srv/pasu", False), ("/mnt/disk", False),
    ],
)  # fmt: skip
def test_which_folders_are_the_systems(monkeypatch: pytest.MonkeyPatch, where: str, systems: bool) -> None:
    monkeypatch.setattr(Path, "readlink", lambda _: Path(where))
    assert folders._is_systems(0) is systems


def test_a_link_in_the_place_of_a_folder_is_not_followed(places: Places, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "v").symlink_to(tmp_path / "real")
    with pytest.raises(StorageFault):
        folders.prepare(places, config(tmp_path), Disk(), mounted=False)
    with pytest.raises(StorageFault):
        folders.give(Disk(), tmp_path / "v", AGENT, AGENT)
    assert owner(tmp_path / "real") == (0, 0o755)


def test_a_vault_is_given_with_what_is_in_it_and_nothing_outside(tmp_path: Path) -> None:
    vault, outside = tmp_path / "v", tmp_path / "outside"
    for each in (vault / "a" / "b", vault / "lost+found", outside):
        each.mkdir(parents=True)
    (outside / "file").touch()
    (vault / "a" / "file").touch()
    (vault / "a" / "link").symlink_to(outside)
    folders.give(Disk(), vault, AGENT, AGENT)
    assert {owner(vault / each)[0] for each in (".", "a", "a/b", "a/file", "a/link")} == {AGENT}
    assert {owner(each)[0] for each in (vault / "lost+found", outside, outside / "file")} == {0}


def test_a_folder_that_is_exchanged_while_it_is_given_leads_nowhere(tmp_path: Path) -> None:
    vault, outside = tmp_path / "v", tmp_path / "outside"
    (vault / "a").mkdir(parents=True)
    outside.mkdir()
    for each in (vault / "a" / "file", outside / "file"):
        each.touch()

    class Exchanging(Disk):
        """Somebody who may write in the vault is quick."""

        def call(self, op: str, path: Path, function: Any, *args: Any) -> Any:
            if path == vault / "a" / "file":
                (vault / "a").rename(vault / "b")
                (vault / "a").symlink_to(outside)
            return super().call(op, path, function, *args)

    folders.give(Exchanging(), vault, AGENT, AGENT)
    assert (owner(vault / "b" / "file")[0], owner(outside / "file")[0]) == (AGENT, 0)


def test_a_call_that_fails_is_a_fault(tmp_path: Path) -> None:
    class Failing(Disk):
        """Nothing is given away here."""

        def call(self, op: str, path: Path, function: Any, *args: Any) -> Any:
            if op == "chown" and path != tmp_path / self.spared:
                raise PermissionError(1, "no")
            return super().call(op, path, function, *args)

        spared = "none"

    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "file").touch()
    with pytest.raises(StorageFault):
        folders.give(Failing(), tmp_path / "v", AGENT, AGENT)
    sparing = Failing()
    sparing.spared = "v"
    with pytest.raises(StorageFault) as caught:
        folders.give(sparing, tmp_path / "v", AGENT, AGENT)
    assert caught.value.context["path"] == str(tmp_path / "v" / "file")


def test_a_draft_is_taken_from_root_alone(places: Places) -> None:
    assert draft.read(places) is None
    draft.keep(places, {"box": {"id": "gn-0007"}})
    assert draft.read(places) == {"box": {"id": "gn-0007"}}
    os.chown(places.draft, AGENT, AGENT)
    with pytest.raises(ConfigError) as caught:
        draft.read(places)
    assert (caught.value.code, caught.value.context["uid"]) == ("INIT_DRAFT", AGENT)
    draft.drop(places)
    assert draft.read(places) is None


@pytest.mark.parametrize("kind", ["writable", "link", "pipe"])
def test_nor_one_that_others_write_or_that_is_no_file(places: Places, tmp_path: Path, kind: str) -> None:
    draft.keep(places, {"box": {"id": "gn-0007"}})
    if kind == "writable":
        places.draft.chmod(0o660)
    else:
        places.draft.rename(tmp_path / "elsewhere")
        if kind == "link":
            places.draft.symlink_to(tmp_path / "elsewhere")
        else:
            os.mkfifo(places.draft)
    with pytest.raises((ConfigError, StorageFault)):
        draft.read(places)
    draft.keep(places, {"box": {"id": "gn-0008"}})  # what is asked anew is kept in its stead
    assert draft.read(places) == {"box": {"id": "gn-0008"}}
