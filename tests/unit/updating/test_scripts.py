"""What the package's scripts do about log-ins that a drop-in hands over: those very functions, in a folder of our own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGING = ROOT / "packaging"
FOLDER = "etc/systemd/system/pasu-record.service.d"
LINES = "[Service]\nLoadCredential=\nLoadCredentialEncrypted=secrets.toml:/etc/pasu/secrets.sealed\n"
FORMER_UNIT = (
    "[Service]\nLoadCredential=secrets.toml:/etc/pasu/secrets.toml\nSetCredential=secrets.toml:#none\n"
)


def run(script: str, function: str, root: Path) -> str:
    """Run one function of a script."""
    text = (PACKAGING / script).read_text()
    functions = re.findall(r"^\w+\(\) \{\n.*?^\}\n", text, re.MULTILINE | re.DOTALL)
    assert any(each.startswith(f"{function}()") for each in functions)
    assert re.search(rf"^    {function}( \|\| true)?$", text, re.MULTILINE), "and the script does"
    done = subprocess.run(
        ["sh", "-euc", "".join(functions) + function],
        env={
            "PATH": os.environ["PATH"],
            "DPKG_ROOT": str(root),
            "LC_ALL": "",
            "LC_MESSAGES": "",
            "LANG": "C",
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert not done.stderr
    return done.stdout


def put(root: Path, place: str, text: str) -> Path:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def drop_ins(root: Path) -> list[str]:
    return sorted(path.name for path in (root / FOLDER).glob("*"))


@pytest.mark.parametrize("name", ["sealed.conf", "pasu-record-sealed.conf", "50 by hand.conf"])
def test_a_drop_in_that_sealed_log_ins_goes_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{FOLDER}/{name}", f"# by hand\n; so it was said\n\n{LINES.replace('Load', '  Load')}  \n")
    run("postinst", "drop_former", tmp_path)
    assert not (tmp_path / FOLDER).exists()
    run("postinst", "drop_former", tmp_path)


def test_a_drop_in_that_says_anything_else_stays(tmp_path: Path) -> None:
    put(tmp_path, f"{FOLDER}/sealed.conf", LINES)
    put(tmp_path, f"{FOLDER}/network.conf", "[Service]\nIPAddressAllow=192.0.2.0/24\n")
    put(tmp_path, f"{FOLDER}/mixed.conf", f"{LINES}IPAddressAllow=192.0.2.0/24\n")
    put(tmp_path, f"{FOLDER}/note.txt", LINES)
    run("postinst", "drop_former", tmp_path)
    assert drop_ins(tmp_path) == ["mixed.conf", "network.conf", "note.txt"]


@pytest.mark.parametrize("clear", [None, ""])
def test_an_older_version_is_handed_what_is_sealed_and_the_next_one_takes_that_away(
    tmp_path: Path, clear: str | None
) -> None:
    """J3: an update that is taken back leaves each camera its log-in."""
    put(tmp_path, "lib/systemd/system/pasu-record.service", FORMER_UNIT)
    put(tmp_path, "etc/pasu/secrets.sealed", "x")
    if clear is not None:
        put(tmp_path, "etc/pasu/secrets.toml", clear)
    for _ in range(2):
        run("postrm", "hand_sealed", tmp_path)
        (name,) = drop_ins(tmp_path)
        kept = (tmp_path / FOLDER / name).read_text()
        assert name == "sealed.conf"
        assert kept.endswith(LINES)
    run("postinst", "drop_former", tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_a_version_that_opens_them_itself_is_handed_nothing(tmp_path: Path) -> None:
    put(
        tmp_path, "lib/systemd/system/pasu-record.service", (ROOT / "systemd/pasu-record.service").read_text()
    )
    put(tmp_path, "etc/pasu/secrets.sealed", "x")
    assert run("postrm", "hand_sealed", tmp_path) == ""
    assert not (tmp_path / FOLDER).exists()


def test_a_box_that_seals_nothing_is_handed_nothing(tmp_path: Path) -> None:
    put(tmp_path, "lib/systemd/system/pasu-record.service", FORMER_UNIT)
    put(tmp_path, "etc/pasu/secrets.toml", "x")
    assert run("postrm", "hand_sealed", tmp_path) == ""
    assert not (tmp_path / FOLDER).exists()


def test_where_some_lie_in_clear_an_older_version_reads_those_and_somebody_is_told(tmp_path: Path) -> None:
    put(tmp_path, "lib/systemd/system/pasu-record.service", FORMER_UNIT)
    put(tmp_path, "etc/pasu/secrets.sealed", "x")
    put(tmp_path, "etc/pasu/secrets.toml", "[camera.cam01]")
    assert "secrets.sealed" in run("postrm", "hand_sealed", tmp_path)
    assert not (tmp_path / FOLDER).exists()
