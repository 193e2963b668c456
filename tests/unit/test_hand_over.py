"""What recording is handed of log-ins in clear: a file of that folder, and no other that somebody has it lead to."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from agent import hand_over

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"[camera.cam01]\n"
SOMEBODY = 54321


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("etc", "run", "root"):
        (tmp_path / name).mkdir()
    return tmp_path / "etc" / "secrets.toml", tmp_path / "run" / "secrets.plain"


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_is_handed_over_as_it_is(places: tuple[Path, Path], mode: int) -> None:
    clear, copy = places
    clear.write_bytes(TEXT)
    clear.chmod(mode)
    assert hand_over.main(*places) == 0
    assert (copy.read_bytes(), stat.S_IMODE(copy.stat().st_mode)) == (TEXT, 0o600)


def test_the_copy_goes_with_the_file(places: tuple[Path, Path]) -> None:
    clear, copy = places
    assert hand_over.main(*places) == 0
    assert not copy.exists()
    clear.write_bytes(TEXT)
    hand_over.main(*places)
    clear.unlink()
    assert hand_over.main(*places) == 0
    assert not copy.exists()


def test_a_link_of_ones_own_is_followed(places: tuple[Path, Path], tmp_path: Path) -> None:
    clear, copy = places
    (tmp_path / "root" / "log-ins").write_bytes(TEXT)
    clear.symlink_to(tmp_path / "root" / "log-ins")
    assert hand_over.main(*places) == 0
    assert copy.read_bytes() == TEXT


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("kind", ["link", "link in a link", "folder", "pipe"])
def test_h1_what_somebody_put_there_hands_over_nothing(
    places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """H1: user pasu may write the folder, and is to be handed no file of root's by it."""
    clear, copy = places
    shadow = tmp_path / "root" / "shadow"
    shadow.write_bytes(b"root:secret")
    shadow.chmod(0o600)
    copy.write_bytes(b"those before")
    if kind == "folder":
        clear.mkdir()
        (clear / "inner").symlink_to(shadow)
    elif kind == "pipe":
        os.mkfifo(clear)
    else:
        theirs = clear.with_name("theirs") if kind == "link in a link" else clear
        theirs.symlink_to(shadow)
        os.chown(theirs, SOMEBODY, SOMEBODY, follow_symlinks=False)
        if theirs != clear:
            clear.symlink_to(theirs)
    assert hand_over.main(*places) == 1
    assert "<3>" in capsys.readouterr().err
    assert list(copy.parent.iterdir()) == []
