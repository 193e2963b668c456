"""The stick's install.sh beside programs that only say what they were asked; `tests/peers/test_package.py` has the real ones."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging/install.sh"
PACKAGE = "pasu-agent_0.1.0_amd64.deb"
FAKES = {
    "id": "echo 0",
    "dpkg": "echo amd64",
    "apt-get": 'for word; do :; done; echo "apt $word" >>"$ASKED"',
    "pasu": 'echo "pasu $*" >>"$ASKED"; exit "$KEEP"',
}


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "my stick"
    folder.mkdir()
    script = SCRIPT.read_text()
    assert ". /etc/os-release" in script  # whatever Debian these tests run on
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    (folder / "install.sh").write_text(script.replace("/etc/os-release", f'"{tmp_path}/os-release"'))
    for name in (PACKAGE, f"{PACKAGE}.minisig"):
        (folder / name).write_text("x")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in FAKES.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    return folder


def install(stick: Path, *, keep: int = 0, language: str = "C") -> tuple[int, str, str, list[str]]:
    """Return status, what was said, what was complained of, and who was asked what."""
    with (stick / "SHA256SUMS").open("w") as sums:
        names = sorted(path.name for path in stick.iterdir() if path.name != "SHA256SUMS")
        subprocess.run(["sha256sum", *names], cwd=stick, stdout=sums, check=True)
    asked = stick.parent / "asked"
    path = f"{stick.parent}/bin:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", stick / "install.sh"],
        env={"PATH": path, "ASKED": str(asked), "KEEP": str(keep), "LC_ALL": language},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr, asked.read_text().splitlines()


def test_j3_a_signed_package_is_kept_once_it_is_installed(stick: Path) -> None:
    """J3: the way back exists before the first update."""
    status, said, wrong, asked = install(stick)
    assert status == 0, wrong
    file = stick / PACKAGE
    assert asked == ["apt update", f"apt {file}", f"pasu update keep {file}"]
    assert said.endswith("Installed. Now: sudo pasu init\n")


@pytest.mark.parametrize(("language", "words"), [("C", "not signed"), ("ko_KR.UTF-8", "서명 없는")])
def test_a_package_without_a_signature_is_installed_and_not_kept(
    stick: Path, language: str, words: str
) -> None:
    (stick / f"{PACKAGE}.minisig").unlink()
    status, said, wrong, asked = install(stick, language=language)
    assert status == 0, wrong
    assert words in said
    assert not any(line.startswith("pasu") for line in asked)


@pytest.mark.parametrize(("language", "words"), [("C", "not kept"), ("ko_KR.UTF-8", "간직하지 못했습니다")])
def test_what_cannot_be_kept_is_said_with_what_to_do_and_is_installed(
    stick: Path, language: str, words: str
) -> None:
    status, said, wrong, _ = install(stick, keep=1, language=language)
    assert status == 0
    assert words in wrong
    assert f'sudo pasu update keep "{stick / PACKAGE}"' in wrong
    assert "pasu init" in said


def apt(stick: Path, body: str) -> None:
    (stick.parent / "bin/apt-get").write_text(
        f'#!/bin/sh\nfor word; do :; done; echo "apt $word" >>"$ASKED"\n{body}\n'
    )


def test_what_apt_says_is_not_shown_while_all_goes_well_and_its_warnings_are(stick: Path) -> None:
    apt(stick, 'echo "Ign:1 file:/nowhere InRelease"; echo "W: a warning" >&2')
    status, said, wrong, _ = install(stick)
    assert status == 0
    assert "Ign:" not in said + wrong
    assert "W: a warning" in wrong
    assert said.splitlines()[0] == "Installing; this may take some minutes..."


@pytest.mark.parametrize(
    ("language", "words"), [("C", "Not installed"), ("ko_KR.UTF-8", "설치하지 못했습니다")]
)
def test_when_apt_fails_all_that_it_said_is_shown_and_nothing_goes_on(
    stick: Path, language: str, words: str
) -> None:
    apt(stick, 'echo "Unpacking x ..."; echo "E: no room" >&2; [ "$word" = update ] || exit 100')
    status, said, wrong, asked = install(stick, language=language)
    assert status == 100
    assert "Unpacking x ..." in wrong
    assert "E: no room" in wrong
    assert wrong.rstrip().splitlines()[-1].startswith(words)
    assert "pasu" not in said
    assert not any(line.startswith("pasu") for line in asked)
