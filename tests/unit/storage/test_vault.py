from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import StorageFault
from agent.model import utc_name
from agent.storage.files import Disk
from agent.storage.layout import Kind, Stem, classify, stem_of
from agent.storage.vault import Vault, is_vault, read_known, write_known
from tests.unit.storage.box import T0


def make(tmp_path) -> Vault:
    return Vault.create(tmp_path / "vault", "uuid-1", created_ms=T0, box="box-1")


def test_a_vault_is_opened_as_it_was_made(tmp_path) -> None:
    made = make(tmp_path)
    assert Vault.open(made.root) == made == Vault.open(made.root, "uuid-1")
    assert (made.uuid, made.created_ms, made.box) == ("uuid-1", T0, "box-1")
    assert (made.root / "VAULT").read_text() == (
        '{"box":"box-1","created_ms":1800000000000,"magic":"pasu-vault","uuid":"uuid-1","version":1}\n'
    )
    assert {path.stat().st_mode & 0o777 for path in made.root.rglob("*") if path.is_dir()} == {0o700}
    assert (made.root / "VAULT").stat().st_mode & 0o777 == 0o600
    made.verify()


def test_only_an_empty_place_becomes_a_vault(tmp_path) -> None:
    place = tmp_path / "vault"
    place.mkdir()
    (place / "lost+found").mkdir()
    (place / "segments").mkdir()  # an interrupted creation
    (place / "VAULT.tmp").write_text("half")
    Vault.create(place, "uuid-1", created_ms=T0)
    for strange in ("photos", "segments/cam1"):
        other = tmp_path / strange.replace("/", "-")
        (other / strange).mkdir(parents=True)
        with pytest.raises(StorageFault) as caught:
            Vault.create(other, "uuid-2", created_ms=T0)
        assert caught.value.code == "VAULT_NOT_EMPTY"
        assert not is_vault(other)
    with pytest.raises(StorageFault, match="VAULT_NOT_EMPTY"):
        Vault.create(place, "uuid-3", created_ms=T0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 4000,
        b'{"magic":"other","version":1,"uuid":"u","created_ms":1}',
        b'{"magic":"pasu-vault","version":2,"uuid":"u","created_ms":1}',
        b'{"magic":"pasu-vault","version":1,"uuid":"","created_ms":1}',
        b'{"magic":"pasu-vault","version":1,"uuid":7,"created_ms":1}',
        b'{"magic":"pasu-vault","version":1,"uuid":"u","created_ms":"1"}',
        b'{"magic":"pasu-vault","version":1,"uuid":"u","created_ms":true}',
        b'{"magic":"pasu-vault","version":1,"uuid":"u","created_ms":1,"box":7}',
    ],
)
def test_a_damaged_identity_is_said_to_be(tmp_path, content) -> None:
    vault = make(tmp_path)
    (vault.root / "VAULT").write_bytes(content)
    with pytest.raises(StorageFault) as caught:
        Vault.open(vault.root)
    assert caught.value.code == "VAULT_DAMAGED"
    assert caught.value.hint


def test_absence_is_never_emptiness(tmp_path) -> None:
    vault = make(tmp_path)
    for missing in ("VAULT", "segments"):
        hidden = vault.root / missing
        hidden.rename(tmp_path / "hidden")
        with pytest.raises(StorageFault) as caught:
            vault.verify()
        assert caught.value.code == "VAULT_MISSING"
        (tmp_path / "hidden").rename(hidden)
    with pytest.raises(StorageFault, match="VAULT_MISSING"):
        Vault.open(tmp_path / "nowhere")
    with pytest.raises(StorageFault, match="VAULT_MISSING"):
        Vault.open(vault.root / "VAULT")
    (vault.root / "VAULT").unlink()
    (vault.root / "VAULT").mkdir()
    with pytest.raises(StorageFault, match="DISK_FAILED"):
        Vault.open(vault.root)


def test_another_vault_is_refused(tmp_path) -> None:
    vault = make(tmp_path)
    with pytest.raises(StorageFault) as caught:
        Vault.open(vault.root, "uuid-2")
    assert caught.value.code == "VAULT_FOREIGN"
    assert caught.value.context["expected"] == "uuid-2"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_taken_name_is_never_used_again(tmp_path, kind) -> None:
    vault = make(tmp_path)
    first = vault.new_stem("cam1", T0)
    vault.at(first.path(kind)).touch()
    second = vault.new_stem("cam1", T0)
    assert (second.start_ms, second.day) == (T0 + 1, first.day)


