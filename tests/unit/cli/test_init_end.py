"""What `pasu init` says last: where the page is, and what its certificate must show."""

from __future__ import annotations

import ssl
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from agent.cli.init_end import page_lines
from agent.config.load import load_text
from agent.field.page import tls
from agent.storage.files import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import Config

KEY = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def config(folder: Path, page: str) -> Config:
    text = f"""
[box]
id = "gn-0007"
site = "경포해변 3지점"
operator = "강릉시 정보산업과"
contact = "정보산업과장 033-000-0000"
[storage]
vault = "{folder}/v"
state = "{folder}/s"
recipients = ["{KEY}"]
{page}
[[camera]]
id = "cam01"
name = "주차장"
url = "rtsp://10.0.0.11/main"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""
    return load_text(text.encode(), folder / "agent.toml")


def test_without_a_page_nothing_is_said_of_one(tmp_path: Path) -> None:
    assert page_lines(config(tmp_path, "")) == []


@pytest.mark.parametrize("language", ["C", "ko_KR.UTF-8"])
def test_the_pages_addresses_are_said_as_they_are_typed_with_what_the_browser_must_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    page = f'[page]\nlisten = ["192.168.77.1", "fd00::1"]\nport = 9443\nfolder = "{tmp_path}/page"'
    known = config(tmp_path, page)
    where, none = page_lines(known)
    assert "https://192.168.77.1:9443 https://[fd00::1]:9443" in where
    assert "pasu pass issue" in where
    assert "pasu status" in none
    (tmp_path / "page").mkdir()
    said = tls.ensure(tmp_path / "page", "gn-0007", ["192.168.77.1"], Disk())
    der = ssl.PEM_cert_to_DER_cert((tmp_path / "page/cert.pem").read_text())
    assert page_lines(known)[1].endswith(f": {said}")
    assert said.replace(":", "").lower() == sha256(der).hexdigest()
