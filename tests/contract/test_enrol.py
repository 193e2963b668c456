"""Enrolment on a real disk: killed after each step it comes to the same end; who may take whose place (E13, G7)."""

from __future__ import annotations

import errno
import json
import os
import ssl
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.centre import registry, rings
from agent.cli.main import main
from agent.command import ring as box_rings
from agent.command.keyring import Role
from agent.enrolment import box, form
from agent.errors import ConfigError, IntegrityFault, StorageFault
from agent.storage.files import Disk
from tests.town import Town, configured, no_passphrase
from tests.unit.storage.box import FailingDisk

NOW = 1_800_000_000_000


class Killed(BaseException):
    pass


@pytest.fixture
def town(tmp_path):
    return Town(tmp_path / "town")


@pytest.fixture
def config(tmp_path):
    return configured(tmp_path / "box")


def answer(town: Town, asked: form.Request, **more) -> form.Bundle:
    text = registry.enrol(town.city, asked, 90, datetime.now(UTC), no_passphrase, **more)
    return form.read_bundle(text.encode())


def files_of(state) -> dict[str, bytes]:
    return {
        str(path.relative_to(state)): path.read_bytes()
        for folder in ("centre", "uplink")
        for path in (state / folder).iterdir()
        if path.is_file() and not path.name.endswith("lock")
    }


def usable(state) -> bool:
    context = ssl.create_default_context(cafile=str(state / "uplink" / "ca.pem"))
    try:
        context.load_cert_chain(state / "uplink" / "box.pem", state / "uplink" / "box.key")
    except (OSError, ssl.SSLError):
        return False
    return True


@pytest.mark.parametrize("renewal", [False, True])
def test_killed_after_each_step_the_same_bundle_comes_to_the_same_end(town, tmp_path, renewal):
    config = configured(tmp_path / "box")
    state = config.storage.state
    if renewal:
        box.accept(config, answer(town, box.request(config, Disk(), NOW)), Disk())
        town.hire(Role.OFFICER, "김OO")
    bundle = answer(town, box.request(config, Disk(), NOW, new_key=renewal))
    for wanted in ("N1", "N2", "N3", "N4", "N5"):

        def step(number: str, wanted: str = wanted) -> None:
            if number == wanted:
                raise Killed

        with pytest.raises(Killed):
            box.accept(config, bundle, Disk(), step)
        box_rings.load(state)  # root and ring are there together, whatever happened
    box.accept(config, bundle, Disk())
    assert usable(state)
    assert box_rings.load(state).epoch == bundle.ring.epoch
    assert set(files_of(state)) == {
        "centre/root.json",
        "centre/ring.jws",
        "uplink/ca.pem",
        "uplink/box.pem",
        "uplink/box.key",
    }
    for name in ("box.key", "box.pem"):
        assert stat.S_IMODE((state / "uplink" / name).stat().st_mode) == 0o600
    found = box.show(state)
    assert found.fits
    assert found.root == town.city.root


def test_each_call_failing_once_leaves_an_enrolment_whole_or_absent(town, config):
    state = config.storage.state
    bundle = answer(town, box.request(config, Disk(), NOW))
    for number in range(60):
        disk = FailingDisk(lambda count, _op, _path, number=number: errno.EIO if count == number else None)
        try:
            box.accept(config, bundle, disk)
        except StorageFault:
            box_rings.load(state)
            continue
        break
    else:
        raise AssertionError("never done")
    assert number > 10
    assert usable(state)


def test_a_bundle_is_only_for_the_box_and_the_keys_that_asked(town, config, tmp_path):
    bundle = answer(town, box.request(config, Disk(), NOW))
    other = configured(tmp_path / "other", "gn-0008")
    with pytest.raises(ConfigError) as caught:
        box.accept(other, bundle, Disk())
    assert caught.value.code == "ENROL_OTHER_BOX"
    twin = configured(tmp_path / "twin")
    with pytest.raises(ConfigError) as caught:
        box.accept(twin, bundle, Disk())
    assert caught.value.code == "ENROL_OTHER_KEY"
    assert not (twin.storage.state / "centre").exists()


def test_an_enrolled_box_takes_no_other_citys_bundle(town, config, tmp_path):
    box.accept(config, answer(town, box.request(config, Disk(), NOW)), Disk())
    before = files_of(config.storage.state)
    elsewhere = Town(tmp_path / "elsewhere")
    bundle = answer(elsewhere, box.request(config, Disk(), NOW))
    with pytest.raises(ConfigError) as caught:
        box.accept(config, bundle, Disk())
    assert caught.value.code == "ENROL_OTHER_CITY"
    assert files_of(config.storage.state) == before


def test_an_older_ring_in_a_bundle_is_not_gone_back_to(town, config):
    asked = box.request(config, Disk(), NOW)
    old = answer(town, asked)
    town.hire(Role.OFFICER, "김OO")
    box.accept(config, answer(town, asked), Disk())
    box.accept(config, old, Disk())
    assert box_rings.load(config.storage.state).epoch == 2


