"""Cameras at addresses that are not private: what the unit that records is told, and what it is never told."""

from __future__ import annotations

import errno
import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.let_pass import told
from agent.errors import StorageFault
from agent.field.setup import drop_in, passing
from tests.unit.storage.box import FailingDisk

ROOT = Path(__file__).parents[3]
CAMERA = """
[[camera]]
id = "{0}"
name = "{0}"
url = "{1}"
purpose = "crime-prevention"
legal_basis = "개인정보 보호법 제25조제1항제2호"
"""


def test_what_is_let_pass_for_every_box_is_what_the_unit_says() -> None:
    unit = (ROOT / "systemd/pasu-record.service").read_text()
    lines = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("IPAddressAllow=")]
    assert lines == [" ".join(passing.UNIT)]


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.11",
        "100.64.3.4",
        "172.31.255.1",
        "192.168.0.9",
        "169.254.7.7",
        "fd00::1",
        "fe80::1%eth0",
        "::1",
        "127.0.0.1",
        "239.1.2.3",
        "ff02::1",
        "::ffff:10.0.0.11",
        "localhost",
        "camera.example",
    ],
)
def test_what_the_unit_lets_pass_by_itself_is_not_named_again(host: str) -> None:
    assert passing.outside([host]) == ()


def test_each_address_that_is_not_private_is_let_pass_alone() -> None:
    hosts = [
        "203.0.113.7",
        "2001:db8::7",
        "::ffff:198.51.100.2",
        "203.0.113.7",
        "fe80:0:0:1::5",
        "172.32.0.1",
    ]
    found = passing.outside(hosts)
    assert found == ("172.32.0.1", "198.51.100.2", "203.0.113.7", "2001:db8::7", "fe80:0:0:1::5")
    lines = passing.text(found).splitlines()
    assert lines[2:] == ["[Service]", *(f"IPAddressAllow={each}" for each in found)]
    assert passing.text(()) == ""


def test_names_are_told_and_never_let_pass() -> None:
    hosts = ["localhost", "b.example", "a.example", "203.0.113.7", "fe80::1%eth0"]
    assert passing.names(hosts) == ("a.example", "b.example")
    assert passing.outside(hosts) == ("203.0.113.7",)


@given(st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)))
def test_never_wider_than_single_addresses_that_were_named(hosts: list[str]) -> None:
    for each in passing.outside(hosts):
        mapped = [getattr(ipaddress.ip_address(host), "ipv4_mapped", None) for host in hosts]
        assert each in hosts or each in map(str, mapped)


def config(folder: Path, *urls: str):
    from agent.config.load import load_text

    head = '[box]\nid = "gn-0007"\nsite = "a"\noperator = "b"\ncontact = "c"\n[storage]\n'
    head += f'vault = "{folder}/v"\nstate = "{folder}/s"\n'
    head += 'recipients = ["age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"]\n'
    cameras = "".join(CAMERA.format(f"cam{number}", url) for number, url in enumerate(urls, 1))
    return load_text((head + cameras).encode(), folder / "agent.toml")


def test_the_file_comes_changes_and_goes_with_the_addresses(tmp_path: Path) -> None:
    file = tmp_path / "system/pasu-record.service.d/pasu-cameras.conf"
    private, public = "rtsp://10.0.0.11/main", "rtsp://203.0.113.7:8554/main"
    assert drop_in.put(config(tmp_path, private), file) == drop_in.Passing((), (), changed=False)
    assert not file.parent.exists()

    done = drop_in.put(config(tmp_path, private, public, "http://camera.example/a"), file)
    assert done == drop_in.Passing(("203.0.113.7",), ("camera.example",), changed=True)
    assert file.read_text().endswith("[Service]\nIPAddressAllow=203.0.113.7\n")
    assert [each.stat().st_mode & 0o777 for each in (file, file.parent, file.parent.parent)] == [
        0o644,
        0o755,
        0o755,
    ]
    assert drop_in.put(config(tmp_path, private, public), file).changed is False

    by_hand = file.with_name("network.conf")
    by_hand.write_text("[Service]\nIPAddressAllow=203.0.113.0/24\n")
    assert drop_in.put(config(tmp_path, "rtsp://198.51.100.2/main"), file).addresses == ("198.51.100.2",)
    assert "203.0.113.7" not in file.read_text()
    assert drop_in.put(config(tmp_path, private), file).changed
    assert sorted(file.parent.iterdir()) == [by_hand]
    assert drop_in.put(config(tmp_path, private), file).changed is False


def test_a2_each_call_fails_once_and_the_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    """A2."""
    old, new = config(tmp_path, "rtsp://203.0.113.7/a"), config(tmp_path, "rtsp://198.51.100.2/a")
    counted = FailingDisk()
    drop_in.put(old, tmp_path / "0/d/a.conf", counted)
    drop_in.put(new, tmp_path / "0/d/a.conf", counted)
    texts = {passing.text([each]) for each in ("203.0.113.7", "198.51.100.2")}
    for number in range(len(counted.calls)):
        file = tmp_path / f"{number + 1}/d/a.conf"
        failing = FailingDisk(lambda each, _op, _path, wanted=number: errno.EIO if each == wanted else None)
        with pytest.raises(StorageFault):
            _ = [drop_in.put(each, file, failing) for each in (old, new)]
        assert not file.exists() or file.read_text() in texts
        drop_in.put(new, file)
        assert file.read_text() == passing.text(["198.51.100.2"])


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(StorageFault):
        drop_in.put(config(tmp_path, "rtsp://203.0.113.7/a"), tmp_path)


def test_it_is_told_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    for language, words in (
        ("ko_KR.UTF-8", ("닿게", "지웠습니다", "이름으로")),
        ("C", ("no others", "gone", "by name")),
    ):
        monkeypatch.setenv("LC_ALL", language)
        assert words[0] in told(("203.0.113.7",), (), changed=True)[0]
        assert words[1] in told((), (), changed=True)[0]
        assert words[2] in told((), ("camera.example",), changed=False)[0]
        assert told((), (), changed=False) == []