def test_a_name_may_move_into_the_next_day(tmp_path) -> None:
    vault = make(tmp_path)
    last_ms = T0 // 86_400_000 * 86_400_000 + 86_399_999
    vault.at(vault.new_stem("cam1", last_ms).path(Kind.FINAL)).touch()
    stem = vault.new_stem("cam1", last_ms)
    assert stem.start_ms == last_ms + 1
    assert vault.at(stem.directory).is_dir()


def test_when_no_name_is_free_the_disk_is_at_fault(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("agent.storage.vault._NAMES_TRIED", 3)
    vault = make(tmp_path)
    for _ in range(3):
        vault.at(vault.new_stem("cam1", T0).path(Kind.FINAL)).touch()
    with pytest.raises(StorageFault, match="NAME_TAKEN"):
        vault.new_stem("cam1", T0)


def test_a_missing_disk_is_not_made_anew(tmp_path) -> None:
    vault = make(tmp_path)
    (vault.root / "segments").rmdir()
    with pytest.raises(StorageFault, match="DISK_MISSING"):
        vault.new_stem("cam1", T0)
    assert not (vault.root / "segments").exists()


def test_quarantine_keeps_things_as_they_are_under_names_of_their_own(tmp_path) -> None:
    vault = make(tmp_path)
    day = vault.at(vault.new_stem("cam1", T0).directory)
    names = []
    for content in ("one", "two", "three"):
        (day / "thing").write_text(content)
        names.append(vault.quarantine(day / "thing"))
    assert names == [f"quarantine/cam1.{day.name}.thing" + end for end in ("", ".1", ".2")]
    assert [vault.at(name).read_text() for name in names] == ["one", "two", "three"]
    long = day / ("가" * 80)
    long.write_text("long")
    undecodable = os.fsdecode(os.fsencode(day) + b"/\xff\xfe")
    with open(undecodable, "w") as file:
        file.write("odd")
    for path in (long, day / os.path.basename(undecodable)):
        where = vault.quarantine(path)
        assert vault.at(where).exists()
    assert os.listdir(day) == []


@given(st.integers(0, 253_402_300_799_999), st.sampled_from(list(Kind)))
def test_names_are_read_back_as_they_were_made(start_ms, kind) -> None:
    stem = stem_of("cam1", start_ms)
    _, camera, day, name = stem.path(kind).split("/")
    assert classify(camera, day, name) == (stem, kind)
    assert stem.start_ms == start_ms
    assert stem.start == utc_name(start_ms)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        ".mp4.age",
        "20270115T080000.000Z",
        "20270115T080000.000Z.mp4",
        "20270115T080000.000Z.mp4.age.part.tmp",
        "20270115T080000.000z.mp4.age",
        "20271315T080000.000Z.mp4.age",
        " 20270115T080000.000Z.mp4.age",
    ],
)
def test_other_names_are_none_of_ours(name) -> None:
    assert classify("cam1", "2027-01-15", name) is None


@pytest.mark.parametrize("camera", ["", ".", "..", "a/b", "-x", "카메라", "a\n", "a" * 65, "a\0"])
def test_what_cannot_be_a_directorys_name_is_no_camera(camera) -> None:
    with pytest.raises(ValueError):
        stem_of(camera, T0)


def test_a_stem_tells_its_files() -> None:
    stem = Stem("cam1", "2027-01-15", "20270115T080000.000Z")
    assert stem.path(Kind.SALVAGED_TAIL) == (
        "segments/cam1/2027-01-15/20270115T080000.000Z.salvaged.mp4.age.tail"
    )


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff", b'{"vaults":[]}', b'{"vaults":null}', b"[" * 9000]
)
def test_a_list_of_vaults_that_says_nothing_is_empty(tmp_path, content) -> None:
    place = tmp_path / "VAULTS"
    assert read_known(place) == {}
    place.write_bytes(content)
    assert read_known(place) == {}
    write_known(Disk(), place, {"uuid-1": "/a", "uuid-2": "/b"})
    assert read_known(place) == {"uuid-1": "/a", "uuid-2": "/b"}
    before = place.stat().st_ino
    write_known(Disk(), place, {"uuid-2": "/b", "uuid-1": "/a"})
    assert place.stat().st_ino == before, "written only when it says something new"
