"""[page]: where it listens is said outright, and its folder is nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import ConfigProblems, load
from agent.config.values import Page
from tests.unit.config.samples import RIGHT


def read(tmp_path, page):
    (tmp_path / "agent.toml").write_text(f"{RIGHT}\n[page]\n{page}\n", encoding="utf-8")
    return load(tmp_path / "agent.toml")


def test_what_is_left_out_has_its_default(tmp_path):
    assert read(tmp_path, 'listen = "192.168.77.1"').page == Page(
        ("192.168.77.1",), 8443, None, 9464, Path("/var/lib/pasu-page")
    )


def test_without_the_table_there_is_no_page(tmp_path):
    (tmp_path / "agent.toml").write_text(RIGHT, encoding="utf-8")
    assert load(tmp_path / "agent.toml").page is None


def test_several_addresses_and_those_of_ipv6(tmp_path):
    page = read(
        tmp_path,
        'listen = ["192.168.77.1", "fd00::0001", "192.168.77.1"]\nmetrics = "10.77.1.2"\n[tunnel]\ninterface = "pasu0"',
    ).page
    assert page.listen == ("192.168.77.1", "fd00::1")
    assert page.metrics == "10.77.1.2"


@pytest.mark.parametrize("address", ["192.168.77.1", "10.77.1.2", "fd00::1"])
def test_figures_are_read_outside_the_box_through_a_tunnel_alone(tmp_path, address):
    """H10: nobody logs in there; at the maintenance port it would be the page without a pass."""
    page = f'listen = "192.168.77.1"\nmetrics = "{address}"'
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, page)
    assert [problem.code for problem in caught.value.problems] == ["CONFIG_METRICS_OPEN"]
    assert read(tmp_path, f'{page}\n[tunnel]\ninterface = "pasu0"').page.metrics == address
    for inside in ("127.0.0.1", "::1"):
        assert read(tmp_path, f'listen = "192.168.77.1"\nmetrics = "{inside}"').page.metrics == inside


@pytest.mark.parametrize(
    ("page", "key"),
    [
        ("port = 8443", "page.listen"),
        *((f"listen = {value}", "page.listen") for value in (
            '"0.0.0.0"', '"::"', '"224.0.0.1"', '"fe80::1%eth0"', '"box.example"', "[]", "7", '["10.0.0.1", 7]', '""',
            str([f"10.0.0.{number}" for number in range(1, 11)]).replace("'", '"'),
        )),
        ('listen = "10.0.0.1"\nmetrics = "0.0.0.0"', "page.metrics"),
        ('listen = "10.0.0.1"\nport = 0', "page.port"),
        *((f'listen = "10.0.0.1"\nfolder = "{folder}"', "page.folder") for folder in (
            "/var/lib/pasu/state/page", "/var/lib/pasu/vault", "/var/lib/pasu/vault/x", "/var/lib", "/run/pasu", "page",
        )),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path, page, key):
    with pytest.raises(ConfigProblems) as caught:
        read(tmp_path, page)
    assert [problem.key for problem in caught.value.problems] == [key]