def test_e13_a_certificate_is_renewed_beside_the_one_in_use(town, config):
    """E13: until the answer is there, key and certificate in use stay as they are."""
    state = config.storage.state
    box.accept(config, answer(town, box.request(config, Disk(), NOW)), Disk())
    before = files_of(state)
    asked = box.request(config, Disk(), NOW, new_key=True)
    assert {name: data for name, data in files_of(state).items() if name != "uplink/box.key.next"} == before
    assert usable(state)
    assert box.request(config, Disk(), NOW).tls_key == asked.tls_key
    bundle = answer(town, asked)  # by one person: the box that is known signed it
    box.accept(config, bundle, Disk())
    assert usable(state)
    assert (state / "uplink" / "box.key").read_bytes() != before["uplink/box.key"]
    same = answer(town, box.request(config, Disk(), NOW))
    box.accept(config, same, Disk())
    assert same.tls_key == bundle.tls_key
    assert same.certificate != bundle.certificate
    known = registry.find(town.city, "gn-0007")
    assert len(known.earlier) == 2


def test_g7_a_box_with_other_keys_needs_two_people(town, config, tmp_path):
    """G7: whoever has lost its keys, or pretends to, is enrolled again by two people in charge."""
    answer(town, box.request(config, Disk(), NOW))
    again = box.request(configured(tmp_path / "again"), Disk(), NOW)
    kim, lee = town.hire(Role.OFFICER, "김OO"), town.hire(Role.DEPARTMENT, "이OO")
    both = town.hire(Role.DEPARTMENT, "김OO")
    park = town.hire(Role.TECHNICIAN, "박OO")
    for few in ((), (kim,), (kim, kim), (kim, both), (kim, park), (park, town.service())):
        with pytest.raises(ConfigError) as caught:
            answer(town, again, agreed=few)
        assert caught.value.code == "ENROL_AGAIN"
    before = registry.find(town.city, "gn-0007")
    bundle = answer(town, again, agreed=(kim, lee))
    assert bundle.tls_key == again.tls_key
    known = registry.find(town.city, "gn-0007")
    assert known.vkey == again.vkey
    assert len(known.earlier[-1]["agreed"]) == 2
    from cryptography import x509

    crl = x509.load_pem_x509_crl(town.city.at("ca", "crl.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(before.serial) is not None
    assert crl.get_revoked_certificate_by_serial_number(known.serial) is None


def test_a_box_that_was_turned_out_does_not_renew(town, config):
    asked = box.request(config, Disk(), NOW)
    answer(town, asked)
    registry.turn_out(town.city, "gn-0007", datetime.now(UTC), no_passphrase)
    with pytest.raises(ConfigError) as caught:
        answer(town, asked)
    assert caught.value.code == "ENROL_AGAIN"


@pytest.mark.parametrize("name", ["centre", "centre-watch"])
def test_e8_no_box_is_called_as_the_centre_or_one_of_its_programs(town, tmp_path, name):
    asked = box.request(configured(tmp_path / "odd", name), Disk(), NOW)
    with pytest.raises(ConfigError) as caught:
        answer(town, asked)
    assert caught.value.code == "ENROL_RESERVED"


def test_a_damaged_key_is_told_and_not_replaced(town, config):
    box.accept(config, answer(town, box.request(config, Disk(), NOW)), Disk())
    key = config.storage.state / "uplink" / "box.key"
    key.write_bytes(b"nothing")
    with pytest.raises(IntegrityFault) as caught:
        box.request(config, Disk(), NOW)
    assert caught.value.code == "KEY_DAMAGED"
    key.unlink()
    with pytest.raises(IntegrityFault) as caught:
        box.request(config, Disk(), NOW)
    assert caught.value.code == "KEY_DAMAGED"
    (config.storage.state / "uplink" / "box.pem").write_bytes(b"nothing")
    key.write_bytes(b"nothing")
    with pytest.raises(IntegrityFault):
        box.show(config.storage.state)


@pytest.mark.parametrize(("lines", "hint"), [("24", True), ("60", False)])
def test_a_terminal_that_is_too_low_for_the_code_is_told_how_high_it_has_to_be(
    tmp_path, capsys, monkeypatch, lines, hint
):
    """A serial console has 24 lines: the upper part of the code has scrolled away before anybody can photograph it."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", lines)
    config = str(configured(tmp_path / "box").file)
    assert main(["enrol", "request", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "█" in said
    assert ("`sudo pasu enrol request` again" in said) is hint


def test_the_whole_way_by_hand(tmp_path, capsys, monkeypatch):
    """What a city and a technician type, and what they read to each other."""
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115 - closed with the process
    config = str(configured(tmp_path / "box").file)
    city, picture, bundle = (str(tmp_path / name) for name in ("gangneung", "photo.png", "bundle.json"))
    secret = tmp_path / "passphrase"
    secret.write_text("열려라 참깨\n")
    lock = ["--passphrase-file", str(secret)]
    init = ["centre", "init", city, "--city", "gangneung", "--name", "강릉시", "--broker", "10.77.0.1"]
    assert main([*init, *lock]) == 0
    assert main([*init, *lock]) == 78  # nothing is ever written over
    assert "ENCRYPTED" in (tmp_path / "gangneung" / "root" / "root.pem").read_text()
    assert main(["centre", "key", "add", "--role", "officer", "--holder", "김OO", "--city", city, *lock]) == 0
    secret.write_text("wrong")
    assert (
        main(["centre", "key", "add", "--role", "officer", "--holder", "이OO", "--city", city, *lock]) == 78
    )
    secret.write_text("열려라 참깨")
    assert (
        main(["centre", "key", "add", "--role", "officer", "--holder", "김OO", "--city", city, *lock]) == 78
    )
    renew = [
        "centre",
        "key",
        "add",
        "--role",
        "officer",
        "--holder",
        "김OO",
        "--city",
        city,
        "--renew",
        *lock,
    ]
    assert main(renew) == 0
    capsys.readouterr()
    assert main(["centre", "key", "list", "--city", city, "--json"]) == 0
    ring = json.loads(capsys.readouterr().out)
    assert (ring["epoch"], [key["holder"] for key in ring["keys"]]) == (3, ["centre", "김OO", "김OO"])
    assert main(["enrol", "show", "--config", config]) == 0
    assert main(["enrol", "request", "--config", config]) == 0
    assert main(["enrol", "request", "--config", config, "--image", picture]) == 0
    printed = capsys.readouterr().out
    fingerprint = box.show(configured(tmp_path / "box").storage.state).fingerprint
    assert fingerprint in printed
    enrol = ["centre", "enrol", picture, "-o", bundle, "--city", city, *lock]
    assert main(enrol) == 78  # nobody confirmed it
    assert main([*enrol, "--yes"]) == 0
    told = capsys.readouterr().out
    assert fingerprint in told
    assert main([*enrol, "--yes"]) == 78  # the bundle is there
    assert main(["enrol", "accept", bundle, "--config", config]) == 78
    assert main(["enrol", "accept", bundle, "--config", config, "--yes"]) == 0
    taken = capsys.readouterr().out
    assert form.read_bundle((tmp_path / "bundle.json").read_bytes()).fingerprint in taken
    assert (
        main(["enrol", "accept", bundle, "--config", config]) == 0
    )  # again, by the same city: nobody is asked
    assert main(["enrol", "show", "--config", config, "--json"]) == 0
    shown = capsys.readouterr().out
    shown = json.loads(shown[shown.index("{") :])
    assert (shown["city"], shown["ring_epoch"], shown["certificate_fits"]) == ("gangneung", 3, True)


def test_what_a_key_ring_may_not_say_is_refused_at_the_centre(town):
    for grant in (
        rings.Grant(Role.TECHNICIAN, "박OO", days=32),
        rings.Grant(Role.OFFICER, "김OO", days=401),
        rings.Grant(Role.OFFICER, ""),
        rings.Grant(Role.SERVICE, rings.SERVICE),
        rings.Grant(Role.OFFICER, "김OO", boxes=("../x",)),
    ):
        with pytest.raises(ConfigError) as caught:
            rings.add_key(town.city, town.root_key(), grant, NOW)
        assert caught.value.code == "RING_REFUSED"
    assert rings.newest(town.city).epoch == 1


def test_no_edition_of_a_ring_has_the_number_of_another(town):
    first = town.city.at("ring.jws").read_bytes()
    kim = town.hire(Role.OFFICER, "김OO")
    town.city.at("ring.jws").write_bytes(first)  # somebody put yesterday's back
    town.hire(Role.OFFICER, "이OO")
    assert rings.newest(town.city).epoch == 3
    rings.revoke(town.city, town.root_key(), kim.key.kid, NOW)
    ring = rings.newest(town.city)
    assert kim.key.kid in ring.revoked
    with pytest.raises(ConfigError):
        town.signer("김OO")
    assert rings.set_recipients(town.city, town.root_key(), ring.recipients[:1], NOW).epoch == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_root_is_given_the_file_where_the_service_may_not_write(tmp_path):
    """The keys are made as the service's user, the request lies where whoever called wants it."""
    with tempfile.TemporaryDirectory() as reached:  # others than root cannot come to what is below tmp_path
        place = Path(reached)
        place.chmod(0o755)
        state = configured(place).storage.state
        os.chown(state, 65534, 65534)
        mine = tmp_path / "request"
        assert main(["enrol", "request", "--config", str(place / "agent.toml"), "-o", str(mine)]) == 0
        assert form.read_request(mine.read_bytes()).box == "gn-0007"
        assert mine.stat().st_uid == 0
        made = [each for each in state.rglob("*") if each.is_file()]
        assert made
        assert {each.stat().st_uid for each in made} == {65534}
