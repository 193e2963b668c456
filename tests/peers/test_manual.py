"""The manual page as man and its index read it: groff, which nobody here wrote, has nothing to complain of."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.cli.document import MANUALS
from agent.cli.parser import columns
from tests.docs.codes import ROOT
from tests.peer import need

if TYPE_CHECKING:
    from pathlib import Path

PAGES = {folder: ROOT / "docs/man" / folder / "pasu.1" for folder in MANUALS}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, laid as the package lays them."""
    root = tmp_path_factory.mktemp("man")
    for folder, page in PAGES.items():
        (root / folder).mkdir(parents=True)
        (root / folder / "pasu.1.gz").write_bytes(gzip.compress(page.read_bytes(), mtime=0))
    yield root
    shutil.rmtree(root)


def man(*words: str) -> str:
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    done = subprocess.run([need("man"), *words], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return re.sub(".\x08", "", done.stdout)


@pytest.mark.parametrize("folder", sorted(PAGES))
def test_groff_has_nothing_to_complain_of_and_each_line_fits(folder: str) -> None:
    shown = man("--warnings", "-l", str(PAGES[folder]))
    assert "pasu config check [--help] [FILE]" in shown  # a hyphen that can be copied
    assert "    sudo pasu init --answers answers.toml" in shown
    assert "`" not in shown
    examples = re.compile(r" {11}")  # as they are typed
    assert not [line for line in shown.splitlines() if columns(line) > 80 and not examples.match(line)]


def test_man_finds_it_and_korean_by_its_name_where_there_is_no_such_locale(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANPATH", str(installed))
    english = " ".join(man("pasu").split())
    assert "NAME pasu - record" in english
    assert "make the box ready by the answers" in english
    korean = " ".join(man("-L", "ko", "pasu").split())  # as bare `pasu` says
    assert "이름 pasu - 카메라" in korean
    assert "대답으로 박스를 준비합니다" in korean


@pytest.mark.parametrize("folder", sorted(PAGES))
def test_the_index_of_man_knows_what_it_is(folder: str) -> None:
    said = subprocess.run([need("lexgrog"), PAGES[folder]], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0
    assert '"pasu - ' in said.stdout
